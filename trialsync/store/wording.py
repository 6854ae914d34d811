"""The words by which a row of the log is found: what its values say, as the index for words is given it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trialsync.model import Json


def wording(before: Json, after: Json) -> str:
    """Return the text under which a row with these values is indexed, empty where they hold no words.

    It is what ``after`` says, and of ``before`` the words that ``after`` does not have: of a long text in which a sentence changed nearly
    all words stand in both.
    """
    said = "\n".join(words(after))
    if before is None:
        return said
    kept = set(said.split())
    gone = [word for word in dict.fromkeys(" ".join(words(before)).split()) if word not in kept]
    return f"{said}\n{' '.join(gone)}" if gone else said


def wording_of(before: str | None, after: str | None) -> str:
    """Return the text under which a row with these values, JSON texts, is indexed."""
    return wording(_value(before), _value(after))


def whole_wording_of(before: str | None, after: str | None) -> str:
    """Return the text under which the first two schemas indexed a row: all that both values say."""
    return "\n".join((*words(_value(before)), *words(_value(after))))


def words(value: Json) -> Iterator[str]:
    """Yield the texts and numbers inside a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for part in value:
            yield from words(part)
    elif isinstance(value, dict):
        for part in value.values():
            yield from words(part)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield str(value)


def _value(text: str | None) -> Json:
    return None if text is None else orjson.loads(text)
