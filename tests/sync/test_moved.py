"""Large watches: what moved and a share of the rest each load, and after a sweep the same log as by walking everything on every load."""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from following import ATAXIA, DAYS, World, columns, edited, invent, publish, status
from generated_registry import generate, weekdays
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from trialsync.model import By, Ended, Kind, Slice, Watch
from trialsync.registry import query
from trialsync.sync.moved import SLICE_STUDIES, can_be_narrowed, due, plan
from trialsync.sync.poll import Policy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from trialsync.model import LoggedChange
    from trialsync.sync.poll import Outcome

OPEN = Watch("open", query={"query.cond": ("Ataxia",), "filter.overallStatus": ("RECRUITING", "NOT_YET_RECRUITING")})
EVERYTHING = Watch("everything", everything=True)
WATCHES = {watch.name: watch for watch in (OPEN, EVERYTHING)}
WHOLE = Policy()
MOVED = Policy(incremental_above=3, sweep_days=7)
SWEEP_LOADS = 7
"""So many loads without changes bring every slice's turn; two more the look that confirms a removal."""


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Keep the log's thousands of lines out of the captured output."""
    with capture_logs():
        yield


@dataclass(frozen=True, slots=True)
class Followed:
    """A watch that was followed through generated loads: its world, how each poll ended, and the slices after each."""

    world: World
    outcomes: tuple[Outcome, ...]
    slices: tuple[tuple[Slice, ...], ...]


def follow(
    folder: Path,
    seed: int,
    watch: Watch,
    policy: Policy,
    *,
    loads: int = 32,
    polled: Callable[[int], bool] = lambda _: True,
    fault_seed: int | None = None,
) -> Followed:
    """Follow a watch through ``loads`` loads of a seed, those that ``polled`` picks by their place, and the quiet ones after them.

    With a ``fault_seed`` each poll is first cut off by an outage at some request, and then made again at the same load.
    """
    made = generate(seed, loads=loads, quiet=SWEEP_LOADS + 2)
    world = World(folder, made.lines, f"{watch.name}-{policy.incremental_above}-{fault_seed}.db")
    chance = random.Random(fault_seed)  # noqa: S311 - where the outage begins
    outcomes: list[Outcome] = []
    slices: list[tuple[Slice, ...]] = []
    for place in range(len(made.loads)):
        if place:
            world.advance()
        if not polled(place) and place < loads:
            continue
        if fault_seed is not None and place:
            world.sandbox.inject("unavailable", at=chance.randint(1, 8), times=None)
            world.poll(watch, policy=policy)
            world.sandbox.clear_faults()
        outcomes.append(world.poll(watch, policy=policy))
        with world.writer() as writer:
            slices.append(tuple(writer.slices(watch.name)))
    return Followed(world, tuple(outcomes), tuple(slices))


def key(row: LoggedChange) -> tuple[str, ...]:
    """Return what a change says, whenever it was seen."""
    return (row.nct_id, row.path, row.kind.value, json.dumps(row.before, sort_keys=True), json.dumps(row.after, sort_keys=True))


def sponsors(rows: Iterable[LoggedChange]) -> list[dict[str, Any]]:
    """Return the sponsors' changes, all columns but those that depend on which polls there were before and which versions between."""
    left_out = ("id", "ref", "seen", "version", "not_before")
    found: list[dict[str, Any]] = columns((row for row in rows if row.by is By.SPONSOR), but=left_out)
    return found


def latest(world: World) -> set[tuple[Any, ...]]:
    """Return each study's latest fingerprint and presence."""
    with world.reader() as reader:
        numbers = [row.nct_id for row in reader.studies()]
    with world.writer() as writer:
        return {(each.nct_id, each.version.fingerprint, each.presence, each.merged_into) for each in writer.known(numbers).values()}


def check_same(whole: Followed, moved: Followed, lateness: int) -> None:
    """Check that both logs hold the same changes, sponsors' with the same dates, the registry's at most ``lateness`` days later."""
    one, other = whole.world.log(), moved.world.log()
    assert Counter(map(key, one)) == Counter(map(key, other))
    assert sponsors(one) == sponsors(other)
    assert latest(whole.world) == latest(moved.world)
    for row, found in zip(sorted(one, key=key), sorted(other, key=key), strict=True):
        days = (date.fromisoformat(found.date) - date.fromisoformat(row.date)).days
        assert found.by == row.by
        assert 0 <= days <= lateness, (row, found)
        assert (found.not_before or "") <= (row.not_before or ""), (row, found)


