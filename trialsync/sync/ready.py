"""Studies made ready for the store before it is asked anything: what of a first sight takes time, and needs no store.

Where many come at once, processes of their own do it ahead of the writer, so that an import uses every core.
"""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from threading import local
from typing import TYPE_CHECKING, Any, Final, ParamSpec, Self, TypeVar

import orjson
import structlog

from trialsync.errors import RecordError
from trialsync.store.first import First, first
from trialsync.study import record
from trialsync.study.leaves import drift
from trialsync.sync.garbage import few_collections

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from trialsync.model import Study
    from trialsync.study.diff import BaselineFields

log = structlog.get_logger()

WORTH_FROM: Final = 2_000
"""From so many studies on, starting other processes takes less time than it saves."""

T = TypeVar("T")
P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class Ready:
    """A study as it is recorded when nothing is known of it, and the paths in it that the vocabulary does not know."""

    first: First
    is_withheld: bool
    drifted: frozenset[str]


def ready(study: Study, fields: BaselineFields, text: bytes = b"") -> Ready:
    """Return a study made ready, with the baseline rows of these fields; ``text`` is the study as compact JSON, where that is at hand.

    Raises RecordError for a record that can't be recorded.
    """
    return Ready(first(study, fields, text), record.is_withheld(study), frozenset(drift(study)))


class Crew:
    """Processes that work ahead of the one that writes, one a core, each started when there is something for it to do.

    Each has a thread here that hands it its work and waits for it, over a pipe of their own: a process that is killed, at whatever moment,
    closes its pipe, and its thread sees that. What it had under way, and what would have been its share, its thread then does itself; so it
    is where a machine lets no more processes be started. On one core the work is left to whoever wants its result. Whoever leaves the crew
    waits for nothing that is under way: its processes are ended, whatever they are at.
    """

    def __init__(self) -> None:
        self._cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self._threads = ThreadPoolExecutor(self._cores, "crew")
        self._members: list[_Member] = []
        self._own = local()
        self._is_over = False

    @property
    def depth(self) -> int:
        """Return how many pieces of work it pays to have under way."""
        return self._cores + 1

    def begin(self, work: Callable[P, T], *args: P.args, **options: P.kwargs) -> Callable[[], T]:
        """Have a function of a module called by one of the processes; return what gives its result, waiting for it where it must."""
        piece = partial(work, *args, **options)
        if self._cores < 2:  # noqa: PLR2004
            return piece
        try:
            return self._threads.submit(self._do, piece).result
        except RuntimeError as error:
            log.warning("crew.no_processes", why=str(error))
            self._cores = 1
            return piece

    def _do(self, piece: Callable[[], T]) -> T:
        if not hasattr(self._own, "member"):
            self._own.member = self._start()
        if self._own.member is not None:
            try:
                done = self._own.member.do(piece)
            except (EOFError, OSError):
                self._own.member = None
                if self._is_over:
                    raise
                log.warning("crew.process_died")
            else:
                if done is not None:
                    value: T = done.value
                    return value
        return piece()

    def _start(self) -> _Member | None:
        try:
            member = _Member()
        except OSError as error:
            # No room for more processes, no file left to open for a pipe.
            log.warning("crew.no_processes", why=str(error))
            return None
        self._members.append(member)
        return member

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._is_over = True
        # Their threads wait for them: one that somebody stopped would keep them waiting for ever.
        for member in tuple(self._members):
            member.end()
        self._threads.shutdown(cancel_futures=True)
        for member in self._members:
            member.dismiss()


@dataclass(frozen=True, slots=True)
class _Done:
    value: Any


_BEGIN: Final = "import sys; sys.path[:] = sys.argv[2:]; from trialsync.sync.ready import serve; serve(int(sys.argv[1]))"


class _Member:
    """One of the processes, and the pipe to it. Raises OSError where none can be started.

    It is a Python of its own that loads what the work needs and no more: not the program that began this one, whatever that is. It hears
    nothing of what a terminal sends (it is in a group of its own), and has nothing to say there.
    """

    def __init__(self) -> None:
        self._pipe, its_end = Pipe()
        with its_end:
            self._process = subprocess.Popen(  # noqa: S603 - this Python again
                [sys.executable or "", "-P", "-c", _BEGIN, str(its_end.fileno()), *sys.path],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(its_end.fileno(),),
                process_group=0,
            )

    def do(self, piece: Callable[[], object]) -> _Done | None:
        """Return what the process made of a piece of work, ``None`` where it met an error; raises EOFError or OSError where it died."""
        self._pipe.send(piece)
        done: _Done | None = self._pipe.recv()
        return done

    def end(self) -> None:
        """End the process, whatever it is at: it has nothing of its own that could be lost."""
        self._process.kill()

    def dismiss(self) -> None:
        """End the process, and leave nothing of it."""
        self.end()
        self._process.wait()
        self._pipe.close()


def serve(descriptor: int) -> None:
    """Do what comes by a pipe, one end of which is a file descriptor, until its other end is closed."""
    with Connection(descriptor) as pipe, few_collections(), suppress(EOFError, OSError):
        while True:
            pipe.send(_done(pipe.recv()))


def _done(piece: Callable[[], object]) -> _Done | None:
    try:
        return _Done(piece())
    except Exception:  # noqa: BLE001 - the other process does it again, meets it too, and can tell it
        return None


def all_ready(raws: Sequence[bytes], fields: BaselineFields) -> list[Ready | None]:
    """Return records made ready, ``None`` for one that can't be: whoever records it meets the error again, and tells it with its place."""
    return [_ready_or_none(raw, fields) for raw in raws]


def _ready_or_none(raw: bytes, fields: BaselineFields) -> Ready | None:
    try:
        return ready(orjson.loads(raw), fields)
    except RecordError:
        return None
