"""The registry's search expressions (Essie): text to nodes, with the service's own sentences for what cannot be parsed.

Precedence, strongest first: words side by side; NOT and the context operators (``AREA[…]`` …); AND, a comma, and mere adjacency; OR.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from trialsync.registry.sandbox import literals
from trialsync.registry.sandbox.expression import (
    AtSite,
    Between,
    Both,
    Coverage,
    Either,
    Every,
    Exactly,
    Missing,
    Near,
    Node,
    Not,
    Tilt,
    Words,
    reader,
)
from trialsync.registry.sandbox.vocabulary import Area, Kind, Piece, vocabulary
from trialsync.registry.sandbox.words import fold, normal_form

if TYPE_CHECKING:
    from collections.abc import Callable

_EXPECTING = (
    "{<EOF>, '(', ',', 'NOT', 'AND', 'OR', 'SEARCH', 'AREA', 'RANGE', 'DISTANCE', Coverage, Expansion, 'TILT', 'ALL', 'MISSING', 'MIN', "
    "'MAX', EscapedKeyword, BooleanLiteral, DecimalLiteral, DateLiteral, TimeLiteral, RadiusLiteral, StringLiteral, Term}"
)
_TOKEN = re.compile(r'\s*(?:(?P<mark>[()\[\],])|"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<word>(?:\\.|[^\s()\[\],"\\])+)|(?P<stray>["\\]))')
_ESCAPE = re.compile(r"\\(.)")
_CONTEXT = {"AREA", "SEARCH", "COVERAGE", "COVER", "EXPANSION", "TILT"}
_SOURCE = {"RANGE", "DISTANCE", "MISSING", "ALL"}
_JOINTS = {"AND", "OR", "NOT"}
_EXPANSIONS = {"None", "Term", "Concept", "Relaxation", "Lossy"}
_DEEPEST = 60
_MOST_WORDS = 600
_END = "<EOF>"


class BadExpression(Exception):
    """The expression cannot be used; ``str()`` is the service's sentence, which ``named`` says is to follow the name of the query."""

    def __init__(self, sentence: str, *, named: bool = True) -> None:
        super().__init__(sentence)
        self.named = named


@dataclass(frozen=True, slots=True)
class Expression:
    """A parsed expression: its root, and the pieces that it looks at."""

    root: Node
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    kind: str  # "mark", "word", "quoted" or "end"
    raw: str

    def marks(self, *texts: str) -> bool:
        return self.kind == "mark" and self.text in texts

    def keyword(self, names: set[str]) -> bool:
        # An escaped keyword (\\MISSING) keeps its backslash in raw, and is a word.
        return self.kind == "word" and self.raw in names


@dataclass(frozen=True, slots=True)
class _Where:
    area: Area
    coverage: Coverage = Coverage.CONTAINS
    stemmed: bool = True


def parse(text: str, area: str) -> Expression:
    """Return an expression parsed for a default area. Raises BadExpression with the service's sentence."""
    tokens = _tokens(text)
    if len(tokens) > _MOST_WORDS:
        raise BadExpression("Too complicated query", named=False)
    default = vocabulary().area(area)
    if default is None:
        raise BadExpression(f"Unknown area name: `{area}`")
    parser = _Parser(tokens)
    root = parser.alternatives(_Where(default), 0)
    if parser.ahead.kind != "end":
        raise BadExpression(f"mismatched input '{parser.ahead.raw}' expecting {_EXPECTING}")
    return Expression(root, tuple(parser.pieces.values()))


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    position = 0
    text = text.rstrip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None or match["stray"]:
            raise BadExpression(f"no viable alternative at input '{text[position:].strip()}'")
        position = match.end()
        if match["mark"]:
            tokens.append(_Token(match["mark"], "mark", match["mark"]))
        elif match["quoted"] is not None:
            tokens.append(_Token(_ESCAPE.sub(r"\1", match["quoted"]), "quoted", f'"{match["quoted"]}"'))
        else:
            tokens.append(_Token(_ESCAPE.sub(r"\1", match["word"]), "word", match["word"]))
    return tokens


