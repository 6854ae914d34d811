"""A store that an earlier trialsync wrote goes on: brought up before it is read or written, with all that it held."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from following import DAYS, World, columns, edited, invent, publish
from older_store import schema_of, write_older_schema
from store_log import STUDIES, fill, new_store, take

from trialsync.errors import StoreBusy
from trialsync.registry.sandbox import PastLine
from trialsync.store import schema
from trialsync.store.filters import ChangeFilter
from trialsync.store.lock import Lock
from trialsync.store.reader import Reader
from trialsync.store.rebuild import rebuild, would_change
from trialsync.store.verify import counts, notes, verify
from trialsync.study.diff import RULE
from trialsync.sync.backfill import Extent, backfill
from trialsync.sync.poll import Policy

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def newest(tmp_path: Path) -> Path:
    """Return a store of today with the small log in it."""
    store = new_store(tmp_path / "newest.db")
    fill(store)
    return store


@pytest.fixture(params=range(1, schema.SCHEMA), ids="schema {}".format)
def older(newest: Path, request: pytest.FixtureRequest) -> Path:
    """Return a store of each schema before today's with the same log in it."""
    store = newest.with_name("older.db")
    write_older_schema(newest, store, request.param)
    assert schema_of(store) == request.param
    return store


def everything(store: Path) -> list[object]:
    """Return what a store holds, to be compared: the log, versions with their contents, studies, watches and polls."""
    with Reader.open(store) as reader:
        found: list[object] = list(reader.changes(ChangeFilter(baseline=True)))
        for headlines in reader.studies():
            versions = reader.versions(headlines.nct_id)
            found += [headlines, *versions, *(reader.study(headlines.nct_id, version=known.number) for known in versions)]
        return [*found, *reader.watches(), *reader.polls(), *reader.changes(ChangeFilter(texts=("münchen",)))]


def test_a_store_of_an_older_schema_is_sound(older: Path) -> None:
    """An older schema is no damage: verify proves the store as it is, changes nothing, and says what opening it does."""
    before = older.read_bytes()
    assert verify(older) == []
    held = counts(older)
    note, *_ = notes(older)
    assert note == f"it is of schema {schema_of(older)}; opening it brings it to {schema.SCHEMA}, after a backup beside it"
    assert older.read_bytes() == before
    with Reader.open(older) as reader:
        assert reader.counts() == held


@pytest.mark.parametrize("by", ["a reader", "a writer"])
def test_all_that_an_older_store_holds_survives(older: Path, newest: Path, by: str) -> None:
    """Opened to read or to write, it is brought to today's schema with all that it held, is sound after, and is kept as it was."""
    number = schema_of(older)
    if by == "a reader":
        with Reader.open(older):
            pass
    else:
        with take(older):
            pass
    assert schema_of(older) == schema.SCHEMA
    assert verify(older) == []
    assert everything(older) == everything(newest)
    kept = older.with_name(f"older.db.schema-{number}")
    assert schema_of(kept) == number
    assert verify(kept) == []


def lived(folder: Path, name: str) -> World:
    """Return a world that was polled for three loads: a study with a past goes on, another joins."""
    first = edited(invent(1), statusModule__lastUpdateSubmitDate="2026-01-08")
    second = edited(first, DAYS[1], statusModule__lastUpdateSubmitDate=DAYS[0], statusModule__overallStatus="SUSPENDED")
    fourth = edited(second, DAYS[3], statusModule__lastUpdateSubmitDate=DAYS[2], statusModule__overallStatus="TERMINATED")
    past = PastLine("NCT00000001", "2025-05-28", "2025-06-02", {"protocolSection.statusModule.overallStatus": "NOT_YET_RECRUITING"})
    world = World(folder, publish([first], [second], [invent(2)], [fourth]), name, past=[past])
    world.poll()
    world.next()
    world.next()
    return world


@pytest.mark.parametrize("number", range(1, schema.SCHEMA))
def test_a_store_of_an_older_schema_goes_on_as_one_of_today(tmp_path: Path, number: int) -> None:
    """Brought up, it is polled, backfilled and rebuilt; no row that it told is lost or altered, and the end is a store of today's."""
    today, older = lived(tmp_path, "today.db"), lived(tmp_path, "older.db")
    older.store = tmp_path / "brought-up.db"
    write_older_schema(tmp_path / "older.db", older.store, number)
    told = {row.id: row for row in today.log()}
    for world in (today, older):
        world.next()
        with world.registry() as registry, world.writer() as writer:
            (done,) = backfill(
                ("NCT00000001",), registry=registry, writer=writer, now=world.clock, policy=Policy(), extent=Extent()
            ).studies
        assert (done.versions, done.complete, done.error) == (1, True, None)
        assert verify(world.store) == []
    kept = {row.id: row for row in older.log()}
    assert columns(told.values(), but=("version",)) == columns([kept[number] for number in told], but=("version",))
    # Versions of the first schema were compared by the first rule.
    assert len(notes(older.store)) == (number == 1)
    with older.writer() as writer:
        rebuild(writer, "core")
    assert notes(older.store) == []
    assert verify(older.store) == []
    assert would_change(older.store, "core").differs == 0
    assert columns(older.log(baseline=True), but=("id",)) == columns(today.log(baseline=True), but=("id",))


def test_what_an_older_store_is_missing_is_damage(older: Path) -> None:
    """A part that its own schema had and that is gone, and a row that was altered, are problems of an older store too."""
    with closing(sqlite3.connect(older, isolation_level=None)) as raw:
        raw.execute("DROP INDEX changes_by_date")
        raw.execute("UPDATE versions SET posted = '2020-01-01' WHERE id = 2")
    assert verify(older) == [
        "changes_by_date is missing from the schema",
        "NCT00000002 version 1, or a row of the log that it brought, was altered since it was written",
    ]


def test_what_was_fetched_of_a_history_is_looked_at(newest: Path) -> None:
    """A damaged answer that waits to be recorded is a problem that names its study."""
    with take(newest) as writer:
        writer.keep_answer("NCT00000001", 3, b"{}")
    assert verify(newest) == []
    with closing(sqlite3.connect(newest, isolation_level=None)) as raw:
        raw.execute("UPDATE history_pages SET content = x'0102'")
    (problem,) = verify(newest)
    assert problem.startswith("NCT00000001: what was fetched of its history can't be read")


def test_an_older_store_that_is_held_is_not_brought_up(older: Path) -> None:
    """While another process holds an older store a reader is told why it can't be read now, and nothing is changed."""
    number = schema_of(older)
    lock = Lock(older)
    lock.acquire()
    try:
        with pytest.raises(StoreBusy, match=rf"is of schema {number} and has to be brought to {schema.SCHEMA} before it can be read"):
            Reader.open(older)
    finally:
        lock.release()
    assert schema_of(older) == number


def test_versions_of_an_older_rule_are_counted_and_not_replayed(newest: Path) -> None:
    """Rows that an older rule made are no problem; a note counts their versions and names the command; an altered rule is noticed."""
    with closing(sqlite3.connect(newest, isolation_level=None)) as raw:
        raw.execute("UPDATE versions SET rule = ? WHERE nct_id = ? AND number = 2", (RULE - 1, next(iter(STUDIES))))
    (note,) = notes(newest)
    assert note == "1 version was compared by an older rule, and their rows are not replayed: trialsync rebuild makes them anew"
    assert len(verify(newest)) == 1
