"""Baseline rows: packed together, and read, found, counted and given ids as rows of the log that stand by themselves."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
from store_log import STUDIES, add, add_in_page, edited, fill, new_store, site, take

from trialsync.errors import BadFilter, StoreDamaged
from trialsync.model import Origin
from trialsync.store.baselines import FIELD_ID, ID, ITEM, TIER, in_runs, packed, unpacked
from trialsync.store.filters import ChangeFilter
from trialsync.store.first import first
from trialsync.store.reader import Reader
from trialsync.store.rebuild import rebuild
from trialsync.store.verify import verify
from trialsync.study.diff import baseline

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FIRST_ID, FIRST = next(iter(STUDIES.items()))
SITES = 20


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Return an empty store."""
    return new_store(tmp_path / "trialsync.db")


@pytest.fixture
def raw(store: Path) -> Iterator[sqlite3.Connection]:
    """Return a connection of any SQL tool to a store with the small log."""
    fill(store)
    with closing(sqlite3.connect(store, isolation_level=None)) as connection:
        yield connection


def many_sites(number: int) -> dict[str, Any]:
    """Return a study with so many sites."""
    return edited(FIRST, None, contactsLocationsModule__locations=[site(f"Clinic {place}", "Köln", "Germany") for place in range(number)])


def plan(raw: sqlite3.Connection, sql: str) -> list[str]:
    """Return how SQLite goes about a question where it does not know how few rows there are."""
    raw.execute("DELETE FROM sqlite_stat1")
    raw.execute("ANALYZE sqlite_schema")
    return [row[3] for row in raw.execute(f"EXPLAIN QUERY PLAN {sql}")]


def ids(store: Path, **asked: Any) -> list[int]:
    """Return the ids of the log with the baseline."""
    with Reader.open(store) as reader:
        return [row.id for row in reader.changes(ChangeFilter(baseline=True), **asked)]


def test_each_row_takes_the_shortest_form_and_is_read_by_sql_alone() -> None:
    """A field, a site, an item of another field, a tier of its own, and a NUL, at which SQLite's JSON ends a text, come back."""
    rows = [
        (7, None, None),
        (SITES, 'a "b"\\|ly\non||ünïted 😀', None),
        (SITES, "a||b|c", "detail"),
        (8, "x", None),
        (9, None, "housekeeping"),
        (SITES, "n\0ul\0|\1\2||x", None),
    ]
    text = packed(rows, SITES)
    assert json.loads(text)[:5] == [7, rows[1][1], [SITES, "a||b|c", "detail"], [8, "x"], [9, None, "housekeeping"]]
    with closing(sqlite3.connect(":memory:")) as raw:
        raw.execute("CREATE TABLE fields (id INTEGER, name TEXT)")
        raw.execute("CREATE TABLE baselines (id INTEGER, rows TEXT)")
        raw.execute("INSERT INTO fields VALUES (?, 'locations')", (SITES,))
        raw.execute("INSERT INTO baselines VALUES (100, ?)", (text,))
        sql = f"SELECT {ID}, {FIELD_ID}, {ITEM}, {TIER} FROM baselines b JOIN json_each(b.rows) j"  # noqa: S608 - our own names
        assert raw.execute(sql).fetchall() == [(100 + place, *row) for place, row in enumerate(rows)]
    assert unpacked(text) is not None


def test_what_does_not_stand_side_by_side_is_in_rows_of_its_own() -> None:
    """Where an id is left out, or another version begins, another row does."""
    rows = [(3, 1, 7, None, None), (4, 1, 8, None, None), (6, 1, 7, None, None), (7, 2, 7, None, None)]
    assert list(in_runs(rows, SITES)) == [(3, 1, "[7,8]"), (6, 1, "[7]"), (7, 2, "[7]")]


def test_one_row_a_version_is_written(raw: sqlite3.Connection) -> None:
    """Of a version seen first all baseline rows are in one row, under the first of the ids that the version was given."""
    found = raw.execute("SELECT b.id, v.first_change, json_array_length(b.rows) FROM baselines b JOIN versions v ON v.id = b.version_id")
    assert [(number, given, length) for number, given, length in found] == [
        (given, given, last - given + 1)
        for given, last in raw.execute("SELECT first_change, last_change FROM versions WHERE number = 1 ORDER BY id")
    ]


