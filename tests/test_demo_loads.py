"""The packaged demo loads: well formed, of the registry's shape, and showing each kind of change by name."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parent.parent
LOADS = ROOT / "trialsync" / "registry" / "sandbox" / "loads.jsonl"
METADATA = ROOT.parent / "shared" / "registry" / "studies-metadata.json"

Study: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the file."""

    load: str
    nct_id: str
    study: Study | None


@dataclass(frozen=True, slots=True)
class Step:
    """What one line did: the content before it (``None`` where the study was not there) and after it (``None`` where it is gone)."""

    load: str
    nct_id: str
    before: Study | None
    after: Study | None
    others: dict[str, Study]
    """Every study that the load holds once all its lines are applied."""


def read() -> list[Line]:
    """Return the file's lines in order."""
    return [Line(raw["load"], raw["nctId"], raw["study"]) for raw in map(json.loads, LOADS.read_text("utf-8").splitlines())]


LINES = read()
DATES = sorted({line.load for line in LINES})
NUMBERS = {line.nct_id for line in LINES}


def steps() -> list[Step]:
    """Return a step for every line after the first load."""
    held: dict[str, Study] = {}
    found: list[Step] = []
    for load in DATES:
        lines = [line for line in LINES if line.load == load]
        was = dict(held)
        for line in lines:
            if line.study is None:
                del held[line.nct_id]
            else:
                held[line.nct_id] = line.study
        if load != DATES[0]:
            found += [Step(load, line.nct_id, was.get(line.nct_id), line.study, dict(held)) for line in lines]
    return found


STEPS = steps()
EDITS = [(step, step.before, step.after) for step in STEPS if step.before is not None and step.after is not None]


def at(study: Study, path: str) -> Any:
    """Return what is at a dotted path inside ``protocolSection``, or ``None``."""
    value: Any = study["protocolSection"]
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value


def posted(study: Study) -> str:
    """Return the date of the last posted update."""
    return str(at(study, "statusModule.lastUpdatePostDateStruct.date"))


def sites(study: Study) -> list[dict[str, Any]]:
    """Return the locations, empty where there is none."""
    return at(study, "contactsLocationsModule.locations") or []


def place(site: dict[str, Any]) -> tuple[Any, ...]:
    """Return what names a site."""
    return tuple(site.get(key) for key in ("facility", "city", "state", "zip", "country"))


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every leaf with its dotted path, list positions left out; a geoPoint is one leaf, as in the metadata."""
    if isinstance(value, dict) and not path.endswith("geoPoint"):
        for key, below in value.items():
            yield from leaves(below, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for below in value:
            yield from leaves(below, path)
    else:
        yield path, value


def moved(before: Study, after: Study) -> set[str]:
    """Return the leaf paths whose values, taken together, differ."""

    def grouped(study: Study) -> dict[str, list[str]]:
        groups: dict[str, list[str]] = {}
        for path, value in leaves(study):
            groups.setdefault(path, []).append(json.dumps(value, sort_keys=True))
        return groups

    one, two = grouped(before), grouped(after)
    return {path for path in one.keys() | two.keys() if one.get(path) != two.get(path)}


def differs(before: Study, after: Study, path: str) -> bool:
    """Return whether the values at a dotted path of ``protocolSection`` differ."""
    return bool(at(before, path) != at(after, path))


def goes(before: Study, after: Study, first: str, then: str) -> bool:
    """Return whether the overall status went from one value to the other."""
    return (at(before, "statusModule.overallStatus"), at(after, "statusModule.overallStatus")) == (first, then)


def by_registry(step: Step, before: Study, after: Study) -> bool:
    """Return whether the posted date stood still."""
    return posted(before) == posted(after) != step.load


def measures(study: Study, which: str) -> set[str]:
    """Return the measures of the outcomes of one sort."""
    return {outcome["measure"] for outcome in at(study, f"outcomesModule.{which}Outcomes") or []}


def closed(study: Study) -> bool:
    """Return whether no site has a status and no one is named to call."""
    return not at(study, "contactsLocationsModule.centralContacts") and not any("status" in site for site in sites(study))


def enrollment(study: Study) -> tuple[int, str | None]:
    """Return count and type, zero and ``None`` where nobody is counted."""
    return at(study, "designModule.enrollmentInfo.count") or 0, at(study, "designModule.enrollmentInfo.type")


def unescaped(text: str) -> str:
    """Return a text without the registry's Markdown escapes."""
    return re.sub(r"\\(?=[^\w\s])", "", text)


