"""A folder of pages: what says the same is not written, what is not the site's own is not touched, and nobody's page is lost."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from datetime import timedelta
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import orjson
import pytest
from following import World, edited, invent, publish, status, withheld
from terminal import Terminal, sentence

from trialsync.model import Presence
from trialsync.publish import site
from trialsync.publish.site import MOST_IN_SITEMAP, About, Listed, sitemap_names, sitemaps
from trialsync.settings.sections import Site
from trialsync.store.reader import Reader
from trialsync.sync.site import write_site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STAYS, MOVES, LEAVES, GONE, MERGED, HIDDEN = (invent(9_300_000 + number) for number in range(1, 7))
KEPT = edited(MERGED)
KEPT["protocolSection"]["identificationModule"] = {"nctId": "NCT09300015", "briefTitle": "Kept", "nctIdAliases": ["NCT09300005"]}


class Mirrored:
    """A store that is polled load by load, and a terminal that mirrors its watch."""

    def __init__(self, folder: Path, cli: Terminal) -> None:
        self.site = folder / "site"
        self.world = World(
            folder,
            publish(
                [STAYS, MOVES, LEAVES, GONE, MERGED, HIDDEN],
                [status(MOVES, "SUSPENDED", "2026-02-03"), withheld(HIDDEN, "2026-02-03")],
                [edited(LEAVES, "2026-02-04", conditionsModule__conditions=["Something else"]), "NCT09300004", KEPT, "NCT09300005"],
                [],
                [],
            ),
        )
        self.cli = cli
        cli.settings()
        self.world.poll()

    def run(self, *more: str) -> list[str]:
        """Mirror the watch; return the paths that changed.txt names."""
        self.cli.ok("export", self.site, "--format", "page", "--watch", "ataxia", *more)
        return (self.site / "changed.txt").read_text().splitlines()

    def stamps(self) -> dict[str, int]:
        """Return when each file of the site was written."""
        return {str(path): path.stat().st_mtime_ns for path in self.site.rglob("*") if path.is_file()}


@pytest.fixture
def mirrored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Mirrored]:
    """Return a store with one load polled, and a terminal beside it."""
    with Terminal(tmp_path, monkeypatch, capsys) as terminal:
        yield Mirrored(tmp_path, terminal)


def page(number: int) -> str:
    """Return where a study's page is."""
    return f"trials/NCT0930{number:04d}.md"


def test_only_what_differs_is_written(mirrored: Mirrored) -> None:
    """The first run writes every page and the index, a second nothing, one behind a load those that say something else."""
    assert mirrored.run() == ["index.html", "index.md", "llms.txt", *map(page, range(1, 7))]
    for number in range(1, 7):
        shown = mirrored.cli.ok("show", f"NCT0930{number:04d}").out
        assert (mirrored.site / page(number)).read_text() == shown
    assert mirrored.run() == []
    before = mirrored.stamps()
    assert mirrored.run() == []
    assert mirrored.stamps() == before
    mirrored.world.next()
    assert mirrored.run() == ["index.html", "index.md", "llms.txt", page(2), page(6)]
    mirrored.world.next()
    assert page(1) not in mirrored.run()
    assert page(1) in mirrored.run("--fresh")
    assert (mirrored.site / page(1)).read_text() == mirrored.cli.ok("show", "NCT09300001").out
    assert mirrored.run("--fresh") == []


def test_a_page_whose_days_ran_out_is_written(mirrored: Mirrored) -> None:
    """A page of which nothing changed but that a change is older than thirty days by now is written without it."""
    mirrored.world.next()
    mirrored.run()
    recent = "Recent Field Changes"
    assert recent in (mirrored.site / page(2)).read_text()
    mirrored.world.advance()
    mirrored.world.clock.moment += timedelta(days=40)
    mirrored.world.poll()
    assert page(2) in mirrored.run()
    assert recent not in (mirrored.site / page(2)).read_text()


