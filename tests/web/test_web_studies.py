"""Studies over HTTP: which there are, one as it was, its versions; what is followed; the Markdown page and llms.txt."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from following import World, edited, invent, publish, status
from schema import ApiVisitor, over

from trialsync.model import Watch
from trialsync.publish.sheets import poll_json
from trialsync.store.reader import Reader
from trialsync.study import fields
from trialsync.study.facts import FACTS
from trialsync.sync.pages import look, page_of

if TYPE_CHECKING:
    from pathlib import Path

    from visiting import Visitor


@pytest.fixture
def api(packaged: Path, tmp_path: Path) -> ApiVisitor:
    """Return a visitor of the packaged loads' store who holds every answer against the document."""
    return over(packaged, tmp_path)


def numbers(api: ApiVisitor, query: str = "") -> list[str]:
    """Return the numbers of the studies that a query finds."""
    return [row["nct_id"] for row in api.json(f"/api/studies?limit=1000&{query}")["studies"]]


def test_studies_are_listed_by_number(api: ApiVisitor, packaged: Path) -> None:
    """All studies are there, by number, page after page, with the columns of their rows."""
    with Reader.open(packaged) as reader:
        expected = [row.nct_id for row in reader.studies()]
    found, address = [], "/api/studies?limit=7"
    while address:
        page = api.json(address)
        found += [row["nct_id"] for row in page["studies"]]
        address = page["next"]
    assert found == expected == numbers(api)
    csv = api.get("/api/studies.csv").text.splitlines()
    assert csv[0].startswith("nct_id,title,overall_status,")
    assert len(csv) > len(expected)


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("watch=parkinson", lambda row: "Parkinson" in str(row["conditions"])),
        ("status=RECRUITING", lambda row: row["overall_status"] == "RECRUITING"),
        ("status=recruiting", lambda row: row["overall_status"] == "RECRUITING"),
        ("status=RECRUITING&status=UNKNOWN", lambda row: row["overall_status"] in {"RECRUITING", "UNKNOWN"}),
        ("sponsor=halvorsen", lambda row: "Halvorsen" in row["sponsor"]),
        ("country=%20japan%20", lambda row: "Japan" in row["countries"]),
        ("country=japan&country=Israel", lambda row: {"Japan", "Israel"} & set(row["countries"])),
        ("presence=removed&presence=merged&presence=withheld", lambda row: row["presence"] != "listed"),
        ("text=levodopa", lambda row: "levodopa" in f"{row['title']} {row['conditions']}".lower()),
        ("status=NO_SUCH_STATUS", lambda row: not row),
    ],
)
def test_each_filter_of_studies(api: ApiVisitor, query: str, wanted: Any) -> None:
    """Each filter finds the studies whose rows are so, and no others."""
    every = api.json("/api/studies?limit=1000")["studies"]
    found = numbers(api, query)
    expected = [row["nct_id"] for row in every if wanted(row)]
    if query == "watch=parkinson":
        assert 0 < len(found) < len(every)
    else:
        assert found == expected
        assert found or query == "status=NO_SUCH_STATUS"


@pytest.mark.parametrize(
    ("query", "code", "said"),
    [
        ("status=not-recruiting", 400, "a status as the registry spells it"),
        ("watch=nothing", 404, "no watch 'nothing'"),
        ("text=%20", 400, "text ' ': must be words"),
        ("text=-", 422, "holds no word"),
        ("after=NCT1", 400, "an NCT number"),
        ("limit=1001", 422, "limit 1001"),
    ],
)
def test_what_no_study_can_be_is_refused(api: ApiVisitor, query: str, code: int, said: str) -> None:
    """A filter of studies that is malformed or senseless gets a problem that names it."""
    assert said in api.problem(f"/api/studies?{query}", code)["detail"]


