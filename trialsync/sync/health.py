"""Is it doing its work: a decision over what the store says and the settings. Nothing is asked of the registry, nothing is written.

Two alarms are kept apart. *Overdue* is ours: no poll of a watch has completed for too long. *Registry stale* is theirs: we asked, and the
registry still showed a load that three weekdays have passed since. Where we did not ask, nothing is known of the registry, and nothing
said.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from trialsync.model import Ended, instant, is_day
from trialsync.store.lock import is_anothers, why_unwritable
from trialsync.store.rows import sound
from trialsync.sync.nightly import COPY, CopyHealth, copy_health

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from trialsync.errors import StoreError
    from trialsync.settings import Settings, WatchTable
    from trialsync.store.lock import Holder
    from trialsync.store.reader import Reader
    from trialsync.store.standing import Standing, WatchStanding

GRACE: Final = timedelta(hours=1)
"""So long after its schedule's time, jitter aside, a poll may take to begin and to end before its watch can be overdue."""

FAILURES: Final = 3
"""After so many polls in a row that failed or stayed partial a watch is failing, though it may not be overdue yet."""

SILENT_DAYS: Final = 3
"""After so many weekdays without a new load the registry is stale."""

_PUBLISHED: Final = time(14, 0, tzinfo=UTC)
_WEEKEND: Final = 5


class Word(StrEnum):
    """Health in a word; where several hold, the first of these that does, as they stand from the last to the first."""

    OK = "ok"
    REGISTRY_STALE = "registry-stale"
    FAILING = "failing"
    OVERDUE = "overdue"
    UNWRITABLE = "unwritable"
    STORE = "store"

    @property
    def exit_code(self) -> int:
        """Return the exit code of ``trialsync health``; a store that can't be read has its error's own."""
        return {Word.OK: 0, Word.FAILING: 3, Word.OVERDUE: 3, Word.REGISTRY_STALE: 4, Word.UNWRITABLE: 2, Word.STORE: 6}[self]


@dataclass(frozen=True, slots=True)
class Trouble:
    """What a daemon knows of a watch that the store may not know: how many polls in a row failed, the last at a UTC instant, and why."""

    failures: int
    at: str
    message: str | None


NO_TROUBLE: Final[Mapping[str, Trouble]] = MappingProxyType({})
"""What is known without a daemon."""


@dataclass(frozen=True, slots=True)
class WatchHealth:
    """How a watch of the settings stands. Instants are UTC and end in ``Z``, ``age`` is seconds since ``last_success``.

    ``last_success`` is the end of the last poll that ended complete or found nothing new, ``load`` its load. Of a large watch a load shows
    what moved and a share: ``seen_since`` is the load (ISO day) which, or a later one, showed each of the studies. ``next_due`` is when the
    schedule wants the next poll after it, ``overdue_from`` when the watch counts as overdue. ``failures`` counts the polls since then that
    failed or stayed partial, but for those that were asked to stop; ``ended`` and ``message`` are of the last poll that ended at all.
    """

    name: str
    members: int
    last_success: str | None
    load: str | None
    seen_since: str | None
    age: float | None
    next_due: str | None
    overdue_from: str | None
    overdue: bool
    failures: int
    ended: str | None
    message: str | None


@dataclass(frozen=True, slots=True)
class Health:
    """The health of a store and what follows it, at the UTC instant ``at``. ``load`` is the last the registry named, ``heard`` when it did.

    ``unwritable`` says why the store can't be written, ``backup`` how its nightly copies stand, None where none are wanted.
    ``stale_from`` is the instant from which on the same load makes the registry stale. ``bytes`` has the store's write-ahead log in it.
    ``holder`` is who writes at this moment.
    """

    word: Word
    at: str
    watches: tuple[WatchHealth, ...]
    load: str | None
    heard: str | None
    stale_from: str | None
    registry_stale: bool
    store: str
    bytes: int
    schema: int
    studies: int
    versions: int
    last_id: int
    holder: Holder | None
    unwritable: str | None = None
    backup: CopyHealth | None = None

    def json(self) -> dict[str, Any]:
        """Return the same as a JSON object; the word stands under ``health``, sentences that say what to do under ``say``."""
        found = asdict(replace(self, watches=()))
        word = found.pop("word")
        watches = [asdict(watch) for watch in self.watches]
        return {"health": word.value, **found, "watches": watches, "say": list(advice(self))}


