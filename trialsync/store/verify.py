"""The proof that a store is sound: what it holds agrees with itself, and is what was written."""

# ruff: noqa: S608 - statements are put together from constants; every value is bound

from __future__ import annotations

import re
import struct
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Final

import orjson

from trialsync.errors import StoreDamaged, StoreError
from trialsync.store import codec, schema
from trialsync.store.baseline_problems import baseline_problems
from trialsync.store.connection import RESTORE_HINT, Connection, check_version, connect
from trialsync.store.evidence import WRONG_VALUES, Alone, evident_problems
from trialsync.store.older import WITH_BASELINES, WITH_COUNTS, WITH_HISTORY, older_problems, rows_of_version, see_as_newest
from trialsync.store.reader import Counts
from trialsync.store.seal import (
    CHANGE_COLUMNS,
    OCCASION_COLUMNS,
    POLL_COLUMNS,
    STORED,
    VERSION_COLUMNS,
    seal,
    seal_version,
)
from trialsync.store.word_indexes import word_problems
from trialsync.store.wording import whole_wording_of, wording_of
from trialsync.study.diff import RULE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path
    from typing import TypeAlias

    from trialsync.store.evidence import Helpers

    Told: TypeAlias = Callable[[int, int | None], None]
    Watched: TypeAlias = Callable[[str, str], AbstractContextManager[Told | None]]

WORTH_FROM: Final = 4_000
"""From so many versions on, other processes save more time than they take to start."""

_MOST_PROBLEMS: Final = 100
_TOLD_EVERY: Final = 200
_HEADER: Final = struct.Struct(">18xBB12xII")


@contextmanager
def _unwatched(what: str, unit: str) -> Iterator[Told | None]:
    """Tell nobody how far the work is."""
    del what, unit
    yield None


def verify(path: Path, watched: Watched = _unwatched, helpers: Helpers | None = None, *, worth_from: int = WORTH_FROM) -> list[str]:
    """Return what is wrong with a store, one sentence each, empty where it is sound; past 100 it stops.

    ``watched`` gives, for each part of the work and its unit, what to tell how many are done and their total. Where there are
    ``worth_from`` versions, ``helpers`` look at what they say. All is read from here, and as it is at one moment, whoever is writing.

    Checks, for a store of an older schema as that was, the file by SQLite's integrity check, foreign keys, that every version decodes to
    its fingerprint, that versions are numbered without gaps, that the rows of the log lead from each version to the next, that each study's
    row says what its latest version says, and that the rows of the log hold together. Raises StoreMissing,
    StoreForeign and StoreTooNew; damage is returned, not raised.
    """
    look = partial(_problems, watched=watched, helpers=helpers or Alone(), worth_from=worth_from)
    return _found(path, look, _MOST_PROBLEMS)


def damage(path: Path) -> StoreDamaged | None:
    """Return the damage that explains why a value in a store can't be, or ``None`` where the file and its seals are as they were written.

    This is for who met such a value, and looks at less than ``verify``.
    """
    try:
        found = _found(path, _altered, 1)
    except StoreError:
        return None
    return StoreDamaged(f"{path} is damaged: {found[0]}", hint=RESTORE_HINT) if found else None


def notes(path: Path) -> list[str]:
    """Return what is worth knowing of a sound store and is no problem, one sentence each: an older schema, rows of an older rule.

    Raises StoreMissing, StoreForeign, StoreTooNew, StoreDamaged.
    """
    with _looked_at(path) as (connection, number):
        found = []
        if number < schema.SCHEMA:
            found.append(f"it is of schema {number}; opening it brings it to {schema.SCHEMA}, after a backup beside it")
        older = connection.value("SELECT count(*) FROM versions WHERE number > 1 AND rule < ?", (RULE,))
        if older:
            found.append(
                f"{older:,} {'version was' if older == 1 else 'versions were'} compared by an older rule, and their rows are not replayed: "
                "trialsync rebuild makes them anew"
            )
        return found


def counts(path: Path) -> Counts:
    """Return how much a store holds, of an older schema too, which stays as it is.

    Raises StoreMissing, StoreForeign, StoreTooNew, StoreDamaged.
    """
    with _looked_at(path) as (connection, _):
        return Counts(*(connection.value(f"SELECT count(*) FROM {table}") for table in ("studies", "versions", "changes")))


