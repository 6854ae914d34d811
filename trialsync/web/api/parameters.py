"""The parameters of an address: one table for each question, which reads them and describes them."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

from trialsync.web.api.values import BadValue
from trialsync.web.problems import Problem, bad_parameter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from trialsync.model import Json
    from trialsync.web.api.values import Value

MOST: Final = 50
"""How many values one parameter may have."""

_MOST_IN_ALL: Final = 100


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter: its name, what it is for, its kind of value; ``many`` may be given several times, and any of the values will do.

    ``required`` has to be given.
    """

    name: str
    value: Value
    description: str
    many: bool = False
    required: bool = False

    @property
    def schema(self) -> dict[str, Json]:
        """Return its JSON Schema."""
        return {"type": "array", "items": self.value.schema, "maxItems": MOST} if self.many else self.value.schema


@dataclass(frozen=True, slots=True)
class Asked:
    """What an address asks: the values by the parameters' names, and the pairs as they were typed."""

    values: Mapping[str, Json]
    typed: tuple[tuple[str, str], ...] = ()

    def one(self, name: str) -> Json:
        """Return a parameter's value, ``None`` where it is not given."""
        return self.values.get(name)

    def many(self, name: str) -> tuple[Json, ...]:
        """Return all values of a parameter."""
        found: tuple[Json, ...] = self.values.get(name, ())
        return found

    def but(self, **others: Json) -> tuple[tuple[str, str], ...]:
        """Return the pairs as they were typed, but for these parameters, which have the value given; ``None`` leaves one out."""
        kept = tuple(pair for pair in self.typed if pair[0] not in others)
        return (*kept, *((name, str(value)) for name, value in others.items() if value is not None))


def read(query: bytes, table: Sequence[Parameter], now: datetime) -> Asked:
    """Return what a query string asks, by a table of parameters; times ago are seen from ``now`` (UTC).

    A hyphen in a name may be written as an underscore. Raises Problem (400) naming what is wrong, BadDate.
    """
    known = {_plain(parameter.name): parameter for parameter in table}
    values: dict[str, Json] = {}
    typed = []
    for written, text in _pairs(query):
        parameter = known.get(_plain(written))
        if parameter is None:
            raise _unknown(written, [each.name for each in table])
        name = parameter.name
        if name in values and not parameter.many:
            raise bad_parameter(f"{name} is given twice, and takes one value")
        try:
            value = parameter.value.read(name, text, now)
        except BadValue as error:
            shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
            raise bad_parameter(f"{name} {shown!r}: {error}") from None
        values[name] = (*values.get(name, ()), value) if parameter.many else value
        if parameter.many and len(values[name]) > MOST:
            raise bad_parameter(f"{name} is given more than {MOST} times")
        typed.append((name, text))
    missing = next((each for each in table if each.required and each.name not in values), None)
    if missing is not None:
        raise bad_parameter(f"{missing.name} is missing", hint=missing.description)
    return Asked(values, tuple(typed))


_SHOWN: Final = 80


def _pairs(query: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MOST_IN_ALL)
    except UnicodeDecodeError:
        raise bad_parameter("the query is not UTF-8, percent-encoded") from None
    except ValueError:
        raise bad_parameter(f"the query has more than {_MOST_IN_ALL} parameters") from None


def _plain(name: str) -> str:
    return name.replace("_", "-")


def _unknown(name: str, known: Sequence[str]) -> Problem:
    near = get_close_matches(name[:_SHOWN], known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known here: {', '.join(known)}" if known else "this address takes none"
    return bad_parameter(f"there is no parameter {name[:_SHOWN]!r}", hint=hint)
