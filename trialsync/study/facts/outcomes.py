"""Facts about outcomes: added, removed, reworded, moved between primary and secondary, and when in the study's life."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from trialsync.model import Kind, is_day
from trialsync.study import record
from trialsync.study.facts import dates
from trialsync.study.facts.dates import partial
from trialsync.study.facts.step import has_results, members, plain, text

if TYPE_CHECKING:
    from trialsync.model import Change, Json
    from trialsync.study.facts.step import Found, Step

PRIMARY: Final = "outcomes.primary"
_LESSER: Final = {"outcomes.secondary": "secondary", "outcomes.other": "other"}

SHARED_TO_MATCH: Final = 0.75
"""Two measures in different lists are one, reworded, where they share at least so many of their words (Dice's coefficient).

It takes more than in one list: nothing but the words says that an outcome was moved.
"""


def outcome_facts(found: Found) -> None:
    """Note what happened to primary outcomes, each with its phase and whether results came with it."""
    rows = found.rows(PRIMARY)
    if not rows:
        return
    step = found.step
    when: dict[str, Json] = {"phase": phase(step), "with_results": has_results(step.new) and not has_results(step.old)}
    for place, change in rows:
        if members(change, after=True):
            found.put(place, "primary-outcome-added", **when)
        elif members(change, after=False):
            found.put(place, "primary-outcome-removed", **when)
        elif change.attribute == "measure" and _reads_otherwise(change) and change.kind is Kind.CHANGED:
            found.put(place, "primary-outcome-reworded", **when)
        elif change.attribute == "timeFrame" and _reads_otherwise(change):
            found.put(place, "primary-outcome-timeframe-changed", **when)
    for fact, word, was_added in (("outcome-promoted", "from", True), ("outcome-demoted", "to", False)):
        for place, where, reworded in _moved(found, was_added=was_added):
            found.put(place, fact, **when, **{word: where, "reworded": reworded})


def phase(step: Step) -> str | None:
    """Return when in the study's life an update was made, by the old version's dates: before start, after it, after primary completion.

    The day is that of the update's submission, or since when the new version holds where nothing new was submitted. The day of the start
    is after the start, the day of primary completion not after it. ``None`` where the dates don't say.
    """
    submitted = [text(record.at(study, "protocolSection", "statusModule", "lastUpdateSubmitDate")) for study in (step.old, step.new)]
    day = partial(submitted[1] if is_day(submitted[1]) and submitted[0] != submitted[1] else step.date)
    start, end = partial(record.start_date(step.old)), partial(record.primary_completion_date(step.old))
    if day is None:
        return None
    if end is not None and dates.order(end, day) < 0:
        return "after-primary-completion"
    if start is not None and dates.order(day, start) < 0:
        return "before-start"
    began = start is not None and (dates.order(start, day) < 0 or start == day)
    not_over = end is not None and (dates.order(day, end) < 0 or end == day)
    return "after-start" if began and not_over else None


def _reads_otherwise(change: Change) -> bool:
    """Return whether a text differs by more than mark-up, capitals, white space and closing punctuation."""
    return plain(text(change.before) or "") != plain(text(change.after) or "")


def _moved(found: Found, *, was_added: bool) -> list[tuple[int, str, bool]]:
    """Return which rows of primary outcomes have a counterpart in a lesser list that went the other way: place, list, reworded."""
    here = _measures(found, {PRIMARY: "primary"}, after=was_added)
    there = _measures(found, _LESSER, after=not was_added)
    scored = []
    for at, (place, _, measure) in enumerate(here):
        for beside, (_, where, other) in enumerate(there):
            score = _shared(measure, other)
            if score >= SHARED_TO_MATCH:
                scored.append((-score, at, beside, place, where, measure != other))
    taken: set[tuple[str, int]] = set()
    moved = []
    for _, at, beside, place, where, reworded in sorted(scored):
        if taken.isdisjoint({("here", at), ("there", beside)}):
            taken |= {("here", at), ("there", beside)}
            moved.append((place, where, reworded))
    return moved


def _measures(found: Found, lists: dict[str, str], *, after: bool) -> list[tuple[int, str, str]]:
    """Return the outcomes that came (``after``) or went: the row's place, the list's short name, the measure's plain text."""
    return [
        (place, lists[change.field], plain(measure))
        for place, change in found.rows(*lists)
        for member in members(change, after=after)
        if (measure := text(member.get("measure")))
    ]


def _shared(one: str, other: str) -> float:
    if one == other:
        return 1.0
    words, others = (Counter("".join(letter if letter.isalnum() else " " for letter in each).split()) for each in (one, other))
    total = words.total() + others.total()
    # Just below 1: of a measure of the same words and the same measure, the same comes first.
    return min(2 * (words & others).total() / total, 0.999) if total else 0.0
