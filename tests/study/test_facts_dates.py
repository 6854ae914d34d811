"""Facts about dates and status: slips to the day, partial dates, types, what stopped and went on."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import pytest
from following import invent, withheld
from hypothesis import given
from hypothesis import strategies as st
from telling import dated, ids, series, study, the

from trialsync.study.diff import diff
from trialsync.study.facts import Step, facts_of
from trialsync.study.facts.dates import Partial, days, months, order, partial

if TYPE_CHECKING:
    from trialsync.model import Study

COMPLETION = "completionDate"
partials = st.builds(
    lambda day, exact: partial(day.isoformat()[:exact]), st.dates(date(1990, 1, 1), date(2099, 12, 31)), st.sampled_from([4, 7, 10])
).filter(lambda each: each is not None)


@pytest.mark.parametrize(
    ("before", "after", "whole", "days_between"),
    [
        ("2026-01-15", "2026-02-15", 1, 31),
        ("2026-01-15", "2026-02-14", 0, 30),
        ("2026-01-31", "2026-02-28", 1, 28),
        ("2026-01-31", "2026-03-01", 1, 29),
        ("2026-01-15", "2026-01-16", 0, 1),
        ("2025-12-31", "2026-01-01", 0, 1),
        ("2026-03", "2026-04", 1, None),
        ("2026-03-31", "2026-04", 1, None),
        ("2026-03", "2026-04-01", 1, None),
        ("2025-12", "2027-01", 13, None),
        ("2026", "2027-01", 12, None),
        ("2026-12", "2027", 12, None),
        ("2026", "2028", 24, None),
    ],
)
def test_a_later_completion_is_a_slip(before: str, after: str, whole: int, days_between: int | None) -> None:
    """Any later date is a slip, of so many whole months; days are counted where both dates name one."""
    fact = the("completion-slipped", dated(COMPLETION, before), dated(COMPLETION, after))
    assert fact is not None
    assert (fact["months"], fact["days"], fact["times"], fact["total_months"]) == (whole, days_between, 1, whole)
    assert the("completion-slipped", dated(COMPLETION, after), dated(COMPLETION, before)) is None


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("2026-03", "2026-03-31"),
        ("2026-03-31", "2026-03"),
        ("2026", "2026-12"),
        ("2026-12-31", "2026"),
        ("2026-03", "2026-02"),
        ("2026-03-02", "2026-03-01"),
        (None, "2026-03"),
        ("2026-03", None),
        ("2026-02-30", "2026-04"),
        ("2026-13", "2027-01"),
        ("soon", "2027-01"),
        ("2026-03", "٢٠٢٧"),
    ],
)
def test_what_cannot_be_told_apart_is_no_slip(before: str | None, after: str | None) -> None:
    """The same month or year, an earlier date, a missing or an impossible one: no slip."""
    assert the("completion-slipped", dated(COMPLETION, before), dated(COMPLETION, after)) is None


@pytest.mark.parametrize(
    ("was", "now", "times"),
    [("ESTIMATED", "ESTIMATED", 1), ("ESTIMATED", "ACTUAL", 0), (None, "ESTIMATED", 1), ("ESTIMATED", None, 1), (None, None, 1)],
)
def test_an_estimate_is_told_from_an_actual_date(was: str | None, now: str | None, times: int) -> None:
    """Only a move to another estimate counts as one, the totals know both; a date without a type is taken for an estimate."""
    fact = the("primary-completion-slipped", dated("primaryCompletionDate", "2026-01", was), dated("primaryCompletionDate", "2026-06", now))
    assert fact == {
        "months": 5, "days": None, "times": times, "total_months": 5, "total_days": None, "net_months": 5, "net_days": None,
        "type_before": was, "type_after": now,
    }  # fmt: skip


@pytest.mark.parametrize("now", ["ACTUAL", "ESTIMATED", None])
def test_a_corrected_actual_date_is_no_slip(now: str | None) -> None:
    """What had happened can't be put off."""
    assert the("completion-slipped", dated(COMPLETION, "2026-01", "ACTUAL"), dated(COMPLETION, "2026-06", now)) is None


