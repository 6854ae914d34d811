"""Results compared as a reader would: by group, class and category, whatever the ids; a corrected number is one row."""

from __future__ import annotations

from copy import deepcopy
from time import process_time
from typing import TYPE_CHECKING, Any

import pytest
from study_laws import applied, content_by_field
from study_records import SHARED, minimal, put, real_lines, study_of

from trialsync.model import Change, Kind, Tier
from trialsync.study.diff import diff

if TYPE_CHECKING:
    from trialsync.model import Study

GROUPS = {"OG": "outcomeMeasures", "FG": "participantFlow", "EG": "adverseEvents", "BG": "baselineCharacteristics"}


def group(prefix: str, number: int, title: str) -> dict[str, Any]:
    """Return a group."""
    return {"id": f"{prefix}{number:03d}", "title": title, "description": f"All who got {title}"}


def results(titles: list[str], numbers: dict[str, int]) -> Study:
    """Return a study with results of these groups, in this order; each group has one number, which stands everywhere."""

    def ids(prefix: str) -> list[tuple[str, int]]:
        return [(f"{prefix}{place:03d}", numbers[title]) for place, title in enumerate(titles)]

    def groups(prefix: str) -> list[dict[str, Any]]:
        return [group(prefix, place, title) for place, title in enumerate(titles)]

    study = minimal()
    measure = {
        "type": "PRIMARY",
        "title": "Words spoken",
        "groups": groups("OG"),
        "denoms": [{"units": "Participants", "counts": [{"groupId": each, "value": str(number)} for each, number in ids("OG")]}],
        "classes": [
            {"title": "Week 1", "categories": [{"measurements": [{"groupId": each, "value": str(number)} for each, number in ids("OG")]}]}
        ],
        "analyses": [{"groupIds": [each for each, _ in ids("OG")[-2:]], "statisticalMethod": "t-Test", "pValue": "0.5"}],
    }
    put(study, ("resultsSection", "outcomeMeasuresModule", "outcomeMeasures"), [measure])
    flow = {"type": "STARTED", "achievements": [{"groupId": each, "numSubjects": str(number)} for each, number in ids("FG")]}
    put(study, ("resultsSection", "participantFlowModule"), {"groups": groups("FG"), "periods": [{"title": "All", "milestones": [flow]}]})
    stats = [{"groupId": each, "numAffected": number} for each, number in ids("EG")]
    events = {"eventGroups": groups("EG"), "otherEvents": [{"term": "Hiccups", "organSystem": "Chest", "stats": stats}]}
    put(study, ("resultsSection", "adverseEventsModule"), events)
    return study


def rows(changes: list[Change]) -> list[tuple[str, Kind]]:
    """Return paths and kinds."""
    return [(change.path, change.kind) for change in changes]


NUMBERS = {"Placebo": 5, "Low dose": 6, "High dose": 7}


def test_a_corrected_number_is_one_row_that_can_be_read() -> None:
    """A corrected number is one row whose path names measure, class and group by their titles."""
    old, new = results(["Placebo", "Low dose"], NUMBERS), results(["Placebo", "Low dose"], NUMBERS)
    new["resultsSection"]["outcomeMeasuresModule"]["outcomeMeasures"][0]["classes"][0]["categories"][0]["measurements"][0]["value"] = "9"
    new["resultsSection"]["adverseEventsModule"]["otherEvents"][0]["stats"][1]["numAffected"] = 8
    assert rows(diff(old, new)) == [
        (
            "results.outcomeMeasures.outcomeMeasures.primary|words spoken.classes.week 1.categories..measurements.placebo.value",
            Kind.CHANGED,
        ),
        ("results.adverseEvents.otherEvents.hiccups|chest.stats.low dose.numAffected", Kind.CHANGED),
    ]


def test_first_results_are_a_row_a_field() -> None:
    """Results that are posted for the first time are one row a field."""
    changes = diff(minimal(), results(["Placebo", "Low dose"], NUMBERS))
    assert {change.kind for change in changes} == {Kind.ADDED}
    assert len(changes) == len({change.field for change in changes}) == 5


@pytest.mark.parametrize("after", [["Low dose", "Placebo", "High dose"], ["Placebo", "Low dose", "High dose"]])
def test_an_inserted_group_moves_no_numbers(after: list[str]) -> None:
    """A group that is inserted is added with its numbers; the ids of the others have moved, told once at each group as housekeeping."""
    old, new = results(["Placebo", "High dose"], NUMBERS), results(after, NUMBERS)
    changes = diff(old, new)
    assert all(change.attribute is not None for change in changes if change.kind is Kind.CHANGED)
    changed = {(change.attribute or "").rpartition(".")[2] for change in changes if change.kind is Kind.CHANGED}
    assert changed == {"id"}
    assert {change.tier for change in changes if change.kind is Kind.CHANGED} == {Tier.HOUSEKEEPING}
    assert {change.tier for change in changes if change.kind is Kind.ADDED} == {Tier.DETAIL}
    added = [change for change in changes if change.kind is Kind.ADDED]
    assert all("low dose" in change.path for change in added if "analyses" not in change.path)
    assert {change.after.get("groupId", change.after.get("id")) for change in added if isinstance(change.after, dict)} >= {
        f"{prefix}{after.index('Low dose'):03d}" for prefix in ("OG", "FG", "EG")
    }
    assert applied(changes, old, new) == content_by_field(old, new)
    assert len(diff(new, old)) == len(changes)


