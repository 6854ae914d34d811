"""The sandbox on a port: a threading HTTP/1.1 server from the standard library, and the controls outside the API."""

from __future__ import annotations

import io
import socket
import struct
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self, cast
from urllib.parse import unquote_to_bytes

import orjson

from trialsync.errors import UsageError
from trialsync.registry.sandbox.answers import JSON, Answer
from trialsync.registry.sandbox.faults import strike
from trialsync.registry.sandbox.stand_in import BASE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType
    from wsgiref.types import WSGIEnvironment

    from trialsync.registry.sandbox.stand_in import Sandbox

_LARGEST_CONTROL = 1 << 20


def control(sandbox: Sandbox, method: str, path: str, body: bytes) -> Answer:
    """Answer a request to one of the controls: ``GET /sandbox``, ``POST /sandbox/advance``, ``POST`` or ``DELETE /sandbox/faults``."""
    status, problem = 200, ""
    if (method, path) == ("GET", "/sandbox"):
        pass
    elif (method, path) == ("POST", "/sandbox/advance"):
        if sandbox.advance() is None:
            status, problem = 409, f"{sandbox.load} is the last load"
    elif (method, path) == ("POST", "/sandbox/faults"):
        try:
            _arrange(sandbox, body)
        except UsageError as error:
            status, problem = 400, str(error)
    elif (method, path) == ("DELETE", "/sandbox/faults"):
        sandbox.clear_faults()
    else:
        status, problem = 404, "the controls are GET /sandbox, POST /sandbox/advance, POST /sandbox/faults and DELETE /sandbox/faults"
    return Answer(status, orjson.dumps(sandbox.state() | ({"error": problem} if problem else {})), JSON)


def _arrange(sandbox: Sandbox, body: bytes) -> None:
    try:
        asked = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise UsageError(f"the body is not JSON: {error}", hint='for example {"fault": "too-many", "at": 2}') from error
    wanted = asked if isinstance(asked, list) else [asked]
    for one in wanted:
        if not isinstance(one, dict) or "fault" not in one or "when" in one:
            raise UsageError("a fault is an object with its name and options", hint='for example {"fault": "too-many", "at": 2}')
        strike(**one)  # every one is checked before any is arranged
    for one in wanted:
        sandbox.inject(**one)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Answer any request."""
        length = self.headers.get("Content-Length") or "0"
        if "Transfer-Encoding" in self.headers or not length.isdecimal() or int(length) > _LARGEST_CONTROL:
            self.close_connection = True
            self.send_error(413)
            return
        body = self.rfile.read(int(length))
        path, _, query = self.path.partition("?")
        server = cast("_Server", self.server)
        if path == "/sandbox" or path.startswith("/sandbox/"):
            answer = control(server.sandbox, self.command, path, body)
            self._send(answer.status_line, [("Content-Type", JSON), ("Content-Length", str(len(answer.body)))], [answer.body])
            return
        begun: list[tuple[str, list[tuple[str, str]]]] = []

        def start_response(status: str, headers: list[tuple[str, str]], *_: object) -> Callable[[bytes], object]:
            begun.append((status, headers))
            return self.wfile.write

        try:
            parts = server.sandbox(self._environ(path, query, body), start_response)
        except ConnectionResetError:
            self.close_connection = True
            server.resetting.add(self.connection)
            return
        self._send(*begun[0], parts)

    def __getattr__(self, name: str) -> Callable[[], None]:
        """Answer every method alike: the base class looks for ``do_<METHOD>``."""
        if name.startswith("do_"):
            return self.do_GET
        raise AttributeError(name)

    def _environ(self, path: str, query: str, body: bytes) -> WSGIEnvironment:
        environ: WSGIEnvironment = {
            "REQUEST_METHOD": self.command,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
            "QUERY_STRING": query,
            "SERVER_PROTOCOL": self.request_version,
            "wsgi.input": io.BytesIO(body),
        }
        environ.update((f"HTTP_{name.upper().replace('-', '_')}", value) for name, value in self.headers.items())
        return environ

    def _send(self, status: str, headers: list[tuple[str, str]], parts: Iterable[bytes]) -> None:
        lines = [f"HTTP/1.1 {status}", f"Date: {self.date_time_string()}", *(f"{name}: {value}" for name, value in headers)]
        self.wfile.write("\r\n".join((*lines, "", "")).encode("latin-1"))
        written = 0
        for part in parts:
            self.wfile.write(part)
            written += len(part)
        if self.command != "HEAD" and written < int(dict(headers)["Content-Length"]):
            # A body that falls short of its length can only end with the connection.
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Keep quiet; ``GET /sandbox`` counts the requests."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.resetting: set[Any] = set()
        self.connected: set[Any] = set()
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connected.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.connected.discard(request)
        if request in self.resetting:
            # Closing without lingering, and without the farewell of shutdown(), is what sends a reset.
            self.resetting.discard(request)
            request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_request(request)
            return
        super().shutdown_request(request)

    def handle_error(self, *_: object) -> None:
        """Keep quiet about clients that went away in the middle of an answer."""


class SandboxServer:
    """A sandbox on a port, bound but not yet answering: ``serve_forever()`` answers here, ``start()`` in a thread; ``close()`` ends it.

    As a context manager it starts and closes itself.
    """

    def __init__(self, sandbox: Sandbox, host: str, port: int, *, advance_every: float | None = None) -> None:
        try:
            self._server = _Server((host, port), sandbox)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise UsageError(
                f"the sandbox cannot listen on {host} port {port}: {reason}", hint="choose another port, or 0 for any"
            ) from error
        self._sandbox = sandbox
        self._advance_every = advance_every
        self._closed = threading.Event()
        self._answering = False
        self._host = host

    @property
    def port(self) -> int:
        """Return the port, the one that was found where 0 was asked for."""
        return int(self._server.server_address[1])

    @property
    def api_url(self) -> str:
        """Return the address of the API, to be used as ``[registry] api_url``."""
        return f"http://{self._host}:{self.port}{BASE}"

    def serve_forever(self) -> None:
        """Answer requests until ``close()`` is called from another thread, or an exception (an interrupt) ends it."""
        self._begin()
        self._server.serve_forever(poll_interval=0.05)

    def start(self) -> Self:
        """Answer requests in a thread of its own; return the server."""
        self._begin()
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True, name="sandbox").start()
        return self

    def _begin(self) -> None:
        self._answering = True
        if self._advance_every:
            threading.Thread(target=self._advance, args=(self._advance_every,), daemon=True, name="sandbox-loads").start()

    def _advance(self, seconds: float) -> None:
        while not self._closed.wait(seconds) and self._sandbox.advance():
            pass

    def close(self) -> None:
        """Stop answering, end open connections and release the port. Calling it again does nothing."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._sandbox.interrupt()
        if self._answering:
            self._server.shutdown()
        self._server.server_close()
        for connection in list(self._server.connected):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        """Start answering."""
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close the server."""
        self.close()


def serve(sandbox: Sandbox, host: str = "127.0.0.1", port: int = 0, *, advance_every: float | None = None) -> SandboxServer:
    """Return a server bound to a port (0: any free one), which goes to the next load every ``advance_every`` seconds where that is given.

    Raises UsageError where the port cannot be had.
    """
    return SandboxServer(sandbox, host, port, advance_every=advance_every)
