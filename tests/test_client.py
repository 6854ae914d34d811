"""The client: polite, patient, and never wrong about a study. The wire is faked, by httpx or by a real socket."""

from __future__ import annotations

import gzip
import json
import re
import socket
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import httpx
import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from trialsync.errors import (
    BadNctId,
    ClientRejected,
    DataChanged,
    RegistryError,
    RegistryRefused,
    RegistryUnavailable,
    StudyNotFound,
    UsageError,
)
from trialsync.registry.answers import DATA_CHANGED, UnreadableAnswer, read_page, retry_after, sentence
from trialsync.registry.client import Pace, Registry, in_process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any
    from wsgiref.types import StartResponse, WSGIEnvironment

    Handler = Callable[[httpx.Request], httpx.Response]

API = "https://registry.example/api/v2"
NUMBER = "NCT04852770"


class Clock:
    """A clock that only sleeping moves; ``slept`` lists every wait."""

    def __init__(self) -> None:
        self.at = datetime(2026, 11, 22, 9, tzinfo=UTC)
        self.slept: list[float] = []

    def now(self) -> datetime:
        """Return the time."""
        return self.at

    def seconds(self) -> float:
        """Return the time in seconds."""
        return self.at.timestamp()

    def sleep(self, seconds: float) -> None:
        """Move the time."""
        self.slept.append(seconds)
        self.at += timedelta(seconds=seconds)


def record(number: str = NUMBER, **identification: object) -> dict[str, Any]:
    """Return a small record."""
    return {
        "protocolSection": {"identificationModule": {"nctId": number, **identification}, "statusModule": {"overallStatus": "COMPLETED"}},
        "hasResults": False,
    }


def text(status: int, body: str, **headers: str) -> httpx.Response:
    """Return an error answer as the registry gives them: plain text."""
    return httpx.Response(status, text=body, headers={"content-type": "text/plain; charset=UTF-8", **headers})


def registry(handler: Handler, clock: Clock | None = None, **options: Any) -> Registry:
    """Return a registry whose wire is ``handler``."""
    used = clock or Clock()
    settings = {"api_url": API, "requests_per_second": 1000.0, "contact": None, "now": used.now, "sleep": used.sleep, **options}
    return Registry(transport=httpx.MockTransport(handler), **settings)


def script(*answers: httpx.Response | Exception) -> tuple[Handler, list[httpx.Request]]:
    """Return a handler that gives these answers in turn, the last one for ever, and the list of the requests it gets."""
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        answer = answers[min(len(seen), len(answers) - 1)]
        seen.append(request)
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer.status_code, headers=answer.headers, stream=httpx.ByteStream(answer.content))

    return handler, seen


def wire_page(*studies: dict[str, Any], total: int | None = None, token: str | None = None) -> bytes:
    """Return a page in the registry's layout: one study a line."""
    head = (f'"totalCount":{total},' if total is not None else "").encode()
    tail = f',"nextPageToken":"{token}"'.encode() if token else b""
    return b"{" + head + b'"studies":[' + b",".join(b"\n" + json.dumps(study).encode() for study in studies) + b"\n]" + tail + b"}"


# --- answers read -----------------------------------------------------------------------------------------------------------------------


def test_a_study_keeps_the_bytes_of_its_line() -> None:
    """Each study of a page comes with its own line, byte for byte as sent, and with the count and the token of the page."""
    studies = [record(), record("NCT01728545", briefTitle="with, comma ],[ and \\n in it")]
    page = read_page(wire_page(*studies, total=2, token="abc"))  # noqa: S106 - a page token
    assert [fetched.study for fetched in page.studies] == studies
    assert [fetched.raw for fetched in page.studies] == [json.dumps(study).encode() for study in studies]
    assert (page.total, page.next_token, page.bad) == (2, "abc", ())


