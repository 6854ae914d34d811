"""One writer: ``flock`` on ``<store>.lock`` decides; the store's row ``holder`` only names who it is, for the message.

The lock belongs to the open file, so the system drops it with the process, however that ends; a dead holder never blocks.
"""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trialsync.errors import StoreBusy, StoreError, StoreUnwritable
from trialsync.store.connection import connect

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Holder:
    """Who writes to a store. ``since`` is a UTC instant."""

    pid: int
    host: str
    command: str
    since: str


class Lock:
    """The right to write to one store, from ``acquire`` until ``release`` or the end of the process."""

    def __init__(self, path: Path) -> None:
        self._store = path
        self._path = path.with_name(path.name + ".lock")
        self._file: int | None = None

    def acquire(self) -> None:
        """Take the lock, without waiting. Raises StoreBusy naming the holder, or StoreUnwritable."""
        try:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise StoreUnwritable(f"{self._path} can't be opened: {error.strerror}", hint="the store's folder must be writable") from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            raise StoreBusy(_busy(self._store), hint="wait for it to end, or stop it; reading is possible meanwhile") from None
        except OSError as error:
            os.close(file)
            raise StoreUnwritable(f"{self._path} can't be locked: {error.strerror}", hint="some network disks can't lock") from error
        self._file = file

    def release(self) -> None:
        """Give the lock back; a lock that is not held stays so."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _busy(path: Path) -> str:
    holder = held_by(path)
    if holder is None:
        return f"another process is writing to {path}"
    return f"{path} is being written by {holder.command} (pid {holder.pid} on {holder.host}, since {holder.since})"


def held_by(path: Path) -> Holder | None:
    """Return who last took the store for writing and has not given it back, or ``None`` where that can't be told."""
    try:
        connection = connect(path, writable=False)
    except StoreError:
        return None
    try:
        row = connection.row("SELECT pid, host, command, since FROM holder")
    except StoreError:
        return None
    finally:
        connection.raw.close()
    return Holder(*row) if row else None
