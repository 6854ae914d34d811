"""What is recorded when studies are seen for the first time: many at once, since a whole registry comes this way."""

# ruff: noqa: S608 - statements are put together from constants; every value is bound

from __future__ import annotations

from typing import TYPE_CHECKING

from trialsync.store.filling import filling
from trialsync.store.seal import VERSION_COLUMNS, seal_version, version_columns
from trialsync.store.study_writer import StudyWriter
from trialsync.study.diff import RULE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trialsync.model import Version
    from trialsync.store.first import First


class FirstWriter(StudyWriter):
    """The writer's part for studies that the store does not have."""

    def add_firsts(self, firsts: Iterable[tuple[Version, bytes | None, First]]) -> None:
        """Record first versions, inside a page, each with the digest of the bytes that brought it; baseline rows keep no values.

        Raises StoreDamaged where the store has one of the studies already.
        """
        self._check_page()
        new = list(firsts)
        start = (self._db.value("SELECT max(id) FROM versions") or 0) + 1
        # Contents are written in an order of their own, in which they fill their pages.
        order = filling([len(first.content) for *_, first in new])
        contents = [(start + number, new[place][2].content) for number, place in enumerate(order)]
        places = {place: start + number for number, place in enumerate(order)}
        studies, versions, baseline, countries = [], [], [], []
        names: tuple[str, ...] = ()
        for place, (version, digest, first) in enumerate(new):
            number = start + place
            studies.append((*first.headlines.values(), version.number, digest, version.nct_id))
            rows = [self._baseline_row(*row) for row in first.rows]
            columns = version_columns(version, 1, rows)
            versions.append((number, *columns, RULE, places[place], seal_version(columns, RULE, *rows)))
            baseline += [(row[0], number, self._fields[row[1]][0], row[2], row[7]) for row in rows]
            countries += [(country, version.nct_id) for country in first.countries]
            names = (*first.headlines, "version", "bytes_digest", "nct_id")
        if not studies:
            return
        self._db.many(f"INSERT INTO studies ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})", studies)
        self._db.many(
            f"INSERT INTO versions (id, {VERSION_COLUMNS}, rule, content_id, seal) VALUES ({', '.join('?' * len(versions[0]))})",
            versions,
        )
        self._db.many("INSERT INTO contents (id, content) VALUES (?, ?)", contents)
        self._write_baseline(baseline)
        self._db.many("INSERT INTO study_countries (country, nct_id) VALUES (?, ?)", countries)
