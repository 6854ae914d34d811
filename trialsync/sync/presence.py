"""What became of the studies that a complete walk did not show: they left the watch, were merged, or were removed.

Only the registry can say that something is gone: a study counts as removed when the registry's own sentence says so on two different loads.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from trialsync.errors import DataChanged, RecordError, StudyNotFound
from trialsync.model import By, Kind, Presence, Watch
from trialsync.registry.query import narrowed
from trialsync.registry.walk import Walk
from trialsync.study import record
from trialsync.study.nct_set import NctSet
from trialsync.sync.arrivals import Arrival, membership_change, presence_change

if TYPE_CHECKING:
    from collections.abc import Collection, Container, Iterable

    from trialsync.model import Change, Slice, Study
    from trialsync.registry.client import Fetched, Registry
    from trialsync.store.rows import Known
    from trialsync.sync.arrivals import Joining, Receiver

NAMED_IN_A_QUERY: Final = 50
"""At most so many numbers stand in one query; the registry calls a longer one too complicated."""

MASS_FROM: Final = 10
"""Watches smaller than this are below any share."""

_NUMBER: Final = re.compile(r"NCT\d{8}", re.ASCII)


@dataclass(slots=True)
class _Found:
    """What the registry said of the studies that were looked up by their numbers."""

    there: dict[str, Fetched] = field(default_factory=dict)
    merged: dict[str, Fetched] = field(default_factory=dict)
    gone: list[str] = field(default_factory=list)
    unusable: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Unseen:
    """Studies that should have been shown and were not: ``missing`` members of the watch, ``former`` ones that stay followed.

    ``never`` are numbers that were asked for and are in no store yet; ``aliases`` maps numbers asked to those they were answered under;
    ``swept`` are the parts of a large watch that were walked to their end, ``emptied`` counts the members of those of MASS_FROM or more in
    which the registry finds none; ``swept_before`` says which load (ISO day) showed a study's part before, ``in_parts`` whether only parts
    were walked.
    """

    missing: NctSet = field(default_factory=NctSet)
    former: set[str] = field(default_factory=set)
    never: set[str] = field(default_factory=set)
    aliases: dict[str, str] = field(default_factory=dict)
    swept: list[Slice] = field(default_factory=list)
    swept_before: dict[str, str] = field(default_factory=dict)
    in_parts: bool = False
    emptied: int = 0


def unseen_of(watch: Watch, walk: Walk, receiver: Receiver) -> Unseen:
    """Return what a whole walk should have shown and did not."""
    writer, tally, joining = receiver.writer, receiver.tally, receiver.joining
    known = NctSet(writer.known(walk.missing))
    members = joining.members if joining else known
    left = writer.left(watch.name) if joining and not watch.nct_ids else set()
    if joining and watch.nct_ids:
        members = _without_dropped(watch, walk, receiver, joining)
    return Unseen(
        missing=members - tally.seen - set(walk.aliases.values()),
        former=left - tally.seen - members,
        never=set(walk.missing) - known,
        aliases=walk.aliases,
    )


def _without_dropped(watch: Watch, walk: Walk, receiver: Receiver, joining: Joining) -> NctSet:
    """Take out of a watch by numbers the studies that its list does not name any more, without a row; return those that stay."""
    dropped = joining.members - set(watch.nct_ids) - set(walk.aliases.values())
    if dropped:
        receiver.writer.leave(watch.name, dropped, walk.load or "")
        joining.members.difference_update(dropped)
        some = ", ".join(sorted(dropped)[:MASS_FROM]) + (" …" if len(dropped) > MASS_FROM else "")
        receiver.tally.notes.append(
            f"{watch.name}: {_studies(len(dropped))} that its list does not name any more left it; what was seen stays: {some}"
        )
    return joining.members


def follow_up(
    watch: Watch,
    unseen: Unseen,
    *,
    registry: Registry,
    receiver: Receiver,
    load: str,
    accept_removals: bool = False,
    largest_loss: float = 0.2,
) -> bool:
    """Look up what should have been shown and was not, and record what became of it; return whether it could be concluded.

    ``load`` is the ISO day of the walk's load. Where more than the share ``largest_loss`` of MASS_FROM or more members is gone at once,
    nothing is concluded, unless ``accept_removals``: an outage is likelier than so many removals. Raises RegistryError where a look-up
    fails: then nothing is concluded of the studies not looked up yet.
    """
    writer, tally, joining = receiver.writer, receiver.tally, receiver.joining
    members = joining.members if joining else unseen.missing
    named = [_NUMBER.findall(sentence) for sentence in tally.skipped]
    skipped = {number for numbers in named for number in numbers}
    missing = sorted(unseen.missing - skipped)
    former = sorted(unseen.former - unseen.missing - skipped)
    by_query = joining is not None and not watch.nct_ids
    announced = joining is not None and joining.announced
    emptied = len(members) if missing and not tally.seen else unseen.emptied
    if by_query and announced and emptied >= MASS_FROM and not accept_removals:
        tally.notes.append(
            f"{watch.name}: the registry finds none of {_studies(emptied)} any more, which looks like a fault of its own; nothing was "
            "concluded (if they left the watch indeed: trialsync sync --accept-removals)"
        )
        return False
    if by_query and not announced and missing:
        tally.notes.append(f"{watch.name}: its query was edited; {_studies(len(missing))} outside the new one left, but stay followed")
    found = _look_up([*missing, *former], registry, receiver, load)
    tally.skipped += found.unusable
    unknown = _say_never_found(unseen, found, receiver)
    listed = {nct_id for nct_id, known in writer.known(found.gone).items() if known.presence not in {Presence.REMOVED, Presence.MERGED}}
    lost = listed.intersection(missing)
    looked_at = members.intersection(tally.seen.union(missing))
    if len(lost) > largest_loss * len(looked_at) and len(looked_at) >= MASS_FROM and not accept_removals:
        tally.notes.append(
            f"{watch.name}: the registry says that {len(lost):,} of {_studies(len(looked_at))} do not exist, which looks like a "
            "fault of its own; nothing was concluded (if they are gone indeed: trialsync sync --accept-removals)"
        )
        return False
    # What was looked up by number is not in the watch by that alone: it is recorded, and joins nothing.
    fetched = [each for each in (*found.there.values(), *found.merged.values()) if record.check(each.study) not in tally.seen]
    replace(receiver, joining=None).page(Arrival(each.study, each.raw, load) for each in fetched)
    # A record without a number may be that of any study that was not shown, so then nobody can say which of them left.
    leaving = found.there.keys() & set(missing) if by_query and all(named) else set()
    if unseen.in_parts and leaving:
        leaving = leaving - _still_matching(watch, leaving, registry, receiver, load)
    found.gone = [nct_id for nct_id in found.gone if nct_id not in unknown]
    _note_aliases(unseen, receiver, load)
    # A member that was missed on the load before is looked up with those that left: it is one of the watch until it is gone for certain.
    _conclude(watch, unseen, found, leaving, [*missing, *members.intersection(former)], receiver, load)
    return True


def _note_aliases(unseen: Unseen, receiver: Receiver, load: str) -> None:
    """Record as merged a study that the store has under a number which the walk was answered under another."""
    known = receiver.writer.known(unseen.aliases)
    with receiver.writer.page():
        for alias in known:
            merged(alias, unseen.aliases[alias], receiver, load)


def _conclude(
    watch: Watch, unseen: Unseen, found: _Found, leaving: Collection[str], missing: Collection[str], receiver: Receiver, load: str
) -> None:
    """Record what became of the studies that were looked up, in one transaction."""
    writer, joining = receiver.writer, receiver.joining
    with writer.page():
        for nct_id, fetched in found.there.items():
            writer.set_missing_since(nct_id, None)
            if nct_id in leaving:
                matched = unseen.swept_before.get(nct_id, joining.previous_load if joining else None)
                _leave(watch, nct_id, fetched.study, receiver, load, matched=matched)
        for nct_id, survivor in found.merged.items():
            merged(nct_id, record.check(survivor.study), receiver, load)
        for nct_id in found.gone:
            _missing(nct_id, receiver, load)
        if joining:
            _leave_with_the_registry(watch, missing, receiver, load)


def _still_matching(watch: Watch, numbers: Iterable[str], registry: Registry, receiver: Receiver, load: str) -> set[str]:
    """Return which of these studies the watch's own query still finds: one that changed the part that it belongs to was in neither walk.

    Where an answer holds a record that can't be used, that may be any of them, so all count as found.
    """
    asked, found = sorted(numbers), set[str]()
    for start in range(0, len(asked), NAMED_IN_A_QUERY):
        some = " OR ".join(asked[start : start + NAMED_IN_A_QUERY])
        walk = Walk(registry, narrowed(watch, f"AREA[NCTId]({some})"), load=load, fields=("NCTId",))
        found.update(number for page in walk.pages() for fetched in page.studies if (number := record.nct_id(fetched.study)))
        _check_load(walk.load, load)
        if walk.bad:
            receiver.tally.skipped += walk.bad
            found.update(asked)
    return found


def _look_up(numbers: Iterable[str], registry: Registry, receiver: Receiver, load: str) -> _Found:
    """Ask for studies by their numbers, in batches first, then one by one for those that no batch returned.

    One that is gone already comes back, if ever, in a batch; it is not asked for by itself.
    """
    found = _Found()
    asked = tuple(numbers)
    if not asked:
        return found
    batch = Walk(registry, Watch("look-up", nct_ids=asked), load=load)
    for page in batch.pages():
        for fetched in page.studies:
            _sort_in(fetched, asked, found)
    _check_load(batch.load, load)
    known = receiver.writer.known(batch.missing)
    for number in batch.missing:
        if number in known and known[number].presence in {Presence.REMOVED, Presence.MERGED}:
            continue
        try:
            fetched = registry.study(number)
        except StudyNotFound:
            found.gone.append(number)
            continue
        _check_load(record.load(fetched.study), load)
        _sort_in(fetched, (number,), found)
    return found


def _sort_in(fetched: Fetched, asked: Container[str], found: _Found) -> None:
    """Put what came under the numbers that it answers; a record that can't be used says nothing of its study but that it is there."""
    try:
        number = record.check(fetched.study)
    except RecordError as error:
        found.unusable.append(str(error))
        return
    if number in asked:
        found.there[number] = fetched
    for alias in record.aliases(fetched.study):
        if alias in asked and alias != number:
            found.merged[alias] = fetched


