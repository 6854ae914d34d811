"""What the daemon decides, by values alone."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trialsync.daemon.decisions import (
    LONGEST_COPY_PAUSE,
    LONGEST_PAUSE,
    copy_pause_after,
    first_due,
    is_said,
    pause_after,
)
from trialsync.settings import Backup, Schedule
from trialsync.sync.nightly import copies, copy_missing, copy_name, leftovers, night, to_prune

NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
DAYS = st.dates(date(2000, 1, 1), date(2999, 12, 31))
FAILURES = st.integers(1, 10_000)


def test_the_pauses_of_an_hourly_watch() -> None:
    """A watch that fails is asked again after a minute, two, four and so on, and each hour in the end."""
    assert [pause_after(failures, timedelta(hours=1)) for failures in range(1, 9)] == [60, 120, 240, 480, 960, 1920, 3600, 3600]
    assert [pause_after(failures, None) for failures in (1, 2)] == [60, 120]
    assert [pause_after(failures, timedelta(seconds=2)) for failures in (1, 2, 3)] == [2, 4, 8]


@given(FAILURES, st.one_of(st.none(), st.timedeltas(timedelta(seconds=1), timedelta(days=999_999))))
def test_a_pause_grows_to_its_cap(failures: int, every: timedelta | None) -> None:
    """No pause is shorter than the one before it, and none is longer than an hour: a watch that fails is never given up."""
    assert 0 < pause_after(failures, every) <= pause_after(failures + 1, every) <= LONGEST_PAUSE


@given(FAILURES)
def test_the_pauses_of_a_copy(failures: int) -> None:
    """A copy that fails is tried again after ten minutes, twenty and so on, and never later than after four hours."""
    assert [copy_pause_after(one) for one in (1, 2, 3)] == [600, 1200, 2400]
    assert copy_pause_after(failures) <= copy_pause_after(failures + 1) <= LONGEST_COPY_PAUSE


@given(FAILURES)
def test_powers_of_five_are_said(failures: int) -> None:
    """The first failure, the fifth, and from there on each power of five is said, and no other."""
    assert is_said(failures) == (failures in {5**power for power in range(7)})


@given(st.timedeltas(timedelta(seconds=1), timedelta(days=40)), st.timedeltas(timedelta(days=-50), timedelta(days=50)))
def test_a_missed_schedule_is_made_up_once(every: timedelta, ago: timedelta) -> None:
    """A watch is due at once where its time has passed or nothing is known of it, and else when its schedule wants; never before now."""
    schedule = Schedule(every=every)
    due = first_due(schedule, NOW - ago, NOW)
    assert due == (NOW if not timedelta(0) <= ago < every else NOW - ago + every)
    assert first_due(schedule, None, NOW) == NOW


def test_a_missed_cron_line() -> None:
    """A cron line whose time came since the last poll is made up; one whose time did not come is waited for."""
    schedule = Schedule(cron="30 9 * * mon-fri", timezone="America/New_York")
    tuesday = datetime(2026, 3, 3, 20, 0, tzinfo=UTC)
    assert first_due(schedule, tuesday, NOW) == datetime(2026, 3, 4, 14, 30, tzinfo=UTC)
    assert first_due(schedule, tuesday, NOW + timedelta(hours=3)) == NOW + timedelta(hours=3)


@given(st.lists(DAYS, max_size=12, unique=True), st.integers(1, 9), st.lists(st.text(max_size=30)))
def test_pruning_keeps_the_newest(days: list[date], keep: int, others: list[str]) -> None:
    """Pruning leaves the newest copies, takes no other file, and has nothing left to do when it was done."""
    made = [copy_name("trialsync", day) for day in days]
    names = [*others, *made]
    gone = to_prune(names, "trialsync", keep)
    assert set(gone) <= set(made)
    left = [name for name in names if name not in gone]
    assert sorted(name for name in left if name in made) == sorted(made)[-keep:]
    assert to_prune(left, "trialsync", keep) == []


@pytest.mark.parametrize(
    "name",
    [
        "trialsync.db",
        "trialsync-2026-02-30.db",
        "trialsync-2026-02-03.db.bak",
        "trialsync-2026-02-03.db-wal",
        "trialsync-mine.db",
        "my-trialsync-2026-02-03.db",
        "other-2026-02-03.db",
        "trialsync-٢٠٢٦-02-03.db",
        "trialsync-2026-02-03.db\n",
    ],
)
def test_nothing_else_is_taken_for_a_copy(name: str) -> None:
    """A file that only looks like a copy is neither counted nor removed."""
    assert copies([name], "trialsync") == []
    assert leftovers([name], "trialsync") == []


def test_beginnings_of_copies_are_known() -> None:
    """What a copy that was broken off left is known by the name that the copy itself would have had."""
    left = ["trialsync-2026-02-03.db.partial-1", "trialsync-2026-02-03.db.partial-2-journal"]
    assert leftovers([*left, "trialsync-2026-13-03.db.partial-1", "x.partial-1"], "trialsync") == left


@given(st.datetimes(datetime(2001, 1, 1), datetime(2099, 1, 1), timezones=st.just(UTC)), st.times(), st.lists(DAYS, max_size=5))  # noqa: DTZ001 - hypothesis adds the zone
def test_a_night_is_copied_once(now: datetime, at: time, days: list[date]) -> None:
    """The night belongs to today from its hour on; with its copy there is none missing until the next one's hour."""
    table = Backup.model_validate({"dir": "copies", "at": at}, context={"folder": Path("/"), "home": None})
    day = night(now, table)
    assert now.date() - day in {timedelta(0), timedelta(days=1)}
    names = [copy_name("t", each) for each in days]
    assert copy_missing(names, "t", day) == all(each < day for each in days)
    assert not copy_missing([*names, copy_name("t", day)], "t", day)
    assert night(now + timedelta(days=1), table) == day + timedelta(days=1)