def health(
    reader: Reader, settings: Settings, now: datetime, *, troubles: Mapping[str, Trouble] = NO_TROUBLE, writes: bool = True
) -> Health:
    """Return how the store and the watches of the settings stand at an instant (aware, UTC). Raises StoreError.

    ``troubles`` is what the daemon that asks knows by itself, by watch. ``writes`` is false for who only reads: that it can't write is
    right then, as it is for another user than the store's.

    A watch is overdue when, since its last poll that ended complete or found nothing new, ``[health] overdue_after`` has passed and the
    time that its schedule names has come and an hour gone by. So a watch that cron polls once a day is not late because ``[schedule]`` is
    hourly by default, one with a schedule of weekdays is not late on Sunday, and a weekly one not on Tuesday. A watch without such a poll
    counts from its first poll; where it has none, from when the store was made or the settings last written, whichever is later.
    """
    stands = reader.standing()
    watches = tuple(_with(_watch(table, settings, stands, now), troubles.get(table.name)) for table in settings.tables)
    copies = _copies(settings, stands, now, troubles.get(COPY))
    unwritable = why_unwritable(stands.path) if writes and not is_anothers(stands.path) else None
    heard = stands.heard
    stale_from = stale_after(heard.load) if heard is not None else None
    stale = heard is not None and stale_from is not None and _moment(heard.started) >= stale_from
    holds = {
        Word.UNWRITABLE: unwritable is not None,
        Word.OVERDUE: any(watch.overdue for watch in watches) or (copies is not None and copies.overdue),
        Word.FAILING: any(watch.failures >= FAILURES for watch in watches),
        Word.REGISTRY_STALE: stale,
    }
    return Health(
        word=next((word for word, held in holds.items() if held), Word.OK),
        at=instant(now),
        watches=watches,
        load=heard.load if heard else None,
        heard=heard.started if heard else None,
        stale_from=instant(stale_from) if stale_from else None,
        registry_stale=stale,
        store=str(stands.path),
        bytes=stands.bytes,
        schema=stands.schema,
        studies=stands.studies,
        versions=stands.versions,
        last_id=stands.last_id,
        holder=stands.holder,
        unwritable=unwritable,
        backup=copies,
    )


def _with(watch: WatchHealth, trouble: Trouble | None) -> WatchHealth:
    """Return a watch's health with what failed before it could have a row in the store."""
    if trouble is None or trouble.at <= (watch.last_success or "") or trouble.failures <= watch.failures:
        return watch
    return replace(watch, failures=trouble.failures, ended=Ended.FAILED.value, message=trouble.message)


def _copies(settings: Settings, stands: Standing, now: datetime, trouble: Trouble | None) -> CopyHealth | None:
    found = copy_health(settings, _moment(stands.made) if stands.made else None, now)
    if found is None or trouble is None or trouble.at <= (found.made or ""):
        return found
    return replace(found, message=trouble.message)


def stale_after(load: str | None) -> datetime | None:
    """Return the UTC instant from which on a load (ISO day) without a successor makes the registry stale; None where it is no day.

    Loads are labelled by their weekday and stand by 14:00 UTC of it, as the registry says of itself. Three weekdays (Monday to Friday)
    after the label have to pass without one. The registry also skips US federal holidays, which are not known here, and now and then a
    weekday; three in a row is more than either explains.
    """
    if not is_day(load):
        return None
    day, left = date.fromisoformat(load), SILENT_DAYS
    while left:
        day += timedelta(days=1)
        left -= day.weekday() < _WEEKEND
    return datetime.combine(day, _PUBLISHED)


