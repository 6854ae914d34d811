"""The internal API's history of a study: what the replayed loads say of its past, and older versions that were written for it."""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

import orjson

from trialsync.registry.sandbox.answers import JSON, Answer, Refused, html_answer
from trialsync.registry.sandbox.flavour import historic
from trialsync.study import record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from trialsync.model import Study
    from trialsync.registry.sandbox.dataset import Dataset

    _Contents = Callable[[str], Sequence[tuple[str, Study]]]

_PATH: Final = re.compile(r"/api/int/studies/(NCT\d{8})(/history(?:/(\d{1,6}))?)?", re.IGNORECASE | re.ASCII)
_STATUS: Final = "protocolSection.statusModule"
_LABELS: Final = {
    "identificationModule": "Study Identification",
    "statusModule": "Study Status",
    "sponsorCollaboratorsModule": "Sponsor/Collaborators",
    "oversightModule": "Oversight",
    "descriptionModule": "Study Description",
    "conditionsModule": "Conditions",
    "designModule": "Study Design",
    "armsInterventionsModule": "Arms and Interventions",
    "outcomesModule": "Outcome Measures",
    "eligibilityModule": "Eligibility",
    "contactsLocationsModule": "Contacts/Locations",
    "referencesModule": "References",
    "ipdSharingStatementModule": "IPDSharing",
}


@dataclass(frozen=True, slots=True)
class PastLine:
    """An older version of a study, by what it had otherwise than the next newer one.

    ``changes`` gives values by dotted path, ``None`` for what was not there; ``submitted`` and ``posted`` are ISO days; ``returned`` says
    that the registry's reviewers returned it.
    """

    nct_id: str
    submitted: str
    posted: str
    changes: Mapping[str, Any]
    returned: bool = False


@dataclass(frozen=True, slots=True)
class _Submission:
    study: Study
    submitted: str
    returned: bool


def packaged_past() -> list[PastLine]:
    """Return the older versions that come with the packaged loads: the newest of each study first."""
    lines = resources.files(__package__).joinpath("past.jsonl").read_text("utf-8").splitlines()
    return [
        PastLine(said["nctId"], said["submitted"], said["posted"], said["changes"], said.get("returned", False))
        for said in map(orjson.loads, lines)
    ]


class RecordHistory:
    """Answers for the internal API. A study's versions are the older ones that were written for it, then what its sponsor submitted.

    A load that moved the posted date brought a submission; what the registry changed by itself is in no version, as in the real service.
    """

    def __init__(self, past: Iterable[PastLine]) -> None:
        self._past: dict[str, list[PastLine]] = {}
        for line in past:
            self._past.setdefault(line.nct_id, []).append(line)

    def answer(self, path: str, query: str, dataset: Dataset, contents: _Contents) -> Answer:
        """Return the answer to a request below ``/api/int``.

        ``contents`` gives the contents of a study up to the load that is served, with their loads.
        """
        match = _PATH.fullmatch(path)
        if match is None:
            return html_answer(404)
        asked = match[1].upper()
        if match[2] is None:
            return self._beside(asked, query, dataset, contents)
        versions = self._versions(asked, contents) if asked in dataset.studies else []
        if not versions or (match[3] is not None and int(match[3]) >= len(versions)):
            return Refused(f"No study {asked} history summary", 404).answer
        if match[3] is None:
            return _json(_summary(versions))
        number = int(match[3])
        return _json({"studyVersion": number, "study": historic(versions[number].study)})

    def _beside(self, asked: str, query: str, dataset: Dataset, contents: _Contents) -> Answer:
        held = dataset.find(asked)
        versions = self._versions(held.nct_id, contents) if held else []
        if held is None or not versions:
            return Refused(f"No study {asked} history summary", 404).answer
        said: dict[str, Any] = {"study": historic(held.study(dataset.label)), "topics": {}}
        return _json(said | ({"history": _summary(versions)} if "history=true" in query else {}))

    def _versions(self, nct_id: str, contents: _Contents) -> list[_Submission]:
        found: list[_Submission] = []
        posted: set[str | None] = set()
        is_withheld = False
        for load, study in contents(nct_id):
            if record.is_withheld(study):
                is_withheld = True
                continue
            is_withheld = False
            if record.posted(study) not in posted:
                posted.add(record.posted(study))
                submitted = record.at(study, "protocolSection", "statusModule", "lastUpdateSubmitDate")
                found.append(_Submission(study, submitted or record.posted(study) or load, returned=False))
        if is_withheld:
            return []  # nobody knows what the service says of such a study's past
        if found:
            found[:0] = reversed(list(self._older(found[0].study)))
        return found

    def _older(self, study: Study) -> Iterator[_Submission]:
        """Yield the older versions of a study, the newest first."""
        for line in self._past.get(record.nct_id(study) or "", ()):
            study = _altered(study, line)
            yield _Submission(study, line.submitted, line.returned)


def _altered(study: Study, line: PastLine) -> Study:
    older = copy.deepcopy(study)
    day = {"date": line.posted, "type": "ACTUAL"}
    for path, value in {
        f"{_STATUS}.lastUpdateSubmitDate": line.submitted,
        f"{_STATUS}.lastUpdatePostDateStruct": day,
        f"{_STATUS}.statusVerifiedDate": line.submitted[:7],
        **line.changes,
    }.items():
        *way, name = path.split(".")
        node = older
        for step in way:
            node = node.setdefault(step, {})
        if value is None:
            node.pop(name, None)
        else:
            node[name] = value
    return older


def _summary(versions: Sequence[_Submission]) -> dict[str, Any]:
    changes = []
    before: Study | None = None
    for number, version in enumerate(versions):
        entry = {
            "version": number,
            "date": version.submitted,
            "status": record.overall_status(version.study),
            "studyType": record.study_type(version.study),
            "moduleLabels": [] if before is None else _moved(before, version.study),
        }
        changes.append(entry | ({"reviewNotPassed": True} if version.returned else {}))
        before = version.study
    return {"changes": changes}


def _moved(before: Study, after: Study) -> list[str]:
    old, new = before.get("protocolSection", {}), after.get("protocolSection", {})
    return [label for module, label in _LABELS.items() if old.get(module) != new.get(module)]


def _json(value: Any) -> Answer:
    return Answer(200, orjson.dumps(value), JSON)
