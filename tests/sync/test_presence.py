"""Membership and presence: who joins a watch and leaves it, who is merged, removed, withheld or back, and when nothing is concluded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from following import ATAXIA, DAYS, World, edited, invent, number_of, publish, status, withheld

from trialsync.model import By, Ended, Kind, Presence, Tier, Watch

if TYPE_CHECKING:
    from pathlib import Path

    from trialsync.model import LoggedChange, Study

ONE, TWO, THREE = invent(1), invent(2), invent(3)
N1, N2, N3 = map(number_of, (ONE, TWO, THREE))
EVERYTHING = Watch("everything", everything=True)
RECRUITING = Watch("open", query={"query.cond": ("Ataxia",), "filter.overallStatus": ("RECRUITING",)})


def whole(world: World) -> list[tuple[str, str, str, str, object, object]]:
    """Return the rows about studies as a whole: number, field, kind, date, before, after."""
    return [
        (row.nct_id, row.field, row.kind.value, row.date, row.before, row.after)
        for row in world.log()
        if row.field.startswith(("watch.", "registry."))
    ]


def presence(world: World, number: str) -> Presence:
    """Return what the store says of a study as a whole."""
    with world.reader() as reader:
        return reader.headlines(number).presence


def members(world: World, watch: str = ATAXIA.name) -> set[str]:
    """Return the numbers of the studies in a watch."""
    with world.reader() as reader:
        return {row.nct_id for row in reader.studies(watch)}


def only(rows: list[LoggedChange], field: str) -> LoggedChange:
    """Return the one row of a field."""
    (row,) = [row for row in rows if row.field == field]
    return row


def with_aliases(study: Study, *aliases: str) -> Study:
    """Return a copy of a study that has taken in other numbers."""
    return edited(study, identificationModule__nctIdAliases=list(aliases))


# Newcomers


def test_a_newly_posted_study_joins_the_registry_and_the_watch(tmp_path: Path) -> None:
    """A study first posted after the watch's last completed load is news twice, dated by its first posting; its fields are baseline."""
    new = invent(3, posted=DAYS[1], first_posted=DAYS[1])
    world = World(tmp_path, publish([ONE], [new], []))
    world.poll()
    world.next()
    assert whole(world) == [
        (N3, "watch.ataxia", "added", DAYS[1], None, True),
        (N3, "registry.presence", "added", DAYS[1], None, "listed"),
    ]
    for row in world.log():
        assert (row.baseline, row.tier, row.by, row.version) == (False, Tier.HEADLINE, By.REGISTRY, 1)
        assert (row.load, row.not_before, row.posted) == (DAYS[1], DAYS[0], DAYS[1])
    fields = [row for row in world.log(baseline=True, studies=(N3,)) if row.baseline]
    assert {row.path for row in fields} >= {"status.overallStatus", "outcomes.primary", "locations.clinic a|lyon||france"}
    assert {row.by for row in fields} == {None}
    assert world.next().poll.changes == 0


def test_a_study_first_posted_in_a_gap_is_dated_by_its_posting(tmp_path: Path) -> None:
    """Where loads went by unpolled, a newcomer is dated by the day of its first posting, its load is the one that showed it to us."""
    new = invent(3, posted=DAYS[2], first_posted=DAYS[2])
    world = World(tmp_path, publish([ONE], [], [new], [], []))
    world.poll()
    world.advance(4)
    world.poll()
    assert {(row.date, row.load, row.not_before) for row in world.log()} == {(DAYS[2], DAYS[4], DAYS[0])}


def test_an_old_study_that_begins_to_match_only_joins_the_watch(tmp_path: Path) -> None:
    """A study that was first posted long ago and is found now joined the watch on this load; to the registry it is not new."""
    world = World(tmp_path, publish([ONE], [THREE]))
    world.poll()
    world.next()
    assert whole(world) == [(N3, "watch.ataxia", "added", DAYS[1], None, True)]