def _watch(table: WatchTable, settings: Settings, stands: Standing, now: datetime) -> WatchHealth:
    # A watch with a new name goes on under the old one until the next sync.
    known = stands.watches.get(table.name) or (stands.watches.get(table.was) if table.was else None)
    success = known.success if known else None
    finished = success.finished or success.started if success else None
    since = _moment(finished) if finished else _first_sight(known, settings, stands)
    schedule = table.schedule or settings.schedule
    due = schedule.due_after(since) if since else None
    late = max(due + (schedule.jitter or timedelta()) + GRACE, since + settings.health.overdue_after) if due and since else None
    last = known.last if known else None
    return WatchHealth(
        name=table.name,
        members=known.members if known else 0,
        last_success=finished,
        load=success.load if success else None,
        seen_since=known.seen.oldest if known and known.seen else None,
        age=round((now - since).total_seconds(), 3) if finished and since else None,
        next_due=instant(due) if due else None,
        overdue_from=instant(late) if late else None,
        overdue=late is not None and now > late,
        failures=known.failures if known else 0,
        ended=last.ended.value if last and last.ended else None,
        message=last.message if last else None,
    )


def _first_sight(known: WatchStanding | None, settings: Settings, stands: Standing) -> datetime | None:
    """Return from when on a watch without a successful poll could have had one; None where nothing says so."""
    if known is not None:
        return _moment(known.since)
    return max(filter(None, (_moment(stands.made) if stands.made else None, settings.written)), default=None)


def _moment(text: str) -> datetime:
    with sound("a poll's row"):
        return datetime.fromisoformat(text)


def advice(found: Health) -> Iterator[str]:
    """Yield a sentence for each thing that is wrong, with what to do; nothing where all is well."""
    for watch in found.watches:
        times = "one" if watch.failures == 1 else f"{watch.failures} in a row"
        why = f"; the last {times} ended {watch.ended}{f': {watch.message}' if watch.message else ''}" if watch.failures else ""
        if watch.overdue:
            since = f"since {_minute(watch.last_success)}" if watch.last_success else "yet"
            yield (
                f"{watch.name}: no poll has completed {since}{why or '; is trialsync run, or sync in cron or a timer, still at work?'} "
                f"(trialsync sync {watch.name} polls it now)"
            )
        elif watch.failures:
            yield f"{watch.name}: polled in vain{why}; overdue at {_minute(watch.overdue_from)}"
    if found.backup is not None and (found.backup.overdue or found.backup.message):
        last = f"the last, {found.backup.file}, was made at {_minute(found.backup.made)}" if found.backup.file else "there is none yet"
        yield (
            f"the nightly copies in {found.backup.folder}: {last}"
            f"{'; the next one failed: ' + found.backup.message if found.backup.message else '; is trialsync run still at work?'} "
            "(trialsync backup PATH makes one now)"
        )
    if found.unwritable is not None:
        yield f"nothing can be recorded: {found.unwritable} (check permissions, the disk, and the folder it lies in)"
    if found.registry_stale:
        yield (
            f"the registry still had load {found.load} when it was asked at {_minute(found.heard)}, {SILENT_DAYS} weekdays or more "
            "after it; nothing is wrong here: https://clinicaltrials.gov may say why"
        )


def _minute(text: str | None) -> str:
    return f"{text[:16].replace('T', ' ')}Z" if text else ""


def broken(error: StoreError, troubles: Mapping[str, Trouble] = NO_TROUBLE) -> dict[str, Any]:
    """Return the health of a store that can't be read, as the JSON object of ``Health``: the word, the sentence, and what else is known."""
    known = [{"name": name, "failures": each.failures, "message": each.message} for name, each in troubles.items() if name != COPY]
    return {"health": Word.STORE.value, **({"watches": known} if known else {}), "say": [str(error)]}
