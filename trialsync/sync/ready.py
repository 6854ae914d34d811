"""Studies made ready for the store before it is asked anything: what of a first sight takes time, and needs no store.

Where many come at once, processes of their own do it ahead of the writer, so that an import uses every core.
"""

from __future__ import annotations

import os
import signal
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import connection, get_context, parent_process
from threading import Thread
from typing import TYPE_CHECKING, Final, Self

import orjson
import structlog

from trialsync.errors import RecordError
from trialsync.store.first import First, first
from trialsync.study import record
from trialsync.study.leaves import drift

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future
    from types import TracebackType

    from trialsync.model import Study
    from trialsync.study.diff import BaselineFields

log = structlog.get_logger()

WORTH_FROM: Final = 2_000
"""From so many studies on, starting other processes takes less time than it saves."""


@dataclass(frozen=True, slots=True)
class Ready:
    """A study as it is recorded when nothing is known of it, and the paths in it that the vocabulary does not know."""

    first: First
    is_withheld: bool
    drifted: frozenset[str]


def ready(study: Study, fields: BaselineFields) -> Ready:
    """Return a study made ready, with the baseline rows of these fields. Raises RecordError for a record that can't be recorded."""
    return Ready(first(study, fields), record.is_withheld(study), frozenset(drift(study)))


class ReadyAhead:
    """Makes studies ready in processes of its own, one a core, started once so many came that it is worth it.

    Where a machine has one core, or a process dies, studies are left to be made ready by whoever records them.
    """

    def __init__(self, fields: BaselineFields) -> None:
        self._fields = fields
        self._cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self._came = 0
        self._pool: ProcessPoolExecutor | None = None

    @property
    def depth(self) -> int:
        """Return how many batches it pays to have under way."""
        return self._cores + 1

    def begin(self, raws: Sequence[bytes]) -> Future[list[Ready | None]] | None:
        """Return what will be these records made ready, ``None`` for one that can't be; or ``None`` where nobody begins with them."""
        self._came += len(raws)
        if self._cores < 2 or self._came < WORTH_FROM or not raws:  # noqa: PLR2004
            return None
        if self._pool is None:
            self._pool = ProcessPoolExecutor(self._cores, get_context("spawn"), initializer=_live_with_parent)
        try:
            return self._pool.submit(_all_ready, raws, self._fields)
        except BrokenProcessPool:
            return None

    @staticmethod
    def result(begun: Future[list[Ready | None]] | None, count: int) -> list[Ready | None]:
        """Return the records made ready, once they are; as many ``None`` where nobody did, or the process died that should have."""
        try:
            return begun.result() if begun is not None else [None] * count
        except BrokenProcessPool:
            log.warning("import.process_died")
            return [None] * count

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


def _live_with_parent() -> None:
    """Leave a keyboard's interrupt to the process that started this one, and end with it, however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    if parent is not None:
        Thread(target=lambda: (connection.wait([parent.sentinel]), os._exit(1)), daemon=True).start()


def _all_ready(raws: Sequence[bytes], fields: BaselineFields) -> list[Ready | None]:
    return [_ready_or_none(raw, fields) for raw in raws]


def _ready_or_none(raw: bytes, fields: BaselineFields) -> Ready | None:
    try:
        return ready(orjson.loads(raw), fields)
    except RecordError:
        return None  # whoever records it meets the error again, and tells it with the record's place
