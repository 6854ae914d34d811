"""Connections to the web server: so many at once, and none that only stands there."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import ExitStack, closing, contextmanager, suppress
from typing import TYPE_CHECKING

import uvicorn

from trialsync.web.connections import BoundedProtocol
from trialsync.web.listening import listen

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.types import Receive, Scope, Send

SECONDS = 20.0


class Few(BoundedProtocol):
    """The same with bounds that a test can wait for."""

    most = 3
    patience = 0.4


async def hello(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 - the interface
    """Answer every request alike."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


@contextmanager
def serving() -> Iterator[int]:
    """Serve on a port."""
    server = uvicorn.Server(uvicorn.Config(hello, log_config=None, lifespan="off", ws="none", http=Few, access_log=False))
    with closing(listen("127.0.0.1", 0)) as place:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [place]})
        thread.start()
        yield place.getsockname()[1]
        server.should_exit = True
        thread.join(SECONDS)


def connect(port: int, stack: ExitStack) -> socket.socket:
    """Return a connection."""
    return stack.enter_context(closing(socket.create_connection(("127.0.0.1", port), timeout=SECONDS)))


def heard(connection: socket.socket) -> bytes:
    """Return what a connection gives next; nothing where it was ended."""
    try:
        return connection.recv(1000)
    except ConnectionResetError:
        return b""


def ask(connection: socket.socket) -> bytes:
    """Ask, and return the answer; nothing where there is none."""
    try:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    except OSError:
        return b""
    return heard(connection)


def test_too_many_connections_are_ended_at_once() -> None:
    """The connection past the bound is ended before it asks, those within it are answered, and it has room once one of them is over."""
    with serving() as port, ExitStack() as stack:
        first = [connect(port, stack) for _ in range(Few.most)]
        assert all(ask(one).startswith(b"HTTP/1.1 200") for one in first)
        assert heard(connect(port, stack)) == b""
        first[0].close()
        deadline = time.monotonic() + SECONDS
        while not ask(connect(port, stack)):
            assert time.monotonic() < deadline


def test_a_connection_that_asks_nothing_is_ended() -> None:
    """One that says nothing, one whose request never comes whole, and one that asks no more are ended; one that goes on asking is not."""
    with serving() as port, ExitStack() as stack:
        silent, slow, busy = (connect(port, stack) for _ in range(3))
        assert ask(slow).startswith(b"HTTP/1.1 200")
        ended = time.monotonic() + 5 * Few.patience
        while time.monotonic() < ended:
            assert ask(busy).startswith(b"HTTP/1.1 200")
            with suppress(OSError):
                slow.sendall(b"G")
            time.sleep(0.05)
        assert heard(silent) == b""
        assert heard(slow) == b""
