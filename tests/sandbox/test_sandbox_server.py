"""The sandbox on a port."""

from __future__ import annotations

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import httpx
import pytest
from sandbox_studies import invent, lines

from trialsync.errors import UsageError
from trialsync.registry.sandbox import Fault, Sandbox, SandboxServer, serve

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def sandbox() -> Sandbox:
    """Return a sandbox of three studies in two loads."""
    return Sandbox([*lines("2026-01-05", *(invent(number) for number in (1, 2, 3))), *lines("2026-01-06", invent(1))])


@pytest.fixture
def server(sandbox: Sandbox) -> Iterator[SandboxServer]:
    """Return it on a free port."""
    with serve(sandbox) as server:
        yield server


@pytest.fixture
def client(server: SandboxServer) -> Iterator[httpx.Client]:
    """Return a client of its port."""
    with httpx.Client(base_url=server.api_url.removesuffix("/api/v2")) as client:
        yield client


def test_same_answers(server: SandboxServer, sandbox: Sandbox, client: httpx.Client) -> None:
    """The port answers what the callable answers, on one connection that stays open."""
    with httpx.Client(transport=httpx.WSGITransport(app=sandbox), base_url="http://in.process") as inside:
        for path in (
            "/version",
            "/studies?sort=LastUpdatePostDate&filter.ids=NCT1",
            "/studies/NCT1",
            "/studies/NCT9",
            "/studies/x",
            "/nothing",
        ):
            here, there = inside.get(f"/api/v2{path}"), client.get(f"/api/v2{path}")
            assert (here.status_code, here.content) == (there.status_code, there.content)
            assert here.headers.items() <= there.headers.items()
    assert server.port > 0


def test_controls(sandbox: Sandbox, client: httpx.Client) -> None:
    """The state can be asked for, loads advanced until the last, faults arranged and forgotten."""
    client.get("/api/v2/version")
    assert client.get("/sandbox").json() == {"load": "2026-01-05", "loads_left": 1, "studies": 3, "requests": 1, "faults": []}
    assert client.post("/sandbox/advance").json()["load"] == "2026-01-06"
    last = client.post("/sandbox/advance")
    assert (last.status_code, last.json()["error"]) == (409, "2026-01-06 is the last load")
    assert client.post("/sandbox/faults", json={"fault": "too-many", "retry_after": 3}).status_code == 200
    assert client.get("/api/v2/version").headers["Retry-After"] == "3"
    assert client.post("/sandbox/faults", json=[{"fault": "slow"}, {"fault": "reset", "at": 9}]).json()["faults"] == ["slow", "reset"]
    assert client.delete("/sandbox/faults").json()["faults"] == []
    for body in (b"{", b"3", b'{"at": 1}', b'[{"fault": "slow"}, {"fault": "x"}]', b'{"fault": "slow", "when": 1}'):
        refused = client.post("/sandbox/faults", content=body)
        assert refused.status_code == 400
        assert refused.json()["error"]
    assert sandbox.faults == ()
    assert client.get("/sandbox/else").status_code == 404


def test_reset(sandbox: Sandbox, client: httpx.Client) -> None:
    """A reset is seen as one by the client, and the next request is answered."""
    sandbox.inject(Fault.RESET)
    with pytest.raises(httpx.ReadError):
        client.get("/api/v2/version")
    assert client.get("/api/v2/version").status_code == 200


def test_truncated(sandbox: Sandbox, client: httpx.Client) -> None:
    """A truncated body ends with its connection, before the length that it declares."""
    sandbox.inject(Fault.TRUNCATED)
    with pytest.raises(httpx.RemoteProtocolError):
        client.get("/api/v2/studies")
    assert client.get("/api/v2/studies").status_code == 200


@pytest.mark.parametrize("fault", [Fault.SLOW, Fault.SILENT])
def test_slow(server: SandboxServer, sandbox: Sandbox, client: httpx.Client, fault: Fault) -> None:
    """A slow body, and a silent server, run into the client's timeout; closing the server does not wait for them."""
    sandbox.inject(fault, seconds=30)
    with pytest.raises(httpx.ReadTimeout):
        client.get("/api/v2/version", timeout=0.2)
    begun = time.monotonic()
    server.close()
    server.close()
    assert time.monotonic() - begun < 5


def test_bad_requests(server: SandboxServer, client: httpx.Client) -> None:
    """Nonsense on the wire, wrong lengths and clients that leave do not stop the server."""
    for nonsense in (
        b"\x16\x03\x01\x00\x00\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /api/v2/version HTTP/9.9\r\n\r\n",
        b"POST /sandbox/faults HTTP/1.1\r\nContent-Length: minus\r\n\r\n",
        b"POST /sandbox/faults HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET /%ff%fe?%ff=%zz HTTP/1.1\r\n\r\n",
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n",
        b"",
    ):
        with socket.create_connection(("127.0.0.1", server.port)) as wire:
            wire.sendall(nonsense)
            wire.shutdown(socket.SHUT_WR)
            wire.settimeout(5)
            try:
                answer = wire.recv(1 << 16)
            except ConnectionResetError:
                answer = b""
            assert not answer or b"HTTP/1." in answer or b"<!DOCTYPE" in answer
    assert client.get("/api/v2/version").status_code == 200


def test_long_address(client: httpx.Client) -> None:
    """An address beyond eight thousand characters is a 414 on the port too."""
    assert client.get("/api/v2/studies", params={"query.term": "x" * 9000}).status_code == 414


def test_many_at_once(server: SandboxServer) -> None:
    """Requests at the same time are all answered."""
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda _: httpx.get(f"{server.api_url}/studies").status_code, range(24)))
    assert statuses == [200] * 24


def test_serve_forever_ends(sandbox: Sandbox) -> None:
    """serve_forever answers until close is called from elsewhere; a server that never answered closes as well."""
    server = serve(sandbox)
    answering = threading.Thread(target=server.serve_forever)
    answering.start()
    assert httpx.get(f"{server.api_url}/version").status_code == 200
    server.close()
    answering.join(5)
    assert not answering.is_alive()
    serve(sandbox).close()


def test_loads_by_the_clock(sandbox: Sandbox) -> None:
    """On request, the next load arrives by itself, up to the last."""
    with serve(sandbox, advance_every=0.02):
        deadline = time.monotonic() + 5
        while sandbox.loads_left and time.monotonic() < deadline:
            time.sleep(0.01)
    assert sandbox.load == "2026-01-06"


def test_port_in_use(server: SandboxServer, sandbox: Sandbox) -> None:
    """A port that cannot be had is refused with a sentence that names it."""
    with pytest.raises(UsageError, match=f"port {server.port}"):
        serve(sandbox, "127.0.0.1", server.port)
    with pytest.raises(UsageError, match="port 99999"):
        serve(sandbox, "127.0.0.1", 99999)
