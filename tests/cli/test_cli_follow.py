"""Following: init, sync, changes, check, and what the lists print, against a stand-in registry on a port."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from following import DAYS, edited, invent, number_of, publish, status
from terminal import SCRIPT, Terminal

from trialsync.registry.sandbox import packaged_loads
from trialsync.study.fields import ABOUT_THE_WHOLE, FIELDS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ONE, TWO, THREE = invent(1), invent(2), invent(3)
N1, N2, N3 = map(number_of, (ONE, TWO, THREE))
LOADS = publish([ONE, TWO], [status(ONE, "TERMINATED", DAYS[1])], [])
ADDRESS = "https://clinicaltrials.gov/search?cond=Ataxia"
ATAXIA = {"name": "ataxia", "query.cond": "Ataxia"}


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Terminal]:
    """Return a terminal in an empty folder."""
    with Terminal(tmp_path, monkeypatch, capsys) as terminal:
        yield terminal


def test_from_an_address_to_the_first_change(cli: Terminal) -> None:
    """``init`` with a pasted address, then ``sync`` on two loads, and ``changes`` shows what happened; each says what to type next."""
    sandbox = cli.serve(LOADS)
    made = cli.ok("init", ADDRESS, "--contact", "me@example.org")
    assert (cli.folder / "config" / "trialsync.toml").exists()
    assert (cli.folder / "trialsync.db").exists()
    assert "trialsync sync" in made.err
    first = cli.ok("sync")
    assert f"ataxia: 2 studies: 2 new, 0 changed, 0 confirmed unchanged in load {DAYS[0]}\n" in first.err
    assert "baseline" in first.err
    assert "trialsync changes --baseline" in first.err
    assert first.out == ""
    empty = cli.ok("changes")
    assert empty.out == ""
    assert "2 studies are in the store as first seen" in empty.err
    assert "trialsync changes --baseline" in empty.err
    sandbox.advance()
    second = cli.ok("sync")
    assert f"ataxia: 2 studies: 0 new, 1 changed, 1 confirmed unchanged in load {DAYS[1]}; 2 changes recorded" in second.err
    rows = cli.ok("changes").rows
    assert [(row["nct_id"], row["path"], row["before"], row["after"], row["date"]) for row in rows] == [
        (N1, "status.overallStatus", "RECRUITING", "TERMINATED", DAYS[1]),
        (N1, "status.lastUpdatePostDate", "2026-01-12", DAYS[1], DAYS[1]),
    ]
    agents = {served.user_agent for served in sandbox.served}
    assert all(re.fullmatch(r"python-httpx/\S+ trialsync/\S+ \(\+me@example\.org\)", agent) for agent in agents)


def test_the_same_load_again_is_one_request(cli: Terminal) -> None:
    """A second ``sync`` of a load says so and asks once; ``--full`` walks again; ``--quiet`` says nothing where nothing is wrong."""
    sandbox = cli.serve(LOADS)
    cli.settings(ATAXIA)
    cli.ok("init")
    cli.ok("sync")
    before = sandbox.requests
    again = cli.ok("sync")
    assert sandbox.requests == before + 1
    assert f"ataxia: nothing new, still load {DAYS[0]}" in again.err
    full = cli.ok("sync", "--full")
    assert "2 confirmed unchanged" in full.err
    assert sandbox.requests > before + 2
    for arguments in (("sync", "--quiet"), ("sync", "--full", "--quiet")):
        quiet = cli.ok(*arguments)
        assert (quiet.out, quiet.err) == ("", "")


def test_init_from_a_list_of_numbers(cli: Terminal) -> None:
    """``init --ids`` takes every NCT number out of any text; the one that the registry never knew is named, and exit is 3."""
    cli.serve(LOADS)
    (cli.folder / "included.csv").write_text(f"author,number\nSmith 2019,{N2.lower()}\nJones,see {N1} and NCT00000077\n")
    made = cli.ok("init", "--ids", "included.csv")
    assert "included: 3 studies by number" in made.err
    ran = cli("sync")
    assert ran.code == 3
    assert "2 studies: 2 new" in ran.err
    assert "NCT00000077 was never found in the registry" in ran.err


def test_a_study_by_its_number_needs_no_settings(cli: Terminal) -> None:
    """``sync NCT…`` without settings makes a store where it stands, says so, and fetches the study; lower case will do."""
    cli.serve(LOADS)
    ran = cli.ok("sync", "nct00000001")
    assert f"made a new store, {cli.folder / 'trialsync.db'}" in ran.err
    assert "1 study: 1 new" in ran.err
    assert f"nct_id: {N1}" in cli.ok("show", N1).out
    again = cli.ok("sync", N1)
    assert "made a new store" not in again.err
    assert f"{N1}: nothing new" in again.err


def test_watches_and_numbers_are_polled_by_name(cli: Terminal) -> None:
    """Only what is named is polled: a watch, studies, or both in one command."""
    cli.serve(publish([ONE, invent(5, condition="Chorea"), invent(6, condition="Gout")]))
    cli.settings(ATAXIA, {"name": "chorea", "query.cond": "Chorea"})
    cli.ok("init")
    ran = cli.ok("sync", "chorea", "NCT00000006")
    assert "chorea: " in ran.err
    assert "NCT00000006: " in ran.err
    assert "ataxia" not in ran.err
    listed = {row["name"]: row["studies"] for row in cli.ok("watches").rows}
    assert listed["chorea"] == 1
    assert not listed["ataxia"]


def test_two_watches_of_one_sync_record_a_change_once(cli: Terminal) -> None:
    """Two watches over the same study in one ``sync`` make one row of its change."""
    sandbox = cli.serve(LOADS)
    cli.settings(ATAXIA, {"name": "all", "everything": True})
    cli.ok("init")
    cli.ok("sync")
    sandbox.advance()
    cli.ok("sync")
    assert [row["path"] for row in cli.ok("changes", "--study", N1).rows] == ["status.overallStatus", "status.lastUpdatePostDate"]


def test_init_beside_settings_makes_the_store_alone(cli: Terminal) -> None:
    """Where settings stand, ``init`` leaves them as they are and makes the store; a second time nothing changes."""
    file = cli.settings(ATAXIA)
    before = file.read_bytes()
    assert "is made" in cli.ok("init").err
    assert "stands" in cli.ok("init").err
    other = cli.ok("init", "https://clinicaltrials.gov/search?cond=Chorea")
    assert "was left as it is" in other.err
    assert 'cond = "Chorea"' in other.err.replace("query.cond", "cond")
    assert file.read_bytes() == before


def test_what_init_writes_can_be_read(cli: Terminal) -> None:
    """The settings that ``init`` writes pass ``check``, and the watch asks what the address asked."""
    cli.serve(LOADS)
    cli.ok("init", f"{ADDRESS}&aggFilters=status:rec", "--name", "mine")
    ran = cli.ok("check")
    assert "watch      mine: the studies that match query.cond=Ataxia, aggFilters=status:rec" in ran.err
    assert f"answers: load {DAYS[0]}" in ran.err


def test_check_names_what_is_wrong(cli: Terminal) -> None:
    """``check`` ends with the exit code of what is wrong: no store is 2, a registry that does not answer 4; ``--offline`` does not ask."""
    cli.settings(ATAXIA)
    cli.setenv("TRIALSYNC_API_URL", "http://127.0.0.1:9/api/v2")
    missing = cli("check", "--offline")
    assert (missing.code, "trialsync init" in missing.err) == (2, True)
    cli.ok("init")
    assert "0 studies" in cli.ok("check", "--offline").err
    silent = cli("check")
    assert silent.code == 4
    assert "no connection" in silent.err


def test_the_lists_print_what_the_store_knows(cli: Terminal) -> None:
    """``watches``, ``polls`` and ``fields`` print their rows in any format; polls come newest first, and a watch's alone where asked."""
    sandbox = cli.serve(LOADS)
    cli.settings(ATAXIA, {"name": "mine", "nct_ids": [N1]})
    cli.ok("init")
    assert "nothing was polled yet" in cli.ok("polls").err
    cli.ok("sync")
    sandbox.advance()
    cli.ok("sync", "ataxia")
    ataxia, mine = cli.ok("watches").rows
    assert (ataxia["name"], ataxia["query"], ataxia["studies"], ataxia["load"]) == ("ataxia", {"query.cond": ["Ataxia"]}, 2, DAYS[1])
    assert (mine["nct_ids"], mine["load"], mine["ended"]) == ([N1], DAYS[0], "complete")
    polls = cli.ok("polls").rows
    assert [(row["watch"], row["load"], row["new"], row["updated"], row["changes"]) for row in polls] == [
        ("ataxia", DAYS[1], 0, 1, 2),
        ("mine", DAYS[0], 0, 0, 0),
        ("ataxia", DAYS[0], 2, 0, 0),
    ]
    assert [row["watch"] for row in cli.ok("polls", "--watch", "mine").rows] == ["mine"]
    assert len(cli.ok("polls", "--limit", "1").rows) == 1
    assert [row["name"] for row in cli.ok("fields").rows] == [field.name for field in (*FIELDS, *ABOUT_THE_WHOLE)]
    for command in ("watches", "polls", "fields"):
        for form, words in (("table", "─"), ("csv", ","), ("md", "| --- |"), ("json", "[\n")):
            assert words in cli.ok(command, "--format", form).out


