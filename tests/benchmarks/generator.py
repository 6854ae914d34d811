"""A registry of any size, made from a seed out of real records, that changes from load to load as the real one was measured to.

Each study is a record of the corpus under a number, a first posting and a last update of its own; of those with results the larger are
taken so seldom that the mean size is the registry's (17.3 kB). A load brings, for 606,000 studies, about 1,000 updates and 190 new
studies; one update in eight moves no posted date (a reference that is derived, a site that is re-geocoded, a link that goes), and a
month's first load turns open studies UNKNOWN by itself. What an update edits follows the real ones: dates and statuses most often, then
sites, enrolment, texts and outcomes. The same seed gives the same registry, byte for byte, on every machine that has the same corpus.
"""

from __future__ import annotations

import zipfile
from array import array
from bisect import bisect
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import IntEnum
from itertools import accumulate
from math import exp
from operator import mul
from typing import TYPE_CHECKING, Any, Final

import orjson

from .corpus import templates

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MEAN_BYTES: Final = 17_300
WITH_RESULTS: Final = 0.12
"""The share of studies with results: assumed, as nothing at hand counts them."""
UPDATES: Final = 1_000 / 606_000
"""Updates of one load, as a share of all studies."""
REGISTRATIONS: Final = 190 / 606_000
SILENT: Final = 1 / 8
"""The share of updates that move no posted date."""
FLIPS: Final = 0.001
"""The share of open studies that the first load of a month turns UNKNOWN."""

_FIRST_DAY: Final = date(2000, 2, 29).toordinal()
_SATURDAY: Final = 5
_MASK: Final = (1 << 64) - 1
_OPEN: Final = frozenset({"RECRUITING", "NOT_YET_RECRUITING", "ACTIVE_NOT_RECRUITING"})
_NUMBER: Final = "NCT77777777"
_LABEL: Final = "7777-01-01"
_FIRST: Final = "7777-02-02"
_POSTED: Final = "7777-03-03"
_MARKS: Final = tuple(f'"{mark}"'.encode() for mark in (_NUMBER, _LABEL, _FIRST, _POSTED))


def mixed(*numbers: int) -> int:
    """Return 64 bits that depend on every number given and look random (the finaliser of SplitMix64, once a number)."""
    state = 0
    for number in numbers:
        state = (state + number + 0x9E3779B97F4A7C15) & _MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        state ^= state >> 31
    return state


class Edit(IntEnum):
    """Who changes a record, and how: a sponsor, the registry by itself, or the registry because nobody verified it for two years."""

    SPONSOR = 0
    SILENT = 1
    UNKNOWN = 2


class Chance:
    """Numbers that look random, from a seed of several numbers."""

    def __init__(self, *seed: int) -> None:
        self._seed = mixed(*seed)
        self._drawn = 0

    def below(self, end: int) -> int:
        """Return a whole number from 0 up to ``end``, ``end`` not included."""
        self._drawn += 1
        return mixed(self._seed, self._drawn) % end

    def happens(self, share: float) -> bool:
        """Return true with this probability."""
        return self.below(1_000_000) < share * 1_000_000


class Template:
    """A real record with room for a number, a load's label and two dates."""

    def __init__(self, study: dict[str, Any]) -> None:
        self.study = prepared(study)
        self._pieces = _pieces(orjson.dumps(self.study))
        self.is_open = study["protocolSection"]["statusModule"].get("overallStatus") in _OPEN
        self.size = sum(map(len, self._pieces[0])) + 60

    def text(self, values: tuple[bytes, ...]) -> bytes:
        """Return the record as JSON text; ``values`` are number, label, first posting and last update."""
        return _filled(self._pieces, values)


def prepared(study: dict[str, Any]) -> dict[str, Any]:
    """Return a copy of a record whose number, label and two posted dates are marks to be replaced."""
    copied: dict[str, Any] = orjson.loads(orjson.dumps(study))
    protocol = copied["protocolSection"]
    protocol["identificationModule"]["nctId"] = _NUMBER
    status = protocol["statusModule"]
    status["studyFirstPostDateStruct"] = {"date": _FIRST, "type": "ACTUAL"}
    status["lastUpdatePostDateStruct"] = {"date": _POSTED, "type": "ACTUAL"}
    derived = copied.get("derivedSection", {})
    misc = {"versionHolder": _LABEL, **{name: part for name, part in derived.get("miscInfoModule", {}).items() if name != "versionHolder"}}
    return {
        **copied,
        "derivedSection": {"miscInfoModule": misc, **{name: part for name, part in derived.items() if name != "miscInfoModule"}},
    }


