"""Studies from files: every kind that is taken, what is refused and in which words, and memory that stays flat."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import sys
import threading
import tracemalloc
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trialsync.errors import FileError, UsageError
from trialsync.registry.files import BadRecord, FoundStudy, Unlisted, read
from trialsync.registry.numbers import nct_ids, nct_ids_in

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Callable

LOADS = Path(__file__).parent.parent.parent / "shared" / "registry" / "loads.jsonl.xz"


def study(number: int, **more: Any) -> dict[str, Any]:
    """Return an invented record that can be kept."""
    identification = {"nctId": f"NCT{number:08d}", "briefTitle": f"Study of {number} “cañas”"}
    return {"protocolSection": {"identificationModule": identification, "statusModule": {"overallStatus": "RECRUITING"}}, **more}


def compact(value: Any) -> bytes:
    """Return JSON as the registry sends it: compact, not escaped."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def lines(*values: Any) -> bytes:
    """Return JSON lines; bytes among the values are lines as they are."""
    return b"".join((value if isinstance(value, bytes) else compact(value)) + b"\n" for value in values)


def dated(load: str, number: int, **more: Any) -> dict[str, Any]:
    """Return a dated line."""
    return {"load": load, "nctId": f"NCT{number:08d}", "study": study(number, **more)}


def ids(found: list[Any]) -> list[Any]:
    """Return the numbers of the studies found, and the reasons of what was bad."""
    return [
        each.study["protocolSection"]["identificationModule"]["nctId"]
        if isinstance(each, FoundStudy)
        else each.nct_id
        if isinstance(each, Unlisted)
        else each.sentence
        for each in found
    ]


def read_bytes(data: bytes, folder: Path, name: str = "file.json") -> list[Any]:
    """Return what a file of these bytes holds."""
    path = folder / name
    path.write_bytes(data)
    return list(read([path]))


ONE, TWO, THREE = "NCT00000001", "NCT00000002", "NCT00000003"
KINDS: dict[str, tuple[bytes, list[str]]] = {
    "one study": (compact(study(1)), [ONE]),
    "one study, printed for reading": (json.dumps(study(1), indent=2).encode(), [ONE]),
    "a list": (compact([study(1), study(2)]), [ONE, TWO]),
    "a list, printed for reading": (json.dumps([study(1), study(2)], indent=1).encode(), [ONE, TWO]),
    "a list with a study a line": (b"[\n" + compact(study(1)) + b",\n" + compact(study(2)) + b"\n]\n", [ONE, TWO]),
    "an empty list": (b"[]", []),
    "an answer": (compact({"totalCount": 2, "studies": [study(1), study(2)], "nextPageToken": "x"}), [ONE, TWO]),
    "an answer on the wire": (b'{"studies":[\n' + compact(study(1)) + b",\n" + compact(study(2)) + b'\n],"nextPageToken":"x"}', [ONE, TWO]),
    "an answer of one on the wire": (b'{"totalCount":1,"studies":[\n' + compact(study(1)) + b"\n]}", [ONE]),
    "an empty answer": (b'{"studies":[  ]}', []),
    "lines": (lines(study(1), study(2)), [ONE, TWO]),
    "lines of answers": (lines({"studies": [study(1)]}, {"studies": [study(2), study(3)]}), [ONE, TWO, THREE]),
    "dated lines": (lines(dated("2026-02-02", 1), dated("2026-02-03", 1)), [ONE, ONE]),
    "lines with a byte order mark and CR LF": (b"\xef\xbb\xbf" + lines(study(1), study(2)).replace(b"\n", b"\r\n"), [ONE, TWO]),
    "a study with a byte order mark": (b"\xef\xbb\xbf" + compact(study(1)), [ONE]),
    "lines with blank ones": (b"\n\n" + compact(study(1)) + b"\n \r\n\n" + compact(study(2)) + b"\n\n", [ONE, TWO]),
    "lines without a last line end": (lines(study(1), study(2))[:-1], [ONE, TWO]),
}
PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": zstd.compress,
    "gz twice": lambda data: gzip.compress(gzip.compress(data)),
}


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_read_however_it_is_packed(kind: str, packing: str, tmp_path: Path) -> None:
    """Each shape of JSON gives its studies, compressed or not, from a file of any name and from standard input."""
    data, expected = KINDS[kind]
    packed = PACKINGS[packing](data)
    assert ids(read_bytes(packed, tmp_path, "whatever.txt")) == expected
    assert ids(list(read(["-"], stdin=io.BytesIO(packed)))) == expected


