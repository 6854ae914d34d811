"""The benchmark beside another program: what both are held against is right, and it notices what a tool leaves out or makes up."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import pytest
from benchmarks.contenders import place_of, told_by_rows
from benchmarks.side_by_side import told_table
from benchmarks.truth import PLACES, SITES, Told, difference, judge, truth
from following import DAYS, World, edited, invent, publish, site, withheld

from trialsync.study.fields import FIELDS

if TYPE_CHECKING:
    from trialsync.model import Study

OSLO, LYON, KYOTO = site("Clinic B", "Oslo", "Norway", status="RECRUITING"), site("Clinic A", "Lyon", "France"), site("C", "Kyoto", "Japan")
DRUG, SHAM = {"type": "DRUG", "name": "Tablet"}, {"type": "DEVICE", "name": "Sham"}
BEFORE = invent(
    1,
    armsInterventionsModule={"armGroups": [{"label": "One"}], "interventions": [DRUG]},
    contactsLocationsModule={"locations": [LYON, OSLO]},
)
AFTER: Study = edited(
    BEFORE,
    DAYS[1],
    armsInterventionsModule={"armGroups": [{"label": "One"}, {"label": "Two"}], "interventions": [DRUG, SHAM]},
    contactsLocationsModule={"locations": [LYON, KYOTO, {**OSLO, "status": "COMPLETED"}]},
    designModule={"studyType": "INTERVENTIONAL", "phases": ["PHASE2", "PHASE3"], "enrollmentInfo": {"count": 70, "type": "ACTUAL"}},
    eligibilityModule={"eligibilityCriteria": "Adults"},
    identificationModule__briefTitle="Another title",
    outcomesModule__primaryOutcomes=[{"measure": "Stride length", "timeFrame": "1 year"}],
    sponsorCollaboratorsModule__leadSponsor={"name": "Another Sponsor", "class": "INDUSTRY"},
    statusModule__completionDateStruct={"date": "2027-01"},
    statusModule__overallStatus="TERMINATED",
    statusModule__primaryCompletionDateStruct={"date": "2026-12"},
    statusModule__resultsFirstPostDateStruct={"date": DAYS[1]},
    statusModule__startDateStruct={"date": "2025-07"},
    statusModule__whyStopped="Funding",
) | {"hasResults": True}
"""All fifteen fields changed, and more."""


def stamped(study: Study, load: str) -> Study:
    """Return a study with a load's label."""
    return study | {"derivedSection": {"miscInfoModule": {"versionHolder": load}}}


def test_the_truth_is_what_the_records_say() -> None:
    """Studies that came, went and changed are found, a new label of the load is no change, and a return is a coming."""
    first, second, third = DAYS[:3]
    quiet = invent(2)
    found = truth(
        [
            *((first, number, stamped(study, first)) for number, study in (("A", BEFORE), ("B", quiet), ("C", quiet))),
            (second, "A", stamped(AFTER, second)),
            (second, "B", stamped(quiet, second)),
            (second, "C", None),
            (second, "D", quiet),
            (third, "C", quiet),
        ]
    )
    assert (found.new, found.gone, set(found.changed)) == ({(second, "D"), (third, "C")}, {(second, "C")}, {(second, "A")})


def test_a_difference_has_places_and_fields() -> None:
    """A site that came and one that closed are the places where values moved; an order alone has none, and counts as a change."""
    both = difference(BEFORE, AFTER)
    assert set(both.fields) == set(PLACES)
    assert both.fields["site_count"] == (2, 3)
    assert both.fields["interventions"] == ([("DRUG", "Tablet")], [("DRUG", "Tablet"), ("DEVICE", "Sham")])
    assert {place for place in both.places if place.startswith(SITES)} == {
        f"{SITES}.{name}" for name in ("facility", "city", "country", "status")
    }
    assert both.moved[f"{SITES}.city", '"Kyoto"'] == 1
    turned = edited(BEFORE, contactsLocationsModule={"locations": [OSLO, LYON]})
    assert not difference(BEFORE, turned).places
    assert difference(BEFORE, turned).is_news
    assert not difference(BEFORE, edited(BEFORE, DAYS[1], statusModule__statusVerifiedDate="2026-02")).is_news


