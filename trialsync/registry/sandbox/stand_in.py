"""The sandbox: a stand-in for the ClinicalTrials.gov v2 API, as a plain WSGI callable that replays dated loads."""

from __future__ import annotations

import gzip
import random
import re
import threading
from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from trialsync.errors import BadDate
from trialsync.registry.sandbox import endpoints
from trialsync.registry.sandbox.answers import HTML, TEXT, Answer, Refused, html_answer
from trialsync.registry.sandbox.dataset import Dataset, Held, Replay
from trialsync.registry.sandbox.faults import Fault, Strike, instead, strike
from trialsync.registry.sandbox.record_history import RecordHistory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import date
    from wsgiref.types import StartResponse, WSGIEnvironment

    from trialsync.registry.sandbox.loads import LoadLine
    from trialsync.registry.sandbox.record_history import PastLine
    from trialsync.registry.sandbox.search import Search

BASE = "/api/v2"
_INTERNAL = "/api/int/"
_LONGEST_URL = 8190
_REMEMBERED = 32
_LOGGED = 10_000


@dataclass(frozen=True, slots=True)
class Served:
    """One request that was answered: its path and raw query, its User-Agent, the status (0 for a reset), and the fault that struck it."""

    method: str
    path: str
    query: str
    user_agent: str
    status: int
    fault: Fault | None


