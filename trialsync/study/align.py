"""Lists to keyed items: which member of the older list is which member of the newer.

A member's key is its key parts, lower-cased, white space collapsed, joined by ``|``, empty parts kept. Natural keys are almost keys: within
one key, equal members cancel, the rest pair by most equal attributes and then by order. A member whose key text was edited is recognised by
its likeness to one that vanished (``LIKENESS_TO_PAIR``). Labels and numbers are the older side's.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Final, TypeGuard

from trialsync.study.fingerprint import canonical, is_empty, is_same, quick_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from trialsync.model import Json
    from trialsync.study.fields import Items

LIKENESS_TO_PAIR: Final = 0.5
"""Two members with different keys are one edited member where more than this share of their weighted attributes agrees."""

_ALL_PAIRS_UP_TO: Final = 10_000
"""Beyond so many combinations, members of one key pair by order alone, and others only where they share a value that is not common."""

_COMMON: Final = 50
"""A value that more members than this have on one side does not make two of them worth comparing there."""

_COMPARED: Final = 2_000
"""Texts are likened by so many characters from their beginning; whether they are equal is decided by all of them."""

_JUNCTION: Final = "|"


@dataclass(frozen=True, slots=True)
class Pair:
    """One item of a keyed list on both sides; ``None`` where a side does not have it. ``label`` is its key, numbered where it repeats."""

    label: str
    old: dict[str, Json] | None
    new: dict[str, Json] | None


@dataclass(frozen=True, slots=True)
class _Member:
    place: int
    key: str
    value: dict[str, Json]


def is_keyed(value: Json) -> TypeGuard[list[dict[str, Json]]]:
    """Return whether a value is a list of objects, so that its members can have keys."""
    return isinstance(value, list) and all(isinstance(member, dict) for member in value)


def key(member: Mapping[str, Json], items: Items) -> str:
    """Return a member's key: its key parts in lower case with white space collapsed, joined by ``|``."""
    return _JUNCTION.join([_key_part(member, part) for part in items.key])


def _key_part(member: Mapping[str, Json], part: str) -> str:
    for name in part.split(_JUNCTION) if _JUNCTION in part else (part,):
        value = member.get(name)
        if value is not None:
            text = " ".join((value if isinstance(value, str) else _words(value)).replace("\0", " ").lower().split())
            if text:
                return text
    return ""


def _words(value: Json) -> str:
    if isinstance(value, list):
        return ", ".join(sorted(map(_words, value)))
    if value is None or isinstance(value, dict):
        return canonical(value).decode()
    return str(value)


def labels(members: Sequence[dict[str, Json]], items: Items) -> list[str]:
    """Return each member's label in its list, no two alike: its key, and `` #2``, `` #3`` behind a key that stood before."""
    keys = [key(member, items) for member in members]
    taken = set(keys)
    stood: set[str] = set()
    found = []
    for text in keys:
        found.append(_next_label(text, taken) if text in stood else text)
        stood.add(text)
    return found


def _next_label(text: str, taken: set[str]) -> str:
    """Return a key that is free, numbered from 2 where it is not, and take it: a key may itself end like a number."""
    label, number = text, 1
    while label in taken:
        number += 1
        label = f"{text} #{number}"
    taken.add(label)
    return label


def pairs(old: Sequence[dict[str, Json]], new: Sequence[dict[str, Json]], items: Items) -> list[Pair]:
    """Return the items that differ between two lists, paired; equal members are left out, whatever their order.

    The result stands in the newer list's order, a removed item where the older list had it.
    """
    before, after = ({place: value for place, value in enumerate(side) if not is_empty(value)} for side in (old, new))
    named = dict(zip(before, labels(list(before.values()), items), strict=True))
    taken = set(named.values())
    # Most members are equal as they stand: only the others are worth a canonical form.
    for text in (quick_text, canonical):
        before, after = _without_equals(before, after, text)
    gone, come = ({place: _Member(place, key(value, items), value) for place, value in side.items()} for side in (before, after))
    matched = [*_same_key(gone, come), *_edited(gone, come, items)]
    found = [(young.place, 1, Pair(named[aged.place], aged.value, young.value)) for aged, young in matched]
    found += [(member.place, 0, Pair(named[member.place], member.value, None)) for member in gone.values()]
    found += [(member.place, 2, Pair(_next_label(member.key, taken), None, member.value)) for member in come.values()]
    return [pair for _, _, pair in sorted(found, key=lambda each: each[:2])]


_Places = dict[int, dict[str, "Json"]]


def _without_equals(old: _Places, new: _Places, text: Callable[[Json], bytes]) -> tuple[_Places, _Places]:
    """Return both sides by place, with members of one text taken out, one for one, the first ones first."""
    olds, news = ([(place, value, text(value)) for place, value in side.items()] for side in (old, new))
    common = Counter(each[2] for each in olds) & Counter(each[2] for each in news)
    return _surplus(olds, common), _surplus(news, common)