def test_who_is_gone_keeps_a_page_that_says_so(mirrored: Mirrored) -> None:
    """Removed, merged and withheld studies and those that left the watch keep their pages; the index has them apart."""
    mirrored.run()
    for _ in range(4):
        mirrored.world.next()
    changed = mirrored.run()
    index = (mirrored.site / "index.md").read_text()
    followed, _, others = index.partition("## No longer followed")
    for number, word in ((4, "removed"), (5, "merged"), (6, "withheld")):
        text = (mirrored.site / page(number)).read_text()
        assert page(number) in changed
        assert f"registry_presence: {word}\n" in text
        assert f"- **Registry Presence:** {word}" in text
    assert "merged_into: NCT09300015\n" in (mirrored.site / page(5)).read_text()
    assert "merged into NCT09300015" in index
    for number in (3, 4, 5):
        assert page(number) in others
        assert page(number) not in followed
    assert page(1) in followed


def test_a_broken_page_is_written_again(mirrored: Mirrored) -> None:
    """A page that somebody removed or cut is written again."""
    mirrored.run()
    (mirrored.site / page(1)).unlink()
    (mirrored.site / page(2)).write_text("")
    assert mirrored.run() == [page(1), page(2)]


def test_others_files_are_left_alone(mirrored: Mirrored) -> None:
    """What the site did not make is neither written over nor removed, whatever its list of files was made to say."""
    mirrored.site.mkdir()
    theirs = mirrored.site / "index.html"
    theirs.write_text("mine")
    refused = mirrored.cli("export", mirrored.site, "--format", "page")
    assert refused.code == 2
    assert "index.html is no file of this site" in sentence(refused)
    assert [path.name for path in mirrored.site.iterdir()] == ["index.html"]
    theirs.unlink()
    mirrored.run()
    precious = mirrored.site.parent / "precious.txt"
    precious.write_text("mine")
    (mirrored.site / "trials" / "notes.md").write_text("mine")
    listing = mirrored.site / ".trialsync-site.json"
    known = orjson.loads(listing.read_bytes())
    for name in ("../precious.txt", "trials/notes.md", "trials/../../precious.txt"):
        known["files"][name] = {"digest": "", "bytes": 0, "last_seen": None}
    listing.write_bytes(orjson.dumps(known))
    mirrored.run()
    assert precious.read_text() == "mine"
    assert (mirrored.site / "trials" / "notes.md").read_text() == "mine"
    listing.write_text("{")
    assert ".trialsync-site.json is damaged" in sentence(mirrored.cli("export", mirrored.site, "--format", "page"))


def test_a_run_that_was_broken_off_goes_on(mirrored: Mirrored) -> None:
    """Pages that a killed run wrote are known for the site's own the next time, and written again."""
    mirrored.run()
    listing = mirrored.site / ".trialsync-site.json"
    known = orjson.loads(listing.read_bytes())
    known["files"][page(1)] = {"digest": None, "bytes": None, "last_seen": None}
    listing.write_bytes(orjson.dumps(known))
    assert mirrored.run() == [page(1)]


def test_what_a_run_did_that_was_broken_off_is_not_done_again(mirrored: Mirrored) -> None:
    """Pages that were finished before a run broke off stay as they are; the next run names them, as nobody has named them yet."""

    class Broken(Exception):
        """What breaks a run off."""

    def write(most: int) -> list[str]:
        """Write the site, or its first pages; return what changed.txt says."""

        def told(done: int, total: int | None) -> None:
            if done >= most and total:
                raise Broken

        with Reader.open(mirrored.world.store) as reader:
            write_site(reader, mirrored.site, Site(), told=told, every=1)
        return (mirrored.site / "changed.txt").read_text().splitlines()

    for most in (2, 4):
        with pytest.raises(Broken):
            write(most)
        before = mirrored.stamps()
        assert sum("/trials/" in path for path in before) == most
    changed = write(1000)
    after = mirrored.stamps()
    assert {path for path in before if "/trials/" in path and before[path] != after[path]} == set()
    assert changed == ["index.html", "index.md", "llms.txt", *map(page, range(1, 7))]
    assert write(1000) == []
    assert not (mirrored.site / ".trialsync-site.journal").exists()


def test_a_journal_that_is_cut_short_is_read_as_far_as_it_goes(mirrored: Mirrored) -> None:
    """Half a line at the end of what a killed run left, or anything else, costs no more than making those pages again."""
    mirrored.run()
    listing, journal = mirrored.site / ".trialsync-site.json", mirrored.site / ".trialsync-site.journal"
    for left in (listing.read_bytes()[:300], b"", b"{", b"\xff"):
        journal.write_bytes(left)
        assert mirrored.run() == []
        assert not journal.exists()


