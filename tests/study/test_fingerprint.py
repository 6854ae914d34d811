"""The canonical form and its digests: pinned, blind to order and emptiness, strict about types; the quick digest of bytes."""

from __future__ import annotations

import re
from random import Random
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from study_laws import content, shuffled
from study_records import OWN, lines, minimal, put, study_of

from trialsync.study.fingerprint import bytes_digest, canonical, fingerprint, is_empty, without_noise

if TYPE_CHECKING:
    from trialsync.model import Json, Study


def detailed() -> Study:
    """Return a study with each kind of value."""
    study = minimal()
    put(
        study,
        ("protocolSection", "designModule"),
        {"phases": ["PHASE3", "PHASE2"], "enrollmentInfo": {"count": 12}, "patientRegistry": False},
    )
    put(
        study,
        ("protocolSection", "contactsLocationsModule", "locations"),
        [
            {"facility": "Ward “B”", "geoPoint": {"lat": 1.0, "lon": -0.5}},
            {"facility": "Ärztehaus", "contacts": [{"name": "A"}, {"name": "B"}]},
        ],
    )
    return study


PINNED = [
    (minimal(), "1-b6728d2eebd84b3c78ef2c70fae6b2b6"),
    (detailed(), "1-3dde35376f05426868712b41eed2b42f"),
    ({"hasResults": True}, "1-fd9093a1be86a2ea531a505c57c186d6"),
    ({}, "1-cae66941d9efbd404e4d88758ea67670"),
]


@pytest.mark.parametrize(("study", "digest"), PINNED, ids=["minimal", "detailed", "one leaf", "nothing"])
def test_fingerprints_are_pinned(study: Study, digest: str) -> None:
    """A fingerprint is the same on every machine and in every release; a new canonical form needs a new rule number."""
    assert fingerprint(study) == digest
    assert re.fullmatch(r"1-[0-9a-f]{32}", digest)


def test_the_canonical_form_is_pinned() -> None:
    """Objects are sorted by name, lists by content, empty parts left out, values and their types kept."""
    value = {"b": [{"y": 1, "x": 1.0}, None, {"x": True}, {}], "a": ["ü", "b", [], "B"], "c": {"d": [None]}, "e": "", "f": 0, "g": False}
    assert canonical(value) == '{"a":["B","b","ü"],"b":[{"x":1.0,"y":1},{"x":true}],"e":"","f":0,"g":false}'.encode()


@pytest.mark.parametrize("value", [None, {}, [], [None], {"a": None}, {"a": [{}, []]}, [[[]]]])
def test_what_says_nothing_is_empty(value: Json) -> None:
    """Absent, ``null``, ``{}`` and ``[]``, and what is made of them alone, have an empty canonical form."""
    assert is_empty(value)
    assert canonical(value) == b""


@pytest.mark.parametrize("value", ["", 0, False, 0.0, [""], {"a": False}, [[0]]])
def test_false_and_zero_say_something(value: Json) -> None:
    """An empty text, zero and false are values."""
    assert not is_empty(value)
    assert canonical(value) != b""


def test_types_are_told_apart() -> None:
    """True, 1, 1.0 and their texts, which Python partly takes for equal, are five values."""
    values = [True, 1, 1.0, "1", "true", [1], {"1": 1}, -0.0, 0.0, 0, False]
    assert len({canonical(value) for value in values}) == len(values)
    assert len({canonical([value, None, "x"]) for value in values}) == len(values)


def test_repeats_count() -> None:
    """A list is a multiset: a member that stands twice is not one that stands once."""
    assert canonical(["a", "a", "b"]) != canonical(["a", "b", "b"]) != canonical(["a", "b"])
    assert canonical([{"a": 1}, {"a": 1}]) != canonical([{"a": 1}])


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from([0.0, 1.0, "", "1", '"', "#", "\0", "ü"]),
    lambda below: st.lists(below, max_size=4) | st.dictionaries(st.sampled_from(["a", "b", ""]), below, max_size=3),
    max_leaves=8,
)


@given(VALUES, VALUES, st.integers())
@settings(max_examples=400)
def test_the_canonical_form_is_equality(one: Json, other: Json, seed: int) -> None:
    """Two values have one canonical form exactly when they say the same, whatever the order and however much emptiness is in them."""
    assert (canonical(one) == canonical(other)) == (content(one) == content(other))
    assert canonical(one) == canonical(shuffled([one], Random(seed), lists=True)[0])  # noqa: S311
    assert is_empty(one) == (canonical(one) == b"")


