"""``aggFilters``: the check boxes of the registry's search page.

The keys are those that the page's addresses use. As with the service, an unknown key finds nothing and an unknown facet is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trialsync.registry.sandbox.answers import Refused
from trialsync.registry.sandbox.expression import Both, Either, Exactly, Missing, Node, Not
from trialsync.registry.sandbox.parameters import items
from trialsync.registry.sandbox.vocabulary import Area, Piece, vocabulary

if TYPE_CHECKING:
    from collections.abc import Iterable

_STATUS = {
    "not": "NOT_YET_RECRUITING",
    "rec": "RECRUITING",
    "act": "ACTIVE_NOT_RECRUITING",
    "com": "COMPLETED",
    "ter": "TERMINATED",
    "enr": "ENROLLING_BY_INVITATION",
    "sus": "SUSPENDED",
    "wit": "WITHDRAWN",
    "unk": "UNKNOWN",
    "ava": "AVAILABLE",
    "nla": "NO_LONGER_AVAILABLE",
    "tna": "TEMPORARILY_NOT_AVAILABLE",
    "afm": "APPROVED_FOR_MARKETING",
}
_PHASE = {"0": "EARLY_PHASE1", "1": "PHASE1", "2": "PHASE2", "3": "PHASE3", "4": "PHASE4", "NA": "NA"}
_EQUAL: dict[str, dict[str, tuple[tuple[str, str], ...]]] = {
    "status": {key: (("OverallStatus", value),) for key, value in _STATUS.items()},
    "phase": {key: (("Phase", value),) for key, value in _PHASE.items()},
    "results": {"with": (("HasResults", "true"),), "without": (("HasResults", "false"),), "wo": (("HasResults", "false"),)},
    "studyType": {
        "int": (("StudyType", "INTERVENTIONAL"),),
        "obs": (("StudyType", "OBSERVATIONAL"),),
        "exp": (("StudyType", "EXPANDED_ACCESS"),),
        "obs_patreg": (("PatientRegistry", "true"),),
        "exp_indiv": (("ExpAccTypeIndividual", "true"),),
        "exp_inter": (("ExpAccTypeIntermediate", "true"),),
        "exp_treat": (("ExpAccTypeTreatment", "true"),),
    },
    "ages": {"child": (("StdAge", "CHILD"),), "adult": (("StdAge", "ADULT"),), "older": (("StdAge", "OLDER_ADULT"),)},
    "sex": {"f": (("Sex", "FEMALE"), ("Sex", "ALL")), "m": (("Sex", "MALE"), ("Sex", "ALL"))},
    "healthy": {"y": (("HealthyVolunteers", "true"),)},
    "funderType": {
        "nih": (("LeadSponsorClass", "NIH"), ("CollaboratorClass", "NIH")),
        "fed": (("LeadSponsorClass", "FED"), ("CollaboratorClass", "FED")),
        "industry": (("LeadSponsorClass", "INDUSTRY"), ("CollaboratorClass", "INDUSTRY")),
        "other": tuple(
            (piece, value)
            for piece in ("LeadSponsorClass", "CollaboratorClass")
            for value in ("OTHER", "OTHER_GOV", "INDIV", "NETWORK", "AMBIG", "UNKNOWN")
        ),
    },
    "docs": {"prot": (("LargeDocHasProtocol", "true"),), "sap": (("LargeDocHasSAP", "true"),), "icf": (("LargeDocHasICF", "true"),)},
    "violation": {"y": (("FDAAA801Violation", "true"),)},
}
_FACETS = {*_EQUAL, "ressub"}


def parse(text: str) -> tuple[Node, tuple[Piece, ...]]:
    """Return the node that all facets of an ``aggFilters`` text make, and the pieces it looks at. Raises Refused for an unknown facet."""
    nodes: list[Node] = []
    names: set[str] = set()
    for index, item in enumerate(items(text), 1):
        facet, colon, keys = item.partition(":")
        if not colon:
            raise Refused(f"Item {index} in parameter `aggFilters` has incorrect format")
        if facet not in _FACETS:
            raise Refused(f"Invalid value in parameter `aggFilters`: `{facet}`")
        if facet == "ressub":
            nodes.append(_submitted(keys.split()))
            names.add("ResultsFirstSubmitDate")
            continue
        wanted = [pair for key in keys.split() for pair in _EQUAL[facet].get(key, ())]
        names.update(name for name, _ in wanted)
        nodes.append(_any(wanted))
    return Both(tuple(nodes)), tuple(vocabulary().by_name[name] for name in sorted(names))


def _any(wanted: Iterable[tuple[str, str]]) -> Node:
    return Either(tuple(Exactly(vocabulary().by_name[name], value) for name, value in wanted))


def _submitted(keys: list[str]) -> Node:
    piece = vocabulary().by_name["ResultsFirstSubmitDate"]
    there = Not(Missing(Area(piece.name, ((1.0, piece),), single=True)))
    return there if "y" in keys else Either(())
