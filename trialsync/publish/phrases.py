"""What happened to one study on one day, in a person's phrases, the most important first.

Made from the rows of the change log and their facts; where a row has no facts, from what stood there before and after.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, TypeGuard

from trialsync.model import Kind, Tier
from trialsync.publish.long_text import counted_words, is_long
from trialsync.publish.span import moved, ordinal, signed
from trialsync.publish.text import shortened
from trialsync.publish.value import ABSENT, compact
from trialsync.study.fields import PRESENCE, WATCH_PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from trialsync.model import Json, LoggedChange

_VALUE: Final = 32
_QUOTED: Final = 2_000
_MINUS: Final = "\N{MINUS SIGN}"


class Tone(StrEnum):
    """How a phrase is tinted where there is colour."""

    PLAIN = "plain"
    GOOD = "good"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Phrase:
    """A few words on one thing that changed; ``quoted`` is the registry's own text, which may be cut; ``fields`` are those it speaks of."""

    text: str
    fields: frozenset[str]
    quoted: str | None = None
    tone: Tone = Tone.PLAIN


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
_PHASES: Final = {"before-start": "before start", "after-start": "after start", "after-primary-completion": "after primary completion"}
_NAME_OF_A_SITE: Final = frozenset({"facility", "city", "state", "country"})
_TITLES: Final = frozenset({"identification.briefTitle", "identification.officialTitle"})
_COUNTRIES: Final = 3
_DATES: Final = (
    ("status.completionDate", "completion", "completion-slipped"),
    ("status.primaryCompletionDate", "primary completion", "primary-completion-slipped"),
    ("status.startDate", "start", ""),
)


class _Rows:
    """The rows of one study and day; each phrase takes the rows that it speaks of, and what nobody took is left."""

    def __init__(self, rows: Sequence[LoggedChange]) -> None:
        self._left = list(rows)

    def take(self, wanted: Callable[[str], bool] | str) -> list[LoggedChange]:
        """Return the rows of a field, or of those that a test wants, and keep them no longer."""
        chosen = wanted if callable(wanted) else wanted.__eq__
        taken = [row for row in self._left if chosen(row.field)]
        self._left = [row for row in self._left if not chosen(row.field)]
        return taken

    @property
    def left(self) -> tuple[str, ...]:
        """Return the names of the fields that are left, each once."""
        return tuple(dict.fromkeys(row.field for row in self._left))


def phrases(changes: Sequence[LoggedChange]) -> tuple[list[Phrase], tuple[str, ...]]:
    """Return the phrases for the rows of one study and day, in the order of importance, and the names of the fields that have none."""
    first_seen = [row for row in changes if row.baseline]
    rows = _Rows([row for row in changes if not row.baseline])
    found = [phrase for part in _PARTS for phrase in part(rows)]
    if first_seen:
        status = next((compact(row.after) for row in first_seen if row.field == _STATUS), None)
        fields = frozenset(row.field for row in first_seen)
        found.append(Phrase(f"first seen{f', {status}' if status else ''}: {_many(len(fields), 'field')}", fields))
    return found, rows.left


def _status(rows: _Rows) -> Iterator[Phrase]:
    moves, reasons = rows.take(_STATUS), rows.take(_WHY)
    why = reasons[-1].after if reasons else None
    reason = compact(why[:_QUOTED] if isinstance(why, str) else why) if why else None
    if moves:
        # The status that an UNKNOWN study had stands in the move already.
        known = rows.take("status.lastKnownStatus")
        yield Phrase(_chain(moves), _names([*moves, *reasons, *known]), reason, _TONES.get(str(moves[-1].after), Tone.PLAIN))
    elif reasons:
        yield Phrase("reason for stopping" if reason else "reason for stopping taken away", _names(reasons), reason)


def _whole(rows: _Rows) -> Iterator[Phrase]:
    for row in rows.take(PRESENCE):
        posted = row.kind is Kind.ADDED
        text = "first posted" if posted else _PRESENCES.get(str(row.after), f"{compact(row.before)} → {compact(row.after)}")
        yield Phrase(text, _names([row]), tone=Tone.GOOD if posted or row.after == "listed" else Tone.BAD)
    taken = rows.take(lambda name: name.startswith(WATCH_PREFIX))
    for verb, kinds in (("joined", {Kind.ADDED}), ("left", {Kind.REMOVED, Kind.CHANGED})):
        moves = [row for row in taken if row.kind in kinds]
        names = list(dict.fromkeys(compact(row.field.removeprefix(WATCH_PREFIX)) for row in moves))
        if names:
            yield Phrase(f"{verb} the watch{'es' if len(names) > 1 else ''} {', '.join(names)}", _names(moves))


def _primary(rows: _Rows) -> Iterator[Phrase]:
    yield from _outcomes(rows, "outcomes.primary", "primary outcome", Tone.BAD)


def _other_outcomes(rows: _Rows) -> Iterator[Phrase]:
    yield from _outcomes(rows, "outcomes.secondary", "secondary outcome")
    yield from _outcomes(rows, "outcomes.other", "other outcome")


