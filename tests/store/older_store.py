"""A store as an earlier trialsync wrote it: made by the first migrations alone, with the rows of a store of today."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from trialsync.store import schema
from trialsync.store.connection import Connection, create_file
from trialsync.store.contents import JOINED
from trialsync.store.seal import CHANGE_COLUMNS, VERSION_COLUMNS, seal
from trialsync.store.wording import whole_wording_of

if TYPE_CHECKING:
    from pathlib import Path


def write_older_schema(like: Path, path: Path, number: int) -> None:
    """Make a store of schema 1 or 2 at ``path`` that holds what the store ``like`` holds."""
    connection = create_file(path)
    try:
        connection.execute(f"PRAGMA page_size = {schema.PAGE_BYTES}")
        connection.execute("PRAGMA journal_mode = WAL")
        newer = sorted(set(schema.due(connection)) - set(schema.due(connection, number)))
        with connection.atomic():
            schema.MIGRATIONS.apply(connection.database, stop_before=newer)
        connection.execute("ATTACH ? AS newer", (str(like),))
        with connection.atomic():
            _copy_rows(connection)
            _make_words(connection)
            if number == 1:
                _seal(connection)
    finally:
        connection.close()


def _copy_rows(connection: Connection) -> None:
    """Copy the rows of every table, as far as the older schema has their columns."""
    connection.execute("PRAGMA defer_foreign_keys = ON")
    tables = "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND strict AND name <> '_sqlite_migrations'"
    connection.execute(f"INSERT INTO contents SELECT v.id, c.content FROM newer.versions v JOIN newer.{JOINED}")  # noqa: S608
    for (table,) in list(connection.rows(f"{tables} AND name <> 'contents'")):
        names = ", ".join(f'"{name}"' for (name,) in connection.rows("SELECT name FROM pragma_table_xinfo(?) WHERE hidden = 0", (table,)))
        connection.execute(f"INSERT INTO main.{table} ({names}) SELECT {names} FROM newer.{table}")  # noqa: S608
    connection.execute("DELETE FROM main.sqlite_sequence")
    connection.execute(
        "INSERT INTO main.sqlite_sequence SELECT * FROM newer.sqlite_sequence WHERE name IN (SELECT name FROM main.sqlite_schema)"
    )


def _make_words(connection: Connection) -> None:
    for number, before, after in list(connection.rows("SELECT id, before, after FROM changes WHERE baseline = 0")):
        said = whole_wording_of(before, after)
        if said:
            connection.execute("INSERT INTO change_words (rowid, value) VALUES (?, ?)", (number, said))


def _seal(connection: Connection) -> None:
    """Seal versions as the first trialsync did: without a rule."""
    rows = f"SELECT {CHANGE_COLUMNS} FROM changes c JOIN fields f ON f.id = c.field_id WHERE c.id BETWEEN ? AND ? ORDER BY c.id"  # noqa: S608
    for number, *columns in list(connection.rows(f"SELECT id, {VERSION_COLUMNS} FROM main.versions")):  # noqa: S608
        connection.execute("UPDATE versions SET seal = ? WHERE id = ?", (seal(columns, *connection.rows(rows, columns[-2:])), number))


def schema_of(path: Path) -> int:
    """Return the schema's number that a file says it has."""
    raw = sqlite3.connect(path)
    try:
        return int(raw.execute("PRAGMA user_version").fetchone()[0])
    finally:
        raw.close()
