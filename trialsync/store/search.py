"""The rows that a filter wants, in the log's order: read from the source that has the fewest candidates, as far as they are asked for."""

# ruff: noqa: S608 - statements are put together from constants; every value is bound

from __future__ import annotations

import heapq
from dataclasses import dataclass, replace
from itertools import islice
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

import orjson

from trialsync.store.baseline_search import BaselineSearch
from trialsync.store.filters import BASELINE, HAPPENED, conditions
from trialsync.store.ranges import Counted
from trialsync.store.sources import first_seen, span, stretches

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from trialsync.store.connection import Connection
    from trialsync.store.filters import ChangeFilter
    from trialsync.store.ranges import Range
    from trialsync.store.sources import Source

_BLOCK: Final = 1_000
_LARGEST_BLOCK: Final = 8_000
_GROWTH: Final = 4


class Search:
    """A filter over one range of the log, with the baseline rows where it wants them: of both, those that stand in ``changes`` apart.

    With ``many``, very many rows will be read or counted; with ``keep``, more will be asked by the same words. Raises BadFilter,
    UnknownWatch.
    """

    def __init__(self, connection: Connection, wanted: ChangeFilter, within: Range, *, many: bool = False, keep: bool = False) -> None:
        self._within = within
        self._happened = _Happened(connection, wanted, within, many=many, keep=keep)
        self._baseline = BaselineSearch(connection, wanted, within, many=many) if wanted.baseline else None

    def rows(self) -> Iterator[tuple[int]]:
        """Yield the ids of the rows that the filter wants, in order, one at a time."""
        return self._merged(self._happened.rows(), self._baseline.rows() if self._baseline else None)

    def dated_rows(self) -> Iterator[tuple[int, str, str]]:
        """Yield id, NCT number and ISO day of the rows that the filter wants, by id, one at a time."""
        return self._merged(self._happened.rows(HAPPENED.dated), self._baseline.rows(BASELINE.dated) if self._baseline else None)

    def _merged(self, happened: Iterator[Any], baseline: Iterator[Any] | None) -> Iterator[Any]:
        if baseline is None:
            return happened
        return heapq.merge(happened, baseline, key=itemgetter(0), reverse=self._within.newest_first)

    def days(self, days: Iterable[tuple[str, str]]) -> Iterator[tuple[int, str, str]]:
        """Yield id, NCT number and ISO day of all the rows that the filter wants of studies on days, one study and day after the other.

        Baseline rows are left out.
        """
        return self._happened.days(days)

    def count(self, *, most: int | None = None, looked: int | None = None) -> Counted:
        """Return how many rows the filter wants, without counting past ``most`` or looking at many more than ``looked`` candidates."""
        happened = self._happened.count(most=most, looked=looked)
        if self._baseline is None or (most is not None and happened.rows >= most):
            return happened
        stood = self._baseline.count(most=None if most is None else most - happened.rows, looked=looked)
        return Counted(happened.rows + stood.rows, happened.whole and stood.whole)


