"""The registry's own history goes before what was polled: the same log as if it had been polled from the first day on."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from following import ATAXIA, DAYS, World, columns, edited, invent, publish, site, status, withheld

from trialsync.errors import RegistryError, Stopped, StoreDamaged
from trialsync.model import Origin, Watch
from trialsync.registry.files import FoundStudy
from trialsync.registry.sandbox import Fault, PastLine
from trialsync.store import codec
from trialsync.store.rebuild import would_change
from trialsync.store.verify import notes, verify
from trialsync.study import seam
from trialsync.study.diff import RULE
from trialsync.sync.backfill import Extent, backfill
from trialsync.sync.pages import look, recent
from trialsync.sync.poll import Policy

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from trialsync.model import LoggedChange
    from trialsync.registry.sandbox import LoadLine
    from trialsync.sync.backfill import Outcome

NUMBER = "NCT00000001"
STATUS = "protocolSection.statusModule.overallStatus"
START = "protocolSection.statusModule.startDateStruct"
COMPLETION = "protocolSection.statusModule.completionDateStruct"
CRITERIA = "Inclusion Criteria:\n\n* Adults, weight \\> 40 kg & more\n* Consent:\n\n  1. written\n  2. oral"

PAST = (
    PastLine(NUMBER, "2025-09-01", "2025-09-03", {COMPLETION: {"date": "2026-08", "type": "ESTIMATED"}}),
    PastLine(NUMBER, "2025-06-30", "2025-07-02", {COMPLETION: {"date": "2026-02", "type": "ESTIMATED"}}),
    PastLine(NUMBER, "2025-05-28", "2025-06-02", {STATUS: "NOT_YET_RECRUITING", START: None}),
)
"""What the first study was before: planned, then recruiting, then its end put off twice."""


def study(number: int = 1, **more: Any) -> Any:
    """Return a study as the first load has it: with dates of submission, places on the map, rich text, a derived section."""
    made = edited(
        invent(number),
        statusModule__lastUpdateSubmitDate="2026-01-08",
        statusModule__startDateStruct={"date": "2025-06-20", "type": "ACTUAL"},
        statusModule__completionDateStruct={"date": "2027-01", "type": "ESTIMATED"},
        eligibilityModule={"eligibilityCriteria": CRITERIA, "sex": "ALL"},
        contactsLocationsModule={"locations": [site("Clinic A", "Lyon", "France", geoPoint={"lat": 45.7, "lon": 4.8})]},
        **more,
    )
    return made | {"derivedSection": {"miscInfoModule": {}, "conditionBrowseModule": {"meshes": [{"id": "D001259", "term": "Ataxia"}]}}}


def updated(before: Any, posted: str, submitted: str, **leaves: Any) -> Any:
    """Return a study after an update by its sponsor."""
    return edited(before, posted, statusModule__lastUpdateSubmitDate=submitted, **leaves)


def past_days(loads: int) -> list[LoadLine]:
    """Return loads in which the sponsor updates the first study on the third and fifth day, and another one stays."""
    first = study()
    third = updated(first, DAYS[2], DAYS[1], statusModule__completionDateStruct={"date": "2027-06", "type": "ESTIMATED"})
    fifth = updated(third, DAYS[4], DAYS[3], statusModule__overallStatus="TERMINATED", statusModule__whyStopped="Funding")
    return publish(*[[first, study(2)], [], [third], [], [fifth], []][:loads])


class Past(World):
    """A world whose studies have a past."""

    def backfill(self, *nct_ids: str, stop: Any = None, **extent: Any) -> Outcome:
        """Backfill studies, the first one where none is named."""
        with self.registry() as registry, self.writer() as writer:
            return backfill(
                nct_ids or (NUMBER,),
                registry=registry,
                writer=writer,
                now=self.clock,
                policy=Policy(),
                extent=Extent(**extent),
                stop=stop,
            )

    def versions(self, nct_id: str = NUMBER) -> list[tuple[int, int | None, str, str]]:
        """Return a study's versions in short: number, the registry's number, date, origin."""
        with self.reader() as reader:
            return [(each.number, each.registry_version, each.date, each.origin.value) for each in reader.versions(nct_id)]


def world(folder: Path, loads: Iterable[LoadLine], past: Sequence[PastLine] = PAST, name: str = "trialsync.db") -> Past:
    """Return a world of these loads, the first study with a past."""
    return Past(folder, loads, name, past=past)


def said(world: World, *but: str, **wanted: Any) -> list[dict[str, Any]]:
    """Return the whole log but for ids and instants."""
    return columns(world.log(baseline=True, **wanted), but=("id", "seen", *but))


def of_version(rows: Iterable[LoggedChange], number: int) -> list[tuple[str, Any, Any]]:
    """Return the rows of a version in short, housekeeping left out."""
    return [(row.path, row.before, row.after) for row in rows if row.version == number and row.tier.value != "housekeeping"]


def test_history_comes_before_what_was_polled(tmp_path: Path) -> None:
    """Versions of history stand before ours with their numbers and days; the baseline moves to the first of them; the store is sound."""
    here = world(tmp_path, past_days(1))
    here.poll()
    before = {row.ref for row in here.log(baseline=True) if row.nct_id == NUMBER}
    outcome = here.backfill()
    (done,) = outcome.studies
    assert (done.versions, done.complete, done.error, outcome.requests) == (3, True, None, 5)
    assert here.versions() == [
        (1, 0, "2025-06-02", "history"),
        (2, 1, "2025-07-02", "history"),
        (3, 2, "2025-09-03", "history"),
        (4, 3, "2026-01-12", "poll"),
    ]
    rows = [row for row in here.log(baseline=True) if row.nct_id == NUMBER]
    assert {row.version for row in rows if row.baseline} == {1}
    assert {row.ref.replace("@r0", "@2026-01-12") for row in rows if row.baseline} <= before
    assert of_version(rows, 2) == [
        ("status.overallStatus", "NOT_YET_RECRUITING", "RECRUITING"),
        ("status.startDate", None, "2025-06-20"),
        ("status.startDateType", None, "ACTUAL"),
    ]
    assert of_version(rows, 4) == [("status.completionDate", "2026-08", "2027-01")]
    last = next(row for row in rows if row.version == 4 and row.path == "status.completionDate")
    assert (last.date, last.not_before, last.by, last.origin) == ("2026-01-12", "2025-09-03", "sponsor", Origin.POLL)
    assert [(fact["id"], fact["times"], fact["total_months"]) for fact in last.facts] == [("completion-slipped", 2, 11)]
    assert verify(here.store) == []
    with here.reader() as reader:
        assert reader.study(NUMBER, as_of="2025-07-05")["protocolSection"]["statusModule"]["completionDateStruct"]["date"] == "2026-02"
        assert reader.study(NUMBER, version=4) == study() | {"derivedSection": reader.study(NUMBER)["derivedSection"]}


def test_refs_and_filters_tell_history_apart(tmp_path: Path) -> None:
    """A version known by its history number alone has it in its refs; rows of later polls keep theirs; an origin can be asked for."""
    here = world(tmp_path, past_days(6))
    here.poll()
    for _ in range(5):
        here.next()
    before = {row.id: row.ref for row in here.log()}
    here.backfill()
    rows = here.log()
    assert {row.id: row.ref for row in rows if row.id in before} == before
    assert [row.ref for row in rows if row.path == "status.completionDate" and row.origin is Origin.HISTORY] == [
        f"{NUMBER}@r2#status.completionDate"
    ]
    assert {row.version for row in here.log(origins=(Origin.HISTORY,))} == {2, 3}
    assert len({row.ref for row in rows}) == len(rows)


def test_the_second_run_costs_a_request_and_changes_nothing(tmp_path: Path) -> None:
    """A backfill that has nothing more to fetch asks for the list and writes no row."""
    here = world(tmp_path, past_days(1))
    here.poll()
    here.backfill()
    before = here.content()
    outcome = here.backfill()
    assert (outcome.requests, outcome.studies[0].versions, outcome.studies[0].complete) == (1, 0, True)
    assert here.content() == before


@pytest.mark.parametrize("place", [0, 2, 3, 5])
def test_when_it_is_done_makes_no_difference(tmp_path: Path, place: int) -> None:
    """Backfilled after any of six polls, and again at the end, the log is what one at the end makes of it, but ids and instants."""
    late, early = (world(tmp_path, past_days(6), name=f"{name}.db") for name in ("late", "early"))
    for each in (late, early):
        for load in range(6):
            each.poll() if load == 0 else each.next()
            if each is early and load == place:
                each.backfill()
    for each in (late, early):
        each.backfill()
        assert verify(each.store) == []
    assert said(early) == said(late)
    assert early.versions() == late.versions()


def test_a_study_never_seen_needs_no_watch(tmp_path: Path) -> None:
    """Backfilled first and polled then, polled first, or polled on both sides, the log is the same; a backfill alone knows the study."""
    alone, before, after, between = (world(tmp_path, past_days(1), name=f"{name}.db") for name in ("alone", "b", "a", "c"))
    for each in (alone, before):
        each.backfill()
    assert [row[3] for row in alone.versions()] == ["history"] * 3 + ["poll"]
    for each in (before, after, between):
        each.poll()
    for each in (after, between):
        each.backfill()
    between.poll(full=True)
    assert said(before) == said(after) == said(between)
    assert said(alone) == [row for row in said(after) if row["nct_id"] == NUMBER]


def test_a_later_watch_takes_a_backfilled_study_as_any_other(tmp_path: Path) -> None:
    """Whether a study was only looked up or also backfilled before it joined a watch, its joining reads the same."""
    looked, filled = (world(tmp_path, past_days(2), name=f"{name}.db") for name in ("looked", "filled"))
    narrow = Watch("narrow", query={"query.id": ("NCT00000002",)})
    wide = Watch("narrow", query={"query.cond": ("Ataxia",)})
    for each in (looked, filled):
        each.poll(narrow)
        each.poll(Watch("once", nct_ids=(NUMBER,)), followed=False)
    filled.backfill()
    for each in (looked, filled):
        each.next(wide)
        each.poll(wide, full=True)
    looked.backfill()
    assert said(looked) == said(filled)


def test_the_seam_yields_real_changes_alone(tmp_path: Path) -> None:
    """Where the registry changed a study by itself before we saw it, that is the one change at the seam, by the registry, on its load."""
    flipped = edited(status(study(), "UNKNOWN"), statusModule__lastKnownStatus="RECRUITING")
    here = world(tmp_path, publish([study()], [flipped]))
    here.advance()
    here.poll()
    here.backfill()
    assert here.versions()[-2:] == [(4, 3, "2026-01-12", "history"), (5, None, DAYS[1], "poll")]
    rows = [row for row in here.log() if row.version == 5]
    assert [(row.path, row.by, row.date, row.not_before) for row in rows] == [
        ("status.overallStatus", "registry", DAYS[1], "2026-01-12"),
        ("status.lastKnownStatus", "registry", DAYS[1], "2026-01-12"),
    ]
    assert verify(here.store) == []


def test_texts_that_only_look_otherwise_are_no_change(tmp_path: Path) -> None:
    """A text whose HTML leads to other white space than the API's is taken as the API has it, in every version that has it."""
    odd = study(descriptionModule__briefSummary="Two things:\n  * one\n  * two")
    here = world(tmp_path, publish([odd]))
    here.poll()
    here.backfill()
    assert {row.field for row in here.log()} & {"description.briefSummary", "eligibility.criteria"} == set()
    with here.reader() as reader:
        for version in (1, 2, 3, 4):
            assert (
                reader.study(NUMBER, version=version)["protocolSection"]["descriptionModule"] == odd["protocolSection"]["descriptionModule"]
            )
    full = said(here)
    again = world(tmp_path, publish([odd]), name="again.db")
    again.poll()
    again.backfill(latest=2)
    again.backfill()
    assert said(again) == full


