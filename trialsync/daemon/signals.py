"""The signals of a service, waited for and not handled: none comes in the middle of anything."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from types import TracebackType

ENDING: Final = frozenset({signal.SIGTERM, signal.SIGINT})
RELOADING: Final = frozenset({signal.SIGHUP})


class Signals:
    """SIGTERM, SIGINT and SIGHUP, kept back in the ``with`` block for ``wait`` to give out, by its threads too, and ignored after it."""

    def __enter__(self) -> Self:
        self._before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING | RELOADING)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        # The process is at its end: what came meanwhile, or comes now, would end it a second time, with another code.
        for number in ENDING | RELOADING:
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_SETMASK, self._before)

    def wait(self, seconds: float) -> signal.Signals | None:
        """Return the next signal that came, or comes within so many seconds; None where none does.

        One that ends is given out before one that reloads, however many of those come: the system itself gives out the lowest number first.
        """
        found = signal.sigtimedwait(ENDING, 0) or signal.sigtimedwait(ENDING | RELOADING, seconds)
        return signal.Signals(found.si_signo) if found is not None else None
