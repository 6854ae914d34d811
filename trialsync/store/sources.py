"""Where the rows that a filter wants are looked for: by which index, and by which of its keys, so that no question walks the whole log.

A source gives ids in the log's order and may give too many; the filter's conditions decide on each. Every index here ends in the row's id,
so that the ids of one key stand in order, and those of several keys are merged; nothing is read that is not asked for.
"""

# ruff: noqa: S608 - statements are put together from constants; every value is bound

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import orjson

from trialsync.store.tables import HAS_COUNTRY, ITS_COUNTRY

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


@dataclass(frozen=True, slots=True)
class Index:
    """An index of the log: the table with its index, the condition under which rows are in it, its column, and the id's name."""

    table: str
    name: str
    held: str
    column: str
    id: str = "id"

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


BY_STUDY: Final = Index("changes", "changes_by_study", "baseline = 0", "study_id")
BY_FIELD: Final = Index("changes", "changes_by_field", "baseline = 0", "field_id")
BY_DATE: Final = Index("changes", "changes_by_date", "baseline = 0", "date")
BY_ORIGIN: Final = Index("changes", "changes_by_origin", "baseline = 0", "origin")
BY_COUNTRY: Final = Index("changes", "changes_by_country", HAS_COUNTRY, ITS_COUNTRY)
BY_FACT: Final = Index("change_facts", "change_facts_by_fact", "1", "fact", "change_id")


@dataclass(frozen=True, slots=True)
class Source:
    """Candidates: all rows under these keys of indexes, and all rows whose values hold these words (queries of FTS5)."""

    keys: tuple[tuple[Index, tuple[Any, ...]], ...] = ()
    words: tuple[str, ...] = ()

    def __or__(self, other: Source) -> Source:
        """Return the candidates of both."""
        return Source(self.keys + other.keys, self.words + other.words)

    @property
    def single(self) -> tuple[Index, tuple[Any, ...]] | None:
        """Return the index and the keys where there is one index of the log itself, and few keys."""
        if self.words or len(self.keys) != 1:
            return None
        index, keys = self.keys[0]
        return (index, keys) if index.table == "changes" and index is not BY_COUNTRY and len(keys) <= FEW_KEYS else None

    def count(self, connection: Connection) -> int:
        """Return how many candidates there are, without counting far past COUNTED."""
        found = 0
        for index, keys in self.keys:
            found += connection.value(
                f"SELECT count(*) FROM (SELECT 1 FROM json_each(?) j CROSS JOIN {index.source} WHERE {index.held} "
                f"AND {index.column} IS j.value LIMIT ?)",
                (_json(keys), COUNTED),
            )
        for query in self.words:
            found += count_words(connection, "change_words", query, COUNTED)
        return found

    def ids(self, connection: Connection, low: int, high: int, *, newest_first: bool) -> Iterator[int]:
        """Yield the ids of the candidates between two bounds, both included, in order, each once."""
        streams = [_merged(connection, index, keys, low, high, newest_first=newest_first) for index, keys in self.keys]
        order = "DESC" if newest_first else "ASC"
        for query in self.words:
            sql = f"SELECT rowid FROM change_words WHERE change_words MATCH ? AND rowid BETWEEN ? AND ? ORDER BY rowid {order}"
            streams.append(number for (number,) in connection.rows(sql, (query, low, high)))
        last = None
        for number in heapq.merge(*streams, reverse=newest_first):
            if number != last:
                yield number
            last = number


def count_words(connection: Connection, table: str, query: str, most: int) -> int:
    """Return how many rows of one of the two indexes for words hold them, without counting past ``most``."""
    return int(connection.value(f"SELECT count(*) FROM (SELECT 1 FROM {table} WHERE {table} MATCH ? LIMIT ?)", (query, most)))


def _merged(connection: Connection, index: Index, keys: Sequence[Any], low: int, high: int, *, newest_first: bool) -> Iterator[int]:
    """Yield the ids under many keys in order; a key's own ids are read on only when its turn has come."""
    order = "DESC" if newest_first else "ASC"
    sign = -1 if newest_first else 1
    first = f"SELECT j.value, ({index.ids('j.value', '?2', '?3', order)} LIMIT 1) FROM json_each(?1) j"
    heads = [(sign * number, key) for key, number in connection.rows(first, (_json(keys), low, high)) if number is not None]
    heads.sort()
    further: dict[Any, Iterator[tuple[Any, ...]]] = {}
    waiting: list[tuple[int, int, Any]] = []
    place = 0
    sql = index.ids("?1", "?2", "?3", order)
    while waiting or place < len(heads):
        if not waiting or (place < len(heads) and heads[place][0] < waiting[0][0]):
            rank, key = heads[place]
            bounds = (low, -rank - 1) if newest_first else (rank + 1, high)
            further[key] = connection.rows(sql, (key, *bounds))
            turn = place
            place += 1
        else:
            rank, turn, key = heapq.heappop(waiting)
        yield sign * rank
        row = next(further[key], None)
        if row is not None:
            heapq.heappush(waiting, (sign * row[0], turn, key))


@dataclass(slots=True)
class Choice:
    """Sources each of which has every row that is wanted; the fewest candidates are looked through."""

    sources: list[Source] = field(default_factory=list)

    def best(self, connection: Connection) -> Source | None:
        """Return the source with the fewest candidates, the earlier one where they are as many; ``None`` where there is none."""
        if len(self.sources) <= 1:
            return self.sources[0] if self.sources else None
        return min(self.sources, key=lambda source: min(source.count(connection), COUNTED))


def dates(connection: Connection, since: str | None, until: str | None, most: int) -> list[str] | None:
    """Return the days (ISO) in a range on which the log has rows that are no baseline, ``None`` where they are more than ``most``."""
    sql = (
        "WITH RECURSIVE d (day) AS (SELECT min(date) FROM changes INDEXED BY changes_by_date WHERE baseline = 0 AND date >= ?1 "
        "UNION ALL SELECT (SELECT min(date) FROM changes INDEXED BY changes_by_date WHERE baseline = 0 AND date > d.day) FROM d "
        "WHERE d.day IS NOT NULL AND d.day <= ?2) SELECT day FROM d WHERE day <= ?2"
    )
    # Texts sort before the empty text never, and after it always; digits sort before a tilde.
    found = [day for (day,) in islice(connection.rows(sql, (since or "", until or "~")), most + 1)]
    return found if len(found) <= most else None


def first_seen(connection: Connection, since: str) -> int:
    """Return an id before which no row of the log, baseline left out, was seen at or after an instant; past all where none was."""
    rows = (
        "SELECT min(coalesce(v.first_change, (SELECT c.id FROM changes c INDEXED BY changes_by_version WHERE c.baseline = 0 "
        "AND c.version_id = v.id ORDER BY c.id LIMIT 1))) FROM versions v INDEXED BY versions_by_seen WHERE v.number > 1 AND v.seen >= ?"
    )
    wholes = "SELECT min(change_id) FROM occasions INDEXED BY occasions_by_seen WHERE seen >= ?"
    found = (connection.value(sql, (since,)) for sql in (rows, wholes))
    return min((number for number in found if number is not None), default=LAST)


def _json(value: Sequence[Any]) -> str:
    return orjson.dumps(value).decode()
