"""The registry's own history of a study: which versions it had, and what each of them said.

It is read from the registry's internal API, which is not documented and was read off real answers: every part that is used is checked, and
an answer of another form is an error that names the difference, never a version.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import orjson

from trialsync.errors import HistoryChanged, StudyNotFound
from trialsync.model import is_day
from trialsync.registry.answers import UnreadableAnswer, aliases_of, number_of, sentence
from trialsync.registry.html_text import as_markdown
from trialsync.study import record
from trialsync.study.seam import SECTIONS

if TYPE_CHECKING:
    from trialsync.model import Json, Study
    from trialsync.registry.client import Registry


@dataclass(frozen=True, slots=True)
class Entry:
    """One version in a study's list: its number in the registry's count, from 0, and the day (ISO) on which it was submitted.

    ``was_posted`` is false for one that the registry's reviewers returned: nobody could see it at the time.
    """

    number: int
    submitted: str
    was_posted: bool = True


def entries(registry: Registry, nct_id: str) -> tuple[Entry, ...]:
    """Return the versions that the registry counts of a study, oldest first; never none.

    Where the list alone is not there, as for a number that became another study's alias, it is looked for beside the record. Raises
    StudyNotFound where the registry has no history of the number, HistoryChanged, and what the client raises.
    """
    missing = _missing(nct_id)
    found = registry.internal(f"studies/{nct_id}/history", partial(_read_entries, nct_id), missing=missing)
    if found is None:
        found = registry.internal(f"studies/{nct_id}", partial(_read_beside, nct_id), missing=missing, params={"history": "true"})
    if found is None:
        raise StudyNotFound(f"the registry has no history of {nct_id}", hint="a study that was withheld or removed has none")
    return found


def content(registry: Registry, nct_id: str, number: int) -> bytes:
    """Return the registry's answer for one version of a study, checked, as it came.

    Raises StudyNotFound where the registry has no such version, HistoryChanged, and what the client raises.
    """
    found = registry.internal(f"studies/{nct_id}/history/{number}", partial(_checked, nct_id, number), missing=_missing(nct_id))
    if found is None:
        raise StudyNotFound(f"the registry has no version {number} of {nct_id}, which it lists", hint="ask again later")
    return found


def study_of(nct_id: str, number: int, answer: bytes) -> Study:
    """Return the record in an answer for one version: the sections that history carries, its texts as the API gives them.

    ``hasResults`` is made as the registry computes it, by whether results had been submitted. Raises HistoryChanged.
    """
    try:
        said = as_markdown(_record(nct_id, number, answer))
    except RecursionError as error:
        raise HistoryChanged(f"version {number} of {nct_id}", "is nested too deeply to follow") from error
    kept: Study = {name: said[name] for name in SECTIONS if name in said}
    has_results = record.at(kept, "protocolSection", "statusModule", "resultsFirstSubmitDate") is not None
    return {**kept, "hasResults": has_results}


def _missing(nct_id: str) -> str:
    return f"No study {nct_id} history summary"


def _read_entries(nct_id: str, body: bytes) -> tuple[Entry, ...]:
    return _entries(f"the list of {nct_id}'s versions", _parsed(body))


def _read_beside(nct_id: str, body: bytes) -> tuple[Entry, ...]:
    said = _parsed(body)
    where = f"{nct_id} with its history"
    if not isinstance(said, dict) or not isinstance(said.get("study"), dict):
        raise HistoryChanged(where, "has no study")
    number = number_of(said["study"])
    if number != nct_id:
        became = number if number is not None and nct_id in aliases_of(said["study"]) else None
        if became is None:
            raise HistoryChanged(where, f"is of {sentence(str(number), 20)}")
        raise StudyNotFound(f"{nct_id} has become {became} in the registry, which has its history", hint=f"trialsync backfill {became}")
    return _entries(where, said.get("history"))


def _entries(where: str, said: Json) -> tuple[Entry, ...]:
    if not isinstance(said, dict):
        raise HistoryChanged(where, f"is not an object but {_kind(said)}")
    changes = said.get("changes")
    if not isinstance(changes, list) or not changes:
        raise HistoryChanged(where, f"has no list of changes but {_kind(changes)}")
    found: list[Entry] = []
    for place, change in enumerate(changes):
        found.append(_entry(where, place, change))
        if place and found[-1].submitted < found[-2].submitted:
            raise HistoryChanged(where, f"goes back from {found[-2].submitted} to {found[-1].submitted} at version {place}")
    return tuple(found)


def _entry(where: str, place: int, change: Json) -> Entry:
    if not isinstance(change, dict):
        raise HistoryChanged(where, f"has {_kind(change)} in the place of version {place}")
    number, submitted, returned = change.get("version"), change.get("date"), change.get("reviewNotPassed", False)
    if type(number) is not int or number != place:
        raise HistoryChanged(where, f"has version {sentence(str(number), 20)} where {place} is due")
    if not is_day(submitted):
        raise HistoryChanged(where, f"has the date {sentence(str(submitted), 40)!r} at version {place}, which is no day")
    if not isinstance(returned, bool):
        raise HistoryChanged(where, f"has reviewNotPassed {sentence(str(returned), 40)!r} at version {place}, which is not yes or no")
    labels = change.get("moduleLabels", [])
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise HistoryChanged(where, f"has moduleLabels at version {place} that are no list of texts")
    return Entry(number, submitted, not returned)


def _checked(nct_id: str, number: int, body: bytes) -> bytes:
    _record(nct_id, number, body)
    return body.strip()


def _record(nct_id: str, number: int, body: bytes) -> Study:
    """Return the record in an answer, once everything about it that is relied on was checked."""
    said, where = _parsed(body), f"version {number} of {nct_id}"
    if not isinstance(said, dict):
        raise HistoryChanged(where, f"is not an object but {_kind(said)}")
    if type(said.get("studyVersion")) is not int or said["studyVersion"] != number:
        raise HistoryChanged(where, f"says that it is version {sentence(str(said.get('studyVersion')), 20)}")
    study = said.get("study")
    if not isinstance(study, dict) or not isinstance(study.get("protocolSection"), dict):
        raise HistoryChanged(where, "has no study with a protocol section")
    for name in SECTIONS:
        _check_section(where, name, study.get(name, {}))
    if number_of(study) != nct_id:
        raise HistoryChanged(where, f"is of {sentence(str(number_of(study)), 20)}")
    posting = record.at(study, "protocolSection", "statusModule", "lastUpdatePostDateStruct")
    if posting is not None and not isinstance(posting, dict):
        raise HistoryChanged(where, f"has a lastUpdatePostDateStruct that is not an object but {_kind(posting)}")
    for day in (posted_day(study), submitted_day(study)):
        if day is not None and not is_day(day):
            raise HistoryChanged(where, f"was updated on {sentence(str(day), 40)!r}, which is no day")
    return study


def _check_section(where: str, name: str, section: Json) -> None:
    if not isinstance(section, dict):
        raise HistoryChanged(where, f"has a {name} that is not an object but {_kind(section)}")
    for module, inside in section.items():
        if not isinstance(inside, dict):
            raise HistoryChanged(where, f"has a {sentence(module, 40)} that is not an object but {_kind(inside)}")


def posted_day(study: Study) -> Json:
    """Return the ISO day on which a version was posted, ``None`` where it does not say."""
    return record.at(study, "protocolSection", "statusModule", "lastUpdatePostDateStruct", "date")


def submitted_day(study: Study) -> Json:
    """Return the ISO day on which a version was submitted, ``None`` where it does not say."""
    return record.at(study, "protocolSection", "statusModule", "lastUpdateSubmitDate")


def _parsed(body: bytes) -> Json:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise UnreadableAnswer(f"no JSON: {error}") from error


def _kind(value: Json) -> str:
    """Return what sort of JSON a value is, for a sentence."""
    names = {dict: "an object", list: "a list", str: "a text", bool: "yes or no", type(None): "nothing"}
    return "an empty list" if value == [] else names.get(type(value), "a number")
