"""Two records to changes: paths, kinds, tiers, authors, order; and the baseline."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

import pytest
from study_records import SHARED, minimal, pair, pair_names, put, whole_study

from trialsync.model import By, Change, Kind, Tier
from trialsync.study.diff import baseline, diff
from trialsync.study.fields import CORE, FIELDS

if TYPE_CHECKING:
    from trialsync.model import Study

ADDED, REMOVED, CHANGED = Kind.ADDED, Kind.REMOVED, Kind.CHANGED
STATUS = ("protocolSection", "statusModule")
LOCATIONS = ("protocolSection", "contactsLocationsModule", "locations")
PRIMARY = ("protocolSection", "outcomesModule", "primaryOutcomes")
REFERENCES = ("protocolSection", "referencesModule", "references")


def study_with(*path: str, value: Any, posted: str = "2026-01-05") -> Study:
    """Return a small study with a value somewhere."""
    study = minimal()
    put(study, (*STATUS, "lastUpdatePostDateStruct", "date"), posted)
    put(study, path, value)
    return study


def rows(changes: list[Change]) -> list[tuple[str, Kind]]:
    """Return paths and kinds."""
    return [(change.path, change.kind) for change in changes]


def test_a_value_changed() -> None:
    """A changed leaf is one row with the registry's own values."""
    (change,) = diff(study_with(*STATUS, "overallStatus", value="RECRUITING"), study_with(*STATUS, "overallStatus", value="COMPLETED"))
    assert change == Change("status.overallStatus", None, None, CHANGED, "RECRUITING", "COMPLETED", Tier.HEADLINE, By.REGISTRY)


def test_values_are_the_records_own() -> None:
    """Before and after are the very objects of the two records."""
    old, new = study_with(*PRIMARY, value=[{"measure": "A"}]), minimal()
    (change,) = diff(old, new)
    assert change.before is old["protocolSection"]["outcomesModule"]["primaryOutcomes"]


@pytest.mark.parametrize(("was", "now"), [(1, True), (1, 1.0), (0, False), ("1", 1), (["a"], "a"), (["a"], ["a", "a"]), ("", "0")])
def test_types_are_changes(was: Any, now: Any) -> None:
    """A value that Python takes for equal, or that reads alike, is a change where its type differs."""
    path = ("protocolSection", "designModule", "enrollmentInfo", "count")
    (change,) = diff(study_with(*path, value=was), study_with(*path, value=now))
    assert (change.kind, change.before, change.after) == (CHANGED, was, now)
    assert (type(change.before), type(change.after)) == (type(was), type(now))


def test_a_keyed_field_that_appears_or_vanishes_is_one_change() -> None:
    """A list of objects that was not there before, or is gone, is one change of the field with its whole value."""
    members = [{"measure": "A"}, {"measure": "B"}]
    assert rows(diff(minimal(), study_with(*PRIMARY, value=members))) == [("outcomes.primary", ADDED)]
    assert rows(diff(study_with(*PRIMARY, value=members), study_with(*PRIMARY, value=[{}]))) == [("outcomes.primary", REMOVED)]


def test_locations_are_always_one_change_a_site() -> None:
    """Sites that appear, vanish or join others are one change each."""
    sites = [{"facility": "A.B", "city": "X", "country": "Z"}, {"facility": "C", "city": "Y"}]
    here = study_with(*LOCATIONS, value=sites)
    assert rows(diff(minimal(), here)) == [("locations.a.b|x||z", ADDED), ("locations.c|y||", ADDED)]
    assert rows(diff(here, minimal())) == [("locations.a.b|x||z", REMOVED), ("locations.c|y||", REMOVED)]
    assert rows(diff(here, study_with(*LOCATIONS, value=sites[1:]))) == [("locations.a.b|x||z", REMOVED)]


def test_a_site_inserted_in_the_middle_is_one_change() -> None:
    """What stands behind an inserted site has not changed."""
    sites = [{"facility": f"Clinic {number}", "city": "X"} for number in range(20)]
    new = [*sites[:7], {"facility": "Annex", "city": "W"}, *sites[7:]]
    assert rows(diff(study_with(*LOCATIONS, value=sites), study_with(*LOCATIONS, value=new))) == [("locations.annex|w||", ADDED)]


