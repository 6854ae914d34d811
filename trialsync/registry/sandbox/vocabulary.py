"""The names that the registry's search knows: pieces (fields), search areas, enumerations.

The facts are those of the service's own ``/studies/metadata``, ``/studies/search-areas`` and specification; ``vocabulary.json`` holds them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import Any

import orjson


class Kind(StrEnum):
    """How the values of a piece are compared."""

    BRANCH = "branch"
    TEXT = "text"
    NCT = "nct"
    ENUM = "enum"
    DATE = "date"
    NUMBER = "number"
    TIME = "time"
    BOOLEAN = "boolean"
    GEO = "geo"


@dataclass(frozen=True, slots=True)
class Piece:
    """One field of a study: its piece name, its place, and how its values compare. ``values`` are those of an enumeration."""

    name: str
    path: tuple[str, ...]
    kind: Kind
    type: str
    source: str
    values: tuple[str, ...] = ()

    @property
    def dotted(self) -> str:
        """Return the place as the API spells it, for example ``protocolSection.statusModule.overallStatus``."""
        return ".".join(self.path)


@dataclass(frozen=True, slots=True)
class Area:
    """What ``AREA[…]`` names: a search area of weighted pieces, or a single piece; ``sized`` asks for list lengths (``:size``)."""

    name: str
    parts: tuple[tuple[float, Piece], ...]
    single: bool = False
    sized: bool = False

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """Return the pieces, without their weights."""
        return tuple(piece for _, piece in self.parts)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Every name at once; ``by_name`` finds a piece by piece name, alternative name or dotted path, with regard to case."""

    by_name: dict[str, Piece]
    areas: dict[str, Area]
    raw: dict[str, Any]

    def area(self, name: str) -> Area | None:
        """Return the search area or single piece of this name (``Phase:size`` asks for list lengths), or None if there is none."""
        name, _, suffix = name.partition(":")
        if suffix not in {"", "size"}:
            return None
        if not suffix and name in self.areas:
            return self.areas[name]
        piece = self.by_name.get(name)
        return Area(name, ((1.0, piece),), single=True, sized=bool(suffix)) if piece else None


_LEAF_KINDS = {"integer": Kind.NUMBER, "number": Kind.NUMBER, "long": Kind.NUMBER, "boolean": Kind.BOOLEAN, "GeoPoint": Kind.GEO}
_SOURCE_KINDS = {"DATE": Kind.DATE, "TIME": Kind.TIME, "NUMERIC": Kind.NUMBER}


def _piece(row: dict[str, Any], enums: dict[str, list[str]]) -> Piece:
    plain = row["type"].removesuffix("[]")
    values: tuple[str, ...] = ()
    if plain == "GeoPoint":
        kind = Kind.GEO
    elif row["sourceType"] == "STRUCT":
        kind = Kind.BRANCH
    elif row.get("isEnum"):
        kind, values = Kind.ENUM, tuple(enums[plain])
    elif row["piece"] in {"NCTId", "NCTIdAlias"}:
        kind = Kind.NCT
    else:
        kind = _SOURCE_KINDS.get(row["sourceType"]) or _LEAF_KINDS.get(plain, Kind.TEXT)
    return Piece(row["piece"], tuple(row["path"].split(".")), kind, row["type"], row["sourceType"], values)


@cache
def vocabulary() -> Vocabulary:
    """Return the registry's vocabulary, read once from the packaged file."""
    raw = orjson.loads(resources.files(__package__).joinpath("vocabulary.json").read_bytes())
    by_name: dict[str, Piece] = {}
    for row in raw["pieces"]:
        piece = _piece(row, raw["enums"])
        for name in (row["piece"], row["path"], *row.get("altPieceNames", ())):
            by_name.setdefault(name, piece)
    areas = {
        name: Area(name, tuple((weight, by_name[piece]) for weight, pieces in area["parts"] for piece in pieces))
        for name, area in raw["areas"].items()
    }
    return Vocabulary(by_name, areas, raw)


def metadata() -> list[dict[str, Any]]:
    """Return the tree of ``/studies/metadata``: name, piece, type, source and alternative names; titles and links are not kept here."""
    roots: list[dict[str, Any]] = []
    nodes: dict[str, dict[str, Any]] = {}
    for row in vocabulary().raw["pieces"]:
        parent, _, name = row["path"].rpartition(".")
        node = {"name": name} | {key: value for key, value in row.items() if key != "path"}
        nodes[row["path"]] = node
        if parent:
            nodes[parent].setdefault("children", []).append(node)
        else:
            roots.append(node)
    return roots


def search_areas() -> list[dict[str, Any]]:
    """Return the body of ``/studies/search-areas``: the one document "Study" with its areas, their parameters and weighted parts."""
    known = vocabulary()
    areas: list[dict[str, Any]] = []
    for name, raw in known.raw["areas"].items():
        parts = [_search_part(weight, known.by_name[piece]) for weight, pieces in raw["parts"] for piece in pieces]
        area: dict[str, Any] = {"name": name} | {key: raw[key] for key in ("param", "uiLabel") if key in raw}
        areas.append(area | {"parts": parts})
    return [{"name": "Study", "areas": areas}]


def _search_part(weight: float, piece: Piece) -> dict[str, Any]:
    kind = "nct" if piece.kind is Kind.NCT else piece.type.removesuffix("[]")
    synonyms = any(row["piece"] == piece.name and row.get("synonyms", False) for row in vocabulary().raw["pieces"])
    return {"pieces": [piece.name], "type": kind, "weight": weight, "isEnum": piece.kind is Kind.ENUM, "isSynonyms": synonyms}