def test_a_study_comes_with_its_bytes_and_its_place(tmp_path: Path) -> None:
    """A line's bytes are the record's own; elsewhere they are made; the place names file and line, member or entry."""
    path = tmp_path / "a.jsonl"
    spaced = json.dumps(study(1)).encode()
    path.write_bytes(spaced + b"\n\n" + compact(study(2)) + b"\n" + compact(dated("2026-02-02", 3)))
    first, second, third = list(read([path]))
    assert first == FoundStudy(study(1), spaced, f"{path}, line 1")
    assert second == FoundStudy(study(2), compact(study(2)), f"{path}, line 3")
    assert third == FoundStudy(study(3), compact(study(3)), f"{path}, line 4", "2026-02-02")
    assert [each.source for each in read_bytes(compact([study(1), study(2)]), tmp_path)] == [
        f"{tmp_path}/file.json, study 1",
        f"{tmp_path}/file.json, study 2",
    ]
    assert read_bytes(compact(study(1)), tmp_path) == [FoundStudy(study(1), compact(study(1)), f"{tmp_path}/file.json")]


def bulk(*entries: tuple[str, bytes]) -> bytes:
    """Return a zip of entries."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return buffer.getvalue()


BULK = bulk(
    ("01/", b""),
    ("01/NCT00000001.json", compact(study(1))),
    ("./02/NCT00000002.json", json.dumps(study(2), indent=2).encode()),
    ("03/NCT00000003.json", b"{"),
    ("contents.txt", b"not a study"),
    ("__MACOSX/04/._NCT00000004.json", b"\x00"),
    ("more/lines.jsonl.gz", gzip.compress(lines(dated("2026-02-03", 5), dated("2026-02-02", 6)))),
)


@pytest.mark.parametrize("packing", ["plain", "gz"])
def test_the_registrys_bulk_zip_is_read_entry_by_entry(packing: str, tmp_path: Path) -> None:
    """Entries that could hold studies are read and others passed by; a bad one is named, from a file and from standard input."""
    path = tmp_path / "ctg-studies.json.zip"
    path.write_bytes(PACKINGS[packing](BULK))
    for name, place in ((str(path), path), ("standard input", "-")):
        found: list[Any] = list(read([place], stdin=io.BytesIO(PACKINGS[packing](BULK))))
        assert ids(found)[:2] == [ONE, TWO]
        assert ids(found)[3:] == ["NCT00000006", "NCT00000005"]
        assert found[2].sentence.startswith(f"{name}, 03/NCT00000003.json: is not JSON: line ")
        assert found[0].source == f"{name}, 01/NCT00000001.json"


@pytest.mark.parametrize("kept", [0.99, 0.5, 0.1])
def test_a_cut_off_zip_is_refused_before_a_study_is_taken(kept: float, tmp_path: Path) -> None:
    """A zip without its central directory is an incomplete download, and nothing is read from it."""
    with pytest.raises(FileError, match=r"file.json is a zip without its end: the download is incomplete \(download it again\)"):
        read_bytes(BULK[: int(len(BULK) * kept)], tmp_path)


def test_a_damaged_entry_of_a_zip_is_one_bad_record(tmp_path: Path) -> None:
    """An entry whose bytes are damaged is named, and the others are read."""
    data = bytearray(bulk(("1.json", compact(study(1))), ("2.json", compact(study(2)))))
    place = data.index(b"1.json") + len("1.json") + 4
    data[place : place + 8] = b"\xff" * 8
    found = read_bytes(bytes(data), tmp_path)
    assert found[0].sentence.startswith(f"{tmp_path}/file.json, 1.json: is damaged: ")
    assert ids(found)[1:] == [TWO]


def test_an_encrypted_entry_is_one_bad_record(tmp_path: Path) -> None:
    """An entry under a password says so."""
    data = bytearray(bulk(("1.json", compact(study(1)))))
    data[data.index(b"PK\x01\x02") + 8] |= 1
    assert read_bytes(bytes(data), tmp_path) == [BadRecord(f"{tmp_path}/file.json, 1.json", "is encrypted")]


def test_an_entry_packed_in_an_unknown_way_is_one_bad_record(tmp_path: Path) -> None:
    """An entry under a compression that Python does not have says so."""
    data = bytearray(bulk(("1.json", compact(study(1)))))
    data[data.index(b"PK\x01\x02") + 10] = 97
    assert [each.sentence for each in read_bytes(bytes(data), tmp_path) if isinstance(each, BadRecord)] == [
        f"{tmp_path}/file.json, 1.json: is packed in a way that cannot be read: That compression method is not supported"
    ]


def test_a_folder_is_read_recursively_and_sorted(tmp_path: Path) -> None:
    """Files with known endings come in sorted order; others, hidden ones and hidden folders are passed by; a bad file is one bad record."""
    files = {
        "b.json": compact(study(2)),
        "a.jsonl": lines(study(1)),
        "c/deep/x.JSON": compact(study(3)),
        "c/y.json.gz": gzip.compress(compact(study(4))),
        "d.zip": bulk(("5.json", compact(study(5)))),
        "readme.txt": b"no",
        ".hidden.json": b"no",
        ".git/x.json": b"no",
        "e.json": b"no",
        "f.json": b"",
        "g.zip": BULK[:100],
        "h.json.gz": gzip.compress(compact(study(8)))[:-9],
        "i.json": compact({"name": "a package"}),
    }
    for name, data in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    assert ids(list(read([tmp_path]))) == [
        ONE,
        TWO,
        "NCT00000005",
        f"{tmp_path}/e.json: is not JSON: line 1, column 1: invalid literal, expected 'null'",
        f"{tmp_path}/f.json: is empty",
        f"{tmp_path}/g.zip: is a zip without its end: the download is incomplete",
        f"{tmp_path}/h.json.gz: is cut off: the download is incomplete",
        f"{tmp_path}/i.json: holds no study: an object with protocolSection, a list of them, or a line with load, nctId and study is due",
        "NCT00000004",
        THREE,
    ]


def test_several_paths_are_read_in_their_order(tmp_path: Path) -> None:
    """Paths come in the order that they were given in, standard input among them."""
    (tmp_path / "z.json").write_bytes(compact(study(1)))
    (tmp_path / "a.json").write_bytes(compact(study(3)))
    assert ids(list(read([tmp_path / "z.json", "-", str(tmp_path / "a.json")], stdin=io.BytesIO(compact(study(2)))))) == [ONE, TWO, THREE]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_named_pipe_is_read_once(tmp_path: Path) -> None:
    """A pipe, such as a shell's process substitution, is read as standard input is."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(gzip.compress(lines(study(1), study(2))),))
    writer.start()
    assert ids(list(read([pipe]))) == [ONE, TWO]
    writer.join()