# ---- one small function a kind; each is given the step, and the content before and after it


def terminated(_: Step, old: Study, new: Study) -> bool:
    """Find RECRUITING to TERMINATED, with a reason, and the enrollment cut to what it was."""
    reason = bool(at(new, "statusModule.whyStopped"))
    cut = enrollment(new)[0] < enrollment(old)[0] and enrollment(new)[1] == "ACTUAL"
    return goes(old, new, "RECRUITING", "TERMINATED") and reason and cut


def closed_to_recruitment(_: Step, old: Study, new: Study) -> bool:
    """Find RECRUITING to ACTIVE_NOT_RECRUITING, with site statuses and central contacts dropped."""
    return goes(old, new, "RECRUITING", "ACTIVE_NOT_RECRUITING") and closed(new) and not closed(old)


def went_unknown(step: Step, old: Study, new: Study) -> bool:
    """Find UNKNOWN by itself on the first load of a month, two years after it was last verified."""
    kept = at(new, "statusModule.lastKnownStatus") == at(old, "statusModule.overallStatus")
    first = DATES[DATES.index(step.load) - 1][:7] < step.load[:7]
    due = at(new, "statusModule.statusVerifiedDate") == "2024-04" and at(new, "statusModule.completionDateStruct.date") < step.load
    return at(new, "statusModule.overallStatus") == "UNKNOWN" and kept and first and due and by_registry(step, old, new)


def re_geocoded(step: Step, old: Study, new: Study) -> bool:
    """Find a geoPoint alone that moved, without an update."""
    return moved(old, new) == {"protocolSection.contactsLocationsModule.locations.geoPoint"} and by_registry(step, old, new)


def city_renamed(step: Step, old: Study, new: Study) -> bool:
    """Find a Napoli that the registry now calls Naples, elsewhere on the map."""
    cities = ({site["city"] for site in sites(old)} - {site["city"] for site in sites(new)}, by_registry(step, old, new))
    names = {path.rpartition(".")[2] for path in moved(old, new)}
    return cities == ({"Napoli"}, True) and names == {"city", "geoPoint"}


def made_anonymous(_: Step, old: Study, new: Study) -> bool:
    """Find a list whose every facility becomes "Research Site", sorted anew."""
    return (
        len(sites(new)) > 5
        and {site["facility"] for site in sites(new)} == {"Research Site"}
        and len({site["facility"] for site in sites(old)}) > 5
        and [site["city"] for site in sites(old)] != [site["city"] for site in sites(new)]
        and Counter(site["city"] for site in sites(old)) == Counter(site["city"] for site in sites(new))
    )


def sites_in_the_middle(_: Step, old: Study, new: Study) -> bool:
    """Find two sites added and one removed in one load, none of them at an end of a long list."""
    one, two = [place(site) for site in sites(old)], [place(site) for site in sites(new)]
    added, gone = set(two) - set(one), set(one) - set(two)
    inside = not (added | gone) & {*one[:1], *one[-1:], *two[:1], *two[-1:]}
    return len(one) > 30 and (len(added), len(gone)) == (2, 1) and inside


def site_added(_: Step, old: Study, new: Study) -> bool:
    """Find a site added and none removed."""
    one, two = {place(site) for site in sites(old)}, {place(site) for site in sites(new)}
    return one < two


def site_opened(_: Step, old: Study, new: Study) -> bool:
    """Find a site that was there and began to recruit."""
    waiting = {place(site) for site in sites(old) if site.get("status") == "NOT_YET_RECRUITING"}
    return any(site.get("status") == "RECRUITING" and place(site) in waiting for site in sites(new))


