"""A visitor of the web application in process, and a store that every test may read: the packaged loads, followed to the end."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import anyio
import httpx

from trialsync.model import Watch
from trialsync.registry.client import Registry, in_process
from trialsync.registry.sandbox import Sandbox, packaged_loads
from trialsync.settings import load
from trialsync.store import schema
from trialsync.store.writer import Writer
from trialsync.sync.poll import poll
from trialsync.web.app import make_app

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.types import ASGIApp

    from trialsync.settings import Settings

HOST: Final = "http://127.0.0.1"
NOW: Final = datetime(2026, 5, 16, 9, 30, tzinfo=UTC)
"""When the tests ask: the day after the packaged loads end."""

PATIENT: Final = 60.0
"""How long a request may be at work, in seconds, where a test is not about that: a machine that does much at once is no fault."""

WATCHES: Final = (Watch("parkinson", query={"query.cond": ("Parkinson Disease",)}), Watch("everything", everything=True))


@dataclass
class Visitor:
    """Asks an application as a client on the network does; what the application raises is raised."""

    app: ASGIApp
    headers: dict[str, str] = field(default_factory=dict)

    def ask(self, method: str, path: str, headers: dict[str, str] | None = None) -> httpx.Response:
        """Return the response to a request; ``path`` may hold a query."""

        async def asked() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=True)
            async with httpx.AsyncClient(transport=transport, base_url=HOST, headers=self.headers) as client:
                return await client.request(method, path, headers=headers)

        return anyio.run(asked)

    def get(self, path: str, **headers: str) -> httpx.Response:
        """Return the response to a GET; ``headers`` are spelled with underscores."""
        return self.ask("GET", path, {name.replace("_", "-"): value for name, value in headers.items()})

    def json(self, path: str) -> Any:
        """Return what a GET that has to succeed answers."""
        response = self.get(path)
        assert response.status_code == 200, response.text
        return response.json()

    def problem(self, path: str, status: int) -> dict[str, Any]:
        """Return the problem that a GET answers, which has this status."""
        response = self.get(path)
        assert response.status_code == status, response.text
        assert response.headers["content-type"] == "application/problem+json"
        found: dict[str, Any] = response.json()
        assert found["status"] == status
        assert set(found) <= {"type", "title", "status", "detail", "hint"}
        return found


def settings_of(folder: Path, text: str = "") -> Settings:
    """Return the settings that a file with this text gives."""
    (folder / "trialsync.toml").write_text(text)
    return load(folder / "trialsync.toml", {}, folder)


def visitor(store: Path, settings: Settings) -> Visitor:
    """Return a visitor of an application over a store."""
    return Visitor(make_app(store, settings, now=lambda: NOW, limit_seconds=PATIENT))


def follow_the_packaged_loads(store: Path) -> None:
    """Make a store and poll every packaged load into it, on its day."""
    schema.create(store)
    sandbox = Sandbox(packaged_loads())
    moment = NOW

    def now() -> datetime:
        nonlocal moment
        moment += timedelta(milliseconds=137)
        return moment

    def wait(seconds: float) -> None:
        del seconds

    with (
        Registry(
            "https://registry.example/api/v2",
            requests_per_second=1_000_000,
            contact=None,
            transport=in_process(sandbox),
            now=now,
            sleep=wait,
            monotonic=lambda: 0.0,
        ) as registry,
        Writer.open(store, now=now, command="trialsync sync") as writer,
    ):
        while True:
            moment = datetime.fromisoformat(f"{sandbox.load}T14:05:00+00:00")
            for watch in WATCHES:
                poll(watch, registry=registry, writer=writer, now=now)
            if sandbox.advance() is None:
                break
