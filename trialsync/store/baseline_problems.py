"""The baseline rows, proved: each is one, has an id of its own, and hangs on the first version of a study."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from trialsync.model import Tier
from trialsync.store.baselines import SITES, unpacked
from trialsync.store.rows import last_change

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Sequence

    from trialsync.store.connection import Connection

_TIER: Final = 2
_TIERS: Final = frozenset(tier.value for tier in Tier)
_SIDE_BY_SIDE: Final = "SELECT b.id, v.number, b.rows FROM baselines b LEFT JOIN versions v ON v.id = b.version_id ORDER BY b.id"


def baseline_problems(connection: Connection) -> Iterator[str]:
    """Yield what is wrong with the rows of ``baselines``, each named by its id."""
    fields = dict(connection.rows("SELECT id, name FROM fields"))
    last = last_change(connection)
    end = 0
    for number, version, rows in connection.rows(_SIDE_BY_SIDE):
        where = f"the baseline rows from {number} on"
        if version is not None and version > 1:
            yield f"{where} stand past the first version"
        if number <= end:
            yield f"{where} have ids that others have"
        found = unpacked(rows)
        if found is None:
            yield f"{where} are not what any trialsync writes"
            end = max(end, number)
            continue
        if not all(_is_sound(row, fields, has_sites=SITES in fields.values()) for row in found):
            yield f"{where} are of a field, or a tier, that there is not"
        end = max(end, number + len(found) - 1)
        if end > last:
            yield f"{where} are of an id that was never given out"
        if connection.value("SELECT 1 FROM changes WHERE id BETWEEN ? AND ?", (number, number + len(found) - 1)):
            yield f"{where} have ids that rows of the log have"


def _is_sound(row: Sequence[Any], fields: Container[int], *, has_sites: bool) -> bool:
    return (has_sites if row[0] is None else row[0] in fields) and (len(row) <= _TIER or row[_TIER] is None or row[_TIER] in _TIERS)
