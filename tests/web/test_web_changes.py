"""The change log over HTTP: every filter, pages, forms, and what is refused."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from following import World, edited, invent, publish, status
from schema import ApiVisitor, over

from trialsync.model import By, Kind, Origin, Tier
from trialsync.publish.privacy import change_without_contacts
from trialsync.publish.sheets import CHANGES, change_json
from trialsync.store.filters import ChangeFilter
from trialsync.store.reader import Reader
from trialsync.web.api import filters, formats

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def api(packaged: Path, tmp_path: Path) -> ApiVisitor:
    """Return a visitor of the packaged loads' store who holds every answer against the document."""
    return over(packaged, tmp_path)


def rows_of(store: Path, **wanted: Any) -> list[dict[str, Any]]:
    """Return what the store itself says, contact persons left out, as JSON objects, oldest first."""
    with Reader.open(store) as reader:
        return [json.loads(json.dumps(change_json(change_without_contacts(row)))) for row in reader.changes(ChangeFilter(**wanted))]


FILTERS: dict[str, dict[str, Any]] = {
    "since=2026-05-12": {"since": "2026-05-12"},
    "since=4d": {"since": "2026-05-12"},
    "since=98000w": {"since": "0148-02-11"},
    "until=2026-05-01": {"until": "2026-05-01"},
    "since=2026-05-01&until=2026-05-07": {"since": "2026-05-01", "until": "2026-05-07"},
    "seen-since=2026-05-13T12:00Z": {"seen_since": "2026-05-13T12:00:00.000Z"},
    "seen_since=2026-05-13": {"seen_since": "2026-05-13"},
    "study=NCT09000024&study=nct09000062": {"studies": ("NCT09000024", "NCT09000062")},
    "watch=parkinson": {"watches": ("parkinson",)},
    "field=outcomes.*": {"fields": ("outcomes.*",)},
    "field=status.overallStatus&field=status.whyStopped": {"fields": ("status.overallStatus", "status.whyStopped")},
    "kind=added&kind=removed": {"kinds": (Kind.ADDED, Kind.REMOVED)},
    "tier=headline": {"tiers": (Tier.HEADLINE,)},
    "by=registry": {"bys": (By.REGISTRY,)},
    "origin=poll": {"origins": (Origin.POLL,)},
    "origin=import": {"origins": (Origin.IMPORT,)},
    "fact=stopped": {"facts": ("stopped",)},
    "without=stopped&kind=changed": {"without_facts": ("stopped",), "kinds": (Kind.CHANGED,)},
    "country=japan": {"countries": ("japan",)},
    "sponsor=halvorsen": {"sponsors": ("halvorsen",)},
    "text=levodopa": {"texts": ("levodopa",)},
    "baseline=true&study=NCT09000024": {"baseline": True, "studies": ("NCT09000024",)},
    "all=false": {"housekeeping": False},
    "all=false&tier=housekeeping": {"tiers": (Tier.HOUSEKEEPING,)},
}


@pytest.mark.parametrize(("query", "wanted"), FILTERS.items(), ids=FILTERS)
def test_each_filter_gives_what_the_store_gives(api: ApiVisitor, packaged: Path, query: str, wanted: dict[str, Any]) -> None:
    """Every filter of the command line is a parameter of the same name, and a repeated one means any of its values."""
    found = api.json(f"/api/changes?limit=1000&order=oldest&{query}")["changes"]
    expected = rows_of(packaged, **wanted)
    assert found == expected
    assert expected or "import" in query


def test_reading_on_gives_every_row_once(api: ApiVisitor, packaged: Path) -> None:
    """Following next from the oldest, or from the newest, gives the whole log, each row once, in order."""
    ids = [row["id"] for row in rows_of(packaged)]
    for start, expected in (("/api/changes?after=0&limit=37", ids), ("/api/changes?limit=37", ids[::-1])):
        found, address = [], start
        while address:
            page = api.json(address)
            assert len(page["changes"]) <= 37
            assert page["cursor"] == max(row["id"] for row in page["changes"])
            found += [row["id"] for row in page["changes"]]
            address = page["next"]
        assert found == expected


def test_next_keeps_what_was_asked(api: ApiVisitor) -> None:
    """The address where one reads on asks the same question, however its values are written."""
    first = api.json(f"/api/changes?limit=1&order=oldest&field={quote('status.*')}&field=%6futcomes.*&text={quote('Parkinson disease')}")
    assert first["next"].startswith("/api/changes?limit=1&field=status.%2A&field=outcomes.%2A&text=Parkinson+disease")
    again = api.json(first["next"])
    assert again["changes"][0]["id"] > first["changes"][0]["id"]


