"""When what is due: the schedules of the settings, kept by APScheduler, which here decides on instants and runs nothing itself."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from apscheduler.executors.debug import DebugExecutor  # type: ignore[import-untyped]
from apscheduler.schedulers.background import BackgroundScheduler  # type: ignore[import-untyped]
from apscheduler.triggers.cron import CronTrigger  # type: ignore[import-untyped]
from apscheduler.triggers.interval import IntervalTrigger  # type: ignore[import-untyped]

from trialsync.daemon.decisions import first_due

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from trialsync.settings import Backup, Schedule, Settings, WatchTable

COPY: Final = "a copy of the store"
"""The name of the nightly copy on the agenda; no watch can have it."""

TICK_SECONDS: Final = 5
"""So often the scheduler shows that it ticks; in between it may sleep."""

_TICK: Final = "tick"
_WATCH: Final = "watch "


class Timetable:
    """The schedules of the settings; ``due`` is called with a name when its time has come, from the scheduler's own thread.

    ``now`` and ``monotonic`` are the same clocks that the scheduler reads.
    """

    def __init__(self, due: Callable[[str], None], *, now: Callable[[], datetime], monotonic: Callable[[], float]) -> None:
        self._due = due
        self._now = now
        self._monotonic = monotonic
        self._ticked = monotonic()
        self._schedules: dict[str, Schedule] = {}
        self._backup: Backup | None = None
        # Jobs run in the scheduler's thread: each does no more than put a name on the agenda. None as the grace time lets no late job be
        # skipped, and coalescing makes many that are late one.
        self._scheduler = BackgroundScheduler(
            executors={"default": DebugExecutor()},
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
            timezone=UTC,
        )

    def start(self) -> None:
        """Begin."""
        self._scheduler.add_job(self._tick, IntervalTrigger(seconds=TICK_SECONDS, timezone=UTC), id=_TICK)
        self._scheduler.start()

    def stop(self) -> None:
        """Let nothing be due any more."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    def silence(self) -> float:
        """Return for how many seconds the scheduler has not shown that it ticks."""
        return self._monotonic() - self._ticked

    def _tick(self) -> None:
        self._ticked = self._monotonic()

    def set(self, settings: Settings, last: Mapping[str, datetime]) -> None:
        """Keep the schedules of these settings; what is not changed in them goes on as it was.

        ``last`` has the end (aware) of each watch's last poll that ended well. A watch that is new here and was missed is due at once.
        """
        wanted = {table.name: schedule_of(table, settings) for table in settings.tables}
        for name in [name for name in self._schedules if name not in wanted]:
            self._scheduler.remove_job(_WATCH + name)
            del self._schedules[name]
        for name, schedule in wanted.items():
            if self._schedules.get(name) != schedule:
                self._schedules[name] = schedule
                self._set_watch(name, schedule, last.get(name))
        if settings.backup != self._backup:
            self._backup = settings.backup
            self._set_copy(settings.backup)

    def _set_watch(self, name: str, schedule: Schedule, last: datetime | None) -> None:
        now = self._now()
        first = first_due(schedule, last, now)
        if first <= now:
            self._due(name)
            first = schedule.due_after(now)
        self._scheduler.add_job(
            self._due, _trigger(schedule, first), args=[name], id=_WATCH + name, next_run_time=first, replace_existing=True
        )

    def _set_copy(self, table: Backup | None) -> None:
        if table is None:
            self._scheduler.remove_job(COPY)
            return
        trigger = CronTrigger(hour=table.at.hour, minute=table.at.minute, second=table.at.second, timezone=ZoneInfo(table.timezone))
        self._scheduler.add_job(self._due, trigger, args=[COPY], id=COPY, replace_existing=True)

    def next(self) -> dict[str, datetime]:
        """Return when each watch is due next by its schedule; aware, UTC."""
        found = {name: self._scheduler.get_job(_WATCH + name) for name in self._schedules}
        return {name: job.next_run_time.astimezone(UTC) for name, job in found.items() if job is not None and job.next_run_time is not None}


def schedule_of(table: WatchTable, settings: Settings) -> Schedule:
    """Return a watch's schedule: its own, or that of all."""
    return table.schedule or settings.schedule


def _trigger(schedule: Schedule, first: datetime) -> CronTrigger | IntervalTrigger:
    jitter = schedule.jitter.total_seconds() if schedule.jitter else None
    if schedule.cron is None:
        seconds = schedule.every.total_seconds() if schedule.every else 3600
        return IntervalTrigger(seconds=seconds, start_date=first, timezone=UTC, jitter=jitter)
    trigger = CronTrigger.from_crontab(schedule.cron, timezone=ZoneInfo(schedule.timezone or "UTC"))
    trigger.jitter = jitter
    return trigger
