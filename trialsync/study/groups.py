"""The groups of participants in results, and the numbers that hang on their ids.

A group's id (``OG000``) is its place among the groups: where one is inserted before the others, all their ids move, and with them those in
every measurement. So groups are aligned first, by title; numbers are then compared as of the same group, and stand under its title. That an
id moved is told once, at the group; the ids that follow it are no changes of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from trialsync.study.align import GROUP_IDS, NO_GROUPS, in_groups, is_keyed, labels, pairs
from trialsync.study.fingerprint import canonical

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trialsync.model import Json
    from trialsync.study.fields import Items

GROUPED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "results.participantFlow.periods": "results.participantFlow.groups",
        "results.baselineCharacteristics.denoms": "results.baselineCharacteristics.groups",
        "results.baselineCharacteristics.measures": "results.baselineCharacteristics.groups",
        "results.adverseEvents.seriousEvents": "results.adverseEvents.eventGroups",
        "results.adverseEvents.otherEvents": "results.adverseEvents.eventGroups",
    }
)
"""The fields whose numbers hang on the groups of another field; an outcome measure has groups of its own."""


@dataclass(frozen=True, slots=True)
class Groups:
    """The groups of two versions, by id: ``labels`` of the older's ids, ``moved`` the newer's ids in the older's words, where they moved.

    ``either`` are the older's ids in words that do not say which version is the older one; none where no id moved.
    """

    labels: Mapping[str, str]
    moved: Mapping[str, str]
    either: Mapping[str, str]


NONE: Final = Groups(NO_GROUPS, NO_GROUPS, NO_GROUPS)


def match(old: Json, new: Json, items: Items) -> Groups:
    """Return the groups of two lists; ``NONE`` where a side has none, or ids that are no names (missing, or there twice)."""
    ids: list[list[str]] = []
    for side in (old, new):
        if not is_keyed(side):
            return NONE
        found = [each["id"] for each in side if isinstance(each.get("id"), str)]
        if not found or len(set(found)) < len(side):
            return NONE
        ids.append(found)
    named = dict(zip(ids[0], labels(old, items), strict=True))
    older = {each: each for each in ids[1]}
    said = {each["id"]: [_said(each)] for each in old}
    for pair in pairs(old, new, items):
        if pair.new is None:
            continue
        here = pair.new["id"]
        if pair.old is not None:
            older[here] = pair.old["id"]
            said[older[here]].append(_said(pair.new))
        else:
            older[here] = _unlike(here, ids[0])
            named[older[here]] = pair.label
            said[older[here]] = [_said(pair.new)]
    moved = {here: there for here, there in older.items() if here != there}
    either = {each: "\0".join(sorted(both)) for each, both in said.items()} if moved else NO_GROUPS
    return Groups(named, moved, either)


def _said(group: Mapping[str, Json]) -> str:
    """Return what a group says, its id last."""
    return f"{canonical({**group, 'id': None}).decode()}{group['id']}"


def _unlike(name: str, taken: Sequence[str]) -> str:
    while name in taken:
        name += "'"
    return name


Originals = dict[int, tuple["Json", "Json"]]
"""What stands for what: by its id, an object in the older's words, and the registry's own."""


def in_older_words(members: list[Json], items: Items, moved: Mapping[str, str], originals: Originals) -> list[Json]:
    """Return members of the newer version with the groups' ids in the older's words, and note in ``originals`` what each stands for."""
    return [_reworded(member, items, moved, originals) if isinstance(member, dict) else member for member in members]


def _reworded(member: dict[str, Json], items: Items, moved: Mapping[str, str], originals: Originals) -> dict[str, Json]:
    reworded = dict(member)
    for name in GROUP_IDS.intersection(member):
        reworded[name] = in_groups(member[name], moved)
    for name, below in items.lists.items():
        if isinstance(member.get(name), list):
            reworded[name] = in_older_words(member[name], below, moved, originals)
    originals[id(reworded)] = reworded, member
    return reworded
