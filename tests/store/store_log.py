"""A small log for the store's tests: studies of our own, recorded as a poll records them."""

from __future__ import annotations

import copy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from trialsync.model import Change, Kind, Origin, Presence, Tier, Version, Watch, instant
from trialsync.store import schema
from trialsync.store.first import first
from trialsync.store.writer import Writer
from trialsync.study import record
from trialsync.study.diff import diff
from trialsync.study.fingerprint import bytes_digest, fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trialsync.model import By, Study

START = datetime(2026, 2, 4, 10, tzinfo=UTC)


class Clock:
    """A clock that moves a second each time it is asked."""

    def __init__(self) -> None:
        self.moment = START

    def __call__(self) -> datetime:
        """Return the next second."""
        self.moment += timedelta(seconds=1)
        return self.moment


def new_store(path: Path) -> Path:
    """Make an empty store and return its path."""
    schema.create(path)
    return path


def take(path: Path, now: Callable[[], datetime] | None = None) -> Writer:
    """Open a store for writing."""
    return Writer.open(path, now=now or Clock(), command="trialsync sync")


def site(facility: str, city: str, country: str, **more: Any) -> dict[str, Any]:
    """Return a site of a study."""
    return {"facility": facility, "city": city, "country": country, **more}


def make_study(nct_id: str, *, title: str, sponsor: str, conditions: list[str], sites: list[dict[str, Any]], posted: str) -> Study:
    """Return a small study in the registry's JSON."""
    return {
        "protocolSection": {
            "identificationModule": {"nctId": nct_id, "briefTitle": title},
            "statusModule": {
                "overallStatus": "RECRUITING",
                "statusVerifiedDate": posted[:7],
                "startDateStruct": {"date": "2025-03"},
                "studyFirstPostDateStruct": {"date": "2025-01-02"},
                "lastUpdatePostDateStruct": {"date": posted},
            },
            "sponsorCollaboratorsModule": {"leadSponsor": {"name": sponsor, "class": "INDUSTRY"}},
            "conditionsModule": {"conditions": conditions},
            "designModule": {"studyType": "INTERVENTIONAL", "phases": ["PHASE2"], "enrollmentInfo": {"count": 90}},
            "outcomesModule": {"primaryOutcomes": [{"measure": "Overall survival", "timeFrame": "2 years"}]},
            "eligibilityModule": {"eligibilityCriteria": "Inclusion Criteria:\n\n* Adults", "sex": "ALL"},
            "contactsLocationsModule": {"locations": sites},
        },
        "derivedSection": {"miscInfoModule": {"versionHolder": posted}},
        "hasResults": False,
    }


def edited(study: Study, posted: str | None, **leaves: Any) -> Study:
    """Return a copy of a study with leaves replaced, each by its path joined with ``__``; ``None`` takes a leaf away."""
    new = copy.deepcopy(study)
    if posted is not None:
        leaves = {"statusModule__lastUpdatePostDateStruct__date": posted, **leaves}
    for path, value in leaves.items():
        *way, name = path.split("__")
        node = new["protocolSection"]
        for step in way:
            node = node.setdefault(step, {})
        if value is None:
            node.pop(name, None)
        else:
            node[name] = value
    return new


def add(
    writer: Writer, study: Study, load: str, *, origin: Origin = Origin.POLL, facts: dict[int, list[dict[str, Any]]] | None = None
) -> Version:
    """Record what a study says at a load, as a poll does, in a page of its own; return the version that holds then."""
    with writer.page():
        return add_in_page(writer, study, load, origin=origin, facts=facts)


def add_in_page(
    writer: Writer, study: Study, load: str, *, origin: Origin = Origin.POLL, facts: dict[int, list[dict[str, Any]]] | None = None
) -> Version:
    """Do so in a page that is open already."""
    nct_id = record.check(study)
    known = writer.known([nct_id]).get(nct_id)
    mark = fingerprint(study)
    if known is not None and known.version.fingerprint == mark:
        return known.version
    posted = record.posted(study)
    fresh = Version(nct_id, 1, None, posted or load, None, load, posted, instant(writer._now()), origin, mark)
    if known is None:
        writer.add_firsts([(fresh, bytes_digest(nct_id.encode()), first(study, "core"))])
    else:
        by_sponsor = posted is not None and posted > known.version.load
        date = posted if by_sponsor and posted is not None else load
        fresh = replace(fresh, number=known.version.number + 1, date=date, not_before=known.version.load)
        changes = diff(writer.study(nct_id), study)
        writer.add_version(fresh, study, bytes_digest(nct_id.encode()), changes, facts=facts)
    return fresh


