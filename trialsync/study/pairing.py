"""Which members of one list are which of another: the assignment of the greatest gain.

Members that have a key to themselves on both sides are one. Of all others every two that may be one (one key, or more alike than
``likeness.LIKENESS_TO_PAIR``) are weighed, and those pairs are taken that are together worth most, in this order:

1. as many pairs of one key as there can be;
2. the greatest sum of what likenesses have above the threshold: one good pair is not broken for two poor ones;
3. the most equal attributes among those that have no weight (a site's status, contacts, geoPoint);
4. the least distance in the order of what the members say (their canonical texts), squared: earlier to earlier, later to later;
5. a number made of what the two members say, which decides where all else is equal.

Nothing of it depends on which list is the older one or in which order their members stand, so pairing backwards is the mirror, and order
is never news. Only members that say exactly the same can be exchanged, which gives the same rows; their place decides whose label is told.

Members fall into groups that have no candidates in common. In a group of up to ``EXACT_UP_TO`` candidates the assignment is exact (shortest
augmenting paths over whole numbers); in a larger one the weightiest pair is taken first. Where two lists leave more combinations than
``ALL_PAIRS_UP_TO``, only those are weighed that share a value, the rarest values first, ``WEIGHED_UP_TO`` combinations at most; members of
one key that are left then pair in the order of what they say.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from hashlib import blake2b
from heapq import heappop, heappush
from itertools import groupby, product
from typing import TYPE_CHECKING, Final

from trialsync.study.likeness import LIKENESS_TO_PAIR, are_twins, equal_others, likeness, shared, traits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from trialsync.model import Json
    from trialsync.study.fields import Items

ALL_PAIRS_UP_TO: Final = 40_000
"""Up to so many combinations of two lists, every two members are weighed."""

WEIGHED_UP_TO: Final = 100_000
"""At most so many combinations that share a value are weighed where there are more."""

EXACT_UP_TO: Final = 40_000
"""Up to so many candidates in one group the assignment is exact."""

_PRIME: Final = 2**61 - 1
_CHANCE = 32
_DISTANCE = 2 * 20 + 20
_OTHERS = 6 + 20
_GAIN = 11 + 20
# Each criterion has room for its sum over a million pairs, so that no sum of a lower one outweighs a higher one.
_CHANCE_ROOM: Final = _CHANCE + 20


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a list: its place there, its key, and what it says."""

    place: int
    key: str
    value: dict[str, Json]


Edges = dict[int, dict[int, int]]
"""For each member of the one side, by number, the weight of each candidate of the other."""


def assign(
    olds: Sequence[Member],
    news: Sequence[Member],
    items: Items,
    whole: tuple[Sequence[dict[str, Json]], Sequence[dict[str, Json]]],
    text: Callable[[Json], bytes],
) -> list[tuple[Member, Member]]:
    """Return the pairs of members of two lists that are one.

    ``whole`` are the two lists as they stand, equal members included; ``text`` gives what a member says, by which ties are broken.
    """
    matched, lone_olds, lone_news = _by_single_keys(olds, news)
    if not lone_olds or not lone_news or not (items.weights or {member.key for member in lone_olds} & {member.key for member in lone_news}):
        return matched
    return matched + _Assignment(lone_olds, lone_news, items, whole, text).pairs()


def _by_single_keys(olds: Sequence[Member], news: Sequence[Member]) -> tuple[list[tuple[Member, Member]], list[Member], list[Member]]:
    by_key: dict[str, tuple[list[Member], list[Member]]] = defaultdict(lambda: ([], []))
    for side, members in enumerate((olds, news)):
        for member in members:
            by_key[member.key][side].append(member)
    matched, lone_olds, lone_news = [], [], []
    for one, other in by_key.values():
        if len(one) == len(other) == 1:
            matched.append((one[0], other[0]))
        else:
            lone_olds += one
            lone_news += other
    return matched, lone_olds, lone_news


