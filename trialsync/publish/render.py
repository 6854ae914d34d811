"""Rows in the format that was asked for: a table, a JSON array, JSON lines, CSV or a Markdown table."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING, Final

import orjson

from trialsync.publish.table import Column, text_table
from trialsync.publish.text import inline_markdown, visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from trialsync.model import Json
    from trialsync.publish.table import Row


class Format(StrEnum):
    """How rows are printed."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"
    MD = "md"


@dataclass(frozen=True, slots=True)
class Sheet:
    """How the rows of one kind are printed: the keys that a CSV has, in order, and the columns of a table."""

    keys: tuple[str, ...]
    columns: tuple[Column, ...]


MARKDOWN_CELL: Final = 160
"""The most characters of a Markdown table's cell; a longer one ends in ``…``."""

# Lossless in JSON, and safe on a terminal: what would steer it, or turn text round, is written as an escape.
_STEERING: Final = re.compile("[\x7f-\x9f\u061c\u2028-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]")
# Spreadsheets take the full-width signs too, and some pass over white space and what has no width.
_FORMULA: Final = re.compile(r"[\t\r\n]|[\s\u00ad\u200b-\u200f\u2060-\u2064\ufeff]*[=+\-@＝＋－＠]")  # noqa: RUF001
_NUMBER: Final = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?", re.ASCII)


_TABLE_ROWS: Final = 10_000
"""So many rows share a table's header and widths; where there are more, another table follows, so that they need not all be in memory."""


def render(rows: Iterable[Row], sheet: Sheet, form: Format, *, width: int | None = None, color: bool = False) -> Iterator[str]:
    """Yield the rows as text, in pieces that end in a line feed (CSV: carriage return and line feed, as RFC 4180 has it).

    JSON and JSON lines hold every key of a row, CSV those of the sheet, a table and Markdown the sheet's columns. All stream,
    the table some thousand rows at a time. ``width`` (a terminal's, in cells) and ``color`` matter to the table alone. No rows: ``[]``, a
    header, or nothing in a table and JSON lines.
    """
    match form:
        case Format.TABLE:
            return _tables(iter(rows), sheet, width=width, color=color)
        case Format.JSON:
            return _json_array(rows)
        case Format.JSONL:
            return (f"{json_text(row)}\n" for row in rows)
        case Format.CSV:
            return _csv(rows, sheet.keys)
        case Format.MD:
            return _markdown(rows, sheet.columns)


def _tables(rows: Iterator[Row], sheet: Sheet, *, width: int | None, color: bool) -> Iterator[str]:
    between = ""
    while some := list(islice(rows, _TABLE_ROWS)):
        if between:
            yield between
        yield from text_table(some, sheet.columns, width=width, color=color)
        between = "\n"


def json_text(value: Json) -> str:
    """Return a value as JSON on one line, equal when read back; what would steer a terminal is escaped."""
    return _STEERING.sub(_escaped, orjson.dumps(value, default=dict).decode())


def csv_cell(value: Json) -> str:
    """Return a value as a CSV cell's text: nothing for ``None``, JSON for lists and objects, text that no spreadsheet takes for a formula.

    Text that begins with ``= + - @``, a tab or a line end gets a ``'`` in front, unless it is a number.
    """
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case str():
            shown = visible(value)
            return f"'{shown}" if (_FORMULA.match(shown) or _FORMULA.match(value)) and not _NUMBER.fullmatch(shown) else shown
        case _:
            return json_text(value)


def cut_footer(shown: int, total: int | str, noun: str | None = None) -> str | None:
    """Return the line that ends a cut table, ``100 of 2,431 (--limit 0 for all)``; ``None`` where nothing was cut.

    ``noun`` says what is counted, where that is not what there is a line for. A ``total`` that was not counted to its end is in words.
    """
    if isinstance(total, int) and shown >= total:
        return None
    return f"{shown:,} of {f'{total:,}' if isinstance(total, int) else total}{f' {noun}' if noun else ''} (--limit 0 for all)"


def _escaped(found: re.Match[str]) -> str:
    """Return a character as JSON's escape: one, or a pair of them beyond the basic plane."""
    units = found.group().encode("utf-16-be")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


def _json_array(rows: Iterable[Row]) -> Iterator[str]:
    before = "["
    for row in rows:
        yield f"{before}\n  {json_text(row)}"
        before = ","
    yield "[]\n" if before == "[" else "\n]\n"


def _csv(rows: Iterable[Row], keys: Sequence[str]) -> Iterator[str]:
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(keys)
    yield buffer.getvalue()
    for row in rows:
        buffer.seek(0)
        buffer.truncate()
        writer.writerow([csv_cell(row.get(key)) for key in keys])
        yield buffer.getvalue()


def _markdown(rows: Iterable[Row], columns: Sequence[Column]) -> Iterator[str]:
    yield _markdown_line(column.header for column in columns)
    yield _markdown_line("---:" if column.right else "---" for column in columns)
    for row in rows:
        yield _markdown_line(
            _markdown_cell(column.text(row, None if column.least is None or column.whole else MARKDOWN_CELL)) for column in columns
        )


def _markdown_line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |\n"


def _markdown_cell(text: str) -> str:
    # A backslash before the bar would take the bar's own away.
    return re.sub(r"(\\*)\|", r"\1\1\\|", inline_markdown(text))
