"""A store as an earlier trialsync wrote it: made by the first migrations alone, with the rows of a store of today."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from trialsync.store import schema
from trialsync.store.baselines import FIELD_ID, ID, ITEM, TIER
from trialsync.store.connection import Connection, create_file
from trialsync.store.contents import JOINED
from trialsync.store.older import COLUMNS
from trialsync.store.seal import VERSION_COLUMNS, seal
from trialsync.store.wording import whole_wording_of, wording_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_WITH_COUNTS = 3


def write_older_schema(like: Path, path: Path, number: int) -> None:
    """Make a store of schema 1, 2 or 3 at ``path`` that holds what the store ``like`` holds."""
    connection = create_file(path)
    try:
        connection.execute(f"PRAGMA page_size = {schema.PAGE_BYTES}")
        connection.execute("PRAGMA journal_mode = WAL")
        newer = sorted(set(schema.due(connection)) - set(schema.due(connection, number)))
        with connection.atomic():
            schema.MIGRATIONS.apply(connection.database, stop_before=newer)
        connection.execute("ATTACH ? AS newer", (str(like),))
        with connection.atomic():
            _copy_rows(connection, number)
            _make_words(connection, whole_wording_of if number < _WITH_COUNTS else wording_of)
            if number == 1:
                _seal(connection)
    finally:
        connection.close()


def _copy_rows(connection: Connection, number: int) -> None:
    """Copy the rows of every table, as far as the older schema has their columns; the baseline's into the table of the log's."""
    connection.execute("PRAGMA defer_foreign_keys = ON")
    # What these would count is counted already.
    counting = list(connection.rows("SELECT name, sql FROM main.sqlite_schema WHERE type = 'trigger' AND name NOT LIKE 'studies%'"))
    for name, _ in counting:
        connection.execute(f"DROP TRIGGER main.{name}")
    tables = "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND strict AND name <> '_sqlite_migrations'"
    if number < _WITH_COUNTS:
        connection.execute(f"INSERT INTO contents SELECT v.id, c.content FROM newer.versions v JOIN newer.{JOINED}")  # noqa: S608
    else:
        connection.execute("INSERT INTO contents SELECT * FROM newer.contents")
    for (table,) in list(connection.rows(f"{tables} AND name <> 'contents'")):
        own = [name for (name,) in connection.rows("SELECT name FROM pragma_table_xinfo(?) WHERE hidden = 0", (table,))]
        names = ", ".join(f'"{name}"' for name in own)
        found = ", ".join("0" if (table, name) == ("changes", "baseline") else f'"{name}"' for name in own)
        connection.execute(f"INSERT INTO main.{table} ({names}) SELECT {found} FROM newer.{table}")  # noqa: S608
    connection.execute(
        "INSERT INTO main.changes (id, version_id, field_id, item, baseline, tier, date) "  # noqa: S608
        f"SELECT {ID}, b.version_id, {FIELD_ID}, {ITEM}, 1, {TIER}, iif({ID} BETWEEN v.first_change AND v.last_change, NULL, v.date) "
        "FROM newer.baselines b JOIN newer.versions v ON v.id = b.version_id JOIN json_each(b.rows) j"
    )
    for _, sql in counting:
        connection.execute(sql)
    connection.execute("DELETE FROM main.sqlite_sequence")
    connection.execute(
        "INSERT INTO main.sqlite_sequence SELECT * FROM newer.sqlite_sequence WHERE name IN (SELECT name FROM main.sqlite_schema)"
    )


def _make_words(connection: Connection, said_by: Callable[[str | None, str | None], str]) -> None:
    for number, before, after in list(connection.rows("SELECT id, before, after FROM changes WHERE baseline = 0")):
        said = said_by(before, after)
        if said:
            connection.execute("INSERT INTO change_words (rowid, value) VALUES (?, ?)", (number, said))


def _seal(connection: Connection) -> None:
    """Seal versions as the first trialsync did: without a rule."""
    rows = f"SELECT {COLUMNS} FROM changes c JOIN fields f ON f.id = c.field_id WHERE c.id BETWEEN ? AND ? ORDER BY c.id"  # noqa: S608
    for number, *columns in list(connection.rows(f"SELECT id, {VERSION_COLUMNS} FROM main.versions")):  # noqa: S608
        connection.execute("UPDATE versions SET seal = ? WHERE id = ?", (seal(columns, *connection.rows(rows, columns[-2:])), number))


def schema_of(path: Path) -> int:
    """Return the schema's number that a file says it has."""
    raw = sqlite3.connect(path)
    try:
        return int(raw.execute("PRAGMA user_version").fetchone()[0])
    finally:
        raw.close()
