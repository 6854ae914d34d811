"""The sandbox's internal API: a study's history as the service gives it, in HTML, load by load."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

sys.path.append(str(Path(__file__).parent.parent))

from following import DAYS, edited, invent, publish, status, withheld

from trialsync.registry.sandbox import Fault, PastLine, Sandbox, packaged_loads, packaged_past

if TYPE_CHECKING:
    from collections.abc import Iterator

NUMBER = "NCT00000001"
STATUS = "protocolSection.statusModule.overallStatus"
PAST = [
    PastLine(NUMBER, "2025-08-01", "2025-08-04", {}, returned=True),
    PastLine(NUMBER, "2025-05-28", "2025-06-02", {STATUS: "NOT_YET_RECRUITING"}),
]


@pytest.fixture
def sandbox() -> Sandbox:
    """Return a sandbox with a study of three loads: an update by its sponsor, and a change by the registry alone."""
    first = invent(1, descriptionModule={"briefSummary": "Two things:\n\n* one \\> two\n* Tom's & mine. Then rest"})
    first["protocolSection"]["identificationModule"]["nctIdAliases"] = ["NCT00000007"]
    second = edited(first, DAYS[1], statusModule__lastUpdateSubmitDate=DAYS[0], designModule__enrollmentInfo={"count": 50})
    return Sandbox(publish([first], [second], [status(second, "UNKNOWN")], [withheld(second, DAYS[3])]), past=PAST)


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[httpx.Client]:
    """Return a client of it."""
    with httpx.Client(transport=httpx.WSGITransport(app=sandbox), base_url="http://sandbox.example/api/int/studies/") as client:
        yield client


def changes(client: httpx.Client, path: str = f"{NUMBER}/history") -> list[dict[str, Any]]:
    """Return the list of versions."""
    said = client.get(path).json()
    found: list[dict[str, Any]] = said.get("history", said)["changes"]
    return found


def test_the_list_grows_with_the_sponsors_updates(client: httpx.Client, sandbox: Sandbox) -> None:
    """The list has the older versions, then one for each update by the sponsor; what the registry changes by itself is in none."""
    assert [(each["version"], each["date"], each["status"]) for each in changes(client)] == [
        (0, "2025-05-28", "NOT_YET_RECRUITING"),
        (1, "2025-08-01", "RECRUITING"),
        (2, "2026-01-12", "RECRUITING"),
    ]
    assert [each.get("reviewNotPassed") for each in changes(client)] == [None, True, None]
    assert changes(client)[1]["moduleLabels"] == ["Study Status"]
    sandbox.advance()
    assert changes(client)[3] == {
        "version": 3,
        "date": DAYS[0],
        "status": "RECRUITING",
        "studyType": "INTERVENTIONAL",
        "moduleLabels": ["Study Status", "Study Design"],
    }
    sandbox.advance()
    assert len(changes(client)) == 4


def test_a_version_is_in_html_and_has_what_history_carries(client: httpx.Client) -> None:
    """A version has its number and the record's sections, rich texts as HTML, line breaks after sentences, nothing derived."""
    said = client.get(f"{NUMBER}/history/0").json()
    assert said["studyVersion"] == 0
    assert set(said["study"]) == {"protocolSection"}
    protocol = said["study"]["protocolSection"]
    assert protocol["statusModule"]["overallStatus"] == "NOT_YET_RECRUITING"
    assert protocol["descriptionModule"]["briefSummary"] == (
        "<p>Two things:</p><ul><li>one &gt; two</li><li>Tom&#x27;s &amp; mine.\nThen rest</li></ul>"
    )


def test_the_list_beside_the_record(client: httpx.Client) -> None:
    """An alias has no list of its own; beside the record of the study that it became there is one."""
    assert client.get("NCT00000007/history").text == "No study NCT00000007 history summary"
    beside = client.get("NCT00000007?history=true").json()
    assert beside["study"]["protocolSection"]["identificationModule"]["nctId"] == NUMBER
    assert changes(client, "NCT00000007?history=true") == changes(client)
    assert "history" not in client.get(NUMBER).json()


def test_what_has_no_history(client: httpx.Client, sandbox: Sandbox) -> None:
    """A study that is not there, a version that is not there, and one that is withheld, get a 404 in the service's words; else HTML."""
    for path in ("NCT00009999/history", "NCT00009999?history=true"):
        assert (client.get(path).status_code, client.get(path).text) == (404, "No study NCT00009999 history summary")
    assert client.get(f"{NUMBER}/history/3").status_code == 404
    assert client.get(f"{NUMBER}/future").headers["content-type"] == "text/html"
    for _ in range(3):
        sandbox.advance()
    assert client.get(f"{NUMBER}/history").text == f"No study {NUMBER} history summary"


def test_faults_strike_here_too(client: httpx.Client, sandbox: Sandbox) -> None:
    """A fault that is arranged for the internal API's paths strikes there, and is counted with the other requests."""
    sandbox.inject(Fault.TOO_MANY, path="/int/studies/*", retry_after="3")
    struck = client.get(f"{NUMBER}/history")
    assert (struck.status_code, struck.headers["retry-after"]) == (429, "3")
    sandbox.inject(Fault.WRONG_TYPE, path="/int/*")
    assert client.get(f"{NUMBER}/history").headers["content-type"] == "text/html"
    assert client.get(f"{NUMBER}/history").status_code == 200
    assert [served.fault for served in sandbox.served] == [Fault.TOO_MANY, Fault.WRONG_TYPE, None]


def test_the_packaged_past_is_of_packaged_studies() -> None:
    """Each older version that comes with the package is of a packaged study, submitted 1 to 10 days before it was posted, newest first."""
    numbers = {line.nct_id for line in packaged_loads()}
    last: dict[str, str] = {}
    for line in packaged_past():
        assert line.nct_id in numbers
        assert line.submitted < line.posted < last.get(line.nct_id, "9999")
        last[line.nct_id] = line.posted
    assert len(last) >= 3
