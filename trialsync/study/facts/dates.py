"""The registry's partial dates: a year, a year and month, or a day; compared as precisely as both are given, and no more."""

from __future__ import annotations

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from trialsync.model import Json

_PARTIAL: Final = re.compile(r"([12]\d{3})(?:-(\d{2})(?:-(\d{2}))?)?", re.ASCII)
_MONTHS: Final = 12


@dataclass(frozen=True, slots=True)
class Partial:
    """A date as the registry gives it; ``month`` and ``day`` are ``None`` where it does not say."""

    year: int
    month: int | None = None
    day: int | None = None

    @property
    def is_day(self) -> bool:
        """Return whether the date names a day."""
        return self.day is not None

    def last_day(self) -> date:
        """Return the last day that the date can mean."""
        month = self.month or _MONTHS
        return date(self.year, month, self.day or monthrange(self.year, month)[1])


def partial(value: Json) -> Partial | None:
    """Return the date that a text of the registry's (``yyyy``, ``yyyy-MM``, ``yyyy-MM-dd``) means, ``None`` where it means none."""
    found = _PARTIAL.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return None
    year, month, day = (int(part) if part else None for part in found.groups())
    if year is None or (month is not None and not 1 <= month <= _MONTHS):
        return None
    if month is not None and day is not None and not 1 <= day <= monthrange(year, month)[1]:
        return None
    return Partial(year, month, day)


def order(one: Partial, other: Partial) -> int:
    """Return -1 where ``one`` lies before ``other``, 1 where it lies after, 0 where they can't be told apart.

    Both are cut to what the coarser one says: of ``2025`` and ``2025-03``, or ``2025-03`` and ``2025-03-31``, neither is the earlier.
    """
    for here, there in ((one.year, other.year), (one.month, other.month), (one.day, other.day)):
        if here is None or there is None or here == there:
            if here is None or there is None:
                return 0
            continue
        return -1 if here < there else 1
    return 0


def months(one: Partial, other: Partial) -> int:
    """Return by how many whole months ``other`` lies after ``one``; negative where it lies before.

    Between two days a month is whole on the same day of the next month, or on its last day where it has no such day. Where one of them
    names no day the months of the calendar are subtracted, where one names no month the years, times twelve. Antisymmetric.
    """
    if order(one, other) > 0:
        return -months(other, one)
    if one.month is None or other.month is None:
        return (other.year - one.year) * _MONTHS
    whole = (other.year - one.year) * _MONTHS + other.month - one.month
    if one.day is not None and other.day is not None and other.day < min(one.day, monthrange(other.year, other.month)[1]):
        whole -= 1
    return whole


def days(one: Partial, other: Partial) -> int | None:
    """Return by how many days ``other`` lies after ``one``, negative where before; ``None`` where one of them names no day."""
    if not (one.is_day and other.is_day):
        return None
    return (other.last_day() - one.last_day()).days
