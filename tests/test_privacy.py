"""What is left out of pages, feeds and the API unless a setting asks for it."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from following import World, edited, invent, publish, site
from visiting import PATIENT, Visitor, settings_of

from trialsync.publish.privacy import FIELDS, PERSON, change_without_contacts, difference_without_contacts, without_contacts
from trialsync.study import fields
from trialsync.study.diff import diff
from trialsync.web.app import make_app

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from trialsync.model import Study

SECRETS = ("Jane", "jane", "Mallory", "mallory", "555", "@example")
WITH_A_PERSON = {"name": "Jane Doe", "role": "CONTACT", "phone": "555-0100", "email": "jane@example.org"}
WITH_ANOTHER = {"name": "Mallory", "role": "CONTACT", "phone": "555-0199"}


def asked(central: list[Any], at_site: list[Any], *, email: str | None = None) -> Study:
    """Return a study with contact persons."""
    study = invent(
        1,
        contactsLocationsModule={
            "centralContacts": central,
            "overallOfficials": [{"name": "Ada Official", "affiliation": "Clinic A", "role": "PRINCIPAL_INVESTIGATOR"}],
            "locations": [site("Clinic A", "Lyon", "France", contacts=at_site), site("Clinic B", "Oslo", "Norway")],
        },
    )
    if email:
        study["resultsSection"] = {
            "moreInfoModule": {"pointOfContact": {"title": "Jane Doe", "organization": "Clinic A", "email": email, "phone": "555"}}
        }
    return study


def test_a_study_keeps_all_but_its_contact_persons() -> None:
    """Central and site contacts and the results' point of contact go; officials, sites and the organization stay."""
    study = asked([WITH_A_PERSON], [WITH_ANOTHER], email="jane@example.org")
    untouched = copy.deepcopy(study)
    left = without_contacts(study)
    assert study == untouched
    assert not [secret for secret in SECRETS if secret in json.dumps(left)]
    module = left["protocolSection"]["contactsLocationsModule"]
    assert [each["facility"] for each in module["locations"]] == ["Clinic A", "Clinic B"]
    assert module["overallOfficials"][0]["name"] == "Ada Official"
    assert left["resultsSection"]["moreInfoModule"]["pointOfContact"] == {"organization": "Clinic A"}


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"protocolSection": None},
        {"protocolSection": {"contactsLocationsModule": []}},
        {"protocolSection": {"contactsLocationsModule": {"locations": "x"}}},
        {"protocolSection": {"contactsLocationsModule": {"locations": [None, 3]}}},
        {"resultsSection": {"moreInfoModule": {}}},
    ],
)
def test_odd_records_stay_as_they_are(odd: dict[str, Any]) -> None:
    """A record of a shape that the registry does not have comes out as it went in."""
    assert without_contacts(odd) == odd


PAIRS = {
    "a person's number": (
        asked([WITH_A_PERSON], [WITH_A_PERSON]),
        asked([WITH_A_PERSON | {"phone": "555"}], [WITH_A_PERSON | {"phone": "5"}]),
    ),
    "another person": (asked([WITH_A_PERSON], [WITH_A_PERSON]), asked([WITH_ANOTHER], [WITH_ANOTHER])),
    "one more person": (asked([WITH_A_PERSON], [WITH_A_PERSON]), asked([WITH_A_PERSON, WITH_ANOTHER], [WITH_A_PERSON, WITH_ANOTHER])),
    "nobody any more": (asked([WITH_A_PERSON], [WITH_A_PERSON]), asked([], [])),
    "a site with a person goes": (asked([], [WITH_A_PERSON]), invent(1, contactsLocationsModule={"locations": []})),
    "the point of contact": (asked([], [], email="jane@example.org"), asked([], [], email="mallory@example.org")),
}


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
def test_changes_tell_of_a_person_without_saying_whom(pair: tuple[Study, Study]) -> None:
    """Each change of a contact person is still told, one for one, and names nobody."""
    changes = diff(*pair)
    told = difference_without_contacts(changes)
    assert len(told) == len(changes) > 0
    assert not [secret for secret in SECRETS if secret in repr(told)]


def test_a_row_of_the_log_tells_of_a_person_without_saying_whom(tmp_path: Path) -> None:
    """Path and ref of a row name the field and a person, no more; its id, dates and kind stay; other rows stay as they are."""
    before, after = PAIRS["a person's number"]
    after["protocolSection"]["statusModule"]["overallStatus"] = "COMPLETED"
    world = World(tmp_path, publish([before], [after]))
    world.poll()
    world.next()
    rows = {row.field: row for row in world.log()}
    told = {name: change_without_contacts(row) for name, row in rows.items()}
    assert not [secret for secret in SECRETS if secret in repr(told)]
    assert told["contacts.centralContacts"].path == f"contacts.centralContacts.{PERSON}.phone"
    assert told["contacts.centralContacts"].ref == f"NCT00000001@2026-02-03#contacts.centralContacts.{PERSON}.phone"
    assert told["locations"].path == f"locations.clinic a|lyon||france.contacts.{PERSON}"
    assert told["status.overallStatus"] is rows["status.overallStatus"]
    kept = ("id", "date", "kind", "tier", "by", "facts")
    assert all(getattr(told[name], each) == getattr(rows[name], each) for name in rows for each in kept)
    assert change_without_contacts(replace(told["locations"])) == told["locations"]


