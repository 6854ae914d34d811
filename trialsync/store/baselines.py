"""Baseline rows: those of a version stand together in one row of ``baselines``, as JSON; here is how they are packed and found there.

Element k of ``rows`` is the row of the log with the id ``id + k``. It is a field's id; or a text, the item of a site (nothing else has
items when a study is first seen); or, where that does not say it, a list: a field's id, an item, a tier where it is not the field's, and
what stands in the item for NUL where it holds one, at which SQLite's JSON functions would end a text. Ids that do not follow each other
are in different rows.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

SITES: Final = "locations"
"""The field whose items are packed as texts alone."""

ID: Final = "b.id + j.key"
FIELD_ID: Final = (
    f"CASE j.type WHEN 'integer' THEN j.value WHEN 'text' THEN (SELECT id FROM fields WHERE name = '{SITES}') "  # noqa: S608 - our own name
    "ELSE json_extract(j.value, '$[0]') END"
)
ITEM: Final = (
    "CASE j.type WHEN 'text' THEN j.value WHEN 'array' THEN coalesce("
    "replace(json_extract(j.value, '$[1]'), json_extract(j.value, '$[3]'), char(0)), json_extract(j.value, '$[1]')) END"
)
TIER: Final = "CASE j.type WHEN 'array' THEN json_extract(j.value, '$[2]') END"
"""What a baseline row says, of ``baselines b`` and ``json_each(b.rows) j``; the tier is null where it is the field's."""


def packed(rows: Iterable[tuple[int, str | None, str | None]], sites: int | None) -> str:
    """Return baseline rows as JSON text: of each the field's id, its item, and its tier where that is not the field's.

    ``sites`` is the id of the field SITES.
    """
    return orjson.dumps([_element(*row, sites=sites) for row in rows]).decode()


def in_runs(rows: Iterable[tuple[int, int, int, str | None, str | None]], sites: int | None) -> Iterator[tuple[int, int, str]]:
    """Yield rows of ``baselines`` (id, version, rows) for baseline rows that come by id, as many together as stand side by side.

    Each is an id, a version's id, and what ``packed`` takes.
    """
    numbered = enumerate(rows)
    for (_, version_id), run in groupby(numbered, key=lambda each: (each[1][0] - each[0], each[1][1])):
        found = [row for _, row in run]
        yield found[0][0], version_id, packed((row[2:] for row in found), sites)


def unpacked(text: str) -> list[list[Any]] | None:
    """Return the elements of a row of ``baselines``, each as the list that it stands for; ``None`` where nobody packed such a thing.

    A site's field id, which the element leaves out, is ``None``.
    """
    try:
        elements = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(elements, list) or not elements:
        return None
    found = [_whole(element) for element in elements]
    return None if None in found else found  # type: ignore[return-value]  # then there is none


def _element(field_id: int, item: str | None, tier: str | None, *, sites: int | None) -> int | str | list[Any]:
    if item is not None and "\0" in item:
        mark = next(character for character in map(chr, range(1, 0xD800)) if character not in item)
        return [field_id, item.replace("\0", mark), tier, mark]
    if tier is not None:
        return [field_id, item, tier]
    if item is None:
        return field_id
    return item if field_id == sites else [field_id, item]


_MOST_PARTS: Final = 4


def _whole(element: Any) -> list[Any] | None:
    whole: Sequence[Any] = [None, element] if isinstance(element, str) else [element] if type(element) is int else element
    if not isinstance(whole, list) or not 1 <= len(whole) <= _MOST_PARTS or (element is whole and type(whole[0]) is not int):
        return None
    return whole if all(each is None or isinstance(each, str) for each in whole[1:]) else None
