"""A store of any size in minutes: a small one is made by replaying real changes, and its rows are multiplied in the writer's own shapes.

Studies, baseline rows, versions, changes, facts and occasions are copies of those that the writer made, under numbers, titles, sponsors and
days of their own; weekdays in the order of recording, a year of them at least and otherwise as many as bring 10,000 rows each, with a run
of the registry's history in between, whose dates are earlier. It is skewed as the registry is: three updates in four are of the youngest
fifth of the studies and a few studies are updated again and again; half of the sponsors share a word, and one in ten has a study alone; the
registry rewrites the places of a quarter of all studies in one load, and of an eighth of them three days before the last. Studies stand in
the order of the bulk download, by the last two digits of their numbers, so that neighbours by number lie far apart.
What no question reads is left out: seals are 0, and contents are those of the small store, so that such a store is never verified.
"""

# ruff: noqa: S608 - statements are put together from constants; every value is bound

from __future__ import annotations

from array import array
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

import orjson

from trialsync.registry import files
from trialsync.store import baselines, codec, schema
from trialsync.store.connection import connect
from trialsync.store.contents import JOINED
from trialsync.store.wording import wording_of
from trialsync.store.writer import Writer
from trialsync.study.diff import RULE
from trialsync.sync.load import load

from .generator import Chance, Edit, GeneratedRegistry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trialsync.store.connection import Connection

LAST_LOAD: Final = date(2026, 11, 20)
RARE_SPONSOR: Final = "Quillfeather"
RARE_COUNTRY: Final = "Bhutan"
RARE_WORD: Final = "zibbledore"
RARE_FACT: Final = "went-unknown"
WATCHES: Final = {"all": 1, "every-fifth": 5, "few": 10_007}
"""The watches, and of how many studies one is in them."""

_SMALL: Final = 400
_ROUNDS: Final = 6
_LOADS: Final = 250
_MOST_LOADS: Final = 1_000
_ROWS_OF_A_LOAD: Final = 10_000
_HISTORY: Final = 0.05
_HISTORY_AT: Final = 100
_IMPORTED_AT: Final = 180
_REWRITTEN: Final = {125: 4, -3: 8}
"""The loads with which the registry rewrites where sites are, and of one study in how many."""

_STATUSES: Final = {
    "COMPLETED": 560,
    "UNKNOWN": 730,
    "RECRUITING": 840,
    "TERMINATED": 900,
    "ACTIVE_NOT_RECRUITING": 940,
    "ENROLLING_BY_INVITATION": 952,
    "SUSPENDED": 954,
    "AVAILABLE": 955,
}
"""Of a thousand studies, the last that has it."""

_SATURDAY: Final = 5


@dataclass(frozen=True, slots=True)
class _Patterns:
    """What is multiplied: studies with their baseline rows and countries, and the rows that versions brought, facts and words included."""

    columns: tuple[str, ...]
    studies: list[tuple[Any, ...]]
    baselines: list[list[tuple[Any, ...]]]
    countries: list[list[str]]
    versions: list[list[tuple[Any, ...]]]
    contents: list[tuple[bytes, bytes]]


def make(path: Path, studies: int, changes: int, say: Callable[[str], None]) -> None:
    """Make a store with so many studies, and changes beside the baseline, where there is none; ``say`` is told how far it is."""
    with TemporaryDirectory(prefix="trialsync-benchmark-") as folder:
        small = Path(folder, "small.db")
        _replay(small)
        patterns = _patterns(small)
    say(f"  {len(patterns.versions):,} updates and {len(patterns.studies):,} studies were replayed, and are multiplied")
    schema.create(path)
    with closing(connect(path, writable=True)) as connection:
        for pragma in ("foreign_keys = OFF", "journal_mode = MEMORY", "synchronous = OFF", "cache_size = -400000"):
            connection.execute(f"PRAGMA {pragma}")
        maker = _Maker(connection, patterns, studies, changes)
        with connection.atomic():
            maker.name_fields()
            maker.add_studies()
        for number in range(maker.loads):
            with connection.atomic():
                maker.add_load(number)
            if number % 100 == 99:
                say(f"  {maker.changes:,} changes")
        with connection.atomic():
            maker.finish()
        connection.execute("PRAGMA journal_mode = WAL")


def _replay(path: Path) -> None:
    """Record a small registry, load after load, each of which updates every study."""
    schema.create(path)
    registry = GeneratedRegistry(7, _SMALL)
    source = path.with_name("load.jsonl")
    for turn in range(_ROUNDS + 1):
        if turn:
            registry.day += timedelta(days=7)
            chance = Chance(turn)
            for place in range(_SMALL):
                kind = Edit.SILENT if chance.happens(0.12) else Edit.UNKNOWN if chance.happens(0.02) else Edit.SPONSOR
                registry.edits.setdefault(place, []).append((turn, kind))
                if kind is Edit.SPONSOR:
                    registry.posted[place] = registry.day.toordinal()
        source.write_bytes(b"\n".join(registry.texts()) + b"\n")
        now = partial(datetime.combine, registry.day, datetime.min.time(), UTC)
        with Writer.open(path, now=now, command="benchmark") as writer:
            for _ in load(files.read([source]), writer=writer, now=now):
                pass


