"""Faults on demand, in process."""

from __future__ import annotations

import gzip
import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from sandbox_studies import client_of, invent, lines

from trialsync.errors import UsageError
from trialsync.registry.sandbox import Fault, Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx


@pytest.fixture
def sandbox() -> Sandbox:
    """Return a sandbox of ten studies in two loads, at the second."""
    sandbox = Sandbox([*lines("2026-01-05", *(invent(number) for number in range(1, 11))), *lines("2026-01-06", invent(1))])
    sandbox.advance()
    return sandbox


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[httpx.Client]:
    """Return a client of it."""
    with client_of(sandbox) as client:
        yield client


def _page(client: httpx.Client, size: int, token: str = "") -> tuple[list[str], str]:
    body = client.get("/studies", params={"pageSize": str(size)} | ({"pageToken": token} if token else {})).json()
    return [study["protocolSection"]["identificationModule"]["nctId"] for study in body["studies"]], body.get("nextPageToken", "")


@pytest.mark.parametrize(
    ("fault", "status", "content_type"),
    [
        (Fault.FORBIDDEN, 403, "text/html"),
        (Fault.URI_TOO_LONG, 414, "text/html"),
        (Fault.TOO_MANY, 429, "text/plain"),
        (Fault.SERVER_ERROR, 500, "text/html"),
        (Fault.BAD_GATEWAY, 502, "text/html"),
        (Fault.UNAVAILABLE, 503, "text/html"),
        (Fault.GATEWAY_TIMEOUT, 504, "text/html"),
        (Fault.HTML_PAGE, 200, "text/html"),
    ],
)
def test_statuses(client: httpx.Client, sandbox: Sandbox, fault: Fault, status: int, content_type: str) -> None:
    """A fault strikes once, at the next request, and is then gone."""
    sandbox.inject(fault)
    assert list(sandbox.faults) == [fault]
    answer = client.get("/version")
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, content_type)
    assert "Retry-After" not in answer.headers
    assert client.get("/version").status_code == 200
    assert list(sandbox.faults) == []
    assert {served.path for served in sandbox.served} == {"/api/v2/version"}
    assert [(served.status, served.fault) for served in sandbox.served] == [(status, fault), (200, None)]


@pytest.mark.parametrize("after", ["7", "Wed, 21 Oct 2026 07:28:00 GMT"])
def test_retry_after(client: httpx.Client, sandbox: Sandbox, after: str) -> None:
    """Retry-After is sent as it was asked for, seconds or a date."""
    sandbox.inject(Fault.TOO_MANY, retry_after=after)
    assert client.get("/version").headers["Retry-After"] == after


def test_when_a_fault_strikes(client: httpx.Client, sandbox: Sandbox) -> None:
    """``at`` counts the requests that fit, ``times`` says how many are struck, ``path`` and ``when`` which fit."""
    sandbox.inject(Fault.BAD_GATEWAY, at=2, times=2, path="/studies/*")
    sandbox.inject(Fault.SERVER_ERROR, times=None, when=lambda _, query: query.get("pageSize") == "3")
    paths = ["/studies/NCT1", "/version", "/studies/NCT1", "/studies/NCT2", "/studies/NCT1", "/studies?pageSize=3", "/studies?pageSize=3"]
    assert [client.get(path).status_code for path in paths] == [200, 200, 502, 502, 200, 500, 500]
    sandbox.clear_faults()
    assert client.get("/studies?pageSize=3").status_code == 200
    assert sandbox.requests == 8


def test_data_changed_strikes_a_later_page(client: httpx.Client, sandbox: Sandbox) -> None:
    """The sentence for changed data comes to a request with a token, not to a first page."""
    sandbox.inject(Fault.DATA_CHANGED)
    _, token = _page(client, 4)
    answer = client.get("/studies", params={"pageToken": token})
    assert (answer.status_code, answer.text[:30]) == (400, "The data have probably changed")
    assert client.get("/studies", params={"pageToken": token}).status_code == 200


def test_a_load_in_the_middle_of_a_walk() -> None:
    """A load that arrives before a page makes its token out of date, truly."""
    sandbox = Sandbox([*lines("2026-01-05", invent(1), invent(2)), *lines("2026-01-06", invent(1))])
    sandbox.inject(Fault.ADVANCE, at=2)
    with client_of(sandbox) as client:
        _, token = _page(client, 1)
        assert client.get("/studies", params={"pageToken": token}).status_code == 400
    assert sandbox.load == "2026-01-06"


def test_a_load_that_goes_backwards(client: httpx.Client, sandbox: Sandbox) -> None:
    """For as long as the fault lasts, answers are of the load before."""
    sandbox.inject(Fault.BACKWARDS, times=2)
    assert client.get("/version").json()["dataTimestamp"].startswith("2026-01-05")
    assert client.get("/studies/NCT1").json()["derivedSection"]["miscInfoModule"]["versionHolder"] == "2026-01-05"
    assert client.get("/version").json()["dataTimestamp"].startswith("2026-01-06")


@pytest.mark.parametrize(
    ("fault", "body"),
    [
        (Fault.EMPTY_STUDIES, {"studies": []}),
        (Fault.STUDIES_NOT_A_LIST, {"studies": {}}),
        (Fault.BARE_LIST, []),
    ],
)
def test_wrong_shapes(client: httpx.Client, sandbox: Sandbox, fault: Fault, body: Any) -> None:
    """JSON of another shape than the API's comes with 200, to lists alone."""
    sandbox.inject(fault)
    assert client.get("/version").json()["apiVersion"] == "2.0.5"
    answer = client.get("/studies")
    assert (answer.status_code, answer.json()) == (200, body)


