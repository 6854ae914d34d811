"""One study as it is or was, put together from the store: what every face that shows a study needs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

from trialsync.errors import UsageError
from trialsync.model import Origin, Presence
from trialsync.publish.page import RECENT_DAYS, page
from trialsync.publish.privacy import PERSON, change_without_contacts
from trialsync.store.filters import ChangeFilter
from trialsync.study.fields import PRESENCE, WATCH_PREFIX

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trialsync.model import LoggedChange, Study, Version
    from trialsync.settings.sections import Site
    from trialsync.store.reader import Reader
    from trialsync.store.shown import Shown


@dataclass(frozen=True, slots=True)
class Sight:
    """A study at one version. ``last_seen`` is the UTC instant at which that version was last confirmed, ending in ``Z``.

    ``presence`` is what the registry said of the study as a whole then; ``merged_into`` the number that it leads to, where it was merged.
    """

    study: Study
    version: Version
    is_latest: bool
    last_seen: str
    presence: Presence
    merged_into: str | None


def look(reader: Reader, nct_id: str, *, as_of: str | None = None, version: int | None = None, shown: Shown | None = None) -> Sight:
    """Return a study as it is, as it was at the end of an ISO day, or at a version.

    ``shown``, where the caller asks for many studies, knows when each was last seen.
    Raises UsageError for a study or version that the store does not have, BadDate for a day before the first version, StoreDamaged.
    """
    headlines = reader.headlines(nct_id)
    known = reader.versions(nct_id)
    if version is not None and not 1 <= version <= len(known):
        raise UsageError(f"{nct_id} has no version {version}", hint=f"it has {len(known)}: trialsync log {nct_id}")
    found = reader.version_at(nct_id, as_of) if as_of else known[(version or len(known)) - 1]
    is_latest = found.number == len(known)
    until = as_of or (None if is_latest else found.date)
    presence = presence_at(reader, nct_id, until, headlines.presence)
    return Sight(
        study=reader.study(nct_id, version=found.number),
        version=found,
        is_latest=is_latest,
        last_seen=((shown or reader).last_seen(nct_id) if is_latest else None) or found.seen,
        presence=presence,
        merged_into=headlines.merged_into if presence is Presence.MERGED else None,
    )


def presence_at(reader: Reader, nct_id: str, until: str | None, present: Presence) -> Presence:
    """Return what the registry said of the study as a whole at the end of an ISO day; ``present``, as it is now, where that is ``None``."""
    told = list(reader.changes(ChangeFilter(studies=(nct_id,), fields=(PRESENCE,)))) if until is not None else []
    if until is None or not told:
        return present
    then = [row.after for row in told if row.date <= until]
    return Presence(then[-1] if then else told[0].before or Presence.LISTED)


def recent(reader: Reader, sight: Sight, *, baseline: bool) -> Sequence[LoggedChange]:
    """Return the changes that a page of the study may show: seen in the days before it was last confirmed, up to its version.

    What led to the first version that was seen is known from the registry's history alone: nobody saw it happen.
    Baseline rows come without their values, which a page does not show. Those about contact persons name nobody, and come once a day.
    """
    nct_id = sight.version.nct_id
    first_seen = next((each.number for each in reader.versions(nct_id) if each.origin is not Origin.HISTORY), 1)
    since = (date.fromisoformat(sight.last_seen[:10]) - timedelta(days=RECENT_DAYS)).isoformat()
    wanted = ChangeFilter(studies=(nct_id,), seen_since=since, baseline=baseline)
    rows = [
        change_without_contacts(row)
        for row in reader.changes(wanted, values=False)
        if row.version <= sight.version.number and (row.version != first_seen or row.baseline or _is_of_the_whole(row))
    ]
    return list({(row.path, row.kind, row.seen) if PERSON in row.path else row.id: row for row in rows}.values())


def _is_of_the_whole(row: LoggedChange) -> bool:
    """Return whether a row is about the study as a whole: its presence, or a watch."""
    return row.field == PRESENCE or row.field.startswith(WATCH_PREFIX)


@dataclass(frozen=True, slots=True)
class Page:
    """A study's Markdown page. It says the same, but for ``last_seen_at``, until its study is confirmed on a day after ``until`` (ISO day).

    ``None`` where nothing on it is recent, so that no time changes it.
    """

    text: str
    until: str | None


def page_of(reader: Reader, sight: Sight, site: Site) -> str:
    """Return the Markdown page of a study at one version, as the site's settings have it."""
    return lasting_page(reader, sight, site).text


def lasting_page(reader: Reader, sight: Sight, site: Site) -> Page:
    """Return the Markdown page of a study at one version, as the site's settings have it, and how long it says so."""
    changes = recent(reader, sight, baseline=site.baseline)
    text = page(
        sight.study,
        changes=changes,
        last_seen_at=sight.last_seen,
        base_url=site.base_url,
        note=site.note,
        baseline=site.baseline,
        presence=sight.presence,
        merged_into=sight.merged_into,
    )
    oldest = min((row.seen[:10] for row in changes), default=None)
    return Page(text, (date.fromisoformat(oldest) + timedelta(days=RECENT_DAYS)).isoformat() if oldest else None)
