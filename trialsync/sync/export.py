"""Rows of a store into a file that appears when it is whole, with a manifest that says what it holds and by which rules it was made."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import orjson

from trialsync import __version__
from trialsync.errors import ExportError
from trialsync.model import Ended, instant
from trialsync.publish.render import Format, Sheet, render
from trialsync.study import diff, fingerprint
from trialsync.study.facts import FACTS
from trialsync.sync import parquet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime
    from pathlib import Path

    from trialsync.model import Json
    from trialsync.publish.extracts import Extract
    from trialsync.store.reader import Reader
    from trialsync.sync.extract import Extraction

MANIFEST_END: Final = ".manifest.json"

_EVERY: Final = 500
_PARTIAL: Final = re.compile(r"\.(.+)\.\d+\.partial", re.ASCII | re.DOTALL)


class FileFormat(StrEnum):
    """How rows are written into a file."""

    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export wrote: how many rows, of how many bytes, and the studies left out since they were not known on the day asked for."""

    rows: int
    bytes: int
    left_out: int


def export(
    reader: Reader,
    extraction: Extraction,
    path: Path,
    form: FileFormat,
    *,
    given: dict[str, Json],
    now: Callable[[], datetime],
    told: Callable[[int, int | None], None] | None = None,
) -> Exported:
    """Write rows into a file, and a manifest beside it (``<path>.manifest.json``); either appears under its name only when it is whole.

    ``given`` are the filters as they were typed, ``now`` returns an aware UTC datetime, ``told`` hears of the rows written and of how
    many there will be. Raises ExportError where the file can't be written, and what ``extraction.rows`` raises; what stood there stays.
    """
    if form is FileFormat.PARQUET:
        parquet.arrow_or_error()
    extract = extraction.extract
    made = instant(now())
    with replacing(path) as partial:
        rows = _Counted(extraction.rows(reader), told, extraction.total(reader) if told else None)
        with partial.open("wb") as file:
            _write(rows, extract, form, file)
            _settle(file)
        with partial.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        done = Exported(rows.count, partial.stat().st_size, extraction.left_out)
        manifest = _manifest(reader, extraction, given) | {
            "file": path.name,
            "format": form.value,
            "made": made,
            "rows": done.rows,
            "bytes": done.bytes,
            "sha256": digest,
            "columns": [{"name": each.name, "type": each.type.value, "about": each.about} for each in extract.columns],
        }
        with replacing(path.with_name(path.name + MANIFEST_END)) as beside:
            beside.write_bytes(orjson.dumps(manifest, option=orjson.OPT_INDENT_2) + b"\n")
    return done


@contextmanager
def replacing(path: Path, *, clear: bool = True) -> Iterator[Path]:
    """Give the name of a file to write beside ``path``; it takes its place when the block ends well, and is gone otherwise.

    What a process that was killed left of the same file is taken away, unless ``clear`` is false. Raises ExportError for what the system
    says against writing there, and where no file stands there: a device or a pipe would be gone, and nobody would have got a byte.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        if path.is_dir():
            raise ExportError(f"{path} is a folder", hint="name the file that is to be written")
        if path.exists() and not path.is_file():
            raise ExportError(f"{path} is no file", hint="name a file; changes --format csv prints rows")
        if clear:
            clear_partials(path.parent, lambda name: name == path.name)
        with _made(partial):
            yield partial
            partial.replace(path)
    except OSError as error:
        raise ExportError(f"{path} can't be written: {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)


def clear_partials(folder: Path, is_own: Callable[[str], bool]) -> None:
    """Take away what killed processes left of files in a folder: such as no process holds, of files with these names."""
    # Names first: of hundreds of thousands of files few are such.
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if (found := _PARTIAL.fullmatch(entry.name)) and is_own(found[1])]
    for left in map(folder.joinpath, names):
        with suppress(OSError):
            # Neither a link that somebody laid there nor one that leads elsewhere is opened.
            handle = os.open(left, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                left.unlink(missing_ok=True)
            finally:
                os.close(handle)


@contextmanager
def _made(partial: Path) -> Iterator[None]:
    """Make a file that was not there, and hold it, so that nobody takes it for left over."""
    partial.unlink(missing_ok=True)
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


def rules() -> dict[str, Json]:
    """Return the numbers of the rules by which rows are made."""
    return {"comparison": diff.RULE, "fingerprint": fingerprint.RULE, "facts": {rule.id: rule.rule for rule in FACTS if rule.recorded}}


def _manifest(reader: Reader, extraction: Extraction, given: dict[str, Json]) -> dict[str, Json]:
    loads = [poll.load for poll in reader.polls() if poll.load and poll.ended is Ended.COMPLETE]
    counts = reader.counts()
    return {
        "what": extraction.extract.what,
        "about": extraction.extract.about,
        "filters": given,
        "dates": {name: value for name in ("since", "until", "seen_since") if (value := getattr(extraction.wanted, name))},
        "as_of": extraction.as_of,
        "left_out": extraction.left_out,
        "contacts": extraction.contacts,
        "trialsync": __version__,
        "rules": rules(),
        "last_load": max(loads, default=None),
        # Of large watches a load shows what moved and a share: each study was last seen in this load or a later one.
        "seen_since": {row.name: row.seen.oldest for row in reader.watches() if row.seen},
        "cursor": reader.last_id(),
        "store": {"studies": counts.studies, "versions": counts.versions, "changes": counts.changes},
    }


class _Counted:
    """Rows, counted as they pass."""

    def __init__(self, rows: Iterable[dict[str, Any]], told: Callable[[int, int | None], None] | None, total: int | None) -> None:
        self._rows = rows
        self._told = told
        self._total = total
        self.count = 0

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for row in self._rows:
            self.count += 1
            if self._told is not None and self.count % _EVERY == 0:
                self._told(self.count, self._total)
            yield row


def _write(rows: Iterable[dict[str, Json]], extract: Extract, form: FileFormat, file: BinaryIO) -> None:
    if form is FileFormat.PARQUET:
        parquet.write(rows, extract.columns, file)
        return
    file.writelines(piece.encode() for piece in render(rows, Sheet(extract.keys, ()), Format(form.value)))


def _settle(file: BinaryIO) -> None:
    """Have the disk hold a file before it takes another's place."""
    file.flush()
    os.fsync(file.fileno())