def test_a_study_first_posted_on_the_last_completed_load_is_not_new(tmp_path: Path) -> None:
    """First posted on the day of the watch's last completed load is not after it: then the study only joined."""
    world = World(tmp_path, publish([ONE], [invent(3, first_posted=DAYS[0], posted=DAYS[0])]))
    world.poll()
    world.next()
    assert [row[1] for row in whole(world)] == ["watch.ataxia"]


def test_until_a_walk_was_complete_nobody_is_a_newcomer(tmp_path: Path) -> None:
    """Joining is news only after the watch's first complete walk: after a partial one the rest of the watch is still its beginning."""
    numbers = tuple(f"NCT{number:08d}" for number in range(1, 501))
    watch = Watch("many", nct_ids=numbers)
    fresh = [invent(number, posted=DAYS[1], first_posted=DAYS[1]) for number in range(401, 501)]
    world = World(tmp_path, publish([invent(number) for number in range(1, 401)], fresh, []))
    world.sandbox.inject("unavailable", path="/studies", at=2, times=None)
    assert world.poll(watch).poll.ended is Ended.PARTIAL
    world.sandbox.clear_faults()
    assert world.next(watch).poll.ended is Ended.COMPLETE
    assert whole(world) == []
    assert len(members(world, "many")) == 500


def test_a_study_known_from_another_watch_joins_later(tmp_path: Path) -> None:
    """A study that another watch has followed for long enters with the date of the change that made it match, by whoever made it."""
    other = Watch("invented", query={"query.spons": ("Invented Sponsor",)})
    moved = status(TWO, "RECRUITING", DAYS[1])
    world = World(tmp_path, publish([ONE, status(TWO, "SUSPENDED")], [moved]))
    for watch in (other, RECRUITING):
        world.poll(watch)
    world.advance()
    for watch in (RECRUITING, other):
        world.poll(watch)
    assert whole(world) == [(N2, "watch.open", "added", DAYS[1], None, True)]
    row = only(world.log(), "watch.open")
    assert (row.by, row.version, row.load) == (By.SPONSOR, 2, DAYS[1])
    assert [change.path for change in world.log(studies=(N2,))] == ["status.overallStatus", "status.lastUpdatePostDate", "watch.open"]


def test_a_newcomer_to_two_watches_is_new_to_the_registry_once(tmp_path: Path) -> None:
    """Two watches that find the same new study each gain a member; its presence is recorded once."""
    world = World(tmp_path, publish([ONE], [invent(3, posted=DAYS[1], first_posted=DAYS[1])]))
    for watch in (ATAXIA, EVERYTHING):
        world.poll(watch)
    world.advance()
    for watch in (ATAXIA, EVERYTHING):
        world.poll(watch)
    assert sorted(row[1] for row in whole(world)) == ["registry.presence", "watch.ataxia", "watch.everything"]


def test_a_study_asked_once_before_is_as_new_as_without_that(tmp_path: Path) -> None:
    """A newly posted study is news where the store has it already, so that the log does not depend on the order of watches."""
    new = invent(3, posted=DAYS[1], first_posted=DAYS[1])
    world = World(tmp_path, publish([ONE], [new]))
    world.poll()
    world.advance()
    world.poll(Watch(N3, nct_ids=(N3,)), followed=False)
    world.poll()
    assert whole(world) == [
        (N3, "watch.ataxia", "added", DAYS[1], None, True),
        (N3, "registry.presence", "added", DAYS[1], None, "listed"),
    ]


# Edited queries


def test_an_edited_query_rebases_the_watch_without_news(tmp_path: Path) -> None:
    """Where a watch asks something else, those who come and go by that are no news; it is said once, and the next load is news again."""
    suspended = status(TWO, "SUSPENDED")
    world = World(tmp_path, publish([ONE, suspended, invent(4, condition="Chorea")], [], [status(ONE, "COMPLETED", DAYS[2])]))
    world.poll()
    edited_watch = Watch(ATAXIA.name, query={"query.cond": ("Ataxia OR Chorea",), "filter.overallStatus": ("RECRUITING",)})
    outcome = world.next(edited_watch)
    assert outcome.poll.ended is Ended.COMPLETE
    assert [note for note in outcome.notes if "query was edited" in note] == [
        "ataxia: its query was edited; 1 study outside the new one left, but stay followed"
    ]
    assert world.log() == []
    assert members(world) == {N1, "NCT00000004"}
    outcome = world.next(edited_watch)
    assert outcome.notes == (f"left the watch, and stay followed: {N1}",)
    assert whole(world) == [(N1, "watch.ataxia", "removed", DAYS[2], True, None)]


