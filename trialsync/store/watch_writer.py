"""What is recorded about watches: who is in one, who left it, which part of a large one was swept when, and what was said of it."""

from __future__ import annotations

from bisect import bisect_right
from operator import itemgetter
from typing import TYPE_CHECKING, Final

import orjson

from trialsync.errors import UnknownWatch
from trialsync.model import Slice, instant
from trialsync.store.page import Pages
from trialsync.store.seal import seal_poll
from trialsync.study.nct_set import NctSet

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from trialsync.model import Watch

_LAST_DAY: Final = "9999-99"
"""What follows every day that a study can have."""

_FOLLOWED: Final = (
    "FROM watch_studies m JOIN watches w ON w.id = m.watch_id JOIN studies s ON s.nct_id = m.nct_id WHERE w.name = :watch AND "
)


class WatchWriter(Pages):
    """The writer's part for watches."""

    def save_watch(self, watch: Watch, query: str) -> None:
        """Write a watch down under its name, with the text of what it asks."""
        self._db.execute(
            'INSERT INTO watches (name, "query", since) VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET "query" = excluded."query"',
            (watch.name, query, instant(self._now())),
        )

    def name_watch(self, name: str) -> None:
        """Write a watch down by its name alone, as nothing could be asked for it yet; one that is known stays as it is."""
        self._db.execute("INSERT OR IGNORE INTO watches (name, \"query\", since) VALUES (?, '', ?)", (name, instant(self._now())))

    def members(self, name: str) -> NctSet:
        """Return the numbers of the studies that are in a watch now; of a watch that was never saved, none."""
        return NctSet(
            nct_id
            for (nct_id,) in self._db.rows(
                "SELECT m.nct_id FROM watch_studies m JOIN watches w ON w.id = m.watch_id WHERE w.name = ? AND m.left_load IS NULL", (name,)
            )
        )

    def left(self, name: str) -> set[str]:
        """Return the numbers of the studies that were in a watch and are in it no more; they stay followed."""
        return {
            nct_id
            for (nct_id,) in self._db.rows(
                "SELECT m.nct_id FROM watch_studies m JOIN watches w ON w.id = m.watch_id WHERE w.name = ? "
                "GROUP BY m.nct_id HAVING count(m.left_load) = count(*)",
                (name,),
            )
        }

    def join(self, name: str, nct_ids: Iterable[str], load: str) -> None:
        """Write that these studies are in a watch from this load on; those that are in it already stay as they are.

        Raises UnknownWatch for a watch that was never saved.
        """
        self._db.execute(
            "INSERT INTO watch_studies (watch_id, nct_id, joined_load) SELECT ?1, j.value, ?3 FROM json_each(?2) j WHERE NOT EXISTS "
            "(SELECT 1 FROM watch_studies m WHERE m.watch_id = ?1 AND m.nct_id = j.value AND m.left_load IS NULL) "
            "ON CONFLICT (watch_id, nct_id, joined_load) DO UPDATE SET left_load = NULL",
            (self._watch_id(name), orjson.dumps(list(nct_ids)).decode(), load),
        )

    def leave(self, name: str, nct_ids: Iterable[str], load: str) -> None:
        """Write that these studies are in a watch no more, from this load on. Raises UnknownWatch for a watch that was never saved."""
        self._db.execute(
            "UPDATE watch_studies SET left_load = ? WHERE watch_id = ? AND left_load IS NULL "
            "AND nct_id IN (SELECT value FROM json_each(?))",
            (load, self._watch_id(name), orjson.dumps(list(nct_ids)).decode()),
        )

    def rename_watch(self, was: str, name: str) -> bool:
        """Give a watch, and the polls of it, another name; rows of the log keep the old one. Return whether there was one to rename."""
        taken = self._db.value("SELECT 1 FROM watches WHERE name = ?", (name,))
        if taken or self._db.value("SELECT 1 FROM watches WHERE name = ?", (was,)) is None:
            return False
        with self._db.atomic():
            self._db.execute("UPDATE watches SET name = ? WHERE name = ?", (name, was))
            polls = [number for (number,) in self._db.rows("SELECT id FROM polls WHERE watch = ?", (was,))]
            for number in polls:
                self._db.execute("UPDATE polls SET watch = ? WHERE id = ?", (name, number))
                seal_poll(self._db, number)
        return True

    def slices(self, name: str) -> list[Slice]:
        """Return the parts of a large watch, in order; none where it was never walked whole as one."""
        return [
            Slice(place, first, last, swept, bool(undated))
            for place, first, last, swept, undated in self._db.rows(
                "SELECT p.place, p.first, p.last, p.swept, p.undated FROM slices p JOIN watches w ON w.id = p.watch_id WHERE w.name = ? "
                "ORDER BY p.place",
                (name,),
            )
        ]

    def save_slices(self, name: str, slices: Sequence[Slice]) -> None:
        """Write the parts of a large watch in place of those that stand."""
        number = self._watch_id(name)
        with self._db.atomic():
            self._db.execute("DELETE FROM slices WHERE watch_id = ?", (number,))
            self._db.many(
                "INSERT INTO slices (watch_id, place, first, last, undated, swept) VALUES (?, ?, ?, ?, ?, ?)",
                [(number, each.place, each.first, each.last, int(each.undated), each.swept) for each in slices],
            )

    def members_posted(self, name: str) -> list[str]:
        """Return the day of first posting (ISO) of each study in a watch that has one."""
        sql = f"SELECT s.first_posted {_FOLLOWED} m.left_load IS NULL AND s.first_posted IS NOT NULL"
        return [day for (day,) in self._db.rows(sql, {"watch": name})]

    def members_in(self, name: str, parts: Sequence[Slice]) -> list[tuple[set[str], set[str]]]:
        """Return for each part the numbers of its studies that are in the watch, and of those that were and stay followed.

        A study is in one part at most: parts do not overlap. One pass over the watch, which may be the whole registry, finds all of them.
        """
        dated = sorted((part.first or "", part.last or _LAST_DAY, place) for place, part in enumerate(parts) if not part.undated)
        undated = next((place for place, part in enumerate(parts) if part.undated), None)
        rows = self._db.rows(
            f"SELECT m.nct_id, s.first_posted, count(m.left_load) = count(*) {_FOLLOWED} (s.first_posted BETWEEN :first AND :last "
            "OR (:undated AND s.first_posted IS NULL)) GROUP BY m.nct_id",
            {
                "watch": name,
                "first": dated[0][0] if dated else _LAST_DAY,
                "last": max((last for _, last, _ in dated), default=""),
                "undated": undated is not None,
            },
        )
        found: list[tuple[set[str], set[str]]] = [(set(), set()) for _ in parts]
        for nct_id, day, has_left in rows:
            if day is None:
                place = undated
            else:
                _, last, place = dated[bisect_right(dated, day, key=itemgetter(0)) - 1]
                place = place if day <= last else None
            if place is not None:
                found[place][1 if has_left else 0].add(nct_id)
        return found

    def suspects(self, name: str) -> set[str]:
        """Return the numbers of the studies of a watch that the registry did not know when it was last asked."""
        sql = f"SELECT m.nct_id {_FOLLOWED} s.missing_since IS NOT NULL"
        return {nct_id for (nct_id,) in self._db.rows(sql, {"watch": name})}

    def first_time(self, what: str) -> bool:
        """Return whether this was never said before, and remember that it is said now."""
        if self._db.value("SELECT 1 FROM said WHERE what = ?", (what,)):
            return False
        self._db.execute("INSERT INTO said (what, since) VALUES (?, ?)", (what, instant(self._now())))
        return True

    def _watch_id(self, name: str) -> int:
        number = self._db.value("SELECT id FROM watches WHERE name = ?", (name,))
        if number is None:
            raise UnknownWatch(f"no watch {name!r} in {self.path}", hint="trialsync watches lists them")
        return int(number)
