"""The rows of the change log by study and day: what happened to one study on one day is read together, wherever it stands in the log."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Final, TypeAlias

from trialsync.errors import StoreDamaged
from trialsync.store.connection import RESTORE_HINT
from trialsync.store.ranges import Range
from trialsync.store.search import Search
from trialsync.study.nct_set import NctSet

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from trialsync.store.connection import Connection
    from trialsync.store.filters import ChangeFilter

Key: TypeAlias = "tuple[str, str]"

BLOCK: Final = 5_000


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
    from ``last`` gets each row once; rows of the same day that were recorded later come later. Raises BadFilter, UnknownWatch,
    StoreDamaged.
    """
    by_cursor = after is not None and not newest_first
    search = Search(connection, wanted, Range(after, up_to, newest_first), keep=True)
    days: dict[Key, list[int]] = {}
    rows = last = 0
    key: Key | None = None
    for number, *found in search.dated_rows():
        if limit is not None and rows >= limit and not (by_cursor and key == (found[0], found[1])):
            break
        key = (found[0], found[1])
        days.setdefault(key, []).append(number)
        rows, last = rows + 1, max(last, number)
    if limit is not None and rows >= limit and not by_cursor:
        days = _whole(connection, wanted, Range(after, up_to), search, days)
        rows = sum(map(len, days.values()))
    return StudyDays({day: sorted(ids) for day, ids in days.items()}, rows, last)


def changed(connection: Connection, wanted: ChangeFilter) -> NctSet:
    """Return the studies of which a filter wants a row. Raises BadFilter, UnknownWatch."""
    return NctSet(nct_id for _, nct_id, _ in Search(connection, wanted, Range(), many=True).dated_rows())


def study_days_in_blocks(
    connection: Connection, wanted: ChangeFilter, *, after: int | None = None, newest_first: bool = False, size: int = BLOCK
) -> Iterator[StudyDays]:
    """Yield all the rows that a filter wants, by study and day, those first met in ``size`` rows together, so that memory holds no more.

    Each day is whole, and stands where the first of its rows does. Raises BadFilter, UnknownWatch, StoreDamaged.
    """
    within = Range(after, newest_first=newest_first)
    search = Search(connection, wanted, within, many=True, keep=True)
    rows = search.dated_rows()
    while block := list(islice(rows, size)):
        met: dict[Key, int] = {}
        for number, nct_id, date in block:
            met.setdefault((nct_id, date), number)
        whole = _whole(connection, wanted, Range(after), search, met)
        # A day that was met before was told then.
        days = {key: sorted(ids) for key, ids in whole.items() if (max(ids) if newest_first else min(ids)) == met[key]}
        yield StudyDays(days, sum(map(len, days.values())), max(row[0] for row in block))


def _whole(connection: Connection, wanted: ChangeFilter, within: Range, search: Search, days: Iterable[Key]) -> dict[Key, list[int]]:
    """Return all the rows of these days that the filter wants, the days in their order; raise StoreDamaged where a day has none."""
    whole: dict[Key, list[int]] = {key: [] for key in days}
    if wanted.baseline:
        for nct_id, date in whole:
            of_day = Search(connection, replace(wanted, studies=(nct_id,), since=date, until=date), within)
            whole[nct_id, date] = [number for (number,) in of_day.rows()]
    else:
        for number, nct_id, date in search.days(whole):
            whole[nct_id, date].append(number)
    for (nct_id, date), ids in whole.items():
        if not ids:
            raise StoreDamaged(f"{connection.path} is damaged: what it says of {nct_id} on {date} is filed elsewhere", hint=RESTORE_HINT)
    return whole
