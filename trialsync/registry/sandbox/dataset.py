"""What the service holds on one load: every study as bytes, its search values found on demand."""

from __future__ import annotations

import zlib
from functools import cached_property
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import orjson

from trialsync.errors import FileError
from trialsync.registry.sandbox.vocabulary import Kind, Piece
from trialsync.registry.sandbox.words import normal_form

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from trialsync.model import Study
    from trialsync.registry.sandbox.loads import LoadLine

_STAMP = "\x00load\x00"
_STAMP_BYTES = orjson.dumps(_STAMP)[1:-1]
_LOCATIONS = ("protocolSection", "contactsLocationsModule", "locations")


def walk(node: Any, path: Sequence[str]) -> list[Any]:
    """Return the values at a path, lists on the way (and at its end) flattened; absent gives an empty list."""
    found = [node]
    for key in path:
        below: list[Any] = []
        for value in found:
            if isinstance(value, dict) and key in value:
                child = value[key]
                below.extend(child) if isinstance(child, list) else below.append(child)
        found = below
    return found


def _leaves(node: Any) -> list[Any]:
    if isinstance(node, dict):
        return [leaf for value in node.values() for leaf in _leaves(value)]
    if isinstance(node, list):
        return [leaf for value in node for leaf in _leaves(value)]
    return [node]


class Held:
    """One content of a study, kept as bytes around the place of ``versionHolder``, so that any load stamps it without parsing."""

    __slots__ = ("_cells", "_head", "_locations", "_stamp", "_tail", "_texts", "aliases", "nct_id")

    def __init__(self, nct_id: str, study: Study) -> None:
        self.nct_id = nct_id
        self.aliases = tuple(
            alias for alias in walk(study, ("protocolSection", "identificationModule", "nctIdAliases")) if isinstance(alias, str)
        )
        self._head, self._stamp, self._tail = orjson.dumps(_stamped(study)).partition(_STAMP_BYTES)
        self._cells: dict[str, tuple[Any, ...]] = {}
        self._texts: dict[tuple[str, bool], tuple[str, ...]] = {}
        self._locations: tuple[dict[str, Any], ...] | None = None

    def raw(self, load: str) -> bytes:
        """Return the study as compact JSON with ``versionHolder`` set to the load."""
        return self._head + load.encode() + self._tail if self._stamp else self._head

    def size(self) -> int:
        """Return the length of the study's JSON in bytes."""
        return len(self._head) + 10 + len(self._tail)

    def study(self, load: str) -> Study:
        """Return the study, parsed, with ``versionHolder`` set to the load."""
        parsed: Study = orjson.loads(self.raw(load))
        return parsed

    def prepare(self, pieces: Iterable[Piece]) -> None:
        """Find the values of these pieces now, parsing the study once for all that are not known yet."""
        missing = [piece for piece in pieces if piece.name not in self._cells]
        if missing:
            study = self.study("")
            for piece in missing:
                self._cells[piece.name] = _values(study, piece)

    def values(self, piece: Piece) -> tuple[Any, ...]:
        """Return the values of a piece: leaves as they stand, all leaves below it for a branch."""
        if piece.name not in self._cells:
            self.prepare((piece,))
        return self._cells[piece.name]

    def length(self, piece: Piece) -> int:
        """Return how many members a list has (members of lists inside lists together); 0 where it is absent."""
        key = f"{piece.name}:size"
        if key not in self._cells:
            self._cells[key] = (len(walk(self.study(""), piece.path)),)
        size: int = self._cells[key][0]
        return size

    def texts(self, piece: Piece, *, stemmed: bool) -> tuple[str, ...]:
        """Return the normal forms of a piece's texts, ready for whole-word search."""
        key = (piece.name, stemmed)
        if key not in self._texts:
            self._texts[key] = tuple(normal_form(str(value), stemmed=stemmed) for value in self.values(piece))
        return self._texts[key]

    def locations(self) -> tuple[dict[str, Any], ...]:
        """Return the study's sites, parsed."""
        if self._locations is None:
            self._locations = tuple(site for site in walk(self.study(""), _LOCATIONS) if isinstance(site, dict))
        return self._locations


