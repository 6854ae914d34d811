"""The registry's bulk download: a zip of very many files, walked without holding its directory."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zipfile
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING
from warnings import catch_warnings, simplefilter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trialsync.errors import FileError
from trialsync.registry.bulk import MANY, BulkZip, is_download
from trialsync.registry.files import BadRecord, read

if TYPE_CHECKING:
    from pathlib import Path

STUDY = b'{"protocolSection":{"identificationModule":{"nctId":"NCT%08d"},"statusModule":{"overallStatus":"RECRUITING"}},"hasResults":false}'


def zipped(*entries: tuple[str, bytes], packing: int = zipfile.ZIP_DEFLATED, comment: bytes = b"", before: bytes = b"") -> bytes:
    """Return a zip of entries, something else before it where that is given."""
    buffer = io.BytesIO(before)
    buffer.seek(len(before))
    with zipfile.ZipFile(buffer, "a" if before else "w", packing) as archive:
        archive.comment = comment
        for name, content in entries:
            archive.writestr(name, content)
    return buffer.getvalue()


def many(path: Path, count: int = MANY + 1) -> Path:
    """Write a zip of so many studies, laid out as the registry does."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for number in range(1, count + 1):
            archive.writestr(f"{number % 100:02d}/NCT{number:08d}.json", STUDY % number)
    return path


@given(
    st.lists(st.tuples(st.text("abcé/._-", min_size=1, max_size=12), st.binary(max_size=300)), max_size=8, unique_by=lambda each: each[0]),
    st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]),
    st.binary(max_size=40).filter(lambda comment: b"PK" not in comment),
    st.sampled_from([b"", b"#!/bin/sh\n" * 5]),
)
def test_a_zip_holds_what_the_standard_library_says(entries: list[tuple[str, bytes]], packing: int, comment: bytes, before: bytes) -> None:
    """Names and contents are those that the standard library reads, however the zip is packed, commented or preceded."""
    data = zipped(*entries, packing=packing, comment=comment, before=before)
    archive = BulkZip(io.BytesIO(data))
    with zipfile.ZipFile(io.BytesIO(data)) as standard:
        wanted = [(entry.filename, standard.read(entry)) for entry in standard.infolist()]
    assert archive.count == len(wanted)
    assert [(entry.name, archive.open(entry).read()) for entry in archive.entries()] == wanted


@given(st.lists(st.tuples(st.integers(0, 99_999_999), st.binary(max_size=20)), max_size=12), st.binary(max_size=40))
def test_entries_come_by_number(entries: list[tuple[int, bytes]], before: bytes) -> None:
    """The entries of a download come in the order of their studies' numbers, those of one number as they lie."""
    buffer = io.BytesIO(before)
    buffer.seek(len(before))
    with zipfile.ZipFile(buffer, "a" if before else "w") as archive, catch_warnings():
        simplefilter("ignore")
        for number, content in entries:
            entry = zipfile.ZipInfo(f"{number % 100:02d}/NCT{number:08d}.json")
            entry.comment = content
            archive.writestr(entry, content)
    found = BulkZip(buffer)
    assert [(int(entry.nct_id[3:]), found.open(entry).read()) for entry in found.by_number()] == sorted(entries, key=lambda each: each[0])