@dataclass(slots=True)
class _Parser:
    tokens: list[_Token]
    position: int = 0
    pieces: dict[str, Piece] = field(default_factory=dict)

    @property
    def ahead(self) -> _Token:
        return self.tokens[self.position] if self.position < len(self.tokens) else _Token(_END, "end", _END)

    def take(self) -> _Token:
        token = self.ahead
        self.position += 1
        return token

    def alternatives(self, where: _Where, depth: int) -> Node:
        if depth > _DEEPEST:
            raise BadExpression("Too complicated query", named=False)
        parts = [self.conjunction(where, depth)]
        while self.ahead.keyword({"OR"}):
            self.take()
            parts.append(self.conjunction(where, depth))
        return parts[0] if len(parts) == 1 else Either(tuple(parts))

    def conjunction(self, where: _Where, depth: int) -> Node:
        parts = [self.operand(where, depth)]
        while True:
            if self.ahead.keyword({"AND"}) or self.ahead.marks(","):
                self.take()
            elif self.ahead.kind == "end" or self.ahead.keyword({"OR"}) or self.ahead.marks(")", "[", "]"):
                break
            parts.append(self.operand(where, depth))
        return parts[0] if len(parts) == 1 else Both(tuple(parts))

    def operand(self, where: _Where, depth: int) -> Node:
        if depth > _DEEPEST:
            raise BadExpression("Too complicated query", named=False)
        token = self.ahead
        if token.keyword({"NOT"}):
            self.take()
            if self.ahead.kind == "end":
                raise BadExpression("inner bool query clause cannot be null", named=False)
            return Not(self.operand(where, depth + 1))
        if token.keyword(_CONTEXT):
            return self.context(where, depth)
        if token.keyword(_SOURCE):
            return self.source(where)
        if token.marks("("):
            self.take()
            inner = self.alternatives(where, depth + 1)
            if not self.ahead.marks(")"):
                raise BadExpression(f"missing ')' at '{self.ahead.raw}'")
            self.take()
            return inner
        if token.kind in {"word", "quoted"} and not token.keyword(_JOINTS):
            return self.words(where)
        raise BadExpression(f"no viable alternative at input '{token.raw}'")

    def context(self, where: _Where, depth: int) -> Node:
        operator = self.take().raw
        (name,) = self.bracketed(1)
        if operator == "AREA":
            return self.operand(replace(where, area=self.area(name)), depth + 1)
        if operator == "SEARCH":
            if name not in {"Location", "Study"}:
                raise BadExpression(f"Unknown document name: `{name}`")
            inner = self.operand(where, depth + 1)
            return AtSite(inner) if name == "Location" else inner
        if operator in {"COVERAGE", "COVER"}:
            if name not in set(Coverage):
                raise BadExpression(f"Invalid coverage: {name}", named=False)
            return self.operand(replace(where, coverage=Coverage(name)), depth + 1)
        if operator == "EXPANSION":
            if name not in _EXPANSIONS:
                raise BadExpression(f"Invalid expansion: {name}", named=False)
            return self.operand(replace(where, stemmed=name != "None"), depth + 1)
        area = self.area(name)
        if not area.single or area.pieces[0].kind is not Kind.DATE:
            raise BadExpression(f"Unknown date field name: `{name}`")
        return Tilt(self.looked_at(area).pieces[0], self.operand(where, depth + 1))

    def source(self, where: _Where) -> Node:
        operator = self.take().raw
        if operator == "ALL":
            return Every()
        if operator == "MISSING":
            return Missing(self.looked_at(where.area))
        if operator == "RANGE":
            low, high = self.bracketed(2)
            area = self.looked_at(where.area)
            read: Callable[[str], float | str | None] = _number if area.sized else _bound_reader(area.pieces[0])
            return Between(area, _bound(low, "MIN", read, area, last=False), _bound(high, "MAX", read, area, last=True))
        lat, lon, radius = self.bracketed(3)
        here = literals.point({"lat": lat, "lon": lon})
        reach = literals.kilometres(radius)
        if here is None or reach is None:
            raise BadExpression(f"Invalid distance: {lat},{lon},{radius}")
        self.looked_at(Area("", ((1.0, vocabulary().by_name["LocationGeoPoint"]),)))
        return Near(here, reach)

    def bracketed(self, count: int) -> list[str]:
        """Return the texts between brackets, parted by commas."""
        if not self.ahead.marks("["):
            raise BadExpression(f"mismatched input '{self.ahead.raw}' expecting '['")
        self.take()
        found: list[list[str]] = [[]]
        while not self.ahead.marks("]"):
            token = self.take()
            if token.kind == "end" or token.marks("[", "(", ")"):
                raise BadExpression(f"mismatched input '{token.raw}' expecting ']'")
            if token.marks(","):
                found.append([])
            else:
                found[-1].append(token.text)
        closing = self.take()
        if len(found) != count or not all(found):
            raise BadExpression(f"mismatched input '{closing.raw}' expecting {'Term' if not all(found) else chr(39) + ',' + chr(39)}")
        return [" ".join(words) for words in found]

    def area(self, name: str) -> Area:
        area = vocabulary().area(name)
        if area is None:
            raise BadExpression(f"Unknown area name: `{name}`")
        return area

    def looked_at(self, area: Area) -> Area:
        self.pieces.update((piece.name, piece) for piece in area.pieces)
        return area

    def words(self, where: _Where) -> Node:
        run: list[str] = []
        while self.ahead.kind in {"word", "quoted"} and not self.ahead.keyword(_JOINTS | _CONTEXT | _SOURCE):
            run.append(self.take().text)
        area = self.looked_at(where.area)
        if area.single and (typed := _typed(area, run)):
            return typed
        units = tuple(unit for word in run if (unit := normal_form(word, stemmed=where.stemmed)).strip())
        return Words(area, units, where.coverage, where.stemmed) if units else Every()


