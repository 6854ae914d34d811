"""What happened to the dates of a study on a day, in phrases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from trialsync.publish.phrase import Phrase, Rows, fields_of, is_count
from trialsync.publish.span import moved, ordinal, signed
from trialsync.publish.value import compact

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from trialsync.model import Json, LoggedChange

_DATES: Final = (
    ("status.completionDate", "completion", "completion-slipped"),
    ("status.primaryCompletionDate", "primary completion", "primary-completion-slipped"),
    ("status.startDate", "start", ""),
)


def completion_and_start(rows: Rows) -> Iterator[Phrase]:
    """Yield how far completion, primary completion and start moved, those together that moved alike, and what became of their types."""
    said: dict[str, tuple[list[str], list[LoggedChange]]] = {}
    for field, label, slip in _DATES:
        moves, types = rows.take(field), rows.take(f"{field}Type")
        if not (moves or types):
            continue
        tail = _moved(moves, slip) if moves else "date"
        kind = _type(types, alone=not moves) or _type_told(moves)
        if kind == " (actual)" and tail.endswith(" in all)"):
            tail, kind = tail.replace(" (after", " (actual, after"), ""
        labels, whose = said.setdefault(f"{tail}{kind}", ([], []))
        labels.append(label)
        whose += [*moves, *types]
    for tail, (labels, whose) in said.items():
        yield Phrase(f"{' and '.join(labels)} {tail}", fields_of(whose))


def _type(types: Sequence[LoggedChange], *, alone: bool) -> str:
    """Return what the type turned to: nothing where that is what a date that moved mostly is, both where an actual date was taken back."""
    if not types:
        return ""
    before, after = types[0].before, types[-1].after
    if before == "ACTUAL" and after:
        return f" (actual → {compact(after).lower()})"
    if after == "ACTUAL":
        return " (actual)"
    return (f" ({compact(after).lower()})" if after else " of no type") if alone else ""


def _type_told(moves: Sequence[LoggedChange]) -> str:
    """Return what the type turned to by the facts of a date that moved: a filter may have left out the type's own row."""
    fact = next((fact for row in moves for fact in row.facts if "type_after" in fact), {})
    before, after = fact.get("type_before"), fact.get("type_after")
    if before == after or "ACTUAL" not in {before, after}:
        return ""
    return " (actual)" if after == "ACTUAL" else f" (actual → {compact(after).lower()})" if after else ""


def _moved(moves: Sequence[LoggedChange], slip: str) -> str:
    before, after = moves[0].before, moves[-1].after
    fact = next((fact for row in moves for fact in row.facts if fact.get("id") == slip), None)
    if fact is None or not is_count(fact.get("months")):
        return moved(before, after)
    return f"{signed(fact['months'], 'month') if fact['months'] else moved(before, after)}{slips_in_all(fact)}"


def slips_in_all(fact: Mapping[str, Json]) -> str:
    """Return for which time a date slipped, and by how much in all: `` (4th slip, +27)``; nothing the first time.

    An actual date that came later is no slip of the estimate: what is said is how many there were before it.
    """
    times, total, days = (fact.get(name) for name in ("times", "total_months", "total_days"))
    is_slip = fact.get("type_after") != "ACTUAL"
    if not (is_count(times) and is_count(total)) or times < (2 if is_slip else 1):
        return ""
    by = f"+{total:,}" if total or not is_count(days) else signed(days, "day")
    return f" ({ordinal(times)} slip, {by})" if is_slip else f" (after {times:,} slip{'' if times == 1 else 's'}, {by} in all)"
