"""The rows that a filter wants, in the log's order: read from the source that has the fewest candidates, as far as they are asked for."""

# ruff: noqa: S608 - statements are put together from constants; every value is bound

from __future__ import annotations

import heapq
from dataclasses import dataclass, replace
from itertools import islice
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

import orjson

from trialsync.store.filters import conditions
from trialsync.store.sources import FIRST, LAST, first_seen, span

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from trialsync.store.connection import Connection
    from trialsync.store.filters import ChangeFilter
    from trialsync.store.sources import Source

_BLOCK: Final = 1_000
_LARGEST_BLOCK: Final = 8_000
_GROWTH: Final = 4


@dataclass(frozen=True, slots=True)
class Range:
    """Which ids are wanted: those greater than ``after`` up to ``up_to``, from the greatest on where the newest come first."""

    after: int | None = None
    up_to: int | None = None
    newest_first: bool = False

    @property
    def bounds(self) -> tuple[int, int]:
        """Return the smallest and the greatest id."""
        return FIRST if self.after is None else self.after + 1, LAST if self.up_to is None else self.up_to

    @property
    def order(self) -> str:
        """Return the order in SQL."""
        return "DESC" if self.newest_first else "ASC"


@dataclass(frozen=True, slots=True)
class Counted:
    """How many rows were counted; ``whole`` is false where there may be more."""

    rows: int
    whole: bool

    def __str__(self) -> str:
        # Where counting ended has no meaning to a reader, and an odd number looks as if it had one.
        unit = 10 ** (len(str(self.rows)) - 1)
        return f"{self.rows:,}" if self.whole else f"{self.rows // unit * unit:,} or more" if self.rows else "some"


class Search:
    """A filter over one range of the log: its groups of studies are looked up once, and its source is chosen.

    With ``many``, very many rows will be read or counted. Columns that are asked for are of ``changes c``, ``fields f``, ``versions v`` and
    ``studies s``. Raises BadFilter, UnknownWatch.
    """

    def __init__(
        self, connection: Connection, wanted: ChangeFilter, within: Range, *, baseline_alone: bool = False, many: bool = False
    ) -> None:
        self._db = connection
        self._baseline = wanted.baseline
        self._found = conditions(connection, wanted, many=many)
        if baseline_alone:
            self._found.add("c.baseline = 1")
        if wanted.seen_since and not wanted.baseline and not within.newest_first:
            # Nothing before can be wanted, and it may be nearly everything.
            within = replace(within, after=max(within.bounds[0], first_seen(connection, wanted.seen_since)) - 1)
        several = len(self._found.choice.sources) > 1
        if several and not wanted.baseline and (wanted.since or wanted.until) and (ids := span(connection, wanted.since, wanted.until)):
            low, high = within.bounds
            within = replace(within, after=max(low, ids[0]) - 1, up_to=min(high, ids[1]))
        self._within = within
        self._source = None if wanted.baseline else self._found.choice.best(connection, *within.bounds)

    def rows(self, columns: str = "c.id") -> Iterator[tuple[Any, ...]]:
        """Yield these columns of the rows that the filter wants, by id, one at a time; the first column has to be the id."""
        if self._source is not None and self._source.single is None:
            yield from self._gathered(self._source, columns)
            return
        walks = [self._walked(columns, way, *self._within.bounds) for way in self._ways()]
        yield from walks[0] if len(walks) == 1 else heapq.merge(*walks, key=itemgetter(0), reverse=self._within.newest_first)

    def days(self, days: Iterable[tuple[str, str]]) -> Iterator[tuple[int, str, str]]:
        """Yield id, NCT number and ISO day of all the rows that the filter wants of studies on days, one study and day after the other."""
        low, high = self._within.bounds
        sql = (
            "SELECT c.id, v.nct_id, c.date FROM json_each(?) j CROSS JOIN studies k ON k.nct_id = j.value ->> 0 "
            "CROSS JOIN changes c INDEXED BY changes_by_study ON c.study_id = k.id AND c.date = j.value ->> 1 "
            f"{self._found.where} AND c.id BETWEEN ? AND ? ORDER BY j.key, c.id"
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
        candidates = source.ids(self._db, *self._within.bounds, newest_first=self._within.newest_first)
        rows = sum(1 for _ in islice(self._among(islice(candidates, looked), "c.id"), most))
        if most is not None and rows >= most:
            return Counted(most, whole=False)
        return Counted(rows, looked is None or next(candidates, None) is None)

    def _ways(self) -> list[_Way]:
        """Return the indexes, and of each the key, along which a statement each is walked."""
        if self._baseline:
            return [_Way("", "1")]
        single = self._source and self._source.single
        if not single:
            return [_Way("INDEXED BY changes_by_id", "c.baseline = 0")]
        index, keys = single
        return [_Way(f"INDEXED BY {index.name}", f"c.baseline = 0 AND c.{index.column} IS ?", (key,)) for key in dict.fromkeys(keys)]

    def _statement(self, columns: str, way: _Way, end: str) -> str:
        return f"SELECT {columns} FROM changes c {way.index} {self._found.where} AND {way.under} AND c.id BETWEEN ? AND ? {end}"

    def _walked(self, columns: str, way: _Way, low: int, high: int) -> Iterator[tuple[Any, ...]]:
        """Yield the rows that one statement finds on its way along an index, in order."""
        sql = self._statement(columns, way, f"ORDER BY c.id {self._within.order}")
        return self._db.rows(sql, (*self._found.parameters, *way.values, low, high))

    def _gathered(self, source: Source, columns: str) -> Iterator[tuple[Any, ...]]:
        """Yield the rows that are wanted among the candidates of a source."""
        return self._among(source.ids(self._db, *self._within.bounds, newest_first=self._within.newest_first), columns)

    def _among(self, candidates: Iterator[int], columns: str) -> Iterator[tuple[Any, ...]]:
        """Yield the rows that are wanted among candidates, which are looked at by more and more at a time."""
        # They stand in order, and each is looked at in its turn: put in order again, all of them would be before the first is told.
        sql = f"SELECT {columns} FROM json_each(?) j CROSS JOIN changes c ON c.id = j.value {self._found.where}"
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