def test_an_items_attributes_are_changes_of_their_own() -> None:
    """In a field that stays, each attribute of an item that changed is one change, in the vocabulary's order."""
    old = {"measure": "Overall survival", "timeFrame": "1 year", "description": "As usual"}
    new = {"description": "As never before", "measure": "Overall survival", "timeFrame": "5 years", "newLeaf": 1}
    changes = diff(study_with(*PRIMARY, value=[old]), study_with(*PRIMARY, value=[new]))
    assert [(change.field, change.item, change.attribute, change.kind) for change in changes] == [
        ("outcomes.primary", "overall survival", "description", CHANGED),
        ("outcomes.primary", "overall survival", "timeFrame", CHANGED),
        ("outcomes.primary", "overall survival", "newLeaf", ADDED),
    ]
    assert changes[1].path == "outcomes.primary.overall survival.timeFrame"


def test_an_edited_key_is_a_change_of_its_attribute() -> None:
    """An item whose key text was edited is changed under the older key, not removed and added."""
    old = {"measure": "Overall survival", "timeFrame": "1 year", "description": "From first dose"}
    (change,) = diff(study_with(*PRIMARY, value=[old]), study_with(*PRIMARY, value=[{**old, "measure": "Survival, overall"}]))
    assert (change.path, change.kind) == ("outcomes.primary.overall survival.measure", CHANGED)
    assert (change.before, change.after) == ("Overall survival", "Survival, overall")


def test_lists_inside_items_are_keyed_too() -> None:
    """A change deep inside results is told by the items on the way."""
    path = ("resultsSection", "outcomeMeasuresModule", "outcomeMeasures")
    measure = {
        "type": "PRIMARY",
        "title": "Words spoken",
        "classes": [
            {"categories": [{"title": "All", "measurements": [{"groupId": "OG000", "value": "1"}, {"groupId": "OG001", "value": "2"}]}]}
        ],
    }
    edited: dict[str, Any] = deepcopy(measure)
    edited["classes"][0]["categories"][0]["measurements"][1]["value"] = "3"
    edited["classes"][0]["categories"][0]["measurements"].insert(0, {"groupId": "OG002", "value": "9"})
    changes = diff(study_with(*path, value=[measure]), study_with(*path, value=[edited]))
    assert [(change.item, change.attribute, change.kind) for change in changes] == [
        ("primary|words spoken", "classes..categories.all.measurements.og002", ADDED),
        ("primary|words spoken", "classes..categories.all.measurements.og001.value", CHANGED),
    ]


def test_a_list_of_plain_values_is_one_change_whole() -> None:
    """Conditions or phases are a multiset: one change, before and after whole and in the registry's order; order is no news."""
    path = ("protocolSection", "conditionsModule", "conditions")
    (change,) = diff(study_with(*path, value=["B", "A"]), study_with(*path, value=["C", "B", "A"]))
    assert (change.path, change.before, change.after) == ("conditions.conditions", ["B", "A"], ["C", "B", "A"])
    assert diff(study_with(*path, value=["B", "A"]), study_with(*path, value=["A", "B"])) == []
    assert len(diff(study_with(*path, value=["A", "A", "B"]), study_with(*path, value=["A", "B", "B"]))) == 1


def test_the_lead_sponsor_has_attributes() -> None:
    """The lead sponsor's name and class are attributes; a lead sponsor that appears is one change."""
    path = ("protocolSection", "sponsorCollaboratorsModule", "leadSponsor")
    old, new = study_with(*path, value={"name": "A", "class": "OTHER"}), study_with(*path, value={"name": "B", "class": "INDUSTRY"})
    assert [(change.field, change.item, change.attribute) for change in diff(old, new)] == [
        ("sponsor.lead", None, "name"),
        ("sponsor.lead", None, "class"),
    ]
    assert rows(diff(minimal(), new)) == [("sponsor.lead", ADDED)]


