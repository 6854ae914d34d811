"""Patterns over paths of the change log: ``*`` stands for any run of characters, dots too, ``?`` for one; capitals do not matter."""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from enum import Enum
from typing import TYPE_CHECKING, Final

from trialsync.errors import BadFilter

if TYPE_CHECKING:
    from collections.abc import Iterable

LONGEST: Final = 1000
_SUGGESTIONS: Final = 3
_SUGGESTION_LIKENESS: Final = 0.5
_WORD: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|[0-9]+")


class Reach(Enum):
    """How much of what stands below a field's name a pattern can match."""

    NOTHING = 0
    SOME = 1
    WHOLE = 2


def reach(pattern: str, name: str, *, has_parts: bool) -> Reach:
    """Return whether a pattern matches a field's name (then it takes in all of the field), could match something below it, or neither.

    ``has_parts`` says whether the field has items or attributes, so that there is something below its name.
    """
    glob = pattern.lower()
    states = _rest(glob, {0})
    for character in name.lower():
        states = _step(glob, states, character)
    if len(glob) in states:
        return Reach.WHOLE
    return Reach.SOME if has_parts and _step(glob, states, ".") else Reach.NOTHING


def _step(glob: str, states: set[int], character: str) -> set[int]:
    after = set()
    for state in states:
        if state < len(glob) and glob[state] in ("?", character):
            after.add(state + 1)
        if state < len(glob) and glob[state] == "*":
            after.add(state)
    return _rest(glob, after)


def _rest(glob: str, states: set[int]) -> set[int]:
    """Return the states with those that they reach without reading anything."""
    found = set(states)
    for state in states:
        place = state
        while place < len(glob) and glob[place] == "*":
            place += 1
            found.add(place)
    return found


def like(pattern: str) -> str:
    r"""Return a pattern for SQL's ``LIKE … ESCAPE '\'``, in lower case as item keys are."""
    translated = {"*": "%", "?": "_", "%": r"\%", "_": r"\_", "\\": r"\\"}
    return "".join(translated.get(character, character) for character in pattern.lower())


def no_field(pattern: str, names: Iterable[str]) -> BadFilter:
    """Return the error for a pattern that no field can match, with the names that are nearest to it."""
    wanted = pattern[:LONGEST].strip("*?.")
    every, last = _words(wanted), _words(wanted.rpartition(".")[2])

    def same(name: str) -> int:
        """Return how many words are the same, those of the last part counted more."""
        return 2 * len(last & _words(name.rpartition(".")[2])) + len(every & _words(name))

    def alike(name: str) -> float:
        return SequenceMatcher(None, wanted.lower(), name.lower()).ratio()

    ranked = sorted(names, key=alike, reverse=True)
    # Whose last word it is, and who is spelled most like the whole.
    close = [name for name in sorted(ranked, key=same, reverse=True) if same(name)]
    close[1:1] = [name for name in ranked[:_SUGGESTIONS] if alike(name) >= _SUGGESTION_LIKENESS][: 1 if close else _SUGGESTIONS]
    near = list(dict.fromkeys(close))[:_SUGGESTIONS]
    hint = f"near it: {', '.join(near)}" if near else "trialsync fields lists them all"
    return BadFilter(f"no field can match {pattern[:LONGEST]!r}", hint=hint)


def _words(name: str) -> frozenset[str]:
    """Return the words of a name such as ``status.primaryCompletionDate``, in the singular."""
    return frozenset(word.lower().removesuffix("s") for word in _WORD.findall(name))
