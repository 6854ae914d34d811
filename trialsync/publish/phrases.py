"""What happened to one study on one day, in a person's phrases, the most important first.

Made from the rows of the change log and their facts; where a row has no facts, from what stood there before and after.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from trialsync.model import Kind, Tier
from trialsync.publish.long_text import counted_words, is_long
from trialsync.publish.outcome_phrases import lesser_outcomes, primary_outcomes
from trialsync.publish.phrase import Phrase, Rows, Tone, added_removed, chain, fields_of, many
from trialsync.publish.site_phrases import sites
from trialsync.publish.time_phrases import completion_and_start
from trialsync.publish.value import compact
from trialsync.study.fields import PRESENCE, WATCH_PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trialsync.model import Json, LoggedChange

_QUOTED: Final = 2_000
_STATUS: Final = "status.overallStatus"
_WHY: Final = "status.whyStopped"
_TONES: Final = {
    "TERMINATED": Tone.BAD,
    "SUSPENDED": Tone.BAD,
    "WITHDRAWN": Tone.BAD,
    "UNKNOWN": Tone.BAD,
    "RECRUITING": Tone.GOOD,
    "COMPLETED": Tone.GOOD,
}
_PRESENCES: Final = {
    "removed": "removed from the registry",
    "merged": "merged into another study",
    "withheld": "withheld by the registry",
    "listed": "listed again",
}
_TITLES: Final = frozenset({"identification.briefTitle", "identification.officialTitle"})
_NAMES: Final = frozenset({"label", "name"})
_SHORT: Final = {
    "design.phases": "phases",
    "design.allocation": "allocation",
    "design.masking": "masking",
}
"""Design in a few words, of which the values are told."""


def phrases(changes: Sequence[LoggedChange]) -> tuple[list[Phrase], tuple[str, ...]]:
    """Return the phrases for the rows of one study and day, in the order of importance, and the names of the fields that have none."""
    first_seen = [row for row in changes if row.baseline]
    rows = Rows([row for row in changes if not row.baseline])
    found = [phrase for part in _PARTS for phrase in part(rows)]
    if first_seen:
        status = next((compact(row.after) for row in first_seen if row.field == _STATUS), None)
        fields = frozenset(row.field for row in first_seen)
        found.append(Phrase(f"first seen{f', {status}' if status else ''}: {many(len(fields), 'field')}", fields))
    return found, rows.left


def _status(rows: Rows) -> Iterator[Phrase]:
    moves, reasons = rows.take(_STATUS), rows.take(_WHY)
    why = reasons[-1].after if reasons else None
    reason = compact(why[:_QUOTED] if isinstance(why, str) else why) if why else None
    if moves:
        # The status that an UNKNOWN study had stands in the move already.
        known = rows.take("status.lastKnownStatus")
        yield Phrase(chain(moves), fields_of([*moves, *reasons, *known]), reason, _TONES.get(str(moves[-1].after), Tone.PLAIN))
    elif reasons:
        yield Phrase("reason for stopping" if reason else "reason for stopping taken away", fields_of(reasons), reason)


def _whole(rows: Rows) -> Iterator[Phrase]:
    for row in rows.take(PRESENCE):
        posted = row.kind is Kind.ADDED
        text = "first posted" if posted else _PRESENCES.get(str(row.after), f"{compact(row.before)} → {compact(row.after)}")
        yield Phrase(text, fields_of([row]), tone=Tone.GOOD if posted or row.after == "listed" else Tone.BAD)
    taken = rows.take(lambda name: name.startswith(WATCH_PREFIX))
    for verb, kinds in (("joined", {Kind.ADDED}), ("left", {Kind.REMOVED, Kind.CHANGED})):
        moves = [row for row in taken if row.kind in kinds]
        names = list(dict.fromkeys(compact(row.field.removeprefix(WATCH_PREFIX)) for row in moves))
        if names:
            yield Phrase(f"{verb} the watch{'es' if len(names) > 1 else ''} {', '.join(names)}", fields_of(moves))


def _enrolment(rows: Rows) -> Iterator[Phrase]:
    counts, types = rows.take("design.enrollmentCount"), rows.take("design.enrollmentType")
    if not (counts or types):
        return
    turned = types[-1].after if types else _type_of_enrolment(counts)
    kind = f" ({compact(turned).lower()})" if turned else ""
    yield Phrase(f"enrolment{f' {chain(counts)}' if counts else ''}{kind}", fields_of([*counts, *types]))


def _type_of_enrolment(counts: Sequence[LoggedChange]) -> Json:
    """Return what the type turned to by the facts of a number that changed: a filter may have left out the type's own row."""
    fact = next((fact for row in counts for fact in row.facts if "type_before" in fact), {})
    return fact.get("type") if fact.get("type") != fact.get("type_before") else None


