"""Rows as a table, JSON, JSON lines, CSV and Markdown; and registry text that tries to leave its cell."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from rich.cells import cell_len

from trialsync.model import By, Ended, Kind, LoggedChange, Origin, Poll, Tier, Version, Watch
from trialsync.publish import sheets
from trialsync.publish.render import Format, Sheet, csv_cell, cut_footer, json_text, render
from trialsync.publish.sheets import change_json, field_json, poll_json, study_rows, version_json, watch_json
from trialsync.publish.table import Column, key, text_table
from trialsync.publish.text import shortened
from trialsync.publish.value import before_after, compact, path_in
from trialsync.study.fields import by_name

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=8), inside, max_size=3),
    max_leaves=8,
)


def row(**other: Any) -> LoggedChange:
    """Return a row of the change log: a study of ours stopped."""
    values: dict[str, Any] = {
        "id": 412,
        "ref": "NCT09000001@2026-02-18#status.overallStatus",
        "nct_id": "NCT09000001",
        "title": "Walking Aids in Late Gout",
        "sponsor": "Acme",
        "version": 3,
        "registry_version": None,
        "date": "2026-02-18",
        "not_before": "2026-02-13",
        "load": "2026-02-18",
        "posted": "2026-02-18",
        "seen": "2026-02-19T01:03:22.118Z",
        "path": "status.overallStatus",
        "field": "status.overallStatus",
        "item": None,
        "attribute": None,
        "kind": Kind.CHANGED,
        "tier": Tier.HEADLINE,
        "before": "RECRUITING",
        "after": "TERMINATED",
        "baseline": False,
        "by": By.SPONSOR,
        "origin": Origin.POLL,
        "facts": [{"id": "stopped", "rule": 1, "reason_given": True}],
        "url": "https://clinicaltrials.gov/study/NCT09000001",
    }
    return LoggedChange(**(values | other))


def printed(rows: list[LoggedChange], form: Format, **how: Any) -> str:
    """Return changes in a format, as one text."""
    return "".join(render([change_json(each) for each in rows], sheets.CHANGES, form, **how))


def test_a_change_in_json_has_every_key_in_its_order() -> None:
    """A change is one object with all 25 keys, nulls kept, facts as they are."""
    assert printed([row()], Format.JSONL) == (
        '{"id":412,"ref":"NCT09000001@2026-02-18#status.overallStatus","nct_id":"NCT09000001","title":"Walking Aids in Late Gout",'
        '"sponsor":"Acme","version":3,"registry_version":null,"date":"2026-02-18","not_before":"2026-02-13","load":"2026-02-18",'
        '"posted":"2026-02-18","seen":"2026-02-19T01:03:22.118Z","path":"status.overallStatus","field":"status.overallStatus","item":null,'
        '"attribute":null,"kind":"changed","tier":"headline","before":"RECRUITING","after":"TERMINATED","baseline":false,"by":"sponsor",'
        '"origin":"poll","facts":[{"id":"stopped","rule":1,"reason_given":true}],"url":"https://clinicaltrials.gov/study/NCT09000001"}\n'
    )


@pytest.mark.parametrize("count", [0, 1, 3])
def test_json_is_an_array_of_the_rows(count: int) -> None:
    """The JSON format is one array, whatever the number of rows; JSON lines are one object a line."""
    rows = [row(id=number) for number in range(count)]
    assert [each["id"] for each in json.loads(printed(rows, Format.JSON))] == list(range(count))
    assert [json.loads(line)["id"] for line in printed(rows, Format.JSONL).splitlines()] == list(range(count))


@given(value=JSON_VALUES)
def test_json_is_lossless_and_cannot_steer_a_terminal(value: Any) -> None:
    """What is printed as JSON reads back equal, and holds no control character or bidirectional override."""
    text = json_text({"value": value})
    assert json.loads(text) == {"value": value}
    assert not re.search("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)


def test_steering_characters_are_escapes_in_json() -> None:
    """Delete, C1 controls, overrides and tag characters are written as JSON's escapes."""
    assert json_text("a\x7f\x9b\u202e\U000e0041é") == '"a\\u007f\\u009b\\u202e\\udb40\\udc41é"'


def test_a_table_fits_the_terminal_and_shows_before_and_after() -> None:
    """Each change is a line; a wide terminal shows it whole, and facts have a column where there are any."""
    assert printed([row(), row(facts=[], kind=Kind.ADDED, path="design.phases", after=["PHASE2", "PHASE3"])], Format.TABLE, width=120) == (
        "date        study        path                  kind     change                   facts\n"
        "──────────  ───────────  ────────────────────  ───────  ───────────────────────  ───────\n"
        "2026-02-18  NCT09000001  status.overallStatus  changed  RECRUITING → TERMINATED  stopped\n"
        "2026-02-18  NCT09000001  design.phases         added    PHASE2, PHASE3\n"
    )
    assert printed([], Format.TABLE, width=80) == ""