def test_an_edited_query_is_asked_on_the_same_load(tmp_path: Path) -> None:
    """The load that was polled with another query is walked for the new one."""
    world = World(tmp_path, publish([ONE, invent(4, condition="Chorea")]))
    world.poll()
    outcome = world.poll(Watch(ATAXIA.name, query={"query.cond": ("Chorea",)}))
    assert (outcome.poll.ended, outcome.poll.new) == (Ended.COMPLETE, 1)


# Leaving


def test_a_study_that_stops_matching_leaves_and_stays_followed(tmp_path: Path) -> None:
    """A member that is found by its number but not by the query left, dated and signed as what made it leave; its later changes count."""
    gone = status(ONE, "TERMINATED", DAYS[1])
    world = World(tmp_path, publish([ONE, TWO], [gone], [], [edited(gone, DAYS[3], designModule__enrollmentInfo__count=7)]))
    world.poll(RECRUITING)
    world.next(RECRUITING)
    assert whole(world) == [(N1, "watch.open", "removed", DAYS[1], True, None)]
    row = only(world.log(), "watch.open")
    assert (row.by, row.load, row.not_before, row.kind) == (By.SPONSOR, DAYS[1], DAYS[0], Kind.REMOVED)
    assert members(world, "open") == {N2}
    world.next(RECRUITING)
    world.next(RECRUITING)
    assert whole(world) == [(N1, "watch.open", "removed", DAYS[1], True, None)]
    assert (N1, "design.enrollmentCount", "changed", DAYS[3]) in world.brief()


def test_a_study_that_matches_again_rejoins_once(tmp_path: Path) -> None:
    """Out and in again are two rows, each with its date, however many loads lie between."""
    out = status(ONE, "SUSPENDED", DAYS[1])
    world = World(tmp_path, publish([ONE, TWO], [out], [], [status(ONE, "RECRUITING", DAYS[3])], []))
    world.poll(RECRUITING)
    while world.sandbox.loads_left:
        world.next(RECRUITING)
    assert whole(world) == [
        (N1, "watch.open", "removed", DAYS[1], True, None),
        (N1, "watch.open", "added", DAYS[3], None, True),
    ]
    assert members(world, "open") == {N1, N2}


def test_a_study_of_two_watches_leaves_one(tmp_path: Path) -> None:
    """Leaving one watch says nothing of another that the study is still in."""
    world = World(tmp_path, publish([ONE, TWO], [status(ONE, "TERMINATED", DAYS[1])]))
    for watch in (RECRUITING, ATAXIA):
        world.poll(watch)
    world.advance()
    for watch in (RECRUITING, ATAXIA):
        world.poll(watch)
    assert [row[1] for row in whole(world)] == ["watch.open"]
    assert members(world) == {N1, N2}


# Merges


def test_a_merged_study_is_recorded_once_with_its_survivor(tmp_path: Path) -> None:
    """Where a study's number became an alias of another, it is merged, once; the survivor's own change stands beside it."""
    world = World(tmp_path, publish([ONE, TWO, THREE], [with_aliases(ONE, N2), N2], [], []))
    world.poll()
    outcome = world.next()
    assert outcome.notes == (f"{N2} was merged into {N1}",)
    assert whole(world) == [(N2, "registry.presence", "changed", DAYS[1], "listed", "merged")]
    row = only(world.log(), "registry.presence")
    assert (row.by, row.load, row.not_before) == (By.REGISTRY, DAYS[1], DAYS[0])
    with world.reader() as reader:
        assert reader.headlines(N2).merged_into == N1
    for _ in range(2):
        outcome = world.next()
        assert (outcome.poll.changes, outcome.poll.studies, outcome.poll.unchanged, outcome.notes) == (0, 2, 2, ())
    assert members(world) == {N1, N3}


