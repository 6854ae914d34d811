"""The registry as the settings name it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from trialsync.cli.app import now
from trialsync.registry.client import Registry

if TYPE_CHECKING:
    from trialsync.cli.app import App


def open_registry(app: App) -> Registry:
    """Return a client of the registry that the settings name, paced as they say; a context manager. Raises SettingsError."""
    table = app.logs.registry
    return Registry(
        table.api_url,
        requests_per_second=table.requests_per_second,
        contact=table.contact,
        transport=None,
        now=now,
        sleep=time.sleep,
        monotonic=time.monotonic,
    )
