"""Whatever goes wrong with an answer, on a real socket: the poll ends in a sentence, invents nothing, and the next one makes up for it.

The matrix is printed by ``pytest -s tests/sync/test_faults.py``, or without the tests by ``python tests/sync/test_faults.py``.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections import Counter
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

import pytest
from following import ATAXIA, DAYS, Clock, World, columns, edited, invent, number_of, publish, site, status
from structlog.testing import capture_logs

from trialsync.model import Ended, Watch
from trialsync.registry.client import Registry
from trialsync.registry.sandbox import Fault, Sandbox, serve
from trialsync.registry.sandbox.faults import strike
from trialsync.store.filters import ChangeFilter
from trialsync.store.reader import Reader
from trialsync.store.writer import Writer
from trialsync.sync.poll import Policy, poll

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trialsync.model import LoggedChange, Study
    from trialsync.registry.sandbox import LoadLine
    from trialsync.sync.poll import Outcome

SECONDS: Final = 0.15
"""So long the client waits for a sign of life; a silent or slow answer lasts twice as long."""

BYTES: Final = 4 << 20
"""So much an answer may hold; a bomb holds twice as much."""

SLOW: Final = {"seconds": 2 * SECONDS}
FAULTS: Final[dict[str, tuple[Fault, dict[str, Any]]]] = {
    **{fault.value: (fault, {}) for fault in Fault if fault not in {Fault.SLOW, Fault.SILENT, Fault.GZIP_BOMB}},
    "too-many, retry-after": (Fault.TOO_MANY, {"retry_after": "7"}),
    "unavailable, retry-after date": (Fault.UNAVAILABLE, {"retry_after": "Tue, 03 Feb 2026 15:00:00 GMT"}),
    "slow": (Fault.SLOW, SLOW),
    "silent": (Fault.SILENT, SLOW),
    "gzip-bomb": (Fault.GZIP_BOMB, {"size": 2 * BYTES}),
}


class Setting:
    """A watch, how it is walked, and loads: the first is the baseline, the second brings changes, two more bring none."""

    def __init__(self, name: str, watch: Watch, policy: Policy, lines: list[LoadLine], folder: Path) -> None:
        self.name, self.watch, self.policy, self.lines, self.folder = name, watch, policy, lines, folder
        world = World(folder, lines, f"{name}-baseline.db")
        self.baseline = world.store
        assert world.poll(watch, policy=policy).poll.ended is Ended.COMPLETE
        shutil.copy(world.store, folder / f"{name}.db")
        world.store = folder / f"{name}.db"
        world.sandbox.served.clear()
        assert world.next(watch, policy=policy).poll.ended is Ended.COMPLETE
        self.requests = [(served.path.removeprefix("/api/v2"), served.query) for served in world.sandbox.served]
        self.undisturbed = self.everything(world.store)
        for _ in range(2):
            world.next(watch, policy=policy)
        self.in_the_end = said(world.store)
        self.kept = ExitStack()
        self._open: tuple[Sandbox, Registry] | None = None

    @contextmanager
    def registry(self) -> Iterator[tuple[Sandbox, Registry]]:
        """Yield a sandbox at the second load and a client of it; both are kept from one fault to the next, as long as no load passes."""
        if self._open is None:
            sandbox = Sandbox(self.lines)
            sandbox.advance()
            self._open = sandbox, self.kept.enter_context(registry_of(sandbox))
        yield self._open
        if self._open[0].load != DAYS[1]:
            self.close()

    def close(self) -> None:
        """End the sandbox and the client."""
        self.kept.close()
        self._open = None

    def ask(self, registry: Registry, store: Path) -> Outcome:
        """Poll the watch into a store."""
        clock = Clock()
        clock.at(DAYS[1])
        with Writer.open(store, now=clock, command="trialsync sync") as writer:
            return poll(self.watch, registry=registry, writer=writer, now=clock, policy=self.policy)

    def everything(self, store: Path) -> dict[str, Any]:
        """Return all that a store says of studies and of who is in the watch, but for ids and when it was seen."""
        with Reader.open(store) as reader:
            studies = sorted((row.nct_id, row.presence.value) for row in reader.studies())
        with Writer.open(store, now=Clock(), command="a look") as writer:
            known = writer.known(nct_id for nct_id, _ in studies).values()
            suspects = sorted((each.nct_id, each.version.fingerprint, each.missing_since or "") for each in known)
            members = (sorted(writer.members(self.watch.name)), sorted(writer.left(self.watch.name)))
        return {"log": log(store), "studies": studies, "suspects": suspects, "members": members}

    def places(self, fault: Fault) -> dict[str, int]:
        """Return the first, a middle and the last of an undisturbed poll's requests that a fault is about, as the sandbox counts them."""
        pattern, paged = strike(fault).path, fault is Fault.DATA_CHANGED
        fitting = sum(fnmatchcase(path, pattern) and (not paged or "pageToken" in parse_qs(query)) for path, query in self.requests)
        places = {"first": 1, "middle": (fitting + 1) // 2, "last": fitting}
        return {name: at for name, at in places.items() if at and (name == "first" or at > 1) and not (name == "middle" and at == fitting)}


def log(store: Path) -> list[dict[str, Any]]:
    """Return the change log, but for ids and when it was seen."""
    with Reader.open(store) as reader:
        found: list[dict[str, Any]] = columns(reader.changes(ChangeFilter()), but=("id", "seen"))
        return found


def said(store: Path) -> Counter[tuple[str, ...]]:
    """Return what the log says happened, whichever load showed it."""

    def key(row: LoggedChange) -> tuple[str, ...]:
        return (row.nct_id, row.path, row.kind.value, repr(row.before), repr(row.after), str(row.by), str(row.posted))

    with Reader.open(store) as reader:
        return Counter(map(key, reader.changes(ChangeFilter())))


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of the matrix: a fault at a request, once or for as long as the poll lasts, and what came of it."""

    walk: str
    fault: str
    place: str
    ended: Ended | None
    requests: int
    sentence: str
    invented: int
    equal: bool
    afterwards: tuple[Ended | None, ...]

    def __str__(self) -> str:
        """Return it as a row of the table."""
        equal = "yes" if self.equal and not self.invented else "NO"
        return (
            f"{self.walk:<6} {self.fault:<30} {self.place:<16} {self.ended or '':<12} {self.requests:>8}  {equal:<5} {self.sentence[:78]}"
        )


HEADING: Final = f"{'walk':<6} {'fault':<30} {'request':<16} {'ended':<12} {'requests':>8}  equal what it said"


@contextmanager
def registry_of(sandbox: Sandbox) -> Iterator[Registry]:
    """Yield a client of a sandbox that answers on a port; it never waits, and loses patience soon."""
    clock = Clock()
    clock.at(DAYS[1])
    with (
        serve(sandbox) as server,
        Registry(
            server.api_url,
            requests_per_second=1_000_000,
            contact=None,
            transport=None,
            now=clock,
            sleep=lambda _: None,
            monotonic=lambda: 0.0,
            attempts=3,
            timeout=SECONDS,
            answer_bytes=BYTES,
        ) as registry,
    ):
        yield registry


def strike_at(setting: Setting, name: str, place: str, *, lasting: bool) -> Cell:
    """Poll the second load through a socket with a fault at a place, then again without it; return what came of it."""
    store = setting.folder / "disturbed.db"
    shutil.copy(setting.baseline, store)
    fault, options = FAULTS[name]
    with setting.registry() as (sandbox, registry):
        sandbox.inject(fault, at=setting.places(fault)[place], times=None if lasting else 1, **options)
        outcome = setting.ask(registry, store)
        sandbox.clear_faults()
        invented = (_rows(log(store)) - _rows(setting.undisturbed["log"])).total()
        afterwards = [setting.ask(registry, store).poll.ended]
        while sandbox.load != DAYS[1] and sandbox.advance():
            afterwards.append(setting.ask(registry, store).poll.ended)
        overtaken = sandbox.load != DAYS[1]
    if overtaken:
        # What is new was shown by a later load than in the undisturbed polls, so the rows' own loads and dates differ.
        equal, invented = said(store) == setting.in_the_end, (said(store) - setting.in_the_end).total()
    else:
        equal = setting.everything(store) == setting.undisturbed
    sentence = str(outcome.error or "; ".join((*outcome.skipped, *outcome.notes)))
    where = f"{place}{', lasting' if lasting else ''}"
    return Cell(setting.name, name, where, outcome.poll.ended, outcome.poll.requests, sentence, invented, equal, tuple(afterwards))


def _rows(log: list[dict[str, Any]]) -> Counter[str]:
    return Counter(map(repr, log))


# The two ways of walking


HARMLESS: Final = {"bad-timestamp", "no-timestamp", "restarted-list"}
"""Faults that leave an answer with all that is needed, however long they last."""

ON_SOME_ANSWERS: Final = {"data-changed", "repeated-token", "page-shift", "wrong-type"}
"""Faults that pass some answers by: lists of one page, or what is no list."""


def small(number: int, **leaves: Any) -> Study:
    """Return a study without sites, for a registry of many."""
    return edited(invent(number, contactsLocationsModule={}, outcomesModule={}, first_posted="2025-03-03"), **leaves)


def whole(folder: Path) -> Setting:
    """Return a watch of 1,060 studies, walked whole in two pages, with updates, newcomers, one that leaves and one that is removed."""
    studies = {number: small(number) for number in range(1, 1061)}
    changed: list[Study | str] = [status(studies[number], "COMPLETED", DAYS[1]) for number in range(50, 1060, 100)]
    changed += [edited(studies[number], eligibilityModule={"sex": "ALL"}) for number in range(10, 1060, 200)]
    changed += [edited(small(number, conditionsModule={"conditions": ["Ataxia"]}), DAYS[1]) for number in (2000, 2001)]
    changed += [edited(studies[7], DAYS[1], conditionsModule={"conditions": ["Migraine"]}), number_of(studies[8])]
    return Setting("whole", ATAXIA, Policy("none"), publish(studies.values(), changed, [], []), folder)


def moved(folder: Path) -> Setting:
    """Return a watch of 60 studies, walked by what moved and swept with each load, with the same kinds of changes."""
    watch = Watch("moved", query={"query.cond": ("Ataxia",), "filter.overallStatus": ("RECRUITING",)})
    studies = {number: small(number) for number in range(1, 61)}
    studies[61] = status(small(61), "SUSPENDED")
    changed: list[Study | str] = [status(studies[number], "TERMINATED", DAYS[1]) for number in (5, 25)]
    changed += [edited(studies[number], DAYS[1], designModule__enrollmentInfo__count=7) for number in (15, 35)]
    changed += [edited(studies[12], eligibilityModule={"sex": "ALL"}), status(studies[13], "UNKNOWN"), number_of(studies[8])]
    changed += [status(studies[61], "RECRUITING", DAYS[1]), small(70, statusModule__studyFirstPostDateStruct={"date": DAYS[1]})]
    changed[-1] = edited(changed[-1], DAYS[1]) if isinstance(changed[-1], dict) else changed[-1]
    return Setting("moved", watch, Policy("none", incremental_above=20, sweep_days=1), publish(studies.values(), changed, [], []), folder)


CASES: Final = [
    *(("whole", name, False) for name in FAULTS),
    *(("moved", name, False) for name in FAULTS),
    *(("moved", name, True) for name in FAULTS if name != "advance"),
]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Setting]]:
    """Yield both settings, polled undisturbed."""
    folder = tmp_path_factory.mktemp("faults")
    with capture_logs():
        found = {"whole": whole(folder), "moved": moved(folder)}
    yield found
    for setting in found.values():
        setting.close()


@pytest.fixture(scope="module")
def matrix() -> Iterator[list[Cell]]:
    """Collect the cells, and print them in the end."""
    cells: list[Cell] = []
    yield cells
    print(f"\n{HEADING}", *cells, sep="\n")  # noqa: T201 - the matrix is there to be read


@pytest.mark.parametrize(("walk", "name", "lasting"), CASES, ids=lambda value: "lasting" if value is True else str(value or "once"))
def test_a_fault_is_made_up_for(settings: dict[str, Setting], matrix: list[Cell], walk: str, name: str, *, lasting: bool) -> None:
    """A fault at the first, a middle or the last request invents nothing, is named where it cost something, and is made up for."""
    for place in settings[walk].places(FAULTS[name][0]):
        with capture_logs():
            cell = strike_at(settings[walk], name, place, lasting=lasting)
        matrix.append(cell)
        assert cell.invented == 0, cell
        assert cell.equal, cell
        assert cell.ended in expected(cell, lasting=lasting), cell
        if cell.ended in {Ended.PARTIAL, Ended.FAILED}:
            assert cell.sentence, cell
            assert cell.afterwards[0] is Ended.COMPLETE, cell


def expected(cell: Cell, *, lasting: bool) -> set[Ended]:  # noqa: PLR0911 - a table of rules
    """Return how a poll may end after a fault."""
    cut_off = {Ended.PARTIAL, Ended.FAILED}
    if cell.fault == "backwards":
        return {Ended.NOTHING_NEW} if cell.place.startswith("first") else {Ended.COMPLETE, *cut_off}
    if cell.fault in HARMLESS:
        return {Ended.COMPLETE}
    if cell.fault == "uri-too-long":
        return cut_off
    if cell.fault == "record-without-id":
        # An answer without any study, as a part of a large watch may get, has no record to spoil.
        spared = "last" in cell.place or (cell.walk == "moved" and "middle" in cell.place)
        return {Ended.PARTIAL, Ended.COMPLETE} if spared else {Ended.PARTIAL}
    if cell.fault == "advance":
        # A load that arrives while studies are looked up leaves what is concluded to the next poll.
        return {Ended.COMPLETE, Ended.PARTIAL}
    if not lasting:
        return {Ended.COMPLETE}
    if cell.fault == "short-page" and cell.place.startswith("last"):
        # The last request asks for one study by its number, which is no list.
        return {Ended.COMPLETE, *cut_off}
    return {Ended.COMPLETE, *cut_off} if cell.fault in ON_SOME_ANSWERS else cut_off


# Loads that bring what nobody announced


def test_an_unknown_field_is_kept_and_said_once(tmp_path: Path) -> None:
    """A leaf that the vocabulary lacks is recorded under its own name, with its later changes; that it is there is said once."""
    strange = edited(small(1), designModule__novelty={"grade": "A"})
    later = edited(strange, DAYS[2], designModule__novelty={"grade": "B"})
    world = World(tmp_path, publish([small(1), small(2)], [strange], [later, edited(small(2), designModule__novelty={"grade": "A"})]))
    world.poll()
    notes = [world.next().notes, world.next().notes]
    assert [len([note for note in each if "does not know" in note]) for each in notes] == [1, 0]
    assert "protocolSection.designModule.novelty.grade" in notes[0][0]
    rows = [(row.load, row.nct_id, row.before, row.after) for row in world.log() if row.path == "design.noveltyGrade"]
    assert sorted(rows) == [
        (DAYS[1], "NCT00000001", None, "A"),
        (DAYS[2], "NCT00000001", "A", "B"),
        (DAYS[2], "NCT00000002", None, "A"),
    ]


def test_a_new_value_of_a_known_field_is_a_change_like_any_other(tmp_path: Path) -> None:
    """A status that the registry invents is recorded and followed, word for word."""
    world = World(tmp_path, publish([small(1)], [status(small(1), "PAUSED", DAYS[1])], [status(small(1), "RECRUITING", DAYS[2])]))
    world.poll()
    assert [world.next().poll.ended, world.next().poll.ended] == [Ended.COMPLETE] * 2
    rows = [(row.before, row.after) for row in world.log() if row.path == "status.overallStatus"]
    assert rows == [("RECRUITING", "PAUSED"), ("PAUSED", "RECRUITING")]


@pytest.mark.parametrize("rest", [0, 11, 12, 40])
def test_a_field_that_vanishes_everywhere_is_one_notice(tmp_path: Path, rest: int) -> None:
    """Where more than half of those that had a field lose it by the registry, that is said once; every row is recorded."""
    before = [edited(small(number), descriptionModule={"briefSummary": "S"}) for number in range(1, 13 + rest)]
    without = [small(number) for number in range(100, 130)]
    world = World(tmp_path, publish([*before, *without], [small(number) for number in range(1, 13)], []))
    world.poll()
    outcome = world.next()
    notices = [note for note in outcome.notes if "took fields away" in note]
    assert len(notices) == (1 if rest < 12 else 0)
    assert all("description.briefSummary" in note and "12 in load" in note for note in notices)
    assert len([row for row in world.log() if row.path == "description.briefSummary"]) == 12
    assert world.next().notes == ()


def test_an_attribute_that_vanishes_everywhere_is_one_notice(tmp_path: Path) -> None:
    """So it is with an attribute of every item of a list, however many rows it gives."""
    sites = [
        [site(f"Clinic {letter}", "Lyon", "France", **({"zip": "69000"} if zipped else {})) for letter in "ABC"] for zipped in (True, False)
    ]
    with_zip, without = ([edited(small(number), contactsLocationsModule={"locations": each}) for number in range(1, 16)] for each in sites)
    world = World(tmp_path, publish(with_zip, without))
    world.poll()
    outcome = world.next()
    assert [note for note in outcome.notes if "took fields away" in note and "15 in load" in note and ": locations.zip;" in note]
    assert outcome.poll.changes == 45


def test_what_sponsors_take_away_has_not_vanished(tmp_path: Path) -> None:
    """Removals that came with sponsors' own updates are no notice, however many."""
    before = [edited(small(number), descriptionModule={"briefSummary": "S"}) for number in range(1, 16)]
    world = World(tmp_path, publish(before, [edited(small(number), DAYS[1]) for number in range(1, 16)]))
    world.poll()
    outcome = world.next()
    assert (outcome.poll.changes, [note for note in outcome.notes if "took" in note]) == (30, [])


def main() -> None:
    """Print the matrix."""
    with tempfile.TemporaryDirectory() as name, capture_logs():
        settings = {"whole": whole(Path(name)), "moved": moved(Path(name))}
        sys.stdout.write(f"{HEADING}\n")
        for walk, fault, lasting in CASES:
            for place in settings[walk].places(FAULTS[fault][0]):
                sys.stdout.write(f"{strike_at(settings[walk], fault, place, lasting=lasting)}\n")
        for setting in settings.values():
            setting.close()


if __name__ == "__main__":
    main()
