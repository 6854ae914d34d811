"""One pass of one watch: ask for the load, walk the watch, record what arrived, conclude from what did not."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog

from trialsync.errors import DataChanged, RegistryError, RegistryUnavailable, Stopped, StoreError, StoreUnwritable
from trialsync.model import Ended, Origin, Poll, instant
from trialsync.registry import query
from trialsync.registry.walk import Walk
from trialsync.study import record
from trialsync.study.nct_set import NctSet
from trialsync.sync.arrivals import Arrival, Joining, Receiver
from trialsync.sync.garbage import few_collections
from trialsync.sync.moved import can_be_narrowed, import_lacks, plan, walk_moved
from trialsync.sync.presence import follow_up, unseen_of
from trialsync.sync.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import datetime

    from trialsync.errors import TrialsyncError
    from trialsync.model import Progress, Watch
    from trialsync.registry.client import Fetched, Registry, RegistryVersion
    from trialsync.store.writer import Writer
    from trialsync.study.diff import BaselineFields
    from trialsync.sync.moved import Take
    from trialsync.sync.presence import Unseen

log = structlog.get_logger()


_NAMED: Final = 5
"""At most so many studies, or fields, are named in a sentence."""

RESTARTS: Final = 2
"""How often a pass over what moved begins again because a new load arrived under way; a whole walk has restarts of its own."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How polls go about it: the settings that they take.

    Watches with more than ``incremental_above`` members are walked by what moved, and swept whole within ``sweep_days``. More than the
    share ``largest_loss`` of a watch gone at once concludes nothing.
    """

    baseline: BaselineFields = "core"
    incremental_above: int = 5000
    sweep_days: int = 7
    largest_loss: float = 0.2


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a poll or an import ended.

    ``poll`` is its row; ``skipped`` has a sentence for each record left out, ``notes`` what else is worth saying once;
    ``previous_load`` is the load (ISO day) of the last complete poll before; ``error`` is what
    went wrong. ``older`` counts those of the skipped that are only older than what the store has. ``modules`` counts the changes by the
    first word of their field, ``lags`` are the seconds from posted to seen of each update.
    """

    poll: Poll
    skipped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    previous_load: str | None = None
    error: TrialsyncError | None = None
    older: int = 0
    modules: Mapping[str, int] = field(default_factory=dict)
    lags: tuple[float, ...] = ()


