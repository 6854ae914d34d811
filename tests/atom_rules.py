"""What RFC 4287 asks of a feed document, rule by rule."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

ATOM: Final = "{http://www.w3.org/2005/Atom}"
_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_MEDIA_TYPE: Final = re.compile(r"[\w.+-]+/[\w.+-]+")

# How often each child may stand in a feed and in an entry (4.1.1, 4.1.2): least and most.
_FEED: Final = {
    "id": (1, 1), "title": (1, 1), "updated": (1, 1), "subtitle": (0, 1), "rights": (0, 1), "generator": (0, 1), "icon": (0, 1),
    "logo": (0, 1), "author": (0, 99), "category": (0, 99), "contributor": (0, 99), "link": (0, 99), "entry": (0, 9999),
}  # fmt: skip
_ENTRY: Final = {
    "id": (1, 1), "title": (1, 1), "updated": (1, 1), "published": (0, 1), "summary": (0, 1), "content": (0, 1), "rights": (0, 1),
    "source": (0, 1), "author": (0, 99), "category": (0, 99), "contributor": (0, 99), "link": (0, 99),
}  # fmt: skip


def faults(document: bytes) -> list[str]:
    """Return what is wrong with an Atom feed document; nothing where it is valid."""
    root = ET.fromstring(document)  # noqa: S314 - our own document; it raises where XML is not well-formed
    if root.tag != f"{ATOM}feed":
        return [f"the root is {root.tag}"]
    found = list(_children(root, _FEED))
    if root.find(f"{ATOM}author") is None and any(entry.find(f"{ATOM}author") is None for entry in root.iter(f"{ATOM}entry")):
        found.append("no author")
    for entry in root.iter(f"{ATOM}entry"):
        found += _children(entry, _ENTRY)
        if entry.find(f"{ATOM}content") is None and not _links(entry, "alternate"):
            found.append("an entry with neither content nor alternate link")
    pairs = [(entry.findtext(f"{ATOM}id"), entry.findtext(f"{ATOM}updated")) for entry in root.iter(f"{ATOM}entry")]
    if len(set(pairs)) != len(pairs):
        found.append("two entries of one id and instant")
    return found


def _children(node: ET.Element, allowed: dict[str, tuple[int, int]]) -> list[str]:
    found = []
    names = [child.tag.removeprefix(ATOM) for child in node]
    found += [f"{name} in {node.tag}" for name in names if name not in allowed]
    for name, (least, most) in allowed.items():
        if not least <= names.count(name) <= most:
            found.append(f"{names.count(name)} {name} in {node.tag}")
    if (node.text or "").strip() or any((child.tail or "").strip() for child in node):
        found.append(f"text beside the elements of {node.tag}")
    for child in node:
        found += _one(child)
    if len({(link.get("type"), link.get("hreflang")) for link in _links(node, "alternate")}) != len(_links(node, "alternate")):
        found.append("two alternate links of one type")
    return found


def _links(node: ET.Element, rel: str) -> list[ET.Element]:
    return [link for link in node.findall(f"{ATOM}link") if link.get("rel", "alternate") == rel]


def _one(node: ET.Element) -> list[str]:  # noqa: C901, PLR0912 - one branch a kind of element
    name, text = node.tag.removeprefix(ATOM), node.text or ""
    found = []
    match name:
        case "id" | "icon" | "logo":
            if not urlsplit(text).scheme or text != text.strip():
                found.append(f"{name} {text!r} is no absolute address")
        case "updated" | "published":
            if not _MOMENT.fullmatch(text):
                found.append(f"{name} {text!r} is no RFC 3339 instant")
        case "title" | "summary" | "subtitle" | "rights" | "content":
            kind = node.get("type", "text")
            if kind not in {"text", "html", "xhtml"} or (kind != "xhtml" and len(node)):
                found.append(f"{name} of type {kind} with {len(node)} elements")
        case "link":
            if not node.get("href") or not urlsplit(node.get("href", "")).scheme or len(node):
                found.append("a link that leads nowhere")
            if node.get("type") and not _MEDIA_TYPE.fullmatch(node.get("type", "")):
                found.append("a link with a bad media type")
        case "author" | "contributor":
            if len(node.findall(f"{ATOM}name")) != 1:
                found.append(f"{name} without a name")
        case "category":
            if not node.get("term"):
                found.append("a category without a term")
    return found
