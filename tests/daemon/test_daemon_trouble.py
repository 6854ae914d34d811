"""What goes wrong around the daemon: its log's reader, its settings, its clock, its worker, signals in heaps, and hosts that hang."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
from by_hand import Hand, settings_of
from following import invent, publish
from supervisor import QUICK, Running, wait_for, watch

from trialsync.daemon.agenda import Agenda
from trialsync.daemon.alarms import Alarms
from trialsync.daemon.heartbeat import Heartbeat
from trialsync.daemon.notify import watchdog_seconds
from trialsync.daemon.signals import ENDING, RELOADING, Signals
from trialsync.daemon.timetable import Timetable
from trialsync.daemon.worker import SILENCE, Clock, Worker
from trialsync.model import Ended
from trialsync.registry.sandbox import Sandbox, serve
from trialsync.settings import Secret
from trialsync.store import schema
from trialsync.store.reader import Reader
from trialsync.sync.health import health

# The log


def test_a_log_without_a_reader_ends_nothing(tmp_path: Path) -> None:
    """Where nobody takes the log any more, polls go on, and SIGTERM ends the daemon with 0 as ever."""
    with serve(Sandbox(publish([invent(1)]))) as server:
        setting = Running(tmp_path, QUICK + watch(), api_url=server.api_url)
        with subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-m", "trialsync", "--config", str(setting.file), "run"],
            cwd=tmp_path,
            env=setting.environ,
            stderr=subprocess.PIPE,
        ) as process:
            assert process.stderr is not None
            assert b"daemon.started" in process.stderr.readline()
            process.stderr.close()
            wait_for(lambda: polls(tmp_path) >= 4, "polls that nobody hears of")
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0


def polls(folder: Path) -> int:
    """Return how many polls the store has."""
    with Reader.open(folder / "trialsync.db") as reader:
        return len(reader.polls())


# Settings


def test_settings_that_are_gone_or_emptied_are_refused(tmp_path: Path) -> None:
    """A file that was found at the start and is gone, or that says nothing, leaves the old settings in force; a good one is taken again."""
    with serve(Sandbox(publish([invent(1)]))) as server, Running(tmp_path, QUICK + watch(), api_url=server.api_url, search=True) as daemon:
        daemon.wait("poll.ended")
        text = daemon.file.read_text()
        daemon.file.unlink()
        daemon.signal(signal.SIGHUP)
        assert "there is no such settings file" in daemon.wait("daemon.reload_refused")["error"]
        daemon.file.write_text("")
        daemon.signal(signal.SIGHUP)
        assert "there is nothing to follow" in daemon.wait("daemon.reload_refused", times=2)["error"]
        daemon.file.unlink()
        daemon.file.mkdir()
        daemon.signal(signal.SIGHUP)
        assert "cannot be read" in daemon.wait("daemon.reload_refused", times=3)["error"]
        daemon.file.rmdir()
        daemon.file.write_text(text)
        daemon.signal(signal.SIGHUP)
        assert daemon.wait("daemon.reloaded")["watches"] == ["ataxia"]
        assert daemon.stop() == 0


def test_a_watch_that_is_mended_is_asked_at_once(tmp_path: Path) -> None:
    """What failed under settings that were replaced meanwhile is not held back, and what they took away is forgotten."""
    schema.create(tmp_path / "trialsync.db")
    with serve(Sandbox(publish([invent(1)]))) as server:
        head = f'{QUICK}api_url = "{server.api_url}"\n'
        good = settings_of(tmp_path, f'{head}[[watch]]\nname = "one"\nnct_ids = ["NCT00000001"]\n')
        bad = settings_of(tmp_path, f'{head}[[watch]]\nname = "one"\nnct_ids_file = "x"\n[[watch]]\nname = "two"\nnct_ids_file = "x"\n')
        answers = [bad, bad]
        ended: list[Any] = []
        agenda = Agenda(time.monotonic)
        worker = Worker(
            agenda,
            lambda: answers.pop() if answers else good,
            lambda followed, _: ended.append(followed and followed.outcome.poll.ended),
            clock=Clock(lambda: datetime.now(UTC), time.monotonic),
        )
        agenda.add("two")
        agenda.add("one")
        worker.start()
        wait_for(lambda: Ended.COMPLETE in ended, "the poll under the new settings")
        worker.stop()
        assert worker.join(30)
    assert worker.failures == {}


# The clock


def test_a_clock_that_was_wrong_by_decades(tmp_path: Path) -> None:
    """A machine that gets its date after the start makes up for what it missed once, and at once, not a second at a time."""
    due: list[str] = []
    timetable = Timetable(due.append, now=lambda: datetime(1970, 1, 2, tzinfo=UTC), monotonic=time.monotonic)
    text = '[schedule]\nevery = "1s"\njitter = "0s"\n[[watch]]\nname = "one"\nquery.cond = "x"\n'
    timetable.set(settings_of(tmp_path, text), {"one": datetime(1970, 1, 2, tzinfo=UTC)})
    timetable.start()
    try:
        wait_for(lambda: len(due) >= 2, "what was missed, and the next time", 10)
        assert timetable.next()["one"] > datetime.now(UTC) - timedelta(seconds=1)
    finally:
        timetable.stop()


def test_a_clock_that_is_set_back(tmp_path: Path) -> None:
    """Schedules go on from what a clock shows after it was set back, and do not wait until it shows again what it showed before."""
    ahead = [timedelta(days=2)]
    timetable = Timetable(lambda _: None, now=lambda: datetime.now(UTC) + ahead[0], monotonic=time.monotonic)
    text = '[backup]\ndir = "."\n[[watch]]\nname = "one"\nquery.cond = "x"\n'
    text += '[[watch]]\nname = "two"\nquery.cond = "y"\nschedule.cron = "0 4 * * *"\n'
    timetable.start()
    try:
        timetable.set(settings_of(tmp_path, text), {})
        assert not timetable.look_at_clock()
        ahead[0] = timedelta()
        assert timetable.look_at_clock()
        assert not timetable.look_at_clock()
        found = timetable.next()
        assert found["one"] < datetime.now(UTC) + timedelta(minutes=62)
        assert found["two"] < datetime.now(UTC) + timedelta(hours=25)
    finally:
        timetable.stop()


@pytest.mark.parametrize(
    ("cron", "zone", "after", "due"),
    [
        # 02:30 is skipped by the clocks: the poll is an hour late, on the same day.
        ("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00", "2026-03-29T01:30"),
        ("0 0 * * *", "America/Havana", "2026-03-07T12:00", "2026-03-08T05:00"),
        ("0 0 * * *", "America/Havana", "2026-03-08T05:00", "2026-03-09T04:00"),
        # The hour that comes twice has its polls in both.
        ("*/30 * * * *", "Europe/Berlin", "2026-10-25T00:30", "2026-10-25T01:00"),
        ("15 9-18 * * mon-fri", "America/New_York", "2026-03-06T23:15", "2026-03-09T13:15"),
    ],
)
def test_a_schedule_when_the_clocks_change(tmp_path: Path, cron: str, zone: str, after: str, due: str) -> None:
    """No day is left out when the clocks are put forward, whichever hour they skip."""
    schedule = settings_of(tmp_path, f'[schedule]\ncron = "{cron}"\ntimezone = "{zone}"\n').schedule
    assert schedule.due_after(datetime.fromisoformat(f"{after}Z")) == datetime.fromisoformat(f"{due}Z")


# The worker


def test_a_worker_that_hangs_or_has_ended_is_trouble(tmp_path: Path) -> None:
    """Who is at something without a sign of life for an hour hangs, here at a file that is a pipe; one that has ended is trouble too."""
    schema.create(tmp_path / "trialsync.db")
    os.mkfifo(tmp_path / "numbers")
    settings = settings_of(tmp_path, '[[watch]]\nname = "one"\nnct_ids_file = "numbers"\n')
    hand = Hand()
    agenda = Agenda(hand)
    worker = Worker(agenda, lambda: settings, lambda *_: None, clock=Clock(lambda: datetime.now(UTC), hand))
    assert worker.trouble() is None
    agenda.add("one")
    worker.start()
    wait_for(lambda: worker.current == "one", "the worker")
    assert worker.trouble() is None
    hand.at += SILENCE + 1
    assert worker.trouble() == "one has shown no sign of life for 3601 seconds"
    agenda.close()
    wait_for(lambda: writes_nothing(tmp_path / "numbers"), "the worker to read the file")
    assert worker.join(30)
    assert worker.trouble() == "the worker has ended"
    worker.stop()
    assert worker.trouble() is None


def writes_nothing(pipe: Path) -> bool:
    """Open a pipe for writing and close it, where somebody reads it; return whether somebody did."""
    try:
        os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
    except OSError:
        return False
    return True


def test_a_heartbeat_that_hangs_holds_up_nothing() -> None:
    """While a listener answers a byte at a time nothing waits for it, no second request is begun, and after a minute that is said."""
    hand = Hand()
    heartbeat = Heartbeat(hand)
    with closing(socket.create_server(("127.0.0.1", 0))) as listener, structlog.testing.capture_logs() as logged, ExitStack() as stack:
        secret = Secret("test", text=f"http://127.0.0.1:{listener.getsockname()[1]}/s3cr3t")
        began = time.monotonic()
        heartbeat.send(secret)
        heartbeat.send(secret)
        assert time.monotonic() - began < 2
        wire = stack.enter_context(listener.accept()[0])
        wire.recv(1)
        heartbeat.send(secret)
        assert logged == []
        hand.at += 61
        heartbeat.send(secret)
        assert [(each["event"], each["kind"]) for each in logged] == [("heartbeat.failed", "TimeoutError")]
        wire.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        wait_for(lambda: any(each["event"] == "heartbeat.sent" for each in logged), "the answer")
        listener.setblocking(False)  # noqa: FBT003 - the socket's own signature
        with pytest.raises(BlockingIOError):
            listener.accept()


# Alarms


def test_each_watch_that_is_overdue_is_said(tmp_path: Path) -> None:
    """A watch that becomes overdue while another one is, and one of two that no longer is, are said, each by name."""
    schema.create(tmp_path / "trialsync.db")
    text = "".join(f'[[watch]]\nname = "{name}"\nquery.cond = "x"\n' for name in ("one", "two"))
    with Reader.open(tmp_path / "trialsync.db") as reader:
        calm = health(reader, settings_of(tmp_path, text), datetime.now(UTC))
        both = health(reader, settings_of(tmp_path, text), datetime.now(UTC) + timedelta(days=4))
    first = replace(both, watches=(both.watches[0], calm.watches[1]))
    second = replace(both, watches=(calm.watches[0], both.watches[1]))
    alarms = Alarms()
    with structlog.testing.capture_logs() as logged:
        for found in (calm, first, first, both, both, second, calm):
            alarms.update(found)
    assert [(each["event"], each["watches"]) for each in logged] == [
        ("alarm.raised", ["one"]),
        ("alarm.raised", ["two"]),
        ("alarm.cleared", ["one"]),
        ("alarm.cleared", ["two"]),
    ]


# Signals


def test_an_end_comes_before_a_reload() -> None:
    """Of several signals the one that ends is given out first, and what is left over when all is ending ends nothing a second time."""
    kept = {number: signal.getsignal(number) for number in ENDING | RELOADING}
    try:
        with Signals() as signals:
            for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGHUP):
                signal.pthread_kill(threading.get_ident(), number)
            assert signals.wait(5) is signal.SIGTERM
            signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
        signal.pthread_kill(threading.get_ident(), signal.SIGHUP)
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


def test_a_storm_of_reloads(tmp_path: Path) -> None:
    """While reloads are asked for without end, with pages that are served, SIGTERM still ends the daemon, and nothing has piled up."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    text = f"{QUICK}[web]\nport = {port}\n{watch()}"
    with serve(Sandbox(publish([invent(1)]))) as server, Running(tmp_path, text, api_url=server.api_url) as daemon:
        daemon.wait("poll.ended")
        before = held(daemon, "fd"), held(daemon, "task")
        for times in range(1, 21):
            daemon.signal(signal.SIGHUP)
            daemon.wait("daemon.reloaded", times=times)
        # A poll that is under way has its files open.
        assert held(daemon, "fd") <= before[0] + 12
        assert held(daemon, "task") <= before[1] + 2
        over = threading.Event()

        def storm() -> None:
            while not over.wait(0.0005) and daemon.process.poll() is None:
                daemon.signal(signal.SIGHUP)

        storming = threading.Thread(target=storm)
        storming.start()
        try:
            time.sleep(0.2)
            began = time.monotonic()
            daemon.signal(signal.SIGTERM)
            assert daemon.ends() == 0
            assert time.monotonic() - began < 10
        finally:
            over.set()
            storming.join()


