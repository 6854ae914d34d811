"""In which order blobs of very different sizes have to be inserted so that they fill the pages of their table.

SQLite keeps of a row that is longer than a page one part in the table's own page, and the rest in pages that are full but for none
(https://www.sqlite.org/fileformat2.html#b_tree_pages). Those parts are anything between a tenth of a page and all of it: in the order in
which they come, they leave a quarter of these pages empty.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Final

from trialsync.store.schema import PAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

_SPARE: Final = 32
"""So much of a page is left for what grows: a study's next content is often some bytes longer."""

_ROOM: Final = PAGE_BYTES - 8 - _SPARE
_MOST: Final = PAGE_BYTES - 35
_LEAST: Final = (PAGE_BYTES - 12) * 32 // 255 - 23
_CHAINED: Final = PAGE_BYTES - 4
_HEADER: Final = 4
"""The bytes of a row's own header, that of a blob's length in it."""

_AROUND: Final = 12
"""What a row takes in a page beside what of it is there: its place, its length, its number, and where the rest is."""


def filling(sizes: Sequence[int]) -> list[int]:
    """Return the places of blobs of these sizes, in bytes, in the order in which they fill pages: into each go the largest that fit."""
    left = sorted((_within(size), place) for place, size in enumerate(sizes))
    order = []
    while left:
        needed, place = left.pop()
        order.append(place)
        room = _ROOM - needed
        while left and left[0][0] <= room:
            needed, place = left.pop(bisect_right(left, (room, len(sizes))) - 1)
            order.append(place)
            room -= needed
    return order


def _within(size: int) -> int:
    """Return how many bytes of a row with a blob stand in the table's own page."""
    whole = _HEADER + size
    kept = whole if whole <= _MOST else _LEAST + (whole - _LEAST) % _CHAINED
    return (kept if kept <= _MOST else _LEAST) + _AROUND
