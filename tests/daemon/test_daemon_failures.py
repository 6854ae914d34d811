"""What fails under the daemon is told: by its log, its pages, ``trialsync health`` and the polls' rows, and is tried again."""

from __future__ import annotations

import json
import signal
import socket
import urllib.error
import urllib.request
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from following import ATAXIA, World, invent, publish
from supervisor import QUICK, Running, made_earlier, wait_for, watch

from trialsync.daemon.agenda import Agenda
from trialsync.daemon.worker import Clock, Worker
from trialsync.errors import StoreUnwritable
from trialsync.model import Ended, Origin
from trialsync.registry.sandbox import LoadLine, Sandbox, serve
from trialsync.settings import load
from trialsync.store import schema
from trialsync.store.lock import Lock
from trialsync.store.reader import Reader
from trialsync.store.writer import Writer
from trialsync.sync.nightly import COPY
from trialsync.sync.poll import poll

if TYPE_CHECKING:
    from pathlib import Path


def today() -> list[LoadLine]:
    """Return a load with today's label: health is judged by the real clock."""
    label = datetime.now(UTC).date().isoformat()
    return [LoadLine(label, line.nct_id, line.study) for line in publish([invent(1, posted=label)])]


def port() -> int:
    """Return a port that is free."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def asked(number: int, path: str) -> tuple[int, str]:
    """Return the status and the text of an answer of the daemon's pages."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{number}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_a_watch_that_can_not_begin_has_a_row(tmp_path: Path) -> None:
    """A watch whose file of numbers is not there is a poll that failed, in the store, the log and health; mended, it goes on."""
    text = QUICK + '[[watch]]\nname = "mine"\nnct_ids_file = "mine.txt"\nschedule = { every = "1s", jitter = "0s" }\n'
    with serve(Sandbox(today())) as server, Running(tmp_path, text, api_url=server.api_url) as daemon:
        assert "mine.txt" in daemon.wait("watch.failing")["error"]
        ended = daemon.wait("poll.ended", times=3, ended="failed")
        assert ended["level"] == "warning"
        assert "mine.txt" in ended["error"]
        found = daemon.command("health", "--format", "json")
        assert found.returncode == 3
        health = json.loads(found.stdout)
        assert health["health"] == "failing"
        assert health["watches"][0]["failures"] >= 3
        assert "mine.txt" in health["watches"][0]["message"]
        assert "failing" in daemon.command("health", "--format", "table").stdout
        (tmp_path / "mine.txt").write_text("NCT00000001")
        daemon.signal(signal.SIGHUP)
        failures = daemon.wait("watch.recovered")["failures"]
        assert daemon.command("health").returncode == 0
        assert daemon.stop() == 0
    with Reader.open(daemon.store) as reader:
        assert failures == sum(row.ended is Ended.FAILED for row in reader.polls())


def test_a_store_that_can_not_be_written(tmp_path: Path) -> None:
    """Where no row can be written, the daemon's own pages have the failures in a row and why, and ``trialsync health`` and check say it."""
    number = port()
    text = f"{QUICK}[web]\nport = {number}\n{watch()}"
    with serve(Sandbox(today())) as server:
        daemon = Running(tmp_path, text, api_url=server.api_url)
        (tmp_path / "trialsync.db.lock").unlink()
        (tmp_path / "trialsync.db.lock").mkdir()
        with daemon:
            daemon.wait("watch.failing")
            wait_for(lambda: 'trialsync_consecutive_failures{watch="ataxia"} 2.0' in asked(number, "/metrics")[1], "two failures")
            assert "trialsync_store_writable 0.0" in asked(number, "/metrics")[1]
            status, text = asked(number, "/healthz")
            found = json.loads(text)
            assert (status, found["health"]) == (503, "unwritable")
            assert "trialsync.db.lock can't be opened" in found["watches"][0]["message"]
            said = daemon.command("health")
            assert said.returncode == 2
            assert "trialsync.db.lock can't be written: Is a directory" in said.stderr
            checked = daemon.command("check", "--offline")
            assert checked.returncode == 2
            assert "trialsync.db.lock can't be written" in checked.stderr
            (tmp_path / "trialsync.db.lock").rmdir()
            daemon.signal(signal.SIGHUP)
            assert daemon.wait("watch.recovered")["failures"] >= 2
            wait_for(lambda: asked(number, "/healthz")[0] == 200, "health")
            assert daemon.stop() == 0


def test_a_second_daemon_is_refused(tmp_path: Path) -> None:
    """Another ``trialsync run`` with the same store ends with 5 and names the first; the first goes on, and its place is free after it."""
    with serve(Sandbox(today())) as server, Running(tmp_path, QUICK + watch(every="1h"), api_url=server.api_url) as daemon:
        daemon.wait("poll.ended")
        second = daemon.command("run")
        assert second.returncode == 5
        assert f"another trialsync run (pid {daemon.process.pid} on " in second.stderr
        assert "Traceback" not in second.stderr
        assert daemon.stop() == 0
    free = Lock(daemon.store, daemon=True)
    free.acquire()
    free.release()