def _surplus(members: list[tuple[int, dict[str, Json], bytes]], common: Counter[bytes]) -> _Places:
    left = common.copy()
    found = {}
    for place, value, text in members:
        if left[text]:
            left[text] -= 1
        else:
            found[place] = value
    return found


def _same_key(gone: dict[int, _Member], come: dict[int, _Member]) -> Iterator[tuple[_Member, _Member]]:
    """Take out of both sides, and yield, the pairs of one key: those with the most equal attributes first, then by order."""
    by_key: dict[str, tuple[list[_Member], list[_Member]]] = defaultdict(lambda: ([], []))
    for member in gone.values():
        by_key[member.key][0].append(member)
    for member in come.values():
        by_key[member.key][1].append(member)
    for olds, news in by_key.values():
        if len(olds) == len(news) == 1 or len(olds) * len(news) > _ALL_PAIRS_UP_TO:
            scored = [(0.0, old, new) for old, new in zip(olds, news, strict=False)]
        else:
            scored = [(float(_equal_attributes(old.value, new.value)), old, new) for old, new in product(olds, news)]
        yield from _take_best(scored, gone, come)


def _equal_attributes(old: Mapping[str, Json], new: Mapping[str, Json]) -> int:
    return sum(name in new and is_same(value, new[name]) for name, value in old.items())


def _take_best(
    scored: list[tuple[float, _Member, _Member]], gone: dict[int, _Member], come: dict[int, _Member]
) -> Iterator[tuple[_Member, _Member]]:
    scored.sort(key=lambda each: (-each[0], each[1].place, each[2].place))
    for _, old, new in scored:
        if old.place in gone and new.place in come:
            del gone[old.place], come[new.place]
            yield old, new


def _edited(gone: dict[int, _Member], come: dict[int, _Member], items: Items) -> Iterator[tuple[_Member, _Member]]:
    """Take out of both sides, and yield, the pairs that are one item with an edited key: the most alike first."""
    if not items.weights or not gone or not come:
        return
    features = {id(member): _features(member.value, items.weights) for side in (gone, come) for member in side.values()}
    scored = []
    for old, new in _candidates(list(gone.values()), list(come.values()), items.weights):
        score = _likeness(features[id(old)], features[id(new)], items.weights)
        if score > LIKENESS_TO_PAIR:
            scored.append((score, old, new))
    yield from _take_best(scored, gone, come)


def _candidates(gone: list[_Member], come: list[_Member], names: Iterable[str]) -> Iterable[tuple[_Member, _Member]]:
    if len(gone) * len(come) <= _ALL_PAIRS_UP_TO:
        return product(gone, come)
    olds, news = _holders(gone, names), _holders(come, names)
    return {
        (old.place, new.place): (old, new)
        for shared in olds.keys() & news.keys()
        if len(olds[shared]) <= _COMMON and len(news[shared]) <= _COMMON
        for old, new in product(olds[shared], news[shared])
    }.values()


def _holders(members: list[_Member], names: Iterable[str]) -> dict[tuple[str, bytes], list[_Member]]:
    """Return the members that have an attribute's value, by attribute and value."""
    holders: dict[tuple[str, bytes], list[_Member]] = defaultdict(list)
    for member in members:
        for name in names:
            if not is_empty(member.value.get(name)):
                holders[name, canonical(member.value[name])].append(member)
    return holders


_Feature = tuple[bytes, Counter[str] | None]


def _features(member: Mapping[str, Json], weights: Mapping[str, int]) -> dict[str, _Feature]:
    """Return, for each weighted attribute that the member has, its canonical text and the words of a text."""
    found = {}
    for name in weights:
        value = member.get(name)
        if not is_empty(value):
            found[name] = (canonical(value), Counter(value[:_COMPARED].lower().split()) if isinstance(value, str) else None)
    return found


def _likeness(old: Mapping[str, _Feature], new: Mapping[str, _Feature], weights: Mapping[str, int]) -> float:
    """Return the share, 0 to 1, of the weighted attributes that agree; texts agree by the words that they share (Dice's coefficient)."""
    total = agreed = 0.0
    for name, weight in weights.items():
        one, other = old.get(name), new.get(name)
        if one is None and other is None:
            continue
        total += weight
        if one is not None and other is not None:
            agreed += weight * _agreement(one, other)
    return agreed / total if total else 0.0


def _agreement(one: _Feature, other: _Feature) -> float:
    if one[0] == other[0]:
        return 1.0
    words, others = one[1], other[1]
    if not words or not others:
        return 0.0
    return 2 * (words & others).total() / (words.total() + others.total())
