"""What changed between two dates by the command line: of a study, of a watch, before we knew it, and with hostile text."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from following import ATAXIA, DAYS, World, edited, invent, number_of, publish, status, withheld
from terminal import Terminal, sentence

from trialsync.registry.sandbox import packaged_loads, packaged_past

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trialsync.model import Study

KEYS = [
    "nct_id", "title", "sponsor", "from", "to", "from_version", "to_version", "path", "field", "item", "attribute", "kind", "tier",
    "before", "after", "by", "steps", "first", "last", "facts", "url",
]  # fmt: skip
CRITERIA = "Inclusion Criteria:\n\n* Age 18 or older\n* Able to walk ten metres\n* Consent\n* Lives at home\n* Speaks Norwegian"


def criteria(study: Study, text: str, posted: str) -> Study:
    """Return a copy of a study with other criteria."""
    return edited(study, posted, eligibilityModule__eligibilityCriteria=text)


FIRST = criteria(invent(1), CRITERIA, DAYS[0])
SECOND = status(criteria(FIRST, CRITERIA.replace("18", "20"), DAYS[1]), "SUSPENDED")
THIRD = edited(criteria(SECOND, CRITERIA.replace("18", "21"), DAYS[2]), designModule__enrollmentInfo__count=60)
FOURTH = status(THIRD, "RECRUITING", DAYS[3])
LEAVES = edited(invent(2), DAYS[2], conditionsModule__conditions=["Gout"])
LOADS = publish([FIRST, invent(2), invent(3)], [SECOND], [THIRD, LEAVES], [FOURTH, invent(4, posted=DAYS[3], first_posted=DAYS[3])])


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store into which four loads were polled; nobody here changes it."""
    world = World(tmp_path_factory.mktemp("diff"), LOADS)
    world.poll(ATAXIA)
    while world.sandbox.loads_left:
        world.next(ATAXIA)
    return world.store


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], store: Path) -> Iterator[Terminal]:
    """Return a terminal that reads this store."""
    with Terminal(tmp_path, monkeypatch, capsys) as terminal:
        terminal.settings({"name": "ataxia", "query.cond": "Ataxia"})
        terminal.setenv("TRIALSYNC_DATABASE", store)
        yield terminal


def between(cli: Terminal, start: str, end: str, *more: str) -> dict[str, dict[str, Any]]:
    """Return the first study's net changes between two days, by path."""
    return {row["path"]: row for row in cli.ok("diff", number_of(FIRST), "--from", start, "--to", end, *more).rows}


def test_several_steps_are_one_difference(cli: Terminal) -> None:
    """Between two dates each path is one row, from the first value to the last, with the steps, their dates and their facts."""
    rows = between(cli, DAYS[0], DAYS[2])
    criteria_row = rows["eligibility.criteria"]
    assert (criteria_row["before"], criteria_row["after"]) == (CRITERIA, CRITERIA.replace("18", "21"))
    assert (criteria_row["steps"], criteria_row["first"], criteria_row["last"]) == (2, DAYS[1], DAYS[2])
    assert (criteria_row["from_version"], criteria_row["to_version"]) == (1, 3)
    assert (rows["status.overallStatus"]["steps"], rows["design.enrollmentCount"]["after"]) == (1, 60)
    assert all(list(row) == KEYS for row in rows.values())
    assert {fact["id"] for fact in rows["status.overallStatus"]["facts"]} == {"stopped"}


def test_what_changed_back_is_told_and_does_not_count(cli: Terminal) -> None:
    """A status that came back is a row of no kind in JSON, no row of a table, and named at its foot with its steps."""
    row = between(cli, DAYS[0], DAYS[3])["status.overallStatus"]
    assert (row["kind"], row["steps"], row["before"], row["after"]) == (None, 2, "RECRUITING", "RECRUITING")
    table = cli.ok("diff", number_of(FIRST), "--from", DAYS[0], "--to", DAYS[3], "--format", "table")
    assert "status.overallStatus" not in table.out
    assert "changed and changed back: status.overallStatus (2 steps)" in table.err
    assert "left out (--all shows them)" in table.err