@contextmanager
def _looked_at(path: Path) -> Iterator[tuple[Connection, int]]:
    """Open a store as it is for today's questions; give the connection and the schema's number."""
    connection = connect(path, writable=False)
    try:
        number = check_version(connection, schema.SCHEMA)
        see_as_newest(connection, number)
        yield connection, number
    finally:
        connection.raw.close()


def _altered(connection: Connection, number: int) -> Iterator[str]:
    found = connection.value("PRAGMA quick_check(1)")
    if found != "ok":
        yield f"the file: {found}"
    yield from _seal_problems(connection, number)


def _found(path: Path, look: Callable[[Connection, int], Iterator[str]], most: int) -> list[str]:
    """Return what a way of looking finds wrong with a store; past ``most`` problems it stops."""
    problems: list[str] = []
    try:
        connection = connect(path, writable=False)
    except StoreDamaged as error:
        return [error.message]
    try:
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute("BEGIN")
        number = check_version(connection, schema.SCHEMA)
        see_as_newest(connection, number)
        for problem in look(connection, number):
            problems.append(problem)
            if len(problems) >= most:
                problems.append("and more")
                break
    except StoreDamaged as error:
        problems.append(error.message)
    except WRONG_VALUES as error:
        problems.append(f"a value is not what any trialsync writes: {error}")
    finally:
        connection.raw.close()
    return problems


def _problems(connection: Connection, number: int, watched: Watched, helpers: Helpers, worth_from: int) -> Iterator[str]:
    with watched("reading the file", "parts"):
        for (text,) in connection.rows(f"PRAGMA integrity_check({_MOST_PROBLEMS})"):
            if text != "ok":
                yield f"the file: {text}"
        yield from _header_problems(connection.path)
        for table, row, parent, _ in connection.rows("PRAGMA foreign_key_check"):
            yield f"row {row} of {table} hangs on nothing in {parent}"
        yield from _missing_parts(connection, number)
        yield from _unreadable_texts(connection, number)
    with watched("reading every version", "studies") as told:
        total = connection.value("SELECT count(*) FROM studies")
        done = 0
        is_worth_help = connection.value("SELECT count(*) FROM versions") >= worth_from
        for count, found in evident_problems(connection, helpers if is_worth_help else Alone()):
            yield from found
            done += count
            if told is not None:
                told(done, total)
        yield from _country_problems(connection)
    with watched("counting the log", "parts"):
        yield from _log_problems(connection)
        yield from baseline_problems(connection) if number >= WITH_BASELINES else older_problems(connection)
        if number >= WITH_HISTORY:
            yield from _history_problems(connection)
        if number >= WITH_COUNTS:
            yield from _count_problems(connection)
    with watched("comparing seals", "versions") as told:
        yield from _seal_problems(connection, number, told)
    with watched("indexing words", "rows") as told:
        yield from word_problems(connection, wording_of if number >= WITH_COUNTS else whole_wording_of, told)


def _country_problems(connection: Connection) -> Iterator[str]:
    """Yield which studies are not filed under the countries that their rows name."""
    for (nct_id,) in connection.rows(_OTHER_COUNTRIES):
        # SQLite's JSON ends a text at a NUL.
        named = connection.value("SELECT countries FROM studies WHERE nct_id = ?", (nct_id,))
        filed = connection.rows("SELECT country FROM study_countries WHERE nct_id = ?", (nct_id,))
        if named is None or {country for (country,) in filed} != set(orjson.loads(named)):
            yield f"{nct_id}: its countries are not those of its latest version"


def _history_problems(connection: Connection) -> Iterator[str]:
    """Yield what the schema with the registry's history brought and is wrong: what was fetched of it, and keys of the log's indexes."""
    number = connection.value(_ASTRAY)
    if number:
        yield f"{number} rows of the log are filed under another study or origin than their version's"
    for nct_id, blob in connection.rows(
        "SELECT nct_id, content FROM history_pages UNION ALL SELECT nct_id, phrases FROM histories WHERE phrases IS NOT NULL"
    ):
        try:
            codec.unpack(blob)
        except codec.BadBlob as error:
            yield f"{nct_id}: what was fetched of its history can't be read: {error}"


