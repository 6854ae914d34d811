"""The registry's values in a person's words: one line, and for two of them the place where they part."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from trialsync.publish.text import one_line, shortened, width_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trialsync.model import Json

ABSENT: Final = "—"
"""What stands for a value that is not there."""

_ARROW: Final = " → "
_LEAST_EXCERPT: Final = 12


def compact(value: Json) -> str:
    """Return a value on one line: text as it is, lists joined by commas, objects as ``key: value``, nothing as a dash."""
    if value is None or value in ("", [], {}):
        return ABSENT
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return ", ".join(f"{one_line(str(name))}: {compact(inside)}" for name, inside in value.items())
    if isinstance(value, list):
        return ("; " if any(isinstance(each, dict | list) for each in value) else ", ").join(compact(each) for each in value)
    return one_line(str(value))


def before_after(kind: str, before: Json, after: Json, room: int | None = None) -> str:
    """Return what a change did on one line: ``before → after`` of a change, the value alone of an item added or removed.

    In ``room`` cells, where that is given. Two long texts are cut to where they part, so that the difference is seen.
    """
    if kind != "changed":
        value = compact(after if kind == "added" else before)
        return value if room is None else shortened(value, room)
    old, new = compact(before), compact(after)
    if room is None or width_of(old) + width_of(_ARROW) + width_of(new) <= room:
        return f"{old}{_ARROW}{new}"
    old, new = _from_where_they_part(old, new)
    each = max((room - width_of(_ARROW)) // 2, 1)
    old_room = max(each, room - width_of(_ARROW) - width_of(new))
    old = shortened(old, old_room)
    return shortened(f"{old}{_ARROW}{shortened(new, room - width_of(_ARROW) - width_of(old))}", room)


def path_in(path: str, room: int | None = None) -> str:
    """Return a path in ``room`` cells: its middle gives way, since the field and the attribute stand at its ends.

    Two thirds are its end, where items of one list differ.
    """
    shown = one_line(path)
    if room is None or width_of(shown) <= room:
        return shown
    end = room * 2 // 3
    tail = shown[-end:] if room > _LEAST_EXCERPT else ""
    while tail and width_of(tail) > end:
        tail = tail[1:]
    return f"{shortened(shown, room - width_of(tail))}{tail}"


def _from_where_they_part(old: str, new: str) -> tuple[str, str]:
    """Return two texts without the words that both begin with and both end with, ``…`` in their place."""
    first, second = old.split(" "), new.split(" ")
    shorter = min(len(first), len(second))
    start = next((place for place in range(shorter) if first[place] != second[place]), shorter)
    end = next((place for place in range(shorter - start) if first[-1 - place] != second[-1 - place]), shorter - start)
    # One word of what stays the same on either side, to know the place by.
    start, end = max(start - 1, 0), max(end - 1, 0)
    return _excerpt(first, start, end), _excerpt(second, start, end)


def _excerpt(words: Sequence[str], start: int, end: int) -> str:
    return ("… " if start else "") + " ".join(words[start : len(words) - end]) + (" …" if end else "")
