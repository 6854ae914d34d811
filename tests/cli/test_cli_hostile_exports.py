"""Hostile studies through every export: what anybody may write into the registry comes out as text, whole, and nowhere else."""

from __future__ import annotations

import csv
import io
import json
import re
import sqlite3
from contextlib import closing
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest
from atom_rules import faults
from following import World, edited, invent, publish
from markdown_it import MarkdownIt
from pyarrow import parquet
from terminal import Terminal, sentence

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HUGE = "A rather long word or two. " * 155_000
"""More than four megabytes."""

TEXTS = (
    '=HYPERLINK("https://evil.example","x")',
    "+1+cmd|'/c calc'!A1",
    "\t=1+1",
    "\x00\x1b]0;title\x07\x08\x7f\x85￾ red",
    "\u202e\u2066 turned \u200b=1",
    "<script>alert(1)</script><img src=x onerror=alert(1)>]]></feed>",
    "[click](javascript:alert(1)) ![i](https://evil.example/p.png) `</code>` | --- |\n# heading\n---\n~~~\n<!-- -->",
    "{{7*7}} {% raw %} ${x} #{y} %s {0}",
    "../../etc/passwd\r\nSet-Cookie: x=1",
    HUGE,
)

_STEERS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


class Tags(HTMLParser):
    """Reads HTML; keeps its tags and where they lead."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep a tag, and a link's target."""
        self.found.add(tag)
        self.links += [str(value) for name, value in attrs if name in {"href", "src"}]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a store in which ten studies turned hostile."""
    studies = [invent(9_600_000 + number) for number in range(len(TEXTS))]
    changed = [
        edited(
            study,
            "2026-02-03",
            identificationModule__briefTitle=text,
            statusModule__overallStatus=text[:60],
            statusModule__whyStopped=text,
            sponsorCollaboratorsModule__leadSponsor={"name": text[:200], "class": "OTHER"},
            outcomesModule__primaryOutcomes=[{"measure": text[:300], "timeFrame": text[:300]}],
            descriptionModule__briefSummary=text,
            eligibilityModule__eligibilityCriteria=text,
        )
        for study, text in zip(studies, TEXTS, strict=True)
    ]
    world = World(tmp_path_factory.mktemp("hostile"), publish(studies, changed))
    world.poll()
    world.next()
    return world.store.parent


@pytest.fixture
def cli(hostile: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Terminal]:
    """Return a terminal beside the store."""
    with Terminal(hostile, monkeypatch, capsys) as terminal:
        terminal.settings()
        yield terminal


@pytest.mark.parametrize("what", ["changes", "studies", "coverage", "facts"])
def test_a_spreadsheet_sees_no_formula(cli: Terminal, what: str) -> None:
    """No cell of a CSV begins like a formula, and none steers whoever shows it."""
    csv.field_size_limit(2**30)
    path = cli.folder / "rows.csv"
    cli.ok("export", path, "--what", what)
    text = path.read_bytes().decode()
    assert not _STEERS.search(text)
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert len({len(row) for row in rows}) == 1
    for cell in (cell for row in rows for cell in row):
        assert not re.match(r"[\s\u200b]*[=+\-@\t\r]", cell) or re.fullmatch(r"-?\d+", cell), cell[:80]


def test_values_stay_whole(cli: Terminal) -> None:
    """JSON lines and Parquet hold the very text, four megabytes of it too, and JSON lines are safe to print."""
    lines, table = cli.folder / "rows.jsonl", cli.folder / "rows.parquet"
    for path in (lines, table):
        cli.ok("export", path, "--field", "status.whyStopped")
    assert not _STEERS.search(lines.read_text())
    assert sorted(json.loads(line)["after"] for line in lines.read_text().split("\n")[:-1]) == sorted(TEXTS)
    assert sorted(json.loads(text) for text in parquet.read_table(table).column("after").to_pylist()) == sorted(TEXTS)


def test_a_site_holds_text_alone(cli: Terminal) -> None:
    """The index and the pages hold no markup but ours, lead nowhere but to pages and the registry, and lie where they should."""
    before = {path for path in cli.folder.iterdir() if path.name != "site"}
    cli.ok("export", "site", "--format", "page")
    assert {path for path in cli.folder.iterdir() if path.name != "site"} == before
    tags = Tags()
    tags.feed((cli.folder / "site" / "index.html").read_text())
    assert not tags.found & {"script", "img", "feed"}
    assert all(re.fullmatch(r"trials/NCT\d{8}\.md", link) for link in tags.links)
    markdown = MarkdownIt("commonmark")
    for path in (cli.folder / "site").rglob("*.md"):
        text = path.read_text()
        assert not _STEERS.search(text), path.name
        body = text.partition("\n---\n")[2] if text.startswith("---") else text
        tokens = [inner for token in markdown.parse(body) for inner in all_of(token)]
        raw = [token.content.strip() for token in tokens if token.type in {"html_inline", "html_block"}]
        assert set(raw) <= {"<!-- -->"}
        if path.name == "index.md":
            links = [str(token.attrs["href"]) for token in tokens if token.type == "link_open"]
            assert all(re.fullmatch(r"trials/NCT\d{8}\.md", link) for link in links)
            assert len(links) == len(TEXTS)
            assert not [token for token in tokens if token.type == "image"]


def all_of(token: Any) -> list[Any]:
    """Return a token of Markdown and those inside it."""
    return [token, *(token.children or ())]


def test_a_feed_holds_text_alone(cli: Terminal) -> None:
    """The feed is valid Atom with an entry a study, whatever the studies say, and stays small."""
    path = cli.folder / "feed.xml"
    cli.ok("export", path, "--format", "atom")
    assert faults(path.read_bytes()) == []
    assert path.read_text().count("<entry>") == len(TEXTS)
    assert path.stat().st_size < 500_000
    assert not _STEERS.search(path.read_text())


def test_a_digest_holds_text_alone(cli: Terminal) -> None:
    """The digest of a remembered place holds a line a study, without markup of the registry's."""
    digest = cli.ok("changes", "--since-last", "hostile", "--after", "0", "--format", "md").out
    assert not _STEERS.search(digest)
    tokens = [inner for token in MarkdownIt("commonmark").parse(digest) for inner in all_of(token)]
    assert not [token for token in tokens if token.type in {"html_inline", "html_block", "heading_open", "image"}]


def test_a_number_that_is_a_path_goes_nowhere(hostile: Path, cli: Terminal, tmp_path: Path) -> None:
    """A store in which somebody put a path in a number's place writes no page there."""
    copy = tmp_path / "forged.db"
    with closing(sqlite3.connect(hostile / "trialsync.db")) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
        target.execute("PRAGMA foreign_keys = OFF")
        for table in ("studies", "versions", "watch_studies"):
            target.execute(f"UPDATE {table} SET nct_id = '../../forged' WHERE nct_id = 'NCT09600000'")  # noqa: S608 - our own names
        target.commit()
    cli.setenv("TRIALSYNC_DATABASE", copy)
    ran = cli("export", tmp_path / "a" / "b" / "site", "--format", "page")
    assert ran.code == 6
    assert "'../../forged' is not an NCT number" in sentence(ran)
    assert not list(tmp_path.rglob("forged.md"))
