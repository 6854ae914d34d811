"""The endpoints of the sandbox, over WSGI."""

from __future__ import annotations

import gzip
import io
import zipfile
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest
from sandbox_studies import client_of, invent, lines

from trialsync.errors import BadDate, FileError
from trialsync.registry.sandbox import LoadLine, Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx


@pytest.fixture
def sandbox() -> Sandbox:
    """Return a sandbox of three loads: study 2 merges into 1 on the second, study 3 is removed on the third."""
    first = lines("2026-01-05", *(invent(number) for number in (1, 2, 3)))
    merged = [*lines("2026-01-06", invent(1, aliases=["NCT00000002"])), LoadLine("2026-01-06", "NCT00000002", None)]
    return Sandbox([*first, *merged, LoadLine("2026-01-07", "NCT00000003", None)])


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[httpx.Client]:
    """Return a client of it."""
    with client_of(sandbox) as client:
        yield client


def test_version_follows_the_load(sandbox: Sandbox, client: httpx.Client) -> None:
    """/version has the API's version and a stamp that begins with the load; advancing changes it, and ends at the last load."""
    assert client.get("/version").json()["dataTimestamp"][:18] == "2026-01-05T09:00:0"
    assert (sandbox.advance(), sandbox.advance(), sandbox.advance()) == ("2026-01-06", "2026-01-07", None)
    assert client.get("/version").json() == {"apiVersion": "2.0.5", "dataTimestamp": sandbox.dataset.timestamp}
    assert sandbox.loads == ("2026-01-05", "2026-01-06", "2026-01-07")
    assert sandbox.load == "2026-01-07"


def test_every_study_is_stamped(sandbox: Sandbox, client: httpx.Client) -> None:
    """The versionHolder of every study is the load, changed or not, and stands first in its module."""
    for load in sandbox.loads:
        studies = client.get("/studies").json()["studies"]
        assert {study["derivedSection"]["miscInfoModule"]["versionHolder"] for study in studies} == {load}
        assert sandbox.studies().keys() == {study["protocolSection"]["identificationModule"]["nctId"] for study in studies}
        sandbox.advance()


@pytest.mark.parametrize(
    ("study", "stamped"),
    [
        ({}, {"derivedSection": {"miscInfoModule": {"versionHolder": "2026-01-05"}}}),
        (
            {"derivedSection": {}, "hasResults": False},
            {"derivedSection": {"miscInfoModule": {"versionHolder": "2026-01-05"}}, "hasResults": False},
        ),
        ({"hasResults": False}, {"derivedSection": {"miscInfoModule": {"versionHolder": "2026-01-05"}}, "hasResults": False}),
        ({"derivedSection": []}, {"derivedSection": []}),
        (
            {"derivedSection": {"miscInfoModule": {"removedCountries": ["X"], "versionHolder": "2020-01-01"}}},
            {"derivedSection": {"miscInfoModule": {"versionHolder": "2026-01-05", "removedCountries": ["X"]}}},
        ),
    ],
)
def test_stamp_makes_its_place(study: dict[str, Any], stamped: dict[str, Any]) -> None:
    """The stamp makes the section and module that it needs, replaces an old one, and leaves a record of another shape alone."""
    with client_of(Sandbox([LoadLine("2026-01-05", "NCT00000001", study)])) as client:
        answer = client.get("/studies/NCT00000001")
    assert answer.json() == stamped
    assert list(answer.json()) == list(stamped)


@pytest.mark.parametrize("text", ["NCT00000001", "nct00000001", "NCT1", "nCt01", "NCT000000000001"])
def test_one_study(client: httpx.Client, text: str) -> None:
    """A study is found by its number in any case and with any leading zeros, and is not wrapped."""
    assert client.get(f"/studies/{text}").json()["protocolSection"]["identificationModule"]["nctId"] == "NCT00000001"