def test_a_study_as_it_was(tmp_path: Path) -> None:
    """A study is the registry's JSON beside what is known of it; a day or a version before gives what held then."""
    study = invent(1)
    world = World(tmp_path, publish([study], [status(study, "COMPLETED", "2026-02-03")], ["NCT00000001"], []))
    world.poll()
    for _ in range(3):
        world.next()
    api = over(world.store, tmp_path)
    now = api.json("/api/studies/nct00000001")
    assert (now["nct_id"], now["version"]["number"], now["latest"], now["presence"]) == ("NCT00000001", 2, True, "removed")
    assert now["study"]["protocolSection"]["statusModule"]["overallStatus"] == "COMPLETED"
    for query in ("as_of=2026-02-02", "as-of=2026-02-02", "version=1"):
        then = api.json(f"/api/studies/NCT00000001?{query}")
        assert (then["version"]["number"], then["latest"], then["presence"]) == (1, False, "listed")
        assert then["study"]["protocolSection"]["statusModule"]["overallStatus"] == "RECRUITING"
    versions = api.json("/api/studies/NCT00000001/versions")["versions"]
    assert [each["number"] for each in versions] == [1, 2]
    assert then["version"] == versions[0]


@pytest.mark.parametrize(
    ("path", "code", "said"),
    [
        ("/api/studies/NCT01234567", 404, "NCT01234567 is not in the store"),
        ("/api/studies/NCT00000000/changes", 404, "NCT00000000 is not in the store"),
        ("/api/studies/1", 400, "'1' must be an NCT number"),
        ("/api/studies/%00", 400, "must be an NCT number"),
        ("/api/studies/..%2f..%2fetc%2fpasswd", 404, "no page"),
        ("/api/studies/NCT09000024?version=99", 404, "has no version 99"),
        ("/api/studies/NCT09000024?as_of=2001-01-01", 404, "is not known as of 2001-01-01"),
        ("/api/studies/NCT09000024?as_of=2026-05-01&version=1", 422, "name two versions"),
        ("/api/studies/NCT09000024?fields=title", 400, "there is no parameter 'fields'"),
    ],
)
def test_a_study_that_is_not_there(web: Visitor, path: str, code: int, said: str) -> None:
    """A study, a version or a day that the store does not have is a problem that says so."""
    assert said in web.problem(path, code)["detail"]


def test_changes_of_one_study(api: ApiVisitor) -> None:
    """The changes of a study are those of the log for it, with the same filters and links."""
    found = api.json("/api/studies/NCT09000024/changes?order=oldest&limit=2&baseline=true")
    assert {row["nct_id"] for row in found["changes"]} == {"NCT09000024"}
    assert found["next"].startswith("/api/studies/NCT09000024/changes?")
    assert api.json("/api/studies/NCT09000024/changes")["changes"] == api.json("/api/changes?study=NCT09000024")["changes"]
    assert "study" in api.problem("/api/studies/NCT09000024/changes?study=NCT09000024", 400)["detail"]


def test_what_differs_between_two_days(tmp_path: Path) -> None:
    """The net difference between two days has one row a path, whatever steps led there; days the wrong way round or not known say so."""
    study = invent(1)
    world = World(tmp_path, publish([study], [status(study, "SUSPENDED", "2026-02-03")], [status(study, "COMPLETED", "2026-02-04")]))
    world.poll()
    world.next()
    world.next()
    api = over(world.store, tmp_path)
    found = api.json("/api/studies/NCT00000001/diff?from=2026-02-02&to=2026-02-04")["changes"]
    row = next(row for row in found if row["path"] == "status.overallStatus")
    assert (row["before"], row["after"], row["steps"], row["from_version"], row["to_version"]) == ("RECRUITING", "COMPLETED", 2, 1, 3)
    assert api.json("/api/studies/NCT00000001/diff?from=2026-02-04")["changes"] == []
    assert api.get("/api/studies/NCT00000001/diff.csv?from=2026-02-02").text.startswith("nct_id,title,sponsor,from,to,")
    assert "from is missing" in api.problem("/api/studies/NCT00000001/diff", 400)["detail"]
    assert "is after to" in api.problem("/api/studies/NCT00000001/diff?from=2026-02-04&to=2026-02-03", 422)["detail"]
    assert "is not known as of" in api.problem("/api/studies/NCT00000001/diff?from=2001-01-01", 404)["detail"]


