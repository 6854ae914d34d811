"""The sandbox on real loads, against plain evaluation of the same records; skipped where there are none."""

from __future__ import annotations

import datetime as dt
import json
import re
import time
from typing import TYPE_CHECKING, Any

import pytest
from sandbox_studies import client_of, refusal

from trialsync.registry.sandbox import Sandbox, read_loads
from trialsync.registry.sandbox.vocabulary import metadata, vocabulary

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trialsync.model import Study


@pytest.fixture(scope="module")
def real(registry_folder: Path) -> Sandbox:
    """Return a sandbox of the real loads, at the first."""
    return Sandbox(read_loads(registry_folder / "loads.jsonl.xz"))


def _status(study: Study) -> dict[str, Any]:
    module: dict[str, Any] = study["protocolSection"]["statusModule"]
    return module


def _sites(study: Study) -> list[dict[str, Any]]:
    sites: list[dict[str, Any]] = study["protocolSection"].get("contactsLocationsModule", {}).get("locations", [])
    return sites


def _starts(study: Study) -> str:
    date: str = _status(study).get("startDateStruct", {}).get("date", "")
    return date and (date + "-01" if len(date) == 7 else date)


def _says(text: str, word: str) -> bool:
    return re.search(rf"\b{word}s?\b", text, re.IGNORECASE) is not None


BY_HAND: dict[str, Callable[[Study], bool]] = {
    "AREA[LastUpdatePostDate]RANGE[2026-01-01,MAX]": lambda s: _status(s)["lastUpdatePostDateStruct"]["date"] >= "2026-01-01",
    "AREA[LastUpdatePostDate]RANGE[2025-06,2025-07]": lambda s: (
        "2025-06-01" <= _status(s)["lastUpdatePostDateStruct"]["date"] <= "2025-07-31"
    ),
    "AREA[StartDate]2022": lambda s: _starts(s).startswith("2022"),
    "AREA[StartDate]RANGE[2019-03-02,2022-05-01]": lambda s: "2019-03-02" <= _starts(s) <= "2022-05-01",
    "AREA[StartDate]MISSING": lambda s: not _starts(s),
    "AREA[OverallStatus](RECRUITING OR UNKNOWN) AND NOT AREA[Phase]MISSING": lambda s: (
        _status(s)["overallStatus"] in {"RECRUITING", "UNKNOWN"} and bool(s["protocolSection"].get("designModule", {}).get("phases"))
    ),
    "AREA[Phase:size]2": lambda s: len(s["protocolSection"].get("designModule", {}).get("phases", [])) == 2,
    "AREA[EnrollmentCount]RANGE[100,500]": lambda s: (
        100 <= s["protocolSection"].get("designModule", {}).get("enrollmentInfo", {}).get("count", -1) <= 500
    ),
    "AREA[HasResults]true OR AREA[WhyStopped]MISSING": lambda s: s["hasResults"] or "whyStopped" not in _status(s),
    "SEARCH[Location](AREA[LocationCity]Boston AND AREA[LocationStatus]RECRUITING)": lambda s: any(
        _says(site.get("city", ""), "boston") and site.get("status") == "RECRUITING" for site in _sites(s)
    ),
    "AREA[Condition]asthma": lambda s: any(
        _says(text, "asthma") for text in s["protocolSection"]["conditionsModule"].get("conditions", [])
    ),
    "AREA[BriefTitle]melanoma OR AREA[BriefTitle]lung": lambda s: any(
        _says(s["protocolSection"]["identificationModule"]["briefTitle"], word) for word in ("melanoma", "lung")
    ),
}


@pytest.mark.parametrize("expression", BY_HAND)
def test_against_plain_evaluation(real: Sandbox, expression: str) -> None:
    """An expression finds just the studies for which a plain reading of the record holds, and it finds some."""
    wanted = {number for number, study in real.studies().items() if BY_HAND[expression](study)}
    with client_of(real) as client:
        body = client.get(
            "/studies", params={"filter.advanced": expression, "fields": "NCTId", "pageSize": "1000", "countTotal": "true"}
        ).json()
    found = {study["protocolSection"]["identificationModule"]["nctId"] for study in body["studies"]}
    assert found == wanted
    assert body["totalCount"] == len(wanted)
    assert wanted


def test_records_come_through_unchanged(real: Sandbox, registry_folder: Path) -> None:
    """Every real record is served as it stands in the file but for the stamp."""
    first = {line.nct_id: line.study for line in read_loads(registry_folder / "loads.jsonl.xz") if line.load == real.load}
    for number, study in real.studies().items():
        assert study["derivedSection"]["miscInfoModule"].pop("versionHolder") == real.load
        assert study == first[number]


def test_a_thousand_at_once_is_quick(real: Sandbox) -> None:
    """A full page of whole records takes well under a second."""
    with client_of(real) as client:
        begun = time.perf_counter()
        body = client.get("/studies", params={"pageSize": "1000"}).content
        assert time.perf_counter() - begun < 2
    assert len(body) > 10_000_000


def test_every_recorded_error(registry_folder: Path) -> None:
    """The sentences that the service was seen to send are the sandbox's, word for word."""
    seen = {row["request"]: row["body"] for row in json.loads((registry_folder / "error-bodies.json").read_text())}
    checked = 0
    for request, body in seen.items():
        match = re.fullmatch(r"GET /studies\?((?:query|filter)\.\w+|fields|sort|bogusParam)=(.+)", request)
        if match and "<" not in match[2] and not body.startswith("{"):
            assert refusal(**{match[1]: match[2]}) == body
            checked += 1
    assert checked >= 8


def test_vocabulary_is_the_registrys(registry_folder: Path) -> None:
    """Every piece of the real data model is known under its piece name, its path and its other names, and no other is."""
    leaves = 0

    def compare(theirs: list[dict[str, Any]], ours: list[dict[str, Any]]) -> None:
        nonlocal leaves
        for their, our in zip(theirs, ours, strict=True):
            for key in ("name", "piece", "type", "sourceType", "altPieceNames", "isEnum"):
                assert their.get(key) == our.get(key)
            leaves += "children" not in their
            compare(their.get("children", []), our.get("children", []))

    compare(json.loads((registry_folder / "studies-metadata.json").read_text()), metadata())
    assert leaves == 342
    assert all(vocabulary().area(name) for name in vocabulary().by_name)


def test_starts_by_date(registry_folder: Path) -> None:
    """A start between two loads serves the earlier one, with all that changed until then."""
    sandbox = Sandbox(read_loads(registry_folder / "loads.jsonl.xz"), start=dt.date(2026, 2, 12))
    assert sandbox.load == "2026-02-11"
    assert sandbox.loads_left == len([load for load in sandbox.loads if load > "2026-02-11"])
