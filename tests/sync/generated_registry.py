"""A registry's loads, made up day by day from a seed, that keep what was measured of the real ones.

A sponsor's update carries the load's own day as its posted date (or, where the load before it is older than a day, one of the weekdays in
between), submitted one to four days before; about one change in eight moves no posted date: statuses that go UNKNOWN with a month's first
load, references that are derived, sites that are re-geocoded, cities that are renamed. Weekdays without a load occur. What the registry
changes by itself is left alone for a while, so that a sweep that comes by within that time can see each change by itself.
"""

from __future__ import annotations

import copy
import random
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

from following import edited, invent, number_of, site, status, withheld

from trialsync.registry.sandbox import LoadLine

if TYPE_CHECKING:
    from trialsync.model import Study

BESIDE: Final = 99_000_001
"""The study of another condition that every load changes, so that each is a load."""

OPEN: Final = ("RECRUITING", "NOT_YET_RECRUITING", "ACTIVE_NOT_RECRUITING")
_CLOSED: Final = ("COMPLETED", "TERMINATED", "WITHDRAWN", "SUSPENDED")
_SATURDAY: Final = 5
_CITIES: Final = {"Napoli": "Naples", "Padua": "Padova", "Sevilla": "Seville"}


@dataclass(slots=True)
class Kinds:
    """How often a load does what; probabilities are of one load, rates are means for a load."""

    updates: float = 4.0
    registrations: float = 0.5
    own_changes: float = 0.4
    merges: float = 0.05
    removals: float = 0.05
    withholdings: float = 0.03
    skipped_days: float = 0.06


@dataclass(slots=True)
class Generated:
    """What was made: the lines, the loads' days, and how many changes of each kind there are in them."""

    lines: list[LoadLine] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)


def weekdays(first: date, count: int, skipped: float = 0.0, chance: random.Random | None = None) -> list[date]:
    """Return ``count`` days of loads from ``first`` on: weekdays, some of them left out; never the first, never two in a row."""
    days: list[date] = []
    day, left_out = first, True
    while len(days) < count:
        if day.weekday() < _SATURDAY:
            left_out = not left_out and chance is not None and chance.random() < skipped
            if not left_out:
                days.append(day)
        day += timedelta(days=1)
    return days


