"""Two alarms, each said when it begins and when it ends: nobody polls as the schedule wants, and the registry has nothing new."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from trialsync.sync.health import Health

log = structlog.get_logger()


class Alarms:
    """What is wrong at this time: the names of the watches that are overdue, and whether the registry is stale. For any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.overdue: frozenset[str] = frozenset()
        self.registry_stale = False

    def update(self, found: Health) -> None:
        """Say what began and what ended since the last time: of the watches, those that it began or ended for."""
        overdue = frozenset(watch.name for watch in found.watches if watch.overdue)
        with self._lock:
            if began := sorted(overdue - self.overdue):
                log.warning("alarm.raised", alarm="overdue", watches=began)
            if ended := sorted(self.overdue - overdue):
                log.info("alarm.cleared", alarm="overdue", watches=ended)
            if found.registry_stale and not self.registry_stale:
                log.warning("alarm.raised", alarm="registry-stale", load=found.load, heard=found.heard)
            if self.registry_stale and not found.registry_stale:
                log.info("alarm.cleared", alarm="registry-stale", load=found.load)
            self.overdue, self.registry_stale = overdue, found.registry_stale
