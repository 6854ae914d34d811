"""Which rows of the change log are wanted: a filter's fields to conditions in SQL.

Within one field of a filter any value will do; all fields together hold. Every value is bound as a parameter; words for full-text search
are quoted one by one, so that nothing in them is taken for syntax.
"""

# ruff: noqa: S608 - statements are put together from constants; every value is bound

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fnmatch import filter as filter_names
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Any, Final

import orjson

from trialsync.errors import BadFilter, UnknownWatch
from trialsync.model import Kind, Origin
from trialsync.store import baselines, globs
from trialsync.store.groups import Groups, Part, countries
from trialsync.store.sources import BY_COUNTRY, BY_FACT, BY_FIELD, BY_ORIGIN, BY_STUDY, Choice, Source, dates
from trialsync.study.facts import BY_ID, nearest
from trialsync.study.fields import WATCH_PREFIX, by_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trialsync.model import By, Json, Tier
    from trialsync.store.connection import Connection

_MOST_WORDS: Final = 50
_LOCATIONS: Final = "locations"
_HAS_FACT: Final = "EXISTS (SELECT 1 FROM change_facts x WHERE x.change_id = c.id AND x.fact IN (SELECT value FROM json_each(?)))"
_LISTED: Final = "(SELECT value FROM json_each(?))"


@dataclass(frozen=True, slots=True)
class Names:
    """Under which names a sort of row has what a filter asks about, in SQL, and what is joined to its table.

    ``values`` are attribute, before and after; baseline rows have none of them.
    """

    joined: str
    id: str
    field: str
    item: str
    path: str
    values: str
    date: str
    kind: str
    tier: str
    by: str
    seen: str

    @property
    def dated(self) -> str:
        """Return the columns id, NCT number and ISO day."""
        return f"{self.id}, v.nct_id, {self.date}"


HAPPENED: Final = Names(
    joined="CROSS JOIN fields f ON f.id = c.field_id CROSS JOIN versions v ON v.id = c.version_id "
    "CROSS JOIN studies s ON s.nct_id = v.nct_id",
    id="c.id",
    field="c.field_id",
    item="c.item",
    path="f.name || coalesce('.' || c.item, '') || coalesce('.' || c.attribute, '')",
    values="c.attribute, c.before, c.after",
    date="c.date",
    kind="c.kind",
    tier="c.tier",
    by='c."by"',
    seen="coalesce((SELECT o.seen FROM occasions o WHERE o.change_id = c.id), v.seen)",
)
"""The names of ``changes c``."""

BASELINE: Final = Names(
    # The study before its rows: one that is not wanted need not be taken apart.
    joined="CROSS JOIN versions v ON v.id = b.version_id CROSS JOIN studies s ON s.nct_id = v.nct_id "
    f"CROSS JOIN json_each(b.rows) j CROSS JOIN fields f ON f.id = {baselines.FIELD_ID}",
    id=baselines.ID,
    field="f.id",
    item=baselines.ITEM,
    path=f"f.name || coalesce('.' || {baselines.ITEM}, '')",
    values="NULL, NULL, NULL",
    date="v.date",
    kind=f"'{Kind.ADDED.value}'",
    tier=f"coalesce({baselines.TIER}, f.tier)",
    by="NULL",
    seen="v.seen",
)
"""The names of ``baselines b``."""


@dataclass(frozen=True, slots=True)
class ChangeFilter:
    """Which changes are wanted; an empty field takes all.

    ``since`` and ``until`` are ISO days, compared with a change's ``date``, both included; ``seen_since`` is a UTC instant ending in
    ``Z``, or an ISO day. ``studies`` are NCT numbers, ``watches`` names: the studies that are or were in one. ``fields`` are patterns
    over paths; one that matches a field's name takes in its items and attributes. ``facts`` wants a row that has one of these (a ``*``
    stands for anything in them), ``without_facts`` one that has none. ``countries`` are the registry's names: a study with a site there
    now, or a change of such a site. ``sponsors`` and ``texts`` are words, whole ones, capitals and accents apart; several in one value
    must all be there, in any order: in the lead sponsor's name; in the study's title and conditions and the row's own before and after
    (of baseline rows, which hold no values, title and conditions alone). ``baseline`` adds the baseline rows, ``housekeeping`` false
    leaves out that tier.
    """

    since: str | None = None
    until: str | None = None
    seen_since: str | None = None
    studies: tuple[str, ...] = ()
    watches: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    kinds: tuple[Kind, ...] = ()
    tiers: tuple[Tier, ...] = ()
    bys: tuple[By, ...] = ()
    origins: tuple[Origin, ...] = ()
    facts: tuple[str, ...] = ()
    without_facts: tuple[str, ...] = ()
    countries: tuple[str, ...] = ()
    sponsors: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    baseline: bool = False
    housekeeping: bool = True


