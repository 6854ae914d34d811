"""How far a date moved, and other numbers, in words."""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING, Final

from trialsync.publish.value import ABSENT, compact

if TYPE_CHECKING:
    from trialsync.model import Json

_DATE: Final = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?", re.ASCII)
_MINUS: Final = "\N{MINUS SIGN}"
_MONTH_DAYS: Final = 30.44
_LEAST_MONTH: Final = 28
_TEENS: Final = range(11, 14)


def moved(before: Json, after: Json) -> str:
    """Return how far a date of the registry (a day, a month or a year) moved: ``+10 months``, ``−12 days``.

    ``before → after`` where that can't be said, ``set to`` or ``taken away`` where one of them is missing.
    """  # noqa: RUF002 - a minus sign
    if compact(before) == ABSENT or compact(after) == ABSENT:
        return "taken away" if compact(after) == ABSENT else f"set to {compact(after)}"
    old, new = _parts(before), _parts(after)
    if old is None or new is None or None in (old[1], new[1]):
        return f"{compact(before)} → {compact(after)}"
    (year, month, day), (new_year, new_month, new_day) = old, new
    if day and new_day:
        days = (date(new_year, new_month or 1, new_day) - date(year, month or 1, day)).days
        if abs(days) < _LEAST_MONTH:
            return signed(days, "day")
        return signed(round(days / _MONTH_DAYS), "month")
    months = (new_year - year) * 12 + (new_month or 1) - (month or 1)
    return signed(months, "month") if months else f"{compact(before)} → {compact(after)}"


def signed(count: int, noun: str) -> str:
    """Return a number with its sign and its noun: ``+1 month``, ``−3 days``."""  # noqa: RUF002 - a minus sign
    return f"{_MINUS if count < 0 else '+'}{abs(count):,} {noun}{'' if abs(count) == 1 else 's'}"


def ordinal(count: int) -> str:
    """Return ``1st``, ``2nd``, ``3rd``, ``4th`` …."""
    ending = "th" if count % 100 in _TEENS else {1: "st", 2: "nd", 3: "rd"}.get(count % 10, "th")
    return f"{count:,}{ending}"


def _parts(value: Json) -> tuple[int, int | None, int | None] | None:
    """Return year, month and day of a date, the last two where it has them; ``None`` for what no calendar has."""
    found = _DATE.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return None
    year, month, day = (int(part) if part else None for part in found.groups())
    try:
        date(year or 1, month or 1, day or 1)
    except ValueError:
        return None
    return year or 1, month, day