def test_any_layout_of_a_page_is_read() -> None:
    """A page in one line, pretty-printed or with Windows line ends holds the same studies."""
    said = {"totalCount": 2, "studies": [record(), record("NCT01728545")], "nextPageToken": "abc"}
    for body in (
        json.dumps(said),
        json.dumps(said, indent=2),
        wire_page(*said["studies"], total=2, token="abc").decode().replace("\n", "\r\n"),  # type: ignore[misc] # noqa: S106
    ):
        page = read_page(body.encode())
        assert [fetched.study for fetched in page.studies] == said["studies"]
        assert [json.loads(fetched.raw) for fetched in page.studies] == said["studies"]
        assert (page.total, page.next_token) == (2, "abc")


def test_an_empty_page_is_a_page() -> None:
    """The registry's answer for numbers that it does not have is a page without studies."""
    page = read_page(b'{"studies":[  ]}')
    assert (page.studies, page.total, page.next_token, page.bad) == ((), None, None, ())


def test_one_bad_element_costs_one_element() -> None:
    """A null, a number, half a surrogate pair and bytes that are no UTF-8 are named, and the studies around them are kept."""
    good = json.dumps(record()).encode()
    half = json.dumps(record("NCT01728545")).encode().replace(b'"COMPLETED"', rb'"\ud800"')
    broken = json.dumps(record("NCT02109302")).encode().replace(b'"COMPLETED"', b'"\xff"')
    page = read_page(b'{"totalCount":5,"studies":[\nnull,\n' + good + b",\n7,\n" + half + b",\n" + broken + b"\n]}")
    assert [fetched.raw for fetched in page.studies] == [good]
    assert len(page.bad) == 4
    assert page.bad[2].startswith("NCT01728545: ")
    assert page.bad[3].startswith("NCT02109302: ")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"  ",
        b"<html>busy</html>",
        b"[]",
        b"null",
        b"{}",
        b'{"studies":{}}',
        b'{"studies":[],"totalCount":"2"}',
        b'{"studies":[],"nextPageToken":5}',
    ],
)
def test_what_is_no_page_is_not_read_as_one(body: bytes) -> None:
    """JSON of another shape, and what is no JSON, is refused and not taken for an empty page."""
    with pytest.raises(UnreadableAnswer):
        read_page(body)


@limits(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_cut_off_page_is_never_a_page(data: st.DataObject) -> None:
    """No prefix of a page, wherever it is cut, is read as a page."""
    body = wire_page(record(), record("NCT01728545"), record("NCT02109302"), total=3, token="abc")  # noqa: S106
    cut = data.draw(st.integers(0, len(body) - 1))
    with pytest.raises(UnreadableAnswer):
        read_page(body[:cut])


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=3),
    max_leaves=8,
)


@limits(max_examples=100, deadline=None)
@given(st.lists(json_values, max_size=5))
def test_line_by_line_finds_what_parsing_the_whole_finds(elements: list[Any]) -> None:
    """Whatever a page holds, reading it by lines gives the objects that parsing it as a whole gives, and counts every other element."""
    body = b'{"studies":[' + b",".join(b"\n" + json.dumps(each).encode() for each in elements) + b"\n]}"
    page = read_page(body)
    assert [fetched.study for fetched in page.studies] == [each for each in elements if isinstance(each, dict)]
    assert len(page.bad) == sum(not isinstance(each, dict) for each in elements)


def test_a_sentence_of_the_outside_cannot_do_anything() -> None:
    """Escape sequences, direction marks, mark-up and line ends are taken out of the registry's text, and its length is bounded."""
    assert sentence("\x1b[31mred\x1b[0m \u202ereversed\u2066\n\x00<b>bold</b>\x07 end") == "red reversed bold end"
    assert len(sentence("x" * 10_000)) == 300


def test_retry_after_in_both_forms() -> None:
    """Retry-After is read as seconds or as an HTTP date, a date gone by as no wait, and anything else is left aside."""
    now = datetime(2026, 11, 22, 9, tzinfo=UTC)
    assert retry_after("120", now) == 120
    assert retry_after("Sun, 22 Nov 2026 09:01:30 GMT", now) == 90
    assert retry_after("Sun, 22 Nov 2026 08:00:00 GMT", now) == 0
    assert retry_after(None, now) is retry_after("soon", now) is retry_after("-5", now) is retry_after("", now) is None


