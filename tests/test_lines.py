"""What happened to a study on a day, in a line: the phrases, their order, the room they take, and text that tries to leave its line."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from rich.cells import cell_len

from trialsync.model import By, Kind, LoggedChange, Origin, Tier
from trialsync.publish.line import line, markdown_line, terminal_line
from trialsync.publish.span import moved, ordinal, signed

if TYPE_CHECKING:
    from trialsync.model import Json

MINUS = "\N{MINUS SIGN}"


def row(
    field: str, before: Any = None, after: Any = None, *, item: str | None = None, attribute: str | None = None, **other: Any
) -> LoggedChange:
    """Return a row of the change log: what changed in a study of ours."""
    kind = Kind.ADDED if before is None else Kind.REMOVED if after is None else Kind.CHANGED
    values: dict[str, Any] = {
        "id": 1, "ref": "", "nct_id": "NCT09000001", "title": "Walking Aids in Late Gout", "sponsor": "Acme", "version": 3,
        "registry_version": None, "date": "2026-02-18", "not_before": None, "load": "2026-02-18", "posted": None,
        "seen": "2026-02-19T01:03:22.118Z", "path": field, "field": field, "item": item, "attribute": attribute, "kind": kind,
        "tier": Tier.HEADLINE, "before": before, "after": after, "baseline": False, "by": By.SPONSOR, "origin": Origin.POLL, "facts": [],
        "url": "https://clinicaltrials.gov/study/NCT09000001",
    }  # fmt: skip
    return LoggedChange(**(values | other))


def told(*rows: LoggedChange, width: int | None = None) -> str:
    """Return the line of rows for a terminal, without what stands before the sponsor."""
    return terminal_line(line(rows), width=width).removeprefix("2026-02-18  NCT09000001  ").rstrip("\n")


SLIPPED = {"id": "completion-slipped", "rule": 1, "months": 10, "times": 4, "total_months": 27}


def test_the_line_that_a_reader_wants() -> None:
    """Status with its reason, how far completion slipped, for which time and by how much in all, and sites: in this order."""
    rows = [
        *(row("locations", None, {"city": "Lyon"}, item=f"site {number}") for number in range(12)),
        *(row("locations", {"city": "Oslo"}, None, item=f"old {number}") for number in range(3)),
        row("status.completionDate", "2026-05", "2027-03", facts=[SLIPPED]),
        row("status.whyStopped", None, "funding"),
        row("status.overallStatus", "RECRUITING", "TERMINATED"),
    ]
    assert terminal_line(line(rows)) == (
        '2026-02-18  NCT09000001  Acme · RECRUITING → TERMINATED ("funding") · completion +10 months (4th slip, +27) · '
        f"sites +12 {MINUS}3\n"
    )


PRIMARY = "outcomes.primary"
SECONDARY = "outcomes.secondary"
NO, YES = False, True
ARMS = "armsInterventions.arms"


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ([row("status.overallStatus", "A", "B"), row("status.overallStatus", "B", "C")], "A → B → C"),
        ([row("status.whyStopped", "x", "funding")], 'reason for stopping ("funding")'),
        ([row("status.whyStopped", "x", None)], "reason for stopping taken away"),
        ([row("status.overallStatus", "RECRUITING", "UNKNOWN"), row("status.lastKnownStatus", None, "RECRUITING")], "RECRUITING → UNKNOWN"),
        ([row("registry.presence", "listed", "removed")], "removed from the registry"),
        ([row("registry.presence", None, "listed"), row("watch.gout", None, value := "gout"), row("watch.mine", None, value)],
         "first posted · joined the watches gout, mine"),
        ([row("watch.gout", "gout", None)], "left the watch gout"),
        ([row(PRIMARY, None, {"measure": "Pain"}, item="pain"), row(PRIMARY, {"measure": "Gait"}, None, item="gait")],
         f"primary outcomes +1 {MINUS}1"),
        ([row(PRIMARY, None, [{"measure": "Pain"}, {"measure": "Gait"}])], "primary outcomes +2"),
        ([row(PRIMARY, "Pain", "Less pain", item="pain", attribute="measure")], "primary outcome reworded"),
        ([row(PRIMARY, "1 year", "2 years", item="pain", attribute="timeFrame")], "primary outcome: new time frame"),
        ([row(PRIMARY, "a", "b", item="pain", attribute="measure", facts=[{"id": "primary-outcome-reworded", "phase": "after-start",
          "with_results": True}])], "primary outcome reworded (after start, with results)"),
        ([row(PRIMARY, "a", "b", item="pain", attribute="timeFrame", facts=[{"id": "primary-outcome-timeframe-changed",
          "phase": "after-primary-completion", "phase_basis": "estimated"}])],
         "primary outcome: new time frame (after primary completion, by an estimated date)"),
        ([row(PRIMARY, "Pain", "PAIN.", item="pain", attribute="measure")], "wording of primary outcome (trivial)"),
        ([row(PRIMARY, "Pain", "PAIN.", item="pain", attribute="measure"), row(PRIMARY, "Gait", "Falls", item="gait", attribute="measure")],
         "primary outcomes 1 wording (trivial), 1 reworded"),
        ([row(PRIMARY, None, {"measure": "Pain"}, item="pain", facts=[{"id": "outcome-promoted", "from": "secondary", "count": 1}]),
          row(SECONDARY, {"measure": "Pain"}, None, item="pain")], "primary outcomes 1 promoted"),
        ([row(PRIMARY, {"measure": "Pain"}, None, item="pain", facts=[{"id": "outcome-demoted", "to": "other"}]),
          row(PRIMARY, None, {"measure": "Gait"}, item="gait"),
          row("outcomes.other", None, [{"measure": "Pain"}, {"measure": "Falls"}])],
         "primary outcomes +1, 1 demoted to other · other outcomes +1"),
        ([row(PRIMARY, [{"measure": "Pain"}, {"measure": "Gait"}], None, facts=[{"id": "outcome-demoted", "to": "secondary", "count": 2}]),
          row(SECONDARY, None, [{"measure": "Pain"}, {"measure": "Gait"}])], "primary outcomes 2 demoted"),
        ([row("status.completionDate", "2026-05-01", "2026-05-13")], "completion +12 days"),
        ([row("status.completionDate", "2026-05-01", "2026-05-13", facts=[SLIPPED | {"months": 0, "total_months": 0, "total_days": 24}])],
         "completion +12 days (4th slip, +24 days)"),
        ([row("status.completionDate", "2026-05", "2027-03", facts=[SLIPPED | {"type_after": "ACTUAL"}]),
          row("status.completionDateType", "ESTIMATED", "ACTUAL")], "completion +10 months (actual, after 4 slips, +27 in all)"),
        ([row("status.completionDate", "2026-05", "2026-08"), row("status.completionDateType", "ACTUAL", "ESTIMATED")],
         "completion +3 months (actual → estimated)"),
        ([row("status.completionDateType", "ACTUAL", "ESTIMATED")], "completion date (actual → estimated)"),
        ([row("design.phases", ["PHASE2"], ["PHASE3"]), row("design.allocation", "NON_RANDOMIZED", "RANDOMIZED"),
          row("design.masking", "NONE", "DOUBLE")],
         "phases PHASE2 → PHASE3 · allocation NON_RANDOMIZED → RANDOMIZED · masking NONE → DOUBLE"),
        ([row("locations", "RECRUITING", None, item=each, attribute="status") for each in "ab"], "sites 2 stopped recruiting"),
        ([row("locations", "1", "2", item="a", attribute="zip"), row("locations", "Lyon", "Oslo", item="b", attribute="city"),
          row("locations", "France", "Norway", item="b", attribute="country"), row("locations", "A", "B", item="c", attribute="facility"),
          row("locations", "1", "2", item="c", attribute="zip")], "sites 1 moved, 1 renamed, 1 address edited"),
        ([row("status.completionDate", "2026-05", "2026-08"), row("status.primaryCompletionDate", "2026-01", "2026-04")],
         "completion and primary completion +3 months"),
        ([row("status.startDate", "2026-05", "2026-04"), row("status.startDateType", "ESTIMATED", "ACTUAL")],
         f"start {MINUS}1 month (actual)"),
        ([row("status.completionDateType", "ESTIMATED", "ACTUAL")], "completion date (actual)"),
        ([row("status.completionDate", "2026-05", None)], "completion taken away"),
        ([row("status.startDate", None, "2026-05")], "start set to 2026-05"),
        ([row("status.completionDate", "2026-05", "2027-03", facts=[SLIPPED | {"times": 1}])], "completion +10 months"),
        ([row("design.enrollmentCount", 1200, 40), row("design.enrollmentType", "ESTIMATED", "ACTUAL")], "enrolment 1,200 → 40 (actual)"),
        ([row("sponsor.lead", "Acme", "Bcme", attribute="name")], "sponsor Acme → Bcme"),
        ([row("sponsor.collaborators", None, [{"name": "A"}])], "collaborators +1"),
        ([row("locations", "NOT_YET_RECRUITING", "RECRUITING", item="a", attribute="status"),
          row("locations", "Napoli", "Naples", item="b", attribute="city")], "sites 1 now RECRUITING, 1 address edited"),
        ([row("locations", None, {"country": "Japan"}, item="a", facts=[{"id": "country-first-site", "country": "Japan"}])],
         "sites +1, first in Japan"),
        ([row("locations", None, "Ohio", item="a", attribute="state")], "sites 1 address edited"),
        ([row("locations", None, {"country": name}, item=name, facts=[{"id": "country-first-site", "country": name}]) for name in "AB"],
         "sites +2, first in A and B"),
        ([row("locations", {"country": name}, None, item=name, facts=[{"id": "country-last-site", "country": name}]) for name in "ABCD"],
         f"sites {MINUS}4, none left in 4 countries"),
        ([row("status.startDate", "2025-11-30", "2025-08-15")], f"start {MINUS}3 months"),
        ([row("status.startDate", "2025-01-31", "2025-02-28")], "start +1 month"),
        ([row("status.startDate", "2025", "2026-05")], "start 2025 → 2026-05"),
        ([row("identification.briefTitle", "a", "b"), row("identification.officialTitle", "a", "b")], "title edited"),
        ([row("results.hasResults", NO, YES), row("status.resultsFirstPostDate", None, "2026-05-04")], "results posted"),
        ([row("eligibility.minAge", "18 Years", "16 Years")], "minimum age 18 Years → 16 Years"),
        ([row("eligibility.criteria", "one two three four five six", "one two four five six seven eight")], f"criteria +2 {MINUS}1 words"),
        ([row("eligibility.criteria", "a > b", "a \\> b", facts=[{"id": "markup-only"}])], "criteria (mark-up alone)"),
        ([row(ARMS, {"label": "A"}, None, item="a"), row(ARMS, "x", "y", item="b", attribute="label")],
         f"arms {MINUS}1, 1 renamed"),
        ([row("results.hasResults", NO, YES), row("results.baseline.groups", None, [1])], "results posted"),
        ([row("results.baseline.groups", "1", "2", item="a", attribute="b")], "results: 1 change"),
        ([row("documents.largeDocs", None, {"label": "SAP"}, item="sap"), row("references.references", None, {"pmid": "1"}, item="1")],
         "documents +1 · references +1"),
        ([row("conditions.keywords", ["a"], ["b"])], "keywords"),
        ([row("design.enrollmentCount", 1, 2), row("conditions.keywords", ["a"], ["b"])], "enrolment 1 → 2 · and 1 more field (keywords)"),
        ([row("status.overallStatus", None, "RECRUITING", baseline=True), row("design.enrollmentCount", None, 4, baseline=True)],
         "first seen, RECRUITING: 2 fields"),
    ],
)  # fmt: skip
def test_phrases(rows: list[LoggedChange], text: str) -> None:
    """Each thing that changes has its phrase, made of what stood there before and after where there are no facts."""
    assert told(*rows) == f"Acme · {text}".rstrip()


def test_other_fields_are_named() -> None:
    """Fields that no phrase speaks of are counted and named, four of them at most."""
    rows = [row(f"module.leaf{number}", "a", "b") for number in range(6)]
    assert told(*rows) == "Acme · leaf0, leaf1, leaf2, leaf3 and 2 more"
    assert told(row("status.overallStatus", "A", "B"), *rows) == "Acme · A → B · and 6 more fields (leaf0, leaf1, leaf2, leaf3, …)"


MANY = [
    row("status.overallStatus", "RECRUITING", "TERMINATED"),
    row("status.whyStopped", None, "The sponsor decided to end the program for reasons that have nothing to do with safety, it said"),
    row("status.completionDate", "2026-05", "2027-03", facts=[SLIPPED]),
    row("design.enrollmentCount", 1200, 1400),
    row("sponsor.lead", "Acme Pharmaceuticals International", "Bcme Holdings of a Very Long Name", attribute="name"),
    row("locations", None, {"city": "Lyon"}, item="a"),
    row("eligibility.sex", "ALL", "FEMALE"),
    row("conditions.keywords", ["a"], ["b"]),
]


@pytest.mark.parametrize(("width", "most"), [(60, 4), (80, 3), (100, 2), (120, 2), (200, 2)])
def test_a_line_takes_few_rows(width: int, most: int) -> None:
    """On a terminal a line takes two rows, three where it is narrow, one more for what matters most; what does not fit is counted."""
    rows = terminal_line(line(MANY), width=width).splitlines()
    assert len(rows) <= most
    assert all(cell_len(each) <= width for each in rows)
    assert "RECRUITING → TERMINATED" in rows[0] + rows[1]
    assert re.search(r"and \d more field", rows[-1])
    assert all(each.startswith(" " * 12) for each in rows[1:])


FIELDS = [
    "status.overallStatus", "status.whyStopped", "status.completionDate", PRIMARY, "design.enrollmentCount", "locations", "sponsor.lead",
    "eligibility.criteria", "watch.w", "registry.presence", "results.hasResults", "conditions.keywords", "odd.\x1bleaf",
]  # fmt: skip
VALUES = (
    st.none() | st.text(max_size=40) | st.integers() | st.booleans() | st.lists(st.text(max_size=5), max_size=3) | st.just({"a": "\u202e|"})
)
ROWS = st.lists(
    st.builds(
        row,
        st.sampled_from(FIELDS),
        VALUES,
        VALUES,
        item=st.none() | st.text(max_size=9),
        attribute=st.sampled_from([None, "measure", "status", "name"]),
        sponsor=st.none() | st.text(max_size=60),
        baseline=st.booleans(),
        facts=st.lists(st.fixed_dictionaries({"id": st.sampled_from(["completion-slipped", "country-first-site"])},
                                             optional={"months": VALUES, "times": VALUES, "country": VALUES}), max_size=2),
    ),
    min_size=1,
    max_size=8,
)  # fmt: skip


@given(rows=ROWS, width=st.integers(40, 160))
def test_no_text_leaves_its_line(rows: list[LoggedChange], width: int) -> None:
    """Whatever the registry's text and the facts hold, a line is rows of printable characters in the terminal's cells, the number whole."""
    for text in (terminal_line(line(rows), width=width), terminal_line(line(rows)), markdown_line(line(rows))):
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)
        assert text.endswith("\n")
        assert "NCT09000001" in text.split("\n")[0]
    shown = terminal_line(line(rows), width=width)
    assert all(cell_len(each, "latest") <= width for each in shown.splitlines())
    assert shown.count("\n") <= 4
    assert terminal_line(line(rows)).count("\n") == 1


def test_markdown_has_the_title() -> None:
    """In Markdown the study's short title stands before its sponsor, once."""
    rows = [row("status.overallStatus", "RECRUITING", "TERMINATED")]
    titled = [replace(each, title="A study of *gait*") for each in rows]
    assert ") A study of \\*gait\\* · " in markdown_line(line(titled))
    alone = markdown_line(line([replace(each, sponsor=None) for each in titled]))
    assert alone.count("gait") == 1


