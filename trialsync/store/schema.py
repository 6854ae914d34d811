"""The store's tables, as migrations: recorded in the store, applied in order, never edited.

What a study said is in ``contents``, compressed; everything else is plain SQL. Baseline rows of ``changes`` are kept small: they have no
values (those are in the version), no tier and kind where the field's and ``added`` are meant, and are in no secondary index. The view
``change_log`` puts everything together under the names that a change has in JSON. Rows about a study as a whole (``registry.presence``,
``watch.<name>``) hang on the version that was current, and have their own dates in ``occasions``.

Columns named ``seal`` hold a second copy, or a digest, of what nothing else in the store repeats: SQLite checks the shape of its file, not
its values.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlite_utils import Migrations

from trialsync.errors import StoreBusy, StoreForeign, StoreUnwritable
from trialsync.model import Tier
from trialsync.store.connection import APPLICATION_ID, Connection, Faults, check_version, connect, create_file
from trialsync.store.lock import Lock
from trialsync.study.fields import FIELDS, PRESENCE

if TYPE_CHECKING:
    from sqlite_utils import Database

PAGE_BYTES: Final = 1024
"""A study's blob is about 3 kB: SQLite's default of 4 kB would leave a fifth of their pages empty, this leaves a twentieth."""

MIGRATIONS: Final = Migrations("trialsync")


@MIGRATIONS()
def m001_first_store(db: Database) -> None:
    """Make the first tables."""
    for statement in _FIRST_STORE:
        db.execute(statement)
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    db.execute("PRAGMA user_version = 1")


@MIGRATIONS()
def m002_history_and_notices(db: Database) -> None:
    """Make room for the registry's own history, for notices, and for the rule by which a version was compared."""
    for statement in _HISTORY_AND_NOTICES:
        db.execute(statement)
    db.execute("PRAGMA user_version = 2")


