"""A disk that went wrong: what is broken is named by ``verify`` or makes no difference, and nothing ever ends in a traceback.

``TRIALSYNC_FLIPS=200 TRIALSYNC_TRUNCATIONS=50 pytest tests/store/test_store_corruption.py -s`` breaks a store so often and prints what
came of it; without the variables it is 30 and 10 times, for every day. ``TRIALSYNC_SEED`` is for other bytes.
"""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from eventful_loads import REMOVED, RETURNS, WITHHELD, eventful_loads
from following import ATAXIA, DAYS, World, as_lines, columns, edited, invent, publish, status

sys.path.append(str(Path(__file__).parent.parent / "cli"))

from terminal import Ran, Terminal

from trialsync.errors import StoreError
from trialsync.store import codec, schema
from trialsync.store.connection import Connection
from trialsync.store.seal import VERSION_COLUMNS, seal_version, version_rows
from trialsync.store.verify import verify
from trialsync.store.wording import wording_of
from trialsync.study.fingerprint import fingerprint
from trialsync.sync.poll import poll
from trialsync.sync.ready import Crew

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Read before the terminal of the tests takes these variables out of the environment.
FLIPS: Final = int(os.environ.get("TRIALSYNC_FLIPS", "30"))
TRUNCATIONS: Final = int(os.environ.get("TRIALSYNC_TRUNCATIONS", "10"))
SEED: Final = os.environ.get("TRIALSYNC_SEED", "the same each time")
STUDIES: Final = 14
POLLED: Final = 5
"""So many loads are in the store that is broken; one more is there to be polled and imported."""

NUMBERS: Final = tuple(f"NCT{number:08d}" for number in range(1, STUDIES + 2))
STORIES: Final = tuple(f"NCT{number:08d}" for number in (1, RETURNS, REMOVED, WITHHELD))

READS: Final[tuple[tuple[str, ...], ...]] = (
    ("changes", "--baseline", "--all", "--format", "jsonl"),
    ("changes", "--format", "csv", "--text", "clinic"),
    ("changes", "--format", "md", "--watch", "ataxia", "--country", "France"),
    ("changes", "--sponsor", "invented", "--field", "status.*", "--since", DAYS[1], "--order", "newest", "--limit", "5"),
    ("changes", "--after", "3", "--limit", "2"),
    *(("log", number, "--baseline") for number in NUMBERS),
    *(("show", number) for number in STORIES),
    *(("show", number, "--format", "json", "--as-of", DAYS[2]) for number in STORIES),
    ("show", NUMBERS[0], "--version", "1", "--format", "table"),
    ("watches",),
    ("polls",),
)
"""What is asked of every broken store."""

ENDS: Final = frozenset({0, 2, 3, 6})
"""How a command may end on a store that is damaged: done, not a store, something skipped, damaged; never with a bug."""


