"""Patterns over paths of the change log: ``*`` stands for any run of characters, dots too, ``?`` for one; capitals do not matter."""

from __future__ import annotations

from difflib import get_close_matches
from enum import Enum
from typing import TYPE_CHECKING, Final

from trialsync.errors import BadFilter

if TYPE_CHECKING:
    from collections.abc import Iterable

LONGEST: Final = 1000
_SUGGESTIONS: Final = 3
_SUGGESTION_LIKENESS: Final = 0.5


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
    by_lower = {name.lower(): name for name in names}
    last = {name.rpartition(".")[2].lower(): name for name in by_lower.values()}
    wanted = pattern.lower().strip("*?.")
    close = [by_lower[name] for name in get_close_matches(wanted, by_lower, _SUGGESTIONS, _SUGGESTION_LIKENESS)]
    close += [last[name] for name in get_close_matches(wanted.rpartition(".")[2], last, _SUGGESTIONS, _SUGGESTION_LIKENESS)]
    near = list(dict.fromkeys(close))[:_SUGGESTIONS]
    hint = f"near it: {', '.join(near)}" if near else "trialsync fields lists them all"
    return BadFilter(f"no field can match {pattern[:LONGEST]!r}", hint=hint)