@pytest.mark.parametrize(
    ("field", "before", "after", "fact", "text"),
    [
        ("status.completionDate", "2027-01", "2027-06", {"id": "completion-slipped", "months": 5, "type_after": "ACTUAL"}, "(actual)"),
        ("design.enrollmentCount", 90, 40, {"id": "enrollment-cut", "type": "ACTUAL", "type_before": "ESTIMATED"}, "(actual)"),
        ("design.enrollmentCount", 90, 40, {"id": "enrollment-cut", "type": "ACTUAL", "type_before": "ACTUAL"}, "90 → 40"),
    ],
)
def test_a_type_is_told_whatever_the_filter(field: str, before: Json, after: Json, fact: dict[str, Json], text: str) -> None:
    """That a date or number is actual now is told where the type's own row was filtered out too."""
    (phrase,) = line([row(field, before, after, facts=[fact])]).phrases
    assert phrase.text.endswith(text)


@given(rows=ROWS)
def test_markdown_is_one_item_with_one_link(rows: list[LoggedChange]) -> None:
    """In Markdown a line is one item of a list whose only link is the study's own address."""
    tokens = MarkdownIt("commonmark").parse(markdown_line(line(rows)))
    assert [token.type for token in tokens if token.nesting == 1] == ["bullet_list_open", "list_item_open", "paragraph_open"]
    (inline,) = [token for token in tokens if token.type == "inline"]
    links = [child.attrs["href"] for child in inline.children or () if child.type == "link_open"]
    assert links == ["https://clinicaltrials.gov/study/NCT09000001"]
    assert not any(child.type in {"html_inline", "image", "code_inline"} for child in inline.children or ())