def test_a_program_reads_on_from_its_cursor(tmp_path: Path) -> None:
    """The cursor of the newest rows, asked as after, gives nothing until something is recorded, and then that alone."""
    study = invent(1)
    world = World(tmp_path, publish([study], [status(study, "COMPLETED", "2026-02-03")], [status(study, "TERMINATED", "2026-02-04")]))
    world.poll()
    world.next()
    api = over(world.store, tmp_path)
    cursor = api.json("/api/changes")["cursor"]
    page = api.json(f"/api/changes?after={cursor}")
    assert (page["changes"], page["cursor"], page["next"]) == ([], cursor, None)
    world.next()
    news = api.json(f"/api/changes?after={cursor}&field=status.overallStatus")["changes"]
    assert [(row["before"], row["after"]) for row in news] == [("COMPLETED", "TERMINATED")]


def test_a_cursor_past_the_end_is_gone(api: ApiVisitor) -> None:
    """A cursor that this log never gave out gets 410, never an empty list; so does one in the address of a study."""
    for path in ("/api/changes", "/api/studies/NCT09000024/changes"):
        found = api.problem(f"{path}?after=999999", 410)
        assert "past the log's end" in found["detail"]


REFUSED = {
    "sinse=7d": (400, "did you mean since?"),
    "=1": (400, "there is no parameter ''"),
    "since=yesterday": (400, "since 'yesterday': must be a day such as 2026-02-18, or a time ago"),
    "since=": (400, "since '': must be a day"),
    "since=2026-02-30": (422, "since '2026-02-30' is not a date"),
    "since=2026-05-02&until=2026-05-01": (422, "since 2026-05-02 is after until 2026-05-01"),
    "since=1d&since=2d": (400, "since is given twice, and takes one value"),
    "seen-since=2026-02-18T09:00": (400, "seen-since '2026-02-18T09:00': must be"),
    "study=07263919": (400, "study '07263919': must be an NCT number"),
    "study=NCT01234567": (404, "NCT01234567 is not in the store"),
    "watch=nothing": (404, "no watch 'nothing'"),
    "watch=../../etc": (400, "watch '../../etc': must be a name"),
    "field=status.overalStatus": (422, "status.overallStatus"),
    "field=%00": (400, "field '\\x00': must be a path"),
    "kind=edited": (400, "kind 'edited': must be one of added, removed, changed"),
    "fact=stoped": (400, "must be one of"),
    "baseline=yes": (400, "baseline 'yes': must be true or false"),
    "limit=0": (400, "limit '0': must be a whole number from 1 to 10000"),
    "limit=1e3": (400, "limit '1e3': must be"),
    "limit=\u0661": (400, "limit"),
    "limit=1001": (422, "limit 1001 is more than an answer in JSON has, 1,000"),
    "after=-1": (400, "after '-1': must be"),
    "after=99999999999999999999": (400, "after"),
    "text=!!!": (422, "'!!!' holds no word to look for"),
    "text=%ff": (400, "the query is not UTF-8"),
    "text=" + "a" * 201: (400, "must be of 200 characters at most"),
    "order=up": (400, "order 'up': must be one of oldest, newest"),
    "&".join(["kind=added"] * 51): (400, "kind is given more than 50 times"),
    "&".join(["kind=added"] * 101): (400, "the query has more than 100 parameters"),
}


@pytest.mark.parametrize(("query", "expected"), REFUSED.items(), ids=[query[:40] for query in REFUSED])
def test_what_cannot_be_meant_is_refused_by_name(api: ApiVisitor, query: str, expected: tuple[int, str]) -> None:
    """A parameter that is unknown, malformed or senseless gets a problem that names it and says what to do."""
    code, said = expected
    found = api.problem(f"/api/changes?{query}", code)
    assert said in f"{found['detail']} {found.get('hint', '')}"


