"""The demo, whose own last lines are typed back, and the stand-in as a command on a port."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import time
import urllib.request
from typing import TYPE_CHECKING

import pytest
from terminal import SCRIPT, Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Terminal]:
    """Return a terminal in an empty folder."""
    with Terminal(tmp_path, monkeypatch, capsys) as terminal:
        yield terminal


def commands(text: str) -> list[list[str]]:
    """Return the commands that a text ends with, as a shell takes them apart."""
    return [shlex.split(line)[1:] for line in text.splitlines() if re.match(r"  \S*trialsync ", line)]


@pytest.mark.parametrize("folder", [[], ["my demo"]])
def test_what_the_demo_says_to_type_works(cli: Terminal, folder: list[str]) -> None:
    """Each command that the demo prints at its end prints something when it is typed as it stands, whatever the folder is called."""
    ran = cli.ok("demo", *folder)
    typed = commands(ran.err.partition("Now look around:")[2])
    assert len(typed) == 8
    for command in typed[:-2]:
        assert cli.ok(*command).out, command
    assert [command[0] for command in typed[-2:]] == ["init", "sync"]
    made = cli.ok(*typed[-2])
    assert "query.cond=Parkinson Disease" in made.err


def test_the_demo_again_in_the_same_folder(cli: Terminal) -> None:
    """A second demo in the same folder, and one right after the first, take under ten seconds together and end alike."""
    began = time.monotonic()
    first, second = cli.ok("demo"), cli.ok("demo")
    assert time.monotonic() - began < 10
    assert first.out == second.out
    assert re.sub(r"in \d+\.\d seconds", "", first.err) == re.sub(r"in \d+\.\d seconds", "", second.err)


def test_the_demo_shows_a_table_and_a_log(cli: Terminal) -> None:
    """The demo ends with a line for each study's newest changes and one study's log, and says what each load brought, offline."""
    cli.setenv("TRIALSYNC_API_URL", "http://127.0.0.1:9/api/v2")
    ran = cli.ok("demo")
    assert len(re.findall(r"(?m)^  2026-\d\d-\d\d  ", ran.err)) == 12
    assert "NCT09000113 was merged into NCT09000106" in ran.err
    assert "NCT09000236 was removed from the registry" in ran.err
    shown = re.findall(r"(?m)^2026-\d\d-\d\d  (NCT0\d{7})  \S.* · ", ran.out)
    assert len(shown) >= 8
    assert "primary outcomes −1, 1 promoted (after start)" in ran.out  # noqa: RUF001 - a minus sign
    assert re.findall(r"(?m)^version (\d) ", ran.out) == ["3", "2", "1"]
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", ran.out + ran.err)


def test_the_demo_does_not_care_where_settings_point(cli: Terminal) -> None:
    """Settings and variables for real work do not reach the demo, and it does not touch their store."""
    cli.settings({"name": "mine", "nct_ids": ["NCT00000001"]})
    cli.ok("init")
    before = (cli.folder / "trialsync.db").read_bytes()
    cli.ok("demo")
    assert (cli.folder / "trialsync.db").read_bytes() == before


def ask(url: str, method: str = "GET") -> dict[str, object]:
    """Ask the stand-in's controls, and return the answer."""
    request = urllib.request.Request(url, method=method)  # noqa: S310 - our own address
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
        found: dict[str, object] = json.loads(answer.read())
    return found


def test_the_stand_in_is_a_registry_on_a_port(cli: Terminal) -> None:
    """``sandbox --port 0`` says where it is and how to go on; what it says works from another terminal, and it ends well."""
    with subprocess.Popen(  # noqa: S603
        [SCRIPT, "sandbox", "--port", "0", "--start", "2026-05-11"], stderr=subprocess.PIPE, text=True, env={**os.environ, "NO_PROXY": "*"}
    ) as running:
        try:
            assert running.stderr is not None
            first = running.stderr.readline()
            said = re.search(r"is at (http://127\.0\.0\.1:(\d+)/api/v2), load 2026-05-11, 3 more to come", first)
            assert said, first
            cli.setenv("TRIALSYNC_API_URL", said[1])
            cli.settings({"name": "parkinson", "query.cond": "Parkinson Disease"})
            cli.ok("init")
            cli.ok("sync")
            controls = said[1].replace("/api/v2", "/sandbox")
            assert ask(f"{controls}/advance", "POST")["load"] == "2026-05-12"
            assert ask(controls)["loads_left"] == 2
            assert "in load 2026-05-12" in cli.ok("sync").err
            assert cli.ok("changes").rows
        finally:
            # Not SIGINT: where the tests run in the background of a shell, it is ignored from the start.
            running.send_signal(signal.SIGTERM)
            try:
                _, rest = running.communicate(timeout=10)
            except subprocess.TimeoutExpired:
                running.kill()
                raise
        assert running.returncode == 0
        assert "the sandbox is closed" in rest
