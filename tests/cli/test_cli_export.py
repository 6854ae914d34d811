"""Exports: each kind of rows in each format, equal when read back, with a manifest; a file that appears only when it is whole."""

from __future__ import annotations

import csv
import fcntl
import hashlib
import io
import json
import os
import subprocess
import sys
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import pytest
from following import World, invent, publish, status
from pyarrow import parquet
from terminal import SCRIPT, Terminal, sentence

from trialsync.publish.extracts import EXTRACTS, Type
from trialsync.store.filters import ChangeFilter
from trialsync.sync.export import FileFormat, export
from trialsync.sync.extract import Extraction

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FORMATS = ("csv", "jsonl", "parquet")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a demo, made once: nobody here changes it."""
    folder = tmp_path_factory.mktemp("export") / "demo"
    subprocess.run([SCRIPT, "demo", folder], capture_output=True, check=True)  # noqa: S603 - our own program
    return folder


@pytest.fixture
def cli(tmp_path: Path, demo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Terminal]:
    """Return a terminal whose settings are the demo's."""
    with Terminal(tmp_path, monkeypatch, capsys) as terminal:
        terminal.setenv("TRIALSYNC_CONFIG", demo / "trialsync.toml")
        yield terminal


def read(path: Path) -> list[dict[str, Any]]:
    """Return the rows of an export, as plainly as its format has them."""
    match path.suffix:
        case ".csv":
            return list(csv.DictReader(io.StringIO(path.read_bytes().decode(), newline="")))
        case ".jsonl":
            return [json.loads(line) for line in path.read_text().splitlines()]
        case _:
            rows: list[dict[str, Any]] = parquet.read_table(path).to_pylist()
            return rows


def manifest(path: Path) -> dict[str, Any]:
    """Return the manifest of an export."""
    found: dict[str, Any] = json.loads(path.with_name(path.name + ".manifest.json").read_text())
    return found