def test_one_bad_record_among_good_ones_is_named(tmp_path: Path) -> None:
    """In lines, a bad one gives its place and the reason, and the rest is read."""
    nameless: dict[str, Any] = {"protocolSection": {"statusModule": {"overallStatus": "RECRUITING"}}}
    torso = {"protocolSection": {"identificationModule": {"nctId": ONE}}}
    twice = b'{"protocolSection":{},"protocolSection":{"a":[1]}}'
    found = read_bytes(
        lines(
            study(1), nameless, torso, b'{"a":', b'{"a":NaN}', twice, compact(study(1)).replace(b"Study", b"\xff"), {"other": 1}, b"7",
            b'{"a":' * 300 + b"1" + b"}" * 300, b'{"a":"\\ud800"}', study(2),
        ),
        tmp_path,
    )  # fmt: skip
    assert ids([found[0], found[-1]]) == [ONE, TWO]
    bad = {each.source.removeprefix(f"{tmp_path}/file.json, "): each.why for each in found[1:-1]}
    assert list(bad) == [f"line {number}" for number in range(2, 12)]
    assert bad["line 2"] == "a record has no NCT number"
    assert bad["line 3"] == f"{ONE}: the record has no status module"
    assert bad["line 4"].startswith("is not JSON: column 6: ")
    assert bad["line 5"].startswith("is not JSON: column 6: ")
    assert bad["line 6"] == "is not JSON: the name 'protocolSection' stands twice in one object"
    assert bad["line 7"].startswith("is not JSON: column ")
    assert bad["line 7"].endswith(": not UTF-8")
    assert bad["line 8"] == bad["line 9"] == "neither a study nor a line with load, nctId and study"
    assert bad["line 10"] == "is JSON that is nested too deeply"
    assert bad["line 11"].startswith("is not JSON: column ")


