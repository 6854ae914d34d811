"""Bulk downloads beside polls: older ones, ones that lack studies, ones that go away while they are read; and what polls make of them."""

from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING

import pytest
from following import DAYS, World, columns, invent, number_of, publish, status

from trialsync.errors import FileError
from trialsync.model import Ended, Origin, Watch
from trialsync.study.nct_set import NctSet
from trialsync.sync.arrivals import Arrival, Joining, Receiver
from trialsync.sync.bulk import LARGEST, PAGE_STUDIES, Whole, load_bulk
from trialsync.sync.poll import Policy
from trialsync.sync.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from trialsync.model import Progress, Study
    from trialsync.sync.poll import Outcome

EVERYTHING = Watch("everything", everything=True)
MOVED = Policy(incremental_above=0)
ONE, TWO, THREE = (invent(number, first_posted=f"2025-0{number}-03") for number in (1, 2, 3))
FOUR = invent(4, posted=DAYS[2], first_posted=DAYS[2])
N1, N2, N3, N4 = map(number_of, (ONE, TWO, THREE, FOUR))
APART = ("id", "seen", "origin")


def archive(path: Path, studies: Iterable[Study], load: str) -> Path:
    """Write studies as the registry's bulk download of a load."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for study in studies:
            labelled = study | {"derivedSection": {"miscInfoModule": {"versionHolder": load}}}
            packed.writestr(f"{number_of(study)[-2:]}/{number_of(study)}.json", json.dumps(labelled, separators=(",", ":")))
    return path


def listed(world: World, path: Path) -> Path:
    """Write the bulk download that the registry has now."""
    return archive(path, world.sandbox.studies().values(), world.sandbox.load)


def download(world: World, path: Path, progress: Progress | None = None) -> Outcome:
    """Import a bulk download as all of everything."""
    with world.writer() as writer:
        return load_bulk(path, writer=writer, now=world.clock, whole=Whole(EVERYTHING), progress=progress)


def test_an_older_download_says_nothing_of_who_is_there(tmp_path: Path) -> None:
    """A download from before the last poll brings nobody back into the watch, and the next poll goes on from the poll before."""
    loads = publish([ONE, TWO], [N2, THREE], [], [FOUR], [status(ONE, "COMPLETED", DAYS[4])])
    polled, mixed = World(tmp_path, loads, "polled.db"), World(tmp_path, loads, "mixed.db")
    first = listed(mixed, tmp_path / "first.zip")
    for place in range(5):
        for world in (polled, mixed):
            (world.next if place else world.poll)(EVERYTHING)
        if place in {2, 3}:
            assert download(mixed, first).poll.watch is None
    assert columns(mixed.log(baseline=True), but=APART) == columns(polled.log(baseline=True), but=APART)


def test_members_that_a_download_lacks_are_looked_for_at_once(tmp_path: Path) -> None:
    """A download without some of the watch's studies says nothing of them: what changed in them, or took them away, the next poll finds."""
    registry = [invent(number, first_posted=f"2025-06-{number:02d}") for number in range(1, 25)]
    changed, gone = status(registry[6], "SUSPENDED"), number_of(registry[17])
    world = World(tmp_path, publish(registry, [changed], [gone], [], []))
    world.poll(EVERYTHING, policy=MOVED)
    world.advance(2)
    outcome = download(world, archive(tmp_path / "some.zip", registry[:3], DAYS[2]))
    assert outcome.poll.watch == "everything"
    after = world.next(EVERYTHING, policy=MOVED)
    assert not after.poll.whole
    (row,) = world.log(fields=("status.overallStatus",))
    assert (row.nct_id, row.not_before, row.load) == (number_of(changed), DAYS[0], DAYS[3])
    assert f"{gone} is not found any more; it counts as removed when the next load says so too" in after.notes
    world.next(EVERYTHING, policy=MOVED)
    (removed,) = world.log(fields=("registry.presence",))
    assert (removed.nct_id, removed.after, removed.not_before) == (gone, "removed", DAYS[0])


