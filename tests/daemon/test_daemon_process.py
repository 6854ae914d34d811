"""The real daemon, as a process, against the sandbox on a socket: what it says to its manager, and what signals do."""

from __future__ import annotations

import signal
import socket
import sqlite3
import time
from contextlib import closing
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from following import invent, publish
from supervisor import QUICK, NotifySocket, Running, made_earlier, wait_for, watch

from trialsync.model import Ended
from trialsync.registry.sandbox import Fault, LoadLine, Sandbox, SandboxServer, serve
from trialsync.store.reader import Reader
from trialsync.store.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trialsync.model import Poll


@pytest.fixture
def sandbox() -> Iterator[tuple[Sandbox, SandboxServer]]:
    """Return a registry with three studies and two loads, on a port."""
    stand_in = Sandbox(publish([invent(1), invent(2), invent(3, condition="Gout")], [invent(1, posted="2026-02-03", designModule={})]))
    with serve(stand_in) as server:
        yield stand_in, server


def polls(store: Path) -> list[Poll]:
    """Return the polls in the store, oldest first."""
    with Reader.open(store) as reader:
        return reader.polls()[::-1]


def test_the_whole_conversation(tmp_path: Path, sandbox: tuple[Sandbox, SandboxServer]) -> None:
    """READY and a status, one after each poll, food for the watchdog, RELOADING and READY on SIGHUP, STOPPING, and exit code 0."""
    with (
        NotifySocket(tmp_path) as manager,
        Running(tmp_path, QUICK + watch(), api_url=sandbox[1].api_url, notify=manager, watchdog=0.6) as daemon,
    ):
        daemon.wait("poll.ended", times=2)
        wait_for(lambda: manager.count("WATCHDOG") >= 3, "food for the watchdog")
        wait_for(
            lambda: any("last poll: ataxia" in message.get("STATUS", "") for message in manager.messages), "a status with the last poll"
        )
        assert manager.messages[0]["READY"] == "1"
        assert "next: ataxia 20" in manager.messages[0]["STATUS"]
        daemon.signal(signal.SIGHUP)
        daemon.wait("daemon.reloaded")
        wait_for(lambda: manager.count("READY") == 2, "READY after the reload")
        begun = next(place for place, message in enumerate(manager.messages) if "RELOADING" in message)
        assert int(manager.messages[begun]["MONOTONIC_USEC"]) > 0
        assert any("READY" in message for message in manager.messages[begun:])
        assert daemon.stop() == 0
        assert manager.count("STOPPING") == 1
        assert not [key for message in manager.messages for key in message if key not in _KEYS]
    started = daemon.wait("daemon.started")
    assert started["watches"] == ["ataxia"]
    assert set(started["next"]) == {"ataxia"}
    assert daemon.of("daemon.stopping", signal="SIGTERM")
    assert daemon.events[-1]["event"] == "daemon.stopped"


_KEYS = {"READY", "STATUS", "WATCHDOG", "RELOADING", "MONOTONIC_USEC", "STOPPING"}


def test_a_blocked_store_stops_the_feeding(tmp_path: Path, sandbox: tuple[Sandbox, SandboxServer]) -> None:
    """While another program locks the store for everybody, the watchdog is not fed; once it is free again, it is."""
    with (
        NotifySocket(tmp_path, abstract=True) as manager,
        Running(tmp_path, QUICK + watch(every="1h"), api_url=sandbox[1].api_url, notify=manager, watchdog=0.9) as daemon,
    ):
        daemon.wait("poll.ended")
        wait_for(lambda: manager.count("WATCHDOG") >= 2, "food for the watchdog")
        with closing(sqlite3.connect(daemon.store, isolation_level=None, timeout=30)) as blocking:
            blocking.execute("PRAGMA locking_mode = EXCLUSIVE")
            blocking.execute("BEGIN EXCLUSIVE")
            daemon.wait("watchdog.withheld")
            before = manager.count("WATCHDOG")
            time.sleep(1.5)
            assert manager.count("WATCHDOG") == before
            blocking.execute("ROLLBACK")
        wait_for(lambda: manager.count("WATCHDOG") > before, "food for the watchdog again")
        daemon.wait("watchdog.fed_again")
        assert daemon.stop() == 0


