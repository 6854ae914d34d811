"""Looking after a store: a copy of it while it is in use, a copy brought back, and a proof that it is sound."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import orjson

from trialsync.errors import RecordError, StoreDamaged, StoreError, StoreUnwritable
from trialsync.store import codec, schema
from trialsync.store.connection import Connection, check_version, connect, create_file, faults
from trialsync.store.lock import Lock
from trialsync.study import record
from trialsync.study.fingerprint import fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trialsync.model import Study

_BESIDE: Final = ("-wal", "-shm")
_MOST_PROBLEMS: Final = 100


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did: ``kept`` is where the store that stood there was moved to, ``None`` where none did."""

    target: Path
    kept: Path | None


def backup(path: Path, target: Path) -> int:
    """Copy a store, in use or not, to a new file; return its size in bytes.

    The copy is one moment of the store, checked by SQLite's quick check, and one file. It appears under its name only when it is whole.
    Raises StoreError where ``target`` exists, StoreMissing, StoreForeign, StoreDamaged, StoreUnwritable.
    """
    if target.exists():
        raise StoreError(f"{target} exists already", hint="choose another name, or remove it; a backup never overwrites")
    connection = connect(path, writable=False)
    try:
        check_version(connection, schema.SCHEMA)
        # Without WAL a copy is one file: nothing that belongs to it lies beside it and can be forgotten. The next writer turns it on.
        _copy(connection, target, journal="DELETE")
    finally:
        connection.raw.close()
    return target.stat().st_size


def restore(source: Path, target: Path) -> Restored:
    """Put a copy of a backup in a store's place; a store, or the ruins of one, that stands there is kept beside it, under another name.

    Raises StoreMissing or StoreForeign where ``source`` is no store, StoreDamaged where it is not sound, StoreTooNew, StoreBusy where
    another process holds the target, StoreUnwritable.
    """
    connection = connect(source, writable=False)
    lock = Lock(target)
    try:
        check_version(connection, schema.SCHEMA)
        if target.is_dir():
            raise StoreError(f"{target} is a folder", hint="name the file that the store is to be")
        if target.exists() and target.samefile(source):
            raise StoreError(f"{source} is the store itself")
        lock.acquire()
        fresh = _free_name(target, "restoring")
        _copy(connection, fresh, journal="WAL")
        kept = _move_aside(target)
        _rename(fresh, target)
    finally:
        connection.raw.close()
        lock.release()
    return Restored(target, kept)


def _copy(connection: Connection, target: Path, *, journal: str) -> None:
    """Copy a store to a file that is not there, and check the copy; leave nothing behind where that fails."""
    partial = _free_name(target, "partial")
    try:
        copy = create_file(partial)
        try:
            with faults(partial):
                connection.raw.backup(copy.raw)
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
            leftover.unlink(missing_ok=True)


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


def verify(path: Path) -> list[str]:
    """Return what is wrong with a store, one sentence each, empty where it is sound; past 100 it stops.

    Checks the file by SQLite's integrity check, foreign keys, that every version decodes to its fingerprint, that versions are numbered
    without gaps, that each study's row says what its latest version says, and that the rows of the log hold together. Raises StoreMissing,
    StoreForeign and StoreTooNew; damage is returned, not raised.
    """
    problems: list[str] = []
    try:
        connection = connect(path, writable=False)
    except StoreDamaged as error:
        return [error.message]
    try:
        connection.execute("BEGIN")
        check_version(connection, schema.SCHEMA)
        for problem in _problems(connection):
            problems.append(problem)
            if len(problems) >= _MOST_PROBLEMS:
                problems.append("and more")
                break
    except StoreDamaged as error:
        problems.append(error.message)
    finally:
        connection.raw.close()
    return problems


def _problems(connection: Connection) -> Iterator[str]:
    for (text,) in connection.rows(f"PRAGMA integrity_check({_MOST_PROBLEMS})"):
        if text != "ok":
            yield f"the file: {text}"
    for table, row, parent, _ in connection.rows("PRAGMA foreign_key_check"):
        yield f"row {row} of {table} hangs on nothing in {parent}"
    yield from _missing_parts(connection)
    for nct_id, latest in connection.rows("SELECT nct_id, version FROM studies ORDER BY nct_id"):
        yield from _study_problems(connection, nct_id, latest)
    yield from _log_problems(connection)


def _missing_parts(connection: Connection) -> Iterator[str]:
    """Yield what the schema has and this store lacks, or has otherwise."""
    stands = dict(connection.rows("SELECT name, sql FROM sqlite_schema"))
    for name, sql in schema.parts().items():
        if name not in stands:
            yield f"{name} is missing from the schema"
        elif stands[name] != sql:
            yield f"{name} is not what the schema says"