def derived_reference(step: Step, old: Study, new: Study) -> bool:
    """Find a reference that PubMed brought, without an update."""
    had = [ref.get("pmid") for ref in at(old, "referencesModule.references") or []]
    came = [ref for ref in at(new, "referencesModule.references") or [] if ref.get("pmid") not in had]
    return [ref["type"] for ref in came] == ["DERIVED"] and by_registry(step, old, new)


def citation_edited(step: Step, old: Study, new: Study) -> bool:
    """Find a citation with another text, without an update."""
    return moved(old, new) == {"protocolSection.referencesModule.references.citation"} and by_registry(step, old, new)


def link_removed(step: Step, old: Study, new: Study) -> bool:
    """Find a link that disappeared, without an update."""
    had, has = (at(study, "referencesModule.seeAlsoLinks") for study in (old, new))
    return bool(had) and not has and by_registry(step, old, new)


def merged(step: Step, old: Study, new: Study) -> bool:
    """Find a study whose alias another one became on the same load."""
    aliases = at(new, "identificationModule.nctIdAliases") or []
    gone = [other.nct_id for other in STEPS if other.load == step.load and other.after is None]
    return bool(aliases) and not at(old, "identificationModule.nctIdAliases") and set(aliases) <= set(gone) and posted(new) == step.load


def withheld(_: Step, old: Study, new: Study) -> bool:
    """Find a study of which little but a placeholder title is left."""
    redacted = at(new, "sponsorCollaboratorsModule.leadSponsor.name") == "[Redacted]"
    title = str(at(new, "identificationModule.briefTitle")).startswith("[")
    emptied = len(list(leaves(new))) < len(list(leaves(old))) / 4
    return at(new, "statusModule.overallStatus") == "WITHHELD" and redacted and title and emptied


def results_posted(step: Step, old: Study, new: Study) -> bool:
    """Find results that appear, with their three dates and all five modules."""
    days = at(new, "statusModule.resultsFirstPostDateStruct.date"), bool(at(new, "statusModule.resultsFirstSubmitDate"))
    whole = len(new.get("resultsSection", {})) == 5 and "resultsSection" not in old
    return (old["hasResults"], new["hasResults"], whole, *days) == (False, True, True, step.load, True)


def results_corrected(_: Step, old: Study, new: Study) -> bool:
    """Find posted results with another number."""
    path = "resultsSection.outcomeMeasuresModule.outcomeMeasures.classes.categories.measurements.value"
    return old["hasResults"] and new["hasResults"] and path in moved(old, new)


def started(step: Step, study: Study) -> bool:
    """Return whether the study had begun before the load."""
    return bool(at(study, "statusModule.startDateStruct.type") == "ACTUAL" and at(study, "statusModule.startDateStruct.date") < step.load)


def primary_reworded(step: Step, old: Study, new: Study) -> bool:
    """Find a primary outcome in other words, after the start."""
    one, two = at(old, "outcomesModule.primaryOutcomes") or [], at(new, "outcomesModule.primaryOutcomes") or []
    return started(step, old) and len(one) == len(two) == 1 and one[0]["measure"] != two[0]["measure"]


def primary_switched(step: Step, old: Study, new: Study) -> bool:
    """Find a primary outcome gone and a secondary one promoted, after the start."""
    gone = measures(old, "primary") - measures(new, "primary") - measures(new, "secondary")
    promoted = measures(new, "primary") & measures(old, "secondary")
    return started(step, old) and bool(gone) and bool(promoted)


def time_frame_changed(_: Step, old: Study, new: Study) -> bool:
    """Find a primary outcome of the same words with another time frame."""
    one, two = at(old, "outcomesModule.primaryOutcomes") or [], at(new, "outcomesModule.primaryOutcomes") or []
    same = measures(old, "primary") == measures(new, "primary") and len(one) == len(two)
    return same and any(a["timeFrame"] != b["timeFrame"] for a, b in zip(one, two, strict=True) if a["measure"] == b["measure"])


