"""Importing by the command line: each kind of file, which load it stands for, what is skipped, and what beside a sync it leaves."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from following import DAYS, as_lines, edited, invent, number_of, publish, status
from terminal import SCRIPT, Terminal, sentence

from trialsync.cli.main import main
from trialsync.registry.sandbox import packaged_loads

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from trialsync.model import Study

ONE, TWO = invent(1), invent(2)
N1, N2 = map(number_of, (ONE, TWO))


def labelled(study: Study, load: str) -> Study:
    """Return a study as the registry serves it on a load."""
    return study | {"derivedSection": {"miscInfoModule": {"versionHolder": load}}}


def dumps(value: Any) -> bytes:
    """Return a value as JSON."""
    return json.dumps(value).encode()


BOTH = [labelled(ONE, DAYS[0]), labelled(TWO, DAYS[0])]
LINES = b"".join(dumps(study) + b"\n" for study in BOTH)


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Terminal]:
    """Return a terminal in an empty folder."""
    with Terminal(tmp_path, monkeypatch, capsys) as terminal:
        yield terminal


def zipped(path: Path, studies: Iterable[Study] = BOTH) -> None:
    """Write a zip as the registry's own: a folder for the last two digits, a file a study."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for study in studies:
            archive.writestr(f"{number_of(study)[-2:]}/{number_of(study)}.json", dumps(study))


def foldered(path: Path) -> None:
    """Write a folder with a file a study, somewhere below."""
    for study in BOTH:
        (path / number_of(study)[-2:]).mkdir(parents=True)
        (path / number_of(study)[-2:] / "study.json").write_bytes(dumps(study))
    (path / "README.txt").write_text("not a study")


KINDS: dict[str, Callable[[Path], object]] = {
    "list.json": lambda path: path.write_bytes(dumps(BOTH)),
    "pretty.json": lambda path: path.write_text(json.dumps(BOTH, indent=2)),
    "answer.json": lambda path: path.write_bytes(dumps({"totalCount": 2, "studies": BOTH})),
    "lines.jsonl": lambda path: path.write_bytes(LINES),
    "dated.jsonl": lambda path: path.write_bytes(as_lines(publish(BOTH)[1:])),
    "lines.jsonl.gz": lambda path: path.write_bytes(gzip.compress(LINES)),
    "lines.jsonl.xz": lambda path: path.write_bytes(lzma.compress(LINES)),
    "lines.jsonl.bz2": lambda path: path.write_bytes(bz2.compress(LINES)),
    "lines.jsonl.zst": lambda path: path.write_bytes(zstd.compress(LINES)),
    "ctg-studies.json.zip": zipped,
    "folder": foldered,
}


@pytest.mark.parametrize("name", KINDS)
def test_each_kind_of_file_is_read_for_what_it_holds(cli: Terminal, name: str) -> None:
    """Every kind of file makes a store where there is none, gives the same two studies, and the registry's record back to the byte."""
    KINDS[name](cli.folder / name)
    ran = cli.ok("import", name)
    assert ran.out == ""
    assert "made a new store" in ran.err
    assert "2 studies" in ran.err
    assert DAYS[0] in ran.err
    rows = cli.ok("changes", "--baseline").rows
    assert {row["nct_id"] for row in rows} == {N1, N2}
    assert {(row["load"], row["origin"], row["baseline"]) for row in rows} == {(DAYS[0], "import", True)}
    assert json.loads(cli.ok("show", N1, "--format", "json").out)["protocolSection"] == ONE["protocolSection"]


def test_one_study_and_standard_input(cli: Terminal) -> None:
    """One study's file, and what a pipe brings, plain or compressed, are imported alike; several paths are one import."""
    (cli.folder / "one.json").write_bytes(dumps(BOTH[0]))
    assert "2 studies" in cli.ok("import", "one.json", "-", stdin=dumps(BOTH[1])).err
    assert "2 unchanged" in cli.ok("import", "-", stdin=gzip.compress(LINES)).err
    polls = cli.ok("polls").rows
    assert [(row["origin"], row["watch"], row["new"], row["unchanged"]) for row in polls] == [
        ("import", None, 0, 2),
        ("import", None, 2, 0),
    ]