def _check_load(found: str | None, load: str) -> None:
    """Raise DataChanged where a look-up was answered from another load than the walk."""
    if found not in {load, None}:
        raise DataChanged(f"load {found} arrived while load {load} was being concluded", hint="what was seen is kept; ask again later")


def _say_never_found(unseen: Unseen, found: _Found, receiver: Receiver) -> set[str]:
    """Note, once each, the numbers that the registry never knew, and those followed under another; return the first."""
    writer, tally = receiver.writer, receiver.tally
    known = writer.known([*unseen.never, *found.gone])
    unknown = {number for number in (*unseen.never, *found.gone) if number not in known}
    tally.never |= unknown
    tally.notes += [
        f"{number} was never found in the registry; check the number (this is said once)"
        for number in sorted(unknown)
        if writer.first_time(f"never {number}")
    ]
    pairs = sorted(unseen.aliases.items())
    tally.notes += [f"asked {alias}, followed as {number}" for alias, number in pairs if writer.first_time(f"alias {alias} {number}")]
    return unknown


def _leave(watch: Watch, nct_id: str, study: Study, receiver: Receiver, load: str, *, matched: str | None) -> None:
    """Record that a study, which the registry still lists, left the watch; that is news unless the watch's query was edited.

    ``matched`` is the load (ISO day) that last showed it among those that match: the update that came since then took it out.
    """
    joining = receiver.joining
    receiver.writer.leave(watch.name, [nct_id], load)
    if joining is None or not joining.announced:
        return
    receiver.tally.left.append(nct_id)
    version = receiver.writer.known([nct_id])[nct_id].version
    updated = version.number > 1 and version.load > (matched or "")
    by = By.SPONSOR if updated and version.date == version.posted else By.REGISTRY
    change = membership_change(watch.name, Kind.REMOVED, by)
    date, not_before = (version.date, version.not_before) if updated else (load, matched)
    _record_whole(change, nct_id, study, receiver, load, date=date, not_before=not_before)


