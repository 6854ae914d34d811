"""The daemon's parts, each by itself: the agenda, the timetable, the notify socket, the alarms, the copies and the heartbeat."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pytest
import structlog
from by_hand import Hand, settings_of
from supervisor import NotifySocket, wait_for

from trialsync.daemon.agenda import Agenda
from trialsync.daemon.alarms import Alarms
from trialsync.daemon.copies import make_copy
from trialsync.daemon.heartbeat import send_heartbeat
from trialsync.daemon.notify import Notifier, watchdog_seconds
from trialsync.daemon.supervision import Supervision
from trialsync.daemon.timetable import Timetable
from trialsync.daemon.worker import Clock
from trialsync.errors import FileError
from trialsync.settings import Secret
from trialsync.store import schema
from trialsync.store.reader import Reader
from trialsync.sync.health import health
from trialsync.sync.nightly import is_wanted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)


# The agenda


def test_what_is_due_twice_is_done_once() -> None:
    """The longest due comes first; a name that falls due again before it was taken is taken once."""
    clock = Hand()
    agenda = Agenda(clock)
    agenda.add("one")
    clock.at += 1
    agenda.add("two")
    agenda.add("one")
    assert agenda.take() == "one"
    assert agenda.take() == "two"
    agenda.close()
    assert agenda.take() is None


def test_a_name_that_is_held_back_waits() -> None:
    """What was postponed is due at its time and no earlier, whatever its schedule says meanwhile; released, it is due at once."""
    clock = Hand()
    agenda = Agenda(clock)
    agenda.postpone("one", 60)
    agenda.add("one")
    agenda.add("two")
    assert agenda.waits() == {"one": 60, "two": 0}
    assert agenda.take() == "two"
    clock.at += 60
    assert agenda.take() == "one"
    agenda.postpone("one", 60)
    agenda.release("one")
    assert agenda.take() == "one"
    agenda.postpone("one", 60)
    agenda.drop("one")
    assert agenda.waits() == {}


def test_closing_wakes_who_waits() -> None:
    """A worker that waits for work is let go when the agenda is closed."""
    agenda = Agenda(Hand())
    waiting = threading.Thread(target=agenda.take)
    waiting.start()
    agenda.close()
    waiting.join(30)
    assert not waiting.is_alive()


# The timetable


def test_the_timetable_follows_the_settings(tmp_path: Path) -> None:
    """What was missed is due at once and its schedule goes on from now; what is unchanged keeps its time; what is gone is gone."""
    due: list[str] = []
    timetable = Timetable(due.append, now=lambda: datetime.now(UTC), monotonic=Hand())
    watches = '[[watch]]\nname = "one"\nquery.cond = "x"\n[[watch]]\nname = "two"\nquery.cond = "y"\nschedule = { cron = "0 4 * * *" }\n'
    timetable.start()
    try:
        last = datetime.now(UTC) - timedelta(minutes=20)
        timetable.set(settings_of(tmp_path, watches), {"one": last})
        assert due == ["two"]
        before = timetable.next()
        assert before["one"] == last + timedelta(hours=1)
        assert (before["two"].hour, before["two"].minute) == (4, 0)
        timetable.set(settings_of(tmp_path, watches + '[[watch]]\nname = "three"\nquery.cond = "z"\n'), {})
        assert due == ["two", "three"]
        assert timetable.next() | before == timetable.next()
        timetable.set(settings_of(tmp_path, '[backup]\ndir = "."\n'), {})
        assert timetable.next() == {}
        timetable.set(settings_of(tmp_path, ""), {})
    finally:
        timetable.stop()
    assert due == ["two", "three"]


def test_a_schedule_fires(tmp_path: Path) -> None:
    """A watch falls due each time that its schedule says, without a poll in between."""
    due: list[str] = []
    timetable = Timetable(due.append, now=lambda: datetime.now(UTC), monotonic=Hand())
    timetable.start()
    try:
        text = '[schedule]\nevery = "1s"\njitter = "0s"\n[[watch]]\nname = "one"\nquery.cond = "x"\n'
        timetable.set(settings_of(tmp_path, text), {})
        wait_for(lambda: len(due) >= 3, "two times after the first")
    finally:
        timetable.stop()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('every = "30m"\njitter = "30m"', 'schedule.jitter: must be less than every; it is "30m"'),
        ('jitter = "0"', "schedule.jitter: must be a whole number above 0 and a unit"),
    ],
)
def test_a_jitter_that_can_not_be(tmp_path: Path, text: str, said: str) -> None:
    """A jitter is shorter than the schedule's own length, and a duration."""
    with pytest.raises(Exception, match="jitter") as caught:
        settings_of(tmp_path, f"[schedule]\n{text}\n")
    assert said in str(caught.value)


