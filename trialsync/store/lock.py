"""One writer: ``flock`` on ``<store>.lock`` decides; the store's row ``holder`` only names who it is, for the message.

The lock belongs to the open file, so the system drops it with the process, however that ends; a dead holder never blocks.
"""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from trialsync.errors import StoreBusy, StoreError, StoreUnwritable
from trialsync.store.connection import connect

if TYPE_CHECKING:
    from pathlib import Path

_MOMENT: Final = 0.01
"""Seconds after which a lock that was taken is tried a second time."""

_LONGEST_NAME: Final = 500


@dataclass(frozen=True, slots=True)
class Holder:
    """Who writes to a store. ``since`` is a UTC instant."""

    pid: int
    host: str
    command: str
    since: str


class Lock:
    """The right to write to one store, from ``acquire`` until ``release`` or the end of the process.

    With ``daemon`` it is the right to be the one daemon that follows with the store, which does not write all the time.
    """

    def __init__(self, path: Path, *, daemon: bool = False) -> None:
        self._store = path
        self._daemon = daemon
        self._path = path.with_name(path.name + (".daemon" if daemon else ".lock"))
        self._file: int | None = None

    def acquire(self) -> None:
        """Take the lock, without waiting for another writer. Raises StoreBusy naming the holder, or StoreUnwritable."""
        try:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise StoreUnwritable(f"{self._path} can't be opened: {error.strerror}", hint="the store's folder must be writable") from error
        try:
            _take(file)
        except BlockingIOError:
            found = self._second_daemon(file) if self._daemon else None
            os.close(file)
            raise found or StoreBusy(_busy(self._store), hint="wait for it to end, or stop it; reading is possible meanwhile") from None
        except OSError as error:
            os.close(file)
            raise StoreUnwritable(f"{self._path} can't be locked: {error.strerror}", hint="some network disks can't lock") from error
        self._file = file

    def _second_daemon(self, file: int) -> StoreBusy:
        who = os.pread(file, _LONGEST_NAME, 0).decode("utf-8", "replace")
        named = f" ({who})" if who.isprintable() and who else ""
        return StoreBusy(
            f"another trialsync run{named} follows with {self._store} already", hint="one is enough: stop it, or leave it at its work"
        )

    def sign(self, who: str) -> None:
        """Write into the file of a lock that is held who holds it."""
        if self._file is not None:
            with suppress(OSError):  # a full disk: the lock decides, this is only a name
                os.truncate(self._file, 0)
                os.pwrite(self._file, who.encode(), 0)

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


def writing_now(path: Path) -> Holder | None:
    """Return who is writing to the store at this moment, or ``None``; the row that a killed process left names nobody.

    Only where a row stands is the lock tried, for a moment and shared, so that asking hinders no writer. A lock that can't be tried
    (another user's, a network disk) counts as held: the row is then all that is known.
    """
    holder = held_by(path)
    return holder if holder is not None and _is_held(path.with_name(f"{path.name}.lock")) else None


def _is_held(lock: Path) -> bool:
    try:
        file = os.open(lock, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    else:
        return False
    finally:
        os.close(file)


def _take(file: int) -> None:
    """Lock a file for writing; once more after a moment, since whoever asks who is writing holds the lock for some microseconds."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        time.sleep(_MOMENT)
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def why_unwritable(path: Path) -> str | None:
    """Return a sentence on why this process can't write to a store, None where nothing speaks against it; nothing is written."""
    lock = path.with_name(f"{path.name}.lock")
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CLOEXEC))
        with suppress(FileNotFoundError):
            os.close(os.open(lock, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        return f"{error.filename} can't be written: {error.strerror}"
    # The lock and SQLite's own files are made beside it.
    if not os.access(path.parent, os.W_OK | os.X_OK):
        return f"{path.parent}, the store's folder, can't be written by this user"
    return None


def is_anothers(path: Path) -> bool:
    """Return whether a store belongs to another user than this process runs as, who may read it and need not write."""
    try:
        return path.stat().st_uid != os.geteuid()
    except OSError:
        return False