@pytest.mark.parametrize("text", ["ABC123", "NCT00000000", "NCT", "NCT123456789", "NCT1x"])
def test_malformed_number(client: httpx.Client, text: str) -> None:
    """A malformed number is a 400 in plain text."""
    answer = client.get(f"/studies/{text}")
    assert (answer.status_code, answer.text, answer.headers["Content-Type"]) == (
        400,
        "Parameter `nctId` has incorrect format",
        "text/plain",
    )


def test_missing_study(client: httpx.Client) -> None:
    """A study that is not there is a 404 that names it, in its full spelling."""
    answer = client.get("/studies/nct99999999")
    assert (answer.status_code, answer.text) == (404, "NCT number NCT99999999 not found")
    assert answer.headers["Content-Type"] == "text/plain; charset=UTF-8"


def test_alias_redirects(sandbox: Sandbox, client: httpx.Client) -> None:
    """A merged number redirects to the survivor without the query string; filter.ids finds the survivor under the old number."""
    sandbox.advance()
    answer = client.get("/studies/NCT00000002", params={"fields": "NCTId"})
    assert answer.status_code == 301
    assert answer.headers["Location"] == "/api/v2/studies/NCT00000001"
    found = client.get("/studies", params={"filter.ids": "NCT2|NCT00000001,NCT00000009"}).json()["studies"]
    assert [study["protocolSection"]["identificationModule"]["nctId"] for study in found] == ["NCT00000001"]


def test_removed_study(sandbox: Sandbox, client: httpx.Client) -> None:
    """A removed study is gone from lists and is a 404 by itself."""
    sandbox.advance()
    sandbox.advance()
    assert client.get("/studies/NCT00000003").status_code == 404
    assert client.get("/stats/size").json()["totalStudies"] == 1


def test_missing_ids_are_silently_absent(client: httpx.Client) -> None:
    """filter.ids of numbers that are not there is an empty list, to the byte as the service writes it."""
    answer = client.get("/studies", params={"filter.ids": "NCT99999999"})
    assert (answer.status_code, answer.content, answer.headers["Content-Type"]) == (200, b'{"studies":[  ]}', "application/json")


def test_wire_shape(client: httpx.Client) -> None:
    """Every study stands on a line of its own; the count comes first and the token last."""
    rows = client.get("/studies", params={"pageSize": "3", "countTotal": "true"}).content.split(b"\n")
    assert rows[0] == b'{"totalCount":3,"studies":['
    assert all(row.startswith(b'{"protocolSection"') for row in rows[1:4])
    assert rows[4].startswith(b'],"nextPageToken":"')
    assert rows[4].endswith(b'"}')


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"bogusParam": "1"}, "`bogusParam` is unknown parameter"),
        ({"filter.phase": "PHASE3"}, "`filter.phase` is unknown parameter"),
        ({"filter.ids": "ABC123"}, "Item 1 in parameter `filter.ids` has incorrect format"),
        ({"filter.ids": "NCT1,NCT2,x"}, "Item 3 in parameter `filter.ids` has incorrect format"),
        ({"postFilter.ids": "x"}, "Item 1 in parameter `postFilter.ids` has incorrect format"),
        ({"sort": "!"}, "Item 1 in parameter `sort` has incorrect format"),
        ({"sort": "NCTId"}, "Unsupported sort field type: text"),
        ({"filter.overallStatus": "NOT_A_STATUS"}, "Invalid value in parameter `overallStatus`: `NOT_A_STATUS`"),
        ({"fields": "StudyDesign"}, "Parameter 'fields' contains invalid field name: 'StudyDesign'"),
        ({"fields": "nctid"}, "Parameter 'fields' contains invalid field name: 'nctid'"),
        ({"fields": ""}, "Parameter `fields` has incorrect format"),
        ({"filter.geo": "distance(1,2)"}, "Parameter `filter.geo` has incorrect format"),
        ({"geoDecay": "x"}, "Parameter `geoDecay` has incorrect format"),
        ({"pageSize": "-1"}, "Parameter `pageSize` has incorrect format"),
        ({"pageToken": "soon"}, "Parameter `pageToken` has incorrect format"),
        ({"format": "csv", "fields": "NCTId"}, "Parameter 'fields' contains invalid CSV column name: 'NCTId'"),
    ],
)
def test_refused_parameters(client: httpx.Client, parameters: dict[str, str], sentence: str) -> None:
    """What is wrong with a parameter is said in the service's words, as plain text."""
    answer = client.get("/studies", params=parameters)
    assert (answer.status_code, answer.text, answer.headers["Content-Type"]) == (400, sentence, "text/plain")


