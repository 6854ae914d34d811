"""A request for studies: what it matches, and in which order."""

from __future__ import annotations

import math
import re
import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from trialsync.registry.sandbox import essie, facets, literals
from trialsync.registry.sandbox.answers import Refused
from trialsync.registry.sandbox.expression import Both, Either, Every, Exactly, Near, Node, Scope, closest, reader
from trialsync.registry.sandbox.parameters import (
    QUERIES,
    items,
    malformed,
    only_numbers,
    statuses,
    study_numbers,
)
from trialsync.registry.sandbox.vocabulary import Kind, Piece, vocabulary

if TYPE_CHECKING:
    from trialsync.registry.sandbox.dataset import Dataset, Held

_GEO = re.compile(r"distance\((-?\d+(?:\.\d+)?),(-?\d+(?:\.\d+)?),(\d+(?:\.\d+)?(?:km|mi)?)\)", re.ASCII)
_DECAY = re.compile(
    r"func:(gauss|exp|linear),scale:(\d+(?:\.\d+)?(?:km|mi)),offset:(\d+(?:\.\d+)?(?:km|mi)),decay:(\d+(?:\.\d+)?)", re.ASCII
)
_SORT = re.compile(r"(?P<name>[a-zA-Z][a-zA-Z0-9\-. ]*|@relevance)(?::(?P<way>asc|desc))?", re.ASCII)
_MOST_SORTS = 2
_MOST_FOR_DECAY = 10_000
_WIDEST_KM = literals.kilometres("500mi") or 0.0
_NARROWEST_KM = literals.kilometres("1mi") or 0.0


@dataclass(frozen=True, slots=True)
class Sort:
    """One key of an order: a date or numeric piece, or None for relevance."""

    piece: Piece | None
    descending: bool


@dataclass(frozen=True, slots=True)
class Decay:
    """How relevance fades with the distance of the closest site, in kilometres."""

    here: tuple[float, float]
    shape: str
    scale: float
    offset: float
    decay: float

    def factor(self, scope: Scope) -> float:
        """Return what to multiply a study's relevance by, from 1 at the place itself down to 0."""
        nearest = closest(scope, self.here)
        if nearest is None:
            return 0.0
        over = max(0.0, nearest - self.offset)
        if self.shape == "linear":
            return max(0.0, 1.0 - over * (1.0 - self.decay) / self.scale)
        power = (over / self.scale) ** (2 if self.shape == "gauss" else 1)
        return float(self.decay**power)


@dataclass(frozen=True, slots=True)
class Search:
    """What to find: numbers (None for any), nodes that score, nodes that only filter, and the order."""

    numbers: tuple[frozenset[str], ...] = ()
    queries: tuple[Node, ...] = ()
    filters: tuple[Node, ...] = ()
    pieces: tuple[Piece, ...] = ()
    queried: tuple[Piece, ...] = ()
    sorts: tuple[Sort, ...] = ()
    decay: Decay | None = None

    def find(self, dataset: Dataset, seed: int) -> list[Held]:
        """Return the studies that match, in the order asked for; without one, in an order that the seed alone decides."""
        relevant = any(sort.piece is None for sort in self.sorts)
        both = Both(self.filters)
        query = Both(self.queries) if self.queries else Every()
        found: list[tuple[Held, float]] = []
        for held in self._candidates(dataset):
            held.prepare(self.pieces)
            scope = Scope(held, dataset.label)
            if (not self.filters or both.score(scope)) and (score := query.score(scope)):
                found.append((held, score))
        found.sort(key=lambda pair: zlib.crc32(pair[0].nct_id.encode(), seed))
        if relevant and self.decay and len(found) <= _MOST_FOR_DECAY:
            decay = self.decay
            found = [(held, score * decay.factor(Scope(held, dataset.label))) for held, score in found]
        for sort in reversed(self.sorts):
            found = _sorted(found, sort, dataset.label)
        return [held for held, _ in found]

    def _candidates(self, dataset: Dataset) -> list[Held]:
        if not self.numbers:
            return list(dataset.held)
        found = [{held.nct_id: held for number in numbers if (held := dataset.find(number))} for numbers in self.numbers]
        return [held for nct_id, held in found[0].items() if all(nct_id in other for other in found)]


def _sorted(found: list[tuple[Held, float]], sort: Sort, load: str) -> list[tuple[Held, float]]:
    if sort.piece is None:
        return sorted(found, key=lambda pair: pair[1], reverse=sort.descending)
    read, best = reader(sort.piece), max if sort.descending else min
    with_value: list[tuple[float | str, tuple[Held, float]]] = []
    without: list[tuple[Held, float]] = []
    for pair in found:
        values = [value for raw in Scope(pair[0], load).values(sort.piece) if (value := read(raw)) is not None]
        if values:
            with_value.append((best(values), pair))
        else:
            without.append(pair)
    with_value.sort(key=lambda keyed: keyed[0], reverse=sort.descending)
    return [pair for _, pair in with_value] + without


