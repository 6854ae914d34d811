"""Rows of the change log to the noun of the house."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import orjson

from trialsync.model import By, Kind, LoggedChange, Origin, Tier
from trialsync.store import contents, rows
from trialsync.store.view import STOOD
from trialsync.study.diff import baseline

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from trialsync.model import Json
    from trialsync.store.connection import Connection


class LogRows:
    """Reads rows of ``change_log`` by their ids.

    Baseline rows hold no values, and stand several together: what was looked up last, and its version, are kept for those that follow.
    """

    def __init__(self, connection: Connection) -> None:
        self._db = connection
        self._together: dict[int, tuple[Any, ...]] = {}
        self._baseline: tuple[tuple[str, int], dict[tuple[str, str | None, str | None], Json]] | None = None

    def changes(self, ids: Iterable[int], *, values: bool = True) -> Iterator[LoggedChange]:
        """Yield rows by their ids, in that order, where there are such; a baseline row with what its path holds then, if ``values``.

        They are read some at a time, more and more of them, since the first may be all that is wanted. Raises StoreDamaged.
        """
        numbers = iter(ids)
        size = _FIRST_ROWS
        while block := list(islice(numbers, size)):
            sought = [number for number in block if number not in self._together]
            found = {row[0]: row for row in self._db.rows(_HAPPENED, (orjson.dumps(sought).decode(),))} if sought else {}
            for number in block:
                row = found.get(number) or self._together.get(number) or self._stood(number)
                if row is not None:
                    yield self._change(row, values=values)
            size = min(size * _GROWTH, _MOST_ROWS)

    def _stood(self, number: int) -> tuple[Any, ...] | None:
        """Return a baseline row, and keep those that it stands together with."""
        self._together = {row[0]: row for row in self._db.rows(_STOOD, (number,))}
        return self._together.get(number)

    def _change(self, row: tuple[Any, ...], *, values: bool) -> LoggedChange:
        (
            number, ref, nct_id, title, sponsor, version, registry_version, date, not_before, load, posted, seen, path, field, item,
            attribute, kind, tier, before, after, is_baseline, by, origin, facts, url,
        ) = row  # fmt: skip
        with rows.sound(f"change {number}"):
            return LoggedChange(
                id=number,
                ref=ref,
                nct_id=nct_id,
                title=title,
                sponsor=sponsor,
                version=version,
                registry_version=registry_version,
                date=date,
                not_before=not_before,
                load=load,
                posted=posted,
                seen=seen,
                path=path,
                field=field,
                item=item,
                attribute=attribute,
                kind=Kind(kind),
                tier=Tier(tier),
                before=_value(before),
                after=self._first_value(nct_id, version, (field, item, attribute)) if is_baseline and values else _value(after),
                baseline=bool(is_baseline),
                by=None if by is None else By(by),
                origin=Origin(origin),
                facts=orjson.loads(facts),
                url=url,
            )

    def _first_value(self, nct_id: str, version: int, path: tuple[str, str | None, str | None]) -> Json:
        """Return what a baseline row's path holds in its version."""
        if self._baseline is None or self._baseline[0] != (nct_id, version):
            study = contents.study(self._db, nct_id, version)
            values = {(each.field, each.item, each.attribute): each.after for each in baseline(study, "all")}
            self._baseline = ((nct_id, version), values)
        return self._baseline[1].get(path)


_FIRST_ROWS: Final = 4
_GROWTH: Final = 4
_MOST_ROWS: Final = 200
"""A row may hold a hundred kilobytes: so many are in memory at a time."""

_HAPPENED: Final = "SELECT * FROM happened WHERE id IN (SELECT value FROM json_each(?))"
_STOOD: Final = f"{STOOD} WHERE b.id = (SELECT max(id) FROM baselines WHERE id <= ?)"  # noqa: S608 - statements of ours


def _value(text: str | None) -> Json:
    return None if text is None else orjson.loads(text)
