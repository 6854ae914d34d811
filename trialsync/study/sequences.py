"""How two sequences of texts go together, in order: the members that are in both, and those that are in one alone. In bounded time."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

MOST_CELLS: Final = 1_500_000
"""How many pairs of members are looked at, about half a second's worth, before a coarser way is taken."""

_DEEPEST: Final = 6

Steps: TypeAlias = "list[tuple[int | None, int | None]]"
"""How two sequences go together, in order: places of both, or of one alone."""


@dataclass(slots=True)
class Budget:
    """How many more cells of comparison may be looked at: what makes the time bounded, whatever the texts."""

    cells: int = MOST_CELLS

    def takes(self, cells: int) -> bool:
        """Take so many where there are as many left; return whether there were."""
        if cells > self.cells:
            return False
        self.cells -= cells
        return True


def aligned(old: Sequence[str], new: Sequence[str], budget: Budget, depth: int = 0) -> Steps:
    """Return how two sequences of texts go together: common beginning and end, then the best of what lies between.

    Where that is more than the budget allows, by what is there just once on either side (as a patience diff does), then again between.
    """
    shorter = min(len(old), len(new))
    start = next((place for place in range(shorter) if old[place] != new[place]), shorter)
    end = next((place for place in range(shorter - start) if old[-1 - place] != new[-1 - place]), shorter - start)
    steps: Steps = [(place, place) for place in range(start)]
    steps += _shifted(_between(old[start : len(old) - end], new[start : len(new) - end], budget, depth), start, start)
    return steps + [(len(old) - end + place, len(new) - end + place) for place in range(end)]


def _shifted(steps: Steps, old: int, new: int) -> Iterator[tuple[int | None, int | None]]:
    return ((None if place is None else place + old, None if other is None else other + new) for place, other in steps)


def _between(old: Sequence[str], new: Sequence[str], budget: Budget, depth: int) -> Steps:
    whole: Steps = [*((place, None) for place in range(len(old))), *((None, place) for place in range(len(new)))]
    if not old or not new:
        return whole
    if budget.takes(len(old) * len(new)):
        weights = [_weight(text) for text in old]
        return best(len(old), len(new), lambda place, other: weights[place] if old[place] == new[other] else 0)
    anchors = _anchors(old, new) if depth < _DEEPEST and budget.cells else []
    if not anchors:
        return whole
    steps: Steps = []
    at, on = 0, 0
    for place, other in [*anchors, (len(old), len(new))]:
        steps += _shifted(aligned(old[at:place], new[on:other], budget, depth + 1), at, on)
        if place < len(old):
            steps.append((place, other))
        at, on = place + 1, other + 1
    return steps


def _weight(text: str) -> int:
    """Return what it is worth to keep a text: a word more than the space beside it."""
    return 1 if not text or text.isspace() else 2 + len(text) if text[0].isalnum() else 2


def _anchors(old: Sequence[str], new: Sequence[str]) -> list[tuple[int, int]]:
    """Return the longest rising run of pairs of places of texts that are there once on either side."""
    counts, others = Counter(old), Counter(new)
    places = {text: place for place, text in enumerate(new)}
    pairs = [(place, places[text]) for place, text in enumerate(old) if counts[text] == 1 and others[text] == 1]
    tails: list[int] = []
    ends: list[int] = []
    before: list[int] = []
    for number, (_, other) in enumerate(pairs):
        at = bisect_left(tails, other)
        before.append(ends[at - 1] if at else -1)
        tails[at : at + 1] = [other]
        ends[at : at + 1] = [number]
    found = []
    number = ends[-1] if ends else -1
    while number >= 0:
        found.append(pairs[number])
        number = before[number]
    return found[::-1]


def best(rows: int, columns: int, worth: Callable[[int, int], int]) -> Steps:
    """Return how ``rows`` and ``columns`` go together in order so that the pairs are worth most; a pair worth nothing is none."""
    after = [0] * (columns + 1)
    ways = []
    for row in range(rows - 1, -1, -1):
        now, way = [0] * (columns + 1), bytearray(columns)
        right = 0
        for column in range(columns - 1, -1, -1):
            down = after[column]
            pair = worth(row, column)
            # A pair wins a tie, then the row alone: deletions stand before insertions.
            if pair and (both := pair + after[column + 1]) >= down and both >= right:
                right, way[column] = both, 2
            elif down >= right:
                right, way[column] = down, 1
            now[column] = right
        after = now
        ways.append(way)
    steps: Steps = []
    row = column = 0
    while row < rows and column < columns:
        way_here = ways[rows - 1 - row][column]
        steps.append((row if way_here else None, column if way_here != 1 else None))
        row, column = row + (way_here != 0), column + (way_here != 1)
    steps += [(left, None) for left in range(row, rows)]
    return steps + [(None, left) for left in range(column, columns)]
