"""Studies that arrived, by a poll or from files, into the store: a page at a time, each in one transaction."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import TYPE_CHECKING

import structlog

from trialsync.errors import RecordError
from trialsync.model import By, Change, Kind, Origin, Presence, Tier, Version, is_day
from trialsync.study import record
from trialsync.study.diff import diff
from trialsync.study.facts import Step, facts_of, facts_of_whole
from trialsync.study.fields import PRESENCE, WATCH_PREFIX
from trialsync.study.fingerprint import bytes_digest, fingerprint
from trialsync.study.leaves import drift
from trialsync.sync import repeats
from trialsync.sync.ready import ready
from trialsync.sync.repeats import OlderRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from trialsync.model import Study
    from trialsync.store.first import First
    from trialsync.store.rows import Known
    from trialsync.store.writer import Writer
    from trialsync.study.diff import BaselineFields
    from trialsync.study.nct_set import NctSet
    from trialsync.sync.ready import Ready
    from trialsync.sync.tally import Tally

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Arrival:
    """A study as it arrived: its record, the record's own bytes, the load that it stands for, and a name of the place it came from.

    ``ready`` is what the store will want of it where it does not have the study, if somebody made that already. ``again``: what is imported
    had a record of the study for the same load before.
    """

    study: Study
    raw: bytes
    load: str
    source: str = ""
    ready: Ready | None = None
    again: bool = False

    def number(self) -> str:
        """Return the study's number. Raises RecordError for a record that can't be used."""
        return record.check(self.study)

    def digest(self) -> bytes | None:
        """Return the digest of the record's bytes, ``None`` where none can be told."""
        return bytes_digest(self.raw)

    def made(self, fields: BaselineFields) -> Ready:
        """Return the study made ready, with the baseline rows of these fields. Raises RecordError."""
        return self.ready or ready(self.study, fields)


@dataclass(frozen=True, slots=True)
class Unread:
    """A study that another process looked at: all that is asked of it first. ``read`` gets the record itself, where it is asked for.

    ``ready`` is ``None`` where the process saw by its digest that the store has just this.
    """

    nct_id: str
    bytes_digest: bytes | None
    load: str
    source: str
    ready: Ready | None
    read: Callable[[], Study]
    again: bool = False

    @property
    def study(self) -> Study:
        """Return the record. Raises RecordError."""
        return self.read()

    def number(self) -> str:
        """Return the study's number."""
        return self.nct_id

    def digest(self) -> bytes | None:
        """Return the digest of the record's bytes, ``None`` where none can be told."""
        return self.bytes_digest

    def made(self, fields: BaselineFields) -> Ready:
        """Return the study made ready, with the baseline rows of these fields. Raises RecordError."""
        return self.ready or ready(self.read(), fields)


@dataclass(frozen=True, slots=True)
class Joining:
    """The watch that a page's studies belong to: a study that is not among ``members`` joins it.

    ``announced`` is true once the watch's first walk of this query was complete: then joining is news. ``previous_load`` is the load of the
    watch's last complete poll, ``not_before`` the one that last showed who was in what is walked now, which for a part of a large watch is
    older; both ISO days. What a load before ``oldest`` shows joins nothing: since then the watch was told who is in it. ``begun`` is the
    load of the import that began the watch, until the registry itself has shown all of it: nobody knows what the files lacked, so that of
    the studies first posted up to then none is news.
    """

    watch: str
    members: NctSet
    announced: bool
    previous_load: str | None
    not_before: str | None
    oldest: str | None = None
    begun: str | None = None

    def is_news(self, study: Study) -> bool:
        """Return whether it is news that a study joins."""
        if self.begun is None:
            return self.announced
        first_posted = record.first_posted(study)
        return self.announced and is_day(first_posted) and first_posted > self.begun