def test_words_that_look_otherwise_in_one_place_stay_in_another(tmp_path: Path) -> None:
    """A text that the API escapes in a rich leaf is left alone in a plain leaf that says the same."""
    outcome = {"measure": "5-10 m walk", "description": "5\\-10 m walk", "timeFrame": "1 year"}
    here = world(tmp_path, publish([study(outcomesModule={"primaryOutcomes": [outcome]})]))
    here.poll()
    here.backfill()
    assert [row[3] for row in here.versions()] == ["history", "history", "history", "poll"]
    assert [row.path for row in here.log() if row.field == "outcomes.primary"] == []


@pytest.mark.parametrize("limit", [{}, {"latest": 4}, {"since": "2025-07-01"}])
def test_of_one_day_what_came_later_is_not_put_before(tmp_path: Path, limit: dict[str, Any]) -> None:
    """Where two versions were submitted on the day of the first one seen, the later of them does not go before it."""
    first = study()
    second = updated(first, DAYS[1], "2026-01-08", statusModule__overallStatus="SUSPENDED")
    here = world(tmp_path, publish([first], [second]))
    here.poll()
    here.next()
    before = here.log()
    here.backfill(**limit)
    assert here.versions()[-2:] == [(4, 3, "2026-01-12", "poll"), (5, None, DAYS[1], "poll")]
    assert [row[1] for row in here.versions()][:3] == [0, 1, 2]
    assert ("status.overallStatus", "SUSPENDED", "RECRUITING") not in of_version(here.log(), 4)
    assert {row.id for row in before} <= {row.id for row in here.log()}
    assert verify(here.store) == []
    assert here.backfill().requests == 1