def test_a_table_shows_words_and_steps(cli: Terminal) -> None:
    """A table has a line a path with the number of steps where there were several, and long text word by word with context folded."""
    out = cli.ok("diff", number_of(FIRST), "--from", DAYS[0], "--to", DAYS[2], "--format", "table").out
    assert re.search(r"(?m)^eligibility\.criteria +changed +.*Age \[-18-\]\{\+21\+\} or older.* +2 ", out)
    assert "eligibility.criteria (+1 −1 words):" in out  # noqa: RUF001 - a minus sign
    assert "    * Age [-18-]{+21+} or older\n    * Able to walk ten metres\n    … 3 items unchanged …\n" in out
    whole = cli.ok("diff", number_of(FIRST), "--from", DAYS[0], "--to", DAYS[2], "--format", "table", "--all").out
    assert "status.lastUpdatePostDate" in whole
    assert "status.lastUpdatePostDate" not in out


def test_every_format_holds_the_same_rows(cli: Terminal) -> None:
    """JSON, JSON lines and CSV hold the same net changes."""
    asked = ("diff", number_of(FIRST), "--from", DAYS[0], "--to", DAYS[3])
    rows = cli.ok(*asked).rows
    assert json.loads(cli.ok(*asked, "--format", "json").out) == rows
    sheet = list(csv.DictReader(io.StringIO(cli.ok(*asked, "--format", "csv").out, newline="")))
    assert [list(line) for line in sheet] == [KEYS] * len(rows)
    assert [line["path"] for line in sheet] == [row["path"] for row in rows]


def test_the_same_day_twice_differs_in_nothing(cli: Terminal) -> None:
    """Between a day and itself, or after the last change, nothing differs, and that is said."""
    for days in ((DAYS[2], DAYS[2]), (DAYS[3], DAYS[4])):
        ran = cli.ok("diff", number_of(FIRST), "--from", days[0], "--to", days[1], "--format", "table")
        assert f"nothing differs between {days[0]} and {days[1]}" in ran.err
    assert cli.ok("diff", number_of(FIRST), "--from", DAYS[3]).out == ""


def test_a_watch_study_by_study(cli: Terminal) -> None:
    """A watch's studies come one by one, who joined and who left among them, and at the foot they add up."""
    ran = cli.ok("diff", "--watch", "ataxia", "--from", DAYS[0], "--to", DAYS[3])
    assert {row["nct_id"] for row in ran.rows} == {number_of(FIRST), number_of(LEAVES), "NCT00000004"}
    assert {(row["nct_id"], row["kind"]) for row in ran.rows if row["path"] == "watch.ataxia"} == {
        (number_of(LEAVES), "removed"),
        ("NCT00000004", "added"),
    }
    assert f"ataxia, {DAYS[0]} to {DAYS[3]}: 4 studies: 1 changed, 1 confirmed unchanged in load {DAYS[3]}, 1 new, 1 left\n" in ran.err
    table = cli.ok("diff", "--watch", "ataxia", "--from", DAYS[0], "--to", DAYS[3], "--format", "table")
    assert [line[:11] for line in table.out.splitlines() if line.startswith("NCT")] == ["NCT00000001", "NCT00000002", "NCT00000004"]
    assert "joined the watch" in table.out
    assert "left the watch" in table.out
    report = cli.ok("diff", "--watch", "ataxia", "--from", DAYS[0], "--to", DAYS[3], "--format", "md").out
    assert "4 studies: 1 changed" in report


def test_a_quiet_watch_is_confirmed(cli: Terminal) -> None:
    """Where nothing changed the foot says how many studies were confirmed unchanged, and which weekdays nobody looked."""
    ran = cli.ok("diff", "--watch", "ataxia", "--from", DAYS[3], "--to", "2026-03-01", "--format", "table")
    assert ran.out == ""
    assert f"3 studies: 0 changed, 3 confirmed unchanged in load {DAYS[3]}, 0 new, 0 left" in ran.err


def test_before_our_first_version_the_backfill_is_named(cli: Terminal) -> None:
    """A day before the first known version is an error that names the command that would know; a watch counts such studies."""
    ran = cli("diff", number_of(FIRST), "--from", "2025-01-01")
    assert ran.code == 2
    assert f"not known as of 2025-01-01: its first known version is of {DAYS[0]}" in sentence(ran)
    assert f"trialsync backfill {number_of(FIRST)}" in sentence(ran)
    watch = cli.ok("diff", "--watch", "ataxia", "--from", "2025-01-01")
    assert "3 not known before" in watch.err
    assert "trialsync backfill ataxia" in watch.err


