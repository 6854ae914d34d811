"""The registry's bulk download, a zip of some 600,000 small files, read without holding its directory in memory.

The standard library keeps about 640 bytes for each entry of a zip, 390 MB for this one. Here the directory is walked, once to check it and
once more for the order in which the entries are wanted. The format: PKWARE's APPNOTE 6.3, sections 4.3.7 to 4.3.16.
"""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib
from array import array
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MANY: Final = 20_000
"""A zip of more entries than this is read here, a smaller one by the standard library."""

_END: Final = struct.Struct("<4s4H2LH")
_END_64: Final = struct.Struct("<4sQ2H2L4Q")
_LOCATOR: Final = struct.Struct("<4sLQL")
_ENTRY: Final = struct.Struct("<4s6H3L5H2L")
_LENGTHS: Final = slice(10, 13)
_LOCAL: Final = struct.Struct("<4s5H3L2H")
_BLOCK: Final = 1 << 20
_STORED, _DEFLATED = 0, 8
_ENCRYPTED: Final = 1
_FULL_16: Final = 0xFFFF
_FULL_32: Final = 0xFFFFFFFF
_LONGEST_COMMENT: Final = 1 << 16
_LONGEST_ENTRY: Final = _ENTRY.size + 3 * _LONGEST_COMMENT
_DOWNLOAD: Final = re.compile(r"\d\d/NCT\d{8}\.json", re.ASCII)
_NUMBER: Final = slice(-16, -5)
_DIGITS: Final = slice(-13, -5)

_PLACE_BITS: Final = 36
"""So wide is an entry's place within the directory where it is kept beside a number of eight digits: room for 64 GiB of directory."""


@dataclass(frozen=True, slots=True)
class BulkEntry:
    """One file of the zip: its name, how it is packed, and where its header lies."""

    name: str
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    offset: int

    @property
    def nct_id(self) -> str:
        """Return the number that the name of a download's entry has."""
        return self.name[_NUMBER]

    @property
    def can_be_read(self) -> bool:
        """Return whether it is packed in a way that the registry uses."""
        return not self.flags & _ENCRYPTED and self.method in {_STORED, _DEFLATED}


class BulkZip:
    """A zip on a stream that can seek. Raises zipfile.BadZipFile where its end is missing, as in a download that broke off."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.count, self._start, self._bytes, self._shift = _directory(stream)

    def entries(self) -> Iterator[BulkEntry]:
        """Yield the entries in the directory's order. Raises zipfile.BadZipFile where it is not what its end says."""
        return (entry for entry, _ in self._walk())

    def by_number(self) -> Iterator[BulkEntry]:
        """Yield the entries of a download by their studies' numbers, those of one number in the directory's order.

        The registry lays studies into folders by the last two digits: taken in that order, each folder's studies would lie between those
        of all folders before it, and an index by number would be written anew a hundred times. Only 8 bytes of each entry are kept.
        Raises zipfile.BadZipFile where the directory is not what its end says, or has a file that is none of a download.
        """
        places = array("Q", (_digits(entry) << _PLACE_BITS | place - self._start for entry, place in self._walk()))
        for number in array("Q", sorted(places)):
            self._stream.seek(self._start + (number & (1 << _PLACE_BITS) - 1))
            head = self._stream.read(_ENTRY.size)
            lengths = _ENTRY.unpack(head)[_LENGTHS] if len(head) == _ENTRY.size else ()
            yield _entry(head + self._stream.read(sum(lengths)), 0, self._shift)[0]

    def _walk(self) -> Iterator[tuple[BulkEntry, int]]:
        """Yield the entries in the directory's order, each with the place in the file where the directory has it."""
        place, end = self._start, self._start + self._bytes
        block, at, seen = b"", 0, 0
        while seen < self.count:
            if len(block) - at < _LONGEST_ENTRY and place < end:
                self._stream.seek(place)
                block = block[at:] + self._stream.read(min(_BLOCK, end - place))
                place, at = min(place + _BLOCK, end), 0
            begins = place - len(block) + at
            entry, at = _entry(block, at, self._shift)
            if entry.offset + _LOCAL.size + entry.packed > self._start:
                raise zipfile.BadZipFile(f"{entry.name!r} would lie behind the zip's end")
            seen += 1
            yield entry, begins
        if place < end or at != len(block):
            raise zipfile.BadZipFile(f"its directory goes on behind the {self.count:,} files that its end counts")

    def open(self, entry: BulkEntry) -> IO[bytes]:
        """Return an entry's content. Raises zipfile.BadZipFile where it is damaged, or packed in a way that the registry doesn't use."""
        if not entry.can_be_read:
            raise zipfile.BadZipFile("it is encrypted, or packed in a way that cannot be read")
        if entry.packed > 2 * entry.size + _BLOCK:
            # Nothing packs so badly: what would be read is other entries, or all of the zip.
            raise zipfile.BadZipFile(f"it has {entry.packed:,} bytes for {entry.size:,} unpacked")
        self._stream.seek(entry.offset)
        header = self._stream.read(_LOCAL.size)
        if len(header) < _LOCAL.size or not header.startswith(b"PK\x03\x04"):
            raise zipfile.BadZipFile("its header is missing")
        *_, name_bytes, extra_bytes = _LOCAL.unpack(header)
        self._stream.seek(name_bytes + extra_bytes, io.SEEK_CUR)
        packed = self._stream.read(entry.packed)
        content = packed
        if entry.method == _DEFLATED:
            inflating = zlib.decompressobj(-zlib.MAX_WBITS)
            content = inflating.decompress(packed, entry.size + 1)
        if len(content) != entry.size or zlib.crc32(content) != entry.crc:
            raise zipfile.BadZipFile("its content is not what its checksum says")
        return io.BytesIO(content)


