"""``trialsync health``: what it prints for people and programs, and how it ends."""

from __future__ import annotations

import json
import os
import pty
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from following import invent, publish
from terminal import Terminal, sentence

from trialsync.registry.sandbox import LoadLine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ATAXIA = {"name": "ataxia", "query.cond": "Ataxia"}


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Terminal]:
    """Return a terminal in an empty folder."""
    with Terminal(tmp_path, monkeypatch, capsys) as terminal:
        yield terminal


def today(days: int = 0) -> list[LoadLine]:
    """Return a load with today's label, or that of so many days ago: health is judged by the real clock."""
    label = (datetime.now(UTC) - timedelta(days=days)).date().isoformat()
    return [LoadLine(label, line.nct_id, line.study) for line in publish([invent(1, posted=label), invent(2, posted=label)])]


def made_older(cli: Terminal, **ago: int) -> None:
    """Move the polls of the store into the past; whoever reads polls does not ask for their seals."""
    earlier = (datetime.now(UTC) - timedelta(**ago)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    with closing(sqlite3.connect(cli.folder / "trialsync.db")) as connection, connection:
        connection.execute("UPDATE polls SET started = ?, finished = ?", (earlier, earlier))


def test_all_is_well(cli: Terminal) -> None:
    """After a ``sync`` health ends with 0 and prints one JSON object in a pipe, and nothing on standard error."""
    cli.serve(today())
    cli.settings(ATAXIA)
    cli.ok("init")
    cli.ok("sync")
    ran = cli.ok("health")
    assert ran.err == ""
    found = json.loads(ran.out)
    assert (found["health"], found["say"], found["studies"]) == ("ok", [], 2)
    assert [(watch["name"], watch["members"], watch["overdue"]) for watch in found["watches"]] == [("ataxia", 2, False)]


def test_overdue_is_three(cli: Terminal) -> None:
    """Two days after the last poll health ends with 3 and says what to do; an ``overdue_after`` that suits a weekly cron is heeded."""
    cli.serve(today())
    cli.settings(ATAXIA)
    cli.ok("init")
    cli.ok("sync")
    made_older(cli, hours=50)
    ran = cli("health", "--format", "table")
    assert ran.code == 3
    assert "2 d 2 h ago" in ran.out
    assert "overdue" in ran.out
    assert "(trialsync sync ataxia polls it now)" in ran.err
    assert json.loads(cli("health", "--format", "json").out)["health"] == "overdue"
    cli.settings(ATAXIA, text='[health]\noverdue_after = "8d"\n')
    cli.ok("health")


def test_a_stale_registry_is_four(cli: Terminal) -> None:
    """A registry that was asked just now and showed a load of ten days ago is 4, and the sentence says that nothing is wrong here."""
    cli.serve(today(days=10))
    cli.settings(ATAXIA)
    cli.ok("init")
    cli.ok("sync")
    ran = cli("health", "--format", "table")
    assert ran.code == 4
    assert "(stale)" in ran.out
    assert "nothing is wrong here" in ran.err


@pytest.mark.parametrize("form", ["table", "json"])
def test_a_store_that_can_not_be_read(cli: Terminal, form: str) -> None:
    """A store that is missing is 2, one that is damaged 6; as JSON the sentence stands on standard output too."""
    cli.settings(ATAXIA)
    store = cli.folder / "trialsync.db"
    missing = cli("health", "--format", form)
    assert missing.code == 2
    cli.ok("init")
    with closing(sqlite3.connect(store)) as connection:
        connection.execute("PRAGMA user_version = 0")
    damaged = cli("health", "--format", form)
    assert damaged.code == 6
    for ran, said in ((missing, "no store at"), (damaged, "is damaged: it has no schema number")):
        assert said in ran.err
        if form == "json":
            found = json.loads(ran.out)
            assert found["health"] == "store"
            assert said in found["say"][0]
        else:
            assert said in sentence(ran)


def test_without_watches_the_store_alone_is_told(cli: Terminal) -> None:
    """A store of single studies is healthy, and the table says how a watch is made."""
    cli.serve(today())
    cli.ok("sync", "NCT00000001")
    ran = cli.ok("health", "--format", "table")
    assert "trialsync.db" in ran.out
    assert "no watch is set up" in ran.err


def test_a_terminal_gets_a_table(cli: Terminal) -> None:
    """On a terminal health is a table without being asked."""
    cli.serve(today())
    cli.settings(ATAXIA)
    cli.ok("init")
    cli.ok("sync")
    outside, inside = pty.openpty()
    done = subprocess.run([sys.executable, "-m", "trialsync", "health"], cwd=cli.folder, stdout=inside, check=False, timeout=60)
    shown = os.read(outside, 65_536).decode()
    os.close(inside)
    os.close(outside)
    assert done.returncode == 0
    assert "last success" in shown
    assert "0 min ago" in shown


def test_hints_repeat_how_the_command_was_typed(cli: Terminal) -> None:
    """With --config each next step that is named has it too, so that it can be pasted."""
    cli.serve(today())
    file = cli.settings(ATAXIA, place="own.toml")
    cli.ok("--config", file, "init")
    assert f"--config {file} sync" in cli("--config", file, "changes").err
    assert f"--config {file} changes --baseline" in cli.ok("--config", file, "sync").err
    assert f"--config {file} changes --baseline" in cli.ok("--config", file, "changes").err