@pytest.mark.parametrize(("seed", "name"), [(1, "open"), (2, "open"), (1, "everything")])
def test_what_moved_and_a_sweep_give_the_log_of_whole_walks(tmp_path: Path, seed: int, name: str) -> None:
    """Over 32 loads both ways of walking record the same changes; sponsors' carry the same dates, the registry's come within the sweep."""
    whole = follow(tmp_path, seed, WATCHES[name], WHOLE)
    moved = follow(tmp_path, seed, WATCHES[name], MOVED)
    assert {outcome.poll.ended for outcome in moved.outcomes} == {Ended.COMPLETE}
    assert [outcome.poll.whole for outcome in moved.outcomes] == [True] + [False] * (len(moved.outcomes) - 1)
    assert len({(row.nct_id, row.load, row.by) for row in whole.world.log()}) > 60
    check_same(whole, moved, lateness=MOVED.sweep_days)
    for outcome, slices in zip(moved.outcomes, moved.slices, strict=True):
        assert outcome.poll.load is not None
        waited = [(date.fromisoformat(outcome.poll.load) - date.fromisoformat(part.swept or "")).days for part in slices]
        assert max(waited) < MOVED.sweep_days


@pytest.mark.parametrize("name", WATCHES)
def test_requests_are_few_whatever_the_watchs_size(tmp_path: Path, name: str) -> None:
    """A load costs the version, two questions for what moved, the slices that are due, a batch of look-ups, and one a study not found."""
    moved = follow(tmp_path, 3, WATCHES[name], MOVED)
    counts = [outcome.poll.requests for outcome in moved.outcomes[1:]]
    print(f"{name}: requests a load {min(counts)} to {max(counts)}, {sum(counts) / len(counts):.1f} on average")  # noqa: T201 - a measurement
    slices = len(moved.slices[-1])
    assert slices == MOVED.sweep_days + 1
    gone = max(len(outcome.notes) for outcome in moved.outcomes)
    assert max(counts) <= 1 + 2 + -(-slices * 3 // MOVED.sweep_days) + 1 + gone
    assert sum(counts) / len(counts) < 8


def test_an_outage_of_several_loads_is_caught_up(tmp_path: Path) -> None:
    """Where loads go by unpolled, what moved is asked from the last completed load on: the log is that of whole walks on the same loads."""
    chance = random.Random(7)  # noqa: S311 - which loads are missed
    missed = {place for start in (4, 12, 19) for place in range(start, start + chance.randint(2, 6))}
    whole = follow(tmp_path, 4, OPEN, WHOLE, polled=lambda place: place not in missed)
    moved = follow(tmp_path, 4, OPEN, MOVED, polled=lambda place: place not in missed)
    assert len(moved.outcomes) < len(moved.world.sandbox.loads) - 5
    check_same(whole, moved, lateness=MOVED.sweep_days + 9)


@pytest.mark.parametrize("policy", [WHOLE, MOVED], ids=["whole", "moved"])
def test_a_poll_that_was_cut_off_is_caught_up(tmp_path: Path, policy: Policy) -> None:
    """An outage at any request, on every load, and one clean poll after it: the log is that of undisturbed polls."""
    undisturbed = follow(tmp_path, 5, OPEN, WHOLE, loads=16)
    disturbed = follow(tmp_path, 5, OPEN, policy, loads=16, fault_seed=5)
    check_same(undisturbed, disturbed, lateness=0 if policy is WHOLE else MOVED.sweep_days)


# One thing at a time


def large(folder: Path, *loads: Iterable[Any], count: int = 20, **options: Any) -> World:
    """Return a world of recruiting studies, numbered from 1, polled once by OPEN as a large watch; ``loads`` are those after the first."""
    first = [invent(number, first_posted=f"2025-{number % 9 + 1:02d}-03") for number in range(1, count + 1)]
    world = World(folder, publish(first, *loads))
    assert world.poll(OPEN, policy=MOVED, **options).poll.whole
    return world


def study(number: int, posted: str = "2026-01-12", **leaves: Any) -> Any:
    """Return one of those studies, edited."""
    return edited(invent(number, first_posted=f"2025-{number % 9 + 1:02d}-03"), posted, **leaves)


def test_a_member_that_stops_matching_is_seen_on_its_own_load(tmp_path: Path) -> None:
    """RECRUITING to TERMINATED, in a watch for what recruits, is found by the day's range over the whole registry."""
    world = large(tmp_path, [status(study(7), "TERMINATED", DAYS[1])])
    outcome = world.next(OPEN, policy=MOVED)
    assert (outcome.poll.ended, outcome.poll.whole) == (Ended.COMPLETE, False)
    assert world.brief() == [
        ("NCT00000007", "status.overallStatus", "changed", DAYS[1]),
        ("NCT00000007", "status.lastUpdatePostDate", "changed", DAYS[1]),
        ("NCT00000007", "watch.open", "removed", DAYS[1]),
    ]
    assert {row.by for row in world.log()} == {By.SPONSOR}


def test_who_enters_is_seen_on_its_own_load(tmp_path: Path) -> None:
    """A study that begins to match, and one that is posted for the first time, join with the load that shows them."""
    begins = status(study(30), "SUSPENDED")
    world = World(
        tmp_path,
        publish(
            [*(study(number) for number in range(1, 21)), begins],
            [],
            [status(begins, "RECRUITING", DAYS[2]), invent(31, posted=DAYS[2], first_posted=DAYS[2])],
        ),
    )
    world.poll(OPEN, policy=MOVED)
    world.next(OPEN, policy=MOVED)
    world.next(OPEN, policy=MOVED)
    assert sorted(world.brief()) == [
        ("NCT00000030", "watch.open", "added", DAYS[2]),
        ("NCT00000031", "registry.presence", "added", DAYS[2]),
        ("NCT00000031", "watch.open", "added", DAYS[2]),
    ]


def test_a_former_member_stays_followed(tmp_path: Path) -> None:
    """What left a large watch is still fetched when its sponsor updates it, on that load, and when its slice is swept."""
    left = status(study(7), "TERMINATED", DAYS[1])
    updated = edited(left, DAYS[2], statusModule__whyStopped="No money")
    moved = edited(updated, contactsLocationsModule__locations=[{"facility": "Clinic A", "city": "Lyon", "country": "Italy"}])
    world = large(tmp_path, [left], [updated], [moved], [], [], [])
    for _ in range(6):
        world.next(OPEN, policy=MOVED)
    rows = {(row.path, row.kind.value): row.load for row in world.log() if row.load > DAYS[1]}
    assert rows[("status.whyStopped", "added")] == DAYS[2]
    assert {load for (path, _), load in rows.items() if path.startswith("locations")} <= set(DAYS[3:])
    assert any(path.startswith("locations") for path, _ in rows)


@pytest.mark.parametrize("undated", [False, True])
def test_who_is_removed_and_comes_back_is_told_however_the_watch_is_walked(tmp_path: Path, *, undated: bool) -> None:
    """A member that the registry removes is in a large watch no more, and joins it again when it comes back, as by whole walks."""
    day: dict[str, Any] = {"statusModule__studyFirstPostDateStruct": None} if undated else {}
    first = [study(7, **day), *(study(number) for number in range(10, 30))]
    told = []
    for policy, name in ((WHOLE, "whole.db"), (MOVED, "moved.db")):
        world = World(tmp_path, publish(first, ["NCT00000007"], [], [], [], [], [study(7, DAYS[6], **day)]), name)
        world.poll(OPEN, policy=policy)
        for _ in DAYS[2:]:
            world.next(OPEN, policy=policy)
        with world.writer() as writer:
            assert "NCT00000007" not in writer.members("open")
        world.next(OPEN, policy=policy)
        told.append([(row.path, row.kind, row.after) for row in world.log(fields=("registry.presence", "watch.open"))])
        with world.writer() as writer:
            assert "NCT00000007" in writer.members("open")
    assert told[0] == told[1]
    assert told[0][-1] == ("watch.open", Kind.ADDED, True)


@pytest.mark.parametrize("undated", [False, True])
def test_the_registrys_own_change_is_found_by_the_sweep(tmp_path: Path, *, undated: bool) -> None:
    """A change without a new posted date comes with the slice's turn, also of a study that has no day of first posting."""
    day: dict[str, Any] = {"statusModule__studyFirstPostDateStruct": None} if undated else {}
    flipped = edited(status(study(7), "UNKNOWN"), statusModule__lastKnownStatus="RECRUITING", **day)
    world = World(tmp_path, publish([study(7, **day), *(study(number) for number in range(10, 30))], [flipped], [], [], [], [], []))
    for place in range(7):
        if place:
            world.advance()
        world.poll(OPEN, policy=MOVED)
    rows = {row.path: row for row in world.log()}
    assert set(rows) == {"status.overallStatus", "status.lastKnownStatus", "watch.open"}
    for row in rows.values():
        assert (row.nct_id, row.by) == ("NCT00000007", By.REGISTRY)
        assert row.date == row.load
        assert row.not_before == DAYS[0]


def test_each_part_has_its_own_studies(tmp_path: Path) -> None:
    """Asked for together or alone, each part has its members and those that left; what lies between parts is in none."""
    days = ("2020-01-01", "2020-06-30", "2020-07-01", "2021-03-05", "2022-12-31", "2023-01-01", None)
    studies = [invent(number, first_posted=day or "") for number, day in enumerate(days, start=1)]
    studies[-1] = edited(studies[-1], statusModule__studyFirstPostDateStruct=None)
    others = [edited(studies[place], DAYS[1], conditionsModule__conditions=["Gout"]) for place in (1, 4, 6)]
    world = World(tmp_path, publish(studies, others))
    world.poll(ATAXIA)
    world.next(ATAXIA)
    parts = [
        Slice(0, None, "2020-06-30", None),
        Slice(1, "2020-07-01", "2021-03-04", None),
        Slice(2, "2022-01-01", "2022-12-31", None),
        Slice(3, "2023-01-01", None, None),
        Slice(4, None, None, None, undated=True),
    ]
    with world.writer() as writer:
        alone = [writer.members_in(ATAXIA.name, [part])[0] for part in parts]
        assert writer.members_in(ATAXIA.name, parts) == alone
        assert writer.members_in(ATAXIA.name, parts[::-1]) == alone[::-1]
        assert writer.members_in(ATAXIA.name, parts[1:3]) == alone[1:3]
        assert writer.members_in(ATAXIA.name, []) == []
    assert [sorted(int(number[3:]) for number in (*members, *former)) for members, former in alone] == [[1, 2], [3], [5], [6], [7]]
    assert [len(former) for _, former in alone] == [1, 0, 1, 0, 1]


def test_full_walks_a_large_watch_whole(tmp_path: Path) -> None:
    """``full`` finds at once what the sweep would find later, counts as a sweep of every slice, and adds nothing after it."""
    world = large(tmp_path, [edited(study(9), eligibilityModule={"sex": "ALL"})], [], [])
    outcome = world.next(OPEN, policy=MOVED, full=True)
    assert (outcome.poll.whole, outcome.poll.changes) == (True, 1)
    with world.writer() as writer:
        assert {part.swept for part in writer.slices("open")} == {DAYS[1]}
    for _ in range(2):
        outcome = world.next(OPEN, policy=MOVED)
        assert (outcome.poll.whole, outcome.poll.changes) == (False, 0)


def test_overlap_costs_no_rows(tmp_path: Path) -> None:
    """What was posted with the last completed load is asked for again, and gives no row, no version and no write about studies."""
    world = large(tmp_path, [status(study(7), "TERMINATED", DAYS[1]), edited(study(8), DAYS[1], designModule__enrollmentInfo__count=9)], [])
    world.next(OPEN, policy=MOVED)
    before = world.content()
    outcome = world.next(OPEN, policy=MOVED)
    assert outcome.poll.unchanged >= 2
    assert world.content() == before


@pytest.mark.parametrize("policy", [WHOLE, MOVED], ids=["whole", "moved"])
@pytest.mark.parametrize("at", range(1, 9))
def test_a_load_that_arrives_in_the_middle_is_not_mixed_with_the_one_before(tmp_path: Path, at: int, policy: Policy) -> None:
    """A study that the older load still showed in the watch, and the newer no more, leaves with the newer: what was seen before is void."""
    first = edited(study(7), DAYS[1], designModule__enrollmentInfo__count=9)
    then = status(edited(first, DAYS[2]), "TERMINATED")
    world = large(tmp_path, [first], [then, edited(study(12), DAYS[2], designModule__enrollmentInfo__count=8)], [])
    world.advance()
    world.sandbox.inject("advance", at=at)
    outcome = world.poll(OPEN, policy=policy)
    world.sandbox.clear_faults()
    if world.sandbox.load == DAYS[1]:
        world.advance()
    if outcome.poll.load != DAYS[2] or outcome.poll.ended is not Ended.COMPLETE:
        assert world.poll(OPEN, policy=policy).poll.ended is Ended.COMPLETE
    rows = {row.path: row for row in world.log(studies=("NCT00000007",))}
    for path in ("status.overallStatus", "watch.open"):
        assert (rows[path].load, rows[path].date, rows[path].by) == (DAYS[2], DAYS[2], By.SPONSOR)
    assert ("NCT00000012", "design.enrollmentCount", "changed", DAYS[2]) in world.brief()


def test_an_edited_query_is_walked_whole_and_rebased(tmp_path: Path) -> None:
    """Another query under the same name is walked whole, its slices are made anew, and who is outside it leaves without news."""
    world = large(tmp_path, [], [], [status(study(3), "TERMINATED", DAYS[3])])
    world.next(OPEN, policy=MOVED)
    other = Watch("open", query={**OPEN.query, "query.term": ("NOT NCT00000005",)})
    outcome = world.next(other, policy=MOVED)
    assert (outcome.poll.whole, outcome.poll.ended, world.log()) == (True, Ended.COMPLETE, [])
    assert any("its query was edited" in note for note in outcome.notes)
    outcome = world.next(other, policy=MOVED)
    assert not outcome.poll.whole
    assert [row[1] for row in world.brief()] == ["status.overallStatus", "status.lastUpdatePostDate", "watch.open"]


def test_a_new_large_watch_begins_with_a_whole_walk(tmp_path: Path) -> None:
    """A second large watch over studies that are known already is walked whole first, gives no news, and by what moved from then on."""
    world = large(tmp_path, [], [], [edited(study(3), DAYS[3], designModule__enrollmentInfo__count=9)])
    world.next(OPEN, policy=MOVED)
    assert world.poll(ATAXIA, policy=MOVED).poll.whole
    world.advance()
    for watch in (OPEN, ATAXIA):
        assert not world.poll(watch, policy=MOVED).poll.whole
    assert world.log() == []
    world.advance()
    counts = [world.poll(watch, policy=MOVED).poll.changes for watch in (OPEN, ATAXIA)]
    assert counts == [2, 0]


def test_a_watch_that_grows_large_is_walked_whole_once_more(tmp_path: Path) -> None:
    """The poll that finds more members than the setting says is whole, cuts the slices, and the next one goes by what moved."""
    world = large(tmp_path, [], [], [])
    policy = Policy(incremental_above=21)
    more = [
        world.next(OPEN, policy=policy).poll.whole,
        world.next(OPEN, policy=MOVED).poll.whole,
        world.next(OPEN, policy=MOVED).poll.whole,
    ]
    assert more == [True, False, False]


def test_a_query_too_long_to_be_narrowed_is_walked_whole(tmp_path: Path) -> None:
    """Where no condition fits beside a long query, the watch is walked whole on every load instead of never."""
    long = Watch("long", query={"query.cond": ("Ataxia",), "query.term": ("Invented", "x" * 5_900)})
    query.validate(long)
    assert not can_be_narrowed(long)
    world = World(tmp_path, publish([study(number) for number in range(1, 21)], [status(study(7), "TERMINATED", DAYS[1])]))
    world.poll(long, policy=MOVED)
    outcome = world.next(long, policy=MOVED)
    assert (outcome.poll.whole, outcome.poll.changes) == (True, 2)


def test_a_day_of_first_posting_that_is_none_cuts_no_slice(tmp_path: Path) -> None:
    """A study whose day of first posting cannot be read is followed like any other."""
    strange = study(7, statusModule__studyFirstPostDateStruct={"date": "June 2025"})
    world = World(tmp_path, publish([strange, *(study(number) for number in range(10, 30))], [status(strange, "TERMINATED", DAYS[1])]))
    assert world.poll(OPEN, policy=MOVED).poll.ended is Ended.COMPLETE
    assert world.next(OPEN, policy=MOVED).poll.changes == 3


def test_a_slice_that_comes_back_empty_concludes_nothing(tmp_path: Path) -> None:
    """Where a search finds none of a slice's many members, which their numbers still find, nobody leaves; the way out is named."""
    world = large(tmp_path, [], [], count=200)
    empty = b'{"totalCount":0,"studies":[  ]}'
    swept: list[str] = []

    def nothing(path: str, body: bytes) -> bytes:
        asked = world.sandbox.served[-1].query
        is_slice = path == "/studies" and "StudyFirstPostDate" in asked and "MISSING" not in asked
        swept.extend([asked] if is_slice else [])
        return empty if is_slice else body

    world.wire.edit = nothing
    outcome = world.next(OPEN, policy=MOVED)
    assert swept
    assert outcome.poll.ended is Ended.PARTIAL
    assert any("--accept-removals" in note for note in outcome.notes)
    world.wire.edit = None
    assert world.poll(OPEN, policy=MOVED).poll.ended is Ended.COMPLETE
    assert world.log() == []


def test_losses_are_measured_against_what_was_looked_at(tmp_path: Path) -> None:
    """Too large a share of a slice that the registry does not know any more concludes nothing, small as it is in the whole watch."""
    oldest = [f"NCT{number:08d}" for number in range(9, 180, 9)]
    world = large(tmp_path, oldest, [], count=200)
    outcome = world.next(OPEN, policy=Policy(incremental_above=3, sweep_days=30))
    assert len(oldest) < 0.2 * 200
    assert outcome.poll.ended is Ended.PARTIAL
    assert any("do not exist" in note and "--accept-removals" in note for note in outcome.notes)
    with world.writer() as writer:
        assert writer.suspects("open") == set()


def test_a_number_that_cannot_be_read_is_asked_for_again(tmp_path: Path) -> None:
    """Where the list of what moved holds a record without its number, the poll is partial, and the next one at the same load makes up."""
    world = large(tmp_path, [status(study(8), "TERMINATED", DAYS[1])])
    numbered, nameless = b'"nctId":"NCT00000008"', b'"nctId":null'
    world.wire.edit = lambda _, body: body.replace(numbered, nameless) if "fields=" in world.sandbox.served[-1].query else body
    outcome = world.next(OPEN, policy=MOVED)
    assert (outcome.poll.ended, outcome.poll.skipped, outcome.poll.changes) == (Ended.PARTIAL, 1, 0)
    world.wire.edit = None
    assert (world.poll(OPEN, policy=MOVED).poll.changes, world.poll(OPEN, policy=MOVED).poll.ended) == (3, Ended.NOTHING_NEW)


# How the sweep is cut and shared out

DATES = st.dates(date(1999, 9, 20), date(2026, 1, 5))


@given(st.lists(DATES, max_size=200), st.integers(1, 30))
def test_slices_cover_every_day_once(days: list[date], sweep_days: int) -> None:
    """Every day that there is lies in just one slice, what has none in the last; there are enough for a share a day where days differ."""
    slices = plan([day.isoformat() for day in days], sweep_days)
    *dated, undated = slices
    assert (undated.undated, [part.undated for part in dated]) == (True, [False] * len(dated))
    assert [part.place for part in slices] == list(range(len(slices)))
    assert (dated[0].first, dated[-1].last) == (None, None)
    for earlier, later in pairwise(dated):
        assert earlier.last is not None
        assert later.first is not None
        assert date.fromisoformat(later.first) - date.fromisoformat(earlier.last) == timedelta(days=1)
        assert earlier.first is None or earlier.first <= earlier.last
    assert len(dated) <= max(sweep_days, -(-len(days) // SLICE_STUDIES))


def test_slices_are_of_about_equal_size() -> None:
    """Many members are cut into slices of at most SLICE_STUDIES each, as far as days can be cut."""
    days = [(date(2005, 1, 1) + timedelta(days=number // 40)).isoformat() for number in range(60_000)]
    parts = [part for part in plan(days, 7) if not part.undated]
    sizes = [sum((part.first or "") <= day <= (part.last or "9999") for day in days) for part in parts]
    assert (len(parts), sum(sizes)) == (12, 60_000)
    assert max(sizes) <= SLICE_STUDIES + 40


@given(
    st.lists(DATES, max_size=60),
    st.integers(3, 30),
    st.dates(date(2026, 1, 1), date(2026, 12, 31)),
    st.integers(0, 2**16),
    st.sampled_from([0.0, 0.2]),
)
def test_no_slice_waits_longer_than_the_sweep(days: list[date], sweep_days: int, first: date, seed: int, skipped: float) -> None:
    """With a load each weekday no slice waits for more than ``sweep_days``; where loads are left out, no longer than to the next one."""
    slices = plan([day.isoformat() for day in days], sweep_days)
    loads = weekdays(first, 40, skipped, random.Random(seed))  # noqa: S311 - which days have no load
    slices = [Slice(part.place, part.first, part.last, loads[0].isoformat(), part.undated) for part in slices]
    late = max(later.toordinal() - weekdays(earlier, 2)[1].toordinal() for earlier, later in pairwise(loads))
    assert late == 0 or skipped
    for since, load in pairwise(loads):
        now = due(slices, load.isoformat(), since.isoformat(), sweep_days)
        places = {part.place for part in now}
        assert len(places) == len(now)
        for part in slices:
            waited = (load - date.fromisoformat(part.swept or "")).days
            assert waited <= sweep_days + late
        slices = [
            Slice(part.place, part.first, part.last, load.isoformat() if part.place in places else part.swept, part.undated)
            for part in slices
        ]


@given(st.integers(1, 40), st.integers(7, 30))
def test_the_sweep_is_shared_out_evenly(parts: int, sweep_days: int) -> None:
    """A load sweeps about the share of three days at most, a weekend's: never everything at once, as long as loads come on weekdays."""
    loads = weekdays(date(2026, 1, 5), 60)
    slices = [Slice(place, None, None, loads[0].isoformat()) for place in range(parts)]
    for since, load in pairwise(loads):
        places = {part.place for part in due(slices, load.isoformat(), since.isoformat(), sweep_days)}
        assert len(places) <= -(-parts * 3 // sweep_days)
        slices = [Slice(part.place, None, None, load.isoformat() if part.place in places else part.swept) for part in slices]


def test_the_same_seed_makes_the_same_loads() -> None:
    """The generated loads are reproducible, and keep what was measured: posted days are the load's or lie since the one before."""
    made = generate(11)
    assert made == generate(11)
    held: dict[str, str] = {}
    for line in made.lines:
        if line.study is not None:
            posted = line.study["protocolSection"]["statusModule"]["lastUpdatePostDateStruct"]["date"]
            previous = made.loads[made.loads.index(line.load) - 1] if line.load != made.loads[0] else ""
            assert posted == held.get(line.nct_id) or previous == "" or previous < posted <= line.load
            assert previous == "" or date.fromisoformat(posted).weekday() < 5 or posted == held.get(line.nct_id)
            held[line.nct_id] = posted


def test_each_part_of_the_work_is_told_by_its_name(tmp_path: Path) -> None:
    """Whoever watches hears of what moved and of each part of the sweep apart; a whole walk has no parts."""
    studies = [invent(number, first_posted=f"2025-06-{number:02d}") for number in range(1, 25)]
    world = World(tmp_path, publish(studies, [status(studies[6], "SUSPENDED", DAYS[1])]))
    told: list[tuple[int, int | None, str]] = []

    def hear(done: int, total: int | None, part: str = "", /) -> None:
        told.append((done, total, part))

    world.poll(EVERYTHING, policy=MOVED, progress=hear)
    assert {part for _, _, part in told} == {""}
    assert told[-1][0] == told[-1][1]
    told.clear()
    world.next(EVERYTHING, policy=MOVED, progress=hear)
    parts = list(dict.fromkeys(part for _, _, part in told))
    assert parts == ["what moved", *(f"sweep {place} of {len(parts) - 1}" for place in range(1, len(parts)))]
    assert len(parts) > 1
