"""Care by the command line: one writer at a time, readers beside it, verify, backups of what is in use, and stores brought back."""

from __future__ import annotations

import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Final

import pytest
from following import ATAXIA, DAYS, Clock, World, as_lines, invent, publish, status
from terminal import SCRIPT, Terminal, sentence

from trialsync.model import Origin
from trialsync.store import care
from trialsync.store.reader import Reader
from trialsync.store.verify import verify
from trialsync.store.writer import Writer
from trialsync.sync.arrivals import Arrival, Receiver
from trialsync.sync.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ONE, TWO = invent(1), invent(2)
LOADS: Final = publish([ONE, TWO], [status(ONE, "TERMINATED", DAYS[1])], [])
WHOLE: Final = ("changes", "--baseline", "--all", "--format", "jsonl")


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Terminal]:
    """Return a terminal in an empty folder, with a store of two loads, settings that follow it, and a registry on a port."""
    with Terminal(tmp_path, monkeypatch, capsys) as terminal:
        (tmp_path / "loads.jsonl").write_bytes(as_lines(LOADS))
        terminal.settings({"name": ATAXIA.name, "query.cond": "Ataxia"})
        sandbox = terminal.serve(LOADS)
        terminal.ok("init")
        terminal.ok("sync")
        sandbox.advance()
        terminal.ok("sync")
        yield terminal


@contextmanager
def importing(cli: Terminal) -> Iterator[subprocess.Popen[bytes]]:
    """Have a process of its own import from a pipe that stays open, so that it holds the store."""
    with subprocess.Popen([SCRIPT, "import", "-"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=cli.folder) as process:  # noqa: S603
        assert process.stdin is not None
        # More than the pipe and the reader's buffer hold: when all of it is written, the import has begun.
        for number in range(100, 1000):
            process.stdin.write(as_lines(publish([invent(number)])[1:]))
        process.stdin.flush()
        yield process
        process.kill()


def held(cli: Terminal) -> str:
    """Return what another writer is told, once the store is held."""
    for _ in range(2000):
        ran = cli("sync")
        if ran.code == 5:
            return sentence(ran)
    raise AssertionError("nobody holds the store")


# One writer


@pytest.mark.parametrize("command", ["sync", "import", "restore"])
def test_a_second_writer_ends_with_5_and_names_the_first(cli: Terminal, command: str) -> None:
    """While an import runs, another writer is told its command, process and since when; whoever reads is not held up."""
    cli.ok("backup", "copy.db")
    before = cli.ok(*WHOLE).out
    arguments = {"sync": (), "import": ("loads.jsonl",), "restore": ("copy.db",)}[command]
    with importing(cli) as process:
        held(cli)
        said = sentence(ran := cli(command, *arguments))
        assert ran.code == 5
        assert re.search(
            rf"is being written by trialsync import \(pid {process.pid} on .+, since 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{{3}}Z\)", said
        )
        assert "reading is possible meanwhile" in said
        for reads in (
            WHOLE,
            ("log", "NCT00000001"),
            ("show", "NCT00000001"),
            ("watches",),
            ("polls",),
            ("verify",),
            ("backup", "again.db"),
        ):
            cli.ok(*reads)
        assert cli.ok(*WHOLE).out.startswith(before)


def test_a_holder_that_was_killed_never_blocks(cli: Terminal) -> None:
    """A writer that was killed leaves nothing to be cleared away: the next one just goes on, and the poll that never ended is failed."""
    with importing(cli) as process:
        held(cli)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert "nothing new" in cli.ok("sync").err
    cli.ok("verify")
    ended = [(row["origin"], row["ended"]) for row in cli.ok("polls").rows]
    assert ("import", "failed") in ended


# Readers beside a writer


def test_readers_see_whole_pages_and_never_wait(tmp_path: Path) -> None:
    """While pages of fifty studies are committed, and one long page is under way, every reader sees a multiple of fifty, at once."""
    world = World(tmp_path, LOADS)
    pages = [[invent(number) for number in range(start, start + 50)] for start in range(1000, 1400, 50)]
    counts: list[tuple[int, int]] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            with Reader.open(world.store) as reader:
                found = reader.counts()
                counts.append((found.studies, len(list(reader.studies()))))

    reading = threading.Thread(target=read)
    with Writer.open(world.store, now=world.clock, command="trialsync sync") as writer:
        receiver = Receiver(writer, Origin.POLL, "2026-02-02T14:00:00.000Z", "core", Tally())
        reading.start()
        for page in pages:
            receiver.page(Arrival(study, b"", DAYS[0]) for study in page)
        with writer.page():
            writer.set_bytes_digest("NCT00001000", b"not kept until the page is")
            before = len(counts)
            while len(counts) < before + 3:
                assert reading.is_alive()
        done.set()
        reading.join()
    assert {studies % 50 for studies, _ in counts} == {0}
    assert all(studies == shown for studies, shown in counts)
    assert counts == sorted(counts)
    assert len(set(counts)) > 2


def test_a_backup_is_one_moment_whatever_is_written_while_it_is_made(tmp_path: Path) -> None:
    """Pages that are committed between two steps of a copy neither reach it nor make it begin again, and each step is told."""
    world = World(tmp_path, LOADS)
    told: list[tuple[int, int | None]] = []
    with Writer.open(world.store, now=world.clock, command="trialsync sync") as writer:
        receiver = Receiver(writer, Origin.POLL, "2026-02-02T14:00:00.000Z", "core", Tally())
        receiver.page(
            Arrival(invent(number, descriptionModule={"n": random.Random(number).randbytes(2_000).hex()}), b"", DAYS[0])  # noqa: S311
            for number in range(1000, 2000)
        )
        with Reader.open(world.store) as reader:
            before = reader.counts()

        def write(done: int, total: int | None, _part: str = "", /) -> None:
            told.append((done, total))
            receiver.page([Arrival(invent(5000 + len(told)), b"", DAYS[0])])

        size = care.backup(world.store, tmp_path / "copy.db", write)
    assert len(told) > 3
    assert told == sorted(told)
    assert told[-1] == (size, size)
    assert verify(tmp_path / "copy.db") == []
    with Reader.open(tmp_path / "copy.db") as copied, Reader.open(world.store) as reader:
        assert copied.counts() == before
        assert reader.counts().studies == before.studies + len(told)


def test_a_backup_of_a_store_in_use_is_one_moment_of_it(tmp_path: Path) -> None:
    """Backups made while pages are committed are each sound, one file, and whole pages; the later they are the more they hold."""
    world = World(tmp_path, LOADS)
    found: list[int] = []
    with Writer.open(world.store, now=world.clock, command="trialsync sync") as writer:
        receiver = Receiver(writer, Origin.POLL, "2026-02-02T14:00:00.000Z", "core", Tally())

        def write() -> None:
            for start in range(1000, 1600, 40):
                receiver.page(Arrival(invent(number), b"", DAYS[0]) for number in range(start, start + 40))

        writing = threading.Thread(target=write)
        writing.start()
        while writing.is_alive() or not found:
            copy = tmp_path / f"copy-{len(found)}.db"
            care.backup(world.store, copy)
            assert verify(copy) == []
            with Reader.open(copy) as reader:
                found.append(reader.counts().studies)
        writing.join()
    assert {studies % 40 for studies in found} == {0}
    assert found == sorted(found)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("copy") and path.suffix != ".db"]


