"""A record in the flavour of the registry's history: HTML instead of Markdown, and only what history carries."""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING, Any, Final

from trialsync.registry.html_text import MARKUP
from trialsync.study.seam import SECTIONS

if TYPE_CHECKING:
    from trialsync.model import Study

_ITEM: Final = re.compile(r"( *)(\*|\d+\.) ")
_ESCAPE: Final = re.compile(r"\\([!-/:-@\[-`{-~])")
_SENTENCE: Final = re.compile(r"([.?!]) (?=[A-Z])")


def historic(study: Study) -> Study:
    """Return what history would hold of a record: its sections, texts as HTML, reviewers' numbers at outcomes, no places on the map."""
    return {name: _flavoured(study[name], name) for name in SECTIONS if name in study}


def _flavoured(value: Any, path: str) -> Any:
    if isinstance(value, str):
        return html(value) if path in MARKUP else _escaped(value)
    if isinstance(value, list):
        return [_flavoured(each, path) for each in value]
    if isinstance(value, dict):
        found = {name: _flavoured(each, f"{path}.{name}") for name, each in value.items() if name != "geoPoint"}
        return found | {"reviewUnit": "1"} if path.endswith("Outcomes") else found
    return value


def html(markdown: str) -> str:
    """Return the registry's Markdown as its HTML: paragraphs, lists, escapes resolved, a line break after each sentence."""
    blocks = _blocks(markdown.split("\n"))
    return blocks[0][1] if len(blocks) == 1 and blocks[0][0] == "p" else "".join(_tagged(*block) for block in blocks)


def _tagged(kind: str, inside: str) -> str:
    return f"<{kind}>{inside}</{kind}>"


def _blocks(lines: list[str]) -> list[tuple[str, str]]:
    """Return the blocks of some lines, each as its tag and what is in it."""
    found: list[tuple[str, str]] = []
    words: list[str] = []
    place = 0
    while place < len(lines):
        item = _ITEM.match(lines[place])
        if item is None and lines[place].strip() and lines[place] != "<!-- -->":
            words.append(lines[place].strip())
            place += 1
            continue
        if words:
            found.append(("p", _inline(" ".join(words))))
            words = []
        if item is None:
            place += 1
            continue
        kind = "ul" if item[2] == "*" else "ol"
        inside, place = _items(lines, place, kind, len(item[1]))
        found.append((kind, inside))
    if words:
        found.append(("p", _inline(" ".join(words))))
    return found


def _items(lines: list[str], place: int, kind: str, indent: int) -> tuple[str, int]:
    """Return the items of a list that begins at a line, and the line after it."""
    items = []
    while place < len(lines):
        item = _ITEM.match(lines[place])
        if item is None or len(item[1]) != indent or ("ul" if item[2] == "*" else "ol") != kind:
            break
        width = item.end()
        body = [lines[place][width:]]
        place += 1
        while place < len(lines) and (not lines[place].strip() or lines[place].startswith(" " * width)):
            body.append(lines[place][width:])
            place += 1
        blocks = _blocks(body)
        alone = len(blocks) == 1 and blocks[0][0] == "p"
        items.append(_tagged("li", blocks[0][1] if alone else "".join(_tagged(*block) for block in blocks)))
    return "".join(items), place


def _inline(text: str) -> str:
    return _SENTENCE.sub("\\1\n", _escaped(_ESCAPE.sub(r"\1", text)))


def _escaped(text: str) -> str:
    return escape(text).replace("/", "&#x2F;")