@pytest.mark.parametrize("first", [b"oops", compact(study(1))[:-20], b"\xff\xfe", b'{"a":1,"a":2}'])
def test_a_bad_first_line_does_not_hide_the_others(first: bytes, tmp_path: Path) -> None:
    """Lines are recognised as such by their second one too."""
    found = read_bytes(b" " + first + b"\n" + lines(study(2), study(3)), tmp_path) if first != b"\xff\xfe" else []
    assert ids(found)[1:] == ([TWO, THREE] if found else [])
    assert not found or isinstance(found[0], BadRecord)


def test_names_that_only_look_repeated_are_no_fault(tmp_path: Path) -> None:
    """A colon behind a quotation mark inside a text is not a name; spaces before a colon are JSON."""
    odd = study(1, note='":":"":', other=":x", nested={"a": {"a": '\\":'}})
    assert ids(read_bytes(json.dumps(odd, separators=(" , ", " : ")).encode(), tmp_path)) == [ONE]
    assert ids(read_bytes(lines(odd, odd), tmp_path)) == [ONE, ONE]


REFUSED: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is empty"),
    "blank": (b" \n\r\n", "is empty"),
    "empty and compressed": (gzip.compress(b""), "is empty"),
    "HTML": (b"<!doctype html>\n<p>no</p>", "is not JSON: line 1, column 1: "),
    "cut off": (json.dumps(study(1), indent=2).encode()[:-9], "is not JSON: line "),
    "a wrong place further down": (b'{\n "a": 1,\n "b": x\n}', "is not JSON: line 3, column 7: "),
    "a wrong place below blank lines": (b'\n\n{"a":\n\n nope}', "is not JSON: line 5, column 2: "),
    "not UTF-8": (b'{\n"a": "\xe9"}', "is not JSON: line 2, column 7: not UTF-8"),
    "UTF-16": ("\ufeff{}".encode("utf-16-le"), r"is UTF-16, and JSON is UTF-8 \(save it as UTF-8\)"),
    "two names": (b'{"a":1,"a":2}', "is not JSON: the name 'a' stands twice in one object"),
    "two names beside white space": (b'{"b" :1,"a":1,"a":2}', "is not JSON: the name 'a' stands twice in one object"),
    "two names beside a colon by its number": (b'{"b":"\\u003A","a":1,"a":2}', "is not JSON: the name 'a' stands twice in one object"),
    "not a number": (b'{"protocolSection":NaN}', "is not JSON: line 1, column 20: "),
    "another object": (b'{"a": 1}', "holds no study: an object with protocolSection"),
    "a number": (b"7", "holds no study: "),
    "a list of others": (b"[1, {}]", "holds no study: "),
    "lines of others": (b'{"a":1}\n{"a":2}\n', r"holds no study \(.*, line 1: neither a study nor "),
    "many lines of others": (b'{"a":1}\n' * 30 + lines(study(1)), r"holds no study in its first 20 lines \(.*, line 1: neither "),
    "a history answer": (compact({"studyVersion": 1, "study": study(1)}), "holds no study: "),
    "a zip without studies": (bulk(("a.txt", b"x")), "is a zip without studies"),
    "an empty zip": (bulk(), "is a zip without studies"),
    "cut-off gzip": (gzip.compress(lines(study(1)))[:-9], r"is cut off: the download is incomplete \(download it again\)"),
    "cut-off bzip2": (bz2.compress(lines(study(1)))[:-9], "is cut off: the download is incomplete"),
    "cut-off xz": (lzma.compress(lines(study(1)))[:-9], "is cut off: the download is incomplete"),
    "cut-off zstd": (zstd.compress(lines(study(1)))[:-9], "is cut off: the download is incomplete"),
    "damaged gzip": (gzip.compress(lines(study(1)))[:-8] + b"\x00" * 8, "is damaged: CRC check failed"),
    "damaged bzip2": (b"BZh9" + b"\x00" * 40, "cannot be read: Invalid data stream"),
    "damaged xz": (b"\xfd7zXZ\x00" + b"\x01" * 40, "is damaged: "),
    "damaged zstd": (b"(\xb5/\xfd" + b"\xff" * 40, "is damaged: "),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_used_is_refused_in_a_sentence(kind: str, tmp_path: Path) -> None:
    """Each fault is a FileError that names the file and says why, from a file and from standard input."""
    data, why = REFUSED[kind]
    with pytest.raises(FileError, match=f"^{tmp_path}/file.json {why}"):
        read_bytes(data, tmp_path)
    with pytest.raises(FileError, match=f"^standard input {why}"):
        list(read(["-"], stdin=io.BytesIO(data)))


