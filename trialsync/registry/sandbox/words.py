"""Texts and search words in one normal form: lower case, without accents, whole words, plurals taken off lightly."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_ACCENT = re.compile("[\u0300-\u036f]+")
_WORD = re.compile(r"[^\W_]+")
_NCT = re.compile(r"nct0*([1-9]\d{0,7})")
_SHORTEST_PLURAL = 4


def fold(text: str) -> str:
    """Return a text in lower case without accents."""
    if text.isascii():
        return text.lower()
    return _ACCENT.sub("", unicodedata.normalize("NFKD", text)).casefold()


@lru_cache(maxsize=1 << 16)
def _normal(word: str, stemmed: bool) -> str:  # noqa: FBT001 - the cache wants plain arguments
    if word.startswith("nct") and (number := _NCT.fullmatch(word)):
        return f"nct{int(number[1]):08d}"
    return _stem(word) if stemmed else word


def _stem(word: str) -> str:
    if len(word) < _SHORTEST_PLURAL or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word
    return f"{word[:-3]}y" if word.endswith("ies") and len(word) > _SHORTEST_PLURAL else word[:-1]


def normal_form(text: str, *, stemmed: bool) -> str:
    """Return a text's words between single spaces, one in front and one behind, so that ``" word " in form`` is a whole-word search.

    NCT numbers get their eight digits. A text without words gives a single space.
    """
    found = [_normal(word, stemmed) for word in _WORD.findall(fold(text))]
    return f" {' '.join(found)} " if found else " "
