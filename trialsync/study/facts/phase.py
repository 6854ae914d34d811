"""When in the study's life an update was made: before its start, after it, or after primary completion; and how certain that is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from trialsync.model import is_day
from trialsync.study import record
from trialsync.study.facts import dates
from trialsync.study.facts.dates import partial
from trialsync.study.facts.step import ACTUAL, dated, text

if TYPE_CHECKING:
    from trialsync.study.facts.dates import Partial
    from trialsync.study.facts.step import Step

_NOT_YET: Final = "NOT_YET_RECRUITING"
_ENROLLING: Final = frozenset({"RECRUITING", "ENROLLING_BY_INVITATION"})


class _Settled(NamedTuple):
    """Whether the day of an update lies after a date of the study; ``after`` is ``None`` where that can't be said."""

    after: bool | None
    actual: bool


def phase(step: Step) -> tuple[str | None, str | None]:
    """Return the phase of an update and its basis.

    ``before-start``, ``after-start`` or ``after-primary-completion``; ``actual`` or ``estimated``.

    The day is that of the update's submission, or since when the new version holds where nothing new was submitted. An ACTUAL date settles,
    the new version's before the old one's; otherwise the later of both estimates counts, so that a date that lapsed and is put off in the
    same update does not. By an estimate alone a study that is NOT_YET_RECRUITING in the new version has not started, and one that still
    takes participants (RECRUITING, ENROLLING_BY_INVITATION) is not past primary completion. The day of the start is after the start, the
    day of primary completion not after it. Both are ``None`` where the dates don't say. The basis is that of the date that the phase is
    named after.
    """
    day = _day(step)
    if day is None:
        return None, None
    status = record.overall_status(step.new)
    end = _settled(step, "primaryCompletionDateStruct", day, at_once=False)
    if not end.actual and status in {_NOT_YET, *_ENROLLING}:
        end = _Settled(after=False, actual=False)
    if end.after:
        return "after-primary-completion", _basis(end)
    start = _settled(step, "startDateStruct", day, at_once=True)
    if not start.actual and status == _NOT_YET:
        start = _Settled(after=False, actual=False)
    if start.after is False:
        return "before-start", _basis(start)
    return ("after-start", _basis(start)) if start.after and end.after is False else (None, None)


def _day(step: Step) -> Partial | None:
    submitted = [text(record.at(study, "protocolSection", "statusModule", "lastUpdateSubmitDate")) for study in (step.old, step.new)]
    return partial(submitted[1] if is_day(submitted[1]) and submitted[0] != submitted[1] else step.date)


def _basis(settled: _Settled) -> str:
    return "actual" if settled.actual else "estimated"


def _settled(step: Step, struct: str, day: Partial, *, at_once: bool) -> _Settled:
    """Return whether a day lies after a date of the study, on that very day too where ``at_once``."""
    found, actual = _date(step, struct)
    if found is None:
        return _Settled(None, actual)
    if found == day:
        return _Settled(at_once, actual)
    side = dates.order(found, day)
    return _Settled(side < 0 if side else None, actual)


def _date(step: Step, struct: str) -> tuple[Partial | None, bool]:
    """Return the date that counts, and whether it is an ACTUAL one."""
    known = [(partial(date), kind) for date, kind in (dated(side, struct) for side in (step.new, step.old))]
    actual = next((date for date, kind in known if kind == ACTUAL and date is not None), None)
    if actual is not None:
        return actual, True
    estimates = [date for date, _ in known if date is not None]
    # Where they can't be told apart the new one stands, which is first.
    return (estimates[1] if len(estimates) > 1 and dates.order(*estimates) < 0 else estimates[0] if estimates else None), False
