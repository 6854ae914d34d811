"""The nightly copies of the store: made, and the oldest removed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from trialsync.errors import FileError
from trialsync.store import care
from trialsync.sync.nightly import copies, copy_missing, copy_name, leftovers, names_in, night, to_prune

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from trialsync.settings import Settings

log = structlog.get_logger()


def make_copy(settings: Settings, now: datetime) -> None:
    """Make last night's copy where it is not there, and remove the oldest. Raises FileError or StoreError where that can't be done."""
    table, stem = settings.backup, settings.store.path.stem
    if table is None:
        return
    target = table.dir / copy_name(stem, night(now, table))
    names = names_in(table.dir)
    _remove(table.dir, leftovers(names, stem))
    if copy_missing(names, stem, night(now, table)):
        size = care.backup(settings.store.path, target)
        log.info("backup.made", file=str(target), bytes=size, kept=min(len(copies(names, stem)) + 1, table.keep))
    pruned = to_prune(names_in(table.dir), stem, table.keep)
    _remove(table.dir, pruned)
    if pruned:
        log.info("backup.pruned", files=pruned)


def _remove(folder: Path, names: list[str]) -> None:
    for name in names:
        try:
            (folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise FileError(f"{folder / name} can't be removed: {error.strerror}") from error
