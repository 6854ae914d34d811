"""Which studies are wanted: a filter's fields to conditions in SQL, bound and quoted as ``filters`` does."""

# ruff: noqa: S608 - statements are put together from constants; every value is bound

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

from trialsync.errors import BadFilter, UnknownWatch
from trialsync.store.filters import country_key, words
from trialsync.store.groups import countries

if TYPE_CHECKING:
    from trialsync.model import Json, Presence
    from trialsync.store.connection import Connection

_LISTED: Final = "(SELECT value FROM json_each(?))"
_MATCH: Final = "s.id IN (SELECT rowid FROM study_words WHERE study_words MATCH ?)"


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


def study_conditions(connection: Connection, wanted: StudyFilter, after: str | None) -> tuple[str, list[Any]]:
    """Return a filter as a condition over ``studies s`` and its parameters; ``after`` is the number that stands before the first wanted.

    Raises UnknownWatch for a watch that the store does not know, BadFilter for a filter that nothing could ever match.
    """
    texts: list[str] = []
    values: list[Any] = []

    def add(text: str, *parameters: Any) -> None:
        texts.append(f"({text})")
        values.extend(parameters)

    if after is not None:
        add("s.nct_id > ?", after)
    _check_watches(connection, wanted)
    if wanted.watches:
        add(
            "s.nct_id IN (SELECT m.nct_id FROM watch_studies m JOIN watches w ON w.id = m.watch_id "
            f"WHERE w.name IN {_LISTED} AND m.left_load IS NULL)",
            _json(wanted.watches),
        )
    if wanted.countries:
        add(f"s.nct_id IN (SELECT k.nct_id FROM study_countries k WHERE k.country IN {_LISTED})", _json(_spellings(connection, wanted)))
    if wanted.statuses:
        add(f"s.overall_status IN {_LISTED}", _json(wanted.statuses))
    if wanted.presences:
        add(f"s.presence IN {_LISTED}", _json([each.value for each in wanted.presences]))
    for column, given in (("sponsor", wanted.sponsors), ("{title conditions}", wanted.texts)):
        if given:
            add(*_spoken(column, given))
    return " AND ".join(texts) or "1", values


def _check_watches(connection: Connection, wanted: StudyFilter) -> None:
    for name in wanted.watches:
        if connection.value("SELECT 1 FROM watches WHERE name = ?", (name,)) is None:
            raise UnknownWatch(f"no watch {name!r} in {connection.path}", hint="trialsync watches lists them")


def _spoken(column: str, texts: tuple[str, ...]) -> tuple[str, ...]:
    """Return the condition for all the words of one of these texts in columns of ``study_words``, and its parameters."""
    terms = [[f"{column} : {term}" for term in words(_clean(text))] for text in texts]
    return " OR ".join(" AND ".join(_MATCH for _ in each) for each in terms), *(term for each in terms for term in each)


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
