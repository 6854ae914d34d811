"""The Atom feeds: valid by the specification, an entry a study and date with an id that stays; the registry's text is text in them."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import feedparser
import pytest
from atom_rules import faults
from following import World, edited, invent, publish, status
from visiting import PATIENT, Visitor, settings_of

from trialsync.publish.feed import MOST_CHANGES, atom
from trialsync.store.filters import ChangeFilter
from trialsync.store.reader import Reader
from trialsync.sync.feeds import MOST_ENTRIES, gathered
from trialsync.web.app import make_app

if TYPE_CHECKING:
    from trialsync.publish.feed import Feed

TAGS = {"p", "strong", "ul", "li", "code", "em", "ins", "del", "span", "br"}

HOSTILE = (
    "<script>alert(1)</script> ]]> &amp; <img src=x onerror=alert(1)>",
    "\x00\x01\x08\x1b[31mred\x7f\x85￾￿",
    "=HYPERLINK(1) \u202eturned\u202c \u2028 {{7*7}} ${x} ![a](javascript:b)",
    "]]><entry/>" * 2000,
)


class Tags(HTMLParser):
    """Reads HTML; keeps the names of its tags with their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, tuple[str, ...]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep a tag."""
        self.found.append((tag, tuple(name for name, _ in attrs)))


def of(world: World, **more: Any) -> Feed:
    """Return the feed of a world."""
    housekeeping = more.pop("housekeeping", False)
    with world.reader() as reader:
        return gathered(reader, ChangeFilter(housekeeping=housekeeping), title="Changes", path="feeds/changes.atom", **more)


def parsed(document: str) -> Any:
    """Return a feed as a feed reader has it, after it proved valid."""
    assert faults(document.encode()) == []
    found = feedparser.parse(document)
    assert not found.bozo, found.get("bozo_exception")
    return found


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Return a store with two studies that changed on three dates."""
    one, two = invent(9_400_001), invent(9_400_002)
    stopped = edited(one, "2026-02-03", statusModule__overallStatus="TERMINATED", statusModule__whyStopped="No funds")
    reworded = edited(two, "2026-02-04", outcomesModule__primaryOutcomes=[{"measure": "Gait speed over 10 m", "timeFrame": "2 years"}])
    world = World(tmp_path, publish([one, two], [stopped], [reworded], [status(reworded, "SUSPENDED", "2026-02-05")]))
    world.poll()
    for _ in range(3):
        world.next()
    return world


def test_an_entry_is_a_study_and_a_date(world: World) -> None:
    """Each study and date is one entry, the newest first, with a title that says most; housekeeping and the baseline are left out."""
    feed = parsed(atom(of(world)))
    assert [entry.title.split(" ")[0] for entry in feed.entries] == ["NCT09400002", "NCT09400002", "NCT09400001"]
    assert feed.entries[2].title == 'NCT09400001 Invented study 9400001: RECRUITING → TERMINATED ("No funds")'
    assert "No funds" in feed.entries[2].content[0].value
    assert "lastUpdatePostDate" not in atom(of(world))
    assert "lastUpdatePostDate" in atom(of(world, housekeeping=True))
    assert feed.entries[2].updated == feed.entries[2].published == "2026-02-03T14:00:00.500Z"
    assert feed.feed.updated == max(entry.updated for entry in feed.entries)
    assert {"term": "stopped", "scheme": None, "label": None} in feed.entries[2].tags


def test_ids_stay(world: World, tmp_path: Path) -> None:
    """An entry keeps its id in every feed, on every machine, and when more is seen of its date; ids differ from each other."""
    first = {entry.title.split(":")[0] + entry.published[:10]: entry.id for entry in parsed(atom(of(world))).entries}
    assert len(set(first.values())) == 3
    assert all(each.startswith("urn:uuid:") for each in first.values())
    whole = parsed(atom(of(world, housekeeping=True, history=True, base_url="https://example.org")))
    assert {entry.id for entry in whole.entries} >= set(first.values())
    other = World(tmp_path, publish([invent(9_400_001)], [status(invent(9_400_001), "SUSPENDED", "2026-02-03")]), "other.db")
    other.poll()
    other.next()
    assert [entry.id for entry in parsed(atom(of(other))).entries] == [
        name for key, name in first.items() if key == "NCT09400001 Invented study 94000012026-02-03"
    ]


def test_a_feed_is_bounded(tmp_path: Path) -> None:
    """A feed has so many entries at most and an entry so many changes; what is left out of an entry is counted."""
    many = [invent(9_410_000 + number) for number in range(MOST_ENTRIES + 5)]
    sites = [{"facility": f"Clinic {number}", "city": "Bern", "country": "Switzerland"} for number in range(MOST_CHANGES * 12)]
    changed = [status(each, "SUSPENDED", "2026-02-03") for each in many]
    changed[-1] = edited(changed[-1], "2026-02-03", contactsLocationsModule__locations=sites)
    world = World(tmp_path, publish(many, changed))
    world.poll()
    world.next()
    feed = parsed(atom(of(world)))
    assert len(feed.entries) == MOST_ENTRIES
    crowded = next(entry for entry in feed.entries if entry.title.startswith(f"NCT0{9_410_000 + len(many) - 1}"))
    assert crowded.title.endswith(f"; and {MOST_CHANGES * 12 + 3 - 5_000 // MOST_ENTRIES:,} more changes")
    assert crowded.content[0].value.count("<li>") == MOST_CHANGES
    assert f"and {MOST_CHANGES * 11 + 3:,} more" in crowded.content[0].value