def test_paths_are_checked_before_anything_is_read(tmp_path: Path) -> None:
    """A path that is not there, or standard input twice, is told at once; a folder without studies when it is reached."""
    (tmp_path / "a.json").write_bytes(compact(study(1)))
    with pytest.raises(FileError, match=r"^no such file: .*/none\.json$"):
        read([tmp_path / "a.json", tmp_path / "none.json"])
    with pytest.raises(UsageError, match="standard input can be read once"):
        read(["-", "-"], stdin=io.BytesIO())
    (tmp_path / "folder").mkdir()
    with pytest.raises(FileError, match="folder holds no file that studies could be read from"):
        list(read([tmp_path / "folder"]))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may read everything")
def test_a_file_without_permission_is_told(tmp_path: Path) -> None:
    """A file that may not be read says so."""
    path = tmp_path / "a.json"
    path.write_bytes(compact(study(1)))
    path.chmod(0)
    with pytest.raises(FileError, match=r"a\.json cannot be read: Permission denied"):
        list(read([path]))


def test_a_strange_name_cannot_steer_the_terminal(tmp_path: Path) -> None:
    """A file's name is escaped in messages where it is not printable."""
    with pytest.raises(FileError, match=r"a\\x1b\[31m.json is empty"):
        read_bytes(b"", tmp_path, "a\x1b[31m.json")


def test_good_lines_before_a_cut_are_read(tmp_path: Path) -> None:
    """A cut-off stream gives its whole lines, then the error."""
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(lines(*(study(number) for number in range(1, 3000))))[:-20])
    stream, count = read([path]), 0
    with pytest.raises(FileError, match="cut off"):
        for count, _ in enumerate(stream, start=1):  # noqa: B007  the last count is what is asked for
            pass
    assert count > 100


