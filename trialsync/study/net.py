"""What changed between two dates, all in all: one change a path, whatever steps led there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from trialsync.model import Kind
from trialsync.study.diff import diff
from trialsync.study.fields import ABOUT_THE_WHOLE, WATCH_PREFIX, by_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from trialsync.model import By, Json, LoggedChange, Study, Tier, Version

_Place: TypeAlias = "tuple[str, str | None, str | None]"

_WHOLE = frozenset(part.name for part in ABOUT_THE_WHOLE)


@dataclass(frozen=True, slots=True)
class NetChange:
    """What two dates hold that differs at one path; ``kind`` is ``None`` where it changed and changed back, so that nothing differs.

    ``steps`` counts the rows of the change log that led there: of the path itself, of what is inside it, and of the item around it.
    ``first`` and ``last`` are their dates (ISO days), ``facts`` theirs in order; ``by`` is who made them, ``None`` where several did.
    """

    field: str
    item: str | None
    attribute: str | None
    kind: Kind | None
    before: Json
    after: Json
    tier: Tier
    by: By | None
    steps: int
    first: str | None
    last: str | None
    facts: tuple[dict[str, Json], ...]

    @property
    def path(self) -> str:
        """Return ``field``, ``field.item``, ``field.attribute`` or ``field.item.attribute``, for reading."""
        return ".".join(part for part in (self.field, self.item, self.attribute) if part is not None)


@dataclass(frozen=True, slots=True)
class Between:
    """One study at the end of two ISO days, and what differs; ``old`` is ``None`` where it was first posted after the first of them."""

    nct_id: str
    title: str | None
    sponsor: str | None
    start: str
    end: str
    old: Version | None
    new: Version
    changes: tuple[NetChange, ...]

    @property
    def differs(self) -> bool:
        """Return whether anything differs; false for a study in which all that changed has changed back."""
        return any(change.kind is not None for change in self.changes)


@dataclass(frozen=True, slots=True)
class WatchBetween:
    """A watch between two ISO days, in numbers of studies.

    ``changed`` differ, of ``changed_back`` all that changed has changed back, ``joined`` and ``left`` entered and left it; ``unchanged``
    are the others, and ``last_seen`` says of how many of them each load (ISO day) was the last to show them, the oldest first. ``unknown``
    are those that the store does not know as of the first day, ``first_unknown`` the first of them with the day of its first version.
    ``loads`` are those of its complete polls between the two days, and the last before.
    """

    name: str
    start: str
    end: str
    changed: int
    changed_back: int
    joined: int
    left: int
    unchanged: int
    unknown: int
    first_unknown: tuple[str, str] | None
    loads: tuple[str, ...]
    last_seen: tuple[tuple[str, int], ...] = ()

    @property
    def studies(self) -> int:
        """Return how many studies there are in all."""
        return self.changed + self.changed_back + self.joined + self.left + self.unchanged + self.unknown


def net(old: Study | None, new: Study | None, steps: Sequence[LoggedChange]) -> list[NetChange]:
    """Return the net changes from one content of a study to another, ``steps`` being the rows of the log between them, oldest first.

    First what is said of the study as a whole, then the fields in the order of ``diff``, then what changed and changed back, by its first
    step. Where a content is ``None`` (not known then, or withheld) the fields are left out. Raises RecordError, as ``diff`` does.
    """
    about = [row for row in steps if _is_whole(row.field)]
    rows = [row for row in steps if not _is_whole(row.field)]
    names = _names(rows)
    found = [_whole([row for row in about if row.field == name]) for name in dict.fromkeys(row.field for row in about)]
    taken: set[int] = set()
    near = _Near(rows, names)
    for change in diff(old, new) if old is not None and new is not None else ():
        place = (change.field, change.item, change.attribute)
        led = [row for row in near.of(change.field, change.item) if _leads_to(place, row, names)]
        taken.update(row.id for row in led)
        found.append(_summed(place, change.kind, change.before, change.after, change.tier, led))
    back: dict[_Place, list[LoggedChange]] = {}
    for row in rows if old is not None and new is not None else ():
        if row.id not in taken:
            back.setdefault((row.field, names.get((row.field, row.item), row.item), row.attribute), []).append(row)
    found += [_summed(place, None, led[0].before, led[-1].after, led[0].tier, led) for place, led in back.items()]
    return sorted(found, key=lambda change: change.kind is None)


class _Near:
    """Rows by what they may lead to, so that thousands of changes need not look at all rows each."""

    def __init__(self, rows: Sequence[LoggedChange], names: dict[tuple[str, str | None], str | None]) -> None:
        self._of_field: dict[str, list[LoggedChange]] = {}
        self._of_item: dict[tuple[str, str | None], list[tuple[int, LoggedChange]]] = {}
        for number, row in enumerate(rows):
            self._of_field.setdefault(row.field, []).append(row)
            for item in {row.item, names.get((row.field, row.item), row.item)}:
                self._of_item.setdefault((row.field, item), []).append((number, row))

    def of(self, field: str, item: str | None) -> list[LoggedChange]:
        """Return the rows of a field that can be about an item, or about the field as a whole, in their order."""
        if item is None:
            return self._of_field.get(field, [])
        found = dict((*self._of_item.get((field, item), ()), *self._of_item.get((field, None), ())))
        return [found[number] for number in sorted(found)]


def _is_whole(field: str) -> bool:
    return field in _WHOLE or field.startswith(WATCH_PREFIX)


def _whole(rows: Sequence[LoggedChange]) -> NetChange:
    """Return the net change of a study's presence, or of its being in a watch."""
    first, last = rows[0], rows[-1]
    place = (first.field, None, None)
    before, after = first.before, last.after
    if first.field.startswith(WATCH_PREFIX):
        # A watch's rows say what happened; whether the study was in it before the first of them follows.
        was, is_in = first.kind is Kind.REMOVED, last.kind is Kind.ADDED
        kind = None if was == is_in else last.kind
    else:
        kind = None if before == after else Kind.ADDED if before is None else Kind.CHANGED
    return _summed(place, kind, before, after, first.tier, rows)


