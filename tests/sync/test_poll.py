"""Polling a watch: the baseline, what a new load brings, the dates it gets, and what costs nothing."""

from __future__ import annotations

import resource
import sqlite3
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from following import ATAXIA, DAYS, World, edited, invent, publish, site, status
from structlog.testing import capture_logs

from trialsync.errors import StoreError, StoreUnwritable
from trialsync.model import By, Ended, Kind, Origin, Tier, Watch
from trialsync.study.fields import CORE
from trialsync.sync.poll import Policy

if TYPE_CHECKING:
    from pathlib import Path

    from trialsync.study.diff import BaselineFields

ONE, TWO, THREE = invent(1), invent(2), invent(3)


def test_the_first_poll_is_the_baseline_alone(tmp_path: Path) -> None:
    """A first poll records what stands in the core fields as baseline rows, by nobody, and nothing as news."""
    world = World(tmp_path, publish([ONE, TWO]))
    outcome = world.poll()
    assert (outcome.poll.ended, outcome.poll.studies, outcome.poll.new, outcome.poll.changes) == (Ended.COMPLETE, 2, 2, 0)
    assert world.log() == []
    rows = world.log(baseline=True)
    assert {row.nct_id for row in rows} == {"NCT00000001", "NCT00000002"}
    assert {row.field for row in rows} == {
        "status.overallStatus",
        "status.lastUpdatePostDate",
        "design.phases",
        "design.enrollmentCount",
        "outcomes.primary",
        "sponsor.lead",
        "results.hasResults",
        "locations",
    }
    for row in rows:
        assert row.field in CORE
        assert (row.baseline, row.by, row.kind, row.before, row.version) == (True, None, Kind.ADDED, None, 1)
        assert (row.date, row.posted, row.not_before, row.load) == ("2026-01-12", "2026-01-12", None, DAYS[0])
        assert (row.origin, row.seen[:10]) == (Origin.POLL, DAYS[0])


def test_a_baseline_has_one_row_a_site_and_one_for_any_other_field(tmp_path: Path) -> None:
    """In a baseline ``locations`` is one row a site, its value the site; every other field is one row, its value whole."""
    world = World(tmp_path, publish([ONE]))
    world.poll()
    values = {row.path: row.after for row in world.log(baseline=True)}
    assert len(values) == len(world.log(baseline=True))
    assert values["locations.clinic a|lyon||france"] == site("Clinic A", "Lyon", "France")
    assert values["locations.clinic b|oslo||norway"] == site("Clinic B", "Oslo", "Norway")
    assert values["outcomes.primary"] == [{"measure": "Gait speed", "timeFrame": "1 year"}]
    assert values["results.hasResults"] is False


@pytest.mark.parametrize("setting", ["core", "all", "none"])
def test_the_setting_says_which_fields_get_baseline_rows(tmp_path: Path, setting: BaselineFields) -> None:
    """``baseline`` is core, all or none: the core fields, every field that the study has, or no row at all; later news is the same."""
    world = World(tmp_path, publish([ONE], [status(ONE, "COMPLETED", DAYS[1])]))
    world.poll(policy=Policy(baseline=setting))
    found = {row.field for row in world.log(baseline=True)}
    extra = {"conditions.conditions", "identification.briefTitle", "identification.nctId", "status.statusVerifiedDate"}
    assert bool(found) == (setting != "none")
    assert (found >= extra) == (setting == "all")
    assert found & extra in (set(), extra)
    world.next(policy=Policy(baseline=setting))
    assert [row.path for row in world.log()] == ["status.overallStatus", "status.lastUpdatePostDate"]


def test_the_same_load_costs_one_request_and_changes_nothing(tmp_path: Path) -> None:
    """A second poll of the same load asks once for the version, ends nothing-new, and leaves all that is known of studies as it was."""
    world = World(tmp_path, publish([ONE, TWO]))
    world.poll()
    before, asked = world.content(), world.sandbox.requests
    outcome = world.poll()
    assert (outcome.poll.ended, outcome.poll.requests, outcome.poll.load) == (Ended.NOTHING_NEW, 1, DAYS[0])
    assert world.sandbox.requests == asked + 1
    assert world.content() == before


