"""The change log, asked through filters, against the same questions put to all of its rows in plain Python."""

from __future__ import annotations

import json
import re
import sqlite3
import unicodedata
from contextlib import closing
from dataclasses import fields, replace
from itertools import combinations
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from store_log import STUDIES, edited, fill, new_store

from trialsync.errors import BadFilter, StoreDamaged, UnknownWatch
from trialsync.model import By, Kind, LoggedChange, Origin, Tier
from trialsync.store import globs
from trialsync.store.filters import ChangeFilter
from trialsync.store.reader import Reader
from trialsync.study import record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from trialsync.model import Study

COLUMNS = [field.name for field in fields(LoggedChange)]
Row = dict[str, Any]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store with the small log."""
    store = new_store(tmp_path_factory.mktemp("store") / "trialsync.db")
    fill(store)
    return store


@pytest.fixture
def reader(path: Path) -> Iterator[Reader]:
    """Return a reader of the small log."""
    with Reader.open(path) as opened:
        yield opened


@pytest.fixture(scope="module")
def rows(path: Path) -> list[Row]:
    """Return all rows of the view, as any SQL tool sees them."""
    with closing(sqlite3.connect(path)) as raw:
        return [dict(zip(COLUMNS, row, strict=True)) for row in raw.execute("SELECT * FROM change_log ORDER BY id")]


def folded(text: str) -> list[str]:
    """Return the words of a text without capitals and accents."""
    plain = "".join(letter for letter in unicodedata.normalize("NFD", text.lower()) if not unicodedata.combining(letter))
    return re.findall(r"[^\W_]+", plain)


def leaves(value: Any) -> Iterator[str]:
    """Yield the texts and numbers of a value."""
    if isinstance(value, dict):
        for part in value.values():
            yield from leaves(part)
    elif isinstance(value, list):
        for part in value:
            yield from leaves(part)
    elif value is not None and not isinstance(value, bool):
        yield str(value)


def value_of(row: Row, side: str) -> Any:
    """Return a row's value before or after."""
    return None if row[side] is None else json.loads(row[side])


def latest(row: Row, reader: Reader) -> Study:
    """Return the study that a row is about, as it is now."""
    return reader.study(row["nct_id"])


def has_words(row: Row, reader: Reader, words: list[str]) -> bool:
    """Return whether each of these words is in the row or in its study's title and conditions."""
    study = latest(row, reader)
    texts = [record.title(study) or "", *record.conditions(study), *leaves(value_of(row, "before")), *leaves(value_of(row, "after"))]
    return set(words) <= {word for text in texts for word in folded(text)}


def is_in(row: Row, reader: Reader, country: str) -> bool:
    """Return whether the row's study has a site in a country, or the row is about one."""
    values = [value_of(row, side) for side in ("before", "after")]
    named = [value.get("country") if isinstance(value, dict) else value for value in values]
    in_row = row["field"] == "locations" and (
        re.sub(r" #\d+$", "", row["item"]).endswith(f"|{country.lower()}") or (row["attribute"] in (None, "country") and country in named)
    )
    return in_row or country in record.countries(latest(row, reader))


def is_under(row: Row, pattern: str) -> bool:
    """Return whether a pattern matches a row's path, or the name of its field."""
    expression = re.compile("".join({"*": ".*", "?": "."}.get(letter, re.escape(letter)) for letter in pattern.lower()), re.DOTALL)
    return any(expression.fullmatch(text.lower()) for text in (row["path"], row["field"]))


