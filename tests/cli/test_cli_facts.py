"""Facts and the rebuild by the command line."""

from __future__ import annotations

import csv
import io
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from following import ATAXIA, DAYS, as_lines, edited, invent, publish
from terminal import Terminal, sentence

from trialsync.store.verify import verify
from trialsync.study.facts import FACTS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ONE = edited(invent(1), statusModule__completionDateStruct={"date": "2026-05", "type": "ESTIMATED"})
TWO = edited(invent(2), statusModule__primaryCompletionDateStruct={"date": "2024-05-31", "type": "ACTUAL"})
SLIPPED = edited(ONE, DAYS[1], statusModule__completionDateStruct={"date": "2026-12", "type": "ESTIMATED"})
STOPPED = edited(SLIPPED, DAYS[2], statusModule__overallStatus="TERMINATED", statusModule__whyStopped="Funding")
LOADS = publish([ONE, TWO], [SLIPPED], [STOPPED])


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Terminal]:
    """Return a terminal in a folder with a store of three loads: a completion slips, a study is terminated."""
    with Terminal(tmp_path, monkeypatch, capsys) as terminal:
        terminal.settings({"name": ATAXIA.name, "query.cond": "Ataxia"})
        (tmp_path / "loads.jsonl").write_bytes(as_lines(LOADS))
        terminal.ok("init")
        terminal.ok("import", "loads.jsonl")
        yield terminal


def test_the_rules_are_listed_with_their_rows(cli: Terminal) -> None:
    """Every rule with its definition and source, and how many rows carry it; as JSON lines and CSV alike."""
    rows = cli.ok("facts").rows
    assert [row["id"] for row in rows] == [rule.id for rule in FACTS]
    assert all(list(row) == ["id", "rule", "definition", "source", "rows"] for row in rows)
    counts = {row["id"]: row["rows"] for row in rows}
    assert (counts["completion-slipped"], counts["stopped"], counts["site-opened"], counts["overdue"]) == (1, 1, 0, None)
    table = list(csv.DictReader(io.StringIO(cli.ok("facts", "--format", "csv").out, newline="")))
    assert [(row["id"], row["definition"]) for row in table] == [(rule.id, rule.definition) for rule in FACTS]


def test_the_rules_need_no_store(cli: Terminal) -> None:
    """Where nothing was recorded the rules are listed all the same, without numbers of rows."""
    (cli.folder / "trialsync.db").unlink()
    assert {row["rows"] for row in cli.ok("facts").rows} == {None}


def test_rows_are_asked_for_by_the_facts_they_carry(cli: Terminal) -> None:
    """``--fact`` wants a row with one of them, ``--without`` one with none of them."""
    assert [row["path"] for row in cli.ok("changes", "--fact", "stopped", "--fact", "completion-slipped").rows] == [
        "status.completionDate",
        "status.overallStatus",
    ]
    (row,) = cli.ok("changes", "--fact", "completion-slipped").rows
    assert row["facts"] == [
        {
            "id": "completion-slipped",
            "rule": 2,
            "months": 7,
            "days": None,
            "times": 1,
            "total_months": 7,
            "total_days": None,
            "net_months": 7,
            "net_days": None,
            "type_before": "ESTIMATED",
            "type_after": "ESTIMATED",
        }
    ]
    everything = cli.ok("changes").rows
    without = cli.ok("changes", "--without", "stopped").rows
    assert [row for row in everything if all(fact["id"] != "stopped" for fact in row["facts"])] == without


def test_a_fact_may_be_asked_for_by_a_part_of_its_name(cli: Terminal) -> None:
    """A star stands for anything in an id; one that no rule matches is an error like any other."""
    by_star = cli.ok("changes", "--fact", "completion-*").rows
    assert by_star
    assert by_star == cli.ok("changes", "--fact", "completion-slipped").rows
    assert "there is no fact 'nothing-*'" in sentence(cli("changes", "--fact", "nothing-*"))


@pytest.mark.parametrize("form", ["table", "md"])
def test_definitions_stand_whole(cli: Terminal, form: str) -> None:
    """A person reads each definition to its end, in a table as in Markdown, which a methods section can quote."""
    printed = " ".join(cli.ok("facts", "--format", form).out.split())
    for rule in FACTS:
        assert " ".join(rule.definition.split()).replace("<", "\\<") in printed or rule.definition in printed
    assert "…" not in printed


