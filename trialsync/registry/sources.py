"""Where studies lie on a disk: files, folders, zips and standard input, opened as streams of text, unpacked by what they hold.

Compression is told by a stream's first bytes, never by its name. Nothing is held in memory but a buffer and a small zip's directory.
"""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import os
import shutil
import stat
import struct
import sys
import zipfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Final, cast

from trialsync.errors import FileError
from trialsync.registry.bulk import MANY, BulkEntry, BulkZip

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from contextlib import AbstractContextManager

STANDARD_INPUT: Final = "-"
"""The path that stands for standard input."""

_TEXTS: Final = (".json", ".jsonl", ".ndjson")
_PACKED: Final = (".gz", ".bz2", ".xz", ".zst")
_ZIP_STARTS: Final = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
_JSON_STARTS: Final = (b"{", b"[", codecs.BOM_UTF8)
_MAGIC: Final[tuple[tuple[bytes, Callable[[IO[bytes]], IO[bytes]]], ...]] = (
    (b"\x1f\x8b", lambda stream: cast("IO[bytes]", gzip.GzipFile(fileobj=stream, mode="rb"))),
    (b"BZh", bz2.BZ2File),
    (b"\xfd7zXZ\x00", lzma.LZMAFile),
    (b"(\xb5/\xfd", lambda stream: cast("IO[bytes]", zstd.ZstdFile(stream))),
)
_LAYERS: Final = 3
_BUFFER: Final = 1 << 17


class Unreadable(Exception):
    """A source cannot be used; why, in words that follow its name, and what to do next."""

    def __init__(self, why: str, *, hint: str | None = None) -> None:
        super().__init__(why)
        self.why = why
        self.hint = hint


class Meter:
    """How many bytes of the paths are read, and how many there are (``None`` where nobody can tell)."""

    __slots__ = ("_before", "_here", "total")

    def __init__(self, total: int | None) -> None:
        self.total = total
        self._before = 0
        self._here = 0

    @property
    def done(self) -> int:
        """Return the bytes read so far, counted on the disk: compressed ones as they lie there."""
        return self._before + self._here

    def reach(self, place: int) -> None:
        """Note that the present file is read up to a place."""
        self._here = place

    def close(self, size: int) -> None:
        """Note that the present file, of so many bytes, is done with."""
        self._before += size
        self._here = 0


@dataclass(frozen=True, slots=True)
class Source:
    """One stream of text that may hold studies.

    ``name`` is for messages. ``open`` gives the unpacked stream; more than once if ``again``. ``path`` is the file, where its bytes are the
    text itself. ``among`` says that the source is one of many: what is wrong with it is then a bad record and no reason to stop.
    """

    name: str
    open: Callable[[], AbstractContextManager[IO[bytes]]]
    again: bool
    among: bool
    path: Path | None = None


class _Counted(io.RawIOBase):
    """A stream that tells a meter how far it is read."""

    def __init__(self, inner: IO[bytes], meter: Meter) -> None:
        self._inner = inner
        self._meter = meter
        self._count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        data = self._inner.read(len(view))
        view[: len(data)] = data
        self._count += len(data)
        self._meter.reach(self._count)
        return len(data)


def shown(name: object) -> str:
    """Return a file's name for a message: what is not printable is escaped."""
    text = str(name)
    return text if text.isprintable() else text.encode("unicode_escape", "backslashreplace").decode()


def total_size(paths: Iterable[Path | None]) -> int | None:
    """Return the bytes of the files that ``sources`` will read, ``None`` where one of them (``None``: standard input) cannot tell."""
    total = 0
    for path in paths:
        if path is None or not (path.is_dir() or path.is_file()):
            return None
        total += sum(below.stat().st_size for below in files_below(path)) if path.is_dir() else path.stat().st_size
    return total


def sources(paths: Iterable[Path | None], *, stdin: IO[bytes] | None, meter: Meter) -> Iterator[Source]:
    """Yield the sources in files, folders, zips, and (for ``None``) standard input; each is to be read before the next is asked for.

    Raises FileError for a folder without a file that could hold studies; Unreadable is raised as FileError where the path itself is named.
    """
    for path in paths:
        if path is None:
            if stdin is not None:
                yield from _in_stream("standard input", stdin, meter)
        elif path.is_dir():
            yield from _in_folder(path, meter)
        else:
            yield from _in_file(path, meter, among=False)


