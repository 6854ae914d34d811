"""The one that looks on: feeds the watchdog while the store answers, the scheduler ticks and the worker works, and keeps the alarms."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

import structlog

from trialsync.daemon.timetable import TICK_SECONDS
from trialsync.errors import StoreError
from trialsync.store import care
from trialsync.store.reader import Reader
from trialsync.sync.health import health

if TYPE_CHECKING:
    from collections.abc import Callable

    from trialsync.daemon.alarms import Alarms
    from trialsync.daemon.notify import Notifier
    from trialsync.daemon.timetable import Timetable
    from trialsync.daemon.worker import Clock
    from trialsync.settings import Settings

log = structlog.get_logger()

ALARM_SECONDS: Final = 60.0
"""So often the alarms are looked at."""

_SHORTEST_SECONDS: Final = 0.05
_STORE_SECONDS: Final = 2.0
_SILENT_TICKS: Final = 4


class Supervision:
    """A thread that looks on.

    ``working`` says what is wrong with the worker, None where nothing is. ``watchdog`` is after how many seconds without food the manager
    ends this process, None where it does not.
    """

    def __init__(
        self,
        settings: Callable[[], Settings],
        timetable: Timetable,
        alarms: Alarms,
        notifier: Notifier,
        *,
        working: Callable[[], str | None],
        watchdog: float | None,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._timetable = timetable
        self._alarms = alarms
        self._notifier = notifier
        self._working = working
        self._interval = min(max(watchdog / 3, _SHORTEST_SECONDS), ALARM_SECONDS) if watchdog else ALARM_SECONDS
        self._watchdog = watchdog
        self._clock = clock
        self._looked = float("-inf")
        self._withheld = False
        self._looking = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look_on, name="supervision", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; returns at once."""
        self._stop.set()

    def _look_on(self) -> None:
        while True:
            try:
                self.beat()
            except Exception:  # who looks on must not be the one that falls
                log.exception("supervision.crashed")
            if self._stop.wait(self._interval):
                return

    def beat(self) -> None:
        """Look once: feed the watchdog or withhold its food, and look at the alarms where it is time."""
        if self._timetable.look_at_clock():
            log.warning("clock.set_back")
        trouble = self._trouble()
        if trouble is None and self._watchdog:
            self._notifier.alive()
        if (trouble is not None) != self._withheld:
            self._withheld = trouble is not None
            if trouble is not None:
                log.error("watchdog.withheld", error=trouble)
            else:
                log.info("watchdog.fed_again")
        if trouble is None and self._clock.monotonic() - self._looked >= ALARM_SECONDS:
            self._looked = self._clock.monotonic()
            self.look_at_alarms()

    def look_at_alarms(self) -> None:
        """Say which alarms began or ended; from any thread, one at a time, so that none is told by what another found before."""
        with self._looking:
            settings = self._settings()
            try:
                with Reader.open(settings.store.path) as reader:
                    found = health(reader, settings, self._clock.now())
            except StoreError as error:
                log.warning("health.unknown", error=str(error))
                return
            self._alarms.update(found)

    def at_work(self) -> str | None:
        """Return why nothing is polled though it may be due, None where the scheduler and the worker are well."""
        silence = self._timetable.silence()
        if silence > TICK_SECONDS * _SILENT_TICKS:
            return f"the scheduler has not ticked for {silence:.0f} seconds"
        return self._working()

    def _trouble(self) -> str | None:
        """Return why this process is not doing its work, None where it is."""
        trouble = self.at_work()
        if trouble is not None:
            return trouble
        try:
            care.answers(self._settings().store.path, wait_seconds=min(_STORE_SECONDS, self._interval))
        except StoreError as error:
            return str(error)
        return None
