"""Notices: what the registry itself changes in many studies in one load is one event beside its rows."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from following import ATAXIA, DAYS, World, edited, invent, publish

from trialsync.model import Kind, Watch
from trialsync.store.verify import verify

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trialsync.model import Notice, Study

HEADING = "derived.conditionBrowse.meshes"


def headed(study: Study, term: str, number: str = "D001259") -> Study:
    """Return a copy of a study that the registry put under a heading."""
    new = copy.deepcopy(study)
    new["derivedSection"]["conditionBrowseModule"] = {"meshes": [{"id": number, "term": term}]}
    return new


def many(count: int, change: Callable[[Study], Study], changed: int | None = None) -> list[list[Any]]:
    """Return two loads: so many studies under one heading, and then the first of them changed."""
    first = [headed(invent(number), "Ataxia") for number in range(1, count + 1)]
    return [first, [change(study) for study in first[: count if changed is None else changed]]]


def renamed(study: Study) -> Study:
    """Return a study whose heading the registry named anew."""
    return headed(study, "Cerebellar Ataxia")


def notices(world: World) -> list[Notice]:
    """Return the notices that a world's store has."""
    with world.reader() as reader:
        return reader.notices()


def test_a_heading_that_is_renamed_everywhere_is_one_notice(tmp_path: Path) -> None:
    """When the registry renames a heading, each study has its row, and the load one notice, which the poll says once."""
    world = World(tmp_path, publish(*many(30, renamed)))
    world.poll()
    assert notices(world) == []
    outcome = world.next()
    assert len(world.log()) == 30
    (notice,) = notices(world)
    assert (notice.load, notice.field, notice.kind, notice.studies, notice.followed) == (DAYS[1], HEADING, Kind.CHANGED, 30, 30)
    assert notice.seen == outcome.poll.finished
    assert notice.text == f"load {DAYS[1]}: the registry itself changed {HEADING} (term) in 30 of 30 followed studies"
    assert outcome.notes == (f"{notice.text}; each has its row",)
    assert world.poll(full=True).notes == ()
    assert notices(world) == [notice]
    assert verify(world.store) == []


@pytest.mark.parametrize(("count", "noticed"), [(9, 0), (10, 1)])
def test_ten_at_least(tmp_path: Path, count: int, noticed: int) -> None:
    """However few studies are followed, nine are no notice; ten are."""
    world = World(tmp_path, publish(*many(count, renamed)))
    world.poll()
    world.next()
    assert len(notices(world)) == noticed
    assert len(world.log()) == count


def test_more_than_one_in_a_hundred(tmp_path: Path) -> None:
    """Of a thousand followed studies ten are no notice, and eleven are."""
    first, second = many(1000, renamed, 10)
    world = World(tmp_path, publish(first, second, [headed(study, "Gait Ataxia") for study in first[:11]]))
    world.poll()
    world.next()
    assert notices(world) == []
    world.next()
    assert [(notice.load, notice.studies, notice.followed) for notice in notices(world)] == [(DAYS[2], 11, 1000)]


def test_what_sponsors_change_is_no_notice(tmp_path: Path) -> None:
    """A field that many sponsors change on one day is no notice."""
    world = World(tmp_path, publish(*many(20, lambda study: edited(study, DAYS[1], statusModule__overallStatus="COMPLETED"))))
    world.poll()
    world.next()
    assert len(world.log()) == 40
    assert notices(world) == []


def test_kinds_and_fields_are_told_apart(tmp_path: Path) -> None:
    """One field changed and another added in the same load are two notices."""

    def both(study: Study) -> Study:
        new = renamed(study)
        new["derivedSection"]["interventionBrowseModule"] = {"meshes": [{"id": "D1", "term": "Walking"}]}
        return new

    world = World(tmp_path, publish(*many(12, both)))
    world.poll()
    world.next()
    assert [(notice.field, notice.kind, notice.studies) for notice in notices(world)] == [
        (HEADING, Kind.CHANGED, 12),
        ("derived.interventionBrowse.meshes", Kind.ADDED, 12),
    ]


def test_several_watches_count_no_study_twice(tmp_path: Path) -> None:
    """Watches that share studies add to one notice: each study counts once, and the sentence is said when it becomes one."""
    world = World(tmp_path, publish(*many(30, renamed)))
    some = Watch("some", nct_ids=tuple(f"NCT{number:08d}" for number in range(1, 16)))
    world.poll(some)
    world.poll(ATAXIA)
    world.advance()
    (said,) = world.poll(some).notes
    assert "in 15 of 30 followed studies" in said
    (first,) = notices(world)
    assert world.poll(ATAXIA).notes == ()
    (second,) = notices(world)
    assert (second.id, second.seen, second.studies) == (first.id, first.seen, 30)
    assert "in 30 of 30" in second.text
    assert world.poll(some, full=True).notes == ()
    assert notices(world) == [second]


def test_a_poll_that_ends_early_notices_what_it_saw(tmp_path: Path) -> None:
    """A poll whose second page fails tells of the first; the poll after it brings the count up to date."""
    world = World(tmp_path, publish(*many(1003, renamed)))
    world.poll()
    world.advance()
    pages: list[str] = []

    def broken(path: str, body: bytes) -> bytes:
        pages.append(path)
        if path == "/studies" and pages.count("/studies") > 1:
            raise httpx.ConnectError("no way there")
        return body

    world.wire.edit = broken
    outcome = world.poll()
    assert outcome.error is not None
    (notice,) = notices(world)
    assert 10 <= notice.studies < 1003
    world.wire.edit = None
    assert world.poll().error is None
    (whole,) = notices(world)
    assert (whole.id, whole.studies) == (notice.id, 1003)


def test_notices_by_load(tmp_path: Path) -> None:
    """Notices are asked for by their loads, or from a day on."""
    first, second = many(12, renamed)
    world = World(tmp_path, publish(first, second, [headed(study, "Gait Ataxia") for study in first]))
    world.poll()
    world.next()
    world.next()
    with world.reader() as reader:
        assert [notice.load for notice in reader.notices()] == [DAYS[1], DAYS[2]]
        assert [notice.load for notice in reader.notices([DAYS[1], "2030-01-01"])] == [DAYS[1]]
        assert [notice.load for notice in reader.notices(since=DAYS[2])] == [DAYS[2]]
        assert reader.notices([]) == []
