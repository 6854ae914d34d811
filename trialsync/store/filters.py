"""Which rows of the change log are wanted: a filter's fields to conditions in SQL.

Within one field of a filter any value will do; all fields together hold. Every value is bound as a parameter; words for full-text search
are quoted one by one, so that nothing in them is taken for syntax.
"""

# ruff: noqa: S608 - statements are put together from constants; every value is bound

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fnmatch import filter as filter_names
from typing import TYPE_CHECKING, Any, Final

import orjson

from trialsync.errors import BadFilter, UnknownWatch
from trialsync.store import globs
from trialsync.study.facts import BY_ID, nearest
from trialsync.study.fields import WATCH_PREFIX, by_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trialsync.model import By, Json, Kind, Origin, Tier
    from trialsync.store.connection import Connection

_MOST_WORDS: Final = 50
_LOCATIONS: Final = "locations"
_PATH: Final = "f.name || coalesce('.' || c.item, '') || coalesce('.' || c.attribute, '')"
_OWN: Final = "(SELECT o.{column} FROM occasions o WHERE o.change_id = c.id)"
_LISTED: Final = "(SELECT value FROM json_each(?))"


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
    """Conditions over ``changes c``, ``versions v``, ``studies s`` and ``fields f``, all of which hold, and their parameters."""

    index: str
    texts: list[str] = field(default_factory=list)
    parameters: list[Any] = field(default_factory=list)

    def add(self, text: str, *parameters: Any) -> None:
        """Want this too."""
        self.texts.append(f"({text})")
        self.parameters += parameters

    def either(self, parts: Iterable[tuple[str, list[Any]]]) -> None:
        """Want one of these, where there are any."""
        found = list(parts)
        if found:
            self.add(" OR ".join(f"({text})" for text, _ in found), *(value for _, values in found for value in values))

    @property
    def source(self) -> str:
        """Return what follows FROM: the tables that the conditions speak of, and the conditions."""
        return (
            f"changes c {self.index} CROSS JOIN versions v ON v.id = c.version_id CROSS JOIN studies s ON s.nct_id = v.nct_id "
            f"CROSS JOIN fields f ON f.id = c.field_id WHERE {' AND '.join(self.texts) or '1'}"
        )


def conditions(connection: Connection, wanted: ChangeFilter, after: int | None = None) -> Conditions:
    """Return a filter as SQL conditions; ``after`` is a cursor.

    Raises UnknownWatch for a watch that the store does not know, BadFilter for a filter that nothing could ever match.
    """
    wanted = _encodable(wanted)
    if wanted.since and wanted.until and wanted.since > wanted.until:
        raise BadFilter(f"nothing can be since {wanted.since} and until {wanted.until}")
    found = Conditions(_index(wanted, after))
    if not wanted.baseline:
        found.add("c.baseline = 0")
    if after is not None:
        found.add("c.id > ?", after)
    _add_dates(found, wanted)
    _add_studies(found, connection, wanted)
    found.either(_field(connection, pattern) for pattern in wanted.fields)
    for expression, values in (
        ("coalesce(c.kind, 'added')", wanted.kinds),
        ("coalesce(c.tier, f.tier)", wanted.tiers),
        ('c."by"', wanted.bys),
        (f"coalesce({_OWN.format(column='origin')}, v.origin)", wanted.origins),
    ):
        if values:
            found.add(f"{expression} IN {_LISTED}", _json([value.value for value in values]))
    if not wanted.housekeeping:
        found.add("coalesce(c.tier, f.tier) <> 'housekeeping'")
    _check_facts(connection, (*wanted.facts, *wanted.without_facts))
    facts = f"EXISTS (SELECT 1 FROM change_facts x WHERE x.change_id = c.id AND x.fact IN {_LISTED})"
    if wanted.facts:
        found.add(facts, _json(wanted.facts))
    if wanted.without_facts:
        found.add(f"NOT {facts}", _json(wanted.without_facts))
    found.either(_country(connection, country) for country in wanted.countries)
    found.either(_sponsor(text) for text in wanted.sponsors)
    found.either(_text(text) for text in wanted.texts)
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


def _index(wanted: ChangeFilter, after: int | None) -> str:
    """Return the index that finds the rows: without it SQLite would walk through the baseline, which is nearly everything."""
    if wanted.baseline:
        return ""
    if wanted.studies:
        return "INDEXED BY changes_by_version"
    if after is None and wanted.since:
        return "INDEXED BY changes_by_date"
    return "INDEXED BY changes_by_id"


def _add_dates(found: Conditions, wanted: ChangeFilter) -> None:
    date = "coalesce(c.date, v.date)" if wanted.baseline else "c.date"
    if wanted.since:
        found.add(f"{date} >= ?", wanted.since)
    if wanted.until:
        found.add(f"{date} <= ?", wanted.until)
    if wanted.seen_since:
        found.add(f"coalesce({_OWN.format(column='seen')}, v.seen) >= ?", wanted.seen_since)


