"""The laws of the comparison, on the registry's own records where they are at hand, the sandbox's and ours."""

from __future__ import annotations

import os
from collections import Counter
from copy import deepcopy
from random import Random
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from study_laws import applied, at, content, content_by_field, covers, edited, places, shuffled, without
from study_records import OWN, lines, minimal, put, study_of, versions, whole_study

from trialsync.errors import RecordError
from trialsync.model import Change, Kind
from trialsync.study.diff import baseline, diff
from trialsync.study.fields import FIELDS
from trialsync.study.fingerprint import fingerprint

if TYPE_CHECKING:
    from study_laws import Path

    from trialsync.model import Json, Study

EXAMPLES = int(os.environ.get("TRIALSYNC_EXAMPLES", "100"))
"""How many examples each law is tried on; a few thousand take some minutes."""


HOSTILE_TEXTS = st.sampled_from(
    [
        "",
        " ",
        "\0",
        "__class__",
        "__a",
        "a.b",
        "x[0]",
        "root['a']",
        "'",
        '"',
        "\\",
        "`",
        "|",
        " #2",
        "\u202e",
        "İ",
        "ß",
        "\x1b[31m",
        "{}",
        "[]",
        "é",
    ]
)
NAMES = (
    HOSTILE_TEXTS | st.sampled_from(["facility", "contacts", "groups", "id", "title", "type", "locations", "date"]) | st.text(max_size=8)
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.sampled_from([0, 1, 0.0, 1.0, -0.0, -1])
    | st.floats(allow_nan=False, allow_infinity=False)
    | HOSTILE_TEXTS
    | st.text(max_size=12)
)
VALUES = st.recursive(SCALARS, lambda below: st.lists(below, max_size=3) | st.dictionaries(NAMES, below, max_size=3), max_leaves=6)
EMPTY: st.SearchStrategy[Any] = st.sampled_from([None, {}, [], [None], {"a": {}}, [[], {}], {"": [None]}])


def draw_study(data: st.DataObject) -> Study:
    """Draw a record: one of ours as often as any other."""
    count = len(lines())
    return study_of(
        lines()[data.draw(st.integers(0, len(OWN) - 1) | st.integers(0, count - 1) | st.integers(0, count - 1), label="record")]
    )


def draw_chance(data: st.DataObject) -> Random:
    """Draw what shuffles."""
    return Random(data.draw(st.integers(0, 2**32), label="seed"))  # noqa: S311 - nothing is kept secret here


def draw_place(data: st.DataObject, study: Study, wanted: Any = None) -> Path:
    """Draw the path of any value in a study, or of one of the wanted types; of the study itself where objects are wanted."""
    found: list[Path] = [path for path in places(study) if wanted is None or isinstance(at(study, path), wanted)]
    if wanted is not None and dict in wanted:
        found.append(())
    return found[data.draw(st.integers(0, len(found) - 1), label="place")]


def twin(value: Json) -> Json:
    """Return a value that Python may take for the same, or that holds the same in another shape."""
    match value:
        case bool():
            return int(value)
        case 0 | 1:
            return bool(value)
        case int():
            return str(value)
        case float():
            return int(value)
        case list():
            return {f"member {number}": member for number, member in enumerate(value)}
        case _:
            return [value]


def draw_edit(data: st.DataObject, study: Study, values: st.SearchStrategy[Any] = VALUES) -> tuple[Path, Study]:
    """Draw one edit anywhere in a study; return the place that it touched, and the new study."""
    edits = ["member", "attribute", "replace", "delete", "twin"] if study else ["member"]
    match data.draw(st.sampled_from(edits), label="edit"):
        case "replace":
            path = draw_place(data, study)
            return path, edited(study, path, data.draw(values, label="value"))
        case "delete":
            path = draw_place(data, study)
            return path, without(study, path)
        case "attribute":
            path = (*draw_place(data, study, (dict,)), data.draw(NAMES, label="name"))
            return path, edited(study, path, data.draw(values, label="value"))
        case "member":
            path = draw_place(data, study, (dict, list))
            holder = at(study, path)
            path = (*path, len(holder) if isinstance(holder, list) else "newLeaf")
            return path, edited(study, path, data.draw(values, label="value"))
        case _:
            path = draw_place(data, study)
            return path, edited(study, path, twin(at(study, path)))