def _outcomes(rows: _Rows, field: str, noun: str, tone: Tone = Tone.PLAIN) -> Iterator[Phrase]:
    taken = rows.take(field)
    if not taken:
        return
    parts = [*_added_removed(taken)]
    attributes = {"measure": "reworded", "timeFrame": "new time frame", "description": "new description"}
    edits = [
        (attributes.get(name, "edited"), len({row.item for row in taken if row.item and (row.attribute or "").split(".")[0] == name}))
        for name in dict.fromkeys((row.attribute or "").split(".")[0] for row in taken if row.item and row.attribute)
    ]
    edited = {row.item for row in taken if row.item and row.attribute}
    facts = [fact for row in taken for fact in row.facts]
    moves = [(word, sum(fact.get("id") == f"outcome-{word}" for fact in facts)) for word in ("demoted", "promoted")]
    if not parts and len(edited) == 1:
        words = [word for word, _ in edits]
        text = f"{noun}{'' if words[0] == 'reworded' else ':'} {', '.join(words)}"
    else:
        counts = [f"{count:,} {word}" for word, count in edits]
        text = f"{noun}s {', '.join([*([' '.join(parts)] if parts else []), *counts])}"
    text += "".join(f", {count:,} {word}" for word, count in moves if count)
    when = next((_PHASES[fact["phase"]] for fact in facts if fact.get("phase") in _PHASES), None)
    with_results = "with results" if any(fact.get("with_results") is True for fact in facts) else None
    said = ", ".join(part for part in (when, with_results) if part)
    yield Phrase(f"{text} ({said})" if said else text, _names(taken), tone=tone)


def _dates(rows: _Rows) -> Iterator[Phrase]:
    said: dict[str, tuple[list[str], list[LoggedChange]]] = {}
    for field, label, slip in _DATES:
        moves, types = rows.take(field), rows.take(f"{field}Type")
        if not (moves or types):
            continue
        tail = _moved(moves, slip) if moves else "date"
        actual = " (actual)" if types and types[-1].after == "ACTUAL" else ""
        if not moves and not actual:
            actual = f" ({compact(types[-1].after).lower()})" if types[-1].after else " of no type"
        labels, whose = said.setdefault(f"{tail}{actual}", ([], []))
        labels.append(label)
        whose += [*moves, *types]
    for tail, (labels, whose) in said.items():
        yield Phrase(f"{' and '.join(labels)} {tail}", _names(whose))


def _moved(moves: Sequence[LoggedChange], slip: str) -> str:
    before, after = moves[0].before, moves[-1].after
    fact = next((fact for row in moves for fact in row.facts if fact.get("id") == slip), None)
    if fact is None or not _is_count(fact.get("months")):
        return moved(before, after)
    times, total = fact.get("times"), fact.get("total_months")
    # An actual date that came later is no slip of the estimate, and is not counted among them.
    is_slip = fact.get("type_after") != "ACTUAL"
    again = f" ({ordinal(times)} slip, +{total:,})" if is_slip and _is_count(times) and _is_count(total) and times > 1 else ""
    return f"{signed(fact['months'], 'month') if fact['months'] else moved(before, after)}{again}"


def _enrolment(rows: _Rows) -> Iterator[Phrase]:
    counts, types = rows.take("design.enrollmentCount"), rows.take("design.enrollmentType")
    if not (counts or types):
        return
    kind = f" ({compact(types[-1].after).lower()})" if types and types[-1].after else ""
    yield Phrase(f"enrolment{f' {_chain(counts)}' if counts else ''}{kind}", _names([*counts, *types]))


def _sponsor(rows: _Rows) -> Iterator[Phrase]:
    taken = rows.take("sponsor.lead")
    names = [row for row in taken if row.attribute == "name"]
    if names:
        yield Phrase(f"sponsor {_chain(names)}", _names(taken))
    elif taken:
        yield Phrase("sponsor's class" if all(row.attribute for row in taken) else "sponsor", _names(taken))
    yield from _list(rows, "sponsor.collaborators", "collaborators")


def _sites(rows: _Rows) -> Iterator[Phrase]:
    taken = rows.take("locations")
    if not taken:
        return
    facts = [fact for row in taken for fact in row.facts]
    parts = [" ".join(_added_removed(taken))] if any(_added_removed(taken)) else []
    statuses: dict[str, int] = {}
    for row in taken:
        if row.attribute == "status" and row.after:
            statuses[compact(row.after)] = statuses.get(compact(row.after), 0) + 1
    parts += [f"{count:,} now {status}" for status, count in statuses.items()]
    opened = {row.item for row in taken if row.attribute == "status" and row.after}
    # That a part of the address was added or taken away is no other name.
    renamed = {row.item for row in taken if row.attribute in _NAME_OF_A_SITE and row.kind is Kind.CHANGED} - opened
    edited = {row.item for row in taken if row.attribute} - opened - renamed
    parts += [f"{len(items):,} {word}" for items, word in ((renamed, "renamed"), (edited, "edited")) if items]
    parts += [
        f"{words} {named}"
        for name, words in (("country-first-site", "first in"), ("country-last-site", "none left in"))
        if (named := _countries(compact(fact["country"]) for fact in facts if fact.get("id") == name and fact.get("country")))
    ]
    yield Phrase(f"sites {', '.join(parts)}", _names(taken))


