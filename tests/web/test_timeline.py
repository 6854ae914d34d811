"""A study through time: what each version said, from the rows alone, and the drawing of it."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pytest
from following import World, edited, invent, publish
from hypothesis import given
from hypothesis import strategies as st

from trialsync.model import Origin, Version, Watch
from trialsync.store.filters import ChangeFilter
from trialsync.store.reader import Reader
from trialsync.study import record
from trialsync.web.pages.timeline import FIELDS, State, drawing, states

if TYPE_CHECKING:
    from pathlib import Path

ALL = Watch("all", everything=True)


def version(number: int, day: str) -> Version:
    """Return a version of a day."""
    return Version("NCT00000001", number, None, day, None, day, day, f"{day}T14:00:00.000Z", Origin.POLL, "")


def state(number: int, day: str, **said: str | int | None) -> State:
    """Return what a version said."""
    found: dict[str, str | int | None] = {"status": "RECRUITING", "enrolment": 40, "primary": "2027-01", "completion": "2027-06", **said}
    return State(version(number, day), enrolment_type=None, changed=frozenset(), **found)  # type: ignore[arg-type]


def test_the_rows_tell_what_each_version_said(tmp_path: Path) -> None:
    """What is read from the rows, backwards from the latest record, is what each version's own record says."""
    one = edited(invent(1), statusModule__completionDateStruct={"date": "2027-01", "type": "ESTIMATED"})
    two = edited(one, "2026-02-03", designModule__enrollmentInfo={"count": 12, "type": "ACTUAL"}, statusModule__overallStatus="COMPLETED")
    three = edited(two, "2026-02-04", statusModule__completionDateStruct=None, statusModule__primaryCompletionDateStruct={"date": "2026"})
    four = edited(three, "2026-02-05", designModule__enrollmentInfo=None, descriptionModule={"briefSummary": "Else"})
    world = World(tmp_path, publish([one], [two], [three], [four]))
    world.poll(ALL)
    for _ in range(3):
        world.next(ALL)
    with Reader.open(world.store) as reader:
        rows = list(reader.changes(ChangeFilter(studies=("NCT00000001",), fields=FIELDS)))
        versions = reader.versions("NCT00000001")
        known = states(versions, rows, reader.study("NCT00000001"))
        assert len(known) == 4
        for each in known:
            own = reader.study("NCT00000001", version=each.version.number)
            assert each.status == record.overall_status(own)
            assert (each.enrolment, each.enrolment_type) == (record.enrollment(own), record.enrollment_type(own))
            assert (each.primary, each.completion) == (record.primary_completion_date(own), record.completion_date(own))
    assert [sorted(each.changed) for each in known][3] == ["design.enrollmentCount", "design.enrollmentType"]


def test_one_version_is_no_drawing() -> None:
    """Where there is nothing between two days there is nothing to draw."""
    assert drawing([], "2026-02-03") is None
    assert drawing([state(1, "2026-02-03")], "2026-05-01") is None
    assert drawing([state(1, "2026-02-03"), state(2, "2026-02-03")], "2026-02-03") is None
    assert drawing([state(1, "2026-02-03"), state(2, "soon")], "2026-05-01") is None


def test_the_bands_lie_side_by_side() -> None:
    """The bands of status begin and end where the drawing does, in the order of the versions, one for each run of a status."""
    known = [
        state(1, "2024-01-01", status="NOT_YET_RECRUITING"),
        state(2, "2024-06-01"),
        state(3, "2024-09-01", enrolment=60),
        state(4, "2025-06-01", status="TERMINATED", completion="2025-05"),
    ]
    found = drawing(known, "2026-01-01")
    assert found is not None
    assert [band.kind for band in found.bands] == ["coming", "open", "stopped"]
    assert found.bands[0].x == found.left
    for one, other in zip(found.bands, found.bands[1:], strict=False):
        assert one.x + one.width == pytest.approx(other.x, abs=0.2)
    assert found.bands[-1].x + found.bands[-1].width == pytest.approx(found.right, abs=0.2)
    assert [panel.title for panel in found.panels] == ["Enrolment", "Completion"]
    assert found.describes == (
        "4 versions from 2024-01-01 to 2025-06-01. Status: not yet recruiting, then recruiting, then terminated. "
        "Completion date: from 2027-06 to 2025-05."
    )
    assert [text.text for text in found.ticks][:2] == ["2024-04", "2024-07"]


DATES = st.one_of(st.none(), st.sampled_from(["2026", "2026-13", "2026-02-30", "soon", "", "2999-12-31"]), st.dates().map(str))
STATES = st.lists(
    st.tuples(
        st.dates(min_value=date(1999, 1, 1), max_value=date(2100, 1, 1)),
        st.one_of(st.none(), st.sampled_from(["RECRUITING", "COMPLETED", "<b>"])),
        st.one_of(st.none(), st.integers(0, 10**12)),
        DATES,
        DATES,
    ),
    max_size=12,
)


@given(STATES)
def test_whatever_was_said_can_be_drawn(said: list[tuple[object, str | None, int | None, str | None, str | None]]) -> None:
    """No states, however odd, make a fault, or a drawing that leaves its frame."""
    ordered = sorted(said, key=lambda each: str(each[0]))
    known = [
        state(number, str(day), status=status, enrolment=count, primary=primary, completion=completion)
        for number, (day, status, count, primary, completion) in enumerate(ordered, 1)
    ]
    found = drawing(known, "2026-05-01")
    if found is None:
        return
    assert all(found.left <= band.x <= found.right + 0.1 and band.width > 0 for band in found.bands)
    for panel in found.panels:
        for line in panel.lines:
            assert all(panel.top <= y <= panel.bottom + 0.1 and found.left <= x <= found.right + 0.1 for x, y in line.dots)
    assert all(found.left <= tick.x <= found.right + 0.1 for tick in found.ticks)
