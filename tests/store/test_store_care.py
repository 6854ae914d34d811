"""Backups, restores, and the proof that a store is sound."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from store_log import STUDIES, add, edited, fill, new_store, take

from trialsync.errors import StoreBusy, StoreDamaged, StoreError, StoreForeign, StoreMissing, StoreUnwritable, TrialsyncError
from trialsync.store import care
from trialsync.store.filters import ChangeFilter
from trialsync.store.reader import Reader
from trialsync.store.verify import verify
from trialsync.sync.ready import Crew

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Return a store with the small log."""
    path = new_store(tmp_path / "trialsync.db")
    fill(path)
    return path


@pytest.fixture(scope="module")
def crew() -> Iterator[Crew]:
    """Return processes that help."""
    with Crew() as helping:
        yield helping


def test_a_sound_store_has_no_problems(store: Path, tmp_path: Path) -> None:
    """Nothing is wrong with a store that was just written, nor with an empty one."""
    assert verify(store) == []
    assert verify(new_store(tmp_path / "empty.db")) == []


def test_a_backup_to_where_nothing_can_be_made(store: Path, tmp_path: Path) -> None:
    """A place below a file, or with a name that no disk takes, is one sentence; a fault of removing what was never made adds nothing."""
    (tmp_path / "file").touch()
    for target in (tmp_path / "file" / "copy.db", tmp_path / ("x" * 300)):
        with pytest.raises(StoreUnwritable, match="can't be made"):
            care.backup(store, target)


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        ("UPDATE contents SET content = substr(content, 1, 30) WHERE id = 1", "NCT00000001 version 1 can't be read"),
        ("UPDATE versions SET fingerprint = '1-0' WHERE id = 2", "is not what its fingerprint says"),
        ("DELETE FROM contents WHERE id = 2", "has no content"),
        ("UPDATE studies SET version = 9 WHERE nct_id = 'NCT00000001'", "NCT00000001: version 3 where 9 is due"),
        ("UPDATE studies SET overall_status = 'COMPLETED' WHERE nct_id = 'NCT00000003'", "another overall_status"),
        ("DELETE FROM study_countries WHERE country = 'Germany'", "countries are not those"),
        (
            "DELETE FROM baselines WHERE id = 1",
            "NCT00000001 version 1, or a row of the log that it brought, was altered",
        ),
        ("UPDATE baselines SET rows = json_remove(rows, '$[2]') WHERE id = 1", "altered since it was written"),
        ("UPDATE changes SET version_id = 1 WHERE id = (SELECT min(id) FROM changes)", "altered since it was written"),
        ("UPDATE baselines SET version_id = 3 WHERE id = 1", "the baseline rows from 1 on stand past the first version"),
        ("UPDATE baselines SET version_id = 99 WHERE id = 1", "row 1 of baselines hangs on nothing in versions"),
        ("UPDATE baselines SET rows = substr(rows, 1, 9) WHERE id = 1", "the baseline rows from 1 on are not what any trialsync writes"),
        ("UPDATE baselines SET rows = '[]' WHERE id = 1", "the baseline rows from 1 on are not what any trialsync writes"),
        ("UPDATE baselines SET rows = '{}' WHERE id = 1", "the baseline rows from 1 on are not what any trialsync writes"),
        ("UPDATE baselines SET rows = '[1,null]' WHERE id = 1", "the baseline rows from 1 on are not what any trialsync writes"),
        ("UPDATE baselines SET rows = '[1.5]' WHERE id = 1", "the baseline rows from 1 on are not what any trialsync writes"),
        ("UPDATE baselines SET rows = '[[true]]' WHERE id = 1", "the baseline rows from 1 on are not what any trialsync writes"),
        ("UPDATE baselines SET rows = '[[1,2]]' WHERE id = 1", "the baseline rows from 1 on are not what any trialsync writes"),
        (
            "UPDATE baselines SET rows = json_replace(rows, '$[0]', 9999) WHERE id = 1",
            "baseline rows from 1 on are of a field, or a tier",
        ),
        ("UPDATE baselines SET rows = '[[1,null,\"low\"]]' WHERE id = 1", "baseline rows from 1 on are of a field, or a tier"),
        ("UPDATE baselines SET id = 2 WHERE id = 1", "have ids that others have"),
        ("UPDATE baselines SET rows = json_insert(rows, '$[#]', 1)", "have ids that others have"),
        ("UPDATE baselines SET rows = json_insert(rows, '$[#]', 1)", "have ids that rows of the log have"),
        ("UPDATE baselines SET id = 900 WHERE id = 1", "the baseline rows from 900 on are of an id that was never given out"),
        ("UPDATE changes SET before = '{'", "not JSON"),
        ("INSERT INTO change_facts SELECT * FROM change_facts LIMIT 1", "stand twice"),
        ("UPDATE changes SET date = NULL", "lack a kind"),
        ("UPDATE sqlite_sequence SET seq = 3 WHERE name = 'changes'", "never given out"),
        ("UPDATE changes SET field_id = 9999", "hangs on nothing in fields"),
        ("DROP INDEX changes_by_date", "changes_by_date is missing"),
        ("DROP TRIGGER studies_are_searchable", "studies_are_searchable is missing"),
        ("UPDATE polls SET covered = x'00'", ""),
    ],
)
def test_harm_is_named(store: Path, harm: str, says: str, crew: Crew) -> None:
    """Whatever contradicts itself in a store is named in a sentence, the same whether other processes help or not."""
    with closing(sqlite3.connect(store)) as raw, raw:
        raw.execute(harm)
    problems = verify(store)
    assert (not says and not problems) or any(says in problem for problem in problems), problems
    assert verify(store, helpers=crew, worth_from=0) == problems