def test_notices_are_told(tmp_path: Path) -> None:
    """What the registry changed in many studies at once is told by load; a day leaves out the loads before."""
    studies = [invent(number) for number in range(1, 15)]
    moved = [edited(study) | {"derivedSection": {"conditionBrowseModule": {"meshes": [{"id": "D1", "term": "x"}]}}} for study in studies]
    world = World(tmp_path, publish(studies, moved))
    world.poll()
    world.next()
    api = over(world.store, tmp_path)
    (found,) = api.json("/api/notices")["notices"]
    assert (found["load"], found["studies"], found["field"]) == ("2026-02-03", 14, "derived.conditionBrowse.meshes")
    assert api.json("/api/notices?since=2026-02-04")["notices"] == []
    assert api.get("/api/notices.csv").text.startswith("id,load,field,kind,studies,followed,seen,text")


PERSON = {"name": "Jane Doe", "role": "CONTACT", "phone": "555-0100", "email": "jane@example.org"}


def test_contact_persons_stay_out_unless_the_settings_show_them(tmp_path: Path) -> None:
    """No face of the API names a contact person, in records, rows or CSV; with [web] contacts = true they are as the registry has them."""
    study = edited(invent(1), contactsLocationsModule__centralContacts=[PERSON])
    gone = edited(study, "2026-02-03", contactsLocationsModule__centralContacts=[PERSON | {"phone": "555-0199"}])
    world = World(tmp_path, publish([study], [gone]))
    world.poll()
    world.next()
    between = "/api/studies/NCT00000001/diff?from=2026-02-02&to=2026-02-03"
    paths = (
        between,
        "/api/studies/NCT00000001",
        "/api/studies/NCT00000001?version=1",
        "/api/changes?baseline=true",
        "/api/changes.csv",
        "/trials/NCT00000001.md",
    )
    hidden, shown = over(world.store, tmp_path), over(world.store, tmp_path, "[web]\ncontacts = true")
    for path in paths:
        assert not [word for word in ("jane", "Jane", "555") if word in hidden.get(path).text], path
    row = hidden.json("/api/changes?field=contacts.*")["changes"][0]
    assert (row["path"], row["before"], row["after"]) == ("contacts.centralContacts.[contact person].phone", None, None)
    for path in paths[:5]:
        assert "555-0199" in shown.get(path.replace("?version=1", "")).text


def test_what_is_followed(tmp_path: Path) -> None:
    """The watches of the settings come first, then those that only the store knows any more; a file of numbers is not opened."""
    world = World(tmp_path, publish([invent(1)]))
    world.poll()
    text = '[[watch]]\nname = "mine"\nnct_ids = ["NCT00000001"]\n[[watch]]\nname = "listed"\nnct_ids_file = "not-there.csv"'
    found = {row["name"]: row for row in over(world.store, tmp_path, text).json("/api/watches")["watches"]}
    assert list(found) == ["mine", "listed", "ataxia"]
    assert (found["mine"]["nct_ids"], found["mine"]["studies"]) == (["NCT00000001"], None)
    assert (found["ataxia"]["studies"], found["ataxia"]["load"], found["ataxia"]["ended"]) == (1, "2026-02-02", "complete")


def test_past_polls(tmp_path: Path) -> None:
    """Polls are listed the newest first, those of one watch where it is named."""
    world = World(tmp_path, publish([invent(1)], []))
    world.poll()
    world.poll(Watch("all", everything=True))
    world.next()
    api = over(world.store, tmp_path)
    with world.reader() as reader:
        expected = [json.loads(json.dumps(poll_json(poll))) for poll in reader.polls()]
    assert api.json("/api/polls")["polls"] == expected
    assert [row["watch"] for row in api.json("/api/polls?watch=all")["polls"]] == ["all"]
    assert len(api.json("/api/polls?limit=1")["polls"]) == 1
    assert "no watch 'none'" in api.problem("/api/polls?watch=none", 404)["detail"]


