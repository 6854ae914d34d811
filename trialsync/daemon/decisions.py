"""What the daemon decides, by values alone: when a watch is asked first, how long one that fails waits and what is said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from trialsync.settings import Schedule, Settings

SHORTEST_PAUSE: Final = 60.0
LONGEST_PAUSE: Final = 3600.0
"""A watch that fails is asked again after a minute, then after twice as long each time, at most after an hour; seconds."""

SHORTEST_COPY_PAUSE: Final = 600.0
LONGEST_COPY_PAUSE: Final = 4 * 3600.0
"""A copy that fails is tried again after ten minutes, then after twice as long each time, at most after four hours; seconds."""

BUSY_PAUSE: Final = 2.0
"""After so many seconds a store that another process holds is tried again."""

_SAID_EVERY: Final = 5


def pause_after(failures: int, every: timedelta | None) -> float:
    """Return the seconds to wait after so many failures in a row; a schedule of less than a minute begins with its own length."""
    first = min(SHORTEST_PAUSE, every.total_seconds()) if every else SHORTEST_PAUSE
    # 2.0 ** 1023 is the last that a float holds.
    return min(first * 2.0 ** min(failures - 1, 64), LONGEST_PAUSE)


def copy_pause_after(failures: int) -> float:
    """Return the seconds to wait after so many failures in a row to copy the store."""
    return min(SHORTEST_COPY_PAUSE * 2.0 ** min(failures - 1, 64), LONGEST_COPY_PAUSE)


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
