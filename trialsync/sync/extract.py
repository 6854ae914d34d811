"""The rows of an export, one at a time, from a store that stands still while they are read."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Final

from trialsync.errors import UsageError
from trialsync.model import Origin, Presence
from trialsync.publish.confirmed import gaps, weekdays
from trialsync.publish.extracts import CHANGES, COVERAGE, FACTS, STUDIES, VERSIONS
from trialsync.publish.privacy import change_without_contacts
from trialsync.publish.sheets import change_json, version_json
from trialsync.store.headlines import Headlines
from trialsync.study import record
from trialsync.study.facts import FACTS as RULES
from trialsync.study.nct_set import NctSet
from trialsync.sync.pages import look

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trialsync.model import Json, LoggedChange, Study
    from trialsync.publish.extracts import Extract
    from trialsync.store.filters import ChangeFilter
    from trialsync.store.reader import Reader
    from trialsync.store.shown import Shown

    Row = dict[str, Json]

_FIRST_DAY: Final = "0001-01-01"


@dataclass(slots=True)
class Extraction:
    """What is to be exported: the kind of rows, which ones, and of studies as they were on an ISO day.

    Of ``wanted`` the studies and watches count for every kind, the rest for changes and facts. ``left_out`` counts, once the rows were
    read, the studies that were not known on that day. Contact persons are left out of changes unless ``contacts``.
    """

    extract: Extract
    wanted: ChangeFilter
    as_of: str | None = None
    contacts: bool = False
    left_out: int = field(default=0, init=False)

    def total(self, reader: Reader) -> int | None:
        """Return how many rows there will be, or ``None`` where that can't be told without reading them."""
        if self.extract is CHANGES:
            return reader.count(self.wanted)
        return len(self._studies(reader)) if self.extract in {STUDIES, COVERAGE} else None

    def rows(self, reader: Reader) -> Iterator[Row]:
        """Yield the rows. Raises UnknownWatch, BadFilter, UsageError for a study that the store does not have, StoreDamaged."""
        for nct_id in self.wanted.studies:
            reader.headlines(nct_id)
        if self.extract is CHANGES:
            for change in reader.changes(self.wanted):
                yield change_json(self._told(change))
        elif self.extract is FACTS:
            yield from self._facts(reader)
        else:
            shown = reader.shown()
            for nct_id in self._studies(reader):
                if self.extract is VERSIONS:
                    yield from map(version_json, reader.versions(nct_id))
                elif self.extract is COVERAGE:
                    yield _coverage(reader, shown, nct_id)
                elif self.as_of is None or reader.versions(nct_id)[0].date <= self.as_of:
                    yield _study(reader, shown, nct_id, self.as_of)
                else:
                    self.left_out += 1

    def _told(self, change: LoggedChange) -> LoggedChange:
        """Return a row as the export may tell it."""
        return change if self.contacts else change_without_contacts(change)

    def _studies(self, reader: Reader) -> NctSet:
        """Return the numbers of the studies asked for: named, or in a watch now, or on the day that is asked about."""
        found = reader.members(self.wanted.watches, on=self.as_of)
        return found & NctSet(self.wanted.studies) if self.wanted.studies else found

    def _facts(self, reader: Reader) -> Iterator[Row]:
        known = tuple(rule.id for rule in RULES if rule.recorded)
        for change in reader.changes(replace(self.wanted, facts=self.wanted.facts or known)):
            for fact in change.facts:
                if self.wanted.facts and fact["id"] not in self.wanted.facts:
                    continue
                row = change_json(self._told(change))
                values = {name: value for name, value in fact.items() if name not in {"id", "rule"}}
                row |= {"fact": fact["id"], "rule": fact["rule"], "values": values, "change": change.id}
                yield {name: row[name] for name in FACTS.keys}


def check(extract: Extract, as_of: str | None, given: dict[str, Json]) -> None:
    """Raise UsageError for what was typed (by the names of the options) and says nothing of this kind of rows."""
    if as_of and extract is not STUDIES:
        raise UsageError(f"--as-of has no meaning for {extract.what}", hint="it is for --what studies; --until bounds changes")
    if extract not in {CHANGES, FACTS}:
        strange = [option for option in given if option not in {"--study", "--watch"}]
        if strange:
            raise UsageError(f"{strange[0]} chooses changes, not {extract.what}", hint="--study and --watch choose studies")


def _study(reader: Reader, shown: Shown, nct_id: str, as_of: str | None) -> Row:
    if as_of is None:
        headlines = reader.headlines(nct_id)
        version = reader.versions(nct_id)[-1]
        row = {part.name: getattr(headlines, part.name) for part in fields(Headlines)}
        last_seen = shown.last_seen(nct_id) or version.seen
    else:
        sight = look(reader, nct_id, as_of=as_of)
        version = sight.version
        row = _as_it_was(sight.study) | {"presence": sight.presence, "merged_into": sight.merged_into, "version": version.number}
        last_seen = (shown.last_seen(nct_id) if sight.is_latest else None) or version.seen
    row["presence"] = row["presence"].value
    row |= {name: list(row[name]) for name in ("phases", "conditions", "countries")}
    row |= {"version_date": version.date, "load": version.load, "seen": version.seen, "last_seen": last_seen}
    return {"nct_id": nct_id} | {name: row[name] for name in STUDIES.keys if name in row} | {"url": _url(nct_id)}


def _as_it_was(study: Study) -> dict[str, Any]:
    return {
        "title": record.title(study),
        "overall_status": record.overall_status(study),
        "phases": record.phases(study),
        "study_type": record.study_type(study),
        "sponsor": record.sponsor(study),
        "conditions": record.conditions(study),
        "countries": record.countries(study),
        "enrollment": record.enrollment(study),
        "start_date": record.start_date(study),
        "primary_completion_date": record.primary_completion_date(study),
        "completion_date": record.completion_date(study),
        "has_results": record.has_results(study),
        "first_posted": record.first_posted(study),
        "posted": record.posted(study),
    }


def _coverage(reader: Reader, shown: Shown, nct_id: str) -> Row:
    headlines = reader.headlines(nct_id)
    versions = reader.versions(nct_id)
    brought = {version.load for version in versions if version.origin is not Origin.HISTORY}
    loads = sorted({*shown.loads(nct_id), *brought})
    gone = headlines.presence in {Presence.REMOVED, Presence.MERGED}
    missed = list(gaps(loads, up_to=None if gone else shown.newest))
    return {
        "nct_id": nct_id,
        "title": headlines.title,
        "presence": Presence(headlines.presence).value,
        "versions": len(versions),
        "version_dates": [version.date for version in versions],
        "origins": sorted({version.origin.value for version in versions}),
        "first_date": versions[0].date,
        "first_load": loads[0] if loads else None,
        "first_seen": min(version.seen for version in versions),
        "last_load": loads[-1] if loads else None,
        "last_seen": shown.last_seen(nct_id) or max(version.seen for version in versions),
        "loads": len(loads),
        "load_dates": loads,
        "weekdays_not_observed": sum(weekdays(first, last) for first, last in missed),
        "not_observed": [first if first == last else f"{first}/{last}" for first, last in missed],
        "url": _url(nct_id),
    }


def _url(nct_id: str) -> str:
    return f"https://clinicaltrials.gov/study/{nct_id}"
