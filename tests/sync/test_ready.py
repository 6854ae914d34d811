"""Studies made ready by other processes, ahead of the writer."""

from __future__ import annotations

import os
import resource
import signal
import stat
import struct
import subprocess
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from following import World, columns, invent, publish

from trialsync.registry.files import FoundStudy
from trialsync.store.verify import verify
from trialsync.sync.ready import WORTH_FROM, Crew, all_ready, ready

if TYPE_CHECKING:
    from pathlib import Path

MANY = WORTH_FROM + 700


def raws(count: int) -> list[bytes]:
    """Return so many invented records as JSON text."""
    return [orjson.dumps(invent(number)) for number in range(1, count + 1)]


def found(texts: list[bytes]) -> list[FoundStudy]:
    """Return records as a file would hold them."""
    return [FoundStudy(orjson.loads(text), text, f"studies.jsonl, line {number}") for number, text in enumerate(texts, start=1)]


def children() -> list[int]:
    """Return the processes that this one started and that did not end."""
    listed = subprocess.run(["ps", "-Aww", "-o", "pid=,ppid=,stat=,args="], capture_output=True, text=True, check=True).stdout  # noqa: S607
    rows = [line.split(None, 3) for line in listed.splitlines()]
    return [int(pid) for pid, parent, state, words in rows if int(parent) == os.getpid() and state[0] != "Z" and "serve" in words]


def recorded(world: World) -> list[dict[str, Any]]:
    """Return all rows of the log, the baseline among them, but for the instant at which they were seen."""
    return columns(world.log(baseline=True), but=["seen"])


def test_other_processes_make_what_this_one_would() -> None:
    """Records made ready by a process are just what makes them ready here; one that can't be recorded is left to whoever records it."""
    texts = raws(20)
    texts[3] = texts[3].replace(b'"Gait speed"', b"[" * 900 + b"]" * 900)
    with Crew() as crew:
        made = crew.begin(all_ready, texts, "core")()
    assert made[3] is None
    assert [each for place, each in enumerate(made) if place != 3] == [
        ready(orjson.loads(text), "core") for place, text in enumerate(texts) if place != 3
    ]


def test_where_no_process_can_be_started_the_work_is_done_here() -> None:
    """With no file left to open for a pipe the work is done by whoever wants it, the next as well, and nothing waits."""
    texts = raws(3)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with Crew() as crew:
        os.close(free := os.open(os.devnull, os.O_RDONLY))
        resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))
        try:
            begun = crew.begin(all_ready, texts, "core")
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        assert begun() == crew.begin(all_ready, texts, "core")() == [ready(orjson.loads(text), "core") for text in texts]


def test_a_large_import_records_what_small_ones_do(tmp_path: Path) -> None:
    """An import that other processes help with leaves the same log and versions as the same records in imports without help."""
    texts = raws(MANY)
    large, small = (World(tmp_path, publish([]), name) for name in ("large.db", "small.db"))
    outcomes = large.bring(found(texts))
    assert [outcome.poll.new for outcome in outcomes] == [MANY]
    for start in range(0, MANY, 900):
        small.bring(found(texts[start : start + 900]))
    assert recorded(large) == recorded(small)
    for table in ("studies", "contents", "study_countries"):
        assert large.content()[table] == small.content()[table]
    assert verify(large.store) == verify(small.store)
    again = large.bring(found(texts))
    assert [(outcome.poll.new, outcome.poll.unchanged) for outcome in again] == [(0, MANY)]


def test_a_process_that_dies_costs_time_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where the processes that help are killed, an import goes on without them and records everything."""
    world = World(tmp_path, publish([]))
    texts = raws(MANY)

    def with_a_kill() -> Any:
        for number, each in enumerate(found(texts)):
            if number == WORTH_FROM + 400:
                for child in children():
                    os.kill(child, signal.SIGKILL)
            yield each

    outcomes = world.bring(with_a_kill())
    assert [(outcome.poll.new, outcome.skipped) for outcome in outcomes] == [(MANY, ())]
    assert "Traceback" not in capsys.readouterr().err


def half_an_answer(here: int) -> str:
    """Return an answer; a process of the crew (another than ``here``) hands over the beginning of one, and is killed."""
    if os.getpid() != here:
        (pipe,) = (number for number in range(3, 256) if is_socket(number))
        os.write(pipe, struct.pack("!i", 1_000) + b"half")
        os.kill(os.getpid(), signal.SIGKILL)
    return "whole"


def is_socket(number: int) -> bool:
    """Return whether a file descriptor is one end of a pipe between processes."""
    try:
        return stat.S_ISSOCK(os.fstat(number).st_mode)
    except OSError:
        return False


def test_a_process_that_dies_while_it_answers_keeps_nobody_waiting() -> None:
    """Where the processes are killed in the midst of their answers, this one does all their work, and waits for no rest of an answer."""
    with Crew() as crew:
        begun = [crew.begin(half_an_answer, os.getpid()) for _ in range(4)]
        assert [each() for each in begun] == ["whole"] * 4


def read(path: Path) -> bytes:
    """Return what a file holds."""
    return path.read_bytes()


def test_an_error_in_another_process_is_met_here(tmp_path: Path) -> None:
    """What a process could not do raises here what it raises anywhere, and the process goes on with the next."""
    with Crew() as crew:
        failed, done = crew.begin(read, tmp_path / "none"), crew.begin(len, "four")
        with pytest.raises(FileNotFoundError):
            failed()
        assert done() == 4
        assert 1 <= len(children()) <= 2
    assert children() == []


def stopped(here: int) -> str:
    """Return an answer; a process of the crew (another than ``here``) is stopped before it has one."""
    if os.getpid() != here:
        os.kill(os.getpid(), signal.SIGSTOP)
    return "whole"


def states() -> set[str]:
    """Return the states of the processes that this one started, as ``ps`` writes them."""
    listed = subprocess.run(["ps", "-A", "-o", "ppid=,stat="], capture_output=True, text=True, check=True).stdout  # noqa: S607
    return {line.split()[1][0] for line in listed.splitlines() if line.split()[0] == str(os.getpid())}


def test_who_leaves_waits_for_nothing() -> None:
    """Where the processes are at something that never ends, leaving ends them."""
    with Crew() as crew:
        for _ in range(4):
            crew.begin(stopped, os.getpid())
        while "T" not in states():
            pass
    assert children() == []


def group() -> int:
    """Return the group of the process that does this, which is what a terminal's keys are sent to."""
    return os.getpgrp()


def test_a_process_hears_nothing_of_the_terminal() -> None:
    """A keyboard's interrupt goes to this process alone, from the moment on at which another is started."""
    with Crew() as crew:
        assert crew.begin(group)() != os.getpgrp()
