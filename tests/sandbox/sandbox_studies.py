"""Invented studies, and clients of a sandbox in process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx

from trialsync.registry.sandbox import LoadLine, Sandbox

if TYPE_CHECKING:
    from trialsync.model import Study

API = "http://sandbox.example/api/v2"


def invent(number: int, **parts: Any) -> Study:
    """Return an invented study: modules by name (``statusModule={…}``) over plain defaults; ``locations`` and ``aliases`` by themselves."""
    nct_id = f"NCT{number:08d}"
    identification: dict[str, Any] = {"nctId": nct_id}
    if "aliases" in parts:
        identification["nctIdAliases"] = parts.pop("aliases")
    identification |= {"briefTitle": f"Invented study {number}"} | parts.pop("identificationModule", {})
    protocol: dict[str, Any] = {
        "identificationModule": identification,
        "statusModule": {"overallStatus": "RECRUITING", "lastUpdatePostDateStruct": {"date": "2026-01-05", "type": "ACTUAL"}},
    }
    if "locations" in parts:
        protocol["contactsLocationsModule"] = {"locations": parts.pop("locations")}
    has_results = parts.pop("hasResults", False)
    return {"protocolSection": protocol | parts, "derivedSection": {"miscInfoModule": {}}, "hasResults": has_results}


def lines(load: str, *studies: Study) -> list[LoadLine]:
    """Return the lines of one load."""
    return [LoadLine(load, study["protocolSection"]["identificationModule"]["nctId"], study) for study in studies]


def client_of(sandbox: Sandbox) -> httpx.Client:
    """Return an HTTP client of a sandbox in process."""
    return httpx.Client(transport=httpx.WSGITransport(app=sandbox), base_url=API)


def find(studies: list[Study], /, **parameters: str) -> set[int]:
    """Ask a sandbox of these studies (``query_cond`` for ``query.cond``), and return the numbers of what it finds."""
    with client_of(Sandbox(lines("2026-01-05", *studies))) as client:
        answer = client.get("/studies", params={"pageSize": "1000", "fields": "NCTId"} | spelled(parameters))
    assert answer.status_code == 200, answer.text
    return {int(study["protocolSection"]["identificationModule"]["nctId"][3:]) for study in answer.json()["studies"]}


def refusal(**parameters: str) -> str:
    """Ask a sandbox with these parameters, demand a 400 in plain text, and return its sentence."""
    with client_of(Sandbox(lines("2026-01-05", invent(1)))) as client:
        answer = client.get("/studies", params=spelled(parameters))
    assert answer.status_code == 400
    assert answer.headers["Content-Type"] == "text/plain"
    return answer.text


def spelled(parameters: dict[str, str]) -> dict[str, str]:
    """Return parameters with the dots that Python's names cannot have."""
    return {name.replace("_", ".", 1): value for name, value in parameters.items()}