def one_bullet_edited(step: Step, old: Study, new: Study) -> bool:
    """Find criteria with one line edited, by the sponsor."""
    one, two = (str(at(study, "eligibilityModule.eligibilityCriteria")).splitlines() for study in (old, new))
    edited = len(one) == len(two) and sum(a != b for a, b in zip(one, two, strict=True)) == 1
    return edited and posted(new) == step.load


def mark_up_only(step: Step, old: Study, new: Study) -> bool:
    """Find criteria with other escapes and the same words, without an update."""
    one, two = (str(at(study, "eligibilityModule.eligibilityCriteria")) for study in (old, new))
    return one != two and unescaped(one) == unescaped(two) and by_registry(step, old, new)


def completion_slipped(_: Step, old: Study, new: Study) -> bool:
    """Find both completion dates moved later."""
    paths = [f"statusModule.{name}DateStruct.date" for name in ("primaryCompletion", "completion")]
    return all(at(old, path) and at(new, path) and at(old, path) < at(new, path) for path in paths)


def primary_completion_moved(_: Step, old: Study, new: Study) -> bool:
    """Find a primary completion moved later, and a completion that was not."""
    earlier, later = (at(study, "statusModule.primaryCompletionDateStruct.date") or "" for study in (old, new))
    return earlier < later and not differs(old, new, "statusModule.completionDateStruct")


def start_moved(_: Step, old: Study, new: Study) -> bool:
    """Find a start moved that was still ahead."""
    both = at(old, "statusModule.startDateStruct.type") == at(new, "statusModule.startDateStruct.type") == "ESTIMATED"
    return both and differs(old, new, "statusModule.startDateStruct.date")


def began(_: Step, old: Study, new: Study) -> bool:
    """Find NOT_YET_RECRUITING to RECRUITING, with a start that is now actual."""
    return goes(old, new, "NOT_YET_RECRUITING", "RECRUITING") and at(new, "statusModule.startDateStruct.type") == "ACTUAL"


def enrollment_raised(_: Step, old: Study, new: Study) -> bool:
    """Find more people than planned before."""
    return 0 < enrollment(old)[0] < enrollment(new)[0]


def suspended(_: Step, old: Study, new: Study) -> bool:
    """Find RECRUITING to SUSPENDED with a reason."""
    return goes(old, new, "RECRUITING", "SUSPENDED") and bool(at(new, "statusModule.whyStopped"))


def resumed(step: Step, old: Study, new: Study) -> bool:
    """Find SUSPENDED to RECRUITING, where all but the dates is as it was before the pause."""
    if not goes(old, new, "SUSPENDED", "RECRUITING"):
        return False
    first = next(line.study for line in LINES if line.nct_id == step.nct_id)
    return first is not None and {path.split(".")[1] for path in moved(first, new)} == {"statusModule"} and closed(old) and not closed(new)


def geocode_back(step: Step, old: Study, new: Study) -> bool:
    """Find a geoPoint back where it was at first."""
    return re_geocoded(step, old, new) and new == next(line.study for line in LINES if line.nct_id == step.nct_id)


def results_reset(step: Step, old: Study, new: Study) -> bool:
    """Find results sent back by quality control: a reset date, without an update."""
    path = "derivedSection.miscInfoModule.submissionTracking.submissionInfos.resetDate"
    event = ("annotationSection.annotationModule.unpostedAnnotation.unpostedEvents.type", '"RESET"')
    found = [(leaf, json.dumps(value)) for leaf, value in leaves(new)]
    return path in moved(old, new) and event in found and by_registry(step, old, new)


def arms_relabelled(_: Step, old: Study, new: Study) -> bool:
    """Find all arms with other labels, and what points to them with them."""
    one, two = ({arm["label"] for arm in at(study, "armsInterventionsModule.armGroups") or []} for study in (old, new))
    pointed = {label for item in at(new, "armsInterventionsModule.interventions") or [] for label in item.get("armGroupLabels", [])}
    return bool(one) and not one & two and pointed == two


def sponsor_changed(_: Step, old: Study, new: Study) -> bool:
    """Find another lead sponsor."""
    return differs(old, new, "sponsorCollaboratorsModule.leadSponsor.name")


