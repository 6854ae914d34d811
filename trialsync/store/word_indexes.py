"""The indexes for words, proved: each holds the words of the rows that it was made from, every one in its place, and no others."""

# ruff: noqa: S608 - statements are put together from constants

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trialsync.store.connection import Connection

_STUDY_COLUMNS: Final = "title, conditions, sponsor"
_INDEXES: Final = (("study_words", _STUDY_COLUMNS), ("change_words", "value"))
_AT_ONCE: Final = 250_000
"""So many rows are indexed anew at a time, in some 60 MB of memory; more would be quicker."""

_PRIME: Final = 2_147_483_629
_ROW: Final = f"(doc * 2654435761 + length(col) * 97) % {_PRIME}"
_PLACE: Final = f"(offset * offset * 40503 + offset * 8191 + 17) % {_PRIME}"
_PLACES: Final = f"SELECT sum({_ROW} * ({_PLACE}) % {_PRIME}) FROM temp.{{}} WHERE term = ?"
_MASK: Final = (1 << 64) - 1


def word_problems(
    connection: Connection, said: Callable[[str | None, str | None], str], told: Callable[[int, int | None], None] | None = None
) -> Iterator[str]:
    """Yield which of the indexes for words do not hold the words that they should.

    The words of some rows after the other are indexed anew, in memory, and a sum of theirs over all words and places is compared with that
    of the index that stands; in both each word is looked up, as a search does. ``said`` gives the text under which a row of the log with
    its values is indexed; ``told`` hears how far the ids of rows are looked at.
    """
    for name, columns in _INDEXES:
        connection.execute(f"CREATE VIRTUAL TABLE temp.stands USING fts5vocab (main, {name}, instance)")
        connection.execute(f"CREATE VIRTUAL TABLE temp.standing USING fts5vocab (main, {name}, row)")
        options = "content = '', columnsize = 0, tokenize = 'unicode61 remove_diacritics 2'"
        connection.execute(f"CREATE VIRTUAL TABLE temp.fresh USING fts5 ({columns}, {options})")
        connection.execute("CREATE VIRTUAL TABLE temp.due USING fts5vocab (temp, fresh, instance)")
        connection.execute("CREATE VIRTUAL TABLE temp.terms USING fts5vocab (temp, fresh, row)")
        due = 0
        for done, total in _studies(connection) if name == "study_words" else _changes(connection, said):
            if told is not None:
                told(done, total)
            due += _sum(connection, "terms", "due")
            connection.execute("INSERT INTO temp.fresh (fresh) VALUES ('delete-all')")
        if due & _MASK != _sum(connection, "standing", "stands") & _MASK:
            yield f"the index {name} does not hold the words that it should"
        for table in ("stands", "standing", "due", "terms", "fresh"):
            connection.execute(f"DROP TABLE temp.{table}")


def _sum(connection: Connection, terms: str, places: str) -> int:
    """Return a number that depends on every word of an index and on each of its places, and on nothing else."""
    sql = _PLACES.format(places)
    return sum(
        int.from_bytes(blake2b(term.encode(), digest_size=8).digest()) * (connection.value(sql, (term,)) or 0)
        for (term,) in connection.rows(f"SELECT term FROM temp.{terms}")
    )


def _studies(connection: Connection) -> Iterator[tuple[int, int]]:
    """Index the studies anew, some at a time, and yield after each time the last id and the last of all."""
    sql = f"INSERT INTO temp.fresh (rowid, {_STUDY_COLUMNS}) SELECT id, {_STUDY_COLUMNS} FROM studies WHERE id BETWEEN ? AND ?"
    last = connection.value("SELECT max(id) FROM studies") or 0
    for bounds in _ranges(1, last):
        connection.execute(sql, bounds)
        yield bounds[1], last


def _changes(connection: Connection, said: Callable[[str | None, str | None], str]) -> Iterator[tuple[int, int]]:
    """Index the values of the log's rows anew, some at a time, and yield after each time the last id and the last of all."""
    sql = "INSERT INTO temp.fresh (rowid, value) VALUES (?, ?)"
    first, last = connection.row("SELECT (SELECT min(id) FROM changes), (SELECT max(id) FROM changes)") or (None, None)
    for bounds in _ranges(first or 1, last or 0):
        connection.many(sql, _searchable(connection, said, *bounds))
        yield bounds[1], last or 0


def _ranges(first: int, last: int) -> Iterator[tuple[int, int]]:
    yield from ((start, min(start + _AT_ONCE - 1, last)) for start in range(first, last + 1, _AT_ONCE))


def _searchable(connection: Connection, said: Callable[[str | None, str | None], str], first: int, last: int) -> Iterator[tuple[int, str]]:
    for number, before, after in connection.rows("SELECT id, before, after FROM changes WHERE id BETWEEN ? AND ?", (first, last)):
        if found := said(before, after):
            yield number, found
