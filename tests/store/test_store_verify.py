"""A store is verified with processes that help: they find what is found without them, whatever happens to them or to the store."""

# ruff: noqa: S608 - statements are put together from constants

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
from contextlib import closing, contextmanager
from functools import partial
from typing import TYPE_CHECKING

import orjson
import pytest
from following import DAYS, World, edited, invent, number_of, publish, status

from trialsync.registry.files import FoundStudy
from trialsync.store import codec
from trialsync.store.verify import verify
from trialsync.study.fingerprint import fingerprint
from trialsync.sync.ready import Crew

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from trialsync.model import Study

STUDIES = 700
"""So many that several processes have work at once, and some waits."""

UPDATED = 150

PLACE = "(SELECT coalesce(content_id, id) FROM versions WHERE nct_id = '{}' AND number = 1)"
"""Where the content of a study's first version stands."""

HARMS = {
    f"UPDATE contents SET content = (SELECT content FROM contents WHERE id = {PLACE.format('NCT00000507')}) "
    f"WHERE id = {PLACE.format('NCT00000508')}": "NCT00000508 version 1 is not what its fingerprint says",
    "UPDATE versions SET fingerprint = '1-00' WHERE nct_id = 'NCT00000600'": "NCT00000600 version 1 is not what its fingerprint says",
    f"UPDATE contents SET content = CAST(x'ff' || content AS BLOB) WHERE id = {PLACE.format('NCT00000400')}": (
        "NCT00000400 version 1 can't be read: its format is unknown (ff)"
    ),
    f"DELETE FROM contents WHERE id = {PLACE.format('NCT00000450')}": "NCT00000450 version 1 has no content",
    "UPDATE studies SET title = 'Another' WHERE nct_id = 'NCT00000699'": "NCT00000699: the study's row has another title than its latest",
    "UPDATE studies SET enrollment = 41 WHERE nct_id = 'NCT00000001'": "NCT00000001: the study's row has another enrollment than its",
    "UPDATE studies SET version = 2 WHERE nct_id = 'NCT00000640'": "NCT00000640: version 1 where 2 is due",
    "UPDATE versions SET number = 3 WHERE nct_id = 'NCT00000020' AND number = 2": "NCT00000020: version 3 where 2 is due",
    "DELETE FROM study_countries WHERE nct_id = 'NCT00000002' AND country = 'Norway'": "NCT00000002: its countries are not those of its",
    "INSERT INTO study_countries VALUES ('Bhutan', 'NCT00000003')": "NCT00000003: its countries are not those of its latest version",
    """UPDATE changes SET after = '"WITHDRAWN"' WHERE after = '"SUSPENDED"'
    AND version_id = (SELECT id FROM versions WHERE nct_id = 'NCT00000005' AND number = 2)""": (
        "NCT00000005 version 2: the log's rows do not lead to it from the version before"
    ),
}


def found(studies: list[Study]) -> list[FoundStudy]:
    """Return studies as a file would hold them."""
    return [FoundStudy(study, orjson.dumps(study), number_of(study)) for study in studies]