@given(
    values=st.lists(st.tuples(st.text(max_size=80), JSON_VALUES, JSON_VALUES, st.sampled_from(Kind)), min_size=1, max_size=4),
    width=st.integers(80, 200),
)
def test_no_line_of_a_table_is_wider_than_the_terminal(values: list[tuple[str, Any, Any, Kind]], width: int) -> None:
    """Whatever the registry's text holds, a row is one line of printable characters in the terminal's cells."""
    rows = [row(path=path, before=before, after=after, kind=kind, facts=[]) for path, before, after, kind in values]
    text = printed(rows, Format.TABLE, width=width)
    lines = text.split("\n")
    assert len(lines) == len(rows) + 3
    assert all(cell_len(line, "latest") <= width for line in lines)
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)


def test_colour_is_ours_alone() -> None:
    """Colour marks the headers and the kind; an escape in the registry's text is shown, not obeyed."""
    text = printed([row(before="\x1b[31mRED", facts=[])], Format.TABLE, width=100, color=True)
    assert re.findall("\x1b\\[[0-9;]*m", text) == ["\x1b[1m", "\x1b[0m", "\x1b[33m", "\x1b[0m"]
    assert "␛[31mRED → TERMINATED" in text


def test_wide_characters_keep_the_columns_straight() -> None:
    """A column is measured in the terminal's cells, so Chinese text takes two a character."""
    lines = list(text_table([{"a": "上海医院", "b": "x"}, {"a": "Lyon", "b": "y"}], [Column("a", key("a")), Column("b", key("b"))]))
    assert lines[2:] == ["上海医院  x\n", "Lyon      y\n"]
    assert shortened("上海医院", 5) == "上海…"
    assert shortened("上海医院", 8) == "上海医院"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "—"),
        ([], "—"),
        ("a\n b", "a b"),
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (1.5, "1.5"),
        (["B", "A"], "B, A"),
        ({"name": "Acme", "class": "INDUSTRY"}, "name: Acme, class: INDUSTRY"),
        ([{"a": 1, "b": ["x", "y"]}, {"a": 2}], "a: 1, b: x, y; a: 2"),
    ],
)
def test_values_read_as_a_person_would_write_them(value: Any, text: str) -> None:
    """Text is plain, lists are joined by commas, objects are ``key: value``."""
    assert compact(value) == text


def test_long_texts_are_cut_to_where_they_part() -> None:
    """Two long texts that differ in one word show that word, not their common beginning."""
    old = "Patients of either sex who have walked with a cane for at least six months and who can read the consent form alone"
    assert before_after("changed", old, old.replace("six", "nine"), 60) == "… least six months … → … least nine months …"
    assert before_after("changed", "A", None) == "A → —"
    assert before_after("removed", "A", None) == "A"
    assert before_after("added", None, "A" * 30, 10) == "AAAAAAAAA…"


@given(before=st.text(max_size=200), after=st.text(max_size=200), room=st.integers(12, 80), kind=st.sampled_from(Kind))
def test_a_shortened_change_takes_the_room_it_has(before: str, after: str, room: int, kind: Kind) -> None:
    """Before and after together never take more cells than there are, and neither does a path."""
    assert cell_len(before_after(kind.value, before, after, room), "latest") <= room
    assert cell_len(path_in(before, room), "latest") <= room


def test_a_long_path_keeps_its_ends() -> None:
    """A path gives way in its middle: the field and the attribute stay, and more of its end, where items of a list differ."""
    assert path_in("locations.the long name of a hospital|lyon||france.status", 30) == "locations…|lyon||france.status"


def test_a_fact_that_several_steps_gave_is_named_once() -> None:
    """Between two dates a path may have been put off four times: one name with a count, not four."""
    facts = [{"id": "completion-slipped"}, {"id": "markup-only"}, {"id": "completion-slipped"}]
    assert "completion-slipped ×2, markup-only\n" in printed([row(facts=facts)], Format.TABLE, width=160)  # noqa: RUF001 - times


def test_csv_is_rfc_4180() -> None:
    """Every key is a column, lines end in CR LF, nested values are JSON, null is empty."""
    text = printed([row(before='say "a",\nb', after=["x", 1])], Format.CSV)
    header, *lines = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    assert header == list(change_json(row()))
    assert text.count("\r\n") == 2
    cells = dict(zip(header, lines[0], strict=True))
    assert cells["before"] == 'say "a",\nb'
    assert cells["after"] == '["x",1]'
    assert cells["registry_version"] == ""
    assert cells["baseline"] == "false"
    assert json.loads(cells["facts"]) == [{"id": "stopped", "rule": 1, "reason_given": True}]


@pytest.mark.parametrize("text", ["=1+1", "+x", "-x", "@sum", "\tx", "\rx", "\uff1d1", "-3 days"])
def test_no_cell_of_a_csv_is_a_formula(text: str) -> None:
    """Text that a spreadsheet would calculate gets a quote in front."""
    assert csv_cell(text).startswith("'")


@pytest.mark.parametrize(
    ("value", "text"), [(-3, "-3"), ("-3", "-3"), ("+1.5e3", "+1.5e3"), (-0.5, "-0.5"), ("a=b", "a=b"), ("a\x00\x1b", "a␀␛")]
)
def test_numbers_stay_numbers_in_csv(value: Any, text: str) -> None:
    """Negative numbers are kept, and control characters are visible."""
    assert csv_cell(value) == text


