"""Requests on a real socket: none hides inside another, and none leads anywhere but to what is served."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from visiting import NOW, settings_of

from trialsync.web.app import make_app
from trialsync.web.connections import BoundedProtocol
from trialsync.web.listening import listen, server_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import uvicorn
    from starlette.types import Receive, Scope, Send

LENGTH = 8_000_000
HEAD = b"GET /api HTTP/1.1\r\nHost: localhost\r\n"


@contextmanager
def running(server: uvicorn.Server, socket_: socket.socket) -> Iterator[int]:
    """Run a server in a thread; give its port."""
    thread = threading.Thread(target=server.run, kwargs={"sockets": [socket_]})
    thread.start()
    try:
        yield socket_.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(10)
        socket_.close()


@pytest.fixture
def port(packaged: Path, tmp_path: Path) -> Iterator[int]:
    """Return the port of a server of the packaged loads."""
    server = server_of(make_app(packaged, settings_of(tmp_path), now=lambda: NOW))
    with running(server, listen("127.0.0.1", 0)) as number:
        yield number


def say(port: int, text: bytes) -> bytes:
    """Return all that a server answers to some bytes until it closes, or says nothing for a while."""
    with socket.create_connection(("127.0.0.1", port), timeout=1) as wire:
        wire.sendall(text)
        return _rest(wire)


def _rest(wire: socket.socket) -> bytes:
    found = b""
    try:
        while piece := wire.recv(65536):
            found += piece
    except TimeoutError:
        pass
    return found


@pytest.mark.parametrize(
    "hidden",
    [
        b"Transfer-Encoding: chunked\r\nContent-Length: 44\r\n\r\n0\r\n\r\nGET /hidden HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"Content-Length: 4\r\nContent-Length: 44\r\n\r\nGET /hidden HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        b"Content-Length: +4\r\n\r\nabcd",
        b"X: a\rY: b\r\n\r\n",
        b"X: a\x00b\r\n\r\n",
        b"Host: evil.example\r\n\r\n",
    ],
)
def test_what_two_servers_could_read_differently(port: int, hidden: bytes) -> None:
    """A request whose end is a matter of opinion is refused, or ends as the standard has it; nothing of it is taken for a fault of ours."""
    answer = say(port, HEAD + hidden)
    statuses = [int(each[:3]) for each in answer.split(b"HTTP/1.1 ")[1:]]
    assert statuses in ([400], [501], [200], [200, 404])
    assert b"Traceback" not in answer


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"GET http://evil.example/api HTTP/1.1", 404),
        (b"GET //evil.example/?a= HTTP/1.1", 404),
        (b"GET /static/../../../etc/passwd HTTP/1.1", 404),
        (b"GET /static/..%2f..%2fpyproject.toml HTTP/1.1", 404),
        (b"GET /trials/..%2f..%2fetc%2fpasswd.md HTTP/1.1", 404),
        (b"GET /trials/%00.md HTTP/1.1", 404),
        (b"GET /studies/NCT09000024%0d%0aX:1 HTTP/1.1", 404),
        (b"GET /%e2%80%ae%ff HTTP/1.1", 404),
        (b"GET /" + b"a" * 600 + b" HTTP/1.1", 414),
        (b"CONNECT evil.example:443 HTTP/1.1", 405),
        (b"OPTIONS * HTTP/1.1", 405),
    ],
)
def test_odd_targets(port: int, line: bytes, status: int) -> None:
    """Targets that name other servers, leave the tree or hold what no address holds are answered as what they are: nothing of ours."""
    answer = say(port, line + b"\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"content-security-policy" in answer
    assert b"root:" not in answer
    assert b"location:" not in answer.lower()


def test_a_long_answer_is_not_cut_off(tmp_path: Path) -> None:
    """Who takes a long answer slowly gets all of it; who takes nothing of it any more is let go."""

    class Hasty(BoundedProtocol):
        patience = 0.3

    async def long(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 - the interface
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % LENGTH)]})
        await send({"type": "http.response.body", "body": b"x" * LENGTH})

    server = server_of(make_app(tmp_path / "none.db", settings_of(tmp_path), now=lambda: NOW))
    server.config.http = Hasty
    server.config.app = long
    with running(server, listen("127.0.0.1", 0)) as number, socket.socket() as wire:
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        wire.settimeout(5)
        wire.connect(("127.0.0.1", number))
        wire.sendall(HEAD + b"Connection: close\r\n\r\n")
        taken = 0
        while piece := wire.recv(LENGTH // 8):
            taken += len(piece)
            time.sleep(0.001 if taken > LENGTH // 2 else 0.01)
        assert taken > LENGTH