def test_a_type_alone_is_no_slip() -> None:
    """An estimate that turns actual without another date says nothing of slips."""
    assert ids(dated(COMPLETION, "2026-01"), dated(COMPLETION, "2026-01", "ACTUAL")) == []


def test_slips_are_counted_over_the_known_versions() -> None:
    """The third slip knows the two before it; what was moved back in between is not taken off."""
    versions = [dated(COMPLETION, each) for each in ("2026-01", "2026-04", "2026-03", "2026-09", "2027-01")]
    found = [fact for told in series(versions) for _, fact in told if fact["id"] == "completion-slipped"]
    assert [(fact["months"], fact["times"], fact["total_months"], fact["net_months"]) for fact in found] == [
        (3, 1, 3, 3), (6, 2, 9, 8), (4, 3, 13, 12),
    ]  # fmt: skip
    last = dated(COMPLETION, "2027-02", "ACTUAL")
    (fact,) = [fact for _, fact in series([*versions, last])[-1]]
    assert (fact["months"], fact["times"], fact["total_months"], fact["net_months"], fact["type_after"]) == (1, 3, 14, 13, "ACTUAL")


def test_slips_of_days_add_up_to_months() -> None:
    """Three slips below a month each are more than one in all, whether they follow each other or not."""
    days = ["2026-01-01", "2026-01-25", "2026-02-17", "2026-03-15"]
    found = [fact for told in series([dated(COMPLETION, each) for each in days]) for _, fact in told]
    assert [(fact["months"], fact["days"], fact["total_months"], fact["total_days"]) for fact in found] == [
        (0, 24, 0, 24), (0, 23, 1, 47), (0, 26, 2, 73),
    ]  # fmt: skip
    assert [(fact["net_months"], fact["net_days"]) for fact in found] == [(0, 24), (1, 47), (2, 73)]
    back = [dated(COMPLETION, each) for each in ("2026-01-01", "2026-01-25", "2026-01-01", "2026-01-25")]
    (fact,) = (fact for _, fact in series(back)[-1])
    assert (fact["total_months"], fact["total_days"], fact["net_months"], fact["net_days"]) == (1, 48, 0, 24)
    months = [dated(COMPLETION, each) for each in ("2026-02", "2026-03", "2026-02", "2026-03-01", "2026-04-01")]
    (fact,) = (fact for _, fact in series(months)[-1])
    assert (fact["times"], fact["total_months"], fact["total_days"], fact["net_months"]) == (3, 3, None, 2)


@pytest.mark.parametrize(
    ("was", "now"), [("ESTIMATED", "ESTIMATED"), ("ESTIMATED", "ACTUAL"), ("ACTUAL", "ACTUAL"), ("ACTUAL", "ESTIMATED")]
)
def test_an_earlier_completion_was_pulled_in(was: str, now: str) -> None:
    """Sooner by so many months and days, with both types; what had been ACTUAL was corrected too."""
    sides = (dated("primaryCompletionDate", "2026-06-10", was), dated("primaryCompletionDate", "2026-04-09", now))
    types = {"type_before": was, "type_after": now}
    assert the("primary-completion-pulled-in", *sides) == {"months": 2, "days": 62, **types}
    corrected = {"months": -2, "days": -62, **types} if was == "ACTUAL" else None
    assert the("primary-completion-corrected", *sides) == corrected


def test_an_actual_date_that_is_taken_back_was_corrected() -> None:
    """Another date, none, or an estimate after all: the date that was reported as past was corrected, on its own row or on the type's."""
    actual = dated(COMPLETION, "2026-01", "ACTUAL")
    for later, fact in (
        (dated(COMPLETION, "2026-03", "ACTUAL"), {"months": 2, "days": None, "type_after": "ACTUAL"}),
        (dated(COMPLETION, "2026-01", "ESTIMATED"), {"months": 0, "days": None, "type_after": "ESTIMATED"}),
        (dated(COMPLETION, None, None), {"months": None, "days": None, "type_after": None}),
    ):
        assert ids(actual, later) == ["completion-corrected"]
        assert the("completion-corrected", actual, later) == fact | {"type_before": "ACTUAL"}
    assert ids(actual, dated(COMPLETION, "2026-01-15", "ACTUAL")) == []