@dataclass(slots=True)
class Conditions:
    """Conditions over rows of ``names``, ``fields f``, ``versions v`` and ``studies s``, all of which hold, and their parameters.

    ``choice`` has the sources that give every row for which they hold; it is empty where the whole log has to be walked.
    """

    names: Names
    texts: list[str] = field(default_factory=list)
    parameters: list[Any] = field(default_factory=list)
    choice: Choice = field(default_factory=Choice)

    def add(self, text: str, *parameters: Any) -> None:
        """Want this too."""
        self.texts.append(f"({text})")
        self.parameters += parameters

    def either(self, parts: Iterable[Part]) -> None:
        """Want one of these, where there are any."""
        found = list(parts)
        if not found:
            return
        self.add(" OR ".join(f"({part.text})" for part in found), *(value for part in found for value in part.values))
        sources = [part.source for part in found if part.source is not None]
        if len(sources) == len(found):
            self.choice.sources.append(reduce(or_, sources))

    @property
    def where(self) -> str:
        """Return the conditions that follow WHERE."""
        return " AND ".join(self.texts) or "1"


def conditions(
    connection: Connection, wanted: ChangeFilter, names: Names = HAPPENED, *, many: bool = False, keep: bool = False
) -> Conditions:
    """Return a filter as SQL conditions over one sort of rows; with ``many`` they are made for very many rows to be looked at.

    With ``keep`` they are made for several statements, and what is looked up for one is kept for the others.
    Raises UnknownWatch for a watch that the store does not know, BadFilter for a filter that nothing could ever match.
    """
    wanted = _encodable(wanted)
    if wanted.since and wanted.until and wanted.since > wanted.until:
        raise BadFilter(f"nothing can be since {wanted.since} and until {wanted.until}")
    found = Conditions(names)
    groups = Groups(connection, baseline=names is BASELINE, many=many, keep=keep)
    _add_studies(found, connection, wanted)
    found.either(_fact(wanted.facts, names) for _ in wanted.facts[:1])
    if wanted.watches:
        found.either([_watch(groups, wanted.watches)])
    if wanted.sponsors:
        found.either([_sponsor(groups, wanted.sponsors)])
    found.either(_field(connection, pattern, names) for pattern in wanted.fields)
    found.either(_country(groups, country, names) for country in wanted.countries)
    found.either(_text(groups, text, names) for text in wanted.texts)
    _add_dates(found, connection, wanted)
    for expression, values in ((names.kind, wanted.kinds), (names.tier, wanted.tiers), (names.by, wanted.bys)):
        if values:
            found.add(f"{expression} IN {_LISTED}", _json([value.value for value in values]))
    if not wanted.housekeeping:
        found.add(f"{names.tier} <> 'housekeeping'")
    _check_facts(connection, (*wanted.facts, *wanted.without_facts))
    if wanted.without_facts and names is HAPPENED:
        found.add(f"NOT {_HAS_FACT}", _json(wanted.without_facts))
    if wanted.origins:
        found.either([_origin(wanted, names)])
    return found


