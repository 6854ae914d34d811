"""The log replayed: what each version's rows say must be just what lies between it and the version before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from trialsync.study.diff import RULE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import TypeAlias

    from trialsync.model import Json
    from trialsync.store.connection import Connection
    from trialsync.store.steps import Step

    Logged: TypeAlias = tuple[Any, ...]

_ROWS = (
    "SELECT f.name, c.item, c.attribute, c.kind, c.before, c.after FROM changes c JOIN fields f ON f.id = c.field_id "
    "WHERE c.version_id = ? AND NOT EXISTS (SELECT 1 FROM occasions o WHERE o.change_id = c.id)"
)


def logged(connection: Connection, version_id: int) -> list[Logged]:
    """Return the rows of the log that lead to a version, those about the study as a whole left out."""
    return list(connection.rows(_ROWS, (version_id,)))


def replay_problems(nct_id: str, steps: Iterable[Step], rows: Mapping[int, Iterable[Logged]]) -> Iterator[str]:
    """Yield which versions of a study have other rows in the log than their contents make; ``rows`` are what is ``logged``, by version id.

    Versions that an older rule compared than today's are passed over. Raises what ``steps`` raises.
    """
    for step in steps:
        if step.old is None or step.rule != RULE:
            continue
        if sorted(_row(*row) for row in rows[step.version_id]) != sorted(_expected(step)):
            yield f"{nct_id} version {step.number}: the log's rows do not lead to it from the version before"


def _expected(step: Step) -> Iterator[tuple[str, ...]]:
    for change in step.changes():
        yield _row(change.field, change.item, change.attribute, change.kind.value, _text(change.before), _text(change.after))


def _row(*columns: Any) -> tuple[str, ...]:
    """Return a row so that rows can be compared and sorted: every column as JSON text."""
    return tuple(orjson.dumps(column).decode() for column in columns)


def _text(value: Json) -> str | None:
    return None if value is None else orjson.dumps(value).decode()
