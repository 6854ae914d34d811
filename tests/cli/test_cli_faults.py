"""Bad input, a registry that fails, a store that cannot be used: each one clear sentence with its exit code, and never a traceback."""

from __future__ import annotations

import os
import resource
import shutil
import socket
import sqlite3
import subprocess
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from following import DAYS, invent, publish, status
from terminal import SCRIPT, Terminal, sentence

from trialsync.store.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ONE, TWO = invent(1), invent(2)
ATAXIA = {"name": "ataxia", "query.cond": "Ataxia"}


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Terminal]:
    """Return a terminal in an empty folder, whose registry cannot be reached."""
    with Terminal(tmp_path, monkeypatch, capsys) as terminal:
        terminal.setenv("TRIALSYNC_API_URL", "http://127.0.0.1:9/api/v2")
        yield terminal


@pytest.fixture
def ready(cli: Terminal) -> Terminal:
    """Return a terminal with settings and an empty store."""
    cli.settings(ATAXIA)
    cli.ok("init")
    return cli


# What is typed


TYPED: list[tuple[str, str]] = [
    ("sync NCT123", "'NCT123' is not an NCT number (NCT and eight digits, for example NCT07263919)"),
    ("sync NCT00000000", "'NCT00000000' is not an NCT number"),
    ("sync parkinson", "there is no watch 'parkinson' (the settings have: ataxia; a study is named by its NCT number)"),
    ("sync 07263919", "there is no watch '07263919'"),
    ("polls --watch parkinson", "there is no watch 'parkinson' (trialsync watches lists them)"),
    ("changes --watch parkinson", "no watch 'parkinson' in"),
    ("changes --since 2026-2-1", "--since '2026-2-1' is not a date"),
    ("changes --field status.nothing", "no field can match 'status.nothing'"),
    ("changes --after 1", "cursor 1 is past the log's end, 0"),
    ("show NCT00000001", "NCT00000001 is not in"),
    ("import --load 1.2.2026 -", "--load '1.2.2026' is not a day"),
    ("import nothing.jsonl", "no such file: nothing.jsonl"),
    ("init https://example.org/search?cond=Ataxia", "'https://example.org/search?cond=Ataxia' is not an address of ClinicalTrials.gov"),
    ("init https://clinicaltrials.gov/search", "the address holds no condition, so it means the whole registry"),
    ("init https://clinicaltrials.gov/search?colour=red", "'colour' in the address cannot be followed"),
    ("init nonsense", "'nonsense' is not an address of ClinicalTrials.gov"),
    ("init --ids nothing.csv", "no such file: nothing.csv"),
    ("init --ids config", "config is a folder, and a file with NCT numbers is due"),
    ("init --ids config/trialsync.toml", "config/trialsync.toml holds no NCT number"),
    ("init https://clinicaltrials.gov/search?cond=x --ids y", "an address and --ids together make several watches"),
    ("demo config", "config is there and was not made by trialsync demo (name another folder: trialsync demo FOLDER)"),
    ("demo config/trialsync.toml", "was not made by trialsync demo"),
    ("sandbox --start 2026-02-30", "--start '2026-02-30' is not a day"),
    ("sandbox --start 1999-01-01", "there is no load on or before 1999-01-01"),
    ("sandbox --loads nothing.jsonl", "nothing.jsonl cannot be read"),
    ("sandbox --loads config", "config cannot be read"),
    ("sandbox --loads config/trialsync.toml", "trialsync.toml, line 1 is not JSON"),
    ("--config nothing.toml watches", "nothing.toml: there is no such settings file (trialsync init makes one)"),
    ("--config config watches", "config: cannot be read: Is a directory"),
]


@pytest.mark.parametrize(("line", "words"), TYPED, ids=[line for line, _ in TYPED])
def test_what_is_typed_wrong_is_one_sentence(ready: Terminal, line: str, words: str) -> None:
    """What was typed and cannot be used ends with 2 and one sentence that names it; no request is made for it."""
    ran = ready(*line.split())
    assert ran.code == 2
    assert words in sentence(ran)
    assert ready.waited == []


@pytest.mark.parametrize("line", ["", "nothing", "sync --everything", "changes --limit x", "show", "import", "sandbox --port 99999"])
def test_what_is_no_command_is_told_with_the_help(ready: Terminal, line: str) -> None:
    """A command or option that there is not ends with 2; what is told points to the help."""
    ran = ready(*line.split())
    assert (ran.code, ran.out) == (2, "")
    assert "Usage: trialsync" in ran.err
    assert "Traceback" not in ran.err