def test_a_page_is_only_made_where_something_can_have_changed(mirrored: Mirrored) -> None:
    """What says the same by the store's seals is not even read: a version that can't be any more does not matter until it changes."""
    mirrored.run()
    with sqlite3.connect(mirrored.world.store) as connection:
        found = "SELECT coalesce(content_id, id) FROM versions WHERE nct_id = 'NCT09300001'"
        connection.execute(f"UPDATE contents SET content = x'00' WHERE id = ({found})")  # noqa: S608 - our own
    connection.close()
    assert mirrored.run() == []
    (mirrored.site / page(1)).unlink()
    assert mirrored.cli("export", mirrored.site, "--format", "page").code == 6


def test_a_list_of_an_earlier_trialsync_is_known(mirrored: Mirrored) -> None:
    """The list that was one line, in whatever order, is read: no page is written again, and what it lacks is added."""
    mirrored.run()
    assert mirrored.run() == []
    listing = mirrored.site / ".trialsync-site.json"
    written = listing.read_bytes()
    known = orjson.loads(written)
    for name, file in known["files"].items():
        known["files"][name] = {part: file[part] for part in ("digest", "bytes", "last_seen")}
    for names in (sorted(known["files"]), sorted(known["files"], reverse=True)):
        listing.write_bytes(orjson.dumps({"trialsync": "0.0.1", "files": {name: known["files"][name] for name in names}}) + b"\n")
        assert mirrored.run() == []
        assert listing.read_bytes() == written


def test_an_index_of_very_many_studies_is_divided() -> None:
    """Of more than ten thousand the index names parts by what their numbers begin with, none of them too large to be opened."""
    few, many = ([f"NCT{number * step:08d}" for number in range(1, 10_002)] for step in (1_000, 7))
    assert site.part_length(few[:-1]) is None
    assert site.part_length(few) == len("NCT000")
    assert site.part_length([f"NCT{number:08d}" for number in range(20_001)]) == len("NCT0000")
    about = About("Everything", "2026-03-02", None, "https://example.org/m", None)
    studies = [
        Listed(number, "A <title>", "RECRUITING", "S", None, Presence.LISTED, None, followed=number != many[0]) for number in many[:3]
    ]
    parts = [site.part_of("NCT000", studies)]
    assert "[NCT000](index-NCT000.md) NCT00000007 to NCT00000021 — 3 studies, 1 of them no longer followed" in site.parts_markdown(
        about, parts
    )
    assert '<a href="index-NCT000.html">NCT000</a>' in site.parts_html(about, parts)
    assert "studies NCT00000000 to NCT00099999" in site.part_markdown(about, "NCT000", studies)
    assert "A &lt;title&gt;" in site.part_html(about, "NCT000", studies)
    assert "NCT07263919 is in `https://example.org/m/index-NCT072.md`" in site.llms_txt(about, 10_001, len("NCT072"))


def test_settings_of_the_site(mirrored: Mirrored) -> None:
    """With base_url there is a sitemap of addresses below it, without it none, and the one that was is taken away; baseline is obeyed."""
    mirrored.cli.settings(text='[site]\nbase_url = "https://example.org/a&b/"\nnote = "A <mirror>."\n')
    mirrored.run()
    found = ET.parse(mirrored.site / "sitemap.xml")  # noqa: S314 - our own file
    addresses = [each.text for each in found.iter("{http://www.sitemaps.org/schemas/sitemap/0.9}loc")]
    assert addresses == ["https://example.org/a&b/index.html", *(f"https://example.org/a&b/{page(number)}" for number in range(1, 7))]
    assert "A &lt;mirror&gt;." in (mirrored.site / "index.html").read_text()
    assert "Recent Field Changes" in (mirrored.site / page(1)).read_text()
    mirrored.cli.settings(text="[site]\nbaseline = false\n")
    ran = mirrored.cli.ok("export", mirrored.site, "--format", "page", "--watch", "ataxia")
    assert "[site] base_url" in ran.err
    assert not (mirrored.site / "sitemap.xml").exists()
    assert "sitemap.xml" in (mirrored.site / "changed.txt").read_text().splitlines()
    assert "Recent Field Changes" not in (mirrored.site / page(1)).read_text()