class _Making:
    """The registry while its loads are made."""

    def __init__(self, seed: int, studies: int, settle: int, kinds: Kinds) -> None:
        self.chance = random.Random(seed)  # noqa: S311 - loads that look real, no secret
        self.kinds = kinds
        self.settle = timedelta(days=settle)
        self.made = Generated()
        self.studies: dict[str, Study] = {}
        self.quiet_until: dict[str, date] = {}
        self.next_number = studies + 1
        self.initial = [self.first(number) for number in range(1, studies + 1)]

    def first(self, number: int) -> Study:
        """Return a study as it stands on the first load, first posted some time in the ten years before; a few without that day."""
        day = date(2016, 1, 4) + timedelta(days=self.chance.randrange(3600))
        study = invent(
            number,
            posted=(day + timedelta(days=7)).isoformat(),
            first_posted=day.isoformat(),
            condition="Ataxia" if number % 4 else "Migraine",
        )
        if number % 17 == 0:
            study = edited(study, statusModule__studyFirstPostDateStruct=None)
        word = self.chance.choices((*OPEN, *_CLOSED), (6, 2, 2, 2, 1, 1, 1))[0]
        sites = [self.site(f"Clinic {letter}") for letter in "ABCDE"[: self.chance.randint(1, 5)]]
        return edited(status(study, word), contactsLocationsModule={"locations": sites}, statusModule__statusVerifiedDate="2024-01")

    def site(self, name: str) -> dict[str, Any]:
        """Return a site with a place on the map."""
        city = self.chance.choice(("Lyon", "Oslo", *_CITIES))
        return site(name, city, "Europe", geoPoint={"lat": round(self.chance.uniform(36, 60), 5), "lon": 10.25})

    def load(self, day: date, before: date | None) -> None:
        """Make a load; ``before`` is the day of the load before it."""
        changed: dict[str, Study | None] = {}
        if before is None:
            changed = {number_of(study): study for study in self.initial}
        else:
            if day.month != before.month:
                self.flip(day, changed)
            self.withdraw(day, changed)
            self.own(day, changed)
            self.updates(day, before, changed)
            self.register(day, before, changed)
        beside = invent(BESIDE, posted=day.isoformat(), condition="Something else", descriptionModule={"briefSummary": f"As of {day}"})
        changed[number_of(beside)] = beside
        for number, study in changed.items():
            if study is None:
                self.studies.pop(number, None)
            else:
                self.studies[number] = study
            self.made.lines.append(LoadLine(day.isoformat(), number, study))
        self.made.loads.append(day.isoformat())

    def count(self, what: str, times: int = 1) -> None:
        """Count a change."""
        self.made.counts[what] = self.made.counts.get(what, 0) + times

    def some(self, rate: float) -> int:
        """Return a number with a mean."""
        return sum(self.chance.random() < rate / 8 for _ in range(8))

    def free(self, day: date, changed: dict[str, Study | None]) -> list[str]:
        """Return the numbers that may change on this load, in order."""
        return [
            number
            for number, study in sorted(self.studies.items())
            if number not in changed and self.quiet_until.get(number, day) <= day and int(number[3:]) != BESIDE and not _is_withheld(study)
        ]

    def pick(self, day: date, changed: dict[str, Study | None]) -> str:
        """Return one of them."""
        return self.chance.choice(self.free(day, changed))

    def rest(self, number: str, day: date) -> None:
        """Leave a study alone until a sweep has come by for certain."""
        self.quiet_until[number] = day + self.settle

    def posted_on(self, day: date, before: date) -> date:
        """Return the day that an update carries: the load's, at times one of the weekdays since the load before that had none."""
        between = [before + timedelta(days=n) for n in range(1, (day - before).days)]
        open_days = [each for each in between if each.weekday() < _SATURDAY]
        return self.chance.choice([day, day, *open_days])

    def updates(self, day: date, before: date, changed: dict[str, Study | None]) -> None:
        """Post what sponsors sent."""
        for _ in range(self.some(self.kinds.updates)):
            number = self.pick(day, changed)
            posted = self.posted_on(day, before)
            sent = posted - timedelta(days=self.chance.choices((1, 2, 3, 4), (21, 23, 10, 11))[0])
            study = edited(
                self.edit(self.studies[number]),
                posted.isoformat(),
                statusModule__lastUpdateSubmitDate=sent.isoformat(),
                statusModule__statusVerifiedDate=posted.isoformat()[:7],
            )
            self.count("updates")
            changed[number] = study

    def edit(self, study: Study) -> Study:
        """Return a study as its sponsor changed it."""
        what = self.chance.randrange(6)
        protocol = study["protocolSection"]
        sites = protocol.get("contactsLocationsModule", {}).get("locations", [])
        if what < 2:
            word = self.chance.choice((*OPEN, *_CLOSED))
            self.count("statuses", int(word != protocol["statusModule"]["overallStatus"]))
            return edited(status(study, word), statusModule__lastKnownStatus=None, statusModule__whyStopped=_why(word))
        if what == 2:
            return edited(study, designModule__enrollmentInfo__count=self.chance.randint(10, 400))
        if what == 3:
            return edited(
                study, outcomesModule={"primaryOutcomes": [{"measure": "Gait speed", "timeFrame": f"{self.chance.randint(1, 60)} months"}]}
            )
        if what == 4 and len(sites) > 1:
            fewer = [each for place, each in enumerate(sites) if place != self.chance.randrange(len(sites))] or sites[:1]
            return edited(study, contactsLocationsModule__locations=fewer)
        name = f"Clinic {self.chance.randint(1, 10_000)}"
        return edited(study, contactsLocationsModule__locations=[*sites[:1], self.site(name), *sites[1:]])

    def register(self, day: date, before: date, changed: dict[str, Study | None]) -> None:
        """Post new registrations."""
        for _ in range(self.some(self.kinds.registrations)):
            posted = self.posted_on(day, before).isoformat()
            study = edited(self.first(self.next_number), posted, statusModule__studyFirstPostDateStruct={"date": posted, "type": "ACTUAL"})
            changed[number_of(study)] = status(study, "NOT_YET_RECRUITING")
            self.next_number += 1
            self.count("registrations")

    def flip(self, day: date, changed: dict[str, Study | None]) -> None:
        """Let studies go UNKNOWN that were not verified for two years, as the registry does with a month's first load."""
        for number in self.free(day, changed):
            study = self.studies[number]
            module = study["protocolSection"]["statusModule"]
            if module["overallStatus"] in OPEN and module["statusVerifiedDate"] == "2024-01" and self.chance.random() < 1 / 12:
                changed[number] = edited(status(study, "UNKNOWN"), statusModule__lastKnownStatus=module["overallStatus"])
                self.rest(number, day)
                self.count("flips")

    def own(self, day: date, changed: dict[str, Study | None]) -> None:
        """Make the registry's own changes: references, places on the map, names of cities."""
        for _ in range(self.some(self.kinds.own_changes)):
            number = self.pick(day, changed)
            study = copy.deepcopy(self.studies[number])
            protocol = study["protocolSection"]
            if self.chance.random() < 1 / 2:
                derived = {"pmid": str(self.chance.randint(10**7, 10**8)), "type": "DERIVED", "citation": "Somebody A. Gait. J. 2026."}
                protocol.setdefault("referencesModule", {}).setdefault("references", []).append(derived)
            else:
                self.chance.choice(protocol["contactsLocationsModule"]["locations"])["geoPoint"] = {
                    "lat": 50.5,
                    "lon": round(self.chance.uniform(1, 9), 5),
                }
            changed[number] = study
            self.rest(number, day)
            self.count("own")
        if self.chance.random() < self.kinds.own_changes / 10:
            self.rename(day, changed)

    def rename(self, day: date, changed: dict[str, Study | None]) -> None:
        """Rename a city in some of the studies that have a site there."""
        old, new = self.chance.choice(sorted(_CITIES.items()))
        there = [number for number in self.free(day, changed) if any(each["city"] == old for each in _sites(self.studies[number]))]
        for number in there[:4]:
            study = copy.deepcopy(self.studies[number])
            for each in _sites(study):
                each["city"] = new if each["city"] == old else each["city"]
            changed[number] = study
            self.rest(number, day)
            self.count("renamed")

    def withdraw(self, day: date, changed: dict[str, Study | None]) -> None:
        """Merge, remove and withhold studies."""
        if self.chance.random() < self.kinds.merges:
            gone, survivor = self.pick(day, changed), ""
            changed[gone] = None
            survivor = self.pick(day, changed)
            aliases = self.studies[survivor]["protocolSection"]["identificationModule"].get("nctIdAliases", [])
            changed[survivor] = edited(self.studies[survivor], day.isoformat(), identificationModule__nctIdAliases=[*aliases, gone])
            self.rest(survivor, day)
            self.count("merges")
        if self.chance.random() < self.kinds.removals:
            changed[self.pick(day, changed)] = None
            self.count("removals")
        if self.chance.random() < self.kinds.withholdings:
            number = self.pick(day, changed)
            changed[number] = withheld(self.studies[number], day.isoformat())
            self.rest(number, day)
            self.count("withheld")


