"""The one way to the database: opened with the checks that say whose file it is, and with SQLite's faults told as the house's errors."""

from __future__ import annotations

import sqlite3
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from sqlite_utils import Database

from trialsync.errors import AnswerTooLong, StoreBusy, StoreDamaged, StoreError, StoreForeign, StoreMissing, StoreTooNew, StoreUnwritable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

APPLICATION_ID: Final = int.from_bytes(b"trls")
"""What ``PRAGMA application_id`` says of a file that is ours; ``file`` and SQLite's own tools show it."""

RESTORE_HINT: Final = "trialsync verify says what is wrong; trialsync restore brings a backup back"

_FOREIGN: Final = frozenset({sqlite3.SQLITE_NOTADB})
_UNWRITABLE: Final = frozenset(
    {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_AUTH}
)
_BUSY: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL})
_PRIMARY_CODE: Final = 0xFF
_STEPS_BETWEEN_LOOKS: Final = 5_000
_BUGS: Final = (sqlite3.ProgrammingError, sqlite3.InterfaceError, sqlite3.NotSupportedError)
_WAIT_SECONDS: Final = 10.0


class Faults:
    """Turns what SQLite raises about a file, inside a ``with`` block, into the error of ours that says what to do.

    Text that is not UTF-8 counts as damage, since nobody but a broken disk wrote it, unless ``texts`` is false: then the block holds more
    than the store's own work. What is a bug of the caller's stays as it is.
    """

    __slots__ = ("_path", "_told")

    def __init__(self, path: Path, *, texts: bool = True) -> None:
        self._path = path
        self._told: tuple[type[Exception], ...] = (sqlite3.Error, UnicodeDecodeError) if texts else (sqlite3.Error,)

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(error, self._told) and not isinstance(error, _BUGS):
            raise _told(self._path, error) from error


def _told(path: Path, error: Exception) -> StoreError:
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & _PRIMARY_CODE
    if code in _FOREIGN:
        return StoreForeign(f"{path} is not a trialsync store: {error}", hint="check the path; if it was a store, trialsync restore")
    if code == sqlite3.SQLITE_FULL:
        return StoreUnwritable(f"no room left to write {path}", hint="free some space; the store keeps what was recorded so far")
    if code in _UNWRITABLE:
        return StoreUnwritable(f"{path} can't be written or read: {error}", hint="check permissions, the disk, and the folder it lies in")
    if code == sqlite3.SQLITE_INTERRUPT:
        return too_long()
    if code in _BUSY:
        return StoreBusy(f"another program has locked {path}: {error}", hint="close it, or try again")
    return StoreDamaged(f"{path} is damaged: {error}", hint=RESTORE_HINT)


def too_long() -> AnswerTooLong:
    """Return the error for a question that takes more time than it may."""
    return AnswerTooLong("the question takes longer than it may", hint="narrow it: name studies, a field or days, or lower the limit")