def test_refs_stay_apart_where_the_first_version_gets_another_date(tmp_path: Path) -> None:
    """Two versions of one load: the first, which the registry had changed by itself, gets the second's date, and not its refs."""
    here = world(tmp_path, publish([study()]))
    for word in ("UNKNOWN", "SUSPENDED"):
        held = status(study(), word)
        here.bring([FoundStudy(held, json.dumps(held).encode(), "a file", DAYS[0])])
    before = [row.ref for row in here.log()]
    assert before == [f"{NUMBER}@{DAYS[0]}#status.overallStatus"]
    here.backfill()
    refs = [row.ref for row in here.log(baseline=True)]
    assert len(refs) == len({*refs})
    assert {*before, f"{NUMBER}@{DAYS[0]}.2#status.overallStatus"} <= {*refs}
    assert verify(here.store) == []


def test_damage_is_not_sealed_anew(tmp_path: Path) -> None:
    """A backfill of a study one of whose versions, or rows, was altered is refused, and leaves the store as it is."""
    for sql in ("UPDATE versions SET posted = '2020-01-01' WHERE number = 2", "UPDATE changes SET before = '1'"):
        here = world(tmp_path, past_days(3), name=f"{len(sql)}.db")
        here.poll()
        here.advance()
        here.next()
        with closing(sqlite3.connect(here.store, isolation_level=None)) as raw:
            raw.execute(sql)
        before = here.content()
        with pytest.raises(StoreDamaged, match=f"{NUMBER} version 2, or a row of the log that it brought, was altered"):
            here.backfill()
        assert here.content() == before


