"""Studies for the tests of the comparison: the registry's own where they are at hand, the sandbox's, and a few of our invention."""

from __future__ import annotations

import lzma
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from trialsync.study.fields import FIELDS, NOISE

if TYPE_CHECKING:
    from trialsync.model import Study
    from trialsync.study.fields import Items

PROJECT = Path(__file__).parents[2]
SHARED = PROJECT.parent / "shared" / "registry"
SANDBOX_LOADS = PROJECT / "trialsync" / "registry" / "sandbox" / "loads.jsonl"


def study_of(line: bytes) -> Study:
    """Return the study of a line, bare or dated; each call parses anew, so that nothing is shared between two of them."""
    value = orjson.loads(line)
    study: Study = value.get("study", value)
    return study


@cache
def real_lines() -> tuple[bytes, ...]:
    """Return the registry's own records that are at hand, one JSON text each; none in a clone without them."""
    lines: list[bytes] = []
    for name in ("loads.jsonl.xz", "studies.jsonl.xz"):
        if (SHARED / name).is_file():
            with lzma.open(SHARED / name) as file:
                lines += file
    return tuple(lines + [path.read_bytes() for path in sorted(SHARED.glob("pairs/*.json"))])


@cache
def lines() -> tuple[bytes, ...]:
    """Return every record that is at hand, our own first."""
    sandbox = (line for line in SANDBOX_LOADS.read_bytes().splitlines() if orjson.loads(line)["study"] is not None)
    return (*map(orjson.dumps, OWN), *sandbox, *real_lines())


@cache
def versions() -> tuple[tuple[bytes, ...], ...]:
    """Return the lines of each study that several records show, in the order of their loads."""
    found: dict[str, list[bytes]] = {}
    for line in lines():
        number = study_of(line)["protocolSection"]["identificationModule"]["nctId"]
        found.setdefault(number, []).append(line)
    return tuple(tuple(each) for each in found.values() if len(each) > 1)


def pair_names() -> list[str]:
    """Return the names of the registry's own records before and after a change: what it shows, then the study's number."""
    return sorted({".".join(path.name.split(".")[:2]) for path in SHARED.glob("pairs/*.before.*.json")})


def pair(name: str) -> tuple[Study, Study]:
    """Return the two records of such a pair, the older first."""
    before, after = (next(SHARED.glob(f"pairs/{name}.{side}.*.json")).read_bytes() for side in ("before", "after"))
    return orjson.loads(before), orjson.loads(after)


def put(study: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    """Put a value at a path of names, making the objects on the way."""
    for name in path[:-1]:
        study = study.setdefault(name, {})
    study[path[-1]] = value


def minimal(number: str = "NCT00000102", **status: str) -> Study:
    """Return the smallest record that can be kept."""
    return {
        "protocolSection": {
            "identificationModule": {"nctId": number, "briefTitle": "A study of nothing much"},
            "statusModule": {"overallStatus": "RECRUITING", "lastUpdatePostDateStruct": {"date": "2026-01-05", "type": "ACTUAL"}, **status},
        },
        "derivedSection": {"miscInfoModule": {"versionHolder": "2026-02-04"}},
        "hasResults": False,
    }


def _whole_item(items: Items, words: str) -> dict[str, Any]:
    held: dict[str, Any] = {name: f"{name} {words}" for name in items.attributes}
    held |= {name: [_whole_item(below, f"{words} {number}") for number in (1, 2)] for name, below in items.lists.items()}
    return held


def whole_study() -> Study:
    """Return a study that holds every attribute that the table of fields knows, and two items in each list."""
    study: Study = {}
    for each in FIELDS:
        value: Any = f"text of {each.name}"
        if each.items is not None:
            value = [_whole_item(each.items, word) for word in ("one", "two")]
        elif each.attributes:
            value = {name: f"{name} of {each.name}" for name in each.attributes}
        put(study, tuple(each.path.split(".")), value)
    for path in NOISE:
        put(study, tuple(path.split(".")), "2026-02-04")
    study["protocolSection"]["identificationModule"]["nctId"] = "NCT00000101"
    return study


def _site(facility: str, city: str, **more: Any) -> dict[str, Any]:
    return {"facility": facility, "city": city, "country": "Freedonia", **more}


def _repeats() -> Study:
    """Return a study whose natural keys are not keys: sites, arms and outcomes that stand twice, labels that look numbered."""
    study = minimal("NCT00000103", whyStopped="")
    protocol = study["protocolSection"]
    protocol["conditionsModule"] = {"conditions": ["Ennui", "Boredom", "Ennui"], "keywords": ["b", "a"]}
    protocol["designModule"] = {"phases": ["PHASE2", "PHASE3"], "enrollmentInfo": {"count": 1, "type": "ESTIMATED"}}
    protocol["armsInterventionsModule"] = {
        "armGroups": [
            {"label": "Cohort", "type": "EXPERIMENTAL", "description": "first", "interventionNames": ["Drug: A", "Drug: B"]},
            {"label": "Cohort", "type": "EXPERIMENTAL", "description": "second"},
            {"label": "Cohort #2", "type": "NO_INTERVENTION"},
        ],
        "interventions": [{"type": "DRUG", "name": "A", "armGroupLabels": ["Cohort", "Cohort #2"]}, {"type": "DRUG", "name": "B"}],
    }
    protocol["outcomesModule"] = {
        "primaryOutcomes": [
            {"measure": "Overall survival", "timeFrame": "1 year"},
            {"measure": "Overall  Survival", "timeFrame": "5 years"},
            {"measure": "Overall survival", "timeFrame": "1 year"},
        ],
    }
    protocol["contactsLocationsModule"] = {
        "locations": [
            _site("Research Site", "Sylvania", zip="1", contacts=[{"name": "A. B.", "role": "CONTACT", "phone": "1"}]),
            _site("Research Site", "Sylvania", zip="2", geoPoint={"lat": 1.0, "lon": 2}),
            _site("Research Site", "Sylvania", zip="3", status="RECRUITING"),
            _site("Hospital.of.Dots|and Bars", "St. Mary's", state="", zip="3"),
        ],
    }
    return study


OWN = (whole_study(), minimal(), _repeats(), {**minimal("NCT00000104"), "unknownSection": {"newModule": {"list": [{"a": 1}, "b", None]}}})
"""Records of our own."""
