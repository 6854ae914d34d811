"""What a study is stored as."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trialsync.errors import RecordError
from trialsync.store import codec

if TYPE_CHECKING:
    from collections.abc import Callable

    from trialsync.model import Study

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda below: st.lists(below, max_size=4) | st.dictionaries(st.text(max_size=8), below, max_size=4),
    max_leaves=20,
)
FIRST_FORMAT = "0128b52ffd2444ad0000f300033b76ec90f17877976e8ac6240100d2dd09813e5b2be3"
THIRD_FORMAT = "0328b52ffd2444ad0000f300033972e4e888dfdd6d35e7521201002af609813e5b2be3"
STUDIES = st.dictionaries(st.text(max_size=8), VALUES, max_size=6)


def same(one: object, other: object) -> bool:
    """Return whether two values are equal in type, order of names, and value."""
    return repr(one) == repr(other)


@given(STUDIES)
def test_a_study_comes_back_as_it_was(study: dict[str, object]) -> None:
    """Any JSON object comes back with the same values, types and order of names."""
    assert same(codec.study(codec.unpack(codec.pack(codec.text(study)))), study)


@given(STUDIES, STUDIES)
def test_a_difference_comes_back_with_the_newer(old: dict[str, object], new: dict[str, object]) -> None:
    """Any JSON object stored as its difference from any other comes back the same."""
    newer = codec.text(new)
    blob = codec.pack_difference(codec.text(old), newer)
    assert codec.is_difference(blob)
    assert same(codec.study(codec.unpack(blob, newer)), old)


@pytest.mark.parametrize("blob", [FIRST_FORMAT, THIRD_FORMAT])
def test_blobs_of_older_formats_stay_readable(blob: str) -> None:
    """A blob as an older trialsync wrote it, with the dictionary of then, is read to the byte."""
    assert codec.unpack(bytes.fromhex(blob)) == b'{"protocolSection":{"identificationModule":{"nctId":"NCT09000024"}}}'


def test_real_studies_come_back_to_the_byte(records: Callable[[], tuple[Study, ...]]) -> None:
    """The JSON text of real studies comes back to the byte, whole and as a difference to another study, small ones and large ones."""
    texts = [codec.text(study) for study in records()]
    for content, newer in zip(texts, [*texts[1:], texts[0]], strict=True):
        assert codec.unpack(codec.pack(content)) == content
        assert codec.unpack(codec.pack_difference(content, newer), newer) == content


def test_a_large_study_is_a_small_difference() -> None:
    """A study of several megabytes of which one word changed is a difference of a few hundred bytes."""
    sites = [{"facility": f"Site {number * 7919 % 100_003}", "zip": str(number * number)} for number in range(60_000)]
    old, new = ({"sites": sites, "status": status} for status in ("RECRUITING", "COMPLETED"))
    newer = codec.text(new)
    assert len(newer) > 2_000_000
    blob = codec.pack_difference(codec.text(old), newer)
    assert len(blob) < 1000
    assert codec.study(codec.unpack(blob, newer)) == old


@settings(max_examples=300)
@given(st.data())
def test_an_altered_blob_is_noticed(data: st.DataObject) -> None:
    """A blob that is cut short, longer, or has any bit flipped is refused or gives the same content, never another."""
    study = {"protocolSection": {"identificationModule": {"briefTitle": data.draw(st.text(max_size=50))}}, "numbers": list(range(40))}
    content = codec.text(study)
    blob = bytearray(codec.pack(content))
    kind = data.draw(st.sampled_from(["flip", "cut", "longer"]))
    if kind == "flip":
        blob[data.draw(st.integers(0, len(blob) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    elif kind == "cut":
        del blob[data.draw(st.integers(0, len(blob) - 1)) :]
    else:
        blob += b"more"
    try:
        found = codec.unpack(bytes(blob), b"{}")
    except codec.BadBlob:
        return
    assert found == content


def test_a_difference_needs_the_newer() -> None:
    """A difference without the version that it leads from is refused, and so is one read with the wrong version."""
    old, new, wrong = (codec.text({"words": [f"{word} {number}" for number in range(200)]}) for word in ("old", "new", "wrong"))
    blob = codec.pack_difference(old, new)
    with pytest.raises(codec.BadBlob, match="not there"):
        codec.unpack(blob)
    with pytest.raises(codec.BadBlob):
        codec.unpack(blob, wrong)


def test_what_is_no_json_is_refused() -> None:
    """A record with a lone surrogate or a number beyond 64 bits is refused as a record that can't be used."""
    for value in ("\ud800", 2**70):
        with pytest.raises(RecordError, match="can't be written as JSON"):
            codec.text({"x": value})


def test_a_blob_that_is_no_study_is_refused() -> None:
    """Content that is not a JSON object is refused."""
    for content in (b"[]", b"{", b""):
        with pytest.raises(codec.BadBlob):
            codec.study(content)


@given(st.sets(st.integers(1, 99_999_999)))
def test_a_list_of_studies_comes_back(numbers: set[int]) -> None:
    """Any set of NCT numbers comes back from its blob."""
    nct_ids = {f"NCT{number:08d}" for number in numbers}
    assert set(codec.unpack_ids(codec.pack_ids(nct_ids))) == nct_ids


def test_a_broken_list_of_studies_is_refused() -> None:
    """A list of studies that is not what was written is refused."""
    for blob in (b"", b"nonsense", codec.pack_ids(["NCT00000001"])[:-2]):
        with pytest.raises(codec.BadBlob):
            codec.unpack_ids(blob)
