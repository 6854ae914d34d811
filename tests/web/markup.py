"""A reader of pages, as strict as a browser is forgiving: what is in a page, and what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Final

_VOID: Final = frozenset({"meta", "link", "input", "br", "img", "hr"})
_APART: Final = frozenset({"dt", "dd", "th", "td", "li", "p", "text"})
_CLOSED: Final = frozenset({"rect", "line", "path", "circle"})


@dataclass
class Page:
    """A page that was read: its links, ids, elements, text, and the faults that were found."""

    links: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    elements: list[str] = field(default_factory=list)
    attributes: set[str] = field(default_factory=set)
    text: str = ""
    title: str = ""
    faults: list[str] = field(default_factory=list)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.page = Page()
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.page.elements.append(tag)
        names = [name for name, _ in attrs]
        if len(names) != len(set(names)):
            self.page.faults.append(f"<{tag}> has an attribute twice")
        for name, value in attrs:
            self.page.attributes.add(name)
            if name == "id" and value is not None:
                self.page.ids.append(value)
            if name in {"href", "src", "action"}:
                self.page.links.append(value or "")
        if tag not in _VOID:
            self._open.append(tag)
        if tag in _APART:
            self.page.text += " "

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self._open.pop()
        if tag not in _VOID | _CLOSED:
            self.page.faults.append(f"<{tag}/>")

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.page.faults.append(f"</{tag}> closes nothing")

    def handle_data(self, data: str) -> None:
        self.page.text += data
        if self._open and self._open[-1] == "title" and not self.page.title:
            self.page.title = data

    def close(self) -> None:
        super().close()
        self.page.faults += [f"<{tag}> stays open" for tag in self._open]
        self.page.faults += [f"id {each} twice" for each in set(self.page.ids) if self.page.ids.count(each) > 1]


def read(html: str) -> Page:
    """Return a page, read."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return reader.page
