"""A line a study: what happened to one study on one day, to be read in a glance, on a terminal and in Markdown."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from trialsync.publish.phrase import Phrase, Tone
from trialsync.publish.phrases import phrases
from trialsync.publish.text import inline_markdown, one_line, shortened, width_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trialsync.model import LoggedChange

_DOT: Final = " · "
_GAP: Final = "  "
_WIDE: Final = 100
_NAMES: Final = 4
_MOST_IMPORTANT: Final = 3
_LEAST_QUOTED: Final = 16
_QUOTED: Final = 80
_TITLE: Final = 80
_WHO: Final = 40
_TINTS: Final = {Tone.GOOD: "\x1b[32m", Tone.BAD: "\x1b[31m"}
_BOLD, _PLAIN = "\x1b[1m", "\x1b[0m"
_QUOTE: Final = ' ("'
_SIGNS: Final = re.compile(r"[*`\[\]\\]")


@dataclass(frozen=True, slots=True)
class Line:
    """What happened to one study on one day: ``date`` is an ISO day, ``who`` its sponsor or title, ``left`` the fields without a phrase.

    ``title`` is its short title, on one line; empty where it has none.
    """

    date: str
    nct_id: str
    url: str
    title: str
    who: str
    phrases: tuple[Phrase, ...]
    left: tuple[str, ...]


def line(changes: Sequence[LoggedChange]) -> Line:
    """Return the line for the rows of one study and one day, at least one of them, in the order of the log."""
    last = changes[-1]
    said, left = phrases(changes)
    title = one_line(last.title or "")
    return Line(last.date, last.nct_id, last.url, title, one_line(last.sponsor or title), tuple(said), left)


def terminal_line(told: Line, *, width: int | None = None, color: bool = False) -> str:
    """Return a line for a terminal, with its line feed: two rows of ``width`` cells, three where that is less than 100, one where ``None``.

    A row more where one of the three phrases that matter most would not be told otherwise.

    The date, the number and every figure are never cut: what gives way is the registry's text in quotes, then the sponsor's name, then the
    phrases that matter least, which are counted.
    """
    head = f"{told.date}{_GAP}{told.nct_id}{_GAP}"
    if width is None:
        return _painted(head, [_parts(told, len(told.phrases), _QUOTED, names=True)], color=color)
    indent = len(told.date) + len(_GAP)
    first, others, most = max(width - len(head), 1), max(width - indent, 1), 2 if width >= _WIDE else 3
    if told.who:
        told = replace(told, who=shortened(told.who, max(min(_WHO, first // 2), _LEAST_QUOTED)))
    for shown in range(len(told.phrases), -1, -1):
        # Where even one of the most important would not be said, there is a row more.
        room = most + (shown < len(told.phrases) and shown < _MOST_IMPORTANT)
        for names, quoted in ((True, _QUOTED), *((False, length) for length in range(_QUOTED, _LEAST_QUOTED - 1, -8))):
            rows = _wrapped(_parts(told, min(shown + room - most, len(told.phrases)), quoted, names=names), first, others)
            if len(rows) <= room:
                return _painted(head, rows, color=color, indent=" " * indent)
    return _painted(head, rows[:most], color=color, indent=" " * indent)


def markdown_line(told: Line) -> str:
    """Return a line as an item of a Markdown list, with its line feed: the number a link, the title behind it.

    The registry's text is unable to leave its line.
    """
    parts = _parts(told, len(told.phrases), _QUOTED, names=True)
    if told.title and told.title != told.who:
        parts.insert(0, _Part(shortened(told.title, _TITLE)))
    return f"- {told.date} [{told.nct_id}]({told.url}) {_DOT.join(_literal(part.text) for part in parts)}\n"


@dataclass(frozen=True, slots=True)
class _Part:
    text: str
    tone: Tone = Tone.PLAIN
    goes_on: bool = False


def _parts(told: Line, shown: int, quoted: int, *, names: bool) -> list[_Part]:
    """Return what a line says: so many of its phrases, and the other fields by number, with ``names`` by name where all phrases stand."""
    said = [_part(phrase, quoted) for phrase in told.phrases[:shown]]
    dropped = frozenset[str]().union(*(phrase.fields for phrase in told.phrases[shown:]))
    left = tuple(dict.fromkeys((*sorted(dropped), *told.left)))
    rest = [_Part(_rest(left, names=names and not dropped, first=not said))] if left else []
    return [*([_Part(told.who)] if told.who else []), *said, *rest]


def _part(phrase: Phrase, quoted: int) -> _Part:
    text = one_line(phrase.text)
    return _Part(f'{text} ("{shortened(one_line(phrase.quoted), quoted)}")' if phrase.quoted else text, phrase.tone)


def _rest(left: Sequence[str], *, names: bool, first: bool) -> str:
    """Return what stands for the fields that no phrase speaks of: their names, where there are few and room."""
    shown = ", ".join(one_line(name.partition(".")[2] or name) for name in left[:_NAMES])
    more = len(left) - _NAMES
    if first and names:
        return f"{shown} and {more:,} more" if more > 0 else shown
    count = f"{'' if first else 'and '}{len(left):,} {'' if first else 'more '}{'field' if len(left) == 1 else 'fields'}"
    return f"{count} ({shown}{', …' if more > 0 else ''})" if names else count


def _literal(text: str) -> str:
    """Return one line of text with what Markdown would take for emphasis, code or a link escaped."""
    return inline_markdown(_SIGNS.sub(lambda found: f"\\{found.group()}", text))


def _wrapped(parts: Sequence[_Part], first: int, others: int) -> list[list[_Part]]:
    """Return the parts in rows: ``first`` cells in the first row, ``others`` in those below; too wide a part is broken at a space."""
    rows: list[list[_Part]] = [[]]
    for part in parts:
        room = first if len(rows) == 1 else others
        # A row that others follow ends in the dot.
        if rows[-1] and _width([*rows[-1], part]) + len(_DOT.rstrip()) > room:
            # What is quoted may stand in the next row: the rest of the phrase fits here.
            before, quote, after = part.text.partition(_QUOTE)
            head = _Part(before, part.tone, goes_on=True)
            if quote and _width([*rows[-1], head]) <= room:
                rows[-1].append(head)
                part = replace(part, text=f"{quote.lstrip()}{after}")  # noqa: PLW2901 - what is left of it
            rows.append([])
            room = others
        pieces = list(_broken(part, room, others)) if width_of(part.text) + len(_DOT.rstrip()) > room else [part]
        rows[-1].append(pieces[0])
        rows += [[piece] for piece in pieces[1:]]
    return rows


def _broken(part: _Part, first: int, others: int) -> Iterator[_Part]:
    """Yield a part in pieces that fit into rows, broken at spaces, inside a word where there is none."""
    room, taken = first - len(_DOT.rstrip()), ""
    for word in part.text.split(" "):
        if taken and width_of(f"{taken} {word}") > room:
            yield _Part(taken, part.tone, goes_on=True)
            room, taken = others - len(_DOT.rstrip()), ""
        taken = shortened(f"{taken} {word}" if taken else word, max(room, 1))
    yield _Part(taken, part.tone)


def _width(row: Sequence[_Part]) -> int:
    return sum(width_of(part.text) for part in row) + len(_DOT) * (len(row) - 1)


def _painted(head: str, rows: Sequence[Sequence[_Part]], *, color: bool, indent: str = "") -> str:
    def painted(part: _Part) -> str:
        tint = _TINTS.get(part.tone)
        return f"{tint}{part.text}{_PLAIN}" if color and tint else part.text

    text = ""
    for place, row in enumerate(rows):
        text += _DOT.join(painted(part) for part in row)
        if place < len(rows) - 1:
            text += f"{'' if row[-1].goes_on else _DOT.rstrip()}\n{indent}"
    begin = head
    if color:
        day, _, number = head.rstrip().partition(_GAP)
        begin = f"{day}{_GAP}{_BOLD}{number}{_PLAIN}{_GAP}"
    return f"{begin}{text}".rstrip() + "\n"
