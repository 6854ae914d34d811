"""Stopping in the middle: a poll that is asked to end, and a request under way that is cut."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from following import ATAXIA, World, invent, publish

from trialsync.errors import Stopped
from trialsync.model import Ended
from trialsync.registry.client import Pace, Registry
from trialsync.registry.sandbox import Fault, Sandbox, serve

if TYPE_CHECKING:
    from pathlib import Path


def test_a_poll_that_is_stopped_keeps_its_page(tmp_path: Path) -> None:
    """A poll that is asked to stop ends partial with a sentence that says so; the page that it had is kept, and the next one completes."""
    world = World(tmp_path, publish([invent(1), invent(2)]))
    stopped = world.poll(stop=lambda: True)
    assert stopped.poll.ended is Ended.PARTIAL
    assert stopped.poll.message is not None
    assert "stopped" in stopped.poll.message
    assert stopped.poll.new == 2
    with world.reader() as reader:
        assert reader.counts().studies == 2
        assert reader.polls()[0].message == stopped.poll.message
    assert world.poll(stop=lambda: False).poll.ended is Ended.COMPLETE


def test_an_interrupted_client_begins_no_request(tmp_path: Path) -> None:
    """A poll with a client that was interrupted before its first request ends failed, as stopped, without a request."""
    world = World(tmp_path, publish([invent(1)]))
    with world.registry() as registry:
        registry.interrupt()
        with pytest.raises(Stopped):
            registry.version()
        assert registry.requests == 0
    assert world.sandbox.requests == 0


@pytest.mark.parametrize("fault", [Fault.SILENT, Fault.SLOW])
def test_a_request_under_way_is_cut(fault: Fault) -> None:
    """A client that waits for an answer that does not come raises Stopped soon after another thread interrupts it."""
    sandbox = Sandbox(publish([invent(1)]))
    sandbox.inject(fault, seconds=60)
    found: list[BaseException] = []
    with serve(sandbox) as server, registry_at(server.api_url) as registry:

        def ask() -> None:
            try:
                registry.version()
            except Stopped as stopped:
                found.append(stopped)

        asking = threading.Thread(target=ask)
        asking.start()
        while not sandbox.requests:
            time.sleep(0.01)
        time.sleep(0.05)
        began = time.monotonic()
        registry.interrupt()
        asking.join(30)
        assert time.monotonic() - began < 5
    assert found


def test_a_changed_pace_keeps_what_was_spent() -> None:
    """A budget that is changed under way holds from the request after the next one on, and gives back nothing that was spent."""
    moment = [100.0]
    pace = Pace(1.0, monotonic=lambda: moment[0], sleep=lambda _: None)
    assert pace.wait() == 0
    pace.change(10.0)
    assert pace.wait() == pytest.approx(1.0)
    assert pace.wait() == pytest.approx(1.1)


def test_the_studies_of_a_stopped_poll_are_seen_once(tmp_path: Path) -> None:
    """What a stopped poll recorded is not recorded again by the one that completes it."""
    world = World(tmp_path, publish([invent(1)], [invent(1, posted="2026-02-03", conditionsModule={"conditions": ["Ataxia", "Gait"]})]))
    world.poll(ATAXIA)
    world.advance()
    world.poll(ATAXIA, stop=lambda: True)
    once = world.log()
    world.poll(ATAXIA)
    assert world.log() == once
    assert once


def registry_at(api_url: str) -> Registry:
    """Return a client that never waits between requests."""
    return Registry(
        api_url,
        requests_per_second=1_000_000,
        contact=None,
        transport=None,
        now=lambda: datetime.now(UTC),
        sleep=time.sleep,
        monotonic=time.monotonic,
    )
