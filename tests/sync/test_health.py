"""Health: when a watch is overdue, when the registry is stale, and who writes."""

from __future__ import annotations

import fcntl
import os
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from following import ATAXIA, DAYS, World, edited, invent, publish

from trialsync.settings import Settings, load
from trialsync.store.lock import writing_now
from trialsync.sync.health import FAILURES, Word, advice, health, stale_after

if TYPE_CHECKING:
    from pathlib import Path

    from trialsync.sync.health import Health, WatchHealth

ONE = invent(1)
FRIDAY, MONDAY = "2026-02-06T18:20:00+00:00", "2026-02-09T09:15:00+00:00"
WEEKDAYS = 'schedule = { cron = "15 9-18 * * mon-fri" }'


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Return a registry of seven loads and an empty store."""
    loads = publish([ONE], *([edited(ONE, day, statusModule__whyStopped=day)] for day in DAYS[1:]))
    return World(tmp_path, loads)


def settings_of(world: World, *, watch: str = "", text: str = "", written: datetime | None = None) -> Settings:
    """Return settings of one watch, with more lines in it or beside it, written at an instant."""
    file = world.store.parent / "trialsync.toml"
    file.write_text(f'{text}\n[[watch]]\nname = "ataxia"\nquery.cond = "Ataxia"\n{watch}\n')
    if written is not None:
        os.utime(file, (written.timestamp(), written.timestamp()))
    return load(file, {}, world.store.parent)


def found_at(world: World, settings: Settings, moment: str | datetime) -> Health:
    """Return the health at an instant."""
    with world.reader() as reader:
        return health(reader, settings, datetime.fromisoformat(moment) if isinstance(moment, str) else moment)


def watch_at(world: World, settings: Settings, moment: str | datetime) -> WatchHealth:
    """Return the health of the one watch at an instant."""
    (watch,) = found_at(world, settings, moment).watches
    return watch


def polled_at(world: World, moment: str, *, silent: bool = False) -> None:
    """Poll the watch at an instant; the registry has its loads up to that day by then, unless it is silent."""
    while not silent and world.sandbox.load < min(moment[:10], DAYS[-1]):
        world.sandbox.advance()
    world.clock.moment = datetime.fromisoformat(moment)
    world.poll()


def after(moment: str, **more: int) -> datetime:
    """Return an instant so long after another."""
    return datetime.fromisoformat(moment) + timedelta(**more)


def test_a_stop_is_no_failure(world: World) -> None:
    """A poll that was asked to stop counts as no failure of its watch, whether it had seen something or not; one that failed does."""
    polled_at(world, FRIDAY)
    world.advance()
    world.poll(stop=lambda: True)
    assert [watch_at(world, settings_of(world), MONDAY).failures, len(world.reader().polls())] == [0, 2]
    world.sandbox.inject("unavailable", path="/version", times=99)
    for _ in range(FAILURES):
        world.poll()
    settings = settings_of(world, text='[health]\noverdue_after = "8d"\n')
    found = found_at(world, settings, world.clock.moment)
    assert (found.word, found.watches[0].failures, found.word.exit_code) == (Word.FAILING, FAILURES, 3)


def test_a_copy_that_is_late(world: World) -> None:
    """The nightly copies are late two hours after the hour of a night that has none; a store without any has until its first night."""
    folder = world.store.parent
    settings = settings_of(world, text=f'[backup]\ndir = "{folder}/copies"\nat = "02:30"\n', written=after(FRIDAY))
    polled_at(world, FRIDAY)
    assert found_at(world, settings, FRIDAY).word is Word.OVERDUE
    (folder / "copies").mkdir()
    (folder / "copies" / "trialsync-2026-02-06.db").touch()
    in_time, late = (found_at(world, settings, f"2026-02-07T04:{minute}:00+00:00") for minute in (29, 31))
    assert in_time.word is Word.OK
    assert late.backup is not None
    assert (late.word, late.backup.file, late.backup.overdue_from) == (
        Word.OVERDUE,
        "trialsync-2026-02-06.db",
        "2026-02-07T04:30:00.000Z",
    )
    assert "the last, trialsync-2026-02-06.db, was made at" in " ".join(advice(late))
    (folder / "copies" / "trialsync-2026-02-06.db").unlink()
    made = datetime.now(UTC)
    first = found_at(world, settings, made).backup
    assert first is not None
    assert (first.file, first.made, first.overdue) == (None, None, False)
    assert found_at(world, settings, made + timedelta(hours=27)).word is Word.OVERDUE


@pytest.mark.parametrize(
    ("watch", "text", "ok_until", "overdue_at"),
    [
        ("", "", after(FRIDAY, hours=25), after(FRIDAY, hours=27)),
        ("", '[health]\noverdue_after = "8d"', after(FRIDAY, days=7), after(FRIDAY, days=9)),
        ("", '[health]\noverdue_after = "2h"', after(FRIDAY, hours=1, minutes=55), after(FRIDAY, hours=2, minutes=5)),
        ('schedule = { every = "7d" }', "", after(FRIDAY, days=7), after(FRIDAY, days=7, hours=2)),
        (WEEKDAYS, "", after(MONDAY, minutes=55), after(MONDAY, minutes=65)),
        (WEEKDAYS, '[health]\noverdue_after = "2h"', after(MONDAY, minutes=55), after(MONDAY, minutes=65)),
        ('schedule = { cron = "0 4 * * sat", timezone = "America/New_York" }', "", after(FRIDAY, hours=25), after(FRIDAY, hours=27)),
    ],
)
def test_overdue_is_later_than_both_the_schedule_and_the_setting(
    world: World, watch: str, text: str, ok_until: datetime, overdue_at: datetime
) -> None:
    """A watch is overdue past ``overdue_after`` and an hour past the time of its schedule: weekly, on weekdays alone, or by hour."""
    settings = settings_of(world, watch=watch, text=text)
    polled_at(world, FRIDAY)
    assert not watch_at(world, settings, ok_until).overdue
    assert watch_at(world, settings, overdue_at).overdue
    assert found_at(world, settings, ok_until).word is Word.OK
    assert found_at(world, settings, overdue_at).word is Word.OVERDUE


def test_a_daily_cron_is_never_late_on_weekends(world: World) -> None:
    """One ``sync`` a day is in time through a weekend without loads, whatever ``[schedule]`` says by default."""
    settings = settings_of(world)
    polled_at(world, "2026-02-06T03:00:00+00:00")
    for day in (7, 8, 9):
        moment = f"2026-02-{day:02}T03:00:00+00:00"
        assert not watch_at(world, settings, moment).overdue
        polled_at(world, moment)


def test_a_watch_that_was_never_polled(world: World) -> None:
    """It counts from when the store was made or the settings were written, whichever is later."""
    made = datetime.now(UTC)
    for written in (made - timedelta(days=90), made + timedelta(days=90)):
        settings = settings_of(world, written=written)
        first = max(made, written)
        assert not watch_at(world, settings, first + timedelta(hours=25)).overdue
        late = watch_at(world, settings, first + timedelta(hours=27))
        assert late.overdue
        assert (late.last_success, late.age, late.ended) == (None, None, None)
        assert "no poll has completed yet" in next(advice(found_at(world, settings, first + timedelta(hours=27))))


def test_a_watch_that_only_ever_failed_counts_from_its_first_poll(world: World) -> None:
    """Polls that fail are counted in a row, with what the last one said; the first of them is where being overdue counts from."""
    settings = settings_of(world)
    world.sandbox.inject("forbidden", path="/version", times=None)
    polled_at(world, FRIDAY)
    polled_at(world, after(FRIDAY, hours=12).isoformat())
    watch = watch_at(world, settings, after(FRIDAY, hours=25))
    assert (watch.failures, watch.ended, watch.overdue) == (2, "failed", False)
    assert "turned this client away" in (watch.message or "")
    found = found_at(world, settings, after(FRIDAY, hours=27))
    assert found.word is Word.OVERDUE
    (sentence,) = advice(found)
    assert "the last 2 in a row ended failed: the registry's edge" in sentence
    world.sandbox.clear_faults()
    polled_at(world, after(FRIDAY, hours=28).isoformat())
    well = watch_at(world, settings, after(FRIDAY, hours=28))
    assert (well.failures, well.ended, well.message) == (0, "complete", None)


def test_a_failure_before_it_is_overdue_is_said_and_ok(world: World) -> None:
    """One failed poll is no alarm yet, and is told all the same."""
    settings = settings_of(world)
    polled_at(world, FRIDAY)
    world.sandbox.inject("forbidden", path="/version", times=None)
    polled_at(world, after(FRIDAY, hours=1).isoformat())
    found = found_at(world, settings, after(FRIDAY, hours=2))
    assert found.word is Word.OK
    assert next(advice(found)).startswith("ataxia: polled in vain; the last one ended failed: ")


def test_a_renamed_watch_goes_on(world: World) -> None:
    """Until the next ``sync`` renames it in the store, a watch is judged by what it was."""
    polled_at(world, FRIDAY)
    file = world.store.parent / "trialsync.toml"
    file.write_text('[[watch]]\nname = "new"\nwas = "ataxia"\nquery.cond = "Ataxia"\n')
    watch = watch_at(world, load(file, {}, world.store.parent), after(FRIDAY, hours=1))
    assert (watch.name, watch.ended, watch.members) == ("new", "complete", 1)


@pytest.mark.parametrize(
    ("load", "stale"),
    [
        ("2026-02-02", "2026-02-05T14:00:00+00:00"),  # a Monday's, at Thursday
        ("2026-02-04", "2026-02-09T14:00:00+00:00"),  # a Wednesday's, over the weekend
        ("2026-02-06", "2026-02-11T14:00:00+00:00"),  # a Friday's
        ("2026-02-07", "2026-02-11T14:00:00+00:00"),  # no load has a Saturday's label, and it could
    ],
)
def test_a_load_without_a_successor_is_stale_after_three_weekdays(load: str, stale: str) -> None:
    """The third weekday after the label, at 14:00 UTC, when its load should stand."""
    assert stale_after(load) == datetime.fromisoformat(stale)


def test_what_is_no_day_is_never_stale() -> None:
    """A label that is no day says nothing."""
    assert [stale_after(label) for label in (None, "", "soon", "2026-02-30")] == [None] * 4


def test_the_registry_is_stale_only_where_it_was_asked(world: World) -> None:
    """That nobody asked for a week says nothing of the registry; that it was asked and showed the old load does."""
    settings = settings_of(world, text='[health]\noverdue_after = "30d"')
    polled_at(world, f"{DAYS[0]}T14:00:00+00:00")
    week_later = f"{DAYS[5]}T15:00:00+00:00"
    assert found_at(world, settings, week_later).word is Word.OK
    polled_at(world, week_later, silent=True)
    found = found_at(world, settings, week_later)
    assert (found.word, found.registry_stale, found.load) == (Word.REGISTRY_STALE, True, DAYS[0])
    assert f"still had load {DAYS[0]} when it was asked at 2026-02-09 15:00Z" in next(advice(found))
    world.sandbox.advance()
    polled_at(world, week_later, silent=True)
    assert found_at(world, settings, week_later).word is Word.REGISTRY_STALE, "a load of last Tuesday is no news either"
    for _ in range(4):
        world.sandbox.advance()
    polled_at(world, week_later, silent=True)
    assert found_at(world, settings, week_later).word is Word.OK


def test_overdue_stands_above_stale(world: World) -> None:
    """Where both hold, the word is the one that the operator can do something about."""
    settings = settings_of(world)
    polled_at(world, f"{DAYS[5]}T15:00:00+00:00", silent=True)
    found = found_at(world, settings, f"{DAYS[6]}T23:00:00+00:00")
    assert found.registry_stale
    assert found.word is Word.OVERDUE
    assert [Word.OK.exit_code, Word.OVERDUE.exit_code, Word.REGISTRY_STALE.exit_code, Word.STORE.exit_code] == [0, 3, 4, 6]


def test_a_watch_is_all_that_is_followed(world: World) -> None:
    """A watch that left the settings raises no alarm; the store's own figures are there without any."""
    polled_at(world, FRIDAY)
    file = world.store.parent / "none.toml"
    file.touch()
    found = found_at(world, load(file, {}, world.store.parent), after(FRIDAY, days=300))
    assert (found.word, found.watches, found.studies, found.versions) == (Word.OK, (), 1, 1)
    assert found.bytes >= world.store.stat().st_size