@dataclass(frozen=True, slots=True)
class Receiver:
    """Takes pages of studies into a store. ``seen`` is the UTC instant that is recorded, ending in ``Z``."""

    writer: Writer
    origin: Origin
    seen: str
    baseline: BaselineFields
    tally: Tally
    joining: Joining | None = None

    def page(self, arrivals: Iterable[Arrival | Unread]) -> None:
        """Record a page of studies in one transaction; a record that can't be used is skipped, named and counted, the others are kept.

        Where a study stands in it several times, each time is recorded, in a transaction of its own from there on.
        """
        good: dict[str, Arrival | Unread] = {}
        for arrival in arrivals:
            try:
                nct_id = arrival.number()
            except RecordError as error:
                self._skip(arrival, error)
                continue
            if nct_id in good:
                self._transaction(good)
                good = {}
            good[nct_id] = arrival
        self._transaction(good)

    def _transaction(self, good: dict[str, Arrival | Unread]) -> None:
        known = self.writer.known(good)
        taken: dict[str, Version | None] = {}
        firsts: list[tuple[Version, bytes | None, First]] = []
        withheld: list[str] = []
        with self.writer.page():
            for nct_id, arrival in good.items():
                before = known.get(nct_id)
                try:
                    _check_load(nct_id, arrival)
                    if before is None:
                        made = arrival.made(self.baseline)
                        taken[nct_id] = version = self._first(arrival, made)
                        firsts.append((version, arrival.digest(), made.first))
                        withheld += [nct_id] if made.is_withheld else []
                    else:
                        taken[nct_id] = self._known(nct_id, arrival, before)
                except RecordError as error:
                    self._skip(arrival, error, nct_id)
            self.writer.add_firsts(firsts)
            for nct_id in withheld:
                self.writer.set_presence(nct_id, Presence.WITHHELD)
            # Asked of each: to take a set from another goes through all of what is taken off, here a whole registry at every page.
            self.tally.studies += sum(nct_id not in self.tally.counted for nct_id in taken)
            self.tally.seen.update(taken)
            self.tally.counted.update(taken)
            if self.joining is not None:
                self._join(good, known, taken, self.joining)

    def _skip(self, arrival: Arrival | Unread, error: RecordError, nct_id: str | None = None) -> None:
        named = str(error) if nct_id is None or nct_id in error.message else f"{nct_id}: {error}"
        sentence = f"{arrival.source}: {named}" if arrival.source else named
        self.tally.skipped.append(sentence)
        self.tally.older += isinstance(error, OlderRecord)
        log.warning("study.skipped", source=arrival.source, why=error.message)

    def _known(self, nct_id: str, arrival: Arrival | Unread, before: Known) -> Version | None:
        """Record a study where it differs from what the store holds of it; return its new version, if it has one."""
        if before.missing_since is not None and _is_there(before) and arrival.load >= before.missing_since:
            self.writer.set_missing_since(nct_id, None)
        digest = arrival.digest()
        if digest is not None and digest == before.bytes_digest:
            self._still_there(nct_id, arrival, before)
            return None
        print_now = arrival.ready.first.fingerprint if arrival.ready else fingerprint(arrival.study)
        if print_now == before.version.fingerprint:
            if digest is not None and arrival.load >= before.version.load:
                self.writer.set_bytes_digest(nct_id, digest)
            self._still_there(nct_id, arrival, before)
            return None
        return self._next(nct_id, arrival, digest, print_now, before)

    def _still_there(self, nct_id: str, arrival: Arrival | Unread, before: Known) -> None:
        if nct_id not in self.tally.counted:
            self.tally.unchanged += 1
        if not _is_there(before) and _is_later(arrival, before):
            self._presence(nct_id, arrival, before, Presence.LISTED)

    def _first(self, arrival: Arrival | Unread, made: Ready) -> Version:
        """Return the first version of a study, to be recorded with the page."""
        self.tally.drifted.update(made.drifted)
        self.tally.new += 1
        posted = made.first.posted
        return Version(
            nct_id=made.first.nct_id,
            number=1,
            registry_version=None,
            date=posted if is_day(posted) else arrival.load,
            not_before=None,
            load=arrival.load,
            posted=posted,
            seen=self.seen,
            origin=self.origin,
            fingerprint=made.first.fingerprint,
        )

    def _next(self, nct_id: str, arrival: Arrival | Unread, digest: bytes | None, print_now: str, before: Known) -> Version:
        shown = self.writer.last_shown(nct_id, "9999-12-31") or before.version.load
        if arrival.load < shown:
            raise OlderRecord(f"{nct_id}: the record is of load {arrival.load}, older than what the store has of {shown}")
        not_before = self.writer.last_shown(nct_id, arrival.load) or before.version.load
        study = arrival.study
        old = self.writer.study(nct_id)
        if self.origin is Origin.IMPORT:
            repeats.check(nct_id, arrival, before.version.load, old)
        was_withheld, is_withheld = record.is_withheld(old), record.is_withheld(study)
        if was_withheld and not is_withheld:
            old = self._last_open(nct_id)
        changes = [] if is_withheld and not was_withheld else diff(old, study)
        posted = record.posted(study)
        version = Version(
            nct_id=nct_id,
            number=before.version.number + 1,
            registry_version=None,
            date=_date(posted, record.posted(old), not_before, arrival.load),
            not_before=not_before,
            load=arrival.load,
            posted=posted,
            seen=self.seen,
            origin=self.origin,
            fingerprint=print_now,
        )
        # Asked only by a fact that needs the past: nearly none does.
        step = Step(old, study, changes, version.date, lambda: self.writer.studies(nct_id, before=version.number))
        self.writer.add_version(version, study, digest, changes, facts=facts_of(step))
        self.tally.updated += 1
        self.tally.recorded(changes)
        if any(change.by is By.REGISTRY for change in changes):
            self.tally.by_registry.add(arrival.load)
        if posted != record.posted(old) and is_day(posted):
            self.tally.lags.append((datetime.fromisoformat(self.seen) - datetime.fromisoformat(f"{posted}T00:00Z")).total_seconds())
        self.tally.losses.note(nct_id, changes, study)
        now_present = Presence.WITHHELD if is_withheld else Presence.LISTED
        if before.presence is not now_present and (_is_there(before) or _is_later(arrival, before)):
            self._presence(nct_id, arrival, before, now_present, version)
        self.tally.drifted.update(drift(study))
        return version

    def _last_open(self, nct_id: str) -> Study:
        """Return the newest content of a withheld study that was not withheld when it was seen, or its withheld one where there is none.

        What its history told is passed over: what a poll records is the same whether that was there or came later.
        """
        for version in reversed(self.writer.versions(nct_id)):
            study = self.writer.study(nct_id, version=version.number)
            if version.origin is not Origin.HISTORY and not record.is_withheld(study):
                return study
        return self.writer.study(nct_id)

    def _presence(self, nct_id: str, arrival: Arrival | Unread, before: Known, now: Presence, version: Version | None = None) -> None:
        change = presence_change(before.presence, now)
        # What was not there was last known to be so when it was last looked for; what was there, when it was last shown.
        was_there = version.not_before if version else self.writer.last_shown(nct_id, arrival.load)
        not_before = was_there if _is_there(before) else self.writer.last_gone(nct_id, arrival.load) or before.missing_since
        self.writer.add_whole(
            change,
            nct_id=nct_id,
            date=version.date if version else arrival.load,
            not_before=not_before,
            load=arrival.load,
            posted=record.posted(arrival.study),
            seen=self.seen,
            origin=self.origin,
        )
        self.writer.set_presence(nct_id, now)
        self.writer.set_missing_since(nct_id, None)
        self.tally.recorded([change])

    def _join(
        self, good: Mapping[str, Arrival | Unread], known: Mapping[str, Known], taken: Mapping[str, Version | None], joining: Joining
    ) -> None:
        """Note which of a page's studies joined the watch; after the watch's first complete walk that is news."""
        joined = [nct_id for nct_id in taken if nct_id not in joining.members and good[nct_id].load >= (joining.oldest or "")]
        for load, numbers in groupby(sorted(joined, key=lambda nct_id: good[nct_id].load), key=lambda nct_id: good[nct_id].load):
            self.writer.join(joining.watch, numbers, load)
        joining.members.update(joined)
        if joining.announced:
            for nct_id in filter(lambda nct_id: joining.is_news(good[nct_id].study), joined):
                self._announce(nct_id, good[nct_id], known.get(nct_id), taken[nct_id], joining)

    def _announce(self, nct_id: str, arrival: Arrival | Unread, before: Known | None, version: Version | None, joining: Joining) -> None:
        """Record that a study joined the watch, and that it was first posted, where it was."""
        self.tally.joined.append(nct_id)
        study, previous = arrival.study, joining.previous_load
        first_posted = record.first_posted(study)
        newly = first_posted if is_day(first_posted) and previous is not None and previous < first_posted else None
        current = version or (before.version if before else None)
        # Whichever watch was polled first recorded the version; what the others say of the study is the same.
        update = current if current and current.load > (joining.not_before or "") and not self.writer.is_first_seen(current) else None
        date = newly or (update.date if update else arrival.load)
        rows = [membership_change(joining.watch, Kind.ADDED, By.SPONSOR if update and update.date == update.posted else By.REGISTRY)]
        if newly and not self.writer.is_announced(nct_id):
            rows.append(presence_change(None, Presence.LISTED))
        for row in rows:
            self.writer.add_whole(
                row,
                nct_id=nct_id,
                date=date,
                not_before=update.not_before if update else joining.not_before,
                load=arrival.load,
                posted=record.posted(study),
                seen=self.seen,
                origin=self.origin,
                facts=facts_of_whole(row),
            )
        self.tally.recorded(rows)