@pytest.fixture(scope="module")
def crew() -> Iterator[Crew]:
    """Return processes that help."""
    with Crew() as helping:
        yield helping


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Return a store of many studies, some of which changed; the tests work on copies."""
    made = World(tmp_path_factory.mktemp("many"), publish([]))
    studies = [invent(number) for number in range(1, STUDIES + 1)]
    made.bring(found(studies), label=DAYS[0])
    made.bring(found([status(study, "SUSPENDED", DAYS[1]) for study in studies[:UPDATED]]), label=DAYS[1])
    return made


@pytest.fixture
def store(world: World, tmp_path: Path) -> Path:
    """Return a copy of it."""
    path = tmp_path / "copy.db"
    with closing(sqlite3.connect(world.store)) as raw, closing(sqlite3.connect(path)) as copy:
        raw.backup(copy)
    return path


def children() -> list[int]:
    """Return the processes that this one started to help."""
    listed = subprocess.run(["ps", "-Aww", "-o", "pid=,ppid=,stat=,args="], capture_output=True, text=True, check=True).stdout  # noqa: S607
    rows = [line.split(None, 3) for line in listed.splitlines()]
    return [int(pid) for pid, parent, state, words in rows if int(parent) == os.getpid() and state[0] != "Z" and "serve" in words]


@contextmanager
def told_of(what: str, act: Callable[[], object], name: str, unit: str) -> Iterator[Callable[[int, int | None], None]]:
    """Do something once, as soon as a part of the work is told to be under way."""
    left = [act] if name == what else []

    def told(done: int, total: int | None) -> None:
        assert total is None or done <= total, unit
        if left:
            left.pop()()

    yield told


READING = "reading every version"


def harm(store: Path) -> None:
    """Damage the store in every way."""
    with closing(sqlite3.connect(store)) as raw, raw:
        for statement in HARMS:
            assert raw.execute(statement).rowcount == 1, statement


def test_what_is_wrong_is_found_by_helping_processes_as_without_them(store: Path, crew: Crew) -> None:
    """Of a store damaged in many places each is named, in the same words and order whether processes help or not."""
    assert verify(store, helpers=crew, worth_from=1) == []
    harm(store)
    problems = verify(store)
    for says in HARMS.values():
        assert any(says in problem for problem in problems), (says, problems)
    assert verify(store, helpers=crew, worth_from=1) == problems


@pytest.mark.parametrize("harmed", [False, True])
def test_a_process_that_dies_passes_over_nothing(harmed: bool, store: Path, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: FBT001
    """Where the processes that help are killed in the middle, everything is found that is found without them, and nothing else."""
    if harmed:
        harm(store)
    others = children()
    killed: list[int] = []

    def kill() -> None:
        killed.extend(child for child in children() if child not in others)
        for child in killed:
            os.kill(child, signal.SIGKILL)

    with Crew() as helping:
        problems = verify(store, partial(told_of, READING, kill), helping, worth_from=1)
    assert problems == verify(store)
    assert len(problems) >= len(HARMS) if harmed else problems == []
    assert killed
    assert "Traceback" not in capsys.readouterr().err


def test_an_interruption_leaves_no_process(store: Path) -> None:
    """Who interrupts in the middle is obeyed at once, and no process stays."""
    others = children()

    def interrupt() -> None:
        assert len(children()) > len(others)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), Crew() as helping:
        verify(store, partial(told_of, READING, interrupt), helping, worth_from=1)
    assert children() == others


@pytest.mark.parametrize("part", ["reading the file", READING, "comparing seals"])
def test_a_writer_at_work_is_no_damage(part: str, store: Path, crew: Crew) -> None:
    """What is written meanwhile is not looked at: everything is read as it was at one moment, by whoever looks at it."""
    with closing(sqlite3.connect(store)) as raw:
        raw.execute("PRAGMA journal_mode = WAL")
    here = World(store.parent, publish([]), store.name)
    here.clock.at(DAYS[2])
    changed = [status(invent(number), "COMPLETED", DAYS[2]) for number in range(1, STUDIES, 20)]

    def write() -> None:
        (outcome,) = here.bring(found([*changed, invent(STUDIES + 1)]), label=DAYS[2])
        assert (outcome.poll.updated, outcome.poll.new) == (len(changed), 1)

    assert verify(store, partial(told_of, part, write), crew, worth_from=1) == []
    assert verify(store, helpers=crew, worth_from=1) == []


def test_few_versions_are_looked_at_without_help(store: Path) -> None:
    """No process is started for a store of fewer versions than it is worth."""
    others = children()
    begun: list[list[int]] = []
    with Crew() as helping:
        verify(store, partial(told_of, READING, lambda: begun.append(children())), helping, worth_from=STUDIES + UPDATED + 1)
        assert begun == [others]


def test_a_store_that_can_not_be_read_on_tells_what_was_wrong_before(store: Path, crew: Crew) -> None:
    """Where a text of the file is none, what is wrong with the studies before it is told too, and of those after it nothing is known."""
    with closing(sqlite3.connect(store)) as raw, raw:
        raw.execute("UPDATE studies SET title = 'Another' WHERE id IN (1, 599)")
        raw.execute("UPDATE studies SET title = CAST(x'ff' AS TEXT) WHERE id = 600")
    problems = verify(store, helpers=crew, worth_from=1)
    assert problems == verify(store)
    titled = [problem for problem in problems if "another title" in problem]
    assert len(titled) == 2, problems
    assert any("UTF-8" in problem for problem in problems)


def swap(store: Path) -> None:
    """Have a study's first version say something else than it did, with a fingerprint that fits."""
    first = edited(invent(9), statusModule__overallStatus="ENROLLING_BY_INVITATION")
    with closing(sqlite3.connect(store)) as raw, raw:
        sql = "SELECT id, coalesce(content_id, id) FROM versions WHERE nct_id = 'NCT00000009' AND number = 1"
        version, place = raw.execute(sql).fetchone()
        raw.execute("UPDATE contents SET content = ? WHERE id = ?", (codec.pack(codec.text(first)), place))
        raw.execute("UPDATE versions SET fingerprint = ? WHERE id = ?", (fingerprint(first), version))


def test_helping_processes_replay_the_log(store: Path, crew: Crew) -> None:
    """A content that was swapped, with a fingerprint that fits, is found by them too: the log leads elsewhere."""
    swap(store)
    assert "NCT00000009 version 2: the log's rows do not lead to it from the version before" in verify(store, helpers=crew, worth_from=1)
