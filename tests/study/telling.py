"""Hand-made histories: versions of an invented study, and the facts that each of them gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from following import edited, invent

from trialsync.study import record
from trialsync.study.diff import diff
from trialsync.study.facts import Step, facts_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trialsync.model import Study

DAY: Final = "2026-02-10"
"""The day since when a new version holds, where a test names none."""

Told = list[tuple[str, dict[str, Any]]]
"""Each row's path with a fact that it carries."""


def told(old: Study, new: Study, *earlier: Study, date: str = DAY) -> Told:
    """Return the facts of a step, in the order of the rows; ``earlier`` are the versions before ``old``, oldest first."""
    changes = diff(old, new)
    found = facts_of(Step(old, new, changes, date, lambda: [old, *reversed(earlier)]))
    return [(changes[place].path, fact) for place, facts in found.items() for fact in facts]


def ids(old: Study, new: Study, *earlier: Study, date: str = DAY) -> list[str]:
    """Return the ids of the facts of a step, sorted."""
    return sorted(fact["id"] for _, fact in told(old, new, *earlier, date=date))


def the(fact: str, old: Study, new: Study, *earlier: Study, date: str = DAY) -> dict[str, Any] | None:
    """Return the values of the one fact of an id that a step gives, ``None`` where it gives none."""
    found = [
        {name: value for name, value in each.items() if name not in {"id", "rule"}}
        for _, each in told(old, new, *earlier, date=date)
        if each["id"] == fact
    ]
    assert len(found) <= 1, found
    return found[0] if found else None


def study(**leaves: Any) -> Study:
    """Return an invented study with leaves replaced, each by its path joined with ``__``."""
    return edited(invent(1), **leaves)


def dated(struct: str, date: str | None, kind: str | None = "ESTIMATED", base: Study | None = None) -> Study:
    """Return a study with a date of the status module; ``None`` leaves date or type out."""
    value = {name: part for name, part in (("date", date), ("type", kind)) if part is not None}
    leaves: dict[str, Any] = {f"statusModule__{struct}Struct": value or None}
    return edited(base or invent(1), **leaves)


def series(versions: Sequence[Study]) -> list[Told]:
    """Return the facts of each version but the first, each derived as it arrives, withheld spells as a poll compares them."""
    found = []
    for number in range(1, len(versions)):
        before, new = versions[:number], versions[number]
        old = before[-1]
        if record.is_withheld(old) and not record.is_withheld(new):
            old = next((each for each in reversed(before) if not record.is_withheld(each)), old)
        hidden = record.is_withheld(new) and not record.is_withheld(old)
        changes = [] if hidden else diff(old, new)
        facts = facts_of(Step(old, new, changes, DAY, lambda before=before: reversed(before)))  # type: ignore[misc]
        found.append([(changes[place].path, fact) for place, row in facts.items() for fact in row])
    return found