def check_laws(old: Study, new: Study) -> list[Change]:
    """Check what holds of the changes between any two records, and return them."""
    changes = diff(old, new)
    differ = content(old) != content(new)
    assert bool(changes) == differ
    assert (fingerprint(old) != fingerprint(new)) == differ
    for change in changes:
        assert (change.before is None) == (change.kind is Kind.ADDED)
        assert (change.after is None) == (change.kind is Kind.REMOVED)
        assert change.kind is not Kind.CHANGED or content(change.before) != content(change.after)
        assert change.by is not None
    rows = Counter((change.field, change.item, change.attribute) for change in changes)
    assert not rows or max(rows.values()) == 1
    assert applied(changes, old, new) == content_by_field(old, new)
    return changes


def kinds(changes: list[Change]) -> Counter[Kind]:
    """Count the kinds."""
    return Counter(change.kind for change in changes)


@given(st.data())
@settings(max_examples=EXAMPLES)
def test_a_study_against_itself_is_no_change(data: st.DataObject) -> None:
    """A study and its deep copy, with the names of all objects in another order, have no change between them and one fingerprint."""
    study = draw_study(data)
    copy = shuffled(study, draw_chance(data), lists=False)
    assert diff(study, copy) == []
    assert fingerprint(study) == fingerprint(copy)


@given(st.data())
@settings(max_examples=EXAMPLES)
def test_order_is_not_news(data: st.DataObject) -> None:
    """Shuffling every list of a study, keyed or plain, at any depth, is no change."""
    study = draw_study(data)
    copy = shuffled(study, draw_chance(data), lists=True)
    assert diff(study, copy) == []
    assert diff(copy, study) == []
    assert fingerprint(study) == fingerprint(copy)


@given(st.data())
@settings(max_examples=3 * EXAMPLES)
def test_one_edit_is_told_and_covered(data: st.DataObject) -> None:
    """Any one edit anywhere gives at least one change whose path covers the place, unless it says nothing; and every law holds of it."""
    old = draw_study(data)
    path, new = draw_edit(data, old)
    changes = check_laws(old, new)
    assert not changes or any(covers(change, path, old, new) for change in changes)
    assert kinds(diff(new, old)) == Counter({_MIRROR[kind]: count for kind, count in kinds(changes).items()})


def told(changes: list[Change], *, backwards: bool = False) -> Counter[tuple[str, ...]]:
    """Return what rows say without their labels, which are the older side's: field, attribute, tier, kind, before and after.

    ``backwards`` turns each row round, as the comparison of the same two records from the other side has to have it.
    """
    rows: Counter[tuple[str, ...]] = Counter()
    for change in changes:
        kind, before, after = change.kind, content(change.before), content(change.after)
        if backwards:
            kind, before, after = _MIRROR[kind], after, before
        attribute = (change.attribute or "").partition(".")[0] if change.item is not None else change.attribute or ""
        rows[change.field, "an item" if change.item is not None else "", attribute, change.tier.value, kind.value, before, after] += 1
    return rows


def draw_versions(data: st.DataObject) -> tuple[Study, Study]:
    """Draw two records to compare: two versions of a study, or one and what some edits make of it."""
    if data.draw(st.booleans(), label="real versions"):
        found = versions()[data.draw(st.integers(0, len(versions()) - 1), label="study")]
        old, new = (study_of(found[data.draw(st.integers(0, len(found) - 1), label="version")]) for _ in range(2))
    else:
        old = new = draw_study(data)
    for _ in range(data.draw(st.integers(0, 4), label="edits")):
        _, new = draw_edit(data, new)
    return old, new


@given(st.data())
@settings(max_examples=EXAMPLES)
def test_backwards_is_the_mirror(data: st.DataObject) -> None:
    """Comparing backwards gives the same rows turned round: added for removed, before for after, labels aside."""
    old, new = draw_versions(data)
    assert told(diff(new, old)) == told(diff(old, new), backwards=True)


@given(st.data())
@settings(max_examples=EXAMPLES)
def test_pairing_does_not_depend_on_order(data: st.DataObject) -> None:
    """The rows say the same, labels aside, in whichever order the lists of either record stand."""
    old, new = draw_versions(data)
    chance = draw_chance(data)
    assert told(diff(shuffled(old, chance, lists=True), shuffled(new, chance, lists=True))) == told(diff(old, new))


