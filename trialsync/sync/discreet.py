"""Rows of the log without contact persons, and without those rows that only a contact person's name or address would have found.

Whoever may ask for words, and for patterns over paths, could otherwise find out what is left out: by asking for a name, a letter at a time.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Final

from trialsync.publish.privacy import change_without_contacts
from trialsync.store.globs import Reach, reach
from trialsync.store.wording import words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from trialsync.model import LoggedChange
    from trialsync.store.filters import ChangeFilter
    from trialsync.store.reader import Reader

_TOKEN: Final = re.compile(r"[^\W_]+")


def looks_inside(wanted: ChangeFilter) -> bool:
    """Return whether a filter asks for what a row says, and could find one by what is left out of it."""
    return bool(wanted.fields or wanted.texts)


def discreet(reader: Reader, wanted: ChangeFilter, rows: Iterable[LoggedChange]) -> Iterator[LoggedChange]:
    """Yield rows that a filter wants as ``change_without_contacts`` tells them, those alone that it wants as they are told.

    Raises StoreDamaged.
    """
    told = _Words(reader)
    for row in rows:
        shown = change_without_contacts(row)
        if shown is row or (_is_at(shown, wanted.fields) and told.say(shown, wanted.texts)):
            yield shown


def _is_at(row: LoggedChange, patterns: Iterable[str]) -> bool:
    """Return whether one of some patterns, where there are any, matches the path as it is told, or takes in the whole field."""
    patterns = tuple(patterns)
    return not patterns or any(
        reach(pattern, name, has_parts=False) is Reach.WHOLE for pattern in patterns for name in {row.field, row.path.lower()}
    )


class _Words:
    """Looks for words where the index does, in the study's title and conditions and the row's values, but in these as they are told."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._known: dict[str, tuple[str, str]] = {}

    def say(self, row: LoggedChange, texts: tuple[str, ...]) -> bool:
        """Return whether all the words of one of some texts are there, or no text is given."""
        if not texts:
            return True
        values = " ".join(_row_of(_tokens(text)) for value in (row.before, row.after) for text in words(value))
        return any(all(self._is_there(row.nct_id, word, values) for word in text.split() if any(map(str.isalnum, word))) for text in texts)

    def _is_there(self, nct_id: str, word: str, values: str) -> bool:
        return _row_of(_tokens(word)) in values or self._is_of_study(nct_id, word)

    def _is_of_study(self, nct_id: str, word: str) -> bool:
        if nct_id not in self._known:
            # Read from the study itself: the index would list every study that holds the word, to say whether this one is among them.
            shown = self._reader.headlines(nct_id)
            self._known[nct_id] = (_row_of(_tokens(shown.title or "")), _row_of(_tokens(" ".join(shown.conditions))))
        return any(_row_of(_tokens(word)) in text for text in self._known[nct_id])


def _row_of(words: list[str]) -> str:
    """Return words as a text in which a run of them can be looked for."""
    return f" {' '.join(words)} "


def _tokens(text: str) -> list[str]:
    """Return the words of a text as the index for words has them, capitals and accents apart."""
    plain = "".join(each for each in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(each))
    return _TOKEN.findall(plain)
