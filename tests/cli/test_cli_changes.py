"""The change log by the command line: every filter against plain evaluation, the formats, the cursor, and what an empty answer says."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import pytest
from terminal import SCRIPT, Ran, Terminal, sentence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

Row = dict[str, Any]

KEYS = (
    "id", "ref", "nct_id", "title", "sponsor", "version", "registry_version", "date", "not_before", "load", "posted", "seen", "path",
    "field", "item", "attribute", "kind", "tier", "before", "after", "baseline", "by", "origin", "facts", "url",
)  # fmt: skip
"""What a change has in JSON, in order."""


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a demo, made once: nobody here changes it."""
    folder = tmp_path_factory.mktemp("changes") / "demo"
    subprocess.run([SCRIPT, "demo", folder], capture_output=True, check=True)  # noqa: S603
    return folder


@pytest.fixture
def cli(tmp_path: Path, demo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Terminal]:
    """Return a terminal whose settings are the demo's."""
    with Terminal(tmp_path, monkeypatch, capsys) as terminal:
        terminal.setenv("TRIALSYNC_CONFIG", demo / "trialsync.toml")
        yield terminal


@pytest.fixture
def everything(cli: Terminal) -> list[Row]:
    """Return every row of the log, the baseline among them."""
    return cli.ok("changes", "--baseline").rows


def in_country(row: Row, studies: dict[str, Any], name: str) -> bool:
    """Return whether a row's study has a site in a country now, or the row is about such a site."""
    sites = studies[row["nct_id"]]["protocolSection"].get("contactsLocationsModule", {}).get("locations", [])
    if any(site.get("country", "").lower() == name.lower() for site in sites):
        return True
    if row["field"] != "locations":
        return False
    values = [value.get("country") for value in (row["before"], row["after"]) if isinstance(value, dict)]
    values += [row["before"], row["after"]] if row["attribute"] == "country" else []
    key = row["item"].rpartition("|")[2].partition(" #")[0]
    return key == name.lower() or name.lower() in [str(value).lower() for value in values]


def matches(glob: str, row: Row) -> bool:
    """Return whether a pattern takes in a row: its path, or its whole field."""
    return any(fnmatchcase(text.lower(), glob.lower().replace("[", "[[]")) for text in (row["path"], row["field"]))


FILTERS: list[tuple[list[str], Callable[[Row], bool]]] = [
    ([], lambda _: True),
    (["--since", "2026-05-07"], lambda row: row["date"] >= "2026-05-07"),
    (["--until", "2026-05-07"], lambda row: row["date"] <= "2026-05-07"),
    (["--since", "2026-05-01", "--until", "2026-05-01"], lambda row: row["date"] == "2026-05-01"),
    (["--seen-since", "2026-05-12"], lambda row: row["seen"] >= "2026-05-12"),
    (["--seen-since", "2026-05-12T14:05:01Z"], lambda row: row["seen"] >= "2026-05-12T14:05:01.000Z"),
    (["--study", "NCT09000024"], lambda row: row["nct_id"] == "NCT09000024"),
    (["--study", "nct09000024", "--study", "NCT09000079"], lambda row: row["nct_id"] in {"NCT09000024", "NCT09000079"}),
    (["--field", "status.overallStatus"], lambda row: row["path"] == "status.overallStatus"),
    (["--field", "outcomes.*"], lambda row: matches("outcomes.*", row)),
    (["--field", "locations"], lambda row: row["field"] == "locations"),
    (["--field", "LOCATIONS.*.status"], lambda row: matches("locations.*.status", row)),
    (["--field", "*date"], lambda row: matches("*date", row)),
    (["--field", "outcomes.*.timeFrame"], lambda row: matches("outcomes.*.timeframe", row)),
    (["--field", "watch.*"], lambda row: row["field"].startswith("watch.")),
    (["--field", "registry.presence", "--field", "sponsor.*"], lambda row: matches("registry.presence", row) or matches("sponsor.*", row)),
    (["--kind", "added"], lambda row: row["kind"] == "added"),
    (["--kind", "added", "--kind", "removed"], lambda row: row["kind"] in {"added", "removed"}),
    (["--tier", "headline"], lambda row: row["tier"] == "headline"),
    (["--tier", "housekeeping"], lambda row: row["tier"] == "housekeeping"),
    (["--by", "registry"], lambda row: row["by"] == "registry"),
    (["--by", "sponsor", "--kind", "removed"], lambda row: row["by"] == "sponsor" and row["kind"] == "removed"),
    (["--origin", "poll"], lambda row: row["origin"] == "poll"),
    (["--origin", "history"], lambda row: row["origin"] == "history"),
    (["--sponsor", "hospital"], lambda row: bool(re.search(r"\bhospital\b", row["sponsor"] or "", re.IGNORECASE))),
    (["--since", "2026-05-04", "--tier", "headline", "--by", "sponsor", "--kind", "changed"],
     lambda row: row["date"] >= "2026-05-04" and (row["tier"], row["by"], row["kind"]) == ("headline", "sponsor", "changed")),
]  # fmt: skip


