"""Long text as a reader sees it: what renders alike, and two texts word by word.

Texts are taken apart into lines first, since the registry's criteria are Markdown lists of one item a line: equal lines are matched, then
reworded ones, and words are compared only inside a pair of lines. So an item that was inserted is one insertion, and an item that was
reworded shows its words. An item that moved is deleted here and inserted there.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from html import unescape
from itertools import groupby
from typing import TYPE_CHECKING, Final
from unicodedata import normalize

from trialsync.study.sequences import Budget, aligned, best

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from trialsync.study.sequences import Steps

_ESCAPED: Final = re.compile(r"\\([!-/:-@\[-`{-~])")
_ENTITY: Final = re.compile(r"&(?:#\d+|#[xX][0-9a-fA-F]+|[A-Za-z][A-Za-z0-9]*);")
_ENTITY_LAYERS: Final = 3

LONGEST: Final = 400_000
"""The most characters (of both texts together) that are compared word by word; the registry itself takes 32,000 in one field.

Longer ones are compared line by line, and of lines that differ, or of more lines than anybody writes, only the common beginning and end
are found.
"""

_MOST_LINES: Final = 20_000
_MOST_PAIRS: Final = 40_000
_LEAST_ALIKE: Final = 0.4
_JOINED_WORDS: Final = 2

_LINE: Final = re.compile(r"[^\n]*\n(?:[ \t\r\f\v]*\n)*|[^\n]+\Z")
_MARKER: Final = re.compile(r"\s*(?:[*+\-•]|\(?(?:\d{1,3}|[A-Za-z])[.)])(?=\s)")
_NUMBER: Final = re.compile(r"[*+\-•]|\(?(?:\d{1,3}|[A-Za-z])[.)]")
_TOKEN: Final = re.compile(r"\A\(?\d{1,3}[.)](?=\s)|\w+(?:['’]\w+)*|\s+|[^\w\s]")  # noqa: RUF001 - people type this apostrophe
_WORD: Final = re.compile(r"\w+")


_CONTEXT_WORDS: Final = 12
_SHORT_ITEM: Final = 60


class Mark(StrEnum):
    """What became of a piece of text."""

    SAME = "same"
    INSERTED = "inserted"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of two texts that are compared: in both, in the later alone, or in the earlier alone."""

    kind: Mark
    text: str


@dataclass(frozen=True, slots=True)
class Fold:
    """So many items (lines with text in them) or words, unchanged, that a reader is spared."""

    count: int
    unit: str
    renumbered: bool = False

    def __str__(self) -> str:
        numbers = " but for their numbers" if self.renumbered else ""
        return f"… {self.count:,} {self.unit if self.count == 1 else f'{self.unit}s'} unchanged{numbers} …"


@lru_cache(maxsize=64)
def word_difference(before: str, after: str) -> tuple[Piece, ...]:
    """Return what leads from one text to another, in reading order, deletions before insertions.

    The pieces that are the same or deleted join to ``before`` to the letter, those that are the same or inserted to ``after``. White space
    and punctuation count. No two neighbours have the same kind. The time is bounded for any text: beyond LONGEST, or where too much
    differs at once, a run of lines or words stands as deleted and inserted whole.
    """
    by_words = len(before) + len(after) <= LONGEST
    if max(before.count("\n"), after.count("\n")) > _MOST_LINES:
        pieces = _ends(before, after)
    else:
        pieces = _line_pieces(_LINE.findall(before), _LINE.findall(after), by_words=by_words)
    pieces = (piece for piece in pieces if piece.text)
    return tuple(Piece(kind, "".join(piece.text for piece in run)) for kind, run in groupby(pieces, key=lambda piece: piece.kind))


def word_counts(pieces: Iterable[Piece]) -> tuple[int, int]:
    """Return how many words were inserted and how many deleted."""
    found = Counter({Mark.INSERTED: 0, Mark.DELETED: 0})
    for piece in pieces:
        found[piece.kind] += sum(1 for _ in _WORD.finditer(piece.text))
    return found[Mark.INSERTED], found[Mark.DELETED]


def folded(pieces: Iterable[Piece], context: int = 1) -> list[Piece | Fold]:
    """Return pieces with what lies away from every edit folded.

    Shown are the items that hold an edit, ``context`` items on either side, and the heading (a line that ends in a colon) above; in long
    items the words around each edit. Of other items only the count is left, an item that was merely given another number among them.
    """
    rows = _rows(pieces)
    edits = {place for place, row in enumerate(rows) if _is_edited(row)} or {
        place for place, row in enumerate(rows) if any(piece.kind is not Mark.SAME for piece in row)
    }
    if not edits:
        return [Fold(_items(rows), "item")] if rows else []
    kept = {near for place in edits for near in range(place - context, place + context + 1)}
    heading = None
    for place, row in enumerate(rows):
        if place in edits and heading is not None:
            kept.add(heading)
        if _is_heading(row):
            heading = place
    found: list[Piece | Fold] = []
    for is_kept, run in groupby(enumerate(rows), key=lambda each: each[0] in kept):
        hidden = list(run)
        if is_kept or (_items(row for _, row in hidden) == 1 and len(_text(hidden[0][1])) <= _SHORT_ITEM):
            for _, row in hidden:
                found += _shortened(row)
        else:
            renumbered = any(piece.kind is not Mark.SAME for _, row in hidden for piece in row)
            found.append(Fold(_items(row for _, row in hidden), "item", renumbered))
    return found