FILTERS: list[tuple[ChangeFilter, Callable[[Row, Reader], bool]]] = [
    (ChangeFilter(since="2026-02-07"), lambda row, _: row["date"] >= "2026-02-07"),
    (ChangeFilter(until="2026-02-10"), lambda row, _: row["date"] <= "2026-02-10"),
    (ChangeFilter(seen_since="2026-02-13"), lambda row, _: row["seen"] >= "2026-02-13"),
    (
        ChangeFilter(studies=("NCT00000002", "NCT00000003", "NCT00000009")),
        lambda row, _: row["nct_id"] in ("NCT00000002", "NCT00000003"),
    ),
    (ChangeFilter(watches=("w",)), lambda row, _: row["nct_id"] in ("NCT00000001", "NCT00000002")),
    (ChangeFilter(fields=("status.*", "LOCATIONS")), lambda row, _: is_under(row, "status.*") or is_under(row, "locations")),
    (ChangeFilter(fields=("*zürich*",)), lambda row, _: is_under(row, "*zürich*")),
    (ChangeFilter(fields=("loca*.status",)), lambda row, _: is_under(row, "loca*.status")),
    (ChangeFilter(fields=("*.?hiny*",)), lambda row, _: is_under(row, "*.?hiny*")),
    (ChangeFilter(kinds=(Kind.ADDED, Kind.REMOVED)), lambda row, _: row["kind"] in ("added", "removed")),
    (ChangeFilter(tiers=(Tier.HEADLINE,)), lambda row, _: row["tier"] == "headline"),
    (ChangeFilter(bys=(By.SPONSOR,)), lambda row, _: row["by"] == "sponsor"),
    (ChangeFilter(origins=(Origin.IMPORT,)), lambda row, _: row["origin"] == "import"),
    (ChangeFilter(facts=("stopped", "restarted")), lambda row, _: row["facts"] != "[]"),
    (ChangeFilter(without_facts=("stopped",)), lambda row, _: row["facts"] == "[]"),
    (ChangeFilter(countries=("norway", "Czechia")), lambda row, reader: is_in(row, reader, "Norway") or is_in(row, reader, "Czechia")),
    (ChangeFilter(countries=("FRANCE",)), lambda row, reader: is_in(row, reader, "France")),
    (ChangeFilter(sponsors=("AKESO",)), lambda row, _: "akeso" in folded(row["sponsor"])),
    (
        ChangeFilter(sponsors=("akeso inc.", "geneve")),
        lambda row, _: {*folded(row["sponsor"])} >= {"akeso", "inc"} or "geneve" in folded(row["sponsor"]),
    ),
    (ChangeFilter(texts=("the tea",)), lambda row, reader: has_words(row, reader, ["the", "tea"])),
    (ChangeFilter(texts=("adults",)), lambda row, reader: has_words(row, reader, ["adults"])),
    (
        ChangeFilter(texts=("esophageal suspended", "funding parkinson")),
        lambda row, reader: has_words(row, reader, ["funding", "parkinson"]),
    ),
    (ChangeFilter(texts=("18",)), lambda row, reader: has_words(row, reader, ["18"])),
    (ChangeFilter(housekeeping=False), lambda row, _: row["tier"] != "housekeeping"),
]


def merged(one: ChangeFilter, other: ChangeFilter) -> ChangeFilter | None:
    """Return a filter that wants both, or ``None`` where both speak of the same."""
    empty = ChangeFilter()
    asked = {field.name: getattr(other, field.name) for field in fields(other) if getattr(other, field.name) != getattr(empty, field.name)}
    if any(getattr(one, name) != getattr(empty, name) for name in asked):
        return None
    return replace(one, **asked)


@pytest.mark.parametrize("baseline", [False, True])
def test_each_filter_finds_what_it_says(reader: Reader, rows: list[Row], *, baseline: bool) -> None:
    """Each filter alone, and each two together, with and without the baseline, finds and counts just the rows that plain Python finds."""
    pairs = [(merged(one, other), (first, second)) for (one, first), (other, second) in combinations(FILTERS, 2)]
    wanted = [(each, (says,)) for each, says in FILTERS] + [(both, says) for both, says in pairs if both is not None]
    found_any = 0
    for each, says in wanted:
        asked = replace(each, baseline=baseline)
        expected = [row["id"] for row in rows if (baseline or not row["baseline"]) and all(say(row, reader) for say in says)]
        assert [row.id for row in reader.changes(asked)] == expected, each
        assert reader.count(asked) == len(expected), each
        found_any += bool(expected)
    assert found_any > len(wanted) / 3


