"""The facts of one step of a study, and of a change of a study as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from trialsync.model import Kind
from trialsync.study import record
from trialsync.study.facts.design import eligibility_facts, enrollment_facts, markup_facts, sponsor_facts
from trialsync.study.facts.outcomes import outcome_facts
from trialsync.study.facts.postings import document_facts, publication_facts, results_facts
from trialsync.study.facts.rules import BY_ID
from trialsync.study.facts.sites import site_facts
from trialsync.study.facts.slips import completion_facts
from trialsync.study.facts.step import Found
from trialsync.study.facts.timing import start_facts, status_facts
from trialsync.study.fields import PRESENCE

if TYPE_CHECKING:
    from trialsync.model import Change
    from trialsync.study.facts.step import Fact, Step

_RULES: Final = (
    status_facts,
    completion_facts,
    start_facts,
    enrollment_facts,
    outcome_facts,
    results_facts,
    document_facts,
    publication_facts,
    eligibility_facts,
    site_facts,
    sponsor_facts,
    markup_facts,
)


def facts_of(step: Step) -> dict[int, list[Fact]]:
    """Return the facts that a step of a study gives, by the place of the row that carries them in ``step.changes``.

    A row has at most one fact of an id, in the order of ``FACTS``. They depend on the versions up to the new one and on nothing else, so
    that they are the same whether they are derived as each version arrives or for all of them later. Where the older side is withheld
    nobody can tell what happened behind it: then there are none.
    """
    found = Found(step)
    if step.changes and not record.is_withheld(step.old) and not record.is_withheld(step.new):
        for rule in _RULES:
            rule(found)
    return found.sorted()


def facts_of_whole(change: Change) -> list[Fact]:
    """Return the facts that a change of a study as a whole gives: that it was registered."""
    if change.field == PRESENCE and change.kind is Kind.ADDED:
        return [{"id": "registered", "rule": BY_ID["registered"].rule}]
    return []
