"""Where the rows that a filter wants are looked for: by which index, and by which of its keys, so that no question walks the whole log.

A source gives ids in the log's order and may give too many; the filter's conditions decide on each. Every index here ends in the row's id,
so that the ids of one key stand in order, and those of several keys are merged; nothing is read that is not asked for.
"""

# ruff: noqa: S608 - statements are put together from constants; every value is bound

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import orjson

from trialsync.model import Origin
from trialsync.store.baseline_tables import HAS_COUNTRY
from trialsync.store.tables import ITS_COUNTRY

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trialsync.store.connection import Connection

FIRST: Final = 0
LAST: Final = 2**63 - 1
"""Bounds of ids where none are asked for."""

COUNTED: Final = 20_000
"""How far candidates are counted when one of several sources is to be chosen."""

FEW_KEYS: Final = 3
"""So many keys are walked by a statement each, with all the conditions in it; the ids of more are gathered first."""


_LOOK_BACK: Final = 100_000
_MOST_DAYS: Final = 400
_LONG: Final = 1_000
_LOOKS: Final = 100

Stretch: TypeAlias = "tuple[int, int]"
"""The smallest and the greatest id of a part of the log."""


@dataclass(frozen=True, slots=True)
class Index:
    """An index of the log: the table with its index, its column, the id's name, and the condition under which rows are in it."""

    table: str
    name: str
    column: str
    id: str = "id"
    held: str = "1"

    @property
    def source(self) -> str:
        """Return what follows FROM."""
        return f"{self.table} INDEXED BY {self.name}"

    def ids(self, key: str, low: str, high: str, order: str) -> str:
        """Return the statement for the ids of a key between two bounds, in order."""
        return (
            f"SELECT {self.id} FROM {self.source} WHERE {self.held} AND {self.column} IS {key} AND {self.id} BETWEEN {low} AND {high} "
            f"ORDER BY {self.id} {order}"
        )


BY_STUDY: Final = Index("changes", "changes_by_study", "study_id")
BY_FIELD: Final = Index("changes", "changes_by_field", "field_id")
BY_DATE: Final = Index("changes", "changes_by_date", "date")
BY_ORIGIN: Final = Index("changes", "changes_by_origin", "origin")
BY_COUNTRY: Final = Index("changes", "changes_by_country", ITS_COUNTRY, held=f"({HAS_COUNTRY})")
BY_FACT: Final = Index("change_facts", "change_facts_by_fact", "fact", "change_id")


@dataclass(frozen=True, slots=True)
class Source:
    """Candidates: all rows under these keys of indexes, of these days, and all rows whose values hold these words (queries of FTS5).

    ``days`` are pairs of ISO days, or ``None`` where there is no first or last one.
    """

    keys: tuple[tuple[Index, tuple[Any, ...]], ...] = ()
    words: tuple[str, ...] = ()
    days: tuple[tuple[str | None, str | None], ...] = ()

    def __or__(self, other: Source) -> Source:
        """Return the candidates of both."""
        return Source(self.keys + other.keys, self.words + other.words, self.days + other.days)

    @property
    def is_of_days(self) -> bool:
        """Return whether the candidates are the rows of some days."""
        return bool(self.days) or (self.keys[:1] != () and self.keys[0][0] is BY_DATE)

    @property
    def single(self) -> tuple[Index, tuple[Any, ...]] | None:
        """Return the index and the keys where there is one index of the log itself, and few keys."""
        if self.words or self.days or len(self.keys) != 1:
            return None
        index, keys = self.keys[0]
        return (index, keys) if index.table == "changes" and index is not BY_COUNTRY and len(keys) <= FEW_KEYS else None

    @property
    def is_by_origin(self) -> bool:
        """Return whether the candidates are all the rows of some origins."""
        return self.keys[:1] != () and self.keys[0][0] is BY_ORIGIN

    def count(self, connection: Connection, low: int = FIRST, high: int = LAST) -> int:
        """Return how many candidates there are between two ids, both included, without counting far past COUNTED."""
        found = 0
        for index, keys in self.keys:
            found += connection.value(
                f"SELECT count(*) FROM (SELECT 1 FROM json_each(?) j CROSS JOIN {index.source} WHERE {index.held} "
                f"AND {index.column} IS j.value AND {index.table}.{index.id} BETWEEN ? AND ? LIMIT ?)",
                (_json(keys), low, high, COUNTED),
            )
        for query in self.words:
            found += count_words(connection, "change_words", query, COUNTED, low, high)
        for days in self.days:
            sql = f"SELECT count(*) FROM (SELECT 1 FROM {BY_DATE.source} WHERE date BETWEEN ? AND ? AND id BETWEEN ? AND ? LIMIT ?)"
            found += connection.value(sql, (*_bounds(days), low, high, COUNTED))
        return found

    def ids(self, connection: Connection, stretches: Sequence[Stretch], *, newest_first: bool) -> Iterator[int]:
        """Yield the ids of the candidates in stretches of the log, which come in order, each once."""
        if not stretches:
            return
        within = _Within(connection, stretches, newest_first=newest_first)
        streams = [within.merged(index, within.heads(index, keys)) for index, keys in self.keys]
        streams += [within.merged(BY_DATE, within.heads_of_days(*_bounds(days))) for days in self.days]
        streams += map(within.speaking, self.words)
        last = None
        for number in heapq.merge(*streams, reverse=newest_first):
            if number != last:
                yield number
            last = number