def test_each_filter_alone_finds_something_and_leaves_something(reader: Reader, rows: list[Row]) -> None:
    """The small log has rows for and against each filter, so that the comparison with plain Python means something."""
    for each, _ in FILTERS:
        assert 0 < reader.count(each) < len([row for row in rows if not row["baseline"]]), each


def test_rows_come_as_the_view_has_them(reader: Reader, rows: list[Row], path: Path) -> None:
    """The view's columns are a logged change's, in its order, and its values too, but for the baseline's, which are filled in."""
    with closing(sqlite3.connect(path)) as raw:
        assert [column[0] for column in raw.execute("SELECT * FROM change_log").description] == COLUMNS
    for row, change in zip(rows, reader.changes(ChangeFilter(baseline=True)), strict=True):
        for name in COLUMNS:
            value = getattr(change, name)
            if name == "facts" or (name in ("before", "after") and not change.baseline):
                assert value == (None if row[name] is None else json.loads(row[name]))
            elif name == "after":
                assert row[name] is None
                assert value is not None
            else:
                assert value == row[name]


def test_references_name_study_day_and_path(reader: Reader) -> None:
    """A reference is the study's number, the day and the path; a second version of one day is numbered."""
    refs = [change.ref for change in reader.changes(ChangeFilter(studies=("NCT00000002",)))]
    assert refs == [
        "NCT00000002@2026-02-06#status.overallStatus",
        "NCT00000002@2026-02-06#status.lastUpdatePostDate",
        "NCT00000002@2026-02-06#status.whyStopped",
        "NCT00000002@2026-02-06.2#locations.klinik|zürich||switzerland.status",
        "NCT00000002@2026-02-06.2#locations.klinik|zürich||switzerland #2",
        "NCT00000002@2026-02-13#watch.w",
    ]


def test_references_are_unique(reader: Reader) -> None:
    """No two rows have the same reference."""
    refs = [change.ref for change in reader.changes(ChangeFilter(baseline=True))]
    assert len(set(refs)) == len(refs)


def test_rows_of_a_whole_study_have_dates_of_their_own(reader: Reader) -> None:
    """A row of a study's presence has its own date, load, seen and not_before; it hangs on the version that was current."""
    (change,) = reader.changes(ChangeFilter(fields=("registry.presence",)))
    assert (change.date, change.load, change.not_before, change.posted) == ("2026-02-13", "2026-02-13", "2026-02-12", None)
    assert (change.seen, change.version, change.before, change.after) == ("2026-02-13T11:00:00.000Z", 3, "listed", "removed")


def test_facts_come_with_their_change(reader: Reader) -> None:
    """A change's facts come back as they were recorded."""
    (change,) = reader.changes(ChangeFilter(facts=("stopped",)))
    assert change.facts == [{"id": "stopped", "rule": 1, "reason_given": True}]


def test_limits_orders_and_cursors(reader: Reader, rows: list[Row]) -> None:
    """Rows come oldest or newest first by id, as many as wanted, and after a cursor; reading on misses and repeats nothing."""
    news = [row["id"] for row in rows if not row["baseline"]]
    assert [row.id for row in reader.changes(ChangeFilter(), newest_first=True, limit=3)] == news[::-1][:3]
    read: list[int] = []
    while page := [row.id for row in reader.changes(ChangeFilter(), after=read[-1] if read else 0, limit=4)]:
        read += page
    assert read == news
    assert reader.last_id() == rows[-1]["id"]
    assert reader.count(ChangeFilter(), after=news[-2]) == 1
    assert [row.id for row in reader.changes(ChangeFilter(since="2026-02-10"), after=news[5])] == [
        row["id"] for row in rows if not row["baseline"] and row["id"] > news[5] and row["date"] >= "2026-02-10"
    ]


