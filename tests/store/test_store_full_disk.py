"""No room left, and nothing to write to: one sentence, a store that is sound, and the next run with room completes the log."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from eventful_loads import eventful_loads
from following import ATAXIA, as_lines
from older_store import schema_of, write_older_schema

sys.path.append(str(Path(__file__).parent.parent / "cli"))

from terminal import Ran, Terminal

from trialsync.store.schema import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trialsync.registry.sandbox import Sandbox

LINES: Final = eventful_loads(60)
WHOLE: Final = ("changes", "--baseline", "--all", "--format", "jsonl")


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Terminal]:
    """Return a terminal in an empty folder, with the loads in a file and settings that follow ataxia."""
    with Terminal(tmp_path, monkeypatch, capsys) as terminal:
        (tmp_path / "loads.jsonl").write_bytes(as_lines(LINES))
        terminal.settings({"name": ATAXIA.name, "query.cond": "Ataxia"})
        yield terminal


@contextmanager
def room(size: int) -> Iterator[None]:
    """Let no file grow past so many bytes, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def disk(place: Path, size: str) -> Iterator[None]:
    """Mount a disk of a size in a folder; skip where this process may not."""
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", place], check=False, capture_output=True)  # noqa: S603, S607
    if mounted.returncode:
        pytest.skip("only the superuser can mount a disk")
    try:
        yield
    finally:
        subprocess.run(["umount", "-R", place], check=True)  # noqa: S603, S607


def log(cli: Terminal) -> list[str]:
    """Return the rows of the log without ids and instants, in an order that does not depend on them."""
    return sorted(str({name: value for name, value in row.items() if name not in {"id", "seen"}}) for row in cli.ok(*WHOLE).rows)


def told(ran: Ran) -> str:
    """Return the one sentence that a command which ended with 2 gave as the reason."""
    assert (ran.code, ran.out) == (2, ""), ran
    reasons = [line for line in ran.err.splitlines() if line.startswith("trialsync: ")]
    assert len(reasons) == 1, ran.err
    assert "Traceback" not in ran.err
    return reasons[0]


def fill(cli: Terminal, *command: str) -> str | None:
    """Run a command that may find no room; return the sentence that it ended with, ``None`` where there was room."""
    ran = cli(*command)
    if ran.code in {0, 3}:
        return None
    return told(ran)


def sync_all(cli: Terminal, sandbox: Sandbox) -> None:
    """Poll all loads that are still to come."""
    cli.ok("sync")
    while sandbox.advance():
        cli.ok("sync")


def test_an_import_that_finds_no_room_is_completed_by_the_next(cli: Terminal) -> None:
    """Wherever the disk is full, importing ends with 2 and a sentence; what stands is sound, and importing again makes the same log."""
    store = cli.folder / "trialsync.db"
    cli.ok("init")
    blank = store.read_bytes()
    cli.ok("import", "loads.jsonl")
    expected, size = log(cli), store.stat().st_size
    stopped = 0
    for share in (0.05, 0.15, 0.3, 0.5, 0.7, 0.9, 0.99):
        limit = len(blank) + int(share * (size - len(blank)))
        store.write_bytes(blank)
        with room(limit):
            reason = fill(cli, "import", "loads.jsonl")
        if reason is not None:
            stopped += 1
            assert "trialsync.db" in reason
            assert "room" in reason or "disk" in reason
        cli.ok("verify")
        assert cli("import", "loads.jsonl").code in {0, 3}
        assert log(cli) == expected, share
        cli.ok("verify")
    assert stopped >= 4


def test_a_poll_that_finds_no_room_is_completed_by_the_next(cli: Terminal) -> None:
    """A poll on a full disk ends with 2 and a sentence; the store is sound, and polling the same load again makes the same log."""
    store = cli.folder / "trialsync.db"
    cli.ok("init")
    blank = store.read_bytes()
    sandbox = cli.serve(LINES)
    sync_all(cli, sandbox)
    expected, size = log(cli), store.stat().st_size
    stopped = 0
    for share in (0.1, 0.4, 0.8):
        store.write_bytes(blank)
        sandbox = cli.serve(LINES)
        limit = len(blank) + int(share * (size - len(blank)))
        while True:
            with room(limit):
                reason = fill(cli, "sync")
            if reason is not None:
                stopped += 1
                cli.ok("verify")
                cli.ok("sync")
                limit = 2 * size
            if sandbox.advance() is None:
                break
        assert log(cli) == expected, share
        cli.ok("verify")
    assert stopped >= 2


