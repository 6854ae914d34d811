"""What a service tells the service manager: systemd's protocol, a datagram of ``KEY=value`` lines to ``$NOTIFY_SOCKET`` (sd_notify(3))."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from trialsync.publish.text import visible

if TYPE_CHECKING:
    from collections.abc import Mapping

_LONGEST_STATUS = 500
_MOST_DIGITS = 20


class Notifier:
    """Tells the service manager; where none listens, or it has gone away, telling it does nothing."""

    def __init__(self, address: str | None) -> None:
        # "@" stands for the NUL byte that an abstract socket's name begins with.
        self._address = f"\0{address[1:]}" if address and address.startswith("@") else address

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Notifier:
        """Return the one that ``$NOTIFY_SOCKET`` names."""
        return cls(environ.get("NOTIFY_SOCKET"))

    def ready(self, status: str) -> None:
        """Say that the service is up, or has its new settings."""
        self._send("READY=1", _status(status))

    def status(self, status: str) -> None:
        """Say, for eyes, what the service is about."""
        self._send(_status(status))

    def alive(self) -> None:
        """Feed the watchdog."""
        self._send("WATCHDOG=1")

    def reloading(self, monotonic: float) -> None:
        """Say that the settings are being read anew, at these seconds of the monotonic clock; ``ready`` says that this is over."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={int(monotonic * 1_000_000)}")

    def stopping(self, status: str) -> None:
        """Say that the service is going down."""
        self._send("STOPPING=1", _status(status))

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as wire:
                # A manager that does not read must not hold up what it watches.
                wire.settimeout(1.0)
                wire.sendto("\n".join(lines).encode("utf-8", "replace"), self._address)
        except OSError:
            pass


def _status(text: str) -> str:
    # A line break would begin another key.
    return f"STATUS={visible(' '.join(text.split()))[:_LONGEST_STATUS]}"


def watchdog_seconds(environ: Mapping[str, str], pid: int) -> float | None:
    """Return after how many seconds without a sign of life the manager ends this process; None where it does not watch."""
    if environ.get("WATCHDOG_PID") not in {None, "", str(pid)}:
        return None
    microseconds = environ.get("WATCHDOG_USEC", "")
    # The manager counts in 64 bits; what is longer it did not write.
    if not (microseconds.isascii() and microseconds.isdecimal() and len(microseconds) <= _MOST_DIGITS) or not int(microseconds):
        return None
    return int(microseconds) / 1_000_000