def test_five_watches_with_overlapping_schedules(tmp_path: Path) -> None:
    """No two polls are under way at once, and no watch waits past its turn but for those before it: none is skipped."""
    stand_in = Sandbox(publish([invent(number, condition=f"Condition {number}") for number in range(1, 6)]))
    every = {"one": 2, "two": 2, "three": 3, "four": 3, "five": 4}
    tables = "".join(
        watch(name, every=f"{seconds}s", condition=f"Condition {place}") for place, (name, seconds) in enumerate(every.items(), 1)
    )
    with serve(stand_in) as server, Running(tmp_path, QUICK + tables, api_url=server.api_url) as daemon:
        daemon.wait("poll.ended", times=2, watch="five")
        daemon.wait("poll.ended", times=3, watch="one")
        assert daemon.stop() == 0
    rows = [row for row in polls(daemon.store) if row.message is None]
    spans = sorted((datetime.fromisoformat(row.started), datetime.fromisoformat(row.finished or "")) for row in rows)
    assert all(ended <= begun for (_, ended), (begun, _) in pairwise(spans))
    for name, seconds in every.items():
        begun = [datetime.fromisoformat(row.started) for row in rows if row.watch == name]
        assert len(begun) >= 2
        for before, after in pairwise(begun):
            turn = before + timedelta(seconds=seconds)
            busy = sum((max(timedelta(0), min(end, after) - max(start, turn)) for start, end in spans), timedelta(0))
            # A skipped turn would be two seconds or more of nothing; a slow machine may take one to begin.
            assert after - turn - busy < timedelta(seconds=1.8), (name, begun)


def test_a_signal_in_the_middle_of_a_poll(tmp_path: Path) -> None:
    """The page that was received is committed, the request that hangs is cut, the poll says that it was stopped, and the code is 0."""
    # 1,001 studies are two pages; the second one never comes.
    stand_in = Sandbox(_many(1001))
    stand_in.inject(Fault.SILENT, path="/studies", at=2, times=None, seconds=300)
    with serve(stand_in) as server, Running(tmp_path, QUICK + watch(every="1h"), api_url=server.api_url) as daemon:
        wait_for(lambda: stand_in.requests >= 3, "the request that hangs")
        began = time.monotonic()
        daemon.signal(signal.SIGTERM)
        assert daemon.ends() == 0
        assert time.monotonic() - began < 10
    (row,) = polls(daemon.store)
    assert row.ended is Ended.PARTIAL
    assert row.message is not None
    assert row.message.startswith("stopped before its end")
    with Reader.open(daemon.store) as reader:
        assert reader.counts().studies == 1000
    assert not daemon.of("watch.failing")


def test_a_second_signal_stops_at_once(tmp_path: Path) -> None:
    """A second signal does not wait for anything: the code is that of a process ended by it, and the store is sound."""
    stand_in = Sandbox(_many(2))
    stand_in.inject(Fault.SILENT, path="/studies", times=None, seconds=300)
    with serve(stand_in) as server, Running(tmp_path, QUICK + watch(every="1h"), api_url=server.api_url) as daemon:
        wait_for(lambda: stand_in.requests >= 2, "the request that hangs")
        daemon.signal(signal.SIGTERM)
        daemon.wait("daemon.stopping")
        daemon.signal(signal.SIGTERM)
        assert daemon.ends() == 128 + signal.SIGTERM
    with Writer.open(daemon.store, now=datetime.now, command="test"):
        pass
    (row,) = polls(daemon.store)
    assert row.ended is Ended.FAILED