def _stamped(study: Study) -> Study:
    # The service puts versionHolder first in its module and the module first in its section; derivedSection stands before hasResults.
    derived = study.get("derivedSection", {})
    misc = derived.get("miscInfoModule", {}) if isinstance(derived, dict) else None
    if not isinstance(misc, dict):
        return study
    misc = {"versionHolder": _STAMP} | {key: value for key, value in misc.items() if key != "versionHolder"}
    derived = {"miscInfoModule": misc} | {key: value for key, value in derived.items() if key != "miscInfoModule"}
    if "derivedSection" in study:
        return study | {"derivedSection": derived}
    rest = {key: value for key, value in study.items() if key != "hasResults"}
    return rest | {"derivedSection": derived} | ({"hasResults": study["hasResults"]} if "hasResults" in study else {})


def _values(study: Study, piece: Piece) -> tuple[Any, ...]:
    found = walk(study, piece.path)
    if piece.kind is Kind.BRANCH:
        found = [leaf for value in found for leaf in _leaves(value)]
    return tuple(value for value in found if value is not None and value != "")


def site_values(site: dict[str, Any], piece: Piece) -> tuple[Any, ...] | None:
    """Return the values of a piece at one site, or None for a piece that is not about sites."""
    if piece.path[: len(_LOCATIONS)] != _LOCATIONS:
        return None
    return tuple(value for value in walk(site, piece.path[len(_LOCATIONS) :]) if value is not None and value != "")


class Dataset:
    """Everything that the service holds on one load; never changes once made.

    ``label`` is the load's day, ``serial`` its place in the replay.
    """

    def __init__(self, label: str, serial: int, studies: dict[str, Held]) -> None:
        self.label = label
        self.serial = serial
        self.studies = dict(sorted(studies.items()))
        self.aliases = {alias: held.nct_id for held in studies.values() for alias in held.aliases}

    @property
    def timestamp(self) -> str:
        """Return the ``dataTimestamp``: the load's label, 09:00 and a few seconds, without a zone, as the service gives it."""
        return f"{self.label}T09:00:0{4 + zlib.crc32(self.label.encode()) % 3}"

    @property
    def etag(self) -> str:
        """Return the tag of the whole dataset, without quotes: two parts for the build and a third that each load changes."""
        return f"5d1c0e2/0.36.2/{zlib.crc32(f'{self.serial} {self.label}'.encode()):08x}"

    @cached_property
    def held(self) -> tuple[Held, ...]:
        """Return the studies, ordered by NCT number."""
        return tuple(self.studies.values())

    def find(self, nct_id: str) -> Held | None:
        """Return the study of this number or, failing that, the one that has it among its aliases."""
        held = self.studies.get(nct_id)
        if held is None and nct_id in self.aliases:
            held = self.studies.get(self.aliases[nct_id])
        return held


class Replay:
    """The loads in order. ``dataset(index)`` gives the service's whole content on one of them."""

    def __init__(self, lines: Iterable[LoadLine]) -> None:
        by_load: dict[str, list[tuple[str, Held | None]]] = {}
        for load, group in groupby(lines, key=attrgetter("load")):
            changed = by_load.setdefault(load, [])
            changed.extend((line.nct_id, None if line.study is None else Held(line.nct_id, line.study)) for line in group)
        if not by_load:
            raise FileError("there is no load to serve", hint="a loads file has a line for each study that a load changed")
        self.labels = tuple(sorted(by_load))
        self._changes = tuple(by_load[label] for label in self.labels)

    def contents(self, nct_id: str, index: int) -> list[tuple[str, Study]]:
        """Return the contents that a study had up to the load of this index, each with the day of its load, oldest first."""
        return [
            (label, held.study(label))
            for label, changes in zip(self.labels[: index + 1], self._changes, strict=False)
            for number, held in changes
            if number == nct_id and held is not None
        ]

    def dataset(self, index: int) -> Dataset:
        """Return what the service holds on the load of this index."""
        studies: dict[str, Held] = {}
        for changes in self._changes[: index + 1]:
            for nct_id, held in changes:
                if held is None:
                    studies.pop(nct_id, None)
                else:
                    studies[nct_id] = held
        return Dataset(self.labels[index], index, studies)