def _patterns(path: Path) -> _Patterns:
    with closing(connect(path, writable=False)) as connection:
        columns = tuple(
            name
            for (name,) in connection.rows("SELECT name FROM pragma_table_xinfo('studies') WHERE hidden = 0")
            if name not in {"id", "nct_id", "title", "sponsor", "version", "missing_since"}
        )
        numbers = [number for (number,) in connection.rows("SELECT nct_id FROM studies ORDER BY id")]
        rows = connection.rows(
            f"SELECT v.nct_id, f.name, {baselines.ITEM}, {baselines.TIER} FROM baselines b JOIN versions v ON v.id = b.version_id "
            f"JOIN json_each(b.rows) j JOIN fields f ON f.id = {baselines.FIELD_ID} ORDER BY v.nct_id, {baselines.ID}"
        )
        stood = {number: [row[1:] for row in found] for number, found in groupby(rows, itemgetter(0))}
        facts: dict[int, list[tuple[str, int, str]]] = {}
        for number, *fact in connection.rows("SELECT change_id, fact, rule, json FROM change_facts"):
            facts.setdefault(number, []).append((fact[0], fact[1], fact[2]))
        changes = connection.rows(
            'SELECT c.version_id, c.id, f.name, c.item, c.attribute, c.kind, c.tier, c."by", c.before, c.after FROM changes c '
            "JOIN fields f ON f.id = c.field_id ORDER BY c.id"
        )
        versions = [
            [(*row[2:], wording_of(row[8], row[9]), facts.get(row[1], [])) for row in found] for _, found in groupby(changes, itemgetter(0))
        ]
        texts = [codec.unpack(blob) for (blob,) in connection.rows(_LATEST)]
        return _Patterns(
            columns,
            list(connection.rows(f"SELECT title, sponsor, {', '.join(columns)} FROM studies ORDER BY id")),
            [stood[number] for number in numbers],
            [orjson.loads(text) for (text,) in connection.rows("SELECT countries FROM studies ORDER BY id")],
            versions,
            [(codec.pack(text), codec.pack_difference(text, text)) for text in texts],
        )


_LATEST: Final = (
    f"SELECT c.content FROM studies s JOIN versions v ON v.nct_id = s.nct_id AND v.number = s.version JOIN {JOINED} ORDER BY s.id"
)