@pytest.mark.parametrize(
    ("path", "status", "sentence"),
    [
        ("/stats/field/values?query.cond=cancer", 400, "Invalid prefix in parameter name: query.cond"),
        ("/studies/download?format=json.zip&query.cond=cancer", 400, "Invalid prefix in parameter name: query.cond"),
        ("/stats/field/values?fields=BadField,Worse", 404, "Unknown piece name of field path: BadField"),
        ("http://sandbox.example/api/int/studies/NCT00009999/history", 404, "No study NCT00009999 history summary"),
        ("/version?now=1", 400, "`now` is unknown parameter"),
    ],
)
def test_other_refusals(client: httpx.Client, path: str, status: int, sentence: str) -> None:
    """The other endpoints refuse in the service's words too."""
    answer = client.get(path)
    assert (answer.status_code, answer.text) == (status, sentence)


def test_proxy_pages(client: httpx.Client) -> None:
    """Wrong paths and over-long addresses are answered by the proxy, in HTML."""
    for path in ("http://sandbox.example/api/query/full_studies", "/studies/NCT00000001/history"):
        wrong = client.get(path)
        assert (wrong.status_code, wrong.headers["Content-Type"], len(wrong.content)) == (404, "text/html", 555)
        assert b"nginx/1.26.2" in wrong.content
    long = client.get("/studies", params={"filter.ids": ",".join(["NCT00000001"] * 800)})
    assert (long.status_code, long.headers["Content-Type"]) == (414, "text/html")
    assert b"414 Request-URI Too Large" in long.content
    assert client.get("/studies", params={"filter.ids": ",".join(["NCT00000001"] * 500)}).status_code == 200


def test_etag(sandbox: Sandbox, client: httpx.Client) -> None:
    """One tag holds for the whole dataset, with -gzip where the body is compressed; it gives 304 until the next load."""
    plain = {"Accept-Encoding": "identity"}
    tag = client.get("/version", headers=plain).headers["ETag"]
    assert client.get("/studies", headers=plain).headers["ETag"] == tag
    zipped = client.get("/version").headers["ETag"]
    assert zipped == f'{tag[:-1]}-gzip"'
    for known in (tag, zipped):
        again = client.get("/version", headers={"If-None-Match": known})
        assert (again.status_code, again.content) == (304, b"")
    sandbox.advance()
    assert client.get("/version", headers={"If-None-Match": tag}).status_code == 200


def test_gzip_only_where_accepted(client: httpx.Client) -> None:
    """A body is compressed for those who accept it, and is the same either way."""
    bodies = []
    for accepted, zipped in (("gzip", True), ("identity", False), ("gzip;q=0", False), ("br, gzip;q=0.5", True)):
        with client.stream("GET", "/studies/NCT1", headers={"Accept-Encoding": accepted}) as answer:
            raw = b"".join(answer.iter_raw())
        assert ("Content-Encoding" in answer.headers) == zipped
        assert len(raw) == int(answer.headers["Content-Length"])
        bodies.append(gzip.decompress(raw) if zipped else raw)
    assert len(set(bodies)) == 1


def test_head_and_other_methods(client: httpx.Client) -> None:
    """HEAD gives the headers alone; writing is not allowed."""
    head = client.head("/version")
    assert (head.status_code, head.content) == (200, b"")
    assert client.post("/version").status_code == 405