def test_dated_lines_come_load_by_load(tmp_path: Path) -> None:
    """Lines in any order come sorted by load, a load's own lines as they stood; a study that is null is one no longer listed."""
    mixed = [
        dated("2026-02-03", 1),
        {"study": None, "nctId": "nct00000002", "load": "2026-02-02"},
        b"broken",
        dated("2026-02-03", 2),
        {"nctId": ONE, "load": "2026-02-01", "study": study(1)},
    ]
    expected = [ONE, TWO, ONE, TWO]
    for name, data in (
        ("a.jsonl", lines(*mixed)),
        ("a.jsonl.xz", lzma.compress(lines(*mixed))),
        ("a.zip", bulk(("a.jsonl", lines(*mixed)))),
    ):
        found = read_bytes(data, tmp_path, name)
        good = [each for each in found if not isinstance(each, BadRecord)]
        assert ids(good) == expected
        assert [each.load for each in good] == ["2026-02-01", "2026-02-02", "2026-02-03", "2026-02-03"]
        assert [each.source.rpartition(", ")[2] for each in found] == ["line 5", "line 2", "line 3", "line 1", "line 4"]
        assert good[1] == Unlisted(TWO, "2026-02-02", good[1].source)
    as_list = read_bytes(compact([each for each in mixed if isinstance(each, dict)]), tmp_path)
    assert [each.load for each in as_list] == ["2026-02-01", "2026-02-02", "2026-02-03", "2026-02-03"]


def test_standard_input_must_be_sorted_by_load() -> None:
    """What can be read only once cannot be put in order: a load that goes back is an error that says what to do."""
    data = lines(dated("2026-02-02", 1), dated("2026-02-03", 1), dated("2026-02-02", 2))
    with pytest.raises(FileError, match=r"^standard input has load 2026-02-02 in line 3, after load 2026-02-03 \(sort the lines by load"):
        list(read(["-"], stdin=io.BytesIO(data)))


def test_a_dated_line_must_agree_with_its_study(tmp_path: Path) -> None:
    """A load that is no day, a number that is none or another study's, and a line without both are bad records."""
    good = dated("2026-02-02", 1)
    data = lines(
        good,
        good | {"load": "2026-2-3"},
        good | {"load": 7},
        good | {"nctId": TWO},
        good | {"nctId": "x"},
        {"load": "2026-02-02", "study": None},
    )
    assert [each.why for each in read_bytes(data, tmp_path) if isinstance(each, BadRecord)] == [
        "its load is no day: '2026-2-3'",
        "its load is no day: '7'",
        f"the line is for {TWO} and its study is {ONE}",
        "'x' is not an NCT number (NCT and eight digits, for example NCT07263919)",
        "it has neither a study nor an NCT number",
    ]


def test_progress_counts_the_bytes_on_the_disk(tmp_path: Path) -> None:
    """The bytes read never pass those there are and end there; of standard input nobody knows how many there are."""
    (tmp_path / "a.jsonl").write_bytes(lines(*(study(number) for number in range(1, 2000))))
    (tmp_path / "b.json.gz").write_bytes(gzip.compress(compact(study(1))))
    (tmp_path / "c.zip").write_bytes(BULK)
    (tmp_path / "d.jsonl").write_bytes(lines(dated("2026-02-02", 1), dated("2026-02-03", 1)))
    total = sum(path.stat().st_size for path in tmp_path.iterdir())
    seen: list[tuple[int, int | None]] = []
    count = sum(1 for _ in read([tmp_path], progress=lambda done, of: seen.append((done, of))))
    assert len(seen) == count + 1
    assert {of for _, of in seen} == {total}
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[0][0] < total / 2
    assert seen[-1] == (total, total)
    seen.clear()
    list(read(["-"], stdin=io.BytesIO(b"[]"), progress=lambda done, of: seen.append((done, of))))
    assert seen == [(2, None)]


def test_lines_and_zips_are_streamed(tmp_path: Path) -> None:
    """Reading 40 MB of lines, in order or not, or of a zip, takes less than 3 MB of memory."""
    filler = "x" * 20_000
    (tmp_path / "a.jsonl").write_bytes(lines(*(study(number, note=filler) for number in range(1, 2001))))
    (tmp_path / "b.jsonl").write_bytes(
        lines(*(dated(f"2026-02-{28 - number // 100:02d}", number, note=filler) for number in range(1, 2001)))
    )
    (tmp_path / "c.zip").write_bytes(bulk(*((f"{number}.json", compact(study(number, note=filler))) for number in range(1, 2001))))
    for name in ("a.jsonl", "b.jsonl", "c.zip"):
        tracemalloc.start()
        assert sum(isinstance(each, FoundStudy) for each in read([tmp_path / name])) == 2000
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 3_000_000, name


