"""Loads that nobody looked at, clocks that jump, and the gate that lets a load in once."""

from __future__ import annotations

import json
import time
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from following import ATAXIA, DAYS, Wire, World, columns, edited, invent, publish, status
from generated_registry import generate
from structlog.testing import capture_logs

from trialsync.cli.app import now
from trialsync.model import Ended, Watch
from trialsync.registry.sandbox import Sandbox, packaged_loads, read_loads
from trialsync.store.rebuild import would_change
from trialsync.store.verify import verify
from trialsync.study.fingerprint import canonical, without_noise

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from trialsync.model import LoggedChange
    from trialsync.registry.sandbox import LoadLine

EVERYTHING = Watch("everything", everything=True)
ONE, TWO = invent(1), invent(2)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Keep the log's many lines out of the captured output."""
    with capture_logs():
        yield


# Gaps


def every(folder: Path, lines: list[LoadLine], step: int) -> World:
    """Return a world that polled the whole registry on the first load, on every ``step``-th after it, and on the last."""
    world = World(folder, lines, f"every-{step}.db")
    world.poll(EVERYTHING)
    places = {*range(0, len(world.sandbox.loads), step), len(world.sandbox.loads) - 1}
    for place in range(1, len(world.sandbox.loads)):
        world.advance()
        if place in places:
            outcome = world.poll(EVERYTHING, accept_removals=True)
            assert (outcome.poll.ended, outcome.skipped) == (Ended.COMPLETE, ())
    return world


def latest(world: World) -> dict[str, tuple[str, bytes]]:
    """Return each study's latest fingerprint and content."""
    with world.reader() as reader:
        numbers = [row.nct_id for row in reader.studies()]
    with world.writer() as writer:
        known = writer.known(numbers)
        return {number: (known[number].version.fingerprint, canonical(without_noise(writer.study(number)))) for number in numbers}


def net(rows: Iterable[LoggedChange]) -> dict[tuple[str, str], tuple[str, str]]:
    """Return for each path of a study what it held before the first of its changes and after the last, where that differs.

    A field that came whole and whose items then changed is not one path but several: those are compared by their content instead.
    """
    spans: dict[tuple[str, str], list[Any]] = defaultdict(list)
    for row in rows:
        spans[(row.nct_id, row.path)] += [row.before, row.after]
    found = {key: (_text(values[0]), _text(values[-1])) for key, values in spans.items()}
    return {key: (before, after) for key, (before, after) in found.items() if before != after}


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def check_gaps(folder: Path, lines: list[LoadLine], steps: tuple[int, ...]) -> int:
    """Check that gaps end in the same versions, and log the net of what the days log; return how many changes the days have."""
    days = every(folder, lines, 1)
    log = days.log()
    assert verify(days.store) == []
    assert would_change(days.store, "core").differs == 0
    for step in steps:
        gaps = every(folder, lines, step)
        assert verify(gaps.store) == []
        assert latest(gaps) == latest(days)
        with gaps.reader() as reader:
            first = {row.nct_id: reader.versions(row.nct_id)[0].load for row in reader.studies()}
        since = [row for row in log if row.load > first[row.nct_id] or row.field.startswith(("watch.", "registry."))]
        assert net(gaps.log()) == net(since)
        # A removal's rows stand for the load that first missed the study, and are recorded when the next one says so too.
        loads = [row.load for row in gaps.log() if row.field != "registry.presence"]
        assert loads == sorted(loads)
        assert [row for row in gaps.log() if row.date > row.load or (row.not_before or "") >= row.date] == []
    return len(log)


def test_gaps_between_real_loads_lose_nothing(tmp_path: Path, registry_folder: Path) -> None:
    """Real loads walked one by one, every second and every fifth: the same final versions, and each gap's change is the net of its days'.

    All studies that change are there, and one in twelve of the others.
    """
    lines = list(read_loads(registry_folder / "loads.jsonl.xz"))
    times = Counter(line.nct_id for line in lines)
    rest = {number for number in times if times[number] == 1}
    kept = rest.intersection(sorted(rest)[::12]) | (times.keys() - rest) | {line.nct_id for line in lines if line.load != lines[0].load}
    assert check_gaps(tmp_path, [line for line in lines if line.nct_id in kept], (2, 5)) > 500


def test_gaps_between_the_demonstrations_loads_lose_nothing(tmp_path: Path) -> None:
    """So it is with the loads of the package."""
    assert check_gaps(tmp_path, list(packaged_loads()), (2, 5)) > 200


def test_gaps_between_generated_loads_lose_nothing(tmp_path: Path) -> None:
    """And with generated ones, whose studies come, go, merge and are withheld; a date is never before the last load that was polled."""
    assert check_gaps(tmp_path, generate(3, loads=24).lines, (2, 5)) > 300


# Clocks