def test_full_walks_again_and_records_nothing(tmp_path: Path) -> None:
    """``full`` walks the load that was polled before, finds every study unchanged, and writes nothing about studies."""
    world = World(tmp_path, publish([ONE, TWO]))
    world.poll()
    before = world.content()
    outcome = world.poll(full=True)
    assert (outcome.poll.ended, outcome.poll.studies, outcome.poll.unchanged, outcome.poll.changes) == (Ended.COMPLETE, 2, 2, 0)
    assert outcome.poll.requests > 1
    assert world.content() == before


def test_an_unchanged_study_costs_no_write_on_a_new_load(tmp_path: Path) -> None:
    """A load that changes no study of the watch leaves all that is known of studies as it was, though every label moved."""
    world = World(tmp_path, publish([ONE, TWO], []))
    world.poll()
    before = world.content()
    assert world.next().poll.unchanged == 2
    assert world.content() == before


def test_a_sponsors_change_has_every_date(tmp_path: Path) -> None:
    """A posted update becomes one row a field, with its dates, author, origin, load and the instant when it was seen."""
    world = World(tmp_path, publish([ONE], [status(ONE, "TERMINATED", DAYS[1])]))
    world.poll()
    outcome = world.next()
    assert (outcome.poll.updated, outcome.poll.changes) == (1, 2)
    (first, second) = world.log()
    assert first.path == "status.overallStatus"
    assert (first.before, first.after, first.kind, first.tier) == ("RECRUITING", "TERMINATED", Kind.CHANGED, Tier.HEADLINE)
    assert (second.path, second.before, second.after) == ("status.lastUpdatePostDate", "2026-01-12", DAYS[1])
    for row in (first, second):
        assert (row.date, row.not_before, row.load, row.posted) == (DAYS[1], DAYS[0], DAYS[1], DAYS[1])
        assert (row.by, row.origin, row.version, row.baseline) == (By.SPONSOR, Origin.POLL, 2, False)
        assert row.seen == outcome.poll.started
        assert row.ref == f"NCT00000001@{DAYS[1]}#{row.path}"


def test_the_registrys_own_change_keeps_the_load_as_its_date(tmp_path: Path) -> None:
    """A change without a new posted date is dated by its load and is the registry's, whatever field it is in."""
    world = World(tmp_path, publish([ONE], [edited(ONE, eligibilityModule={"sex": "ALL"})]))
    world.poll()
    world.next()
    (row,) = world.log()
    assert (row.path, row.by, row.date, row.load, row.posted) == ("eligibility.sex", By.REGISTRY, DAYS[1], DAYS[1], "2026-01-12")


def test_a_status_that_goes_unknown_by_itself_is_the_registrys(tmp_path: Path) -> None:
    """The flip to UNKNOWN with the status before it is the registry's change, even where an update was posted with it."""
    flipped = edited(ONE, DAYS[1], statusModule__overallStatus="UNKNOWN", statusModule__lastKnownStatus="RECRUITING")
    world = World(tmp_path, publish([ONE], [flipped]))
    world.poll()
    world.next()
    by = {row.path: row.by for row in world.log()}
    assert by["status.overallStatus"] is By.REGISTRY
    assert by["status.lastKnownStatus"] is By.REGISTRY
    assert by["status.lastUpdatePostDate"] is By.SPONSOR


def test_a_change_in_a_gap_is_dated_by_its_posted_day(tmp_path: Path) -> None:
    """Where loads went by unpolled, an update is dated by the day in between on which it was posted, its load is the one that we saw."""
    world = World(tmp_path, publish([ONE], [], [status(ONE, "TERMINATED", DAYS[2])], [], []))
    world.poll()
    world.advance(4)
    world.poll()
    (row, _) = world.log()
    assert (row.date, row.not_before, row.load, row.posted) == (DAYS[2], DAYS[0], DAYS[4], DAYS[2])