_FIRST_STORE: Final = (
    """
    CREATE TABLE studies (
        id INTEGER PRIMARY KEY,
        nct_id TEXT NOT NULL UNIQUE,
        title TEXT,
        overall_status TEXT,
        phases TEXT NOT NULL,
        study_type TEXT,
        sponsor TEXT,
        conditions TEXT NOT NULL,
        countries TEXT NOT NULL,
        enrollment INTEGER,
        start_date TEXT,
        primary_completion_date TEXT,
        completion_date TEXT,
        has_results INTEGER NOT NULL,
        first_posted TEXT,
        posted TEXT,
        presence TEXT NOT NULL DEFAULT 'listed',
        merged_into TEXT,
        missing_since TEXT,
        version INTEGER NOT NULL,
        bytes_digest BLOB,
        seal TEXT GENERATED ALWAYS AS (presence || coalesce(merged_into, '') || coalesce(missing_since, '')) STORED
    ) STRICT
    """,
    "CREATE TABLE study_countries (country TEXT NOT NULL, nct_id TEXT NOT NULL, PRIMARY KEY (country, nct_id)) STRICT, WITHOUT ROWID",
    """
    CREATE TABLE versions (
        id INTEGER PRIMARY KEY,
        nct_id TEXT NOT NULL REFERENCES studies (nct_id),
        number INTEGER NOT NULL,
        registry_version INTEGER,
        date TEXT NOT NULL,
        ordinal INTEGER NOT NULL,
        not_before TEXT,
        load TEXT NOT NULL,
        posted TEXT,
        seen TEXT NOT NULL,
        origin TEXT NOT NULL,
        fingerprint TEXT NOT NULL,
        first_change INTEGER,
        last_change INTEGER,
        seal INTEGER NOT NULL,
        UNIQUE (nct_id, number)
    ) STRICT
    """,
    "CREATE TABLE contents (version_id INTEGER PRIMARY KEY REFERENCES versions (id), content BLOB NOT NULL) STRICT",
    """
    CREATE TABLE fields (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        path TEXT,
        item_key TEXT,
        tier TEXT NOT NULL,
        "by" TEXT,
        core INTEGER NOT NULL,
        known INTEGER NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE changes (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        version_id INTEGER NOT NULL REFERENCES versions (id),
        field_id INTEGER NOT NULL REFERENCES fields (id),
        item TEXT,
        attribute TEXT,
        baseline INTEGER NOT NULL,
        date TEXT,
        kind TEXT,
        tier TEXT,
        "by" TEXT,
        before TEXT,
        after TEXT
    ) STRICT
    """,
    "CREATE INDEX changes_by_id ON changes (id) WHERE baseline = 0",
    "CREATE INDEX changes_by_date ON changes (date) WHERE baseline = 0",
    "CREATE INDEX changes_by_field ON changes (field_id) WHERE baseline = 0",
    "CREATE INDEX changes_by_version ON changes (version_id) WHERE baseline = 0",
    """
    CREATE TABLE occasions (
        change_id INTEGER PRIMARY KEY REFERENCES changes (id),
        not_before TEXT,
        load TEXT NOT NULL,
        posted TEXT,
        seen TEXT NOT NULL,
        origin TEXT NOT NULL,
        seal INTEGER NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE change_facts (
        change_id INTEGER NOT NULL REFERENCES changes (id),
        fact TEXT NOT NULL,
        rule INTEGER NOT NULL,
        json TEXT NOT NULL,
        PRIMARY KEY (change_id, fact)
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX change_facts_by_fact ON change_facts (fact)",
    """
    CREATE TABLE watches (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        "query" TEXT NOT NULL,
        since TEXT NOT NULL,
        seal TEXT GENERATED ALWAYS AS (name || "query" || since) STORED
    ) STRICT
    """,
    """
    CREATE TABLE watch_studies (
        watch_id INTEGER NOT NULL REFERENCES watches (id),
        nct_id TEXT NOT NULL REFERENCES studies (nct_id) DEFERRABLE INITIALLY DEFERRED,
        joined_load TEXT NOT NULL,
        left_load TEXT,
        seal INTEGER GENERATED ALWAYS AS (
            watch_id * 1000000007 + CAST(substr(nct_id, 4) AS INTEGER) * 10007 + CAST(replace(joined_load, '-', '') AS INTEGER) * 101
            + CAST(replace(coalesce(left_load, ''), '-', '') AS INTEGER)
        ) STORED,
        PRIMARY KEY (watch_id, nct_id, joined_load)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE polls (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        watch TEXT,
        origin TEXT NOT NULL,
        load TEXT,
        data_timestamp TEXT,
        "query" TEXT,
        started TEXT NOT NULL,
        finished TEXT,
        ended TEXT,
        studies INTEGER NOT NULL DEFAULT 0,
        new INTEGER NOT NULL DEFAULT 0,
        updated INTEGER NOT NULL DEFAULT 0,
        unchanged INTEGER NOT NULL DEFAULT 0,
        skipped INTEGER NOT NULL DEFAULT 0,
        changes INTEGER NOT NULL DEFAULT 0,
        requests INTEGER NOT NULL DEFAULT 0,
        message TEXT,
        whole INTEGER NOT NULL DEFAULT 1,
        etag TEXT,
        never INTEGER NOT NULL DEFAULT 0,
        covered BLOB,
        unshown BLOB,
        seal INTEGER
    ) STRICT
    """,
    "CREATE INDEX polls_by_watch ON polls (watch, ended)",
    "CREATE INDEX polls_by_load ON polls (load) WHERE covered IS NOT NULL",
    """
    CREATE TABLE slices (
        watch_id INTEGER NOT NULL REFERENCES watches (id),
        place INTEGER NOT NULL,
        first TEXT,
        last TEXT,
        undated INTEGER NOT NULL,
        swept TEXT,
        seal TEXT GENERATED ALWAYS AS (coalesce(first, '') || ' ' || coalesce(last, '') || ' ' || coalesce(swept, '') || undated) STORED,
        PRIMARY KEY (watch_id, place)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE said (
        what TEXT PRIMARY KEY,
        since TEXT NOT NULL,
        seal TEXT GENERATED ALWAYS AS (what || since) STORED
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE holder (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        pid INTEGER NOT NULL,
        host TEXT NOT NULL,
        command TEXT NOT NULL,
        since TEXT NOT NULL
    ) STRICT
    """,
    """
    CREATE VIRTUAL TABLE study_words USING fts5 (
        title, conditions, sponsor, content = 'studies', content_rowid = 'id', tokenize = 'unicode61 remove_diacritics 2'
    )
    """,
    """
    CREATE TRIGGER studies_are_searchable AFTER INSERT ON studies BEGIN
        INSERT INTO study_words (rowid, title, conditions, sponsor) VALUES (new.id, new.title, new.conditions, new.sponsor);
    END
    """,
    """
    CREATE TRIGGER studies_stay_searchable AFTER UPDATE OF title, conditions, sponsor ON studies
    WHEN old.title IS NOT new.title OR old.conditions IS NOT new.conditions OR old.sponsor IS NOT new.sponsor BEGIN
        INSERT INTO study_words (study_words, rowid, title, conditions, sponsor)
            VALUES ('delete', old.id, old.title, old.conditions, old.sponsor);
        INSERT INTO study_words (rowid, title, conditions, sponsor) VALUES (new.id, new.title, new.conditions, new.sponsor);
    END
    """,
    "CREATE VIRTUAL TABLE change_words USING fts5 (value, content = '', tokenize = 'unicode61 remove_diacritics 2')",
    """
    CREATE VIEW change_log AS
    SELECT
        c.id AS id,
        s.nct_id || '@' || coalesce(c.date, v.date) || CASE WHEN o.change_id IS NULL AND v.ordinal > 1 THEN '.' || v.ordinal ELSE '' END
            || '#' || f.name || coalesce('.' || replace(replace(c.item, '%', '%25'), '.', '%2E'), '') || coalesce('.' || c.attribute, '')
            AS ref,
        s.nct_id AS nct_id,
        s.title AS title,
        s.sponsor AS sponsor,
        v.number AS version,
        v.registry_version AS registry_version,
        coalesce(c.date, v.date) AS date,
        CASE WHEN o.change_id IS NULL THEN v.not_before ELSE o.not_before END AS not_before,
        coalesce(o.load, v.load) AS load,
        CASE WHEN o.change_id IS NULL THEN v.posted ELSE o.posted END AS posted,
        coalesce(o.seen, v.seen) AS seen,
        f.name || coalesce('.' || c.item, '') || coalesce('.' || c.attribute, '') AS path,
        f.name AS field,
        c.item AS item,
        c.attribute AS attribute,
        coalesce(c.kind, 'added') AS kind,
        coalesce(c.tier, f.tier) AS tier,
        c.before AS before,
        c.after AS after,
        c.baseline AS baseline,
        c."by" AS "by",
        coalesce(o.origin, v.origin) AS origin,
        (SELECT coalesce(json_group_array(json(x.json)), '[]') FROM change_facts x WHERE x.change_id = c.id) AS facts,
        'https://clinicaltrials.gov/study/' || s.nct_id AS url
    FROM changes c
    JOIN versions v ON v.id = c.version_id
    JOIN studies s ON s.nct_id = v.nct_id
    JOIN fields f ON f.id = c.field_id
    LEFT JOIN occasions o ON o.change_id = c.id
    """,
)

_HISTORY_AND_NOTICES: Final = (
    # What stands was compared by the first rule.
    "ALTER TABLE versions ADD COLUMN rule INTEGER NOT NULL DEFAULT 1",
    """
    CREATE TABLE notices (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        load TEXT NOT NULL,
        field TEXT NOT NULL,
        kind TEXT NOT NULL,
        studies INTEGER NOT NULL,
        followed INTEGER NOT NULL,
        seen TEXT NOT NULL,
        text TEXT NOT NULL,
        seal TEXT GENERATED ALWAYS AS (
            load || ' ' || field || ' ' || kind || ' ' || studies || ' ' || followed || ' ' || seen || ' ' || text
        ) STORED,
        UNIQUE (load, field, kind)
    ) STRICT
    """,
    # How far back the registry's history of a study is recorded; a study need not be in the store while its history is being fetched.
    """
    CREATE TABLE histories (
        nct_id TEXT PRIMARY KEY,
        listed INTEGER NOT NULL,
        oldest INTEGER,
        newest INTEGER,
        complete INTEGER NOT NULL DEFAULT 0,
        fetched TEXT NOT NULL,
        phrases BLOB,
        seal TEXT GENERATED ALWAYS AS (
            nct_id || ' ' || listed || ' ' || coalesce(oldest, '') || ' ' || coalesce(newest, '') || ' ' || complete || ' ' || fetched
        ) STORED
    ) STRICT, WITHOUT ROWID
    """,
    # What was fetched of a history that is not recorded yet, so that nothing is asked for twice after an interruption.
    """
    CREATE TABLE history_pages (
        nct_id TEXT NOT NULL,
        registry_version INTEGER NOT NULL,
        content BLOB NOT NULL,
        PRIMARY KEY (nct_id, registry_version)
    ) STRICT, WITHOUT ROWID
    """,
    "DROP VIEW change_log",
    """
    CREATE VIEW change_log AS
    SELECT
        c.id AS id,
        s.nct_id || '@' || CASE
            WHEN o.change_id IS NULL AND v.origin = 'history' THEN 'r' || v.registry_version
            ELSE coalesce(c.date, v.date) || CASE WHEN o.change_id IS NULL AND v.ordinal > 1 THEN '.' || v.ordinal ELSE '' END
            END
            || '#' || f.name || coalesce('.' || replace(replace(c.item, '%', '%25'), '.', '%2E'), '') || coalesce('.' || c.attribute, '')
            AS ref,
        s.nct_id AS nct_id,
        s.title AS title,
        s.sponsor AS sponsor,
        v.number AS version,
        v.registry_version AS registry_version,
        coalesce(c.date, v.date) AS date,
        CASE WHEN o.change_id IS NULL THEN v.not_before ELSE o.not_before END AS not_before,
        coalesce(o.load, v.load) AS load,
        CASE WHEN o.change_id IS NULL THEN v.posted ELSE o.posted END AS posted,
        coalesce(o.seen, v.seen) AS seen,
        f.name || coalesce('.' || c.item, '') || coalesce('.' || c.attribute, '') AS path,
        f.name AS field,
        c.item AS item,
        c.attribute AS attribute,
        coalesce(c.kind, 'added') AS kind,
        coalesce(c.tier, f.tier) AS tier,
        c.before AS before,
        c.after AS after,
        c.baseline AS baseline,
        c."by" AS "by",
        coalesce(o.origin, v.origin) AS origin,
        (SELECT coalesce(json_group_array(json(x.json)), '[]') FROM change_facts x WHERE x.change_id = c.id) AS facts,
        'https://clinicaltrials.gov/study/' || s.nct_id AS url
    FROM changes c
    JOIN versions v ON v.id = c.version_id
    JOIN studies s ON s.nct_id = v.nct_id
    JOIN fields f ON f.id = c.field_id
    LEFT JOIN occasions o ON o.change_id = c.id
    """,
)

_NOT_OURS: Final = ("sqlite_", "_sqlite_", "idx__sqlite_", "study_words_", "change_words_")

SCHEMA: Final = 2
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
    connection.execute("PRAGMA cache_size = -32000")
    if number < newest:
        backup_beside(connection, _beside(connection.path, number))
        with connection.atomic():
            migrations.apply(connection.database)


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
    """Copy an open store to a new file; one that is there from an earlier try is written again."""
    copy = create_file(target)
    try:
        with Faults(target):
            connection.raw.backup(copy.raw)
    finally:
        copy.raw.close()


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