@few_collections()
def poll(
    watch: Watch,
    *,
    registry: Registry,
    writer: Writer,
    now: Callable[[], datetime],
    policy: Policy = Policy(),
    full: bool = False,
    followed: bool = True,
    accept_removals: bool = False,
    progress: Progress | None = None,
    stop: Callable[[], bool] | None = None,
) -> Outcome:
    """Poll a watch once and return how it ended; a failure of the registry ends the poll, not the caller.

    The load that the last complete poll of the same query saw costs one request and changes nothing (``full`` walks all the same). A load
    older than that one records nothing. A poll that skips more records than the one before it is partial, so that they are asked for again
    at once; where they stay unusable they do not keep the watch from being complete. ``followed`` is false for studies that are asked for
    once, outside any watch; ``accept_removals`` concludes even where a large share of the watch is missing. ``progress`` is told the
    studies done and the total, where the registry counts, of each part of the work. ``stop`` is asked after each page that was committed:
    once it says so, or the registry's client is interrupted, the poll ends partial, or failed where it saw nothing. Raises StoreError only:
    then nothing of the page under way is kept, and everything before it is.
    """
    requests_before = registry.requests
    asked = query.canonical(watch)
    started = instant(now())
    name = watch.name if followed else None
    last = writer.last_complete(name, None if followed else asked)
    before = last.poll if last is not None else None
    same_query = last is not None and last.query == asked
    if followed:
        writer.save_watch(watch, asked)
    poll_id = writer.begin_poll(watch=name, origin=Origin.POLL, load=None, data_timestamp=None, query=asked, started=started)
    row = Poll(poll_id, name, Origin.POLL, None, None, started, None, None)
    tally = Tally()
    ended = Ended.FAILED
    error: TrialsyncError | None = None
    bound = structlog.contextvars.bind_contextvars(poll=poll_id, watch=watch.name)
    try:
        tag = before.etag if before is not None and same_query and not full else None
        version = registry.version(tag)
        row = _of_version(row, version, before)
        if version is None or (before is not None and same_query and not full and _is_same_load(row, before)):
            ended = Ended.NOTHING_NEW
        elif before is not None and _went_back(row, before):
            raise _backwards(before.data_timestamp or before.load, row.data_timestamp or row.load)
        else:
            shown = before.load if before else None
            begun = writer.begun_by_import(watch.name, asked)
            joining = Joining(watch.name, writer.members(watch.name), same_query, shown, shown, begun=begun) if followed else None
            receiver = Receiver(writer, Origin.POLL, started, policy.baseline, tally, joining)
            row, concluded = _pass(
                watch,
                row,
                before if same_query and not full else None,
                registry,
                receiver,
                policy,
                partial(_record, progress=progress, stop=stop, oldest=max(filter(None, (shown, row.load)), default=None)),
                may_skip=writer.skipped_before(name, asked),
                accept_removals=accept_removals,
            )
            ended = Ended.COMPLETE if concluded else Ended.PARTIAL
    except (RegistryError, Stopped) as failure:
        error = failure
        ended = Ended.PARTIAL if tally.studies else Ended.FAILED
    except StoreUnwritable as failure:
        # A disk that is too full for a page often takes a row. Of what the pages before held it says nothing, like one that was killed.
        with suppress(StoreError):
            writer.end_poll(replace(row, finished=instant(now()), ended=Ended.FAILED, message=str(failure)))
        raise
    finally:
        structlog.contextvars.reset_contextvars(**bound)
    row = replace(row, requests=registry.requests - requests_before)
    return finish(row, ended, tally, error, writer=writer, now=now, previous_load=before.load if before else None)


def failed_at_once(name: str, error: TrialsyncError, *, writer: Writer, now: Callable[[], datetime]) -> Outcome:
    """Write down a poll of a watch that could not begin to ask, and return the outcome. Raises StoreError."""
    started = instant(now())
    writer.name_watch(name)
    number = writer.begin_poll(watch=name, origin=Origin.POLL, load=None, data_timestamp=None, query=None, started=started)
    return finish(Poll(number, name, Origin.POLL, None, None, started, None, None), Ended.FAILED, Tally(), error, writer=writer, now=now)


def _of_version(row: Poll, version: RegistryVersion | None, before: Poll | None) -> Poll:
    """Return a poll's row with what ``/version`` said; ``None`` says that it is what it was before."""
    if version is None:
        return replace(row, load=before.load, data_timestamp=before.data_timestamp, etag=before.etag) if before else row
    return replace(row, load=version.load, data_timestamp=version.data_timestamp, etag=version.etag)


def _is_same_load(row: Poll, before: Poll) -> bool:
    """Return whether the whole data timestamp is that of the poll before; one that does not parse never closes the gate."""
    return row.data_timestamp is not None and row.data_timestamp == before.data_timestamp


def _went_back(row: Poll, before: Poll) -> bool:
    if row.data_timestamp is not None and before.data_timestamp is not None:
        return row.data_timestamp < before.data_timestamp
    return row.load is not None and before.load is not None and row.load < before.load


def _backwards(before: str | None, now: str | None) -> RegistryError:
    return RegistryUnavailable(
        f"the registry went back from its data of {before} to {now}",
        hint="nothing was recorded; the next newer load is polled as usual",
    )