# Settings


SETTINGS: list[tuple[str, str]] = [
    ("[store]\npfad = 'x'\n", "config/trialsync.toml: store.pfad: is not known"),
    ("[registry]\nrequests_per_second = 0\n", "config/trialsync.toml: registry.requests_per_second: must be more than 0"),
    ("[store]\nbaseline = 'some'\n", 'config/trialsync.toml: store.baseline: must be "core", "all" or "none", not "some"'),
    ("[[watch]]\nname = 'x'\nquery.cnod = 'y'\n", 'config/trialsync.toml: watch "x": query.cnod: is not known; did you mean cond?'),
    ("[[watch]]\nname = 'x'\nnct_ids = ['NCT1']\n", "'NCT1' is not an NCT number"),
    ("[[watch]]\nname = 'x'\n", 'config/trialsync.toml: watch "x"'),
    ("[store\n", "config/trialsync.toml: is not TOML"),
]


@pytest.mark.parametrize(("text", "words"), SETTINGS)
@pytest.mark.parametrize("command", ["sync", "check", "changes", "watches", "init"])
def test_settings_that_cannot_be_used_are_one_sentence(cli: Terminal, command: str, text: str, words: str) -> None:
    """A key, a type or a watch that can't work ends with 2 and one sentence that names the file and the key, whatever the command."""
    (cli.folder / "config").mkdir()
    (cli.folder / "config" / "trialsync.toml").write_text(text)
    ran = cli(command)
    assert ran.code == 2
    assert words in sentence(ran)


def test_there_has_to_be_something_to_follow(cli: Terminal) -> None:
    """``sync`` without settings, or with settings that follow nothing, says so and names the ways out; ``init`` needs a search too."""
    for words in ("no settings file was found", "config/trialsync.toml"):
        ran = cli("sync")
        assert ran.code == 2
        assert "there is nothing to follow" in sentence(ran)
        assert words in ran.err
        assert "trialsync init" in ran.err
        cli.settings()
        if not (cli.folder / "trialsync.db").exists():
            cli.ok("init")
    shutil.rmtree(cli.folder / "config")
    assert "init needs something to follow" in sentence(cli("init"))
    assert "--everything" in sentence(cli("init"))


def test_a_file_of_numbers_that_is_gone_is_named(cli: Terminal) -> None:
    """A watch whose file of numbers is not there is an error that names both, not a watch without studies."""
    cli.settings({"name": "review", "nct_ids_file": "included.csv"})
    assert "included.csv" in cli("init").err
    ran = cli("sync")
    assert ran.code == 2
    assert "included.csv" in sentence(ran)
    assert "review" in sentence(ran)


# The store


READING = ("changes", "log NCT00000001", "show NCT00000001", "polls")
WRITING = ("sync", "import one.json")


@pytest.mark.parametrize("command", [*READING, *WRITING])
def test_a_store_that_is_named_and_missing_is_an_error(cli: Terminal, command: str) -> None:
    """A store that the settings name and that is not there is never made anew: exit 2, with what to do."""
    cli.settings(ATAXIA)
    (cli.folder / "one.json").write_bytes(b'{"protocolSection": {}}')
    _one(cli)
    ran = cli(*command.split())
    assert ran.code == 2
    assert "first time: trialsync init; lost: trialsync restore" in sentence(ran)
    assert not (cli.folder / "trialsync.db").exists()


@pytest.mark.parametrize("command", READING)
def test_a_first_store_is_not_made_by_reading(cli: Terminal, command: str) -> None:
    """Without settings, reading says how a store is made, and makes none."""
    ran = cli(*command.split())
    assert ran.code == 2
    assert "trialsync sync NCT07263919 makes one" in sentence(ran)
    assert not (cli.folder / "trialsync.db").exists()


def _one(cli: Terminal) -> None:
    (cli.folder / "one.json").write_text(
        '{"protocolSection": {"identificationModule": {"nctId": "NCT00000001"},'
        ' "statusModule": {"lastUpdatePostDateStruct": {"date": "2026-01-12"}}}}'
    )