def test_names_that_python_keeps_private_are_compared() -> None:
    """An attribute whose name begins with two underscores is an attribute like any other."""
    old, new = (
        study_with(*PRIMARY, value=[{"measure": "A", "__class__": 1}]),
        study_with(*PRIMARY, value=[{"measure": "A", "__class__": 2}]),
    )
    assert rows(diff(old, new)) == [("outcomes.primary.a.__class__", CHANGED)]


def test_rows_stand_in_the_vocabularys_order() -> None:
    """The core comes first, in its order, then the other fields in theirs, then what the table does not know by name."""
    study = whole_study()
    put(study, ("protocolSection", "newModule", "leaf"), 1)
    study["anotherLeaf"] = 1
    fields = dict.fromkeys(change.field for change in diff({}, study))
    assert list(fields) == [*(each.name for each in FIELDS), "anotherLeaf", "new.leaf"]


def test_the_tier_is_the_fields_or_the_attributes() -> None:
    """A site's status is headline; its contacts and its geoPoint are housekeeping, and so is a document's size."""
    old = {"facility": "A", "status": "RECRUITING", "geoPoint": {"lat": 1}, "contacts": [{"name": "A", "role": "CONTACT", "phone": "1"}]}
    new = {"facility": "A", "status": "COMPLETED", "geoPoint": {"lat": 2}, "contacts": [{"name": "A", "role": "CONTACT", "phone": "2"}]}
    changes = diff(study_with(*LOCATIONS, value=[old]), study_with(*LOCATIONS, value=[new]))
    assert {change.attribute: change.tier for change in changes} == {
        "status": Tier.HEADLINE,
        "geoPoint": Tier.HOUSEKEEPING,
        "contacts.a|contact.phone": Tier.HOUSEKEEPING,
    }


def by(old: Study, new: Study) -> dict[str, By | None]:
    """Return who made each change."""
    return {change.path: change.by for change in diff(old, new)}


def test_a_sponsor_moves_the_posted_date() -> None:
    """Where the posted date moved with the version the sponsor made the change, otherwise the registry."""
    path = (*STATUS, "whyStopped")
    silent = by(minimal(), study_with(*path, value="Money"))
    assert silent == {"status.whyStopped": By.REGISTRY}
    told = by(minimal(), study_with(*path, value="Money", posted="2026-02-09"))
    assert told == {"status.lastUpdatePostDate": By.SPONSOR, "status.whyStopped": By.SPONSOR}


def test_some_changes_are_the_registrys_whatever_the_posted_date() -> None:
    """Derived parts, annotations, geoPoint, document size and references of type DERIVED are by the registry even in an update."""
    old, new = minimal(), study_with(*STATUS, "whyStopped", value="x", posted="2026-02-09")
    for study, number in ((old, 1), (new, 2)):
        put(study, ("derivedSection", "conditionBrowseModule", "meshes"), [{"id": "D1", "term": str(number)}])
        put(study, ("annotationSection", "annotationModule", "unpostedAnnotation", "unpostedResponsibleParty"), str(number))
        put(study, LOCATIONS, [{"facility": "A", "zip": str(number), "geoPoint": {"lat": number}}])
        put(study, ("documentSection", "largeDocumentModule", "largeDocs"), [{"filename": "p.pdf", "size": number, "label": str(number)}])
        put(
            study,
            REFERENCES,
            [
                {"pmid": "1", "type": "DERIVED", "citation": str(number)},
                {"pmid": "2", "type": "BACKGROUND", "citation": str(number)},
                {"pmid": f"3{number}", "type": "DERIVED"},
                {"pmid": f"4{number}", "type": "RESULT"},
            ],
        )
    assert by(old, new) == {
        "status.lastUpdatePostDate": By.SPONSOR,
        "status.whyStopped": By.SPONSOR,
        "locations.a|||.zip": By.SPONSOR,
        "locations.a|||.geoPoint": By.REGISTRY,
        "documents.largeDocs.|p.pdf.label": By.SPONSOR,
        "documents.largeDocs.|p.pdf.size": By.REGISTRY,
        "references.references.1.citation": By.REGISTRY,
        "references.references.2.citation": By.SPONSOR,
        "references.references.31": By.REGISTRY,
        "references.references.32": By.REGISTRY,
        "references.references.41": By.SPONSOR,
        "references.references.42": By.SPONSOR,
        "annotation.unpostedResponsibleParty": By.REGISTRY,
        "derived.conditionBrowse.meshes.d1.term": By.REGISTRY,
    }