def test_a_watch_that_is_no_longer_set_up_stays_listed(cli: Terminal) -> None:
    """What the store followed once is listed beside what the settings follow now, and its changes can be asked for."""
    cli.serve(LOADS)
    cli.settings(ATAXIA)
    cli.ok("init")
    cli.ok("sync")
    cli.settings({"name": "mine", "nct_ids": [N1]})
    assert [row["name"] for row in cli.ok("watches").rows] == ["mine", "ataxia"]
    assert cli.ok("changes", "--watch", "ataxia").code == 0


def test_the_baseline_setting_holds_for_sync_and_import(cli: Terminal) -> None:
    """``[store] baseline`` decides which rows a first sight leaves, by ``sync`` and by ``import``."""
    cli.serve(LOADS)
    cli.settings(ATAXIA, text='baseline = "none"')
    cli.ok("init")
    cli.ok("sync")
    cli.ok("import", "-", stdin=json.dumps(THREE).encode())
    assert len(cli.ok("show", N3).out) > 0
    assert cli.ok("changes", "--baseline").rows == []


def test_a_partial_sync_says_what_was_skipped(cli: Terminal) -> None:
    """A record that can't be used is named on standard error, the good ones are kept, and exit is 3."""
    torso = edited(TWO)
    del torso["protocolSection"]["statusModule"]
    cli.serve(publish([ONE, torso]))
    cli.settings(ATAXIA)
    cli.ok("init")
    ran = cli("sync")
    assert ran.code == 3
    assert f"skipped: {N2}: the record has no status module" in ran.err
    assert f"1 study: 1 new, 0 changed, 0 confirmed unchanged in load {DAYS[0]}, 1 skipped" in ran.err
    assert cli("sync").code == 3
    assert cli("sync", "--quiet").err == ""


