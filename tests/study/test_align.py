"""Lists to keyed items: keys, repeats, and which member of one list is which of the other."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from trialsync.study.align import is_keyed, key, labels, pairs
from trialsync.study.fields import Items, by_name

if TYPE_CHECKING:
    from trialsync.study.align import Pair


def items_of(name: str) -> Items:
    """Return how a field's members are told apart."""
    each = by_name(name)
    assert each is not None
    assert each.items is not None
    return each.items


LOCATIONS, OUTCOMES, ARMS = items_of("locations"), items_of("outcomes.primary"), items_of("armsInterventions.arms")
REFERENCES, CONTACTS, GROUPS = (
    items_of("references.references"),
    items_of("contacts.centralContacts"),
    items_of("results.participantFlow.groups"),
)


def shown(found: list[Pair]) -> list[tuple[str, str]]:
    """Return each pair's label and whether it was paired, gone or came."""
    return [(pair.label, "gone" if pair.new is None else "came" if pair.old is None else "paired") for pair in found]


def site(facility: str, city: str = "Sylvania", **more: Any) -> dict[str, Any]:
    """Return a site."""
    return {"facility": facility, "city": city, "country": "Freedonia", **more}


@pytest.mark.parametrize(
    ("member", "items", "text"),
    [
        (site("  The  Royal\tHospital ", "Sylvania", state="North"), LOCATIONS, "the royal hospital|sylvania|north|freedonia"),
        (site("Klinik am Öhrberg"), LOCATIONS, "klinik am öhrberg|sylvania||freedonia"),
        ({}, LOCATIONS, "|||"),
        ({"measure": "Overall Survival"}, OUTCOMES, "overall survival"),
        ({"pmid": "123", "citation": "X"}, REFERENCES, "123"),
        ({"citation": "X y"}, REFERENCES, "x y"),
        ({"pmid": "", "citation": "X"}, REFERENCES, "x"),
        ({"id": "FG000", "title": "A"}, GROUPS, "a"),
        ({"id": "FG000"}, GROUPS, "fg000"),
        ({"measure": None}, OUTCOMES, ""),
        ({"measure": {}}, OUTCOMES, ""),
        ({"measure": ["b", "a", None]}, OUTCOMES, ", a, b"),
        ({"measure": {"b": 1, "a": True}}, OUTCOMES, '{"a":true,"b":1}'),
        ({"measure": False}, OUTCOMES, "false"),
    ],
)
def test_keys(member: dict[str, Any], items: Items, text: str) -> None:
    """A key is its parts in lower case, white space collapsed, joined by bars, empty parts kept."""
    assert key(member, items) == text


def test_a_key_does_not_depend_on_the_order_of_names() -> None:
    """Whatever shape a key part has, its order of names or members says nothing."""
    assert key({"measure": {"a": 1, "b": 2}}, OUTCOMES) == key({"measure": {"b": 2, "a": 1}}, OUTCOMES)


def test_repeats_are_numbered() -> None:
    """The first member of a key has the key for a label, the next ones a number from 2."""
    members = [{"measure": "A"}, {"measure": "B"}, {"measure": "a "}, {"measure": "A", "timeFrame": "x"}]
    assert labels(members, OUTCOMES) == ["a", "b", "a #2", "a #3"]


def test_no_two_labels_are_equal() -> None:
    """A key that itself ends like a number keeps its label; the repeat beside it takes the next number that is free."""
    members = [{"label": "Cohort"}, {"label": "Cohort"}, {"label": "Cohort #2"}, {"label": "Cohort"}]
    assert labels(members, ARMS) == ["cohort", "cohort #3", "cohort #2", "cohort #4"]


def test_new_repeats_take_numbers_that_the_older_side_left() -> None:
    """Labels are the older side's; a member that comes is numbered after those that were there."""
    old = [{"measure": "A", "timeFrame": "1"}, {"measure": "A", "timeFrame": "2"}, {"measure": "B #2"}]
    new = [
        {"measure": "A", "timeFrame": "0"},
        {"measure": "A", "timeFrame": "1"},
        {"measure": "B"},
        {"measure": "A", "timeFrame": "2"},
        *old[2:],
    ]
    assert shown(pairs(old, [*new, {"measure": "B"}], OUTCOMES)) == [("a #3", "came"), ("b", "came"), ("b #3", "came")]


def test_equal_members_cancel() -> None:
    """Members that say the same are no pair, whatever their order and however often; one too many is one item."""
    old = [site("A"), site("B", zip=None), site("A"), site("C")]
    new = [site("C"), site("A", contacts=[]), site("B")]
    assert shown(pairs(old, new, LOCATIONS)) == [("a|sylvania||freedonia #2", "gone")]
    assert shown(pairs(new, old, LOCATIONS)) == [("a|sylvania||freedonia #2", "came")]
    assert pairs(old, list(reversed(old)), LOCATIONS) == []


