"""The endpoints for supervisors: healthz, readyz and metrics, over the store of a small world."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import httpx
import pytest
from following import ATAXIA, DAYS, World, invent, publish, status
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette

from trialsync import __version__
from trialsync.model import instant
from trialsync.settings import Settings, load
from trialsync.store.schema import SCHEMA
from trialsync.sync.health import Trouble
from trialsync.sync.nightly import COPY
from trialsync.sync.poll import poll
from trialsync.web.health import routes
from trialsync.web.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ONE, TWO = invent(1), invent(2)
LOADS = publish([ONE, TWO], [status(ONE, "TERMINATED", DAYS[1])], [])
WATCH = '[[watch]]\nname = "ataxia"\nquery.cond = "Ataxia"\n'


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Return a registry of three loads and an empty store."""
    return World(tmp_path, LOADS)


def settings_of(world: World, text: str = WATCH) -> Settings:
    """Return settings with this text."""
    file = world.store.parent / "trialsync.toml"
    file.write_text(text)
    return load(file, {}, world.store.parent)


def client(
    world: World,
    settings: Settings,
    *,
    later: timedelta = timedelta(),
    metrics: Metrics | None = None,
    ticking: Callable[[], bool] | None = None,
) -> Callable[[str], httpx.Response]:
    """Return a function that asks for a path, so long after the world's present."""
    app = Starlette(routes=routes(world.store, lambda: settings, now=lambda: world.clock.moment + later, metrics=metrics, ticking=ticking))

    async def ask(path: str) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://trialsync.example") as asked:
            return await asked.get(path)

    return lambda path: asyncio.run(ask(path))


def samples(text: str) -> dict[tuple[str, ...], float]:
    """Return the samples of an exposition by name and the values of their labels."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = (sample.name, *sample.labels.values())
            assert key not in found, key
            found[key] = sample.value
    return found


def polled(world: World, metrics: Metrics) -> None:
    """Poll the watch once, as the daemon does."""
    with world.registry() as registry, world.writer() as writer:
        metrics.observe(poll(ATAXIA, registry=registry, writer=writer, now=world.clock), registry)


def test_a_healthy_store_is_ok(world: World) -> None:
    """After a poll ``/healthz`` is 200 and says of the watch when it succeeded, how old that is, and what it follows."""
    world.poll()
    answer = client(world, settings_of(world), later=timedelta(hours=1))("/healthz")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    found = answer.json()
    assert (found["health"], found["say"], found["load"], found["holder"]) == ("ok", [], DAYS[0], None)
    (watch,) = found["watches"]
    assert (watch["name"], watch["members"], watch["ended"], watch["overdue"], watch["failures"]) == ("ataxia", 2, "complete", False, 0)
    assert watch["age"] == pytest.approx(3600, abs=1)


def test_an_overdue_watch_is_unavailable(world: World) -> None:
    """Two days without a poll are 503 with a sentence that says what to do."""
    world.poll()
    answer = client(world, settings_of(world), later=timedelta(days=2))("/healthz")
    assert answer.status_code == 503
    assert answer.json()["health"] == "overdue"
    assert "trialsync sync ataxia" in answer.json()["say"][0]


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_a_store_that_can_not_be_read_is_a_sentence(world: World, path: str) -> None:
    """A store that is gone, foreign or broken is 503 in both, JSON with the sentence, never a traceback."""
    settings = settings_of(world)
    world.poll()
    ask = client(world, settings, metrics=Metrics())
    for content, said in ((b"no database at all, but long enough" * 40, "is not a trialsync store"), (None, "no store at")):
        if content is None:
            world.store.unlink()
        else:
            world.store.write_bytes(content)
        answer = ask(path)
        assert answer.status_code == 503
        assert answer.headers["content-type"] == "application/json"
        (sentence,) = answer.json()["say"]
        assert said in sentence


def test_metrics_of_a_store_that_can_not_be_read(world: World) -> None:
    """The counters and the process are told whatever the store is; a gauge says that it can't be read, and failures are those of memory."""
    metrics = Metrics()
    polled(world, metrics)
    metrics.troubles = {"ataxia": Trouble(4, "2026-02-03T00:00:00.000Z", "a reason"), COPY: Trouble(1, "2026-02-03T00:00:00.000Z", "x")}
    ask = client(world, settings_of(world), metrics=metrics)
    assert samples(ask("/metrics").text)["trialsync_store_readable",] == 1
    world.store.unlink()
    answer = ask("/metrics")
    found = samples(answer.text)
    assert answer.status_code == 200
    assert found["trialsync_store_readable",] == 0
    assert found["trialsync_consecutive_failures", "ataxia"] == 4
    assert found["trialsync_polls_total", "complete", "ataxia"] == 1
    assert not any(COPY in key for key in found)
    assert ask("/healthz").json()["watches"] == [{"name": "ataxia", "failures": 4, "message": "a reason"}]
    assert samples(client(world, settings_of(world))("/metrics").text) == {("trialsync_store_readable",): 0}