class Connection:
    """One connection to a store; every statement goes through ``rows``, ``execute`` or ``many``, which tell faults as ours."""

    def __init__(self, path: Path, raw: sqlite3.Connection) -> None:
        self.path = path
        self.raw = raw
        self._faults = Faults(path)
        self._end: float | None = None
        self._kept: dict[tuple[str, str], str] = {}
        with self._faults:
            raw.execute("PRAGMA foreign_keys = ON")
            self.database = Database(raw, execute_plugins=False, strict=True)

    def rows(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a query, one at a time."""
        self._check_time()
        with self._faults:
            # ``yield from`` would close the cursor with the generator, which fails where an error closed the store before.
            for row in self.raw.execute(sql, parameters):  # noqa: UP028
                yield row

    def row(self, sql: str, parameters: Sequence[Any] = ()) -> tuple[Any, ...] | None:
        """Return the first row of a query, or ``None``."""
        self._check_time()
        with self._faults:
            found: tuple[Any, ...] | None = self.raw.execute(sql, parameters).fetchone()
            return found

    def value(self, sql: str, parameters: Sequence[Any] = ()) -> Any:
        """Return the first column of the first row of a query, or ``None``."""
        found = self.row(sql, parameters)
        return found[0] if found else None

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Run a statement; return the id of the row that an INSERT made."""
        with self._faults:
            return self.raw.execute(sql, parameters).lastrowid or 0

    def kept(self, sql: str, value: str, *, make: bool) -> str | None:
        """Return the table in which the ids are kept that a query with one parameter gives; with ``make`` it is made where there is none.

        It is for one moment of the store, and outside it: a temporary table of this connection, with a column ``id``.
        """
        if make and (sql, value) not in self._kept:
            name = f"kept_{len(self._kept)}"
            self.execute(f"CREATE TEMP TABLE IF NOT EXISTS {name} (id INTEGER PRIMARY KEY)")
            self.execute(f"INSERT INTO temp.{name} {sql}", (value,))
            self._kept[sql, value] = f"temp.{name}"
        return self._kept.get((sql, value))

    def many(self, sql: str, parameters: Iterable[Sequence[Any]]) -> None:
        """Run a statement once for each of these."""
        with self._faults:
            self.raw.executemany(sql, parameters)

    def stop_after(self, seconds: float) -> None:
        """Let nothing be asked, and no statement run on, once so many seconds from now are over: both raise AnswerTooLong."""
        self._end = end = time.monotonic() + seconds
        self.raw.set_progress_handler(lambda: time.monotonic() > end, _STEPS_BETWEEN_LOOKS)

    def _check_time(self) -> None:
        # SQLite looks at the clock after so many steps of one statement: many short ones it would let pass.
        if self._end is not None and time.monotonic() > self._end:
            raise too_long()

    @contextmanager
    def atomic(self) -> Iterator[None]:
        """Hold one transaction: all of it is kept, or, after any error, nothing."""
        with Faults(self.path, texts=False), self.database.atomic():
            yield

    def close(self) -> None:
        """Close the connection; what is not committed is lost."""
        with self._faults:
            self.raw.close()


def connect(path: Path, *, writable: bool, wait_seconds: float = _WAIT_SECONDS) -> Connection:
    """Open a store that is there and is ours; check nothing but whose it is. Where another has locked it, wait for so long.

    Raises StoreMissing, StoreForeign, StoreDamaged, StoreUnwritable.
    """
    check_file(path)
    try:
        connection, application_id = _open_and_look(path, "rw" if writable else "ro", wait_seconds)
    except StoreUnwritable:
        if writable or _has_log(path):
            raise
        # In a folder that can't be written SQLite can't share a store in WAL mode; an empty log means that nobody is writing to it either.
        connection, application_id = _open_and_look(path, "ro&immutable=1", wait_seconds)
    if application_id != APPLICATION_ID:
        connection.raw.close()
        raise StoreForeign(f"{path} is not a trialsync store", hint="check the path; a new store is made by trialsync init")
    return connection


def check_file(path: Path) -> None:
    """Raise StoreMissing or StoreForeign where there is no file to open."""
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        raise StoreMissing(f"no store at {path}; first time: trialsync init; lost: trialsync restore") from None
    except (OSError, ValueError) as error:
        raise StoreUnwritable(f"{path} can't be opened: {error}") from error
    if not path.is_file():
        raise StoreForeign(f"{path} is not a file, so it is no trialsync store")
    if size == 0:
        raise StoreForeign(f"{path} is empty", hint="first time: trialsync init; lost: trialsync restore")


def check_version(connection: Connection, newest: int) -> int:
    """Return the schema's number that a store says it has; raise StoreTooNew past ``newest``, StoreDamaged where it has none."""
    number: int = connection.value("PRAGMA user_version")
    if number > newest:
        raise StoreTooNew(
            f"{connection.path} was written by a newer trialsync (schema {number}, this one knows {newest})", hint="upgrade trialsync"
        )
    if number < 1:
        raise StoreDamaged(f"{connection.path} is damaged: it has no schema number", hint=RESTORE_HINT)
    return number


def create_file(path: Path) -> Connection:
    """Open a file for a new store, making it where it is not there."""
    try:
        if path.exists() and not path.is_file():
            raise StoreForeign(f"{path} is not a file, so it can't be a trialsync store")
    except (OSError, ValueError) as error:
        raise StoreUnwritable(f"{path} can't be made: {error}") from error
    if not path.parent.is_dir():
        raise StoreUnwritable(f"{path} can't be made: there is no folder {path.parent}", hint=f"mkdir -p {path.parent}")
    return _open(path, "rwc")


def _open_and_look(path: Path, mode: str, wait_seconds: float) -> tuple[Connection, int]:
    connection = _open(path, mode, wait_seconds)
    try:
        return connection, connection.value("PRAGMA application_id")
    except BaseException:
        connection.raw.close()
        raise


def _has_log(path: Path) -> bool:
    log = path.with_name(path.name + "-wal")
    return log.exists() and log.stat().st_size > 0


def _open(path: Path, mode: str, wait_seconds: float = _WAIT_SECONDS) -> Connection:
    with Faults(path):
        raw = sqlite3.connect(
            f"file:{quote(str(path.absolute()))}?mode={mode}",
            uri=True,
            isolation_level=None,
            timeout=wait_seconds,
            check_same_thread=False,
        )
    try:
        return Connection(path, raw)
    except BaseException:
        raw.close()
        raise