def _check_load(nct_id: str, arrival: Arrival | Unread) -> None:
    """Raise RecordError where nobody knows for which load a record stands."""
    if not is_day(arrival.load):
        raise RecordError(f"{nct_id}: neither the registry nor the record says of which load it is")


def presence_change(before: Presence | None, after: Presence) -> Change:
    """Return the change of a study's presence; ``None`` before means that it was first posted."""
    kind = Kind.ADDED if before is None else Kind.CHANGED
    return Change(PRESENCE, None, None, kind, before.value if before else None, after.value, Tier.HEADLINE, By.REGISTRY)


def membership_change(watch: str, kind: Kind, by: By) -> Change:
    """Return the change of a study that enters (``added``) or leaves (``removed``) a watch."""
    entered = kind is Kind.ADDED
    before, after = (None, entered) if entered else (not entered, None)
    return Change(WATCH_PREFIX + watch, item=None, attribute=None, kind=kind, before=before, after=after, tier=Tier.HEADLINE, by=by)


def _is_there(before: Known) -> bool:
    """Return whether the registry has the study under its own number, withheld or not, as far as the store knows."""
    return before.presence not in {Presence.REMOVED, Presence.MERGED}


def _is_later(arrival: Arrival | Unread, before: Known) -> bool:
    """Return whether a record is of a later load than the one that said that the study is gone; an older one says nothing of that."""
    return arrival.load > (before.missing_since or before.version.load)


def _date(posted: str | None, posted_before: str | None, not_before: str, load: str) -> str:
    """Return the day when a version began to hold.

    Its posted date, where the sponsor moved it and it lies after the last load that showed the old content (in every real update seen:
    old load < posted <= new load); otherwise its load.
    """
    if posted is not None and is_day(posted) and posted != posted_before and not_before < posted <= load:
        return posted
    return load