def test_a_reload_takes_all_of_a_good_file_and_none_of_a_bad_one(tmp_path: Path, sandbox: tuple[Sandbox, SandboxServer]) -> None:
    """A bad file keeps the old settings and says why; a good one adds and removes watches; what needs a restart is said."""
    stand_in, server = sandbox
    with Running(tmp_path, QUICK + watch(every="1h"), api_url=server.api_url) as daemon:
        daemon.wait("poll.ended", watch="ataxia")
        daemon.settings(QUICK + watch(every="1h") + "colour = 3\n")
        daemon.signal(signal.SIGHUP)
        refused = daemon.wait("daemon.reload_refused")
        assert 'watch "ataxia": colour: is not known' in refused["error"]
        daemon.settings(QUICK + watch("gout", every="1s", condition="Gout"))
        daemon.signal(signal.SIGHUP)
        assert daemon.wait("daemon.reloaded")["watches"] == ["gout"]
        daemon.wait("poll.ended", times=2, watch="gout")
        daemon.settings(QUICK + '[web]\nport = 1\n[log]\nlevel = "info"\n' + watch("gout", every="1h", condition="Ataxia"))
        daemon.signal(signal.SIGHUP)
        assert daemon.wait("daemon.needs_restart")["settings"] == ["web"]
        # Another query is asked at once, whatever the schedule.
        daemon.wait("poll.ended", watch="gout", ended="complete", times=2)
        assert daemon.stop() == 0
    assert len(daemon.of("poll.ended", watch="ataxia")) == 1
    assert stand_in.requests


def test_a_store_that_is_held_is_tried_again(tmp_path: Path, sandbox: tuple[Sandbox, SandboxServer]) -> None:
    """While another process writes, that is said and polls wait, which is no failure; between polls other commands have the store."""
    with Running(tmp_path, QUICK + watch(every="1h"), api_url=sandbox[1].api_url) as daemon:
        with Writer.open(daemon.store, now=datetime.now, command="trialsync import"):
            busy = daemon.wait("store.busy")
            assert "is being written by trialsync import" in busy["error"]
        daemon.wait("poll.ended", watch="ataxia", ended="complete")
        beside = daemon.command("sync", "--quiet")
        assert (beside.returncode, beside.stderr) == (0, "")
        assert daemon.stop() == 0
    assert not daemon.of("watch.failing")
    assert len(polls(daemon.store)) == 2


def test_a_watch_that_fails_backs_off_and_recovers(tmp_path: Path, sandbox: tuple[Sandbox, SandboxServer]) -> None:
    """The first failure is said and the recovery is; in between it is asked later than its schedule says; other watches go on."""
    stand_in, server = sandbox
    stand_in.inject(Fault.URI_TOO_LONG, path="/studies", times=2, when=lambda _, query: query.get("query.cond") == "Ataxia")
    with Running(tmp_path, QUICK + watch() + watch("gout", condition="Gout"), api_url=server.api_url) as daemon:
        recovered = daemon.wait("watch.recovered", watch="ataxia")
        assert recovered["failures"] == 2
        assert daemon.stop() == 0
    (failing,) = daemon.of("watch.failing")
    assert failing["watch"] == "ataxia"
    assert failing["failures"] == 1
    assert "too long" in failing["error"]
    begun = [datetime.fromisoformat(row.started) for row in polls(daemon.store) if row.watch == "ataxia"]
    # After one second, then after two.
    assert (begun[2] - begun[0]).total_seconds() > 2.9
    assert len(daemon.of("poll.ended", watch="gout")) >= 3