class _Assignment:
    """One assignment under way: the members of both sides, and what they are weighed by."""

    def __init__(
        self,
        olds: list[Member],
        news: list[Member],
        items: Items,
        whole: tuple[Sequence[dict[str, Json]], Sequence[dict[str, Json]]],
        text: Callable[[Json], bytes],
    ) -> None:
        self.olds, self.news, self.items = olds, news, items
        self.traits = [traits([each.value for each in side], every, items) for side, every in zip((olds, news), whole, strict=True)]
        texts = [[text(each.value) for each in side] for side in (olds, news)]
        rank = {text: place for place, text in enumerate(sorted({*texts[0], *texts[1]}))}
        self.ranks = [[rank[text] for text in side] for side in texts]
        self.digests = [[int.from_bytes(blake2b(text, digest_size=8).digest()) for text in side] for side in texts]

    def pairs(self) -> list[tuple[Member, Member]]:
        """Return the pairs of the greatest gain."""
        edges: Edges = defaultdict(dict)
        for old, new in self._combinations():
            weight = self._weight(old, new)
            if weight is not None:
                edges[old][new] = weight
        chosen: dict[int, int] = {}
        for group in _groups(edges):
            chosen |= exact(group) if sum(map(len, group.values())) <= EXACT_UP_TO else greedy(group)
        self._fill(chosen)
        return [(self.olds[old], self.news[new]) for old, new in sorted(chosen.items())]

    def _combinations(self) -> Iterable[tuple[int, int]]:
        if len(self.olds) * len(self.news) <= ALL_PAIRS_UP_TO:
            return product(range(len(self.olds)), range(len(self.news)))
        return set(self._sharing())

    def _sharing(self) -> Iterator[tuple[int, int]]:
        """Yield the combinations that share a value or their key, the rarest first; all of one rarity, or none."""
        olds, news = ({**shared(enumerate(self.traits[side])), **_by_key(members)} for side, members in enumerate((self.olds, self.news)))
        sizes = sorted((len(olds[value]) * len(news[value]), value) for value in olds.keys() & news.keys())
        left = WEIGHED_UP_TO
        for size, values in groupby(sizes, key=lambda each: each[0]):
            same_size = [value for _, value in values]
            left -= size * len(same_size)
            if left < 0:
                return
            for value in same_size:
                yield from product(olds[value], news[value])

    def _weight(self, old: int, new: int) -> int | None:
        """Return what a pair is worth, ``None`` where the two can't be one; see the module's text for what comes before what."""
        one, other = self.traits[0][old], self.traits[1][new]
        same_key = self.olds[old].key == self.news[new].key
        gain = likeness(one, other, self.items) - LIKENESS_TO_PAIR
        if not same_key and gain <= 0:
            if not are_twins(one, other):
                return None
            gain = 1
        weight = (same_key << _GAIN) + max(gain, -LIKENESS_TO_PAIR) + LIKENESS_TO_PAIR * same_key
        weight = (weight << _OTHERS) + equal_others(one, other)
        weight = (weight << _DISTANCE) - (self.ranks[0][old] - self.ranks[1][new]) ** 2
        chance = (self.digests[0][old] * self.digests[1][new]) % _PRIME >> (61 - _CHANCE)
        return (weight << _CHANCE_ROOM) + chance

    def _fill(self, chosen: dict[int, int]) -> None:
        """Pair what is left of one key, where not every two members were weighed, in the order of what they say."""
        taken = set(chosen.values())
        left = [
            [number for number in range(len(side)) if number not in done] for side, done in ((self.olds, chosen.keys()), (self.news, taken))
        ]
        by_key: dict[str, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
        for side, members in enumerate((self.olds, self.news)):
            for number in sorted(left[side], key=self.ranks[side].__getitem__):
                by_key[members[number].key][side].append(number)
        for olds, news in by_key.values():
            chosen.update(zip(olds, news, strict=False))


def _by_key(members: list[Member]) -> dict[tuple[str, bytes], list[int]]:
    found: dict[tuple[str, bytes], list[int]] = {}
    for number, member in enumerate(members):
        found.setdefault(("\0key", member.key.encode(errors="surrogatepass")), []).append(number)
    return found


def _groups(edges: Edges) -> Iterator[Edges]:
    """Yield the parts of a graph that have no candidate in common."""
    backwards: dict[int, list[int]] = defaultdict(list)
    for old, candidates in edges.items():
        for new in candidates:
            backwards[new].append(old)
    left = dict.fromkeys(edges)
    while left:
        reached, waiting = {}, [left.popitem()[0]]
        while waiting:
            old = waiting.pop()
            reached[old] = edges[old]
            for new in edges[old]:
                for other in backwards.pop(new, ()):
                    if other in left:
                        del left[other]
                        waiting.append(other)
        yield reached


def greedy(edges: Edges) -> dict[int, int]:
    """Return the pairs that are left when the weightiest is taken first, again and again."""
    chosen: dict[int, int] = {}
    taken: set[int] = set()
    for _, old, new in sorted((-weight, old, new) for old, candidates in edges.items() for new, weight in candidates.items()):
        if old not in chosen and new not in taken:
            chosen[old] = new
            taken.add(new)
    return chosen


def exact(edges: Edges) -> dict[int, int]:
    """Return the pairs whose weights, all positive, have the greatest sum.

    Each member of the one side in turn takes the shortest augmenting path over the reduced weights (as in the Hungarian method), to a free
    member of the other side or to one of its own side that is better left alone. Whole numbers, so that nothing is rounded.
    """
    if len(edges) == 1:
        ((old, candidates),) = edges.items()
        return {old: max(candidates, key=candidates.__getitem__)}
    worth = {old: max(candidates.values()) for old, candidates in edges.items()}
    search = _Search(edges, worth, defaultdict(int), {}, {})
    for start in sorted(edges):
        search.augment(start)
    return search.chosen


@dataclass(frozen=True, slots=True)
class _Search:
    """What the search for the best assignment knows: the two sides' dual values, and the pairs so far, from both sides."""

    edges: Edges
    worth: dict[int, int]
    price: dict[int, int]
    chosen: dict[int, int]
    partner: dict[int, int]

    def augment(self, start: int) -> None:
        """Find the best place for one more member, or the member that is better left alone, and exchange the pairs on the way there."""
        olds, news, came_from = {start: 0}, dict[int, int](), dict[int, int]()
        best: dict[int, int] = {}
        waiting: list[tuple[int, int]] = []
        shortest, alone, free = self.worth[start], start, None
        old, distance = start, 0
        while True:
            for new, weight in self.edges[old].items():
                through = distance + self.worth[old] + self.price[new] - weight
                if new not in news and through < min(best.get(new, shortest), shortest):
                    best[new], came_from[new] = through, old
                    heappush(waiting, (through, new))
            nearest = self._nearest(waiting, news)
            if nearest is None or nearest[0] >= shortest:
                break
            distance, new = nearest
            news[new] = distance
            if new not in self.partner:
                shortest, free = distance, new
                break
            old = self.partner[new]
            olds[old] = distance
            if distance + self.worth[old] < shortest:
                shortest, alone = distance + self.worth[old], old
        for each, reached in olds.items():
            self.worth[each] -= shortest - reached
        for each, reached in news.items():
            self.price[each] += shortest - reached
        self._exchange(self.chosen.pop(alone, None) if free is None else free, came_from)

    @staticmethod
    def _nearest(waiting: list[tuple[int, int]], reached: dict[int, int]) -> tuple[int, int] | None:
        while waiting:
            nearest = heappop(waiting)
            if nearest[1] not in reached:
                return nearest
        return None

    def _exchange(self, end: int | None, came_from: dict[int, int]) -> None:
        """Exchange the pairs along a path, from its end: a free member of the other side, or what the one left alone gave up."""
        while end is not None:
            old = came_from[end]
            before = self.chosen.get(old)
            self.chosen[old], self.partner[end] = end, old
            end = before
