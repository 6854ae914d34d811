"""What the laws of the comparison are stated in: equality, keyed forms, replaying, covering. Independent of how the code compares."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import orjson

from trialsync.model import Change, Kind
from trialsync.study import align
from trialsync.study.fields import FIELDS, NOISE
from trialsync.study.groups import GROUPED, NONE, match
from trialsync.study.leaves import parts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

    from trialsync.model import Json, Study
    from trialsync.study.fields import Field, Items
    from trialsync.study.groups import Groups

Path = tuple[str | int, ...]

_NOISE = {tuple(path.split(".")) for path in NOISE}
_KNOWN = {tuple(each.path.split(".")): each for each in FIELDS}


def content(value: Json, path: tuple[str, ...] = ()) -> str:
    """Return a text that is equal for two values exactly when no change lies between them: the definition, not the code under test."""
    if value is None or path in _NOISE:
        return ""
    if isinstance(value, dict):
        held = sorted(f"{name!r}:{text}" for name, part in value.items() if (text := content(part, (*path, name))))
        return f"{{{','.join(held)}}}" if held else ""
    if isinstance(value, list):
        members = sorted(text for part in value if (text := content(part, (*path, "[]"))))
        return f"[{','.join(members)}]" if members else ""
    return f"{type(value).__name__} {value!r}"


def shuffled(value: Json, chance: Random, *, lists: bool) -> Json:
    """Return a deep copy with the names of every object, and if asked the members of every list, in another order."""
    if isinstance(value, dict):
        names = list(value)
        chance.shuffle(names)
        return {name: shuffled(value[name], chance, lists=lists) for name in names}
    if isinstance(value, list):
        members = [shuffled(part, chance, lists=lists) for part in value]
        if lists:
            chance.shuffle(members)
        return members
    return value


def places(value: Json, path: Path = ()) -> Iterator[Path]:
    """Yield the path of every value inside a value, objects and lists included."""
    below: Iterator[tuple[str | int, Json]] | list[tuple[str | int, Json]] = []
    if isinstance(value, dict):
        below = [*value.items()]
    elif isinstance(value, list):
        below = [*enumerate(value)]
    for name, part in below:
        yield (*path, name)
        yield from places(part, (*path, name))


def at(value: Json, path: Path) -> Any:
    """Return what is at a path, ``None`` where nothing is."""
    for name in path:
        try:
            value = value[name]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def edited(study: Study, path: Path, value: Json) -> Study:
    """Return a copy with another value at a path; a place at the end of a list appends. What is not touched is shared."""
    if not path:
        new: Study = value
        return new
    name, *below = path
    above: Any = copy(study)
    if isinstance(above, list) and name == len(above):
        above.append(None)
    part: Any = above.get(name) if isinstance(above, dict) else above[name]
    above[name] = edited(part, tuple(below), value) if below else value
    result: Study = above
    return result


def without(study: Study, path: Path) -> Study:
    """Return a copy without what is at a path."""
    holder = copy(at(study, path[:-1]))
    del holder[path[-1]]
    return edited(study, path[:-1], holder)


@dataclass(slots=True)
class Keyed:
    """A list of objects by their labels, each object's own lists keyed in turn."""

    items: Items
    groups: Groups
    members: dict[str, dict[str, Json]]


@dataclass(slots=True)
class Part:
    """One field of a study in keyed form."""

    field: Field
    value: Json


@dataclass(slots=True)
class Words:
    """What the groups of results are called in two versions: by field, by the measure that has its own, and each reworded object's copy."""

    fields: dict[str, Groups] = field(default_factory=dict)
    measures: dict[int, Groups] = field(default_factory=dict)
    copies: dict[int, tuple[Json, Json]] = field(default_factory=dict)

    def copy(self, value: Json) -> Json:
        """Return what stands for one of the newer version's own objects."""
        return self.copies[id(value)][1] if id(value) in self.copies else value


_MEASURES = "results.outcomeMeasures.outcomeMeasures"