def test_every_field_with_a_telephone_or_an_address_is_known() -> None:
    """No field of the vocabulary that holds a phone or an e-mail is forgotten."""
    said = {field.name for field in fields.FIELDS if {"phone", "email"} & _parts(field.items)}
    said |= {field.name for field in fields.FIELDS if field.name.lower().endswith(("phone", "phoneext", "email"))}
    assert said <= FIELDS | {"locations"}


def _parts(items: fields.Items | None) -> set[str]:
    return set() if items is None else {*items.attributes, *(part for inside in items.lists.values() for part in _parts(inside))}


def _leaves(value: Any, way: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if isinstance(value, dict):
        for name, inside in value.items():
            yield from _leaves(inside, (*way, name))
    elif isinstance(value, list):
        for inside in value:
            yield from _leaves(inside, way)
    else:
        yield way


def test_no_real_record_keeps_a_contact(records: Callable[[], tuple[Study, ...]]) -> None:
    """Of every real record what is left holds no phone and no e-mail leaf, and all else."""
    for study in records():
        left, gone = set(_leaves(without_contacts(study))), {"phone", "phoneExt", "email"}
        assert not [way for way in left if way[-1] in gone]
        assert all("contacts" in way or "centralContacts" in way or "pointOfContact" in way for way in set(_leaves(study)) - left)


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Return a store of a study that gets a contact person, a site with another, and other numbers for both."""
    person, other = {"name": "Zelda Quux", "phone": "555 0100"}, {"name": "Bibi Foo", "email": "bibi@foo.example"}
    study = invent(9_450_001)
    sites = study["protocolSection"]["contactsLocationsModule"]["locations"]
    first = edited(
        study,
        "2026-02-03",
        contactsLocationsModule__centralContacts=[person],
        contactsLocationsModule__locations=[*sites, site("Clinic Z", "Rome", "Italy", contacts=[other])],
    )
    last = edited(
        first,
        "2026-02-04",
        contactsLocationsModule__centralContacts=[person | {"phone": "555 0199"}],
        contactsLocationsModule__locations=[*sites, site("Clinic Z", "Rome", "Italy", contacts=[other | {"email": "b@foo.example"}])],
    )
    world = World(tmp_path_factory.mktemp("named"), publish([study], [first], [last]))
    world.poll()
    world.next()
    world.next()
    return world


@pytest.mark.parametrize(
    "asked",
    [
        "text=zelda",
        "text=Z%C3%A9LDA",
        "text=bibi",
        "text=bibi+rome",
        "text=invented+quux",
        "text=foo.example",
        "text=%220199%22",
        "field=contacts.centralContacts.z*",
        "field=*quux*",
        "field=*.contacts.bibi*",
        "field=locations.*.contacts.b*",
        "field=*z*.phone",
    ],
)
def test_nobody_is_found_by_what_is_left_out(named: World, tmp_path: Path, asked: str) -> None:
    """A name, an address or a number finds no row where it is not shown, on no face, in no count; where a setting shows it, it does."""
    hidden = Visitor(make_app(named.store, settings_of(tmp_path), now=named.clock, limit_seconds=PATIENT))
    nobody = hidden.get("/api/changes?text=nobody").text
    assert hidden.get(f"/api/changes?{asked}").text == nobody
    assert hidden.get(f"/api/studies/NCT09450001/changes?{asked}&limit=1").text == nobody
    for view in ("lines", "rows"):
        for more in ("&all=true", "", "&all=true&limit=1"):
            page = hidden.get(f"/?view={view}&{asked}{more}")
            assert page.status_code == 200
            assert "NCT09450001" not in page.text
            assert "0 changes" in page.text
            assert "before=" not in page.text
            assert "left out" not in page.text or "housekeeping</a> left out" in page.text
    shown = Visitor(make_app(named.store, settings_of(tmp_path, "[web]\ncontacts = true\n"), now=named.clock, limit_seconds=PATIENT))
    assert "NCT09450001" in shown.get(f"/api/changes?{asked}").text


@pytest.mark.parametrize(
    ("asked", "paths"),
    [
        ("text=rome", ["locations"]),
        ("text=clinic+italy", ["locations"]),
        ("text=invented", ["contacts", "contacts", "locations", "locations", "status", "status"]),
        ("text=ATAXIA+inv%C3%A9nted", ["contacts", "contacts", "locations", "locations", "status", "status"]),
        ("text=ata", []),
        ("field=contacts.*", ["contacts", "contacts"]),
        ("field=contacts.centralContacts", ["contacts", "contacts"]),
        ("field=*.phone", ["contacts"]),
        ("field=locations", ["locations", "locations"]),
        ("field=locations.*.contacts.*", ["locations"]),
    ],
)
def test_what_is_told_is_found(named: World, tmp_path: Path, asked: str, paths: list[str]) -> None:
    """Rows that tell of a contact person are found by what they do tell: the field, the site, the study's title."""
    client = Visitor(make_app(named.store, settings_of(tmp_path), now=named.clock, limit_seconds=PATIENT))
    rows = client.json(f"/api/changes?{asked}")["changes"]
    assert sorted(row["path"].partition(".")[0] for row in rows) == paths
    following = f"/api/changes?{asked}&limit=1"
    got = []
    while following:
        page = client.json(following)
        got += page["changes"]
        following = page["next"]
    assert got == rows
