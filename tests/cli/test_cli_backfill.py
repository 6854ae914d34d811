"""``trialsync backfill`` as a user types it: what it says first, what came of it, and how it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from terminal import Terminal, sentence

from trialsync.registry.sandbox import Fault, packaged_loads, packaged_past

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trialsync.registry.sandbox import Sandbox

STORY = "NCT09000024"
PARKINSON = {"name": "parkinson", "query.cond": "Parkinson Disease"}


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Terminal]:
    """Return a terminal in an empty folder."""
    with Terminal(tmp_path, monkeypatch, capsys) as terminal:
        yield terminal


@pytest.fixture
def sandbox(cli: Terminal) -> Sandbox:
    """Serve the packaged loads and their past, and follow a watch of them."""
    cli.settings(PARKINSON)
    cli.ok("init")
    return cli.serve(packaged_loads(), past=packaged_past())


def test_it_says_what_it_costs_and_what_came_of_it(cli: Terminal, sandbox: Sandbox) -> None:
    """Before: studies, requests, time; after: versions and changes; a second run costs a request a study and adds nothing."""
    cli.ok("sync")
    lines = cli.ok("backfill").err.splitlines()
    assert lines == [
        "13 studies, about 104 requests, about 2 minutes",
        "13 studies: 5 versions and 30 changes added, 31 requests",
    ]
    again = cli.ok("backfill", "parkinson").err.splitlines()
    assert again == ["13 studies, about 13 requests, less than a minute", "13 studies: 0 versions and 0 changes added, 13 requests"]
    assert "is sound" in cli.ok("verify").err
    assert sandbox.served[-1].path == "/api/int/studies/NCT09000360/history"


def test_the_log_has_it(cli: Terminal, sandbox: Sandbox) -> None:
    """The study's log begins with its first registration; rows of history can be asked for; facts count from the beginning."""
    assert sandbox.loads_left
    cli.ok("sync")
    cli.ok("backfill", STORY)
    versions = cli.ok("log", STORY, "--format", "jsonl").rows
    assert [row["date"] for row in versions] == ["2024-12-20", "2025-02-12", "2025-07-23", "2025-12-15"]
    rows = cli.ok("changes", "--origin", "history", "--format", "jsonl").rows
    head = cli.ok("log", STORY, "--format", "table").out
    assert "version 1  2024-12-20  (the registry's version 0, fetched " in head
    assert {row["ref"].partition("#")[0] for row in rows} == {f"{STORY}@r1", f"{STORY}@r2"}
    (slip,) = cli.ok("changes", "--fact", "completion-slipped", "--field", "status.completionDate", "--since", "2025-12-01").rows
    assert [(fact["times"], fact["total_months"]) for fact in slip["facts"]] == [(2, 9)]
    before = cli("show", STORY, "--as-of", "2024-12-19").err
    assert "its first version is of 2024-12-20: the registry has none before it" in before
    assert "backfill" not in before


def test_limits(cli: Terminal, sandbox: Sandbox) -> None:
    """The newest versions, or those since a day, and a sentence where the registry has more; a date that is none is said."""
    assert sandbox.loads_left
    cli.ok("sync", STORY)
    assert "1 study has more history than was asked for" in cli.ok("backfill", STORY, "--latest", "2").err
    assert "more history" in cli.ok("backfill", STORY, "--since", "2025-03-01").err
    assert "more history" not in cli.ok("backfill", STORY).err
    bad = cli("backfill", "--since", "soon")
    assert bad.code == 2
    assert "--since 'soon' is not a date" in sentence(bad)


def test_without_settings_one_study_is_enough(cli: Terminal) -> None:
    """Without settings and store, a study that is named gets both versions and a store; a gap is filled only when asked for."""
    sandbox = cli.serve(packaged_loads(), past=packaged_past())
    first = cli.ok("backfill", STORY).err
    assert "made a new store" in first
    assert "1 study: 3 versions and" in first
    while sandbox.advance():
        pass
    cli.ok("sync", STORY)
    assert "0 versions" in cli.ok("backfill", STORY).err
    assert "1 version and" in cli.ok("backfill", STORY, "--gaps").err
    assert "is sound" in cli.ok("verify").err


def test_partial_failure_is_named_and_ends_with_3(cli: Terminal, sandbox: Sandbox) -> None:
    """A study whose history can't be had is named; the others are done; what can be done next is the same command."""
    cli.ok("sync")
    sandbox.inject(Fault.WRONG_404, times=None, path=f"/int/studies/{STORY}/*")
    partly = cli("backfill", "parkinson")
    assert partly.code == 3
    assert "12 studies: 2 versions" in partly.err
    assert f"/int/studies/{STORY}/history" in partly.err
    sandbox.clear_faults()
    assert "13 studies: 3 versions" in cli.ok("backfill").err


def test_a_registry_that_is_gone_ends_it_with_4(cli: Terminal, sandbox: Sandbox) -> None:
    """Where nothing answers it stops, says how many studies are left, and ends with 4."""
    cli.ok("sync")
    sandbox.inject(Fault.UNAVAILABLE, times=None, path="/int/*")
    gone = cli("backfill")
    assert gone.code == 4
    assert "12 of 13 studies left: the same command goes on" in gone.err


def test_what_it_can_not_be_asked_for(cli: Terminal, sandbox: Sandbox) -> None:
    """A watch that there is not, one that was never polled, and a number of versions that is none are usage errors."""
    assert sandbox.loads_left
    for arguments, code, said in (
        (("nowhere",), 2, "there is no watch 'nowhere'"),
        (("parkinson",), 2, "trialsync sync parkinson polls it first"),
        (("NCT1",), 2, "is not an NCT number"),
    ):
        ran = cli("backfill", *arguments)
        assert ran.code == code
        assert said in ran.err
    assert cli("backfill", "--latest", "0").code == 2
