"""What stays unsaid: ``sync --quiet`` where nothing is wrong, and secrets and persons in log lines at every level."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from following import DAYS, edited, invent, number_of, publish, site, status
from terminal import SCRIPT, Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trialsync import log

ATAXIA = {"name": "ataxia", "query.cond": "Ataxia"}
PERSONS = ("Wilhelmina", "Quux", "+49 555 0147", "0147", "quux@", "wilhelmina")


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Terminal]:
    """Return a terminal in an empty folder."""
    with Terminal(tmp_path, monkeypatch, capsys) as terminal:
        yield terminal


def silent(cli: Terminal, *arguments: str) -> None:
    """Run a ``sync`` that has to end with 0 and to print nothing at all."""
    ran = cli.ok("sync", "--quiet", *arguments)
    assert (ran.out, ran.err) == ("", "")


def test_nothing_is_said_where_nothing_is_wrong(cli: Terminal) -> None:
    """First sight, changes, newcomers and leavers, a removal, a merger, a new name and nothing new are all silent, log lines included."""
    one, two, three, four = (invent(number) for number in range(1, 5))
    survivor = invent(5)
    survivor["protocolSection"]["identificationModule"]["nctIdAliases"] = [number_of(four)]
    sandbox = cli.serve(
        publish(
            [one, two, three, four],
            [status(one, "TERMINATED", DAYS[1]), invent(6), edited(two, DAYS[1], conditionsModule__conditions=["Gout"])],
            [number_of(three), number_of(four), survivor],
            [status(one, "COMPLETED", DAYS[3])],
            [],
        )
    )
    cli.settings(ATAXIA, text='[log]\nlevel = "info"\n')
    cli.ok("init")
    silent(cli)
    silent(cli)
    silent(cli, "--full")
    for _ in range(3):
        sandbox.advance()
        silent(cli, "--accept-removals")
    cli.settings({**ATAXIA, "name": "cerebellum", "was": "ataxia"}, text='[log]\nlevel = "debug"\n')
    sandbox.advance()
    silent(cli)
    silent(cli, "cerebellum", number_of(one))
    assert {row["name"] for row in cli.ok("watches").rows} == {"cerebellum"}


def test_a_failure_that_was_overcome_is_not_said(cli: Terminal) -> None:
    """A request that had to be asked again, and a walk that began anew, ended well: nothing is wrong."""
    sandbox = cli.serve(publish([invent(1)]))
    cli.settings(ATAXIA, text='[log]\nlevel = "warning"\n')
    cli.ok("init")
    sandbox.inject("unavailable", path="/studies", times=2)
    sandbox.inject("data-changed", times=1)
    silent(cli)
    assert len(cli.waited) >= 2


def test_a_first_store_is_made_in_silence(cli: Terminal) -> None:
    """``sync --quiet NCT…`` in an empty folder makes the store and says nothing."""
    cli.serve(publish([invent(1)]))
    silent(cli, "NCT00000001")
    assert (cli.folder / "trialsync.db").exists()


def test_a_terminal_sees_no_progress(cli: Terminal) -> None:
    """On a terminal, too, quiet shows no bar."""
    cli.serve(publish([invent(1)]))
    cli.settings(ATAXIA)
    cli.ok("init")
    outside, inside = pty.openpty()
    done = subprocess.run([SCRIPT, "sync", "--quiet"], cwd=cli.folder, stdout=inside, stderr=inside, check=False, timeout=60)  # noqa: S603 - our own program
    os.write(inside, b".")
    shown = os.read(outside, 65_536)
    os.close(inside)
    os.close(outside)
    assert (done.returncode, shown) == (0, b".")


def test_what_is_wrong_is_said(cli: Terminal) -> None:
    """A number that looks mistyped is said once, a registry that can't be reached each time, with the exit code."""
    cli.serve(publish([invent(1)]))
    (cli.folder / "ids.txt").write_text("NCT00000001 and NCT0000002")
    cli.settings({"name": "mine", "nct_ids_file": str(cli.folder / "ids.txt")})
    cli.ok("init")
    assert "not NCT and eight digits: NCT0000002" in cli.ok("sync", "--quiet").err
    silent(cli)
    cli.setenv("TRIALSYNC_API_URL", "http://127.0.0.1:9/api/v2")
    ran = cli("sync", "--quiet")
    assert ran.code == 4
    assert ran.err.startswith("mine: no usable answer from the registry")


def with_persons(number: int, posted: str, phone: str) -> dict[str, Any]:
    """Return a study that names contact persons everywhere that a record can."""
    person = {"name": "Wilhelmina Quux", "role": "CONTACT", "phone": phone, "email": "wilhelmina.quux@clinic.example"}
    study = invent(
        number,
        posted=posted,
        contactsLocationsModule={"centralContacts": [person], "locations": [site("Clinic", "Lyon", "France", contacts=[person])]},
    )
    study["resultsSection"] = {"moreInfoModule": {"pointOfContact": {"title": "Wilhelmina Quux", "email": "quux@clinic.example"}}}
    return study


@pytest.mark.parametrize("form", ["json", "console"])
def test_log_lines_name_no_person_and_no_secret(cli: Terminal, form: log.Format) -> None:
    """At level debug, through changes, faults of every kind and records that can't be used, no log line holds contact data or a secret."""
    broken = with_persons(3, DAYS[1], "+49 555 0147")
    del broken["protocolSection"]["statusModule"]
    sandbox = cli.serve(
        publish(
            [with_persons(1, "2026-01-12", "+49 555 0147"), with_persons(2, "2026-01-12", "+49 555 0147")],
            [with_persons(1, DAYS[1], "+49 555 0148"), with_persons(2, DAYS[1], "")],
            [with_persons(1, DAYS[2], "+49 555 0147")],
        )
    )
    secret = cli.folder / "heartbeat-url"
    secret.write_text("https://beat.example/s3cr3t-token\n")
    asked = f'[registry]\ncontact = "operator@quiet.example"\n[heartbeat]\nurl_file = "{secret}"\n'
    cli.settings(ATAXIA, text=f'{asked}[log]\nlevel = "debug"\nformat = "{form}"\n')
    cli.ok("init")
    told = []
    for fault in ("truncated", "wrong-type", "html-page", "empty-body", "server-error", "data-changed", "reset", "too-many"):
        sandbox.inject(fault, path="/studies", times=1)
        told.append(cli("sync", "--full"))
        sandbox.advance()
    (cli.folder / "broken.json").write_text(json.dumps([broken, {"nctId": "NCT00000009"}]))
    older = {"load": "2026-01-01", "nctId": "NCT00000001", "study": with_persons(1, "2025-12-30", "+49 555 0147")}
    (cli.folder / "older.jsonl").write_text(json.dumps(older))
    told += [cli("import", "broken.json"), cli("import", "older.jsonl"), cli("verify"), cli("health"), cli("check")]
    lines = "".join(ran.err for ran in told)
    assert "poll.ended" in lines
    assert "registry.retry" in lines
    assert "study.skipped" in lines
    for hidden in (*PERSONS, "operator@quiet", "s3cr3t", "beat.example"):
        assert hidden not in lines, next(line for line in lines.splitlines() if hidden in line)