def jumping(folder: Path, name: str, moments: list[datetime]) -> World:
    """Return a world whose clock stood at these moments when the loads were polled, one after the other."""
    changes = [[status(ONE, word, day), edited(TWO, eligibilityModule={"sex": day})] for word, day in zip(WORDS, DAYS[1:], strict=False)]
    world = World(folder, publish([ONE, TWO], *changes), name)
    for place, moment in enumerate(moments):
        if place:
            world.advance()
        world.clock.moment = moment
        assert world.poll().poll.ended is Ended.COMPLETE
        world.clock.moment = moment + timedelta(hours=1)
        assert world.poll().poll.ended is Ended.NOTHING_NEW
    return world


WORDS = ("SUSPENDED", "RECRUITING", "TERMINATED", "COMPLETED", "WITHDRAWN")
STEADY = [datetime.fromisoformat(f"{day}T14:00:00+00:00") for day in DAYS[:6]]
JUMPS = {
    "back a year": [*STEADY[:2], *(moment - timedelta(days=365) for moment in STEADY[2:])],
    "ahead a year, and right again": [STEADY[0], *(moment + timedelta(days=365) for moment in STEADY[1:3]), *STEADY[3:]],
    "to and fro": [moment + timedelta(days=900 * (-1) ** place) for place, moment in enumerate(STEADY)],
    "before the beginning": [datetime(1970, 1, 1, tzinfo=UTC)] * 6,
    "standing still": [STEADY[0]] * 6,
}


@pytest.mark.parametrize("how", JUMPS)
def test_a_clock_that_jumps_loses_no_load_and_reorders_nothing(tmp_path: Path, how: str) -> None:
    """Whatever the clock says, each load is polled once, ids grow in the order of loads, and every date is the registry's."""
    steady, jumped = jumping(tmp_path, "steady.db", STEADY), jumping(tmp_path, "jumped.db", JUMPS[how])
    assert [columns([row], but=("seen",)) for row in steady.log()] == [columns([row], but=("seen",)) for row in jumped.log()]
    assert [row.load for row in jumped.log()] == sorted(row.load for row in jumped.log())
    assert len(jumped.log()) == 15
    assert jumped.poll().poll.ended is Ended.NOTHING_NEW
    assert verify(jumped.store) == []


@pytest.fixture
def in_new_york(monkeypatch: pytest.MonkeyPatch) -> Iterator[ZoneInfo]:
    """Put the whole process into a zone with daylight saving."""
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    yield ZoneInfo("America/New_York")
    monkeypatch.undo()
    time.tzset()


def test_daylight_saving_moves_no_instant(tmp_path: Path, in_new_york: ZoneInfo) -> None:
    """Over the hour that comes twice in autumn, polls keep their order and their distance: every instant that is kept is UTC."""
    twice = [datetime(2026, 11, 1, 5, 10, tzinfo=UTC), datetime(2026, 11, 1, 6, 15, tzinfo=UTC)]
    assert [moment.astimezone(in_new_york).strftime("%H:%M") for moment in twice] == ["01:10", "01:15"]
    world = jumping(tmp_path, "twice.db", twice)
    with world.reader() as reader:
        polls = sorted(reader.polls(), key=lambda row: row.id)
    instants = [instant for row in polls for instant in (row.started, row.finished or "")]
    assert [instant[:16] for instant in instants[::2]] == ["2026-11-01T05:10", "2026-11-01T06:10", "2026-11-01T06:15", "2026-11-01T07:15"]
    assert all(instant.endswith("Z") for instant in instants)
    assert {row.seen[:16] for row in world.log()} == {"2026-11-01T06:15"}
    assert now().utcoffset() == timedelta(0)


# The load gate