def _rows(pieces: Iterable[Piece]) -> list[list[Piece]]:
    """Return the pieces line by line."""
    rows: list[list[Piece]] = [[]]
    for piece in pieces:
        for text in _LINE.findall(piece.text):
            rows[-1].append(Piece(piece.kind, text))
            if text.endswith("\n"):
                rows.append([])
    return [row for row in rows if row]


def _text(row: Sequence[Piece]) -> str:
    return "".join(piece.text for piece in row).strip()


def _items(rows: Iterable[Sequence[Piece]]) -> int:
    return sum(1 for row in rows if _text(row))


def _is_edited(row: Sequence[Piece]) -> bool:
    """Return whether a line holds an edit of more than white space and the number that it begins with."""
    return any(
        piece.kind is not Mark.SAME and piece.text.strip() and not (place <= 1 and _NUMBER.fullmatch(piece.text.strip()))
        for place, piece in enumerate(row)
    )


def _is_heading(row: Sequence[Piece]) -> bool:
    text = _text(row)
    return text.rstrip("*_ ").endswith(":") and not _MARKER.match(text)


def _shortened(row: Sequence[Piece]) -> Iterator[Piece | Fold]:
    """Yield a line with its long stretches that are the same folded: the words next to an edit stay, and those that it begins with."""
    for place, piece in enumerate(row):
        words = list(re.finditer(r"\S+", piece.text))
        first, last = place == 0, place == len(row) - 1
        most = _CONTEXT_WORDS * 2
        if piece.kind is not Mark.SAME or len(words) <= most + 4:
            yield piece
            continue
        # Of a line without any edit its beginning tells which it is.
        head = most if first and last else _CONTEXT_WORDS // 2 if first else _CONTEXT_WORDS
        tail = 0 if last else _CONTEXT_WORDS
        yield Piece(Mark.SAME, piece.text[: words[head].start()])
        yield Fold(len(words) - head - tail, "word")
        yield Piece(Mark.SAME, piece.text[words[-tail].start() - 1 if tail else len(piece.text.rstrip()) :])


def _line_pieces(old: Sequence[str], new: Sequence[str], *, by_words: bool) -> Iterator[Piece]:
    budget = Budget()
    old_keys, new_keys = [_key(line) for line in old], [_key(line) for line in new]
    for steps in _gaps(aligned(old_keys, new_keys, budget)):
        for place, other in _reworded(steps, old, new, budget) if by_words else _in_order(steps):
            if place is None or other is None:
                yield from _alone(old, new, place, other)
            elif by_words:
                yield from _word_pieces(old[place], new[other], budget)
            else:
                yield from _ends(old[place], new[other])


def _key(line: str) -> str:
    """Return a line without what does not tell it apart from others: its bullet or number, and how its white space is set."""
    return " ".join(_MARKER.sub("", line, count=1).split()) or line.strip()


def _alone(old: Sequence[str], new: Sequence[str], place: int | None, other: int | None) -> Iterator[Piece]:
    if place is not None:
        yield Piece(Mark.DELETED, old[place])
    if other is not None:
        yield Piece(Mark.INSERTED, new[other])


def _gaps(steps: Steps) -> Iterator[Steps]:
    """Yield each matched pair, and each run between two of them, by itself."""
    gap: Steps = []
    for step in steps:
        if None in step:
            gap.append(step)
            continue
        if gap:
            yield gap
            gap = []
        yield [step]
    if gap:
        yield gap


def _reworded(gap: Steps, old: Sequence[str], new: Sequence[str], budget: Budget) -> Steps:
    """Return a run of lines that are in one text alone with reworded ones paired, in order, so that most words are shared."""
    places = [place for place, _ in gap if place is not None]
    others = [other for _, other in gap if other is not None]
    if None not in gap[0] or not places or not others or len(places) * len(others) > _MOST_PAIRS:
        return gap
    if len(places) == len(others) == 1:
        return [(places[0], others[0])]
    old_bags = [Counter(_WORD.findall(old[place].lower())) for place in places]
    new_bags = [Counter(_WORD.findall(new[other].lower())) for other in others]
    sizes = sum(len(bag) for bag in old_bags) * len(others)
    if not budget.takes(len(places) * len(others) + sizes):
        return gap

    def alike(place: int, other: int) -> int:
        """Return how alike two lines are, in thousandths; 0 below the threshold."""
        one, two = old_bags[place], new_bags[other]
        total = one.total() + two.total()
        share = 2 * sum(min(count, two[word]) for word, count in one.items()) / total if total else 0.0
        return int(share * 1000) if share >= _LEAST_ALIKE else 0

    return [
        (None if place is None else places[place], None if other is None else others[other])
        for place, other in best(len(places), len(others), alike)
    ]


