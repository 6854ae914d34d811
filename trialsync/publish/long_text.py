r"""Long text word by word, for each medium: marks in plain text, colours on a terminal, ``<ins>`` and ``<del>`` in HTML and Markdown.

In plain text what was inserted stands in ``{+ +}`` and what was deleted in ``[- -]``, as GNU wdiff has it. Registry text that holds such a
mark itself gets a backslash into it (``{\+``), and one more where it has some already, so that a mark without one is always ours and the
words can be had back. Marks, colours and tags end where a line ends and begin again on the next, as pagers and lists want it.
"""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING, Final

from trialsync.publish.text import code_span, fenced, inline_markdown, one_line, shortened, visible, width_of
from trialsync.study.words import Fold, Mark, Piece, folded, word_counts, word_difference

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from trialsync.model import Json
    from trialsync.publish.table import Row

_LEAST_WORDS: Final = 5
_OURS: Final = re.compile(r"([{\[+-])(\\*)(?=[+\-}\]])")
_PAIRS: Final = frozenset({"{+", "+}", "[-", "-]"})
_INSERTED, _DELETED, _DIM, _PLAIN = "\x1b[32;4m", "\x1b[31;9m", "\x1b[2m", "\x1b[0m"
_ASIDE: Final = 4
_CELL: Final = 48


def is_long(before: Json, after: Json) -> bool:
    """Return whether a change from one value to another is read word by word: both are texts, and one is more than a few words."""
    if not isinstance(before, str) or not isinstance(after, str):
        return False
    return any(len(text.split(maxsplit=_LEAST_WORDS)) > _LEAST_WORDS for text in (before, after))


def marked(pieces: Iterable[Piece | Fold]) -> str:
    """Return pieces as plain text of several lines, with ``{+ +}`` and ``[- -]``; control characters are visible."""
    return _put(pieces, _marked)


def colored(pieces: Iterable[Piece | Fold]) -> str:
    """Return pieces as text for a terminal: inserted green and underlined, deleted red and struck out, by ANSI escapes of our own."""
    return _put(pieces, _colored)


def html(pieces: Iterable[Piece | Fold]) -> str:
    """Return pieces as HTML, escaped: ``<ins>``, ``<del>``, and ``<span class="fold">`` for what is folded; line feeds stay as they are."""
    return _put(pieces, _html)


def markdown(pieces: Iterable[Piece | Fold]) -> str:
    """Return pieces as one line of Markdown for a list or a table's cell (whose bars are the table's affair), with ``<ins>``, ``<del>``."""
    return " ".join(_put(pieces, _markdown).split())


def markdown_block(pieces: Iterable[Piece | Fold]) -> str:
    """Return pieces as a fenced block of Markdown, with the marks of plain text; nothing in it can leave the fence."""
    return fenced(marked(pieces))


def html_difference(before: str, after: str) -> str:
    """Return what leads from one text to another as HTML, with context folded."""
    return html(folded(word_difference(before, after)))


def in_a_line(before: str, after: str, room: int | None = None) -> str:
    """Return the first edit between two texts with a few words around it, on one line, in ``room`` cells: all edits where that is None."""
    pieces = [
        piece if isinstance(piece, Fold) else Piece(piece.kind, one_line_around(piece.text))
        for piece in folded(word_difference(before, after), context=0)
    ]
    whole = one_line("".join(f" {piece} " if isinstance(piece, Fold) else _line_marked(piece) for piece in pieces))
    if room is None or width_of(whole) <= room:
        return whole
    return _excerpt([piece for piece in pieces if isinstance(piece, Piece)], room)


def differences(rows: Iterable[Row], *, in_markdown: bool = False, color: bool = False) -> Iterator[str]:
    """Yield, for each change of a long text that a table's cell can't hold, its path and the whole difference, context folded.

    ``rows`` are changes as JSON has them. On a terminal (with or without ``color``) the text is set in by four cells.
    """
    for row in rows:
        before, after = row["before"], row["after"]
        if row["kind"] != "changed" or not is_long(before, after) or width_of(in_a_line(before, after)) <= _CELL:
            continue
        pieces = folded(word_difference(before, after))
        if in_markdown:
            yield f"\n{code_span(row['path'])} ({counted_words(before, after)}):\n\n{markdown_block(pieces)}\n"
        else:
            text = (colored if color else marked)(pieces).rstrip("\n")
            inside = "\n".join(f"{' ' * _ASIDE}{line}".rstrip() for line in text.split("\n"))
            yield f"\n{one_line(row['path'])} ({counted_words(before, after)}):\n{inside}\n"


def counted_words(before: str, after: str) -> str:
    """Return how many words were inserted and deleted: ``+12 −3 words``."""  # noqa: RUF002 - a minus sign
    inserted, deleted = word_counts(word_difference(before, after))
    parts = [f"+{inserted:,}"] * bool(inserted) + [f"−{deleted:,}"] * bool(deleted)  # noqa: RUF001 - a minus sign
    return f"{' '.join(parts)} {'word' if inserted + deleted == 1 else 'words'}" if parts else "punctuation alone"


