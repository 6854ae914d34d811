"""A study's leaves, each with its field: by the table, or for a leaf that the table lacks, by the rule that named the table's."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from trialsync.model import By, Tier
from trialsync.study.fields import FIELDS, NOISE, WATCH_PREFIX, Field, Items, by_name
from trialsync.study.fingerprint import too_deep

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trialsync.model import Json, Study

_SHORT_MODULES: Final = {
    "sponsorCollaborators": "sponsor",
    "contactsLocations": "contacts",
    "miscInfo": "misc",
    "largeDocument": "documents",
}
_PREFIXED_SECTIONS: Final = {"resultsSection": "results", "derivedSection": "derived"}
_DROPPED_STRUCTS: Final = frozenset({"designInfo", "maskingInfo", "submissionTracking", "unpostedAnnotation", "violationAnnotation"})


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def name_by_rule(path: tuple[str, ...]) -> str:
    """Return the name that the rule gives to a leaf (or a list) at a path of the registry's JSON."""
    if len(path) == 1:
        return path[0]
    section, module, *inside = path
    short = module.removesuffix("Module")
    short = _SHORT_MODULES.get(short, short)
    if section in _PREFIXED_SECTIONS:
        short = f"{_PREFIXED_SECTIONS[section]}.{short}"
    if not inside:
        return short
    prefix, date_struct = "", False
    for struct in inside[:-1]:
        date_struct = struct.endswith("Struct")
        if struct not in _DROPPED_STRUCTS:
            part = struct.removesuffix("Struct" if date_struct else "Info")
            prefix = prefix + _capital(part) if prefix else part
    leaf = inside[-1]
    if date_struct and leaf == "date":
        leaf = ""
    return f"{short}.{prefix + _capital(leaf) if prefix else leaf}"


def _unknown(path: tuple[str, ...]) -> Field:
    """Return a field for a leaf that the table does not have, under the rule's name, or under its whole path where that name is taken."""
    name = name_by_rule(path)
    dotted = ".".join(part.replace("\\", "\\\\").replace(".", "\\.") for part in path)
    if by_name(name) is not None or name.startswith((WATCH_PREFIX, "registry.")):
        name = dotted
    ours = path[0] in ("derivedSection", "annotationSection")
    return Field(name, dotted, Tier.HOUSEKEEPING if ours else Tier.DETAIL, by=By.REGISTRY if ours else None, known=False)


_Tree = dict[str, "_Tree | Field | None"]


def _tree() -> _Tree:
    """Return the table as a tree of the registry's JSON: a Field where one is, ``None`` where noise is."""
    root: _Tree = {}
    leaves: list[tuple[str, Field | None]] = [*((each.path, each) for each in FIELDS), *((path, None) for path in NOISE)]
    for path, leaf in leaves:
        node = root
        *way, last = path.split(".")
        for name in way:
            below = node.setdefault(name, {})
            assert isinstance(below, dict), f"{path} lies inside another field"  # noqa: S101 - the table contradicts itself
            node = below
        node[last] = leaf
    return root


_ROOT: Final = _tree()
_NOTHING: Final[_Tree] = {}


def split(study: Study) -> Iterator[tuple[Field, Json]]:
    """Return every part of a study with its field, noise and empty values left out; a leaf that the table lacks gets a field by the rule.

    Absent, ``null``, ``{}`` and ``[]`` are equal, so none of them is there. The values are the study's own objects, not copies. Raises
    RecordError for a record too deep to follow.
    """
    found: list[tuple[Field, Json]] = []
    try:
        _split(study, _ROOT, (), found)
    except RecursionError as error:
        raise too_deep() from error
    return iter(found)


def _split(value: dict[str, Json], tree: _Tree, path: tuple[str, ...], found: list[tuple[Field, Json]]) -> None:
    for name, part in value.items():
        if part is None or (not part and isinstance(part, dict | list)):
            continue
        below = tree.get(name, _NOTHING)
        if isinstance(below, Field):
            found.append((below, part))
        elif below is not None:
            if isinstance(part, dict):
                _split(part, below, (*path, name), found)
            else:
                found.append((_unknown((*path, name)), part))


def parts(*studies: Study) -> list[dict[str, tuple[Field, Json]]]:
    """Return each study's parts by name, the same leaf under the same name in all of them and no name for two leaves.

    The rule is not one to one: where it gives one name to several leaves that the table lacks, each goes by its whole path.
    """
    found = [list(split(study)) for study in studies]
    unknown = {each.path: each for study in found for each, _ in study if not each.known}
    named = _distinct(unknown)
    return [{(part := each if each.known else named[each.path]).name: (part, value) for each, value in study} for study in found]


def _distinct(unknown: dict[str, Field]) -> dict[str, Field]:
    counts = Counter(each.name for each in unknown.values())
    named: dict[str, Field] = {}
    taken: set[str] = set()
    for path, each in sorted(unknown.items()):
        name = each.name if counts[each.name] == 1 else path
        while name in taken or by_name(name) is not None:
            name += "'"
        taken.add(name)
        named[path] = each if name == each.name else replace(each, name=name)
    return named


def drift(study: Study) -> tuple[str, ...]:
    """Return the paths in a study that the table does not know, items' attributes included, each once, sorted.

    The registry adds leaves without a release note; they are compared all the same, under the rule's name.
    """
    found: set[str] = set()
    for each, value in split(study):
        if not each.known:
            found.add(each.path)
        elif each.items is not None and isinstance(value, list):
            found.update(_unknown_attributes(value, each.items, each.path))
        elif each.attributes and isinstance(value, dict):
            found.update(f"{each.path}.{name}" for name in value if name not in each.attributes)
    return tuple(sorted(found))


def _unknown_attributes(members: list[Json], items: Items, path: str) -> Iterator[str]:
    for member in members:
        if not isinstance(member, dict):
            continue
        if not items.names.issuperset(member):
            yield from (f"{path}.{name}" for name, value in member.items() if name not in items.names and value is not None)
        for name, below in items.lists.items():
            inside = member.get(name)
            if isinstance(inside, list):
                yield from _unknown_attributes(inside, below, f"{path}.{name}")