def test_markdown_cells_hold_any_text() -> None:
    """Bars, line breaks, backslashes and tags stay inside their cell."""
    rows = [{"a": "x|y\\|z\n<b>", "b": None}]
    text = "".join(render(rows, Sheet(("a", "b"), (Column("a", key("a")), Column("b", key("b"), right=True))), Format.MD))
    assert text == "| a | b |\n| --- | ---: |\n| x\\|y\\\\\\|z \\<b> |  |\n"


@given(text=st.text(max_size=40) | st.lists(st.sampled_from(["|", "\\", "\n", "`", "<a>", "x"]), max_size=8).map("".join))
def test_a_markdown_table_has_a_row_for_each_row(text: str) -> None:
    """Whatever a cell holds, a Markdown reader finds the columns that are there."""
    rows = [{"a": text, "b": "end"}]
    made = "".join(render(rows, Sheet(("a", "b"), (Column("a", key("a")), Column("b", key("b")))), Format.MD))
    tokens = MarkdownIt("commonmark").enable("table").parse(made)
    assert sum(token.type == "td_open" for token in tokens) == 2
    assert [token.content for token in tokens if token.type == "inline"][-1] == "end"


def test_a_cut_table_says_so() -> None:
    """The footer names how many of how many are shown, and is absent where nothing was cut."""
    assert cut_footer(100, 2431) == "100 of 2,431 (--limit 0 for all)"
    assert cut_footer(100, 100) is None
    assert cut_footer(100, "2,000 or more", "changes") == "100 of 2,000 or more changes (--limit 0 for all)"
    assert cut_footer(100, "more") == "100 of more (--limit 0 for all)"


def test_every_noun_has_its_sheet() -> None:
    """Versions, polls, watches, fields and a study print in every format, with the keys of their JSON."""
    version = Version("NCT09000001", 2, None, "2026-02-18", None, "2026-02-18", None, "2026-02-19T01:03:22.118Z", Origin.POLL, "1:ab")
    poll = Poll(
        7, None, Origin.IMPORT, "2026-02-18", None, "2026-02-19T01:03:22.118Z", None, Ended.PARTIAL, studies=1200, message="one was bad"
    )
    watches = [
        watch_json(Watch("gout", {"query.cond": ("gout", "late gout")}), studies=12),
        watch_json(Watch("mine", nct_ids=("NCT09000001",))),
    ]
    everything = watch_json(Watch("all", everything=True))
    field = by_name("outcomes.primary")
    assert field
    study = {"protocolSection": {"statusModule": {"overallStatus": "COMPLETED"}}, "hasResults": False}
    printed_of = [
        (sheets.VERSIONS, [version_json(version)]),
        (sheets.POLLS, [poll_json(poll)]),
        (sheets.WATCHES, [*watches, everything]),
        (sheets.FIELDS, [field_json(field)]),
        (sheets.STUDY, list(study_rows(study))),
        (sheets.STUDY_CHANGES, [change_json(row())]),
    ]
    for sheet, rows in printed_of:
        for form in Format:
            assert "".join(render(rows, sheet, form, width=100))
        assert set(rows[0]) <= set(sheet.keys)
    assert "".join(render([*watches, everything], sheets.WATCHES, Format.TABLE)) == (
        "watch  follows                    studies\n"
        "─────  ─────────────────────────  ───────\n"
        "gout   query.cond=gout|late gout       12\n"
        "mine   1 study: NCT09000001\n"
        "all    the whole registry\n"
    )
    assert "1,200" in "".join(render([poll_json(poll)], sheets.POLLS, Format.TABLE))
    assert "import" in "".join(render([poll_json(poll)], sheets.POLLS, Format.TABLE))
    assert field_json(field) == {
        "name": "outcomes.primary",
        "path": "protocolSection.outcomesModule.primaryOutcomes",
        "key": ["measure"],
        "tier": "headline",
        "by": None,
        "core": True,
    }
    assert list(study_rows(study)) == [
        {"field": "status.overallStatus", "value": "COMPLETED"},
        {"field": "results.hasResults", "value": False},
    ]


@pytest.mark.parametrize("hidden", ["\ufeff", "\u202a", "\u2066", "\u061c", "\u200b"])
def test_a_formula_behind_what_is_not_shown_is_no_formula(hidden: str) -> None:
    """A character that is dropped or invisible does not hide a formula's sign from the guard."""
    cell = csv_cell(f'{hidden}=HYPERLINK("http://example.org")')
    assert cell.startswith("'")


def test_a_very_long_table_is_told_in_parts() -> None:
    """Past some thousand rows another table follows, with its own header, and every row is there once."""
    sheet = Sheet(("n",), (Column("number", key("n")),))
    text = "".join(render(({"n": str(number)} for number in range(20_001)), sheet, Format.TABLE))
    tables = text.split("\n\n")
    assert len(tables) == 3
    assert [line.strip() for each in tables for line in each.splitlines()[2:]] == [str(number) for number in range(20_001)]
    assert all(each.startswith("number") for each in tables)