def test_a_merge_into_a_study_outside_the_watch_is_found_by_its_number(tmp_path: Path) -> None:
    """The survivor need not match the watch: it is recorded as a study of its own, and does not join."""
    survivor = with_aliases(invent(9, condition="Chorea"), N2)
    world = World(tmp_path, publish([ONE, TWO], [survivor, N2]))
    world.poll()
    world.next()
    assert whole(world) == [(N2, "registry.presence", "changed", DAYS[1], "listed", "merged")]
    assert members(world) == {N1}
    with world.reader() as reader:
        assert reader.has("NCT00000009")


def test_a_number_that_was_an_alias_from_the_first_is_followed_as_its_study(tmp_path: Path) -> None:
    """A watch by numbers that asks for an alias follows the study behind it, and says so."""
    watch = Watch("mine", nct_ids=(N2, N3))
    world = World(tmp_path, publish([with_aliases(ONE, N2), THREE], [status(with_aliases(ONE, N2), "COMPLETED", DAYS[1])]))
    outcome = world.poll(watch)
    assert outcome.notes == (f"asked {N2}, followed as {N1}",)
    assert outcome.poll.ended is Ended.COMPLETE
    world.next(watch)
    assert (N1, "status.overallStatus", "changed", DAYS[1]) in world.brief()
    assert whole(world) == []


# Removals


def test_a_removal_counts_when_two_loads_say_so(tmp_path: Path) -> None:
    """The registry's own 404 is a suspicion on the first load and a removal on the second, dated by the first; after that, silence."""
    world = World(tmp_path, publish([ONE, TWO], [N2], [], [], []))
    world.poll()
    outcome = world.next()
    assert outcome.notes == (f"{N2} is not found any more; it counts as removed when the next load says so too",)
    assert (whole(world), presence(world, N2), members(world)) == ([], Presence.LISTED, {N1, N2})
    assert world.poll(full=True).poll.changes == 0
    assert whole(world) == []
    outcome = world.next()
    assert outcome.notes == (f"{N2} was removed from the registry",)
    assert whole(world) == [(N2, "registry.presence", "changed", DAYS[1], "listed", "removed")]
    row = only(world.log(), "registry.presence")
    assert (row.by, row.load, row.not_before, row.seen[:10]) == (By.REGISTRY, DAYS[1], DAYS[0], DAYS[2])
    assert (presence(world, N2), members(world)) == (Presence.REMOVED, {N1})
    for _ in range(2):
        outcome = world.next()
        assert (outcome.poll.changes, outcome.notes) == (0, ())


def test_two_watches_over_a_study_that_is_gone_record_it_once(tmp_path: Path) -> None:
    """Two watches on one load are one load: the second does not confirm the first's suspicion, and the removal is one row."""
    world = World(tmp_path, publish([ONE, TWO], [N2], []))
    for watch in (ATAXIA, EVERYTHING):
        world.poll(watch)
    world.advance()
    for watch in (ATAXIA, EVERYTHING):
        world.poll(watch)
    assert whole(world) == []
    world.advance()
    for watch in (ATAXIA, EVERYTHING):
        world.poll(watch)
    assert whole(world) == [(N2, "registry.presence", "changed", DAYS[1], "listed", "removed")]
    assert N2 not in members(world) | members(world, "everything")


def test_a_suspicion_ends_when_the_study_shows_again(tmp_path: Path) -> None:
    """A study that was missing on one load and shown on the next starts afresh: its next absence is a first one."""
    world = World(tmp_path, publish([ONE, TWO], [N2], [TWO], [N2], []))
    world.poll()
    world.next()
    world.next()
    world.next()
    assert whole(world) == []
    world.next()
    assert whole(world) == [(N2, "registry.presence", "changed", DAYS[3], "listed", "removed")]


