"""Loads from files."""

from __future__ import annotations

import gzip
import lzma
from typing import TYPE_CHECKING

import orjson
import pytest
from sandbox_studies import invent

from trialsync.errors import FileError
from trialsync.registry.sandbox import LoadLine, Sandbox, packaged_loads, read_loads

if TYPE_CHECKING:
    from pathlib import Path

LINE = orjson.dumps({"load": "2026-01-05", "nctId": "NCT00000001", "study": invent(1)}) + b"\n"
GONE = b'{"load":"2026-01-06","nctId":"nct00000001","study":null}\n'


@pytest.mark.parametrize(
    ("name", "pack"),
    [("loads.jsonl", bytes), ("loads.jsonl.xz", lzma.compress), ("loads.jsonl.gz", gzip.compress)],
)
def test_plain_and_packed(tmp_path: Path, name: str, pack: type[bytes]) -> None:
    """A file of loads is read plain, as .xz and as .gz; blank lines are passed over; null is a removal."""
    path = tmp_path / name
    path.write_bytes(pack(LINE + b"\n" + GONE))
    assert list(read_loads(path)) == [LoadLine("2026-01-05", "NCT00000001", invent(1)), LoadLine("2026-01-06", "NCT00000001", None)]
    sandbox = Sandbox(read_loads(str(path)))
    assert sandbox.studies().keys() == {"NCT00000001"}
    sandbox.advance()
    assert sandbox.studies() == {}


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (b"{", "line 2 is not JSON"),
        (b"\xff\xfe", "line 2 is not JSON"),
        (b"[]", "line 2 is not a line of a load"),
        (b'{"load":"2026-01-05","nctId":"NCT00000001"}', "line 2 is not a line of a load"),
        (b'{"load":"5 January","nctId":"NCT00000001","study":{}}', "line 2: load '5 January' is not a day"),
        (b'{"load":"20260105","nctId":"NCT00000001","study":{}}', "line 2: load '20260105' is not a day"),
        (b'{"load":7,"nctId":"NCT00000001","study":{}}', "line 2: load 7 is not a day"),
        (b'{"load":"2026-01-05","nctId":"X","study":{}}', "line 2: nctId 'X' is not an NCT number"),
        (b'{"load":"2026-01-05","nctId":null,"study":{}}', "line 2: nctId None is not an NCT number"),
        (b'{"load":"2026-01-05","nctId":"NCT00000001","study":[]}', "line 2: the study is neither"),
    ],
)
def test_bad_lines(tmp_path: Path, line: bytes, complaint: str) -> None:
    """A line that cannot be used is named by file and number."""
    path = tmp_path / "loads.jsonl"
    path.write_bytes(LINE + line + b"\n")
    with pytest.raises(FileError, match=complaint) as caught:
        list(read_loads(path))
    assert str(caught.value).startswith("loads.jsonl")


def test_bad_files(tmp_path: Path) -> None:
    """A file that is missing, a folder, or cut off is refused with a sentence."""
    with pytest.raises(FileError, match="cannot be read"):
        list(read_loads(tmp_path / "none.jsonl"))
    with pytest.raises(FileError, match="cannot be read"):
        list(read_loads(tmp_path))
    for name, pack in (("cut.xz", lzma.compress), ("cut.gz", gzip.compress)):
        path = tmp_path / name
        path.write_bytes(pack(LINE)[:-20])
        with pytest.raises(FileError, match="cut off or damaged"):
            list(read_loads(path))
        path.write_bytes(LINE)
        with pytest.raises(FileError, match=r"cut off or damaged|cannot be read"):
            list(read_loads(path))


def test_loads_in_any_order() -> None:
    """Loads are replayed by date, whatever the order of their lines."""
    later, earlier = LoadLine("2026-01-06", "NCT00000001", None), LoadLine("2026-01-05", "NCT00000001", invent(1))
    sandbox = Sandbox([later, earlier])
    assert sandbox.loads == ("2026-01-05", "2026-01-06")
    assert list(sandbox.studies()) == ["NCT00000001"]


def test_packaged_loads() -> None:
    """The packaged loads, if they are in this installation, replay from first to last."""
    try:
        sandbox = Sandbox(packaged_loads())
    except FileError as error:
        pytest.skip(str(error))
    while sandbox.advance():
        assert sandbox.studies()
