"""What is due and when: filled by the timetable, emptied by the one worker, so that no two polls run at once and none is lost."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_LONGEST_WAIT = 60.0


class Agenda:
    """Names that are due, each once: what falls due again before it was done is done once (coalescing).

    Times are seconds of ``monotonic``, so that a clock that is set moves nothing.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._changed = threading.Condition()
        self._due: dict[str, float] = {}
        self._held: dict[str, float] = {}
        self._closed = False

    def add(self, name: str) -> None:
        """Let a name be due now, or when it is no longer held back."""
        with self._changed:
            at = max(self._monotonic(), self._held.get(name, float("-inf")))
            self._due[name] = min(at, self._due.get(name, at))
            self._changed.notify_all()

    def postpone(self, name: str, seconds: float) -> None:
        """Hold a name back for so long, whatever its schedule says meanwhile, and let it be due then."""
        with self._changed:
            self._held[name] = self._due[name] = self._monotonic() + seconds
            self._changed.notify_all()

    def release(self, name: str) -> None:
        """Hold a name back no longer; where it waits, it is due now."""
        with self._changed:
            self._held.pop(name, None)
            if name in self._due:
                self._due[name] = min(self._due[name], self._monotonic())
            self._changed.notify_all()

    def drop(self, name: str) -> None:
        """Forget a name."""
        with self._changed:
            self._due.pop(name, None)
            self._held.pop(name, None)

    def take(self) -> str | None:
        """Wait until something is due, the longest due first, and return it; None once the agenda is closed."""
        with self._changed:
            while not self._closed:
                now = self._monotonic()
                name = min(self._due, key=self._due.__getitem__, default=None)
                if name is not None and self._due[name] <= now:
                    del self._due[name]
                    return name
                self._changed.wait(_LONGEST_WAIT if name is None else min(self._due[name] - now, _LONGEST_WAIT))
            return None

    def waits(self) -> dict[str, float]:
        """Return in how many seconds each name on the agenda is due, 0 for one that is."""
        with self._changed:
            now = self._monotonic()
            return {name: max(0.0, at - now) for name, at in self._due.items()}

    def close(self) -> None:
        """Give out nothing more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