def test_a_store_whose_pages_are_broken_is_not_ready(world: World) -> None:
    """Opening a store is not enough: where it can't be read, the process is not ready."""
    world.poll()
    with closing(sqlite3.connect(world.store)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        page, root = (
            connection.execute("PRAGMA page_size").fetchone()[0],
            connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'polls'").fetchone()[0],
        )
    with world.store.open("r+b") as file:
        file.seek((root - 1) * page)
        file.write(b"\xff" * page)
    answer = client(world, settings_of(world))("/readyz")
    assert answer.status_code == 503
    assert "is damaged" in answer.json()["say"][0]


def test_failures_that_the_store_does_not_know(world: World) -> None:
    """What a daemon can't write down its own pages say: the count and the reason, until a poll of anybody has gone well since."""
    metrics = Metrics()
    polled(world, metrics)
    metrics.troubles = {"ataxia": Trouble(3, instant(world.clock.moment + timedelta(minutes=5)), "no room left")}
    ask = client(world, settings_of(world), metrics=metrics)
    found = ask("/healthz")
    assert (found.status_code, found.json()["health"]) == (503, "failing")
    assert [(each["failures"], each["ended"], each["message"]) for each in found.json()["watches"]] == [(3, "failed", "no room left")]
    assert samples(ask("/metrics").text)["trialsync_consecutive_failures", "ataxia"] == 3
    world.clock.moment += timedelta(minutes=10)
    polled(world, metrics)
    assert ask("/healthz").json()["watches"][0]["failures"] == 0


def test_ready_while_the_scheduler_ticks(world: World) -> None:
    """``/readyz`` is 200 where the store opens and the scheduler ticks, where there is one; 503 where it does not."""
    settings = settings_of(world)
    assert client(world, settings)("/readyz").status_code == 200
    assert client(world, settings, ticking=lambda: True)("/readyz").json() == {"ready": True, "say": []}
    still = client(world, settings, ticking=lambda: False)("/readyz")
    assert (still.status_code, still.json()["say"]) == (503, ["the scheduler or the worker hangs; the log says which"])


def test_metrics_count_what_polls_did(world: World) -> None:
    """Polls by how they ended, studies, changes by module, requests by status and the lag from posted to seen are counted over polls."""
    metrics = Metrics()
    polled(world, metrics)
    world.advance()
    polled(world, metrics)
    polled(world, metrics)
    answer = client(world, settings_of(world), metrics=metrics)("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    found = samples(answer.text)
    assert found["trialsync_polls_total", "complete", "ataxia"] == 2
    assert found["trialsync_polls_total", "nothing-new", "ataxia"] == 1
    assert [found["trialsync_studies_total", "ataxia", what] for what in ("new", "updated", "unchanged")] == [2, 1, 1]
    assert found["trialsync_changes_total", "status"] == 2
    assert found["trialsync_requests_total", "200"] == 4
    assert found["trialsync_requests_total", "304"] == 1
    assert found["trialsync_posted_to_seen_seconds_count",] == 1
    assert 12 * 3600 < found["trialsync_posted_to_seen_seconds_sum",] < 24 * 3600
    assert found["trialsync_overdue", "ataxia"] == 0
    assert found["trialsync_watch_studies", "ataxia"] == 2
    assert found["trialsync_store_studies",] == 2
    assert found["trialsync_store_bytes",] >= world.store.stat().st_size
    assert found["trialsync_build_info", str(SCHEMA), __version__] == 1


def test_the_last_success_survives_a_restart(world: World) -> None:
    """A new process, or ``trialsync serve`` without counters, tells the last success of a watch from the store."""
    world.poll()
    for metrics in (Metrics(), None):
        found = samples(client(world, settings_of(world), metrics=metrics)("/metrics").text)
        assert found["trialsync_last_success_timestamp_seconds", "ataxia"] == pytest.approx(world.clock.moment.timestamp(), abs=2)
        assert not any(name == "trialsync_polls_total" for name, *_ in found)


def test_retries_and_their_waits_are_counted(world: World) -> None:
    """Requests that failed and were asked again are counted by status, with the seconds waited; one client is counted once."""
    metrics = Metrics()
    world.sandbox.inject("unavailable", path="/version", times=2)
    polled(world, metrics)
    found = samples(client(world, settings_of(world), metrics=metrics)("/metrics").text)
    assert found["trialsync_requests_total", "503"] == 2
    assert found["trialsync_request_retries_total",] == 2
    assert found["trialsync_request_wait_seconds_total",] >= 3


def test_labels_are_bounded(world: World) -> None:
    """What the registry calls a new module is counted as other, and polls of single studies under one label."""
    metrics = Metrics()
    world.poll()
    world.advance()
    outcome = world.poll()
    with world.registry() as registry:
        strange = replace(outcome, poll=replace(outcome.poll, watch=None), modules={"brand\n{new}": 3, "unheard": 2, "watch": 1})
        metrics.observe(strange, registry)
    found = samples(client(world, settings_of(world), metrics=metrics)("/metrics").text)
    assert found["trialsync_changes_total", "other"] == 5
    assert found["trialsync_changes_total", "watch"] == 1
    assert found["trialsync_polls_total", "complete", "(once)"] == 1


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_the_place_of_the_store_is_not_told(world: World, path: str) -> None:
    """Whoever may ask over the network learns the store's name at most, whether it can be read or not."""
    ask = client(world, settings_of(world))
    folder = str(world.store.parent)
    assert folder not in ask(path).text
    world.store.unlink()
    assert folder not in ask(path).text