def _study_problems(connection: Connection, nct_id: str, latest: int) -> Iterator[str]:
    """Yield what is wrong with one study: its versions, newest first, each read through the one before, and its row."""
    newer: bytes | None = None
    expected = latest
    for number, mark, blob in connection.rows(
        "SELECT v.number, v.fingerprint, c.content FROM versions v LEFT JOIN contents c ON c.version_id = v.id WHERE v.nct_id = ? "
        "ORDER BY v.number DESC",
        (nct_id,),
    ):
        if number != expected:
            yield f"{nct_id}: version {number} where {expected} is due"
        expected = number - 1
        if blob is None:
            yield f"{nct_id} version {number} has no content"
            newer = None
            continue
        try:
            newer = codec.unpack(blob, newer)
            study = codec.study(newer)
            if fingerprint(study) != mark:
                yield f"{nct_id} version {number} is not what its fingerprint says"
        except (codec.BadBlob, RecordError) as error:
            yield f"{nct_id} version {number} can't be read: {error}"
            newer = None
            continue
        if number == latest:
            yield from _row_problems(connection, nct_id, study)
    if expected != 0:
        yield f"{nct_id}: its first version is missing"


def _row_problems(connection: Connection, nct_id: str, study: Study) -> Iterator[str]:
    """Yield which columns of a study's row are not what its latest version says."""
    wanted = {
        "nct_id": record.nct_id(study),
        "title": record.title(study),
        "overall_status": record.overall_status(study),
        "phases": _list(record.phases(study)),
        "study_type": record.study_type(study),
        "sponsor": record.sponsor(study),
        "conditions": _list(record.conditions(study)),
        "countries": _list(record.countries(study)),
        "enrollment": record.enrollment(study),
        "start_date": record.start_date(study),
        "primary_completion_date": record.primary_completion_date(study),
        "completion_date": record.completion_date(study),
        "has_results": int(record.has_results(study)),
        "first_posted": record.first_posted(study),
        "posted": record.posted(study),
    }
    row = connection.row(f"SELECT {', '.join(wanted)} FROM studies WHERE nct_id = ?", (nct_id,)) or ()  # noqa: S608 - names from above
    for (column, value), stands in zip(wanted.items(), row, strict=False):
        if stands != value:
            yield f"{nct_id}: the study's row has another {column} than its latest version"
    listed = [country for (country,) in connection.rows("SELECT country FROM study_countries WHERE nct_id = ? ORDER BY country", (nct_id,))]
    if sorted(listed) != sorted(record.countries(study)):
        yield f"{nct_id}: its countries are not those of its latest version"


def _log_problems(connection: Connection) -> Iterator[str]:
    """Yield what is wrong with the log as a whole, as far as counting shows it."""
    for sentence, sql in _COUNTED:
        number = connection.value(sql)
        if number:
            yield f"{number} {sentence}"
    for poll_id, blob in connection.rows("SELECT id, covered FROM polls WHERE covered IS NOT NULL"):
        try:
            codec.unpack_ids(blob)
        except codec.BadBlob as error:
            yield f"poll {poll_id}: {error}"


_COUNTED: Final = (
    ("rows of the log stand outside those that their version brought", """
        SELECT count(*) FROM changes c JOIN versions v ON v.id = c.version_id LEFT JOIN occasions o ON o.change_id = c.id
        WHERE o.change_id IS NULL AND (v.first_change IS NULL OR c.id NOT BETWEEN v.first_change AND v.last_change)"""),
    ("versions brought another number of rows than the log has", """
        SELECT count(*) FROM versions v WHERE v.first_change IS NOT NULL AND v.last_change - v.first_change + 1 <>
        (SELECT count(*) FROM changes c WHERE c.id BETWEEN v.first_change AND v.last_change AND c.version_id = v.id)"""),
    ("baseline rows stand past the first version", """
        SELECT count(*) FROM changes c JOIN versions v ON v.id = c.version_id WHERE c.baseline = 1 AND v.number > 1"""),
    ("rows of the log lack a kind, a tier or a date", """
        SELECT count(*) FROM changes INDEXED BY changes_by_id WHERE baseline = 0 AND (kind IS NULL OR tier IS NULL OR date IS NULL)"""),
    ("rows of the log hold what is not JSON", """
        SELECT count(*) FROM changes INDEXED BY changes_by_id WHERE baseline = 0
        AND (json_valid(coalesce(before, '0')) = 0 OR json_valid(coalesce(after, '0')) = 0)"""),
    ("rows of the log are of an id that was never given out", """
        SELECT count(*) FROM changes WHERE id > (SELECT seq FROM sqlite_sequence WHERE name = 'changes')"""),
)  # fmt: skip


def _list(values: tuple[str, ...]) -> str:
    return orjson.dumps(values).decode()
