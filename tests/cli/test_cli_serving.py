"""``trialsync serve`` on a real socket."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from typing import TYPE_CHECKING

import httpx
import pytest
from terminal import SCRIPT, Terminal, sentence

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def serving(packaged: Path, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Return a server of the packaged loads' store, without settings, and its address."""
    environ = {"PATH": os.environ["PATH"], "TRIALSYNC_DATABASE": str(packaged), "HOME": str(tmp_path)}
    process = subprocess.Popen(  # noqa: S603 - our own command
        [SCRIPT, "serve", "--port", "0"], cwd=tmp_path, env=environ, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    said = process.stderr.readline()
    assert said.startswith("trialsync answers at http://127.0.0.1:"), said
    assert process.stderr.readline() == "Ctrl-C ends it.\n"
    assert said.endswith("/api)\n")
    yield process, said.split()[3].removesuffix("/")
    process.kill()
    process.communicate()


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
def test_serve_answers_and_ends(serving: tuple[subprocess.Popen[str], str], end: signal.Signals) -> None:
    """It says where it is, answers over HTTP, refuses what it should, prints no line for a request, and ends at once when it is told to."""
    process, address = serving
    with httpx.Client(base_url=address, trust_env=False) as client:
        answer = client.get("/api/changes", params={"limit": 1})
        assert len(answer.json()["changes"]) == 1
        assert "server" not in answer.headers
        again = client.get("/api/changes", params={"limit": 1}, headers={"If-None-Match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        head = client.head("/api/changes", params={"limit": 1})
        assert (head.content, head.headers["content-length"]) == (b"", str(len(answer.content)))
        assert client.get("/api", headers={"Host": "evil.example"}).status_code == 421
        assert client.post("/api/changes").status_code == 405
        assert client.get("/api/changes?text=" + "a" * 10_000).status_code == 414
        assert client.get("/trials/NCT09000024.md").text.startswith("---\n")
        assert client.get("/healthz").status_code in {200, 503}
    began = time.monotonic()
    process.send_signal(end)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 0
    assert time.monotonic() - began < 10
    assert (out, err) == ("", "the server is closed\n")


@pytest.mark.parametrize(
    "raw", [b"GET / HTTP/1.1\r\n\r\n", b"GET /api HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"\x00\xff\r\n\r\n", b"GET /" + b"a" * 70_000]
)
def test_what_is_no_request_is_refused(serving: tuple[subprocess.Popen[str], str], raw: bytes) -> None:
    """What breaks HTTP's own rules gets 4xx, and the server goes on."""
    _, address = serving
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(raw)
        assert connection.recv(100).startswith((b"HTTP/1.1 400", b"HTTP/1.1 421"))
    assert httpx.get(f"{address}/api", trust_env=False).status_code == 200


def test_a_port_that_is_taken_is_told(
    packaged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A port that another program holds, an address that is not ours, and a store that is not there are one sentence each, exit code 2."""
    with Terminal(tmp_path, monkeypatch, capsys) as terminal, socket.create_server(("127.0.0.1", 0)) as taken:
        terminal.setenv("TRIALSYNC_DATABASE", packaged)
        ran = terminal("serve", "--port", str(taken.getsockname()[1]))
        assert ran.code == 2
        assert "can't listen on 127.0.0.1 port" in sentence(ran)
        ran = terminal("serve", "--host", "no.such.host.invalid", "--port", "0")
        assert (ran.code, "can't listen on no.such.host.invalid" in sentence(ran)) == (2, True)
        terminal.setenv("TRIALSYNC_DATABASE", tmp_path / "not-there.db")
        ran = terminal("serve", "--port", "0")
        assert (ran.code, "no store at" in sentence(ran)) == (2, True)
