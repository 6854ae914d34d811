"""The heartbeat: an address that is fetched after a successful poll, so that somebody who waits for it notices when it stays away."""

from __future__ import annotations

import contextvars
import threading
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import structlog

from trialsync import __version__
from trialsync.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from trialsync.settings import Secret

log = structlog.get_logger()

_SECONDS = 5.0
_SLOW_SECONDS = 60.0


class Heartbeat:
    """Sends heartbeats from a thread of its own, one at a time: one that hangs holds up no poll, and no end of the process."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._thread: threading.Thread | None = None
        self._began = 0.0

    def send(self, secret: Secret | None) -> None:
        """Begin to fetch the heartbeat's address, where there is one; while the one before is under way, that one stands for this too."""
        if secret is None:
            return
        if self._thread is not None and self._thread.is_alive():
            # Each step of a request has its limit, all of them together have none: an answer can come byte by byte.
            if self._monotonic() - self._began > _SLOW_SECONDS:
                log.warning("heartbeat.failed", kind="TimeoutError")
            return
        self._began = self._monotonic()
        # What is bound to log lines belongs to a thread; this is about the poll of the one that asks.
        run = contextvars.copy_context().run
        self._thread = threading.Thread(target=run, args=(send_heartbeat, secret), name="heartbeat", daemon=True)
        self._thread.start()


def send_heartbeat(secret: Secret | None) -> bool:
    """Fetch the heartbeat's address, where there is one; return whether it answered well.

    A failure is logged by its kind and is no more than that. The address is a secret, and so is what an error says of it.
    """
    if secret is None:
        return False
    try:
        request = urllib.request.Request(secret.url(), headers={"User-Agent": f"trialsync/{__version__}"})  # noqa: S310 - http or https, as url() checks
        with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310 - likewise
            answer.read(1)
    except urllib.error.HTTPError as error:
        error.close()
        log.warning("heartbeat.failed", status=error.code)
    except SettingsError as error:  # names where the address should be, and never repeats it
        log.warning("heartbeat.failed", error=str(error))
    except Exception as error:  # noqa: BLE001 - whatever it is, its text may hold the address
        reason = getattr(error, "reason", error)
        log.warning("heartbeat.failed", kind=type(reason).__name__)
    else:
        log.debug("heartbeat.sent")
        return True
    return False
