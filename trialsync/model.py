"""The nouns that the rest of the house speaks: frozen values without I/O, clock or logging."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, TypeGuard

from trialsync.errors import BadNctId

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

Json: TypeAlias = Any
"""A value as the registry's JSON holds it: str, int, float, bool, list, dict, or None for absent."""

Study: TypeAlias = dict[str, Any]
"""One record of the registry, in the registry's own JSON."""

_DAY = re.compile(r"[12]\d{3}-\d{2}-\d{2}", re.ASCII)
_NCT_ID = re.compile(r"NCT(?!0{8})\d{8}", re.IGNORECASE | re.ASCII)


class Progress(Protocol):
    """What long work tells how far it is: the units done, their total (``None`` where it is not known), the part that they are of."""

    def __call__(self, done: int, total: int | None, part: str = "", /) -> None:
        """Take where the work is."""


class Kind(StrEnum):
    """What happened to the thing at a path."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


class Tier(StrEnum):
    """How much a field matters to a reader."""

    HEADLINE = "headline"
    DETAIL = "detail"
    HOUSEKEEPING = "housekeeping"


class By(StrEnum):
    """Who made a change."""

    SPONSOR = "sponsor"
    REGISTRY = "registry"


class Origin(StrEnum):
    """How a version reached us."""

    POLL = "poll"
    IMPORT = "import"
    HISTORY = "history"


class Presence(StrEnum):
    """What the registry last said of the study as a whole."""

    LISTED = "listed"
    REMOVED = "removed"
    MERGED = "merged"
    WITHHELD = "withheld"


STATUSES: Final = (
    "ACTIVE_NOT_RECRUITING",
    "COMPLETED",
    "ENROLLING_BY_INVITATION",
    "NOT_YET_RECRUITING",
    "RECRUITING",
    "SUSPENDED",
    "TERMINATED",
    "WITHDRAWN",
    "AVAILABLE",
    "NO_LONGER_AVAILABLE",
    "TEMPORARILY_NOT_AVAILABLE",
    "APPROVED_FOR_MARKETING",
    "WITHHELD",
    "UNKNOWN",
)
"""The values of ``overallStatus``; the service answers any other with 400."""


class Ended(StrEnum):
    """How a poll ended."""

    COMPLETE = "complete"
    NOTHING_NEW = "nothing-new"
    PARTIAL = "partial"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between two consecutive versions of a study.

    ``before`` and ``after`` are the registry's values, untouched; ``None`` means absent. ``by`` is ``None`` in a baseline.
    """

    field: str
    item: str | None
    attribute: str | None
    kind: Kind
    before: Json
    after: Json
    tier: Tier
    by: By | None

    @property
    def path(self) -> str:
        """Return ``field``, ``field.item``, ``field.attribute`` or ``field.item.attribute``, for reading."""
        return ".".join(part for part in (self.field, self.item, self.attribute) if part is not None)


@dataclass(frozen=True, slots=True)
class LoggedChange:
    """One row of the change log: the columns of the view ``change_log``, and of a change in JSON, in their order.

    Dates (``date``, ``not_before``, ``load``, ``posted``) are ISO days as text; ``seen`` is a UTC instant, milliseconds, ending in ``Z``.
    """

    id: int
    ref: str
    nct_id: str
    title: str | None
    sponsor: str | None
    version: int
    registry_version: int | None
    date: str
    not_before: str | None
    load: str
    posted: str | None
    seen: str
    path: str
    field: str
    item: str | None
    attribute: str | None
    kind: Kind
    tier: Tier
    before: Json
    after: Json
    baseline: bool
    by: By | None
    origin: Origin
    facts: list[dict[str, Json]]
    url: str


@dataclass(frozen=True, slots=True)
class Version:
    """One distinct content of a study, numbered from 1 by date. Days are ISO text, ``seen`` a UTC instant ending in ``Z``."""

    nct_id: str
    number: int
    registry_version: int | None
    date: str
    not_before: str | None
    load: str
    posted: str | None
    seen: str
    origin: Origin
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Watch:
    """A named query that we follow: the API's own parameters, or NCT numbers, or the whole registry; just one of the three.

    ``query`` maps the API's parameter names (``query.cond``, ``filter.overallStatus``, ``aggFilters`` …) to their values; several values of
    one mean any of them.
    """

    name: str
    query: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    nct_ids: tuple[str, ...] = ()
    everything: bool = False


@dataclass(frozen=True, slots=True)
class Poll:
    """One pass of one watch, or one import: what was covered, and how it ended. Instants are UTC and end in ``Z``.

    ``whole`` is false for a pass that looked at what moved and at a share of the rest; ``etag`` is the registry's tag of its data;
    ``never`` counts the numbers asked for that the registry never knew.
    """

    id: int
    watch: str | None
    origin: Origin
    load: str | None
    data_timestamp: str | None
    started: str
    finished: str | None
    ended: Ended | None
    studies: int = 0
    new: int = 0
    updated: int = 0
    unchanged: int = 0
    skipped: int = 0
    changes: int = 0
    requests: int = 0
    message: str | None = None
    whole: bool = True
    etag: str | None = None
    never: int = 0


@dataclass(frozen=True, slots=True)
class Notice:
    """That the registry itself changed one field of many studies in one load (ISO day), recorded once beside the rows.

    ``studies`` counts those that have such a row, ``followed`` those that the store followed then; ``seen`` is a UTC instant ending in
    ``Z``; ``text`` says it in a sentence.
    """

    id: int
    load: str
    field: str
    kind: Kind
    studies: int
    followed: int
    seen: str
    text: str


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of a large watch, swept at one go: the studies first posted from ``first`` to ``last``.

    Both are ISO days and included, ``None`` is open. ``undated`` is the part without a day of first posting. ``swept`` is the load
    (ISO day) that last showed all of it.
    """

    place: int
    first: str | None
    last: str | None
    swept: str | None
    undated: bool = False


def nct_id(text: str) -> str:
    """Return the NCT number in its one spelling, ``NCT`` and eight digits.

    Lower case is taken. The registry also takes fewer digits and fills them up, which would make another study of a mistyped number; this
    does not. Raises BadNctId.
    """
    stripped = text.strip()
    if not _NCT_ID.fullmatch(stripped):
        raise BadNctId(text)
    return stripped.upper()


def is_day(value: Json) -> TypeGuard[str]:
    """Return whether a value is an ISO day that a calendar has, in a year that a load or a study could name (1000 to 2999)."""
    if not isinstance(value, str) or not _DAY.fullmatch(value):
        return False
    try:
        date.fromisoformat(value)
    except ValueError:
        return False
    return True


def instant(moment: datetime) -> str:
    """Return an aware UTC datetime as ``2026-05-12T07:17:09.285Z``: milliseconds, always ``Z``."""
    # Not strftime, which writes a year before 1000 with fewer than four digits.
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
