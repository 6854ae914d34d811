"""One step of a study, from a version to the next: what the rules look at, and what they found."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

from trialsync.study import record
from trialsync.study.facts.rules import BY_ID, ORDER
from trialsync.study.words import rendered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from trialsync.model import Change, Json, Study

Fact: TypeAlias = "dict[str, Json]"
"""A fact as it is recorded: ``id``, ``rule``, and its values."""

ACTUAL: Final = "ACTUAL"
"""The type of a date that is no estimate."""

_CLOSING: Final = re.compile(r"[\s.,;:]+$")


@dataclass(frozen=True, slots=True)
class Step:
    """A version of a study and the changes that led to it.

    ``old`` is the content that ``changes`` were compared with: the version before, or the last open one where the study was withheld in
    between. ``date`` is the day (ISO) since when the new version holds. ``earlier`` gives the contents of all versions before the new one,
    newest first; it is asked only by a rule that needs the past.
    """

    old: Study
    new: Study
    changes: Sequence[Change]
    date: str
    earlier: Callable[[], Iterable[Study]]


@dataclass(slots=True)
class Found:
    """The facts of a step, by the place of the row that carries them in ``step.changes``."""

    step: Step
    facts: dict[int, list[Fact]] = field(default_factory=dict)

    def put(self, place: int, fact: str, **values: Json) -> None:
        """Note that a row gives a fact; the first of an id on one row stands."""
        here = self.facts.setdefault(place, [])
        if all(each["id"] != fact for each in here):
            here.append({"id": fact, "rule": BY_ID[fact].rule, **values})

    def rows(self, *fields: str) -> list[tuple[int, Change]]:
        """Return the rows of some fields, with their places."""
        return [(place, change) for place, change in enumerate(self.step.changes) if change.field in fields]

    def sorted(self) -> dict[int, list[Fact]]:
        """Return the facts by place, those of a row in the order of the table."""
        return {place: sorted(self.facts[place], key=lambda fact: ORDER[fact["id"]]) for place in sorted(self.facts)}


def plain(text: str) -> str:
    """Return a text as its words are compared: rendered, in one case, without closing punctuation."""
    return _CLOSING.sub("", rendered(text).casefold())


def members(change: Change, *, after: bool) -> list[dict[str, Json]]:
    """Return the list members that a row says were added (``after``) or removed: the item's, or all of a list that came or went whole."""
    value = change.after if after else change.before
    gone = change.before if after else change.after
    if change.attribute is not None or gone is not None:
        return []
    found = value if isinstance(value, list) else [value]
    return [member for member in found if isinstance(member, dict)]


def text(value: Json) -> str | None:
    """Return a value that is a text, otherwise ``None``."""
    return value if isinstance(value, str) else None


def dated(study: Study, struct: str) -> tuple[Json, str | None]:
    """Return a date of the status module and its type, ``None`` where absent."""
    found = record.at(study, "protocolSection", "statusModule", struct)
    return record.at(found, "date"), text(record.at(found, "type"))


def has_results(study: Study) -> bool:
    """Return whether results are posted, also for a record of the registry's history, which lacks the flag."""
    return record.has_results(study) or record.at(study, "resultsSection") not in (None, {})


def past(study: Study) -> Study:
    """Return the part of a version's content that a rule may ask of the past (``Step.earlier``), so that many can be kept at hand."""
    names = ("statusModule", "sponsorCollaboratorsModule")
    return {"protocolSection": {name: record.at(study, "protocolSection", name) for name in names}}