def test_a_registrys_change_in_a_gap_is_dated_by_the_load_that_showed_it(tmp_path: Path) -> None:
    """Nobody can say when a change without a posted date happened in a gap: it gets the load, and the gap shows in ``not_before``."""
    world = World(tmp_path, publish([ONE], [edited(ONE, eligibilityModule={"sex": "ALL"})], [], []))
    world.poll()
    world.advance(3)
    world.poll()
    (row,) = world.log()
    assert (row.date, row.not_before, row.load) == (DAYS[3], DAYS[0], DAYS[3])


def test_the_last_load_that_showed_the_old_content_bounds_the_date(tmp_path: Path) -> None:
    """``not_before`` is the last load that confirmed the old content; a posted day not after it cannot be when the change began to hold."""
    world = World(tmp_path, publish([ONE], [], [status(ONE, "TERMINATED", DAYS[1])]))
    world.poll()
    world.next()
    world.next()
    (row, _) = world.log()
    assert (row.date, row.not_before, row.posted) == (DAYS[2], DAYS[1], DAYS[1])


def test_a_posted_day_after_the_load_is_no_date_of_a_change(tmp_path: Path) -> None:
    """A posted day that lies after the load itself dates nothing."""
    world = World(tmp_path, publish([ONE], [status(ONE, "TERMINATED", "2027-01-01")]))
    world.poll()
    world.next()
    assert {row.date for row in world.log()} == {DAYS[1]}


def test_there_and_back_is_two_changes_and_three_versions(tmp_path: Path) -> None:
    """A → B → A is recorded as it happened: two changes, three versions, the first and the last of equal content."""
    world = World(tmp_path, publish([ONE], [status(ONE, "SUSPENDED")], [ONE]))
    world.poll()
    world.next()
    world.next()
    assert [(row.before, row.after, row.version) for row in world.log()] == [("RECRUITING", "SUSPENDED", 2), ("SUSPENDED", "RECRUITING", 3)]
    with world.reader() as reader:
        versions = reader.versions("NCT00000001")
        assert [version.number for version in versions] == [1, 2, 3]
        assert versions[0].fingerprint == versions[2].fingerprint != versions[1].fingerprint


def test_two_watches_record_a_change_once(tmp_path: Path) -> None:
    """Two watches over the same study record its change once, by whichever is polled first; both are complete."""
    other = Watch("invented", query={"query.spons": ("Invented Sponsor",)})
    world = World(tmp_path, publish([ONE], [status(ONE, "TERMINATED", DAYS[1])]))
    for watch in (ATAXIA, other):
        world.poll(watch)
    world.advance()
    outcomes = [world.poll(watch) for watch in (ATAXIA, other)]
    assert [outcome.poll.ended for outcome in outcomes] == [Ended.COMPLETE, Ended.COMPLETE]
    assert [row.path for row in world.log(studies=("NCT00000001",))] == ["status.overallStatus", "status.lastUpdatePostDate"]


def test_a_study_asked_once_is_followed_by_nobody(tmp_path: Path) -> None:
    """Numbers that are asked for outside any watch are recorded, join nothing, and asking again on the same load costs one request."""
    once = Watch("NCT00000001", nct_ids=("NCT00000001",))
    world = World(tmp_path, publish([ONE, TWO], [status(ONE, "COMPLETED", DAYS[1])]))
    assert world.poll(once, followed=False).poll.new == 1
    assert world.poll(once, followed=False).poll.ended is Ended.NOTHING_NEW
    assert world.poll(replace(once, nct_ids=("NCT00000002",)), followed=False).poll.new == 1
    world.next(once, followed=False)
    assert {row.path for row in world.log()} == {"status.overallStatus", "status.lastUpdatePostDate"}
    with world.reader() as reader:
        assert reader.watches() == []