# --- requests -----------------------------------------------------------------------------------------------------------------------


def test_the_first_page_asks_for_the_count_and_the_next_for_its_token() -> None:
    """Pages of 1,000 are asked for by GET, the count with the first one, the token with the others, the query with all."""
    handler, seen = script(httpx.Response(200, content=wire_page(record(), total=1), headers={"content-type": "application/json"}))
    wire = registry(handler)
    wire.page({"query.cond": "lung cancer"})
    wire.page({"query.cond": "lung cancer"}, "abc")
    assert [request.method for request in seen] == ["GET", "GET"]
    assert seen[0].url.path == "/api/v2/studies"
    assert dict(seen[0].url.params) == {"query.cond": "lung cancer", "pageSize": "1000", "countTotal": "true"}
    assert dict(seen[1].url.params) == {"query.cond": "lung cancer", "pageSize": "1000", "pageToken": "abc"}
    assert seen[0].headers["accept-encoding"] == "gzip"
    assert (wire.requests, wire.retries, wire.answers[200]) == (2, 0, 2)
    assert wire.bytes == 2 * len(wire_page(record(), total=1))


@pytest.mark.parametrize("url", [API, API + "/", f" {API} "])
def test_the_address_may_end_in_a_slash(url: str) -> None:
    """``api_url`` works with and without a slash at its end."""
    handler, seen = script(httpx.Response(200, json={"totalStudies": 606007}))
    assert registry(handler, api_url=url).size() == 606007
    assert seen[0].url == f"{API}/stats/size"


@pytest.mark.parametrize(
    "url", ["", "clinicaltrials.gov", "ftp://registry.example/", "https://", API + "?x=1", "http://registry.example:port"]
)
def test_what_is_no_address_is_refused_at_once(url: str) -> None:
    """An ``api_url`` that can't be one is named before anything is asked."""
    with pytest.raises(UsageError, match="api_url"):
        registry(lambda _: httpx.Response(200), api_url=url)


@pytest.mark.parametrize(
    ("contact", "expected"),
    [
        (None, ""),
        ("you@example.org", " (+you@example.org)"),
        ("a\r\nX-Evil: 1", " (+aX-Evil:1)"),
        ("é) (\\", ""),
        ("x" * 500, f" (+{'x' * 100})"),
    ],
)
def test_the_user_agent_keeps_the_librarys_token(contact: str | None, expected: str) -> None:
    """The User-Agent is the library's own, then ours, then the contact; no contact can break the header."""
    handler, seen = script(httpx.Response(200, json={"totalStudies": 1}))
    registry(handler, contact=contact).size()
    assert re.fullmatch(rf"python-httpx/[\d.]+ trialsync/[\w.]+{re.escape(expected)}", seen[0].headers["user-agent"])


def test_requests_keep_their_pace() -> None:
    """Ten requests at two a second take four and a half seconds, and a second client on the same pace waits its turn too."""
    clock = Clock()
    pace = Pace(2.0, monotonic=clock.seconds, sleep=clock.sleep)
    handler, _ = script(httpx.Response(200, json={"totalStudies": 1}))
    one, two = (registry(handler, clock, pace=pace) for _ in range(2))
    for _ in range(5):
        one.size()
        two.size()
    assert sum(clock.slept) == pytest.approx(4.5)
    assert one.waited + two.waited == pytest.approx(4.5)


def test_a_clock_that_jumps_does_not_stall_the_pace() -> None:
    """A clock set back by an hour costs no hour of waiting."""
    clock = Clock()
    pace = Pace(1.0, monotonic=clock.seconds, sleep=clock.sleep)
    pace.wait()
    clock.at -= timedelta(hours=1)
    pace.wait()
    pace.wait()
    assert sum(clock.slept) <= 2
    with pytest.raises(UsageError, match="requests_per_second"):
        Pace(0, monotonic=clock.seconds, sleep=clock.sleep)