def test_a_large_sitemap_is_several() -> None:
    """More addresses than one sitemap may hold are in several, which an index names."""
    pages = [(f"trials/NCT{number:08d}.md", None) for number in range(MOST_IN_SITEMAP + 1)]
    files = dict(sitemaps("https://example.org", pages))
    assert list(files) == ["sitemap-1.xml", "sitemap-2.xml", "sitemap.xml"] == sitemap_names(len(pages))
    assert list(dict(sitemaps("https://example.org", pages[:-1]))) == ["sitemap.xml"] == sitemap_names(len(pages) - 1)
    assert files["sitemap-1.xml"].count("<loc>") == MOST_IN_SITEMAP
    assert files["sitemap.xml"].count("<sitemap><loc>https://example.org/sitemap-") == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--kind", "added"], "--kind does not choose pages"),
        (["--what", "studies"], "--what does not choose pages"),
        (["--watch", "nobody"], "no watch 'nobody'"),
        (["--study", "../../etc"], "is not an NCT number"),
    ],
)
def test_what_makes_no_pages_is_a_sentence(mirrored: Mirrored, arguments: list[str], says: str) -> None:
    """What has no meaning for pages, or names nothing, ends with 2 and one sentence before anything is made."""
    ran = mirrored.cli("export", mirrored.site, "--format", "page", *arguments)
    assert ran.code == 2
    assert says in sentence(ran)
    assert not mirrored.site.exists()


def test_one_run_at_a_time(mirrored: Mirrored) -> None:
    """While one process writes into a folder another is told so."""
    import fcntl  # noqa: PLC0415 - beside its only use

    mirrored.site.mkdir()
    handle = os.open(mirrored.site, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    assert "another process writes the pages" in sentence(mirrored.cli("export", mirrored.site, "--format", "page"))
    os.close(handle)


def test_what_a_killed_run_left_is_taken_away(mirrored: Mirrored) -> None:
    """Half files of the site's own are cleared by the next run, others' are not."""
    mirrored.run()
    left = [mirrored.site / ".index.md.4242.partial", mirrored.site / "trials" / ".NCT09300001.md.4242.partial"]
    others = [mirrored.site / ".notes.md.4242.partial", mirrored.site / "trials" / ".NCT1.md.4242.partial", mirrored.site / ".partial"]
    for path in (*left, *others):
        path.write_text("half")
    assert mirrored.run() == []
    assert [path for path in left if path.exists()] == []
    assert all(path.exists() for path in others)


KILLED = """
import os, sys
from pathlib import Path
from trialsync.settings.sections import Site
from trialsync.store.reader import Reader
from trialsync.sync.site import write_site

store, folder, last = map(Path, sys.argv[1:])
sys.addaudithook(lambda event, _: os._exit(9) if event == "os.rename" and b"two" in (folder / last).read_bytes() else None)
with Reader.open(store) as reader:
    write_site(reader, folder, Site(note="two"))
"""
"""A run that is killed where a file wants to take its place after one that was waited for has."""


@pytest.mark.parametrize("last", ["trials/NCT00000001.md", "trials/NCT00000003.md", "index.md"])
def test_what_a_killed_run_did_not_note_is_put_right(tmp_path: Path, last: str) -> None:
    """A page or an index that a killed run wrote last is written again, though what was noted of the one before it has the same size."""
    world, folder = World(tmp_path, publish([invent(number) for number in range(1, 6)])), tmp_path / "site"
    world.poll()
    found = []
    for _ in range(2):
        with world.reader() as reader:
            write_site(reader, folder, Site(note="one"))
        found.append({path: path.read_bytes() for path in folder.rglob("*.*") if path.name[0] != "." and path.name != "changed.txt"})
        if len(found) == 1:
            killed = subprocess.run([sys.executable, "-c", KILLED, world.store, folder, last], check=False)  # noqa: S603 - our own
            assert killed.returncode == 9
            assert b"two" in (folder / last).read_bytes()
    assert found[0] == found[1]
    assert last in (folder / "changed.txt").read_text().split()
