"""What the log claims of time: since when a change held, and what was known before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from following import DAYS, World, as_lines, columns, edited, invent, publish, status, withheld

from trialsync.model import Watch
from trialsync.registry import files
from trialsync.store.verify import verify
from trialsync.sync.poll import Policy

if TYPE_CHECKING:
    from pathlib import Path

    from trialsync.model import LoggedChange

ONE, TWO = invent(1), invent(2)
N1, N2 = "NCT00000001", "NCT00000002"


def status_row(world: World, nct_id: str = N1) -> LoggedChange:
    """Return the one row that says that a study's status changed."""
    (row,) = [row for row in world.log() if row.path == "status.overallStatus" and row.nct_id == nct_id]
    return row


def bring(world: World, folder: Path, *texts: bytes) -> None:
    """Import files with these texts, in this order."""
    paths = [folder / f"{place}.jsonl" for place in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_bytes(text)
    world.bring(files.read(paths))


def test_a_load_that_did_not_show_a_member_confirms_nothing_of_it(tmp_path: Path) -> None:
    """A study that is not found on one load and back, changed, on the next is known to have been as it was on the load before both."""
    world = World(tmp_path, publish([ONE, TWO], [N1], [status(ONE, "COMPLETED", DAYS[1])]))
    world.poll()
    world.next()
    world.next()
    row = status_row(world)
    assert (row.date, row.not_before, row.load) == (DAYS[1], DAYS[0], DAYS[2])
    assert verify(world.store) == []


def test_a_bad_dated_line_ends_what_its_file_vouches_for(tmp_path: Path) -> None:
    """After a line that can't be used, no study of the file counts as unchanged until a line shows it again."""
    lines = as_lines(publish([ONE, TWO], [], [], [status(ONE, "COMPLETED", DAYS[2])]))
    first, *rest = lines.splitlines(keepends=True)
    broken = b'{"load":"%s","nctId":"NCT00000001","study":5}\n' % DAYS[1].encode()
    after = [line for line in rest if DAYS[1].encode() not in line]
    world = World(tmp_path, publish([]))
    text = b"".join([first, *[line for line in after if DAYS[0].encode() in line[:30]], broken])
    bring(world, tmp_path, text + b"".join(line for line in after if DAYS[0].encode() not in line[:30]))
    row = status_row(world)
    assert (row.date, row.not_before) == (DAYS[2], DAYS[0])


def test_one_file_vouches_for_nothing_in_another(tmp_path: Path) -> None:
    """A study that stands in a file of early loads is not confirmed by another file's later loads."""
    world = World(tmp_path, publish([]))
    early = as_lines(line for line in publish([ONE]) if line.nct_id == N1)
    late = as_lines(line for line in publish([], [], [], [TWO]) if line.nct_id == N2)
    bring(world, tmp_path, early, late)
    changed = as_lines(line for line in publish([], [status(ONE, "COMPLETED", DAYS[1])]) if line.nct_id == N1)
    (tmp_path / "more").mkdir()
    bring(world, tmp_path / "more", changed)
    row = status_row(world)
    assert (row.date, row.not_before, row.load) == (DAYS[1], DAYS[0], DAYS[1])


def test_a_study_withheld_removed_and_open_again_says_only_what_changed(tmp_path: Path) -> None:
    """Coming back as it was before it was withheld, a study changes nothing but its presence and its posted date."""
    back = edited(ONE, DAYS[5])
    world = World(tmp_path, publish([ONE, TWO], [withheld(ONE, DAYS[1])], [N1], [], [], [back]))
    watch = Watch("mine", nct_ids=(N1, N2))
    world.poll(watch)
    for _ in range(5):
        world.next(watch)
    fields = [(row.path, row.before, row.after) for row in world.log() if row.field.startswith("status.") and row.nct_id == N1]
    assert fields == [("status.lastUpdatePostDate", "2026-01-12", DAYS[5])]
    told = [(row.before, row.after) for row in world.log() if row.field == "registry.presence"]
    assert told == [("listed", "withheld"), ("withheld", "removed"), ("removed", "listed")]
    assert verify(world.store) == []


def test_a_study_that_comes_back_was_gone_until_then(tmp_path: Path) -> None:
    """The row that lists a removed study again does not claim to reach back to when it was still there."""
    world = World(tmp_path, publish([]))
    text = as_lines(publish([ONE, TWO], [N1], [], [ONE]))
    bring(world, tmp_path, text)
    rows = [row for row in world.log() if row.field == "registry.presence"]
    assert [(row.after, row.not_before) for row in rows] == [("removed", DAYS[0]), ("listed", DAYS[1])]


def test_a_survivor_that_is_merged_itself_merges_its_aliases_once(tmp_path: Path) -> None:
    """When B, which took A's number, becomes C's alias, A's presence does not change: it was merged before."""
    three = invent(3)
    second = edited(TWO, DAYS[1], identificationModule__nctIdAliases=[N1])
    third = edited(three, DAYS[3], identificationModule__nctIdAliases=[N1, N2])
    world = World(tmp_path, publish([ONE, TWO, three], [N1, second], [], [N2, third], []))
    world.poll()
    for _ in range(4):
        world.next()
    rows = [(row.nct_id, row.before, row.after) for row in world.log() if row.field == "registry.presence"]
    assert rows == [(N1, "listed", "merged"), (N2, "listed", "merged")]


def test_a_merge_is_one_where_the_alias_came_first(tmp_path: Path) -> None:
    """In dated lines, a number that vanished after another study had taken it as an alias was merged, not removed."""
    world = World(tmp_path, publish([]))
    second = edited(TWO, DAYS[1], identificationModule__nctIdAliases=[N1])
    bring(world, tmp_path, as_lines(publish([ONE, TWO], [second], [N1])))
    rows = [(row.nct_id, row.after) for row in world.log() if row.field == "registry.presence"]
    assert rows == [(N1, "merged")]


def test_a_number_taken_from_the_list_leaves_the_watch(tmp_path: Path) -> None:
    """A study that the list of a watch does not name any more leaves it without a row, and is asked for no more."""
    world = World(tmp_path, publish([ONE, TWO], [], [], [status(TWO, "COMPLETED", DAYS[3])]))
    world.poll(Watch("mine", nct_ids=(N1, N2)))
    outcome = world.next(Watch("mine", nct_ids=(N1,)))
    assert any("does not name any more" in note for note in outcome.notes)
    world.next(Watch("mine", nct_ids=(N1,)))
    world.next(Watch("mine", nct_ids=(N1,)))
    assert world.log() == []
    with world.reader() as reader:
        (row,) = reader.watches()
        assert row.members == 1


OPEN = Watch("open", query={"query.cond": ("Ataxia",), "filter.overallStatus": ("RECRUITING",)})
LARGE = Policy(incremental_above=3, sweep_days=7)


def test_a_withheld_record_that_is_updated_leaves_a_sound_store(tmp_path: Path) -> None:
    """The proof of the log knows that withheld versions are compared with each other, and an open one with the last open one."""
    world = World(tmp_path, publish([ONE], [withheld(ONE, DAYS[1])], [withheld(ONE, DAYS[2])], [edited(ONE, DAYS[3])]))
    watch = Watch("mine", nct_ids=(N1,))
    world.poll(watch)
    for _ in range(3):
        world.next(watch)
    assert verify(world.store) == []


def test_a_study_of_another_first_day_stays_in_its_large_watch(tmp_path: Path) -> None:
    """A day of first posting that the registry corrects moves a study to another part of the sweep; it never left the watch."""
    studies = [invent(number, first_posted=f"2025-{number:02d}-03") for number in range(1, 9)]
    moved = edited(studies[0], statusModule__studyFirstPostDateStruct={"date": "2025-11-03"})
    world = World(tmp_path, publish(studies, [moved], *([] for _ in range(len(DAYS) - 2))))
    quick = Policy(incremental_above=3, sweep_days=3)
    world.poll(OPEN, policy=quick)
    for _ in range(len(DAYS) - 1):
        world.next(OPEN, policy=quick)
    assert [row.path for row in world.log()] == ["status.studyFirstPostDate", "status.studyFirstPostDateType"]


@pytest.mark.parametrize("at", range(1, 9))
def test_a_stale_answer_makes_nobody_leave_a_large_watch(tmp_path: Path, at: int) -> None:
    """One answer of a server left behind, whichever it is, costs at most a poll: the log is that of an undisturbed one."""
    studies = [invent(number, first_posted=f"2025-{number:02d}-03") for number in range(1, 13)]
    news = [
        edited(studies[6], DAYS[2], designModule__enrollmentInfo__count=7),
        status(studies[4], "TERMINATED", DAYS[2]),
        invent(30, posted=DAYS[2], first_posted=DAYS[2]),
    ]
    logs = []
    for name, disturbed in (("calm", False), ("stale", True)):
        world = World(tmp_path, publish(studies, [], news, [], []), f"{name}.db")
        world.poll(OPEN, policy=LARGE)
        world.next(OPEN, policy=LARGE)
        world.advance()
        if disturbed:
            world.sandbox.inject("backwards", at=at, times=1)
        world.poll(OPEN, policy=LARGE)
        world.sandbox.clear_faults()
        world.poll(OPEN, policy=LARGE)
        for _ in range(2):
            world.next(OPEN, policy=LARGE)
        logs.append([(row.nct_id, row.path, row.kind, row.before, row.after) for row in world.log()])
    assert sorted(logs[0], key=repr) == sorted(logs[1], key=repr)


def test_watches_say_the_same_in_any_order(tmp_path: Path) -> None:
    """Who made a study join, and when, does not depend on which watch was polled first."""
    found = []
    for name, order in (("one", (0, 1)), ("other", (1, 0))):
        watches = (OPEN, Watch("all", everything=True))
        joining = status(edited(TWO, DAYS[1]), "RECRUITING")
        world = World(
            tmp_path, publish([ONE, status(TWO, "SUSPENDED")], [joining, invent(7, posted=DAYS[1], first_posted=DAYS[1])]), f"{name}.db"
        )
        for place in order:
            world.poll(watches[place])
        world.advance()
        for place in order:
            world.poll(watches[place])
        found.append(columns(world.log(), but=("id", "seen")))
    assert found[0] == found[1]
