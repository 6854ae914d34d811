"""The store's tables, as migrations: recorded in the store, applied in order, never edited. Their SQL is in ``tables``."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlite_utils import Migrations

from trialsync.errors import StoreBusy, StoreForeign, StoreUnwritable
from trialsync.model import Tier
from trialsync.store.baseline_tables import BASELINES, CHANGES_ALONE
from trialsync.store.baselines import SITES, in_runs
from trialsync.store.connection import APPLICATION_ID, Connection, Faults, check_version, connect, create_file
from trialsync.store.lock import Lock
from trialsync.store.tables import COUNTS_AND_PLACES, FIRST_STORE, HISTORY_AND_NOTICES
from trialsync.store.wording import wording_of
from trialsync.study.fields import FIELDS, PRESENCE

if TYPE_CHECKING:
    from sqlite_utils import Database

PAGE_BYTES: Final = 1024
"""A study's blob is about 3 kB: SQLite's default of 4 kB would leave a fifth of their pages empty, this leaves a twentieth."""

_LOG_PAGES: Final = 8_000
"""The pages to which the log may grow before it is written back: with SQLite's 1,000 an import writes its indexes' pages twice as often."""

MIGRATIONS: Final = Migrations("trialsync")


@MIGRATIONS()
def m001_first_store(db: Database) -> None:
    """Make the first tables."""
    for statement in FIRST_STORE:
        db.execute(statement)
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    db.execute("PRAGMA user_version = 1")


@MIGRATIONS()
def m002_history_and_notices(db: Database) -> None:
    """Make room for the registry's own history, for notices, and for the rule by which a version was compared."""
    for statement in HISTORY_AND_NOTICES:
        db.execute(statement)
    db.execute("PRAGMA user_version = 2")


@MIGRATIONS()
def m003_counts_and_places(db: Database) -> None:
    """Keep counts of what is too many to count, contents and facts where they leave no pages half empty, and each word of a row once."""
    for statement in COUNTS_AND_PLACES:
        db.execute(statement)
    rows = db.execute("SELECT id, before, after FROM changes WHERE baseline = 0")
    said = ((number, wording_of(before, after)) for number, before, after in rows)
    db.conn.executemany("INSERT INTO change_words (rowid, value) VALUES (?, ?)", ((number, text) for number, text in said if text))
    db.execute("PRAGMA user_version = 3")


@MIGRATIONS()
def m004_baselines(db: Database) -> None:
    """Put the baseline rows of a version, which were most of the log, together in one row of a table of their own."""
    for statement in BASELINES:
        db.execute(statement)
    sites = db.execute("SELECT id FROM fields WHERE name = ?", (SITES,)).fetchone()
    rows = db.execute("SELECT id, version_id, field_id, item, tier FROM changes WHERE baseline = 1 ORDER BY id")
    together = in_runs(rows, sites[0] if sites else None)
    db.conn.executemany("INSERT INTO baselines (id, version_id, rows) VALUES (?, ?, ?)", together)
    for statement in CHANGES_ALONE:
        db.execute(statement)
    db.execute("PRAGMA user_version = 4")


_NOT_OURS: Final = ("sqlite_", "_sqlite_", "idx__sqlite_", "study_words_", "change_words_")

SCHEMA: Final = 4
"""The number of the newest migration: ``PRAGMA user_version`` of a store that has them all."""


def create(path: Path) -> None:
    """Make a new, empty store; a store of ours that is there already stays as it is.

    Raises StoreForeign where another file is in the way, StoreUnwritable where it can't be made, StoreBusy where another process writes.
    """
    if path.is_file() and path.stat().st_size > 0 and not _is_blank(path):
        check_version(existing := connect(path, writable=False), SCHEMA)
        existing.close()
        return
    connection = create_file(path)
    lock = Lock(path)
    try:
        lock.acquire()
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        connection.execute("PRAGMA journal_mode = WAL")
        with connection.atomic():
            MIGRATIONS.apply(connection.database)
            name_fields(connection)
    finally:
        connection.close()
        lock.release()


def migrate(connection: Connection, migrations: Migrations = MIGRATIONS, newest: int = SCHEMA) -> None:
    """Bring an open store to the newest schema, after a backup beside it (``<store>.schema-<number>``).

    Raises StoreTooNew for a store of a newer trialsync, StoreUnwritable where there is no room for the backup.
    """
    number = check_version(connection, newest)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(f"PRAGMA wal_autocheckpoint = {_LOG_PAGES}")
    connection.execute("PRAGMA cache_size = -32000")
    if number < newest:
        backup_beside(connection, kept := _beside(connection.path, number))
        try:
            with connection.atomic():
                migrations.apply(connection.database)
        except BaseException:
            # The store is what the copy is.
            _remove(kept)
            raise