def _add_studies(found: Conditions, connection: Connection, wanted: ChangeFilter) -> None:
    if wanted.studies:
        versions = f"(SELECT id FROM versions WHERE nct_id IN {_LISTED})"
        if wanted.baseline:
            found.add(
                f"c.id IN (SELECT n.id FROM changes n INDEXED BY changes_by_version WHERE n.baseline = 0 AND n.version_id IN {versions} "
                "UNION SELECT b.id FROM versions w CROSS JOIN changes b ON b.id BETWEEN w.first_change AND w.last_change "
                f"AND b.baseline = 1 AND b.version_id = w.id WHERE w.nct_id IN {_LISTED} "
                "UNION SELECT l.id FROM changes l INDEXED BY changes_late WHERE l.baseline = 1 AND l.date IS NOT NULL "
                f"AND l.version_id IN {versions})",
                _json(wanted.studies),
                _json(wanted.studies),
                _json(wanted.studies),
            )
        else:
            found.add(f"c.version_id IN {versions}", _json(wanted.studies))
    for name in wanted.watches:
        if connection.value("SELECT 1 FROM watches WHERE name = ?", (name,)) is None:
            raise UnknownWatch(f"no watch {name!r} in {connection.path}", hint="trialsync watches lists them")
    if wanted.watches:
        found.add(
            f"s.nct_id IN (SELECT m.nct_id FROM watch_studies m JOIN watches w ON w.id = m.watch_id WHERE w.name IN {_LISTED})",
            _json(wanted.watches),
        )


def _field(connection: Connection, pattern: str) -> tuple[str, list[Any]]:
    """Return the condition for one pattern over paths."""
    if not pattern or len(pattern) > globs.LONGEST:
        raise BadFilter("a pattern for fields needs between 1 and 1000 characters", hint="trialsync fields lists them all")
    reached: dict[globs.Reach, list[int]] = {reach: [] for reach in globs.Reach}
    names = []
    for number, name, is_known in connection.rows("SELECT id, name, known FROM fields ORDER BY id"):
        part = by_name(name)
        has_parts = part is not None and (part.items is not None or bool(part.attributes))
        reached[globs.reach(pattern, name, has_parts=has_parts or not is_known)].append(number)
        names.append(name)
    whole, some = reached[globs.Reach.WHOLE], reached[globs.Reach.SOME]
    # A watch's field is met with its first member; until then its name is possible all the same.
    if not whole and not some and globs.reach(pattern, WATCH_PREFIX.rstrip("."), has_parts=True) is globs.Reach.NOTHING:
        raise globs.no_field(pattern, names)
    below = f"c.field_id IN {_LISTED} AND {_PATH} LIKE ? ESCAPE '\\'"
    return f"c.field_id IN {_LISTED} OR ({below})", [_json(whole), _json(some), globs.like(pattern)]


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


def _country(connection: Connection, wanted: str) -> tuple[str, list[Any]]:
    """Return the condition for a country: the study has a site there now, or the row is about a site there."""
    key = country_key(wanted)
    if not key:
        raise BadFilter("a country needs a name")
    spellings = [name for (name,) in connection.rows("SELECT DISTINCT country FROM study_countries") if country_key(name) == key]
    now = f"s.nct_id IN (SELECT k.nct_id FROM study_countries k WHERE k.country IN {_LISTED})"
    then = f"f.name = '{_LOCATIONS}' AND is_in_country(?, c.item, c.attribute, c.before, c.after)"
    return f"{now} OR ({then})", [_json(spellings), key]


def country_key(name: str) -> str:
    """Return a country's name as the key of a site holds it: lower case, white space collapsed."""
    return " ".join(name.lower().split())


def is_in_country(key: str, item: str | None, attribute: str | None, before: str | None, after: str | None) -> bool:
    """Return whether a row of ``locations`` is about a site in a country: its item's key ends in it, or a value of the row names it."""
    last = (item or "").rpartition("|")[2].partition(" #")[0]
    return last == key or any(_names(key, attribute, text) for text in (before, after))


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


def _sponsor(text: str) -> tuple[str, list[Any]]:
    """Return the condition for words of the lead sponsor's name."""
    terms = words(text)
    match = "s.id IN (SELECT rowid FROM study_words WHERE study_words MATCH ?)"
    return " AND ".join(match for _ in terms), [f"sponsor : {term}" for term in terms]


def _text(text: str) -> tuple[str, list[Any]]:
    """Return the condition for words, each of them in the study's title or conditions, or in the row's values."""
    terms = words(text)
    in_row = "c.id IN (SELECT rowid FROM change_words WHERE change_words MATCH ?)"
    in_study = "s.id IN (SELECT rowid FROM study_words WHERE study_words MATCH ?)"
    match = f"({in_row} OR {in_study})"
    return " AND ".join(match for _ in terms), [query for term in terms for query in (term, f"{{title conditions}} : {term}")]


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