@pytest.mark.parametrize(
    ("members", "who"),
    [
        ([{"pmid": "1", "type": "DERIVED"}], By.REGISTRY),
        ([{"pmid": "1", "type": "DERIVED"}, {"pmid": "2", "type": "RESULT"}], By.SPONSOR),
        ([{"pmid": "1", "type": "RESULT"}], By.SPONSOR),
        (["odd", 3, {"type": ["DERIVED"]}], By.SPONSOR),
        (3, By.SPONSOR),
        ({"type": "DERIVED"}, By.REGISTRY),
    ],
)
def test_references_that_appear_whole(members: Any, who: By) -> None:
    """References that appear as a whole are the registry's only where all of them are derived; no shape of them is an error."""
    new = study_with(*REFERENCES, value=members, posted="2026-02-09")
    assert by(minimal(), new)["references.references"] is who
    assert by(new, minimal())["references.references"] is who


def test_a_flip_to_unknown_is_the_registrys() -> None:
    """A status that goes UNKNOWN with its last known status is by the registry even in an update; back again it is the sponsor's."""
    old = study_with(*STATUS, "overallStatus", value="RECRUITING")
    new = study_with(*STATUS, "overallStatus", value="UNKNOWN", posted="2026-02-09")
    put(new, (*STATUS, "lastKnownStatus"), "RECRUITING")
    put(new, (*STATUS, "whyStopped"), "x")
    assert by(old, new) == {
        "status.overallStatus": By.REGISTRY,
        "status.lastKnownStatus": By.REGISTRY,
        "status.lastUpdatePostDate": By.SPONSOR,
        "status.whyStopped": By.SPONSOR,
    }
    assert set(by(new, old).values()) == {By.SPONSOR}


def test_the_core_baseline() -> None:
    """A baseline holds every core field that the study has, in order, added by nobody; sites one row each, other lists one row."""
    study = whole_study()
    found = baseline(study)
    assert [change.field for change in found] == [*CORE, "locations"]
    assert {(change.kind, change.before, change.by) for change in found} == {(ADDED, None, None)}
    assert [change.item for change in found if change.item is not None] == [
        "facility one|city one|state one|country one",
        "facility two|city two|state two|country two",
    ]
    assert found[10].after is study["protocolSection"]["outcomesModule"]["primaryOutcomes"]


def test_other_baselines() -> None:
    """A baseline of all fields has every field, one of none has no rows; what is empty has no row."""
    assert {change.field for change in baseline(whole_study(), "all")} == {each.name for each in FIELDS}
    assert baseline(whole_study(), "none") == []
    assert rows(baseline(study_with(*LOCATIONS, value=[{}, {"facility": "A"}, {"facility": "A"}]))) == [
        ("status.overallStatus", ADDED),
        ("status.lastUpdatePostDate", ADDED),
        ("results.hasResults", ADDED),
        ("locations.a|||", ADDED),
        ("locations.a||| #2", ADDED),
    ]
    assert rows(baseline(study_with(*LOCATIONS, value="odd")))[-1] == ("locations", ADDED)


def test_a_baselines_labels_are_those_of_the_changes() -> None:
    """A site goes by the label that the baseline gave it when it changes later, repeats included."""
    sites = [{"facility": "A", "zip": "1"}, {}, {"facility": "A", "zip": "2"}, {"facility": "A #2"}]
    old = study_with(*LOCATIONS, value=sites)
    labels = {change.item: change.after for change in baseline(old) if change.item is not None}
    for label, site in labels.items():
        new = study_with(*LOCATIONS, value=[each for each in sites if each is not site])
        (change,) = diff(old, new)
        assert (change.item, change.before) == (label, site)


