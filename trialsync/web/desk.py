"""Where questions are put to the store: in a thread, on a connection of their own, within two seconds, and only so many at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

from anyio import CapacityLimiter, to_thread

from trialsync.store.reader import Reader
from trialsync.web.answer import Answer, respond
from trialsync.web.patience import within
from trialsync.web.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime
    from pathlib import Path

    from starlette.requests import Request
    from starlette.responses import Response

    from trialsync.settings import Settings

    Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]
    Work: TypeAlias = Callable[[Request, Reader], Answer]

LIMIT_SECONDS: Final = 2.0
"""How long one request may be at work, in the store and in what is made of it."""

_LONGER_SECONDS: Final = 0.1
_AT_ONCE: Final = 4
_WAITING: Final = 64

_T = TypeVar("_T")


@dataclass(slots=True)
class _Room:
    """How many are at the desk, those who wait included, and who lets so many of them ask at once."""

    limiter: CapacityLimiter | None = None
    taken: int = 0


@dataclass(frozen=True)
class Desk:
    """What every face of the web shares: the store's place, the settings, the clock (aware, UTC), and the way to ask.

    ``limit_seconds`` bounds how long one request may be at work, ``at_once`` how many ask together, ``waiting`` how many more may
    wait for their turn.
    """

    store: Path
    settings: Settings
    now: Callable[[], datetime]
    limit_seconds: float = LIMIT_SECONDS
    at_once: int = _AT_ONCE
    waiting: int = _WAITING
    _room: _Room = field(default_factory=_Room, repr=False, compare=False)

    @property
    def shows_contacts(self) -> bool:
        """Return whether contact persons are shown."""
        web = self.settings.web
        return web is not None and web.contacts

    async def ask(self, work: Callable[[Reader], _T]) -> _T:
        """Return what a function makes of a reader, which is one moment of the store and closed behind it; it runs in a thread.

        Raises what the function raises, StoreError (AnswerTooLong among them), and Problem (503) where too many wait already.
        """
        room = self._room
        if room.limiter is None:
            # Made on first use: it belongs to the event loop that is running.
            room.limiter = CapacityLimiter(self.at_once)
        if room.taken >= self.at_once + self.waiting:
            raise Problem(
                503, "too-many-requests", "Too many ask at once", "too many requests wait for the store", headers={"Retry-After": "2"}
            )

        def asked() -> _T:
            with Reader.open(self.store, limit_seconds=self.limit_seconds) as reader:
                # SQLite's own end comes first, as it knows how to stop; inside the connection's block, so that this is closed in peace.
                return within(self.limit_seconds + _LONGER_SECONDS, lambda: work(reader))

        room.taken += 1
        try:
            return await to_thread.run_sync(asked, limiter=room.limiter)
        finally:
            room.taken -= 1

    def endpoint(self, work: Work) -> Endpoint:
        """Return the endpoint that answers a request by a function of the request and a reader, with an ETag, and 304 where it suffices."""

        async def answered(request: Request) -> Response:
            return respond(request, await self.ask(lambda reader: work(request, reader)))

        return answered
