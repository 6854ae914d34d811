"""The vocabulary: every leaf of the registry's data structure has one field, named by the rule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest
from study_records import SHARED, whole_study

from trialsync.model import By, Tier
from trialsync.study.fields import CORE, FIELDS, NOISE, by_name, order
from trialsync.study.leaves import name_by_rule, split

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trialsync.study.fields import Items

METADATA = SHARED / "studies-metadata.json"

EXCEPTIONS = {
    "eligibility.criteria": "eligibility.eligibilityCriteria",
    "eligibility.minAge": "eligibility.minimumAge",
    "eligibility.maxAge": "eligibility.maximumAge",
    "outcomes.primary": "outcomes.primaryOutcomes",
    "outcomes.secondary": "outcomes.secondaryOutcomes",
    "outcomes.other": "outcomes.otherOutcomes",
    "armsInterventions.arms": "armsInterventions.armGroups",
    "sponsor.lead": "sponsor.leadSponsor",
    "results.hasResults": "hasResults",
    "locations": "contacts.locations",
    "identification.orgStudyId": "identification.orgStudyIdId",
}
"""The names that depart from the rule, and what the rule would have given."""

HEADLINE_BESIDE_THE_CORE = {
    "status.whyStopped",
    "status.startDate",
    "status.resultsFirstPostDate",
    "sponsor.collaborators",
    "identification.briefTitle",
    "identification.officialTitle",
    "conditions.conditions",
    "design.allocation",
    "design.masking",
}


def registry_leaves() -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the path and the type of every leaf of the registry's own description of its data."""

    def walk(nodes: list[dict[str, Any]], path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
        for node in nodes:
            here = (*path, node["name"])
            if node.get("children"):
                yield from walk(node["children"], here)
            else:
                yield here, node["type"]

    yield from walk(orjson.loads(METADATA.read_bytes()), ())


def attributes_of(items: Items, prefix: str) -> Iterator[str]:
    """Yield the path of every attribute of an item, those of its own lists included."""
    yield from (f"{prefix}.{name}" for name in items.attributes)
    for name, below in items.lists.items():
        yield from attributes_of(below, f"{prefix}.{name}")


def table_leaves() -> list[str]:
    """Return the path of every leaf that the table accounts for, as often as it does."""
    found = [*NOISE]
    for each in FIELDS:
        if each.items is not None:
            found += attributes_of(each.items, each.path)
        else:
            found += [f"{each.path}.{name}" for name in each.attributes] or [each.path]
    return found


@pytest.mark.skipif(not METADATA.is_file(), reason="the registry's own description of its data is not at hand")
def test_every_leaf_of_the_registry_is_in_the_table_once() -> None:
    """Each of the 342 leaves belongs to exactly one field, or is noise; and the table has no other."""
    leaves = [".".join(path) for path, _ in registry_leaves()]
    assert len(leaves) == 342
    assert sorted(leaves) == sorted(table_leaves())


def test_no_leaf_is_in_the_table_twice() -> None:
    """No leaf is accounted for by two fields, and none is both field and noise."""
    leaves = table_leaves()
    assert len(leaves) == len(set(leaves)) == 342


def test_noise_has_a_reason() -> None:
    """The load's label is the only noise, and the table says why."""
    assert set(NOISE) == {"derivedSection.miscInfoModule.versionHolder"}
    assert all(NOISE.values())


def test_names_are_unique() -> None:
    """No two fields share a name or a path, and a name leads back to its field and its place."""
    assert len({each.name for each in FIELDS}) == len(FIELDS) == len({each.path for each in FIELDS})
    assert [by_name(each.name) for each in FIELDS] == list(FIELDS)
    assert [order(each.name) for each in FIELDS] == list(range(len(FIELDS)))
    assert by_name("status.nonsense") is None
    assert order("status.nonsense") == len(FIELDS)


def test_names_follow_the_rule() -> None:
    """Every name is the one that the rule gives, but for the exceptions listed here."""
    departing = {each.name: rule for each in FIELDS if (rule := name_by_rule(tuple(each.path.split(".")))) != each.name}
    assert departing == EXCEPTIONS


def test_core_fields_stand_first_and_in_order() -> None:
    """The core is that of the study page, in its order, before all other fields."""
    assert CORE == (
        "status.overallStatus",
        "status.primaryCompletionDate",
        "status.completionDate",
        "status.lastUpdatePostDate",
        "design.phases",
        "design.enrollmentCount",
        "eligibility.criteria",
        "eligibility.minAge",
        "eligibility.maxAge",
        "eligibility.sex",
        "outcomes.primary",
        "outcomes.secondary",
        "armsInterventions.arms",
        "armsInterventions.interventions",
        "sponsor.lead",
        "results.hasResults",
        "locations",
    )
    assert tuple(each.name for each in FIELDS[: len(CORE)]) == CORE
    lead = by_name("sponsor.lead")
    assert lead is not None
    assert lead.attributes == ("name", "class")


def test_tiers() -> None:
    """Headline is the core but for the posted date, and what decides a reading; derived parts and annotations are housekeeping."""
    headline = {each.name for each in FIELDS if each.tier is Tier.HEADLINE}
    assert headline == {*CORE, *HEADLINE_BESIDE_THE_CORE} - {"status.lastUpdatePostDate"}
    for each in FIELDS:
        if each.name.startswith(("derived.", "annotation.")) or each.name == "contacts.centralContacts":
            assert each.tier is Tier.HOUSEKEEPING, each.name
    for name in ("lastUpdatePostDate", "lastUpdateSubmitDate", "statusVerifiedDate", "studyFirstSubmitDate", "resultsFirstSubmitQcDate"):
        verified = by_name(f"status.{name}")
        assert verified is not None
        assert verified.tier is Tier.HOUSEKEEPING


def test_the_registry_alone_changes_what_it_derives() -> None:
    """Derived parts and annotations are always by the registry; of no other field is that so as a whole."""
    assert {each.name for each in FIELDS if each.by is By.REGISTRY} == {
        each.name for each in FIELDS if each.name.startswith(("derived.", "annotation."))
    }


def every_items() -> Iterator[tuple[str, Items]]:
    """Yield every list of objects of the table with its path."""

    def walk(path: str, items: Items) -> Iterator[tuple[str, Items]]:
        yield path, items
        for name, below in items.lists.items():
            yield from walk(f"{path}.{name}", below)

    for each in FIELDS:
        if each.items is not None:
            yield from walk(each.path, each.items)


@pytest.mark.parametrize(("path", "items"), list(every_items()), ids=lambda value: value if isinstance(value, str) else "")
def test_a_list_names_only_attributes_that_it_has(path: str, items: Items) -> None:
    """Key parts, weights and the attributes with a tier or author of their own are attributes of the list's members."""
    known = {*items.attributes, *items.lists}
    parts = {name for part in items.key for name in part.split("|")}
    assert parts, path
    assert {*parts, *items.weights, *items.housekeeping, *items.by_registry} <= known, path


KEYS = {
    "locations": ("facility", "city", "state", "country"),
    "armsInterventions.arms": ("label",),
    "armsInterventions.interventions": ("type", "name"),
    "outcomes.primary": ("measure",),
    "outcomes.secondary": ("measure",),
    "outcomes.other": ("measure",),
    "contacts.overallOfficials": ("name", "role"),
    "contacts.centralContacts": ("name", "role"),
    "sponsor.collaborators": ("name",),
    "references.references": ("pmid|citation",),
    "references.seeAlsoLinks": ("url",),
    "references.availIpds": ("type", "id", "url"),
    "identification.secondaryIdInfos": ("type", "id"),
    "documents.largeDocs": ("typeAbbrev", "filename"),
    "results.outcomeMeasures.outcomeMeasures": ("type", "title"),
    "results.adverseEvents.seriousEvents": ("term", "organSystem"),
    "results.adverseEvents.otherEvents": ("term", "organSystem"),
    "derived.conditionBrowse.meshes": ("id",),
    "derived.interventionBrowse.ancestors": ("id",),
}


@pytest.mark.parametrize(("name", "key"), list(KEYS.items()))
def test_key_parts(name: str, key: tuple[str, ...]) -> None:
    """The keys that others rely on are made of these parts."""
    each = by_name(name)
    assert each is not None
    assert each.items is not None
    assert each.items.key == key


def test_a_study_with_everything_has_every_field() -> None:
    """A study that holds every leaf splits into every field of the table, each once."""
    assert sorted(each.name for each, _ in split(whole_study())) == sorted(each.name for each in FIELDS)
