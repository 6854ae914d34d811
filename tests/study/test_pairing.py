"""Which members of one list are which of another: the best assignment, alike both ways, in any order, in time."""

from __future__ import annotations

from itertools import permutations
from random import Random
from time import process_time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trialsync.study.align import Pair, pairs
from trialsync.study.fields import Items, by_name
from trialsync.study.fingerprint import canonical
from trialsync.study.pairing import exact, greedy


def items_of(name: str) -> Items:
    """Return how a field's members are told apart."""
    each = by_name(name)
    assert each is not None
    assert each.items is not None
    return each.items


LOCATIONS, OUTCOMES, ARMS = items_of("locations"), items_of("outcomes.primary"), items_of("armsInterventions.arms")


def site(facility: str | None, city: str = "Sylvania", **more: Any) -> dict[str, Any]:
    """Return a site."""
    return {"facility": facility, "city": city, "country": "Freedonia", **more}


def said(found: list[Pair]) -> list[tuple[bytes, bytes]]:
    """Return the pairs by what their members say, in no order."""
    return sorted((canonical(pair.old), canonical(pair.new)) for pair in found)


EDGES = st.dictionaries(st.integers(0, 5), st.dictionaries(st.integers(0, 5), st.integers(1, 30), min_size=1, max_size=6), max_size=6)


def best(edges: dict[int, dict[int, int]]) -> int:
    """Return the greatest sum of weights by trying everything."""
    olds = list(edges)
    places = [*range(6), *[-1] * len(olds)]
    return max(
        sum(edges[old].get(new, 0) for old, new in zip(olds, chosen, strict=True)) for chosen in set(permutations(places, len(olds)))
    )


def worth(edges: dict[int, dict[int, int]], chosen: dict[int, int]) -> int:
    """Return the sum of the weights of pairs, each of which is a candidate and has its members for itself."""
    assert len(set(chosen.values())) == len(chosen)
    return sum(edges[old][new] for old, new in chosen.items())


@given(EDGES.filter(lambda edges: 0 < len(edges) <= 4))
def test_the_assignment_is_the_best_there_is(edges: dict[int, dict[int, int]]) -> None:
    """No choice of pairs is worth more than the exact one; taking the weightiest first is worth at least half of it."""
    assert worth(edges, exact(edges)) == best(edges)
    assert 2 * worth(edges, greedy(edges)) >= best(edges)


def test_whole_numbers_of_any_size() -> None:
    """Weights beyond 64 bits are added up without rounding."""
    huge = 1 << 200
    assert exact({0: {0: huge + 2, 1: huge + 1}, 1: {0: huge + 1, 1: huge + 1}}) == {0: 0, 1: 1}
    assert exact({0: {0: huge + 1, 1: huge + 1}, 1: {0: huge + 2, 1: huge + 1}}) == {0: 1, 1: 0}


WORDS = st.sampled_from(["alpha", "beta", "gamma", "delta", "week", "12"])
TEXTS = st.lists(WORDS, min_size=1, max_size=3).map(" ".join)
MEMBERS = st.lists(
    st.fixed_dictionaries({"measure": TEXTS}, optional={"timeFrame": TEXTS, "description": TEXTS, "more": TEXTS}), max_size=7
)
SITES = st.lists(
    st.fixed_dictionaries(
        {"facility": st.sampled_from(["Clinic One", "Clinic Two", "Research Site"]), "city": st.sampled_from(["Aa", "Bb"])},
        optional={"zip": st.sampled_from(["1", "2", "3"]), "status": WORDS, "contacts": TEXTS.map(lambda name: [{"name": name}])},
    ),
    max_size=7,
)
LISTS = st.one_of(st.tuples(MEMBERS, MEMBERS, st.just(OUTCOMES)), st.tuples(SITES, SITES, st.just(LOCATIONS)))


@given(LISTS, st.randoms(use_true_random=False))
def test_the_same_pairs_both_ways_and_in_any_order(lists: tuple[list[Any], list[Any], Items], chance: Random) -> None:
    """Comparing backwards, or with the members of either list in another order, pairs members that say the same."""
    old, new, items = lists
    forth = said(pairs(old, new, items))
    assert sorted((before, after) for after, before in said(pairs(new, old, items))) == forth
    assert said(pairs(chance.sample(old, len(old)), chance.sample(new, len(new)), items)) == forth