def test_what_was_fetched_and_not_wanted_yet_is_kept(tmp_path: Path) -> None:
    """After an interrupted backfill a narrower one forgets only what it recorded."""
    here = world(tmp_path, past_days(1))
    here.poll()
    left = [4]

    def stop() -> bool:
        left[0] -= 1
        return left[0] < 0

    assert here.backfill(stop=stop).requests == 4
    assert here.backfill(latest=2).requests == 1
    assert here.backfill().requests == 2
    assert [row[1] for row in here.versions()] == [0, 1, 2, 3]


def test_what_was_told_of_a_study_that_came_back_stays(tmp_path: Path) -> None:
    """A study that was withheld when it was first seen: the rows of its coming back are the same, backfilled before, after, or between."""
    lines = publish([withheld(study(), DAYS[0])], [updated(study(), DAYS[1], DAYS[0])], [withheld(study(), DAYS[2])], [study()])
    here = world(tmp_path, lines)
    here.poll()
    here.next()
    told = {row.id: row for row in here.log()}
    here.backfill()
    after = {row.id: row for row in here.log()}
    assert columns(told.values(), but=("version",)) == columns([after[number] for number in told], but=("version",))
    here.next()
    here.next()
    assert {row.field for row in here.log() if row.field.startswith("derived.") and row.origin is Origin.POLL} <= {
        row.field for row in told.values()
    }
    assert verify(here.store) == []
    assert would_change(here.store, "core").differs == 0


