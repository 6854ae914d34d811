"""What has to be done to a version's rows of the log so that they are what today's rules make of it: decided here, written elsewhere."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from trialsync.model import Kind
from trialsync.store.seal import version_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trialsync.model import Change, Json
    from trialsync.store.connection import Connection

Facts = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Standing:
    """A row of the log as it stands, its facts included. ``before`` and ``after`` are JSON text."""

    id: int
    field: str
    item: str | None
    attribute: str | None
    baseline: bool
    date: str | None
    kind: str | None
    tier: str | None
    by: str | None
    before: str | None
    after: str | None
    facts: Facts


@dataclass(slots=True)
class Remake:
    """What has to be done: rows to remove, changes to add (by their place among the wanted ones), and what of a row that stays is new.

    ``said`` are the rows whose date, tier or maker is another; ``facts`` those whose facts are; one row can be in both.
    """

    removed: list[Standing] = field(default_factory=list)
    added: list[int] = field(default_factory=list)
    said: list[tuple[int, str | None, str | None, str | None]] = field(default_factory=list)
    facts: dict[int, Facts] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.removed or self.added or self.said or self.facts)

    @property
    def changed(self) -> int:
        """Return how many rows that stay say something else."""
        return len({row[0] for row in self.said} | self.facts.keys())


def remake(
    standing: Sequence[Standing],
    changes: Sequence[Change],
    facts: Mapping[int, Sequence[Mapping[str, Json]]],
    *,
    baseline: bool,
    date: str,
    tiers: Mapping[str, str],
) -> Remake:
    """Return what has to be done to the rows that stand so that they are these changes with these facts.

    A row stands where field, item, attribute, kind, before and after are the same; a baseline row and another are never the same.
    ``tiers`` are those of the fields, which baseline rows leave to them.
    """
    done = Remake()
    rows: dict[tuple[Any, ...], list[Standing]] = defaultdict(list)
    for row in standing:
        rows[_key_of(row)].append(row)
    for place, change in enumerate(changes):
        found = rows.get(_key(change, baseline=baseline))
        if not found:
            done.added.append(place)
            continue
        row = found.pop(0)
        said = _said(change, row, date, tiers)
        if said != (row.date, row.tier, row.by):
            done.said.append((row.id, *said))
        wanted = [dict(fact) for fact in facts.get(place, ())]
        if _sorted(wanted) != _sorted(row.facts):
            done.facts[row.id] = wanted
    done.removed = [row for left in rows.values() for row in left]
    return done


def standing_rows(connection: Connection, version_id: int) -> list[Standing]:
    """Return the rows that a version brought, as they stand."""
    facts: dict[int, Facts] = defaultdict(list)
    for number, text in connection.rows(
        "SELECT x.change_id, x.json FROM changes c INDEXED BY changes_by_version JOIN change_facts x ON x.change_id = c.id "
        "WHERE c.version_id = ?",
        (version_id,),
    ):
        facts[number].append(orjson.loads(text))
    return [
        Standing(number, name, item, attribute, bool(baseline), *(*rest, facts.get(number, [])))
        for number, name, item, attribute, baseline, *rest in version_rows(connection, version_id)
    ]


def _key(change: Change, *, baseline: bool) -> tuple[Any, ...]:
    values = (None, None) if baseline else (_text(change.before), _text(change.after))
    return baseline, change.field, change.item, change.attribute, change.kind.value, *values


def _key_of(row: Standing) -> tuple[Any, ...]:
    return row.baseline, row.field, row.item, row.attribute, row.kind or Kind.ADDED.value, row.before, row.after


def _said(change: Change, row: Standing, date: str, tiers: Mapping[str, str]) -> tuple[str | None, str | None, str | None]:
    """Return the date, tier and maker that a row is to have; a baseline row keeps the date by which a late one is found."""
    by = change.by.value if change.by else None
    if row.baseline:
        return row.date, None if change.tier.value == tiers.get(change.field) else change.tier.value, by
    return date, change.tier.value, by


def _sorted(facts: Facts) -> list[bytes]:
    return sorted(orjson.dumps(fact) for fact in facts)


def _text(value: Json) -> str | None:
    return None if value is None else orjson.dumps(value).decode()