def test_what_the_first_download_lacked_is_no_news(tmp_path: Path) -> None:
    """Where the watch of everything begins with a zip of some studies alone, the first poll walks everything, and reports none of it."""
    for policy, name in ((MOVED, "moved.db"), (Policy(), "whole.db")):
        world = World(tmp_path, publish([ONE, TWO, THREE], [status(THREE, "COMPLETED", DAYS[1])], [FOUR]), name)
        assert download(world, archive(tmp_path / "some.zip", [ONE, TWO], DAYS[0])).poll.watch == "everything"
        after = world.next(EVERYTHING, policy=policy)
        assert after.poll.whole
        assert "everything: the import lacked 2 of its studies; they join it without a row" in after.notes
        assert world.log() == []
        world.next(EVERYTHING, policy=policy)
        assert {(number, path) for number, path, *_ in world.brief()} >= {(N4, "watch.everything")}


def test_who_was_posted_since_a_download_is_news_and_who_it_lacked_is_not(tmp_path: Path) -> None:
    """Of the studies that join after an import those first posted since are told, one or two that it lacked are not, however it goes on."""
    registry = [invent(number, first_posted=f"2025-0{1 + number // 28}-{1 + number % 28:02d}") for number in range(1, 150)]
    newer = invent(900, posted=DAYS[1], first_posted=DAYS[1])
    latest = invent(901, posted=DAYS[6], first_posted=DAYS[6])
    lacked = number_of(registry[70])
    for policy, name in ((MOVED, "moved.db"), (Policy(), "whole.db")):
        world = World(tmp_path, publish(registry, [newer], [], [], [], [], [latest]), name)
        held = [study for study in world.sandbox.studies().values() if number_of(study) != lacked]
        assert download(world, archive(tmp_path / "all.zip", held, DAYS[0])).poll.watch == "everything"
        outcomes = [world.next(EVERYTHING, policy=policy) for _ in range(6)]
        assert [outcome.poll.whole for outcome in outcomes] == [policy is not MOVED] * 6
        assert world.log(studies=(lacked,)) == []
        with world.writer() as writer:
            assert lacked in writer.members("everything")
        told = {(row.nct_id, row.path) for row in world.log() if row.field in {"watch.everything", "registry.presence"}}
        assert told == {(number_of(each), path) for each in (newer, latest) for path in ("watch.everything", "registry.presence")}


def test_a_second_part_is_no_news_either(tmp_path: Path) -> None:
    """Two zips that each hold a part begin the watch together; what the second has beside the first is not told as joining it."""
    world = World(tmp_path, publish([ONE, TWO, THREE], []))
    assert download(world, archive(tmp_path / "one.zip", [ONE], DAYS[0])).poll.watch == "everything"
    assert download(world, archive(tmp_path / "two.zip", [TWO, THREE], DAYS[0])).poll.watch == "everything"
    world.next(EVERYTHING, policy=MOVED)
    assert world.log() == []


def test_a_download_that_is_interrupted_is_accounted_for(tmp_path: Path) -> None:
    """An import that is stopped by hand is partial, one that is killed failed; both say how many studies they brought."""
    studies = [invent(number) for number in range(1, 5 * PAGE_STUDIES + 2)]
    for end in (KeyboardInterrupt, SystemExit):
        world, stopped = World(tmp_path, publish([]), f"{end.__name__}.db"), end is KeyboardInterrupt

        def interrupt(_done: int, _all: int | None, _part: str = "", /, end: type[BaseException] = end) -> None:
            raise end

        with pytest.raises(end):
            download(world, archive(tmp_path / "all.zip", studies, DAYS[0]), interrupt)
        again = download(world, archive(tmp_path / "all.zip", studies, DAYS[0]))
        with world.reader() as reader:
            last, first = reader.polls()
        assert (first.ended, first.finished is not None) == ((Ended.PARTIAL, True) if stopped else (Ended.FAILED, False))
        assert (first.studies, first.new, first.updated) == (PAGE_STUDIES, PAGE_STUDIES, 0)
        assert (last.new, last.unchanged) == (again.poll.new, PAGE_STUDIES)
        assert first.new + last.new == len(studies)


