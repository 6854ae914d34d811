"""Records that no registry should send, and requests that no client should make: both come out as data, or as a problem."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from following import World, edited, invent, publish
from schema import ApiVisitor, over

from trialsync.model import Watch

if TYPE_CHECKING:
    from pathlib import Path

EVIL = {
    "script": "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "template": "{{ 7*7 }} ${7*7} {% include '/etc/passwd' %}",
    "markdown": "# heading\n\n[x](javascript:alert(1))\n```\n---\n",
    "terminal": "\x1b[2J\x1b]0;owned\x07\u202egnp.exe\u200b",
    "formula": "=cmd|' /C calc'!A0",
    "bars": 'a|b.c"d,e;f\r\ng',
    "control": "a\u0001b\u007fc\u0085d\ufeffe",
}
FACES = (
    *("/api/changes?baseline=true&limit=1000", "/api/changes.csv?baseline=true", "/api/changes.jsonl"),
    *("/api/studies", "/api/studies.csv", "/api/studies/NCT00000001", "/api/studies/NCT00000001/versions"),
    *("/trials/NCT00000001.md", "/llms.txt", "/api/watches", "/api/polls"),
)
TYPES = {"application/json", "text/csv", "application/jsonl", "text/markdown", "text/plain"}


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store of studies whose every text is hostile, one of them with a field of 4 MB."""
    folder = tmp_path_factory.mktemp("hostile")
    before, after = [], []
    for number, text in enumerate(EVIL.values(), 1):
        study = edited(
            invent(number),
            identificationModule__briefTitle=text,
            conditionsModule__conditions=[text],
            sponsorCollaboratorsModule__leadSponsor__name=text,
            outcomesModule__primaryOutcomes=[{"measure": text, "timeFrame": text}],
            contactsLocationsModule__locations=[{"facility": text, "city": text, "country": text}],
        )
        before.append(study)
        after.append(
            edited(
                study, "2026-02-03", statusModule__whyStopped=text, outcomesModule__primaryOutcomes=[{"measure": text, "timeFrame": "x"}]
            )
        )
    huge = invent(99, descriptionModule={"detailedDescription": "x" * 4_000_000})
    world = World(folder, publish([*before, huge], after))
    world.poll()

    world.poll(Watch("all", everything=True))
    world.next(Watch("all", everything=True))
    return world.store


@pytest.fixture
def api(hostile: Path, tmp_path: Path) -> ApiVisitor:
    """Return a visitor of that store who holds every answer against the document."""
    return over(hostile, tmp_path)


@pytest.mark.parametrize("path", FACES)
def test_hostile_records_come_out_as_data(api: ApiVisitor, path: str) -> None:
    """Every face answers, says what type it is so that no browser guesses, and holds no character that steers a terminal."""
    response = api.get(path)
    assert response.status_code == 200
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["content-type"].partition(";")[0] in {
        "application/json",
        "text/csv",
        "application/jsonl",
        "text/markdown",
        "text/plain",
    }
    assert not {"\x1b", "\x07", "\u202e", "\x7f", "\x85"} & set(response.text)


def test_json_gives_the_very_text(api: ApiVisitor) -> None:
    """What was recorded is read back from JSON to the character, and found by the cells of a CSV without a formula."""
    found = {row["nct_id"]: row["after"] for row in api.json("/api/changes?field=status.whyStopped")["changes"]}
    assert [found[f"NCT{number:08d}"] for number in range(1, len(EVIL) + 1)] == list(EVIL.values())
    for row in csv.DictReader(io.StringIO(api.get("/api/changes.csv").text, newline="")):
        assert not [cell for cell in row.values() if cell.startswith(("=", "+", "-", "@"))]


def test_a_field_of_four_megabytes(api: ApiVisitor) -> None:
    """A record of four megabytes comes whole."""
    found = api.get("/api/studies/NCT00000099")
    assert len(json.loads(found.content)["study"]["protocolSection"]["descriptionModule"]["detailedDescription"]) == 4_000_000


REQUESTS = [
    "/api/studies/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "/api/studies/..%5c..%5cwindows",
    "/api/studies/NCT00000001%00",
    "/api/studies/NCT00000001%0a",
    "/api/studies/NCT0000000%D9%A1",
    "/api/studies/%ff%fe",
    "/api/changes%00",
    "/api//changes",
    "/api/changes/",
    "/api/changes.xml",
    "/api/changes.csv.json",
    "/../../etc/passwd",
    "//evil.example/api",
    "/api/changes?text=" + "%22%20OR%20" * 20,
    "/api/changes?text=title:x%20NEAR(a,b)%20*",
    "/api/changes?sponsor=" + quote("'; DROP TABLE studies; --"),
    "/api/changes?field=" + quote("%_\\*?'\""),
    "/api/changes?field=" + "*a" * 100,
    "/api/changes?country=" + quote("x' OR '1'='1"),
    "/api/changes?watch=all%00",
    "/api/changes?after=0x10",
    "/api/changes?after=1e9",
    "/api/changes?after=9223372036854775807",
    "/api/changes?before=9223372036854775807",
    "/api/changes?before=0",
    "/api/changes?limit=99999999999999999999999",
    "/api/changes?since=99999w",
    "/api/changes?since=0001-01-01",
    "/api/changes?since=98000w",
    "/api/studies/NCT00000001/diff?from=98000w",
    "/api/studies/NCT00000001/diff?from=2999-12-31&to=2999-12-31",
    "/api/studies/NCT00000001?as_of=98000w",
    "/api/changes?seen-since=2026-02-18T25:99Z",
    "/api/changes?%73ince=7d",
    "/api/changes?since=7d&since%00=7d",
    "/api/changes?text=%e0%80%80",
    "/api/changes?" + "&" * 4000,
    "/api/studies?text=" + "a%20" * 60,
    "/api/studies/NCT00000001?version=0",
    "/api/studies/NCT00000001?as_of=9999-12-31",
    "/api/polls?limit=-1",
    "/api?{{7*7}}",
]


@pytest.mark.parametrize("path", REQUESTS, ids=[path[:60] for path in REQUESTS])
def test_hostile_requests_get_an_answer_or_a_problem(api: ApiVisitor, path: str) -> None:
    """No request makes a fault of ours, shows a place on the disk, or gets anything that is not an answer or a problem."""
    response = super(ApiVisitor, api).ask("GET", path)
    assert response.status_code in {200, 400, 404, 410, 414, 422}, response.text
    assert response.status_code == 200 or response.headers["content-type"] == "application/problem+json"
    assert "root:" not in response.text
    assert ".db" not in response.text
