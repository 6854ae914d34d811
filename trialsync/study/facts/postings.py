"""Facts about what was made public beside the plan: results, documents, publications."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from trialsync.model import Tier
from trialsync.study.facts.step import has_results, members, text
from trialsync.study.words import renders_alike

if TYPE_CHECKING:
    from trialsync.model import Change
    from trialsync.study.facts.step import Found

_RESULTS: Final = "results."
_HAS_RESULTS: Final = "results.hasResults"
_MEASURES: Final = "results.outcomeMeasures.outcomeMeasures"
_POSTED_ROWS: Final = (_HAS_RESULTS, "status.resultsFirstPostDate")
_PARTS: Final = (("hasProtocol", "protocol"), ("hasSap", "sap"), ("hasIcf", "icf"))
_OF_RESULTS: Final = frozenset({"RESULT", "DERIVED"})


def results_facts(found: Found) -> None:
    """Note whether results were posted or withdrawn, and which parts were corrected.

    The first two stand on the flag's row, or on the date's where a record has no flag.
    """
    before, after = has_results(found.step.old), has_results(found.step.new)
    if after is not before:
        carriers = [place for name in _POSTED_ROWS for place, _ in found.rows(name)]
        carriers += [place for place, change in enumerate(found.step.changes) if _is_of_results(change)]
        for place in carriers[:1]:
            found.put(place, "results-posted" if after else "results-withdrawn")
    if before and after:
        for place, change in enumerate(found.step.changes):
            if _is_of_results(change) and change.tier is not Tier.HOUSEKEEPING and not _alike(change):
                found.put(place, "results-corrected")
                if change.field == _MEASURES and change.attribute == "type":
                    found.put(place, "results-outcome-type-changed", before=change.before, after=change.after)


def document_facts(found: Found) -> None:
    """Note which documents came."""
    for place, change in found.rows("documents.largeDocs"):
        came = members(change, after=True)
        if came:
            found.put(place, "documents-posted", documents=[word for name, word in _PARTS if any(each.get(name) is True for each in came)])


def publication_facts(found: Found) -> None:
    """Note which publications of results came."""
    for place, change in found.rows("references.references"):
        came = [each for each in members(change, after=True) if text(each.get("type")) in _OF_RESULTS]
        if came:
            found.put(place, "publication-linked", publications=[{"type": each["type"], "pmid": text(each.get("pmid"))} for each in came])


def _is_of_results(change: Change) -> bool:
    return change.field.startswith(_RESULTS) and change.field != _HAS_RESULTS


def _alike(change: Change) -> bool:
    return isinstance(change.before, str) and isinstance(change.after, str) and renders_alike(change.before, change.after)
