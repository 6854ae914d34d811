"""The canonical form of a study, and its digests.

In the canonical form objects are sorted by name, every list is a multiset (lists of objects are keyed, lists of plain values are unordered:
order is never news), and absent, ``null``, ``{}`` and ``[]`` are the same. Values keep their type: ``1``, ``1.0`` and ``true`` differ.
Two records have equal fingerprints exactly when comparing them gives no change.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

import orjson

from trialsync.errors import RecordError
from trialsync.study.fields import NOISE

if TYPE_CHECKING:
    from trialsync.model import Json, Study

RULE: Final = 1
"""The version of the canonical form. A store whose versions carry another rule's fingerprints has to compute them again."""

_TEXT: Final = frozenset({str})
_OBJECT: Final = frozenset({dict})
_PLAIN: Final = frozenset({str, int, float, bool})
_FLAT: Final = _PLAIN | _OBJECT
_DIGEST_BYTES: Final = 16
_NOISE_PATHS: Final = tuple(tuple(path.split(".")) for path in NOISE)
_LABEL: Final = b'"derivedSection":{"miscInfoModule":{"versionHolder":"'
_LABEL_DAY: Final = re.compile(rb'\d{4}-\d{2}-\d{2}(?=")')


def fingerprint(study: Study) -> str:
    """Return the versioned digest of a study's content, noise left out: ``<rule>-<32 hex digits>``.

    Raises RecordError for a record that is no valid JSON text (a lone surrogate, a number beyond 64 bits) or too deep to follow.
    """
    return f"{RULE}-{blake2b(canonical(without_noise(study)), digest_size=_DIGEST_BYTES).hexdigest()}"


def bytes_digest(raw: bytes) -> bytes | None:
    """Return the digest (16 bytes) of a record's own bytes with the load's label cut out, or ``None`` where the label can't be told.

    Equal digests mean equal content, at the price of no more than reading the bytes: in the registry's real loads every unchanged record
    was identical byte for byte. Different digests mean nothing yet: then the fingerprint decides. The label is known by the words around
    it, which no text inside a record can imitate, since its quotation marks would be escaped; a record that has them twice gets no digest.
    """
    start = raw.find(_LABEL)
    if start < 0:
        return blake2b(raw, digest_size=_DIGEST_BYTES).digest()
    start += len(_LABEL)
    day = _LABEL_DAY.match(raw, start)
    if day is None or raw.find(_LABEL, start) >= 0:
        return None
    content = memoryview(raw)
    digest = blake2b(content[:start], digest_size=_DIGEST_BYTES)
    digest.update(content[day.end() :])
    return digest.digest()


def load_label(raw: bytes) -> str | None:
    """Return the load (an ISO day as text) that a record's own bytes name, or ``None`` where it can't be told from them."""
    start = raw.find(_LABEL)
    day = _LABEL_DAY.match(raw, start + len(_LABEL)) if start >= 0 else None
    return day.group().decode() if day else None


def without_noise(study: Study) -> Study:
    """Return the study without the leaves that the vocabulary names as noise; what is not touched is shared, not copied."""
    for path in _NOISE_PATHS:
        study = _without(study, path)
    return study


def _without(value: dict[str, Json], path: tuple[str, ...]) -> dict[str, Json]:
    name, *below = path
    if name not in value:
        return value
    rest = {key: part for key, part in value.items() if key != name}
    if below and isinstance(value[name], dict):
        rest[name] = _without(value[name], tuple(below))
    elif below:
        return value
    return rest


def canonical(value: Json) -> bytes:
    """Return a value's canonical form as JSON text; an empty value is ``b""``.

    Raises RecordError where the value is no valid JSON text, or too deep to follow.
    """
    try:
        normal = _normal(value)
        return b"" if normal is None else orjson.dumps(normal, option=orjson.OPT_SORT_KEYS)
    except TypeError as error:
        raise RecordError(f"a record can't be written as JSON: {error}") from error
    except RecursionError as error:
        raise too_deep() from error


def too_deep() -> RecordError:
    """Return the error for a record whose objects or lists lie deeper in each other than can be followed."""
    return RecordError("a record's objects lie too deep in each other to be compared")


def quick_text(value: Json) -> bytes:
    """Return a value as JSON text with names sorted: equal texts mean equal canonical forms, at a fraction of the price."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        return canonical(value)


def is_same(one: Json, other: Json) -> bool:
    """Return whether two values say the same: whether they have one canonical form."""
    return one is other or quick_text(one) == quick_text(other) or canonical(one) == canonical(other)


def is_empty(value: Json) -> bool:
    """Return whether a value says nothing: absent, ``null``, ``{}``, ``[]``, or made of such alone."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for part in value:  # noqa: SIM110 - a generator would halve the depth that the stack allows
            if not is_empty(part):
                return False
        return True
    return value is None


def _normal(value: Json) -> Json:
    """Return the value with empty parts left out and lists sorted; ``None`` where nothing is left. What is normal already is not copied."""
    kind = type(value)
    if kind is dict:
        return _normal_object(value)
    if kind is list:
        return _normal_list(value)
    return value


def _normal_object(value: dict[str, Json]) -> Json:
    if _PLAIN.issuperset(map(type, value.values())):
        return value or None
    kept = value
    for name, part in value.items():
        kind = type(part)
        if kind is str:
            continue
        if kind is dict:
            normal = _normal_object(part)
        elif kind is list:
            normal = _normal_list(part)
        else:
            normal = part
        if normal is None or normal is not part:
            if kept is value:
                kept = value.copy()
            if normal is None:
                del kept[name]
            else:
                kept[name] = normal
    return kept or None


def _normal_list(value: list[Json]) -> Json:
    if _TEXT.issuperset(map(type, value)):
        return sorted(value) if len(value) > 1 else value or None
    if _OBJECT.issuperset(map(type, value)):
        texts = [text for part in value if (text := _object_text(part))]
        return orjson.Fragment(b"[" + b",".join(sorted(texts)) + b"]") if texts else None
    parts = [normal for part in value if (normal := _normal(part)) is not None]
    if _TEXT.issuperset(map(type, parts)):
        return sorted(parts) or None
    return orjson.Fragment(b"[" + b",".join(sorted([orjson.dumps(part, option=orjson.OPT_SORT_KEYS) for part in parts])) + b"]")


def _object_text(value: dict[str, Json]) -> bytes:
    """Return an object's normal form as JSON text, ``b""`` where nothing is left."""
    if value and _FLAT.issuperset(map(type, value.values())):
        text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
        if b"{}" not in text and b"null" not in text and b"[" not in text:
            return text
    normal = _normal_object(value)
    return b"" if normal is None else orjson.dumps(normal, option=orjson.OPT_SORT_KEYS)
