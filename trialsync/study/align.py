"""Lists to keyed items: which member of the older list is which member of the newer.

A member's key is its key parts, lower-cased, white space collapsed, joined by ``|``, empty parts kept. Natural keys are almost keys: equal
members cancel, whatever their order, and the rest are assigned to each other as a whole (``study.pairing``): by key first, then by likeness
(``study.likeness``), so that a member whose key text was edited is recognised. Labels and numbers are the older side's. Nothing is paired
across lists: an outcome that moves from the primary to the secondary ones is removed there and added here.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeGuard

from trialsync.study.fingerprint import canonical, is_empty, quick_text
from trialsync.study.pairing import Member, assign

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from trialsync.model import Json
    from trialsync.study.fields import Items

_JUNCTION: Final = "|"

GROUP_IDS: Final = frozenset({"groupId", "groupIds"})
"""The attributes that name groups of results by their ids."""

NO_GROUPS: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Pair:
    """One item of a keyed list on both sides; ``None`` where a side does not have it. ``label`` is its key, numbered where it repeats."""

    label: str
    old: dict[str, Json] | None
    new: dict[str, Json] | None


def is_keyed(value: Json) -> TypeGuard[list[dict[str, Json]]]:
    """Return whether a value is a list of objects, so that its members can have keys."""
    return isinstance(value, list) and all(isinstance(member, dict) for member in value)


def key(member: Mapping[str, Json], items: Items, groups: Mapping[str, str] = NO_GROUPS) -> str:
    """Return a member's key: its key parts in lower case with white space collapsed, joined by ``|``.

    ``groups`` are the labels of the groups that the ids in results stand for, by id.
    """
    return _JUNCTION.join([_key_part(member, part, groups) for part in items.key])


def _key_part(member: Mapping[str, Json], part: str, groups: Mapping[str, str]) -> str:
    for name in part.split(_JUNCTION) if _JUNCTION in part else (part,):
        value = member.get(name)
        if groups and name in GROUP_IDS:
            value = in_groups(value, groups)
        if value is not None:
            text = " ".join((value if isinstance(value, str) else _words(value)).replace("\0", " ").lower().split())
            if text:
                return text
    return ""


def in_groups(value: Json, groups: Mapping[str, str]) -> Json:
    """Return an id of a group, or a list of such, in other words; what is no known id stays as it is."""
    if isinstance(value, list):
        return [groups.get(each, each) if isinstance(each, str) else each for each in value]
    return groups.get(value, value) if isinstance(value, str) else value


def _in_words(value: Json, groups: Mapping[str, str]) -> Json:
    """Return a value with every id of a group inside it in other words."""
    if isinstance(value, dict):
        return {name: in_groups(part, groups) if name in GROUP_IDS else _in_words(part, groups) for name, part in value.items()}
    return [_in_words(part, groups) for part in value] if isinstance(value, list) else value


def _words(value: Json) -> str:
    if isinstance(value, list):
        return ", ".join(sorted(map(_words, value)))
    if value is None or isinstance(value, dict):
        return canonical(value).decode()
    return str(value)


def labels(members: Sequence[dict[str, Json]], items: Items, groups: Mapping[str, str] = NO_GROUPS) -> list[str]:
    """Return each member's label in its list, no two alike: its key, and `` #2``, `` #3`` behind a key that stood before."""
    keys = [key(member, items, groups) for member in members]
    free = _Free(set(keys))
    stood: set[str] = set()
    found = []
    for text in keys:
        found.append(free.label(text) if text in stood else text)
        stood.add(text)
    return found


class _Free:
    """The labels that are free: a key may itself end like a number."""

    def __init__(self, taken: set[str]) -> None:
        self.taken = taken
        self._numbers: dict[str, int] = {}

    def label(self, text: str) -> str:
        """Return a key that is free, numbered from 2 where it is not, and take it."""
        label, number = text, self._numbers.get(text, 1)
        while label in self.taken:
            number += 1
            label = f"{text} #{number}"
        self._numbers[text] = number
        self.taken.add(label)
        return label


def pairs(
    old: Sequence[dict[str, Json]],
    new: Sequence[dict[str, Json]],
    items: Items,
    groups: Mapping[str, str] = NO_GROUPS,
    either: Mapping[str, str] = NO_GROUPS,
) -> list[Pair]:
    """Return the items that differ between two lists, paired; equal members are left out, whatever their order.

    The result stands in the newer list's order, a removed item where the older list had it. Backwards the same members are paired, for
    which ``either`` names groups without saying which list is the older one.
    """
    before, after = ({place: value for place, value in enumerate(side) if not is_empty(value)} for side in (old, new))
    named = dict(zip(before, labels(list(before.values()), items, groups), strict=True))
    free = _Free(set(named.values()))
    # Most members are equal as they stand: only the others are worth a canonical form.
    for text in (quick_text, canonical):
        before, after = _without_equals(before, after, text)
    gone, come = ([Member(place, key(value, items, groups), value) for place, value in side.items()] for side in (before, after))
    matched = assign(gone, come, items, (old, new), lambda value: canonical(_in_words(value, either) if either else value))
    found = [(young.place, 1, Pair(named[aged.place], aged.value, young.value)) for aged, young in matched]
    olds, news = {aged.place for aged, _ in matched}, {young.place for _, young in matched}
    found += [(member.place, 0, Pair(named[member.place], member.value, None)) for member in gone if member.place not in olds]
    found += [(each.place, 2, Pair(free.label(each.key), None, each.value)) for each in come if each.place not in news]
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