def _why(word: str) -> str | None:
    return "Slow enrolment" if word in {"TERMINATED", "WITHDRAWN", "SUSPENDED"} else None


def _sites(study: Study) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = study["protocolSection"].get("contactsLocationsModule", {}).get("locations", [])
    return found


def _is_withheld(study: Study) -> bool:
    return bool(study["protocolSection"]["statusModule"]["overallStatus"] == "WITHHELD")


def generate(
    seed: int,
    *,
    studies: int = 120,
    loads: int = 32,
    quiet: int = 0,
    settle: int = 10,
    first: date = date(2026, 1, 5),
    kinds: Kinds | None = None,
) -> Generated:
    """Return loads from a seed: ``loads`` that change studies, then ``quiet`` ones that change nothing but the study beside.

    After a change of its own the registry leaves a study alone for ``settle`` days. Three in four studies are of Ataxia, the others of
    Migraine; each seventeenth has no day of first posting. The same arguments give the same loads.
    """
    kinds = kinds or Kinds()
    making = _Making(seed, studies, settle, kinds)
    days = weekdays(first, loads + quiet, kinds.skipped_days, making.chance)
    before: date | None = None
    for place, day in enumerate(days):
        if place == loads:
            making.kinds = Kinds(0, 0, 0, 0, 0, 0, 0)
            making.quiet_until = dict.fromkeys(making.studies, date.max)
        making.load(day, before)
        before = day
    return making.made