def test_ids_are_given_out_once_though_nothing_but_baseline_was_written(store: Path) -> None:
    """After a process that wrote baseline rows alone, and after one that took them away, the log ends where it did, and ids go on."""
    with take(store) as writer:
        add(writer, FIRST, "2026-02-04")
    with closing(sqlite3.connect(store)) as raw:
        assert raw.execute("SELECT count(*) FROM changes").fetchone() == (0,)
    due = ids(store)
    with Reader.open(store) as reader:
        assert due[-1] == len(due) == reader.last_id()
        reader.check_cursor(due[-1])
        with pytest.raises(BadFilter, match="past the log's end"):
            reader.check_cursor(due[-1] + 1)
    with take(store) as writer:
        rebuild(writer, "none")
    assert ids(store) == []
    with take(store) as writer:
        add(writer, STUDIES["NCT00000002"], "2026-02-04")
    assert ids(store)[0] == due[-1] + 1
    assert verify(store) == []


def test_ids_of_a_page_that_failed_are_given_out_again(store: Path) -> None:
    """A page that is not kept gives no ids out."""

    def half() -> None:
        with take(store) as writer, writer.page():
            add_in_page(writer, FIRST, "2026-02-04")
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        half()
    with take(store) as writer:
        add(writer, FIRST, "2026-02-04")
    assert ids(store)[0] == 1


def test_a_study_of_thousands_of_sites(store: Path) -> None:
    """A baseline of thousands of rows is read in both orders, cut anywhere, counted, and made again without another id."""
    study = many_sites(4_000)
    with take(store) as writer:
        add(writer, STUDIES["NCT00000002"], "2026-02-04")
        add(writer, study, "2026-02-04")
        add(writer, STUDIES["NCT00000003"], "2026-02-05")
        assert rebuild(writer, "core").baseline == 0
    due = ids(store)
    assert due == list(range(1, len(due) + 1))
    with Reader.open(store) as reader:
        assert reader.count(ChangeFilter(baseline=True)) == len(due) > 4_000
        rows = reader.changes_of(FIRST_ID)
        assert [(row.field, row.item, row.after) for row in rows] == [
            (each.field, each.item, each.after) for each in baseline(study, "core")
        ]
        assert reader.logged([rows[-1].id, 1, len(due) + 1, rows[0].id]) == [rows[-1], *reader.logged([1]), rows[0]]
    for newest_first, after in product((False, True), (None, 0, 5, 2_000, len(due) - 1)):
        wanted = sorted((number for number in due if number > (after or 0)), reverse=newest_first)
        assert ids(store, newest_first=newest_first, after=after, up_to=3_000, limit=30) == [each for each in wanted if each <= 3_000][:30]
    assert verify(store) == []


@pytest.mark.parametrize("looked", [0, 1, 5, 100])
def test_rows_before_a_cursor_are_never_counted(store: Path, looked: int) -> None:
    """Where counting breaks off inside a version's rows, those that the cursor leaves out are not counted with them."""
    with take(store) as writer:
        add(writer, many_sites(40), "2026-02-04")
    with Reader.open(store) as reader:
        for after in range(reader.last_id() + 1):
            due = reader.count(ChangeFilter(baseline=True), after=after)
            assert due == reader.last_id() - after
            assert reader.counted(ChangeFilter(baseline=True), after=after, looked=looked).rows <= due
            assert reader.hidden(ChangeFilter(), after=after, looked=looked).baseline.rows <= min(due, looked + 1)


def test_rows_are_told_before_all_are_read(raw: sqlite3.Connection, store: Path) -> None:
    """The baseline is never put in order as a whole: the first rows are told before what stands last is looked at."""
    (last,) = raw.execute("SELECT max(id) FROM baselines").fetchone()
    raw.execute("UPDATE baselines SET rows = '{' WHERE id = ?", (last,))
    with Reader.open(store) as reader:
        found = reader.changes(ChangeFilter(baseline=True))
        assert [next(found).id for _ in range(4)] == [1, 2, 3, 4]
        with pytest.raises(StoreDamaged, match="malformed JSON"):
            list(found)


def test_a_rebuild_leaves_the_ids_of_what_stands(store: Path) -> None:
    """More fields, and then fewer again: what stands keeps its id, what was added has later ones, what goes leaves gaps."""
    fill(store)
    before = ids(store)
    with take(store) as writer:
        rebuild(writer, "all")
    more = ids(store)
    assert set(before) < set(more)
    assert min(set(more) - set(before)) > max(before)
    with take(store) as writer:
        rebuild(writer, "core")
    assert ids(store) == before
    assert verify(store) == []