class _Maker:
    """Writes the rows, the greatest ids so far in hand."""

    def __init__(self, connection: Connection, patterns: _Patterns, studies: int, changes: int) -> None:
        self._db = connection
        self._patterns = patterns
        self._studies = studies
        self._wanted = changes
        self._chance = Chance(11, studies, changes)
        self._latest = array("L", [1]) * (studies + 1)
        self._picks = array("H", [0]) * (studies + 1)
        # Of a study's id its NCT number, and the other way round.
        self._numbers = array("L", [0, *sorted(range(1, studies + 1), key=lambda number: (number % 100, number))])
        self._ids = array("L", sorted(range(studies + 1), key=self._numbers.__getitem__))
        self._version = 0
        self._row = 0
        self.loads = min(max(changes // _ROWS_OF_A_LOAD, _LOADS), _MOST_LOADS)
        self._days = list(_weekdays(self.loads))
        self._places = [version for version in patterns.versions if any(row[:3:2] == ("locations", "geoPoint") for row in version)]
        self._fields: dict[str, int] = {}
        self.changes = 0

    def name_fields(self) -> None:
        names = {row[0] for version in self._patterns.versions for row in version} | {f"watch.{name}" for name in WATCHES}
        names |= {row[0] for rows in self._patterns.baselines for row in rows}
        known = {name for (name,) in self._db.rows("SELECT name FROM fields")}
        self._db.many(
            "INSERT INTO fields (name, tier, core, known) VALUES (?, 'headline', 0, 1)", [(each,) for each in sorted(names - known)]
        )
        self._fields = dict(self._db.rows("SELECT name, id FROM fields"))

    def add_studies(self) -> None:
        """Write the studies with their first versions and baseline rows, as a bulk import does."""
        patterns, chance, day = self._patterns, self._chance, self._days[0]
        names = ("id", "nct_id", "title", "sponsor", *patterns.columns, "version")
        status = patterns.columns.index("overall_status")
        for start in range(1, self._studies + 1, 5_000):
            studies, versions, rows, countries = [], [], [], []
            for number in range(start, min(start + 5_000, self._studies + 1)):
                self._picks[number] = pick = chance.below(len(patterns.studies))
                title, sponsor, *rest = patterns.studies[pick]
                rest[status] = self._status(number)
                nct_id = self._nct_id(number)
                rare = number % (self._studies // 3) == 1
                if chance.happens(0.5):
                    sponsor = f"Hospital {int(4_000 * (chance.below(10_000) / 10_000) ** 2)} Foundation"
                elif chance.happens(0.2):
                    sponsor = f"Practice {number} Ltd"
                sponsor = f"{RARE_SPONSOR} Institute" if rare else sponsor
                title = f"{title} cohort{chance.below(5_000)}{f' {RARE_WORD}' if rare else ''}"
                own = [*patterns.countries[pick], *([RARE_COUNTRY] if rare else [])]
                studies.append((number, nct_id, title, sponsor, *rest, 1))
                countries += [(country, nct_id) for country in own]
                first = self._row + 1
                for field, item, tier in patterns.baselines[pick]:
                    self._row += 1
                    rows.append((self._row, number, self._fields[field], item, tier))
                versions.append((number, nct_id, 1, day, 1, day, f"{day}T09:30:00.000Z", "import", "0" * 32, first, self._row, RULE))
            self._db.many(f"INSERT INTO studies ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})", studies)
            self._db.many(
                "INSERT INTO versions (id, nct_id, number, date, ordinal, load, seen, origin, fingerprint, first_change, last_change, "
                "rule, seal) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)",
                versions,
            )
            self._db.many("INSERT INTO contents VALUES (?, ?)", [(row[0], patterns.contents[self._picks[row[0]]][0]) for row in versions])
            together = baselines.in_runs(rows, self._fields[baselines.SITES])
            self._db.many("INSERT INTO baselines (id, version_id, rows) VALUES (?, ?, ?)", together)
            self._db.many("INSERT OR IGNORE INTO study_countries VALUES (?, ?)", countries)
        self._version = self._studies
        for place, (name, share) in enumerate(WATCHES.items(), start=1):
            self._db.execute(
                'INSERT INTO watches (id, name, "query", since) VALUES (?, ?, ?, ?)', (place, name, "{}", f"{day}T09:00:00.000Z")
            )
            members = ((place, f"NCT{number:08d}", day) for number in range(1, self._studies + 1) if number % share == 1 % share)
            self._db.many("INSERT INTO watch_studies (watch_id, nct_id, joined_load) VALUES (?, ?, ?)", members)

    def add_load(self, number: int) -> None:
        """Write what a load brings, the registry's history of some studies after one of them."""
        day = self._days[number]
        due = self._wanted * (1 - _HISTORY) * (number + 1) / self.loads
        if number > _HISTORY_AT:
            due += self._wanted * _HISTORY
        origin = "import" if number == _IMPORTED_AT else "poll"
        rewritten = _REWRITTEN.get(number, _REWRITTEN.get(number - self.loads))
        if rewritten:
            self._rewrite(day, rewritten)
        self._add(day, origin, int(due) if number < self.loads - 1 else self._wanted)
        if number == _HISTORY_AT:
            self._add(day, "history", int(due + self._wanted * _HISTORY))
        for name in WATCHES:
            self._joined(name, day)
        self._db.execute(
            "INSERT INTO polls (watch, origin, load, started, finished, ended, studies, whole) VALUES ('all', 'poll', ?, ?, ?, ?, ?, 1)",
            (day, f"{day}T09:00:00.000Z", f"{day}T09:20:00.000Z", "complete", self._studies),
        )

    def _add(self, day: str, origin: str, due: int) -> None:
        """Write updates until there are so many changes."""
        self._write(day, origin, self._updates(due))

    def _updates(self, due: int) -> Iterator[tuple[int, list[tuple[Any, ...]]]]:
        """Yield studies, each with the rows of an update."""
        chance, patterns = self._chance, self._patterns.versions
        few, young = max(self._studies // 500, 1), max(self._studies // 5, 1)
        while self.changes < due:
            which = chance.below(100)
            number = 1 + chance.below(few) if which == 0 else self._studies - chance.below(young if which < 75 else self._studies)
            yield self._ids[number], patterns[chance.below(len(patterns))]

    def _rewrite(self, day: str, share: int) -> None:
        """Write what the registry changes by itself in one study of so many, beside the changes that are due: where their sites are."""
        chance, patterns, changes = self._chance, self._places, self.changes
        places = range(1, self._studies + 1, share) if patterns else ()
        self._write(day, "poll", ((study, patterns[chance.below(len(patterns))]) for study in places), on_the_day=True)
        self.changes = changes

    def _write(self, day: str, origin: str, updates: Iterator[tuple[int, list[tuple[Any, ...]]]], *, on_the_day: bool = False) -> None:
        chance, fields = self._chance, self._fields
        versions, rows, text, facts, contents = [], [], [], [], []
        seen, load = f"{day}T09:10:00.000Z", day
        for study, found in updates:
            self._version += 1
            self._latest[study] += 1
            first, told = self._row + 1, day
            if origin == "history":
                told = (date(2006, 1, 1) + timedelta(days=chance.below(6_800))).isoformat()
            elif not on_the_day and chance.happens(0.4):
                told = (date.fromisoformat(day) - timedelta(days=1 + chance.below(3))).isoformat()
            for name, item, attribute, kind, tier, by, before, after, words_of, facts_of in found:
                self._row += 1
                row = (self._row, self._version, fields[name], item, attribute, told, kind, tier, by, before, after)
                rows.append((*row, study, None if origin == "poll" else origin))
                if words_of:
                    text.append((self._row, words_of))
                # One of the facts is made rare, so that there is one.
                facts += [(self._row, *fact) for fact in facts_of if fact[0] != RARE_FACT or chance.happens(0.002)]
            self.changes += len(found)
            registry_version = self._latest[study] if origin == "history" else None
            versions.append(
                (
                    self._version,
                    self._nct_id(study),
                    self._latest[study],
                    registry_version,
                    told,
                    load,
                    told,
                    seen,
                    origin,
                    first,
                    self._row,
                )
            )
            contents.append((self._version, self._patterns.contents[self._picks[study]][1]))
        self._db.many(
            "INSERT INTO versions (id, nct_id, number, registry_version, date, ordinal, load, posted, seen, origin, fingerprint, "
            f"first_change, last_change, rule, seal) VALUES (?, ?, ?, ?, ?, 1, ?, ?, ?, ?, '{'0' * 32}', ?, ?, {RULE}, 0)",
            versions,
        )
        self._db.many(
            'INSERT INTO changes (id, version_id, field_id, item, attribute, date, kind, tier, "by", before, after, study_id, origin) '
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            rows,
        )
        self._db.many("INSERT INTO change_words (rowid, value) VALUES (?, ?)", text)
        self._db.many("INSERT INTO change_facts (change_id, fact, rule, json) VALUES (?, ?, ?, ?)", facts)
        self._db.many("INSERT INTO contents VALUES (?, ?)", contents)

    def _joined(self, name: str, day: str) -> None:
        """Write that a study joined a watch: a row with dates of its own, on the version that is current."""
        study = 1 + self._chance.below(self._studies)
        version = self._db.value("SELECT id FROM versions WHERE nct_id = ? AND number = ?", (self._nct_id(study), self._latest[study]))
        self._row += 1
        self._db.execute(
            'INSERT INTO changes (id, version_id, field_id, date, kind, tier, "by", study_id) '
            "VALUES (?, ?, ?, ?, 'added', 'headline', 'registry', ?)",
            (self._row, version, self._fields[f"watch.{name}"], day, study),
        )
        self._db.execute("INSERT INTO occasions VALUES (?, NULL, ?, NULL, ?, 'poll', 0)", (self._row, day, f"{day}T09:10:00.000Z"))

    def finish(self) -> None:
        """Write each study's latest version, whose content is whole, and the cursor at the log's end."""
        latest = [(number, study) for study, number in enumerate(self._latest) if number > 1]
        self._db.many("UPDATE studies SET version = ? WHERE id = ?", latest)
        self._db.many(
            "UPDATE contents SET content = ? WHERE id = (SELECT id FROM versions WHERE number = ? AND nct_id = ?)",
            ((self._patterns.contents[self._picks[study]][0], number, self._nct_id(study)) for number, study in latest),
        )
        self._db.many(
            "UPDATE contents SET content = ? WHERE id = (SELECT id FROM versions WHERE number = 1 AND nct_id = ?)",
            ((self._patterns.contents[self._picks[study]][1], self._nct_id(study)) for _, study in latest),
        )

    def _nct_id(self, study: int) -> str:
        return f"NCT{self._numbers[study]:08d}"

    def _status(self, study: int) -> str:
        """Return an overall status, each as often as the registry has it; those that are to begin are among the youngest."""
        draw = self._chance.below(1_000)
        if self._numbers[study] > self._studies * 0.9 and draw < 480:
            return "NOT_YET_RECRUITING"
        return next((status for status, share in _STATUSES.items() if draw < share), "WITHDRAWN")


def _weekdays(count: int) -> Iterator[str]:
    """Yield the last weekdays up to the last load, the earliest first."""
    found: list[date] = []
    day = LAST_LOAD
    while len(found) < count:
        if day.weekday() < _SATURDAY:
            found.append(day)
        day -= timedelta(days=1)
    yield from (each.isoformat() for each in reversed(found))
