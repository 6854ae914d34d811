"""One study by the command line: the page after a poll, its versions, its values byte for byte, and the log."""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from following import DAYS, World, edited, invent, number_of, publish, status
from terminal import Terminal, sentence

from trialsync.model import Watch
from trialsync.registry.sandbox import packaged_loads
from trialsync.study.fields import CORE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trialsync.model import Study

EVERYTHING = Watch("everything", everything=True)
PAGE = "NCT07263919"
STORY = "NCT09000024"
SITE = '[site]\nbase_url = "https://example.org/agent"\nnote = "This page is a raw mirror."\n'


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Terminal]:
    """Return a terminal in an empty folder."""
    with Terminal(tmp_path, monkeypatch, capsys) as terminal:
        yield terminal


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store into which the packaged loads were polled, each on its day; nobody here changes it."""
    world = World(tmp_path_factory.mktemp("studies"), packaged_loads())
    world.poll(EVERYTHING)
    while world.sandbox.loads_left:
        world.next(EVERYTHING)
    return world.store


@pytest.fixture
def polled(cli: Terminal, store: Path) -> Terminal:
    """Return a terminal that reads this store."""
    cli.settings({"name": "everything", "everything": True}, text=SITE)
    cli.setenv("TRIALSYNC_DATABASE", store)
    return cli


def contents(number: str) -> list[tuple[str, Study]]:
    """Return the packaged contents of a study, each with its load."""
    return [(line.load, line.study) for line in packaged_loads() if line.nct_id == number and line.study is not None]


def stamped(study: Study, load: str) -> Study:
    """Return a study as the registry serves it on a load."""
    derived = study.get("derivedSection", {})
    return study | {"derivedSection": derived | {"miscInfoModule": derived.get("miscInfoModule", {}) | {"versionHolder": load}}}


def test_the_page_of_a_first_poll(cli: Terminal) -> None:
    """After a first poll the page has its front matter, its sections in order, and a recent change for each baseline row, dated today."""
    cli.serve(packaged_loads())
    cli.settings({"name": "mine", "nct_ids": [PAGE]}, text=SITE)
    cli.ok("init")
    cli.ok("sync")
    page = cli.ok("show", PAGE).out
    today = datetime.now(UTC).date().isoformat()
    head, _, rest = page.removeprefix("---\n").partition("\n---\n")
    front = dict(line.split(": ", 1) for line in head.splitlines())
    assert (front["nct_id"], front["overall_status"]) == (PAGE, "RECRUITING")
    assert front["canonical_url"] == f'"https://example.org/agent/trials/{PAGE}.md"'
    finished = cli.ok("polls").rows[0]["finished"]
    assert front["last_seen_at"] == f'"{finished}"'
    assert re.findall(r"(?m)^## (.+)$", rest) == [
        "Key Facts",
        "Brief Summary",
        "Eligibility",
        "Arms",
        "Interventions",
        "Primary Outcomes",
        "Secondary Outcomes",
        "Locations (1)",
        "Recent Field Changes (last 30 days)",
    ]
    recent = re.findall(r"(?m)^- `(.+)` — (\w+) _\((.+)\)_$", rest)
    assert [path for path, _, _ in recent] == [row["path"] for row in cli.ok("changes", "--baseline").rows]
    assert {(kind, day) for _, kind, day in recent} <= {("added", today), ("added", (date.fromisoformat(today) - timedelta(1)).isoformat())}
    assert rest.rstrip().endswith("*This page is a raw mirror.*")


def test_the_page_of_the_example(cli: Terminal, registry_folder: Path) -> None:
    """Polled at the instant of the example page, and with its site's settings, the page is the example's but for the prose."""
    example = registry_folder.parent / "study-page.md"
    if not example.is_file():
        pytest.skip(f"no example at {example}")
    expected = example.read_text("utf-8").splitlines()
    base, note = expected[-3].split()[1].removesuffix(f"/trials/{PAGE}.md*"), expected[-1].strip("*")
    world = World(cli.folder, packaged_loads(), "polled.db")
    while world.sandbox.load < "2026-05-11":
        world.advance()
    world.clock.moment = datetime(2026, 5, 12, 7, 17, 9, 285_000, tzinfo=UTC)
    world.clock.step = timedelta()
    world.poll(EVERYTHING)
    cli.settings(text=f"[site]\nbase_url = {json.dumps(base)}\nnote = {json.dumps(note)}\n")
    cli.setenv("TRIALSYNC_DATABASE", world.store)
    shown = cli.ok("show", PAGE).out.splitlines()
    for part in (
        slice(0, expected.index("## Brief Summary")),
        slice(expected.index("## Recent Field Changes (last 30 days)") - len(expected), None),
    ):
        assert [line for line in shown[part] if not line.startswith("**Official")] == [
            line for line in expected[part] if not line.startswith("**Official")
        ]
    assert [line for line in shown if line.startswith("## ")] == [line for line in expected if line.startswith("## ")]


def test_the_page_shows_later_changes_first(polled: Terminal) -> None:
    """A later poll's core changes stand above the baseline's; ``[site] baseline = false`` leaves those out."""
    recent = re.findall(r"(?m)^- `(.+)` — (\w+) _\(", polled.ok("show", PAGE).out)
    later = {(row["path"], row["kind"]) for row in polled.ok("changes", "--study", PAGE).rows if row["field"] in CORE}
    assert ("locations.jinjiang chest hospital|chengdu||china", "added") in later
    assert set(recent[: len(later)]) == later
    assert {kind for _, kind in recent[len(later) :]} == {"added"}
    polled.settings({"name": "everything", "everything": True}, text=SITE + "baseline = false\n")
    assert re.findall(r"(?m)^- `(.+)` — (\w+) _\(", polled.ok("show", PAGE).out) == recent[: len(later)]


def test_a_page_as_of_a_day_is_the_version_of_that_day(polled: Terminal) -> None:
    """``--as-of`` and ``--version`` show what held then: content, and only the changes up to it."""
    first, second = contents(STORY)[:2]
    before = json.loads(polled.ok("show", STORY, "--as-of", "2026-05-04", "--format", "json").out)
    assert before == stamped(first[1], "2026-04-28")
    after = json.loads(polled.ok("show", STORY, "--as-of", second[0], "--format", "json").out)
    assert after == stamped(second[1], second[0])
    assert (
        polled.ok("show", STORY, "--version", "2", "--format", "json").out
        == polled.ok("show", STORY, "--as-of", second[0], "--format", "json").out
    )
    page = polled.ok("show", STORY, "--version", "1").out
    assert "changed _(" not in page
    assert "changed _(" in polled.ok("show", STORY, "--version", "2").out


def test_every_version_is_the_registrys_record_to_the_byte(polled: Terminal) -> None:
    """``show --format json`` prints, for every study and version, the values, their order and their spelling as the registry sent them."""
    for number in {line.nct_id for line in packaged_loads()}:
        for place, (load, study) in enumerate(contents(number), start=1):
            shown = json.loads(polled.ok("show", number, "--version", str(place), "--format", "json").out)
            expected = stamped(study, load)
            assert shown == expected
            assert json.dumps(shown["protocolSection"]) == json.dumps(expected["protocolSection"])


def test_a_study_field_by_field(polled: Terminal) -> None:
    """``show --format table`` prints a line a field, by the vocabulary's names."""
    lines = polled.ok("show", STORY, "--format", "table").out.splitlines()
    assert lines[0].split() == ["field", "value"]
    names = [line.split()[0] for line in lines[2:]]
    assert {"status.overallStatus", "eligibility.criteria", "outcomes.primary", "locations"} <= set(names)
    assert len(names) == len(set(names))


