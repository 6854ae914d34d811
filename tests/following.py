"""A world to follow: studies of our own, a registry that publishes them load by load, a store, and a clock that is set."""

from __future__ import annotations

import copy
import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import httpx

from trialsync.model import Watch
from trialsync.registry.client import Registry, in_process
from trialsync.registry.sandbox import LoadLine, PastLine, Sandbox
from trialsync.store import schema
from trialsync.store.filters import ChangeFilter
from trialsync.store.reader import Reader
from trialsync.store.writer import Writer
from trialsync.sync.load import load
from trialsync.sync.poll import poll

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from trialsync.model import LoggedChange, Study
    from trialsync.registry.files import Found
    from trialsync.sync.poll import Outcome

API: Final = "https://registry.example/api/v2"

ATAXIA: Final = Watch("ataxia", query={"query.cond": ("Ataxia",)})
"""The watch that most tests poll."""

DAYS: Final = ("2026-02-02", "2026-02-03", "2026-02-04", "2026-02-05", "2026-02-06", "2026-02-09", "2026-02-10")
"""Loads: weekdays."""


def site(facility: str, city: str, country: str, **more: Any) -> dict[str, Any]:
    """Return a site of a study."""
    return {"facility": facility, "city": city, "country": country, **more}


def invent(
    number: int, *, posted: str = "2026-01-12", first_posted: str = "2025-06-02", condition: str = "Ataxia", **modules: Any
) -> Study:
    """Return an invented study; ``modules`` replace whole modules of its protocol section."""
    protocol = {
        "identificationModule": {"nctId": f"NCT{number:08d}", "briefTitle": f"Invented study {number}"},
        "statusModule": {
            "overallStatus": "RECRUITING",
            "statusVerifiedDate": posted[:7],
            "studyFirstPostDateStruct": {"date": first_posted, "type": "ACTUAL"},
            "lastUpdatePostDateStruct": {"date": posted, "type": "ACTUAL"},
        },
        "sponsorCollaboratorsModule": {"leadSponsor": {"name": "Invented Sponsor", "class": "OTHER"}},
        "conditionsModule": {"conditions": [condition]},
        "designModule": {"studyType": "INTERVENTIONAL", "phases": ["PHASE2"], "enrollmentInfo": {"count": 40, "type": "ESTIMATED"}},
        "outcomesModule": {"primaryOutcomes": [{"measure": "Gait speed", "timeFrame": "1 year"}]},
        "contactsLocationsModule": {"locations": [site("Clinic A", "Lyon", "France"), site("Clinic B", "Oslo", "Norway")]},
    }
    return {"protocolSection": protocol | modules, "derivedSection": {"miscInfoModule": {}}, "hasResults": False}


def edited(study: Study, posted: str | None = None, **leaves: Any) -> Study:
    """Return a copy of a study with leaves replaced, each by its path joined with ``__`` (``None`` takes one away), and its posted date."""
    new = copy.deepcopy(study)
    if posted is not None:
        leaves = {"statusModule__lastUpdatePostDateStruct__date": posted, **leaves}
    for path, value in leaves.items():
        *way, name = path.split("__")
        node = new["protocolSection"]
        for step in way:
            node = node.setdefault(step, {})
        if value is None:
            node.pop(name, None)
        else:
            node[name] = value
    return new


def status(study: Study, word: str, posted: str | None = None) -> Study:
    """Return a copy of a study with another overall status."""
    return edited(study, posted, statusModule__overallStatus=word)


def withheld(study: Study, posted: str) -> Study:
    """Return what the registry leaves of a study that it withholds."""
    return invent(
        int(number_of(study)[3:]),
        posted=posted,
        identificationModule={"nctId": number_of(study), "briefTitle": "[Trial of device that is not approved or cleared by the U.S. FDA]"},
        statusModule={
            "overallStatus": "WITHHELD",
            "studyFirstPostDateStruct": {"date": "2025-06-02"},
            "lastUpdatePostDateStruct": {"date": posted},
        },
        sponsorCollaboratorsModule={"leadSponsor": {"name": "[Redacted]"}},
        designModule={},
        outcomesModule={},
        contactsLocationsModule={},
    )


def number_of(study: Study) -> str:
    """Return a study's NCT number."""
    return str(study["protocolSection"]["identificationModule"]["nctId"])


def publish(*loads: Iterable[Study | str]) -> list[LoadLine]:
    """Return the lines of loads on consecutive days of DAYS, each what it changes; a number stands for a study that is gone.

    A study of another condition changes with each load, so that a load which changes nothing else is a load all the same.
    """
    found = []
    for day, changed in zip(DAYS, loads, strict=False):
        beside = invent(99_000_001, posted=day, condition="Something else", descriptionModule={"briefSummary": f"As of {day}"})
        found.append(LoadLine(day, number_of(beside), beside))
        found += [LoadLine(day, each, None) if isinstance(each, str) else LoadLine(day, number_of(each), each) for each in changed]
    return found