@pytest.mark.parametrize("baseline", [False, True], ids=["news", "baseline"])
@pytest.mark.parametrize(("options", "wanted"), FILTERS, ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_a_filter_gives_what_plain_evaluation_gives(
    cli: Terminal, everything: list[Row], options: list[str], wanted: Callable[[Row], bool], *, baseline: bool
) -> None:
    """Each filter takes just the rows that hold, by id, with and without the baseline; one given twice is either, several hold together."""
    expected = [row for row in everything if wanted(row) and (baseline or not row["baseline"])]
    assert cli.ok("changes", *options, *(["--baseline"] if baseline else [])).rows == expected


def test_the_rows_that_the_filters_are_tried_on_are_many(everything: list[Row]) -> None:
    """The demo's log has news of every tier, kind and author, so that each filter has something to take and to leave."""
    news = [row for row in everything if not row["baseline"]]
    assert len(news) > 200
    for name, values in (("tier", 3), ("kind", 3), ("by", 2)):
        assert len({row[name] for row in news}) == values
    for options, wanted in FILTERS:
        taken = sum(wanted(row) for row in everything)
        assert 0 < taken < len(everything) or options[:2] in ([], ["--origin", "poll"], ["--origin", "history"])


@pytest.mark.parametrize("country", ["Italy", "netherlands", "United Kingdom", "Japan"])
def test_the_country_filter_takes_studies_with_a_site_there(cli: Terminal, everything: list[Row], country: str) -> None:
    """``--country`` takes the rows of a study with a site there now, and rows about a site there, however it is spelled."""
    studies = {number: json.loads(cli.ok("show", number, "--format", "json").out) for number in {row["nct_id"] for row in everything}}
    expected = [row for row in everything if not row["baseline"] and in_country(row, studies, country)]
    assert cli.ok("changes", "--country", country).rows == expected
    both = [row for row in everything if not row["baseline"] and (in_country(row, studies, country) or in_country(row, studies, "France"))]
    assert cli.ok("changes", "--country", country, "--country", "France").rows == both


@pytest.mark.parametrize("words", ["dyskinesia", "PARKINSON", "gait speed", "Napoli", "troublesome dyskinesia"])
def test_the_text_filter_takes_rows_that_hold_the_words(cli: Terminal, everything: list[Row], words: str) -> None:
    """``--text`` takes the rows where every word stands in the study's title or conditions, or in the row's own values."""
    numbers = {row["nct_id"] for row in everything}
    conditions = {
        number: json.loads(cli.ok("show", number, "--format", "json").out)["protocolSection"].get("conditionsModule", {})
        for number in numbers
    }

    def tokens(*values: Any) -> set[str]:
        text = " ".join(json.dumps(value, ensure_ascii=False).replace("\\n", " ") for value in values)
        return set(re.findall(r"\w+", text.lower()))

    def holds(row: Row) -> bool:
        study = tokens(row["title"], conditions[row["nct_id"]].get("conditions"))
        own = tokens(_values(row["before"]), _values(row["after"]))
        return all(word in study | own for word in words.lower().split())

    expected = [row["id"] for row in everything if not row["baseline"] and holds(row)]
    assert expected
    assert [row["id"] for row in cli.ok("changes", "--text", words).rows] == expected


def _values(value: Any) -> list[Any]:
    """Return the leaves of a value."""
    if isinstance(value, dict):
        return [leaf for part in value.values() for leaf in _values(part)]
    if isinstance(value, list):
        return [leaf for part in value for leaf in _values(part)]
    return [value]


def test_the_watch_filter_takes_who_is_or_was_in_it(cli: Terminal, everything: list[Row]) -> None:
    """``--watch`` takes the rows of its members and of those that left it; of everything it takes all."""
    news = [row for row in everything if not row["baseline"]]
    assert cli.ok("changes", "--watch", "everything").rows == news
    taken = cli.ok("changes", "--watch", "parkinson").rows
    assert {row["nct_id"] for row in taken} >= {"NCT09000024", "NCT09000113", "NCT09000120"}
    assert taken == [row for row in news if row["nct_id"] in {each["nct_id"] for each in taken}]
    assert len(taken) < len(news)


def test_a_time_ago_is_a_day_or_an_instant(cli: Terminal, everything: list[Row]) -> None:
    """``7d`` and ``12h`` count back from now: for ``--since`` to a day, for ``--seen-since`` to an instant."""
    days = (datetime.now(UTC) - datetime(2026, 5, 7, tzinfo=UTC)).days
    first = (datetime.now(UTC) - timedelta(days=days)).date().isoformat()
    assert cli.ok("changes", "--since", f"{days}d").rows == [row for row in everything if not row["baseline"] and row["date"] >= first]
    assert cli.ok("changes", "--seen-since", "99999h").rows == [row for row in everything if not row["baseline"]]


# Formats


def test_each_format_holds_the_same_rows(cli: Terminal) -> None:
    """JSON lines, JSON and CSV have every key of a change, in order; with ``--rows`` a table and Markdown a line a row."""
    options = ("changes", "--tier", "headline", "--by", "sponsor")
    rows = cli.ok(*options, "--format", "jsonl").rows
    assert {tuple(row) for row in rows} == {KEYS}
    assert cli.ok(*options).rows == rows
    assert json.loads(cli.ok(*options, "--format", "json").out) == rows
    sheet = list(csv.DictReader(io.StringIO(cli.ok(*options, "--format", "csv").out, newline="")))
    assert [tuple(line) for line in sheet] == [KEYS] * len(rows)
    assert [line["id"] for line in sheet] == [str(row["id"]) for row in rows]
    assert [json.loads(line["before"]) for line in sheet if line["before"].startswith(("[", "{"))] == [
        row["before"] for row in rows if isinstance(row["before"], list | dict)
    ]
    table = cli.ok(*options, "--rows", "--format", "table").out.splitlines()
    assert len(table) == len(rows) + 2
    assert all(row["nct_id"] in line and row["date"] in line for row, line in zip(rows, table[2:], strict=True))
    markdown = cli.ok(*options, "--rows", "--format", "md").out.splitlines()
    assert len(markdown) == len(rows) + 2
    assert all(line.startswith("| 2026-") for line in markdown[2:])


@pytest.mark.parametrize("form", ["table", "md"])
def test_a_table_counts_the_housekeeping_that_it_leaves_out(cli: Terminal, everything: list[Row], form: str) -> None:
    """A table and Markdown leave out housekeeping and count it on standard error; ``--all`` shows it; other formats leave out nothing."""
    news = [row for row in everything if not row["baseline"]]
    hidden = sum(row["tier"] == "housekeeping" for row in news)
    ran = cli.ok("changes", "--rows", "--format", form)
    assert len(ran.out.splitlines()) == len(news) - hidden + 2
    assert f"{hidden:,} housekeeping changes left out (--all shows them)\n" in ran.err
    whole = cli.ok("changes", "--rows", "--format", form, "--all")
    assert (len(whole.out.splitlines()), "left out" in whole.err) == (len(news) + 2, False)


@pytest.mark.parametrize("form", ["table", "md"])
def test_a_line_a_study_and_day(cli: Terminal, everything: list[Row], form: str) -> None:
    """Without ``--rows`` a table and Markdown have one line for each study and day, by the id of its first row, and none twice."""
    news = [row for row in everything if not row["baseline"] and row["tier"] != "housekeeping"]
    days = list(dict.fromkeys((row["nct_id"], row["date"]) for row in news))
    ran = cli.ok("changes", "--format", form)
    found = re.findall(r"(?m)^(?:- )?(\S{10}) +\[?(NCT\d{8})", ran.out)
    assert [(number, day) for day, number in found] == days
    assert len(ran.out.splitlines()) == len(days)
    assert "housekeeping changes left out (--all shows them)\n" in ran.err


@pytest.mark.parametrize("order", ["oldest", "newest"])
@pytest.mark.parametrize("limit", [1, 3, 10, 1000])
def test_a_limit_shows_no_day_by_half(cli: Terminal, everything: list[Row], limit: int, order: str) -> None:
    """``--limit`` counts changes; the days that it reaches are shown whole, and the foot says how many changes that were."""
    news = [row for row in everything if not row["baseline"] and row["tier"] != "housekeeping"]
    reached = (news if order == "oldest" else news[::-1])[:limit]
    days = {(row["nct_id"], row["date"]) for row in reached}
    shown = sum((row["nct_id"], row["date"]) in days for row in news)
    ran = cli.ok("changes", "--format", "table", "--limit", str(limit), "--order", order)
    assert len(ran.out.splitlines()) == len(days)
    assert (f"{shown:,} of {len(news):,} changes (--limit 0 for all)\n" in ran.err) == (shown < len(news))
    whole = cli.ok("changes", "--format", "table").out.splitlines()
    assert set(ran.out.splitlines()) <= set(whole)


def test_lines_read_on_by_cursor_hold_each_change_once(cli: Terminal, everything: list[Row]) -> None:
    """Behind a cursor a limit reads on to where a day's own rows end, and the next reading begins there: together they are all."""
    ids = [row["id"] for row in everything if not row["baseline"] and row["tier"] != "housekeeping"]
    total = left = len(ids)
    cli.ok("changes", "--since-last", "reader", "--after", "0", "--format", "md", "--limit", "1")
    seen = 1
    while seen < 1000:
        ran = cli.ok("changes", "--since-last", "reader", "--format", "md", "--limit", "5")
        if not ran.out:
            break
        of = re.search(r"(\d+) of (\d+) changes", ran.err)
        if of is None:
            break
        assert int(of[1]) >= 5
        assert int(of[2]) < left <= total
        left = int(of[2])
        seen += 1
    assert 5 < seen < 1000


def test_an_empty_answer_is_empty_in_its_format(cli: Terminal) -> None:
    """Where nothing matches, JSON is an empty list, CSV its header, a table and JSON lines nothing; the reason goes to standard error."""
    found = {form: cli.ok("changes", "--origin", "history", "--format", form) for form in ("json", "jsonl", "csv", "table")}
    assert {form: ran.out for form, ran in found.items()} == {"json": "[]\n", "jsonl": "", "csv": ",".join(KEYS) + "\r\n", "table": ""}
    assert all("no change matches" in ran.err for ran in found.values())


# Limits, order and the cursor


def test_in_a_pipe_all_rows_come_oldest_first(cli: Terminal, everything: list[Row]) -> None:
    """In a pipe there is no limit and the oldest row comes first; ``--order newest`` turns that round; ``--limit`` cuts and says so."""
    news = [row for row in everything if not row["baseline"]]
    ran = cli.ok("changes")
    assert (ran.rows, ran.err) == (news, "")
    assert [row["id"] for row in news] == sorted(row["id"] for row in news)
    assert cli.ok("changes", "--order", "newest").rows == news[::-1]
    cut = cli.ok("changes", "--limit", "10", "--order", "newest")
    assert cut.rows == news[::-1][:10]
    assert cut.err == f"10 of {len(news):,} (--limit 0 for all)\n"
    assert cli.ok("changes", "--limit", "0").rows == news
    exact = cli.ok("changes", "--limit", str(len(news)))
    assert (exact.rows, exact.err) == (news, "")


def test_a_large_count_has_its_commas(cli: Terminal, everything: list[Row]) -> None:
    """The footer of a cut answer reads ``100 of 2,431 (--limit 0 for all)``."""
    assert cli.ok("changes", "--baseline", "--limit", "3").err == f"3 of {len(everything):,} (--limit 0 for all)\n"


@pytest.mark.parametrize("size", [1, 37, 1000])
def test_reading_on_by_the_cursor_gives_each_row_once(cli: Terminal, everything: list[Row], size: int) -> None:
    """A program that reads on behind the last id that it saw gets every row once and in order, whatever the size of its pieces."""
    options = ("--watch", "parkinson") if size == 1 else ()
    expected = cli.ok("changes", *options).rows
    read: list[Row] = []
    while True:
        after = str(read[-1]["id"]) if read else "0"
        piece = cli.ok("changes", *options, "--after", after, "--limit", str(size))
        if not piece.rows:
            break
        read += piece.rows
    assert read == expected
    last = max(row["id"] for row in everything)
    assert piece.err == f"nothing new: the log ends at {last}\n" or size == 1
    assert cli.ok("changes", "--after", str(last)).err == f"nothing new: the log ends at {last}\n"


def test_a_cursor_that_the_log_never_gave_is_an_error(cli: Terminal, everything: list[Row]) -> None:
    """A cursor past the log's end, or below 0, is of another store: exit 2, and never "nothing new"."""
    last = max(row["id"] for row in everything)
    for cursor in (last + 1, 10**15):
        ran = cli("changes", "--after", str(cursor))
        assert ran.code == 2
        assert f"cursor {cursor} is past the log's end, {last}" in sentence(ran)
    assert cli("changes", "--after=-1").code == 2


# Why nothing was printed


def test_an_empty_answer_says_why(cli: Terminal, everything: list[Row]) -> None:
    """Where nothing matches, standard error says so, how long the log is, and what was left out for its sort alone."""
    news = sum(not row["baseline"] for row in everything)
    first = cli.ok("changes", "--sponsor", "nobody").err
    assert first.startswith(f"no change matches; the log has {news}")
    hidden = cli.ok("changes", "--field", "status.statusVerifiedDate", "--format", "table").err
    assert re.search(r"\d+ housekeeping changes match: --all shows them", hidden)
    baseline = cli.ok("changes", "--field", "results.hasResults", "--kind", "added").err
    assert re.search(r"\d+ baseline rows match: --baseline shows them", baseline)
    behind = cli.ok("changes", "--after", "0", "--sponsor", "nobody").err
    assert behind.startswith("no change behind 0 matches")


def test_an_empty_store_says_what_to_type(cli: Terminal, tmp_path: Path) -> None:
    """A store into which nothing was polled or imported yet says so, and names the command."""
    cli.settings({"name": "x", "everything": True})
    cli.setenv("TRIALSYNC_CONFIG", tmp_path / "config" / "trialsync.toml")
    cli.ok("init")
    ran = cli.ok("changes")
    assert (ran.out, ran.err) == ("", "the store is empty: nothing was polled or imported yet\n  trialsync sync\n")


# What no filter can mean


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--field", "status.overalStatus"], "no field can match 'status.overalStatus' (near it: status.overallStatus"),
        (["--field", "nothing.*"], "no field can match 'nothing.*'"),
        (["--field", ""], "a pattern for fields needs between 1 and 1000 characters"),
        (["--watch", "parkinsons"], "no watch 'parkinsons'"),
        (["--study", "NCT123456789"], "'NCT123456789' is not an NCT number (NCT and eight digits"),
        (["--study", "NCT00000001"], "NCT00000001 is not in"),
        (["--since", "yesterday"], "--since 'yesterday' is not a date (a day such as 2026-02-18, or a time ago"),
        (["--until", "2026-02-30"], "--until '2026-02-30' is not a date"),
        (["--seen-since", "2026-02-18T10:00"], "--seen-since '2026-02-18T10:00' has no time zone"),
        (["--since", "2026-05-02", "--until", "2026-05-01"], "--since 2026-05-02 is after --until 2026-05-01"),
        (["--since", "12x"], "--since '12x' is not a date"),
        (["--text", "!!!"], "'!!!' holds no word to look for"),
        (["--country", " "], "a country needs a name"),
    ],
)
def test_a_filter_that_can_mean_nothing_is_one_sentence(cli: Terminal, options: list[str], words: str) -> None:
    """What nothing could ever match, or nobody can read, ends with 2 and one sentence that names it."""
    ran = cli("changes", *options)
    assert ran.code == 2
    assert words in sentence(ran)


@pytest.mark.parametrize(
    "options", [["--kind", "moved"], ["--tier", "high"], ["--by", "me"], ["--limit", "-1"], ["--after", "x"], ["--format", "xml"]]
)
def test_a_word_that_an_option_does_not_take_is_named(cli: Terminal, options: list[str]) -> None:
    """A value that is none of an option's ends with 2, and the option is named."""
    ran: Ran = cli("changes", *options)
    assert (ran.code, ran.out) == (2, "")
    assert f"Invalid value for '{options[0]}'" in ran.err
    assert "Traceback" not in ran.err
