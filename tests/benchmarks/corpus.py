"""What is measured on: the registry's own records where they are at hand, beside the project; otherwise the sandbox's."""

from __future__ import annotations

import lzma
from functools import cache
from pathlib import Path
from typing import Any

import orjson

PROJECT = Path(__file__).parents[2]
SHARED = PROJECT.parent / "shared" / "registry"
IS_REAL = (SHARED / "loads.jsonl.xz").is_file()


@cache
def dated() -> tuple[dict[str, Any], ...]:
    """Return the dated lines in the order of their loads, those without a study left out."""
    if IS_REAL:
        with lzma.open(SHARED / "loads.jsonl.xz") as file:
            lines = list(file)
    else:
        lines = (PROJECT / "trialsync" / "registry" / "sandbox" / "loads.jsonl").read_bytes().splitlines()
    found = [orjson.loads(line) for line in lines]
    return tuple(sorted((each for each in found if each["study"] is not None), key=lambda each: str(each["load"])))


def updates() -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return every two consecutive records of one study, and the pairs before and after a change; nothing is shared between the two."""
    latest: dict[str, dict[str, Any]] = {}
    found = []
    for line in dated():
        if line["nctId"] in latest:
            found.append((latest[line["nctId"]], line["study"]))
        latest[line["nctId"]] = line["study"]
    for before in sorted(SHARED.glob("pairs/*.before.*.json")):
        (after,) = SHARED.glob(before.name.split(".before.")[0].join(("pairs/", ".after.*.json")))
        found.append((orjson.loads(before.read_bytes()), orjson.loads(after.read_bytes())))
    return found


def first_load() -> list[bytes]:
    """Return the records of the first load, one JSON text each, as the registry would have sent them: with the load's label."""
    day = dated()[0]["load"]
    return [stamped(line["study"], day) for line in dated() if line["load"] == day]


def stamped(study: dict[str, Any], day: str) -> bytes:
    """Return a record as JSON text with the label of a load."""
    derived = study.get("derivedSection", {})
    misc = {"versionHolder": day, **{name: part for name, part in derived.get("miscInfoModule", {}).items() if name != "versionHolder"}}
    others = {name: part for name, part in derived.items() if name != "miscInfoModule"}
    return orjson.dumps({**study, "derivedSection": {"miscInfoModule": misc, **others}})


def templates() -> list[dict[str, Any]]:
    """Return every record at hand that a study can be made from, one for each study, without the parts that the registry has dropped."""
    latest = {line["nctId"]: line["study"] for line in dated()}
    if IS_REAL:
        with lzma.open(SHARED / "studies.jsonl.xz") as file:
            for line in file:
                study = orjson.loads(line)
                latest.setdefault(study["protocolSection"]["identificationModule"]["nctId"], study)
    return [_of_today(study) for study in latest.values()]


def _of_today(study: dict[str, Any]) -> dict[str, Any]:
    """Return a record without predictions and browse trees, which older ones still carry."""
    derived = {
        module: {name: part for name, part in parts.items() if name not in {"modelPredictions", "browseLeaves", "browseBranches"}}
        for module, parts in study.get("derivedSection", {}).items()
    }
    return {**study, "derivedSection": derived}
