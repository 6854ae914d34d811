"""What the daemon counts, and how the store stands, in Prometheus' text format.

Counters begin with the process, as Prometheus expects. What has to survive a restart (the last success of each watch above all) is read
from the store at each scrape. Labels are bounded: names of watches, words of our own, modules of the vocabulary, HTTP statuses.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily
from prometheus_client.registry import Collector

from trialsync import __version__
from trialsync.model import is_day
from trialsync.study.fields import FIELDS
from trialsync.sync.health import NO_TROUBLE
from trialsync.sync.nightly import COPY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from prometheus_client.metrics_core import Metric

    from trialsync.registry.client import Registry
    from trialsync.sync.health import Health, Trouble
    from trialsync.sync.poll import Outcome

CONTENT_TYPE: Final = prometheus_client.CONTENT_TYPE_LATEST

ONCE: Final = "(once)"
"""The label of polls outside any watch; no watch can have this name."""

MODULES: Final = frozenset({field.name.partition(".")[0] for field in FIELDS} | {"registry", "watch"})
"""The first words of field names; whatever the registry may call a new module counts as ``other``."""

_HALF_DAY: Final = 43_200.0
_LAGS: Final = tuple(_HALF_DAY * halves for halves in (1, 2, 3, 4, 6, 8, 10, 14, 28, 60, 180))

_READABLE: Final = "1 where the store can be read; where it is 0, nothing else is known of it"
_FAILURES: Final = "Polls of a watch in a row that failed or stayed partial, but for those that were asked to stop"

# Each counter would have a second series with the time when it was made.
prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics:
    """The counters of one process. Safe to feed from one thread and to read from others.

    ``troubles`` has, by watch, the failures in a row that the store may not know of, as it can't be written.
    """

    def __init__(self) -> None:
        self.troubles: Mapping[str, Trouble] = NO_TROUBLE
        self._registry = CollectorRegistry()
        # Memory, file descriptors and processor time of this process, where the system tells them.
        ProcessCollector(registry=self._registry)
        self._polls = self._counter("polls", "Polls, by how they ended", "watch", "ended")
        self._studies = self._counter("studies", "Studies that polls saw, by what they were: new, updated, unchanged", "watch", "what")
        self._skipped = self._counter("skipped", "Records that polls could not use", "watch")
        self._changes = self._counter("changes", "Rows of the change log recorded, the baseline left out, by module", "module")
        self._requests = self._counter("requests", "Requests to the registry, by HTTP status; none for those without an answer", "status")
        self._retries = self._counter("request_retries", "Requests that were asked again")
        self._waited = self._counter("request_wait_seconds", "Seconds waited before requests: the pace that is kept, and before retries")
        self._lag = Histogram(
            "trialsync_posted_to_seen_seconds",
            "From the beginning of the day (UTC) on which an update was posted until we saw it",
            buckets=_LAGS,
            registry=self._registry,
        )
        self._asked: WeakKeyDictionary[Registry, dict[str, float]] = WeakKeyDictionary()

    def _counter(self, name: str, says: str, *labels: str) -> Counter:
        return Counter(f"trialsync_{name}", says, labels, registry=self._registry)

    def observe(self, outcome: Outcome, registry: Registry) -> None:
        """Count a poll that ended, and what the registry's client did since it was last handed in."""
        poll = outcome.poll
        watch = ONCE if poll.watch is None else poll.watch
        if poll.ended is not None:
            self._polls.labels(watch, poll.ended.value).inc()
        for what, number in (("new", poll.new), ("updated", poll.updated), ("unchanged", poll.unchanged)):
            self._studies.labels(watch, what).inc(number)
        self._skipped.labels(watch).inc(poll.skipped)
        for module, number in outcome.modules.items():
            self._changes.labels(module if module in MODULES else "other").inc(number)
        for lag in outcome.lags:
            self._lag.observe(lag)
        self._count_requests(registry)

    def _count_requests(self, registry: Registry) -> None:
        # The client counts since it was made, and one client may serve many polls.
        now = {str(status): float(number) for status, number in registry.answers.items()}
        now["none"] = float(registry.requests - registry.answers.total())
        before = self._asked.get(registry, {})
        for status, number in now.items():
            self._requests.labels(status).inc(max(0.0, number - before.get(status, 0.0)))
        self._retries.inc(registry.retries - before.get("retries", 0.0))
        self._waited.inc(registry.waited - before.get("waited", 0.0))
        self._asked[registry] = {**now, "retries": float(registry.retries), "waited": registry.waited}

    def text(self, health: Health | None) -> bytes:
        """Return the counters, and the store's health as gauges, in Prometheus' text format; ``None`` for a store that can't be read."""
        return generate_latest(self._registry) + (_text(_Unread(self.troubles)) if health is None else store_text(health))


