"""Two records of a study to the changes between them.

Lists are aligned first and whatever is equal is dropped; DeepDiff gets only what is left, two small objects of canonical texts by path, so
that it neither looks inside a value nor mistakes ``true`` for ``1``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, Self

from trialsync.model import By, Change, Kind, Tier
from trialsync.study import record
from trialsync.study.align import is_keyed, labels, pairs
from trialsync.study.fields import FIELDS, Field, Items, order
from trialsync.study.fingerprint import canonical, is_empty, is_same
from trialsync.study.groups import GROUPED, NONE, in_older_words, match
from trialsync.study.leaves import parts
from trialsync.study.mentions import MENTIONS, only_follows
from trialsync.study.words import renders_alike

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trialsync.model import Json, Study
    from trialsync.study.align import Pair
    from trialsync.study.groups import Groups, Originals

BaselineFields = Literal["core", "all", "none"]
"""Which fields get baseline rows."""

RULE: Final = 2
"""The rule by which two records are compared; it grows when the same two records give other rows than before.

1: members whose keys differ were paired one at a time, the most alike first, and in lists without weights not at all. 2: the assignment of
``study.pairing``, weights for most lists, the groups of results by title, and what only follows a renamed item as housekeeping.
"""

LOCATIONS: Final = "locations"
"""The one field that is always one change an item, whether it appears, vanishes or stays."""

_CORE: Final = tuple((part, tuple(part.path.split("."))) for part in FIELDS if part.core)
_REFERENCES: Final = "references.references"
_MENTIONED: Final = frozenset(field_name for field_name, _ in MENTIONS.values())
_FLIP_FIELDS: Final = frozenset({"status.overallStatus", "status.lastKnownStatus"})
_KINDS: Final = {
    "values_changed": Kind.CHANGED,
    "type_changes": Kind.CHANGED,
    "dictionary_item_added": Kind.ADDED,
    "dictionary_item_removed": Kind.REMOVED,
}


class _Leaf(str):
    """A value that is compared as a whole: its canonical text, with the registry's own value behind it."""

    __slots__ = ("value",)
    value: Json

    def __new__(cls, value: Json) -> Self:
        leaf = super().__new__(cls, canonical(value).decode())
        leaf.value = value
        return leaf


_Path = tuple[str, ...]


@dataclass(slots=True)
class _Left:
    """What is left to compare, on both sides, by path; the order of the rows; and what their tier and author hang on.

    That is each reference, whole, by its label, and the pairs of the fields whose items others mention. ``originals`` are the registry's
    own members where ids of groups were put in the older version's words.
    """

    old: dict[_Path, _Leaf] = field(default_factory=dict)
    new: dict[_Path, _Leaf] = field(default_factory=dict)
    ranks: dict[_Path, int] = field(default_factory=dict)
    members: dict[str, tuple[Json, Json]] = field(default_factory=dict)
    pairs: dict[str, list[Pair]] = field(default_factory=dict)
    originals: Originals = field(default_factory=dict)

    def original(self, value: Json) -> Json:
        """Return a member as the registry has it."""
        return self.originals[id(value)][1] if id(value) in self.originals else value

    def put(self, path: _Path, old: Json, new: Json) -> None:
        """Note that a path holds ``old`` on the one side and ``new`` on the other; empty means absent."""
        self.ranks[path] = len(self.ranks)
        for side, value in ((self.old, old), (self.new, new)):
            if not is_empty(value):
                side[path] = _Leaf(value)


def diff(old: Study, new: Study) -> list[Change]:
    """Return the changes from one version of a study to the next, in the vocabulary's order, then the registry's list order.

    Empty exactly when the two have equal fingerprints. ``before`` and ``after`` are the records' own values. The rows do not depend on the
    order of names inside objects. Raises RecordError for a record that is no valid JSON text, or too deep to follow.
    """
    before, after = parts(old, new)
    left = _Left()
    fields: dict[str, Field] = {}
    for name in sorted({*before, *after}, key=lambda each: (order(each), each)):
        part, was = before.get(name, (None, None))
        part, now = after.get(name, (part, None))
        groups = _groups_of(name, before, after)
        if part is not None and (groups.moved or not is_same(was, now)):
            fields[name] = part
            _compare_field(part, was, now, left, groups)
    posted_moved = record.posted(old) != record.posted(new)
    flipped = "UNKNOWN" not in {record.overall_status(old), None} and record.overall_status(new) == "UNKNOWN"
    flipped = flipped and record.last_known_status(new) is not None
    changes = []
    for path, kind, was, now in _differences(left):
        part = fields[path[0]]
        item, attribute = _item_and_attribute(part, path)
        if part.by is By.REGISTRY or (flipped and part.name in _FLIP_FIELDS) or _is_registrys_own(part, path, was, now, left):
            by = By.REGISTRY
        else:
            by = By.SPONSOR if posted_moved else By.REGISTRY
        tier = _tier(part, path, was, now)
        if only_follows(part.name, attribute, was, now, left.pairs):
            tier = Tier.HOUSEKEEPING
        changes.append(Change(part.name, item, attribute, kind, was, now, tier, by))
    return changes


def baseline(study: Study, fields: BaselineFields = "core") -> list[Change]:
    """Return the rows of a study's first known version: every field that it has, ``added``, by nobody; ``locations`` one row a site."""
    return [Change(part.name, item, None, Kind.ADDED, None, value, part.tier, None) for part, item, value in baseline_parts(study, fields)]