def test_who_was_away_reads_on(tmp_path: Path) -> None:
    """Page after page by the link at the end of each, every entry comes once and whole, also of days that were added to later."""
    many = [invent(9_410_000 + number) for number in range(MOST_ENTRIES * 2 + 7)]
    later = [edited(status(each, "SUSPENDED", "2026-02-03"), designModule__enrollmentInfo__count=41) for each in many[::3]]
    world = World(tmp_path, publish(many, [status(each, "SUSPENDED", "2026-02-03") for each in many], later))
    world.poll()
    world.next()
    world.next()
    client = Visitor(make_app(world.store, settings_of(tmp_path), now=world.clock, limit_seconds=PATIENT))
    address: str | None = "/feeds/changes.atom?all=true"
    seen: list[tuple[str, int]] = []
    ids = set()
    pages = 0
    while address:
        feed = parsed(client.get(address).text)
        ids.add(feed.feed.id)
        pages += 1
        seen += [(entry.id, entry.content[0].value.count("<li>")) for entry in feed.entries]
        assert len(feed.entries) <= MOST_ENTRIES
        address = next((link.href.partition("127.0.0.1")[2] for link in feed.feed.links if link.rel == "next"), None)
    with world.reader() as reader:
        days = reader.study_days(ChangeFilter()).days
    assert pages == -(-len(days) // MOST_ENTRIES)
    assert len(dict(seen)) == len(seen) == len(days)
    assert sorted(count for _, count in seen) == sorted(map(len, days.values()))
    assert len(ids) == 1


def test_a_crowded_entry_is_updated_too(tmp_path: Path) -> None:
    """What is seen of a day later moves an entry's date, however many rows the day had before."""
    study = invent(9_410_001)
    sites = [{"facility": f"Clinic {number}", "city": "Bern", "country": "Switzerland"} for number in range(5_100)]
    crowded = edited(study, "2026-02-03", contactsLocationsModule__locations=sites)
    world = World(tmp_path, publish([study], [crowded], [status(crowded, "SUSPENDED")]))
    world.poll()
    world.next()
    (entry,) = parsed(atom(of(world))).entries
    world.next()
    with sqlite3.connect(world.store) as store:
        store.execute("UPDATE changes SET date = '2026-02-03' WHERE date = '2026-02-04'")
    (again,) = parsed(atom(of(world))).entries
    assert (again.id, again.updated > entry.updated) == (entry.id, True)


def test_hostile_text_is_text(tmp_path: Path) -> None:
    """Scripts, entities, control and steering characters of the registry stay text: the XML is valid, the HTML has our tags alone."""
    studies = [invent(9_420_000 + number) for number in range(len(HOSTILE))]
    loud = [
        edited(
            study,
            "2026-02-03",
            identificationModule={"nctId": f"NCT{9_420_000 + number:08d}", "briefTitle": text},
            statusModule__whyStopped=text,
            sponsorCollaboratorsModule__leadSponsor={"name": text, "class": "OTHER"},
            descriptionModule={"briefSummary": f"words before {text}"},
            outcomesModule__primaryOutcomes=[{"measure": text, "timeFrame": text}],
        )
        for number, (study, text) in enumerate(zip(studies, HOSTILE, strict=True))
    ]
    again = [edited(study, "2026-02-04", descriptionModule={"briefSummary": "words before something else by now"}) for study in loud]
    world = World(tmp_path, publish(studies, loud, again))
    world.poll()
    world.next()
    world.next()
    document = atom(of(world, housekeeping=True))
    assert not set(document) & {chr(code) for code in (*range(9), *range(0x0E, 0x20), 0x7F, 0x85, 0x202E, 0xFFFE, 0xFFFF)}
    feed = parsed(document)
    assert len(feed.entries) == 2 * len(HOSTILE)
    for entry in feed.entries:
        tags = Tags()
        tags.feed(entry.content[0].value)
        assert {tag for tag, _ in tags.found} <= TAGS
        assert {attributes for _, attributes in tags.found} <= {(), ("class",)}


def test_an_empty_feed_is_valid(tmp_path: Path) -> None:
    """A store without a change, and one without a poll, have a valid feed without entries."""
    world = World(tmp_path, publish([invent(9_430_001)]))
    assert parsed(atom(of(world))).entries == []
    world.poll()
    assert parsed(atom(of(world))).feed.updated.startswith("2026-02-02T14")


def test_contact_persons_stay_out(tmp_path: Path) -> None:
    """Who is named for contact is in no feed unless a setting asks for it."""
    study = invent(9_440_001)
    named = edited(
        study,
        "2026-02-03",
        contactsLocationsModule__centralContacts=[{"name": "Ada Example", "phone": "+1 555 0100", "email": "ada@example.org"}],
    )
    world = World(tmp_path, publish([study], [named]))
    world.poll()
    world.next()
    for told in ("Ada", "0100", "ada@"):
        assert told not in atom(of(world, housekeeping=True))
        assert told.lower() in atom(of(world, housekeeping=True, contacts=True)).lower()


@pytest.fixture
def client(world: World) -> Visitor:
    """Return a client of the web application over the world's store."""
    text = '[store]\npath = "trialsync.db"\n[site]\nbase_url = "https://example.org/agent"\n'
    return Visitor(make_app(world.store, settings_of(world.store.parent, text), now=world.clock, limit_seconds=PATIENT))


@pytest.mark.parametrize(
    ("path", "entries"),
    [
        ("changes", 3),
        ("watches/ataxia", 3),
        ("studies/NCT09400001", 1),
        ("sponsors/invented", 3),
        ("sponsors/a%2Fb%20nobody", 0),
        ("facts/stopped", 2),
        ("changes.atom?history=true&all=true&", 3),
    ],
)
def test_feeds_are_served(client: Visitor, path: str, entries: int) -> None:
    """Each feed is served as Atom, valid, with the address at which it was asked for, and links to the studies' pages."""
    address = f"/feeds/{path}" if "?" in path else f"/feeds/{path}.atom"
    answer = client.get(address)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/atom+xml; charset=utf-8"
    feed = parsed(answer.text)
    assert len(feed.entries) >= entries if "?" in path else len(feed.entries) == entries
    (own,) = [link.href for link in feed.feed.links if link.rel == "self"]
    assert own == f"https://example.org/agent{address}"
    for entry in feed.entries:
        assert entry.link.startswith(f"https://example.org/agent/studies/{entry.title.split(' ')[0]}#d20")
        assert f"https://clinicaltrials.gov/study/{entry.title.split(' ')[0]}" in {link.href for link in entry.links}
        assert f"https://example.org/agent/trials/{entry.title.split(' ')[0]}.md" in {link.href for link in entry.links}


def test_an_unchanged_feed_is_not_sent_again(client: Visitor, world: World) -> None:
    """A reader that has the feed already is told so by its tag; once something changed it gets it, and a date alone withholds nothing."""
    tag = client.get("/feeds/changes.atom").headers["ETag"]
    again = client.get("/feeds/changes.atom", If_None_Match=tag)
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", tag)
    assert client.get("/feeds/changes.atom", If_None_Match='"other"').status_code == 200
    # Facts made anew, other settings and a second thing seen in the same second change a feed behind the last instant in it.
    assert client.get("/feeds/changes.atom", If_Modified_Since="Thu, 05 Feb 2026 14:00:00 GMT").status_code == 200
    world.poll()
    assert client.get("/feeds/changes.atom", If_None_Match=tag).status_code == 304


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/feeds/watches/nobody.atom", 404),
        ("/feeds/studies/NCT01234567.atom", 404),
        ("/feeds/studies/..%2F..%2Fetc%2Fpasswd.atom", 404),
        ("/feeds/studies/x.atom", 404),
        ("/feeds/facts/nothing.atom", 404),
        ("/feeds/nothing.atom", 404),
        ("/feeds/sponsors/%00.atom", 422),
        ("/feeds/changes.atom?history=maybe", 400),
        ("/feeds/changes.atom?before=0", 400),
        ("/feeds/changes.atom?before=x", 400),
        ("/feeds/changes.atom?limit=1000000", 400),
    ],
)
def test_what_is_no_feed_is_a_problem(client: Visitor, path: str, code: int) -> None:
    """What names no feed, or asks it something it does not know, is a problem document, never a fault."""
    answer = client.get(path)
    assert answer.status_code == code
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_a_feed_as_a_file(world: World) -> None:
    """The command line writes the same entries into a file, chosen by the filters of the log."""
    command = ["-m", "trialsync", "export", "feed.xml", "--format", "atom", "--study", "NCT09400002", "--watch", "ataxia"]
    done = subprocess.run([sys.executable, *command], cwd=world.store.parent, capture_output=True, text=True, check=False)  # noqa: S603
    assert (done.returncode, done.stderr) == (0, "feed.xml: 2 entries\n")
    feed = parsed((world.store.parent / "feed.xml").read_text())
    assert feed.feed.title == "Changes of clinical trials, study NCT09400002, watch ataxia"
    with Reader.open(Path(world.store)) as reader:
        same = gathered(reader, ChangeFilter(studies=("NCT09400002",), housekeeping=False), title="", path="")
    assert len(same.occasions) == 2
