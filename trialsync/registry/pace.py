"""The pace of requests: a budget that several clients can share."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from trialsync.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable


class Pace:
    """At most so many requests a second, whoever asks: several Registry objects, of several threads, can share one.

    ``monotonic`` returns seconds, ``sleep`` waits for seconds. A clock that goes backwards costs no wait.
    """

    def __init__(self, requests_per_second: float, *, monotonic: Callable[[], float], sleep: Callable[[float], None]) -> None:
        self._interval = _interval(requests_per_second)
        self._monotonic = monotonic
        self._sleep = sleep
        self._lock = threading.Lock()
        self._last = self._due = float("-inf")

    def change(self, requests_per_second: float) -> None:
        """Keep another pace from the next request but one on; what was spent stays spent."""
        with self._lock:
            self._interval = _interval(requests_per_second)

    def wait(self) -> float:
        """Wait for this request's turn, and return the seconds waited."""
        with self._lock:
            at = self._monotonic()
            if at < self._last:
                self._due = at
            self._last = at
            turn = max(self._due, at)
            self._due = turn + self._interval
        if turn > at:
            self._sleep(turn - at)
        return turn - at


def _interval(requests_per_second: float) -> float:
    if not requests_per_second > 0:
        raise UsageError(f"requests_per_second is {requests_per_second}", hint="a number above 0; the registry's robots.txt asks for 1")
    return 1.0 / requests_per_second