def test_a_limited_backfill_can_be_extended(tmp_path: Path) -> None:
    """The newest N, or what held since a day, and the rest later, is the same log as all of it at once; what is known is not fetched."""
    whole = world(tmp_path, past_days(1), name="whole.db")
    whole.poll()
    whole.backfill()
    for limit, expected in (({"latest": 2}, [2, 3]), ({"since": "2025-07-20"}, [1, 2, 3]), ({"since": "2025-07-02"}, [1, 2, 3])):
        here = world(tmp_path, past_days(1), name=f"{len(expected)}{limit}.db")
        here.poll()
        outcome = here.backfill(**limit)
        assert [row[1] for row in here.versions()] == expected, limit
        assert not outcome.studies[0].complete
        assert {row.version for row in here.log(baseline=True) if row.baseline and row.nct_id == NUMBER} == {1}
        assert verify(here.store) == []
        assert here.backfill(**limit).requests == 1
        assert here.backfill().requests == 1 + 4 - len(expected)
        assert said(here) == said(whole), limit


def test_gaps_are_filled_only_when_asked_for(tmp_path: Path) -> None:
    """What lies between polls is filled in by --gaps alone; what the polls told stays, and the steps stand beside it."""
    first = study()
    second = updated(first, DAYS[1], DAYS[0], statusModule__overallStatus="SUSPENDED", statusModule__whyStopped="Supply")
    third = updated(second, DAYS[2], "2026-02-03", statusModule__overallStatus="RECRUITING", statusModule__whyStopped=None)
    fourth = updated(third, DAYS[3], "2026-02-04", designModule__enrollmentInfo={"count": 55, "type": "ESTIMATED"})
    here = world(tmp_path, publish([first], [second], [third], [fourth]), past=())
    here.poll()
    here.advance(2)
    here.next()
    polled = here.log()
    here.backfill()
    assert [row[1] for row in here.versions()] == [0, None]
    outcome = here.backfill(gaps=True)
    assert outcome.studies[0].versions == 2
    assert here.versions() == [
        (1, 0, "2026-01-12", "poll"),
        (2, 1, DAYS[1], "history"),
        (3, 2, DAYS[2], "history"),
        (4, None, DAYS[3], "poll"),
    ]
    rows = here.log()
    kept = columns([row for row in rows if row.id <= polled[-1].id], but=("version",))
    assert kept == columns(polled, but=("version",))
    assert of_version(rows, 2) == [("status.overallStatus", "RECRUITING", "SUSPENDED"), ("status.whyStopped", None, "Supply")]
    assert of_version(rows, 3) == [("status.overallStatus", "SUSPENDED", "RECRUITING"), ("status.whyStopped", "Supply", None)]
    assert of_version(rows, 4) == [("design.enrollmentCount", 40, 55)]
    assert verify(here.store) == []
    assert here.backfill(gaps=True).requests == 1


def test_a_rebuild_finds_nothing_to_do(tmp_path: Path) -> None:
    """What a backfill recorded, before and between what was seen, is what today's rules make of the versions."""
    first = study()
    second = updated(first, DAYS[1], DAYS[0], statusModule__overallStatus="SUSPENDED", statusModule__whyStopped="Supply")
    third = updated(second, DAYS[2], "2026-02-03", statusModule__overallStatus="RECRUITING", statusModule__whyStopped=None)
    here = world(tmp_path, publish([first], [second], [third]))
    here.poll()
    here.advance()
    here.next()
    here.backfill(gaps=True)
    assert [row[3] for row in here.versions()] == ["history"] * 3 + ["poll", "history", "poll"]
    found = would_change(here.store, "core")
    assert (found.differs, found.facts, found.baseline) == (0, 0, 0)
    assert verify(here.store) == []


def test_what_reviewers_returned_was_never_posted(tmp_path: Path) -> None:
    """A version that the registry's reviewers returned is left out and counted, since nobody could see it."""
    returned = PastLine(NUMBER, "2025-08-01", "2025-08-04", {STATUS: "COMPLETED"}, returned=True)
    before = PastLine(NUMBER, "2025-06-30", "2025-07-02", {STATUS: "RECRUITING"})
    past = (PAST[0], returned, before, PAST[2])
    here = world(tmp_path, past_days(1), past=past)
    here.poll()
    (done,) = here.backfill().studies
    assert (done.versions, done.returned, done.complete) == (3, 1, True)
    assert [row[1] for row in here.versions()] == [0, 1, 3, 4]
    assert "COMPLETED" not in {row.after for row in here.log()}