def test_within_a_key_the_most_equal_pair_first() -> None:
    """Of several members with one key those pair that share most attributes, not those that stand at one place."""
    one, two = site("Research Site", zip="1", status="RECRUITING"), site("Research Site", zip="2", status="RECRUITING")
    found = pairs([one, two], [{**two, "status": "COMPLETED"}, {**one, "status": "WITHDRAWN"}], LOCATIONS)
    assert [(pair.old, (pair.new or {})["status"]) for pair in found] == [(two, "COMPLETED"), (one, "WITHDRAWN")]
    assert [pair.label[-3:] for pair in found] == [" #2", "nia"]


def test_within_a_key_then_by_order() -> None:
    """Members of one key that share equally much pair by order."""
    old = [{"measure": "A", "timeFrame": "1"}, {"measure": "A", "timeFrame": "2"}]
    new = [{"measure": "A", "timeFrame": "3"}, {"measure": "A", "timeFrame": "4"}, {"measure": "A", "timeFrame": "5"}]
    assert [(pair.old, pair.new) for pair in pairs(old, new, OUTCOMES)] == [(old[0], new[0]), (old[1], new[1]), (None, new[2])]


def test_numbers_are_the_older_sides() -> None:
    """When the first of two repeats goes, the second keeps its number in what is told of it."""
    one, two = site("Research Site", zip="1"), site("Research Site", zip="2")
    found = pairs([one, two], [{**two, "status": "COMPLETED"}], LOCATIONS)
    assert {(pair.label[-3:], pair.new is None) for pair in found} == {(" #2", False), ("nia", True)}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (site("Sylvania General Hospital", zip="10"), site("Research Site", zip="10")),
        (site("Ospedale Vecchio", "Napoli", zip="80131"), site("Ospedale Vecchio", "Naples", zip="80131")),
        (site("Ospedale Vecchio", "Napoli"), site("Ospedale Vecchio", "Naples")),
        (site("University Clinic", zip="8"), site("Local Institution - 0044", zip="8")),
        (site("University Clinic", state="Región del Lago"), site("University Clinic", state="Lago")),
        (site('Hă"Pital du Nord'), site("Hôpital du Nord")),
    ],
    ids=["facility hidden", "city in English", "city in English, no zip", "made anonymous", "state respelled", "mis-encoded name repaired"],
)
def test_an_edited_site_is_recognised(old: dict[str, Any], new: dict[str, Any]) -> None:
    """A site whose facility, city or state was edited is one site, under the older key."""
    others = [site("Harbour Hospital", "Osterlich", zip="99"), site("Institute of Nothing", "Klopstokia", zip="98")]
    (pair,) = pairs([*others, old], [new, *others], LOCATIONS)
    assert (pair.old, pair.new, pair.label) == (old, new, key(old, LOCATIONS))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (site("Harbour Hospital", zip="10"), site("Institute of Nothing", zip="20")),
        (site("Harbour Hospital"), site("Institute of Nothing")),
        (site("Harbour Hospital", state="North", zip="10"), site("Institute of Nothing", state="North", zip="20")),
        (site("Research Site", "Osterlich", zip="1"), site("Research Site", "Klopstokia", zip="2")),
        (site("Harbour Hospital", "Osterlich"), site("Harbour Hospital and Clinics of the South", "Klopstokia")),
    ],
    ids=["another zip", "no zip", "same state", "two towns", "a namesake elsewhere"],
)
def test_another_site_is_not_taken_for_an_edit(old: dict[str, Any], new: dict[str, Any]) -> None:
    """A site that closed and another that opened, even in the same town, are two items."""
    assert sorted(shown(pairs([old], [new], LOCATIONS)), key=lambda each: each[1]) == [
        (key(new, LOCATIONS), "came"),
        (key(old, LOCATIONS), "gone"),
    ]


def test_a_reworded_outcome_is_recognised() -> None:
    """An outcome whose measure was reworded, or whose time frame and description stand, is one outcome."""
    old = {"measure": "Time on stage without troublesome stumbling", "timeFrame": "Week 12", "description": "As the diary says."}
    reworded = {**old, "measure": "Time on stage without stumbling, or with stumbling that is not troublesome"}
    assert shown(pairs([old], [reworded], OUTCOMES)) == [("time on stage without troublesome stumbling", "paired")]
    moved = {**reworded, "timeFrame": "Week 24"}
    assert shown(pairs([old], [moved], OUTCOMES)) == [("time on stage without troublesome stumbling", "paired")]