def _countries(names: Iterable[str]) -> str:
    """Return a few countries by name, more by number."""
    each = list(dict.fromkeys(names))
    return f"{len(each):,} countries" if len(each) > _COUNTRIES else " and ".join([", ".join(each[:-1]), each[-1]] if each[1:] else each)


def _eligibility(rows: _Rows) -> Iterator[Phrase]:
    for field, label in (
        ("eligibility.minAge", "minimum age"),
        ("eligibility.maxAge", "maximum age"),
        ("eligibility.sex", "sex"),
    ):
        taken = rows.take(field)
        if taken:
            yield Phrase(f"{label} {_chain(taken)}", _names(taken))
    taken = rows.take("eligibility.criteria")
    if taken:
        yield Phrase(f"criteria {_edited(taken)}", _names(taken))


def _arms(rows: _Rows) -> Iterator[Phrase]:
    yield from _list(rows, "armsInterventions.arms", "arms")
    yield from _list(rows, "armsInterventions.interventions", "interventions")


def _results(rows: _Rows) -> Iterator[Phrase]:
    posted = rows.take("results.hasResults")
    others = rows.take(lambda name: name.startswith("results."))
    if posted:
        # Since when they are posted is told by the line's own date.
        others += rows.take("status.resultsFirstPostDate")
        there = posted[-1].after is True
        yield Phrase(f"results {'posted' if there else 'taken away'}", _names([*posted, *others]), tone=Tone.GOOD if there else Tone.BAD)
    elif others:
        yield Phrase(f"results: {_many(len(others), 'change')}", _names(others))


def _titles(rows: _Rows) -> Iterator[Phrase]:
    taken = rows.take(lambda name: name in _TITLES)
    if taken:
        yield Phrase("title reworded", _names(taken))


def _papers(rows: _Rows) -> Iterator[Phrase]:
    yield from _list(rows, "documents.largeDocs", "documents")
    yield from _list(rows, "references.references", "references")


_PARTS: Final = (
    _status,
    _whole,
    _primary,
    _dates,
    _enrolment,
    _sponsor,
    _sites,
    _eligibility,
    _arms,
    _other_outcomes,
    _results,
    _titles,
    _papers,
)
"""What is said, in the order of importance."""


def _list(rows: _Rows, field: str, noun: str) -> Iterator[Phrase]:
    """Yield ``arms +1 −2, 3 edited`` for the rows of a list."""  # noqa: RUF002 - a minus sign
    taken = rows.take(field)
    if taken:
        edited = len({row.item for row in taken if row.item and row.attribute})
        parts = [*([" ".join(_added_removed(taken))] if any(_added_removed(taken)) else []), *([f"{edited:,} edited"] if edited else [])]
        yield Phrase(f"{noun} {', '.join(parts)}", _names(taken))


def _added_removed(rows: Iterable[LoggedChange]) -> Iterator[str]:
    """Yield ``+12`` and ``−3``: how many members were added and removed, one by one or with the whole list."""  # noqa: RUF002
    added = removed = 0
    for row in rows:
        if row.attribute is None:
            added += _members(row, row.after)
            removed += _members(row, row.before)
    if added:
        yield f"+{added:,}"
    if removed:
        yield f"{_MINUS}{removed:,}"


def _members(row: LoggedChange, value: Json) -> int:
    if value in (None, [], {}):
        return 0
    return len(value) if row.item is None and isinstance(value, list) else 1


def _edited(rows: Sequence[LoggedChange]) -> str:
    """Return what became of a long text: how many words, or that only its mark-up changed."""
    before, after = rows[0].before, rows[-1].after
    if all(row.tier is Tier.HOUSEKEEPING or any(fact.get("id") == "markup-only" for fact in row.facts) for row in rows):
        return "(mark-up alone)"
    if isinstance(before, str) and isinstance(after, str):
        return counted_words(before, after) if is_long(before, after) else _chain(rows)
    return rows[-1].kind.value


def _chain(rows: Sequence[LoggedChange]) -> str:
    """Return ``before → after``, with what stood between where a day brought several changes; no arrow for what was not there before."""
    values = [rows[0].before, *(row.after for row in rows)]
    texts = [f"{value:,}" if _is_count(value) else shortened(compact(value), _VALUE) for value in values]
    return " → ".join(texts[1:] if texts[0] == ABSENT and len(texts) > 1 else texts)


def _is_count(value: Json) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _names(rows: Iterable[LoggedChange]) -> frozenset[str]:
    return frozenset(row.field for row in rows)


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