def count_words(connection: Connection, table: str, query: str, most: int, low: int = FIRST, high: int = LAST) -> int:
    """Return how many rows of one of the two indexes for words, between two ids, hold them, without counting past ``most``."""
    sql = f"SELECT count(*) FROM (SELECT 1 FROM {table} WHERE {table} MATCH ? AND rowid BETWEEN ? AND ? LIMIT ?)"
    return int(connection.value(sql, (query, low, high, most)))


def stretches(connection: Connection, origins: Sequence[Origin], low: int, high: int, *, newest_first: bool) -> list[Stretch]:
    """Return the stretches of the log between two ids that remain where long ones without a row of these origins are left out, in order.

    The registry's history of many studies is recorded in one go: half a million rows, say, of all the days of twenty years.
    """
    wanted = [_key(origin) for origin in origins]
    others = [_key(origin) for origin in Origin if origin not in origins]
    step = -1 if newest_first else 1

    def first(keys: Sequence[str | None], start: int) -> int | None:
        """Return the first id of a row with one of these origins from an id on, in the order that is asked for."""
        within = _Within(connection, [(low, start) if newest_first else (start, high)], newest_first=newest_first)
        return min((number for number, _ in within.heads(BY_ORIGIN, keys)), key=lambda number: step * number, default=None)

    found: list[Stretch] = []
    start, at = (high, high) if newest_first else (low, low)
    for _ in range(_LOOKS):
        other = first(others, at)
        if other is None:
            break
        end = first(wanted, other)
        if end is None or abs(end - other) >= _LONG:
            found += _stretch(start, other - step, step)
        if end is None:
            return found
        if abs(end - other) >= _LONG:
            start = end
        at = end
    return [*found, *_stretch(start, low if newest_first else high, step)]


def _stretch(start: int, end: int, step: int) -> list[Stretch]:
    if step * (end - start) < 0:
        return []
    return [(min(start, end), max(start, end))]


def _key(origin: Origin) -> str | None:
    """Return an origin as the log's rows hold it."""
    return None if origin is Origin.POLL else origin.value


@dataclass(frozen=True, slots=True)
class _Within:
    """Reads the ids under keys of indexes in stretches of the log, one at least, which come in order."""

    connection: Connection
    stretches: Sequence[Stretch]
    newest_first: bool

    @property
    def low(self) -> int:
        """Return the smallest id that is wanted."""
        return self.stretches[-1 if self.newest_first else 0][0]

    @property
    def high(self) -> int:
        """Return the greatest id that is wanted."""
        return self.stretches[0 if self.newest_first else -1][1]

    @property
    def _order(self) -> str:
        return "DESC" if self.newest_first else "ASC"

    def heads(self, index: Index, keys: Sequence[Any]) -> list[tuple[int, Any]]:
        """Return the first id under each of these keys that has one, with the key."""
        sql = f"SELECT ({index.ids('j.value', '?2', '?3', self._order)} LIMIT 1), j.value FROM json_each(?1) j"
        found = self.connection.rows(sql, (_json(keys), self.low, self.high))
        return [(number, key) for number, key in found if number is not None]

    def heads_of_days(self, first: str, last: str, most: int = -1) -> list[tuple[int, Any]]:
        """Return the first id of each day of a range that has one, with the day, of no more than ``most`` days where that is no -1."""
        # A day and its first id are looked up at once, behind the day before: there may be thousands of days.
        head = f"SELECT id || ' ' || date FROM {BY_DATE.source} WHERE date {{}} ORDER BY date {self._order}, id {self._order} LIMIT 1"
        day = "substr(d.head, instr(d.head, ' ') + 1)"
        start, end = ("<= ?2", ">= ?1") if self.newest_first else (">= ?1", "<= ?2")
        behind = f"{start[0]} {day}"
        sql = (
            f"WITH RECURSIVE d (head) AS (SELECT ({head.format(f'{start} AND date {end}')}) UNION ALL "
            f"SELECT ({head.format(f'{behind} AND date {end}')}) FROM d WHERE d.head IS NOT NULL) "
            f"SELECT {day}, CAST(d.head AS INTEGER) FROM d WHERE d.head IS NOT NULL LIMIT ?3"
        )
        found, outside = [], []
        for day, number in self.connection.rows(sql, (first, last, most)):
            if self.low <= number <= self.high:
                found.append((number, day))
            else:
                outside.append(day)
        return [*found, *self.heads(BY_DATE, outside)]

    def speaking(self, query: str) -> Iterator[int]:
        """Yield the ids of the rows whose values hold the words of a query of FTS5."""
        sql = f"SELECT rowid FROM change_words WHERE change_words MATCH ? AND rowid BETWEEN ? AND ? ORDER BY rowid {self._order}"
        for stretch in self.stretches:
            for (number,) in self.connection.rows(sql, (query, *stretch)):
                yield number

    def merged(self, index: Index, found: list[tuple[int, Any]]) -> Iterator[int]:
        """Yield the ids under the keys that have a first one; a key's own ids are read on only when its turn has come."""
        sign = -1 if self.newest_first else 1
        waiting = [(sign * number, turn, key) for turn, (number, key) in enumerate(found)]
        heapq.heapify(waiting)
        further: dict[Any, Iterator[tuple[Any, ...]]] = {}
        sql = index.ids("?1", "?2", "?3", self._order)
        left = iter(self.stretches)
        low, high = next(left)
        while waiting:
            rank, turn, key = waiting[0]
            number = sign * rank
            while number < low if self.newest_first else number > high:
                low, high = next(left)
            if low <= number <= high:
                yield number
                bounds = (self.low, number - 1) if self.newest_first else (number + 1, self.high)
                if key not in further:
                    further[key] = self.connection.rows(sql, (key, *bounds))
            else:
                # Between two stretches, where the key may have many: it goes on at the next one.
                bounds = (self.low, high) if self.newest_first else (low, self.high)
                further[key] = self.connection.rows(sql, (key, *bounds))
            row = next(further[key], None)
            if row is None:
                heapq.heappop(waiting)
            else:
                heapq.heapreplace(waiting, (sign * row[0], turn, key))


