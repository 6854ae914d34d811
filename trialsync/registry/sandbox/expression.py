"""The nodes of a parsed search expression, and what they find.

A node's ``score`` is 0 where it does not hold, and otherwise how well it does: only ``@relevance`` asks how well.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from trialsync.registry.sandbox import literals
from trialsync.registry.sandbox.dataset import site_values
from trialsync.registry.sandbox.vocabulary import Area, Kind, Piece, vocabulary
from trialsync.registry.sandbox.words import fold, normal_form

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trialsync.registry.sandbox.dataset import Held


class Coverage(StrEnum):
    """How much of a value a term must cover."""

    CONTAINS = "Contains"
    FULL = "FullMatch"
    STARTS = "StartsWith"
    ENDS = "EndsWith"


class Scope:
    """Where a node looks: a whole study, or a study seen from one of its sites."""

    __slots__ = ("_held", "_load", "_site")

    def __init__(self, held: Held, load: str, site: dict[str, Any] | None = None) -> None:
        self._held = held
        self._load = load
        self._site = site

    def values(self, piece: Piece) -> tuple[Any, ...]:
        """Return the values of a piece here."""
        if piece.name == "VersionHolder":
            return (self._load,)
        if self._site is not None:
            here = site_values(self._site, piece)
            if here is not None:
                return here
        return self._held.values(piece)

    def texts(self, piece: Piece, *, stemmed: bool) -> tuple[str, ...]:
        """Return the normal forms of a piece's texts here."""
        if self._site is not None:
            here = site_values(self._site, piece)
            if here is not None:
                return tuple(normal_form(str(value), stemmed=stemmed) for value in here)
        return self._held.texts(piece, stemmed=stemmed)

    def length(self, piece: Piece) -> int:
        """Return how many members a list has."""
        return self._held.length(piece)

    def sites(self) -> Iterator[Scope]:
        """Yield the study seen from each of its sites."""
        for site in self._held.locations():
            yield Scope(self._held, self._load, site)


class Node(Protocol):
    """One part of an expression."""

    def score(self, scope: Scope) -> float:
        """Return 0 where this does not hold in the scope, else how well it does."""
        ...


@dataclass(frozen=True, slots=True)
class Every:
    """``ALL``: holds everywhere."""

    def score(self, scope: Scope) -> float:  # noqa: ARG002 - the protocol's signature
        """Return 1."""
        return 1.0


@dataclass(frozen=True, slots=True)
class Both:
    """AND of its parts."""

    parts: tuple[Node, ...]

    def score(self, scope: Scope) -> float:
        """Return the sum of the parts' scores, or 0 where one does not hold."""
        total = 0.0
        for part in self.parts:
            found = part.score(scope)
            if not found:
                return 0.0
            total += found
        return total


