"""Dated loads of studies, as lines of JSON: what the sandbox replays."""

from __future__ import annotations

import gzip
import lzma
import zlib
from dataclasses import dataclass
from datetime import date
from importlib import resources
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

import orjson

from trialsync.errors import BadNctId, FileError
from trialsync.model import Study, nct_id

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.resources.abc import Traversable


@dataclass(frozen=True, slots=True)
class LoadLine:
    """One study as one load changed it; ``study`` is None where the load took it away. ``load`` is an ISO day."""

    load: str
    nct_id: str
    study: Study | None


_SHAPE = 'a line is {"load": "2026-02-04", "nctId": "NCT07263919", "study": {…}}, with null for a study that was removed'


def read_loads(path: str | Path) -> Iterator[LoadLine]:
    """Yield the lines of a loads file: JSON lines, plain or compressed (``.xz``, ``.gz``), each ``{"load", "nctId", "study"}``.

    Raises FileError, naming the file, and the line where one is at fault.
    """
    path = Path(path)
    try:
        with path.open("rb") as raw:
            yield from _lines(raw, path.name)
    except OSError as error:
        reason = error.strerror or str(error)
        raise FileError(f"{path} cannot be read: {reason}", hint="name a file of dated loads, .jsonl, .jsonl.xz or .jsonl.gz") from error


def packaged_loads() -> Iterator[LoadLine]:
    """Yield the lines of the loads that come with the package, written for demonstration. Raises FileError if they are missing."""
    here = resources.files(__package__)
    for name in ("loads.jsonl.xz", "loads.jsonl"):
        source: Traversable = here.joinpath(name)
        if source.is_file():
            with source.open("rb") as raw:
                yield from _lines(raw, name)
            return
    raise FileError("the demonstration loads are not in this installation", hint="install the package again")


def _unpacked(raw: IO[bytes], name: str) -> IO[bytes]:
    if name.endswith(".xz"):
        return lzma.LZMAFile(raw)
    return cast("IO[bytes]", gzip.GzipFile(fileobj=raw)) if name.endswith(".gz") else raw


def _lines(raw: IO[bytes], name: str) -> Iterator[LoadLine]:
    number = 0
    try:
        with _unpacked(raw, name) as stream:
            for number, line in enumerate(stream, 1):
                if line.strip():
                    yield _line(line, name, number)
    except (lzma.LZMAError, zlib.error, EOFError, gzip.BadGzipFile) as error:
        raise FileError(f"{name} is cut off or damaged after line {number}: {error}", hint="copy it again") from error


def _line(line: bytes, name: str, number: int) -> LoadLine:
    where = f"{name}, line {number}"
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise FileError(f"{where} is not JSON: {error}", hint=_SHAPE) from error
    if not isinstance(row, dict) or not {"load", "nctId", "study"} <= row.keys():
        raise FileError(f"{where} is not a line of a load", hint=_SHAPE)
    load, number_text, study = row["load"], row["nctId"], row["study"]
    try:
        if not isinstance(load, str) or date.fromisoformat(load).isoformat() != load:
            raise FileError(f"{where}: load {load!r} is not a day", hint="YYYY-MM-DD")
    except ValueError as error:
        raise FileError(f"{where}: load {load!r} is not a day", hint="YYYY-MM-DD") from error
    try:
        known = nct_id(number_text if isinstance(number_text, str) else "")
    except BadNctId as error:
        raise FileError(f"{where}: nctId {number_text!r} is not an NCT number", hint=_SHAPE) from error
    if study is not None and not isinstance(study, dict):
        raise FileError(f"{where}: the study is neither an object nor null", hint=_SHAPE)
    return LoadLine(load, known, study)
