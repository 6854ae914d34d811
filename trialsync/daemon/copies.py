"""The nightly copies of the store: made, and the oldest removed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from trialsync.daemon.decisions import copies, copy_missing, copy_name, leftovers, night, to_prune
from trialsync.errors import FileError, TrialsyncError
from trialsync.store import care

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from trialsync.settings import Settings

log = structlog.get_logger()


def is_missing(settings: Settings, now: datetime) -> bool:
    """Return whether last night's copy is not there, where one is wanted; false where that can't be seen."""
    table = settings.backup
    if table is None:
        return False
    try:
        return copy_missing(_names(table.dir), settings.store.path.stem, night(now, table))
    except TrialsyncError:
        return True  # making it says why


def make_copy(settings: Settings, now: datetime) -> bool:
    """Make last night's copy where it is not there, and remove the oldest; return whether it is there now. A failure is logged."""
    table, stem = settings.backup, settings.store.path.stem
    if table is None:
        return False
    target = table.dir / copy_name(stem, night(now, table))
    try:
        names = _names(table.dir)
        _remove(table.dir, leftovers(names, stem))
        if copy_missing(names, stem, night(now, table)):
            size = care.backup(settings.store.path, target)
            log.info("backup.made", file=str(target), bytes=size, kept=min(len(copies(names, stem)) + 1, table.keep))
        pruned = to_prune(_names(table.dir), stem, table.keep)
        _remove(table.dir, pruned)
        if pruned:
            log.info("backup.pruned", files=pruned)
    except TrialsyncError as error:
        log.error("backup.failed", file=str(target), error=str(error))  # noqa: TRY400 - the sentence says it all
        return False
    return True


def _names(folder: Path) -> list[str]:
    try:
        return [each.name for each in folder.iterdir() if each.is_file() and not each.is_symlink()]
    except OSError as error:
        raise FileError(f"{folder} can't be read: {error.strerror}", hint="[backup] dir names a folder that has to be there") from error


def _remove(folder: Path, names: list[str]) -> None:
    for name in names:
        try:
            (folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise FileError(f"{folder / name} can't be removed: {error.strerror}") from error