def test_removals_have_to_be_accepted(cli: Terminal) -> None:
    """A mass disappearance ends partial with exit 3 and names ``--accept-removals``, which then concludes."""
    many = [invent(number) for number in range(1, 13)]
    gone = [number_of(study) for study in many[:4]]
    sandbox = cli.serve(publish(many, gone, [], []))
    cli.settings(ATAXIA)
    cli.ok("init")
    cli.ok("sync")
    sandbox.advance()
    ran = cli("sync")
    assert ran.code == 3
    assert "trialsync sync --accept-removals" in ran.err
    cli.ok("sync", "--accept-removals")
    sandbox.advance()
    cli.ok("sync", "--accept-removals")
    assert [row["nct_id"] for row in cli.ok("changes", "--field", "registry.presence").rows] == gone


# In a pipe and on a terminal


def test_nothing_steers_a_pipe(cli: Terminal) -> None:
    """In a pipe neither stream holds a control character: no bar, no colour, no cursor."""
    cli.serve(packaged_loads())
    cli.settings({"name": "all", "everything": True}, text="[registry]\nrequests_per_second = 1000")
    cli.ok("init")
    done = subprocess.run([SCRIPT, "sync"], capture_output=True, text=True, check=True)  # noqa: S603
    assert "36 new" in done.stderr
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", done.stdout + done.stderr)