@given(st.randoms(use_true_random=False))
def test_groups_that_tie_and_move_keep_the_laws(chance: Random) -> None:
    """Where groups, classes and numbers are alike and ids move, the rows lead to the newer record, and backwards they are the mirror."""

    def drawn() -> Study:
        ids = [f"OG{number:03d}" for number in chance.sample(range(5), chance.randint(1, 4))]
        groups = [{"id": each, "title": chance.choice("AAB"), "description": chance.choice(["x", "x", "y"])} for each in ids]

        def numbers() -> list[dict[str, Any]]:
            return [{"groupId": each, "value": chance.choice("112")} for each in ids]

        classes = [
            {"title": chance.choice("ccd"), "categories": [{"measurements": numbers()} for _ in range(chance.randint(1, 2))]}
            for _ in range(chance.randint(1, 2))
        ]
        analyses = [{"groupIds": chance.sample(ids, min(2, len(ids))), "pValue": chance.choice("12")} for _ in range(chance.randint(0, 2))]
        measure = {"type": "PRIMARY", "title": "Words spoken", "groups": groups, "classes": classes, "analyses": analyses}
        study = minimal()
        put(study, ("resultsSection", "outcomeMeasuresModule", "outcomeMeasures"), [measure])
        return study

    old, new = drawn(), drawn()
    changes = check_laws(old, new)
    assert told(diff(new, old)) == told(changes, backwards=True)
    assert told(diff(shuffled(old, chance, lists=True), shuffled(new, chance, lists=True))) == told(changes)


def test_a_list_with_members_that_say_nothing_goes_whole() -> None:
    """A list that is told whole is told as it stood, empty members included; nothing else is said of them."""
    path = ("resultsSection", "participantFlowModule", "groups")
    old, new = minimal(), minimal()
    put(old, path, [{"id": "FG000", "title": "Bran"}, {}])
    (change,) = check_laws(old, new)
    assert change.before == at(old, path)


@given(st.data())
@settings(max_examples=EXAMPLES)
def test_the_net_over_a_gap_leads_where_the_steps_lead(data: st.DataObject) -> None:
    """Of three versions the net rows lead from the first to the last as the steps do, and tell of no field that no step tells of."""
    first, middle = draw_versions(data)
    last = middle
    for _ in range(data.draw(st.integers(0, 3), label="more edits")):
        _, last = draw_edit(data, last)
    steps = check_laws(first, middle), check_laws(middle, last)
    net = check_laws(first, last)
    names = {change.field for step in steps for change in step}
    known = {each.name for each in FIELDS}
    assert {change.field for change in net} & known <= names


_MIRROR = {Kind.ADDED: Kind.REMOVED, Kind.REMOVED: Kind.ADDED, Kind.CHANGED: Kind.CHANGED}


@given(st.data())
@settings(max_examples=EXAMPLES)
def test_several_edits_are_told(data: st.DataObject) -> None:
    """Several edits at once, with the lists shuffled, keep every law."""
    old = draw_study(data)
    new = old
    for _ in range(data.draw(st.integers(2, 6), label="edits")):
        _, new = draw_edit(data, new)
    new = shuffled(new, draw_chance(data), lists=True)
    check_laws(old, new)


@given(st.data())
@settings(max_examples=EXAMPLES)
def test_versions_of_a_study_keep_the_laws(data: st.DataObject) -> None:
    """Any two versions of one study, in either order, keep every law, and their changes mirror each other."""
    found = versions()[data.draw(st.integers(0, len(versions()) - 1), label="study")]
    old, new = (study_of(found[data.draw(st.integers(0, len(found) - 1), label="version")]) for _ in range(2))
    forth, back = check_laws(old, new), check_laws(new, old)
    assert kinds(forth) == Counter({_MIRROR[kind]: count for kind, count in kinds(back).items()})


