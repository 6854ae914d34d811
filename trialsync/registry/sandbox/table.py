"""``format=csv``: studies as rows of the registry's thirty download columns."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from trialsync.registry.sandbox.answers import Refused
from trialsync.registry.sandbox.dataset import walk
from trialsync.registry.sandbox.parameters import items
from trialsync.registry.sandbox.vocabulary import vocabulary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from trialsync.model import Study


def _piece(name: str, joint: str = "|") -> Callable[[Study], str]:
    return lambda study: joint.join(_text(value) for value in _all(study, name))


def _all(study: Study, name: str) -> list[Any]:
    return walk(study, vocabulary().by_name[name].path)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "YES" if value else "NO"
    return "" if value is None else str(value)


def _records(name: str, *keys: str, form: str = ", ") -> Callable[[Study], str]:
    def cell(study: Study) -> str:
        found = [record for record in _all(study, name) if isinstance(record, dict)]
        return "|".join(form.join(_text(record[key]) for key in keys if key in record) for record in found)

    return cell


def _address(study: Study) -> str:
    return f"https://clinicaltrials.gov/study/{_piece('NCTId')(study)}"


def _design(study: Study) -> str:
    parts = {
        "Allocation": _piece("DesignAllocation"),
        "Intervention Model": _piece("DesignInterventionModel"),
        "Masking": _masking,
        "Primary Purpose": _piece("DesignPrimaryPurpose"),
        "Observational Model": _piece("DesignObservationalModel"),
        "Time Perspective": _piece("DesignTimePerspective"),
    }
    return "|".join(f"{label}: {text}" for label, cell in parts.items() if (text := cell(study)))


def _masking(study: Study) -> str:
    who = _piece("DesignWhoMasked", ", ")(study)
    return _piece("DesignMasking")(study) + (f" ({who})" if who else "")


def _other_ids(study: Study) -> str:
    return "|".join(_text(value) for name in ("OrgStudyId", "SecondaryId") for value in _all(study, name))


def _documents(study: Study) -> str:
    number = _piece("NCTId")(study)
    found = [document for document in _all(study, "LargeDoc") if isinstance(document, dict)]
    return "|".join(
        f"{document.get('label', '')}, https://cdn.clinicaltrials.gov/large-docs/{number[-2:]}/{number}/{document.get('filename', '')}"
        for document in found
    )


COLUMNS: dict[str, Callable[[Study], str]] = {
    "NCT Number": _piece("NCTId"),
    "Study Title": _piece("BriefTitle"),
    "Study URL": _address,
    "Acronym": _piece("Acronym"),
    "Study Status": _piece("OverallStatus"),
    "Brief Summary": _piece("BriefSummary"),
    "Study Results": _piece("HasResults"),
    "Conditions": _piece("Condition"),
    "Interventions": _records("Intervention", "type", "name", form=": "),
    "Primary Outcome Measures": _records("PrimaryOutcome", "measure", "description", "timeFrame"),
    "Secondary Outcome Measures": _records("SecondaryOutcome", "measure", "description", "timeFrame"),
    "Other Outcome Measures": _records("OtherOutcome", "measure", "description", "timeFrame"),
    "Sponsor": _piece("LeadSponsorName"),
    "Collaborators": _piece("CollaboratorName"),
    "Sex": _piece("Sex"),
    "Age": _piece("StdAge", ", "),
    "Phases": _piece("Phase"),
    "Enrollment": _piece("EnrollmentCount"),
    "Funder Type": _piece("LeadSponsorClass"),
    "Study Type": _piece("StudyType"),
    "Study Design": _design,
    "Other IDs": _other_ids,
    "Start Date": _piece("StartDate"),
    "Primary Completion Date": _piece("PrimaryCompletionDate"),
    "Completion Date": _piece("CompletionDate"),
    "First Posted": _piece("StudyFirstPostDate"),
    "Results First Posted": _piece("ResultsFirstPostDate"),
    "Last Update Posted": _piece("LastUpdatePostDate"),
    "Locations": _records("Location", "facility", "city", "state", "zip", "country"),
    "Study Documents": _documents,
}
"""The columns in the one order that the service sends them, each with how a study fills it; several values are joined by bars."""


def columns(text: str | None) -> tuple[str, ...]:
    """Return the columns that ``fields`` names, in the service's order; all where it is absent. Raises Refused for an unknown one."""
    if text is None:
        return tuple(COLUMNS)
    asked = items(text)
    for name in asked:
        if name not in COLUMNS:
            raise Refused(f"Parameter 'fields' contains invalid CSV column name: '{name}'")
    return tuple(name for name in COLUMNS if name in asked)


def table(studies: Iterable[Study], names: Sequence[str], *, header: bool) -> bytes:
    """Return the studies as CSV; the header row belongs to the first page alone."""
    written = io.StringIO()
    rows = csv.writer(written, lineterminator="\n")
    if header:
        rows.writerow(names)
    rows.writerows([COLUMNS[name](study) for name in names] for study in studies)
    return written.getvalue().encode()
