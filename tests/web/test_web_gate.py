"""What holds for every request, whatever it asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from visiting import Visitor, settings_of, visitor

from trialsync.web.security import HEADERS, LONGEST_PATH, LONGEST_QUERY, Gate

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.types import Receive, Scope, Send


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8377", "localhost", "LOCALHOST:1", "[::1]:8377", "localhost."])
def test_the_loopback_names_are_answered(web: Visitor, host: str) -> None:
    """A request to this machine itself is answered, whatever the port."""
    assert web.get("/api/polls", Host=host).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost:80@evil.example",
        "",
        "[",
        "192.168.0.7",
        "a:b@localhost",
        "localhost/x",
        "localhost#x",
        "localhost?x",
        "localhost:80:80",
        "localhost:x",
    ],
)
def test_another_name_is_refused(web: Visitor, host: str) -> None:
    """A Host that nobody allowed is refused before anything is looked up, so that no name can be pointed at this server."""
    response = web.ask("GET", "/api/polls", {"Host": host})
    assert response.status_code == 421
    assert response.headers["content-type"] == "application/problem+json"


def test_the_settings_name_more_hosts(packaged: Path, tmp_path: Path) -> None:
    """The hosts of [web] hosts and of [site] base_url are answered to."""
    text = '[web]\nhosts = ["Trials.example.org"]\n[site]\nbase_url = "https://mirror.example.org/agent"'
    web = visitor(packaged, settings_of(tmp_path, text))
    for host, status in (("trials.example.org:8377", 200), ("mirror.example.org", 200), ("example.org", 421), ("10.0.0.1", 421)):
        assert web.get("/api/polls", Host=host).status_code == status, host


def test_who_listens_everywhere_answers_to_addresses(packaged: Path, tmp_path: Path) -> None:
    """Listening on every address answers to any address, and still to no unknown name."""
    web = visitor(packaged, settings_of(tmp_path, '[web]\nhost = "0.0.0.0"'))
    assert web.get("/api/polls", Host="192.168.0.7:8377").status_code == 200
    assert web.get("/api/polls", Host="evil.example").status_code == 421


@pytest.mark.parametrize("path", ["/api/polls", "/nothing", "/api/polls?x=1"])
def test_every_response_has_the_security_headers(web: Visitor, path: str) -> None:
    """Answers and problems alike carry the headers that keep a browser from doing more than showing them; nobody is let in by CORS."""
    response = web.get(path, Origin="https://evil.example")
    for name, value in HEADERS.items():
        assert response.headers[name] == value
    assert not [name for name in response.headers if name.startswith("access-control-")]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "BREW"])
def test_only_reading_is_answered(web: Visitor, method: str) -> None:
    """Every method but GET and HEAD gets 405 and the names of those two."""
    response = web.ask(method, "/api/polls")
    assert (response.status_code, response.headers["allow"]) == (405, "GET, HEAD")


def test_head_is_get_without_a_body(web: Visitor) -> None:
    """HEAD gives the headers that GET gives."""
    head, get = web.ask("HEAD", "/api/polls"), web.get("/api/polls")
    assert head.content == b""
    assert head.headers == get.headers


def test_long_addresses_are_refused(web: Visitor) -> None:
    """A path or a query beyond its bound is refused, however it is written."""
    assert web.problem("/" + "a" * LONGEST_PATH, 414)["type"].endswith("too-long")
    assert web.problem("/api/polls?text=" + "a" * LONGEST_QUERY, 414)
    assert web.problem("/" + "%41" * LONGEST_PATH, 414)


def test_an_unknown_address_is_a_problem(web: Visitor) -> None:
    """What is not there is told as problem details with a way on."""
    found = web.problem("/nothing", 404)
    assert found["hint"] == "/api lists what can be asked"


@pytest.mark.parametrize("content", [None, b"", b"not a database, but long enough to look like a file of some kind" * 9])
def test_a_store_that_cannot_be_read_is_a_problem(tmp_path: Path, content: bytes | None) -> None:
    """A store that is missing, empty or something else gives 503 with a sentence, and not where it lies."""
    store = tmp_path / "private" / "trialsync.db"
    store.parent.mkdir()
    if content is not None:
        store.write_bytes(content)
    found = visitor(store, settings_of(tmp_path)).problem("/api/polls", 503)
    assert "private" not in str(found)


def test_what_stays_the_same_is_not_sent_again(web: Visitor) -> None:
    """An answer has a tag, and whoever has it already gets 304 without a body."""
    first = web.get("/api/polls")
    for named in (first.headers["etag"], f'"x", {first.headers["etag"].removeprefix("W/")}', "*"):
        again = web.get("/api/polls", If_None_Match=named)
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == first.headers["etag"]
    assert web.get("/api/polls", If_None_Match='"another"').status_code == 200


def test_answers_are_compressed_for_who_takes_that(web: Visitor) -> None:
    """What is long enough comes compressed to whoever takes it; the tag is weak, as it names both."""
    plain = web.get("/api/fields", Accept_Encoding="identity")
    packed = web.get("/api/fields", Accept_Encoding="gzip")
    assert ("content-encoding" in plain.headers, packed.headers["content-encoding"]) == (False, "gzip")
    assert int(packed.headers["content-length"]) < int(plain.headers["content-length"]) / 3
    assert packed.json() == plain.json()
    assert packed.headers["etag"] == plain.headers["etag"]
    assert plain.headers["etag"].startswith('W/"')
    assert "Accept-Encoding" in packed.headers["vary"]
    assert web.get("/api/fields", If_None_Match=packed.headers["etag"], Accept_Encoding="gzip").status_code == 304


def test_a_fault_of_ours_is_a_problem_and_a_log_line(capsys: pytest.CaptureFixture[str]) -> None:
    """What nobody foresaw is 500 without a word of what it was, which the log has; the headers are there all the same."""

    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive, send
        raise RuntimeError("a secret place")

    response = Visitor(Gate(broken, hosts={"127.0.0.1"})).get("/api")
    assert (response.status_code, response.json()["type"]) == (500, "urn:trialsync:problem:failed")
    assert "secret" not in response.text
    assert response.headers["x-frame-options"] == "DENY"
    assert "a secret place" in capsys.readouterr().out