def test_one_good_pair_is_not_broken_for_two_poor_ones() -> None:
    """A member goes to the one that it is nearly equal to, though two pairs that are hardly alike could be made instead."""
    a, b = {"measure": "one two three four five six", "timeFrame": "x"}, {"measure": "one two three seven eight nine", "timeFrame": "x"}
    near, far = {"measure": "one two three four five", "timeFrame": "x"}, {"measure": "four five six ten eleven twelve", "timeFrame": "x"}
    found = {(pair.old or {}).get("measure"): (pair.new or {}).get("measure") for pair in pairs([a, b], [near, far], OUTCOMES) if pair.old}
    assert found[a["measure"]] == near["measure"]


def test_the_best_for_all_is_not_the_best_for_the_first() -> None:
    """Where two compete for one, the sum decides: the first choice of one member is left to the one that has no other."""
    old = [{"label": "a b c d", "description": "x y"}, {"label": "a b c e", "description": "q r"}]
    new = [{"label": "a b c d f", "description": "q r"}, {"label": "a b c h", "description": "x y"}]
    found = {(pair.old or {})["label"]: (pair.new or {})["label"] for pair in pairs(old, new, ARMS)}
    assert found == {"a b c d": "a b c h", "a b c e": "a b c d f"}


def test_every_site_renamed_and_sorted_anew() -> None:
    """When every facility becomes Research Site and the list is sorted anew, each site is found by city and zip, then by who is there."""
    person = {"name": "A. Duck", "role": "CONTACT"}
    old = [
        site("Sylvania General", zip="10", status="RECRUITING"),
        site("Harbour Hospital", "Osterlich", zip="20"),
        site("Royal Infirmary", zip="10", contacts=[person]),
        site("Institute of Nothing", zip="11"),
        site("Clinic on the Hill", "Klopstokia"),
    ]
    new = [{**each, "facility": "Research Site"} for each in reversed(old)]
    found = pairs(old, new, LOCATIONS)
    assert len(found) == 5
    for pair in found:
        assert pair.old is not None
        assert pair.new == {**pair.old, "facility": "Research Site"}


def test_sites_that_nothing_tells_apart() -> None:
    """Sites that say the same but for their names, and lose these, are paired one to one, the same way whatever the order."""
    old = [site("Clinic One", zip="1"), site("Clinic Two", zip="1")]
    new = [site("Research Site", zip="1")] * 2
    assert said(pairs(old, new, LOCATIONS)) == said(pairs(old[::-1], new, LOCATIONS))
    assert [pair.label for pair in pairs(old, new, LOCATIONS) if pair.new is not None] != []
    assert all(pair.old is not None and pair.new is not None for pair in pairs(old, new, LOCATIONS))


@pytest.mark.parametrize("after", [{}, {"contacts": [{"name": "B. Duck", "role": "CONTACT"}]}], ids=["contacts removed", "another contact"])
def test_a_site_made_anonymous(after: dict[str, Any]) -> None:
    """A site whose name and contacts are taken away is the same site."""
    old = site("Universitätsklinikum am Fluss", zip="8", contacts=[{"name": "A. Duck", "role": "CONTACT"}])
    new = {**site("Local Institution - 0044", zip="8"), **after}
    others = [site("Clinic One", zip="7"), site("Clinic Two", "Osterlich", zip="9")]
    (pair,) = pairs([old, *others], [*others, new], LOCATIONS)
    assert (pair.old, pair.new) == (old, new)


def test_a_hotline_is_no_evidence() -> None:
    """Contact persons that one site alone has tell that it is the same; a hotline that all have does not."""
    hotline = [{"name": "Study Hotline", "role": "CONTACT", "phone": "1"}]
    own = [{"name": "A. Duck", "role": "CONTACT", "phone": "2"}]
    closed, opened = site("Harbour Hospital"), site("Royal Infirmary")
    other = site("Clinic One", "Osterlich", contacts=hotline)
    shared = pairs([{**closed, "contacts": hotline}, other], [{**opened, "contacts": hotline}, other], LOCATIONS)
    assert [(pair.old is None, pair.new is None) for pair in shared] == [(False, True), (True, False)]
    (kept,) = pairs([{**closed, "contacts": own}, other], [{**opened, "contacts": own}, other], LOCATIONS)
    assert kept.new == {**opened, "contacts": own}


def test_another_anonymous_site_is_another() -> None:
    """That both are called Research Site makes no site of one town the site of another."""
    assert len(pairs([site("Research Site", "Osterlich")], [site("Research Site", "Klopstokia")], LOCATIONS)) == 2