def test_a_jitter_by_default(tmp_path: Path) -> None:
    """Without one, a jitter is a minute, or a tenth of a schedule that is short."""
    found = [settings_of(tmp_path, f"[schedule]\n{text}\n").schedule.jitter for text in ("", 'every = "1m"', 'cron = "0 4 * * *"')]
    assert found == [timedelta(minutes=1), timedelta(seconds=6), timedelta(minutes=1)]


# The manager


@pytest.mark.parametrize("abstract", [False, True])
def test_the_manager_hears(tmp_path: Path, abstract: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """Each message arrives whole, by a path or by an abstract name; what would break a line is made visible."""
    with NotifySocket(tmp_path, abstract=abstract) as manager:
        notifier = Notifier.of({"NOTIFY_SOCKET": manager.address})
        notifier.ready("all\nREADY=0")
        notifier.reloading(1.5)
        notifier.alive()
        notifier.stopping("going")
        wait_for(lambda: len(manager.messages) == 4, "four messages")
    assert manager.messages[0] == {"READY": "1", "STATUS": "all READY=0"}
    assert manager.messages[1] == {"RELOADING": "1", "MONOTONIC_USEC": "1500000"}
    assert manager.messages[2] == {"WATCHDOG": "1"}
    assert manager.messages[3] == {"STOPPING": "1", "STATUS": "going"}


def test_no_manager_is_no_error(tmp_path: Path) -> None:
    """Without a manager, or with one that is gone, telling it does nothing."""
    Notifier.of({}).ready("up")
    Notifier(str(tmp_path / "nobody")).ready("up")


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "3000000"}, 3.0),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "7"}, 3.0),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_is_read_from_the_environment(environ: dict[str, str], seconds: float | None) -> None:
    """The watchdog's time is that of the environment, if it is meant for this process."""
    assert watchdog_seconds(environ, 7) == seconds


def test_a_scheduler_that_hangs_is_not_fed(tmp_path: Path) -> None:
    """Where the scheduler has not ticked for a while the watchdog gets nothing, though the store answers."""
    schema.create(tmp_path / "trialsync.db")
    clock = Hand()
    time = Clock(lambda: NOW + timedelta(seconds=clock.at), clock)
    timetable = Timetable(lambda _: None, now=time.now, monotonic=clock)
    settings = settings_of(tmp_path, "")
    with NotifySocket(tmp_path) as manager, structlog.testing.capture_logs() as logged:
        supervision = Supervision(
            lambda: settings,
            timetable,
            Alarms(),
            Notifier(manager.address),
            working=lambda: None,
            watchdog=6.0,
            clock=time,
        )
        supervision.beat()
        clock.at += 60
        supervision.beat()
        supervision.beat()
        wait_for(lambda: manager.messages, "food for the watchdog")
    assert manager.count("WATCHDOG") == 1
    assert [(each["event"], each["error"]) for each in logged] == [("watchdog.withheld", "the scheduler has not ticked for 60 seconds")]


# The alarms


def test_each_alarm_is_said_when_it_begins_and_when_it_ends(tmp_path: Path) -> None:
    """An alarm that goes on is not said again; the two know nothing of each other."""
    schema.create(tmp_path / "trialsync.db")
    settings = settings_of(tmp_path, '[[watch]]\nname = "one"\nquery.cond = "x"\n')
    with Reader.open(tmp_path / "trialsync.db") as reader:
        calm = health(reader, settings, datetime.now(UTC))
        late = health(reader, settings, datetime.now(UTC) + timedelta(days=4))
    stale = replace(calm, registry_stale=True, load="2026-03-02")
    alarms = Alarms()
    with structlog.testing.capture_logs() as logged:
        for found in (calm, late, late, stale, stale, calm, calm):
            alarms.update(found)
    assert [(each["event"], each["alarm"]) for each in logged] == [
        ("alarm.raised", "overdue"),
        ("alarm.cleared", "overdue"),
        ("alarm.raised", "registry-stale"),
        ("alarm.cleared", "registry-stale"),
    ]
    assert logged[0]["watches"] == ["one"]