def whole(field: str, kind: Kind, before: Any, after: Any, by: By | None = None) -> Change:
    """Return a change of a study as a whole."""
    return Change(field, None, None, kind, before, after, Tier.HEADLINE, by)


STUDIES = {
    "NCT00000001": make_study(
        "NCT00000001",
        title="Cadonilimab in esophageal cancer",
        sponsor="Akeso",
        conditions=["Esophageal Carcinoma"],
        sites=[site("Hospital A", "Berlin", "Germany"), site("Hospital B", "Lyon", "France")],
        posted="2026-01-10",
    ),
    "NCT00000002": make_study(
        "NCT00000002",
        title="Thé vert, a green tea study",
        sponsor="Université de Genève",
        conditions=["Parkinson Disease", "Sleep"],
        sites=[site("Klinik", "Zürich", "Switzerland"), site("Klinik", "Zürich", "Switzerland")],
        posted="2026-01-20",
    ),
    "NCT00000003": make_study(
        "NCT00000003",
        title="A study of PD-1 blockade",
        sponsor="Akeso Biopharma, Inc.",
        conditions=["Melanoma"],
        sites=[site("Site 1", "Praha", "Czechia")],
        posted="2026-02-03",
    ),
}


def fill(path: Path) -> None:
    """Record the small log: baselines, sponsor's and registry's changes, two versions of one day, presence, watches, facts, an import."""
    first, second, third = STUDIES.values()
    with take(path) as writer:
        for study in (first, second):
            add(writer, study, "2026-02-04")
        second_a = edited(second, "2026-02-06", statusModule__overallStatus="SUSPENDED", statusModule__whyStopped="Funding, 100% gone")
        add(writer, second_a, "2026-02-06", facts={0: [{"id": "stopped", "rule": 1, "reason_given": True}]})
        second_b = edited(second_a, None, contactsLocationsModule__locations=[site("Klinik", "Zürich", "Switzerland", status="WITHDRAWN")])
        add(writer, second_b, "2026-02-06")
        add(writer, third, "2026-02-09", origin=Origin.IMPORT)
        first_a = edited(
            first,
            "2026-02-10",
            contactsLocationsModule__locations=[site("Hospital A", "Berlin", "Germany"), site("Hospital C", "Oslo", "Norway")],
            eligibilityModule__eligibilityCriteria='Inclusion Criteria:\n\nAdults of 18 years, "100%_sure" (münchen)',
            statusModule__statusVerifiedDate="2026-02",
        )
        add(writer, first_a, "2026-02-10")
        add(writer, edited(first_a, None, newModule__shinyLeaf="a new thing"), "2026-02-11")
        third_a = edited(third, "2026-02-12", contactsLocationsModule__locations=[site("Site 1", "Praha", "Czech Republic")])
        add(writer, third_a, "2026-02-12", origin=Origin.IMPORT)
        for name in ("w", "other"):
            writer.save_watch(Watch(name, {"query.cond": (name,)}), f"query of {name}")
        with writer.page():
            writer.join("w", ["NCT00000001", "NCT00000002"], "2026-02-04")
            writer.join("other", ["NCT00000003"], "2026-02-09")
            writer.leave("w", ["NCT00000002"], "2026-02-13")
            for change, nct_id in (
                (whole("watch.w", Kind.REMOVED, "w", None), "NCT00000002"),
                (whole("registry.presence", Kind.CHANGED, "listed", "removed"), "NCT00000001"),
            ):
                writer.add_whole(
                    change,
                    nct_id=nct_id,
                    date="2026-02-13",
                    not_before="2026-02-12",
                    load="2026-02-13",
                    posted=None,
                    seen="2026-02-13T11:00:00.000Z",
                    origin=Origin.POLL,
                )
            writer.set_presence("NCT00000001", Presence.REMOVED)