def test_a_list_of_covered_studies_that_is_broken_is_named(store: Path) -> None:
    """A poll whose list of covered studies can't be read is named."""
    with closing(sqlite3.connect(store)) as raw, raw:
        raw.execute("INSERT INTO polls (origin, started, covered) VALUES ('import', '2026-02-04T00:00:00.000Z', x'00')")
    assert any("poll 1" in problem for problem in verify(store))


def test_a_backup_is_the_store_at_one_moment(store: Path, tmp_path: Path) -> None:
    """A backup of a store that is being written holds its whole pages, is one file, sound, and can be read and written."""
    target = tmp_path / "copies" / "backup.db"
    target.parent.mkdir()
    with take(store) as writer:
        add(writer, edited(STUDIES["NCT00000003"], None, statusModule__overallStatus="COMPLETED"), "2026-02-16")
        with writer.page():
            writer.set_bytes_digest("NCT00000003", b"not kept by the copy")
            assert care.backup(store, target) == target.stat().st_size
    assert verify(target) == []
    assert [path.name for path in target.parent.iterdir()] == ["backup.db"]
    with Reader.open(store) as reader, Reader.open(target) as copy:
        assert list(copy.changes(ChangeFilter(baseline=True))) == list(reader.changes(ChangeFilter(baseline=True)))
    with take(target) as writer:
        add(writer, STUDIES["NCT00000003"], "2026-02-17")


def test_a_backup_never_overwrites(store: Path, tmp_path: Path) -> None:
    """A backup to a name that is taken is refused; one of a store that is not there leaves nothing."""
    target = tmp_path / "taken.db"
    target.write_text("mine")
    with pytest.raises(StoreError, match="exists already"):
        care.backup(store, target)
    assert target.read_text() == "mine"
    with pytest.raises(StoreMissing):
        care.backup(tmp_path / "none.db", tmp_path / "copy.db")
    assert not (tmp_path / "copy.db").exists()


def test_a_backup_of_a_damaged_store_is_refused(store: Path, tmp_path: Path) -> None:
    """A store whose file is damaged is not copied as if it were sound, and nothing is left of the try."""
    content = bytearray(store.read_bytes())
    for start in range(2048, len(content), 1024):
        content[start : start + 300] = b"\xff" * 300
    store.write_bytes(content)
    with pytest.raises(StoreDamaged):
        care.backup(store, tmp_path / "copy.db")
    assert not list(tmp_path.glob("copy*"))


def test_a_restore_brings_the_backup_back(store: Path, tmp_path: Path) -> None:
    """A restore puts the backup in the store's place, keeps what stood there, and leaves the backup as it is."""
    backup = tmp_path / "backup.db"
    care.backup(store, backup)
    before = backup.read_bytes()
    with take(store) as writer:
        add(writer, edited(STUDIES["NCT00000003"], None, statusModule__overallStatus="COMPLETED"), "2026-02-16")
    done = care.restore(backup, store)
    assert done.kept is not None
    with Reader.open(store) as reader, Reader.open(done.kept) as kept:
        assert reader.headlines("NCT00000003").overall_status == "RECRUITING"
        assert kept.headlines("NCT00000003").overall_status == "COMPLETED"
    assert backup.read_bytes() == before
    assert verify(store) == []
    with take(store) as writer:
        add(writer, edited(STUDIES["NCT00000003"], None, statusModule__overallStatus="COMPLETED"), "2026-02-16")


def test_a_restore_needs_no_store(store: Path, tmp_path: Path) -> None:
    """A lost store is restored where nothing stands, and ruins are kept aside."""
    backup = tmp_path / "backup.db"
    care.backup(store, backup)
    fresh = tmp_path / "fresh.db"
    assert care.restore(backup, fresh).kept is None
    assert verify(fresh) == []
    store.write_bytes(b"ruins")
    assert care.restore(backup, store).kept is not None
    assert verify(store) == []


def test_a_restore_that_can_not_be_is_refused(store: Path, tmp_path: Path) -> None:
    """What is no store is not restored, nor over a store that is being written, nor over itself, and the store stays as it is."""
    text = tmp_path / "text.db"
    text.write_text("mine" * 1000)
    with pytest.raises(StoreForeign):
        care.restore(text, store)
    with pytest.raises(StoreError, match="the store itself"):
        care.restore(store, store)
    backup = tmp_path / "backup.db"
    care.backup(store, backup)
    with take(store), pytest.raises(StoreBusy):
        care.restore(backup, store)
    assert verify(store) == []


def test_flipped_bytes_are_noticed_or_harmless(store: Path, tmp_path: Path) -> None:
    """A store with flipped bytes, or cut short, is either said to be damaged or answers as the sound one; nothing is a traceback."""
    with take(store):
        pass
    content = store.read_bytes()
    with Reader.open(store) as reader:
        expected = list(reader.changes(ChangeFilter(baseline=True)))
    chance = random.Random(7)  # noqa: S311 - the same flips each time
    for number in range(60):
        broken = bytearray(content)
        if number % 6 == 0:
            del broken[chance.randrange(1, len(broken)) :]
        else:
            for _ in range(number % 3 + 1):
                broken[chance.randrange(len(broken))] ^= 1 << chance.randrange(8)
        path = tmp_path / f"broken-{number}.db"
        path.write_bytes(broken)
        try:
            problems = verify(path)
        except TrialsyncError as error:
            problems = [str(error)]
        try:
            with Reader.open(path) as reader:
                found = list(reader.changes(ChangeFilter(baseline=True)))
        except TrialsyncError:
            assert problems, number
            continue
        assert problems or found == expected, number
