"""What holds for every request, whatever it asks: who is asked, how, how long the question may be, and what a browser may do with it."""

from __future__ import annotations

import re
import time
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import structlog
from starlette.datastructures import Headers, MutableHeaders

from trialsync.web.problems import Problem, failed, response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from trialsync.settings import Settings

LONGEST_PATH: Final = 512
LONGEST_QUERY: Final = 4096
"""The most bytes of a path and of a query string; a longer one is refused unread."""

_METHODS: Final = ("GET", "HEAD")
_HOST: Final = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(:[0-9]{1,5})?", re.ASCII)
"""RFC 9110 (7.2): a name or an address and a port, nothing else; what can be read as a user or a path would end up in addresses."""

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_EVERYWHERE: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared with, not bound
_POLICY: Final = "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""What every response carries. There is no CORS header: a web page that somebody visits must not read what this machine follows."""

_log = structlog.get_logger()


def allowed_hosts(settings: Settings, listening: str | None = None) -> frozenset[str]:
    """Return the names that a request may ask for, lower case, without ports.

    They are the loopback names, ``[web] host`` and ``hosts``, the host of ``[site] base_url``, and ``listening``, the address that is
    really listened on where that is another.
    """
    web, base_url = settings.web, settings.site.base_url
    named = {listening, web.host if web else None, urlsplit(base_url).hostname if base_url else None, *(web.hosts if web else ())}
    return _LOOPBACK | {name.lower().strip("[]").rstrip(".") for name in named if name}


def plainly(scope: Scope, problem: Problem) -> Response:
    """Return what every client understands of a problem: problem details."""
    del scope
    return response(problem)


class Gate:
    """The outermost layer: refuses what no endpoint needs to see, puts the headers of HEADERS on every response, and lets no fault out."""

    def __init__(self, app: ASGIApp, *, hosts: Iterable[str], tell: Callable[[Scope, Problem], Response] = plainly) -> None:
        self._app = app
        self._hosts = frozenset(hosts)
        self._tell = tell

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 0

        async def headed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            refused = self._refused(scope)
            if refused is not None:
                await self._tell(scope, refused)(scope, receive, headed)
            else:
                await self._app(scope, receive, headed)
        except Exception:
            _log.exception("web.failed", method=scope["method"], path=scope["path"])
            if status:
                raise
            await self._tell(scope, failed())(scope, receive, headed)
        finally:
            _log.debug(
                "web.answered",
                method=scope["method"],
                path=scope["path"],
                status=status,
                milliseconds=round((time.perf_counter() - began) * 1000, 1),
            )

    def _refused(self, scope: Scope) -> Problem | None:
        if scope["method"] not in _METHODS:
            return Problem(
                405,
                "method-not-allowed",
                "Nothing can be changed here",
                f"{scope['method'][:20]} is not answered, GET and HEAD are",
                headers={"Allow": ", ".join(_METHODS)},
            )
        if not self._is_ours(Headers(scope=scope).get("host", "")):
            return Problem(
                421,
                "unknown-host",
                "This server goes by another name",
                "the request's Host is none that this server answers to",
                hint='[web] hosts = ["…"] in the settings adds a name',
            )
        if len(scope.get("raw_path") or scope["path"]) > LONGEST_PATH or len(scope["query_string"]) > LONGEST_QUERY:
            return Problem(
                414,
                "too-long",
                "The address is too long",
                f"a path may have {LONGEST_PATH} bytes and a query {LONGEST_QUERY:,}",
                hint="ask for less at a time",
            )
        return None

    def _is_ours(self, host: str) -> bool:
        """Return whether a Host header names this server: the port is not looked at, since a proxy may change it."""
        found = _HOST.fullmatch(host.lower())
        if found is None:
            return False
        name = found["name"].strip("[]").rstrip(".")
        if name in self._hosts:
            return True
        # Who listens on every address is asked by any of them; what an address names can't be pointed elsewhere, as a name can.
        return bool(self._hosts & _EVERYWHERE) and _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
