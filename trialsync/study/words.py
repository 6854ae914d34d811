"""Long text as a reader sees it."""

from __future__ import annotations

import re
from html import unescape
from typing import Final

_ESCAPED: Final = re.compile(r"\\([!-/:-@\[-`{-~])")
_ENTITY: Final = re.compile(r"&(?:#\d+|#[xX][0-9a-fA-F]+|[A-Za-z][A-Za-z0-9]*);")
_ENTITY_LAYERS: Final = 3


def renders_alike(one: str, other: str) -> bool:
    r"""Return whether two texts differ in mark-up alone: white space, Markdown's escapes, HTML entities.

    The registry rewrites these by itself: ``>`` and ``\>``, ``&`` and ``&amp;``, even ``&Amp;#39;`` (entities inside entities, capitals
    included) stand for the same character to a reader.
    """
    return one == other or rendered(one) == rendered(other)


def rendered(text: str) -> str:
    """Return a text without what a renderer takes away: escapes resolved, entities replaced, white space collapsed."""
    for _ in range(_ENTITY_LAYERS):
        plain = _ENTITY.sub(_character, text)
        if plain == text:
            break
        text = plain
    return " ".join(_ESCAPED.sub(r"\1", text).split())


def _character(found: re.Match[str]) -> str:
    entity = found.group()
    character = unescape(entity)
    return character if character != entity else unescape(entity.lower())