@dataclass(slots=True)
class Choice:
    """Sources each of which has every row that is wanted; the fewest candidates are looked through."""

    sources: list[Source] = field(default_factory=list)

    def best(self, connection: Connection, low: int = FIRST, high: int = LAST) -> Source | None:
        """Return the source with the fewest candidates between two ids, ``None`` where there is none.

        Where very many are in each, those of days are looked through: of the others the wanted ones may all stand at the far end.
        """
        if len(self.sources) <= 1:
            return self.sources[0] if self.sources else None
        return min(self.sources, key=lambda source: (min(source.count(connection, low, high), COUNTED), not source.is_of_days))


def dates(connection: Connection, since: str | None, until: str | None) -> Source:
    """Return the source of the rows in a range of days (ISO), both included."""
    sql = (
        "WITH RECURSIVE d (day) AS (SELECT min(date) FROM changes INDEXED BY changes_by_date WHERE date >= ?1 "
        "UNION ALL SELECT (SELECT min(date) FROM changes INDEXED BY changes_by_date WHERE date > d.day) FROM d "
        "WHERE d.day IS NOT NULL AND d.day <= ?2) SELECT day FROM d WHERE day <= ?2 LIMIT ?3"
    )
    found = tuple(day for (day,) in connection.rows(sql, (*_bounds((since, until)), FEW_KEYS + 1)))
    return Source(((BY_DATE, found),)) if len(found) <= FEW_KEYS else Source(days=((since, until),))


def span(connection: Connection, since: str | None, until: str | None) -> tuple[int, int] | None:
    """Return the smallest and the greatest id of a row in a range of days (ISO), ``None`` where the days are too many to look.

    What was recorded in the order of its dates, as nearly all is, then need not be looked for from the log's beginning or end.
    """
    ends = []
    for newest_first in (False, True):
        heads = _Within(connection, [(FIRST, LAST)], newest_first=newest_first).heads_of_days(*_bounds((since, until)), _MOST_DAYS + 1)
        if len(heads) > _MOST_DAYS:
            return None
        ends.append([number for number, _ in heads])
    return min(ends[0], default=LAST), max(ends[1], default=FIRST)


def _bounds(days: tuple[str | None, str | None]) -> tuple[str, str]:
    """Return two texts between which all days of a range sort: none sorts before the empty text, and digits sort before a tilde."""
    return days[0] or "", days[1] or "~"


def first_seen(connection: Connection, since: str) -> int:
    """Return an id before which no row of the log, baseline left out, was seen at or after an instant; past all where none was."""
    versions = "SELECT min(id) FROM versions INDEXED BY versions_by_seen WHERE number > 1 AND seen >= ?"
    wholes = "SELECT min(change_id) FROM occasions INDEXED BY occasions_by_seen WHERE seen >= ?"
    whole = connection.value(wholes, (since,))
    found = [LAST if whole is None else whole]
    version = connection.value(versions, (since,))
    if version is not None:
        # Ids of versions and of rows grow together, so that its rows stand behind those of one before it; those of history name no rows.
        before = "SELECT last_change FROM versions WHERE id BETWEEN ? AND ? AND last_change IS NOT NULL ORDER BY id DESC LIMIT 1"
        found.append((connection.value(before, (version - _LOOK_BACK, version - 1)) or FIRST - 1) + 1)
    return min(found)


def _json(value: Sequence[Any]) -> str:
    return orjson.dumps(value).decode()
