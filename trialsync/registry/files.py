"""Studies from files: a study, a list, a ``/studies`` answer, JSON lines, dated lines, the registry's bulk zip, folders, standard input.

JSON lines, zips and folders are streamed; one JSON document is read whole. Dated lines (``load``, ``nctId``, ``study``) come load by load.
"""

from __future__ import annotations

import json
import re
from array import array
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from shutil import copyfileobj
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Final, TypeAlias

import orjson

from trialsync.errors import BadNctId, FileError, RecordError, UsageError
from trialsync.model import is_day
from trialsync.model import nct_id as normal_nct_id
from trialsync.registry.sources import STANDARD_INPUT, Meter, Source, Unreadable, reading, shown, sources, total_size
from trialsync.study import record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from os import PathLike

    from trialsync.model import Json, Study

    Progress: TypeAlias = Callable[[int, int | None], None]

LARGEST: Final = 1 << 30
"""The most bytes of one JSON document, or of one line. A study has at most a few million."""

_BOM: Final = b"\xef\xbb\xbf"
_UTF_16: Final = (b"\xff\xfe", b"\xfe\xff")
_OPEN_ENDS: Final = (b"{", b"[", b",", b":")
_STRANGE_LINES: Final = 20
_NOTHING_KNOWN: Final = "holds no study: an object with protocolSection, a list of them, or a line with load, nctId and study is due"
_COLON: Final = re.compile(rb"\\u003[aA]")
_LOAD: Final = re.compile(rb'\s*\{\s*"load"\s*:\s*"(\d{4}-\d{2}-\d{2})"')