def is_download(path: Path) -> bool:
    """Return whether a file is the registry's bulk download: a whole zip in which every file is ``NN/NCTdddddddd.json``.

    What can't be read is none: whoever reads it says why.
    """
    try:
        if not path.is_file():
            return False
        with path.open("rb") as stream:
            archive = BulkZip(stream)
            return archive.count > 0 and all(_DOWNLOAD.fullmatch(entry.name) and entry.can_be_read for entry in archive.entries())
    except (OSError, zipfile.BadZipFile):
        return False


def _digits(entry: BulkEntry) -> int:
    """Return the number of a download's entry; another zip may have come into its place since it was looked at."""
    if not _DOWNLOAD.fullmatch(entry.name):
        raise zipfile.BadZipFile(f"{entry.name!r} is no file of a download")
    return int(entry.name[_DIGITS])


def _directory(stream: IO[bytes]) -> tuple[int, int, int, int]:
    """Return how many entries the directory has, where it begins, its bytes, and by how much every offset is too small."""
    size = stream.seek(0, io.SEEK_END)
    tail_at = max(0, size - _LONGEST_COMMENT - _END.size)
    stream.seek(tail_at)
    tail = stream.read()
    found = tail.rfind(b"PK\x05\x06")
    if found < 0 or len(tail) - found < _END.size:
        raise zipfile.BadZipFile("its end is missing")
    _, disk, first_disk, _, count, length, start, _ = _END.unpack_from(tail, found)
    end = tail_at + found
    if disk or first_disk:
        raise zipfile.BadZipFile("it is a part of several")
    if end >= _LOCATOR.size + _END_64.size and (count == _FULL_16 or _FULL_32 in {length, start}):
        stream.seek(end - _LOCATOR.size)
        mark, _, end_64, _ = _LOCATOR.unpack(stream.read(_LOCATOR.size).ljust(_LOCATOR.size, b"\0"))
        if mark == b"PK\x06\x07":
            if end_64 >= end:
                raise zipfile.BadZipFile("its end is damaged")
            stream.seek(end_64)
            record = stream.read(_END_64.size)
            if len(record) < _END_64.size or not record.startswith(b"PK\x06\x06"):
                raise zipfile.BadZipFile("its end is damaged")
            *_, count, length, start = _END_64.unpack(record)
            end = end_64
    shift = end - length - start
    if shift < 0:
        raise zipfile.BadZipFile("its end is damaged")
    return count, start + shift, length, shift


def _entry(block: bytes, at: int, shift: int) -> tuple[BulkEntry, int]:
    """Return the entry of the directory at a place in a block, and the place behind it."""
    if len(block) - at < _ENTRY.size or block[at : at + 4] != b"PK\x01\x02":
        raise zipfile.BadZipFile("its directory is damaged")
    _, _, _, flags, method, _, _, crc, packed, size, name_bytes, extra_bytes, comment_bytes, _, _, _, offset = _ENTRY.unpack_from(block, at)
    begins = at + _ENTRY.size
    name = block[begins : begins + name_bytes].decode("utf-8", "replace")
    extra = block[begins + name_bytes : begins + name_bytes + extra_bytes]
    if _FULL_32 in {packed, size, offset}:
        size, packed, offset = _in_64_bits(extra, size, packed, offset)
    behind = begins + name_bytes + extra_bytes + comment_bytes
    if behind > len(block):
        raise zipfile.BadZipFile("its directory is cut short")
    return BulkEntry(name, flags, method, crc, packed, size, offset + shift), behind


def _in_64_bits(extra: bytes, *values: int) -> Iterator[int]:
    """Yield the values, each that did not fit in 32 bits from the extra field 1, where they stand in this order."""
    wide = b""
    while len(extra) >= 4:  # noqa: PLR2004 - the head of an extra field
        kind, length = struct.unpack_from("<2H", extra)
        if kind == 1:
            wide = extra[4 : 4 + length]
        extra = extra[4 + length :]
    for value in values:
        if value == _FULL_32:
            if len(wide) < 8:  # noqa: PLR2004
                raise zipfile.BadZipFile("its directory is damaged")
            (value,), wide = struct.unpack_from("<Q", wide), wide[8:]  # noqa: PLW2901
        yield value