def test_a_cursor_past_the_end_is_an_error(reader: Reader) -> None:
    """The cursor at the log's end is fine and finds nothing; one past it, or below nothing, is an error."""
    reader.check_cursor(0)
    reader.check_cursor(reader.last_id())
    assert list(reader.changes(ChangeFilter(), after=reader.last_id())) == []
    for cursor in (reader.last_id() + 1, -1):
        with pytest.raises(BadFilter, match="past the log's end"):
            reader.check_cursor(cursor)


def test_hidden_rows_are_counted(reader: Reader, rows: list[Row]) -> None:
    """What a filter leaves out for being housekeeping or baseline is counted apart."""
    hidden = reader.hidden(ChangeFilter(housekeeping=False))
    assert hidden.housekeeping.rows == len([row for row in rows if not row["baseline"] and row["tier"] == "housekeeping"]) > 0
    assert hidden.baseline.rows == len([row for row in rows if row["baseline"] and row["tier"] != "housekeeping"]) > 0
    assert reader.hidden(ChangeFilter(baseline=True)).baseline.rows == 0
    assert reader.hidden(ChangeFilter()).housekeeping.rows == 0
    assert reader.counts().changes == len([row for row in rows if not row["baseline"]])


def test_one_study_is_read_apart(reader: Reader, rows: list[Row]) -> None:
    """A study's rows are those of the log, all or of one version."""
    assert [row.id for row in reader.changes_of("NCT00000001")] == [row["id"] for row in rows if row["nct_id"] == "NCT00000001"]
    assert {row.version for row in reader.changes_of("NCT00000001", version=2)} == {2}
    assert not any(row.baseline for row in reader.changes_of("NCT00000001", baseline=False))


@pytest.mark.parametrize(
    "pattern",
    [
        "status.overalStatus",
        "location",
        "zzz*",
        "status.overallStatus.x",
        "design.phases.*",
        "",
        "x" * 2000,
    ],
)
def test_a_pattern_that_nothing_can_match_is_an_error(reader: Reader, pattern: str) -> None:
    """A pattern that no field's path can match is an error that names what is near, never an empty answer."""
    with pytest.raises(BadFilter) as bad:
        reader.count(ChangeFilter(fields=(pattern,)))
    assert bad.value.hint


def test_near_names_are_suggested(reader: Reader) -> None:
    """A misspelt name, and a name without its module, are answered with the right one."""
    for pattern, meant in (
        ("status.overalStatus", "status.overallStatus"),
        ("overallstatus", "status.overallStatus"),
        ("location", "locations"),
    ):
        with pytest.raises(BadFilter) as bad:
            reader.count(ChangeFilter(fields=(pattern,)))
        assert meant in (bad.value.hint or "")


@pytest.mark.parametrize("pattern", ["watch.*", "watch.mine", "*", "??????????", "registry.presence", "*.timeFrame", "locations.*|germany"])
def test_a_pattern_that_something_could_match_is_none(reader: Reader, pattern: str) -> None:
    """A pattern that could match a path is no error, though no row has such a path yet."""
    assert reader.count(ChangeFilter(fields=(pattern,))) >= 0


@given(st.text("ab.*?[%_\\", max_size=7), st.text("ab.[%_\\", min_size=1, max_size=5), st.text("ab.[%_\\", max_size=4))
def test_patterns_match_as_written(pattern: str, name: str, below: str) -> None:
    """Whether a pattern matches a field, may match below it, and matches a path, is what the pattern as a regular expression says."""
    expression = re.compile("".join({"*": ".*", "?": "."}.get(letter, re.escape(letter)) for letter in pattern), re.DOTALL)
    found = globs.reach(pattern, name, has_parts=True)
    assert (found is globs.Reach.WHOLE) == bool(expression.fullmatch(name))
    path = f"{name}.{below}"
    if expression.fullmatch(path):
        assert found is not globs.Reach.NOTHING
    with closing(sqlite3.connect(":memory:")) as raw:
        (matches,) = raw.execute("SELECT ? LIKE ? ESCAPE '\\'", (path, globs.like(pattern))).fetchone()
    assert bool(matches) == bool(expression.fullmatch(path))