def test_a_wrong_404_concludes_nothing(tmp_path: Path) -> None:
    """A 404 that is not the registry's own sentence about the study leaves it a member, however often it comes; the poll is partial."""
    world = World(tmp_path, publish([ONE, TWO], [N2], [], []))
    world.poll()
    world.sandbox.inject("wrong-404", times=None)
    for _ in range(2):
        outcome = world.next()
        assert outcome.poll.ended is Ended.PARTIAL
        assert outcome.error is not None
    assert (whole(world), presence(world, N2), members(world)) == ([], Presence.LISTED, {N1, N2})


def test_a_study_that_comes_back_is_listed_again(tmp_path: Path) -> None:
    """A removed study that the registry shows again is recorded as listed, with what changed meanwhile, and is in the watch again."""
    back = status(TWO, "COMPLETED", DAYS[3])
    world = World(tmp_path, publish([ONE, TWO], [N2], [], [back], []))
    world.poll()
    for _ in range(3):
        world.next()
    assert whole(world) == [
        (N2, "registry.presence", "changed", DAYS[1], "listed", "removed"),
        (N2, "registry.presence", "changed", DAYS[3], "removed", "listed"),
        (N2, "watch.ataxia", "added", DAYS[3], None, True),
    ]
    change = only(world.log(), "status.overallStatus")
    assert (change.date, change.not_before, change.version) == (DAYS[3], DAYS[0], 2)
    assert (presence(world, N2), members(world)) == (Presence.LISTED, {N1, N2})
    assert world.next().poll.changes == 0


def test_a_study_that_comes_back_unchanged_is_listed_again(tmp_path: Path) -> None:
    """Where nothing changed meanwhile, coming back is a row of presence alone and no new version."""
    world = World(tmp_path, publish([ONE, TWO], [N2], [], [TWO]))
    world.poll()
    for _ in range(3):
        world.next()
    assert [row[4:] for row in whole(world) if row[1] == "registry.presence"] == [("listed", "removed"), ("removed", "listed")]
    with world.reader() as reader:
        assert [version.number for version in reader.versions(N2)] == [1]


def test_a_number_that_the_registry_never_knew_is_named(tmp_path: Path) -> None:
    """A watch by numbers names those that were never found, follows the others, and removes nobody."""
    watch = Watch("mine", nct_ids=(N1, "NCT00000077"))
    world = World(tmp_path, publish([ONE], [], []))
    outcome = world.poll(watch)
    assert outcome.notes == ("NCT00000077 was never found in the registry; check the number (this is said once)",)
    assert outcome.poll.ended is Ended.COMPLETE
    world.next(watch)
    world.next(watch)
    assert whole(world) == []


# Withheld


def test_a_withheld_study_is_one_row(tmp_path: Path) -> None:
    """When the registry blanks nearly everything, that is one change of presence and not a removal of a hundred fields."""
    world = World(tmp_path, publish([ONE, TWO], [withheld(ONE, DAYS[1])], []))
    world.poll(EVERYTHING)
    world.next(EVERYTHING)
    assert world.brief(studies=(N1,)) == [(N1, "registry.presence", "changed", DAYS[1])]
    row = only(world.log(studies=(N1,)), "registry.presence")
    assert (row.before, row.after, row.version, row.by, row.not_before) == ("listed", "withheld", 2, By.REGISTRY, DAYS[0])
    assert presence(world, N1) is Presence.WITHHELD
    world.next(EVERYTHING)
    assert len(world.log(studies=(N1,))) == 1


def test_a_study_that_is_shown_again_is_compared_with_its_last_open_content(tmp_path: Path) -> None:
    """What comes back from being withheld is compared with what stood before: what the registry had blanked is no news."""
    again = status(ONE, "COMPLETED", DAYS[2])
    world = World(tmp_path, publish([ONE], [withheld(ONE, DAYS[1])], [again]))
    world.poll(EVERYTHING)
    world.next(EVERYTHING)
    world.next(EVERYTHING)
    assert world.brief(studies=(N1,)) == [
        (N1, "registry.presence", "changed", DAYS[1]),
        (N1, "status.overallStatus", "changed", DAYS[2]),
        (N1, "status.lastUpdatePostDate", "changed", DAYS[2]),
        (N1, "registry.presence", "changed", DAYS[2]),
    ]
    assert only([row for row in world.log() if row.date == DAYS[2]], "status.overallStatus").before == "RECRUITING"
    assert presence(world, N1) is Presence.LISTED


