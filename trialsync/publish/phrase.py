"""A phrase on one thing that changed in a study on a day, the rows that phrases take, and how values are said in them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, TypeGuard

from trialsync.publish.text import shortened
from trialsync.publish.value import ABSENT, compact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from trialsync.model import Json, LoggedChange

_VALUE: Final = 32
_MINUS: Final = "\N{MINUS SIGN}"


class Tone(StrEnum):
    """How a phrase is tinted where there is colour."""

    PLAIN = "plain"
    GOOD = "good"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Phrase:
    """A few words on one thing that changed; ``quoted`` is the registry's own text, which may be cut; ``fields`` are those it speaks of."""

    text: str
    fields: frozenset[str]
    quoted: str | None = None
    tone: Tone = Tone.PLAIN


class Rows:
    """The rows of one study and day; each phrase takes the rows that it speaks of, and what nobody took is left."""

    def __init__(self, rows: Sequence[LoggedChange]) -> None:
        self._left = list(rows)
        self.moved: dict[str, tuple[int, int]] = {}
        """How many members of a list came and went that another list's phrase has told of, by the field."""

    def take(self, wanted: Callable[[str], bool] | str) -> list[LoggedChange]:
        """Return the rows of a field, or of those that a test wants, and keep them no longer."""
        chosen = wanted if callable(wanted) else wanted.__eq__
        taken = [row for row in self._left if chosen(row.field)]
        self._left = [row for row in self._left if not chosen(row.field)]
        return taken

    @property
    def left(self) -> tuple[str, ...]:
        """Return the names of the fields that are left, each once."""
        return tuple(dict.fromkeys(row.field for row in self._left))


def added_removed(rows: Iterable[LoggedChange], *, but: tuple[int, int] = (0, 0)) -> Iterator[str]:
    """Yield ``+12`` and ``−3``: how many members were added and removed, one by one or with the whole list.

    ``but`` so many of either, which are told in other words.
    """  # noqa: RUF002 - a minus sign
    added, removed = (-count for count in but)
    for row in rows:
        if row.attribute is None:
            added += members(row, row.after)
            removed += members(row, row.before)
    if added > 0:
        yield f"+{added:,}"
    if removed > 0:
        yield f"{_MINUS}{removed:,}"


def members(row: LoggedChange, value: Json) -> int:
    """Return how many members of a list a value of a row is: the item, or all of a list that came or went whole."""
    if value in (None, [], {}):
        return 0
    return len(value) if row.item is None and isinstance(value, list) else 1


def chain(rows: Sequence[LoggedChange]) -> str:
    """Return ``before → after``, with what stood between where a day brought several changes; no arrow for what was not there before."""
    values = [rows[0].before, *(row.after for row in rows)]
    texts = [f"{value:,}" if is_count(value) else shortened(compact(value), _VALUE) for value in values]
    return " → ".join(texts[1:] if texts[0] == ABSENT and len(texts) > 1 else texts)


def is_count(value: Json) -> TypeGuard[int]:
    """Return whether a value is a number that counts something."""
    return isinstance(value, int) and not isinstance(value, bool)


def fields_of(rows: Iterable[LoggedChange]) -> frozenset[str]:
    """Return the names of the fields of rows."""
    return frozenset(row.field for row in rows)


def many(count: int, noun: str) -> str:
    """Return a number and its noun: ``1 field``, ``1,200 fields``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