def baseline_parts(study: Study, fields: BaselineFields = "core") -> Iterator[tuple[Field, str | None, Json]]:
    """Yield what baseline rows say: a field that a study has, the label of a site where it is one, and the value."""
    if fields == "none":
        return
    for part, value in _core_parts(study) if fields == "core" else _all_parts(study):
        if is_empty(value):
            continue
        if part.name == LOCATIONS and part.items is not None and is_keyed(value):
            sites = [site for site in value if not is_empty(site)]
            for label, site in zip(labels(sites, part.items), sites, strict=True):
                yield part, label, site
        else:
            yield part, None, value


def _core_parts(study: Study) -> Iterator[tuple[Field, Json]]:
    return ((part, record.at(study, *path)) for part, path in _CORE)


def _all_parts(study: Study) -> list[tuple[Field, Json]]:
    return [found for _, found in sorted(parts(study)[0].items(), key=lambda each: (order(each[0]), each[0]))]


_Parts = dict[str, tuple[Field, "Json"]]


def _groups_of(name: str, before: _Parts, after: _Parts) -> Groups:
    """Return the groups of results that a field's numbers hang on."""
    part, was = before.get(GROUPED.get(name, ""), (None, None))
    _, now = after.get(GROUPED.get(name, ""), (None, None))
    return NONE if part is None or part.items is None else match(was, now, part.items)


def _compare_field(part: Field, old: Json, new: Json, left: _Left, groups: Groups) -> None:
    if part.items is not None and part.name == LOCATIONS:
        old, new = (([] if is_empty(side) else side) for side in (old, new))
    if part.items is not None and is_keyed(old) and is_keyed(new) and (part.name == LOCATIONS or not (is_empty(old) or is_empty(new))):
        if groups.moved:
            new = in_older_words(new, part.items, groups.moved, left.originals)
        _compare_items((part.name,), old, new, part.items, left, groups)
    elif part.attributes and isinstance(old, dict) and isinstance(new, dict) and not (is_empty(old) or is_empty(new)):
        _compare_objects((part.name,), old, new, part, left, NONE)
    else:
        left.put((part.name,), old, new)


def _compare_items(path: _Path, old: list[Json], new: list[Json], items: Items, left: _Left, groups: Groups) -> None:
    found = pairs(old, new, items, groups.labels, groups.either)
    if len(path) == 1 and path[0] in _MENTIONED:
        left.pairs[path[0]] = found
    for pair in found:
        here = (*path, pair.label)
        if path == (_REFERENCES,):
            left.members[pair.label] = (pair.old, pair.new)
        if pair.old is None or pair.new is None:
            left.put(here, pair.old, left.original(pair.new))
        else:
            _compare_objects(here, pair.old, pair.new, items, left, groups)


def _compare_objects(path: _Path, old: dict[str, Json], new: dict[str, Json], part: Field | Items, left: _Left, groups: Groups) -> None:
    lists = part.lists if isinstance(part, Items) else {}
    if isinstance(part, Items) and "groups" in lists:
        groups = match(old.get("groups"), new.get("groups"), lists["groups"])
        if groups.moved:
            (new,) = in_older_words([new], part, groups.moved, left.originals)
    known = {name: place for place, name in enumerate((*part.attributes, *lists))}
    differing = [name for name in {**old, **new} if not is_same(old.get(name), new.get(name))]
    for name in sorted(differing, key=lambda each: (known.get(each, len(known)), each)):
        was, now = old.get(name), new.get(name)
        below = lists.get(name)
        if below is not None and is_keyed(was) and is_keyed(now) and not (is_empty(was) or is_empty(now)):
            _compare_items((*path, name), was, now, below, left, groups)
        else:
            left.put((*path, name), was, left.original(new).get(name))


def _differences(left: _Left) -> Iterator[tuple[_Path, Kind, Json, Json]]:
    """Yield each difference of what is left as path, kind, before and after, in the order of the rows."""
    from deepdiff import DeepDiff  # noqa: PLC0415 - slow to load, and needed by those who compare alone

    found = DeepDiff(left.old, left.new, view="tree", threshold_to_diff_deeper=0, ignore_private_variables=False)
    levels = {level.path(output_format="list")[0]: (_KINDS[report], level) for report, levels in found.items() for level in levels}
    for path in sorted(levels, key=left.ranks.__getitem__):
        kind, level = levels[path]
        yield path, kind, getattr(level.t1, "value", None), getattr(level.t2, "value", None)


def _item_and_attribute(part: Field, path: _Path) -> tuple[str | None, str | None]:
    _, *below = path
    item = below.pop(0) if part.items is not None and below else None
    return item, ".".join(below) if below else None


def _tier(part: Field, path: _Path, old: Json, new: Json) -> Tier:
    if isinstance(old, str) and isinstance(new, str) and renders_alike(old, new):
        return Tier.HOUSEKEEPING
    items, below = part.items, path[2:]
    while items is not None and below:
        name, *within = below
        if name in items.housekeeping:
            return Tier.HOUSEKEEPING
        # What stands in a list of the item's own: the label there, then the attribute.
        items, below = items.lists.get(name), tuple(within[1:])
    return part.tier


def _is_registrys_own(part: Field, path: _Path, old: Json, new: Json, left: _Left) -> bool:
    """Return whether the registry alone makes this change, whatever the posted date: computed attributes, references that it derives."""
    field_name, *below = path
    if part.items is not None and below[1:] and below[1] in part.items.by_registry:
        return True
    if field_name != _REFERENCES:
        return False
    sides = left.members[below[0]] if below else (old, new)
    members = [member for side in sides for member in (side if isinstance(side, list) else [side]) if not is_empty(member)]
    types = [record.at(member, "type") for member in members]
    return "DERIVED" in types and (bool(below) or all(each == "DERIVED" for each in types))
