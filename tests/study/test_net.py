"""The net of several steps: the difference of the two ends, each with the rows that led there."""

from __future__ import annotations

from itertools import pairwise
from time import perf_counter
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trialsync.model import Change, Kind, LoggedChange, Origin, Tier
from trialsync.study.diff import diff
from trialsync.study.net import net

if TYPE_CHECKING:
    from trialsync.model import Study


def outcome(measure: str, frame: str = "1 year") -> dict[str, str]:
    """Return an outcome."""
    return {"measure": measure, "timeFrame": frame}


def study(status: str = "RECRUITING", *outcomes: dict[str, str]) -> Study:
    """Return a study with a status and primary outcomes."""
    return {"protocolSection": {"statusModule": {"overallStatus": status}, "outcomesModule": {"primaryOutcomes": list(outcomes)}}}


def logged(change: Change, number: int, version: int) -> LoggedChange:
    """Return a change as the log has it."""
    names = ("field", "item", "attribute", "kind", "tier", "before", "after", "by", "path")
    values: dict[str, Any] = {name: getattr(change, name) for name in names}
    return LoggedChange(
        id=number, ref="", nct_id="NCT00000001", title=None, sponsor=None, version=version, registry_version=None,
        date=f"2026-02-{version:02d}", not_before=None, load="2026-02-28", posted=None, seen="2026-02-28T10:00:00.000Z", baseline=False,
        origin=Origin.POLL, facts=[{"id": "noted", "rule": 1, "version": version}], url="", **values,
    )  # fmt: skip


def steps(*versions: Study) -> list[LoggedChange]:
    """Return the rows of the log between contents that follow each other."""
    found = [(number, change) for number, (old, new) in enumerate(pairwise(versions), start=2) for change in diff(old, new)]
    return [logged(change, place, number) for place, (number, change) in enumerate(found, start=1)]


def told(*versions: Study) -> list[tuple[str, str | None, Any, Any, int]]:
    """Return the net changes over contents, each as path, kind, before, after and steps."""
    found = net(versions[0], versions[-1], steps(*versions))
    return [(each.path, each.kind.value if each.kind else None, each.before, each.after, each.steps) for each in found]


def test_several_steps_are_one_change() -> None:
    """A path that changed twice is one change from the first value to the last, of two steps, with the facts and dates of both."""
    (change,) = net(study("A"), study("C"), steps(study("A"), study("B"), study("C")))
    assert (change.path, change.kind, change.before, change.after) == ("status.overallStatus", Kind.CHANGED, "A", "C")
    assert (change.steps, change.first, change.last) == (2, "2026-02-02", "2026-02-03")
    assert [fact["version"] for fact in change.facts] == [2, 3]


def test_what_changed_back_is_no_difference_and_is_told() -> None:
    """A → B → A is net nothing: a row without a kind, of two steps, behind those that differ."""
    assert told(study("A"), study("B", outcome("Pain")), study("A", outcome("Pain"))) == [
        ("outcomes.primary", "added", None, [outcome("Pain")], 1),
        ("status.overallStatus", None, "A", "A", 2),
    ]
    assert told(study("A"), study("A")) == []


def test_an_item_that_came_and_went_is_told() -> None:
    """An item that was added and taken away again is one row without a kind."""
    assert told(study("A", outcome("Pain")), study("A", outcome("Pain"), outcome("Gait")), study("A", outcome("Pain"))) == [
        ("outcomes.primary.gait", None, None, None, 2)
    ]


def test_steps_inside_an_item_count_for_the_item() -> None:
    """An item that was added and then edited is one item added, of two steps."""
    pain = outcome("Pain")
    assert told(study("A", pain), study("A", pain, outcome("Gait")), study("A", pain, outcome("Gait", "2 years"))) == [
        ("outcomes.primary.gait", "added", None, outcome("Gait", "2 years"), 2)
    ]


def test_a_renamed_item_keeps_its_steps() -> None:
    """An item that was reworded and later given another time frame under its new name has both steps under its first name."""
    long = "Change in walking speed over ten metres"
    first, second = study("A", outcome(long)), study("A", outcome(f"{long} at home"))
    third = study("A", outcome(f"{long} at home", "2 years"))
    assert [(path.rpartition(".")[2], count) for path, _, _, _, count in told(first, second, third)] == [("measure", 1), ("timeFrame", 1)]


def test_the_whole_study_has_a_net_too() -> None:
    """Watches joined and left, and presence, are netted by what happened; contents that are not known leave the fields out."""
    rows = [
        logged(Change("watch.w", None, None, Kind.REMOVED, "w", None, Tier.HEADLINE, None), 1, 2),
        logged(Change("watch.w", None, None, Kind.ADDED, None, "w", Tier.HEADLINE, None), 2, 3),
        logged(Change("watch.v", None, None, Kind.ADDED, None, "v", Tier.HEADLINE, None), 3, 3),
        logged(Change("registry.presence", None, None, Kind.CHANGED, "listed", "removed", Tier.HEADLINE, None), 4, 3),
        logged(Change("registry.presence", None, None, Kind.CHANGED, "removed", "merged", Tier.HEADLINE, None), 5, 3),
    ]
    found = [(each.path, each.kind, each.before, each.after, each.steps) for each in net(None, None, rows)]
    assert found == [
        ("watch.v", Kind.ADDED, None, "v", 1),
        ("registry.presence", Kind.CHANGED, "listed", "merged", 2),
        ("watch.w", None, "w", "w", 2),
    ]


MEASURES = st.sampled_from(["Pain", "Gait", "Gait at home", "Falls in a year"])
STUDIES = st.builds(
    lambda status, outcomes: study(status, *outcomes),
    st.sampled_from(["A", "B", "C"]),
    st.lists(
        st.builds(outcome, MEASURES, st.sampled_from(["1 year", "2"])),
        max_size=3,
    ),
)


@given(versions=st.lists(STUDIES, min_size=2, max_size=4))
def test_the_net_is_the_difference_of_the_ends(versions: list[Study]) -> None:
    """Whatever lies between, the rows that differ are the difference of the two ends, and every step is in one of the rows."""
    rows = steps(*versions)
    found = net(versions[0], versions[-1], rows)
    differ = [(each.path, each.kind, each.before, each.after) for each in found if each.kind is not None]
    assert differ == [(each.path, each.kind, each.before, each.after) for each in diff(versions[0], versions[-1])]
    assert all(each.steps >= 1 for each in found if each.kind is None)
    assert sum(each.steps for each in found) >= len(rows)


@pytest.mark.parametrize("count", [2, 3])
def test_facts_are_those_of_the_steps(count: int) -> None:
    """The facts of all steps stand with the net change, in order."""
    (change,) = net(study("0"), study(str(count)), steps(*(study(str(number)) for number in range(count + 1))))
    assert len(change.facts) == count


def test_a_huge_difference_takes_time_in_proportion() -> None:
    """Of thousands of items that changed each finds its own rows without looking at all of them."""
    first = study("A", *(outcome(f"measure {number}") for number in range(3_000)))
    last = study("B", *(outcome(f"measure {number}", "2 years") for number in range(3_000)))
    rows = steps(first, last)
    began = perf_counter()
    found = net(first, last, rows)
    assert perf_counter() - began < 4
    assert len(found) == 3_001
    assert {change.steps for change in found} == {1}
