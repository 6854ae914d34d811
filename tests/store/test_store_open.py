"""Who may open a store, and what everyone else is told."""

from __future__ import annotations

import os
import resource
import signal
import sqlite3
import subprocess
import sys
import textwrap
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from sqlite_utils import Migrations
from store_log import STUDIES, Clock, add, add_in_page, fill, new_store, take

from trialsync.errors import StoreBusy, StoreDamaged, StoreForeign, StoreMissing, StoreTooNew, StoreUnwritable
from trialsync.model import Ended, Origin
from trialsync.store import schema
from trialsync.store.connection import connect
from trialsync.store.lock import held_by
from trialsync.store.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlite_utils import Database

    from trialsync.store.writer import Writer

HOLD = """
    import sys, time
    from datetime import UTC, datetime
    from pathlib import Path
    from trialsync.model import Origin
    from trialsync.store.writer import Writer
    writer = Writer.open(Path(sys.argv[1]), now=lambda: datetime(2026, 2, 4, tzinfo=UTC), command="trialsync run")
    writer.begin_poll(watch="w", origin=Origin.POLL, load=None, data_timestamp=None, query=None, started="2026-02-04T00:00:00.000Z")
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Return a new, empty store."""
    return new_store(tmp_path / "trialsync.db")


@pytest.fixture
def holder(store: Path) -> Iterator[subprocess.Popen[str]]:
    """Hold the store from another process."""
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(HOLD), str(store)], stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_writer_is_told_who_holds_the_store(store: Path, holder: subprocess.Popen[str]) -> None:
    """While another process writes, a writer is refused at once and told its command, number and since when; a reader is not."""
    with pytest.raises(StoreBusy, match=rf"trialsync run \(pid {holder.pid} on .+, since 2026-02-04T00:00:00.000Z\)") as refused:
        take(store)
    assert refused.value.exit_code == 5
    with Reader.open(store) as reader:
        assert reader.counts().studies == 0


def test_a_dead_holder_never_blocks(store: Path, holder: subprocess.Popen[str]) -> None:
    """A holder that was killed leaves no lock behind; its poll, which never ended, is called failed."""
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with take(store), Reader.open(store) as reader:
        (poll,) = reader.polls()
        assert poll.ended is Ended.FAILED
        assert poll.message is not None


def test_a_second_writer_in_one_process_is_refused(store: Path) -> None:
    """The lock holds within one process too, and is free again after the writer closed."""
    with take(store), pytest.raises(StoreBusy, match="trialsync sync"):
        take(store)
    assert held_by(store) is None
    with take(store):
        assert held_by(store) is not None


def test_a_missing_store_is_never_made_by_opening(tmp_path: Path) -> None:
    """Opening a store that is not there says what to do, and leaves nothing behind."""
    path = tmp_path / "none.db"
    for attempt in (lambda: take(path), lambda: Reader.open(path)):
        with pytest.raises(StoreMissing, match=r"no store at .*none\.db; first time: trialsync init; lost: trialsync restore"):
            attempt()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"NCT00000001,yes\n", b"SQLite format 3\0 and then nothing of the kind" + b"\0" * 200])
def test_a_file_that_is_no_store_is_refused(tmp_path: Path, content: bytes) -> None:
    """An empty file, a text file and the ruins of a database are refused with a sentence, and stay as they are."""
    path = tmp_path / "file.db"
    path.write_bytes(content)
    for attempt in (lambda: take(path), lambda: Reader.open(path)):
        with pytest.raises((StoreForeign, StoreDamaged)):
            attempt()
    assert path.read_bytes() == content


def test_somebody_elses_database_is_refused(tmp_path: Path) -> None:
    """A SQLite file of another program is refused, by ``create`` too, and stays as it is."""
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE theirs (x)")
    before = path.read_bytes()
    for attempt in (lambda: take(path), lambda: Reader.open(path), lambda: schema.create(path)):
        with pytest.raises(StoreForeign, match="not a trialsync store"):
            attempt()
    assert path.read_bytes() == before


def test_a_folder_is_no_store(tmp_path: Path) -> None:
    """A folder where the store is due is refused with a sentence."""
    for attempt in (lambda: take(tmp_path), lambda: Reader.open(tmp_path), lambda: schema.create(tmp_path)):
        with pytest.raises(StoreForeign, match="not a file"):
            attempt()


def test_a_store_in_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """A store can't be made where there is no folder, and the hint makes one; a file where the folder is due is as bad."""
    with pytest.raises(StoreUnwritable, match="mkdir -p"):
        schema.create(tmp_path / "no" / "store.db")
    (tmp_path / "file").write_text("x")
    for attempt in (lambda: schema.create(tmp_path / "file" / "store.db"), lambda: take(tmp_path / "file" / "store.db")):
        with pytest.raises(StoreUnwritable):
            attempt()


def test_create_leaves_a_store_as_it_is(store: Path) -> None:
    """Making a store where one stands changes nothing; an empty file, as a killed ``init`` leaves one, becomes a store."""
    with take(store) as writer:
        add(writer, STUDIES["NCT00000001"], "2026-02-04")
    schema.create(store)
    with Reader.open(store) as reader:
        assert reader.counts().studies == 1
    empty = store.with_name("empty.db")
    empty.touch()
    schema.create(empty)
    with Reader.open(empty) as reader:
        assert reader.counts().studies == 0


