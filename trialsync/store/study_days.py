"""The rows of the change log by study and day: what happened to one study on one day is read together, wherever it stands in the log."""

# ruff: noqa: S608 - statements are put together from constants; every value is bound

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, TypeAlias

from trialsync.store.filters import conditions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from trialsync.store.connection import Connection
    from trialsync.store.filters import ChangeFilter

Key: TypeAlias = "tuple[str, str]"

_DATE: Final = "coalesce(c.date, v.date)"


@dataclass(frozen=True, slots=True)
class StudyDays:
    """The ids of rows, ascending, by NCT number and ISO day; ``rows`` counts them, ``last`` is the greatest id that was read."""

    days: Mapping[Key, list[int]]
    rows: int
    last: int


def study_days(
    connection: Connection,
    wanted: ChangeFilter,
    *,
    after: int | None = None,
    up_to: int | None = None,
    limit: int | None = None,
    newest_first: bool = False,
) -> StudyDays:
    """Return the first ``limit`` rows that a filter wants, by study and day, and whatever else belongs to these days: never half a day.

    Behind a cursor (``after``, oldest first) the rows go on by id as far as the last day's own rows follow each other, so that who reads on
    from ``last`` gets each row once; rows of the same day that were recorded later come later. Raises BadFilter, UnknownWatch.
    """
    by_cursor = after is not None and not newest_first
    days: dict[Key, list[int]] = {}
    rows = last = 0
    key: Key | None = None
    for number, *found in _ids(connection, wanted, after, up_to, newest_first=newest_first):
        if limit is not None and rows >= limit and not (by_cursor and key == (found[0], found[1])):
            break
        key = (found[0], found[1])
        days.setdefault(key, []).append(number)
        rows, last = rows + 1, max(last, number)
    if limit is not None and rows >= limit and not by_cursor:
        days = _whole(connection, wanted, days, after, up_to)
        rows = sum(map(len, days.values()))
    return StudyDays({day: sorted(ids) for day, ids in days.items()}, rows, last)


def _whole(
    connection: Connection, wanted: ChangeFilter, days: Mapping[Key, list[int]], after: int | None, up_to: int | None
) -> dict[Key, list[int]]:
    """Return days with all their rows, asked for at one go: of these studies, from the first day to the last."""
    dates = [date for _, date in days]
    found: dict[Key, list[int]] = {day: [] for day in days}
    if days:
        together = replace(wanted, studies=tuple(dict.fromkeys(nct_id for nct_id, _ in days)), since=min(dates), until=max(dates))
        for number, nct_id, date in _ids(connection, together, after, up_to):
            if (nct_id, date) in found:
                found[nct_id, date].append(number)
    return found


def _ids(
    connection: Connection, wanted: ChangeFilter, after: int | None, up_to: int | None, *, newest_first: bool = False
) -> Iterator[tuple[int, str, str]]:
    """Yield id, NCT number and day of the rows that a filter wants, by id."""
    found = conditions(connection, wanted, after)
    if up_to is not None:
        found.add("c.id <= ?", up_to)
    order = "DESC" if newest_first else "ASC"
    for number, nct_id, date in connection.rows(
        f"SELECT c.id, v.nct_id, {_DATE} FROM {found.source} ORDER BY c.id {order}", found.parameters
    ):
        yield int(number), str(nct_id), str(date)