@pytest.mark.skipif(not LOADS.exists(), reason="the real loads are not beside this checkout")
def test_the_real_loads_come_load_by_load() -> None:
    """Every line of the real dated loads is a study, and the loads never go back."""
    found = list(read([LOADS]))
    assert len(found) == 642
    loads = [each.load or "" for each in found if isinstance(each, FoundStudy)]
    assert len(loads) == 642
    assert loads == sorted(loads)


@given(
    data=st.binary(max_size=200)
    | st.text(max_size=100).map(str.encode)
    | st.sampled_from(sorted(REFUSED)).map(lambda kind: REFUSED[kind][0])
)
def test_any_bytes_at_all_are_read_or_refused(data: bytes) -> None:
    """No file content ends in anything but studies, bad records or a FileError."""
    try:
        found = list(read(["-"], stdin=io.BytesIO(data)))
    except FileError as error:
        assert str(error).startswith("standard input ")  # noqa: PT017  either outcome is right
    else:
        assert all(isinstance(each, FoundStudy | Unlisted | BadRecord) for each in found)


@given(cut=st.integers(0, 10_000), flip=st.integers(0, 10_000))
def test_a_damaged_zip_is_read_or_refused(cut: int, flip: int) -> None:
    """A zip with a byte flipped or its end missing gives studies, bad records or a FileError, never anything else."""
    data = bytearray(BULK)
    data[flip % len(data)] ^= 0x55
    try:
        list(read(["-"], stdin=io.BytesIO(bytes(data[: max(cut % len(data), 4)]))))
        list(read(["-"], stdin=io.BytesIO(bytes(data))))
    except FileError as error:
        assert str(error).startswith("standard input ")  # noqa: PT017  either outcome is right


def test_nct_numbers_are_found_in_any_text() -> None:
    """Tables, references, pages and addresses give their numbers once each, in order; what only looks like one is left."""
    text = (
        "id,title\nNCT00000003,a\nnct00000001;b\n"
        "AN  - NCT00000002\nUR  - https://clinicaltrials.gov/study/NCT00000003?x=NCT00000004#y\n"
        "<a href='/study%2FNCT00000005'>NCT&nbsp;</a> (NCT 00000006), NCT-00000007, NCT: 00000008, NCT#00000009_v2\n"
        "NCT00000000 NCT1234567 NCT123456789 SYNCT 00000011 NCT, 20200101"
    )
    assert nct_ids(text) == tuple(f"NCT{number:08d}" for number in (3, 1, 2, 4, 5, 6, 7, 8, 9))
    assert nct_ids("") == ()


def test_a_file_of_nct_numbers_is_read_or_refused(tmp_path: Path) -> None:
    """A text file in UTF-8 or UTF-16 gives its numbers; a folder, a missing file, and one without numbers say what is wrong."""
    path = tmp_path / "ids.csv"
    path.write_bytes(b"\xef\xbb\xbfNCT00000001\r\nNCT00000002\xff\r\n")
    assert nct_ids_in(path) == (ONE, TWO)
    path.write_text("NCT00000001", encoding="utf-16")
    assert nct_ids_in(path) == (ONE,)
    path.write_bytes(b"PK\x03\x04 a spreadsheet")
    with pytest.raises(FileError, match=r"ids.csv holds no NCT number \(save it as text, for example CSV\)"):
        nct_ids_in(path)
    path.write_bytes(b"nothing")
    with pytest.raises(FileError, match=r"ids.csv holds no NCT number$"):
        nct_ids_in(path)
    with pytest.raises(FileError, match="is a folder, and a file with NCT numbers is due"):
        nct_ids_in(tmp_path)
    with pytest.raises(FileError, match=r"no such file: .*/none$"):
        nct_ids_in(tmp_path / "none")
