"""Rows as a table for a terminal: columns of cells, fitted to its width."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

from trialsync.publish.text import one_line, shortened, width_of
from trialsync.publish.value import ABSENT, compact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from trialsync.model import Json

Row: TypeAlias = "Mapping[str, Json]"
"""One row as JSON has it: a change, a version, a poll."""

_GAP: Final = "  "
_BOLD, _PLAIN = "\x1b[1m", "\x1b[0m"


def key(name: str) -> Callable[[Row, int | None], str]:
    """Return a reader of one value of a row, for a column: nothing where the row does not have it."""

    def read(row: Row, room: int | None) -> str:
        text = compact(row.get(name))
        return "" if text == ABSENT else text if room is None else shortened(text, room)

    return read


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table: its header, and how a row's cell reads in some room (in cells of the terminal; ``None`` for all it needs).

    A column gives way down to ``least`` cells where the terminal is narrow (never, if that is ``None``), and takes at most ``most`` where
    the width is not known. An ``optional`` column is left out where every cell is empty. ``tints`` maps a cell's text to its colour. What
    is to be read to its end (``whole``) is not cut in Markdown.
    """

    header: str
    text: Callable[[Row, int | None], str]
    least: int | None = None
    most: int = 60
    right: bool = False
    optional: bool = False
    whole: bool = False
    tints: Mapping[str, str] = field(default_factory=dict)


def text_table(rows: Sequence[Row], columns: Sequence[Column], *, width: int | None = None, color: bool = False) -> Iterator[str]:
    """Yield the lines of a table, each with its line feed: headers, a rule, a line a row; nothing where there are no rows.

    ``width`` is the terminal's, in cells; ``None`` where there is none. What is too long ends in ``…``. With ``color`` the headers are
    bold and some cells tinted, by ANSI escapes of our own; those of the registry's text never pass.
    """
    if not rows:
        return
    cells = [[one_line(column.text(row, None)) for column in columns] for row in rows]
    shown = [place for place, column in enumerate(columns) if not column.optional or any(line[place] for line in cells)]
    widths = _widths([columns[place] for place in shown], [[line[place] for line in cells] for place in shown], width)
    headers = [_fitted(columns[place].header, room, right=columns[place].right) for place, room in zip(shown, widths, strict=True)]
    line = _GAP.join(headers).rstrip()
    yield f"{_BOLD}{line}{_PLAIN}\n" if color else f"{line}\n"
    yield _GAP.join("─" * room for room in widths) + "\n"
    for row, texts in zip(rows, cells, strict=True):
        yield (
            _GAP.join(
                _cell(row, texts[place], columns[place], room, color=color) for place, room in zip(shown, widths, strict=True)
            ).rstrip()
            + "\n"
        )


def _cell(row: Row, text: str, column: Column, room: int, *, color: bool) -> str:
    if width_of(text) > room:
        text = one_line(column.text(row, room))
    fitted = _fitted(text, room, right=column.right)
    tint = column.tints.get(text) if color else None
    return f"\x1b[{tint}m{fitted}{_PLAIN}" if tint else fitted


def _fitted(text: str, room: int, *, right: bool) -> str:
    cut = shortened(text, room)
    padding = " " * (room - width_of(cut))
    return padding + cut if right else cut + padding


def _widths(columns: Sequence[Column], cells: Sequence[Sequence[str]], width: int | None) -> list[int]:
    """Return each column's width: what it needs, the widest giving way first where that is more than there is."""
    widths = [max(width_of(column.header), *(width_of(text) for text in texts)) for column, texts in zip(columns, cells, strict=True)]
    if width is None:
        return [room if column.least is None else min(room, column.most) for column, room in zip(columns, widths, strict=True)]
    room = width - len(_GAP) * (len(widths) - 1)
    if sum(widths) <= room:
        return widths

    def capped(cap: int) -> list[int]:
        return [
            natural if column.least is None else min(natural, max(cap, column.least))
            for column, natural in zip(columns, widths, strict=True)
        ]

    # The largest cap that fits; the columns below it keep what they need.
    cap = bisect_left(range(max(widths)), 1, key=lambda cap: sum(capped(cap)) > room) - 1
    fitted = capped(max(cap, 0))
    for place, natural in enumerate(widths):
        if sum(fitted) < room and fitted[place] < natural:
            fitted[place] += 1
    return fitted