class Sandbox:
    """A stand-in for the service, mounted in process (``httpx.WSGITransport(app=sandbox)``) or served on a port (``serve``).

    ``loads`` are the lines of dated loads (``read_loads``, ``packaged_loads``); the sandbox starts at the first, or at the last one not
    after ``start``, and goes to the next by ``advance()``. The API is below ``/api/v2``; below ``/api/int`` is the internal one, for a
    study's history: its versions are those of the loads, and before them those of ``past`` (``packaged_past``). ``versionHolder`` of every
    study is the day of the load. Orders that no ``sort`` decides follow ``seed`` and change with each walk. All of it is safe to use from
    several threads.

    On a port there is also, outside the API:

    - ``GET /sandbox``: the state as JSON: ``load``, ``loads_left``, ``studies``, ``requests``, ``faults`` waiting;
    - ``POST /sandbox/advance``: go to the next load; answers the state, or 409 where there is none;
    - ``POST /sandbox/faults``: arrange a fault, or a list of them, by the names and options of ``inject``:
      ``{"fault": "too-many", "at": 2, "times": 1, "path": "/studies", "retry_after": "5"}``;
    - ``DELETE /sandbox/faults``: forget those that wait.

    Not in here: ``markupFormat=legacy``, ``/studies/enums``, ``/stats/field/*`` beyond their errors, ``format=fhir.json`` and
    ``ris``, synonyms (``filter.synonyms`` finds nothing), and term expansion beyond plurals.
    """

    def __init__(self, loads: Iterable[LoadLine], *, past: Iterable[PastLine] = (), start: date | None = None, seed: int = 0) -> None:
        self._replay = Replay(loads)
        self._history = RecordHistory(past)
        self._lock = threading.RLock()
        self._waiting = threading.Event()
        self._random = random.Random(seed)  # noqa: S311 - an order, no secret
        self._strikes: list[Strike] = []
        self._orders: OrderedDict[tuple[object, ...], list[Held]] = OrderedDict()
        self.requests = 0
        self.served: deque[Served] = deque(maxlen=_LOGGED)
        self._current = self._replay.dataset(self._index(start))

    def _index(self, start: date | None) -> int:
        if start is None:
            return 0
        before = [index for index, label in enumerate(self.loads) if label <= start.isoformat()]
        if not before:
            raise BadDate(f"there is no load on or before {start.isoformat()}", hint=f"the first is {self.loads[0]}")
        return before[-1]

    @property
    def loads(self) -> tuple[str, ...]:
        """Return the days of all loads, oldest first."""
        return self._replay.labels

    @property
    def load(self) -> str:
        """Return the day of the load that is served now."""
        return self._current.label

    @property
    def loads_left(self) -> int:
        """Return how many loads are still to come."""
        return len(self.loads) - 1 - self._current.serial

    @property
    def dataset(self) -> Dataset:
        """Return what is served now."""
        return self._current

    def studies(self) -> dict[str, dict[str, Any]]:
        """Return the studies served now, parsed, by NCT number."""
        dataset = self._current
        return {held.nct_id: held.study(dataset.label) for held in dataset.held}

    def advance(self) -> str | None:
        """Go to the next load and return its day; None, and nothing happens, at the last."""
        with self._lock:
            if not self.loads_left:
                return None
            self._current = self._replay.dataset(self._current.serial + 1)
            self._orders.clear()
            return self._current.label

    def inject(self, fault: Fault | str, **options: Any) -> None:
        """Arrange a fault. ``at``: strikes the n-th fitting request from now (1). ``times``: how many in a row (1; None for ever).

        ``path``: a shell pattern for the path below ``/api/v2`` (by default what the fault is about); history's is ``/int/studies/*``.
        ``when(path, parameters)``: a further condition; ``retry_after`` (``too-many``, ``unavailable``), ``seconds`` (``slow``,
        ``silent``), ``size`` in bytes (``gzip-bomb``). Several faults may wait; each counts for itself, and the first that is due strikes.
        Raises UsageError for what can't be.
        """
        made = strike(fault, **options)
        with self._lock:
            self._strikes.append(made)

    def clear_faults(self) -> None:
        """Forget all faults that wait."""
        with self._lock:
            self._strikes.clear()

    @property
    def faults(self) -> tuple[Fault, ...]:
        """Return the faults that still wait."""
        return tuple(waiting.fault for waiting in self._strikes)

    def interrupt(self) -> None:
        """End the waiting of the slow answers that are under way."""
        waiting, self._waiting = self._waiting, threading.Event()
        waiting.set()

    def state(self) -> dict[str, Any]:
        """Return the state as ``GET /sandbox`` gives it."""
        with self._lock:
            return {
                "load": self.load,
                "loads_left": self.loads_left,
                "studies": len(self._current.studies),
                "requests": self.requests,
                "faults": list(self.faults),
            }

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one WSGI request."""
        # WSGI hands over the path decoded as Latin-1.
        path = (environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")).encode("latin-1").decode("utf-8", "replace")
        query_string = environ.get("QUERY_STRING", "")
        below = path[len(BASE) :] if path.startswith(f"{BASE}/") else path[len("/api") :] if path.startswith(_INTERNAL) else ""
        struck = self._struck(below, query_string) if below else None
        agent, method = environ.get("HTTP_USER_AGENT", ""), environ["REQUEST_METHOD"]
        if struck is not None and struck.fault is Fault.RESET:
            self.served.append(Served(method, path, query_string, agent, 0, struck.fault))
            raise ConnectionResetError("the sandbox resets this connection, as a fault that was arranged")
        if struck is not None and struck.fault is Fault.SILENT:
            self._waiting.wait(struck.seconds)
        answer = self._answer(environ, path, below, query_string, struck)
        self.served.append(Served(method, path, query_string, agent, answer.status, struck.fault if struck else None))
        body = answer.body
        headers = [("Server", "istio-envoy"), ("X-Frame-Options", "DENY"), ("Content-Length", str(len(body))), *answer.headers]
        if answer.content_type:
            headers.append(("Content-Type", answer.content_type))
        start_response(answer.status_line, headers)
        if method == "HEAD":
            return [b""]
        if struck is not None and struck.fault is Fault.TRUNCATED:
            return [body[: len(body) // 2]]
        if struck is not None and struck.fault is Fault.SLOW:
            return self._slowly(body, struck.seconds)
        return [body]

    def _slowly(self, body: bytes, seconds: float) -> Iterator[bytes]:
        yield body[:1]
        self._waiting.wait(seconds)
        yield body[1:]

    def _struck(self, below: str, query_string: str) -> Strike | None:
        with self._lock:
            self.requests += 1
            if not self._strikes:
                return None
            query = dict(parse_qsl(query_string, keep_blank_values=True, errors="replace"))
            for waiting in self._strikes:
                if waiting.fits(below, query) and waiting.due():
                    if waiting.times == 0:
                        self._strikes.remove(waiting)
                    return waiting
            return None

    def _answer(self, environ: WSGIEnvironment, path: str, below: str, query_string: str, struck: Strike | None) -> Answer:
        outside = _outside(environ["REQUEST_METHOD"], path, below, query_string) or (instead(struck) if struck else None)
        if outside is not None:
            return outside
        fault = struck.fault if struck else None
        if fault is Fault.ADVANCE:
            self.advance()
        dataset = self._current
        if path.startswith(_INTERNAL):
            return _delivered(self._past(path, query_string, dataset, fault), environ, dataset.etag)
        if fault is Fault.BACKWARDS and dataset.serial:
            dataset = self._replay.dataset(dataset.serial - 1)
        try:
            answer = endpoints.answer(endpoints.Request(dataset, below, query_string, fault, self._order, self._seed))
        except Refused as refused:
            return refused.answer
        if fault is Fault.WRONG_TYPE:
            answer.content_type = HTML
        return _delivered(answer, environ, dataset.etag)

    def _past(self, path: str, query_string: str, dataset: Dataset, fault: Fault | None) -> Answer:
        answer = self._history.answer(path, query_string, dataset, lambda nct_id: self._replay.contents(nct_id, dataset.serial))
        if fault is Fault.WRONG_TYPE:
            answer.content_type = HTML
        return answer

    def _seed(self) -> int:
        with self._lock:
            return self._random.getrandbits(32)

    def _order(self, dataset: Dataset, key: tuple[object, ...], search: Callable[[], Search], seed: int) -> list[Held]:
        """Return what a search finds, remembered for the pages to come."""
        whole = (dataset.serial, seed, *key)
        with self._lock:
            if whole in self._orders:
                self._orders.move_to_end(whole)
                return self._orders[whole]
        found = search().find(dataset, seed)
        with self._lock:
            self._orders[whole] = found
            while len(self._orders) > _REMEMBERED:
                self._orders.popitem(last=False)
        return found


def _outside(method: str, path: str, below: str, query_string: str) -> Answer | None:
    """Return the answer to what never reaches the API's own endpoints."""
    if len(path) + len(query_string) > _LONGEST_URL:
        return html_answer(414)
    if not below:
        return html_answer(404)
    return None if method in {"GET", "HEAD"} else Answer(405, b"Method not allowed", TEXT, [("Allow", "GET, HEAD")])


def _delivered(answer: Answer, environ: WSGIEnvironment, etag: str) -> Answer:
    zipped = _accepts_gzip(environ.get("HTTP_ACCEPT_ENCODING", ""))
    if answer.tagged and answer.status == 200:  # noqa: PLR2004
        tag = f'"{etag}-gzip"' if zipped else f'"{etag}"'
        answer.headers.append(("ETag", tag))
        asked = {
            part.strip().removeprefix("W/").strip('"').removesuffix("-gzip") for part in environ.get("HTTP_IF_NONE_MATCH", "").split(",")
        }
        if asked & {etag, "*"}:
            return Answer(304, b"", None, answer.headers)
    if zipped and answer.body:
        answer.body = gzip.compress(answer.body, 1, mtime=0)
        answer.headers.extend((("Content-Encoding", "gzip"), ("Vary", "Accept-Encoding")))
    return answer


def _accepts_gzip(header: str) -> bool:
    for part in header.lower().split(","):
        name, _, weight = part.partition(";")
        if name.strip() in {"gzip", "*"}:
            return not re.fullmatch(r"\s*q\s*=\s*0(\.0*)?\s*", weight)
    return False
