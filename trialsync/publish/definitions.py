"""Rules of facts below each other, as a glossary: nothing of a definition is cut."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING, Final

from trialsync.publish.text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from trialsync.publish.table import Row

_WIDE: Final = 100
_LEAST: Final = 20
_ASIDE: Final = "    "
_BOLD, _PLAIN = "\x1b[1m", "\x1b[0m"


def definitions(rows: Iterable[Row], *, width: int | None = None, color: bool = False) -> Iterator[str]:
    """Yield each rule as text for a terminal: id, version and rows on one line, its definition and source set in below, all of it.

    ``rows`` are those of ``fact_json``; ``width`` is the terminal's in cells, 100 at most, 100 where it is ``None``.
    """
    room = max(min(width or _WIDE, _WIDE), _LEAST)
    for row in rows:
        carried = f", {row['rows']:,} {'row' if row['rows'] == 1 else 'rows'}" if row["rows"] is not None else ""
        name = f"{_BOLD}{row['id']}{_PLAIN}" if color else row["id"]
        yield f"{name}  (rule {row['rule']}{carried})\n"
        for text in (row["definition"], f"Source: {row['source']}"):
            for line in wrap(one_line(text), room, initial_indent=_ASIDE, subsequent_indent=_ASIDE, break_on_hyphens=False):
                yield f"{line}\n"
        yield "\n"