# Verify, backup, restore


def test_verify_says_that_a_store_is_sound_and_what_is_in_it(cli: Terminal) -> None:
    """A sound store is said to be so with its counts, on standard error, with exit code 0."""
    ran = cli.ok("verify")
    assert ran.out == ""
    assert ran.err == f"{cli.folder / 'trialsync.db'} is sound: 2 studies, 3 versions, 2 changes\n"


def test_verify_names_what_is_wrong_and_the_way_out(cli: Terminal) -> None:
    """A damaged store is named with each problem, exit code 6, and how to bring a copy back."""
    with closing(sqlite3.connect(cli.folder / "trialsync.db")) as raw, raw:
        raw.execute("UPDATE changes SET after = '\"COMPLETED\"' WHERE after = '\"TERMINATED\"'")
    ran = cli("verify")
    assert (ran.code, ran.out) == (6, "")
    assert "NCT00000001 version 2: the log's rows do not lead to it from the version before" in ran.err
    assert "is damaged: 3 problems" in ran.err
    assert "trialsync restore BACKUP" in ran.err


def test_a_backup_brings_a_damaged_store_back(cli: Terminal) -> None:
    """A backup over ruins: the log is what it was, the ruins are kept under another name, and following goes on."""
    before = cli.ok(*WHOLE).out
    made = cli.ok("backup", "copy.db")
    assert re.fullmatch(r"copy\.db: [\d,]+ bytes\n", made.err)
    store = cli.folder / "trialsync.db"
    ruins = store.read_bytes()[:5000]
    store.write_bytes(ruins)
    assert cli("verify").code == 6
    assert cli("sync").code == 6
    said = cli.ok("restore", "copy.db").err
    assert said == f"{store} is the copy of copy.db\nwhat stood there is {store}.replaced-1\n"
    assert (cli.folder / "trialsync.db.replaced-1").read_bytes() == ruins
    assert cli.ok(*WHOLE).out == before
    cli.ok("verify")
    cli.ok("sync", "--full")
    assert cli.ok(*WHOLE).out == before