@pytest.mark.parametrize("form", ["table", "md", "csv", "json"])
def test_facts_are_named_in_every_form(cli: Terminal, form: str) -> None:
    """Tables and Markdown name the facts of a row, CSV and JSON hold them whole."""
    shown = cli.ok("changes", "--rows", "--fact", "stopped", "--format", form).out
    assert "stopped" in shown
    assert ("reason_given" in shown) is (form in {"csv", "json"})


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        (("--fact", "complete-slipped"), "near it: completion-slipped"),
        (("--without", "stop"), "near it: stopped"),
        (("--fact", "zzzzz"), "trialsync facts lists them all"),
        (("--fact", ""), "trialsync facts lists them all"),
        (("--fact", "overdue"), "trialsync facts --overdue asks for it"),
    ],
)
def test_a_fact_that_there_is_not_is_named(cli: Terminal, typed: tuple[str, ...], says: str) -> None:
    """An id of no rule is an error that names the nearest one, never an empty answer."""
    ran = cli("changes", *typed)
    assert ran.code == 2
    assert says in sentence(ran)


def test_what_is_overdue_is_asked_as_of_a_day(cli: Terminal) -> None:
    """By the version of that day: an expected completion that is past, and results that are not posted a year after completion."""
    rows = cli.ok("facts", "--overdue", "--as-of", "2027-02-01").rows
    assert [(row["nct_id"], row["what"]) for row in rows] == [("NCT00000002", "results")]
    assert (rows[0]["months"], rows[0]["status"], rows[0]["id"]) == (32, "RECRUITING", "overdue")
    assert [row["nct_id"] for row in cli.ok("facts", "--overdue", "--as-of", DAYS[1], "--format", "jsonl").rows] == ["NCT00000002"]
    before = cli.ok("facts", "--overdue", "--as-of", "2025-01-01")
    assert before.rows == []
    assert "nothing is overdue as of 2025-01-01" in before.err


def test_overdue_by_watch(cli: Terminal) -> None:
    """A watch that there is not is an error; one without members has nothing overdue."""
    ran = cli("facts", "--overdue", "--watch", "chorea")
    assert ran.code == 2
    assert "no watch 'chorea'" in sentence(ran)
    assert "goes with --overdue" in sentence(cli("facts", "--watch", "ataxia"))
    assert "--as-of 'soon' is not a date" in sentence(cli("facts", "--overdue", "--as-of", "soon"))


def test_a_rebuild_says_what_it_does(cli: Terminal) -> None:
    """Nothing where no rule changed; counted first with ``--dry-run``; then done, and nothing is left to do."""
    assert cli.ok("rebuild", "--dry-run").err == "would change 0 of 9 rows\n"
    assert cli.ok("rebuild").err == "changed 0 of 9 rows\n"
    before = cli.ok("changes", "--all").out
    with closing(sqlite3.connect(cli.folder / "trialsync.db")) as raw, raw:
        raw.execute("""UPDATE change_facts SET rule = 0, json = '{"id":"stopped","rule":0}' WHERE fact = 'stopped'""")
    assert "1 row carries a fact by an older rule: trialsync rebuild makes them by today's" in cli.ok("facts").err
    assert cli.ok("rebuild", "--dry-run").err == "would change 1 of 9 rows: 1 with other facts\n"
    assert cli.ok("rebuild").err == "changed 1 of 9 rows: 1 with other facts\n"
    assert cli.ok("changes", "--all").out == before
    assert verify(cli.folder / "trialsync.db") == []


def test_a_rebuild_without_a_store_says_so(cli: Terminal) -> None:
    """There is nothing to make again where there is no store."""
    (cli.folder / "trialsync.db").unlink()
    for options in ((), ("--dry-run",)):
        ran = cli("rebuild", *options)
        assert ran.code == 2
        assert "no store at" in sentence(ran)


def test_what_is_overdue_today_can_be_limited(cli: Terminal) -> None:
    """Without a day it is asked of today, and is the same as with it; a limit says that there are more, and is for this alone."""
    late = [edited(invent(number), statusModule__completionDateStruct={"date": "2020-01", "type": "ESTIMATED"}) for number in (3, 4, 5)]
    (cli.folder / "late.jsonl").write_bytes(as_lines(publish(late)))
    cli("import", "late.jsonl")
    whole = cli.ok("facts", "--overdue")
    assert [row["nct_id"] for row in whole.rows] == ["NCT00000002", "NCT00000003", "NCT00000004", "NCT00000005"]
    assert whole.rows == cli.ok("facts", "--overdue", "--as-of", "0d").rows
    some = cli.ok("facts", "--overdue", "--limit", "2")
    assert some.rows == whole.rows[:2]
    assert some.err == "the first 2, by number; there are more (--limit 0 for all)\n"
    assert cli.ok("facts", "--overdue", "--limit", "4").err == ""
    assert "--limit goes with --overdue" in sentence(cli("facts", "--limit", "2"))