@given(st.data())
@settings(max_examples=EXAMPLES // 2)
def test_unrelated_studies_keep_the_laws(data: st.DataObject) -> None:
    """Even two studies that have nothing to do with each other keep every law."""
    check_laws(draw_study(data), draw_study(data))


@given(st.data())
@settings(max_examples=EXAMPLES)
def test_what_says_nothing_is_no_change(data: st.DataObject) -> None:
    """Putting ``null``, ``{}`` or ``[]`` anywhere where nothing was is no change."""
    old = draw_study(data)
    path = draw_place(data, old, (dict, list))
    holder = at(old, path)
    new = edited(old, (*path, len(holder) if isinstance(holder, list) else "nothing here"), data.draw(EMPTY, label="value"))
    assert diff(old, new) == []
    assert fingerprint(old) == fingerprint(new)


@given(st.data())
@settings(max_examples=EXAMPLES)
def test_rows_do_not_depend_on_the_order_of_names(data: st.DataObject) -> None:
    """The rows, their values and their order are the same whatever the order of names inside objects."""
    old = draw_study(data)
    _, new = draw_edit(data, old)
    _, new = draw_edit(data, new)
    chance = draw_chance(data)
    assert diff(shuffled(old, chance, lists=False), shuffled(new, chance, lists=False)) == diff(old, new)


@given(st.data())
@settings(max_examples=EXAMPLES // 2)
def test_comparing_leaves_the_records_alone(data: st.DataObject) -> None:
    """Neither comparing nor taking a fingerprint alters a record."""
    old = draw_study(data)
    _, new = draw_edit(data, old)
    before, after = deepcopy(old), deepcopy(new)
    diff(old, new)
    baseline(old, "all")
    fingerprint(old)
    assert (orjson.dumps(old), orjson.dumps(new)) == (orjson.dumps(before), orjson.dumps(after))


def nested(depth: int, *, lists: bool) -> Json:
    """Return a value that lies so deep in objects or lists."""
    value: Json = "bottom"
    for _ in range(depth):
        value = [value] if lists else {"in": value}
    return value


@pytest.mark.parametrize("lists", [True, False])
@pytest.mark.parametrize(
    "path", ["newSection", "protocolSection.statusModule.whyStopped", "protocolSection.contactsLocationsModule.locations"]
)
def test_two_hundred_levels_are_followed(path: str, *, lists: bool) -> None:
    """A value 200 levels deep is compared like any other."""
    old, new = minimal(), minimal()
    put(old, tuple(path.split(".")), nested(200, lists=lists))
    put(new, tuple(path.split(".")), nested(201, lists=lists))
    assert len(check_laws(old, new)) >= 1
    check_laws(minimal(), new)


@pytest.mark.parametrize(
    "value", [nested(5000, lists=True), nested(5000, lists=False), "\ud800", ["\ud800", 1], [{"\ud800": 1}], 2**70, [-(2**70)]]
)
def test_what_is_no_json_is_a_record_error(value: Json) -> None:
    """A lone surrogate, a number beyond 64 bits and a bottomless value are errors that name a record, wherever they stand."""
    for path in ("newSection", "protocolSection.statusModule.whyStopped", "protocolSection.contactsLocationsModule.locations"):
        study = minimal()
        put(study, tuple(path.split(".")), value)
        for compare in (lambda broken: diff(minimal(), broken), lambda broken: diff(broken, minimal()), fingerprint):
            with pytest.raises(RecordError, match="a record"):
                compare(study)


def test_huge_texts_are_compared_as_a_whole() -> None:
    """A text of a million characters is one change, before and after whole."""
    old, new = minimal(whyStopped="a\n" * 500_000), minimal(whyStopped="a\n" * 499_999 + "b\n")
    (change,) = diff(old, new)
    assert (change.path, len(change.before), len(change.after)) == ("status.whyStopped", 1_000_000, 1_000_000)


def test_unknown_leaves_never_share_a_name() -> None:
    """Leaves that the naming rule would give one name are told apart, even beside a leaf that already has that name's path."""
    old, new = minimal(), minimal()
    for path in (
        ("protocolSection", "newModule", "leaf"),
        ("protocolSection", "new", "leaf"),
        ("documentSection", "newModule", "leaf"),
        ("protocolSection", "statusModule", "newStruct", "date"),
        ("protocolSection", "statusModule", "new"),
        ("status.overallStatus",),
        ("protocolSection", "status.overallStatus"),
        ("protocolSection", "a", "b.c"),
        ("protocolSection", "a.b", "c"),
        ("registry.presence",),
        ("watch.mine",),
    ):
        put(new, path, "news")
    changes = check_laws(old, new)
    assert len(changes) == 11
    assert len({change.path for change in changes}) == 11
    assert not {"status.overallStatus", "registry.presence", "watch.mine"} & {change.path for change in changes}


def test_every_attribute_is_compared() -> None:
    """In a study that holds every attribute of the table, altering any one leaf is told at its place and nowhere else."""
    old = whole_study()
    for path in places(old):
        if isinstance(at(old, path), str) and 1 not in path and path[-1] != "versionHolder":
            new = edited(old, path, f"{at(old, path)} altered")
            changes = diff(old, new)
            assert len(changes) in {1, 2}
            assert all(covers(change, path, old, new) for change in changes)