@pytest.mark.parametrize("what", EXTRACTS)
def test_every_format_holds_the_same(cli: Terminal, what: str) -> None:
    """Each kind of rows reads back the same from each format, with the columns, the count and the digest that its manifest names."""
    files = {form: cli.folder / f"rows.{form}" for form in FORMATS}
    for path in files.values():
        cli.ok("export", path, "--what", what)
        told, rows = manifest(path), read(path)
        assert told["what"] == what
        assert told["rows"] == len(rows)
        assert told["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert [each["name"] for each in told["columns"]] == list(rows[0] if rows else EXTRACTS[what].keys)
        assert told["last_load"] == "2026-05-14"
        assert told["cursor"] > 0
        assert set(told["rules"]) == {"comparison", "fingerprint", "facts"}
    lines = read(files["jsonl"])
    assert lines
    columns = EXTRACTS[what].columns
    for line, cells, typed in zip(lines, read(files["csv"]), read(files["parquet"]), strict=True):
        for column in columns:
            value = line[column.name]
            assert as_cell(value) == cells[column.name].removeprefix("'")
            assert typed[column.name] == as_typed(value, column.type), column.name


def as_cell(value: Any) -> str:
    """Return what CSV says of a value."""
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return ""
    return str(value) if isinstance(value, str | int) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def as_typed(value: Any, kind: Type) -> Any:
    """Return what Parquet has of a value."""
    if value is None:
        return None
    match kind:
        case Type.DAY:
            return date.fromisoformat(value)
        case Type.INSTANT:
            return datetime.fromisoformat(value)
        case Type.JSON:
            return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        case _:
            return value


@pytest.mark.parametrize(
    "filters",
    [
        [],
        ["--watch", "parkinson"],
        ["--since", "2026-05-04", "--until", "2026-05-08", "--kind", "changed"],
        ["--field", "outcomes.*", "--by", "sponsor"],
        ["--study", "NCT09000024", "--baseline"],
        ["--tier", "housekeeping", "--country", "Japan"],
    ],
)
def test_an_export_takes_the_filters_of_the_log(cli: Terminal, filters: list[str]) -> None:
    """The filters choose the same rows as in trialsync changes, and stand in the manifest."""
    path = cli.folder / "changes.jsonl"
    cli.ok("export", path, *filters, "--contacts")
    assert read(path) == cli.ok("changes", *filters, "--format", "jsonl", "--order", "oldest").rows
    named = [part for part in filters if part.startswith("--")]
    assert set(manifest(path)["filters"]) == set(named)
    assert set(manifest(path)["dates"]) == {name.strip("-") for name in named} & {"since", "until"}


@pytest.mark.parametrize("what", ["changes", "facts"])
def test_contact_persons_are_left_out(cli: Terminal, what: str) -> None:
    """An export tells that a contact person changed without saying whom, unless it is asked to; the manifest says which."""
    path = cli.folder / "rows.jsonl"
    cli.ok("export", path, "--what", what)
    assert manifest(path)["contacts"] is False
    told = [row for row in read(path) if row.get("field") == "contacts.centralContacts"]
    assert bool(told) == (what == "changes")
    assert {(row["before"], row["after"]) for row in told} <= {(None, None)}
    cli.ok("export", path, "--what", what, "--contacts")
    assert manifest(path)["contacts"] is True
    assert all(row["before"] or row["after"] for row in read(path) if row.get("field") == "contacts.centralContacts")
    assert "contact" in cli.ok("export", "--help").out
    refused = cli("export", cli.folder / "feed.xml", "--format", "atom", "--contacts")
    assert refused.code == 2


def test_studies_as_of_a_day(cli: Terminal) -> None:
    """Studies are exported as they were on a day, those in a watch then, as trialsync show has them; the manifest names the day."""
    path = cli.folder / "then.jsonl"
    said = cli.ok("export", path, "--what", "studies", "--as-of", "2026-05-01")
    assert "not known yet as of 2026-05-01 left out" in said.err
    rows = read(path)
    now = {row["nct_id"]: row for row in read_studies(cli)}
    assert manifest(path)["as_of"] == "2026-05-01"
    assert manifest(path)["left_out"] == len(now) - len(rows) > 0
    moved = 0
    for row in rows:
        shown = json.loads(cli.ok("show", row["nct_id"], "--as-of", "2026-05-01", "--format", "json").out)
        assert row["overall_status"] == shown["protocolSection"]["statusModule"].get("overallStatus")
        moved += row["overall_status"] != now[row["nct_id"]]["overall_status"]
    assert moved > 1
    then = cli.folder / "watch.jsonl"
    cli.ok("export", then, "--what", "studies", "--as-of", "2026-05-08", "--watch", "parkinson")
    assert "NCT09000120" in {row["nct_id"] for row in read(then)}
    cli.ok("export", then, "--what", "studies", "--watch", "parkinson")
    assert "NCT09000120" not in {row["nct_id"] for row in read(then)}


def read_studies(cli: Terminal) -> list[dict[str, Any]]:
    """Return all studies as they are."""
    cli.ok("export", cli.folder / "now.jsonl", "--what", "studies")
    return read(cli.folder / "now.jsonl")


def test_coverage_names_what_nobody_looked_at(tmp_path: Path) -> None:
    """The loads that showed a study, and the weekdays between them, follow from the polls; the last instant is the one that pages have."""
    one, two = invent(9_200_001), invent(9_200_002)
    world = World(tmp_path, publish([one, two], [status(one, "SUSPENDED", "2026-02-03")], [], [], ["NCT09200002"], [], []))
    world.poll()
    world.advance(3)
    world.poll()
    world.next()
    world.next()
    with world.reader() as reader:
        rows = {row["nct_id"]: row for row in Extraction(EXTRACTS["coverage"], ChangeFilter(watches=("ataxia",))).rows(reader)}
        everyone = {row["nct_id"]: row for row in Extraction(EXTRACTS["coverage"], ChangeFilter()).rows(reader)}
        for nct_id, row in everyone.items():
            assert row["last_seen"] == (reader.last_seen(nct_id) or row["first_seen"])
    assert list(rows) == ["NCT09200001"]
    first = rows["NCT09200001"]
    assert first["load_dates"] == ["2026-02-02", "2026-02-05", "2026-02-06", "2026-02-09"]
    assert (first["not_observed"], first["weekdays_not_observed"]) == (["2026-02-03/2026-02-04"], 2)
    assert (first["versions"], first["version_dates"], first["first_load"], first["last_load"]) == (
        2, ["2026-01-12", "2026-02-03"], "2026-02-02", "2026-02-09",
    )  # fmt: skip
    assert everyone["NCT09200002"]["last_load"] == "2026-02-05"


def test_an_export_broken_off_leaves_what_was_there(cli: Terminal, demo: Path) -> None:
    """Whatever ends an export early, the file and its manifest stay as they were, and nothing is left beside them."""
    path = cli.folder / "changes.csv"
    cli.ok("export", path, "--kind", "removed")
    before = {each.name: each.read_bytes() for each in cli.folder.iterdir()}

    def interrupt(done: int, total: int | None) -> None:
        raise KeyboardInterrupt(f"{done} of {total}")

    from trialsync.store.reader import Reader  # noqa: PLC0415 - beside its only use

    extraction = Extraction(EXTRACTS["changes"], ChangeFilter(baseline=True))
    with Reader.open(demo / "trialsync.db") as reader, pytest.raises(KeyboardInterrupt):
        export(reader, extraction, path, FileFormat.CSV, given={}, now=lambda: datetime.now(UTC), told=interrupt)
    assert cli("export", path, "--watch", "nobody").code == 2
    assert {each.name: each.read_bytes() for each in cli.folder.iterdir()} == before


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["rows.txt"], "does not say its format"),
        (["-", "--format", "csv"], "trialsync changes --format csv prints the log"),
        (["-", "--format", "page"], "an export is a file"),
        (["rows.csv", "--what", "versions", "--kind", "added"], "--kind chooses changes, not versions"),
        (["rows.csv", "--as-of", "2026-05-01"], "--as-of has no meaning for changes"),
        (["nowhere/rows.csv"], "can't be written"),
        (["folder.csv"], "is a folder"),
        (["rows.csv", "--what", "studies", "--study", "NCT01234567"], "NCT01234567 is not in"),
    ],
)
def test_what_cannot_be_exported_is_a_sentence(cli: Terminal, arguments: list[str], says: str) -> None:
    """An export that cannot be made ends with 2 and one sentence, and makes nothing."""
    (cli.folder / "folder.csv").mkdir()
    ran = cli("export", *arguments)
    assert ran.code == 2
    assert says in sentence(ran)
    assert [each.name for each in cli.folder.iterdir()] == ["folder.csv"]