class Patient:
    """A store to be broken, a terminal to ask it by, and what the sound one answers."""

    def __init__(self, cli: Terminal, crew: Crew) -> None:
        self.cli = cli
        self.crew = crew
        lines = eventful_loads(STUDIES)
        world = World(cli.folder, lines)
        world.poll()
        for _ in range(POLLED - 1):
            world.next()
        self.store = world.store
        self.content = self.store.read_bytes()
        self.sandbox = cli.serve(lines)
        while self.sandbox.load != DAYS[POLLED]:
            self.sandbox.advance()
        self.file = cli.folder / "lines.jsonl"
        self.file.write_bytes(as_lines(line for line in lines if line.load == DAYS[POLLED]))
        cli.settings({"name": ATAXIA.name, "query.cond": "Ataxia"})
        self.sound = self.reads()
        self.synced = self.after("sync")
        self.put(self.content)
        self.imported = self.after("import", self.file)
        assert all(ran.code == 0 for ran in self.sound.values())
        assert {self.synced.code, self.imported.code} == {0}

    def put(self, content: bytes, log: bytes | None = None) -> None:
        """Put a file in the store's place, and nothing beside it but the write-ahead log that is given."""
        for name in ("-wal", "-shm", ".lock"):
            self.store.with_name(self.store.name + name).unlink(missing_ok=True)
        self.store.write_bytes(content)
        if log is not None:
            self.store.with_name(self.store.name + "-wal").write_bytes(log)

    def run(self, *arguments: str | Path) -> Ran:
        """Run a command; whatever is wrong, it ends as a command may, in sentences."""
        ran = self.cli(*arguments)
        assert ran.code in ENDS, (arguments, ran)
        assert "Traceback" not in ran.err, (arguments, ran.err)
        assert ran.code == 0 or ran.err, arguments
        return ran

    def problems(self, **help_: Any) -> list[str]:
        """Return what is wrong with the store, looked at with help or without."""
        try:
            return verify(self.store, **help_)
        except StoreError as error:
            return [error.message]

    def reads(self) -> dict[tuple[str, ...], Ran]:
        """Ask everything that can be asked."""
        return {command: self.run(*command) for command in READS}

    def after(self, *arguments: str | Path) -> Ran:
        """Write to the store by a command, and return how it ended and what the log says then, but for ids and instants."""
        wrote = self.run(*arguments)
        log = self.run("changes", "--baseline", "--all", "--format", "jsonl")
        rows = [] if log.code else [str({name: value for name, value in row.items() if name not in {"id", "seen"}}) for row in log.rows]
        return Ran(wrote.code, "\n".join(sorted(rows)), "")

    def examine(self, content: bytes, log: bytes | None = None) -> str:
        """Break the store, ask everything of it, and return ``detected`` or ``harmless``; whatever is neither fails."""
        self.put(content, log)
        told = self.run("verify")
        if told.code == 2:
            assert "not a trialsync store" in told.err or "is empty" in told.err, told.err
        assert told.code in {0, 2, 6}, told
        assert self.problems(helpers=self.crew, worth_from=0) == self.problems()
        reads = self.reads()
        copy = self.cli.folder / "copy.db"
        copied = self.run("backup", copy)
        assert copied.code or copy.exists()
        copy.unlink(missing_ok=True)
        self.put(content, log)
        synced = self.after("sync")
        self.put(content, log)
        imported = self.after("import", self.file)
        if told.code:
            return "detected"
        for command, ran in reads.items():
            assert (ran.code, ran.out) == (0, self.sound[command].out), command
        assert copied.code == 0
        assert (synced, imported) == (self.synced, self.imported)
        return "harmless"


@pytest.fixture
def patient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Patient]:
    """Return a store to be broken."""
    with Terminal(tmp_path, monkeypatch, capsys) as terminal, Crew() as crew:
        yield Patient(terminal, crew)


def test_a_flipped_byte_is_named_or_harmless(patient: Patient) -> None:
    """A byte that flipped (30 times without TRIALSYNC_FLIPS) is named by ``verify``, or every command answers as on the sound store."""
    chance = random.Random(SEED)  # noqa: S311 - the same flips each time
    came: Counter[str] = Counter()
    for _ in range(FLIPS):
        broken = bytearray(patient.content)
        place, bit = chance.randrange(len(broken)), chance.randrange(8)
        broken[place] ^= chance.choice((1 << bit, chance.randrange(1, 256)))
        try:
            came[patient.examine(bytes(broken))] += 1
        except BaseException as error:
            error.add_note(f"byte {place} of {len(broken)}: {patient.content[place]} became {broken[place]}")
            raise
    print(f"\n{came.total()} flips in {len(patient.content):,} bytes: {dict(came)}")  # noqa: T201 - the figures
    assert came["detected"] > came.total() / 5