# --- the version ------------------------------------------------------------------------------------------------------------------------


def test_the_version_is_asked_conditionally() -> None:
    """The tag of one answer makes the next question conditional, and 304 means that nothing is new."""
    handler, seen = script(
        httpx.Response(200, json={"apiVersion": "2.0.5", "dataTimestamp": "2026-10-02T09:00:04"}, headers={"etag": '"883b003/0.34.1/x"'}),
        httpx.Response(304),
    )
    wire = registry(handler)
    version = wire.version()
    assert version is not None
    assert (version.api_version, version.data_timestamp, version.load) == ("2.0.5", "2026-10-02T09:00:04", "2026-10-02")
    assert wire.version(version.etag) is None
    assert "if-none-match" not in seen[0].headers
    assert seen[1].headers["if-none-match"] == '"883b003/0.34.1/x"'


@pytest.mark.parametrize("stamp", [None, "yesterday", "2026-13-45T09:00:00", 5, "\x1b[31m2026"])
def test_a_timestamp_that_cannot_be_read_is_survived(stamp: object) -> None:
    """A version without a readable timestamp has no load, and keeps what it said, cleaned."""
    said = {"apiVersion": "2.0.5"} | ({} if stamp is None else {"dataTimestamp": stamp})
    version = registry(script(httpx.Response(200, json=said))[0]).version()
    assert version is not None
    assert version.data_timestamp is version.load is version.etag is None
    assert (version.stamp is None) == (stamp is None)
    assert version.stamp is None or version.stamp.isprintable()


# --- one study --------------------------------------------------------------------------------------------------------------------------


def test_a_study_is_fetched_by_its_number() -> None:
    """A study comes parsed and as sent; its number may be asked in any spelling that the registry takes."""
    body = json.dumps(record()).encode()
    handler, seen = script(httpx.Response(200, content=body, headers={"content-type": "application/json"}))
    fetched = registry(handler).study("nct04852770")
    assert (fetched.study, fetched.raw) == (record(), body)
    assert seen[0].url.path == f"/api/v2/studies/{NUMBER}"
    with pytest.raises(BadNctId):
        registry(handler).study("ABC123")


def test_an_alias_leads_to_the_study_that_names_it() -> None:
    """301 is followed within the host, and the other study is accepted because it names the number asked as its alias."""
    handler, seen = script(
        httpx.Response(301, headers={"location": "/api/v2/studies/NCT07280598"}),
        httpx.Response(200, json=record("NCT07280598", nctIdAliases=["NCT07048704"])),
    )
    assert registry(handler).study("NCT07048704").study == record("NCT07280598", nctIdAliases=["NCT07048704"])
    assert [request.url.path for request in seen] == ["/api/v2/studies/NCT07048704", "/api/v2/studies/NCT07280598"]


@pytest.mark.parametrize("location", ["https://evil.example/api/v2/studies/NCT07280598", "/login", "", "http://[bad"])
def test_a_redirect_elsewhere_is_not_followed(location: str) -> None:
    """A redirect to another host, or to what is no study, is not followed and says nothing about the study."""
    handler, seen = script(httpx.Response(301, headers={"location": location}))
    with pytest.raises(RegistryUnavailable, match="redirect"):
        registry(handler).study("NCT07048704")
    assert {request.url.host for request in seen} == {"registry.example"}


def test_a_ring_of_redirects_ends() -> None:
    """Numbers that lead to each other for ever end in an error."""
    with pytest.raises(RegistryUnavailable, match="without end"):
        registry(script(httpx.Response(301, headers={"location": f"/api/v2/studies/{NUMBER}"}))[0]).study(NUMBER)


def test_another_study_is_not_taken_for_the_one_asked() -> None:
    """A record under another number that does not name the one asked as its alias is not accepted."""
    with pytest.raises(RegistryUnavailable, match="does not name"):
        registry(script(httpx.Response(200, json=record("NCT01728545")))[0]).study(NUMBER)


