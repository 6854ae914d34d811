"""A study to bytes and back: JSON text, compressed by zstd with a dictionary trained on studies.

Every blob names its own format in its first byte, so that a later trialsync can write another and still read these:

    1   zstd, with the dictionary ``studies-1.zdict``; read, no longer written
    2   zstd, with the content of the study's next version as its prefix: what is written is the difference
    3   zstd, with the dictionary ``studies-2.zdict``; read, no longer written
    4   zstd, with the dictionary ``studies-3.zdict``

``tests/benchmarks/train_dictionary.py`` made the dictionaries; they are never edited, since every blob of their format needs them byte for
byte. The JSON text keeps the registry's order of names and every value exactly.
"""

from __future__ import annotations

import sys
from array import array
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Final

import orjson

from trialsync.errors import RecordError
from trialsync.study.nct_set import NctSet

if sys.version_info >= (3, 14):
    from compression.zstd import CompressionParameter, ZstdCompressor, ZstdDecompressor, ZstdDict, ZstdError
else:
    from backports.zstd import CompressionParameter, ZstdCompressor, ZstdDecompressor, ZstdDict, ZstdError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trialsync.model import Study

DIFFERENCE: Final = 2
WHOLE: Final = 4
DICTIONARIES: Final = {1: "studies-1.zdict", 3: "studies-2.zdict", WHOLE: "studies-3.zdict"}
KEYFRAME: Final = 32
"""Every version whose number this divides stays whole, so that one bad blob, or a long history, costs at most this many."""

_LEVEL: Final = 6
_LARGEST_WINDOW: Final = 27
_SMALLEST_WINDOW: Final = 10
_SHORTEST_PREFIX: Final = 8
_LARGEST_STUDY: Final = 1 << 30


class BadBlob(Exception):
    """A blob that is not what was written; the caller knows whose it is."""


def text(study: Study) -> bytes:
    """Return a study as JSON text, names in the registry's order, no white space.

    Raises RecordError for a record that is no valid JSON (a lone surrogate, a number beyond 64 bits).
    """
    try:
        return orjson.dumps(study)
    except TypeError as error:
        raise RecordError(f"a record can't be written as JSON: {error}") from error


def study(content: bytes) -> Study:
    """Return the study that a JSON text holds; raise BadBlob where it holds none."""
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise BadBlob(f"its content is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise BadBlob(f"its content is no record but {type(value).__name__}")
    return value


def pack(content: bytes) -> bytes:
    """Return a JSON text as a blob that stands by itself."""
    return bytes((WHOLE,)) + _compressor().compress(content, ZstdCompressor.FLUSH_FRAME)


@cache
def _compressor() -> ZstdCompressor:
    """Return the one that compresses what stands by itself: each call ends its frame and leaves the compressor as new."""
    options: dict[int, int] = {
        CompressionParameter.compression_level: _LEVEL,
        CompressionParameter.checksum_flag: 1,
        CompressionParameter.dict_id_flag: 0,
    }
    return ZstdCompressor(options=options, zstd_dict=_dictionary(WHOLE).as_digested_dict)


def pack_difference(content: bytes, newer: bytes) -> bytes:
    """Return a JSON text as a blob that needs the JSON text of the next version to be read."""
    window = (len(content) + len(newer)).bit_length()
    options: dict[int, int] = {
        CompressionParameter.compression_level: _LEVEL,
        CompressionParameter.window_log: min(max(window, _SMALLEST_WINDOW), _LARGEST_WINDOW),
        CompressionParameter.checksum_flag: 1,
        CompressionParameter.dict_id_flag: 0,
    }
    compressor = ZstdCompressor(options=options, zstd_dict=_prefix(newer))
    return bytes((DIFFERENCE,)) + compressor.compress(content, ZstdCompressor.FLUSH_FRAME)


def is_difference(blob: bytes) -> bool:
    """Return whether a blob needs the next version's content to be read."""
    return blob[:1] == bytes((DIFFERENCE,))


def unpack(blob: bytes, newer: bytes | None = None) -> bytes:
    """Return the JSON text of a blob; ``newer`` is the JSON text of the next version where the blob is a difference.

    Raises BadBlob for a blob that was not written by this module, or is cut short or altered (each carries a checksum of its content).
    """
    if blob and blob[0] in DICTIONARIES:
        return _decompress(memoryview(blob)[1:], _dictionary(blob[0]).as_digested_dict)
    if is_difference(blob):
        if newer is None:
            raise BadBlob("it is a difference to a version that is not there")
        return _decompress(memoryview(blob)[1:], _prefix(newer))
    raise BadBlob(f"its format is unknown ({blob[:1].hex() or 'empty'})")


def _prefix(newer: bytes) -> tuple[ZstdDict, int]:
    return ZstdDict(newer.ljust(_SHORTEST_PREFIX), is_raw=True).as_prefix


def _decompress(blob: bytes | memoryview, dictionary: tuple[ZstdDict, int] | None) -> bytes:
    decompressor = ZstdDecompressor(zstd_dict=dictionary)
    try:
        content = decompressor.decompress(blob, _LARGEST_STUDY)
    except (ZstdError, EOFError, MemoryError) as error:
        raise BadBlob(f"it can't be decompressed: {error}") from error
    if not decompressor.eof or decompressor.unused_data:
        raise BadBlob("it is cut short" if not decompressor.eof else "it is followed by something else")
    return content


@cache
def _dictionary(form: int) -> ZstdDict:
    return ZstdDict((Path(__file__).parent / DICTIONARIES[form]).read_bytes())


def pack_ids(nct_ids: Iterable[str]) -> bytes:
    """Return a set of NCT numbers as a small blob: each as its distance to the one before, compressed."""
    distances = []
    last = 0
    for number in sorted({int(nct_id[3:]) for nct_id in nct_ids}):
        distances.append(number - last)
        last = number
    compressor = ZstdCompressor(options={CompressionParameter.checksum_flag: 1})
    return compressor.compress(orjson.dumps(distances), ZstdCompressor.FLUSH_FRAME)


def unpack_ids(blob: bytes) -> NctSet:
    """Return the NCT numbers of such a blob; raise BadBlob where it is not one."""
    try:
        return NctSet.of(unpack_numbers(blob))
    except ValueError as error:
        raise BadBlob(f"a list of studies can't be read: {error}") from error


def unpack_numbers(blob: bytes) -> array[int]:
    """Return the whole numbers that the NCT numbers of such a blob hold, ascending; raise BadBlob where it is not one."""
    content = _decompress(blob, None)
    try:
        return array("L", accumulate(orjson.loads(content)))
    except (ValueError, TypeError, OverflowError) as error:
        raise BadBlob(f"a list of studies can't be read: {error}") from error