@dataclass(frozen=True, slots=True)
class FoundStudy:
    """One study in a file: the record, its bytes, where it was, and the load that a dated line names (``None`` elsewhere).

    ``raw`` are the bytes as they lay there, where the record has a line or a file to itself; else the record as compact JSON.
    ``compact`` is that as well, where it was needed on the way.
    """

    study: Study
    raw: bytes
    source: str
    load: str | None = None
    compact: bytes = field(default=b"", compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Unlisted:
    """A dated line that says that the registry did not list a study any more on that load."""

    nct_id: str
    load: str
    source: str


@dataclass(frozen=True, slots=True)
class BadRecord:
    """One record among others that cannot be used: where it is, and why.

    ``strange`` says that it has nothing of a study: no JSON, or JSON of another kind.
    """

    source: str
    why: str
    strange: bool = field(default=False, compare=False, repr=False)

    @property
    def sentence(self) -> str:
        """Return the place and the reason as one sentence."""
        return f"{self.source}: {self.why}"


Found: TypeAlias = FoundStudy | Unlisted | BadRecord


def read(paths: Iterable[str | PathLike[str]], *, stdin: IO[bytes] | None = None, progress: Progress | None = None) -> Iterator[Found]:
    """Return an iterator of what the files hold, in their order: studies, dated lines without one, and records that cannot be used.

    A folder is read recursively, sorted; ``-`` is ``stdin``. ``progress`` is called after each record with the bytes read so far and those
    there are (``None`` where nobody can tell), both as they lie on the disk. Raises FileError: at once for a path that is not there, on the
    way for one that is not JSON, cut off, empty or without studies. In a folder or a zip such a file is a BadRecord.
    """
    places = [None if str(path) == STANDARD_INPUT else Path(path) for path in paths]
    if places.count(None) > 1 or (None in places and stdin is None):
        raise UsageError("standard input can be read once", hint="give - a single time")
    for place in places:
        if place is not None and not _is_there(place):
            raise FileError(f"no such file: {shown(place)}")
    return _read(places, stdin, progress)


def _is_there(place: Path) -> bool:
    try:
        return place.exists()
    except OSError as error:
        raise FileError(f"{shown(place)} cannot be read: {error.strerror}") from error


def _read(places: list[Path | None], stdin: IO[bytes] | None, progress: Progress | None) -> Iterator[Found]:
    meter = Meter(total_size(places) if progress else None)
    for source in sources(places, stdin=stdin, meter=meter):
        for found in _in_source(source):
            yield found
            if progress:
                progress(meter.done, meter.total)
    if progress:
        progress(meter.done, meter.total)


def _in_source(source: Source) -> Iterator[Found]:
    try:
        with reading():
            yield from _in_text(source)
    except Unreadable as error:
        if not source.among:
            raise FileError(f"{source.name} {error.why}", hint=error.hint) from error
        yield BadRecord(source.name, error.why)


def _in_text(source: Source) -> Iterator[Found]:
    """Yield what a source holds; its first lines tell a document from JSON lines."""
    with source.open() as stream:
        lines = _lines(stream)
        number, first = next(lines, (0, b""))
        if not first:
            raise Unreadable("is empty")
        if first.startswith(_UTF_16):
            raise Unreadable("is UTF-16, and JSON is UTF-8", hint="save it as UTF-8")
        alone = _attempt(first)
        second = None if alone is None and first.endswith(_OPEN_ENDS) else next(lines, None)
        following = None if second is None else _parsed_or_none(second[1])
        if alone and second is None:
            yield from _document(alone[0], first, source.name)
        elif alone is None and not isinstance(following, dict):
            text = b"".join((b"\n" * (number - 1), first, b"\n", _between(number, second), stream.read(LARGEST))).rstrip()
            if len(text) >= LARGEST:
                raise Unreadable("is one JSON document of more than 1 GiB", hint="give it as JSON lines, one study a line")
            yield from _document(*_parsed(text), source.name)
        elif source.again and (_is_dated(following) or (alone and _is_dated(alone[0]))):
            yield from _dated_lines(source)
        else:
            yield from _json_lines(chain([(number, first)], [second] if second else [], lines), source.name)


def _between(number: int, second: tuple[int, bytes] | None) -> bytes:
    """Return a second line that was read already, with the blank lines before it, so that an error's place is right."""
    return b"" if second is None else b"\n" * (second[0] - number - 1) + second[1] + b"\n"


def _lines(stream: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield the lines that are not blank, numbered from 1, without the white space at their ends and a byte order mark."""
    number = 0
    while line := stream.readline(LARGEST):
        number += 1
        if len(line) >= LARGEST:
            raise Unreadable(f"has more than 1 GiB in line {number}")
        text = line.rstrip().removeprefix(_BOM)
        if text and not text.isspace():
            yield number, text


def _document(value: Json, raw: bytes, name: str) -> Iterator[Found]:
    """Yield the records of one JSON document: a study, a list or an answer."""
    if isinstance(value, dict) and not (_is_study(value) or _is_dated(value) or _is_answer(value)):
        raise Unreadable(_NOTHING_KNOWN)
    if _is_study(value) or _is_dated(value):
        yield _record(value, raw, name)
        return
    members = value["studies"] if isinstance(value, dict) else value
    if not isinstance(members, list) or (members and not any(_is_study(member) or _is_dated(member) for member in members)):
        raise Unreadable(_NOTHING_KNOWN)
    found = [_record(member, None, f"{name}, study {place}") for place, member in enumerate(members, start=1)]
    # Stable: what has no load of its own stays before the first load.
    yield from sorted(found, key=lambda each: (None if isinstance(each, BadRecord) else each.load) or "")


def _json_lines(lines: Iterable[tuple[int, bytes]], name: str, *, ordered: bool = True) -> Iterator[Found]:
    """Yield the records of JSON lines. A file whose first lines hold nothing like a study is refused before anything is made of it."""
    held: list[BadRecord] | None = []
    latest = ""
    for number, line in lines:
        for found in _in_line(line, f"{name}, line {number}"):
            if ordered and not isinstance(found, BadRecord) and found.load:
                if found.load < latest:
                    raise Unreadable(
                        f"has load {found.load} in line {number}, after load {latest}",
                        hint="sort the lines by load, or give them as a file",
                    )
                latest = found.load
            if held is None:
                yield found
            elif isinstance(found, BadRecord) and found.strange:
                held.append(found)
                if len(held) >= _STRANGE_LINES:
                    raise Unreadable(f"holds no study in its first {_STRANGE_LINES} lines", hint=held[0].sentence)
            else:
                yield from held
                yield found
                held = None
    if held:
        raise Unreadable("holds no study", hint=held[0].sentence)


def _in_line(line: bytes, where: str) -> Iterator[Found]:
    try:
        value, compact = _parsed(line)
    except Unreadable as error:
        # The place in the file is named already; the line's own count would be a second one.
        yield BadRecord(where, error.why.replace(": line 1, column", ": column", 1), strange=True)
        return
    if isinstance(value, list) or (_is_answer(value) and not _is_study(value)):
        try:
            yield from _document(value, compact, where)
        except Unreadable as error:
            yield BadRecord(where, error.why, strange=True)
    else:
        yield _record(value, line, where)


def _dated_lines(source: Source) -> Iterator[Found]:
    """Yield dated lines load by load. A first pass looks where the loads begin; lines in another order are then read place by place."""
    with source.open() as stream:
        places, ordered = _places(stream)
    if ordered:
        with source.open() as stream:
            yield from _json_lines(_lines(stream), source.name, ordered=False)
        return
    with source.path.open("rb") if source.path else TemporaryFile() as plain:
        if source.path is None:
            with source.open() as stream:
                copyfileobj(stream, plain)
        yield from _json_lines(_lines_at(plain, places), source.name, ordered=False)


def _places(stream: IO[bytes]) -> tuple[dict[str, tuple[array[int], array[int]]], bool]:
    """Return the numbers and offsets of the lines of each load, and whether the loads never go back."""
    places: dict[str, tuple[array[int], array[int]]] = {}
    offset, number, load, ordered = 0, 0, "", True
    while line := stream.readline(LARGEST):
        number += 1
        named = _LOAD.match(line.removeprefix(_BOM))
        later = named.group(1).decode() if named else _load_inside(line) or load
        ordered = ordered and later >= load
        load = later
        numbers, offsets = places.setdefault(load, (array("q"), array("q")))
        numbers.append(number)
        offsets.append(offset)
        offset += len(line)
    return places, ordered


def _load_inside(line: bytes) -> str | None:
    """Return the load of a line that does not begin with it."""
    value = _parsed_or_none(line.strip().removeprefix(_BOM))
    return value["load"] if _is_dated(value) and is_day(value["load"]) else None


def _lines_at(stream: IO[bytes], places: dict[str, tuple[array[int], array[int]]]) -> Iterator[tuple[int, bytes]]:
    for load in sorted(places):
        for number, offset in zip(*places[load], strict=True):
            stream.seek(offset)
            line = stream.readline(LARGEST).strip().removeprefix(_BOM)
            if line:
                yield number, line


def study_in(raw: bytes, where: str) -> FoundStudy | BadRecord:
    """Return the one study that a JSON text holds, or why it holds none."""
    try:
        value, compact = _parsed(raw.strip().removeprefix(_BOM))
    except Unreadable as error:
        return BadRecord(where, error.why)
    found = _record(value, raw.strip().removeprefix(_BOM), where)
    if isinstance(found, Unlisted):
        return BadRecord(where, "no study, but a line of one")
    return replace(found, compact=compact) if isinstance(found, FoundStudy) and found.study is value else found


def _is_study(value: Json) -> bool:
    return isinstance(value, dict) and "protocolSection" in value


def _is_dated(value: Json) -> bool:
    return isinstance(value, dict) and "load" in value and "study" in value


def _is_answer(value: Json) -> bool:
    return isinstance(value, dict) and isinstance(value.get("studies"), list)


def _record(value: Json, raw: bytes | None, where: str) -> Found:
    """Return one record; ``raw`` are its own bytes, where it has some to itself."""
    try:
        if _is_study(value):
            record.check(value)
            return FoundStudy(value, orjson.dumps(value) if raw is None else raw.lstrip(), where)
        if _is_dated(value):
            return _dated_record(value, where)
    except RecordError as error:
        return BadRecord(where, error.message)
    return BadRecord(where, "neither a study nor a line with load, nctId and study", strange=True)


def _dated_record(value: dict[str, Json], where: str) -> Found:
    load, study = value["load"], value["study"]
    if not is_day(load):
        return BadRecord(where, f"its load is no day: {str(load)[:40]!r}")
    try:
        number = normal_nct_id(value["nctId"]) if isinstance(value.get("nctId"), str) else None
    except BadNctId as error:
        return BadRecord(where, str(error))
    if study is None:
        return Unlisted(number, load, where) if number else BadRecord(where, "it has neither a study nor an NCT number")
    own = record.check(study)
    if number not in (None, own):
        return BadRecord(where, f"the line is for {number} and its study is {own}")
    return FoundStudy(study, orjson.dumps(study), where, load)


def _attempt(raw: bytes) -> tuple[Json, bytes] | None:
    try:
        return _parsed(raw)
    except Unreadable:
        return None


def _parsed_or_none(raw: bytes) -> Json:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None


def _parsed(raw: bytes) -> tuple[Json, bytes]:
    """Return a JSON text's value, and the value as compact JSON; raise Unreadable with the place where it is no JSON.

    A name twice in one object is no JSON here: nobody can say which of the two the registry meant.
    """
    try:
        value = orjson.loads(raw)
        compact = orjson.dumps(value)
    except orjson.JSONDecodeError as error:
        raise _not_json(raw, error) from error
    except TypeError as error:
        raise Unreadable("is JSON that is nested too deeply") from error
    # A value is never written with a name twice. Where the text differs, colons are counted: one that is left out takes its own with it.
    # Only one that is written by its number can make up for that. Where the counts differ, the text is read once more.
    if raw != compact and (raw.count(b":") != compact.count(b":") or _COLON.search(raw)):
        json.loads(raw, object_pairs_hook=_without_repeats, parse_int=str, parse_float=str)
    return value, compact


def _not_json(raw: bytes, error: orjson.JSONDecodeError) -> Unreadable:
    try:
        raw.decode()
    except UnicodeDecodeError as wrong:
        before = raw[: wrong.start]
        line, column = before.count(b"\n") + 1, len(before.rpartition(b"\n")[2].decode()) + 1
        return Unreadable(f"is not JSON: line {line}, column {column}: not UTF-8")
    return Unreadable(f"is not JSON: line {error.lineno}, column {error.colno}: {error.msg}")


def _without_repeats(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    names = dict(pairs)
    if len(names) != len(pairs):
        seen: set[str] = set()
        repeated = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise Unreadable(f"is not JSON: the name {repeated[:40]!r} stands twice in one object")
    return names