def test_who_writes_is_who_holds_the_lock(world: World) -> None:
    """While a writer is open it is named, with where and since when; before and after, nobody."""
    settings = settings_of(world)
    assert found_at(world, settings, FRIDAY).holder is None
    with world.writer():
        holder = found_at(world, settings, FRIDAY).holder
        assert holder is not None
        assert (holder.pid, holder.command) == (os.getpid(), "trialsync sync")
    assert found_at(world, settings, FRIDAY).holder is None


def test_a_killed_writer_holds_nothing(world: World) -> None:
    """The row that a killed process left names nobody; the next writer is not hindered by who asked."""
    writer = world.writer()
    writer._lock.release()  # what the system does for a process that is killed, its row left as it was
    assert writing_now(world.store) is None
    writer._db.raw.close()
    with world.writer():
        assert writing_now(world.store) is not None


def test_asking_who_writes_hinders_no_writer(world: World) -> None:
    """A writer that comes while somebody looks, for a moment, at the lock gets it."""
    lock = world.store.with_name(f"{world.store.name}.lock")
    looking = os.open(lock, os.O_RDONLY)
    fcntl.flock(looking, fcntl.LOCK_SH)
    timer = threading.Timer(0.002, os.close, [looking])
    timer.start()
    with world.writer() as writer:
        assert not writer.members(ATAXIA.name)
    timer.join()