_Pieces = tuple[list[bytes], list[int]]


def _pieces(text: bytes) -> _Pieces:
    """Return the pieces of a text between its marks, and which mark stands behind each piece but the last."""
    places = sorted((text.index(mark), which) for which, mark in enumerate(_MARKS))
    pieces, start = [], 0
    for place, which in places:
        pieces.append(text[start : place + 1])
        start = place + len(_MARKS[which]) - 1
    return [*pieces, text[start:]], [which for _, which in places]


def _filled(made: _Pieces, values: tuple[bytes, ...]) -> bytes:
    pieces, order = made
    return b"".join(part for piece, which in zip(pieces, order, strict=False) for part in (piece, values[which])) + pieces[-1]


@dataclass(frozen=True, slots=True)
class Load:
    """What a load changed: the places of the studies that a sponsor updated, that the registry changed by itself, and that are new."""

    day: str
    updated: tuple[int, ...]
    silent: tuple[int, ...]
    new: tuple[int, ...]


@dataclass(slots=True)
class GeneratedRegistry:
    """The registry at its present load. A study is known by its place, from 0; its number is ``nct_id(place)``."""

    seed: int
    studies: int
    day: date = date(2026, 3, 2)
    chosen: array[int] = field(init=False)
    first_posted: array[int] = field(init=False)
    posted: array[int] = field(init=False)
    edits: dict[int, list[tuple[int, Edit]]] = field(init=False, default_factory=dict)
    _templates: list[Template] = field(init=False)
    _pool: _Pool = field(init=False)

    def __post_init__(self) -> None:
        """Choose each study's record and dates."""
        self._templates = [Template(study) for study in templates()]
        self._pool = _Pool(self._templates)
        self.chosen, self.first_posted, self.posted = array("l"), array("l"), array("l")
        today = self.day.toordinal()
        for place in range(self.studies):
            self._add(place, _FIRST_DAY + (today - 1 - _FIRST_DAY) * place // self.studies)

    def _add(self, place: int, first: int, *, new: bool = False) -> None:
        chance = Chance(self.seed, place, 1)
        self.chosen.append(self._pool.chosen(chance))
        self.first_posted.append(first)
        # A fifth of the registry was updated within a year; the rest lies anywhere between its first posting and then.
        today, latest = self.day.toordinal(), self.day.toordinal() - (0 if chance.happens(0.208) else 365)
        span = max(1, min(365, today - first) if latest == today else latest - first)
        self.posted.append(first if new else _weekday(max(first, latest - chance.below(span))))

    @property
    def load(self) -> str:
        """Return the day of the present load."""
        return self.day.isoformat()

    def nct_id(self, place: int) -> str:
        """Return a study's number."""
        return f"NCT{place + 1:08d}"

    def text(self, place: int) -> bytes:
        """Return a study's record, as the registry sends it with the present load."""
        values = tuple(
            value.encode()
            for value in (
                self.nct_id(place),
                self.load,
                date.fromordinal(self.first_posted[place]).isoformat(),
                date.fromordinal(self.posted[place]).isoformat(),
            )
        )
        template = self._templates[self.chosen[place]]
        if place not in self.edits:
            return template.text(values)
        study = orjson.loads(orjson.dumps(template.study))
        for seed, kind in self.edits[place]:
            edit(study, Chance(self.seed, place, seed, 2), kind)
        return _filled(_pieces(orjson.dumps(study)), values)

    def texts(self) -> Iterator[bytes]:
        """Yield every record."""
        return map(self.text, range(self.studies))

    def write_zip(self, path: Path) -> None:
        """Write the registry's bulk download: one file a study, in folders named by the last two digits."""
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for folder in range(100):
                for place in range((folder - 1) % 100, self.studies, 100):
                    number = self.nct_id(place)
                    archive.writestr(f"{number[-2:]}/{number}.json", self.text(place))

    def advance(self) -> Load:
        """Go on to the next weekday's load."""
        before = self.day
        self.day += timedelta(days=1)
        while self.day.weekday() >= _SATURDAY:
            self.day += timedelta(days=1)
        today = self.day.toordinal()
        chance = Chance(self.seed, today, 3)
        touched = {chance.below(self.studies): None for _ in range(_about(self.studies * UPDATES, chance))}
        kinds = {place: Edit.SILENT if chance.happens(SILENT) else Edit.SPONSOR for place in touched}
        if before.month != self.day.month:
            openly = (place for place in range(self.studies) if self._templates[self.chosen[place]].is_open and place not in touched)
            kinds |= {place: Edit.UNKNOWN for place in openly if mixed(self.seed, today, place) % 1_000_000 < FLIPS * 1_000_000}
        new = tuple(range(self.studies, self.studies + _about(self.studies * REGISTRATIONS, chance)))
        for place, kind in kinds.items():
            self.edits.setdefault(place, []).append((today, kind))
            if kind is Edit.SPONSOR:
                self.posted[place] = today
        for place in new:
            self._add(place, today, new=True)
        self.studies += len(new)
        updated = tuple(place for place, kind in kinds.items() if kind is Edit.SPONSOR)
        return Load(self.load, updated, tuple(place for place in kinds if kinds[place] is not Edit.SPONSOR), new)


class _Pool:
    """The records with results and those without, and how often each with results is taken: the larger, the seldomer.

    Their share is the registry's; the weights are such that the mean size over all is the registry's too, where the corpus allows it.
    """

    def __init__(self, templates: list[Template]) -> None:
        self._with = [place for place, each in enumerate(templates) if each.study.get("hasResults")]
        self._without = [place for place, each in enumerate(templates) if not each.study.get("hasResults")]
        sizes = [templates[place].size for place in self._with]
        plain = sum(templates[place].size for place in self._without) / max(1, len(self._without))
        wanted = (MEAN_BYTES - (1 - WITH_RESULTS) * plain) / WITH_RESULTS
        self._cumulated = list(accumulate(_weights(sizes, wanted)))

    def chosen(self, chance: Chance) -> int:
        """Return the place of a record among the templates."""
        if self._with and (not self._without or chance.happens(WITH_RESULTS)):
            drawn = chance.below(1 << 40) / (1 << 40) * self._cumulated[-1]
            return self._with[min(bisect(self._cumulated, drawn), len(self._with) - 1)]
        return self._without[chance.below(len(self._without))]


def _weights(sizes: list[int], wanted: float) -> list[float]:
    """Return weights that fall with the size and make ``wanted`` the mean; equal ones where even these make less."""
    low, high = 100.0, 1e9
    for _ in range(200):
        scale = (low * high) ** 0.5
        weights = [exp(-size / scale) for size in sizes]
        mean = sum(map(mul, weights, sizes)) / max(sum(weights), 1e-300)
        low, high = (scale, high) if mean < wanted else (low, scale)
    return weights if sizes else []


def _about(mean: float, chance: Chance) -> int:
    """Return a whole number that is ``mean`` on the average, within a sixth of it."""
    low = mean * 5 / 6 + mean / 3 * chance.below(1000) / 1000
    return int(low) + chance.happens(low % 1)


def _weekday(ordinal: int) -> int:
    return ordinal - max(0, date.fromordinal(ordinal).weekday() - 4)


def edit(study: dict[str, Any], chance: Chance, kind: Edit) -> None:
    """Change a record as one update does."""
    if kind is Edit.UNKNOWN:
        _goes_unknown(study, chance)
        return
    if kind is Edit.SILENT:
        _SILENT_EDITS[chance.below(len(_SILENT_EDITS))](study, chance)
        return
    study["protocolSection"]["statusModule"]["statusVerifiedDate"] = f"2026-{1 + chance.below(12):02d}"
    for share, change in _SPONSORS_EDITS:
        if chance.happens(share):
            change(study, chance)


def _status(study: dict[str, Any], chance: Chance) -> None:
    status = study["protocolSection"]["statusModule"]
    status["overallStatus"] = ("RECRUITING", "ACTIVE_NOT_RECRUITING", "COMPLETED", "TERMINATED", "SUSPENDED")[chance.below(5)]
    status.pop("lastKnownStatus", None)
    if status["overallStatus"] == "TERMINATED":
        status["whyStopped"] = ("Funding", "Slow accrual", "Sponsor decision")[chance.below(3)]


def _dates(study: dict[str, Any], chance: Chance) -> None:
    for name in ("primaryCompletionDateStruct", "completionDateStruct"):
        struct = study["protocolSection"]["statusModule"].get(name)
        if struct:
            struct["date"] = f"{2026 + chance.below(5)}-{1 + chance.below(12):02d}"


def _sites(study: dict[str, Any], chance: Chance) -> None:
    sites = study["protocolSection"].get("contactsLocationsModule", {}).get("locations")
    if not sites:
        return
    if len(sites) > 1 and chance.happens(0.4):
        del sites[chance.below(len(sites))]
    if chance.happens(0.6):
        like = sites[chance.below(len(sites))]
        sites.insert(chance.below(len(sites) + 1), {**like, "facility": f"Site {chance.below(10_000)}"})
    for site in sites[:: 2 + chance.below(3)]:
        if "status" in site:
            site["status"] = ("RECRUITING", "COMPLETED", "WITHDRAWN")[chance.below(3)]


def _enrollment(study: dict[str, Any], chance: Chance) -> None:
    info = study["protocolSection"].get("designModule", {}).get("enrollmentInfo")
    if info and "count" in info:
        info["count"] = max(0, info["count"] * (70 + chance.below(70)) // 100)


def _texts(study: dict[str, Any], chance: Chance) -> None:
    for module, name in (("eligibilityModule", "eligibilityCriteria"), ("descriptionModule", "briefSummary")):
        text = study["protocolSection"].get(module, {}).get(name)
        if text:
            words = text.split(" ")
            words[chance.below(len(words))] = ("amended", "at least", "no more than", "\\>= 18")[chance.below(4)]
            study["protocolSection"][module][name] = " ".join(words)


def _outcomes(study: dict[str, Any], chance: Chance) -> None:
    outcomes = study["protocolSection"].get("outcomesModule", {})
    listed = outcomes.get(("primaryOutcomes", "secondaryOutcomes")[chance.below(2)])
    if listed:
        outcome = listed[chance.below(len(listed))]
        outcome[("measure", "timeFrame")[chance.below(2)]] = f"{outcome.get('measure', 'Outcome')} at {1 + chance.below(52)} weeks"


def _goes_unknown(study: dict[str, Any], chance: Chance) -> None:
    status = study["protocolSection"]["statusModule"]
    if status.get("overallStatus") in _OPEN:
        status["lastKnownStatus"], status["overallStatus"] = status["overallStatus"], "UNKNOWN"
    else:
        _derived_reference(study, chance)


def _derived_reference(study: dict[str, Any], chance: Chance) -> None:
    number = str(30_000_000 + chance.below(9_000_000))
    references = study["protocolSection"].setdefault("referencesModule", {}).setdefault("references", [])
    references.append({"pmid": number, "type": "DERIVED", "citation": f"Someone et al. A study. J Res. {number}."})


def _regeocoded(study: dict[str, Any], chance: Chance) -> None:
    sites = study["protocolSection"].get("contactsLocationsModule", {}).get("locations") or ()
    placed = [site["geoPoint"] for site in sites if "geoPoint" in site]
    if placed:
        point = placed[chance.below(len(placed))]
        point["lat"] = round(point["lat"] + (1 + chance.below(99)) / 10_000, 5)
    else:
        _derived_reference(study, chance)


def _link_gone(study: dict[str, Any], chance: Chance) -> None:
    if study["protocolSection"].get("referencesModule", {}).pop("seeAlsoLinks", None) is None:
        _derived_reference(study, chance)


_SPONSORS_EDITS: Final = ((0.35, _status), (0.45, _dates), (0.35, _sites), (0.25, _enrollment), (0.2, _texts), (0.1, _outcomes))
_SILENT_EDITS: Final = (_goes_unknown, _derived_reference, _regeocoded, _link_gone)