def test_a_zip_with_wide_places_is_read() -> None:
    """Sizes and places in 64 bits, as a zip of more than 4 GiB has them, are read from where the format puts them."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive, archive.open(zipfile.ZipInfo("a.json"), "w", force_zip64=True) as file:
        file.write(b"{}")
    (entry,) = BulkZip(buffer).entries()
    assert BulkZip(buffer).open(entry).read() == b"{}"


@pytest.mark.parametrize("kept", [0.2, 0.9, 0.999])
def test_a_download_that_broke_off_is_none(kept: float, tmp_path: Path) -> None:
    """However much of a zip is there, without its end it is refused before anything is taken from it."""
    data = zipped(*((f"{number % 100:02d}/NCT{number:08d}.json", STUDY % number) for number in range(1, 400)))
    path = tmp_path / "cut.zip"
    path.write_bytes(data[: int(len(data) * kept)])
    assert not is_download(path)
    with pytest.raises(zipfile.BadZipFile):
        BulkZip(io.BytesIO(path.read_bytes()))


@given(st.integers(0, 2_000), st.integers(0, 255))
def test_a_damaged_zip_is_told_as_that(place: int, byte: int) -> None:
    """A zip with a byte replaced gives its entries or says that it is damaged, and nothing else."""
    data = bytearray(zipped(*((f"{number:02d}/NCT{number:08d}.json", STUDY % number) for number in range(1, 9))))
    data[place % len(data)] = byte
    with suppress(zipfile.BadZipFile, zlib.error):
        archive = BulkZip(io.BytesIO(bytes(data)))
        for entry in archive.entries():
            archive.open(entry)


def test_the_registrys_layout_is_known(tmp_path: Path) -> None:
    """A zip is the registry's download where every file in it lies where the registry puts it."""
    path = tmp_path / "a.zip"
    for entries, wanted in (
        ((("24/NCT00000024.json", b"{}"), ("25/NCT00000025.json", b"{}")), True),
        ((("24/NCT00000024.json", b"{}"), ("README.txt", b"")), False),
        ((("NCT00000024.json", b"{}"),), False),
        ((), False),
    ):
        path.write_bytes(zipped(*entries))
        assert is_download(path) is wanted
    path.write_bytes(zipped(("24/NCT00000024.json", b"{}"), packing=zipfile.ZIP_BZIP2))
    assert not is_download(path)


def test_a_place_beyond_the_end_is_damage() -> None:
    """A zip whose 64-bit end lies where no file can reach is damaged, and nothing worse."""
    data = zipped(("24/NCT00000024.json", b"{}"))
    end = bytearray(data[-22:])
    end[10:12] = b"\xff\xff"
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, (1 << 64) - 1, 1)
    with pytest.raises(zipfile.BadZipFile, match="its end is damaged"):
        BulkZip(io.BytesIO(data[:-22] + bytes(56) + locator + end))


def test_what_the_standard_library_does_not_know_is_damage(tmp_path: Path) -> None:
    """A zip whose directory asks for a version that no zip has is refused with what to do."""
    data = bytearray(zipped(("a.json", STUDY % 1)))
    data[data.rfind(b"PK\x01\x02") + 6] = 228
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(FileError, match=r"is a zip with a damaged directory: zip file version 22.8 \(download it again\)"):
        next(read([tmp_path / "a.zip"]))


def test_very_many_files_are_read_in_little_memory(tmp_path: Path) -> None:
    """A zip of more files than the standard library should hold is read whole, in order, in a few megabytes."""
    path = many(tmp_path / "ctg-studies.json.zip")
    tracemalloc.start()
    try:
        count = sum(1 for each in read([path]) if not isinstance(each, BadRecord))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == MANY + 1
    assert peak < 6_000_000


def test_a_directory_that_is_not_what_its_end_counts_is_refused(tmp_path: Path) -> None:
    """A large zip whose directory was altered is refused with what to do, before a study is taken."""
    path = many(tmp_path / "altered.zip")
    data = bytearray(path.read_bytes())
    data[data.rfind(b"PK\x01\x02") + 1] = 0
    path.write_bytes(data)
    with pytest.raises(FileError, match=r"is a zip with a damaged directory: .* \(download it again\)"):
        next(read([path]))


def test_an_entry_that_claims_half_of_the_zip_is_damaged() -> None:
    """An entry of which the directory says that it has megabytes for a few bytes unpacked is refused without reading them."""
    data = bytearray(zipped(("24/NCT00000024.json", b"{}"), ("25/NCT00000025.json", bytes(3_000_000)), packing=zipfile.ZIP_STORED))
    place = data.find(b"PK\x01\x02")
    data[place + 20 : place + 24] = (2_900_000).to_bytes(4, "little")
    archive = BulkZip(io.BytesIO(bytes(data)))
    with pytest.raises(zipfile.BadZipFile, match="it has 2,900,000 bytes for 2 unpacked"):
        archive.open(next(archive.by_number()))