def _summed(place: _Place, kind: Kind | None, before: Json, after: Json, tier: Tier, led: Sequence[LoggedChange]) -> NetChange:
    authors = {row.by for row in led}
    facts = tuple(fact for row in led for fact in row.facts)
    dates = [row.date for row in led]
    return NetChange(
        *place,
        kind=kind,
        before=before,
        after=after,
        tier=tier,
        by=next(iter(authors)) if len(authors) == 1 else None,
        steps=len(led),
        first=min(dates, default=None),
        last=max(dates, default=None),
        facts=facts,
    )


def _leads_to(place: _Place, row: LoggedChange, names: dict[tuple[str, str | None], str | None]) -> bool:
    """Return whether a row is a step to a net change: of the same path, inside it, or of the item or field around it."""
    field, item, attribute = place
    if row.field != field:
        return False
    if item is not None and row.item is not None and item not in (row.item, names.get((row.field, row.item), row.item)):
        return False
    return attribute is None or row.attribute is None or row.attribute == attribute or _is_inside(row.attribute, attribute)


def _is_inside(one: str, other: str) -> bool:
    return one.startswith(f"{other}.") or other.startswith(f"{one}.")


def _names(rows: Iterable[LoggedChange]) -> dict[tuple[str, str | None], str | None]:
    """Return what each item was called first, by field and a later name: an item whose key was edited goes on under its new one."""
    names: dict[tuple[str, str | None], str | None] = {}
    for row in rows:
        part = by_name(row.field)
        if row.item is None or row.kind is not Kind.CHANGED or part is None or part.items is None or row.attribute not in part.items.key:
            continue
        parts = row.item.split("|")
        at = part.items.key.index(row.attribute)
        if len(parts) == len(part.items.key):
            parts[at] = " ".join(str(row.after or "").lower().split())
            names[row.field, "|".join(parts)] = names.get((row.field, row.item), row.item)
    return names