def store_text(health: Health | None) -> bytes:
    """Return the store's health alone in Prometheus' text format, as ``trialsync serve`` shows it, which polls nothing itself."""
    return _text(_Unread(NO_TROUBLE) if health is None else _OfTheStore(health))


def _text(collector: Collector) -> bytes:
    registry = CollectorRegistry()
    registry.register(collector)
    return generate_latest(registry)


class _Unread(Collector):
    """What is known where the store can't be read."""

    def __init__(self, troubles: Mapping[str, Trouble]) -> None:
        self._troubles = troubles

    def collect(self) -> Iterator[Metric]:
        yield _gauge("store_readable", _READABLE, 0)
        failures = GaugeMetricFamily("trialsync_consecutive_failures", _FAILURES, labels=["watch"])
        for name, trouble in self._troubles.items():
            if name != COPY:
                failures.add_metric([name], trouble.failures)
        yield failures


class _OfTheStore(Collector):
    """Gauges that are read from the store at each scrape."""

    def __init__(self, health: Health) -> None:
        self._health = health

    def collect(self) -> Iterator[Metric]:
        health = self._health
        yield InfoMetricFamily("trialsync_build", "Which trialsync this is", {"version": __version__, "schema": str(health.schema)})
        yield _gauge("store_readable", _READABLE, 1)
        yield _gauge("store_writable", "0 where this process can't write to the store, and should", int(health.unwritable is None))
        yield _gauge("store_bytes", "The store's size on the disk, its write-ahead log included", health.bytes)
        yield _gauge("store_studies", "Studies in the store", health.studies)
        yield _gauge("store_versions", "Versions of studies in the store", health.versions)
        yield _gauge("store_cursor", "The id of the last change ever recorded", health.last_id)
        yield _gauge("store_writing", "1 while a process holds the store for writing", int(health.holder is not None))
        yield _gauge(
            "registry_stale", "1 where the registry was asked and showed no new load for three weekdays", int(health.registry_stale)
        )
        if is_day(health.load):
            label = datetime.fromisoformat(health.load).replace(tzinfo=UTC)
            yield _gauge("registry_load_timestamp_seconds", "The day (00:00 UTC) that labels the last load", label.timestamp())
        if health.backup is not None:
            yield _gauge("backup_overdue", "1 where a nightly copy of the store is late", int(health.backup.overdue))
            if health.backup.made is not None:
                made = datetime.fromisoformat(health.backup.made).timestamp()
                yield _gauge("last_backup_timestamp_seconds", "When the newest nightly copy of the store was made", made)
        success = GaugeMetricFamily(
            "trialsync_last_success_timestamp_seconds",
            "When the last poll of a watch ended complete or found nothing new",
            labels=["watch"],
        )
        overdue = GaugeMetricFamily("trialsync_overdue", "1 where a watch should have completed a poll and has not", labels=["watch"])
        failures = GaugeMetricFamily("trialsync_consecutive_failures", _FAILURES, labels=["watch"])
        members = GaugeMetricFamily("trialsync_watch_studies", "Studies that are in a watch now", labels=["watch"])
        seen = GaugeMetricFamily(
            "trialsync_seen_since_timestamp_seconds",
            "The day (00:00 UTC) of the load which, or a later one, showed each study of a watch",
            labels=["watch"],
        )
        for watch in health.watches:
            if is_day(watch.seen_since):
                seen.add_metric([watch.name], datetime.fromisoformat(watch.seen_since).replace(tzinfo=UTC).timestamp())
            if watch.last_success is not None:
                success.add_metric([watch.name], datetime.fromisoformat(watch.last_success).timestamp())
            overdue.add_metric([watch.name], int(watch.overdue))
            failures.add_metric([watch.name], watch.failures)
            members.add_metric([watch.name], watch.members)
        yield from (success, overdue, failures, members, seen)


def _gauge(name: str, says: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"trialsync_{name}", says, value=value)