def test_the_forms_say_the_same(api: ApiVisitor) -> None:
    """JSON, JSON lines and CSV hold the same rows, by suffix and by Accept, with a link where one reads on."""
    asked = "field=status.*&limit=5"
    plain = api.json(f"/api/changes?{asked}")
    for lines in (api.get(f"/api/changes.jsonl?{asked}"), api.get(f"/api/changes?{asked}", Accept="application/x-ndjson")):
        assert [json.loads(line) for line in lines.text.splitlines()] == plain["changes"]
    assert api.json(f"/api/changes.json?{asked}")["changes"] == plain["changes"]
    for sheet in (api.get(f"/api/changes.csv?{asked}"), api.get(f"/api/changes?{asked}", Accept="text/html;q=0.9, text/csv")):
        assert sheet.headers["content-disposition"] == 'attachment; filename="changes.csv"'
        rows = list(csv.DictReader(io.StringIO(sheet.text)))
        assert tuple(rows[0]) == CHANGES.keys
        assert [row["ref"] for row in rows] == [row["ref"] for row in plain["changes"]]
        link = sheet.headers["link"].removeprefix("<").removesuffix('>; rel="next"')
        assert link.startswith("/api/changes.csv?")
        assert next(csv.DictReader(io.StringIO(api.get(link).text)))["id"] < rows[-1]["id"]
    assert api.get("/api/changes.csv?limit=10000").status_code == 200


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (None, "application/json"),
        ("*/*", "application/json"),
        ("text/csv;q=0.5, application/json;q=0.4", "text/csv"),
        ("application/jsonl, */*;q=0.1", "application/jsonl"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "application/json"),
        ("application/json;q=0, text/*", "text/csv"),
        ("text/html", None),
        ("application/json;q=0", None),
        ("application/json;q=x", None),
    ],
)
def test_accept_chooses_the_form(api: ApiVisitor, accept: str | None, media_type: str | None) -> None:
    """The best liked form is answered; where none is accepted it is 406 and the names of those there are."""
    response = api.get("/api/changes?limit=1", **({"Accept": accept} if accept else {}))
    if media_type is None:
        assert response.status_code == 406
        assert "text/csv" in response.json()["hint"]
    else:
        assert response.headers["content-type"].partition(";")[0] == media_type
        assert "Accept" in response.headers["vary"].split(", ")


def test_a_large_answer_ends_early_and_leads_on(tmp_path: Path) -> None:
    """Long values end an answer before its limit, after the row that reaches the bound; the link leads to the rest, nothing is lost."""
    studies = [invent(number, descriptionModule={"detailedDescription": "before"}) for number in range(1, 6)]
    long = "word " * (formats.LARGEST_BODY // 10)
    later = [edited(study, "2026-02-03", descriptionModule__detailedDescription=long) for study in studies]
    world = World(tmp_path, publish(studies, later))
    world.poll()
    world.next()
    api = over(world.store, tmp_path)
    asked = "/api/changes.jsonl?field=description.*&after=0"
    first = api.get(asked)
    assert len(first.text.splitlines()) == 2
    lines, address = [], asked
    while address:
        page = api.get(address)
        lines += page.text.splitlines()
        address = page.headers.get("link", "").removeprefix("<").removesuffix('>; rel="next"')
    assert sorted(json.loads(line)["nct_id"] for line in lines) == [f"NCT{number:08d}" for number in range(1, 6)]


def test_a_poll_that_changes_nothing_changes_no_tag(tmp_path: Path) -> None:
    """A poll that finds nothing new leaves every answer as it is; a new load without news moves last_seen alone, a change what it is in."""
    study = invent(1)
    world = World(tmp_path, publish([study], [], [status(study, "COMPLETED", "2026-02-04")]))
    world.poll()
    api = over(world.store, tmp_path)
    paths = ("/api/changes", "/api/studies", "/api/studies/NCT00000001", "/api/fields", "/api/studies/NCT00000001/versions")
    tags = {path: api.get(path).headers["etag"] for path in paths}
    world.poll()
    for path, tag in tags.items():
        assert api.get(path, If_None_Match=tag).status_code == 304, path
    world.next()
    for path, tag in tags.items():
        assert api.get(path, If_None_Match=tag).status_code == (200 if path == "/api/studies/NCT00000001" else 304), path
    world.next()
    for path, tag in tags.items():
        assert api.get(path, If_None_Match=tag).status_code == (304 if path == "/api/fields" else 200), path


def test_csv_holds_no_formula(tmp_path: Path) -> None:
    """What a spreadsheet would take for a formula is text in CSV, and untouched in JSON."""
    study = invent(1)
    evil = '=HYPERLINK("http://evil.example")'
    world = World(tmp_path, publish([study], [edited(study, "2026-02-03", identificationModule__briefTitle=evil)]))
    world.poll()
    world.next()
    api = over(world.store, tmp_path)
    row = next(csv.DictReader(io.StringIO(api.get("/api/changes.csv?field=identification.briefTitle").text)))
    assert row["title"] == row["after"] == f"'{evil}"
    assert api.json("/api/changes?field=identification.briefTitle")["changes"][0]["after"] == evil
    assert filters.MOST_LINES == 10_000
