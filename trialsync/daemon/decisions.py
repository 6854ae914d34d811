"""What the daemon decides, by values alone: when a watch is asked first, how long one that fails waits, what is said, what is pruned."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from trialsync.model import is_day

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trialsync.settings import Backup, Schedule, Settings

SHORTEST_PAUSE: Final = 60.0
LONGEST_PAUSE: Final = 3600.0
"""A watch that fails is asked again after a minute, then after twice as long each time, at most after an hour; seconds."""

BUSY_PAUSE: Final = 2.0
"""After so many seconds a store that another process holds is tried again."""

_SAID_EVERY: Final = 5


def pause_after(failures: int, every: timedelta | None) -> float:
    """Return the seconds to wait after so many failures in a row; a schedule of less than a minute begins with its own length."""
    first = min(SHORTEST_PAUSE, every.total_seconds()) if every else SHORTEST_PAUSE
    # 2.0 ** 1023 is the last that a float holds.
    return min(first * 2.0 ** min(failures - 1, 64), LONGEST_PAUSE)


def is_said(failures: int) -> bool:
    """Return whether the n-th failure in a row is worth a line: the 1st, the 5th, the 25th, the 125th and so on."""
    while failures > 1 and failures % _SAID_EVERY == 0:
        failures //= _SAID_EVERY
    return failures == 1


def first_due(schedule: Schedule, last: datetime | None, now: datetime) -> datetime:
    """Return when a watch is due first: now where it was missed, or never polled; otherwise when its schedule wants the next poll.

    ``last`` is the end of its last poll that ended well. Both instants are aware; one that lies ahead of the clock says nothing.
    """
    if last is None or last > now:
        return now
    return max(schedule.due_after(last), now)


def needs_restart(old: Settings, new: Settings) -> tuple[str, ...]:
    """Return the settings that differ and take effect with a restart only."""
    found = []
    if old.store.path != new.store.path:
        found.append("store.path")
    if old.web != new.web:
        found.append("web")
    return tuple(found)


# Copies


def copy_name(stem: str, day: date) -> str:
    """Return the name of a night's copy of the store ``<stem>.db``."""
    return f"{stem}-{day.isoformat()}.db"


def copies(names: Iterable[str], stem: str) -> list[str]:
    """Return which of these names are nightly copies of this store, oldest first; nothing else is ever taken for one."""
    pattern = re.compile(rf"{re.escape(stem)}-(\d{{4}}-\d{{2}}-\d{{2}})\.db", re.ASCII)
    return sorted(name for name in names if (found := pattern.fullmatch(name)) and is_day(found[1]))


def leftovers(names: Iterable[str], stem: str) -> list[str]:
    """Return which of these names are the beginnings of copies that a process did not live to finish."""
    pattern = re.compile(rf"({re.escape(stem)}-\d{{4}}-\d{{2}}-\d{{2}}\.db)\.partial-\d+(?:-wal|-shm|-journal)?", re.ASCII)
    return sorted(name for name in names if (found := pattern.fullmatch(name)) and copies([found[1]], stem))


def to_prune(names: Iterable[str], stem: str, keep: int) -> list[str]:
    """Return the copies to remove, oldest first, so that the newest ``keep`` stay."""
    found = copies(names, stem)
    return found[: max(0, len(found) - keep)]


def night(now: datetime, table: Backup) -> date:
    """Return the day, in the section's own time zone, of the last night whose hour has come."""
    local = now.astimezone(ZoneInfo(table.timezone))
    return local.date() if local.time() >= table.at else local.date() - timedelta(days=1)


def copy_missing(names: Iterable[str], stem: str, day: date) -> bool:
    """Return whether there is no copy of this night, nor of a later one."""
    newest = next(reversed(copies(names, stem)), None)
    return newest is None or newest < copy_name(stem, day)