def parse(given: dict[str, str]) -> Search:
    """Return the search that the parameters ask for. Raises Refused with the service's own sentence."""
    search = Search(sorts=_sorts(given.get("sort", "")))
    for name, (area, label) in QUERIES.items():
        if text := given.get(name, "").strip():
            numbers = only_numbers(text)
            if numbers is not None:
                return Search(numbers=(frozenset(numbers),), sorts=search.sorts, queried=_area_pieces("NCTIdSearch"))
            parsed = _essie(text, area, label)
            search = replace(search, queries=(*search.queries, parsed.root), queried=(*search.queried, *parsed.pieces))
    filters: list[Node] = []
    looked_at = list(search.queried)
    numbers_asked: list[frozenset[str]] = []
    for prefix in ("filter", "postFilter"):
        nodes, filtered = _filters(given, prefix)
        filters.extend(nodes)
        looked_at.extend(filtered)
        if ids := given.get(f"{prefix}.ids"):
            numbers_asked.append(frozenset(study_numbers(f"{prefix}.ids", ids)))
    if agg := given.get("aggFilters"):
        node, boxes = facets.parse(agg)
        filters.append(node)
        looked_at.extend(boxes)
    looked_at.extend(sort.piece for sort in search.sorts if sort.piece)
    return replace(
        search, numbers=tuple(numbers_asked), filters=tuple(filters), pieces=tuple(dict.fromkeys(looked_at)), decay=_decay(given)
    )


def _area_pieces(name: str) -> tuple[Piece, ...]:
    return vocabulary().areas[name].pieces


def _essie(text: str, area: str, label: str) -> essie.Expression:
    try:
        return essie.parse(text, area)
    except essie.BadExpression as error:
        raise Refused(f"Error parsing query in {label}: {error}" if error.named else str(error)) from error


def _filters(given: dict[str, str], prefix: str) -> tuple[list[Node], list[Piece]]:
    nodes: list[Node] = []
    pieces: list[Piece] = []
    if text := given.get(f"{prefix}.overallStatus"):
        piece = vocabulary().by_name["OverallStatus"]
        nodes.append(Either(tuple(Exactly(piece, value) for value in sorted(statuses(f"{prefix}.overallStatus", text)))))
        pieces.append(piece)
    if text := given.get(f"{prefix}.geo"):
        nodes.append(_near(f"{prefix}.geo", text))
        pieces.append(vocabulary().by_name["LocationGeoPoint"])
    if text := given.get(f"{prefix}.advanced", "").strip():
        parsed = _essie(text, "BasicSearch", "advanced filter")
        nodes.append(parsed.root)
        pieces.extend(parsed.pieces)
    if text := given.get(f"{prefix}.synonyms"):
        _check_synonyms(f"{prefix}.synonyms", text)
        # The service's synonym numbers are its own; none is known here, so none matches.
        nodes.append(Either(()))
    return nodes, pieces


def _check_synonyms(name: str, text: str) -> None:
    for index, item in enumerate(items(text), 1):
        area, _, number = item.partition(":")
        if area not in vocabulary().areas or not number.isdecimal():
            raise malformed(name, index)


def _near(name: str, text: str) -> Near:
    match = _GEO.fullmatch(text)
    here = literals.point({"lat": match[1], "lon": match[2]}) if match else None
    reach = literals.kilometres(match[3]) if match else None
    if here is None or reach is None:
        raise malformed(name)
    if not _NARROWEST_KM <= reach <= _WIDEST_KM:
        raise Refused(f"Distance in parameter `{name}` must be from 1 to 500 miles")
    return Near(here, reach)


def _decay(given: dict[str, str]) -> Decay | None:
    text = given.get("geoDecay") or "func:exp,scale:300mi,offset:0mi,decay:0.5"
    match = _DECAY.fullmatch(text)
    scale = literals.kilometres(match[2]) if match else None
    offset = literals.kilometres(match[3]) if match else None
    decay = float(match[4]) if match else 0.0
    if match is None or not scale or offset is None or not 0.0 < decay < 1.0 or math.isinf(scale):
        raise malformed("geoDecay")
    geo = given.get("filter.geo")
    return Decay(_near("filter.geo", geo).here, match[1], scale, offset, decay) if geo else None


def _sorts(text: str) -> tuple[Sort, ...]:
    if not text:
        return ()
    found: list[Sort] = []
    for index, item in enumerate(items(text), 1):
        match = _SORT.fullmatch(item)
        if not match:
            raise malformed("sort", index)
        if match["name"] == "@relevance":
            found.append(Sort(None, match["way"] != "asc"))
            continue
        piece = vocabulary().by_name.get(match["name"])
        if piece is None:
            raise Refused(f"Parameter 'sort' contains invalid field name: '{match['name']}'")
        if piece.kind is not Kind.DATE and not (piece.kind is Kind.NUMBER and piece.source != "TEXT"):
            raise Refused(f"Unsupported sort field type: {'text' if piece.source in {'TEXT', 'MARKUP'} else piece.kind.value}")
        found.append(Sort(piece, match["way"] == "desc" if match["way"] else piece.kind is Kind.DATE))
    if len(found) > _MOST_SORTS:
        raise Refused("Parameter `sort` must have at most 2 items")
    return tuple(found)
