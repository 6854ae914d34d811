"""Studies made ready for the store before it is asked anything: what of a first sight takes time, and needs no store.

Where many come at once, processes of their own do it ahead of the writer, so that an import uses every core.
"""

from __future__ import annotations

import os
import signal
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from multiprocessing import connection, get_context, parent_process
from threading import Thread
from typing import TYPE_CHECKING, Final, ParamSpec, Self, TypeVar

import orjson
import structlog

from trialsync.errors import RecordError
from trialsync.store.first import First, first
from trialsync.study import record
from trialsync.study.leaves import drift

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future
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


def ready(study: Study, fields: BaselineFields) -> Ready:
    """Return a study made ready, with the baseline rows of these fields. Raises RecordError for a record that can't be recorded."""
    return Ready(first(study, fields), record.is_withheld(study), frozenset(drift(study)))


class Crew:
    """Processes that work ahead of the one that writes, one a core, started when there is something to do.

    Where a machine has one core, lets no more processes be started, or one dies, the work is left to whoever wants its result.
    """

    def __init__(self) -> None:
        self._cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self._pool: ProcessPoolExecutor | None = None

    @property
    def depth(self) -> int:
        """Return how many pieces of work it pays to have under way."""
        return self._cores + 1

    def begin(self, work: Callable[P, T], *args: P.args, **options: P.kwargs) -> Callable[[], T]:
        """Have a function of a module called by one of the processes; return what gives its result, waiting for it where it must."""
        here = partial(work, *args, **options)
        if self._cores < 2:  # noqa: PLR2004
            return here
        try:
            if self._pool is None:
                self._pool = ProcessPoolExecutor(self._cores, get_context("spawn"), initializer=_live_with_parent)
            begun = self._pool.submit(work, *args, **options)
        except BrokenProcessPool:
            return here
        except (OSError, ImportError) as error:
            # No room for more processes, no shared memory: as on a machine with one core.
            log.warning("import.no_processes", why=str(error))
            self._dismiss()
            self._cores = 1
            return here
        return partial(_result, begun, here)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._dismiss()

    def _dismiss(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None


def _result(begun: Future[T], here: Callable[[], T]) -> T:
    """Return a process's result, or do its work here where it died."""
    try:
        return begun.result()
    except BrokenProcessPool:
        log.warning("import.process_died")
        return here()


def _live_with_parent() -> None:
    """Leave a keyboard's interrupt to the process that started this one, and end with it, however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    if parent is not None:
        Thread(target=lambda: (connection.wait([parent.sentinel]), os._exit(1)), daemon=True).start()


def all_ready(raws: Sequence[bytes], fields: BaselineFields) -> list[Ready | None]:
    """Return records made ready, ``None`` for one that can't be: whoever records it meets the error again, and tells it with its place."""
    return [_ready_or_none(raw, fields) for raw in raws]


def _ready_or_none(raw: bytes, fields: BaselineFields) -> Ready | None:
    try:
        return ready(orjson.loads(raw), fields)
    except RecordError:
        return None
