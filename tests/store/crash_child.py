"""What the crash tests kill: it polls or imports in a process of its own, and tells what it was doing when it died.

``python crash_child.py LINES MARKS`` reads one task a line from standard input, each a JSON object, forks, lets the fork do it and kills
that with SIGKILL when the task says so, or has the system kill it at the byte of a file that it must not write; then it prints what came
of it, a JSON object a line. The fork writes into the file MARKS what it is doing, so that what was going on at its end can be told.
"""

from __future__ import annotations

import json
import mmap
import os
import resource
import signal
import struct
import sys
import time
import traceback
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from following import API, ATAXIA, Clock, Wire

from trialsync import log
from trialsync.registry.client import Registry
from trialsync.registry.files import read
from trialsync.registry.sandbox import Sandbox, read_loads
from trialsync.store import schema
from trialsync.store.writer import Writer
from trialsync.sync.load import load
from trialsync.sync.poll import Policy, poll

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from trialsync.model import Poll, Slice
    from trialsync.registry.client import Page

STARTING, OUTSIDE, IN_PAGE, COMMITTING, CLOSING = range(5)
DOING: Final = ("starting", "outside a page", "in a page", "committing", "closing")

PAGE_STUDIES: Final = 7
"""So many studies a page, so that a small watch has several."""

_MARKS: Final = struct.Struct("<BII")


class Marks:
    """A few bytes that this process writes and another reads: what is being done, how many statements, how many commits."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("r+b")
        self._file.truncate(_MARKS.size)
        self._map = mmap.mmap(self._file.fileno(), _MARKS.size)
        self.kill_at: int | None = None
        self.clear()

    def clear(self) -> None:
        """Begin again."""
        self.doing, self.statements, self.commits = STARTING, 0, 0
        self._write()

    def _write(self) -> None:
        _MARKS.pack_into(self._map, 0, self.doing, self.statements, self.commits)

    def read(self) -> tuple[int, int, int]:
        """Return what the other process wrote last: what it does, its statements, its commits."""
        doing, statements, commits = _MARKS.unpack_from(self._map, 0)
        return doing, statements, commits

    def do(self, doing: int) -> None:
        """Write what is being done from here on."""
        self.doing = doing
        self._write()

    def statement(self, sql: str) -> None:
        """Note a statement that is about to run; die here where the task says so."""
        self.statements += 1
        word = sql.lstrip()[:6].upper()
        if word.startswith("BEGIN"):
            self.doing = IN_PAGE
        elif word.startswith("COMMIT") or (self.doing == OUTSIDE and word in {"INSERT", "UPDATE", "DELETE"}):
            self.doing = COMMITTING
            self.commits += 1
        self._write()
        if self.statements == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)


class SmallPages(Registry):
    """A client that asks for small pages."""

    def page(self, params: Mapping[str, str], token: str | None = None, *, size: int = PAGE_STUDIES) -> Page:
        """Return a page."""
        return super().page(params, token, size=min(size, PAGE_STUDIES))


class MarkedWriter(Writer):
    """A writer that notes where what it writes is written."""

    marks: Marks

    @contextmanager
    def page(self) -> Iterator[None]:
        """Hold a page."""
        with super().page():
            yield
        self.marks.do(OUTSIDE)

    def begin_poll(self, **columns: Any) -> int:
        """Begin a poll."""
        number = super().begin_poll(**columns)
        self.marks.do(OUTSIDE)
        return number

    def end_poll(self, poll: Poll, slices: Sequence[Slice] | None = None) -> None:
        """End a poll."""
        super().end_poll(poll, slices)
        self.marks.do(OUTSIDE)


@contextmanager
def held(path: Path, clock: Clock, marks: Marks) -> Iterator[Writer]:
    """Hold a store, made where it is not there, and mark what is done to it."""
    schema.create(path)
    writer = MarkedWriter.open(path, now=clock, command="the crash test")
    assert isinstance(writer, MarkedWriter)
    writer.marks = marks
    marks.do(OUTSIDE)
    writer._db.raw.set_trace_callback(marks.statement)
    try:
        yield writer
    finally:
        marks.do(CLOSING)
        writer.close()


def work(task: Mapping[str, Any], sandbox: Sandbox, lines: Path, marks: Marks) -> None:
    """Do one task: poll the watch at a load (by its place), or import the lines."""
    clock = Clock()
    with held(Path(task["store"]), clock, marks) as writer:
        if task["what"] == "import":
            clock.at(sandbox.loads[-1])
            for _ in load(read([lines]), writer=writer, now=clock):
                pass
            return
        for _ in range(task["load"]):
            sandbox.advance()
        clock.at(sandbox.load)
        policy = Policy(incremental_above=10 if task["what"] == "moved" else 5000, sweep_days=3)
        with SmallPages(
            API,
            requests_per_second=1_000_000,
            contact=None,
            transport=Wire(sandbox),
            now=clock,
            sleep=lambda _: None,
            monotonic=lambda: 0.0,
        ) as registry:
            outcome = poll(ATAXIA, registry=registry, writer=writer, now=clock, policy=policy)
        if outcome.error is not None:
            raise outcome.error


def watch_over(pid: int, task: Mapping[str, Any], marks: Marks) -> int:
    """Wait for the fork to end, or kill it when the task says; return its status as the system gives it."""
    began = time.monotonic()
    due = began + task["seconds"] if "seconds" in task and "mark" not in task else None
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return status
        doing, _, commits = marks.read()
        if "mark" in task and due is None and doing == task["mark"] and (doing == CLOSING or commits >= task["nth"]):
            due = time.monotonic() + task["seconds"]
        if due is not None and time.monotonic() >= due:
            os.kill(pid, signal.SIGKILL)
            return os.waitpid(pid, 0)[1]
        if "mark" not in task:
            time.sleep(0.0002)


def main(lines: Path, marks: Marks) -> None:
    """Do the tasks."""
    log.configure(sys.stderr, level="error", format="json", environ={})
    sandbox = Sandbox(read_loads(lines))
    for line in sys.stdin:
        task = json.loads(line)
        marks.clear()
        began = time.monotonic()
        pid = os.fork()
        if pid == 0:
            marks.kill_at = task.get("statement")
            if "byte" in task:
                # Without Python's own handler the system kills whoever writes past the limit, in the middle of that write.
                signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
                resource.setrlimit(resource.RLIMIT_FSIZE, (task["byte"], task["byte"]))
            try:
                work(task, sandbox, lines, marks)
            except BaseException:  # noqa: BLE001 - whatever it is, the fork ends here and never goes on as its parent
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        status = watch_over(pid, task, marks)
        doing, statements, commits = marks.read()
        came = {
            "killed": os.WIFSIGNALED(status),
            "code": os.waitstatus_to_exitcode(status),
            "doing": DOING[doing],
            "statements": statements,
            "commits": commits,
            "seconds": time.monotonic() - began,
        }
        sys.stdout.write(json.dumps(came) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    Path(sys.argv[2]).touch()
    main(Path(sys.argv[1]), Marks(Path(sys.argv[2])))