class Gate(Wire):
    """The way to a sandbox whose ``/version`` may say another stamp, under a tag of that stamp; counts what was asked."""

    def __init__(self, world: World) -> None:
        super().__init__(world.sandbox)
        self.stamp: object = ...
        self.asked: list[str] = []
        self.tags: list[str | None] = []
        world.wire = self

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request."""
        path = request.url.path.removeprefix("/api/v2")
        self.asked.append(path)
        if path != "/version":
            return super().handle_request(request)
        self.tags.append(request.headers.get("If-None-Match"))
        if self.stamp is ...:
            return super().handle_request(request)
        tag = f'"{self.stamp}"'
        if self.tags[-1] == tag:
            return httpx.Response(304, headers={"ETag": tag})
        said = {"apiVersion": "2.0.5"} | ({} if self.stamp is None else {"dataTimestamp": self.stamp})
        return httpx.Response(200, headers={"ETag": tag}, json=said)


def changed_once(folder: Path) -> tuple[World, Gate]:
    """Return a world whose second load changes a study, and the gate to it; the first load is polled."""
    world = World(folder, publish([ONE, TWO], [status(ONE, "TERMINATED", DAYS[1])], []))
    gate = Gate(world)
    assert world.poll().poll.ended is Ended.COMPLETE
    return world, gate


def test_the_version_is_asked_with_the_tag_of_the_last_completed_poll(tmp_path: Path) -> None:
    """The first question is bare; the next carries the tag, and 304 is the whole poll: one request, ``nothing-new``, the same load."""
    world, gate = changed_once(tmp_path)
    outcome = world.poll()
    assert (outcome.poll.ended, outcome.poll.requests, outcome.poll.load) == (Ended.NOTHING_NEW, 1, DAYS[0])
    assert gate.tags[0] is None
    assert gate.tags[1] == outcome.poll.etag
    assert outcome.poll.data_timestamp is not None
    assert world.next().poll.changes == 2
    assert gate.tags[2] == gate.tags[1]
    assert world.poll().poll.ended is Ended.NOTHING_NEW
    assert gate.tags[3] not in {None, gate.tags[1]}


def test_a_poll_that_failed_or_asked_something_else_closes_no_gate(tmp_path: Path) -> None:
    """A load stays open after a partial poll, for another query, for another watch, and for ``full``: then no tag is sent."""
    world, gate = changed_once(tmp_path)
    world.advance()
    world.sandbox.inject("unavailable", path="/studies", times=None)
    assert world.poll().poll.ended is Ended.FAILED
    world.sandbox.clear_faults()
    assert world.poll().poll.ended is Ended.COMPLETE
    gate.tags.clear()
    for watch, options in (
        (Watch(ATAXIA.name, query={"query.cond": ("Ataxia", "Gait")}), {}),
        (Watch("other", query=ATAXIA.query), {}),
        (Watch("other", query=ATAXIA.query), {"full": True}),
    ):
        assert world.poll(watch, **options).poll.ended is Ended.COMPLETE
    assert gate.tags == [None, None, None]


def test_a_later_time_of_the_same_day_is_a_new_load(tmp_path: Path) -> None:
    """The whole stamp decides, not its day: the same label an hour later is walked, and what it changed is recorded."""
    world, gate = changed_once(tmp_path)
    world.advance()
    gate.stamp = f"{DAYS[1]}T09:00:04"
    assert world.poll().poll.changes == 2
    assert world.poll().poll.ended is Ended.NOTHING_NEW
    later = status(ONE, "COMPLETED", DAYS[1])
    world.sandbox = Sandbox(publish([ONE, TWO], [later], []))
    world.sandbox.advance()
    gate = Gate(world)
    gate.stamp = f"{DAYS[1]}T15:30:00"
    outcome = world.poll()
    assert (outcome.poll.ended, outcome.poll.load, outcome.poll.changes) == (Ended.COMPLETE, DAYS[1], 1)
    row = world.log()[-1]
    assert (row.before, row.after, row.date, row.load) == ("TERMINATED", "COMPLETED", DAYS[1], DAYS[1])
    assert world.poll().poll.ended is Ended.NOTHING_NEW


@pytest.mark.parametrize("stamp", [f"{DAYS[0]}T09:00:04", f"{DAYS[1]}T08:00:00"])
def test_a_stamp_that_goes_back_records_nothing_and_says_so(tmp_path: Path, stamp: str) -> None:
    """An earlier day, or an earlier time of the same one, ends the poll failed with both stamps in a sentence; a newer load heals it."""
    world, gate = changed_once(tmp_path)
    gate.stamp = f"{DAYS[1]}T09:00:04"
    world.advance()
    world.poll()
    before = world.content()
    gate.stamp = stamp
    outcome = world.poll()
    assert (outcome.poll.ended, outcome.poll.requests) == (Ended.FAILED, 1)
    assert f"from its data of {DAYS[1]}T09:00:04 to {stamp}" in str(outcome.error)
    assert world.content() == before
    gate.stamp = f"{DAYS[2]}T09:00:05"
    assert world.next().poll.ended is Ended.COMPLETE


@pytest.mark.parametrize("stamp", [None, "soon", "2026-13-45T99:00:00", 20260203, "", "2026-02-03T09:00:04+01:00", ["2026-02-03"]])
def test_a_stamp_that_does_not_parse_is_survived(tmp_path: Path, stamp: object) -> None:
    """Without a stamp the studies' own labels say which load it is; the poll is complete, and a load with a good stamp follows as usual."""
    world, gate = changed_once(tmp_path)
    world.advance()
    gate.stamp = stamp
    outcome = world.poll()
    assert (outcome.poll.ended, outcome.poll.load, outcome.poll.changes) == (Ended.COMPLETE, DAYS[1], 2)
    assert world.poll().poll.changes == 0
    assert {row.load for row in world.log()} == {DAYS[1]}
    gate.stamp = ...
    world.advance()
    assert (world.poll().poll.ended, world.poll().poll.ended) == (Ended.COMPLETE, Ended.NOTHING_NEW)


def test_labels_that_go_back_without_a_stamp_record_nothing(tmp_path: Path) -> None:
    """Where ``/version`` says nothing and the studies are of an older load than the last completed one, nothing is recorded."""
    world, gate = changed_once(tmp_path)
    world.advance()
    world.poll()
    before = world.content()
    gate.stamp = None
    world.sandbox.inject("backwards", path="/studies", times=None)
    outcome = world.poll()
    assert outcome.poll.ended is Ended.FAILED
    assert f"from its data of {DAYS[1]} to {DAYS[0]}" in str(outcome.error)
    assert world.content() == before