def test_a_lost_store_is_restored_where_nothing_stands(cli: Terminal) -> None:
    """A store that is gone is an error with its way out, never an empty new one, and that way works."""
    cli.ok("backup", "copy.db")
    before = cli.ok(*WHOLE).out
    for path in cli.folder.glob("trialsync.db*"):
        path.unlink()
    assert (
        sentence(cli(*WHOLE))
        == f"trialsync: no store at {cli.folder / 'trialsync.db'}; first time: trialsync init; lost: trialsync restore"
    )
    cli.ok("restore", "copy.db")
    assert cli.ok(*WHOLE).out == before


def test_what_can_not_be_a_backup_is_refused(cli: Terminal) -> None:
    """A damaged backup, another file, none at all, the store itself: each is a sentence, and the store stays as it is."""
    cli.ok("backup", "copy.db")
    before = cli.ok(*WHOLE).out
    content = bytearray((cli.folder / "copy.db").read_bytes())
    for start in range(4096, len(content), 2048):
        content[start : start + 200] = b"\xff" * 200
    (cli.folder / "damaged.db").write_bytes(content)
    (cli.folder / "cut.db").write_bytes(content[: len(content) // 2])
    (cli.folder / "text.db").write_text("a text, and no store\n" * 200)
    names = {"damaged.db": 6, "cut.db": 6, "text.db": 2, "none.db": 2, "trialsync.db": 2, ".": 2}
    for name, code in names.items():
        ran = cli("restore", name)
        assert (ran.code, ran.out, ran.err.count("\n")) == (code, "", 1), (name, ran)
        assert ("name a file that trialsync backup wrote" in ran.err) == (name == "text.db"), ran
    assert cli.ok(*WHOLE).out == before
    assert not [path.name for path in cli.folder.iterdir() if "partial" in path.name or "restoring" in path.name or "replaced" in path.name]
    refused = sentence(cli("backup", "copy.db"))
    assert "copy.db exists already" in refused
    assert "there is no folder" in sentence(cli("backup", "no/copy.db"))


def test_a_restore_that_was_killed_is_done_again(cli: Terminal) -> None:
    """Killed at any of its steps, a restore leaves the old store or the new one, or, for that moment, none; doing it again completes it.

    What stood there is kept whole, with what a killed writer left in the log beside it.
    """
    cli.ok("backup", "copy.db")
    before = cli.ok(*WHOLE).out
    store = cli.folder / "trialsync.db"
    with Writer.open(store, now=Clock(), command="trialsync sync") as writer:
        receiver = Receiver(writer, Origin.POLL, "2026-02-02T14:00:00.000Z", "core", Tally())
        receiver.page([Arrival(invent(9), b"", DAYS[1])])
        parts = {name: (cli.folder / name).read_bytes() for name in ("trialsync.db", "trialsync.db-wal")}
    program = (
        "import os, signal, sys\n"
        "from trialsync.store import care\n"
        "left = [int(sys.argv[1])]\n"
        "def step(event, arguments):\n"
        "    if event in {'os.rename', 'os.remove', 'sqlite3.connect'}:\n"
        "        left[0] -= 1\n"
        "        if left[0] == 0: os.kill(os.getpid(), signal.SIGKILL)\n"
        "sys.addaudithook(step)\n"
        "from pathlib import Path\n"
        "care.restore(Path('copy.db'), Path('trialsync.db'))\n"
    )
    killed = 0
    for step in range(1, 60):
        for path in cli.folder.glob("trialsync.db*"):
            path.unlink()
        for name, content in parts.items():
            (cli.folder / name).write_bytes(content)
        ended = subprocess.run([sys.executable, "-c", program, str(step)], cwd=cli.folder, check=False, env=os.environ)  # noqa: S603
        killed += ended.returncode == -signal.SIGKILL
        if store.exists():
            cli.ok("verify")
            assert cli.ok(*WHOLE).out.startswith(before)
        else:
            assert "lost: trialsync restore" in sentence(cli("verify"))
        with Reader.open(next(path for path in (store.with_name("trialsync.db.replaced-1"), store) if path.exists())) as reader:
            assert reader.has("NCT00000009")
        if ended.returncode == 0:
            break
        cli.ok("restore", "copy.db")
        cli.ok("verify")
        assert cli.ok(*WHOLE).out == before
    assert ended.returncode == 0
    assert killed >= 5
