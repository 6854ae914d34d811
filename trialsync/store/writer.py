"""What is recorded. One process at a time holds the store for writing; readers see whole pages only.

The store is in WAL mode with ``synchronous = NORMAL``: a power cut can take the last pages that were written, never tear one or damage the
file; the next poll records them again. A killed process loses nothing but the page it was in.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from trialsync.errors import STOPPED, StoreDamaged, StoreError, StoreUnwritable
from trialsync.model import instant
from trialsync.store import schema
from trialsync.store.connection import Connection, check_file, connect
from trialsync.store.first_writer import FirstWriter
from trialsync.store.history_writer import HistoryWriter
from trialsync.store.lock import Lock
from trialsync.store.log_writer import LogWriter
from trialsync.store.notices import NoticeWriter
from trialsync.store.poll_writer import NOBODY, PollWriter, end_forgotten_polls
from trialsync.store.watch_writer import WatchWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path
    from types import TracebackType

    from trialsync.model import Poll, Slice


class Writer(FirstWriter, HistoryWriter, LogWriter, PollWriter, WatchWriter, NoticeWriter):
    """A store held for writing, from ``Writer.open`` to the end of its ``with`` block.

    Whatever changes studies belongs in a ``page``: one transaction, kept whole or not at all.
    """

    def __init__(self, connection: Connection, lock: Lock, *, now: Callable[[], datetime]) -> None:
        super().__init__(connection, now)
        self._lock = lock

    @classmethod
    def open(cls, path: Path, *, now: Callable[[], datetime], command: str, unended: Mapping[str, str] = NOBODY) -> Writer:
        """Take a store for writing, without waiting; bring it to the newest schema, after a backup beside it.

        ``command`` is what others are told while they are refused; ``unended`` says of watches why a poll of theirs that never ended did
        not, where the caller knows. Raises StoreMissing, StoreForeign, StoreBusy, StoreTooNew,
        StoreUnwritable, StoreDamaged.
        """
        check_file(path)
        lock = Lock(path)
        lock.acquire()
        connection = None
        try:
            connection = connect(path, writable=True)
            schema.migrate(connection)
            with connection.atomic():
                schema.name_fields(connection)
                connection.execute(
                    "INSERT OR REPLACE INTO holder (one, pid, host, command, since) VALUES (1, ?, ?, ?, ?)",
                    (os.getpid(), socket.gethostname(), command, instant(now())),
                )
                end_forgotten_polls(connection, unended=unended)
            return cls(connection, lock, now=now)
        except BaseException:
            if connection is not None:
                connection.raw.close()
            lock.release()
            raise

    @staticmethod
    def abandon(path: Path, message: str, *, wait_seconds: float) -> bool:
        """Write down why the poll that this process is at will never end, before the process leaves it where it is; return whether it was.

        For another thread than the one that writes, which may be in the middle of a transaction: that is waited for so long. Where the
        poll ends all the same, its own words replace these.
        """
        try:
            connection = connect(path, writable=True, wait_seconds=wait_seconds)
        except StoreError:
            return False
        try:
            with connection.atomic():
                # What another process is at is none of ours.
                if connection.value("SELECT pid FROM holder WHERE host = ?", (socket.gethostname(),)) != os.getpid():
                    return False
                end_forgotten_polls(connection, message)
        except StoreError:
            return False
        finally:
            connection.raw.close()
        return True

    def end_poll(self, poll: Poll, slices: Sequence[Slice] | None = None) -> None:
        """Write down how a poll ended; ``slices``, where given, are the parts of its watch from now on, kept with it or not at all.

        A part that counted as swept without the poll that swept it would not be swept again by the next one.
        """
        with self._db.atomic():
            if slices is not None and poll.watch is not None:
                self.save_slices(poll.watch, slices)
            super().end_poll(poll)

    def close(self) -> None:
        """Give the store back. What stood in no page, or in a page that failed, is not kept."""
        try:
            self._db.execute("DELETE FROM holder")
            self._keep_statistics()
        except StoreUnwritable:
            pass  # a full disk: the lock decides, the row is only a name
        finally:
            self._db.raw.close()
            self._lock.release()

    def _keep_statistics(self) -> None:
        """Look at a few hundred rows of each index, the first time and when tables have grown, for those who ask by SQL of their own."""
        try:
            known = self._db.value("SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_stat1'")
            known = known and self._db.value("SELECT 1 FROM sqlite_stat1 WHERE tbl = 'versions'")
            self._db.execute("PRAGMA analysis_limit = 300")
            self._db.execute("PRAGMA optimize" if known else "ANALYZE")
        except StoreDamaged:
            pass  # what was recorded is kept; verify tells of the damage

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(error, KeyboardInterrupt):
            # Who stops a poll or an import by hand is told afterwards what it had recorded; the next writer would call it failed.
            with suppress(StoreError), self._db.atomic():
                end_forgotten_polls(self._db, STOPPED, stopped=instant(self._now()))
        self.close()