@dataclass(frozen=True, slots=True)
class Either:
    """OR of its parts."""

    parts: tuple[Node, ...]

    def score(self, scope: Scope) -> float:
        """Return the sum of the parts' scores."""
        return sum(part.score(scope) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Not:
    """What its part does not hold for."""

    part: Node

    def score(self, scope: Scope) -> float:
        """Return 1 where the part does not hold."""
        return 0.0 if self.part.score(scope) else 1.0


@dataclass(frozen=True, slots=True)
class AtSite:
    """``SEARCH[Location](…)``: one site for which the whole part holds."""

    part: Node

    def score(self, scope: Scope) -> float:
        """Return the best score of a site."""
        return max((self.part.score(site) for site in scope.sites()), default=0.0)


@dataclass(frozen=True, slots=True)
class Tilt:
    """``TILT[DateField]…``: its part, the later the date the better."""

    piece: Piece
    part: Node

    def score(self, scope: Scope) -> float:
        """Return the part's score, raised a little by the date."""
        found = self.part.score(scope)
        latest = max((day for value in scope.values(self.piece) if (day := literals.day(value))), default=0)
        return found and found + latest / 1e6


@dataclass(frozen=True, slots=True)
class Missing:
    """``MISSING``: no piece of the area has a value."""

    area: Area

    def score(self, scope: Scope) -> float:
        """Return 1 where there is no value."""
        return 0.0 if any(scope.values(piece) for piece in self.area.pieces) else 1.0


@dataclass(frozen=True, slots=True)
class Words:
    """Words and phrases in texts, each whole, whatever case and accents.

    In one piece they all stand in one value; in a search area each may stand anywhere in the area. ``units`` are normal forms.
    """

    area: Area
    units: tuple[str, ...]
    coverage: Coverage = Coverage.CONTAINS
    stemmed: bool = True

    def score(self, scope: Scope) -> float:
        """Return the sum, over the words, of the weight of the best piece that has it."""
        if self.coverage is not Coverage.CONTAINS:
            return self._covered(scope)
        best = dict.fromkeys(self.units, 0.0)
        for weight, piece in self.area.parts:
            for text in scope.texts(piece, stemmed=self.stemmed):
                if self.area.single:
                    if all(unit in text for unit in self.units):
                        return weight * len(self.units)
                    continue
                for unit, known in best.items():
                    if weight > known and unit in text:
                        best[unit] = weight
        return sum(best.values()) if all(best.values()) and not self.area.single else 0.0

    def _covered(self, scope: Scope) -> float:
        whole = f" {' '.join(unit.strip() for unit in self.units)} "
        for weight, piece in self.area.parts:
            for text in scope.texts(piece, stemmed=self.stemmed):
                full = self.coverage is Coverage.FULL and text == whole
                starts = self.coverage is Coverage.STARTS and text.startswith(whole)
                if full or starts or (self.coverage is Coverage.ENDS and text.endswith(whole)):
                    return weight
        return 0.0


@dataclass(frozen=True, slots=True)
class Exactly:
    """One value of an enumeration, a yes or no, or a list's length."""

    piece: Piece
    value: str
    sized: bool = False

    def score(self, scope: Scope) -> float:
        """Return 1 where a value is equal."""
        if self.sized:
            return 1.0 if str(scope.length(self.piece)) == self.value else 0.0
        return 1.0 if any(_plain(value) == self.value for value in scope.values(self.piece)) else 0.0


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


@dataclass(frozen=True, slots=True)
class Between:
    """``RANGE[min,max]``, both ends included, either open (None); a study without a value is never in it."""

    area: Area
    low: float | str | None
    high: float | str | None

    def score(self, scope: Scope) -> float:
        """Return 1 where a value lies in the range."""
        for piece in self.area.pieces:
            if self.area.sized:
                read: tuple[Any, ...] = (float(scope.length(piece)),)
            else:
                read = tuple(map(reader(piece), scope.values(piece)))
            if any(value is not None and self._holds(value) for value in read):
                return 1.0
        return 0.0

    def _holds(self, value: Any) -> bool:
        return (self.low is None or self.low <= value) and (self.high is None or value <= self.high)


def _folded(value: object) -> str:
    return fold(str(value))


_READERS: dict[Kind, Callable[[object], float | str | None]] = {
    Kind.DATE: literals.day,
    Kind.NUMBER: literals.number,
    Kind.TIME: literals.age,
}


def reader(piece: Piece) -> Callable[[object], float | str | None]:
    """Return how a record's values of this piece become comparable: dates to days, numbers, ages to minutes, else folded text."""
    return _READERS.get(piece.kind, _folded)


@dataclass(frozen=True, slots=True)
class Near:
    """``DISTANCE[lat,lon,50mi]``: a site within the radius."""

    here: tuple[float, float]
    kilometres: float

    def score(self, scope: Scope) -> float:
        """Return 1 where a site is near enough."""
        nearest = closest(scope, self.here)
        return 1.0 if nearest is not None and nearest <= self.kilometres else 0.0


def closest(scope: Scope, here: tuple[float, float]) -> float | None:
    """Return the distance in kilometres from here to the nearest site that has a geoPoint; None without one."""
    piece = vocabulary().by_name["LocationGeoPoint"]
    return min((literals.distance(here, there) for value in scope.values(piece) if (there := literals.point(value))), default=None)