def test_the_load_is_said_by_an_option(cli: Terminal) -> None:
    """``--load`` goes before what the record says of itself."""
    cli.ok("import", "-", "--load", "2026-03-03", stdin=dumps(BOTH[0]))
    assert {row["load"] for row in cli.ok("changes", "--baseline").rows} == {"2026-03-03"}
    cli.ok("import", "-", stdin=dumps(TWO))
    assert {row["load"] for row in cli.ok("changes", "--baseline", "--study", N2).rows} == {"2026-01-12"}


def test_an_older_record_is_skipped_and_named(cli: Terminal) -> None:
    """A record that is older than what the store has ends with 3 and is named; nothing is changed by it."""
    cli.ok("import", "-", stdin=dumps(labelled(ONE, "2026-02-20")))
    before = cli.ok("log", N1).out
    ran = cli("import", "-", stdin=dumps(labelled(status(ONE, "SUSPENDED"), "2026-02-10")))
    assert ran.code == 3
    assert f"{N1}: the record is of load 2026-02-10, older than what the store has of 2026-02-20" in ran.err
    assert cli.ok("log", N1).out == before


def test_bad_records_among_good_ones_are_named_and_counted(cli: Terminal) -> None:
    """A record without a number or a status module, and a line that is no object, are skipped with exit 3; the good ones are kept."""
    torso, nameless = edited(TWO), edited(TWO)
    del torso["protocolSection"]["statusModule"]
    del nameless["protocolSection"]["identificationModule"]["nctId"]
    lines = b"\n".join((dumps(BOTH[0]), dumps(torso), dumps(nameless), b'"text"', b"{", dumps(invent(3))))
    (cli.folder / "studies.jsonl").write_bytes(lines)
    ran = cli("import", "studies.jsonl")
    assert ran.code == 3
    assert "4 skipped" in ran.err
    for number, words in ((2, "no status module"), (3, "no NCT number"), (4, ""), (5, "not JSON")):
        assert [line for line in ran.err.splitlines() if f"studies.jsonl, line {number}: " in line and words in line]
    assert {row["nct_id"] for row in cli.ok("changes", "--baseline").rows} == {N1, "NCT00000003"}


def test_many_bad_records_are_counted_and_a_few_shown(cli: Terminal) -> None:
    """Of very many skipped records the first are named and the rest counted."""
    torso = edited(TWO)
    del torso["protocolSection"]["statusModule"]
    (cli.folder / "studies.jsonl").write_bytes(b"\n".join((dumps(ONE), *[dumps(torso)] * 50)))
    ran = cli("import", "studies.jsonl")
    assert ran.code == 3
    assert len([line for line in ran.err.splitlines() if "skipped: " in line]) == 10
    assert "and 40 more" in ran.err


def test_importing_twice_changes_nothing(cli: Terminal) -> None:
    """The same files again leave the log as it was."""
    (cli.folder / "loads.jsonl").write_bytes(as_lines(packaged_loads()))
    cli.ok("import", "loads.jsonl")
    before = cli.ok("changes", "--baseline").out
    cli("import", "loads.jsonl")
    assert cli.ok("changes", "--baseline").out == before


def test_an_import_and_a_sync_of_one_load_agree(cli: Terminal) -> None:
    """A sync of the load that was imported finds every study unchanged, and the next load's news is compared with what was imported."""
    sandbox = cli.serve(publish([ONE, TWO], [status(ONE, "TERMINATED", DAYS[1])]))
    cli.settings({"name": "ataxia", "query.cond": "Ataxia"})
    cli.ok("init")
    cli.ok("import", "-", stdin=dumps({"studies": BOTH}))
    assert "2 confirmed unchanged" in cli.ok("sync").err
    sandbox.advance()
    cli.ok("sync")
    assert [(row["path"], row["date"], row["origin"]) for row in cli.ok("changes").rows] == [
        ("status.overallStatus", DAYS[1], "poll"),
        ("status.lastUpdatePostDate", DAYS[1], "poll"),
    ]
    assert {row["origin"] for row in cli.ok("changes", "--baseline").rows if row["baseline"]} == {"import"}