def one_line_around(text: str) -> str:
    """Return a text on one line with a space left where it began or ended with white space."""
    inside = one_line(text)
    if not inside:
        return " " if text else ""
    return f"{' ' if text[0].isspace() else ''}{inside}{' ' if text[-1].isspace() else ''}"


def _excerpt(pieces: Sequence[Piece], room: int) -> str:
    """Return the first edit, and as many words before and after it as there is room for."""
    first = next((place for place, piece in enumerate(pieces) if piece.kind is not Mark.SAME and piece.text.strip()), 0)
    last = first
    while last + 1 < len(pieces) and Mark.SAME not in {pieces[last].kind, pieces[last + 1].kind}:
        last += 1
    # White space at an edit's end is the edit's own: without it two words would run together.
    edits = [piece for piece in pieces[first : last + 1] if piece.text.strip()]
    before = pieces[first - 1].text if first and pieces[first - 1].kind is Mark.SAME else ""
    after = "".join(_line_marked(piece) for piece in pieces[last + 1 :])
    marks = 4 * len(edits) + 4
    if sum(width_of(_escaped(piece.text)) for piece in edits) + marks > room:
        # Each edit gets an equal share, and what the short ones do not need goes to the others.
        left, share = max(room - marks, 0), []
        for number, place in enumerate(sorted(range(len(edits)), key=lambda place: len(edits[place].text))):
            each = min(width_of(_escaped(edits[place].text)), left // (len(edits) - number))
            share.append((place, each))
            left -= each
        shown = {place: shortened(_escaped(edits[place].text), each) for place, each in share}
        middle = "".join(_in_marks(piece.kind, shown[place]) for place, piece in enumerate(edits))
    else:
        middle = "".join(_line_marked(piece) for piece in edits)
    left = room - width_of(middle) - 2
    lead = _last_words(_escaped(before), max(left // 2, left - width_of(after)))
    space = " " if lead and before[-1:].isspace() and not lead.endswith(" ") else ""
    front = f"{lead}{space}{middle}"
    return shortened(one_line(f"{front}{after}"), room)


def _last_words(text: str, room: int) -> str:
    """Return the end of a text in so many cells, whole words of it, ``…`` before them."""
    if width_of(text) <= room:
        return text
    words: list[str] = []
    taken = 2
    for word in reversed(text.split(" ")):
        taken += width_of(word) + 1
        if taken > room:
            break
        words.append(word)
    return f"… {' '.join(reversed(words))}" if words else "…"


def _put(pieces: Iterable[Piece | Fold], put: Callable[[Mark | None, str], str]) -> str:
    """Return pieces as text; a fold of items stands on a line of its own, one of words between spaces."""
    return "".join(_each(pieces, put))


def _each(pieces: Iterable[Piece | Fold], put: Callable[[Mark | None, str], str]) -> Iterator[str]:
    at_start = True
    for piece in pieces:
        if isinstance(piece, Fold):
            if piece.unit == "word":
                yield f" {put(None, str(piece))}"
            else:
                yield f"{'' if at_start else chr(10)}{put(None, str(piece))}\n"
            at_start = piece.unit != "word"
        elif text := visible(piece.text):
            yield put(piece.kind, text)
            at_start = text.endswith("\n")


def _in_marks(kind: Mark | None, text: str) -> str:
    return f"{{+{text}+}}" if kind is Mark.INSERTED else f"[-{text}-]" if kind is Mark.DELETED else text


def _by_line(text: str, put: Callable[[str], str]) -> str:
    """Return a text with each line that is not empty put into something."""
    return "\n".join(put(line) if line else "" for line in text.split("\n"))


def _marked(kind: Mark | None, text: str) -> str:
    return text if kind is None else _by_line(text, lambda line: _in_marks(kind, _escaped(line)))


def _line_marked(piece: Piece) -> str:
    return _in_marks(piece.kind, _escaped(piece.text))


def _escaped(text: str) -> str:
    """Return the registry's text with a backslash more in whatever reads like a mark of ours."""

    def one_more(found: re.Match[str]) -> str:
        pair = found[1] + text[found.end()]
        return f"{found[1]}\\{found[2]}" if pair in _PAIRS else found[0]

    return _OURS.sub(one_more, text)


def _colored(kind: Mark | None, text: str) -> str:
    start = {None: _DIM, Mark.INSERTED: _INSERTED, Mark.DELETED: _DELETED}.get(kind)
    return _by_line(text, lambda line: f"{start}{line}{_PLAIN}") if start else text


def _html(kind: Mark | None, text: str) -> str:
    if kind is None:
        return f'<span class="fold">{escape(text)}</span>'
    tag = {Mark.INSERTED: "ins", Mark.DELETED: "del"}.get(kind)
    return _by_line(escape(text), lambda line: f"<{tag}>{line}</{tag}>") if tag else escape(text)


def _markdown(kind: Mark | None, text: str) -> str:
    inside = inline_markdown(text)
    tag = {Mark.INSERTED: "ins", Mark.DELETED: "del"}.get(kind) if kind else None
    before, after = (" " if text[0].isspace() else ""), (" " if text[-1].isspace() else "")
    if tag is None or not inside:
        return f"{before}{inside}{after}"
    return f"{before}<{tag}>{inside}</{tag}>{after}"