def test_create_takes_over_a_blank_database(tmp_path: Path) -> None:
    """A database without anything in it, as an ``init`` killed in the middle leaves one, becomes a store."""
    path = tmp_path / "blank.db"
    with closing(sqlite3.connect(path)) as blank:
        blank.execute("PRAGMA journal_mode = WAL")
        blank.execute("PRAGMA user_version = 0")
    schema.create(path)
    with take(path), Reader.open(path) as reader:
        assert reader.counts().versions == 0


def test_a_newer_store_is_refused(store: Path) -> None:
    """A store of a newer trialsync is refused by readers and writers alike, with exit code 6."""
    with closing(sqlite3.connect(store)) as newer:
        newer.execute(f"PRAGMA user_version = {schema.SCHEMA + 1}")
    for attempt in (lambda: take(store), lambda: Reader.open(store), lambda: schema.create(store)):
        with pytest.raises(StoreTooNew, match="newer trialsync") as refused:
            attempt()
        assert refused.value.exit_code == 6


def test_a_migration_makes_a_backup_first(store: Path) -> None:
    """A store of an older schema is copied beside itself, whole, before it is changed; a migration that fails changes nothing."""
    fill(store)
    older = Migrations(schema.MIGRATIONS.name)
    newer = schema.SCHEMA + 1

    @older()
    def m999_more(db: Database) -> None:
        db.execute("CREATE TABLE more (x TEXT) STRICT")
        db.execute(f"PRAGMA user_version = {newer}")

    failing = Migrations(schema.MIGRATIONS.name)

    @failing()
    def m999_fails(db: Database) -> None:
        db.execute("CREATE TABLE more (x TEXT) STRICT")
        db.execute("INSERT INTO more VALUES (1, 2)")

    connection = connect(store, writable=True)
    try:
        with pytest.raises(StoreDamaged):
            schema.migrate(connection, failing, newer)
        assert connection.value("PRAGMA user_version") == schema.SCHEMA
        assert connection.value("SELECT count(*) FROM sqlite_schema WHERE name = 'more'") == 0
        schema.migrate(connection, older, newer)
        assert connection.value("PRAGMA user_version") == newer
    finally:
        connection.close()
    with Reader.open(store.with_name(f"{store.name}.schema-{schema.SCHEMA}")) as reader:
        assert reader.counts().studies == len(STUDIES)


def test_the_file_says_whose_it_is(store: Path) -> None:
    """The store is in WAL mode, numbered and marked, all tables of ours are STRICT, and foreign keys are on for whoever writes."""
    with closing(sqlite3.connect(store)) as raw:
        assert raw.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert raw.execute("PRAGMA user_version").fetchone() == (schema.SCHEMA,)
        assert raw.execute("PRAGMA application_id").fetchone() == (0x74726C73,)
        loose = raw.execute("SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND strict = 0").fetchall()
        assert [name for (name,) in loose if not name.startswith(("sqlite_", "study_words", "change_words"))] == []
    with take(store) as writer:
        assert writer._db.value("PRAGMA foreign_keys") == 1


def test_a_full_disk_is_told_and_leaves_the_store_sound(store: Path) -> None:
    """Where no more can be written the page is refused with a sentence; what stood before stands, and the next page succeeds."""
    with take(store) as writer:
        add(writer, STUDIES["NCT00000001"], "2026-02-04")
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    big = {**STUDIES["NCT00000002"], "noise": [os.urandom(24).hex() for _ in range(20_000)]}
    with take(store) as writer:
        resource.setrlimit(resource.RLIMIT_FSIZE, (store.stat().st_size + 200_000, old[1]))
        try:
            with pytest.raises(StoreUnwritable):
                add(writer, big, "2026-02-04")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, old)
        add(writer, STUDIES["NCT00000002"], "2026-02-04")
        poll = writer.begin_poll(
            watch=None, origin=Origin.POLL, load=None, data_timestamp=None, query=None, started="2026-02-04T00:00:00.000Z"
        )
        assert poll == 1
    with Reader.open(store) as reader:
        assert reader.counts().studies == 2
        assert reader.study("NCT00000002") == STUDIES["NCT00000002"]


def test_a_page_that_fails_leaves_nothing(store: Path) -> None:
    """After an error nothing of a page is kept, what is remembered of it neither, and the same page can be written again."""
    with take(store) as writer:
        with pytest.raises(ZeroDivisionError):
            fail_in_a_page(writer)
        assert writer.known(STUDIES) == {}
        add(writer, STUDIES["NCT00000001"], "2026-02-04")
    with Reader.open(store) as reader:
        assert reader.counts().versions == 1
        assert reader.changes_of("NCT00000001")[0].id == 1
        assert reader.last_seen("NCT00000001") is None


def fail_in_a_page(writer: Writer) -> None:
    """Record a study within a page that then fails."""
    with writer.page():
        add_in_page(writer, STUDIES["NCT00000001"], "2026-02-04")
        raise ZeroDivisionError


def test_pages_never_nest(store: Path) -> None:
    """A page within a page, and a version outside of one, are bugs that show at once."""
    with take(store, Clock()) as writer, writer.page(), pytest.raises(RuntimeError, match="page within a page"), writer.page():
        pass


def test_a_reader_is_one_moment(store: Path) -> None:
    """A reader goes on answering as of when it was opened, while pages are written; a new one sees them."""
    with take(store) as writer:
        add(writer, STUDIES["NCT00000001"], "2026-02-04")
        with Reader.open(store) as reader:
            add(writer, STUDIES["NCT00000002"], "2026-02-04")
            assert reader.counts().studies == 1
        with writer.page(), Reader.open(store) as reader:
            assert reader.counts().studies == 2