def test_a_terminal_gets_a_table(cli: Terminal) -> None:
    """On a terminal, where nobody says how, a study's day is a line, the newest first, of a hundred rows or so, and the cut is told."""
    cli.serve(packaged_loads())
    cli.settings({"name": "all", "everything": True}, text="[registry]\nrequests_per_second = 1000")
    cli.ok("init")
    cli.ok("sync")
    mine, theirs = pty.openpty()
    with os.fdopen(mine, "rb", 0) as screen:
        done = subprocess.Popen(  # noqa: S603
            [SCRIPT, "changes", "--baseline"], stdout=theirs, stderr=subprocess.PIPE, text=True, env={**os.environ, "NO_COLOR": "1"}
        )
        os.close(theirs)
        seen = b""
        while True:
            try:
                piece = screen.read(65536)
            except OSError:  # what a terminal gives at its end
                break
            if not piece:
                break
            seen += piece
        _, err = done.communicate()
    lines = seen.decode().splitlines()
    found = re.search(r"^(\d{3}) of \d{3,} changes \(--limit 0 for all\)\n.*\n(\d+) lines of (\d{3}) changes \(--rows", err, re.MULTILINE)
    assert found
    assert 100 <= int(found[1]) == int(found[3]) < 130
    assert len([line for line in lines if re.match(r"\d{4}-\d\d-\d\d  NCT0", line)]) == int(found[2])
    assert seen.decode().count("first seen, ") == int(found[2])
    assert done.returncode == 0


def test_a_reader_that_has_had_enough_is_no_error(cli: Terminal) -> None:
    """``trialsync changes | head`` ends quietly."""
    cli.serve(packaged_loads())
    cli.settings({"name": "all", "everything": True})
    cli.ok("init")
    cli.ok("sync")
    line = f'"{SCRIPT}" changes --baseline --all | head -n 1; exit ${{PIPESTATUS[0]}}'
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)  # noqa: S603, S607
    assert (done.returncode, done.stderr, len(done.stdout.splitlines())) == (0, "", 1)


def test_the_command_is_installed(cli: Terminal) -> None:
    """The installed script and ``python -m`` print the same version, and the help names every command."""
    versions = {
        subprocess.run([*command, "--version"], capture_output=True, text=True, check=True, cwd=cli.folder).stdout  # noqa: S603
        for command in ([SCRIPT], [sys.executable, "-m", "trialsync"])
    }
    assert len(versions) == 1
    shown = cli.ok("--help").out
    for command in (
        "init",
        "sync",
        "import",
        "changes",
        "log",
        "show",
        "watches",
        "fields",
        "polls",
        "check",
        "verify",
        "backup",
        "restore",
        "demo",
        "sandbox",
    ):
        assert re.search(rf"(?m)^  {command} +\S", shown), command
        assert cli.ok(command, "--help").out.startswith(f"Usage: trialsync {command}")


def test_everything_is_followed_with_one_word(cli: Terminal) -> None:
    """``init --everything`` writes a watch of the whole registry, says how the download gets in, and takes no second thing to follow."""
    made = cli.ok("init", "--everything")
    assert "everything = true" in (cli.folder / "config" / "trialsync.toml").read_text()
    assert "watch      the-whole-registry: the whole registry" in made.err
    assert "curl --fail -o ctg-studies.json.zip 'https://clinicaltrials.gov/api/v2/studies/download?format=json.zip'" in made.err
    assert "trialsync import ctg-studies.json.zip" in made.err
    assert (cli.folder / "trialsync.db").exists()
    assert "make several watches" in cli("init", "--everything", "--ids", "included.csv").err
    # Where settings stand it is told what to add to them.
    (cli.folder / "config" / "trialsync.toml").write_text('[[watch]]\nname = "mine"\nnct_ids = ["NCT00000001"]\n')
    assert cli.ok("init", "--everything").err.endswith('[[watch]]\nname = "the-whole-registry"\neverything = true\n')
