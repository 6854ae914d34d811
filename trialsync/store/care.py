"""Looking after a store: a copy of it while it is in use, a copy brought back, and a proof that it is sound."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from trialsync.errors import StoreDamaged, StoreError, StoreForeign, StoreUnwritable
from trialsync.store import schema
from trialsync.store.connection import Connection, Faults, check_version, connect, create_file
from trialsync.store.lock import Lock

if TYPE_CHECKING:
    from pathlib import Path

    from trialsync.model import Progress


_BESIDE: Final = ("-wal", "-shm")
_MOST_PROBLEMS: Final = 100
_PAGES_AT_ONCE: Final = 1 << 10
"""So many pages are copied before it is said how far a copy is: a megabyte."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did: ``kept`` is where the store that stood there was moved to, ``None`` where none did."""

    target: Path
    kept: Path | None


def answers(path: Path, *, wait_seconds: float) -> None:
    """Read a row of a store, to see that it answers; raise StoreError where it does not, StoreBusy where it is locked for so long."""
    connection = connect(path, writable=False, wait_seconds=wait_seconds)
    try:
        connection.value("SELECT max(id) FROM polls")
    finally:
        connection.raw.close()


def backup(path: Path, target: Path, progress: Progress | None = None) -> int:
    """Copy a store, in use or not, to a new file; return its size in bytes. ``progress`` is told the bytes copied, and all of them.

    The copy is one moment of the store, checked by SQLite's quick check, and one file. It appears under its name only when it is whole.
    Raises StoreError where ``target`` exists, StoreMissing, StoreForeign, StoreDamaged, StoreUnwritable.
    """
    try:
        taken = target.exists()
    except OSError as error:
        raise StoreUnwritable(f"{target} can't be made: {error.strerror}") from error
    if taken:
        raise StoreError(f"{target} exists already", hint="choose another name, or remove it; a backup never overwrites")
    connection = connect(path, writable=False)
    try:
        check_version(connection, schema.SCHEMA)
        # Without WAL a copy is one file: nothing that belongs to it lies beside it and can be forgotten. The next writer turns it on.
        _copy(connection, target, "DELETE", progress)
    finally:
        connection.raw.close()
    return target.stat().st_size


def restore(source: Path, target: Path, progress: Progress | None = None) -> Restored:
    """Put a copy of a backup in a store's place; a store, or the ruins of one, that stands there is kept beside it, under another name.

    ``progress`` is told the bytes copied, and all of them. Raises StoreMissing or StoreForeign where ``source`` is no store, StoreDamaged
    where it is not sound, StoreTooNew, StoreBusy where another process holds the target, StoreUnwritable.
    """
    try:
        connection = connect(source, writable=False)
    except StoreForeign as error:
        raise StoreForeign(error.message, hint="name a file that trialsync backup wrote") from error
    lock = Lock(target)
    try:
        check_version(connection, schema.SCHEMA)
        if target.is_dir():
            raise StoreError(f"{target} is a folder", hint="name the file that the store is to be")
        if target.exists() and target.samefile(source):
            raise StoreError(f"{source} is the store itself")
        lock.acquire()
        fresh = _free_name(target, "restoring")
        _copy(connection, fresh, "WAL", progress)
        _settle(target)
        kept = _move_aside(target)
        _rename(fresh, target)
    finally:
        connection.raw.close()
        lock.release()
    return Restored(target, kept)


def _copy(connection: Connection, target: Path, journal: str, progress: Progress | None) -> None:
    """Copy a store to a file that is not there, and check the copy; leave nothing behind where that fails."""
    page_bytes, size = int(connection.value("PRAGMA page_size")), 0

    def tell(_status: int, left: int, pages: int) -> None:
        nonlocal size
        size = pages * page_bytes
        if progress is not None:
            progress(size - left * page_bytes, size)

    partial = _free_name(target, "partial")
    try:
        copy = create_file(partial)
        try:
            # Read in one transaction, or SQLite would begin again with whatever a writer adds between two steps.
            with connection.atomic(), Faults(partial):
                connection.value("SELECT count(*) FROM sqlite_schema")
                connection.raw.backup(copy.raw, pages=_PAGES_AT_ONCE, progress=tell)
            if progress is not None:
                progress(size, size, "checking the copy")
            found = copy.value("PRAGMA quick_check(1)")
            if found != "ok":
                raise StoreDamaged(f"{connection.path} is damaged: {found}", hint="trialsync restore brings an earlier backup back")
            copy.execute("DELETE FROM holder")
            copy.execute(f"PRAGMA journal_mode = {journal}")
        finally:
            copy.raw.close()
        _rename(partial, target)
    finally:
        for leftover in (partial, *(partial.with_name(partial.name + end) for end in _BESIDE)):
            # Where nothing could be made there is nothing to remove either, and the reason is told already.
            with suppress(OSError):
                leftover.unlink(missing_ok=True)


def _settle(target: Path) -> None:
    """Bring what a killed writer left in the log beside a store into the store itself, so that moving it aside is moving one file."""
    if not target.exists():
        return
    try:
        connection = connect(target, writable=True)
        try:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            connection.raw.close()
    except StoreError:
        pass  # ruins are moved as they are


def _move_aside(target: Path) -> Path | None:
    """Rename a store and what belongs to it, so that its place is free; return its new name."""
    if not target.exists():
        for end in _BESIDE:
            target.with_name(target.name + end).unlink(missing_ok=True)
        return None
    kept = _free_name(target, "replaced")
    for end in ("", *_BESIDE):
        part = target.with_name(target.name + end)
        if part.exists():
            _rename(part, kept.with_name(kept.name + end))
    return kept


def _free_name(path: Path, word: str) -> Path:
    """Return a name beside ``path`` that no file has."""
    number = 1
    while (name := path.with_name(f"{path.name}.{word}-{number}")).exists():
        number += 1
    return name


def _rename(source: Path, target: Path) -> None:
    try:
        source.rename(target)
    except OSError as error:
        raise StoreUnwritable(f"{target} can't be written: {error.strerror}") from error