def _encodable(wanted: ChangeFilter) -> ChangeFilter:
    """Return a filter whose texts can be bound: what a terminal passed on without being able to read it matches nothing."""

    def clean(texts: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(text.encode(errors="replace").decode() for text in texts)

    return replace(
        wanted,
        studies=clean(wanted.studies),
        watches=clean(wanted.watches),
        fields=clean(wanted.fields),
        facts=_matched(clean(wanted.facts)),
        without_facts=_matched(clean(wanted.without_facts)),
        countries=clean(wanted.countries),
        sponsors=clean(wanted.sponsors),
        texts=clean(wanted.texts),
    )


def _add_dates(found: Conditions, connection: Connection, wanted: ChangeFilter) -> None:
    if wanted.since:
        found.add(f"{found.names.date} >= ?", wanted.since)
    if wanted.until:
        found.add(f"{found.names.date} <= ?", wanted.until)
    if (wanted.since or wanted.until) and found.names is HAPPENED:
        found.choice.sources.append(dates(connection, wanted.since, wanted.until))
    if wanted.seen_since:
        found.add(f"{found.names.seen} >= ?", wanted.seen_since)


def _add_studies(found: Conditions, connection: Connection, wanted: ChangeFilter) -> None:
    if not wanted.studies:
        return
    if found.names is BASELINE:
        found.add(f"b.version_id IN (SELECT id FROM versions WHERE nct_id IN {_LISTED})", _json(wanted.studies))
        return
    sql = f"SELECT id FROM studies WHERE nct_id IN {_LISTED}"
    keys = tuple(number for (number,) in connection.rows(sql, (_json(wanted.studies),)))
    found.either([Part(f"c.study_id IN {_LISTED}", [_json(keys)], Source(((BY_STUDY, keys),)))])


def _watch(groups: Groups, names: tuple[str, ...]) -> Part:
    """Return the condition for the studies that are or were in one of these watches."""
    numbers = []
    for name in names:
        number = groups.connection.value("SELECT id FROM watches WHERE name = ?", (name,))
        if number is None:
            raise UnknownWatch(f"no watch {name!r} in {groups.connection.path}", hint="trialsync watches lists them")
        numbers.append(number)
    return groups.of("watch_studies", "watch_id", numbers)


def _fact(facts: tuple[str, ...], names: Names) -> Part:
    """Return the condition for a row that has one of these facts; a baseline row has none."""
    if names is BASELINE:
        return Part("0", [])
    return Part(_HAS_FACT, [_json(facts)], Source(((BY_FACT, facts),)))


def _origin(wanted: ChangeFilter, names: Names) -> Part:
    """Return the condition for how the version reached us, or the row where it has an origin of its own."""
    values = [origin.value for origin in wanted.origins]
    if names is BASELINE:
        return Part(f"v.origin IN {_LISTED}", [_json(values)])
    keys = tuple(None if origin is Origin.POLL else origin.value for origin in wanted.origins)
    return Part(f"coalesce(c.origin, '{Origin.POLL.value}') IN {_LISTED}", [_json(values)], Source(((BY_ORIGIN, keys),)))


def _field(connection: Connection, pattern: str, names: Names) -> Part:
    """Return the condition for one pattern over paths."""
    if not pattern or len(pattern) > globs.LONGEST:
        raise BadFilter("a pattern for fields needs between 1 and 1000 characters", hint="trialsync fields lists them all")
    reached: dict[globs.Reach, list[int]] = {reach: [] for reach in globs.Reach}
    known = []
    for number, name, is_known in connection.rows("SELECT id, name, known FROM fields ORDER BY id"):
        part = by_name(name)
        has_parts = part is not None and (part.items is not None or bool(part.attributes))
        reached[globs.reach(pattern, name, has_parts=has_parts or not is_known)].append(number)
        known.append(name)
    whole, some = reached[globs.Reach.WHOLE], reached[globs.Reach.SOME]
    # A watch's field is met with its first member; until then its name is possible all the same.
    if not whole and not some and globs.reach(pattern, WATCH_PREFIX.rstrip("."), has_parts=True) is globs.Reach.NOTHING:
        raise globs.no_field(pattern, known)
    source = Source(((BY_FIELD, (*whole, *some)),))
    if not some:
        return Part(f"{names.field} IN {_LISTED}", [_json(whole)], source)
    below = f"{names.field} IN {_LISTED} AND {names.path} LIKE ? ESCAPE '\\'"
    return Part(f"{names.field} IN {_LISTED} OR ({below})", [_json(whole), _json(some), globs.like(pattern)], source)


def _matched(facts: tuple[str, ...]) -> tuple[str, ...]:
    """Return facts with the ids of the rules that a name with a ``*`` stands for in its place; itself where there are none."""
    recorded = [rule.id for rule in BY_ID.values() if rule.recorded]
    return tuple(each for fact in facts for each in (filter_names(recorded, fact) if "*" in fact else ()) or (fact,))


def _check_facts(connection: Connection, wanted: tuple[str, ...]) -> None:
    """Raise BadFilter for a fact that no row can carry: there is no rule of that id, or it is never recorded."""
    for fact in wanted:
        rule = BY_ID.get(fact)
        if rule is not None and not rule.recorded:
            raise BadFilter(f"{fact} stands on no row: nothing happened that could be logged", hint=f"trialsync facts --{fact} asks for it")
        # A row of an older rule may carry what today's rules do not know.
        if rule is None and connection.value("SELECT 1 FROM change_facts WHERE fact = ? LIMIT 1", (fact,)) is None:
            near = nearest(fact)
            raise BadFilter(
                f"there is no fact {fact[: globs.LONGEST]!r}", hint=f"near it: {near}" if near else "trialsync facts lists them all"
            )


def _country(groups: Groups, wanted: str, names: Names) -> Part:
    """Return the condition for a country: the study has a site there now, or the row is about a site there."""
    key = country_key(wanted)
    if not key:
        raise BadFilter("a country needs a name")
    spellings = [name for name in countries(groups.connection) if country_key(name) == key]
    now = groups.of("study_countries", "country", spellings)
    text = f"({now.text}) OR (f.name = '{_LOCATIONS}' AND is_in_country(?, {names.item}, {names.values}))"
    # Under the empty key stand the few rows that may name another country than their item does; of a name that holds what parts or
    # numbers keys an end is filed.
    source = now.source and now.source | Source(((BY_COUNTRY, (_end_of(key), "")),))
    return Part(text, [*now.values, key], source)


def country_key(name: str) -> str:
    """Return a country's name as the key of a site holds it: lower case, white space collapsed."""
    return " ".join(name.lower().split())


def is_in_country(key: str, item: str | None, attribute: str | None, before: str | None, after: str | None) -> bool:
    """Return whether a row of ``locations`` is about a site in a country: its item's key ends in it, or a value of the row names it."""
    return _end_of(item or "") == key or any(_names(key, attribute, text) for text in (before, after))


def _end_of(key: str) -> str:
    """Return what a key of a site ends in, as ITS_COUNTRY has it."""
    return key.rpartition("|")[2].partition(" #")[0]


def _names(key: str, attribute: str | None, text: str | None) -> bool:
    if text is None:
        return False
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    if attribute is None and isinstance(value, dict):
        value = value.get("country")
    elif attribute != "country":
        return False
    return isinstance(value, str) and country_key(value) == key


def _sponsor(groups: Groups, texts: tuple[str, ...]) -> Part:
    """Return the condition for all the words of one of these texts in the lead sponsor's name."""
    return groups.speaking(" OR ".join("(" + " AND ".join(f"sponsor : {term}" for term in words(text)) + ")" for text in texts))


def _text(groups: Groups, text: str, names: Names) -> Part:
    """Return the condition for words, each of them in the study's title or conditions, or in the row's values."""
    parts = []
    for term in words(text):
        in_study = groups.speaking(f"{{title conditions}} : {term}")
        if names is BASELINE:
            parts.append(in_study)
            continue
        in_row = groups.told(term)
        source = in_study.source | in_row.source if in_study.source and in_row.source else None
        parts.append(Part(f"({in_row.text}) OR ({in_study.text})", [*in_row.values, *in_study.values], source))
    sources = Choice([part.source for part in parts if part.source])
    return Part(
        " AND ".join(f"({part.text})" for part in parts),
        [value for part in parts for value in part.values],
        sources.best(groups.connection),
    )


def words(text: str) -> list[str]:
    """Return the words of a text as quoted terms of FTS5; raise BadFilter where there is none, or too many."""
    cleaned = "".join(character if character.isprintable() else " " for character in text)
    terms = ['"' + word.replace('"', '""') + '"' for word in cleaned.split() if any(map(str.isalnum, word))]
    if not terms:
        raise BadFilter(f"{text[: globs.LONGEST]!r} holds no word to look for")
    if len(terms) > _MOST_WORDS:
        raise BadFilter(f"{len(terms)} words are too many to look for", hint=f"{_MOST_WORDS} at most")
    return terms


def _json(value: Json) -> str:
    return orjson.dumps(value).decode()
