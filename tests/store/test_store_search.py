"""No question walks the whole log: each filter is answered by an index that has its rows, and finds just what reading everything finds."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import date, timedelta
from itertools import product
from typing import TYPE_CHECKING

import pytest
from store_log import fill, new_store, take

from trialsync.model import By, Kind, Origin, Tier
from trialsync.store import sources
from trialsync.store.baseline_tables import HAS_COUNTRY
from trialsync.store.connection import connect
from trialsync.store.filters import ChangeFilter, conditions, country_key, is_in_country
from trialsync.store.ranges import Counted, Range
from trialsync.store.reader import Reader
from trialsync.store.search import Search
from trialsync.store.sources import FEW_KEYS, Index, Source
from trialsync.store.tables import ITS_COUNTRY
from trialsync.store.verify import verify

if TYPE_CHECKING:
    from pathlib import Path

    from trialsync.store.connection import Connection

INDEXED = {
    "study": (ChangeFilter(studies=("NCT00000001",)), {"changes_by_study"}),
    "watch": (ChangeFilter(watches=("lung",)), {"changes_by_study"}),
    "field": (ChangeFilter(fields=("outcomes.*",)), {"changes_by_field"}),
    "fact": (ChangeFilter(facts=("stopped",)), {"change_facts_by_fact"}),
    "country": (ChangeFilter(countries=("Germany",)), {"changes_by_study", "changes_by_country"}),
    "sponsor": (ChangeFilter(sponsors=("acme",)), {"changes_by_study"}),
    "text": (ChangeFilter(texts=("survival",)), {"changes_by_study", "words"}),
    "since": (ChangeFilter(since="2026-02-05"), {"changes_by_date"}),
    "until": (ChangeFilter(until="2026-02-05"), {"changes_by_date"}),
    "origin": (ChangeFilter(origins=(Origin.HISTORY,)), {"changes_by_origin"}),
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store with the small log in it."""
    path = new_store(tmp_path_factory.mktemp("search") / "trialsync.db")
    fill(path)
    return path


@pytest.fixture
def connection(store: Path) -> Connection:
    """Return a connection that reads it."""
    return connect(store, writable=False)


@pytest.mark.parametrize("name", INDEXED)
def test_a_filter_is_answered_by_an_index(connection: Connection, store: Path, name: str) -> None:
    """Each filter has a source of its own: the indexes under whose keys all its rows stand."""
    wanted, indexes = INDEXED[name]
    with Reader.open(store) as reader:
        known = [watch.name for watch in reader.watches()]
    if wanted.watches:
        wanted = ChangeFilter(watches=(known[0],))
    if wanted.facts:
        wanted = ChangeFilter(facts=("stopped",))
    source = conditions(connection, wanted).choice.best(connection)
    assert source is not None
    found = {index.name for index, _ in source.keys} | ({"changes_by_date"} if source.days else set())
    assert found | ({"words"} if source.words else set()) == indexes


@pytest.mark.parametrize(
    ("index", "key"),
    [
        (sources.BY_STUDY, 1),
        (sources.BY_FIELD, 1),
        (sources.BY_DATE, "2026-02-05"),
        (sources.BY_ORIGIN, None),
        (sources.BY_COUNTRY, "germany"),
        (sources.BY_FACT, "stopped"),
    ],
)
@pytest.mark.parametrize("order", ["ASC", "DESC"])
def test_an_index_gives_the_ids_of_a_key_in_order(connection: Connection, index: Index, key: object, order: str) -> None:
    """The ids of a key between two others are found and read in order, without a table being scanned or anything being sorted."""
    plan = " ".join(row[3] for row in connection.rows(f"EXPLAIN QUERY PLAN {index.ids('?1', '?2', '?3', order)}", (key, 0, 9)))
    assert index.name in plan
    assert "SEARCH" in plan
    assert "SCAN" not in plan
    assert "TEMP B-TREE" not in plan


def test_words_are_found_in_the_order_of_the_log(connection: Connection) -> None:
    """The rows that hold a word are found within the wanted range, in order, and each once though two sources have it."""
    source = Source(((sources.BY_ORIGIN, (None,)),), words=('"acme"', '"funding"'))
    for newest_first in (False, True):
        found = list(source.ids(connection, [(0, sources.LAST)], newest_first=newest_first))
        assert found == sorted(set(found), reverse=newest_first)
        assert found


FILTERS = [
    *(wanted for name, (wanted, _) in INDEXED.items() if name not in {"watch", "study"}),
    ChangeFilter(kinds=(Kind.ADDED,), tiers=(Tier.HEADLINE,)),
    ChangeFilter(bys=(By.REGISTRY,)),
    ChangeFilter(origins=(Origin.POLL, Origin.IMPORT)),
    ChangeFilter(fields=("*.timeFrame",), since="2026-02-04"),
    ChangeFilter(seen_since="2026-02-04T10:00:09.000Z"),
    ChangeFilter(countries=("France",), until="2026-02-06", housekeeping=False),
    ChangeFilter(texts=("lung",), origins=(Origin.POLL,)),
]


