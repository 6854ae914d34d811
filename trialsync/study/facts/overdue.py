"""What is overdue as of a day: nothing happened, so nothing is recorded; it is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from trialsync.study import record
from trialsync.study.facts import dates
from trialsync.study.facts.dates import Partial, partial
from trialsync.study.facts.rules import BY_ID
from trialsync.study.facts.step import ACTUAL, has_results, text
from trialsync.study.facts.timing import OPEN

if TYPE_CHECKING:
    from datetime import date

    from trialsync.model import Study
    from trialsync.study.facts.step import Fact

MONTHS_TO_RESULTS: Final = 12
"""Results information is due a year after the primary completion date, 42 CFR 11.44(a), where that rule applies at all."""

_EXPECTED: Final = (("primary-completion", "primaryCompletionDateStruct"), ("completion", "completionDateStruct"))
_NOBODY_TOOK_PART: Final = "WITHDRAWN"


def overdue(study: Study, as_of: date) -> list[Fact]:
    """Return what of a study is overdue as of a day, one fact ``overdue`` each, told apart by ``what``.

    ``primary-completion`` and ``completion``: the date was expected and is past, and the status still says that the study goes on;
    ``results``: primary completion was a year or more ago and no results are posted. ``date`` is the registry's own, ``months`` whole ones
    since. A date without a day is past when its month or year is over. Whether a law asks for the results is not said: ``study_type``,
    ``status``, ``delay_requested`` (certified or extended) and ``results_submitted`` (and not posted yet) are what a reader needs for that.
    """
    today = Partial(as_of.year, as_of.month, as_of.day)
    status = record.overall_status(study)
    if record.is_withheld(study):
        return []
    found: list[Fact] = []
    about = {"id": "overdue", "rule": BY_ID["overdue"].rule}
    for what, struct in _EXPECTED:
        value = record.at(study, "protocolSection", "statusModule", struct, "date")
        kind = text(record.at(study, "protocolSection", "statusModule", struct, "type"))
        past = partial(value)
        if past is None:
            continue
        if kind != ACTUAL and status in OPEN and past.last_day() < as_of:
            found.append({**about, "what": what, "date": value, "type": kind, "months": dates.months(past, today), "status": status})
        since = dates.months(past, today)
        if what == "primary-completion" and kind == ACTUAL and _due(past, today) and status != _NOBODY_TOOK_PART and not has_results(study):
            found.append(
                {
                    **about,
                    "what": "results",
                    "date": value,
                    "type": kind,
                    "months": since,
                    "status": status,
                    "study_type": record.study_type(study),
                    "delay_requested": record.at(study, "protocolSection", "statusModule", "dispFirstSubmitDate") is not None,
                    "results_submitted": record.at(
                        study, "derivedSection", "miscInfoModule", "submissionTracking", "estimatedResultsFirstSubmitDate"
                    )
                    is not None,
                }
            )
    return found


def may_be_overdue(status: str | None, primary: str | None, completed: str | None, *, has_results: bool, as_of: date) -> bool:
    """Return whether a study of which only this is known can be ``overdue`` as of a day; where not, its record need not be read.

    ``primary`` and ``completed`` are its two completion dates as the registry has them, expected or actual.
    """
    today = Partial(as_of.year, as_of.month, as_of.day)
    ends = [past for past in (partial(primary), partial(completed)) if past is not None]
    if status in OPEN and any(past.last_day() < as_of for past in ends):
        return True
    past = partial(primary)
    return past is not None and not has_results and status != _NOBODY_TOOK_PART and _due(past, today)


def _due(completed: Partial, today: Partial) -> bool:
    """Return whether a year has gone by for certain since a date: counted from its last day."""
    last = completed.last_day()
    return dates.months(Partial(last.year, last.month, last.day), today) >= MONTHS_TO_RESULTS