PAIRS: dict[str, set[tuple[str, Kind]]] = {
    "citation-text-changed-no-lup.NCT05063149": {("references.references.citation", CHANGED)},
    "derived-pubmed-reference-added-no-lup.NCT05009069": {("references.references", ADDED)},
    "geopoint-regeocoded-no-lup.NCT06825494": {("locations.geoPoint", CHANGED)},
    "real-update-status-change.NCT06754501": {
        ("status.overallStatus", CHANGED),
        ("status.lastUpdatePostDate", CHANGED),
        ("status.statusVerifiedDate", CHANGED),
        ("status.lastUpdateSubmitDate", CHANGED),
        ("status.expandedAccessHasExpandedAccess", REMOVED),
        ("design.enrollmentCount", CHANGED),
        ("design.enrollmentType", CHANGED),
        ("contacts.centralContacts", REMOVED),
        ("locations.status", REMOVED),
        ("locations.contacts", REMOVED),
    },
    "real-update-suspended-whystopped.NCT07011550": {
        ("status.overallStatus", CHANGED),
        ("status.whyStopped", ADDED),
        ("status.startDate", CHANGED),
        ("status.startDateType", CHANGED),
        ("status.lastUpdatePostDate", CHANGED),
        ("status.statusVerifiedDate", CHANGED),
        ("status.lastUpdateSubmitDate", CHANGED),
        ("design.enrollmentCount", CHANGED),
        ("design.enrollmentType", CHANGED),
        ("contacts.centralContacts", REMOVED),
        ("locations.status", REMOVED),
        ("locations.contacts", REMOVED),
    },
    "real-update-terminated.NCT05935098": {
        ("status.overallStatus", CHANGED),
        ("status.whyStopped", ADDED),
        ("status.primaryCompletionDate", CHANGED),
        ("status.primaryCompletionDateType", CHANGED),
        ("status.completionDate", CHANGED),
        ("status.completionDateType", CHANGED),
        ("status.lastUpdatePostDate", CHANGED),
        ("status.statusVerifiedDate", CHANGED),
        ("status.lastUpdateSubmitDate", CHANGED),
        ("design.enrollmentCount", CHANGED),
        ("design.enrollmentType", CHANGED),
        ("identification.organizationFullName", CHANGED),
    },
    "seealsolinks-removed-no-lup.NCT05537740": {("references.seeAlsoLinks", REMOVED)},
    "status-unknown-flip-no-lup.NCT05294952": {("status.overallStatus", CHANGED), ("status.lastKnownStatus", ADDED)},
    "status-unknown-flip-no-lup-2.NCT06302556": {("status.overallStatus", CHANGED), ("status.lastKnownStatus", ADDED)},
    "submission-info-added-no-lup.NCT04457778": {("derived.misc.submissionInfos", ADDED)},
    "unposted-event-reset-no-lup.NCT04457778": {("annotation.unpostedEvents", ADDED), ("derived.misc.submissionInfos.resetDate", ADDED)},
}
"""What the registry's own records before and after a change show: field, attribute and kind."""


@pytest.mark.skipif(not SHARED.is_dir(), reason="the registry's own records are not at hand")
def test_every_real_pair_is_known() -> None:
    """Each pair of real records is named here."""
    assert set(pair_names()) == set(PAIRS)


@pytest.mark.parametrize("name", list(PAIRS))
def test_real_pairs(name: str) -> None:
    """What changed in a real pair is what its name says, by the registry where the posted date stood and by the sponsor where it moved."""
    if name not in pair_names():
        pytest.skip("the registry's own records are not at hand")
    changes = diff(*pair(name))
    told = [".".join(filter(None, (change.field, change.attribute))) for change in changes]
    assert {(path, change.kind) for path, change in zip(told, changes, strict=True)} == PAIRS[name]
    assert {change.by for change in changes} == {By.REGISTRY if "no-lup" in name else By.SPONSOR}