def _pass(
    watch: Watch,
    row: Poll,
    before: Poll | None,
    registry: Registry,
    receiver: Receiver,
    policy: Policy,
    take: Take,
    *,
    may_skip: int,
    accept_removals: bool,
) -> tuple[Poll, bool]:
    """Walk a watch, whole or by what moved since ``before``, and conclude; return the row, and whether it could be concluded.

    Where more than ``may_skip`` records were skipped, it could not: they are asked for again.
    """
    if before is not None and receiver.joining is not None and before.origin is Origin.IMPORT and before.load is not None:
        lacking = import_lacks(watch, registry, len(receiver.joining.members), before.load)
        if lacking:
            # What the import did not have is no news: it is seen for the first time.
            receiver.tally.notes.append(f"{watch.name}: the import lacked {lacking:,} of its studies; they join it without a row")
            before = None
    writer, joining = receiver.writer, receiver.joining
    large = joining is not None and len(joining.members) > policy.incremental_above and can_be_narrowed(watch)
    slices = writer.slices(watch.name) if large else []
    since = before.load if before is not None and slices and row.load is not None else None

    if since is not None:
        row, unseen = _moved(watch, row, since, registry, receiver, policy.sweep_days, take)
    else:
        walk = Walk(registry, watch, load=row.load)
        take(walk, receiver, "")
        row = replace(row, load=walk.load or row.load)
        row = _of_version(row, walk.version, None) if walk.version else row
        unseen = unseen_of(watch, walk, receiver)
    if row.load is None:
        return row, False
    concluded = follow_up(
        watch,
        unseen,
        registry=registry,
        receiver=receiver,
        load=row.load,
        accept_removals=accept_removals,
        largest_loss=policy.largest_loss,
    )
    concluded = concluded and len(receiver.tally.skipped) <= may_skip
    if concluded and unseen.swept:
        swept = {part.place for part in unseen.swept}
        receiver.tally.slices = [replace(part, swept=row.load) if part.place in swept else part for part in slices]
    elif concluded and since is None and joining is not None and len(joining.members) > policy.incremental_above and can_be_narrowed(watch):
        planned = plan(writer.members_posted(watch.name), policy.sweep_days)
        receiver.tally.slices = [replace(part, swept=row.load) for part in planned]
    return row, concluded


def _moved(watch: Watch, row: Poll, since: str, registry: Registry, receiver: Receiver, sweep_days: int, take: Take) -> tuple[Poll, Unseen]:
    """Walk what moved, again from the start where a new load arrives under way."""
    for restart in range(RESTARTS + 1):
        if row.load is None or row.load < since:
            raise DataChanged("the registry does not say which load it has", hint="ask again later")
        try:
            unseen = walk_moved(watch, registry=registry, receiver=receiver, load=row.load, since=since, sweep_days=sweep_days, take=take)
            return replace(row, whole=False), unseen
        except DataChanged:
            if restart == RESTARTS:
                raise
            receiver.tally.seen.clear()
            newer = _of_version(row, registry.version(), None)
            if _went_back(newer, row):
                raise _backwards(row.data_timestamp or row.load, newer.data_timestamp or newer.load) from None
            row = newer
    raise AssertionError  # the last restart returned or raised


def _record(
    walk: Walk, receiver: Receiver, part: str, *, progress: Progress | None, stop: Callable[[], bool] | None, oldest: str | None
) -> None:
    """Take a walk to its end, committing each page; raise where it shows a load before ``oldest``.

    What this walk had seen when a new load made it start over says nothing of that load: it is seen again, or was not shown.
    """
    restarts, seen_before = 0, NctSet(receiver.tally.seen)
    for page in walk.pages():
        if page.restarts > restarts:
            receiver.tally.seen.intersection_update(seen_before)
            restarts = page.restarts
        if oldest is not None and page.load is not None and page.load < oldest:
            raise _backwards(oldest, page.load)
        receiver.tally.skipped.extend(sentence for sentence in page.bad if sentence not in receiver.tally.skipped)
        if page.load is not None:
            receiver.page(arrivals(page.studies, page.load))
        elif page.studies:
            receiver.page(arrivals_by_posted(page.studies))
        if progress is not None:
            progress(page.seen, page.total, part)
        if stop is not None and stop():
            raise Stopped


def arrivals(fetched: Iterable[Fetched], load: str) -> list[Arrival]:
    """Return what the registry sent, as arrivals of one load."""
    return [Arrival(each.study, each.raw, load) for each in fetched]