def test_a_copy_that_failed_is_tried_again(tmp_path: Path) -> None:
    """A nightly copy that fails says when it is tried again; health names it; a reload tries it at once."""
    number = port()
    text = f'{QUICK}[web]\nport = {number}\n[backup]\ndir = "copies"\n{watch(every="1h")}'
    with serve(Sandbox(today())) as server:
        daemon = Running(tmp_path, text, api_url=server.api_url)
        made_earlier(daemon.store)
        with daemon:
            failed = daemon.wait("backup.failed")
            assert (failed["failures"], failed["again_in"], failed["level"]) == (1, 600.0, "error")
            daemon.wait("poll.ended")
            wait_for(lambda: "the next one failed" in asked(number, "/healthz")[1], "the reason")
            (tmp_path / "copies").mkdir()
            daemon.signal(signal.SIGHUP)
            daemon.wait("backup.made")
            wait_for(lambda: asked(number, "/healthz")[0] == 200, "health")
            assert "trialsync_last_backup_timestamp_seconds" in asked(number, "/metrics")[1]
            assert daemon.stop() == 0


def worker_of(folder: Path, text: str, hand: Any) -> tuple[Agenda, Worker]:
    """Return a worker under these settings, and its agenda, by a clock that is moved by hand."""
    (folder / "trialsync.toml").write_text(f'[store]\npath = "trialsync.db"\n{text}')
    settings = load(folder / "trialsync.toml", {}, folder)
    agenda = Agenda(hand)
    return agenda, Worker(agenda, lambda: settings, lambda *_: None, clock=Clock(lambda: datetime.now(UTC), hand))


def test_a_copy_waits_longer_each_time_and_for_no_night(tmp_path: Path) -> None:
    """The pauses of a copy grow; one that is made ends them, and nothing waits any more."""
    schema.create(tmp_path / "trialsync.db")
    at = [1000.0]
    agenda, worker = worker_of(tmp_path, '[backup]\ndir = "copies"\n', lambda: at[0])
    with structlog.testing.capture_logs() as logged:
        agenda.add(COPY)
        worker.start()
        for times in (1, 2, 3):
            wait_for(lambda times=times: len(logged) == times, "a failure")  # type: ignore[misc]
            wait_for(agenda.waits, "the pause")
            if times == 3:
                (tmp_path / "copies").mkdir()
            at[0] += agenda.waits()[COPY]
            agenda.add(COPY)
        wait_for(lambda: logged[-1]["event"] == "backup.made", "the copy")
        worker.stop()
        assert worker.join(30)
    assert [each["again_in"] for each in logged if each["event"] == "backup.failed"] == [600, 1200, 2400]
    assert (agenda.waits(), worker.failures, worker.troubles) == ({}, {}, {})


def test_a_busy_store_is_counted_by_watch(tmp_path: Path) -> None:
    """Two watches that wait for the same store are each counted by themselves, with how long each has waited."""
    schema.create(tmp_path / "trialsync.db")
    at = [1000.0]
    text = "".join(f'[[watch]]\nname = "{name}"\nquery.cond = "x"\n' for name in ("one", "two"))
    agenda, worker = worker_of(tmp_path, text, lambda: at[0])
    with (
        Writer.open(tmp_path / "trialsync.db", now=lambda: datetime.now(UTC), command="another"),
        structlog.testing.capture_logs() as logged,
    ):
        worker.start()
        for _ in range(5):
            for name in ("one", "two"):
                agenda.add(name)
            wait_for(lambda: len(agenda.waits()) == 2 and min(agenda.waits().values()) > 0, "both watches to be told")
            at[0] += 2
        worker.stop()
        assert worker.join(30)
    said = [(each["times"], each["waited"]) for each in logged if each["event"] == "store.busy"]
    assert said == [(1, 0.0), (1, 0.0), (5, 8.0), (5, 8.0)]


def test_a_poll_that_never_ended_says_why(tmp_path: Path) -> None:
    """Who opens the store again and knows why a poll of a watch never ended says that, and of others what always holds."""
    store = tmp_path / "trialsync.db"
    schema.create(store)
    with Writer.open(store, now=lambda: datetime.now(UTC), command="one") as writer:
        for name in ("one", "two"):
            writer.begin_poll(watch=name, origin=Origin.POLL, load=None, data_timestamp=None, query="", started="2026-02-02T00:00:00.000Z")
    with Writer.open(store, now=lambda: datetime.now(UTC), command="two", unended={"one": "no room left"}), Reader.open(store) as reader:
        assert {row.watch: row.message for row in reader.polls()} == {"one": "no room left", "two": "the process ended before the poll did"}


def test_a_full_disk_is_the_reason_of_its_poll(tmp_path: Path) -> None:
    """A poll that finds no room for a page ends with that as its reason, where there is room for its row."""
    world = World(tmp_path, publish([invent(number) for number in range(1, 400)]))
    with world.registry() as registry, world.writer() as writer:
        pages = writer._db.value("PRAGMA page_count")
        writer._db.execute(f"PRAGMA max_page_count = {pages + 5}")
        with pytest.raises(StoreUnwritable):
            poll(ATAXIA, registry=registry, writer=writer, now=world.clock)
    with world.reader() as reader:
        (row,) = reader.polls()
    assert row.ended is Ended.FAILED
    assert row.message is not None
    assert row.message.startswith("no room left to write")