def _leave_with_the_registry(watch: Watch, missing: Iterable[str], receiver: Receiver, load: str) -> None:
    """Take members that the registry lists no more out of the watch, from the load on that first missed them, without a row."""
    for nct_id, known in receiver.writer.known(missing).items():
        if known.presence in {Presence.REMOVED, Presence.MERGED}:
            receiver.writer.leave(watch.name, [nct_id], known.missing_since or load)


def merged(nct_id: str, survivor: str, receiver: Receiver, load: str) -> None:
    """Record, inside a page, that a study's number became an alias of another, where that is news to the store."""
    known = receiver.writer.known([nct_id]).get(nct_id)
    if known is None:
        return
    if known.presence is Presence.MERGED:
        receiver.writer.set_presence(nct_id, Presence.MERGED, survivor)
        return
    change = presence_change(known.presence, Presence.MERGED)
    _gone(change, nct_id, known, receiver, load)
    receiver.writer.set_presence(nct_id, Presence.MERGED, survivor)
    receiver.writer.set_missing_since(nct_id, load)
    receiver.tally.notes.append(f"{nct_id} was merged into {survivor}")


def removed(nct_id: str, receiver: Receiver, load: str) -> None:
    """Record, inside a page, that the registry lists a study no more, from ``load`` on, where that is news to the store."""
    known = receiver.writer.known([nct_id]).get(nct_id)
    if known is None or known.presence in {Presence.REMOVED, Presence.MERGED}:
        return
    change = presence_change(known.presence, Presence.REMOVED)
    _gone(change, nct_id, known, receiver, load)
    receiver.writer.set_presence(nct_id, Presence.REMOVED)
    receiver.writer.set_missing_since(nct_id, load)
    receiver.tally.notes.append(f"{nct_id} was removed from the registry")


