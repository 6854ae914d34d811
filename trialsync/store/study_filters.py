"""Which studies are wanted: a filter's fields to conditions in SQL, bound and quoted as ``filters`` does."""

# ruff: noqa: S608 - statements are put together from constants; every value is bound

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

from trialsync.errors import BadFilter, UnknownWatch
from trialsync.model import Presence
from trialsync.store.filters import country_key, words
from trialsync.store.groups import countries
from trialsync.store.sources import count_words
from trialsync.store.tables import MOST_COMMON_STATUS

if TYPE_CHECKING:
    from trialsync.model import Json
    from trialsync.store.connection import Connection

_LISTED: Final = "(SELECT value FROM json_each(?))"
_FEW: Final = 10_000
"""Of a group of so many studies at most, a list is made and put in order; of a larger one the first are met soon by number."""

_WORDED: Final = 200_000
"""So many studies that hold words are listed; whether one of more holds them is looked up study by study, which is much slower."""


@dataclass(frozen=True, slots=True)
class StudyFilter:
    """Which studies are wanted, by what their rows say of their latest version; an empty field takes all.

    ``watches`` are the names of watches that the study is in now. ``countries``, ``sponsors`` and ``texts`` (title and conditions) are
    compared as those of ``ChangeFilter``, ``statuses`` in the registry's spelling.
    """

    watches: tuple[str, ...] = ()
    sponsors: tuple[str, ...] = ()
    countries: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    presences: tuple[Presence, ...] = ()
    texts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Walk:
    """The studies that one statement finds in the order of their numbers: what follows FROM, WHERE included, and its parameters."""

    source: str
    values: tuple[Any, ...]


def walks(connection: Connection, wanted: StudyFilter, after: str | None) -> list[Walk]:
    """Return the walks over ``studies s`` that together find each study that a filter wants once.

    ``after`` is the number that stands before the first wanted. Raises UnknownWatch for a watch that the store does not know, BadFilter
    for a filter that nothing could ever match.
    """
    condition, values = _conditions(connection, wanted, after)
    presences = {each.value for each in wanted.presences}
    if presences and Presence.LISTED.value not in presences:
        index, column, common, keys = "studies_by_presence", "presence", Presence.LISTED.value, presences
    elif wanted.statuses:
        index, column, common, keys = "studies_by_status", "overall_status", MOST_COMMON_STATUS, set(wanted.statuses)
    else:
        return [Walk(f"studies s WHERE {condition}", tuple(values))]
    return [
        Walk(f"studies s WHERE {condition} AND s.{column} = ?", (*values, key))
        if key == common
        else Walk(
            f"studies s INDEXED BY {index} WHERE {condition} AND s.{column} = ? AND s.{column} <> '{common}'",
            (*values, key),
        )
        for key in sorted(keys)
    ]


def _conditions(connection: Connection, wanted: StudyFilter, after: str | None) -> tuple[str, list[Any]]:
    """Return a filter as a condition over ``studies s`` and its parameters."""
    texts: list[str] = []
    values: list[Any] = []

    def add(text: str, *parameters: Any) -> None:
        texts.append(f"({text})")
        values.extend(parameters)

    if after is not None:
        add("s.nct_id > ?", after)
    _check_watches(connection, wanted)
    if wanted.watches:
        numbers = [connection.value("SELECT id FROM watches WHERE name = ?", (name,)) for name in wanted.watches]
        add(_member(connection, "watch_studies m", f"m.watch_id IN {_LISTED} AND m.left_load IS NULL", _json(numbers)), _json(numbers))
    if wanted.countries:
        names = _json(_spellings(connection, wanted))
        add(_member(connection, "study_countries m", f"m.country IN {_LISTED}", names), names)
    if wanted.statuses and wanted.presences:
        add(f"s.overall_status IN {_LISTED}", _json(wanted.statuses))
    if Presence.LISTED in wanted.presences:
        add(f"s.presence IN {_LISTED}", _json([each.value for each in wanted.presences]))
    for column, given in (("sponsor", wanted.sponsors), ("{title conditions}", wanted.texts)):
        if given:
            add(*_spoken(connection, column, given))
    return " AND ".join(texts) or "1", values


def _check_watches(connection: Connection, wanted: StudyFilter) -> None:
    for name in wanted.watches:
        if connection.value("SELECT 1 FROM watches WHERE name = ?", (name,)) is None:
            raise UnknownWatch(f"no watch {name!r} in {connection.path}", hint="trialsync watches lists them")


def _member(connection: Connection, table: str, condition: str, keys: str) -> str:
    """Return the condition that a study stands in a table ``m`` under a condition with one parameter: looked up as is quicker."""
    number = connection.value(f"SELECT count(*) FROM (SELECT 1 FROM {table} WHERE {condition} LIMIT ?)", (keys, _FEW + 1))
    if number <= _FEW:
        return f"s.nct_id IN (SELECT m.nct_id FROM {table} WHERE {condition})"
    return f"EXISTS (SELECT 1 FROM {table} WHERE {condition} AND m.nct_id = s.nct_id)"


def _spoken(connection: Connection, column: str, texts: tuple[str, ...]) -> tuple[str, ...]:
    """Return the condition for all the words of one of these texts in columns of ``study_words``, and its parameters."""
    query = " OR ".join("(" + " AND ".join(f"{column} : {term}" for term in words(_clean(text))) + ")" for text in texts)
    number = count_words(connection, "study_words", query, _WORDED + 1)
    if number <= _WORDED:
        # The sign keeps a long list from being gone through and put in order, where the studies come in the order of their numbers.
        return f"{'' if number <= _FEW else '+'}s.id IN (SELECT rowid FROM study_words WHERE study_words MATCH ?)", query
    return "EXISTS (SELECT 1 FROM study_words WHERE study_words MATCH ? AND rowid = s.id)", query


def _spellings(connection: Connection, wanted: StudyFilter) -> list[str]:
    """Return the countries' names as studies spell them."""
    keys = {country_key(_clean(each)) for each in wanted.countries}
    if "" in keys:
        raise BadFilter("a country needs a name")
    return [name for name in countries(connection) if country_key(name) in keys]


def _clean(text: str) -> str:
    return text.encode(errors="replace").decode()


def _json(value: Json) -> str:
    return orjson.dumps(value).decode()