def test_a_load_that_goes_backwards_records_nothing(tmp_path: Path) -> None:
    """An older load than the one that was polled completely is named and recorded as failed; nothing of it is kept."""
    world = World(tmp_path, publish([ONE], [status(ONE, "TERMINATED", DAYS[1])], []))
    world.advance()
    world.poll()
    before = world.content()
    world.sandbox.inject("backwards", times=None)
    outcome = world.poll()
    assert outcome.poll.ended is Ended.FAILED
    assert "the registry went back" in str(outcome.error)
    assert str(outcome.error).index(DAYS[1]) < str(outcome.error).index(DAYS[0])
    world.sandbox.clear_faults()
    assert world.content() == before
    assert world.poll().poll.ended is Ended.NOTHING_NEW


def test_a_new_load_during_the_walk_is_recorded_as_what_it_is(tmp_path: Path) -> None:
    """Where a new load arrives between the version and the walk, the walk starts over and every row is of the newer load."""
    world = World(tmp_path, publish([ONE], [status(ONE, "TERMINATED", DAYS[1])]))
    world.sandbox.inject("advance", path="/studies")
    outcome = world.poll()
    assert (outcome.poll.ended, outcome.poll.load) == (Ended.COMPLETE, DAYS[1])
    assert {row.load for row in world.log(baseline=True)} == {DAYS[1]}
    assert world.poll().poll.ended is Ended.NOTHING_NEW


@pytest.mark.parametrize("fault", ["no-timestamp", "bad-timestamp"])
def test_a_version_that_names_no_load_is_survived(tmp_path: Path, fault: str) -> None:
    """Where ``/version`` names no time that can be read, the studies' own labels say which load they are of, and its news is recorded."""
    world = World(tmp_path, publish([ONE], [status(ONE, "TERMINATED", DAYS[1])]))
    world.sandbox.inject(fault, times=None)
    assert world.poll().poll.load == DAYS[0]
    outcome = world.next()
    assert (outcome.poll.ended, outcome.poll.load, outcome.poll.changes) == (Ended.COMPLETE, DAYS[1], 2)
    assert {(row.date, row.not_before) for row in world.log()} == {(DAYS[1], DAYS[0])}


def test_a_walk_that_starts_over_counts_each_study_once(tmp_path: Path) -> None:
    """Where a new load arrives between two pages, each change has the load that showed it, and no study is counted twice."""
    studies = [invent(number) for number in range(1, 501)]
    watch = Watch("many", nct_ids=tuple(f"NCT{number:08d}" for number in range(1, 501)))
    world = World(tmp_path, publish(studies, [status(studies[2], "COMPLETED", DAYS[1])], [status(studies[3], "COMPLETED", DAYS[2])]))
    world.poll(watch)
    world.advance()
    world.sandbox.inject("advance", path="/studies", at=2)
    outcome = world.poll(watch)
    assert (outcome.poll.ended, outcome.poll.load, outcome.poll.studies, outcome.poll.updated) == (Ended.COMPLETE, DAYS[2], 500, 2)
    assert [(row.nct_id, row.load) for row in world.log() if row.path == "status.overallStatus"] == [
        ("NCT00000003", DAYS[1]),
        ("NCT00000004", DAYS[2]),
    ]


@pytest.mark.parametrize("fault", ["forbidden", "unavailable", "html-page", "truncated", "empty-body", "bare-list", "wrong-404"])
def test_a_registry_that_fails_ends_the_poll_and_not_the_caller(tmp_path: Path, fault: str) -> None:
    """Whatever goes wrong with the answers, the poll ends failed with a sentence, changes nothing, and the next one makes up for it."""
    world = World(tmp_path, publish([ONE], [status(ONE, "TERMINATED", DAYS[1])]))
    world.poll()
    world.advance()
    before = world.content()
    world.sandbox.inject(fault, times=None, path="*")
    outcome = world.poll()
    assert outcome.poll.ended is Ended.FAILED
    assert outcome.poll.message == str(outcome.error)
    assert world.content() == before
    world.sandbox.clear_faults()
    assert world.poll().poll.changes == 2


# Records that cannot be used


def deep(path: str, body: bytes) -> bytes:
    """Give the second study a list that lies too deep to be followed."""
    del path
    return body.replace(b'"briefTitle":"Invented study 2"', b'"briefTitle":"Invented study 2","strange":' + b"[" * 400 + b"1" + b"]" * 400)


