"""The one worker: takes from the agenda what is due, one at a time, and polls it, or copies the store."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import structlog

from trialsync.daemon.copies import make_copy
from trialsync.daemon.decisions import BUSY_PAUSE, copy_pause_after, is_said, pause_after
from trialsync.daemon.heartbeat import Heartbeat
from trialsync.daemon.timetable import schedule_of
from trialsync.errors import Stopped, StoreBusy, StoreError, TrialsyncError
from trialsync.model import Ended, instant
from trialsync.registry.client import Pace, Registry
from trialsync.store.writer import Writer
from trialsync.sync.following import follow, rename_watches
from trialsync.sync.health import Trouble
from trialsync.sync.nightly import COPY

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from trialsync.daemon.agenda import Agenda
    from trialsync.model import Poll
    from trialsync.settings import Registry as RegistryTable
    from trialsync.settings import Settings, WatchTable
    from trialsync.sync.following import Followed

log = structlog.get_logger()

COMMAND: Final = "trialsync run"
"""What others are told while a poll holds the store."""

SILENCE: Final = 3600.0
"""A worker that is at something and shows no sign of life for so many seconds hangs. A request with its answer and a wait that the registry
asks for are a quarter of an hour at most, a copy of a store of many gigabytes is less than this."""

_SHOWN: Final = 10
_NONE: Final[Mapping[str, int]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Clock:
    """Where time comes from: ``now`` returns the present instant, aware, UTC; ``monotonic`` seconds."""

    now: Callable[[], datetime]
    monotonic: Callable[[], float]


class Worker:
    """Polls what the agenda says, under the settings of that moment, in a thread of its own.

    ``settings`` returns those in force; ``after`` is called when something was done, with the poll's outcome where there is one. The
    registry's client and its budget of requests live as long as the worker; so does, for each watch and for the nightly copy, the number of
    its failures in a row (``failures``), and why (``troubles``, those of before this process included).
    """

    def __init__(
        self,
        agenda: Agenda,
        settings: Callable[[], Settings],
        after: Callable[[Followed | None, Registry | None], None],
        *,
        clock: Clock,
    ) -> None:
        self._agenda = agenda
        self._settings = settings
        self._after = after
        self._clock = clock
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="worker", daemon=True)
        self._lock = threading.Lock()
        self._pace: Pace | None = None
        self._registry: Registry | None = None
        self._table: RegistryTable | None = None
        self._busy: dict[str, tuple[int, float]] = {}
        self._unended: dict[str, str] = {}
        self._before: dict[str, int] = {}
        self._sign = clock.monotonic()
        self._heartbeat = Heartbeat(clock.monotonic)
        self.failures: dict[str, int] = {}
        self.troubles: dict[str, Trouble] = {}
        self.current: str | None = None
        self.last: Poll | None = None

    def start(self, before: Mapping[str, int] = _NONE) -> None:
        """Begin; ``before`` has the failures in a row of each watch that the store knows of, which the pauses do not count."""
        self._before = dict(before)
        self._thread.start()

    def stop(self) -> None:
        """Take nothing more from the agenda; a poll under way ends with the page that it is at. Returns at once."""
        self._stop.set()
        self._agenda.close()

    def interrupt(self) -> None:
        """Cut the request under way too."""
        with self._lock:
            if self._registry is not None:
                self._registry.interrupt()

    def join(self, seconds: float) -> bool:
        """Wait for the worker to end; return whether it has."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def forget(self, name: str) -> None:
        """Count the failures of a watch from none, and hold it back no longer."""
        self._well(name)
        self._agenda.release(name)

    def _well(self, name: str) -> int:
        """Forget that a name failed; return how often it had."""
        self.troubles.pop(name, None)
        return self.failures.pop(name, 0)

    def trouble(self) -> str | None:
        """Return why nothing is polled though it may be due, None where all is well."""
        if self._stop.is_set() or self._thread.ident is None:
            return None
        if not self._thread.is_alive():
            return "the worker has ended"
        silence, doing = self._clock.monotonic() - self._sign, self.current
        return f"{doing} has shown no sign of life for {silence:.0f} seconds" if doing is not None and silence > SILENCE else None

    def _live(self) -> None:
        self._sign = self._clock.monotonic()

    def _work(self) -> None:
        while (name := self._agenda.take()) is not None:
            self._live()
            self.current = name
            done: Followed | None = None
            try:
                if name == COPY:
                    self._copy()
                else:
                    done = self._poll(name)
            except Exception as error:  # whatever it is: the next one is due all the same
                log.exception("worker.crashed", doing=name)
                fail = self._copy_failed if name == COPY else partial(self._failed, name, None)
                fail(error=f"a fault of trialsync's own, which its log shows: {type(error).__name__}")
            self.current = None
            try:
                self._after(done, self._registry)
            except Exception:
                log.exception("worker.crashed", doing=f"what follows {name}")
        with self._lock:
            if self._registry is not None:
                self._registry.close()

    def _copy(self) -> None:
        try:
            make_copy(self._settings(), self._clock.now())
        except TrialsyncError as error:
            self._copy_failed(error=str(error))
        else:
            self.forget(COPY)

    def _copy_failed(self, *, error: str) -> None:
        failures = self.failures[COPY] = self.failures.get(COPY, 0) + 1
        self.troubles[COPY] = Trouble(failures, instant(self._clock.now()), error)
        pause = copy_pause_after(failures)
        log.error("backup.failed", error=error, failures=failures, again_in=pause)
        self._agenda.postpone(COPY, pause)

    def _poll(self, name: str) -> Followed | None:
        """Poll a watch, and decide when it is asked again where that did not end well."""
        settings = self._settings()
        table = _table(name, settings)
        if table is None:
            return None
        with structlog.contextvars.bound_contextvars(watch=name):
            try:
                registry = self._connected(settings.registry)
                # Held for the time of the poll alone: sync, import and the others work in between.
                with Writer.open(settings.store.path, now=self._clock.now, command=COMMAND, unended=self._unended) as writer:
                    self._unended = {}
                    for before, _ in rename_watches(settings, writer):
                        log.info("watch.renamed", was=before)
                    followed = follow(
                        table,
                        settings=settings,
                        registry=registry,
                        writer=writer,
                        now=self._clock.now,
                        progress=lambda *_: self._live(),
                        stop=self._stop.is_set,
                    )
            except StoreBusy as busy:
                self._is_busy(name, busy)
                return None
            except TrialsyncError as error:
                if isinstance(error, StoreError):
                    # Its row, if it got one, waits for whoever can write it.
                    self._unended[name] = str(error)
                self._busy.pop(name, None)
                self._failed(name, settings, error=str(error))
                return None
            self._busy.pop(name, None)
            self._say(followed)
            row = self.last = followed.outcome.poll
            if row.ended in {Ended.COMPLETE, Ended.NOTHING_NEW}:
                self._recovered(name)
                if not self._stop.is_set():
                    self._heartbeat.send(settings.heartbeat)
            elif not isinstance(followed.outcome.error, Stopped):
                self._failed(name, settings, ended=row.ended.value if row.ended else None, error=row.message, poll=row.id)
            return followed

    def _connected(self, table: RegistryTable) -> Registry:
        """Return the client for these settings: the same as long as they are the same, and one budget of requests whatever they are."""
        with self._lock:
            if self._pace is None:
                self._pace = Pace(table.requests_per_second, monotonic=self._clock.monotonic, sleep=self._sleep)
            elif self._table is not None and self._table.requests_per_second != table.requests_per_second:
                self._pace.change(table.requests_per_second)
            before = self._table
            if self._registry is None or before is None or (before.api_url, before.contact) != (table.api_url, table.contact):
                if self._registry is not None:
                    self._registry.close()
                self._registry = Registry(
                    table.api_url,
                    requests_per_second=table.requests_per_second,
                    contact=table.contact,
                    transport=None,
                    now=self._clock.now,
                    sleep=self._sleep,
                    monotonic=self._clock.monotonic,
                    pace=self._pace,
                )
            self._table = table
            return self._registry

    def _sleep(self, seconds: float) -> None:
        self._live()
        if self._stop.wait(seconds):
            raise Stopped

    def _is_busy(self, name: str, busy: StoreBusy) -> None:
        times, since = self._busy.get(name, (0, self._clock.monotonic()))
        self._busy[name] = times + 1, since
        if is_said(times + 1):
            waited = round(self._clock.monotonic() - since, 1)
            log.warning("store.busy", error=str(busy), times=times + 1, waited=waited, again_in=BUSY_PAUSE)
        self._agenda.postpone(name, BUSY_PAUSE)

    def _failed(self, name: str, settings: Settings | None, *, error: str | None, **why: str | int | None) -> None:
        """Let what failed, under these settings, be due again after a while; each time later."""
        now, table = self._settings(), _table(name, self._settings())
        if settings is not None and (table is None or table != _table(name, settings) or now.registry != settings.registry):
            # Other settings came under way: what failed is asked for no more, or how it is asked now was not tried yet.
            self.forget(name)
            if table is not None:
                self._agenda.add(name)
            return
        failures = self.failures[name] = self.failures.get(name, 0) + 1
        in_a_row = failures + self._before.get(name, 0)
        self.troubles[name] = Trouble(in_a_row, instant(self._clock.now()), error)
        pause = pause_after(failures, schedule_of(table, now).every if table else None)
        if is_said(failures):
            log.warning("watch.failing", watch=name, failures=in_a_row, again_in=pause, error=error, **why)
        self._agenda.postpone(name, pause)

    def _recovered(self, name: str) -> None:
        failures = self._well(name) + self._before.pop(name, 0)
        self._agenda.release(name)
        if failures:
            log.info("watch.recovered", watch=name, failures=failures)

    def _say(self, followed: Followed) -> None:
        """Log what a one-shot poll says in sentences."""
        outcome = followed.outcome
        if followed.mistyped:
            _log_some("watch.mistyped", followed.mistyped, outcome.poll.id, key="words")
        if outcome.notes:
            _log_some("poll.noted", outcome.notes, outcome.poll.id, key="notes")
        if outcome.skipped:
            _log_some("poll.skipped", outcome.skipped, outcome.poll.id, key="records")


def _table(name: str, settings: Settings) -> WatchTable | None:
    return next((table for table in settings.tables if table.name == name), None)


def _log_some(event: str, found: Sequence[str], poll: int, *, key: str) -> None:
    more = {"more": len(found) - _SHOWN} if len(found) > _SHOWN else {}
    log.info(event, poll=poll, **{key: list(found[:_SHOWN])}, **more)