@pytest.mark.parametrize("more", [{}, {"zip": "8"}, {"state": "Inland"}, {"status": "RECRUITING", "zip": "8"}], ids=str)
@pytest.mark.parametrize("part", ["city", "state"])
def test_a_place_that_the_registry_respells(part: str, more: dict[str, Any]) -> None:
    """A site whose city alone reads otherwise, or its state, is the same site; an anonymous one where the zip says so."""
    others = [site("Clinic One", zip="8"), site("Clinic Two", "Osterlich"), site("Research Site", "Osterlich", zip="9")]
    for facility in ("Royal Infirmary", *(["Research Site"] if "zip" in more else [])):
        old = site(facility, "Napoli", **more)
        new = {**old, part: "Nowhere"}
        (pair,) = pairs([*others, old], [new, *others], LOCATIONS)
        assert (pair.old, pair.new) == (old, new)


def test_a_site_in_place_of_another_of_its_city() -> None:
    """An anonymous site in the city and state of one that is gone, but under another zip, is another; without a zip it is the same."""
    old = site("Clinic One", state="Inland", zip="8")
    assert len(pairs([old], [site("Research Site", state="Inland", zip="9")], LOCATIONS)) == 2
    assert len(pairs([old], [site("Research Site", state="Inland")], LOCATIONS)) == 1


def test_an_arm_is_known_by_what_is_given_in_it() -> None:
    """An arm whose label is wholly replaced, and that has no description, is known by interventions that no other arm has."""
    sham = {"label": "Sham", "type": "SHAM_COMPARATOR", "interventionNames": ["Device: Lamp, off"]}
    arms = [{"label": name, "type": "EXPERIMENTAL", "interventionNames": [f"Drug: {name}"]} for name in ("Bran", "Oat")]
    renamed = [{**arm, "label": f"Group {place}"} for place, arm in enumerate(arms)]
    assert [(pair.old, pair.new) for pair in pairs([sham, *arms], [*renamed, sham], ARMS)] == list(zip(arms, renamed, strict=True))


def timed(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> list[Pair]:
    """Pair two lists of sites, and check that it takes no more than some seconds of a slow machine."""
    began = process_time()
    found = pairs(old, new, LOCATIONS)
    assert process_time() - began < 10
    return found


NUMBER = 2000


@pytest.mark.parametrize("share", ["zip", "town", "nothing", "key", "everything but the name"])
def test_thousands_of_sites_are_paired_in_time(share: str) -> None:
    """Whatever two thousand sites that were all renamed have in common, pairing them is a matter of a second or two."""
    match share:
        case "zip":
            old = [site(f"Clinic {number}", f"T{number % 300}", zip=str(number)) for number in range(NUMBER)]
        case "town":
            old = [site(f"Clinic {number}", f"T{number % 300}") for number in range(NUMBER)]
        case "nothing":
            old = [site(f"Clinic{number}", f"T{number}") for number in range(NUMBER)]
        case "key":
            old = [site("Research Site", status=str(number)) for number in range(NUMBER)]
        case _:
            old = [site(f"Clinic{number}", zip="1", status="A") for number in range(NUMBER)]
    new = [{**each, "facility": "Research Site", **({"status": f"x{each['status']}"} if share == "key" else {})} for each in old]
    Random(3).shuffle(new)  # noqa: S311 - nothing is kept secret here
    if share == "nothing":
        new = [{**each, "city": f"U{each['city']}", "facility": f"Annex{each['city']}"} for each in new]
    found = timed(old, new)
    paired = [pair for pair in found if pair.old is not None and pair.new is not None]
    assert len(found) == 2 * NUMBER - len(paired)
    if share in {"zip", "town", "key"}:
        assert len(paired) == NUMBER
        assert all(pair.old["city"] == pair.new["city"] for pair in paired if pair.old is not None and pair.new is not None)
    if share == "nothing":
        assert paired == []


EDITED: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "a collaborator's name": (
        "sponsor.collaborators",
        {"name": "Personalis", "class": "INDUSTRY"},
        {"name": "Personalis Inc.", "class": "INDUSTRY"},
    ),
    "an official's title": (
        "contacts.overallOfficials",
        {"name": "Ada Duck, MD", "role": "STUDY_CHAIR"},
        {"name": "Ada B. Duck", "role": "STUDY_CHAIR"},
    ),
    "an official's role": (
        "contacts.overallOfficials",
        {"name": "Ada Duck", "role": "STUDY_CHAIR"},
        {"name": "Ada Duck", "role": "STUDY_DIRECTOR"},
    ),
    "a contact's name": (
        "contacts.centralContacts",
        {"name": "Eleazar Omar Duck-Perez", "role": "CONTACT"},
        {"name": "Omar Duck", "role": "CONTACT"},
    ),
    "a citation": (
        "references.references",
        {"citation": "Duck A. On ponds. J Ponds. 2020."},
        {"citation": "Duck A, Drake B. On ponds. J Ponds. 2020."},
    ),
    "a reference that got its number": (
        "references.references",
        {"citation": "Duck A. On ponds."},
        {"citation": "Duck A. On ponds.", "pmid": "9"},
    ),
    "a link that moved": (
        "references.seeAlsoLinks",
        {"label": "The plan", "url": "https://a.example/x"},
        {"label": "The plan", "url": "https://b.example/y"},
    ),
    "data that moved": (
        "references.availIpds",
        {"type": "Protocol", "id": "X-1", "url": "https://a.example"},
        {"type": "Protocol", "id": "X-1", "url": "https://b.example/z"},
    ),
    "an id of another type": (
        "identification.secondaryIdInfos",
        {"id": "2019-002", "type": "OTHER"},
        {"id": "2019-002", "type": "EUDRACT_NUMBER"},
    ),
    "a document replaced": (
        "documents.largeDocs",
        {"typeAbbrev": "Prot", "filename": "Prot_000.pdf", "size": 1},
        {"typeAbbrev": "Prot", "filename": "Prot_001.pdf", "size": 2},
    ),
    "a heading whose id was shortened": (
        "derived.conditionBrowse.meshes",
        {"id": "D000011471", "term": "Ennui"},
        {"id": "D011471", "term": "Ennui"},
    ),
    "an adverse event respelled": (
        "results.adverseEvents.otherEvents",
        {"term": "Pain in extremity", "organSystem": "Limbs"},
        {"term": "Extremity pain", "organSystem": "Limbs"},
    ),
    "an intervention retyped": (
        "armsInterventions.interventions",
        {"type": "DRUG", "name": "Bran"},
        {"type": "DIETARY_SUPPLEMENT", "name": "Bran"},
    ),
}