def test_a_group_that_is_retitled_keeps_its_numbers() -> None:
    """A group with another title under the same id is the same group, its numbers stand and are told under the older title."""
    old, new = results(["Placebo", "Low dose"], NUMBERS), results(["Placebo", "Low dose"], NUMBERS)
    flow = new["resultsSection"]["participantFlowModule"]
    flow["groups"][0] |= {"title": "Control", "description": "Nothing like before"}
    flow["periods"][0]["milestones"][0]["achievements"][0]["numSubjects"] = "4"
    assert rows(diff(old, new)) == [
        ("results.participantFlow.groups.placebo.title", Kind.CHANGED),
        ("results.participantFlow.groups.placebo.description", Kind.CHANGED),
        ("results.participantFlow.periods.all.milestones.started.achievements.placebo.numSubjects", Kind.CHANGED),
    ]


def test_groups_that_change_places_take_their_numbers_along() -> None:
    """Where two groups change places with all that is theirs, only their ids have changed; where their numbers stay, these have."""
    old, new = results(["Placebo", "Low dose"], NUMBERS), results(["Low dose", "Placebo"], NUMBERS)
    assert {change.path.rpartition(".")[2] for change in diff(old, new)} == {"id"}
    stayed = results(["Low dose", "Placebo"], {"Placebo": 6, "Low dose": 5})
    changes = diff(old, stayed)
    assert {change.path.rpartition(".")[2] for change in changes} == {"id", "value", "numSubjects", "numAffected"}
    assert applied(changes, old, stayed) == content_by_field(old, stayed)


@pytest.mark.parametrize("spoil", ["no id", "ids twice", "no groups"])
def test_groups_without_usable_ids(spoil: str) -> None:
    """Where ids are missing or there twice, numbers go by their ids as they stand, and nothing fails."""
    old, new = results(["Placebo", "Low dose"], NUMBERS), results(["Low dose", "Placebo", "High dose"], NUMBERS)
    groups = new["resultsSection"]["participantFlowModule"]
    if spoil == "no groups":
        del groups["groups"]
    else:
        groups["groups"][1]["id"] = None if spoil == "no id" else groups["groups"][0]["id"]
    for one, other in ((old, new), (new, old)):
        changes = diff(one, other)
        assert applied(changes, one, other) == content_by_field(one, other)
        assert any(change.path.startswith("results.participantFlow.periods.all.milestones.started.achievements.fg") for change in changes)


def test_mentions_follow_what_was_renamed() -> None:
    """A new label is headline; that interventions mention it is housekeeping, as is an arm's of an intervention that was retyped."""
    path = ("protocolSection", "armsInterventionsModule")
    old, new = minimal(), minimal()
    arms: list[dict[str, Any]] = [
        {"label": "Arm A", "type": "EXPERIMENTAL", "description": "first", "interventionNames": ["Drug: Bran"]},
        {"label": "Arm B", "type": "EXPERIMENTAL", "description": "second"},
    ]
    put(old, path, {"armGroups": arms, "interventions": [{"type": "DRUG", "name": "Bran", "armGroupLabels": ["Arm A", "Arm B"]}]})
    renamed = [{**arms[0], "label": "Arm A: Bran", "interventionNames": ["Dietary Supplement: Bran"]}, arms[1]]
    interventions = [{"type": "DIETARY_SUPPLEMENT", "name": "Bran", "armGroupLabels": ["Arm B", "Arm A: Bran"]}]
    put(new, path, {"armGroups": renamed, "interventions": interventions})
    for one, other in ((old, new), (new, old)):
        assert {(change.attribute, change.tier) for change in diff(one, other)} == {
            ("label", Tier.HEADLINE),
            ("interventionNames", Tier.HOUSEKEEPING),
            ("type", Tier.HEADLINE),
            ("armGroupLabels", Tier.HOUSEKEEPING),
        }
    more = deepcopy(new)
    more["protocolSection"]["armsInterventionsModule"]["interventions"][0]["armGroupLabels"] = ["Arm A: Bran"]
    assert {change.attribute: change.tier for change in diff(old, more)}["armGroupLabels"] is Tier.HEADLINE


def test_an_outcome_that_moves_is_removed_there_and_added_here() -> None:
    """Nothing is paired across lists: an outcome that goes from the primary to the secondary ones is two rows."""
    kept, moved = {"measure": "Words spoken"}, {"measure": "Overall survival", "timeFrame": "5 years"}
    old, new = minimal(), minimal()
    put(old, ("protocolSection", "outcomesModule"), {"primaryOutcomes": [kept, moved], "secondaryOutcomes": [{"measure": "Gait speed"}]})
    put(new, ("protocolSection", "outcomesModule"), {"primaryOutcomes": [kept], "secondaryOutcomes": [{"measure": "Gait speed"}, moved]})
    assert rows(diff(old, new)) == [
        ("outcomes.primary.overall survival", Kind.REMOVED),
        ("outcomes.secondary.overall survival", Kind.ADDED),
    ]


@pytest.mark.skipif(not SHARED.is_dir(), reason="the registry's own records are not at hand")
def test_the_largest_results_are_compared_in_time() -> None:
    """The largest record with results that is at hand, every tenth number corrected, takes well under a second, a row each."""
    line = max((each for each in real_lines() if b'"resultsSection"' in each), key=len)
    old, new = study_of(line), study_of(line)
    corrected = 0
    for measure in new["resultsSection"]["outcomeMeasuresModule"]["outcomeMeasures"]:
        for each in measure.get("classes", []):
            for category in each.get("categories", []):
                for measurement in category.get("measurements", [])[::10]:
                    measurement["value"] = f"{measurement.get('value')}0"
                    corrected += 1
    began = process_time()
    changes = diff(old, new)
    assert process_time() - began < 1
    assert len(changes) == corrected > 100
    assert {change.path.rpartition(".")[2] for change in changes} == {"value"}