def collaborator_added(_: Step, old: Study, new: Study) -> bool:
    """Find a collaborator where there was none."""
    path = "sponsorCollaboratorsModule.collaborators"
    return not at(old, path) and bool(at(new, path))


def documents_posted(_: Step, old: Study, new: Study) -> bool:
    """Find documents that appear, without results."""
    return "documentSection" not in old and "documentSection" in new and not new["hasResults"]


def keywords_changed(_: Step, old: Study, new: Study) -> bool:
    """Find another plain list of keywords."""
    return differs(old, new, "conditionsModule.keywords")


def conditions_changed(_: Step, old: Study, new: Study) -> bool:
    """Find another plain list of conditions."""
    return differs(old, new, "conditionsModule.conditions")


def access_paused(_: Step, old: Study, new: Study) -> bool:
    """Find expanded access that pauses."""
    return goes(old, new, "AVAILABLE", "TEMPORARILY_NOT_AVAILABLE")


KINDS: dict[Callable[[Step, Study, Study], bool], set[str]] = {
    terminated: {"2026-04-30 NCT09000037"},
    closed_to_recruitment: {"2026-05-01 NCT09000147"},
    went_unknown: {"2026-05-01 NCT09000085", "2026-05-01 NCT09000172"},
    re_geocoded: {"2026-04-29 NCT09000347", "2026-05-05 NCT09000347"},
    geocode_back: {"2026-05-05 NCT09000347"},
    city_renamed: {"2026-05-04 NCT09000091", "2026-05-04 NCT09000259"},
    made_anonymous: {"2026-05-05 NCT09000134"},
    sites_in_the_middle: {"2026-04-29 NCT09000011"},
    site_added: {"2026-05-14 NCT07263919"},
    site_opened: {"2026-04-29 NCT09000011", "2026-05-14 NCT09000024"},
    derived_reference: {"2026-05-07 NCT09000058"},
    citation_edited: {"2026-04-30 NCT09000270"},
    link_removed: {"2026-05-13 NCT09000155"},
    merged: {"2026-05-08 NCT09000106"},
    withheld: {"2026-05-11 NCT09000120"},
    results_posted: {"2026-05-04 NCT09000079"},
    results_corrected: {"2026-05-11 NCT09000079"},
    primary_reworded: {"2026-05-05 NCT09000024"},
    primary_switched: {"2026-05-08 NCT09000043"},
    time_frame_changed: {"2026-05-13 NCT09000333"},
    one_bullet_edited: {"2026-04-30 NCT09000189"},
    mark_up_only: {"2026-05-07 NCT09000203"},
    completion_slipped: {"2026-04-29 NCT09000214", "2026-05-08 NCT09000214"},
    primary_completion_moved: {"2026-05-14 NCT07263919"},
    start_moved: {"2026-05-11 NCT09000241"},
    began: {"2026-05-14 NCT09000392"},
    enrollment_raised: {"2026-05-08 NCT09000106", "2026-05-12 NCT09000011"},
    suspended: {"2026-04-30 NCT09000062"},
    resumed: {"2026-05-07 NCT09000062"},
    results_reset: {"2026-05-05 NCT09000288"},
    arms_relabelled: {"2026-05-08 NCT09000228"},
    sponsor_changed: {"2026-05-11 NCT09000259"},
    collaborator_added: {"2026-05-01 NCT09000305"},
    documents_posted: {"2026-05-12 NCT09000319"},
    keywords_changed: {"2026-05-04 NCT09000195"},
    conditions_changed: {"2026-05-14 NCT09000392"},
    access_paused: {"2026-05-13 NCT09000267"},
}


@pytest.mark.parametrize(("kind", "expected"), KINDS.items(), ids=[kind.__name__ for kind in KINDS])
def test_each_kind_of_change_is_there(kind: Callable[[Step, Study, Study], bool], expected: set[str]) -> None:
    """Each kind of change happens just where the list says, computed from the content; what withholding blanks is no other kind."""
    visible = [edit for edit in EDITS if kind is withheld or not withheld(*edit)]
    found = {f"{step.load} {step.nct_id}" for step, old, new in visible if kind(step, old, new)}
    assert found == expected