class Clock:
    """A clock that is set to a load's day and moves by ``step`` each time it is asked."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 1, 1, tzinfo=UTC)
        self.step = timedelta(milliseconds=250)

    def at(self, day: str) -> None:
        """Go to the early afternoon of a day."""
        self.moment = datetime.fromisoformat(f"{day}T14:00:00+00:00")

    def __call__(self) -> datetime:
        """Return the next instant."""
        self.moment += self.step
        return self.moment


class Wire(httpx.BaseTransport):
    """The way to a sandbox in process. ``edit``, where it is set, gets each answer's path and body and returns the body to deliver."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._inner = in_process(sandbox)
        self.edit: Callable[[str, bytes], bytes] | None = None

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request."""
        if self.edit is None:
            return self._inner.handle_request(request)
        request.headers["Accept-Encoding"] = "identity"
        answer = self._inner.handle_request(request)
        body = self.edit(request.url.path.removeprefix("/api/v2"), answer.read())
        headers = {name: value for name, value in answer.headers.items() if name.lower() != "content-length"}
        return httpx.Response(answer.status_code, headers=headers, content=body)


class World:
    """One test's registry, store and clock. ``page_size`` is no part of a poll; the store is made at once, empty."""

    def __init__(self, folder: Path, loads: Iterable[LoadLine], name: str = "trialsync.db", *, past: Iterable[PastLine] = ()) -> None:
        self.sandbox = Sandbox(loads, past=past)
        self.wire = Wire(self.sandbox)
        self.clock = Clock()
        self.clock.at(self.sandbox.load)
        self.store = folder / name
        self.waited: list[float] = []
        schema.create(self.store)

    def registry(self) -> Registry:
        """Return a client of the sandbox that never really waits."""
        return Registry(
            API,
            requests_per_second=1_000_000,
            contact=None,
            transport=self.wire,
            now=self.clock,
            sleep=self.waited.append,
            monotonic=lambda: 0.0,
        )

    def writer(self) -> Writer:
        """Take the store for writing."""
        return Writer.open(self.store, now=self.clock, command="trialsync sync")

    def poll(self, watch: Watch = ATAXIA, **options: Any) -> Outcome:
        """Poll a watch once."""
        with self.registry() as registry, self.writer() as writer:
            return poll(watch, registry=registry, writer=writer, now=self.clock, **options)

    def bring(self, found: Iterable[Found], **options: Any) -> list[Outcome]:
        """Import what files hold."""
        with self.writer() as writer:
            return list(load(found, writer=writer, now=self.clock, **options))

    def advance(self, loads: int = 1) -> None:
        """Go on to a later load, and set the clock to its day."""
        for _ in range(loads):
            assert self.sandbox.advance() is not None
        self.clock.at(self.sandbox.load)

    def next(self, watch: Watch = ATAXIA, **options: Any) -> Outcome:
        """Go on to the next load and poll it."""
        self.advance()
        return self.poll(watch, **options)

    def log(self, **wanted: Any) -> list[LoggedChange]:
        """Return the change log, oldest first; the baseline left out unless it is wanted."""
        with Reader.open(self.store) as reader:
            return list(reader.changes(ChangeFilter(**wanted)))

    def brief(self, **wanted: Any) -> list[tuple[str, str, str, str]]:
        """Return the change log in short: number, path, kind, date."""
        return [(row.nct_id, row.path, row.kind.value, row.date) for row in self.log(**wanted)]

    def reader(self) -> Reader:
        """Open the store for reading."""
        return Reader.open(self.store)

    def content(self) -> dict[str, list[tuple[Any, ...]]]:
        """Return all that the store holds of studies and their history, whatever polls there were."""
        return content(self.store)


TABLES: Final = ("studies", "versions", "contents", "changes", "baselines", "occasions", "change_facts", "watch_studies", "study_countries")


def content(store: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Return every row of the tables about studies and their history; a content with its version's id, wherever it was put."""
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as connection:
        found = {table: sorted(connection.execute(f"SELECT * FROM {table}"), key=repr) for table in TABLES}  # noqa: S608 - our own names
        place = [name for _, name, *_ in connection.execute("PRAGMA table_info(versions)")].index("content_id")
    blobs = dict(found["contents"])
    found["contents"] = [(row[0], blobs[row[place] or row[0]]) for row in found["versions"]]
    found["versions"] = [(*row[:place], *row[place + 1 :]) for row in found["versions"]]
    return found


def columns(rows: Iterable[LoggedChange], *, but: Iterable[str] = ()) -> list[dict[str, Any]]:
    """Return rows of the change log as objects, some columns left out, in an order that does not depend on their ids."""
    left_out = set(but)
    found = [{name: getattr(row, name) for name in row.__slots__ if name not in left_out} for row in rows]
    return sorted(found, key=lambda row: json.dumps(row, sort_keys=True, default=str))


def of(study: Study, *path: str) -> Any:
    """Return what is at a path of a study's protocol section."""
    value: Any = study["protocolSection"]
    for name in path:
        value = value[name]
    return value


def as_lines(lines: Iterable[LoadLine], *, text: Mapping[str, Any] | None = None) -> bytes:
    """Return dated lines as the text of a file."""
    rows = [{"load": line.load, "nctId": line.nct_id, "study": line.study, **(text or {})} for line in lines]
    return "".join(json.dumps(row, separators=(",", ":"), ensure_ascii=False) + "\n" for row in rows).encode()