def _count_problems(connection: Connection) -> Iterator[str]:
    """Yield which of the counts that are kept are wrong."""
    for (fact,) in connection.rows(_MISCOUNTED_FACTS):
        yield f"fact {fact}: the number of rows that carry it is not that of its rows"
    for (name,) in connection.rows(_MISCOUNTED):
        yield f"watch {name}: the number of studies that are or were in it is not that of its studies"


def _header_problems(path: Path) -> Iterator[str]:
    """Yield what in the file's first bytes would stop a writer, and only a writer: SQLite's integrity check reads past it.

    The places are those of https://www.sqlite.org/fileformat2.html#the_database_header.
    """
    with path.open("rb") as file:
        header = file.read(_HEADER.size)
    write_version, read_version, first_free, free = _HEADER.unpack(header)
    if not {write_version, read_version} <= {1, 2}:
        yield f"the file: its header says that it is of versions {write_version} and {read_version}, which there are not"
    if bool(first_free) != bool(free):
        yield f"the file: its header counts {free} free pages and the first of them is {first_free}"


def _missing_parts(connection: Connection, number: int) -> Iterator[str]:
    """Yield what the store's schema has and this store lacks, or has otherwise."""
    stands = dict(connection.rows("SELECT name, sql FROM sqlite_schema"))
    for migration in schema.due(connection, number):
        yield f"the migration {migration} is missing"
    for name, sql in schema.parts(number).items():
        if name not in stands:
            yield f"{name} is missing from the schema"
        elif stands[name] != sql:
            yield f"{name} is not what the schema says"


def _unreadable_texts(connection: Connection, number: int) -> Iterator[str]:
    """Yield which of the small tables hold texts that are none."""
    made = schema.parts(number)
    for table in (*(name for name in STORED if name in made), "study_countries", "fields", "change_facts"):
        try:
            for _ in connection.rows(f"SELECT * FROM {table}"):
                pass
        except StoreDamaged as error:
            yield f"{table}: {error.message}"


def _log_problems(connection: Connection) -> Iterator[str]:
    """Yield what is wrong with the log as a whole, as far as counting shows it."""
    for sentence, sql in _COUNTED:
        number = connection.value(sql)
        if number:
            yield f"{number} {sentence}"
    for poll_id, blob in connection.rows("SELECT id, covered FROM polls WHERE covered IS NOT NULL"):
        try:
            codec.unpack_ids(blob)
        except codec.BadBlob as error:
            yield f"poll {poll_id}: {error}"


def _seal_problems(connection: Connection, number: int, told: Told | None = None) -> Iterator[str]:
    """Yield what was altered since it was written, though it looks right; ``told`` hears how many versions were looked at."""
    total = connection.value("SELECT count(*) FROM versions")
    versions = connection.rows(f"SELECT id, {VERSION_COLUMNS}, rule, seal FROM versions")
    for place, (version_id, *columns, rule, mark) in enumerate(versions):
        if told is not None and place % _TOLD_EVERY == 0:
            told(place, total)
        brought = rows_of_version(connection, number, version_id, (columns[-2], columns[-1]))
        if seal_version(columns, rule, *brought) != mark:
            yield f"{columns[0]} version {columns[1]}, or a row of the log that it brought, was altered since it was written"
    yield from _own_seal_problems(connection, number)


def _own_seal_problems(connection: Connection, number: int) -> Iterator[str]:
    """Yield what was altered since it was written of rows that have a seal of their own, versions left out."""
    rows = f"SELECT {CHANGE_COLUMNS} FROM changes c JOIN fields f ON f.id = c.field_id WHERE c.id BETWEEN ? AND ? ORDER BY c.id"
    for change_id, *columns, mark in connection.rows(
        f"SELECT change_id, (SELECT version_id FROM changes WHERE id = change_id), {OCCASION_COLUMNS}, seal FROM occasions"
    ):
        if seal(columns, *connection.rows(rows, (change_id, change_id))) != mark:
            yield f"change {change_id} was altered since it was written"
    for poll_id, mark, *columns in connection.rows(f"SELECT id, seal, {POLL_COLUMNS} FROM polls"):
        if seal(columns) != mark:
            yield f"poll {poll_id} was altered since it was written"
    made = schema.parts(number)
    for table, key in STORED.items():
        if table not in made:
            continue
        expression = re.search(r"seal \w+ GENERATED ALWAYS AS \((.+)\) STORED", made[table] or "", re.DOTALL)
        assert expression is not None, table  # noqa: S101 - the schema says so
        for (name,) in connection.rows(f"SELECT {key} FROM {table} WHERE seal IS NOT ({expression[1]})"):
            yield f"{name}: a row of {table} was altered since it was written"