def test_lines_are_ordered_and_well_formed() -> None:
    """Every line has the three keys in order, a well-formed id, and its place by load and id; compact, below 500 kB."""
    raw = LOADS.read_text("utf-8").splitlines()
    assert LOADS.stat().st_size < 500_000
    for text in raw:
        parsed = json.loads(text)
        assert list(parsed) == ["load", "nctId", "study"]
        assert text == json.dumps(parsed, ensure_ascii=False, separators=(",", ":"))
    assert [(line.load, line.nct_id) for line in LINES] == sorted({(line.load, line.nct_id) for line in LINES})
    for line in LINES:
        assert re.fullmatch(r"NCT\d{8}", line.nct_id)
        assert line.study is None or at(line.study, "identificationModule.nctId") == line.nct_id


def test_ids_clash_with_no_real_study() -> None:
    """Every number but the page's is far above those that the registry has given out."""
    assert {nct_id for nct_id in NUMBERS if not nct_id.startswith("NCT0900")} == {"NCT07263919"}


def test_loads_are_weekdays_with_one_skipped() -> None:
    """Twelve loads on weekdays, in one run but for a weekday without one, over the first of a month."""
    days = [date.fromisoformat(load) for load in DATES]
    assert len(days) == 12
    assert all(day.weekday() < 5 for day in days)
    every = {days[0] + timedelta(n) for n in range((days[-1] - days[0]).days + 1)}
    assert {day for day in every if day.weekday() < 5} - set(days) == {date(2026, 5, 6)}
    assert {"2026-05-01", "2026-05-12"} <= set(DATES)


def test_enough_studies_and_changes() -> None:
    """Thirty or more studies stand from the first load on, and each later load changes two to six."""
    counts = Counter(line.load for line in LINES)
    assert counts[DATES[0]] >= 30
    assert all(2 <= counts[load] <= 6 for load in DATES[1:])


def test_no_line_repeats_the_content_before_it() -> None:
    """A study stands again only on a load that changed it."""
    assert [step.nct_id for step in STEPS if step.before == step.after] == []


def test_posted_dates_keep_the_rule_of_the_registry() -> None:
    """An update's posted date is its load's, one to four days after it was submitted, never at a weekend."""
    for line in LINES:
        if line.study is not None:
            shown, sent = posted(line.study), at(line.study, "statusModule.lastUpdateSubmitDate")
            assert shown <= line.load
            assert date.fromisoformat(shown).weekday() < 5
            assert 1 <= (date.fromisoformat(shown) - date.fromisoformat(sent)).days <= 4
    for step, old, new in EDITS:
        assert posted(new) in {posted(old), step.load}, step.nct_id
        same_day = at(new, "statusModule.lastUpdateSubmitDate") == at(old, "statusModule.lastUpdateSubmitDate")
        assert same_day == (posted(new) == posted(old))


def test_sponsors_and_the_registry_both_change_things() -> None:
    """Changes with and without an update are both well represented."""
    own = sum(by_registry(step, old, new) for step, old, new in EDITS)
    assert own >= 8
    assert len(EDITS) - own >= 20


def test_newly_registered_studies() -> None:
    """Two studies appear on the load of their first posting."""
    new = {step.nct_id: step for step in STEPS if step.before is None}
    assert set(new) == {"NCT09000392", "NCT09000405"}
    for step in new.values():
        assert step.after is not None
        assert at(step.after, "statusModule.studyFirstPostDateStruct.date") == posted(step.after) == step.load


def test_a_merge_and_a_removal() -> None:
    """Of the two studies that disappear one is an alias of another from then on, the other is not."""
    gone = {step.nct_id: step.others for step in STEPS if step.after is None}
    alias = {
        nct_id: [key for key, s in held.items() if nct_id in (at(s, "identificationModule.nctIdAliases") or [])]
        for nct_id, held in gone.items()
    }
    assert alias == {"NCT09000113": ["NCT09000106"], "NCT09000236": []}


