"""Hostile studies on every page: whatever a sponsor writes into the registry comes out as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from following import DAYS, World, edited, invent, publish, site, status
from markup import read
from visiting import Visitor, settings_of, visitor

from trialsync.model import Watch
from trialsync.store.filters import ChangeFilter

if TYPE_CHECKING:
    from pathlib import Path

ALL = Watch("all", everything=True)
EVIL = (
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "\"><svg onload=alert(1)> ' onfocus=alert(1) autofocus='",
    "{{ 7*7 }} {% include '/etc/passwd' %} ${7*7} #{7*7}",
    "# heading\n\n[x](javascript:alert(1))\n```\n---\n<!-- -->",
    "\x1b[2J\x1b]0;owned\x07\u202egnp.exe\u2066",
    "a\u0000b\u0001c\u007fd\u0085e\ufefff\ud800"[:-1],
    "../../etc/passwd%2f..%00?x=1#y",
    "</title></textarea></details></table></main></html>",
    "]]> &amp; &lt;b&gt; &#60;i&#62;",
)
HUGE = "word " * 800_000
STEERING = {"\x1b", "\x07", "\x00", "\x01", "\x7f", "\x85", "\u202e", "\u2066", "\ufeff"}


def evil_study(number: int, text: str) -> dict[str, Any]:
    """Return a study of which every text is this one."""
    return edited(
        invent(number),
        identificationModule__briefTitle=text,
        identificationModule__officialTitle=f"{text} official",
        statusModule__overallStatus=text,
        conditionsModule__conditions=[text],
        designModule__phases=[text],
        sponsorCollaboratorsModule__leadSponsor__name=text,
        sponsorCollaboratorsModule__leadSponsor__class=text,
        statusModule__completionDateStruct={"date": text, "type": text},
        outcomesModule__primaryOutcomes=[{"measure": text, "timeFrame": text, "description": f"{text} and more words of a description"}],
        contactsLocationsModule__locations=[{"facility": text, "city": text, "country": text, "status": text}],
        eligibilityModule={"eligibilityCriteria": f"Inclusion:\n* {text}\n* adults of any age who can walk"},
    )


def moved(study: dict[str, Any], text: str) -> dict[str, Any]:
    """Return what became of it: every text another, as hostile."""
    return edited(
        study,
        "2026-02-03",
        statusModule__overallStatus="TERMINATED",
        statusModule__whyStopped=text,
        sponsorCollaboratorsModule__leadSponsor__name=f"{text} Ltd",
        conditionsModule__conditions=[text, f"{text} too"],
        outcomesModule__primaryOutcomes=[{"measure": text, "timeFrame": "x", "description": f"{text} and other words of a description"}],
        contactsLocationsModule__locations=[{"facility": f"{text} 2", "city": text, "country": text, "status": text}],
        eligibilityModule={"eligibilityCriteria": f"Inclusion:\n* {text}\n* adults of any age who can run {text}"},
    )


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store of hostile studies, each of two versions; the last one has texts of four megabytes."""
    folder = tmp_path_factory.mktemp("hostile-pages")
    before = [evil_study(number, text) for number, text in enumerate(EVIL, 1)]
    huge = edited(
        invent(99),
        identificationModule__briefTitle=HUGE[:100_000],
        descriptionModule={"detailedDescription": HUGE},
        sponsorCollaboratorsModule__leadSponsor__name=HUGE[:100_000],
        outcomesModule__primaryOutcomes=[{"measure": "Gait", "description": HUGE}],
    )
    after = [moved(study, text) for study, text in zip(before, EVIL, strict=True)]
    after.append(
        edited(
            huge,
            "2026-02-03",
            descriptionModule={"detailedDescription": f"{HUGE}more"},
            statusModule__whyStopped=HUGE,
            outcomesModule__primaryOutcomes=[{"measure": "Gait", "description": f"x{HUGE}"}],
        )
    )
    world = World(folder, publish([*before, huge], after))
    world.poll(ALL)
    world.next(ALL)
    return world.store


@pytest.fixture
def web(hostile: Path, tmp_path: Path) -> Visitor:
    """Return a browser before that store."""
    found = visitor(hostile, settings_of(tmp_path))
    found.headers["Accept"] = "text/html"
    return found


STUDIES = [f"NCT{number:08d}" for number in range(1, len(EVIL) + 1)]
PAGES = [
    "/?limit=300&view=lines",
    "/?limit=300&view=rows&all=true&baseline=true",
    "/watches",
    "/watches/all",
    "/watches/all?since=2026-02-02",
    "/about",
    *(f"/studies/{number}" for number in (*STUDIES, "NCT00000099")),
    *(f"/studies/{number}/versions/{version}" for number in (*STUDIES, "NCT00000099") for version in (1, 2)),
    *(f"/sponsors/{quote(text, safe='')}" for text in EVIL if not STEERING & set(text)),
]


