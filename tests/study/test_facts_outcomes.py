"""Facts about primary outcomes: in which phase of the study, by which dates, how many, how much alike, and with which results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from following import edited, invent
from telling import dated, ids, study, the

if TYPE_CHECKING:
    from trialsync.model import Study

GAIT = {"measure": "Gait speed", "timeFrame": "1 year"}
PAIN = {"measure": "Pain on walking", "timeFrame": "6 months"}
CLOSED = "ACTIVE_NOT_RECRUITING"


def outcomes(*primary: dict[str, Any], secondary: tuple[dict[str, Any], ...] = (), base: Study | None = None, **leaves: Any) -> Study:
    """Return a study with these outcomes."""
    lists = {"outcomesModule__primaryOutcomes": list(primary) or None, "outcomesModule__secondaryOutcomes": list(secondary) or None}
    return edited(base or invent(1), **lists, **leaves)  # type: ignore[arg-type]


def phase(old: Study, new: Study, day: str) -> tuple[str | None, str | None]:
    """Return the phase of an outcome that was added between two versions, and its basis."""
    fact = the("primary-outcome-added", outcomes(GAIT, base=old), outcomes(GAIT, PAIN, base=new), date=day)
    assert fact is not None
    return fact["phase"], fact["phase_basis"]


def planned(start: str | None, end: str | None, status: str = CLOSED, *, actual: str = "") -> Study:
    """Return a study with a start and a primary completion, estimates but for those that ``actual`` names, and a status."""
    base = study(statusModule__overallStatus=status)
    for struct, day in (("startDate", start), ("primaryCompletionDate", end)):
        base = dated(struct, day, "ACTUAL" if struct in actual.split() else "ESTIMATED", base)
    return base


START, END = "startDate", "primaryCompletionDate"


@pytest.mark.parametrize(
    ("start", "end", "day", "phase_by_dates"),
    [
        ("2026-02-10", "2026-12-01", "2026-02-09", "before-start"),
        ("2026-02-10", "2026-12-01", "2026-02-10", "after-start"),
        ("2026-02-10", "2026-12-01", "2026-12-01", "after-start"),
        ("2026-02-10", "2026-12-01", "2026-12-02", "after-primary-completion"),
        ("2026-02", "2026-12", "2026-01-31", "before-start"),
        ("2026-02", "2026-12", "2026-02-10", None),
        ("2026-02", "2026-12", "2026-03-01", "after-start"),
        ("2026-02", "2026-12", "2026-12-10", None),
        ("2026-02", "2026-12", "2027-01-01", "after-primary-completion"),
        ("2025", "2027", "2026-06-01", "after-start"),
        ("2026", "2027", "2026-06-01", None),
        (None, "2026-12", "2027-01-01", "after-primary-completion"),
        (None, "2026-12", "2026-06-01", None),
        ("2026-02", None, "2026-01-01", "before-start"),
        ("2026-02", None, "2026-06-01", None),
        (None, None, "2026-06-01", None),
    ],
)
def test_the_phase_to_the_day(start: str | None, end: str | None, day: str, phase_by_dates: str | None) -> None:
    """Before start, after it, after primary completion, to the day; null where the dates do not say; the basis is that of the dates."""
    for actual, basis in (("", "estimated"), (f"{START} {END}", "actual")):
        base = planned(start, end, actual=actual)
        assert phase(base, base, day) == (phase_by_dates, basis if phase_by_dates else None)


@pytest.mark.parametrize(
    ("old", "new", "day", "wanted"),
    [
        # Completed in the same update, by an actual date.
        (planned("2024-01", "2026-06", "RECRUITING"), planned("2024-01", "2025-12-01", "COMPLETED", actual=END), "2026-03-20",
         ("after-primary-completion", "actual")),
        # An estimate that lapsed and is put off while the study still enrolls, or not any more.
        (planned("2024-01", "2026-01", "RECRUITING"), planned("2024-01", "2028-01", "RECRUITING"), "2026-03-20",
         ("after-start", "estimated")),
        (planned("2024-01", "2026-01"), planned("2024-01", "2028-01"), "2026-03-20", ("after-start", "estimated")),
        (planned("2024-01", "2028-01"), planned("2024-01", "2026-01"), "2026-03-20", ("after-start", "estimated")),
        # An estimate that lapsed and nobody touched: past it, unless the study still enrolls.
        (planned("2024-01", "2026-01"), planned("2024-01", "2026-01"), "2026-03-20", ("after-primary-completion", "estimated")),
        (planned("2024-01", "2026-01"), planned("2024-01", "2026-01", "RECRUITING"), "2026-03-20", ("after-start", "estimated")),
        (planned("2024-01", "2026-01"), planned("2024-01", "2026-01", "ENROLLING_BY_INVITATION"), "2026-03-20",
         ("after-start", "estimated")),
        # Not begun yet, whatever the estimates say.
        (planned("2026-01", "2028", "NOT_YET_RECRUITING"), planned("2026-09", "2028", "NOT_YET_RECRUITING"), "2026-03-20",
         ("before-start", "estimated")),
        (planned("2025-01", "2026-01"), planned("2025-01", "2026-01", "NOT_YET_RECRUITING"), "2026-03-20", ("before-start", "estimated")),
        (planned("2026-09", "2028"), planned(None, None, "NOT_YET_RECRUITING"), "2026-03-20", ("before-start", "estimated")),
        # The new version's actual start settles what the estimate left open.
        (planned("2026-03", "2028", "NOT_YET_RECRUITING"), planned("2026-03-02", "2028", "RECRUITING", actual=START), "2026-03-20",
         ("after-start", "actual")),
        (planned(None, "2028"), planned("2026-03-02", "2028", actual=START), "2026-03-20", ("after-start", "actual")),
        # An actual date of the old version settles where the new one has none; the new one's stands before it.
        (planned("2024-01", "2025-12-01", actual=END), planned("2024-01", "2028"), "2026-03-20", ("after-primary-completion", "actual")),
        (planned("2024-01", "2025-12-01", actual=END), planned("2024-01", "2026-03-20", actual=END), "2026-03-20",
         ("after-start", "estimated")),
        (planned("2024-01", "2026-01", "RECRUITING"), planned("2024-01", "2026-01", "RECRUITING", actual=f"{START} {END}"), "2026-03-20",
         ("after-primary-completion", "actual")),
    ],
)  # fmt: skip
def test_the_phase_follows_what_the_same_update_says(old: Study, new: Study, day: str, wanted: tuple[str, str]) -> None:
    """An actual date in either version settles; of two estimates the later counts; the new status overrules an estimate alone."""
    assert phase(old, new, day) == wanted


def test_the_day_of_an_edit_is_that_of_its_submission() -> None:
    """Posted after the start, submitted before it: the outcome was changed before the start."""
    base = planned("2026-02-10", "2027-01")
    new = edited(base, statusModule__lastUpdateSubmitDate="2026-02-09")
    assert phase(base, new, "2026-02-12") == ("before-start", "estimated")
    assert phase(new, new, "2026-02-12") == ("after-start", "estimated")


def test_results_in_the_same_update_are_told_from_those_before() -> None:
    """Outcomes changed while results are first posted, and where they stood there before."""
    old, new = outcomes(GAIT), outcomes(GAIT, PAIN)
    posted_old, posted_new = ({**each, "hasResults": True} for each in (old, new))
    for before, after, wanted in ((old, posted_new, (True, False)), (posted_old, posted_new, (False, True)), (old, new, (False, False))):
        fact = the("primary-outcome-added", before, after)
        assert fact is not None
        assert (fact["with_results"], fact["results_before"]) == wanted


def test_a_list_that_comes_or_goes_whole_says_of_how_many() -> None:
    """One row, one fact: it counts the outcomes and names their measures; a single one is one."""
    for old, new, name in ((outcomes(), outcomes(GAIT, PAIN), "added"), (outcomes(GAIT, PAIN), outcomes(), "removed")):
        fact = the(f"primary-outcome-{name}", old, new)
        assert fact is not None
        assert (fact["count"], fact["measures"]) == (2, ["Gait speed", "Pain on walking"])
    one = the("primary-outcome-added", outcomes(GAIT), outcomes(GAIT, PAIN))
    assert one is not None
    assert (one["count"], one["measures"]) == (1, ["Pain on walking"])
    moved = the("outcome-demoted", outcomes(GAIT, PAIN), outcomes(secondary=(GAIT, PAIN)))
    assert moved is not None
    assert (moved["count"], moved["measures"], moved["to"]) == (2, ["Gait speed", "Pain on walking"], "secondary")


def test_a_copy_of_an_outcome_is_none() -> None:
    """A second copy of a primary outcome adds none, one of two that goes removes none, and nothing was moved by it."""
    assert ids(outcomes(GAIT), outcomes(GAIT, GAIT)) == []
    assert ids(outcomes(GAIT, GAIT), outcomes(GAIT)) == []
    assert ids(outcomes(GAIT, GAIT), outcomes(GAIT, secondary=(GAIT,))) == []
    assert ids(outcomes(GAIT), outcomes(GAIT, {**GAIT, "timeFrame": "2 years"})) == ["primary-outcome-added"]


@pytest.mark.parametrize(
    ("before", "after", "likeness"),
    [("Gait speed", "Speed of gait", 0.8), ("Gait speed", "Gait, speed", 1.0), ("Gait speed over ten metres", "gait speed", 0.57)],
)
def test_a_rewording_says_how_much_is_alike(before: str, after: str, likeness: float) -> None:
    """The share of words in common, so that authors can lay their own threshold."""
    told = {"timeFrame": "1 year", "description": "As fast as is safe, with the aids of every day, on level ground"}
    fact = the("primary-outcome-reworded", outcomes({"measure": before, **told}), outcomes({"measure": after, **told}))
    assert fact is not None
    assert fact["likeness"] == likeness


@pytest.mark.parametrize(("before", "after"), [("As fast as is safe", "As fast as can be"), (None, "As fast"), ("As fast", None)])
def test_another_description(before: str | None, after: str | None) -> None:
    """A description that reads otherwise, is new or is gone carries the phase too; another spelling does not."""
    old, new = ({**GAIT, **({"description": each} if each else {})} for each in (before, after))
    fact = the("primary-outcome-description-changed", outcomes(old), outcomes(new))
    assert fact is not None
    assert fact.keys() == {"phase", "phase_basis", "with_results", "results_before"}
    assert ids(outcomes({**GAIT, "description": "As fast"}), outcomes({**GAIT, "description": "as  fast."})) == []