def test_a_backfill_answers_what_was_not_known(cli: Terminal, tmp_path: Path) -> None:
    """The backfill that is named brings the versions before, which renumbers ours; then the same question is answered."""
    cli.setenv("TRIALSYNC_DATABASE", tmp_path / "trialsync.db")
    cli.serve(packaged_loads(), packaged_past())
    cli.ok("init")
    cli.ok("sync", "NCT07263919")
    asked = ("diff", "NCT07263919", "--from", "2025-12-10")
    refused = sentence(cli(*asked))
    command = re.search(r"trialsync (backfill NCT07263919)", refused)
    assert command
    cli.ok(*command[1].split())
    rows = cli.ok(*asked).rows
    assert {(row["from_version"], row["to_version"]) for row in rows} == {(1, 2)}
    assert all(row["steps"] == 1 for row in rows)


def test_a_withheld_study_is_compared_as_it_last_was(tmp_path: Path, cli: Terminal) -> None:
    """A study that was withheld in between shows what changed since it was last open, not that everything vanished."""
    study = invent(1)
    world = World(tmp_path, publish([study], [status(study, "SUSPENDED", DAYS[1])], [withheld(study, DAYS[2])]), "withheld.db")
    world.poll(ATAXIA)
    world.next(ATAXIA)
    world.next(ATAXIA)
    cli.setenv("TRIALSYNC_DATABASE", world.store)
    rows = cli.ok("diff", number_of(study), "--from", DAYS[0], "--to", DAYS[2]).rows
    headlines = {row["path"]: (row["before"], row["after"]) for row in rows if row["tier"] == "headline"}
    assert headlines["status.overallStatus"] == ("RECRUITING", "SUSPENDED")
    assert headlines["registry.presence"] == ("listed", "withheld")
    assert not [path for path in headlines if path.startswith(("locations", "outcomes", "identification"))]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--from", "2026-02-01"], "compares a study or a watch"),
        (["NCT00000001", "--watch", "ataxia", "--from", "2026-02-01"], "compares a study or a watch"),
        (["NCT00000001", "--from", "2026-03-01", "--to", "2026-02-01"], "2026-03-01 is after 2026-02-01"),
        (["NCT00000001", "--from", "once"], "--from 'once' is not a date"),
        (["NCT00000001", "--from", "7d", "--to", "soon"], "--to 'soon' is not a date"),
        (["NCT00000099", "--from", "7d"], "NCT00000099 is not in"),
        (["NCT99", "--from", "7d"], "'NCT99' is not an NCT number"),
        (["--watch", "nobody", "--from", "7d"], "no watch 'nobody'"),
    ],
)
def test_what_cannot_be_compared_is_one_sentence(cli: Terminal, arguments: list[str], words: str) -> None:
    """A study, a watch or a date that there is not ends with 2 and one sentence that names it."""
    ran = cli("diff", *arguments)
    assert ran.code == 2
    assert words in sentence(ran)


def test_hostile_text_steers_nothing(tmp_path: Path, cli: Terminal) -> None:
    """Escapes, bidi marks, tags, fences and marks of ours in a record stay text in every face that shows differences."""
    nasty = "* One\x1b[2J two three four \u202efive six\n```\n# x\n{+not ours+} <script>alert(1)</script>\x00 | a | b"
    first = criteria(invent(1), nasty, DAYS[0])
    second = criteria(first, nasty.replace("One", "Two") + "\n[-gone-]", DAYS[1])
    world = World(tmp_path, publish([first], [edited(second, identificationModule__briefTitle="T\x1b[31m <b>`x`")]), "hostile.db")
    world.poll(ATAXIA)
    world.next(ATAXIA)
    cli.setenv("TRIALSYNC_DATABASE", world.store)
    number = number_of(first)
    commands = [["diff", number, "--from", DAYS[0]], ["diff", "--watch", "ataxia", "--from", DAYS[0]], ["log", number], ["changes"]]
    for command in commands:
        for form in ("table", "md", "json", "jsonl", "csv"):
            ran = cli.ok(*command, "--format", form)
            assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", ran.out + ran.err)
    shown = cli.ok("diff", number, "--from", DAYS[0], "--format", "table").out
    assert "{\\+not ours+\\}" in shown
    assert "{+[\\-gone-\\]+}" in shown
