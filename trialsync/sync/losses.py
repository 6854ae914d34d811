"""Fields that the registry takes from everybody at once, which it does without a release note: one notice, beside the rows themselves."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from trialsync.model import By, Kind
from trialsync.study.fingerprint import is_empty
from trialsync.study.leaves import parts

if TYPE_CHECKING:
    from collections.abc import Iterable
    from collections.abc import Set as AbstractSet

    from trialsync.model import Change, Json, Study
    from trialsync.store.writer import Writer

LOST_FROM: Final = 10
"""A field that fewer studies lost has not vanished."""


@dataclass(slots=True)
class Losses:
    """Which studies lost a field, or an attribute of it, by the registry and not by their sponsors."""

    studies: dict[tuple[str, str | None], set[str]] = field(default_factory=dict)

    def note(self, nct_id: str, changes: Iterable[Change], study: Study) -> None:
        """Note what a study, as it is now, lost by these changes."""
        removed = {
            (change.field, change.attribute.partition(".")[0] if change.attribute else None)
            for change in changes
            if change.kind is Kind.REMOVED and change.by is By.REGISTRY and (change.item is None or change.attribute)
        }
        if removed:
            held = {name: value for name, (_, value) in parts(study)[0].items()}
            for name, attribute in removed:
                if not _has(held, name, attribute):
                    self.studies.setdefault((name, attribute), set()).add(nct_id)

    def vanished(self, seen: AbstractSet[str], writer: Writer) -> dict[str, int]:
        """Return the fields that more than half of those studies lost that were seen and had them, with how many did.

        Who still has one is read from the store, which costs something only where enough studies lost it.
        """
        return {
            f"{name}.{attribute}" if attribute else name: len(lost)
            for (name, attribute), lost in self.studies.items()
            if len(lost) >= LOST_FROM and _holders(name, attribute, seen - lost, len(lost), writer) < len(lost)
        }


def _holders(name: str, attribute: str | None, others: AbstractSet[str], enough: int, writer: Writer) -> int:
    """Return how many of these studies still have a field, or an attribute of it; counting ends with ``enough``."""
    holders = 0
    for nct_id in others:
        held = {part: value for part, (_, value) in parts(writer.study(nct_id))[0].items()}
        holders += _has(held, name, attribute)
        if holders >= enough:
            break
    return holders


def _has(held: dict[str, Json], name: str, attribute: str | None) -> bool:
    value = held.get(name)
    if attribute is None:
        return not is_empty(value)
    members = value if isinstance(value, list) else [value]
    return any(isinstance(member, dict) and not is_empty(member.get(attribute)) for member in members)