def arrivals_by_posted(fetched: Iterable[Fetched]) -> list[Arrival]:
    """Return what the registry sent without any label of its load: each study then stands for its posted date."""
    return [Arrival(each.study, each.raw, record.posted(each.study) or "") for each in fetched]


def finish(
    row: Poll,
    ended: Ended,
    tally: Tally,
    error: TrialsyncError | None,
    *,
    writer: Writer,
    now: Callable[[], datetime],
    previous_load: str | None = None,
) -> Outcome:
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
        never=len(tally.never),
        changes=tally.changes,
        message=str(error) if error else None,
    )
    covered = tally.seen if ended is not Ended.COMPLETE or row.watch is None or not row.whole else tally.seen - writer.members(row.watch)
    if covered:
        writer.cover(row.id, covered)
    if ended is Ended.COMPLETE and row.watch is not None and row.whole:
        writer.unshown(row.id, writer.members(row.watch) - tally.seen)
    writer.end_poll(row, tally.slices)
    _log_end(row, ended, stopped=isinstance(error, Stopped))
    notes = (
        *_membership("joined the watch", tally.joined),
        *_membership("left the watch, and stay followed", tally.left),
        *tally.notes,
        *_of_fields(tally, writer, row.load),
        *_of_the_registry(tally, writer, row),
    )
    return Outcome(row, tuple(tally.skipped), notes, previous_load, error, tally.older, dict(tally.modules), tuple(tally.lags))


def _log_end(row: Poll, ended: Ended, *, stopped: bool) -> None:
    """Log a poll's one line; one that had nothing to look at has no counts, of which each would be 0."""
    counted = ("studies", "new", "updated", "unchanged", "skipped", "changes") if ended is not Ended.NOTHING_NEW else ()
    well = stopped or ended in {Ended.COMPLETE, Ended.NOTHING_NEW}
    log.log(
        logging.INFO if well else logging.WARNING,
        "poll.ended" if row.origin is Origin.POLL else "import.ended",
        poll=row.id,
        watch=row.watch,
        load=row.load,
        ended=ended.value,
        **{name: getattr(row, name) for name in counted},
        requests=row.requests,
        **({"error": row.message} if row.message else {}),
    )


def _of_fields(tally: Tally, writer: Writer, load: str | None) -> Iterator[str]:
    """Yield, once for each field, what the registry added to its records or took from them without a word."""
    unknown = [path for path in sorted(tally.drifted) if writer.first_time(f"unknown {path}")]
    if unknown:
        log.info("vocabulary.drift", paths=unknown)
        yield f"the registry has fields that trialsync does not know; they are kept, and compared under their own names: {_some(unknown)}"
    vanished = tally.losses.vanished(tally.seen, writer)
    lost = {name: count for name, count in vanished.items() if writer.first_time(f"vanished {name}")}
    if lost:
        log.warning("vocabulary.vanished", fields=sorted(lost), load=load, studies=max(lost.values()))
        yield (
            f"the registry itself took fields away from most studies that had them, {max(lost.values()):,} in load {load}: "
            f"{_some(sorted(lost))}; the rows are recorded all the same"
        )


def _of_the_registry(tally: Tally, writer: Writer, row: Poll) -> Iterator[str]:
    """Yield, once for each load, field and kind, what the registry itself changed in many studies at once.

    The load of this poll is looked at even where nothing changed in it: the poll before may have been killed before it got here.
    """
    loads = tally.by_registry | ({row.load} if row.load is not None and row.ended is not Ended.NOTHING_NEW else set())
    for load in sorted(loads):
        for notice in writer.notice(load, row.finished or row.started):
            log.info("registry.rewrote", load=load, field=notice.field, kind=notice.kind.value, studies=notice.studies)
            yield f"{notice.text}; each has its row"


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return f"{', '.join(names[:_NAMED])}{more}"


def _membership(what: str, numbers: list[str]) -> Iterator[str]:
    """Yield a sentence on the studies that entered or left a watch, the first few by number."""
    if numbers:
        yield f"{what}: {_some(sorted(numbers))}"