def no_object(path: str, body: bytes) -> bytes:
    """Give the list of studies an element that is none, and count it."""
    del path
    return body.replace(b'"totalCount":2', b'"totalCount":3').replace(b'"studies":[', b'"studies":[\n42,', 1)


def surrogate(path: str, body: bytes) -> bytes:
    """Give the second study's title half a surrogate pair."""
    del path
    return body.replace(b"Invented study 2", b"Invented \\ud800 study 2")


@pytest.mark.parametrize(
    ("edit", "words"),
    [(deep, "NCT00000002: a record's objects lie too deep"), (no_object, "not an object but 42"), (surrogate, "NCT00000002: its line")],
)
def test_one_bad_record_among_good_ones_is_named_and_the_good_ones_kept(tmp_path: Path, edit: Any, words: str) -> None:
    """A record that can't be used is skipped, named and counted; the studies beside it are recorded, and nobody leaves the watch."""
    world = World(tmp_path, publish([ONE, TWO], [status(ONE, "TERMINATED", DAYS[1]), status(TWO, "COMPLETED", DAYS[1])], []))
    world.poll()
    world.wire.edit = edit
    outcome = world.next()
    assert (outcome.poll.skipped, len(outcome.skipped)) == (1, 1)
    assert words in outcome.skipped[0]
    assert ("NCT00000001", "status.overallStatus", "changed", DAYS[1]) in world.brief()
    assert not [row for row in world.log() if row.field.startswith(("watch.", "registry."))]
    world.wire.edit = None
    world.next()
    late = [row for row in world.log(studies=("NCT00000002",)) if row.path == "status.overallStatus"]
    assert [(row.after, row.load) for row in late] == [("COMPLETED", DAYS[1] if edit is no_object else DAYS[2])]


def test_a_record_without_a_status_module_is_skipped_and_keeps_its_place(tmp_path: Path) -> None:
    """A torso without a status module is skipped, asked for once more, and then no hindrance; its next record is compared as usual."""
    torso = edited(TWO)
    del torso["protocolSection"]["statusModule"]
    world = World(tmp_path, publish([ONE, TWO], [torso], [status(TWO, "COMPLETED", DAYS[2])]))
    world.poll()
    outcome = world.next()
    assert outcome.skipped == ("NCT00000002: the record has no status module",)
    assert (outcome.poll.ended, outcome.poll.unchanged, world.log()) == (Ended.PARTIAL, 1, [])
    assert [world.poll().poll.ended for _ in range(2)] == [Ended.COMPLETE, Ended.NOTHING_NEW]
    world.next()
    assert [row.path for row in world.log()] == ["status.overallStatus", "status.lastUpdatePostDate"]


def test_a_record_without_a_number_says_of_nobody_that_it_left(tmp_path: Path) -> None:
    """Where a record lost its number, the study that it may be of is looked up, kept up to date, and does not leave the watch."""
    world = World(tmp_path, publish([ONE, TWO], [status(ONE, "COMPLETED"), status(TWO, "COMPLETED")], []))
    world.poll()
    world.sandbox.inject("record-without-id", path="/studies")
    outcome = world.next()
    assert outcome.poll.skipped == 1
    assert [row.path for row in world.log()] == ["status.overallStatus", "status.overallStatus"]
    assert world.next().poll.changes == 0


# One transaction a page


def test_pages_before_an_error_are_kept(tmp_path: Path) -> None:
    """Where a later request fails, the poll is partial: what came before is recorded, and the next poll records the rest."""
    numbers = [f"NCT{number:08d}" for number in range(1, 501)]
    watch = Watch("many", nct_ids=tuple(numbers))
    world = World(tmp_path, publish([invent(number) for number in range(1, 501)], []))
    world.sandbox.inject("unavailable", path="/studies", at=2, times=None)
    outcome = world.poll(watch)
    assert (outcome.poll.ended, outcome.poll.new) == (Ended.PARTIAL, 400)
    with world.reader() as reader:
        assert reader.counts().studies == 400
    world.sandbox.clear_faults()
    outcome = world.poll(watch)
    assert (outcome.poll.ended, outcome.poll.new, outcome.poll.unchanged) == (Ended.COMPLETE, 100, 400)
    assert world.log() == []