@pytest.mark.parametrize("path", PAGES)
def test_hostile_text_comes_out_as_text(web: Visitor, path: str) -> None:
    """Nothing that a study says becomes an element, an attribute, a foreign link, a template's value or a character that steers."""
    response = web.get(path)
    assert response.status_code == 200 or path.startswith("/sponsors/")
    assert not STEERING & set(response.text)
    found = read(response.text)
    assert found.faults == []
    assert not {"script", "img", "i", "iframe", "textarea"} & set(found.elements)
    assert found.elements.count("svg") <= 1
    assert not [name for name in found.attributes if name.startswith("on") or name in {"autofocus", "style"}]
    assert all(link.startswith(("/", "#", "https://clinicaltrials.gov/")) and not link.startswith("//") for link in found.links)
    assert not [link for link in found.links if "/../" in link or "javascript:" in link]
    assert "49" not in response.text.partition("{{ 7*7 }}")[2][:8]
    assert len(response.text) < 2_000_000


def test_every_text_is_there(web: Visitor) -> None:
    """What is written in a study can be read on its page, to the character where no character steers."""
    for number, text in zip(STUDIES, EVIL, strict=True):
        if not STEERING & set(text):
            shown = " ".join(read(web.get(f"/studies/{number}").text).text.split())
            assert " ".join(text.split()) in shown


def test_huge_text_is_cut_with_a_way_to_the_whole(web: Visitor) -> None:
    """A field of four megabytes is cut on the page, and the link beside it has all of it as JSON."""
    response = web.get("/studies/NCT00000099")
    assert len(response.content) < 200_000
    links = [link for link in read(response.text).links if link.startswith("/api/studies/NCT00000099/changes?after=")]
    assert links
    rows = [web.ask("GET", link, {"Accept": "application/json"}).json()["changes"] for link in links]
    assert all(len(row) == 1 for row in rows)
    assert max(len(str(row[0]["after"])) for row in rows) >= len(HUGE.strip())


@pytest.mark.parametrize(
    "path",
    [
        *(f"/?{name}={quote(text)}" for name in ("text", "sponsor", "field", "study", "watch", "since", "x") for text in EVIL[:3]),
        *(f"/{kind}/{quote(text, safe='')}" for kind in ("studies", "watches", "sponsors") for text in EVIL),
        "/studies/%2e%2e",
        "/sponsors//",
        "/watches/all?text=%00",
        "/?" + "text=a&" * 60,
        "/?" + "a&" * 2000,
        "/?before=99999999999999999999",
        "/?before=0",
        "/?limit=100000",
        "/?history=maybe",
        "/static/../app.py",
        "/static/%2e%2e%2fapp.py",
        "/static/style.css%00",
        "/studies/NCT00000001/versions/٢",
        "/studies/NCT00000001/versions/99999999999999999999999",
        "/studies/NCT00000001?as_of=2026-02-03&as_of=2026-02-03",
    ],
)
def test_a_hostile_address_is_answered_with_a_page(web: Visitor, path: str) -> None:
    """Whatever is asked gets a page of ours, sound, and no fault."""
    response = web.get(path)
    assert response.status_code in {200, 302, 400, 404, 414, 422}, path
    if response.status_code == 302:
        assert response.headers["location"].startswith("/")
        assert not response.headers["location"].startswith("//")
        return
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    found = read(response.text)
    assert found.faults == []
    assert not {"script", "img"} & set(found.elements)
    assert not STEERING & set(response.text)


def test_a_study_of_very_many_changes_has_its_page(tmp_path: Path) -> None:
    """Of a day of more rows than a page reads it tells the first and how many there are, a day before it stands behind its link."""
    many = [site(f"Clinic {number}", "Lyon", "France", status="RECRUITING", zip=f"{number}") for number in range(2_100)]
    closed = [each | {"status": "COMPLETED", "zip": f"{each['zip']}0"} for each in many]
    study = invent(1, contactsLocationsModule={"locations": many})
    earlier = status(study, "SUSPENDED", DAYS[1])
    world = World(tmp_path, publish([study], [earlier], [edited(earlier, DAYS[2], contactsLocationsModule={"locations": closed})]))
    for place in range(3):
        (world.next if place else world.poll)()
    with world.reader() as reader:
        rows = reader.count(ChangeFilter(studies=("NCT00000001",), since=DAYS[2]))
    assert rows > 4_200
    web = visitor(world.store, settings_of(tmp_path))
    for path in ("/studies/NCT00000001", "/studies/NCT00000001/versions/3"):
        shown = web.get(path)
        assert shown.status_code == 200
        assert f"This is said of the first 4,000 of {rows:,} changes" in shown.text
        assert f"/changes.csv?since={DAYS[2]}&amp;until={DAYS[2]}&amp;order=oldest&amp;limit=10000" in shown.text
    newest = web.get("/studies/NCT00000001").text
    assert "4,000 of" in newest
    assert f'id="d{DAYS[1]}"' not in newest
    older = web.get(f"/studies/NCT00000001?before={DAYS[2]}").text
    assert f'id="d{DAYS[1]}"' in older
    assert "of the baseline" in older
    csv = web.get(f"/api/studies/NCT00000001/changes.csv?since={DAYS[2]}&until={DAYS[2]}&order=oldest&limit=10000")
    assert csv.text.count("\n") == rows + 1
