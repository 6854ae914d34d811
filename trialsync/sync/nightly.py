"""The nightly copies of the store, as their folder shows them: what they are called, which one is wanted, and which one is late."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from trialsync.errors import FileError
from trialsync.model import instant, is_day

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from trialsync.settings import Backup, Settings

COPY: Final = "a copy of the store"
"""The name of the nightly copy among what is done; no watch can have it."""

LATE_HOURS: Final = 26
"""The newest copy is late once its own night's hour is so many hours past: two hours after that of the night that has none."""


@dataclass(frozen=True, slots=True)
class CopyHealth:
    """How the nightly copies stand that the settings ask for. ``file`` is the newest, None where there is none; ``made`` when it was.

    ``overdue_from`` is when the next one counts as late; instants are UTC and end in ``Z``. ``message`` says why the folder can't be read,
    or, where a daemon knows it, why the last copy failed.
    """

    folder: str
    file: str | None
    made: str | None
    overdue_from: str | None
    overdue: bool
    message: str | None


def copy_health(settings: Settings, made: datetime | None, now: datetime) -> CopyHealth | None:
    """Return how the copies stand at an instant (aware), None where none are wanted.

    Where there is no copy yet, the first one is wanted in the first night after the store was ``made`` and the settings were written.
    """
    table, stem = settings.backup, settings.store.path.stem
    if table is None:
        return None
    folder = str(table.dir)
    try:
        name = next(reversed(copies(names_in(table.dir), stem)), None)
        written = None if name is None else datetime.fromtimestamp((table.dir / name).stat().st_mtime, UTC)
    except FileError as error:
        return CopyHealth(folder, None, None, None, overdue=True, message=str(error))
    except OSError:  # it went while we looked: pruned, and there is a newer one
        return CopyHealth(folder, None, None, None, overdue=False, message=None)
    known = night_of(name, stem) if name is not None else None
    if known is None:
        since = max(filter(None, (made, settings.written)), default=None)
        known = night(since, table) if since is not None else None
    late = hour_of(known, table) + timedelta(hours=LATE_HOURS) if known is not None else None
    return CopyHealth(
        folder=folder,
        file=name,
        made=instant(written) if written is not None else None,
        overdue_from=instant(late) if late is not None else None,
        overdue=late is not None and now > late,
        message=None,
    )


def names_in(folder: Path) -> list[str]:
    """Return the names of the files in a folder. Raises FileError where it can't be read."""
    try:
        return [each.name for each in folder.iterdir() if each.is_file() and not each.is_symlink()]
    except OSError as error:
        raise FileError(f"{folder} can't be read: {error.strerror}", hint="[backup] dir names a folder that has to be there") from error


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


def night_of(name: str, stem: str) -> date:
    """Return the night of a copy by its name."""
    return date.fromisoformat(name.removeprefix(f"{stem}-").removesuffix(".db"))


def hour_of(day: date, table: Backup) -> datetime:
    """Return the instant (UTC) of a night's copy."""
    return datetime.combine(day, table.at, ZoneInfo(table.timezone)).astimezone(UTC)


def is_wanted(settings: Settings, made: datetime | None, now: datetime) -> bool:
    """Return whether last night's copy is wanted and not there; true where that can't be seen, as making it says why.

    ``made`` is when the store was (aware), None where that is not known: of a night before that nothing is missing.
    """
    table = settings.backup
    if table is None:
        return False
    last = night(now, table)
    try:
        names = names_in(table.dir)
    except FileError:
        return True
    return (made is None or made <= hour_of(last, table)) and copy_missing(names, settings.store.path.stem, last)