@pytest.mark.parametrize(
    "words",
    [
        '"',
        '""',
        "tea OR melanoma",
        "tea NOT x",
        "tea*",
        "NEAR(a b)",
        "title : tea",
        "{title} : x",
        "te^a",
        "(",
        "a AND",
        "-tea",
        "x\0y",
        "é\u202e tea",
        "'); --",
    ],
)
def test_words_are_never_syntax(reader: Reader, words: str) -> None:
    """Nothing in the words that are looked for is taken for full-text syntax or SQL; without a word in it, it is an error."""
    for wanted in (ChangeFilter(texts=(words,)), ChangeFilter(sponsors=(words,))):
        if any(map(str.isalnum, words)):
            assert reader.count(wanted) >= 0
        else:
            with pytest.raises(BadFilter, match="no word"):
                reader.count(wanted)
    assert reader.count(ChangeFilter(texts=("tea OR melanoma",))) == 0


@given(st.text(st.characters(codec=None), max_size=60))
def test_any_text_can_be_looked_for(path: Path, text: str) -> None:
    """Whatever is looked for, the answer is rows or a sentence."""
    with Reader.open(path) as reader:
        for wanted in (
            ChangeFilter(texts=(text,)),
            ChangeFilter(sponsors=(text,)),
            ChangeFilter(countries=(text,)),
            ChangeFilter(fields=(text,)),
        ):
            try:
                assert reader.count(wanted) >= 0
            except BadFilter as error:
                assert str(error)  # noqa: PT017 - either is right


def test_words_with_punctuation_are_found_as_phrases(reader: Reader) -> None:
    """A word such as PD-1 is found where its parts follow one another, not wherever both stand."""
    assert reader.count(ChangeFilter(texts=("pd-1",))) == reader.count(ChangeFilter(studies=("NCT00000003",))) > 0
    assert reader.count(ChangeFilter(texts=("1-pd",))) == 0


def test_impossible_filters_are_errors(reader: Reader) -> None:
    """A watch that nobody knows, days that exclude each other, a nameless country and too many words are errors with a way out."""
    with pytest.raises(UnknownWatch, match="no watch 'x'"):
        reader.count(ChangeFilter(watches=("w", "x")))
    for wanted in (ChangeFilter(since="2026-02-02", until="2026-02-01"), ChangeFilter(countries=(" ",)), ChangeFilter(texts=("a " * 51,))):
        with pytest.raises(BadFilter):
            reader.count(wanted)


def test_many_values_are_fine(reader: Reader) -> None:
    """Ten thousand studies can be asked for at once."""
    studies = tuple(f"NCT{number:08d}" for number in range(1, 10_001))
    assert reader.count(ChangeFilter(studies=studies)) == reader.count(ChangeFilter())


def test_rows_that_nobody_wrote_are_damage(tmp_path: Path) -> None:
    """A row with a kind, or a value, that no trialsync writes is damage, told by its id."""
    for column, value in (("kind", "grown"), ("after", "{"), ("tier", "loud")):
        store = new_store(tmp_path / f"{column}.db")
        fill(store)
        with closing(sqlite3.connect(store)) as raw, raw:
            raw.execute(f"UPDATE changes SET {column} = ? WHERE id = (SELECT max(id) FROM changes)", (value,))  # noqa: S608
        with Reader.open(store) as reader, pytest.raises(StoreDamaged, match=r"change \d+ holds"):
            list(reader.changes(ChangeFilter()))


def test_the_small_log_has_what_it_should() -> None:
    """The small log's studies are edited copies: the originals stay as they are."""
    assert edited(STUDIES["NCT00000001"], "2026-03-01") != STUDIES["NCT00000001"]