def _number(text: str) -> float | None:
    return literals.number(text)


def _bound_reader(piece: Piece) -> Callable[[str], float | str | None]:
    if piece.kind in {Kind.NUMBER, Kind.TIME}:
        return reader(piece)
    return fold


def _bound(text: str, open_end: str, read: Callable[[str], float | str | None], area: Area, *, last: bool) -> float | str | None:
    if text == open_end:
        return None
    if area.pieces[0].kind is Kind.DATE and not area.sized:
        covered = literals.period(text)
        if covered is None:
            raise BadExpression(f"Invalid date: `{text}`")
        return covered[last]
    bound = read(text)
    if bound is None:
        raise BadExpression(f"Invalid number: `{text}`")
    return bound


def _typed(area: Area, run: list[str]) -> Node | None:
    """Return what words mean for a piece that holds no text; None for one that does."""
    piece = area.pieces[0]
    whole = " ".join(run)
    if area.sized:
        return Both(tuple(Exactly(piece, _whole_number(word), sized=True) for word in run))
    if piece.kind is Kind.ENUM:
        return _enum(piece, run)
    if piece.kind is Kind.BOOLEAN:
        return Exactly(piece, whole.lower())
    if piece.kind is Kind.DATE:
        return Both(tuple(Between(area, *_days(word)) for word in run))
    if piece.kind in {Kind.NUMBER, Kind.TIME}:
        value = reader(piece)(whole)
        if value is None:
            raise BadExpression(f"Invalid number: `{whole}`")
        return Between(area, value, value)
    return None


def _whole_number(word: str) -> str:
    if not word.isdecimal():
        raise BadExpression(f"Invalid number: `{word}`")
    return str(int(word))


def _days(word: str) -> tuple[int, int]:
    covered = literals.period(word)
    if covered is None:
        raise BadExpression(f"Invalid date: `{word}`")
    return covered


def _enum(piece: Piece, run: list[str]) -> Node:
    known = {_bare(value): value for value in piece.values}
    if (whole := _bare("".join(run))) in known:
        return Exactly(piece, known[whole])
    if any(_bare(word) not in known for word in run):
        allowed = ", ".join(f"`{value}`" for value in piece.values)
        raise BadExpression(f"Allowed values for enum field `{piece.dotted}` are {allowed}")
    return Both(tuple(Exactly(piece, known[_bare(word)]) for word in run))


def _bare(text: str) -> str:
    return re.sub(r"[^A-Z0-9]", "", text.upper())
