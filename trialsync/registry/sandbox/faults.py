"""What can go wrong with a registry's answer, on demand: each fault, when it strikes, and how it spoils an answer."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from trialsync.errors import UsageError
from trialsync.registry.sandbox.answers import DATA_CHANGED, HTML, JSON, TEXT, Answer, html_answer

if TYPE_CHECKING:
    from collections.abc import Callable


class Fault(StrEnum):
    """One way in which an answer goes wrong."""

    DATA_CHANGED = "data-changed"
    """400 with the sentence for data that changed while paginating; strikes requests that carry a page token."""
    ADVANCE = "advance"
    """A new load arrives just before this request, so that a token it carries is out of date."""
    BACKWARDS = "backwards"
    """This answer is of the load before the current one (the first load has none before, and stays)."""
    FORBIDDEN = "forbidden"
    """403 with an HTML page, as the edge answers a client that it turns away."""
    URI_TOO_LONG = "uri-too-long"
    """414 with the proxy's HTML page."""
    TOO_MANY = "too-many"
    """429; like the other error statuses with ``Retry-After`` where ``retry_after`` is given (seconds, or an HTTP date)."""
    SERVER_ERROR = "server-error"
    """500."""
    BAD_GATEWAY = "bad-gateway"
    """502."""
    UNAVAILABLE = "unavailable"
    """503."""
    GATEWAY_TIMEOUT = "gateway-timeout"
    """504."""
    HTML_PAGE = "html-page"
    """200 with an HTML page instead of data."""
    WRONG_TYPE = "wrong-type"
    """The right body, called ``text/html``."""
    TRUNCATED = "truncated"
    """Half of the body, under the length of the whole; on the port the connection then closes."""
    EMPTY_STUDIES = "empty-studies"
    """200 with ``{"studies":[]}``, as in an outage that finds nothing."""
    EMPTY_BODY = "empty-body"
    """200 with no body at all."""
    SLOW = "slow"
    """The first byte of the body, then ``seconds`` of nothing, then the rest."""
    SILENT = "silent"
    """Nothing at all, not even a status, for ``seconds``; then the answer."""
    RESET = "reset"
    """The connection is reset without an answer; in process, ConnectionResetError is raised."""
    REPEATED_TOKEN = "repeated-token"  # noqa: S105 - a page token
    """The page's ``nextPageToken`` is the one that the request carried (the first page's own place on a first page)."""
    RESTARTED_LIST = "restarted-list"
    """The page's ``nextPageToken`` starts the list again, even where the page is the last."""
    PAGE_SHIFT = "page-shift"
    """The index moved by one: a study of the page before is repeated, and one is missed."""
    SHORT_PAGE = "short-page"
    """Half of the page's studies are left out; the next token goes on as if they had been there."""
    STUDIES_NOT_A_LIST = "studies-not-a-list"
    """200 with ``{"studies":{}}``."""
    BARE_LIST = "bare-list"
    """200 with ``[]``."""
    RECORD_WITHOUT_ID = "record-without-id"
    """The first study of the page (or the one asked for) has no NCT number."""
    GZIP_BOMB = "gzip-bomb"
    """A small gzip body that unpacks to ``size`` bytes."""
    WRONG_404 = "wrong-404"
    """404 with the proxy's HTML page, which says nothing about a study."""
    BAD_TIMESTAMP = "bad-timestamp"
    """``/version`` with a dataTimestamp that is no time."""
    NO_TIMESTAMP = "no-timestamp"
    """``/version`` without a dataTimestamp."""


_LISTS = {
    Fault.DATA_CHANGED,
    Fault.EMPTY_STUDIES,
    Fault.REPEATED_TOKEN,
    Fault.RESTARTED_LIST,
    Fault.PAGE_SHIFT,
    Fault.SHORT_PAGE,
    Fault.STUDIES_NOT_A_LIST,
    Fault.BARE_LIST,
}
_STATUSES = {
    Fault.FORBIDDEN: 403,
    Fault.URI_TOO_LONG: 414,
    Fault.SERVER_ERROR: 500,
    Fault.BAD_GATEWAY: 502,
    Fault.UNAVAILABLE: 503,
    Fault.GATEWAY_TIMEOUT: 504,
    Fault.WRONG_404: 404,
}
_BODIES = {
    Fault.EMPTY_STUDIES: b'{"studies":[]}',
    Fault.STUDIES_NOT_A_LIST: b'{"studies":{}}',
    Fault.BARE_LIST: b"[]",
    Fault.EMPTY_BODY: b"",
}
_BLOCK = 1 << 20