def test_colour_is_ours_alone() -> None:
    """With colour the number is bold and a status tinted; an escape in the registry's text is shown, not obeyed."""
    text = terminal_line(line([row("status.overallStatus", "\x1b[31mX", "TERMINATED")]), width=100, color=True)
    assert re.findall("\x1b\\[[0-9;]*m", text) == ["\x1b[1m", "\x1b[0m", "\x1b[31m", "\x1b[0m"]
    assert "␛[31mX → TERMINATED" in text


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        ("2026-01-31", "2026-02-28", "+1 month"),
        ("2026-01-01", "2026-01-28", "+27 days"),
        ("2026-02", "2025-12", f"{MINUS}2 months"),
        ("2026-01-15", "2026-03", "+2 months"),
        ("2026", "2027", "2026 → 2027"),
        ("2026-02", "2026-02-15", "2026-02 → 2026-02-15"),
        ("2026-13", "2026-02", "2026-13 → 2026-02"),
        ("soon", "2026-02", "soon → 2026-02"),
        (None, "2026-02", "set to 2026-02"),
        ("2026-02", None, "taken away"),
    ],
)
def test_how_far_a_date_moved(before: str | None, after: str | None, text: str) -> None:
    """Days below four weeks, months from there on; what has no month, or is no date, stands as it is."""
    assert moved(before, after) == text


def test_numbers_in_words() -> None:
    """Ordinals and signed numbers read as a person writes them."""
    assert [ordinal(number) for number in (1, 2, 3, 4, 11, 12, 13, 21, 102, 111)] == [
        "1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "102nd", "111th",
    ]  # fmt: skip
    assert [signed(1, "day"), signed(-2, "day"), signed(1200, "month")] == ["+1 day", f"{MINUS}2 days", "+1,200 months"]