@pytest.fixture(scope="module")
def polled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, list[dict[str, Any]]]:
    """Return the truth of three loads, and the rows that trialsync's own polls wrote of them."""
    lines = publish([BEFORE, invent(2), invent(3)], [AFTER, withheld(invent(2), DAYS[1]), invent(4), "NCT00000003"], [])
    world = World(tmp_path_factory.mktemp("polled"), lines)
    world.poll()
    world.next()
    world.next()
    watched = [line for line in lines if line.nct_id != "NCT99000001"]
    watched.append(replace(watched[0], load=DAYS[2], study=AFTER))
    return truth((line.load, line.nct_id, line.study) for line in watched), [asdict(row) for row in world.log()]


def told(rows: list[dict[str, Any]], known: set[str]) -> Told:
    """Return what rows tell."""
    return told_by_rows(rows, {field.name: field.path for field in FIELDS}, known, watch="ataxia")


def test_what_trialsync_tells_is_the_truth(polled: tuple[Any, list[dict[str, Any]]]) -> None:
    """The rows of a real store tell every study, place and field that changed, and nothing else."""
    true, rows = polled
    found = judge(true, told(rows, true.known))
    assert (found.new, found.gone, found.changed, found.untrue) == (1, 1, 2, ())
    assert not found.missed
    assert set(found.fields) == set(PLACES)
    assert f"{'studies that went':<60}{1:>8}{1:>11}{1:>17}" in list(told_table(true, {"trialsync": found, "biocatalystfeed": found}))


def test_what_is_left_out_is_noticed(polled: tuple[Any, list[dict[str, Any]]]) -> None:
    """Without any one of the rows of fields, or with another value in it, something is not told."""
    true, rows = polled
    of_fields = [place for place, row in enumerate(rows) if not row["field"].startswith(("watch.", "registry."))]
    assert len(of_fields) > len(PLACES)
    for place in of_fields:
        side = "before" if rows[place]["after"] is None else "after"
        other = {**rows[place], side: {"facility": "Elsewhere"} if isinstance(rows[place][side], dict) else "something else"}
        assert judge(true, told(rows[:place] + rows[place + 1 :], true.known)).missed
        assert judge(true, told([*rows[:place], other, *rows[place + 1 :]], true.known)).missed


def test_what_is_made_up_is_noticed(polled: tuple[Any, list[dict[str, Any]]]) -> None:
    """A row of a study or of a place where nothing changed, and of a study that neither came nor went nor is withheld, is named."""
    true, rows = polled
    row = next(row for row in rows if row["field"] == "identification.briefTitle")
    made_up = [
        row | {"nct_id": "NCT00000009"},
        row | {"field": "identification.acronym"},
        *(row | {"field": "watch.ataxia", "after": side} for side in (True, "removed")),
        row | {"field": "registry.presence", "after": "withheld"},
    ]
    for row in made_up:
        assert judge(true, told([*rows, row], true.known)).untrue
    counting = Told(has_values=False)
    counting.add((DAYS[1], "NCT00000001"), (), ("site_count",))
    found = judge(true, counting)
    assert (found.changed, found.places, found.counts, found.fields, found.untrue) == (1, 0, 4, {"site_count": 1}, ())
    counting.add((DAYS[2], "NCT00000001"), (), ("title",))
    assert judge(true, counting).untrue == (f"NCT00000001 title on {DAYS[2]}",)


def test_the_place_of_an_attribute() -> None:
    """The keys of items inside items are left out of an attribute's place, whatever stands in them."""
    known = {"r.list.classes.title", "r.list.classes.categories.measurements.value", "r.list.unit"}
    assert place_of("r.list", None, known) == "r.list"
    assert place_of("r.list", "unit", known) == "r.list.unit"
    assert place_of("r.list", "classes..categories..measurements.at 1.5 mg.\nper day.value", known) == (
        "r.list.classes.categories.measurements.value"
    )
    assert place_of("r.list", "classes.severe", known) == "r.list.classes"
    assert place_of("r.list", "colour", known) == "r.list.colour"
