"""Named readers of a study: the few leaves that code needs, each by the field's standard term.

Every reader takes the registry's JSON, survives any shape of it, and returns ``None`` (or an empty tuple) for what is absent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trialsync.errors import BadNctId, RecordError
from trialsync.model import nct_id as normal_nct_id

if TYPE_CHECKING:
    from trialsync.model import Json, Study

WITHHELD_SPONSOR = "[Redacted]"
"""The lead sponsor's name in a withheld study, word for word as the registry prints it."""


def at(study: Json, *path: str) -> Json:
    """Return the value at a path of object names, or ``None`` where any part of the way is missing."""
    value = study
    for name in path:
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value


def _text(study: Study, *path: str) -> str | None:
    value = at(study, "protocolSection", *path)
    return value if isinstance(value, str) else None


def _texts(study: Study, *path: str) -> tuple[str, ...]:
    value = at(study, "protocolSection", *path)
    return tuple(text for text in value if isinstance(text, str)) if isinstance(value, list) else ()


def _objects(study: Study, *path: str) -> tuple[dict[str, Json], ...]:
    value = at(study, "protocolSection", *path)
    return tuple(each for each in value if isinstance(each, dict)) if isinstance(value, list) else ()


def check(study: Json) -> str:
    """Return the NCT number of a record that can be kept; raise RecordError naming what is wrong otherwise.

    A record needs an NCT number and a status module: without the first nobody can say whose it is, without the second it is the torso of a
    broken answer. The number is returned in its one spelling.
    """
    if not isinstance(study, dict):
        raise RecordError(f"a record is not an object but {type(study).__name__}")
    number = at(study, "protocolSection", "identificationModule", "nctId")
    if not isinstance(number, str):
        raise RecordError("a record has no NCT number")
    try:
        normal = normal_nct_id(number)
    except BadNctId as error:
        raise RecordError(f"a record's number is {number[:40]!r}, which is not an NCT number") from error
    if normal != number:
        raise RecordError(f"a record's number is {number[:40]!r}, which the registry spells {normal}")
    status = at(study, "protocolSection", "statusModule")
    if not isinstance(status, dict) or not status:
        raise RecordError(f"{normal}: the record has no status module")
    return normal


def nct_id(study: Study) -> str | None:
    """Return the study's own number."""
    return _text(study, "identificationModule", "nctId")


def aliases(study: Study) -> tuple[str, ...]:
    """Return the numbers that were merged into this study."""
    return _texts(study, "identificationModule", "nctIdAliases")


def title(study: Study) -> str | None:
    """Return the brief title."""
    return _text(study, "identificationModule", "briefTitle")


def official_title(study: Study) -> str | None:
    """Return the official title."""
    return _text(study, "identificationModule", "officialTitle")


def overall_status(study: Study) -> str | None:
    """Return the overall status, in the registry's spelling (``RECRUITING``)."""
    return _text(study, "statusModule", "overallStatus")


def last_known_status(study: Study) -> str | None:
    """Return the status that an UNKNOWN study had before."""
    return _text(study, "statusModule", "lastKnownStatus")


def posted(study: Study) -> str | None:
    """Return ``lastUpdatePostDate``, an ISO day."""
    return _text(study, "statusModule", "lastUpdatePostDateStruct", "date")


def submitted(study: Study) -> str | None:
    """Return ``lastUpdateSubmitDate``, an ISO day."""
    return _text(study, "statusModule", "lastUpdateSubmitDate")


def first_posted(study: Study) -> str | None:
    """Return ``studyFirstPostDate``, an ISO day."""
    return _text(study, "statusModule", "studyFirstPostDateStruct", "date")


def start_date(study: Study) -> str | None:
    """Return the start date: year, year and month, or day."""
    return _text(study, "statusModule", "startDateStruct", "date")


def primary_completion_date(study: Study) -> str | None:
    """Return the primary completion date: year, year and month, or day."""
    return _text(study, "statusModule", "primaryCompletionDateStruct", "date")


def completion_date(study: Study) -> str | None:
    """Return the completion date: year, year and month, or day."""
    return _text(study, "statusModule", "completionDateStruct", "date")