@pytest.mark.parametrize("place", range(len(FILTERS)))
def test_whatever_the_way_the_rows_are_the_same(connection: Connection, place: int) -> None:
    """By a source, by walking the log, in both orders, cut anywhere: the same rows; and counted as many."""
    wanted = FILTERS[place]
    connection.raw.create_function("is_in_country", 5, is_in_country, deterministic=True)
    walk = Search(connection, wanted, Range())
    walk._happened._source = None
    due = [number for (number,) in walk.rows()]
    last = due[-1] if due else 5
    for newest_first, after, up_to in product((False, True), (None, 0, last // 2), (None, last // 2 + 3)):
        found = [number for (number,) in Search(connection, wanted, Range(after, up_to, newest_first)).rows()]
        wanted_ids = [number for number in due if (after or 0) < number <= (up_to or last)]
        assert found == sorted(wanted_ids, reverse=newest_first)
    assert Search(connection, wanted, Range()).count().rows == len(due)
    bounded = Search(connection, wanted, Range(newest_first=True)).count(most=1)
    assert (bounded.rows, bounded.whole) == ((1, False) if due else (0, True))


@pytest.mark.parametrize(
    "item",
    [
        "general hospital|berlin||germany",
        "general hospital|berlin||germany #2",
        "a | b|c|d|e|united states",
        "|||",
        "|||cote d'ivoire",
        "ward # 3|lyon||france",
        "x\x00y|oslo||norway",
        "ü|ö|ä|österreich",
        "%_|a|b|korea, republic of",
    ],
)
def test_a_site_is_filed_under_its_country(item: str) -> None:
    """Under the country that its key ends in stands every row that the filter takes for one of it, or else under the empty key."""
    with closing(sqlite3.connect(":memory:")) as raw:
        raw.execute("CREATE TABLE changes (item TEXT, attribute TEXT)")
        raw.executemany("INSERT INTO changes VALUES (?, ?)", [(item, None), (item, "status"), (item, "country")])
        filed = [key for (key,) in raw.execute(f"SELECT {ITS_COUNTRY} FROM changes WHERE {HAS_COUNTRY}")]  # noqa: S608
    key = item.rpartition("|")[2].partition(" #")[0]
    assert is_in_country(country_key(key), item, None, None, None)
    assert filed == (["", "", ""] if "\x00" in item else [key, key, ""])


def test_rows_filed_elsewhere_are_damage(tmp_path: Path) -> None:
    """A row that hangs on one study and is filed under another, or under another origin, is a problem."""
    path = new_store(tmp_path / "trialsync.db")
    fill(path)
    for column, value in (("study_id", 2), ("origin", "history")):
        with closing(sqlite3.connect(path, isolation_level=None)) as raw:
            number, was = raw.execute(f"SELECT id, {column} FROM changes WHERE study_id = 1 LIMIT 1").fetchone()  # noqa: S608
            raw.execute(f"UPDATE changes SET {column} = ? WHERE id = ?", (value, number))  # noqa: S608
            assert any("filed under another" in problem for problem in verify(path))
            raw.execute(f"UPDATE changes SET {column} = ? WHERE id = ?", (was, number))  # noqa: S608
    assert verify(path) == []


def test_statistics_are_kept(store: Path) -> None:
    """A writer that closes the store leaves the statistics that whoever asks by SQL profits from."""
    with take(store):
        pass
    with closing(sqlite3.connect(store)) as raw:
        assert raw.execute("SELECT count(*) FROM sqlite_stat1 WHERE tbl = 'changes'").fetchone()[0] > 0
    assert verify(store) == []


@pytest.mark.parametrize("newest_first", [False, True])
def test_days_told_in_blocks_are_those_told_at_once(store: Path, *, newest_first: bool) -> None:
    """Told a few rows at a time, each study's day stands once, whole, and where it stands when all are told together."""
    with Reader.open(store) as reader:
        together = reader.study_days(ChangeFilter(), newest_first=newest_first)
        for rows in (1, 3, 5_000):
            blocks = list(reader.study_days_in_blocks(ChangeFilter(), newest_first=newest_first, rows=rows))
            assert [day for block in blocks for day in block.days.items()] == list(together.days.items())
            assert sum(block.rows for block in blocks) == together.rows
            assert max(block.last for block in blocks) == together.last


def test_days_far_back_are_found_in_any_range(store: Path) -> None:
    """Whatever days and ids bound a question, the rows of many days come in the log's order, from either end."""
    with Reader.open(store) as reader:
        rows = list(reader.changes(ChangeFilter()))
        days = sorted({row.date for row in rows})
        assert len(days) > FEW_KEYS + 1
        for since, until in ((None, days[-2]), (days[1], None), (days[0], days[-1])):
            for after in (None, rows[len(rows) // 2].id):
                due = [row.id for row in rows if (since or "") <= row.date <= (until or "9") and row.id > (after or 0)]
                for newest_first in (False, True):
                    found = reader.changes(ChangeFilter(since=since, until=until), after=after, newest_first=newest_first)
                    assert [row.id for row in found] == (due[::-1] if newest_first else due)


def test_what_was_not_counted_to_its_end_is_told_in_round_numbers() -> None:
    """An odd number would look as if it meant something; one that was counted whole is told as it is."""
    told = [str(Counted(rows, whole=False)) for rows in (0, 1, 11, 367, 100_000)]
    assert told == ["some", "1 or more", "10 or more", "300 or more", "100,000 or more"]
    assert str(Counted(1367, whole=True)) == "1,367"


LATELY = (Origin.POLL, Origin.IMPORT)


@pytest.fixture(scope="module")
def long_history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store in whose log three runs of the registry's history stand: 5,000 rows of some thousand days, 40, and 2,000."""
    path = new_store(tmp_path_factory.mktemp("history") / "trialsync.db")
    fill(path)
    with closing(sqlite3.connect(path)) as raw:
        version, field, study = raw.execute("SELECT version_id, field_id, study_id FROM changes ORDER BY id DESC LIMIT 1").fetchone()
        columns = 'version_id, field_id, study_id, date, kind, tier, "by", after, origin'
        add = f"INSERT INTO changes ({columns}) VALUES (?, ?, ?, ?, 'changed', 'headline', 'sponsor', '1', ?)"  # noqa: S608 - our own
        old = [(date(2019, 1, 1) + timedelta(days=number % 1_000)).isoformat() for number in range(5_000)]
        polls = [("2026-03-02", None)] * 3 + [("2019-05-05", "import"), ("2019-05-06", None)]
        for rows in ([(day, "history") for day in old], polls, [(day, "history") for day in old[:40]], polls, polls[:3]):
            raw.executemany(add, [(version, field, study, *row) for row in rows])
        raw.executemany(add, [(version, field, study, day, "history") for day in old[:2_000]])
        raw.commit()
    return path


@pytest.mark.parametrize(
    "wanted",
    [
        ChangeFilter(until="2022-01-01"),
        ChangeFilter(since="2019-05-04", until="2019-05-06"),
        ChangeFilter(fields=("*",)),
        ChangeFilter(studies=("NCT00000001", "NCT00000002", "NCT00000003")),
        ChangeFilter(texts=("acme",)),
        ChangeFilter(kinds=(Kind.CHANGED,)),
    ],
)
def test_what_the_history_brought_is_passed_over_and_nothing_else(long_history: Path, wanted: ChangeFilter) -> None:
    """Whichever origins are wanted: in both orders, cut anywhere, the rows are those that looking at each of them finds."""
    connection = connect(long_history, writable=False)
    ends = [number for number, _ in connection.rows("SELECT min(id), max(id) FROM changes GROUP BY coalesce(origin, '')")]
    for origins in (LATELY, (Origin.POLL,), (Origin.IMPORT,), (Origin.HISTORY,), (Origin.HISTORY, Origin.IMPORT)):
        asked = replace(wanted, origins=origins)
        walk = Search(connection, asked, Range())
        walk._happened._source = None
        walk._happened._stretches = [(sources.FIRST, sources.LAST)]
        due = [number for (number,) in walk.rows()]
        for newest_first, after, up_to in product((False, True), (None, 0, *ends), (None, *(end + 7 for end in ends))):
            found = [number for (number,) in Search(connection, asked, Range(after, up_to, newest_first)).rows()]
            assert found == sorted((number for number in due if (after or 0) < number <= (up_to or sources.LAST)), reverse=newest_first)
        assert Search(connection, asked, Range(newest_first=True)).count().rows == len(due)


@pytest.mark.parametrize("newest_first", [False, True])
def test_a_long_history_is_not_looked_through_for_other_rows(long_history: Path, newest_first: bool) -> None:  # noqa: FBT001 - a parameter
    """Days of which nearly all rows are of the registry's history give the few others without those being read."""
    connection = connect(long_history, writable=False)
    last = connection.value("SELECT max(id) FROM changes")
    days = sources.dates(connection, None, "2022-01-01")
    assert days.is_of_days
    left = sources.stretches(connection, LATELY, 1, last, newest_first=newest_first)
    looked = list(days.ids(connection, left, newest_first=newest_first))
    lately = set(dict(connection.rows("SELECT id, date FROM changes WHERE date < '2022-01-01' AND origin IS NOT 'history'")))
    assert len(lately) == 4
    assert lately <= set(looked)
    assert len(looked) < 100
    assert looked == sorted(looked, reverse=newest_first)


def test_words_are_looked_up_once_for_all_statements(store: Path) -> None:
    """Lines, whole days and rows of the same words, and a count of them, go through the index for words once."""
    said: list[str] = []
    wanted = ChangeFilter(texts=("funding",))
    with Reader.open(store) as reader:
        reader._db.raw.set_trace_callback(said.append)
        days = reader.study_days(wanted, limit=3, newest_first=True)
        rows = list(reader.changes(wanted, limit=3, newest_first=True))
        assert reader.count(wanted) >= len(rows)
        reader._db.raw.set_trace_callback(None)
        assert days.rows >= len(rows) > 0
    read = [each for each in said if "change_words MATCH" in each and "count(*)" not in each and "ORDER BY rowid" not in each]
    assert len(read) == 1
