"""Facts about when a study is to be over: put off, pulled in, or corrected after it was."""

from __future__ import annotations

from calendar import monthrange
from datetime import MAXYEAR, date, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

from trialsync.study import record
from trialsync.study.facts import dates
from trialsync.study.facts.dates import Partial, partial
from trialsync.study.facts.step import ACTUAL, dated

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trialsync.model import Json
    from trialsync.study.facts.step import Found

_DATES: Final = (
    ("status.primaryCompletionDate", "primary-completion", "primaryCompletionDateStruct"),
    ("status.completionDate", "completion", "completionDateStruct"),
)
_MONTHS: Final = 12


class _Dated(NamedTuple):
    date: Partial | None
    kind: str | None


class _Slip(NamedTuple):
    """A move of an expected date to a later one, which may be the ACTUAL one."""

    before: Partial
    after: Partial
    is_estimate: bool


def completion_facts(found: Found) -> None:
    """Note which completion dates were put off or pulled in, by how much now and in all, and which ACTUAL ones were corrected."""
    for name, what, struct in _DATES:
        old, new = (_dated(study, struct) for study in (found.step.old, found.step.new))
        moves = found.rows(name)
        types: dict[str, Json] = {"type_before": old.kind, "type_after": new.kind}
        for place, _ in moves or found.rows(f"{name}Type"):
            if old.kind == ACTUAL and (new.kind != ACTUAL or _is_another(old.date, new.date)):
                found.put(place, f"{what}-corrected", **_by(old.date, new.date), **types)
        for place, _ in moves:
            if old.date is None or new.date is None:
                continue
            if _is_slip(old, new):
                found.put(place, f"{what}-slipped", **_by(old.date, new.date), **_in_all(found, struct), **types)
            elif dates.order(old.date, new.date) > 0:
                found.put(place, f"{what}-pulled-in", **_by(new.date, old.date), **types)


def _dated(study: dict[str, Json], struct: str) -> _Dated:
    value, kind = dated(study, struct)
    return _Dated(partial(value), kind)


def _by(one: Partial | None, other: Partial | None) -> dict[str, Json]:
    """Return by how many whole months, and days where both name one, the second date lies after the first."""
    if one is None or other is None:
        return {"months": None, "days": None}
    return {"months": dates.months(one, other), "days": dates.days(one, other)}


def _is_another(one: Partial | None, other: Partial | None) -> bool:
    return one is not other if one is None or other is None else dates.order(one, other) != 0


def _is_slip(old: _Dated, new: _Dated) -> bool:
    return old.date is not None and new.date is not None and old.kind != ACTUAL and dates.order(old.date, new.date) < 0


def _in_all(found: Found, struct: str) -> dict[str, Json]:
    """Return how often the estimate was put off, by how much all the slips are, and how far the date lies from the first one known.

    They are counted from one known version to the next, the new one included; what was withheld is passed over. The version before the new
    one need not be the one that it was compared with: one of the registry's history may have been filled in between, and no slip is to
    count twice.
    """
    known = [_dated(found.step.new, struct)]
    known += [_dated(study, struct) for study in found.step.earlier() if not record.is_withheld(study)]
    known.reverse()
    slips = [
        _Slip(old.date, new.date, new.kind != ACTUAL)
        for old, new in pairwise(known)
        if old.date is not None and new.date is not None and _is_slip(old, new)
    ]
    each = [dates.days(slip.before, slip.after) for slip in slips]
    whole = [days for days in each if days is not None]
    first = next((one.date for one in known if one.date is not None), None)
    net = _by(first, known[-1].date)
    return {
        "times": sum(slip.is_estimate for slip in slips),
        "total_months": _months(slips),
        "total_days": sum(whole) if len(whole) == len(each) else None,
        "net_months": net["months"],
        "net_days": net["days"],
    }


def _months(slips: Iterable[_Slip]) -> int:
    """Return the whole months of slips laid end to end on the calendar, from the first date that slipped."""
    start = end = None
    for before, after, _ in slips:
        if start is None or end is None:
            start = end = _first_day(before)
        end = _later(end, before, after)
    return 0 if start is None or end is None else dates.months(*(Partial(day.year, day.month, day.day) for day in (start, end)))


def _first_day(one: Partial) -> date:
    return date(one.year, one.month or 1, one.day or 1)


def _later(day: date, before: Partial, after: Partial) -> date:
    """Return the day that lies after another as a date lies after one before it: so many whole months, and the days that are left."""
    months = dates.months(before, after)
    rest = 0
    if before.is_day and after.is_day:
        rest = (_first_day(after) - _after_months(_first_day(before), months)).days
    try:
        return _after_months(day, months) + timedelta(days=rest)
    except (OverflowError, ValueError):
        return date.max


def _after_months(day: date, months: int) -> date:
    """Return the same day so many months later, the month's last one where it has no such day."""
    years, month = divmod(day.month - 1 + months, _MONTHS)
    year = min(day.year + years, MAXYEAR)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))
