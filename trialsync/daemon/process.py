"""The daemon from its start to its end: puts the parts together, and does what signals ask."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import structlog

from trialsync import __version__
from trialsync.daemon.agenda import Agenda
from trialsync.daemon.alarms import Alarms
from trialsync.daemon.decisions import needs_restart
from trialsync.daemon.signals import ENDING, RELOADING
from trialsync.daemon.supervision import Supervision
from trialsync.daemon.timetable import Timetable
from trialsync.daemon.worker import Worker
from trialsync.errors import STOPPED, SettingsError, StoreError, StoreUnwritable
from trialsync.model import instant
from trialsync.store.lock import Lock
from trialsync.store.reader import Reader
from trialsync.store.writer import Writer
from trialsync.sync.nightly import COPY, is_wanted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from signal import Signals
    from typing import NoReturn

    from trialsync.daemon.notify import Notifier
    from trialsync.daemon.pages import Pages
    from trialsync.daemon.worker import Clock
    from trialsync.registry.client import Registry
    from trialsync.settings import Settings, WatchTable
    from trialsync.sync.following import Followed
    from trialsync.web.metrics import Metrics

log = structlog.get_logger()

PATIENCE: Final = 3.0
"""A request under way may take so many seconds more when the daemon is asked to stop; then it is cut."""

DEADLINE: Final = 8.5
"""After so many seconds the process ends whatever is left: what was committed is kept, and the next poll calls this one failed."""

_FAREWELL_SECONDS: Final = 0.3
_RELOAD_SECONDS: Final = 1.0
_LOOK_EVERY: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Outside:
    """What the daemon is given of the world.

    ``wait`` returns the next signal within so many seconds, or None; ``load`` reads the settings anew (SettingsError where they can't be
    used), ``log_as`` makes the log follow them; ``leave`` ends the process at once with a code. ``watchdog`` is in seconds.
    """

    clock: Clock
    wait: Callable[[float], Signals | None]
    load: Callable[[], Settings]
    log_as: Callable[[Settings], None]
    leave: Callable[[int], NoReturn]
    notifier: Notifier
    watchdog: float | None


@dataclass(frozen=True, slots=True)
class _Past:
    """What the store says of before.

    When it was ``made``, None where that is not known; the end of each watch's last poll that went well, both aware; how often in a row
    each failed since.
    """

    made: datetime | None
    polls: Mapping[str, datetime]
    failures: Mapping[str, int]


class Daemon:
    """The service of ``trialsync run``."""

    def __init__(self, settings: Settings, outside: Outside) -> None:
        self._settings = settings
        self._outside = outside
        clock = outside.clock
        self._agenda = Agenda(clock.monotonic)
        self._timetable = Timetable(self._due, now=clock.now, monotonic=clock.monotonic)
        self._worker = Worker(self._agenda, lambda: self._settings, self._after, clock=clock)
        self._alarms = Alarms()
        self._supervision = Supervision(
            lambda: self._settings,
            self._timetable,
            self._alarms,
            outside.notifier,
            working=self._worker.trouble,
            watchdog=outside.watchdog,
            clock=clock,
        )
        self._metrics: Metrics | None = None
        self._pages: Pages | None = None

    def run(self) -> int:
        """Work until a signal ends it; return the exit code.

        Raises SettingsError, UsageError or StoreError where it can't begin, StoreBusy where another daemon follows with the same store.
        """
        _something_to_do(self._settings)
        past = self._past(self._settings)
        post = Lock(self._settings.store.path, daemon=True)
        try:
            post.acquire()
            post.sign(f"pid {os.getpid()} on {socket.gethostname()}, since {instant(self._outside.clock.now())}")
        except StoreUnwritable as error:
            # It polls in vain, and says so each time; whoever mends the disk or the permissions need not think of it.
            log.error("store.unwritable", error=str(error))  # noqa: TRY400 - the sentence says it all
        try:
            self._start(past)
            while True:
                came = self._outside.wait(_LOOK_EVERY)
                if came in RELOADING:
                    self._reload()
                elif came in ENDING:
                    self._stop(came)
                    return 0
        finally:
            post.release()

    def _start(self, past: _Past) -> None:
        settings = self._settings
        if settings.web is not None:
            self._open_pages(settings)
        self._timetable.start()
        self._timetable.set(settings, past.polls)
        if is_wanted(settings, past.made, self._outside.clock.now()):
            self._agenda.add(COPY)
        log.info(
            "daemon.started",
            version=__version__,
            store=str(settings.store.path),
            watches=[table.name for table in settings.tables],
            next={name: instant(moment) for name, moment in self._next().items()},
            **({"port": self._pages.port} if self._pages else {}),
        )
        self._outside.notifier.ready(self._status())
        self._worker.start(past.failures)
        self._supervision.start()

    def _open_pages(self, settings: Settings) -> None:
        from trialsync.daemon.pages import Pages  # noqa: PLC0415 - slow to load, and needed by those with pages alone
        from trialsync.web.metrics import Metrics  # noqa: PLC0415

        assert settings.web is not None  # noqa: S101 - the caller looked
        self._metrics = Metrics()
        now = self._outside.clock.now
        self._pages = Pages(settings.web, settings, self._metrics, lambda: self._supervision.at_work() is None, now=now)
        self._pages.start()

    def _past(self, settings: Settings, limit_seconds: float | None = None) -> _Past:
        """Return what the store says of before; a watch with a new name goes on under the old one. Raises StoreError."""
        with Reader.open(settings.store.path, limit_seconds=limit_seconds) as reader:
            stands = reader.standing()
        polls, failures = {}, {}
        for table in settings.tables:
            known = stands.watches.get(table.name) or (stands.watches.get(table.was) if table.was else None)
            if known is not None:
                failures[table.name] = known.failures
                if known.success is not None:
                    polls[table.name] = datetime.fromisoformat(known.success.finished or known.success.started)
        return _Past(datetime.fromisoformat(stands.made) if stands.made else None, polls, failures)

    def _due(self, name: str) -> None:
        """Let a name be due as its schedule says; the copy of a new night waits for no pause after one that failed."""
        self._agenda.add(name)
        if name == COPY:
            self._agenda.release(name)

    # What is told

    def _after(self, followed: Followed | None, registry: Registry | None) -> None:
        """Tell who looks on of what was just done; called by the worker."""
        if self._metrics is not None:
            self._metrics.troubles = dict(self._worker.troubles)
            if followed is not None and registry is not None:
                self._metrics.observe(followed.outcome, registry)
        if followed is not None:
            self._supervision.look_at_alarms()
        self._outside.notifier.status(self._status())

    def _next(self) -> dict[str, datetime]:
        """Return when each watch is polled next, as things stand; aware, UTC."""
        now = self._outside.clock.now()
        found = self._timetable.next()
        for name, seconds in self._agenda.waits().items():
            # What waits on the agenda because it failed is not polled before, whatever its schedule says.
            if name in found:
                found[name] = now + timedelta(seconds=seconds)
        return found

    def _status(self) -> str:
        """Return the line that ``systemctl status`` shows: the last poll and the next."""
        parts = []
        last = self._worker.last
        if last is not None and last.ended is not None:
            parts.append(f"last poll: {last.watch} {last.ended.value} {(last.finished or '')[:16].replace('T', ' ')}Z")
        coming = self._next()
        if coming:
            name = min(coming, key=coming.__getitem__)
            parts.append(f"next: {name} {coming[name].astimezone(UTC):%Y-%m-%d %H:%M}Z")
        return "; ".join(parts) or "no watch is followed"

    # Signals

    def _reload(self) -> None:
        notifier = self._outside.notifier
        notifier.reloading(self._outside.clock.monotonic())
        old = self._settings
        try:
            new = self._outside.load()
            _something_to_do(replace(new, web=old.web))
        except SettingsError as error:
            log.error("daemon.reload_refused", error=str(error))  # noqa: TRY400 - the sentence says it all
        else:
            try:
                past = self._past(replace(new, store=old.store), _RELOAD_SECONDS)
            except StoreError:
                # It is locked, or gone, which polls tell. Signals must not wait for it: a watch with a new schedule is then due at once.
                past = _Past(None, {}, {})
            self._take_over(old, new, past)
        notifier.ready(self._status())

    def _take_over(self, old: Settings, new: Settings, past: _Past) -> None:
        """Put new settings in force, all at once; what can't change under way stays as it was, and that is said."""
        waiting = needs_restart(old, new)
        new = replace(new, store=new.store.model_copy(update={"path": old.store.path}), web=old.web)
        self._settings = new
        self._outside.log_as(new)
        if self._pages is not None:
            self._pages.set(new)
        before = {table.name: table for table in old.tables}
        for gone in before.keys() - {table.name for table in new.tables}:
            self._worker.forget(gone)
            self._agenda.drop(gone)
        self._timetable.set(new, past.polls)
        for table in new.tables:
            asked = before.get(table.name)
            if asked is not None and _asks(asked) != _asks(table):
                self._worker.forget(table.name)
                self._agenda.add(table.name)
            # Whoever reloads may have mended what was wrong, be it outside the settings.
            self._agenda.release(table.name)
        # So may who mended the copies' folder; and where none are wanted any more, none is missing.
        self._worker.forget(COPY)
        self._agenda.drop(COPY)
        if is_wanted(new, past.made, self._outside.clock.now()):
            self._agenda.add(COPY)
        log.info("daemon.reloaded", watches=[table.name for table in new.tables])
        if waiting:
            log.warning("daemon.needs_restart", settings=list(waiting))

    def _stop(self, came: Signals) -> None:
        """End what is under way within ten seconds; a second signal ends the process at once."""
        monotonic = self._outside.clock.monotonic
        began = monotonic()
        doing = self._worker.current
        log.info("daemon.stopping", signal=came.name, **({"doing": doing} if doing else {}))
        self._outside.notifier.stopping(f"stopping{f', {doing} is under way' if doing else ''}")
        self._timetable.stop()
        self._supervision.stop()
        self._worker.stop()
        if self._pages is not None:
            self._pages.stop()
        cut = False
        while not (self._worker.join(0.05) and (self._pages is None or self._pages.join(0.05))):
            again = self._outside.wait(0.1)
            if again in ENDING:
                self._leave(128 + again, at_once=True)
            if not cut and monotonic() - began > PATIENCE:
                cut = True
                self._worker.interrupt()
            if monotonic() - began > DEADLINE:
                self._leave(0)
        log.info("daemon.stopped", seconds=round(monotonic() - began, 3))

    def _leave(self, code: int, **why: bool) -> None:
        """End the process at once, with what is still under way named in the log, and in the row of its poll where the store can be had."""
        doing = self._worker.current
        if doing is not None:
            Writer.abandon(self._settings.store.path, STOPPED, wait_seconds=_FAREWELL_SECONDS)
        log.warning("daemon.stopped", **why, left=doing or "requests for pages")
        self._outside.leave(code)


def _something_to_do(settings: Settings) -> None:
    """Raise SettingsError where there is neither a watch nor a page to serve: a file that an editor has just emptied, perhaps."""
    if not settings.tables and settings.web is None:
        where = settings.source or "no settings file was found"
        raise SettingsError(f"there is nothing to follow ({where})", hint="trialsync init, or add a [[watch]]")


def _asks(table: WatchTable) -> WatchTable:
    """Return a watch of the settings without what says when: two that are equal ask for the same."""
    return table.model_copy(update={"schedule": None, "was": None})
