"""Paging through the sandbox: complete, bound to the load, careless of the query."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st
from sandbox_studies import client_of, invent, lines

from trialsync.registry.sandbox import Sandbox
from trialsync.registry.sandbox.tokens import Place, place

if TYPE_CHECKING:
    import httpx
    import pytest


CHANGED = "The data have probably changed while you were paginating. Please, start over from the first page."


def _numbers(body: dict[str, Any]) -> list[str]:
    return [study["protocolSection"]["identificationModule"]["nctId"] for study in body["studies"]]


def _walk(client: httpx.Client, **parameters: str) -> tuple[list[str], list[int], int | None]:
    found: list[str] = []
    sizes: list[int] = []
    total: int | None = None
    token = ""
    while True:
        body = client.get("/studies", params=parameters | ({"pageToken": token} if token else {})).json()
        assert ("totalCount" in body) == (parameters.get("countTotal") == "true" and not token)
        total = body.get("totalCount", total)
        found.extend(_numbers(body))
        sizes.append(len(body["studies"]))
        token = body.get("nextPageToken", "")
        if not token:
            return found, sizes, total


def test_every_page_size_is_complete() -> None:
    """Whatever the page size, a walk gives every matching study once; a list that fills its last page ends with an empty one."""
    statuses = ("RECRUITING", "COMPLETED", "UNKNOWN")
    studies = [invent(number, statusModule={"overallStatus": statuses[number % 3]}) for number in range(1, 38)]
    expected = {
        study["protocolSection"]["identificationModule"]["nctId"]: study["protocolSection"]["statusModule"]["overallStatus"]
        for study in studies
    }
    sandbox = Sandbox(lines("2026-01-05", *studies))

    with client_of(sandbox) as client:

        @given(size=st.integers(1, 45), status=st.sampled_from((*statuses, "")))
        def walk(size: int, status: str) -> None:
            wanted = {number for number, known in expected.items() if status in {"", known}}
            parameters = {"pageSize": str(size), "countTotal": "true", "fields": "NCTId"} | (
                {"filter.overallStatus": status} if status else {}
            )
            found, sizes, total = _walk(client, **parameters)
            assert len(found) == len(wanted) == total
            assert set(found) == wanted
            assert (sizes[-1] == 0) == (len(wanted) % size == 0)

        walk()


def test_order_is_not_stable_between_walks() -> None:
    """Without a sort, two walks order the studies differently, each keeping its own order; the same seed repeats both."""
    loads = lines("2026-01-05", *(invent(number) for number in range(1, 30)))
    walks = []
    for _ in range(2):
        with client_of(Sandbox(loads)) as client:
            walks.append([_walk(client, pageSize="7")[0] for _ in range(2)])
    assert walks[0][0] != walks[0][1]
    assert sorted(walks[0][0]) == sorted(walks[0][1])
    assert walks[0] == walks[1]


def test_page_sizes() -> None:
    """A page has ten studies where nothing or 0 is asked for, and never more than a thousand; its size may change on the way."""
    with client_of(Sandbox(lines("2026-01-05", *(invent(number) for number in range(1, 1103))))) as client:
        for asked, size in (({}, 10), ({"pageSize": "0"}, 10), ({"pageSize": "1001"}, 1000), ({"pageSize": "99999"}, 1000)):
            assert len(client.get("/studies", params=asked | {"fields": "NCTId"}).json()["studies"]) == size
        first = client.get("/studies", params={"pageSize": "1000", "fields": "NCTId"}).json()
        second = client.get("/studies", params={"pageSize": "500", "fields": "NCTId", "pageToken": first["nextPageToken"]}).json()
        assert len({*_numbers(first), *_numbers(second)}) == 1102
        assert "nextPageToken" not in second


def test_token_of_an_old_load() -> None:
    """A token from before a new load is a 400 with the service's sentence."""
    sandbox = Sandbox([*lines("2026-01-05", invent(1), invent(2)), *lines("2026-01-06", invent(1))])
    with client_of(sandbox) as client:
        token = client.get("/studies", params={"pageSize": "1"}).json()["nextPageToken"]
        assert client.get("/studies", params={"pageSize": "1", "pageToken": token}).status_code == 200
        sandbox.advance()
        answer = client.get("/studies", params={"pageSize": "1", "pageToken": token})
    assert (answer.status_code, answer.text, answer.headers["Content-Type"]) == (400, CHANGED, "text/plain")


def test_token_with_another_query() -> None:
    """A token used with another query silently goes on in the other query's list, at the old offset."""
    studies = [invent(number, statusModule={"overallStatus": "RECRUITING" if number <= 20 else "UNKNOWN"}) for number in range(1, 31)]
    with client_of(Sandbox(lines("2026-01-05", *studies))) as client:
        token = client.get("/studies", params={"pageSize": "4", "filter.overallStatus": "RECRUITING"}).json()["nextPageToken"]
        other = client.get("/studies", params={"pageSize": "100", "filter.overallStatus": "UNKNOWN", "pageToken": token}).json()
    assert len(other["studies"]) == 10 - 4
    assert all(number > "NCT00000020" for number in _numbers(other))


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_tokens_come_back(version: int, offset: int, seed: int) -> None:
    """A token gives back the place that it was made of, and no text next to it does."""
    token = Place(version, offset, seed).token()
    assert place(token) == Place(version, offset, seed)
    assert place(token[:-1]) is None
    assert place("A" + token) is None


def test_many_threads(
    recwarn: pytest.WarningsRecorder,
) -> None:
    """Threads that walk while loads advance see whole walks or the sentence for changed data, and never a mixture of loads."""
    loads = [f"2026-01-{day:02d}" for day in range(5, 25)]
    sandbox = Sandbox([line for load in loads for line in lines(load, *(invent(number) for number in range(1, 41)))])

    def walk(_: int) -> int:
        with client_of(sandbox) as client:
            token, holders, seen = "", set(), 0
            while True:
                answer = client.get("/studies", params={"pageSize": "9"} | ({"pageToken": token} if token else {}))
                if answer.status_code == 400:
                    assert answer.text == CHANGED
                    return 0
                body = answer.json()
                holders |= {study["derivedSection"]["miscInfoModule"]["versionHolder"] for study in body["studies"]}
                assert len(holders) == 1
                seen += len(body["studies"])
                token = body.get("nextPageToken", "")
                if not token:
                    return seen

    with ThreadPoolExecutor(4) as pool:
        walks = [pool.submit(walk, number) for number in range(24)]
        while sandbox.advance():
            pass
        assert {done.result() for done in walks} <= {0, 40}
    assert not recwarn.list
