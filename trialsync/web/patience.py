"""An end for work in Python: what takes longer than it may is interrupted where it stands, whatever it is doing.

SQLite watches its own clock; the comparison of two huge records, or a page of many of them, never comes near it. Python lets one thread
raise an exception in another, at the next step that the other takes: that ends any such work, and the thread can be used again.
"""

from __future__ import annotations

import ctypes
import threading
from typing import TYPE_CHECKING, Final, TypeVar

from trialsync.store.connection import too_long

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")

_AGAIN_SECONDS: Final = 0.1


class _TimeIsOver(BaseException):
    """Raised in the thread whose time is over; none of the house's errors, so that nothing on the way takes it for its own."""


def within(seconds: float, work: Callable[[], _T]) -> _T:
    """Return what a function returns; raise AnswerTooLong once it has been at work for so many seconds. For threads, not for the main one.

    One step of Python's own, such as the reading of a JSON text, is not interrupted; it ends first.
    """
    alarm = _Alarm(seconds)
    try:
        try:
            alarm.start()
            return work()
        finally:
            # The very next step: from here on at most one is under way, which meets ``disarm`` or is taken back by it.
            alarm.armed = False
            alarm.disarm()
    except _TimeIsOver:
        alarm.armed = False
        alarm.disarm()
        raise too_long() from None


class _Alarm:
    """Raises _TimeIsOver in the thread that made it, again and again while it is ``armed``: one that a finalizer met would be lost."""

    def __init__(self, seconds: float) -> None:
        self.armed = True
        self._seconds = seconds
        self._thread = ctypes.c_ulong(threading.get_ident())
        self._lock = threading.RLock()
        self._over = threading.Event()

    def start(self) -> None:
        """Let the time begin."""
        threading.Thread(target=self._watch, name="patience", daemon=True).start()

    def disarm(self) -> None:
        """Take back what was raised and has not arrived: it would meet whoever uses the thread next. ``armed`` is False already."""
        with self._lock:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(self._thread, None)
        self._over.set()

    def _watch(self) -> None:
        seconds = self._seconds
        while not self._over.wait(seconds):
            with self._lock:
                if not self.armed:
                    return
                ctypes.pythonapi.PyThreadState_SetAsyncExc(self._thread, ctypes.py_object(_TimeIsOver))
            seconds = _AGAIN_SECONDS