@pytest.mark.parametrize(
    ("fields", "kept"),
    [
        ("NCTId", {"protocolSection": {"identificationModule": {"nctId": "NCT00000007"}}}),
        (
            "protocolSection.identificationModule.nctId|HasResults",
            {"protocolSection": {"identificationModule": {"nctId": "NCT00000007"}}, "hasResults": False},
        ),
        ("VersionHolder", {"derivedSection": {"miscInfoModule": {"versionHolder": "2026-01-05"}}}),
        ("LocationCity", {"protocolSection": {"contactsLocationsModule": {"locations": [{"city": "Bonn"}]}}}),
        (
            "Location,LocationCity",
            {"protocolSection": {"contactsLocationsModule": {"locations": [{"city": "Bonn", "zip": "1"}, {"zip": "2"}]}}},
        ),
        ("WhyStopped", {}),
        ("LocationSearch", {"protocolSection": {"contactsLocationsModule": {"locations": [{"city": "Bonn", "zip": "1"}, {"zip": "2"}]}}}),
    ],
)
def test_fields(
    fields: str,
    kept: dict[str, Any],
) -> None:
    """``fields`` keeps just the pieces, areas, dotted names and branches asked for, on both routes; what is absent is left out."""
    study = invent(7, locations=[{"city": "Bonn", "zip": "1"}, {"zip": "2"}])
    with client_of(Sandbox(lines("2026-01-05", study))) as client:
        assert client.get("/studies", params={"fields": fields}).json()["studies"] == [kept]
        assert client.get("/studies/NCT00000007", params={"fields": fields}).json() == kept


def test_queried_fields(client: httpx.Client) -> None:
    """``@query`` stands for the fields that the query looks at."""
    found = client.get("/studies", params={"fields": "@query", "query.titles": '"study 1"'}).json()["studies"]
    assert found == [{"protocolSection": {"identificationModule": {"briefTitle": "Invented study 1"}}}]


def test_zip_downloads(client: httpx.Client) -> None:
    """The bulk download holds every study under its last two digits; one study comes as a zip too."""
    bulk = zipfile.ZipFile(io.BytesIO(client.get("/studies/download", params={"format": "json.zip"}).content))
    assert bulk.namelist() == ["01/NCT00000001.json", "02/NCT00000002.json", "03/NCT00000003.json"]
    one = zipfile.ZipFile(io.BytesIO(client.get("/studies/NCT1", params={"format": "json.zip"}).content))
    assert one.read(one.namelist()[0]) == client.get("/studies/NCT1").content


def test_metadata_and_areas(client: httpx.Client) -> None:
    """The data model and the search areas can be asked for."""
    tree = client.get("/studies/metadata").json()
    assert [root["name"] for root in tree] == [
        "protocolSection",
        "resultsSection",
        "annotationSection",
        "documentSection",
        "derivedSection",
        "hasResults",
    ]
    areas = client.get("/studies/search-areas").json()[0]["areas"]
    assert len(areas) == 19
    assert len(areas[0]["parts"]) == 57


@pytest.mark.parametrize(("start", "load"), [("2026-01-05", "2026-01-05"), ("2026-01-06", "2026-01-06"), ("2030-01-01", "2026-01-07")])
def test_start(start: str, load: str) -> None:
    """The sandbox starts at the last load that is not after the start."""
    days = [line for day in ("2026-01-05", "2026-01-06", "2026-01-07") for line in lines(day, invent(1))]
    assert Sandbox(days, start=date.fromisoformat(start)).load == load


def test_start_too_early() -> None:
    """A start before the first load is refused, and names that load; so are no loads at all."""
    with pytest.raises(BadDate, match="the first is 2026-01-05"):
        Sandbox(lines("2026-01-05", invent(1)), start=date(2026, 1, 4))
    with pytest.raises(FileError, match="no load"):
        Sandbox([])