def test_a_full_disk_ends_the_poll_between_two_pages(tmp_path: Path) -> None:
    """Where the disk is full the page under way is lost, the pages before it are kept, and the next poll records the rest."""
    numbers = range(1, 501)
    watch = Watch("many", nct_ids=tuple(f"NCT{number:08d}" for number in numbers))
    world = World(tmp_path, publish([invent(number) for number in numbers], []))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    lists = 0

    def fill_the_disk(path: str, body: bytes) -> bytes:
        nonlocal lists
        lists += path == "/studies"
        if lists == 2:
            # No file may grow any more, as on a disk without room.
            largest = max(file.stat().st_size for file in tmp_path.iterdir())
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest, hard))
        return body

    world.wire.edit = fill_the_disk
    try:
        with pytest.raises(StoreUnwritable, match=r"trialsync\.db"):
            world.poll(watch)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    world.wire.edit = None
    with world.reader() as reader:
        assert reader.counts().studies == 400
    outcome = world.next(watch)
    assert (outcome.poll.new, outcome.poll.unchanged) == (100, 400)
    with world.reader() as reader:
        assert [row.ended for row in reader.polls()] == [Ended.COMPLETE, Ended.FAILED]


def test_a_page_is_kept_whole_or_not_at_all(tmp_path: Path) -> None:
    """An error in the middle of a page keeps nothing of that page, neither studies nor membership nor the place in the log."""
    world = World(tmp_path, publish([ONE, TWO], [status(ONE, "COMPLETED"), status(TWO, "COMPLETED"), THREE], []))
    world.poll()
    world.advance()
    before = world.content()
    with sqlite3.connect(world.store) as connection:
        connection.execute(
            "CREATE TRIGGER no_third BEFORE INSERT ON versions WHEN new.nct_id = 'NCT00000003' BEGIN SELECT RAISE(ABORT, 'no third'); END"
        )
    connection.close()
    with pytest.raises(StoreError, match="no third"):
        world.poll()
    assert world.content() == before
    with sqlite3.connect(world.store) as connection:
        connection.execute("DROP TRIGGER no_third")
    connection.close()
    assert world.poll().poll.new == 1
    assert [row.id for row in world.log()] == sorted(row.id for row in world.log())
    assert {row.nct_id for row in world.log() if row.path == "status.overallStatus"} == {"NCT00000001", "NCT00000002"}


def test_a_renamed_watch_goes_on_where_it_was(tmp_path: Path) -> None:
    """A watch under a new name keeps its members and its last load: the next load is no first walk, and nobody joins."""
    world = World(tmp_path, publish([ONE], [status(ONE, "COMPLETED", DAYS[1])]))
    world.poll()
    renamed = Watch("renamed", query=ATAXIA.query)
    with world.writer() as writer:
        assert writer.rename_watch(ATAXIA.name, "renamed")
        assert not writer.rename_watch(ATAXIA.name, "renamed")
    outcome = world.next(renamed)
    assert (outcome.poll.new, outcome.poll.updated) == (0, 1)
    assert [row.path for row in world.log()] == ["status.overallStatus", "status.lastUpdatePostDate"]


def test_the_one_line_of_a_poll(tmp_path: Path) -> None:
    """A poll that looked at nothing has no counts, as each would be 0; one that failed is a warning with its reason, a stop is none."""
    world = World(tmp_path, publish([ONE], [TWO]))
    with capture_logs() as logged:
        world.poll()
        world.poll()
        world.next(stop=lambda: True)
        world.sandbox.inject("unavailable", path="/version", times=9)
        world.poll()
    lines = [line for line in logged if line["event"] == "poll.ended"]
    assert [(line["ended"], line["log_level"], "studies" in line) for line in lines] == [
        ("complete", "info", True),
        ("nothing-new", "info", False),
        ("partial", "info", True),
        ("failed", "warning", True),
    ]
    assert "no usable answer" in lines[3]["error"]
