"""The kinds of values that a parameter may have: each with its JSON Schema, and read from the text of an address.

The two say the same: what the schema takes is read, what it does not take is refused with 400 and the half sentence that says what it must
be. What is well formed and still can't be meant, such as the thirtieth of February, is refused by whoever knows it, with 422.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from trialsync.store.when import day, moment

if TYPE_CHECKING:
    from datetime import datetime

    from trialsync.model import Json


class BadValue(Exception):
    """A text that is not of the kind: ``str(error)`` is what it must be, the half sentence behind the parameter's name."""


class Value(Protocol):
    """One kind of value."""

    @property
    def schema(self) -> dict[str, Json]:
        """Return its JSON Schema."""

    def read(self, name: str, text: str, now: datetime) -> Json:
        """Return what the text of a parameter means, seen from ``now`` (UTC). Raises BadValue, and BadDate for no date of the calendar."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some words."""

    words: tuple[str, ...]

    @property
    def schema(self) -> dict[str, Json]:
        """Return its JSON Schema."""
        return {"type": "string", "enum": list(self.words)}

    def read(self, name: str, text: str, now: datetime) -> str:
        """Return the word."""
        del name, now
        if text not in self.words:
            raise BadValue(f"must be one of {', '.join(self.words)}")
        return text


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number within bounds."""

    least: int
    most: int

    @property
    def schema(self) -> dict[str, Json]:
        """Return its JSON Schema."""
        return {"type": "integer", "minimum": self.least, "maximum": self.most}

    def read(self, name: str, text: str, now: datetime) -> int:
        """Return the number."""
        del name, now
        if not re.fullmatch(r"-?[0-9]{1,19}", text) or not self.least <= int(text) <= self.most:
            raise BadValue(f"must be a whole number from {self.least} to {self.most}")
        return int(text)


@dataclass(frozen=True, slots=True)
class Flag:
    """Yes or no."""

    @property
    def schema(self) -> dict[str, Json]:
        """Return its JSON Schema."""
        return {"type": "boolean"}

    def read(self, name: str, text: str, now: datetime) -> bool:
        """Return which."""
        del name, now
        if text not in {"true", "false"}:
            raise BadValue("must be true or false")
        return text == "true"


@dataclass(frozen=True, slots=True)
class Text:
    """A text of a form: ``said`` is what it must be. ``upper`` makes one spelling of it."""

    pattern: str
    said: str
    longest: int
    upper: bool = False

    @property
    def schema(self) -> dict[str, Json]:
        """Return its JSON Schema."""
        return {"type": "string", "pattern": f"^{self.pattern}$", "minLength": 1, "maxLength": self.longest}

    def read(self, name: str, text: str, now: datetime) -> str:
        """Return the text."""
        del name, now
        if len(text) > self.longest:
            raise BadValue(f"must be of {self.longest} characters at most")
        if not re.fullmatch(self.pattern, text):
            raise BadValue(f"must be {self.said}")
        return text.upper() if self.upper else text


_DAY: Final = "[12][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
_AGO: Final = "[0-9]{1,5}[hdw]"
_INSTANT: Final = rf"{_DAY}T([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{{1,6}})?)?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"


@dataclass(frozen=True, slots=True)
class Day:
    """A day, or a time ago."""

    @property
    def schema(self) -> dict[str, Json]:
        """Return its JSON Schema."""
        return {"type": "string", "pattern": f"^({_DAY}|{_AGO})$"}

    def read(self, name: str, text: str, now: datetime) -> str:
        """Return the ISO day."""
        if not re.fullmatch(f"{_DAY}|{_AGO}", text):
            raise BadValue("must be a day such as 2026-02-18, or a time ago: 7d, 12h, 2w")
        return day(text, name, now)


@dataclass(frozen=True, slots=True)
class Moment:
    """A day, an instant with its time zone, or a time ago."""

    @property
    def schema(self) -> dict[str, Json]:
        """Return its JSON Schema."""
        return {"type": "string", "pattern": f"^({_DAY}|{_AGO}|{_INSTANT})$"}

    def read(self, name: str, text: str, now: datetime) -> str:
        """Return the instant, UTC, ending in ``Z``."""
        if not re.fullmatch(f"{_DAY}|{_AGO}|{_INSTANT}", text):
            raise BadValue("must be a day such as 2026-02-18, an instant such as 2026-02-18T09:00Z, or a time ago: 7d, 12h, 2w")
        return moment(text, name, now)


_PLAIN: Final = r"[^\u0000-\u001f\u007f]"

NCT_ID: Final = Text("[Nn][Cc][Tt][0-9]{8}", "an NCT number: NCT and eight digits, for example NCT07263919", 11, upper=True)
WORDS: Final = Text(rf"{_PLAIN}*[^\u0000-\u0020\u007f]{_PLAIN}*", "words, without control characters", 200)
GLOB: Final = Text(rf"{_PLAIN}+", "a path or a pattern over paths, without control characters", 200)
NAME: Final = Text("[a-z0-9][a-z0-9._-]{0,63}", "a name: up to 64 of a-z, 0-9, '.', '_' and '-'", 64)
STATUS: Final = Text("[A-Za-z][A-Za-z_]{0,39}", "a status as the registry spells it, for example RECRUITING", 40, upper=True)