def test_only_the_registrys_own_sentence_means_not_found() -> None:
    """StudyNotFound needs the 404, the plain text and the very number asked."""
    with pytest.raises(StudyNotFound, match=NUMBER):
        registry(script(text(404, f"NCT number {NUMBER} not found"))[0]).study(NUMBER)


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(404, html="<html><h1>404 Not Found</h1>nginx/1.26.2</html>"),
        httpx.Response(404),
        httpx.Response(404, html=f"NCT number {NUMBER} not found"),
        text(404, "NCT number NCT99999999 not found"),
        text(404, f"NCT number {NUMBER} not found here"),
        text(410, f"NCT number {NUMBER} not found"),
    ],
)
def test_any_other_404_is_not_a_missing_study(answer: httpx.Response) -> None:
    """A 404 that does not name the study in plain text points at the address, never at the study."""
    with pytest.raises(RegistryUnavailable, match="api_url"):
        registry(script(answer)[0]).study(NUMBER)


def test_a_study_behind_a_redirect_is_not_concluded_to_be_gone() -> None:
    """A redirect whose target is not found says nothing about the number asked."""
    handler, _ = script(
        httpx.Response(301, headers={"location": "/api/v2/studies/NCT07280598"}), text(404, "NCT number NCT07280598 not found")
    )
    with pytest.raises(RegistryUnavailable, match="NCT07280598"):
        registry(handler).study("NCT07048704")


# --- refusals ---------------------------------------------------------------------------------------------------------------------------


def test_the_registrys_own_sentence_reaches_the_user() -> None:
    """400 is not asked again, and its sentence is shown as it is but for control characters and excess."""
    handler, seen = script(text(400, "Parameter \x1b[2J`nctId` has\r\n incorrect format"))
    with pytest.raises(RegistryRefused, match="Parameter `nctId` has incorrect format"):
        registry(handler).page({})
    assert len(seen) == 1


def test_changed_data_has_its_own_error() -> None:
    """The 400 for a token of an earlier load is DataChanged and is not asked again."""
    handler, seen = script(text(400, DATA_CHANGED + "\n"))
    with pytest.raises(DataChanged):
        registry(handler).page({}, "old")
    assert len(seen) == 1


def test_a_long_address_is_a_refusal() -> None:
    """414 is the request's fault."""
    with pytest.raises(RegistryRefused, match="too long"):
        registry(script(httpx.Response(414, html="<html>414</html>"))[0]).page({})


def test_403_is_about_the_client_and_is_not_hammered() -> None:
    """403 is asked once more, slowly, and then explained as the edge's judgement of the client."""
    clock = Clock()
    handler, seen = script(httpx.Response(403, html="<html>Request blocked</html>"))
    with pytest.raises(ClientRejected, match="User-Agent and TLS"):
        registry(handler, clock).version()
    assert len(seen) == 2
    assert sum(clock.slept) >= 30


# --- patience ---------------------------------------------------------------------------------------------------------------------------