def test_a_study_that_is_gone_says_so_from_then_on(polled: Terminal) -> None:
    """The page of a merged, a removed and a withheld study names its presence; as of a day before, it does not."""
    for number, word, before in (
        ("NCT09000113", "merged", "2026-05-07"),
        ("NCT09000236", "removed", "2026-05-11"),
        ("NCT09000120", "withheld", "2026-05-08"),
    ):
        assert f"\nregistry_presence: {word}\n" in polled.ok("show", number).out
        assert "registry_presence" not in polled.ok("show", number, "--as-of", before).out
    assert "registry_presence" not in polled.ok("show", "NCT09000120", "--version", "1").out
    assert "[merged into NCT09000106]" in polled.ok("log", "NCT09000113", "--format", "table").out


def test_the_log_of_a_study(polled: Terminal) -> None:
    """``log`` prints versions, newest first on a terminal with their changes; as JSON a version a row with its changes inside."""
    table = polled.ok("log", STORY, "--format", "table")
    assert re.findall(r"(?m)^version (\d)  (\S+)", table.out) == [("3", "2026-05-14"), ("2", "2026-05-05"), ("1", "2025-12-15")]
    assert "housekeeping changes left out (--all shows them)" in table.err
    assert "left out" not in polled.ok("log", STORY, "--format", "table", "--all").err
    rows = polled.ok("log", STORY).rows
    assert [row["number"] for row in rows] == [1, 2, 3]
    inside = [change for row in rows for change in row["changes"]]
    assert inside == polled.ok("changes", "--study", STORY).rows
    assert json.loads(polled.ok("log", STORY, "--format", "json").out) == rows
    assert len(polled.ok("log", STORY, "--format", "csv").out.splitlines()) == len(inside) + 1
    assert len([change for row in polled.ok("log", STORY, "--baseline").rows for change in row["changes"]]) > len(inside)