def test_the_load_label_is_left_to_the_sandbox() -> None:
    """No record holds versionHolder; the module that the sandbox puts it into is there."""
    for line in LINES:
        if line.study is not None:
            assert "versionHolder" not in line.study["derivedSection"]["miscInfoModule"]


def test_contacts_are_invented() -> None:
    """Mail addresses and links are at example.org, and phones have the number range of fiction, 555."""
    for line in LINES:
        for path, value in leaves(line.study or {}):
            name = path.rpartition(".")[2]
            if name == "email":
                assert re.fullmatch(r"[\w.-]+@example\.org", value, re.ASCII), value
            elif name == "phone":
                assert re.fullmatch(r"\+\d{1,3}-555-01\d\d", value), value
            elif name in {"url", "link"}:
                assert re.match(r"https://([\w-]+\.)*example\.org(/|$)", value), value


@pytest.mark.skipif(not METADATA.exists(), reason="the registry's metadata is not beside the project")
def test_every_leaf_is_one_of_the_registry() -> None:
    """Each leaf path is in the registry's list of fields."""
    known: set[str] = set()

    def walk(nodes: list[dict[str, Any]], path: str) -> None:
        for node in nodes:
            name = f"{path}.{node['name']}" if path else node["name"]
            known.add(name)
            walk(node.get("children", []), name)

    walk(json.loads(METADATA.read_text("utf-8")), "")
    assert {path for line in LINES for path, _ in leaves(line.study or {})} - known == set()


def is_parkinson(study: Study) -> bool:
    """Return whether a search for the condition Parkinson Disease has to find the study."""
    terms = study["derivedSection"].get("conditionBrowseModule", {}).get("meshes", [])
    return any(term["term"] == "Parkinson Disease" for term in terms)


def test_the_parkinson_watch_has_a_story() -> None:
    """Eight or more Parkinson studies stand in the first load, and half of the later changes are theirs."""
    first = [line for line in LINES if line.load == DATES[0] and line.study is not None and is_parkinson(line.study)]
    assert len(first) >= 8
    theirs = [step for step in STEPS if any(study is not None and is_parkinson(study) for study in (step.before, step.after))]
    assert len(theirs) >= 15
    assert len({step.load for step in theirs}) >= 9


def test_the_odd_shapes_of_real_records() -> None:
    """Repeats, absent types, bare years, escapes, entities, ampersands and a withdrawn study with nobody in it are all there."""
    first = [line.study for line in LINES if line.load == DATES[0] and line.study is not None]
    text = LOADS.read_text("utf-8")
    three = [[(s.get("facility"), s["city"], s["country"]) for s in sites(study)] for study in first]
    assert any(len(set(names)) < len(names) for names in three)
    outcomes = [[o["measure"] for o in at(study, "outcomesModule.secondaryOutcomes") or []] for study in first]
    assert any(len(set(names)) < len(names) for names in outcomes)
    drugs = [[(i["type"], i["name"]) for i in at(study, "armsInterventionsModule.interventions") or []] for study in first]
    assert any(len(set(names)) < len(names) for names in drugs)
    assert any(" & " in (site.get("facility") or "") for study in first for site in sites(study))
    assert any("&amp;" in (site.get("facility") or "") for study in first for site in sites(study))
    assert any(":" in at(study, "identificationModule.briefTitle") for study in first)
    assert all(part in text for part in ("\\\\>", "\\\\[", "\\\\<", "&#39;", "ő", "ü", "≥", "µ"))
    starts = [at(study, "statusModule.startDateStruct") or {} for study in first]
    assert {len(start["date"]) for start in starts if start} == {4, 7, 10}
    assert any(start and "type" not in start for start in starts)
    assert any(enrollment(study) == (0, "ACTUAL") and at(study, "statusModule.overallStatus") == "WITHDRAWN" for study in first)
    assert any(len(sites(study)) >= 39 for study in first)
    assert {at(study, "designModule.studyType") for study in first} == {"INTERVENTIONAL", "OBSERVATIONAL", "EXPANDED_ACCESS"}
    assert any(study["hasResults"] for study in first)