def test_another_outcome_is_not_taken_for_an_edit() -> None:
    """An outcome that was replaced by a wholly different one is removed, and the other added, though both are measured in week 12."""
    old = {"measure": "Overall survival", "timeFrame": "Week 12", "description": "Time from the first dose to death."}
    new = {"measure": "Number of words spoken", "timeFrame": "Week 12", "description": "Counted by two listeners."}
    assert sorted(kind for _, kind in shown(pairs([old], [new], OUTCOMES))) == ["came", "gone"]


def test_lists_without_weights_never_pair_other_keys() -> None:
    """A contact person who replaces another is another item, though role and telephone stand."""
    old, new = {"name": "A. B.", "role": "CONTACT", "phone": "1"}, {"name": "C. D.", "role": "CONTACT", "phone": "1"}
    assert len(pairs([old], [new], CONTACTS)) == 2


def test_the_most_alike_pair_first() -> None:
    """Of two vanished and two new members each goes to the one that it is most like, not to the first."""
    old = [{"label": "Arm A", "description": "low dose of it"}, {"label": "Arm B", "description": "high dose of it"}]
    new = [{"label": "Higher", "description": "high dose of it"}, {"label": "Lower", "description": "low dose of it"}]
    weights = Items(ARMS.key, ARMS.attributes, weights={"label": 1, "description": 2})
    assert [((pair.old or {})["label"], (pair.new or {})["label"]) for pair in pairs(old, new, weights)] == [
        ("Arm B", "Higher"),
        ("Arm A", "Lower"),
    ]


def test_pairs_stand_in_the_newer_order() -> None:
    """What changed or came stands in the newer list's order, what went where the older list had it."""
    old = [site("A", "Aa"), site("B", "Bb"), site("C", "Cc"), site("D", "Dd")]
    new = [site("N", "Nn"), site("A", "Aa"), site("D", "Dd", zip="4"), site("C", "Cc", zip="3")]
    assert [(label[0], how) for label, how in shown(pairs(old, new, LOCATIONS))] == [
        ("n", "came"),
        ("b", "gone"),
        ("d", "paired"),
        ("c", "paired"),
    ]


def test_a_shift_is_no_pair() -> None:
    """A site inserted in the middle of a thousand is one item, and so is one of a thousand repeats."""
    many = [site(f"Hospital {number}", zip=str(number)) for number in range(1000)]
    assert len(pairs(many, [*many[:500], site("Brand New", zip="x"), *many[500:]], LOCATIONS)) == 1
    same = [site("Research Site")] * 1000
    assert shown(pairs(same, [*same, site("Research Site")], LOCATIONS)) == [("research site|sylvania||freedonia #1001", "came")]


@pytest.mark.parametrize("part", ["zip", "facility"])
def test_large_lists_are_paired_in_time(part: str) -> None:
    """Two thousand sites of which each was edited are paired one to one, without comparing every two: by key, and by what they share."""
    old = [site("Research Site" if part == "zip" else f"Clinic {number}", zip=str(number), status="A") for number in range(2000)]
    new = [{**each, "status": "B"} if part == "zip" else {**each, "facility": "Research Site"} for each in old]
    found = pairs(old, new, LOCATIONS)
    assert len(found) == 2000
    assert all(pair.old is not None and pair.new is not None and pair.old["zip"] == pair.new["zip"] for pair in found)


def test_pairing_is_alike_both_ways() -> None:
    """Comparing backwards pairs the same members."""
    chance = Random(7)  # noqa: S311

    def member() -> dict[str, Any]:
        return site(f"Clinic {chance.randint(1, 3)}", f"Town {chance.randint(1, 2)}", zip=chance.choice("123"), status=chance.choice("AB"))

    for _ in range(200):
        old, new = [member() for _ in range(chance.randint(0, 6))], [member() for _ in range(chance.randint(0, 6))]
        forth = sorted(((pair.old, pair.new) for pair in pairs(old, new, LOCATIONS)), key=repr)
        back = sorted(((pair.new, pair.old) for pair in pairs(new, old, LOCATIONS)), key=repr)
        assert forth == back


def test_what_is_keyed() -> None:
    """Lists of objects are keyed, the empty one included; a list with anything else in it, and what is no list, is compared whole."""
    assert is_keyed([{"a": 1}, {}])
    assert is_keyed([])
    assert not is_keyed([{"a": 1}, "b"])
    assert not is_keyed(["a"])
    assert not is_keyed({"a": 1})
    assert not is_keyed(None)