def test_registry_text_steers_no_terminal(cli: Terminal) -> None:
    """What a record holds of escapes, bells and bidi marks reaches no stream as such, in whatever format."""
    nasty = "Red \x1b[31m title \x07 \u202e esrever\x00"
    study = edited(invent(1), identificationModule__briefTitle=nasty)
    cli.serve(publish([study], [status(edited(study, identificationModule__briefTitle=nasty + " 2"), "TERMINATED\x1b[2J", DAYS[1])]))
    cli.settings({"name": "ataxia", "query.cond": "Ataxia"})
    cli.ok("init")
    streams = [cli.ok("sync"), cli.ok("sync", "--full")]
    number = number_of(study)
    streams += [cli.ok("show", number, "--format", form) for form in ("page", "json", "table")]
    streams += [cli.ok(*command, "--format", form) for command in (["changes", "--baseline", "--all"], ["log", number, "--all"])
                for form in ("table", "csv", "md", "json", "jsonl")]  # fmt: skip
    for ran in streams:
        assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", ran.out + ran.err)
    assert json.loads(cli.ok("show", number, "--format", "json").out)["protocolSection"]["identificationModule"]["briefTitle"] == nasty


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["show", "NCT00000007"], "NCT00000007 is not in"),
        (["show", "NCT7263919"], "'NCT7263919' is not an NCT number"),
        (["show", "7263919"], "'7263919' is not an NCT number (NCT and eight digits, for example NCT07263919)"),
        (["show", PAGE, "--as-of", "2001-01-01"], f"{PAGE} is not known as of 2001-01-01 (its first known version is of"),
        (["show", PAGE, "--as-of", "once"], "--as-of 'once' is not a date"),
        (["show", PAGE, "--version", "9"], f"{PAGE} has no version 9 (it has "),
        (["show", PAGE, "--version", "1", "--as-of", "2026-05-01"], "--as-of and --version together name two versions"),
        (["log", "NCT99999999"], "NCT99999999 is not in"),
        (["log", "x"], "'x' is not an NCT number"),
    ],
)
def test_what_cannot_be_shown_is_one_sentence(polled: Terminal, arguments: list[str], words: str) -> None:
    """A number, a day or a version that there is not ends with 2 and one sentence that names it."""
    ran = polled(*arguments)
    assert ran.code == 2
    assert words in sentence(ran)
