"""Two alarms, each said when it begins and when it ends: nobody polls as the schedule wants, and the registry has nothing new."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trialsync.sync.health import Health

log = structlog.get_logger()


class Alarms:
    """What is wrong at this time, by name. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.raised: set[str] = set()

    def update(self, found: Health) -> None:
        """Say what began and what ended since the last time."""
        overdue = [watch.name for watch in found.watches if watch.overdue]
        with self._lock:
            self._set("overdue", {"watches": overdue} if overdue else None)
            self._set("registry-stale", {"load": found.load, "heard": found.heard} if found.registry_stale else None)

    def _set(self, name: str, details: Mapping[str, Any] | None) -> None:
        if details is not None and name not in self.raised:
            self.raised.add(name)
            log.warning("alarm.raised", alarm=name, **details)
        elif details is None and name in self.raised:
            self.raised.remove(name)
            log.info("alarm.cleared", alarm=name)