def files_below(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder that may hold studies by their endings, sorted; hidden ones and links to folders are passed by."""

    def refuse(error: OSError) -> None:
        raise FileError(f"{shown(error.filename)} cannot be read: {error.strerror}")

    for here, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not _is_hidden(name))
        for name in sorted(names):
            path = Path(here, name)
            if _may_hold_studies(name) and path.is_file():
                yield path


@contextmanager
def reading() -> Iterator[None]:
    """Turn what unpacking and reading raise into Unreadable, with a sentence that says what happened."""
    try:
        yield
    except EOFError as error:
        raise Unreadable("is cut off: the download is incomplete", hint="download it again") from error
    except (zlib.error, gzip.BadGzipFile, lzma.LZMAError, zstd.ZstdError, zipfile.BadZipFile) as error:
        raise Unreadable(f"is damaged: {error}", hint="download it again") from error
    except OSError as error:
        raise Unreadable(f"cannot be read: {error.strerror or error}") from error


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _may_hold_studies(name: str, *, zips: bool = True) -> bool:
    lower = name.lower()
    for ending in _PACKED:
        lower = lower.removesuffix(ending)
    return not _is_hidden(name) and lower.endswith((*_TEXTS, ".zip") if zips else _TEXTS)


def _in_folder(folder: Path, meter: Meter) -> Iterator[Source]:
    found = False
    for path in files_below(folder):
        found = True
        yield from _in_file(path, meter, among=True)
    if not found:
        endings = ", ".join((*_TEXTS, ".zip"))
        raise FileError(f"{shown(folder)} holds no file that studies could be read from", hint=f"{endings}, plain or compressed")


def _in_file(path: Path, meter: Meter, *, among: bool) -> Iterator[Source]:
    name = shown(path)
    try:
        with reading():
            status = path.stat()
            if not stat.S_ISREG(status.st_mode):
                with path.open("rb") as stream:
                    yield from _in_stream(name, stream, meter)
                return
            with path.open("rb") as stream:
                start = stream.read(8)
    except Unreadable as error:
        yield _unreadable(name, error, among=among)
        return
    if path.suffix.lower() == ".zip" and start.strip() and not start.lstrip().startswith(_JSON_STARTS) and not _is_packed(start):
        # As JSON that is none, which it is too, it says nothing to whoever downloaded it.
        yield _unreadable(
            name, Unreadable("is not a zip: an error page that was saved?", hint="download it again, curl with --fail"), among=among
        )
    elif start.startswith(_ZIP_STARTS):
        yield from _in_zip(name, lambda: path.open("rb"), meter, among=among)
    else:
        plain = not _is_packed(start)
        yield from _in_text(name, lambda: path.open("rb"), meter, among=among, path=path if plain else None)
    meter.close(status.st_size)


def _is_packed(start: bytes) -> bool:
    return start.startswith((*_ZIP_STARTS, *(magic for magic, _ in _MAGIC)))


def _in_text(name: str, opened: Callable[[], IO[bytes]], meter: Meter, *, among: bool, path: Path | None) -> Iterator[Source]:
    """Yield the source of a file that is no zip; or those of the zip that is compressed once more."""

    @contextmanager
    def unpacked() -> Iterator[IO[bytes]]:
        with opened() as stream:
            yield _unpacked(io.BufferedReader(_Counted(stream, meter), _BUFFER))

    zipped = False
    if path is None:
        try:
            with reading(), unpacked() as stream:
                zipped = _peek(stream).startswith(_ZIP_STARTS)
        except Unreadable as error:
            yield _unreadable(name, error, among=among)
            return
    if not zipped:
        yield Source(name, unpacked, again=True, among=among, path=path)
        return
    with unpacked() as stream:
        yield from _in_spooled_zip(name, stream, among=among)


def _in_stream(name: str, stream: IO[bytes], meter: Meter) -> Iterator[Source]:
    """Yield the sources in a stream that can be read once."""
    try:
        with reading():
            unpacked = _unpacked(io.BufferedReader(_Counted(stream, meter), _BUFFER))
            zipped = _peek(unpacked).startswith(_ZIP_STARTS)
    except Unreadable as error:
        yield _unreadable(name, error, among=False)
        return

    @contextmanager
    def once() -> Iterator[IO[bytes]]:
        yield unpacked

    if zipped:
        yield from _in_spooled_zip(name, unpacked, among=False)
    else:
        yield Source(name, once, again=False, among=False)


def _in_spooled_zip(name: str, stream: IO[bytes], *, among: bool) -> Iterator[Source]:
    """Yield a zip's entries from a stream that cannot seek: it is laid into a temporary file first, since a zip is read from its end.

    By then the meter has seen all of the stream, so the entries count for nothing more.
    """
    with TemporaryFile() as spool:
        try:
            with reading():
                shutil.copyfileobj(stream, spool, _BUFFER)
        except Unreadable as error:
            yield _unreadable(name, error, among=among)
            return
        spool.seek(0)
        yield from _in_zip(name, lambda: spool, Meter(None), among=among)


def _in_zip(name: str, opened: Callable[[], IO[bytes]], meter: Meter, *, among: bool) -> Iterator[Source]:
    with opened() as stream:
        try:
            with reading():
                bulk = _bulk(stream)
                archive = None if bulk else _archive(stream)
        except Unreadable as error:
            yield _unreadable(name, error, among=among)
            return
        if bulk:
            for file in bulk.entries():
                if _is_entry(file.name):
                    yield Source(f"{name}, {shown(file.name)}", partial(_bulk_entry, bulk, file), again=True, among=True)
                    meter.reach(file.offset + file.packed)
        elif archive:
            with archive:
                for entry in archive.infolist():
                    if _is_entry(entry.filename):
                        yield Source(f"{name}, {shown(entry.filename)}", _entry(archive, entry), again=True, among=True)
                        meter.reach(entry.header_offset + entry.compress_size)


def _bulk(stream: IO[bytes]) -> BulkZip | None:
    """Return a zip of very many files, its directory read once from end to end; ``None`` for a smaller one."""
    try:
        archive = BulkZip(stream)
    except (zipfile.BadZipFile, struct.error):
        return None  # whatever is wrong, the standard library says it
    if archive.count <= MANY:
        return None
    try:
        named = sum(_is_entry(entry.name) for entry in archive.entries())
    except (zipfile.BadZipFile, struct.error) as error:
        raise Unreadable(f"is a zip with a damaged directory: {error}", hint="download it again") from error
    if not named:
        raise Unreadable("is a zip without studies", hint="the registry's own holds one .json file a study")
    return archive


@contextmanager
def _bulk_entry(archive: BulkZip, entry: BulkEntry) -> Iterator[IO[bytes]]:
    with archive.open(entry) as stream:
        yield _unpacked(io.BufferedReader(cast("io.RawIOBase", stream), _BUFFER))


def _archive(stream: IO[bytes]) -> zipfile.ZipFile:
    """Return a zip whose central directory is whole and names at least one file of studies."""
    try:
        archive = zipfile.ZipFile(stream)
    except RuntimeError as error:  # a version of the format that it does not know
        raise Unreadable(f"is a zip with a damaged directory: {error}", hint="download it again") from error
    except (zipfile.BadZipFile, struct.error, ValueError) as error:
        raise Unreadable("is a zip without its end: the download is incomplete", hint="download it again") from error
    if not any(_is_entry(entry.filename) for entry in archive.infolist()):
        raise Unreadable("is a zip without studies", hint="the registry's own holds one .json file a study")
    return archive


def _is_entry(name: str) -> bool:
    *folders, last = name.split("/")
    return _may_hold_studies(last, zips=False) and not any(_is_hidden(folder) for folder in folders if folder != ".")


def _entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Callable[[], AbstractContextManager[IO[bytes]]]:
    @contextmanager
    def opened() -> Iterator[IO[bytes]]:
        if entry.flag_bits & 1:
            raise Unreadable("is encrypted", hint="unpack it first")
        try:
            packed = archive.open(entry)
        except RuntimeError as error:
            raise Unreadable(f"is packed in a way that cannot be read: {error}", hint="unpack it first") from error
        with packed as stream:
            yield _unpacked(io.BufferedReader(cast("io.RawIOBase", stream), _BUFFER))

    return opened


def _unpacked(stream: io.BufferedReader) -> IO[bytes]:
    """Return a stream of the text in a stream, whatever it is compressed with."""
    for _ in range(_LAYERS):
        start = _peek(stream)
        unpack = next((unpack for magic, unpack in _MAGIC if start.startswith(magic)), None)
        if unpack is None:
            break
        stream = io.BufferedReader(cast("io.RawIOBase", unpack(stream)), _BUFFER)
    return stream


def _peek(stream: IO[bytes]) -> bytes:
    return cast("io.BufferedReader", stream).peek(8)[:8]


def _unreadable(name: str, error: Unreadable, *, among: bool) -> Source:
    """Return a source that only says why it cannot be read, so that every fault is told in one place."""

    def opened() -> AbstractContextManager[IO[bytes]]:
        raise error

    return Source(name, opened, again=False, among=among)
