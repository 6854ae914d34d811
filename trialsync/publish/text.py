"""Registry text made safe to show: on a terminal, in a Markdown page, in a table's cell.

Anybody may write into the registry, so its text may hold control characters, terminal escapes, bidirectional overrides, or Markdown that
would take the page around it apart.
"""

from __future__ import annotations

import re
from typing import Final

from rich.cells import cell_len

# What moves the cursor, or a receiver's state, gets a visible sign; what only hides or turns text round is left out.
_SIGNS: Final[dict[int, str | None]] = {
    **{code: chr(0x2400 + code) for code in range(0x20)},
    0x7F: "\u2421",
    **dict.fromkeys(range(0x80, 0xA0), "\ufffd"),
    **dict.fromkeys(range(0xD800, 0xE000), "\ufffd"),
    **dict.fromkeys((0xFFFE, 0xFFFF), "\ufffd"),
    **dict.fromkeys((*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x061C), None),
    **dict.fromkeys((0xFEFF, *range(0xFFF9, 0xFFFC), *range(0xE0000, 0xE0080)), None),
}
_SIGNS_IN_BLOCKS: Final = {code: sign for code, sign in _SIGNS.items() if code not in (ord("\n"), ord("\t"))}

_CONTAINER: Final = re.compile(r"[ \t]*(?:>[ \t]?|[-+*][ \t]+|\d{1,9}[.)][ \t]+)")
_HEADING: Final = re.compile(r"#{1,6}(?=[ \t]|$)")
_FENCE: Final = re.compile(r"`{3,}|~{3,}")
_RULE: Final = re.compile(r"(?:(?:\*[ \t]*){3,}|(?:-[ \t]*){3,}|(?:_[ \t]*){3,})$")
_UNDERLINE: Final = re.compile(r"(?:=+|-+)[ \t]*$")
_TAG: Final = re.compile(r"(\\*)<(?=[A-Za-z/!?])")
_BLANK_START: Final = re.compile(r"\A(?:[ \t]*\n)+")
_MOST_TO_A_CELL: Final = 16
_EMPTY_COMMENT: Final = "<!-- -->"


def one_line(text: str) -> str:
    """Return the text on one line: white space collapsed and trimmed, control characters visible, bidirectional overrides left out."""
    return " ".join(" ".join(text.split()).translate(_SIGNS).split())


def visible(text: str) -> str:
    """Return the text with its line feeds and tabs, other control characters visible, bidirectional overrides left out."""
    return text.replace("\r\n", "\n").translate(_SIGNS_IN_BLOCKS)


def block(text: str) -> str:
    """Return text of several lines: every kind of line end a line feed, no blank lines at its ends, control characters visible."""
    lines = "\n".join(text.splitlines()).translate(_SIGNS_IN_BLOCKS)
    return _BLANK_START.sub("", lines).rstrip()


def inline_markdown(text: str) -> str:
    """Return the text as one line of Markdown in which no HTML tag or comment begins; the registry's text is Markdown already."""
    return _without_tags(one_line(text))


def block_markdown(text: str) -> str:
    """Return the text as Markdown paragraphs and lists that cannot begin a heading, a fence, a rule or HTML.

    A line that holds nothing but ``<!-- -->`` stays: the registry sets two lists apart with it.
    """
    return "\n".join(line if line.strip() == _EMPTY_COMMENT else line_markdown(_without_tags(line)) for line in block(text).split("\n"))


def line_markdown(line: str) -> str:
    """Return one line of Markdown with a backslash before what would begin a heading, a fence or a rule, inside a list or quote too."""
    start = 0
    while True:
        rest = line[start:]
        body = rest.lstrip(" \t")
        at = start + len(rest) - len(body)
        if _HEADING.match(body) or _RULE.match(body) or _UNDERLINE.match(body):
            return f"{line[:at]}\\{line[at:]}"
        if fence := _FENCE.match(body):
            return line[:at] + "".join(f"\\{sign}" for sign in fence.group()) + body[fence.end() :]
        container = _CONTAINER.match(rest)
        if container is None:
            return line
        start += container.end()


def fenced(text: str) -> str:
    """Return the text inside a Markdown fence that is longer than any run of backticks in it."""
    inside = block(text)
    longest = max((len(run) for run in re.findall(r"`+", inside)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{inside}\n{fence}"


def code_span(text: str) -> str:
    """Return the text as a Markdown code span; its backticks become ``'``."""
    return f"`{one_line(text).replace('`', chr(39))}`"


def width_of(text: str) -> int:
    """Return how many cells of a terminal the text takes; wide characters take two."""
    return len(text) if text.isascii() else cell_len(text, "latest")


def shortened(text: str, width: int) -> str:
    """Return the text in at most ``width`` cells, its end replaced by ``…`` where it was longer."""
    if len(text) * 2 <= width or (len(text) <= width * _MOST_TO_A_CELL and width_of(text) <= width):
        return text
    kept = text[: max(width - 1, 0)]
    while kept and width_of(kept) > width - 1:
        kept = kept[:-1]
    return f"{kept.rstrip()}…" if width > 0 else ""


def _without_tags(line: str) -> str:
    """Return the line with a backslash before each ``<`` that would begin a tag and has none yet."""
    return _TAG.sub(lambda found: found.group() if len(found.group(1)) % 2 else f"{found.group(1)}\\<", line)