def test_what_was_read_before_a_broken_file_is_kept(cli: Terminal) -> None:
    """Where one of several files cannot be read, the error names it, what came before it is recorded and told, and exit is 2."""
    (cli.folder / "good.json").write_bytes(dumps(ONE))
    (cli.folder / "broken.json").write_text('{"protocolSection": ')
    ran = cli("import", "good.json", "broken.json")
    assert ran.code == 2
    assert "1 study" in ran.err
    assert ran.err.splitlines()[-1].startswith("trialsync: broken.json is not JSON")
    assert cli.ok("show", N1).out


def test_an_import_steers_no_pipe(cli: Terminal) -> None:
    """Nothing of a file's names or contents reaches standard error as a control character."""
    (cli.folder / "a\x1b[2Jb.jsonl").write_bytes(dumps(ONE) + b'\n{"\\u001b[31m": 1}\n')
    ran = cli("import", "a\x1b[2Jb.jsonl")
    assert ran.code == 3
    assert "\x1b" not in ran.err


BROKEN: list[tuple[str, bytes, str]] = [
    ("page.json", b"<!DOCTYPE html><html></html>", "page.json is not JSON: line 1, column 1"),
    ("half.json", dumps(BOTH)[:200], "half.json is not JSON"),
    (
        "page.zip",
        b"<!DOCTYPE html><html></html>",
        "page.zip is not a zip: an error page that was saved? (download it again, curl with --fail)",
    ),
    ("noise.zip", bytes(range(128, 228)), "noise.zip is not a zip"),
    ("empty.json", b"", "empty.json is empty"),
    ("other.json", b'{"name": "not a study"}', "other.json holds no study"),
    ("words.txt", b"hello\nworld\n", "words.txt"),
    ("half.jsonl.gz", gzip.compress(LINES * 50)[:100], "half.jsonl.gz is cut off: the download is incomplete (download it again)"),
    ("odd.json", "[]".encode("utf-16"), "odd.json is UTF-16"),
]


@pytest.mark.parametrize(("name", "data", "words"), BROKEN, ids=[name for name, _, _ in BROKEN])
def test_a_file_that_cannot_be_read_is_one_sentence(cli: Terminal, name: str, data: bytes, words: str) -> None:
    """A file that is not what it should be ends with 2 and one sentence that names it; no store is made for it."""
    (cli.folder / name).write_bytes(data)
    ran = cli("import", name)
    assert ran.code == 2
    assert words in sentence(ran)
    assert not (cli.folder / "trialsync.db").exists()


def test_a_zip_that_is_cut_off_is_one_sentence(cli: Terminal) -> None:
    """A zip without its end is told as what it is, a download that is incomplete."""
    zipped(cli.folder / "whole.zip")
    data = (cli.folder / "whole.zip").read_bytes()
    (cli.folder / "cut.zip").write_bytes(data[: len(data) // 2])
    ran = cli("import", "cut.zip")
    assert ran.code == 2
    assert sentence(ran) == "trialsync: cut.zip is a zip without its end: the download is incomplete (download it again)"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nothing.json"], "no such file: nothing.json"),
        (["n" * 300], "cannot be read: File name too long"),
        (["/proc/self/mem"], "/proc/self/mem cannot be read: Input/output error"),
        (["."], "holds no file that studies could be read from"),
        (["-", "-"], "standard input can be read once"),
        (["-", "--load", "tomorrow"], "--load 'tomorrow' is not a day"),
        (["-", "--load", "2026-13-01"], "--load '2026-13-01' is not a day"),
    ],
)
def test_what_cannot_be_imported_is_one_sentence(cli: Terminal, arguments: list[str], words: str) -> None:
    """A path that is not there, an empty folder, standard input twice or a bad day end with 2 and one sentence."""
    ran = cli("import", *arguments, stdin=dumps(ONE))
    assert ran.code == 2
    assert words in sentence(ran)