def _missing(nct_id: str, receiver: Receiver, load: str) -> None:
    """Record a removal, or at the first sight of it only the suspicion: the registry has to say so on two different loads."""
    known = receiver.writer.known([nct_id])[nct_id]
    since = known.missing_since
    if known.presence in {Presence.REMOVED, Presence.MERGED}:
        return
    if since is not None and since < load:
        removed(nct_id, receiver, since)
        return
    receiver.writer.set_missing_since(nct_id, load)
    receiver.tally.notes.append(f"{nct_id} is not found any more; it counts as removed when the next load says so too")


def _gone(change: Change, nct_id: str, known: Known, receiver: Receiver, load: str) -> None:
    shown = receiver.writer.last_shown(nct_id, load) or known.version.load
    _record_whole(change, nct_id, receiver.writer.study(nct_id), receiver, load, date=load, not_before=shown)


def _record_whole(change: Change, nct_id: str, study: Study, receiver: Receiver, load: str, *, date: str, not_before: str | None) -> None:
    receiver.writer.add_whole(
        change,
        nct_id=nct_id,
        date=date,
        not_before=not_before,
        load=load,
        posted=record.posted(study),
        seen=receiver.seen,
        origin=receiver.origin,
    )
    receiver.tally.recorded([change])


def _studies(count: int) -> str:
    return f"{count:,} {'study' if count == 1 else 'studies'}"