def test_a_study_of_an_import_gets_its_past(tmp_path: Path) -> None:
    """What an import brought is where history leads to, as what a poll brought."""
    polled, imported = (world(tmp_path, past_days(1), name=f"{name}.db") for name in ("polled", "imported"))
    polled.poll(Watch("once", nct_ids=(NUMBER,)), followed=False)
    held = imported.sandbox.studies()[NUMBER]
    imported.bring([FoundStudy(held, json.dumps(held).encode(), "a file", DAYS[0])])
    for each in (polled, imported):
        each.backfill()
    assert said(imported, "origin") == said(polled, "origin")
    assert verify(imported.store) == []


def test_a_long_history_is_read_back_whole(tmp_path: Path) -> None:
    """Seventy versions, more than two whole contents apart, are each what the registry had, before and after more polls."""
    days = [f"2025-{1 + place // 28:02d}-{1 + place % 28:02d}" for place in range(2 * codec.KEYFRAME + 6)]
    past = [
        PastLine(NUMBER, day, day, {"protocolSection.designModule.enrollmentInfo": {"count": 100 + place, "type": "ESTIMATED"}})
        for place, day in reversed(list(enumerate(days)))
    ]
    here = world(tmp_path, past_days(3), past=past)
    here.poll()
    here.backfill(latest=40)
    here.advance()
    here.next()
    here.backfill()
    assert verify(here.store) == []
    with here.reader() as reader:
        counts = [
            reader.study(NUMBER, version=place + 1)["protocolSection"]["designModule"]["enrollmentInfo"]["count"] for place in range(70)
        ]
    assert counts == [100 + place for place in range(70)]


def test_an_interruption_loses_nothing(tmp_path: Path) -> None:
    """Stopped after each number of requests and taken up again, it fetches every version just once and ends as an undisturbed run."""
    whole = world(tmp_path, past_days(1), name="whole.db")
    whole.poll()
    whole.backfill()
    for allowed in (1, 3):
        here = world(tmp_path, past_days(1), name=f"{allowed}.db")
        here.poll()
        left = [allowed]

        def stop(left: list[int] = left) -> bool:
            left[0] -= 1
            return left[0] < 0

        outcome = here.backfill(stop=stop)
        assert isinstance(outcome.stopped, Stopped)
        assert verify(here.store) == []
        assert outcome.requests + here.backfill().requests == 5 + 1
        assert said(here) == said(whole)
        with closing(sqlite3.connect(here.store)) as raw:
            assert raw.execute("SELECT count(*) FROM history_pages").fetchone() == (0,)


def test_one_study_that_fails_keeps_no_other_waiting(tmp_path: Path) -> None:
    """A study whose answers can't be had is named, nothing of it is recorded, and the others are done; twice in a row ends it."""
    here = world(tmp_path, past_days(1))
    here.poll()
    before = said(here)
    here.sandbox.inject(Fault.SERVER_ERROR, times=5, path=f"/int/studies/{NUMBER}/history/*")
    failed, done = here.backfill(NUMBER, "NCT00000002").studies
    assert "500" in (failed.error or "")
    assert done.error is None
    assert [row for row in said(here) if row["nct_id"] == NUMBER] == [row for row in before if row["nct_id"] == NUMBER]
    here.sandbox.inject(Fault.SERVER_ERROR, times=None, path="/int/*")
    outcome = here.backfill(NUMBER, "NCT00000002", "NCT00000003")
    assert isinstance(outcome.stopped, RegistryError)
    here.sandbox.clear_faults()
    assert here.backfill().studies[0].complete


def test_a_changed_form_is_named_and_records_nothing(tmp_path: Path) -> None:
    """An answer of another form than it had is an error that names it; nothing of it reaches the log."""
    here = world(tmp_path, past_days(1))
    here.poll()
    before = here.content()
    here.wire.edit = lambda path, body: body.replace(b'"studyVersion":1', b'"studyVersion":"1"') if path.endswith("/history/1") else body
    (failed,) = here.backfill().studies
    assert failed.error is not None
    assert f"changed its form: version 1 of {NUMBER} says that it is version 1" in failed.error
    assert here.content() == before
    assert verify(here.store) == []


