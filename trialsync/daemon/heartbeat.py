"""The heartbeat: an address that is fetched after a successful poll, so that somebody who waits for it notices when it stays away."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import structlog

from trialsync import __version__
from trialsync.errors import SettingsError

if TYPE_CHECKING:
    from trialsync.settings import Secret

log = structlog.get_logger()

_SECONDS = 5.0


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
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        log.warning("heartbeat.failed", kind=type(reason).__name__)
    else:
        log.debug("heartbeat.sent")
        return True
    return False