def _sponsor(rows: Rows) -> Iterator[Phrase]:
    taken = rows.take("sponsor.lead")
    names = [row for row in taken if row.attribute == "name"]
    if names:
        yield Phrase(f"sponsor {chain(names)}", fields_of(taken))
    elif taken:
        yield Phrase("sponsor's class" if all(row.attribute for row in taken) else "sponsor", fields_of(taken))
    yield from _list(rows, "sponsor.collaborators", "collaborators")


def _eligibility(rows: Rows) -> Iterator[Phrase]:
    for field, label in (
        ("eligibility.minAge", "minimum age"),
        ("eligibility.maxAge", "maximum age"),
        ("eligibility.sex", "sex"),
    ):
        taken = rows.take(field)
        if taken:
            yield Phrase(f"{label} {chain(taken)}", fields_of(taken))
    taken = rows.take("eligibility.criteria")
    if taken:
        yield Phrase(f"criteria {_edited(taken)}", fields_of(taken))


def _arms(rows: Rows) -> Iterator[Phrase]:
    yield from _list(rows, "armsInterventions.arms", "arms")
    yield from _list(rows, "armsInterventions.interventions", "interventions")


def _results(rows: Rows) -> Iterator[Phrase]:
    posted = rows.take("results.hasResults")
    others = rows.take(lambda name: name.startswith("results."))
    if posted:
        # Since when they are posted is told by the line's own date.
        others += rows.take("status.resultsFirstPostDate")
        there = posted[-1].after is True
        yield Phrase(f"results {'posted' if there else 'taken away'}", fields_of([*posted, *others]), tone=Tone.GOOD if there else Tone.BAD)
    elif others:
        yield Phrase(f"results: {many(len(others), 'change')}", fields_of(others))


def _design(rows: Rows) -> Iterator[Phrase]:
    for field, label in _SHORT.items():
        taken = rows.take(field)
        if taken:
            yield Phrase(f"{label} {chain(taken)}", fields_of(taken))


def _titles(rows: Rows) -> Iterator[Phrase]:
    taken = rows.take(lambda name: name in _TITLES)
    if taken:
        yield Phrase("title edited", fields_of(taken))


def _papers(rows: Rows) -> Iterator[Phrase]:
    yield from _list(rows, "documents.largeDocs", "documents")
    yield from _list(rows, "references.references", "references")


_PARTS: Final = (
    _status,
    _whole,
    primary_outcomes,
    completion_and_start,
    _enrolment,
    _sponsor,
    _design,
    sites,
    _eligibility,
    _arms,
    lesser_outcomes,
    _results,
    _titles,
    _papers,
)
"""What is said, in the order of importance."""


def _list(rows: Rows, field: str, noun: str) -> Iterator[Phrase]:
    """Yield ``arms +1 −2, 1 renamed, 3 edited`` for the rows of a list."""  # noqa: RUF002 - a minus sign
    taken = rows.take(field)
    if taken:
        renamed = {row.item for row in taken if row.item and row.attribute in _NAMES}
        edited = {row.item for row in taken if row.item and row.attribute} - renamed
        counts = [f"{len(items):,} {word}" for items, word in ((renamed, "renamed"), (edited, "edited")) if items]
        parts = [*([" ".join(added_removed(taken))] if any(added_removed(taken)) else []), *counts]
        yield Phrase(f"{noun} {', '.join(parts)}", fields_of(taken))


def _edited(rows: Sequence[LoggedChange]) -> str:
    """Return what became of a long text: how many words, or that only its mark-up changed."""
    before, after = rows[0].before, rows[-1].after
    if all(row.tier is Tier.HOUSEKEEPING or any(fact.get("id") == "markup-only" for fact in row.facts) for row in rows):
        return "(mark-up alone)"
    if isinstance(before, str) and isinstance(after, str):
        return counted_words(before, after) if is_long(before, after) else chain(rows)
    return rows[-1].kind.value
