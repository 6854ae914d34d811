"""Groups of studies that a filter names by something else than their numbers: of a watch, with a site in a country, with words.

A small group is looked up at once, and its rows are found by study; a large one is met soon enough on a walk through the log, where each
row's study is asked about.
"""

# ruff: noqa: S608 - statements are put together from constants; every value is bound

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

from trialsync.store.sources import BY_STUDY, FIRST, Source, count_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trialsync.model import Json
    from trialsync.store.connection import Connection

_LISTED: Final = "(SELECT value FROM json_each(?))"
_SMALL: Final = 1_000
_SHARE: Final = 100
"""A group is small with so many studies, or one in so many of all: then a walk would pass by so many rows that looking up is quicker."""

_GATHERED: Final = 100_000
_TOLD: Final = 300_000
"""Of so many studies, or rows, that hold a word a list is made; whether one of more holds it is looked up one by one, the sooner found."""


_SAMPLE: Final = 10
_ENDS: Final = ("min", "max")


@dataclass(frozen=True, slots=True)
class Part:
    """A condition, its values, and the source that gives every row for which it holds, where there is one."""

    text: str
    values: list[Any]
    source: Source | None = None


class Groups:
    """The groups of one store; with ``baseline`` baseline rows are asked about, which hang on a study by their version alone.

    With ``many``, so many rows will be looked at that a list of whatever a word is held by is worth its making. With ``keep`` it is kept
    for the statements that follow, which costs half as much again.
    """

    def __init__(self, connection: Connection, *, baseline: bool, many: bool = False, keep: bool = False) -> None:
        self.connection = connection
        self._many = many
        self._keep = keep
        # Never what a row is looked up by, which the sign says: a list of many studies would be gone through for each row.
        self._study = "+s.id" if baseline else "+c.study_id"
        self._last = connection.value("SELECT max(id) FROM studies") or 0
        self._small = max(_SMALL, self._last // _SHARE)

    def of(self, table: str, column: str, keys: Sequence[Json]) -> Part:
        """Return the condition that a study stands in a table under one of these keys; the table's own key begins with the two."""
        wanted = _json(keys)
        number = self.connection.value(
            f"SELECT count(*) FROM (SELECT 1 FROM {table} WHERE {column} IN {_LISTED} LIMIT ?)", (wanted, self._small + 1)
        )
        if number <= self._small:
            sql = f"SELECT s.id FROM {table} m CROSS JOIN studies s ON s.nct_id = m.nct_id WHERE m.{column} IN {_LISTED}"
            return self._these(tuple({study for (study,) in self.connection.rows(sql, (wanted,))}))
        return Part(f"EXISTS (SELECT 1 FROM {table} m WHERE m.{column} IN {_LISTED} AND m.nct_id = v.nct_id)", [wanted])

    def speaking(self, query: str) -> Part:
        """Return the condition that a study's words are as a query of FTS5 wants them."""
        number = count_words(self.connection, "study_words", query, self._small + 1)
        if number <= self._small:
            sql = "SELECT rowid FROM study_words WHERE study_words MATCH ?"
            return self._these(tuple(study for (study,) in self.connection.rows(sql, (query,))))
        is_gathered = self._is_held_by(_GATHERED, "study_words", query, FIRST, self._last)
        return self._holding("study_words", self._study, query, is_gathered=is_gathered)

    def told(self, term: str) -> Part:
        """Return the condition that a row's own before or after holds a word, a term of FTS5."""
        bounds = (self.connection.value(f"SELECT {end}(id) FROM changes") for end in _ENDS)
        first, last = (number or FIRST for number in bounds)
        part = self._holding("change_words", "c.id", term, is_gathered=self._is_held_by(_TOLD, "change_words", term, first, last))
        return Part(part.text, part.values, Source(words=(term,)))

    def _is_held_by(self, most: int, table: str, query: str, first: int, last: int) -> bool:
        """Return whether so many rows at most hold words, as a part of them, the last by id, leads one to expect: counting takes long."""
        if self._many:
            return True
        start = last - (last - first) // _SAMPLE
        return count_words(self.connection, table, query, most // _SAMPLE + 1, start, last) <= most // _SAMPLE

    def _holding(self, table: str, number: str, query: str, *, is_gathered: bool) -> Part:
        if not is_gathered:
            return Part(f"EXISTS (SELECT 1 FROM {table} WHERE {table} MATCH ? AND rowid = {number})", [query])
        gathered = f"SELECT rowid FROM {table} WHERE {table} MATCH ?"
        kept = self.connection.kept(gathered, query, make=self._keep)
        return Part(f"{number} IN (SELECT id FROM {kept})", []) if kept else Part(f"{number} IN ({gathered})", [query])

    def _these(self, studies: tuple[int, ...]) -> Part:
        return Part(f"{self._study} IN {_LISTED}", [_json(studies)], Source(((BY_STUDY, studies),)))


def countries(connection: Connection) -> list[str]:
    """Return the countries' names as studies spell them, each once."""
    # Each is looked up behind the one before: the table is a thousand times as long as its names are many.
    sql = (
        "WITH RECURSIVE k (name) AS (SELECT min(country) FROM study_countries UNION ALL "
        "SELECT (SELECT min(country) FROM study_countries WHERE country > k.name) FROM k WHERE k.name IS NOT NULL) "
        "SELECT name FROM k WHERE name IS NOT NULL"
    )
    return [name for (name,) in connection.rows(sql)]


def _json(value: Json | Sequence[Json]) -> str:
    return orjson.dumps(value).decode()