def test_empty_and_truncated_bodies(client: httpx.Client, sandbox: Sandbox) -> None:
    """An empty body is empty; a truncated one is half as long as it declares."""
    sandbox.inject(Fault.EMPTY_BODY)
    assert client.get("/studies").content == b""
    sandbox.inject(Fault.TRUNCATED)
    answer = client.get("/studies", headers={"Accept-Encoding": "identity"})
    assert len(answer.content) == int(answer.headers["Content-Length"]) // 2
    with pytest.raises(json.JSONDecodeError):
        answer.json()


def test_wrong_type(client: httpx.Client, sandbox: Sandbox) -> None:
    """The right body may come under a wrong content type."""
    sandbox.inject(Fault.WRONG_TYPE)
    answer = client.get("/version")
    assert answer.headers["Content-Type"] == "text/html"
    assert answer.json()["apiVersion"] == "2.0.5"


def test_slow_and_reset(client: httpx.Client, sandbox: Sandbox) -> None:
    """A slow body takes its time and is whole; a reset, in process, is ConnectionResetError."""
    sandbox.inject(Fault.SLOW, seconds=0.1)
    begun = time.monotonic()
    assert client.get("/version").json()["apiVersion"] == "2.0.5"
    assert time.monotonic() - begun >= 0.1
    sandbox.inject(Fault.RESET)
    with pytest.raises(ConnectionResetError):
        client.get("/version")


def test_tokens_that_mislead(client: httpx.Client, sandbox: Sandbox) -> None:
    """A token may come back again, and a last page may have one that starts the list again."""
    first, token = _page(client, 4)
    sandbox.inject(Fault.REPEATED_TOKEN)
    second, again = _page(client, 4, token)
    assert again == token
    third, _ = _page(client, 4, _page(client, 4, token)[1])
    assert len({*first, *second, *third}) == 10
    sandbox.inject(Fault.RESTARTED_LIST, at=3)
    _, token = _page(client, 4)
    _, token = _page(client, 4, token)
    last, token = _page(client, 4, token)
    assert len(last) == 2
    assert len(_page(client, 4, token)[0]) == 4


def test_pages_that_mislead(client: httpx.Client, sandbox: Sandbox) -> None:
    """A shifted page repeats one study and loses another; a short page loses some; both leave the token as if nothing were."""
    for fault, repeated, seen in ((Fault.PAGE_SHIFT, 1, 9), (Fault.SHORT_PAGE, 0, 8)):
        sandbox.inject(fault, at=2)
        first, token = _page(client, 4)
        second, token = _page(client, 4, token)
        third, _ = _page(client, 4, token)
        assert len({*first} & {*second}) == repeated
        assert len({*first, *second, *third}) == seen


def test_record_without_id(client: httpx.Client, sandbox: Sandbox) -> None:
    """The first record of a page, or the one asked for, may lack its number."""
    sandbox.inject(Fault.RECORD_WITHOUT_ID, times=2)
    studies = client.get("/studies", params={"pageSize": "3"}).json()["studies"]
    assert [study["protocolSection"]["identificationModule"].get("nctId") is None for study in studies] == [True, False, False]
    assert "nctId" not in client.get("/studies/NCT1").json()["protocolSection"]["identificationModule"]


def test_wrong_404(client: httpx.Client, sandbox: Sandbox) -> None:
    """A 404 of the proxy does not name the study."""
    sandbox.inject(Fault.WRONG_404)
    answer = client.get("/studies/NCT1")
    assert (answer.status_code, answer.headers["Content-Type"]) == (404, "text/html")
    assert "NCT" not in answer.text


def test_timestamps(client: httpx.Client, sandbox: Sandbox) -> None:
    """The stamp of /version may be no time, or missing."""
    sandbox.inject(Fault.BAD_TIMESTAMP)
    sandbox.inject(Fault.NO_TIMESTAMP)
    assert client.get("/version").json() == {"apiVersion": "2.0.5", "dataTimestamp": "soon"}
    assert client.get("/version").json() == {"apiVersion": "2.0.5"}


def test_gzip_bomb(client: httpx.Client, sandbox: Sandbox) -> None:
    """A bomb is small on the wire and unpacks to about the size asked for."""
    sandbox.inject(Fault.GZIP_BOMB, size=8 << 20)
    with client.stream("GET", "/studies") as answer:
        raw = b"".join(answer.iter_raw())
    assert len(raw) < 20_000
    assert 8 << 20 <= len(gzip.decompress(raw)) < 9 << 20


@pytest.mark.parametrize(
    ("fault", "options", "complaint"),
    [
        ("earthquake", {}, "not a fault"),
        ("slow", {"speed": 1}, "no such option"),
        ("slow", {"at": 0}, "whole number"),
        ("slow", {"times": "2"}, "whole number"),
        ("slow", {"seconds": -1}, "seconds"),
        ("slow", {"path": 3}, "path"),
    ],
)
def test_impossible_faults(sandbox: Sandbox, fault: str, options: dict[str, Any], complaint: str) -> None:
    """A fault that cannot be is refused with a sentence."""
    with pytest.raises(UsageError, match=complaint):
        sandbox.inject(fault, **options)