def test_the_views_are_the_same_but_for_the_baseline(raw: sqlite3.Connection) -> None:
    """Without its baseline rows ``change_log`` is what ``happened`` is: columns, rows, and the types of all values."""
    log, happened = (raw.execute(f"SELECT * FROM {view} ORDER BY id") for view in ("change_log", "happened"))  # noqa: S608 - our own names
    columns = [column[0] for column in log.description]
    assert columns == [column[0] for column in happened.description]
    place = columns.index("baseline")
    rows = log.fetchall()
    assert [row for row in rows if not row[place]] == happened.fetchall()
    assert [row[0] for row in rows if row[place]] == [
        number for (number,) in raw.execute("SELECT b.id + j.key FROM baselines b, json_each(b.rows) j ORDER BY 1")
    ]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM change_log WHERE baseline = 0 ORDER BY id DESC LIMIT 100",
        "SELECT * FROM change_log WHERE baseline = 0 AND id > 100 ORDER BY id LIMIT 10",
        "SELECT * FROM happened WHERE id > 100 ORDER BY id LIMIT 10",
        "SELECT date, path FROM happened ORDER BY id DESC LIMIT 10",
    ],
)
def test_the_log_is_not_put_in_order(raw: sqlite3.Connection, sql: str) -> None:
    """By id, and without the baseline, the log is read as it stands, from the row asked for on."""
    way = plan(raw, sql)
    happened = way[: way.index("RIGHT")] if "RIGHT" in way else way
    assert any(step.startswith(("SCAN c", "SEARCH c USING INTEGER PRIMARY KEY")) for step in happened[:3]), way
    assert not any("TEMP B-TREE" in step for step in happened), way


@pytest.mark.parametrize("view", ["change_log", "happened"])
def test_a_study_is_looked_up(raw: sqlite3.Connection, view: str) -> None:
    """The rows of one study are found by indexes, its baseline among them, and nothing is walked from end to end."""
    way = plan(raw, f"SELECT * FROM {view} WHERE nct_id = 'NCT00000001'")  # noqa: S608 - our own names
    assert not {"SCAN c", "SCAN b", "SCAN v"} & {step[:6] for step in way}, way
    assert ("SEARCH b USING INDEX baselines_by_version (version_id=?)" in way) == (view == "change_log")


def test_a_row_is_looked_up_by_its_id(raw: sqlite3.Connection) -> None:
    """A row that happened is found by its id at once, through either view."""
    for sql in ("SELECT * FROM happened WHERE id = 30", "SELECT * FROM change_log WHERE id = 30 AND baseline = 0"):
        assert "SEARCH c USING INTEGER PRIMARY KEY (rowid=?)" in plan(raw, sql)


def test_a_late_baseline_has_the_date_of_its_version(store: Path) -> None:
    """Rows that a rebuild added are sealed with their version's date, as if each had been written by itself."""
    with take(store) as writer, writer.page():
        version = add_in_page(writer, STUDIES["NCT00000002"], "2026-02-04", origin=Origin.IMPORT)
        fresh = type(version)(FIRST_ID, 1, None, "2026-01-10", None, "2026-02-04", None, version.seen, Origin.IMPORT, version.fingerprint)
        writer.add_firsts([(fresh, None, first(FIRST, "none"))])
    with take(store) as writer, writer.page():
        writer.replace_rows(FIRST_ID, 1, baseline(FIRST, "core"), baseline=True)
    with Reader.open(store) as reader:
        rows = reader.changes_of(FIRST_ID)
        assert {(row.date, row.ref.partition("#")[0]) for row in rows} == {("2026-01-10", f"{FIRST_ID}@2026-01-10")}
        assert len(rows) == len(baseline(FIRST, "core"))


def test_a_count_of_the_newest_looks_at_no_others(raw: sqlite3.Connection, store: Path) -> None:
    """What stands first in the baseline is not taken apart where the newest rows are counted as far as it is soon done."""
    raw.execute("UPDATE baselines SET rows = '{' WHERE id = (SELECT min(id) FROM baselines)")
    with Reader.open(store) as reader:
        found = reader.counted(ChangeFilter(baseline=True), looked=2)
        assert found.rows > 0
        assert not found.whole
