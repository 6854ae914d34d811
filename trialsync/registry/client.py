"""One polite HTTP client for the registry's v2 API; the only module that speaks HTTP.

How the service behaves, errors and limits included, is measured and not specified: every answer is taken for what it shows, and a failure
never says anything about a study unless the registry names that study itself.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Self, TypeVar

import httpx
import stamina
import stamina.instrumentation
import structlog

from trialsync.errors import ClientRejected, DataChanged, RegistryError, RegistryRefused, RegistryUnavailable, StudyNotFound, UsageError
from trialsync.model import nct_id as normal_nct_id
from trialsync.registry.answers import (
    DATA_CHANGED,
    Fetched,
    Page,
    RegistryVersion,
    UnreadableAnswer,
    read_page,
    read_size,
    read_study,
    read_version,
    retry_after,
    sentence,
)
from trialsync.registry.attempt import (
    CHECK_NETWORK,
    CHECK_URL,
    FEW,
    LATER,
    REDIRECTS,
    Answer,
    Failed,
    json_of,
    user_agent,
)
from trialsync.registry.interruption import Interruption
from trialsync.registry.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime
    from types import TracebackType
    from wsgiref.types import WSGIApplication

__all__ = ["Fetched", "Pace", "Page", "Registry", "RegistryVersion", "in_process"]

T = TypeVar("T")
log = structlog.get_logger()

PAGE_SIZE = 1000
"""The most studies a page can hold; the service coerces anything larger down to it without a word."""

_OK, _NOT_MODIFIED, _BAD_REQUEST, _FORBIDDEN, _NOT_FOUND, _URL_TOO_LONG, _TOO_MANY = 200, 304, 400, 403, 404, 414, 429
_SERVER_ERROR = 500
_ERROR_BODY_BYTES = 64 * 1024
_HOPS = 3
_LONGEST_WAIT = 300.0
_REJECTED_WAIT = 30.0
_UNREACHABLE = 3

# Its default hooks log each retry a second time, with the exception's text instead of what was seen.
stamina.instrumentation.set_on_retry_hooks([])


class Registry:
    """The registry, as far as its API goes. Use as a context manager, or call ``close``.

    ``api_url`` is the address before ``/studies``. ``now`` returns an aware UTC datetime, ``sleep`` waits for seconds, ``monotonic``
    returns seconds; without it the pace is kept by ``now``. ``pace``, where given, is shared and stands above ``requests_per_second``.
    ``contact`` goes into the User-Agent. ``transport`` replaces the network (see ``in_process``). ``timeout`` is the seconds without a
    sign of life in any phase but connecting, ``answer_seconds`` the most one answer may take, ``answer_bytes`` the most it may hold once
    decompressed.

    Every method may raise RegistryUnavailable (nothing usable after ``attempts``), ClientRejected (403), RegistryRefused (400, 414), and
    Stopped after ``interrupt``.
    ``requests``, ``bytes``, ``retries``, ``waited`` (seconds) and ``answers`` (by HTTP status) count since construction.
    """

    def __init__(
        self,
        api_url: str,
        *,
        requests_per_second: float,
        contact: str | None,
        transport: httpx.BaseTransport | None,
        now: Callable[[], datetime],
        sleep: Callable[[float], None],
        monotonic: Callable[[], float] | None = None,
        pace: Pace | None = None,
        attempts: int = 5,
        timeout: float = 60.0,
        answer_seconds: float = 600.0,
        answer_bytes: int = 256 * 1024 * 1024,
    ) -> None:
        base = _checked_url(api_url)
        if attempts < 1:
            raise UsageError(f"attempts is {attempts}", hint="1 or more")
        self._now = now
        self._sleep = sleep
        self._monotonic = monotonic or (lambda: now().timestamp())
        self._pace = pace or Pace(requests_per_second, monotonic=self._monotonic, sleep=sleep)
        self._attempts = attempts
        self._answer_seconds = answer_seconds
        self._answer_bytes = answer_bytes
        self._host = base.host
        self._interruption = Interruption()
        self._client = httpx.Client(
            base_url=base,
            transport=transport,
            timeout=httpx.Timeout(connect=min(timeout, 15.0), read=timeout, write=timeout, pool=timeout),
            headers={"Accept-Encoding": "gzip"},
            follow_redirects=False,
        )
        self._client.headers["User-Agent"] = user_agent(self._client.headers["User-Agent"], contact)
        self.requests = 0
        self.bytes = 0
        self.retries = 0
        self.waited = 0.0
        self.answers: Counter[int] = Counter()

    def __enter__(self) -> Self:
        """Return the registry itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close the connections."""
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def interrupt(self) -> None:
        """End the request under way, from another thread: it and every later one raise Stopped. A ``sleep`` has to return by itself."""
        self._interruption.set()

    def version(self, etag: str | None = None) -> RegistryVersion | None:
        """Return what ``/version`` says, or ``None`` if it is still what it was at ``etag``.

        The tag belongs to the whole data set: it changes with each load (and with each build of the service).
        """

        def read(answer: Answer) -> RegistryVersion | None:
            if etag and answer.status == _NOT_MODIFIED:
                return None
            return read_version(json_of(answer), answer.headers.get("etag"))

        return self._ask("version", read, headers={"If-None-Match": etag} if etag else {})

    def page(self, params: Mapping[str, str], token: str | None = None, *, size: int = PAGE_SIZE) -> Page:
        """Return one page of the studies that ``params`` select; the first one, with the count of all, without a token.

        A token is good for the very same ``params`` only: with others the service answers rows of another query without a word. Raises
        DataChanged when a new load arrived since the first page.
        """
        place = {"pageToken": token} if token else {"countTotal": "true"}
        return self._ask("studies", lambda answer: read_page(json_of(answer)), params={**params, "pageSize": str(size), **place})

    def study(self, nct_id: str) -> Fetched:
        """Return one study; its own number may differ from the one asked, which is then among its ``nctIdAliases``.

        The service answers an alias with a 301 to the study that it became. Raises StudyNotFound only on the registry's own sentence that
        names this study, and BadNctId for what is no NCT number.
        """
        asked = at = normal_nct_id(nct_id)
        for hop in range(_HOPS):
            with structlog.contextvars.bound_contextvars(nct_id=asked):
                found = self._ask(f"studies/{at}", partial(self._study_or_next, asked=asked, at=at, gone=hop == 0))
            if isinstance(found, Fetched):
                return found
            at = found
        raise RegistryUnavailable(
            f"the registry at {self._host} sends {asked} from one number to the next without end", hint="ask again later"
        )

    def size(self) -> int:
        """Return the number of studies in the registry."""
        return self._ask("stats/size", lambda answer: read_size(json_of(answer)))

    def internal(self, path: str, read: Callable[[bytes], T], *, missing: str, params: Mapping[str, str] | None = None) -> T | None:
        """Return what ``read`` makes of a JSON answer of the registry's internal API, ``None`` for a 404 that says just ``missing``.

        That API lies beside the documented one (``…/api/int`` beside ``…/api/v2``) and is not documented; ``read`` raises UnreadableAnswer
        for what may be better the next time. Raises RegistryUnavailable where the settings' ``api_url`` has no such neighbour.
        """
        beside, _, last = str(self._client.base_url).rstrip("/").rpartition("/")
        if last != "v2":
            raise RegistryUnavailable(
                f"the registry's internal API can't be found beside {sentence(str(self._client.base_url), 80)}",
                hint="its address is that of api_url with /int in the place of /v2, so api_url has to end in /v2",
            )

        def read_or_missing(answer: Answer) -> T | None:
            if answer.status == _NOT_FOUND and answer.kind == "text/plain" and answer.text.strip() == missing:
                return None
            if answer.status == _NOT_FOUND:
                raise Failed("404", "the registry behind api_url has no record history; ClinicalTrials.gov itself has", tries=FEW)
            return read(json_of(answer))

        return self._ask(f"{beside}/int/{path}", read_or_missing, params=params)

    def _study_or_next(self, answer: Answer, asked: str, at: str, *, gone: bool) -> Fetched | str:
        if answer.status in REDIRECTS:
            return self._redirected(answer)
        if answer.status == _NOT_FOUND and answer.kind == "text/plain" and answer.text.strip() == f"NCT number {at} not found":
            if gone:
                raise StudyNotFound(f"the registry does not have {asked}", hint="check the number; a study can also have been removed")
            raise Failed(f"{asked} leads to {at}, which it does not have", "ask again later", tries=FEW)
        return read_study(json_of(answer), asked)

    def _redirected(self, answer: Answer) -> str:
        """Return the number that a redirect leads to; only within the same host, and only from study to study."""
        try:
            target = self._client.base_url.join(answer.headers.get("location", ""))
        except httpx.InvalidURL:
            raise Failed("a redirect to an address that cannot be read", LATER, tries=FEW) from None
        last = re.fullmatch(r".*/studies/(NCT\d{8})/?", target.path, re.IGNORECASE)
        if target.host != self._host or last is None:
            raise Failed(f"a redirect to {sentence(str(target), 80)}, which is not one of its studies", CHECK_URL, tries=FEW)
        return normal_nct_id(last[1])

    def _ask(
        self,
        path: str,
        read: Callable[[Answer], T],
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> T:
        """Return what ``read`` makes of the answer, asking again as often and as slowly as each failure deserves."""
        number, wait = 0, 0.0

        def again(error: Exception) -> float | bool:
            # The wait itself is ours (before the next attempt), so that the injected sleep is the only one: 0.0 tells stamina not to sleep.
            return 0.0 if isinstance(error, Failed) and number < min(error.tries or self._attempts, self._attempts) else False

        try:
            for attempt in stamina.retry_context(
                on=again, attempts=self._attempts, timeout=None, wait_initial=1.0, wait_max=60.0, wait_jitter=0.0
            ):
                number = attempt.num
                if number > 1:
                    self.retries += 1
                    self.waited += wait
                    self._sleep(wait)
                with attempt:
                    try:
                        return read(self._answered(path, params or {}, headers or {}))
                    except UnreadableAnswer as unreadable:
                        failed = Failed(str(unreadable), LATER)
                    except Failed as failure:
                        failed = failure
                    self._interruption.check()
                    wait = self._patience(failed, attempt.next_wait)
                    log.warning(
                        "registry.retry" if again(failed) is not False else "registry.gave_up", path=path, attempt=number, saw=failed.saw
                    )
                    raise failed
        except Failed as failed:
            raise self._final(failed, path, number) from failed.__cause__
        raise AssertionError("stamina yields at least one attempt")

    def _patience(self, failed: Failed, backoff: float) -> float:
        """Return the seconds to wait after a failure: as asked, up to five minutes; otherwise ever longer, with jitter."""
        if failed.after is not None:
            return min(failed.after, _LONGEST_WAIT)
        if failed.rejected:
            return _REJECTED_WAIT
        return backoff + random.uniform(0.0, backoff / 2)  # noqa: S311 - keeps clients apart, protects nothing

    def _final(self, failed: Failed, path: str, attempts: int) -> RegistryError:
        if failed.rejected:
            return ClientRejected(
                f"the registry's edge at {self._host} turned this client away (403)",
                hint="it judges the client by its User-Agent and TLS, and the network it comes from, and says nothing about any study; "
                "check for a proxy, or try from another network",
            )
        tries = f"{attempts} attempts" if attempts > 1 else "1 attempt"
        asked = path if "://" in path else f"/{path}"
        return RegistryUnavailable(
            f"no usable answer from the registry at {self._host} to {asked} in {tries}: {failed.saw}", hint=failed.hint
        )

    def _answered(self, path: str, params: Mapping[str, str], headers: Mapping[str, str]) -> Answer:
        """Return an answer that can say something: 200, 304, a redirect, or a 404 that may be a study's; raise for the rest."""
        answer = self._once(path, params, headers)
        status = answer.status
        if status in {_OK, _NOT_MODIFIED, _NOT_FOUND} or status in REDIRECTS:
            return answer
        said = sentence(answer.text)
        if status == _BAD_REQUEST:
            if said == DATA_CHANGED:
                raise DataChanged("a new load arrived in the registry during the walk", hint="start over from the first page")
            raise RegistryRefused(f"the registry refuses the request: {said or 'it gives no reason'}", hint="check the watch's query")
        if status == _URL_TOO_LONG:
            raise RegistryRefused("the registry refuses the request: its address is too long (414)", hint="shorten the watch's query")
        after = retry_after(answer.headers.get("retry-after"), self._now())
        if status == _FORBIDDEN:
            raise Failed("403", "", tries=FEW, after=after, rejected=True)
        if status == _TOO_MANY:
            raise Failed("429, too many requests", "lower requests_per_second in [registry], or ask again later", after=after)
        seen = f"{status}, {sentence(said, 100)}" if said else str(status)
        if status >= _SERVER_ERROR:
            raise Failed(seen, LATER, after=after)
        raise Failed(seen, CHECK_URL, tries=FEW, after=after)

    def _once(self, path: str, params: Mapping[str, str], headers: Mapping[str, str]) -> Answer:
        self.waited += self._pace.wait()
        self._interruption.check()
        self.requests += 1
        extensions = {"trace": self._interruption.trace}
        try:
            with self._client.stream("GET", path, params=dict(params), headers=dict(headers), extensions=extensions) as response:
                self.answers[response.status_code] += 1
                try:
                    return Answer(response.status_code, response.headers, self._body(response))
                finally:
                    self.bytes += response.num_bytes_downloaded
        except httpx.ConnectTimeout as error:
            raise Failed("no connection within the time allowed", CHECK_NETWORK) from error
        except httpx.TimeoutException as error:
            raise Failed("no sign of life within the time allowed", LATER) from error
        except (httpx.ConnectError, httpx.ProxyError) as error:
            raise Failed(f"no connection ({sentence(str(error), 120)})", CHECK_NETWORK, tries=_UNREACHABLE) from error
        except httpx.DecodingError as error:
            raise Failed("a compressed body that is damaged", LATER) from error
        except (httpx.HTTPError, OSError) as error:
            raise Failed(f"a connection that broke off ({sentence(str(error) or type(error).__name__, 120)})", LATER) from error

    def _body(self, response: httpx.Response) -> bytes:
        """Return the decoded body, giving up early on one that is larger, or takes longer, than any real answer."""
        if response.headers.get("content-encoding", "").strip().lower() not in {"", "identity", "gzip"}:
            raise Failed("a body compressed in a way that was not asked for", LATER)
        limit = self._answer_bytes if response.status_code == _OK else _ERROR_BODY_BYTES
        began, size, parts = self._monotonic(), 0, []
        for part in response.iter_bytes():
            size += len(part)
            if size > limit:
                if response.status_code != _OK:
                    break
                raise Failed(f"a body of more than {limit:,} bytes", CHECK_URL, tries=FEW)
            if self._monotonic() - began > self._answer_seconds:
                raise Failed(f"a body that was not complete after {self._answer_seconds:g} seconds", LATER)
            parts.append(part)
        return b"".join(parts)


def in_process(app: WSGIApplication) -> httpx.BaseTransport:
    """Return a transport that answers by a WSGI application (the sandbox) in this process, without a socket."""
    return httpx.WSGITransport(app=app)


def _checked_url(api_url: str) -> httpx.URL:
    """Return the API's address; raise UsageError naming what is wrong with it."""
    try:
        url = httpx.URL(api_url.strip())
    except httpx.InvalidURL as error:
        raise UsageError(f"api_url cannot be read as an address: {sentence(str(error), 80)}", hint=CHECK_URL) from error
    if url.scheme not in {"http", "https"} or not url.host or url.query or url.fragment:
        raise UsageError(
            f"api_url is {sentence(api_url, 80)!r}", hint=f"http:// or https://, a host and a path, and nothing after it; {CHECK_URL}"
        )
    return url