class _Happened:
    """A filter over the rows of ``changes``: its groups of studies are looked up once, and its source is chosen.

    Columns that are asked for are of ``changes c``, ``fields f``, ``versions v`` and ``studies s``.
    """

    def __init__(self, connection: Connection, wanted: ChangeFilter, within: Range, *, many: bool, keep: bool) -> None:
        self._db = connection
        self._found = conditions(connection, wanted, many=many, keep=keep)
        if wanted.seen_since and not within.newest_first:
            # Nothing before can be wanted, and it may be nearly everything.
            within = replace(within, after=max(within.bounds[0], first_seen(connection, wanted.seen_since)) - 1)
        several = len(self._found.choice.sources) > 1
        if several and (wanted.since or wanted.until) and (ids := span(connection, wanted.since, wanted.until)):
            low, high = within.bounds
            within = replace(within, after=max(low, ids[0]) - 1, up_to=min(high, ids[1]))
        self._within = within
        self._source = self._found.choice.best(connection, *within.bounds)
        self._stretches = [within.bounds]
        if wanted.origins and self._source is not None and not self._source.is_by_origin:
            self._stretches = stretches(connection, wanted.origins, *within.bounds, newest_first=within.newest_first)

    def rows(self, columns: str = "c.id") -> Iterator[tuple[Any, ...]]:
        """Yield these columns of the rows that the filter wants, by id, one at a time; the first column has to be the id."""
        if self._source is not None and self._source.single is None:
            yield from self._gathered(self._source, columns)
            return
        walks = [self._walked(columns, way) for way in self._ways()]
        yield from walks[0] if len(walks) == 1 else heapq.merge(*walks, key=itemgetter(0), reverse=self._within.newest_first)

    def days(self, days: Iterable[tuple[str, str]]) -> Iterator[tuple[int, str, str]]:
        """Yield id, NCT number and ISO day of all the rows that the filter wants of studies on days, one study and day after the other."""
        low, high = self._within.bounds
        sql = (
            "SELECT c.id, v.nct_id, c.date FROM json_each(?) j CROSS JOIN studies k ON k.nct_id = j.value ->> 0 "
            "CROSS JOIN changes c INDEXED BY changes_by_study ON c.study_id = k.id AND c.date = j.value ->> 1 "
            f"{HAPPENED.joined} WHERE {self._found.where} AND c.id BETWEEN ? AND ? ORDER BY j.key, c.id"
        )
        yield from self._db.rows(sql, (orjson.dumps(list(days)).decode(), *self._found.parameters, low, high))

    def count(self, *, most: int | None = None, looked: int | None = None) -> Counted:
        """Return how many rows the filter wants, without counting past ``most`` or looking at many more than ``looked`` candidates."""
        if self._source is not None and self._source.single is None:
            return self._count_gathered(self._source, most, looked)
        ways = self._ways()
        rows, whole = 0, True
        for way in ways:
            low, high = self._within.bounds
            if looked is not None:
                end = self._db.value(
                    f"SELECT c.id FROM changes c {way.index} WHERE {way.under} AND c.id BETWEEN ? AND ? "
                    f"ORDER BY c.id {self._within.order} LIMIT 1 OFFSET ?",
                    (*way.values, low, high, looked // len(ways)),
                )
                if end is not None:
                    low, high, whole = (end, high, False) if self._within.newest_first else (low, end, False)
            left = -1 if most is None else most - rows
            rows += self._db.value(
                f"SELECT count(*) FROM ({self._statement('1', way, 'LIMIT ?')})", (*self._found.parameters, *way.values, low, high, left)
            )
            if most is not None and rows >= most:
                return Counted(most, whole=False)
        return Counted(rows, whole)

    def _count_gathered(self, source: Source, most: int | None, looked: int | None) -> Counted:
        candidates = source.ids(self._db, self._stretches, newest_first=self._within.newest_first)
        rows = sum(1 for _ in islice(self._among(islice(candidates, looked), "c.id"), most))
        if most is not None and rows >= most:
            return Counted(most, whole=False)
        return Counted(rows, looked is None or next(candidates, None) is None)

    def _ways(self) -> list[_Way]:
        """Return the indexes, and of each the key, along which a statement each is walked."""
        single = self._source and self._source.single
        if not single:
            return [_Way("NOT INDEXED", "1")]
        index, keys = single
        return [_Way(f"INDEXED BY {index.name}", f"c.{index.column} IS ?", (key,)) for key in dict.fromkeys(keys)]

    def _statement(self, columns: str, way: _Way, end: str) -> str:
        where = f"{self._found.where} AND {way.under} AND c.id BETWEEN ? AND ?"
        return f"SELECT {columns} FROM changes c {way.index} {HAPPENED.joined} WHERE {where} {end}"

    def _walked(self, columns: str, way: _Way) -> Iterator[tuple[Any, ...]]:
        """Yield the rows that one statement finds on its way along an index, in order."""
        sql = self._statement(columns, way, f"ORDER BY c.id {self._within.order}")
        for stretch in self._stretches:
            yield from self._db.rows(sql, (*self._found.parameters, *way.values, *stretch))

    def _gathered(self, source: Source, columns: str) -> Iterator[tuple[Any, ...]]:
        """Yield the rows that are wanted among the candidates of a source."""
        return self._among(source.ids(self._db, self._stretches, newest_first=self._within.newest_first), columns)

    def _among(self, candidates: Iterator[int], columns: str) -> Iterator[tuple[Any, ...]]:
        """Yield the rows that are wanted among candidates, which are looked at by more and more at a time."""
        # They stand in order, and each is looked at in its turn: put in order again, all of them would be before the first is told.
        sql = f"SELECT {columns} FROM json_each(?) j CROSS JOIN changes c ON c.id = j.value {HAPPENED.joined} WHERE {self._found.where}"
        size = _BLOCK
        while block := list(islice(candidates, size)):
            yield from self._db.rows(sql, (orjson.dumps(block).decode(), *self._found.parameters))
            size = min(size * _GROWTH, _LARGEST_BLOCK)


@dataclass(frozen=True, slots=True)
class _Way:
    """An index to walk along, the condition that picks a part of it, and its values."""

    index: str
    under: str
    values: tuple[Any, ...] = ()