def held(daemon: Running, what: str) -> int:
    """Return how many threads (``task``) or open files (``fd``) a process has."""
    return sum(1 for _ in Path(f"/proc/{daemon.process.pid}/{what}").iterdir())


def test_a_store_that_is_locked_holds_up_no_signal(tmp_path: Path) -> None:
    """While another program locks the store for everybody, settings are read anew, and SIGTERM ends the daemon within ten seconds."""
    with serve(Sandbox(publish([invent(1)]))) as server, Running(tmp_path, QUICK + watch(every="1h"), api_url=server.api_url) as daemon:
        daemon.wait("poll.ended")
        with closing(sqlite3.connect(daemon.store, isolation_level=None, timeout=30)) as blocking:
            blocking.execute("PRAGMA locking_mode = EXCLUSIVE")
            blocking.execute("BEGIN EXCLUSIVE")
            began = time.monotonic()
            daemon.signal(signal.SIGHUP)
            daemon.wait("daemon.reloaded")
            daemon.signal(signal.SIGTERM)
            assert daemon.ends() == 0
            assert time.monotonic() - began < 10


def test_what_does_not_end_is_left(tmp_path: Path) -> None:
    """A connection that can't be cut is left within ten seconds, with 0: the log says what was left, the poll's row that it was stopped."""
    with ExitStack() as stack:
        full = stack.enter_context(closing(socket.create_server(("127.0.0.1", 0), backlog=0)))
        place = full.getsockname()
        for _ in range(2):
            # Nobody accepts these; once the queue is full the system lets a connection wait.
            filler = stack.enter_context(closing(socket.socket()))
            filler.setblocking(False)  # noqa: FBT003 - the socket's own signature
            filler.connect_ex(place)
        with Running(tmp_path, QUICK + watch(every="1h"), api_url=f"http://127.0.0.1:{place[1]}/api/v2") as daemon:
            wait_for(lambda: polls(tmp_path) == 1, "the poll")
            time.sleep(0.3)
            began = time.monotonic()
            daemon.signal(signal.SIGTERM)
            assert daemon.ends() == 0
            assert time.monotonic() - began < 10
        assert daemon.of("daemon.stopped", left="ataxia")
    with Reader.open(daemon.store) as reader:
        (row,) = reader.polls()
    assert row.ended is Ended.FAILED
    assert row.message is not None
    assert row.message.startswith("stopped before its end")


# The manager


@pytest.mark.parametrize("microseconds", ["9" * 25, "9" * 5000, "-1", "1e6", "٣"])
def test_a_watchdog_that_can_not_be_is_none(microseconds: str) -> None:
    """What no manager would write is no watchdog."""
    assert watchdog_seconds({"WATCHDOG_USEC": microseconds}, 7) is None


def test_a_tiny_watchdog_is_fed_without_haste(tmp_path: Path) -> None:
    """A watchdog of a microsecond, which nobody could feed in time, does not make the daemon turn in circles."""
    with (
        serve(Sandbox(publish([invent(1)]))) as server,
        Running(tmp_path, QUICK + watch(every="1h"), api_url=server.api_url, watchdog=0.000001) as daemon,
    ):
        daemon.wait("poll.ended")
        before = os.times()
        used = processor_seconds(daemon.process.pid)
        time.sleep(1.0)
        assert processor_seconds(daemon.process.pid) - used < 0.7 * (os.times().elapsed - before.elapsed)
        assert daemon.stop() == 0


def processor_seconds(pid: int) -> float:
    """Return the processor time that a process has used."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:  # noqa: PTH123 - the system's own
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