def test_a_version_filled_in_between_counts_no_slip_twice() -> None:
    """What was compared with an older version than the one before it counts the slips from version to version, each once."""
    first, between, last = (dated(COMPLETION, each) for each in ("2026-01", "2026-03", "2026-09"))
    changes = diff(first, last)
    (fact,) = facts_of(Step(first, last, changes, "2026-02-10", lambda: [between, first]))[0]
    assert (fact["months"], fact["times"], fact["total_months"]) == (8, 2, 8)
    (fact,) = facts_of(Step(first, last, changes, "2026-02-10", lambda: [last, first]))[0]
    assert (fact["months"], fact["times"], fact["total_months"]) == (8, 1, 8)


def test_a_withheld_spell_hides_and_makes_no_slips() -> None:
    """A study that comes back is compared with its last open version, and its earlier slips still count."""
    first, second, third = (dated(COMPLETION, each) for each in ("2026-01", "2026-04", "2026-06"))
    found = series([first, second, withheld(second, "2026-02-03"), withheld(second, "2026-02-04"), third])
    assert [[(fact["times"], fact["total_months"]) for _, fact in told] for told in found] == [[(1, 3)], [], [], [(2, 5)]]


def test_what_was_withheld_from_the_first_gives_no_facts() -> None:
    """Nobody can tell what happened behind a withheld record that was never open."""
    assert series([withheld(invent(1), "2026-02-03"), invent(1)]) == [[]]


@pytest.mark.parametrize("status", ["TERMINATED", "SUSPENDED", "WITHDRAWN"])
@pytest.mark.parametrize(("why", "given"), [("Funding", True), (None, False), ("  ", False)])
def test_a_stop_says_whether_a_reason_was_given(status: str, why: str | None, given: bool) -> None:  # noqa: FBT001 - a case
    """Terminated, suspended or withdrawn: stopped, with a reason or without."""
    new = study(statusModule__overallStatus=status, statusModule__whyStopped=why)
    assert the("stopped", study(), new) == {"status": status, "reason_given": given}


@pytest.mark.parametrize(
    ("before", "after", "facts"),
    [
        ("SUSPENDED", "TERMINATED", ["stopped"]),
        ("SUSPENDED", "RECRUITING", ["restarted"]),
        ("COMPLETED", "ACTIVE_NOT_RECRUITING", ["restarted"]),
        ("SUSPENDED", "COMPLETED", []),
        ("RECRUITING", "COMPLETED", []),
        ("NOT_YET_RECRUITING", "RECRUITING", []),
        ("UNKNOWN", "RECRUITING", []),
        ("UNKNOWN", "WITHDRAWN", ["stopped"]),
        ("RECRUITING", "UNKNOWN", ["went-unknown"]),
        ("AVAILABLE", "NO_LONGER_AVAILABLE", []),
    ],
)
def test_a_status_gives_its_facts(before: str, after: str, facts: list[str]) -> None:
    """Which turns of the status are a stop, a restart, or nobody's knowledge."""
    old, new = (study(statusModule__overallStatus=each) for each in (before, after))
    assert ids(old, new) == facts
    if facts == ["restarted"]:
        assert the("restarted", old, new) == {"from": before}


def test_a_flip_to_unknown_names_the_status_before() -> None:
    """The last known status is the registry's own, or what stood there before."""
    assert the("went-unknown", study(), study(statusModule__overallStatus="UNKNOWN", statusModule__lastKnownStatus="ENROLLING")) == {
        "last_known": "ENROLLING"
    }
    assert the("went-unknown", study(), study(statusModule__overallStatus="UNKNOWN")) == {"last_known": "RECRUITING"}


@pytest.mark.parametrize(
    ("before", "after", "moved", "days_between"),
    [("2026-01-15", "2026-03-15", 2, 59), ("2026-03-15", "2026-01-15", -2, -59), ("2026-03", "2026-02", -1, None)],
)
def test_a_start_that_moved_says_by_how_much(before: str, after: str, moved: int, days_between: int | None) -> None:
    """Forward and back alike, whole months and days."""
    fact = the("start-moved", dated("startDate", before), dated("startDate", after, "ACTUAL"))
    assert fact == {"months": moved, "days": days_between, "type_before": "ESTIMATED", "type_after": "ACTUAL"}