def foreign(path: Path) -> None:
    """Write a database of somebody else's."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE people (name TEXT)")


FOREIGN = {
    "text": lambda path: path.write_text("not a database, and long enough to be read as one\n" * 100),
    "empty": lambda path: path.write_bytes(b""),
    "a folder": lambda path: path.mkdir(),
    "another database": foreign,
}


@pytest.mark.parametrize("command", [*READING, *WRITING])
@pytest.mark.parametrize("kind", FOREIGN)
def test_what_is_no_store_is_left_alone(cli: Terminal, kind: str, command: str) -> None:
    """A file that is no trialsync store ends with 2, is named, and stays as it was."""
    cli.settings(ATAXIA)
    _one(cli)
    store = cli.folder / "trialsync.db"
    FOREIGN[kind](store)
    before = None if store.is_dir() else store.read_bytes()
    ran = cli(*command.split())
    assert ran.code == 2
    assert str(store) in sentence(ran)
    assert (None if store.is_dir() else store.read_bytes()) == before


def test_a_store_that_cannot_be_made_is_named(cli: Terminal) -> None:
    """``init`` into a folder that is not there names it, and how to make it."""
    cli.settings(ATAXIA)
    cli.setenv("TRIALSYNC_DATABASE", cli.folder / "nowhere" / "trialsync.db")
    ran = cli("init")
    assert ran.code == 2
    assert f"there is no folder {cli.folder / 'nowhere'}" in ran.err


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anything")
@pytest.mark.parametrize("command", WRITING)
def test_a_store_that_may_not_be_written_is_named(ready: Terminal, command: str) -> None:
    """Without the right to write, ``sync`` and ``import`` end with 2 and name the store; reading goes on."""
    _one(ready)
    (ready.folder / "trialsync.db").chmod(0o444)
    ran = ready(*command.split())
    assert ran.code == 2
    assert "trialsync.db" in sentence(ran)
    assert ready("polls").code == 0


def test_a_full_disk_is_named(ready: Terminal) -> None:
    """Where no file may grow, ``import`` ends with 2 and one sentence that names the store, which stays sound."""
    lines = b"\n".join(b'{"protocolSection":{"identificationModule":{"nctId":"NCT%08d"},"statusModule":{"lastUpdatePostDateStruct":'
                       b'{"date":"2026-01-12"}}}}' % number for number in range(1, 2001))  # fmt: skip
    (ready.folder / "many.jsonl").write_bytes(lines)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (max(400_000, (ready.folder / "trialsync.db").stat().st_size + 100_000), hard))
    try:
        ran = ready("import", "many.jsonl")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert ran.code == 2
    assert "trialsync.db" in ran.err.splitlines()[-1]
    assert "Traceback" not in ran.err
    assert ready("import", "many.jsonl").code == 0


@pytest.mark.parametrize("command", WRITING)
def test_a_store_that_another_process_holds_says_who(ready: Terminal, command: str) -> None:
    """While one process writes, another that wants to ends with 5 and is told who holds the store; reading goes on."""
    _one(ready)
    with Writer.open(ready.folder / "trialsync.db", now=lambda: datetime(2026, 2, 2, tzinfo=UTC), command="trialsync run"):
        ran = ready(*command.split())
        assert ran.code == 5
        assert f"is being written by trialsync run (pid {os.getpid()} on {socket.gethostname()}, since 2026-02-02" in sentence(ran)
        assert ready("polls").code == 0
    assert ready(*command.split()).code != 5


@pytest.mark.parametrize("command", [*READING, *WRITING])
def test_a_store_of_a_newer_trialsync_is_refused(ready: Terminal, command: str) -> None:
    """A store with a schema that this trialsync does not know ends with 6 and says what to upgrade."""
    _one(ready)
    with closing(sqlite3.connect(ready.folder / "trialsync.db")) as connection:
        connection.execute("PRAGMA user_version = 99")
    ran = ready(*command.split())
    assert ran.code == 6
    assert "was written by a newer trialsync" in sentence(ran)
    assert "upgrade trialsync" in ran.err


@pytest.mark.parametrize("command", ["changes --baseline", "show NCT00000001", "import one.json"])
def test_a_damaged_store_is_told_as_such(ready: Terminal, command: str) -> None:
    """A store whose pages were overwritten ends with 6 and names what proves and mends it."""
    _one(ready)
    ready.ok("import", "one.json")
    store = ready.folder / "trialsync.db"
    data = bytearray(store.read_bytes())
    data[4096:] = b"\x55" * (len(data) - 4096)
    store.write_bytes(data)
    ran = ready(*command.split())
    assert ran.code == 6
    assert "trialsync.db" in ran.err
    assert "Traceback" not in ran.err


# The registry


def test_a_registry_that_cannot_be_reached_is_unavailable(ready: Terminal) -> None:
    """No connection ends with 4, in one sentence that names the host; it was tried a few times, some seconds in all."""
    ran = ready("sync")
    assert ran.code == 4
    assert "no usable answer from the registry at 127.0.0.1 to /version in 3 attempts: no connection" in sentence(ran)
    assert sum(ready.waited) < 10
    assert ready.ok("polls").rows[0]["ended"] == "failed"


def test_a_registry_that_turns_the_client_away_is_explained(ready: Terminal) -> None:
    """403 ends with 4 and says that the edge judged the client, which says nothing about any study."""
    sandbox = ready.serve(publish([ONE]))
    sandbox.inject("forbidden", times=None)
    ran = ready("sync")
    assert ran.code == 4
    assert "turned this client away (403)" in sentence(ran)
    assert "User-Agent" in ran.err
    assert sandbox.requests == 2


def test_the_registrys_own_sentence_is_shown(cli: Terminal) -> None:
    """A query that the registry calls wrong ends with 2 and its own words."""
    cli.serve(publish([ONE]))
    cli.settings({"name": "odd", "query.term": "AREA[Nowhere]x"})
    cli.ok("init")
    ran = cli("sync")
    assert ran.code == 2
    assert "odd: the registry refuses the request: Error parsing query in Other terms: Unknown area name: `Nowhere`" in sentence(ran)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("too-many", "429, too many requests"),
        ("bad-gateway", "502"),
        ("html-page", "text/html"),
        ("empty-body", "ask again later"),
        ("reset", "broke off"),
    ],
)
def test_each_fault_of_the_registry_has_its_words(ready: Terminal, fault: str, words: str) -> None:
    """Whatever the registry does instead of answering, ``sync`` ends with 4, says what was seen, and the next one works."""
    sandbox = ready.serve(publish([ONE]))
    sandbox.inject(fault, times=None)
    ran = ready("sync")
    assert ran.code == 4
    assert words in sentence(ran)
    sandbox.clear_faults()
    assert ready.ok("sync").code == 0


def test_one_bad_watch_does_not_stop_the_others(cli: Terminal) -> None:
    """Of several watches one that the registry refuses is told, the others are polled, and the exit code is the gravest."""
    cli.serve(publish([ONE]))
    cli.settings({"name": "odd", "query.term": "AREA[Nowhere]x"}, ATAXIA)
    cli.ok("init")
    ran = cli("sync")
    assert ran.code == 2
    assert "ataxia: 1 study: 1 new" in ran.err


def test_a_new_load_in_the_middle_of_everything_is_survived(cli: Terminal) -> None:
    """A load that arrives between two watches of one ``sync`` gives no wrong row: the first is polled again with the next one."""
    sandbox = cli.serve(publish([ONE, TWO], [status(ONE, "TERMINATED", DAYS[1])]))
    cli.settings(ATAXIA, {"name": "all", "everything": True})
    cli.ok("init")
    sandbox.inject("advance", path="/version", at=2)
    cli.ok("sync")
    cli.ok("sync")
    assert [row["path"] for row in cli.ok("changes", "--study", "NCT00000001").rows] == [
        "status.overallStatus",
        "status.lastUpdatePostDate",
    ]


# The sandbox


def test_a_port_that_is_taken_is_named(cli: Terminal) -> None:
    """``sandbox`` on a port that somebody listens on ends with 2 and names the way out."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ran = cli("sandbox", "--port", str(port))
    assert ran.code == 2
    assert f"127.0.0.1 port {port}" in sentence(ran)
    assert "or 0 for" in ran.err


def test_a_demo_does_not_empty_a_folder_of_others(cli: Terminal) -> None:
    """``demo`` refuses a folder that it did not make, whatever stands in it, and touches nothing there."""
    folder = cli.folder / "mine"
    folder.mkdir()
    for name, data in (("notes.txt", b"mine"), ("trialsync.toml", b"[store]\n"), ("trialsync.toml", b"\xff\xfe\x00binary")):
        for old in folder.iterdir():
            old.unlink()
        (folder / name).write_bytes(data)
        ran = cli("demo", folder)
        assert ran.code == 2
        assert "was not made by trialsync demo" in sentence(ran)
        assert (folder / name).read_bytes() == data


def test_no_bug_hides_behind_the_script(cli: Terminal) -> None:
    """The installed script ends with the same code and sentence as the function in the tests."""
    done = subprocess.run([SCRIPT, "sync", "NCT1"], capture_output=True, text=True, check=False, cwd=cli.folder)  # noqa: S603
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "trialsync: 'NCT1' is not an NCT number (NCT and eight digits, for example NCT07263919)\n"
