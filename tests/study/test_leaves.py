"""Leaves and their fields: the rule that names them, and what the table does not know."""

from __future__ import annotations

from typing import Any

import pytest
from study_records import lines, minimal, put, study_of, whole_study

from trialsync.model import By, Tier
from trialsync.study.leaves import drift, name_by_rule, parts, split


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("hasResults", "hasResults"),
        ("newLeaf", "newLeaf"),
        ("protocolSection.statusModule.overallStatus", "status.overallStatus"),
        ("protocolSection.statusModule.startDateStruct.date", "status.startDate"),
        ("protocolSection.statusModule.startDateStruct.type", "status.startDateType"),
        ("protocolSection.statusModule.newStruct.date", "status.new"),
        ("protocolSection.statusModule.newStruct.reasonOfIt", "status.newReasonOfIt"),
        ("protocolSection.sponsorCollaboratorsModule.responsibleParty.type", "sponsor.responsiblePartyType"),
        ("protocolSection.contactsLocationsModule.centralContacts", "contacts.centralContacts"),
        ("protocolSection.designModule.designInfo.maskingInfo.masking", "design.masking"),
        ("protocolSection.designModule.enrollmentInfo.count", "design.enrollmentCount"),
        ("protocolSection.designModule.newInfo.count", "design.newCount"),
        ("protocolSection.designModule.bioSpec.retention", "design.bioSpecRetention"),
        ("protocolSection.newModule.leaf", "new.leaf"),
        ("resultsSection.moreInfoModule.pointOfContact.phoneExt", "results.moreInfo.pointOfContactPhoneExt"),
        ("resultsSection.newModule.leaf", "results.new.leaf"),
        ("documentSection.largeDocumentModule.noSap", "documents.noSap"),
        ("annotationSection.annotationModule.violationAnnotation.violationEvents", "annotation.violationEvents"),
        ("annotationSection.annotationModule.unpostedAnnotation.unpostedEvents", "annotation.unpostedEvents"),
        ("derivedSection.miscInfoModule.submissionTracking.firstMcpInfo.postDateStruct.date", "derived.misc.firstMcpPostDate"),
        ("derivedSection.miscInfoModule.modelPredictions.bmiLimits.minBmi", "derived.misc.modelPredictionsBmiLimitsMinBmi"),
    ],
)
def test_the_rule(path: str, name: str) -> None:
    """A leaf is named ``<module>.<leaf>``, with the short names, the date structs and the dropped structs of the rule."""
    assert name_by_rule(tuple(path.split("."))) == name


def test_empty_parts_and_noise_are_left_out() -> None:
    """Absent, ``null``, ``{}`` and ``[]`` are no parts of a study, nor is the load's label."""
    study = minimal()
    said: dict[str, Any] = {"whyStopped": None, "startDateStruct": {}, "newList": [], "delayedPosting": False, "lastKnownStatus": ""}
    for name, value in said.items():
        put(study, ("protocolSection", "statusModule", name), value)
    names = {each.name for each, _ in split(study)}
    assert not names & {"status.whyStopped", "status.startDate", "status.newList", "derived.misc.versionHolder"}
    assert {"status.delayedPosting", "status.lastKnownStatus"} <= names


def test_parts_are_the_studys_own_values() -> None:
    """What a study is split into are its own objects, not copies."""
    study = whole_study()
    values = {each.name: value for each, value in split(study)}
    assert values["outcomes.primary"] is study["protocolSection"]["outcomesModule"]["primaryOutcomes"]
    assert values["sponsor.lead"] is study["protocolSection"]["sponsorCollaboratorsModule"]["leadSponsor"]


def test_an_unknown_leaf_gets_a_field_by_the_rule() -> None:
    """A leaf that the registry adds is a field of detail under the rule's name; in its own derived part, housekeeping by the registry."""
    study = minimal()
    put(study, ("protocolSection", "designModule", "newInfo", "count"), 3)
    put(study, ("derivedSection", "newModule", "leaf"), [{"a": 1}])
    unknown = {each.name: each for each, _ in split(study) if not each.known}
    assert {name: (each.path, each.tier, each.by) for name, each in unknown.items()} == {
        "design.newCount": ("protocolSection.designModule.newInfo.count", Tier.DETAIL, None),
        "derived.new.leaf": ("derivedSection.newModule.leaf", Tier.HOUSEKEEPING, By.REGISTRY),
    }


def test_an_unknown_leaf_never_takes_a_known_name() -> None:
    """Where the rule's name is that of another field, of presence or of a watch, the leaf goes by its whole path."""
    study = minimal()
    put(study, ("documentSection", "statusModule", "overallStatus"), "x")
    put(study, ("protocolSection", "watchModule", "mine"), "x")
    put(study, ("protocolSection", "registryModule", "presence"), "x")
    assert {each.name for each, _ in split(study) if not each.known} == {
        "documentSection.statusModule.overallStatus",
        "protocolSection.watchModule.mine",
        "protocolSection.registryModule.presence",
    }


def test_one_name_for_one_leaf() -> None:
    """Unknown leaves that the rule would give one name go by their whole paths, the same in both studies; elsewhere the rule holds."""
    old, new = minimal(), minimal()
    put(old, ("protocolSection", "newModule", "leaf"), 1)
    put(new, ("protocolSection", "new", "leaf"), 2)
    put(new, ("protocolSection", "newModule", "leaf"), 1)
    before, after = parts(old, new)
    assert "protocolSection.newModule.leaf" in before
    assert {"protocolSection.newModule.leaf", "protocolSection.new.leaf"} <= set(after)
    assert [name for name in parts(old)[0] if "leaf" in name] == ["new.leaf"]


def test_drift_names_what_the_table_lacks() -> None:
    """Unknown leaves and unknown attributes of items, at any depth, are each named once, sorted; a known study has none."""
    assert drift(whole_study()) == ()
    study = whole_study()
    put(study, ("protocolSection", "newModule", "leaf"), 1)
    put(study, ("protocolSection", "sponsorCollaboratorsModule", "leadSponsor", "country"), "Freedonia")
    for site in study["protocolSection"]["contactsLocationsModule"]["locations"]:
        site["countryCode"] = "FD"
        for contact in site["contacts"]:
            contact["fax"] = "1"
    assert drift(study) == (
        "protocolSection.contactsLocationsModule.locations.contacts.fax",
        "protocolSection.contactsLocationsModule.locations.countryCode",
        "protocolSection.newModule.leaf",
        "protocolSection.sponsorCollaboratorsModule.leadSponsor.country",
    )


def test_drift_in_real_records_is_what_the_registry_dropped() -> None:
    """In the records at hand only what the registry once had, and has no longer, is unknown to the table."""
    dropped = "derivedSection.miscInfoModule.modelPredictions."
    unknown = {path for line in lines() for path in drift(study_of(line)) if not path.startswith(("unknownSection.", dropped))}
    assert unknown == set()