def test_a_study_withheld_from_the_first_is_known_as_such(tmp_path: Path) -> None:
    """A study that was withheld when it was first seen has that presence without a row; when it opens, all of it is news."""
    world = World(tmp_path, publish([withheld(ONE, "2026-01-12")], [ONE]))
    world.poll(EVERYTHING)
    assert (world.log(), presence(world, N1)) == ([], Presence.WITHHELD)
    world.next(EVERYTHING)
    assert (N1, "registry.presence", "changed", DAYS[1]) in world.brief()
    assert (N1, "outcomes.primary", "added", DAYS[1]) in world.brief()


# Outages


MANY = [invent(number) for number in range(1, 21)]
GONE = [number_of(study) for study in MANY[:5]]


def test_a_mass_disappearance_concludes_nothing_and_says_so(tmp_path: Path) -> None:
    """Where more than a fifth of ten or more members are gone at once, nobody is suspected; the poll is partial and names the way out."""
    world = World(tmp_path, publish(MANY, GONE, [], MANY[:5]))
    world.poll()
    for _ in range(2):
        outcome = world.next()
        assert outcome.poll.ended is Ended.PARTIAL
        assert "5 of 20 studies" in outcome.notes[0]
        assert "trialsync sync --accept-removals" in outcome.notes[0]
    assert (whole(world), len(members(world))) == ([], 20)
    assert world.next().poll.ended is Ended.COMPLETE
    assert whole(world) == []


def test_removals_can_be_accepted(tmp_path: Path) -> None:
    """``accept_removals`` concludes even so, by the same rule: two loads have to say so; after that nothing is left to accept."""
    world = World(tmp_path, publish(MANY, GONE, [], []))
    world.poll()
    assert world.next(accept_removals=True).poll.ended is Ended.COMPLETE
    assert whole(world) == []
    world.next(accept_removals=True)
    assert [row[0] for row in whole(world)] == GONE
    outcome = world.next()
    assert (outcome.poll.ended, outcome.notes) == (Ended.COMPLETE, ())


@pytest.mark.parametrize(("held", "gone"), [(20, 4), (9, 5)])
def test_a_few_removals_are_no_mass(tmp_path: Path, held: int, gone: int) -> None:
    """A fifth of the members or less, or any share of fewer than ten, is concluded as usual."""
    world = World(tmp_path, publish(MANY[:held], GONE[:gone], []))
    world.poll()
    world.next()
    assert world.next().poll.ended is Ended.COMPLETE
    assert len(whole(world)) == gone


def test_an_empty_answer_changes_nothing(tmp_path: Path) -> None:
    """An outage that answers 200 with an empty list is no walk: the poll fails, and everybody stays."""
    world = World(tmp_path, publish(MANY, [status(MANY[0], "COMPLETED", DAYS[1])]))
    world.poll()
    world.sandbox.inject("empty-studies", times=None)
    world.advance()
    before = world.content()
    assert world.poll().poll.ended is Ended.FAILED
    assert world.content() == before
    world.sandbox.clear_faults()
    assert world.poll().poll.changes == 2


def test_an_outage_that_counts_nothing_changes_nothing(tmp_path: Path) -> None:
    """A search that finds none of many members, and counts none, is taken for a fault: nobody left, and the poll is partial."""
    world = World(tmp_path, publish(MANY, [], []))
    world.poll()
    world.wire.edit = lambda path, body: b'{"totalCount":0,"studies":[]}' if path == "/studies" else body
    outcome = world.next()
    assert outcome.poll.ended is Ended.PARTIAL
    assert "none of 20 studies" in outcome.notes[0]
    assert (whole(world), len(members(world))) == ([], 20)
    world.wire.edit = None
    assert world.next().poll.ended is Ended.COMPLETE
    assert whole(world) == []