def _default_path(fault: Fault) -> str:
    if fault in _LISTS:
        return "/studies"
    if fault in {Fault.BAD_TIMESTAMP, Fault.NO_TIMESTAMP}:
        return "/version"
    if fault is Fault.RECORD_WITHOUT_ID:
        return "/studies*"
    return "/studies/*" if fault is Fault.WRONG_404 else "*"


@dataclass(slots=True)
class Strike:
    """A fault and when it strikes: at the ``at``-th request from now whose path fits, and on ``times`` in a row (None: for ever)."""

    fault: Fault
    path: str
    at: int = 1
    times: int | None = 1
    when: Callable[[str, dict[str, str]], bool] | None = None
    retry_after: str | None = None
    seconds: float = 1.0
    size: int = 256 * _BLOCK

    def fits(self, path: str, query: dict[str, str]) -> bool:
        """Say whether the request is one that this strike counts: by its path below ``/api/v2``, and its predicate."""
        if self.fault is Fault.DATA_CHANGED and not query.get("pageToken"):
            return False
        return fnmatchcase(path, self.path) and (self.when is None or self.when(path, query))

    def due(self) -> bool:
        """Count one request that fits; say whether it is struck."""
        if self.at > 1:
            self.at -= 1
            return False
        if self.times is not None:
            self.times -= 1
        return True


def strike(fault: Fault | str, **options: Any) -> Strike:
    """Return a strike from its options (``at``, ``times``, ``path``, ``when``, ``retry_after``, ``seconds``, ``size``).

    ``path`` is a shell pattern for the path below ``/api/v2``, by default what the fault is about. Raises UsageError for what can't be.
    """
    try:
        known = Fault(fault)
    except ValueError:
        raise UsageError(f"{fault!r} is not a fault", hint=f"one of {', '.join(Fault)}") from None
    fields = set(Strike.__slots__) - {"fault"}
    if unknown := set(options) - fields:
        raise UsageError(f"{', '.join(sorted(map(str, unknown)))}: no such option of a fault", hint=f"one of {', '.join(sorted(fields))}")
    made = Strike(
        known, **({"path": _default_path(known)} | {name: value for name, value in options.items() if value is not None or name == "times"})
    )
    whole = {"at": made.at, "times": 1 if made.times is None else made.times, "size": made.size}
    for name, value in whole.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise UsageError(f"{name} of a fault must be a whole number from 1 on, not {value!r}")
    if not isinstance(made.seconds, int | float) or made.seconds < 0:
        raise UsageError(f"seconds of a fault must be a number from 0 on, not {made.seconds!r}")
    if not isinstance(made.path, str):
        raise UsageError(f"path of a fault must be a pattern such as /studies/*, not {made.path!r}")
    made.retry_after = None if made.retry_after is None else str(made.retry_after)
    return made


def instead(strike: Strike) -> Answer | None:
    """Return the answer that a fault gives without asking the service; None for a fault that spoils the service's own answer."""
    fault = strike.fault
    answer: Answer | None = None
    if fault is Fault.DATA_CHANGED:
        answer = Answer(400, DATA_CHANGED.encode(), TEXT)
    elif fault is Fault.TOO_MANY:
        answer = Answer(429, b"Too many requests", TEXT)
    elif fault in _STATUSES:
        answer = html_answer(_STATUSES[fault])
    elif fault is Fault.HTML_PAGE:
        answer = Answer(
            200, b"<!DOCTYPE html>\n<html><head><title>ClinicalTrials.gov</title></head><body>Maintenance</body></html>\n", HTML
        )
    elif fault in _BODIES:
        answer = Answer(200, _BODIES[fault], JSON)
    elif fault is Fault.GZIP_BOMB:
        answer = Answer(200, gzip_bomb(strike.size), JSON, [("Content-Encoding", "gzip")])
    if answer and strike.retry_after:
        answer.headers.append(("Retry-After", strike.retry_after))
    return answer


def gzip_bomb(size: int) -> bytes:
    """Return a gzip stream that unpacks to about ``size`` bytes of JSON: an empty list of studies among spaces."""
    block = b" " * _BLOCK
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    parts = [packer.compress(b'{"studies":[')]
    parts.extend(packer.compress(block) for _ in range(max(1, size // _BLOCK)))
    parts.extend((packer.compress(b"]}"), packer.flush()))
    return b"".join(parts)