def keyed(old: Study, new: Study) -> tuple[dict[str, Part], dict[str, Part], Words]:
    """Return both studies' fields by name, lists of objects by their items' labels, and the groups' ids of both in the older's words."""
    before, after = parts(old, new)
    words = Words()
    for name, groups in GROUPED.items():
        if name in before and name in after and groups in before and groups in after:
            found = match(before[groups][1], after[groups][1], items_of(before[groups][0]))
            words.fields[name] = found
            after[name] = (after[name][0], _reworded(after[name][1], found, words))
    if _MEASURES in before and _MEASURES in after:
        (part, was), (_, now) = before[_MEASURES], after[_MEASURES]
        if align.is_keyed(was) and align.is_keyed(now):
            for pair in align.pairs(was, now, items_of(part)):
                if pair.old is not None and pair.new is not None:
                    found = match(pair.old.get("groups"), pair.new.get("groups"), items_of(part).lists["groups"])
                    words.measures |= {id(pair.old): found, id(_reworded(pair.new, found, words)): found}
            after[_MEASURES] = (part, [words.copy(each) for each in now])
    forms = [
        {name: Part(each, _keyed(value, each.items, words.fields.get(name, NONE), words)) for name, (each, value) in side.items()}
        for side in (before, after)
    ]
    return forms[0], forms[1], words


def items_of(part: Field) -> Items:
    """Return how a field's members are told apart."""
    assert part.items is not None
    return part.items


def _reworded(value: Json, groups: Groups, words: Words) -> Json:
    copied: Json = value
    if isinstance(value, dict):
        copied = {
            name: align.in_groups(part, groups.moved) if name in align.GROUP_IDS else _reworded(part, groups, words)
            for name, part in value.items()
        }
    elif isinstance(value, list):
        copied = [_reworded(part, groups, words) for part in value]
    if copied is not value:
        words.copies[id(value)] = value, copied
    return copied


def _keyed(value: Json, items: Items | None, groups: Groups, words: Words) -> Json:
    if items is None or not align.is_keyed(value):
        return value
    members = [member for member in value if content(member)]
    named = zip(align.labels(members, items, groups.labels), members, strict=True)
    form = Keyed(items, groups, {})
    for label, member in named:
        inside = words.measures.get(id(member), groups)
        form.members[label] = {name: _keyed(part, items.lists.get(name), inside, words) for name, part in member.items()}
    return form


def plain(value: Json) -> Json:
    """Return a keyed value as the registry has it."""
    if isinstance(value, Keyed):
        return [plain(member) for member in value.members.values()]
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    return value


def _holds_keyed(value: Json) -> bool:
    if isinstance(value, dict):
        return any(map(_holds_keyed, value.values()))
    return isinstance(value, Keyed)


def applied(changes: list[Change], old: Study, new: Study) -> str:
    """Return the content of the older study's keyed form after the changes; check on the way that each finds its ``before`` there."""
    before, after, words = keyed(old, new)
    for row in changes:
        change = replace(row, after=words.copy(row.after))
        if change.item is None and change.attribute is None:
            holder = {name: part.value for name, part in before.items()}
            _set(holder, change.field, change)
            if change.field in holder:
                part = before.get(change.field) or after[change.field]
                before[change.field] = Part(part.field, holder[change.field])
            else:
                del before[change.field]
            continue
        part = before.setdefault(change.field, Part(after[change.field].field, None) if change.field in after else Part(_LOST, None))
        if change.item is None:
            part.value = dict(part.value)
            _set(part.value, change.attribute, change)
            continue
        assert part.field.items is not None
        if part.value is None:
            part.value = Keyed(part.field.items, NONE, {})
        if change.attribute is None:
            _set(part.value.members, change.item, change)
        else:
            _inside(part.value.members[change.item], part.field.items, change.attribute, change)
    return _content_of(before)


_LOST = FIELDS[0]