def _in_order(gap: Steps) -> Steps:
    """Return a run of lines that are in one text alone as pairs, where there are as many on either side."""
    places = [place for place, other in gap if other is None]
    others = [other for place, other in gap if place is None]
    return list(zip(places, others, strict=True)) if len(places) == len(others) > 0 else gap


def _word_pieces(old: str, new: str, budget: Budget) -> Iterator[Piece]:
    """Yield what leads from one line to another."""
    if old == new:
        yield Piece(Mark.SAME, old)
        return
    first, second = _TOKEN.findall(old), _TOKEN.findall(new)
    pieces = [
        Piece(Mark.SAME, first[place])
        if place is not None and other is not None
        else Piece(Mark.DELETED, first[place])
        if place is not None
        else Piece(Mark.INSERTED, second[other or 0])
        for place, other in aligned(first, second, budget)
    ]
    yield from _merged(_readable(list(_merged(pieces))))


def _ends(old: str, new: str) -> Iterator[Piece]:
    """Yield the beginning and the end that two lines share, to the word, and what lies between as deleted and inserted."""
    start = _common(len(old), len(new), lambda length: old[:length] == new[:length])
    start = start if start == len(old) == len(new) else old.rfind(" ", 0, start) + 1
    end = _common(len(old) - start, len(new) - start, lambda length: old[len(old) - length :] == new[len(new) - length :])
    yield Piece(Mark.SAME, old[:start])
    yield Piece(Mark.DELETED, old[start : len(old) - end])
    yield Piece(Mark.INSERTED, new[start : len(new) - end])
    yield Piece(Mark.SAME, old[len(old) - end :])


def _common(one: int, other: int, is_common: Callable[[int], bool]) -> int:
    """Return the greatest length, at most that of the shorter, that two texts have in common."""
    return bisect_left(range(1, min(one, other) + 1), 1, key=lambda length: not is_common(length))


def _readable(pieces: Sequence[Piece]) -> Iterator[Piece]:
    """Yield pieces without the chance matches between two edits: a word or two that are shorter than what was edited around them."""
    sizes = [0] * (len(pieces) + 1)
    run = 0
    for place, piece in enumerate(pieces):
        run = 0 if piece.kind is Mark.SAME else max(run, len(piece.text))
        sizes[place] = run
    following = [0] * (len(pieces) + 1)
    run = 0
    for place in range(len(pieces) - 1, -1, -1):
        run = 0 if pieces[place].kind is Mark.SAME else max(run, len(pieces[place].text))
        following[place] = run
    for place, piece in enumerate(pieces):
        between = 0 < place < len(pieces) - 1
        short = piece.kind is Mark.SAME and between and len(_WORD.findall(piece.text)) <= _JOINED_WORDS
        if short and (not _WORD.search(piece.text) or len(piece.text) <= min(sizes[place - 1], following[place + 1])):
            yield Piece(Mark.DELETED, piece.text)
            yield Piece(Mark.INSERTED, piece.text)
        else:
            yield piece


def _merged(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """Yield pieces with neighbours of one kind joined, and in each run of edits what was deleted before what was inserted."""
    same: list[str] = []
    deleted: list[str] = []
    inserted: list[str] = []

    def edits() -> Iterator[Piece]:
        for kind, texts in ((Mark.DELETED, deleted), (Mark.INSERTED, inserted)):
            if texts:
                yield Piece(kind, "".join(texts))
                texts.clear()

    for piece in pieces:
        if not piece.text:
            continue
        if piece.kind is Mark.SAME:
            yield from edits()
            same.append(piece.text)
            continue
        if same:
            yield Piece(Mark.SAME, "".join(same))
            same.clear()
        (deleted if piece.kind is Mark.DELETED else inserted).append(piece.text)
    if same:
        yield Piece(Mark.SAME, "".join(same))
    yield from edits()


def renders_alike(one: str, other: str) -> bool:
    r"""Return whether two texts differ in mark-up alone: white space, Markdown's escapes, HTML entities, an accent apart from its letter.

    The registry rewrites these by itself: ``>`` and ``\>``, ``&`` and ``&amp;``, even ``&Amp;#39;`` (entities inside entities, capitals
    included) stand for the same character to a reader.
    """
    return one == other or rendered(one) == rendered(other)


def rendered(text: str) -> str:
    """Return a text as a renderer shows it: escapes resolved, entities replaced, white space collapsed, letters and accents composed."""
    for _ in range(_ENTITY_LAYERS):
        plain = _ENTITY.sub(_character, text)
        if plain == text:
            break
        text = plain
    return normalize("NFC", " ".join(_ESCAPED.sub(r"\1", text).split()))


def _character(found: re.Match[str]) -> str:
    entity = found.group()
    character = unescape(entity)
    return character if character != entity else unescape(entity.lower())