def test_a_store_cut_short_is_named(patient: Patient) -> None:
    """A store that lost its end (10 times without TRIALSYNC_TRUNCATIONS), or a page in the middle, is named, and nothing is a traceback."""
    chance = random.Random(SEED)  # noqa: S311 - the same cuts each time
    size = len(patient.content)
    cuts = [1, 99, 100, schema.PAGE_BYTES, size - schema.PAGE_BYTES, size - 1, *(chance.randrange(size) for _ in range(TRUNCATIONS - 6))]
    came = Counter(patient.examine(patient.content[:cut]) for cut in cuts)
    assert came == {"detected": len(cuts)}
    for start in (0, *(chance.randrange(size // schema.PAGE_BYTES) * schema.PAGE_BYTES for _ in range(3))):
        blank = patient.content[:start] + bytes(schema.PAGE_BYTES) + patient.content[start + schema.PAGE_BYTES :]
        assert patient.examine(blank) == "detected"
    print(f"\n{came.total()} cuts: {dict(came)}")  # noqa: T201 - the figures


def test_a_write_ahead_log_that_tore_costs_its_end_and_nothing_else(tmp_path: Path) -> None:
    """Cut off or flipped anywhere, the log beside the store loses what follows; the store is sound, and polling again completes it."""
    world = World(tmp_path, eventful_loads(STUDIES))
    world.poll()
    world.next()
    world.advance()
    torn = world.store.with_name(world.store.name + "-wal")
    with world.registry() as registry, world.writer() as writer:
        poll(ATAXIA, registry=registry, writer=writer, now=world.clock)
        content, log = world.store.read_bytes(), torn.read_bytes()
    expected = columns(world.log(baseline=True), but=("id", "seen"))
    chance = random.Random(SEED)  # noqa: S311 - the same places each time
    shorter = 0
    for number in range(12):
        place = chance.randrange(len(log))
        broken = log[:place] if number % 2 else log[:place] + bytes((log[place] ^ 0x10,)) + log[place + 1 :]
        world.store.write_bytes(content)
        torn.write_bytes(broken)
        world.store.with_name(world.store.name + "-shm").write_bytes(chance.randbytes(32768))
        assert verify(world.store) == [], place
        found = columns(world.log(baseline=True), but=("id", "seen"))
        assert all(row in expected for row in found)
        shorter += len(found) < len(expected)
        world.poll()
        assert columns(world.log(baseline=True), but=("id", "seen")) == expected, place
        assert verify(world.store) == []
    assert shorter > 3


def test_what_stands_in_the_stores_place_is_said_and_left_alone(patient: Patient) -> None:
    """An empty file, a text, another program's database, a folder, a newer store: every command says what it is and how it goes on."""
    other = patient.cli.folder / "other.db"
    with closing(sqlite3.connect(other)) as raw:
        raw.execute("CREATE TABLE theirs (x)")
    patient.put(patient.content)
    with closing(sqlite3.connect(patient.store)) as raw:
        raw.execute(f"PRAGMA user_version = {schema.SCHEMA + 1}")
    newer = patient.store.read_bytes()
    found = {
        (b"", 2): "is empty",
        (b"NCT00000001, yes\n" * 100, 2): "is not a trialsync store",
        (other.read_bytes(), 2): "is not a trialsync store",
        (newer, 6): "was written by a newer trialsync",
    }
    commands: list[tuple[str | Path, ...]] = [
        ("verify",),
        ("backup", patient.cli.folder / "copy.db"),
        ("sync",),
        ("import", patient.file),
        *READS,
    ]
    for (content, code), says in found.items():
        for command in commands:
            patient.put(content)
            ran = patient.run(*command)
            assert (ran.code, ran.out) == (code, ""), (command, ran)
            assert says in ran.err
            assert ran.err.count("\n") == 1, ran.err
            assert patient.store.read_bytes() == content
    patient.store.unlink()
    patient.store.mkdir()
    for command in commands:
        ran = patient.run(*command)
        assert (ran.code, ran.out) == (2, "")
        assert "is not a file, so it is no trialsync store" in ran.err
    shutil.rmtree(patient.store)


# What only the log replayed can show: altered by somebody who knows how the store is sealed


def reseal(raw: sqlite3.Connection) -> None:
    """Make every seal anew, as if what stands had been written so."""
    connection = Connection(Path(), raw)
    for number, rule, *found in raw.execute(f"SELECT id, rule, {VERSION_COLUMNS} FROM versions").fetchall():  # noqa: S608
        mark = seal_version(found, rule, *version_rows(connection, number))
        raw.execute("UPDATE versions SET seal = ? WHERE id = ?", (mark, number))


def unsay(raw: sqlite3.Connection, number: int) -> None:
    """Take a row of the log out of the index for words."""
    raw.execute("INSERT INTO change_words (change_words, rowid, value) VALUES ('delete', ?, ?)", (number, said(raw, number)))


def said(raw: sqlite3.Connection, number: int) -> str:
    """Return the words of a row of the log, as they are indexed."""
    before, after = raw.execute("SELECT before, after FROM changes WHERE id = ?", (number,)).fetchone()
    return wording_of(before, after)


def say_again(raw: sqlite3.Connection, number: int) -> None:
    """Put a row of the log into the index for words."""
    raw.execute("INSERT INTO change_words (rowid, value) VALUES (?, ?)", (number, said(raw, number)))


def alter_a_value(raw: sqlite3.Connection, number: int, version: int) -> None:
    """Have a row of the log say something else."""
    del version
    unsay(raw, number)
    raw.execute("UPDATE changes SET after = '\"WITHDRAWN\"' WHERE id = ?", (number,))
    say_again(raw, number)


def delete_a_row(raw: sqlite3.Connection, number: int, version: int) -> None:
    """Take a row out of the log as if it had never been."""
    unsay(raw, number)
    raw.execute("DELETE FROM changes WHERE id = ?", (number,))
    raw.execute("UPDATE versions SET last_change = last_change - 1 WHERE id = ?", (version,))


def double_a_row(raw: sqlite3.Connection, number: int, version: int) -> None:
    """Have the log say a thing twice."""
    columns = 'version_id, field_id, item, attribute, date, kind, tier, "by", before, after, study_id, origin'
    raw.execute(f"INSERT INTO changes ({columns}) SELECT {columns} FROM changes WHERE id = ?", (number,))  # noqa: S608 - our own columns
    raw.execute("UPDATE versions SET last_change = last_change + 1 WHERE id = ?", (version,))
    say_again(raw, number + 1)


def swap_a_content(raw: sqlite3.Connection, number: int, version: int) -> None:
    """Have the study's first version say something else than it did, with a fingerprint that fits."""
    del number, version
    first = edited(invent(1), statusModule__overallStatus="ENROLLING_BY_INVITATION")
    (place,) = raw.execute("SELECT coalesce(content_id, id) FROM versions WHERE id = 1").fetchone()
    raw.execute("UPDATE contents SET content = ? WHERE id = ?", (codec.pack(codec.text(first)), place))
    raw.execute("UPDATE versions SET fingerprint = ? WHERE id = 1", (fingerprint(first),))


@pytest.mark.parametrize("alter", [alter_a_value, delete_a_row, double_a_row, swap_a_content])
def test_what_is_sealed_anew_is_found_by_replaying_the_log(alter: Callable[[sqlite3.Connection, int, int], None], tmp_path: Path) -> None:
    """A value altered, a row deleted or doubled, a content swapped, each with fitting seals and counts: the log leads elsewhere."""
    one = invent(1)
    world = World(tmp_path, publish([one], [status(one, "SUSPENDED", DAYS[1])]))
    world.poll()
    world.next()
    assert verify(world.store) == []
    with closing(sqlite3.connect(world.store)) as raw, raw:
        number, version = raw.execute("SELECT max(id), max(version_id) FROM changes").fetchone()
        alter(raw, number, version)
        reseal(raw)
    assert verify(world.store) == ["NCT00000001 version 2: the log's rows do not lead to it from the version before"]


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("UPDATE baselines SET rows = '1'", "are not what any trialsync writes"),
        ("UPDATE baselines SET rows = 'null'", "are not what any trialsync writes"),
        ("UPDATE baselines SET rows = '{\"a\": 7}'", "are not what any trialsync writes"),
        ("UPDATE versions SET origin = 'hearsay'", "versions have an origin that there is not"),
        ("UPDATE changes SET tier = 'gossip'", "rows of the log have a kind, a tier or a maker that there is not"),
        ("UPDATE sqlite_sequence SET seq = 'many' WHERE name = 'changes'", "the count of the log's ids holds what no trialsync wrote"),
        ("UPDATE changes SET study_id = NULL", "rows of the log are filed under another study or origin than their version's"),
        ("UPDATE changes SET date = 'someday', study_id = 2", "rows of the log are filed under another study or origin"),
    ],
)
def test_values_that_nobody_wrote_are_told_under_fitting_seals(patient: Patient, sql: str, told: str) -> None:
    """What can't be read though its seal fits is damage to verify, and to each command a sentence or nothing at all."""
    patient.put(patient.content)
    with closing(sqlite3.connect(patient.store)) as raw, raw:
        raw.execute(sql)
        reseal(raw)
    ran = patient.run("verify")
    assert ran.code == 6
    assert told in ran.err
    patient.reads()
    for command in (
        ("changes", "--format", "table", "--limit", "0"),
        ("rebuild", "--dry-run"),
        ("export", "log.csv"),
        ("rebuild",),
        ("sync",),
    ):
        patient.run(*command)