def _inside(member: dict[str, Json], items: Items, attribute: str, change: Change) -> None:
    """Apply a change to an attribute of an item, which may be an item of a list inside it."""
    for name, below in items.lists.items():
        nested = member.get(name)
        if not attribute.startswith(f"{name}.") or not isinstance(nested, Keyed):
            continue
        rest = attribute.removeprefix(f"{name}.")
        if rest in nested.members or (
            change.kind is Kind.ADDED and isinstance(change.after, dict) and _names(rest, change.after, below, nested.groups)
        ):
            _set(nested.members, rest, change)
            return
        label = max((label for label in nested.members if rest.startswith(f"{label}.")), key=len)
        _inside(nested.members[label], below, rest.removeprefix(f"{label}."), change)
        return
    _set(member, attribute, change)


def _names(label: str, member: dict[str, Json], items: Items, groups: Groups = NONE) -> bool:
    key = align.key(member, items, groups.labels)
    return label == key or (label.startswith(f"{key} #") and label.removeprefix(f"{key} #").isdecimal())


def _set(holder: dict[str, Json], name: str | None, change: Change) -> None:
    assert name is not None
    held = holder.get(name)
    was = plain(held)
    if change.kind is Kind.ADDED:
        assert not content(was), f"{change.path} was there before"
        assert change.before is None
    else:
        # The keyed form has no members that say nothing; a list that is told whole has them.
        same = content(was) == content(change.before) if _holds_keyed(held) else orjson.dumps(was) == orjson.dumps(change.before)
        assert same, f"{change.path} was not {change.before!r}"
    if change.kind is Kind.REMOVED:
        assert change.after is None
        del holder[name]
    else:
        assert change.after is not None
        holder[name] = change.after


def _content_of(form: dict[str, Part]) -> str:
    """Return what a keyed form says, as a whole."""
    return content({part.field.path: plain(part.value) for part in form.values()})


def content_by_field(old: Study, new: Study) -> str:
    """Return what the newer study says, in the same words as ``applied``."""
    _, after, _ = keyed(old, new)
    return _content_of(after)


def covers(change: Change, path: Path, old: Study, new: Study) -> bool:
    """Return whether a change's field, item and attribute tell of what is at a path of the older or the newer study."""
    ways = ["", *accumulate((str(name).replace("\\", "\\\\").replace(".", "\\.") for name in path), "{}.{}".format)]
    for found in parts(old, new):
        if change.field not in found:
            continue
        field = found[change.field][0]
        if field.path.startswith(f"{ways[-1]}."):
            return True
        if field.path not in ways:
            continue
        depth = ways.index(field.path)
        inside = path[depth:]
        if not inside or (field.items is None and (change.attribute is None or change.attribute == inside[0])):
            return True
        if field.items is not None and change.item is None:
            return True
        if field.items is not None and any(_covers_item(change, inside, at(study, path[:depth]), field.items) for study in (old, new)):
            return True
    return False


def _covers_item(change: Change, inside: Path, members: Json, items: Items) -> bool:
    assert change.item is not None
    place, *below = inside
    if not isinstance(members, list) or not isinstance(place, int) or place >= len(members) or not isinstance(members[place], dict):
        return False
    if not _names(change.item, members[place], items):
        return False
    return change.attribute is None or not below or _covers_attribute(change.attribute, tuple(below), members[place], items)


def _covers_attribute(attribute: str, inside: Path, member: dict[str, Json], items: Items) -> bool:
    name, *below = inside
    if attribute == name or not below:
        return attribute == name or attribute.startswith(f"{name}.")
    nested, place = items.lists.get(str(name)), below[0]
    members = member.get(str(name))
    if nested is None or not attribute.startswith(f"{name}.") or not isinstance(place, int) or not isinstance(members, list):
        return False
    rest = attribute.removeprefix(f"{name}.")
    if place >= len(members) or not isinstance(members[place], dict):
        return False
    return align.GROUP_IDS.intersection(nested.key) != set() or rest.startswith(align.key(members[place], nested))
