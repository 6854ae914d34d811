"""One pass of one watch: ask for the load, walk the watch, record what arrived, conclude from what did not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog

from trialsync.errors import RegistryError, TrialsyncError
from trialsync.model import Ended, Origin, Poll, instant
from trialsync.registry import query
from trialsync.registry.walk import Walk
from trialsync.study import record
from trialsync.sync.arrivals import Arrival, Joining, Receiver, Tally
from trialsync.sync.presence import follow_up

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from trialsync.model import Watch
    from trialsync.registry.client import Fetched, Registry, RegistryVersion
    from trialsync.store.writer import Writer
    from trialsync.study.diff import BaselineFields

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a poll or an import ended: its row, a sentence for each record left out, what else is worth saying once, and what went wrong."""

    poll: Poll
    skipped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    error: TrialsyncError | None = None


def poll(
    watch: Watch,
    *,
    registry: Registry,
    writer: Writer,
    now: Callable[[], datetime],
    baseline: BaselineFields = "core",
    full: bool = False,
    followed: bool = True,
    accept_removals: bool = False,
    progress: Callable[[int, int | None], None] | None = None,
) -> Outcome:
    """Poll a watch once and return how it ended; a failure of the registry ends the poll, not the caller.

    The load that the last complete poll of the same query saw costs one request and changes nothing (``full`` walks all the same). A load
    older than that one records nothing. ``followed`` is false for studies that are asked for once, outside any watch; ``accept_removals``
    concludes even where a large share of the watch is missing. ``progress`` is told the studies done and the total, where the registry
    counts. Raises StoreError only: then nothing of the page under way is kept, and everything before it is.
    """
    requests_before = registry.requests
    asked = query.canonical(watch)
    started = instant(now())
    name = watch.name if followed else None
    last = writer.last_complete(name, None if followed else asked)
    version: RegistryVersion | None = None
    error: TrialsyncError | None = None
    try:
        version = registry.version()
    except RegistryError as failure:
        error = failure
    load = version.load if version else None
    stamp = version.data_timestamp if version else None
    if followed:
        writer.save_watch(watch, asked)
    poll_id = writer.begin_poll(watch=name, origin=Origin.POLL, load=load, data_timestamp=stamp, query=asked, started=started)
    row = Poll(poll_id, name, Origin.POLL, load, stamp, started, None, None)
    tally = Tally()
    ended = Ended.FAILED
    same_query = last is not None and last.query == asked
    if error is None and last is not None and same_query and not full and stamp is not None and stamp == last.poll.data_timestamp:
        ended = Ended.NOTHING_NEW
    elif error is None and last is not None and load is not None and last.poll.load is not None and load < last.poll.load:
        error = RegistryError(
            f"the registry went back from load {last.poll.load} to {load}",
            hint="nothing was recorded; the next newer load is polled as usual",
        )
    elif error is None:
        joining = Joining(watch.name, writer.members(watch.name), same_query, last.poll.load if last else None) if followed else None
        receiver = Receiver(writer, Origin.POLL, started, baseline, tally, joining)
        try:
            walk = Walk(registry, watch, load=load)
            _walk(walk, receiver, progress)
            load, stamp = walk.load or load, walk.version.data_timestamp if walk.version else stamp
            concluded = load is not None and follow_up(
                watch, walk, registry=registry, receiver=receiver, load=load, accept_removals=accept_removals
            )
            ended = Ended.COMPLETE if concluded else Ended.PARTIAL
        except RegistryError as failure:
            error = failure
            ended = Ended.PARTIAL if tally.studies else Ended.FAILED
    row = replace(row, load=load, data_timestamp=stamp, requests=registry.requests - requests_before)
    return finish(row, ended, tally, error, writer=writer, now=now)


def _walk(walk: Walk, receiver: Receiver, progress: Callable[[int, int | None], None] | None) -> None:
    for page in walk.pages():
        receiver.tally.skipped.extend(sentence for sentence in page.bad if sentence not in receiver.tally.skipped)
        if page.load is not None:
            receiver.page(arrivals(page.studies, page.load))
        elif page.studies:
            receiver.page(arrivals_by_posted(page.studies))
        if progress is not None:
            progress(page.seen, page.total)


def arrivals(fetched: Iterable[Fetched], load: str) -> list[Arrival]:
    """Return what the registry sent, as arrivals of one load."""
    return [Arrival(each.study, each.raw, load) for each in fetched]


def arrivals_by_posted(fetched: Iterable[Fetched]) -> list[Arrival]:
    """Return what the registry sent without any label of its load: each study then stands for its posted date."""
    return [Arrival(each.study, each.raw, record.posted(each.study) or "") for each in fetched]


def finish(row: Poll, ended: Ended, tally: Tally, error: TrialsyncError | None, *, writer: Writer, now: Callable[[], datetime]) -> Outcome:
    """Write a poll's row with its counts, log its one line, and return the outcome."""
    row = replace(
        row,
        finished=instant(now()),
        ended=ended,
        studies=tally.studies,
        new=tally.new,
        updated=tally.updated,
        unchanged=tally.unchanged,
        skipped=len(tally.skipped),
        changes=tally.changes,
        message=str(error) if error else None,
    )
    covered = tally.seen if ended is not Ended.COMPLETE or row.watch is None else tally.seen - writer.members(row.watch)
    if covered:
        writer.cover(row.id, covered)
    writer.end_poll(row)
    log.info(
        "poll.ended" if row.origin is Origin.POLL else "import.ended",
        poll=row.id,
        watch=row.watch,
        load=row.load,
        ended=ended.value,
        studies=row.studies,
        new=row.new,
        updated=row.updated,
        unchanged=row.unchanged,
        skipped=row.skipped,
        changes=row.changes,
        requests=row.requests,
    )
    return Outcome(row, tuple(tally.skipped), tuple(tally.notes), error)
