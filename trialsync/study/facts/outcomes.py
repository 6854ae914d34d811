"""Facts about outcomes: added, removed, reworded, moved between primary and secondary, and when in the study's life."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from trialsync.model import Kind
from trialsync.study import record
from trialsync.study.facts.phase import phase
from trialsync.study.facts.step import has_results, members, plain, text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trialsync.model import Change, Json, LoggedChange
    from trialsync.study.facts.step import Found, Step

PRIMARY: Final = "outcomes.primary"
_LESSER: Final = {"outcomes.secondary": "secondary", "outcomes.other": "other"}
_EDITS: Final = {"timeFrame": "primary-outcome-timeframe-changed", "description": "primary-outcome-description-changed"}

SHARED_TO_MATCH: Final = 0.75
"""Two measures in different lists are one, reworded, where they share at least so many of their words (Dice's coefficient).

It takes more than in one list: nothing but the words says that an outcome was moved.
"""


def outcome_facts(found: Found) -> None:
    """Note what happened to primary outcomes, each with its phase and whether results came with it or stood before."""
    rows = found.rows(PRIMARY)
    if not rows:
        return
    step = found.step
    name, basis = phase(step)
    before = has_results(step.old)
    when: dict[str, Json] = {
        "phase": name,
        "phase_basis": basis,
        "with_results": has_results(step.new) and not before,
        "results_before": before,
    }
    for place, change in rows:
        added, removed = (_told_apart(step, change, after=side) for side in (True, False))
        if added:
            found.put(place, "primary-outcome-added", **when, **_which(added))
        elif removed:
            found.put(place, "primary-outcome-removed", **when, **_which(removed))
        elif change.attribute == "measure" and reads_otherwise(change) and change.kind is Kind.CHANGED:
            likeness = round(_shared(*(plain(text(side) or "") for side in (change.before, change.after))), 2)
            found.put(place, "primary-outcome-reworded", **when, likeness=likeness)
        elif change.attribute in _EDITS and reads_otherwise(change):
            found.put(place, _EDITS[change.attribute], **when)
    for fact, word, was_added in (("outcome-promoted", "from", True), ("outcome-demoted", "to", False)):
        for place, pairs in _moved(found, was_added=was_added).items():
            first = pairs[0]
            reworded = any(pair.reworded for pair in pairs)
            found.put(place, fact, **when, **{word: first.where, "reworded": reworded, **_which([pair.member for pair in pairs])})


def _told_apart(step: Step, change: Change, *, after: bool) -> list[dict[str, Json]]:
    """Return the outcomes that a row says came (``after``) or went, but for those of which an equal one stands in the other version."""
    came = members(change, after=after)
    if not came:
        return []
    others = record.primary_outcomes(step.old if after else step.new)
    return [member for member in came if member not in others]


def _which(outcomes: Sequence[dict[str, Json]]) -> dict[str, Json]:
    """Return how many outcomes a fact speaks of, and their measures."""
    return {"count": len(outcomes), "measures": [text(outcome.get("measure")) for outcome in outcomes]}


def reads_otherwise(change: Change | LoggedChange) -> bool:
    """Return whether a text differs by more than mark-up, capitals, white space and closing punctuation."""
    return plain(text(change.before) or "") != plain(text(change.after) or "")


class _Pair(NamedTuple):
    member: dict[str, Json]
    where: str
    reworded: bool


class _Measure(NamedTuple):
    place: int
    where: str
    measure: str
    member: dict[str, Json]


def _moved(found: Found, *, was_added: bool) -> dict[int, list[_Pair]]:
    """Return which primary outcomes have a counterpart in a lesser list that went the other way, by the place of the row that tells it."""
    here = _measures(found, {PRIMARY: "primary"}, after=was_added)
    there = _measures(found, _LESSER, after=not was_added)
    scored = []
    for at, one in enumerate(here):
        for beside, other in enumerate(there):
            score = min(_shared(one.measure, other.measure), 1.0 if one.measure == other.measure else 0.999)
            if score >= SHARED_TO_MATCH:
                scored.append((-score, at, beside))
    taken: set[tuple[str, int]] = set()
    moved: dict[int, list[_Pair]] = {}
    for _, at, beside in sorted(scored):
        if taken.isdisjoint({("here", at), ("there", beside)}):
            taken |= {("here", at), ("there", beside)}
            one, other = here[at], there[beside]
            moved.setdefault(one.place, []).append(_Pair(one.member, other.where, one.measure != other.measure))
    return moved


def _measures(found: Found, lists: dict[str, str], *, after: bool) -> list[_Measure]:
    """Return the outcomes that came (``after``) or went: the row's place, the list's short name, the measure's plain text, the outcome."""
    return [
        _Measure(place, lists[change.field], plain(measure), member)
        for place, change in found.rows(*lists)
        for member in (_told_apart(found.step, change, after=after) if change.field == PRIMARY else members(change, after=after))
        if (measure := text(member.get("measure")))
    ]


def _shared(one: str, other: str) -> float:
    """Return how many of their words two texts share, 0 to 1: twice those in common, by those of both, in any order."""
    words, others = (Counter("".join(letter if letter.isalnum() else " " for letter in each).split()) for each in (one, other))
    total = words.total() + others.total()
    return 2 * (words & others).total() / total if total else float(one == other)