@pytest.mark.parametrize("name", list(EDITED))
def test_an_edited_member_is_recognised(name: str) -> None:
    """What a careful reader takes for an edit is one pair."""
    field, old, new = EDITED[name]
    (pair,) = pairs([old], [new], items_of(field))
    assert (pair.old, pair.new) == (old, new)


OTHERS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "universities": (
        "sponsor.collaborators",
        {"name": "University of Oslo", "class": "OTHER"},
        {"name": "University of Bergen", "class": "OTHER"},
    ),
    "namesakes": (
        "contacts.overallOfficials",
        {"name": "John Duck, MD", "affiliation": "Pond", "role": "STUDY_CHAIR"},
        {"name": "Jane Duck, MD", "affiliation": "Pond", "role": "STUDY_CHAIR"},
    ),
    "one office": (
        "contacts.centralContacts",
        {"name": "A. B.", "role": "CONTACT", "phone": "1"},
        {"name": "C. D.", "role": "CONTACT", "phone": "1"},
    ),
    "one journal": (
        "references.references",
        {"pmid": "1", "type": "RESULT", "citation": "Duck A. On ponds. J Ponds. 2020."},
        {"pmid": "2", "type": "RESULT", "citation": "Drake B. On lakes and rivers. J Ponds. 2021."},
    ),
    "two headings": ("derived.conditionBrowse.meshes", {"id": "D1", "term": "Breast Neoplasms"}, {"id": "D2", "term": "Lung Neoplasms"}),
    "two registries": (
        "identification.secondaryIdInfos",
        {"id": "2019-002", "type": "EUDRACT_NUMBER"},
        {"id": "U1111-9", "type": "REGISTRY"},
    ),
    "numbers of participants": (
        "outcomes.secondary",
        {"measure": "Number of participants with adverse events", "timeFrame": "1 year"},
        {"measure": "Number of participants with a deep response", "timeFrame": "1 year"},
    ),
    "another document": (
        "documents.largeDocs",
        {"typeAbbrev": "Prot", "filename": "Prot_000.pdf"},
        {"typeAbbrev": "ICF", "filename": "ICF_001.pdf"},
    ),
}


@pytest.mark.parametrize("name", list(OTHERS))
def test_another_member_is_not_taken_for_an_edit(name: str) -> None:
    """What a careful reader takes for two things is removed and added."""
    field, old, new = OTHERS[name]
    assert len(pairs([old], [new], items_of(field))) == 2