def test_the_heartbeat_follows_success_and_stays_secret(tmp_path: Path, sandbox: tuple[Sandbox, SandboxServer]) -> None:
    """The heartbeat is fetched after a poll that went well; neither its address nor the contact stands in any line, at the lowest level."""
    stand_in, server = sandbox
    stand_in.inject(Fault.UNAVAILABLE)
    with serve(Sandbox(publish([invent(9)]))) as listener:
        secret = f"{listener.api_url}/ping/5f0c-not-for-eyes"
        (tmp_path / "url").write_text(secret)
        text = (
            '[registry]\nrequests_per_second = 1000.0\ncontact = "someone@private.example"\n[log]\nlevel = "debug"\n'
            '[heartbeat]\nurl_file = "url"\n' + watch()
        )
        with Running(tmp_path, text, api_url=server.api_url) as daemon:
            # The listener has no such page: it is asked all the same, and a failure is only logged.
            assert daemon.wait("heartbeat.failed")["status"] == 404
            daemon.wait("poll.ended", times=2)
            daemon.signal(signal.SIGINT)
            assert daemon.ends() == 0
    # What the client says belongs to its poll.
    assert daemon.of("registry.retry", watch="ataxia", poll=1, path="version")
    said = "".join(daemon.raw)
    assert "not-for-eyes" not in said
    assert "private.example" not in said
    assert any("private.example" in served.user_agent for served in stand_in.served)


def test_pages_and_a_copy_beside_the_polls(tmp_path: Path, sandbox: tuple[Sandbox, SandboxServer]) -> None:
    """With [web] health and counters are served, also after a reload; with [backup] a missed night's copy is made at the start."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "copies").mkdir()
    text = QUICK + f'[web]\nport = {port}\n[backup]\ndir = "copies"\n' + watch(every="1h")
    daemon = Running(tmp_path, text, api_url=sandbox[1].api_url)
    made_earlier(daemon.store)
    with daemon, httpx.Client(base_url=f"http://127.0.0.1:{port}") as browser:
        daemon.wait("poll.ended")
        made = daemon.wait("backup.made")
        with Reader.open(tmp_path / "copies" / made["file"].rpartition("/")[2]) as copied:
            assert copied.counts().studies in {0, 2}
        health: dict[str, Any] = browser.get("/healthz").json()
        assert [each["name"] for each in health["watches"]] == ["ataxia"]
        assert browser.get("/readyz").status_code == 200
        wait_for(lambda: 'trialsync_polls_total{ended="complete",watch="ataxia"} 1.0' in browser.get("/metrics").text, "the count of polls")
        daemon.settings(text + watch("gout", every="1h", condition="Gout"))
        daemon.signal(signal.SIGHUP)
        daemon.wait("daemon.reloaded")
        assert [each["name"] for each in browser.get("/healthz").json()["watches"]] == ["ataxia", "gout"]
        (tmp_path / "second").mkdir()
        with Running(tmp_path / "second", text, api_url=sandbox[1].api_url) as second:
            assert second.ends() == 2
            assert f"can't listen on 127.0.0.1 port {port}: Address already in use (" in "".join(second.raw)
        daemon.wait("poll.ended", watch="gout")
        assert daemon.stop() == 0


def test_a_schedule_that_was_not_missed_waits(tmp_path: Path, sandbox: tuple[Sandbox, SandboxServer]) -> None:
    """A restart does not poll again what was polled within its schedule, and polls at once what is new."""
    text = QUICK + watch(every="1h")
    with Running(tmp_path, text, api_url=sandbox[1].api_url) as daemon:
        daemon.wait("poll.ended")
        assert daemon.stop() == 0
    with Running(tmp_path, text + watch("gout", every="1h", condition="Gout"), api_url=sandbox[1].api_url) as daemon:
        daemon.wait("poll.ended", watch="gout")
        assert daemon.stop() == 0
    assert [row.watch for row in polls(daemon.store)] == ["ataxia", "gout"]


def test_what_can_not_begin_says_so(tmp_path: Path) -> None:
    """Without a watch, or without its store, the daemon ends with 2 and one sentence."""
    with Running(tmp_path, "", api_url="http://127.0.0.1:9/api/v2") as daemon:
        assert daemon.ends() == 2
    assert daemon.raw == [f"trialsync: there is nothing to follow ({daemon.file}) (trialsync init, or add a [[watch]])\n"]


def _many(count: int) -> list[LoadLine]:
    return publish([invent(number) for number in range(1, count + 1)])