_ASTRAY: Final = """
    SELECT count(*) FROM changes c JOIN versions v ON v.id = c.version_id JOIN studies s ON s.nct_id = v.nct_id
    LEFT JOIN occasions o ON o.change_id = c.id
    WHERE c.study_id IS NOT s.id OR c.origin IS NOT nullif(coalesce(o.origin, v.origin), 'poll')"""

_OTHER_COUNTRIES: Final = """
    SELECT k.nct_id FROM study_countries k WHERE NOT EXISTS (
        SELECT 1 FROM studies s, json_each(s.countries) j WHERE s.nct_id = k.nct_id AND j.value = k.country)
    UNION
    SELECT s.nct_id FROM studies s, json_each(s.countries) j WHERE NOT EXISTS (
        SELECT 1 FROM study_countries k WHERE k.country = j.value AND k.nct_id = s.nct_id)
    UNION
    SELECT nct_id FROM studies WHERE instr(countries, '\\u0000')"""
"""The studies of which a country is not filed, or filed and not named, or holds a NUL."""

_MISCOUNTED: Final = """
    SELECT w.name FROM watches w LEFT JOIN watch_studies m ON m.watch_id = w.id GROUP BY w.id
    HAVING w.members <> count(m.nct_id) FILTER (WHERE m.left_load IS NULL)
    OR w.former <> count(DISTINCT m.nct_id) - count(m.nct_id) FILTER (WHERE m.left_load IS NULL)"""

_MISCOUNTED_FACTS: Final = """
    SELECT fact FROM (SELECT fact, rule, count(*) AS rows FROM change_facts GROUP BY fact, rule
    UNION ALL SELECT fact, rule, -rows FROM fact_counts) GROUP BY fact, rule HAVING sum(rows) <> 0"""

_COUNTED: Final = (
    ("rows of the log lack a kind, a tier or a date", """
        SELECT count(*) FROM changes WHERE kind IS NULL OR tier IS NULL OR date IS NULL"""),
    ("rows of the log have a kind, a tier or a maker that there is not", """
        SELECT count(*) FROM changes WHERE kind NOT IN ('added', 'removed', 'changed')
        OR tier NOT IN ('headline', 'detail', 'housekeeping') OR "by" NOT IN ('sponsor', 'registry')"""),
    ("versions have an origin that there is not", "SELECT count(*) FROM versions WHERE origin NOT IN ('poll', 'import', 'history')"),
    ("fields have a tier, or a maker, that there is not", """
        SELECT count(*) FROM fields
        WHERE tier NOT IN ('headline', 'detail', 'housekeeping') OR coalesce("by", 'registry') <> 'registry'"""),
    ("facts are not what was recorded", """
        SELECT count(*) FROM change_facts WHERE json_valid(json) = 0 OR json ->> 'id' <> fact OR json ->> 'rule' <> rule"""),
    ("facts stand twice on a row", """
        SELECT count(*) FROM (SELECT 1 FROM change_facts GROUP BY change_id, fact HAVING count(*) > 1)"""),
    ("tables that nothing is ever removed from have gaps between their ids", """
        SELECT (SELECT count(*) IS NOT coalesce(max(id), 0) FROM studies) + (SELECT count(*) IS NOT coalesce(max(id), 0) FROM versions)"""),
    ("studies have a presence that there is not", """
        SELECT count(*) FROM studies WHERE presence NOT IN ('listed', 'removed', 'merged', 'withheld')"""),
    ("rows of the log hold what is not JSON", """
        SELECT count(*) FROM changes WHERE json_valid(coalesce(before, '0')) = 0 OR json_valid(coalesce(after, '0')) = 0"""),
    ("rows of the log are of an id that was never given out", """
        SELECT count(*) FROM changes WHERE id > coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'changes'), 0)"""),
)  # fmt: skip