def test_parquet_without_pyarrow(demo: Path, tmp_path: Path) -> None:
    """Where pyarrow is not installed, Parquet ends with a sentence that names the command, before anything is written."""
    script = (
        "import sys; sys.modules['pyarrow'] = None; from trialsync.cli.main import main; "
        f"main(['--config', {str(demo / 'trialsync.toml')!r}, 'export', 'rows.parquet'])"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)  # noqa: S603
    assert (done.returncode, done.stdout) == (2, "")
    hint = "pip install '.[parquet]' in a clone, 'trialsync[parquet]' elsewhere"
    assert done.stderr == f"trialsync: Parquet needs pyarrow, which is not installed ({hint})\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("more", [(), ("--format", "atom")])
def test_what_a_killed_export_left_is_taken_away(cli: Terminal, tmp_path: Path, more: tuple[str, ...]) -> None:
    """The next export of the same file clears it; what another process still writes, other files' leftovers and links stay."""
    left, held, other, link = (tmp_path / f".{name}.partial" for name in ("a.csv.4242", "a.csv.4243", "b.csv.4242", "a.csv.4244"))
    for path in (left, held, other):
        path.write_text("half")
    link.symlink_to(other)
    with held.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        cli.ok("export", tmp_path / "a.csv", *more)
    assert {path.name for path in tmp_path.glob(".*.partial")} == {held.name, other.name, link.name}
    assert other.read_text() == "half"


def test_nothing_but_a_file_is_replaced(cli: Terminal, tmp_path: Path) -> None:
    """A device or a pipe at the path stays what it is: an export into it would take its place, and its reader would wait for ever."""
    pipe, link = tmp_path / "pipe.csv", tmp_path / "null.csv"
    os.mkfifo(pipe)
    link.symlink_to("/dev/null")
    for path in (pipe, link):
        ran = cli("export", path)
        assert ran.code == 2
        assert f"{path.name} is no file" in sentence(ran)
    assert pipe.is_fifo()
    assert link.is_symlink()


def test_a_feed_is_known_by_what_it_holds(cli: Terminal, demo: Path) -> None:
    """A feed's id is made of its filters, whatever its file is called; its own address is said where the settings know the site."""
    one, other, base = cli.folder / "one.xml", cli.folder / "other.xml", cli.folder / "based.toml"
    cli.ok("export", one, "--format", "atom", "--watch", "parkinson")
    cli.ok("export", other, "--format", "atom", "--watch", "parkinson")
    assert one.read_text() == other.read_text()
    assert 'rel="self"' not in one.read_text()
    cli.ok("export", other, "--format", "atom")
    ids = [path.read_text().partition("<id>")[2].partition("</id>")[0] for path in (one, other)]
    assert ids[0] != ids[1]
    base.write_text(f'[store]\npath = "{demo / "trialsync.db"}"\n[site]\nbase_url = "https://example.org/mirror"\n')
    cli.ok("--config", base, "export", other, "--format", "atom", "--watch", "parkinson")
    assert 'rel="self" type="application/atom+xml" href="https://example.org/mirror/other.xml"' in other.read_text()
    assert ids[0] in other.read_text()
