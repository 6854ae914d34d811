"""``trialsync check``: what the settings need of this machine, and what is printed of them."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest
from terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ATAXIA = {"name": "ataxia", "query.cond": "Ataxia"}


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Terminal]:
    """Return a terminal in a folder with settings and a store."""
    with Terminal(tmp_path, monkeypatch, capsys) as terminal:
        terminal.settings(ATAXIA)
        terminal.ok("init")
        yield terminal


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


def test_the_backup_folder_has_to_be_there(cli: Terminal) -> None:
    """A backup's folder that is missing or a file is 2 with what to type; one that is there is told with its night and its copies."""
    copies = cli.folder / "copies"
    cli.settings(ATAXIA, text=f'[backup]\ndir = "{copies}"\nkeep = 3\nat = "01:15"\ntimezone = "Europe/Berlin"\n')
    missing = cli("check", "--offline")
    assert missing.code == 2
    assert f"is not a folder (mkdir -p {copies})" in missing.err
    copies.mkdir()
    assert f"{copies}: the newest 3 copies, one each night at 01:15 Europe/Berlin" in cli.ok("check", "--offline").err
    cli.settings(ATAXIA, text=f'[backup]\ndir = "{cli.folder}"\n')
    assert "it is the store's own folder" in cli.ok("check", "--offline").err


def test_the_store_has_to_be_writable(cli: Terminal) -> None:
    """A store that nothing can be written to, here by its lock, is 2, though it can be read."""
    cli.settings(ATAXIA)
    cli.ok("init")
    lock = cli.folder / "trialsync.db.lock"
    lock.unlink()
    lock.mkdir()
    ran = cli("check", "--offline")
    assert ran.code == 2
    assert f"{lock} can't be written: Is a directory, so that nothing can be recorded" in ran.err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_the_backup_folder_has_to_be_writable(cli: Terminal) -> None:
    """A backup's folder that this user can't write is 2."""
    copies = cli.folder / "copies"
    copies.mkdir(mode=0o500)
    cli.settings(ATAXIA, text=f'[backup]\ndir = "{copies}"\n')
    ran = cli("check", "--offline")
    assert ran.code == 2
    assert "can't be written by this user" in ran.err


def test_the_heartbeat_is_read_and_not_shown(cli: Terminal) -> None:
    """An address that can be used is said to be there and by what; one that can't is 2; neither is ever printed."""
    secret = cli.folder / "url"
    cli.settings(ATAXIA, text=f'[heartbeat]\nurl_file = "{secret}"\n')
    missing = cli("check", "--offline")
    assert missing.code == 2
    assert "heartbeat.url_file" in missing.err
    secret.write_text("s3cr3t")
    bad = cli("check", "--offline")
    assert bad.code == 2
    secret.write_text("https://beat.example/s3cr3t")
    secret.chmod(0o644)
    good = cli.ok("check", "--offline")
    assert "an address is set" in good.err
    assert f"every user of this machine can read: chmod 600 {secret}" in good.err
    secret.chmod(0o600)
    assert "chmod" not in cli.ok("check", "--offline").err
    shown = cli.ok("check", "--print")
    assert f'url_file = "{secret}"' in shown.out
    assert not [ran for ran in (bad, good, shown) if "s3cr3t" in ran.out + ran.err]


def test_the_port_of_the_web_pages(cli: Terminal) -> None:
    """A free port is said to be free; one that is taken may be our own daemon's, and is no fault; an address of nobody is one."""
    port = free_port()
    cli.settings(ATAXIA, text=f"[web]\nport = {port}\n")
    free = cli.ok("check", "--offline")
    assert f"127.0.0.1 port {port} is free" in free.err
    assert "open to the network" not in free.err
    with socket.create_server(("127.0.0.1", port)):
        assert "is not free now, which is right while trialsync run or serve is up" in cli.ok("check", "--offline").err
    cli.settings(ATAXIA, text=f'[web]\nhost = "no.such.host.invalid"\nport = {port}\n')
    wrong = cli("check", "--offline")
    assert wrong.code == 2
    assert "no.such.host.invalid is no address of this machine" in wrong.err


def test_web_pages_that_others_reach_are_named(cli: Terminal) -> None:
    """Listening beyond this machine is allowed, and said to be open to the network."""
    cli.settings(ATAXIA, text=f'[web]\nhost = "0.0.0.0"\nport = {free_port()}\n')
    assert "it is open to the network" in cli.ok("check", "--offline").err


def test_the_settings_in_force_are_printed_alone(cli: Terminal) -> None:
    """``--print`` prints a settings file to standard output, nothing else, and asks nobody; read again, it is the same."""
    cli.setenv("TRIALSYNC_API_URL", "http://127.0.0.1:9/api/v2")
    shown = cli.ok("check", "--print")
    assert shown.err == ""
    assert 'api_url = "http://127.0.0.1:9/api/v2"  # $TRIALSYNC_API_URL' in shown.out
    assert 'query.cond = ["Ataxia"]  # file' in shown.out
    again = cli.folder / "again.toml"
    again.write_text(shown.out)
    os.environ.pop("TRIALSYNC_API_URL")
    copied = cli.ok("--config", str(again), "check", "--print").out
    assert copied.splitlines()[1:] == shown.out.replace("$TRIALSYNC_API_URL", "file").replace("# default\n", "# file\n").splitlines()[1:]
