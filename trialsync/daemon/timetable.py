"""When what is due: the schedules of the settings, kept by APScheduler, which here decides on instants and runs nothing itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from apscheduler.executors.debug import DebugExecutor  # type: ignore[import-untyped]
from apscheduler.schedulers.background import BackgroundScheduler  # type: ignore[import-untyped]
from apscheduler.triggers.base import BaseTrigger  # type: ignore[import-untyped]

from trialsync.daemon.decisions import first_due
from trialsync.settings import Schedule
from trialsync.sync.nightly import COPY

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from trialsync.settings import Backup, Settings, WatchTable

TICK_SECONDS: Final = 5
"""So often the scheduler shows that it ticks; in between it may sleep."""

SET_BACK: Final = 30.0
"""A clock that goes back by more than so many seconds was set; less is how clocks are kept right."""

_TICK: Final = "tick"
_WATCH: Final = "watch "


class _Times(BaseTrigger):  # type: ignore[misc]
    """The times of a schedule, up to ``jitter`` seconds late by chance.

    However far the clock has jumped, the next one lies ahead of it. APScheduler's own triggers count every time that was missed: a machine
    that gets its date after the start, decades of seconds.
    """

    def __init__(self, due_after: Callable[[datetime], datetime], jitter: timedelta | None = None) -> None:
        self._due_after = due_after
        self._jitter = jitter.total_seconds() if jitter else None

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        due = self._due_after(previous_fire_time or now)
        late: datetime = self._apply_jitter(due if due > now else self._due_after(now), self._jitter, now)
        return late


class Timetable:
    """The schedules of the settings; ``due`` is called with a name when its time has come, from the scheduler's own thread.

    ``now`` and ``monotonic`` are the same clocks that the scheduler reads.
    """

    def __init__(self, due: Callable[[str], None], *, now: Callable[[], datetime], monotonic: Callable[[], float]) -> None:
        self._due = due
        self._now = now
        self._monotonic = monotonic
        self._ticked = monotonic()
        self._ahead = self._now().timestamp() - monotonic()
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
        self._scheduler.add_job(self._tick, _Times(lambda moment: moment + timedelta(seconds=TICK_SECONDS)), id=_TICK)
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

    def look_at_clock(self) -> bool:
        """Return whether the clock was set back since the last look; the schedules then go on from what it shows now.

        Otherwise nothing would be due until it shows again what it showed before.
        """
        now = self._now()
        ahead = now.timestamp() - self._monotonic()
        back, self._ahead = self._ahead - ahead, ahead
        if back <= SET_BACK:
            return False
        for job in self._scheduler.get_jobs():
            self._scheduler.modify_job(job.id, next_run_time=job.trigger.get_next_fire_time(None, now))
        return True

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
            self._due,
            _Times(schedule.due_after, schedule.jitter),
            args=[name],
            id=_WATCH + name,
            next_run_time=first,
            replace_existing=True,
        )

    def _set_copy(self, table: Backup | None) -> None:
        if table is None:
            self._scheduler.remove_job(COPY)
            return
        nightly, seconds = (
            Schedule(cron=f"{table.at.minute} {table.at.hour} * * *", timezone=table.timezone),
            timedelta(seconds=table.at.second),
        )
        trigger = _Times(lambda moment: nightly.due_after(moment - seconds) + seconds)
        self._scheduler.add_job(self._due, trigger, args=[COPY], id=COPY, replace_existing=True)

    def next(self) -> dict[str, datetime]:
        """Return when each watch is due next by its schedule; aware, UTC."""
        found = {name: self._scheduler.get_job(_WATCH + name) for name in self._schedules}
        return {name: job.next_run_time.astimezone(UTC) for name, job in found.items() if job is not None and job.next_run_time is not None}


def schedule_of(table: WatchTable, settings: Settings) -> Schedule:
    """Return a watch's schedule: its own, or that of all."""
    return table.schedule or settings.schedule
