"""Rows of the store to the nouns of the house."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

from trialsync.errors import StoreDamaged
from trialsync.model import Ended, Origin, Poll, Presence, Version
from trialsync.store.connection import RESTORE_HINT
from trialsync.study import record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trialsync.model import Study
    from trialsync.store.connection import Connection

_LARGEST_INTEGER: Final = 2**63 - 1

VERSION_COLUMNS: Final = "v.nct_id, v.number, v.registry_version, v.date, v.not_before, v.load, v.posted, v.seen, v.origin, v.fingerprint"
"""What ``version`` reads, of ``versions v``."""

POLL_COLUMNS: Final = (
    "p.id, p.watch, p.origin, p.load, p.data_timestamp, p.started, p.finished, p.ended, p.studies, p.new, p.updated, p.unchanged, "
    "p.skipped, p.changes, p.requests, p.message, p.whole, p.etag, p.never"
)
"""What ``poll`` reads, of ``polls p``."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the store knows of a study before it is looked at again: its latest version, the digest of the bytes that brought it."""

    nct_id: str
    version: Version
    bytes_digest: bytes | None
    presence: Presence
    merged_into: str | None
    missing_since: str | None


@dataclass(frozen=True, slots=True)
class CompletePoll:
    """A poll that ended complete, and the query that it asked, as the writer was given it."""

    poll: Poll
    query: str | None


def count(connection: Connection, table: str) -> int:
    """Return how many rows ``studies`` or ``versions`` has: the greatest id, since ids are given from 1 on and no row is ever removed."""
    return int(connection.value(f"SELECT max(id) FROM {table}") or 0)  # noqa: S608 - one of two tables of ours


def last_change(connection: Connection) -> int:
    """Return the id of the last change ever recorded, 0 before the first. Raises StoreDamaged."""
    found = connection.value("SELECT seq FROM sqlite_sequence WHERE name = 'changes'")
    # SQLite's own table takes any value.
    with sound("the count of the log's ids"):
        return int(found or 0)


def headline_columns(study: Study) -> dict[str, Any]:
    """Return the columns of a study's row that its latest version fills: one source for those who write and those who check."""
    enrollment = record.enrollment(study)
    return {
        "title": record.title(study),
        "overall_status": record.overall_status(study),
        "phases": _list(record.phases(study)),
        "study_type": record.study_type(study),
        "sponsor": record.sponsor(study),
        "conditions": _list(record.conditions(study)),
        "countries": _list(record.countries(study)),
        "enrollment": enrollment if enrollment is not None and abs(enrollment) <= _LARGEST_INTEGER else None,
        "start_date": record.start_date(study),
        "primary_completion_date": record.primary_completion_date(study),
        "completion_date": record.completion_date(study),
        "has_results": int(record.has_results(study)),
        "first_posted": record.first_posted(study),
        "posted": record.posted(study),
    }


def _list(values: tuple[str, ...]) -> str:
    return orjson.dumps(values).decode()


@contextmanager
def sound(what: str) -> Iterator[None]:
    """Turn a value that no writer of ours can have written into StoreDamaged, naming where it stands."""
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreDamaged(f"{what} holds what no trialsync wrote: {error}", hint=RESTORE_HINT) from error


def version(row: tuple[Any, ...]) -> Version:
    """Return the version that a row of VERSION_COLUMNS holds; raise StoreDamaged where it holds none."""
    nct_id, number, registry_version, date, not_before, load, posted, seen, origin, fingerprint = row
    with sound(f"version {number} of {nct_id}"):
        return Version(nct_id, number, registry_version, date, not_before, load, posted, seen, Origin(origin), fingerprint)


def poll(row: tuple[Any, ...]) -> Poll:
    """Return the poll that a row of POLL_COLUMNS holds; raise StoreDamaged where it holds none."""
    number, watch, origin, load, data_timestamp, started, finished, ended, *counts, message, whole, etag, never = row
    with sound(f"poll {number}"):
        ending = Ended(ended) if ended is not None else None
        return Poll(
            number, watch, Origin(origin), load, data_timestamp, started, finished, ending, *(*counts, message, bool(whole), etag, never)
        )