def test_a_start_in_the_same_month_did_not_move() -> None:
    """A day given for what was a month is no move."""
    assert the("start-moved", dated("startDate", "2026-03"), dated("startDate", "2026-03-09")) is None


@pytest.mark.parametrize(
    ("before", "after", "registered", "past"),
    [
        ("2025-05-01", "2025-06-02", "2025-06-02", True),
        ("2025-05-01", "2025-06-01", "2025-06-02", False),
        ("2025-06-01", "2025-06-03", "2025-06-02", True),
        ("2025-06-02", "2025-06-03", "2025-06-02", False),
        ("2025-05", "2025-07", "2025-06-02", True),
        ("2025-05", "2025-06", "2025-06-02", False),
        ("2025-06", "2025-07", "2025-06-02", False),
        ("2024", "2026", "2025-06-02", True),
        ("2025-05-01", "2025-07-01", None, False),
        ("2025-05-01", "2025-07-01", "2025-06", False),
    ],
)
def test_a_start_moved_past_registration(before: str, after: str, registered: str | None, past: bool) -> None:  # noqa: FBT001 - a case
    """From before the day of registration to that day or after it, and only where the dates are precise enough to say so."""
    base = study(statusModule__studyFirstSubmitDate=registered)
    fact = the("start-moved-past-registration", dated("startDate", before, base=base), dated("startDate", after, base=base))
    assert (fact is not None) is past
    assert fact is None or fact["registered"] == registered


@given(partials, partials)
def test_months_are_antisymmetric(one: Partial, other: Partial) -> None:
    """From here to there is as far as from there to here, the other way; and as the order says."""
    assert months(one, other) == -months(other, one)
    assert order(one, other) == -order(other, one)
    assert months(one, other) * order(one, other) <= 0
    assert order(one, one) == 0 == months(one, one)


@given(st.dates(date(1990, 1, 1), date(2090, 1, 1)), st.integers(0, 4000))
def test_whole_months_fit_between_two_days(first: date, apart: int) -> None:
    """So many whole months have gone by, and not one more: they are no longer than the days between."""
    second = first + timedelta(days=apart)
    one, other = (Partial(day.year, day.month, day.day) for day in (first, second))
    assert days(one, other) == apart
    assert apart // 31 - 1 <= months(one, other) <= apart // 28
    assert months(one, other) in {(second.year - first.year) * 12 + second.month - first.month - less for less in (0, 1)}


@given(st.lists(st.tuples(st.sampled_from(["2026-01", "2026-03-31", "2026-03", "2027", "2028-01-01", None]), st.sampled_from(["ESTIMATED", "ACTUAL", None]), st.booleans()), min_size=2, max_size=7))  # fmt: skip  # noqa: E501
def test_facts_at_arrival_are_those_of_all_versions(history: list[tuple[str | None, str | None, bool]]) -> None:
    """What each version gave as it arrived is what it gives when all later ones are known: nothing depends on the future."""
    versions = [withheld(invent(1), "2026-02-03") if hidden else dated(COMPLETION, day, kind) for day, kind, hidden in history]
    whole = series(versions)
    for number in range(2, len(versions) + 1):
        assert series(versions[:number]) == whole[: number - 1]
    for told in whole:
        for _, fact in told:
            if fact["id"] != "completion-slipped":
                continue
            assert fact["total_months"] >= fact["months"]
            assert fact["times"] + (fact["type_after"] == "ACTUAL") >= 1


def test_nothing_that_was_not_asked_is_read() -> None:
    """Only a rule that needs the past asks for it."""

    def refuse() -> list[Study]:
        raise AssertionError

    old, new = study(), study(statusModule__overallStatus="TERMINATED")
    assert list(facts_of(Step(old, new, diff(old, new), "2026-02-10", refuse))) == [0]
    one, other = dated(COMPLETION, "2026-01"), dated(COMPLETION, "2026-02")
    with pytest.raises(AssertionError):
        facts_of(Step(one, other, diff(one, other), "2026-02-10", refuse))