def test_a_withheld_study_has_no_history(tmp_path: Path) -> None:
    """Where the registry gives no history the study is named with the reason; one that was withheld in between keeps its rows."""
    here = world(tmp_path, publish([study()], [withheld(study(), DAYS[1])], [updated(study(), DAYS[2], DAYS[1])]))
    here.poll()
    here.next()
    (failed,) = here.backfill().studies
    assert failed.error is not None
    assert "the registry has no history of NCT00000001" in failed.error
    here.next()
    before = [row.ref for row in here.log()]
    (done,) = here.backfill().studies
    assert done.error is None
    assert {*before} <= {row.ref for row in here.log()}
    assert verify(here.store) == []


def test_a_number_that_became_another_leads_to_it(tmp_path: Path) -> None:
    """Asked for a number that became another study's alias, it backfills that study."""
    merged = study()
    merged["protocolSection"]["identificationModule"]["nctIdAliases"] = ["NCT00000007"]
    here = world(tmp_path, publish([merged]))
    (done,) = here.backfill("NCT00000007").studies
    assert (done.nct_id, done.versions, done.error) == (NUMBER, 3, None)
    (failed,) = here.backfill("NCT00000008").studies
    assert "does not have NCT00000008" in (failed.error or "")


def test_rows_of_an_older_rule_stay_as_they_are(tmp_path: Path) -> None:
    """A backfill leaves the rows of later versions that an older rule compared as they are; verify passes over them and says so."""
    here = world(tmp_path, past_days(3))
    here.poll()
    here.advance()
    here.next()
    with here.writer() as writer, writer.page():
        (version_id,) = writer.connection.row("SELECT id FROM versions WHERE nct_id = ? AND number = 2", (NUMBER,)) or (None,)
        writer.seal_rows(version_id, RULE - 1)
        writer.connection.execute("DELETE FROM change_facts")
    before = here.log()
    here.backfill()
    after = {row.id: row for row in here.log()}
    assert columns(before, but=("version",)) == columns([after[row.id] for row in before], but=("version",))
    assert verify(here.store) == []
    assert "1 version was compared by an older rule" in notes(here.store)[0]


def test_a_page_shows_what_somebody_saw_happen(tmp_path: Path) -> None:
    """The recent changes of a study's page are those of polls and imports, with or without its history."""
    here = world(tmp_path, past_days(3))
    here.poll()
    here.advance()
    here.next()

    def shown() -> list[str]:
        with here.reader() as reader:
            return [row.ref for row in recent(reader, look(reader, NUMBER), baseline=False) if row.origin is not Origin.HISTORY]

    before = shown()
    here.backfill()
    assert shown() == before


def test_the_mask_leaves_what_history_carries() -> None:
    """Masked are the derived and annotation sections, places on the map and derived references; nothing else, and nothing is altered."""
    whole = edited(
        study(),
        referencesModule={"references": [{"pmid": "1", "type": "DERIVED"}, {"pmid": "2", "type": "RESULT"}]},
    ) | {"annotationSection": {"annotationModule": {}}, "documentSection": {"largeDocumentModule": {}}}
    masked = seam.masked(whole)
    assert list(masked) == ["protocolSection", "documentSection", "hasResults"]
    assert masked["protocolSection"]["referencesModule"] == {"references": [{"pmid": "2", "type": "RESULT"}]}
    assert masked["protocolSection"]["contactsLocationsModule"] == {"locations": [site("Clinic A", "Lyon", "France")]}
    assert "geoPoint" in whole["protocolSection"]["contactsLocationsModule"]["locations"][0]


def test_nothing_is_asked_of_a_registry_without_history(tmp_path: Path) -> None:
    """A mirror without the internal API is told apart from a study without history, in a sentence."""
    here = world(tmp_path, past_days(1))
    here.poll(ATAXIA)
    here.sandbox.inject(Fault.WRONG_404, times=None, path="/int/*")
    (failed,) = here.backfill().studies
    assert "has no record history" in (failed.error or "")


def test_a_rebuild_makes_the_same_log_again(tmp_path: Path) -> None:
    """What a backfill put before, and what it left between, is what today's rules make of all versions: facts that count too."""
    made = world(tmp_path, past_days(6))
    made.poll()
    for _ in range(5):
        made.next()
    made.backfill()
    slips = [fact["times"] for row in made.log(facts=("completion-slipped",)) for fact in row.facts if fact["id"] == "completion-slipped"]
    assert sorted(slips) == [1, 2, 3]
    done = would_change(made.store, "core")
    assert (done.differs, done.baseline, done.versions) == (0, 0, 0)
