"""How far a date moved, and other numbers, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from trialsync.publish.value import ABSENT, compact
from trialsync.study.facts import dates
from trialsync.study.facts.dates import partial

if TYPE_CHECKING:
    from trialsync.model import Json

_MINUS: Final = "\N{MINUS SIGN}"
_TEENS: Final = range(11, 14)


def moved(before: Json, after: Json) -> str:
    """Return how far a date of the registry (a day, a month or a year) moved: ``+10 months``, ``−12 days``; whole months, as facts count.

    ``before → after`` where that can't be said, ``set to`` or ``taken away`` where one of them is missing.
    """  # noqa: RUF002 - a minus sign
    if compact(before) == ABSENT or compact(after) == ABSENT:
        return "taken away" if compact(after) == ABSENT else f"set to {compact(after)}"
    one, other = partial(before), partial(after)
    if one is None or other is None or None in (one.month, other.month):
        return f"{compact(before)} → {compact(after)}"
    months, days = dates.months(one, other), dates.days(one, other)
    if months:
        return signed(months, "month")
    return signed(days, "day") if days else f"{compact(before)} → {compact(after)}"


def signed(count: int, noun: str) -> str:
    """Return a number with its sign and its noun: ``+1 month``, ``−3 days``."""  # noqa: RUF002 - a minus sign
    return f"{_MINUS if count < 0 else '+'}{abs(count):,} {noun}{'' if abs(count) == 1 else 's'}"


def ordinal(count: int) -> str:
    """Return ``1st``, ``2nd``, ``3rd``, ``4th`` …."""
    ending = "th" if count % 100 in _TEENS else {1: "st", 2: "nd", 3: "rd"}.get(count % 10, "th")
    return f"{count:,}{ending}"