def test_the_label_is_noise() -> None:
    """Two records that differ in the load's label alone have one fingerprint, even where one has none; the record keeps its label."""
    study, other, bare = minimal(), minimal(), minimal()
    put(other, ("derivedSection", "miscInfoModule", "versionHolder"), "2026-11-20")
    del bare["derivedSection"]
    assert fingerprint(study) == fingerprint(other) == fingerprint(bare)
    assert "miscInfoModule" in study["derivedSection"]
    assert without_noise(study)["protocolSection"] is study["protocolSection"]


@pytest.mark.parametrize("odd", [None, 3, "x", [], ["versionHolder"], {"versionHolder": {"versionHolder": 1}}])
def test_odd_shapes_around_the_label(odd: Json) -> None:
    """Whatever stands where the label is looked for, a fingerprint is taken."""
    for study in ({"derivedSection": odd}, {"derivedSection": {"miscInfoModule": odd}}):
        assert fingerprint(study).startswith("1-")


def restamped(raw: bytes, label: str | None) -> bytes:
    """Return a record's bytes as another load would have sent them."""
    study = orjson.loads(raw)
    derived: dict[str, Any] = study.get("derivedSection", {})
    misc = {name: value for name, value in derived.get("miscInfoModule", {}).items() if name != "versionHolder"}
    stamped = {"versionHolder": label, **misc} if label is not None else misc
    return orjson.dumps(
        {**study, "derivedSection": {"miscInfoModule": stamped, **{k: v for k, v in derived.items() if k != "miscInfoModule"}}}
    )


@given(st.data())
@settings(max_examples=150)
def test_equal_bytes_mean_equal_fingerprints(data: st.DataObject) -> None:
    """An unchanged record has one digest in every load; where two records' digests are equal, so are their fingerprints."""
    count = len(lines())
    one, other = (orjson.dumps(study_of(lines()[data.draw(st.integers(0, count - 1) | st.integers(0, len(OWN)))])) for _ in range(2))
    first, second = restamped(one, "2026-02-04"), restamped(one, "2026-11-20")
    assert first != second
    assert bytes_digest(first) == bytes_digest(second) is not None
    assert len(bytes_digest(first) or b"") == 16
    if bytes_digest(first) == bytes_digest(restamped(other, "2026-02-04")):
        assert fingerprint(orjson.loads(one)) == fingerprint(orjson.loads(other))


def test_every_byte_but_the_label_counts() -> None:
    """Altering any one byte outside the label alters the digest of a record's bytes, or leaves none."""
    raw = orjson.dumps(detailed())
    label = raw.index(b"2026-02-04")
    for place in range(len(raw)):
        altered = raw[:place] + bytes((raw[place] ^ 1,)) + raw[place + 1 :]
        assert (bytes_digest(altered) == bytes_digest(raw)) == (label <= place < label + 10 and bytes_digest(altered) is not None)


def test_a_record_without_a_label_has_a_digest() -> None:
    """A record that has no label, as in files that cut it out, is digested whole."""
    raw = orjson.dumps({"hasResults": True})
    assert bytes_digest(raw) is not None
    assert bytes_digest(raw) != bytes_digest(raw + b" ")


def test_texts_cannot_imitate_the_label() -> None:
    """A text inside a record that reads like the words around the label is no label: it counts, and the real one is still cut out."""
    imitation = '"derivedSection":{"miscInfoModule":{"versionHolder":"2020-01-01"}}'
    one = minimal(whyStopped=imitation)
    other = minimal(whyStopped=imitation.replace("2020", "2021"))
    assert bytes_digest(orjson.dumps(one)) != bytes_digest(orjson.dumps(other))
    assert bytes_digest(restamped(orjson.dumps(one), "2026-02-04")) == bytes_digest(restamped(orjson.dumps(one), "2026-02-05")) is not None


@pytest.mark.parametrize(
    "raw",
    [
        b'{"derivedSection":{"miscInfoModule":{"versionHolder":"2026-02-04"}},"x":{"derivedSection":{"miscInfoModule":{"versionHolder":"2026-02-04"}}}}',
        b'{"derivedSection":{"miscInfoModule":{"versionHolder":"2026-02-04T09"}}}',
        b'{"derivedSection":{"miscInfoModule":{"versionHolder":"soon"}}}',
        b'{"derivedSection":{"miscInfoModule":{"versionHolder":"2026-02-0\\","}}}',
        b'{"derivedSection":{"miscInfoModule":{"versionHolder":"',
    ],
)
def test_a_label_that_cannot_be_told_gives_no_digest(raw: bytes) -> None:
    """Where the label stands twice, or is no day, there is no digest, so that the fingerprint decides."""
    assert bytes_digest(raw) is None