# The copies


def test_copies_are_made_once_and_pruned(tmp_path: Path) -> None:
    """A night is copied once; the oldest copies go, what was broken off goes, what is not ours stays."""
    schema.create(tmp_path / "trialsync.db")
    (tmp_path / "copies").mkdir()
    for name in ("trialsync-2026-02-01.db.partial-1", "trialsync-mine.db", "note.txt"):
        (tmp_path / "copies" / name).write_text("x")
    settings = settings_of(tmp_path, '[backup]\ndir = "copies"\nkeep = 2\n')
    assert is_wanted(settings, None, NOW)
    for days in (0, 0, 1, 2):
        make_copy(settings, NOW + timedelta(days=days))
    assert not is_wanted(settings, None, NOW + timedelta(days=2))
    left = sorted(each.name for each in (tmp_path / "copies").iterdir())
    assert left == ["note.txt", "trialsync-2026-03-05.db", "trialsync-2026-03-06.db", "trialsync-mine.db"]


def test_a_copy_that_can_not_be_made(tmp_path: Path) -> None:
    """Without its folder a copy fails with a sentence, and is still wanted; where the folder comes back it is made."""
    schema.create(tmp_path / "trialsync.db")
    settings = settings_of(tmp_path, '[backup]\ndir = "nowhere"\n')
    assert is_wanted(settings, None, NOW)
    with pytest.raises(FileError, match="has to be there"):
        make_copy(settings, NOW)
    (tmp_path / "nowhere").mkdir()
    make_copy(settings, NOW)
    assert not is_wanted(settings, None, NOW)


def test_a_store_that_was_made_after_the_night_needs_no_copy_of_it(tmp_path: Path) -> None:
    """A new store is copied in its first night, not at once under the name of a night before it was made."""
    settings = settings_of(tmp_path, '[backup]\ndir = "."\n')
    assert not is_wanted(settings, NOW - timedelta(hours=1), NOW)
    nowhere = settings_of(tmp_path, '[backup]\ndir = "nowhere"\n')
    assert is_wanted(nowhere, NOW - timedelta(hours=1), NOW), "making it says at once that the folder is not there"
    assert is_wanted(settings, NOW - timedelta(hours=1), NOW + timedelta(days=1))


# The heartbeat


class _Listener(BaseHTTPRequestHandler):
    asked: list[tuple[str, str]]
    status = 200

    def do_GET(self) -> None:
        self.asked.append((self.path, self.headers["User-Agent"]))
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture
def listener() -> Iterator[tuple[type[_Listener], str]]:
    """Return a listener for heartbeats, and its address."""
    handler = type("Listener", (_Listener,), {"asked": []})
    server = HTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield handler, f"http://127.0.0.1:{server.server_port}/ping/secret-path"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_heartbeat_arrives(listener: tuple[type[_Listener], str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The address is fetched once; without one, nothing is."""
    monkeypatch.setenv("NO_PROXY", "*")
    assert send_heartbeat(Secret("test", text=listener[1]))
    assert not send_heartbeat(None)
    assert [path for path, _ in listener[0].asked] == ["/ping/secret-path"]


@pytest.mark.parametrize("address", ["", "ftp://example.org/secret-path", "http://127.0.0.1:9/secret-path", None])
def test_a_heartbeat_that_fails_is_logged_without_its_address(
    listener: tuple[type[_Listener], str], address: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever goes wrong is one line, which tells nothing of the address."""
    monkeypatch.setenv("NO_PROXY", "*")
    listener[0].status = 500
    with structlog.testing.capture_logs() as logged:
        assert not send_heartbeat(Secret("test", text=listener[1] if address is None else address))
    (line,) = logged
    assert line["event"] == "heartbeat.failed"
    assert "secret-path" not in repr(line)