def test_the_vocabulary_and_the_facts(api: ApiVisitor) -> None:
    """Every field and every fact is there, in every form."""
    names = [row["name"] for row in api.json("/api/fields")["fields"]]
    assert names == [each.name for each in (*fields.FIELDS, *fields.ABOUT_THE_WHOLE)]
    assert [json.loads(line)["name"] for line in api.get("/api/fields.jsonl").text.splitlines()] == names
    assert [row["id"] for row in api.json("/api/facts")["facts"]] == [rule.id for rule in FACTS]
    assert api.get("/api/facts.csv").text.startswith("id,")


def test_the_index_names_every_address(api: ApiVisitor) -> None:
    """/api lists the operations and the OpenAPI document."""
    found = api.json("/api")
    assert found["openapi"] == "/api/openapi.json"
    assert api.json(found["operations"]["changes"]["address"])
    assert api.problem("/api?x=1", 400)["hint"] == "this address takes none"


def test_the_markdown_page_is_that_of_the_command_line(packaged: Path, tmp_path: Path) -> None:
    """/trials/NCT_ID.md gives the bytes that trialsync show prints with the same settings, as Markdown with a tag."""
    text = '[site]\nbase_url = "https://example.org/agent"\nnote = "A raw mirror."'
    web = over(packaged, tmp_path, text)
    response = web.get("/trials/NCT09000024.md")
    with Reader.open(packaged) as reader:
        expected = page_of(reader, look(reader, "NCT09000024"), web.settings.site)
    assert response.text == expected
    assert response.headers["content-type"] == "text/markdown; charset=utf-8"
    assert web.get("/trials/NCT09000024.md", If_None_Match=response.headers["etag"]).status_code == 304
    assert "canonical_url: " in response.text


@pytest.mark.parametrize("name", ["NCT01234567.md", "x.md", "..%2f..%2fetc%2fpasswd.md", "NCT09000024", "%00.md", ".md"])
def test_a_page_that_is_not_there(web: Visitor, name: str) -> None:
    """No other file is read by the name of a page."""
    assert web.problem(f"/trials/{name}", 404)


def test_llms_txt_says_what_is_here(web: Visitor, packaged: Path, tmp_path: Path) -> None:
    """llms.txt has a title, a summary, where pages are, and links that lead somewhere; it works on an empty store."""
    text = web.get("/llms.txt").text
    assert text.startswith(
        "# trialsync\n\n> 38 studies of ClinicalTrials.gov and what changed in them, as of the registry's load of 2026-05-14.\n"
    )
    for address in [part.partition(")")[0] for part in text.split("](")[1:]]:
        assert web.get(address).status_code == 200, address
    noted = over(packaged, tmp_path, '[site]\nbase_url = "https://example.org/agent"\nnote = "A raw mirror."').get("/llms.txt").text
    assert "`https://example.org/agent/trials/NCT_ID.md`" in noted
    assert "A raw mirror." in noted
    empty = World(tmp_path, publish([invent(1)]), name="empty.db")
    assert "> 0 studies" in over(empty.store, tmp_path).get("/llms.txt").text


def test_a_hyphen_and_an_underscore_are_one(web: Visitor) -> None:
    """A parameter's name is read with hyphens and with underscores alike."""
    for one, other in (
        ("/api/studies/NCT09000024?as_of=2026-05-01", "/api/studies/NCT09000024?as-of=2026-05-01"),
        ("/api/changes?seen-since=2026-05-10", "/api/changes?seen_since=2026-05-10"),
    ):
        assert web.json(one) == web.json(other)