class Unwalked(NctSet):
    """A set of numbers that nobody may walk through: of the whole registry that takes as long as recording a page."""

    __slots__ = ()

    def __iter__(self) -> Iterator[str]:
        raise AssertionError("somebody went through all studies that were seen")


def test_a_page_costs_the_same_however_many_came_before_it(tmp_path: Path) -> None:
    """Recording a page, first or seen before, goes through its own studies and never through all that were seen or are in the watch."""
    world = World(tmp_path, publish([]))
    with world.writer() as writer:
        writer.save_watch(EVERYTHING, "{}")
        tally = Tally(seen=Unwalked(), counted=Unwalked())
        joining = Joining("everything", Unwalked(), announced=True, previous_load=DAYS[0], not_before=DAYS[0])
        receiver = Receiver(writer, Origin.IMPORT, "2026-02-02T14:00:00.000Z", "core", tally, joining)
        for numbers in (range(1, 9), range(5, 12)):
            receiver.page(Arrival(study, json.dumps(study).encode(), DAYS[0]) for study in map(invent, numbers))
    assert (tally.studies, tally.new) == (11, 11)
    assert len(joining.members) == 11


def test_a_download_that_goes_away_keeps_what_was_read(tmp_path: Path) -> None:
    """Where the zip is removed, or cut, while it is read, the import ends with a sentence and what it has; done again, it has all."""
    studies = [invent(number) for number in range(1, 5 * PAGE_STUDIES + 2)]
    for fault, words in (("removed", "cannot be read on: No such file"), ("cut", "is a zip with a damaged directory")):
        world = World(tmp_path, publish([]), f"{fault}.db")
        path = archive(tmp_path / f"{fault}.zip", studies, DAYS[0])
        whole = path.read_bytes()

        def harm(_done: int, _all: int | None, _part: str = "", /, fault: str = fault, path: Path = path, whole: bytes = whole) -> None:
            if fault == "removed":
                path.unlink(missing_ok=True)
            else:
                path.write_bytes(whole[: len(whole) // 2])

        outcome = download(world, path, harm)
        assert isinstance(outcome.error, FileError)
        assert words in str(outcome.error)
        assert (outcome.poll.ended, outcome.poll.watch) == (Ended.PARTIAL, None)
        assert 0 < outcome.poll.new < len(studies)
        if fault == "cut":
            break
        path.write_bytes(whole)
        again = download(world, path)
        assert (again.poll.ended, again.poll.watch) == (Ended.COMPLETE, "everything")
        assert again.poll.new == len(studies) - outcome.poll.new
        assert world.log() == []


def test_an_entry_larger_than_any_study_is_left_out(tmp_path: Path) -> None:
    """A file of the zip that would be of tens of millions of bytes is skipped and named without being unpacked; the others are recorded."""
    path = archive(tmp_path / "a.zip", [ONE], DAYS[0])
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("02/NCT00000002.json", bytes(LARGEST + 1))
    outcome = download(World(tmp_path, publish([])), path)
    assert (outcome.poll.new, outcome.poll.watch) == (1, None)
    assert [sentence.rpartition("json: ")[2] for sentence in outcome.skipped] == [
        "would have 67,108,865 bytes unpacked, and no study has that many"
    ]


def test_another_zip_in_its_place_is_told(tmp_path: Path) -> None:
    """Where a zip of other files took the download's place since it was looked at, the import ends with a sentence."""
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("readme", "Nothing of a study")
    outcome = download(World(tmp_path, publish([])), path)
    assert "'readme' is no file of a download" in str(outcome.error)
    assert outcome.poll.ended is Ended.FAILED