def test_the_study_of_the_page() -> None:
    """NCT07263919 stands from the first load on, unchanged until after 2026-05-12, and says what the page says of it."""
    mine = [line for line in LINES if line.nct_id == "NCT07263919"]
    assert [line.load for line in mine] == [DATES[0], "2026-05-14"]
    study = mine[0].study
    assert study is not None
    facts = {
        "identificationModule.briefTitle": "Perioperative Cadonilimab Combined With Neoadjuvant Chemotherapy in Resectable"
        " Esophageal Squamous Cell Carcinoma (ESCC)",
        "identificationModule.officialTitle": "A Randomized, Controlled, Multi-center Phase II/III Clinical Trial of Perioperative"
        " Cadonilimab Combined With Neoadjuvant Chemotherapy in Patients With Resectable Locally Advanced"
        " Thoracic Esophageal Squamous Cell Carcinoma (ESCC)",
        "statusModule.overallStatus": "RECRUITING",
        "statusModule.startDateStruct.date": "2025-12-19",
        "statusModule.completionDateStruct.date": "2031-12",
        "statusModule.lastUpdatePostDateStruct.date": "2025-12-31",
        "sponsorCollaboratorsModule.leadSponsor": {"name": "Akeso", "class": "INDUSTRY"},
        "conditionsModule.conditions": ["Resectable Locally Advanced Thoracic Esophageal Squamous Cell Carcinoma"],
        "designModule.studyType": "INTERVENTIONAL",
        "designModule.phases": ["PHASE2"],
        "designModule.enrollmentInfo.count": 90,
        "eligibilityModule.minimumAge": "18 Years",
        "eligibilityModule.maximumAge": "75 Years",
        "eligibilityModule.sex": "ALL",
        "eligibilityModule.healthyVolunteers": False,
    }
    assert {path: at(study, path) for path in facts} == facts
    assert at(study, "statusModule.primaryCompletionDateStruct.date")
    assert [(arm["label"], arm["type"]) for arm in at(study, "armsInterventionsModule.armGroups")] == [
        ("Cadonilimab (dose 1) combined with Cisplatin and Paclitaxel", "EXPERIMENTAL"),
        ("Cadonilimab (dose 2) combined with Cisplatin and Paclitaxel", "EXPERIMENTAL"),
        ("Cisplatin and Paclitaxel", "ACTIVE_COMPARATOR"),
    ]
    assert [(item["type"], item["name"]) for item in at(study, "armsInterventionsModule.interventions")] == [
        ("DRUG", "Cadonilimab (AK104)"),
        ("DRUG", "Cisplatin"),
        ("DRUG", "Paclitaxel"),
    ]
    two, five = "Up to approximately 2 years", "Up to approximately 5 years"
    assert [(o["measure"], o["timeFrame"]) for o in at(study, "outcomesModule.primaryOutcomes")] == [
        ("Pathologic Complete Response (pCR) rate as assessed by the investigator", two),
        ("Adverse Event (Phase II stage)", five),
    ]
    assert [(o["measure"], o["timeFrame"]) for o in at(study, "outcomesModule.secondaryOutcomes")] == [
        ("Major Pathological Response (MPR) rate as assessed by the investigator", two),
        ("R0 resection rate", two),
        ("Event Free Survival (EFS)", five),
        ("Disease Free Survival (DFS)", five),
        ("Overall Survival (OS)", five),
        ("Overall Response Rate (ORR)", two),
        ("Disease Control Rate (DCR)", two),
        ("Pharmacokinetics (PK)", two),
        ("Anti-Drug Antibodies(ADAs)", two),
    ]
    assert [(*place(site), site["status"]) for site in sites(study)] == [
        ("The Second Affiliated Hospital of Air Force Medical University", "Xi'an", None, None, "China", "RECRUITING")
    ]
    later = mine[1].study
    assert later is not None
    assert posted(later) == "2026-05-14"
    assert len(sites(later)) == 2