def test_a_disk_that_is_full_is_said_and_harms_nothing(cli: Terminal) -> None:
    """On a real disk of few bytes: init, import and backup say that there is no room, nothing half-made stays, and room makes it good."""
    cli.ok("init")
    cli.ok("import", "loads.jsonl")
    expected, size = log(cli), (cli.folder / "trialsync.db").stat().st_size
    with disk(cli.folder / "disk", f"{size + 120_000}"):
        store = cli.folder / "disk" / "trialsync.db"
        file = cli.folder / "small.toml"
        file.write_text(f'[store]\npath = "{store}"\n')
        small = ("--config", str(file))
        filler = store.with_name("filler")
        cli.ok(*small, "init")
        filler.write_bytes(bytes(size // 2))
        reason = told(cli(*small, "import", "loads.jsonl"))
        assert reason == f"trialsync: no room left to write {store} (free some space; the store keeps what was recorded so far)"
        cli.ok(*small, "verify")
        target = store.with_name("copy.db")
        with filler.open("ab") as rest:
            rest.write(bytes(os.statvfs(store).f_bavail * os.statvfs(store).f_bsize))
        assert "no room left to write" in told(cli(*small, "backup", target))
        assert sorted(path.name for path in store.parent.iterdir() if path.name.startswith("copy")) == []
        assert cli(*small, *WHOLE).code == 0
        filler.unlink()
        subprocess.run(["mount", "-o", f"remount,size={4 * size}", store.parent], check=True)  # noqa: S603, S607
        assert cli(*small, "import", "loads.jsonl").code in {0, 3}
        cli.ok(*small, "verify")
        again = cli.ok(*small, *WHOLE).rows
        assert sorted(str({name: row[name] for name in row if name not in {"id", "seen"}}) for row in again) == expected


def test_a_store_that_can_not_be_written_is_read_all_the_same(cli: Terminal) -> None:
    """On a disk that is read-only, and where the file alone is, what writes says so in a sentence, and what reads goes on."""
    cli.serve(LINES)
    cli.ok("init")
    cli.ok("import", "loads.jsonl")
    expected = cli.ok(*WHOLE).out
    content = (cli.folder / "trialsync.db").read_bytes()
    with disk(cli.folder / "disk", "8m"):
        store = cli.folder / "disk" / "trialsync.db"
        store.write_bytes(content)
        file = cli.folder / "other.toml"
        file.write_text(f'[store]\npath = "{store}"\n[[watch]]\nname = "ataxia"\nquery.cond = "Ataxia"\n')
        there = ("--config", str(file))
        stages: dict[str, tuple[list[str | Path], ...]] = {
            "the file alone": (["--bind", store, store], ["-o", "remount,ro,bind", store]),
            "the disk": (["-o", "remount,ro", store.parent],),
        }
        for stage, mounts in stages.items():
            for arguments in mounts:
                subprocess.run(["mount", *arguments], check=True)  # noqa: S603, S607
            for command in (("sync",), ("import", "loads.jsonl"), ("restore", "trialsync.db")):
                reason = told(cli(*there, *command))
                assert str(store) in reason, (stage, command)
                assert "can't be" in reason, (stage, command)
            assert cli.ok(*there, *WHOLE).out == expected
            cli.ok(*there, "verify")
            cli.ok(*there, "polls")
            cli.ok(*there, "backup", f"copy of {stage}.db")


@pytest.mark.parametrize("number", range(1, SCHEMA))
def test_an_older_store_that_finds_no_room_stays_as_it_is(cli: Terminal, number: int) -> None:
    """Without room to bring it up, or for its copy, an older store is proved as it is, says why it can't be read, and leaves nothing."""
    store = cli.folder / "trialsync.db"
    cli.ok("init")
    cli.ok("import", "loads.jsonl")
    expected = cli.ok(*WHOLE).out
    store.rename(today := cli.folder / "today.db")
    write_older_schema(today, store, number)
    size = store.stat().st_size
    stopped = 0
    for share in (0.2, 0.8, 1.01, 1.2):
        with room(int(share * size)):
            verified = cli("verify")
            assert (verified.code, verified.err.count("is sound")) == (0, 1), verified
            reason = fill(cli, *WHOLE)
        if reason is None:
            break
        stopped += 1
        assert f"is of schema {number} and has to be brought to {SCHEMA}" in reason
        assert schema_of(store) == number
        assert not list(cli.folder.glob("trialsync.db.schema-*"))
    assert stopped >= 2
    assert cli.ok(*WHOLE).out == expected
    cli.ok("verify")