def load(study: Study) -> str | None:
    """Return ``versionHolder``, the label of the load that the record came with, an ISO day."""
    value = at(study, "derivedSection", "miscInfoModule", "versionHolder")
    return value if isinstance(value, str) else None


def sponsor(study: Study) -> str | None:
    """Return the lead sponsor's name."""
    return _text(study, "sponsorCollaboratorsModule", "leadSponsor", "name")


def sponsor_class(study: Study) -> str | None:
    """Return the lead sponsor's class (``INDUSTRY``)."""
    return _text(study, "sponsorCollaboratorsModule", "leadSponsor", "class")


def study_type(study: Study) -> str | None:
    """Return the study type (``INTERVENTIONAL``)."""
    return _text(study, "designModule", "studyType")


def phases(study: Study) -> tuple[str, ...]:
    """Return the phases; two of them for a combined phase."""
    return _texts(study, "designModule", "phases")


def enrollment(study: Study) -> int | None:
    """Return the number of participants, planned or actual."""
    value = at(study, "protocolSection", "designModule", "enrollmentInfo", "count")
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def enrollment_type(study: Study) -> str | None:
    """Return ``ESTIMATED`` or ``ACTUAL``, where the record says."""
    return _text(study, "designModule", "enrollmentInfo", "type")


def conditions(study: Study) -> tuple[str, ...]:
    """Return the conditions, in the registry's order."""
    return _texts(study, "conditionsModule", "conditions")


def locations(study: Study) -> tuple[dict[str, Json], ...]:
    """Return the sites, in the registry's order."""
    return _objects(study, "contactsLocationsModule", "locations")


def countries(study: Study) -> tuple[str, ...]:
    """Return the countries of the sites, each once, sorted."""
    return tuple(sorted({site["country"] for site in locations(study) if isinstance(site.get("country"), str)}))


def brief_summary(study: Study) -> str | None:
    """Return the brief summary, Markdown."""
    return _text(study, "descriptionModule", "briefSummary")


def criteria(study: Study) -> str | None:
    """Return the eligibility criteria, Markdown."""
    return _text(study, "eligibilityModule", "eligibilityCriteria")


def minimum_age(study: Study) -> str | None:
    """Return the minimum age in the registry's words (``18 Years``)."""
    return _text(study, "eligibilityModule", "minimumAge")


def maximum_age(study: Study) -> str | None:
    """Return the maximum age in the registry's words."""
    return _text(study, "eligibilityModule", "maximumAge")


def sex(study: Study) -> str | None:
    """Return the sex eligible (``ALL``)."""
    return _text(study, "eligibilityModule", "sex")


def healthy_volunteers(study: Study) -> bool | None:
    """Return whether healthy volunteers are accepted."""
    value = at(study, "protocolSection", "eligibilityModule", "healthyVolunteers")
    return value if isinstance(value, bool) else None


def arms(study: Study) -> tuple[dict[str, Json], ...]:
    """Return the arms, in the registry's order."""
    return _objects(study, "armsInterventionsModule", "armGroups")


def interventions(study: Study) -> tuple[dict[str, Json], ...]:
    """Return the interventions, in the registry's order."""
    return _objects(study, "armsInterventionsModule", "interventions")


def primary_outcomes(study: Study) -> tuple[dict[str, Json], ...]:
    """Return the primary outcomes, in the registry's order."""
    return _objects(study, "outcomesModule", "primaryOutcomes")


def secondary_outcomes(study: Study) -> tuple[dict[str, Json], ...]:
    """Return the secondary outcomes, in the registry's order."""
    return _objects(study, "outcomesModule", "secondaryOutcomes")


def has_results(study: Study) -> bool:
    """Return whether results are posted."""
    return study.get("hasResults") is True


def is_withheld(study: Study) -> bool:
    """Return whether the registry blanked nearly everything: the status says so, or the lead sponsor is ``[Redacted]``."""
    return overall_status(study) == "WITHHELD" or sponsor(study) == WITHHELD_SPONSOR