def test_the_bulk_download_begins_a_watch_of_everything(cli: Terminal, tmp_path: Path) -> None:
    """The registry's zip says that the watch of everything goes on from it, and the next sync asks for what moved alone."""
    cli.settings({"name": "all", "everything": True}, text="[sync]\nincremental_above = 0\n")
    cli.ok("init")
    loads = publish([ONE, TWO], [status(ONE, "COMPLETED", DAYS[1])])
    zipped(tmp_path / "ctg-studies.json.zip", [labelled(line.study, DAYS[0]) for line in loads if line.study and line.load == DAYS[0]])
    ran = cli.ok("import", "ctg-studies.json.zip")
    said = f"  all goes on from these 3 studies of load {DAYS[0]}: the next trialsync sync asks the registry whether that is all of it"
    assert said in ran.err.splitlines()
    cli.serve(loads).advance()
    cli.ok("sync")
    assert [(row["nct_id"], row["before"], row["after"]) for row in cli.ok("changes", "--field", "status.overallStatus").rows] == [
        (N1, "RECRUITING", "COMPLETED")
    ]
    assert [row["whole"] for row in cli.ok("polls").rows if row["origin"] == "poll"] == [False]


def test_a_bulk_download_without_a_watch_of_everything_is_studies_from_files(cli: Terminal, tmp_path: Path) -> None:
    """Where nothing follows everything, the zip is imported like any other file."""
    zipped(tmp_path / "ctg-studies.json.zip")
    assert "goes on" not in cli.ok("import", "ctg-studies.json.zip").err
    assert cli.ok("watches").rows == []


def test_closed_streams_are_streams_to_nowhere(cli: Terminal) -> None:
    """An import works the same where its standard streams are closed, each by itself and all of them."""
    (cli.folder / "one.json").write_bytes(dumps(ONE))
    for closed in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
        ran = subprocess.run(["sh", "-c", f'"$0" import one.json {closed}', SCRIPT], cwd=cli.folder, capture_output=True, check=False)  # noqa: S603, S607
        assert (ran.returncode, ran.stdout, b"Traceback" in ran.stderr) == (0, b"", False)
    assert [row["ended"] for row in cli.ok("polls").rows] == ["complete"] * 4


def test_a_store_that_the_environment_names(cli: Terminal) -> None:
    """Where only TRIALSYNC_DATABASE names the store, init without anything to follow makes it, as the import's hint says."""
    (cli.folder / "one.json").write_bytes(dumps(ONE))
    cli.setenv("TRIALSYNC_DATABASE", cli.folder / "own.db")
    missing = cli("import", "one.json")
    assert missing.code == 2
    assert "trialsync init" in missing.err
    assert f"the store {'own.db'} is made" in cli.ok("init").err
    assert "1 new" in cli.ok("import", "one.json").err
    assert "own.db stands" in cli.ok("init").err
    assert not (cli.folder / "config").exists()


class Key(io.BytesIO):
    """A standard input at whose end somebody presses Ctrl-C."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Return what is left, or raise KeyboardInterrupt."""
        if data := super().read(size):
            return data
        raise KeyboardInterrupt


def test_an_import_that_is_interrupted_says_what_stands(
    cli: Terminal, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C says how many studies are in the store and how to go on; before the first there is no store to speak of."""
    for data, said in ((b"", "nothing was recorded"), (LINES * 400, "2 studies are in the store; type it again to go on")):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(Key(data)))
        with pytest.raises(SystemExit) as end:
            main(["import", "-"])
        assert end.value.code == 130
        assert capsys.readouterr().err.splitlines()[-1] == f"interrupted: {said}"
    assert cli.ok("show", N1).out