FAULTS: dict[str, httpx.Response | Exception] = {
    "429": text(429, "slow down"),
    **{str(status): httpx.Response(status, html="<html>busy</html>") for status in (500, 502, 503, 504, 520)},
    "read timeout": httpx.ReadTimeout("x"),
    "connect timeout": httpx.ConnectTimeout("x"),
    "reset": httpx.ReadError("reset"),
    "cut off": httpx.RemoteProtocolError("peer closed connection"),
    "refused": httpx.ConnectError("[Errno 111] Connection refused"),
    "HTML with 200": httpx.Response(200, html="<html>maintenance</html>"),
    "JSON as text": text(200, '{"totalStudies":1}'),
    "half of the JSON": httpx.Response(200, content=b'{"totalStu', headers={"content-type": "application/json"}),
    "empty 200": httpx.Response(200, headers={"content-type": "application/json"}),
    "another shape": httpx.Response(200, json=["totalStudies"]),
    "304 unasked": httpx.Response(304),
    "redirect": httpx.Response(302, headers={"location": "https://login.example/"}),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_that_passes_is_waited_out(fault: str) -> None:
    """Each fault, seen once, costs one retry and a wait, and the answer arrives."""
    clock = Clock()
    wire = registry(script(FAULTS[fault], httpx.Response(200, json={"totalStudies": 5}))[0], clock)
    assert wire.size() == 5
    assert (wire.requests, wire.retries) == (2, 1)
    assert 1 <= sum(clock.slept) <= 2


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_that_stays_is_named(fault: str) -> None:
    """Each fault, seen for ever, ends after a bounded number of attempts in an error that says what was seen and what to do."""
    handler, seen = script(FAULTS[fault])
    with pytest.raises(RegistryUnavailable) as caught:
        registry(handler, attempts=5).size()
    assert 2 <= len(seen) <= 5
    assert f"{len(seen)} attempts" in caught.value.message
    assert "registry.example" in caught.value.message
    assert caught.value.hint


def test_waits_grow_and_stay_apart() -> None:
    """Without Retry-After the waits double, with up to half as much of jitter on top."""
    clock = Clock()
    with pytest.raises(RegistryUnavailable):
        registry(script(httpx.Response(503))[0], clock, requests_per_second=1e6).size()
    waits = [wait for wait in clock.slept if wait > 0.1]
    assert len(waits) == 4
    assert all(base <= wait <= 1.5 * base for base, wait in zip([1, 2, 4, 8], waits, strict=True))


@pytest.mark.parametrize(("value", "wait"), [("7", 7.0), ("Sun, 22 Nov 2026 09:02:00 GMT", 120.0), ("86400", 300.0)])
def test_retry_after_is_obeyed(value: str, wait: float) -> None:
    """Retry-After, as seconds or as a date, is waited for, up to five minutes."""
    clock = Clock()
    registry(script(text(429, "", **{"retry-after": value}), httpx.Response(200, json={"totalStudies": 5}))[0], clock).size()
    assert sum(clock.slept) == pytest.approx(wait, abs=0.01)


def test_a_sleep_that_is_interrupted_ends_the_waiting() -> None:
    """An exception out of the injected sleep (a daemon that shuts down) passes through at once."""

    class Stopped(Exception):
        """The daemon was told to stop."""

    def sleep(_: float) -> None:
        raise Stopped

    handler, seen = script(httpx.Response(503))
    with pytest.raises(Stopped):
        registry(handler, sleep=sleep).size()
    assert len(seen) == 1


def test_a_gzip_bomb_is_not_inflated() -> None:
    """A body that inflates beyond the limit is given up on, and so is one that is compressed twice."""
    bomb = gzip.compress(b" " * 5_000_000)
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    with pytest.raises(RegistryUnavailable, match="more than 1,000,000 bytes"):
        registry(lambda _: httpx.Response(200, headers=headers, stream=httpx.ByteStream(bomb)), answer_bytes=1_000_000).size()
    twice = {**headers, "content-encoding": "gzip, gzip"}
    with pytest.raises(RegistryUnavailable, match="not asked for"):
        registry(lambda _: httpx.Response(200, headers=twice, stream=httpx.ByteStream(gzip.compress(bomb)))).size()


def test_a_huge_error_page_is_cut() -> None:
    """An error's body is read as far as a sentence needs, however long it is."""
    with pytest.raises(RegistryRefused) as caught:
        registry(script(text(400, "x" * 10_000_000))[0]).page({})
    assert len(str(caught.value)) < 500


# --- real sockets -----------------------------------------------------------------------------------------------------------------------


@contextmanager
def served(*answers: bytes | None, hold: bool = False) -> Iterator[str]:
    """Serve these raw answers, one a connection and the last for ever; ``None`` resets, ``hold`` keeps the connection open in silence."""
    server = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def serve() -> None:
        number = 0
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                answer = answers[min(number, len(answers) - 1)]
                number += 1
                if answer is None:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
                    continue
                connection.sendall(answer)
                if hold:
                    over.wait(5)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/api/v2"
    finally:
        over.set()
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join(5)


def over_a_socket(url: str, **options: Any) -> Registry:
    """Return a registry on a real network, with waits that take no time."""
    clock = Clock()
    return Registry(
        url,
        requests_per_second=1000,
        contact=None,
        transport=None,
        now=clock.now,
        sleep=clock.sleep,
        **{"timeout": 0.3, "attempts": 2, **options},
    )


def http(body: bytes, *headers: str, length: int | None = None) -> bytes:
    """Return a raw 200."""
    lines = ["HTTP/1.1 200 OK", "Content-Type: application/json", f"Content-Length: {len(body) if length is None else length}", *headers]
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode() + body


GOOD = http(b'{"totalStudies":5}')


@pytest.mark.parametrize(
    ("fault", "saw"),
    [
        (None, "broke off"),
        (b"", "broke off"),
        (http(b'{"totalStudies":5}'[:9], length=18), "broke off"),
        (http(gzip.compress(b'{"totalStudies":5}')[:-12], "Content-Encoding: gzip"), "damaged"),
        (http(b"not gzip at all", "Content-Encoding: gzip"), "damaged"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "broke off"),
        (b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\n5\r\n{"tot\r\n', "broke off"),
    ],
)
def test_a_broken_connection_is_tried_again(fault: bytes | None, saw: str) -> None:
    """Resets, silence, cut-off and damaged bodies on a real socket cost one retry; if they stay they are named."""
    with served(fault) as url, over_a_socket(url) as wire, pytest.raises(RegistryUnavailable, match=saw):
        wire.size()
    with served(fault, GOOD) as url, over_a_socket(url) as wire:
        assert wire.size() == 5


@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 200 OK\r\n", GOOD[:-5]])
def test_a_silent_server_is_given_up_on(start: bytes) -> None:
    """A server that falls silent before, within or after its head is waited for no longer than the time allowed."""
    with (
        served(start, hold=True) as url,
        over_a_socket(url, attempts=1) as wire,
        pytest.raises(RegistryUnavailable, match="no sign of life"),
    ):
        wire.size()


def test_nobody_at_the_address() -> None:
    """A refused connection and a name that nobody has end in an error that points at the network and at api_url."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    for url in (f"http://127.0.0.1:{port}/api/v2", "http://registry.invalid/api/v2"):
        with over_a_socket(url, attempts=5) as wire, pytest.raises(RegistryUnavailable, match=r"no connection.*api_url"):
            wire.size()
        assert wire.requests <= 3


def test_gzip_comes_through() -> None:
    """A compressed answer on a real socket is read, and the bytes counted are those of the wire."""
    body = gzip.compress(b'{"totalStudies":5,"note":"' + b"x" * 10_000 + b'"}')
    with served(http(body, "Content-Encoding: gzip")) as url, over_a_socket(url) as wire:
        assert wire.size() == 5
        assert wire.bytes == len(body)


def test_a_wsgi_application_in_process() -> None:
    """``in_process`` mounts a WSGI application where the network would be."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps({"totalStudies": len(environ["PATH_INFO"])}).encode()]

    clock = Clock()
    with Registry(API, requests_per_second=9, contact=None, transport=in_process(app), now=clock.now, sleep=clock.sleep) as wire:
        assert wire.size() == len("/api/v2/stats/size")


def test_every_error_of_the_client_is_one_of_the_registrys() -> None:
    """Whatever status the wire shows, the client ends in an answer or in a RegistryError, never in a traceback of the library."""
    for status in [*range(200, 209), *range(300, 309), *range(400, 452), *range(500, 530)]:
        with pytest.raises(RegistryError):
            registry(script(httpx.Response(status, text="odd"))[0], attempts=2).study(NUMBER)