def bring_up(path: Path) -> Path | None:
    """Bring a store of an older schema to the newest; return where the store as it was is kept, ``None`` where nothing was to do.

    Raises StoreBusy where another process writes to it, StoreUnwritable where it can't be written, and what opening it raises.
    """
    connection = connect(path, writable=False)
    try:
        number = check_version(connection, SCHEMA)
    finally:
        connection.raw.close()
    if number == SCHEMA:
        return None
    lock = Lock(path)
    try:
        lock.acquire()
        connection = connect(path, writable=True)
        try:
            migrate(connection)
            name_fields(connection)
        finally:
            connection.raw.close()
    except (StoreBusy, StoreUnwritable) as error:
        reason = f"{path} is of schema {number} and has to be brought to {SCHEMA} before it can be read: {error.message}"
        raise type(error)(reason, hint=error.hint) from error
    finally:
        lock.release()
    return _beside(path, number)


def _beside(path: Path, number: int) -> Path:
    """Return where a migration keeps the store as it was."""
    return path.with_name(f"{path.name}.schema-{number}")


def backup_beside(connection: Connection, target: Path) -> None:
    """Copy an open store to a new file, of which nothing is left where that fails; one from an earlier try is written again."""
    copy = create_file(target)
    try:
        with Faults(target):
            connection.raw.backup(copy.raw)
    except BaseException:
        copy.raw.close()
        _remove(target)
        raise
    copy.raw.close()


def _remove(copy: Path) -> None:
    """Take a copy of a store away that nobody needs: it may be what fills the disk."""
    for end in ("", "-journal"):
        # The reason is told already.
        with suppress(OSError):
            copy.with_name(copy.name + end).unlink(missing_ok=True)


def due(connection: Connection, number: int = SCHEMA) -> list[str]:
    """Return the names of the migrations that a store of a schema should have and lacks, in order."""
    with Faults(connection.path):
        return [migration.name for migration in MIGRATIONS.pending(connection.database) if _number(migration.name) <= number]


def _number(migration: str) -> int:
    """Return the schema that a migration leads to: the number in its name."""
    return int(migration[1:4])


def parts(number: int = SCHEMA) -> dict[str, str | None]:
    """Return the SQL of every part of a schema, by name; SQLite's own tables and those of its extensions left out."""
    connection = Connection(Path(":memory:"), sqlite3.connect(":memory:", isolation_level=None))
    try:
        newer = [name for name in due(connection) if _number(name) > number]
        with connection.atomic():
            MIGRATIONS.apply(connection.database, stop_before=newer)
        found = connection.rows("SELECT name, sql FROM sqlite_schema")
        return {name: sql for name, sql in found if not name.startswith(_NOT_OURS)}
    finally:
        connection.raw.close()


def _is_blank(path: Path) -> bool:
    """Return whether a file is a database without anything in it, as an ``init`` that was killed leaves it."""
    connection = create_file(path)
    try:
        return bool(connection.value("SELECT count(*) FROM sqlite_schema") == 0 and connection.value("PRAGMA application_id") == 0)
    except StoreForeign:
        return False
    finally:
        connection.raw.close()


def name_fields(connection: Connection) -> None:
    """Write the vocabulary into ``fields``; rows that stand keep their ids, a field that became known is marked so."""
    wanted: list[tuple[str, str | None, str | None, str, str | None, int]] = [
        (
            field.name,
            field.path,
            ", ".join(field.items.key) if field.items else None,
            field.tier.value,
            field.by.value if field.by else None,
            int(field.core),
        )
        for field in FIELDS
    ]
    wanted.append((PRESENCE, None, None, Tier.HEADLINE.value, "registry", 0))
    stand = set(connection.rows('SELECT name, path, item_key, tier, "by", core FROM fields WHERE known = 1'))
    missing = [row for row in wanted if row not in stand]
    if missing:
        connection.many(
            'INSERT INTO fields (name, path, item_key, tier, "by", core, known) VALUES (?, ?, ?, ?, ?, ?, 1) ON CONFLICT (name) DO UPDATE '
            'SET path = excluded.path, item_key = excluded.item_key, tier = excluded.tier, "by" = excluded."by", core = excluded.core, '
            "known = 1",
            missing,
        )
