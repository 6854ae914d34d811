"""A service manager for tests: runs the real daemon, reads its log, and keeps what it says on the notify socket."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any, Self

from trialsync.store import schema

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from types import TracebackType

PATIENCE = 60.0
"""A slow machine under load may take so many seconds for anything; none of the tests waits so long when all is well."""


def wait_for(condition: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    """Return what a condition returns once that is true; fail with what was waited for where it never is."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError(f"waited {seconds:g} seconds for {what}")


def made_earlier(store: Path) -> None:
    """Make a store older than last night, so that its copy is missing."""
    with closing(sqlite3.connect(store)) as connection, connection:
        connection.execute("UPDATE _sqlite_migrations SET applied_at = '2026-01-01T00:00:00+00:00'")


class NotifySocket:
    """A notify socket: each message as it came, a mapping of its lines."""

    def __init__(self, folder: Path, *, abstract: bool = False) -> None:
        self.address = f"@trialsync-test-{os.getpid()}-{id(self)}" if abstract else str(folder / "notify")
        self.messages: list[dict[str, str]] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(f"\0{self.address[1:]}" if abstract else self.address)
        self._socket.settimeout(0.1)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._closed.set()
        self._thread.join()
        self._socket.close()

    def _listen(self) -> None:
        while not self._closed.is_set():
            try:
                text = self._socket.recv(65536).decode()
            except TimeoutError:
                continue
            self.messages.append(dict(line.split("=", 1) for line in text.splitlines()))

    def count(self, key: str) -> int:
        """Return how many messages had a key."""
        return sum(key in message for message in self.messages)


class Running:
    """The daemon as a process, in a folder with its settings and store."""

    def __init__(
        self,
        folder: Path,
        text: str,
        *,
        api_url: str,
        notify: NotifySocket | None = None,
        watchdog: float | None = None,
        environ: Mapping[str, str] | None = None,
        search: bool = False,
    ) -> None:
        self.folder = folder
        self.store = folder / "trialsync.db"
        # Found by a search from its folder, or named.
        self.file = folder / "config" / "trialsync.toml" if search else folder / "trialsync.toml"
        self.named = [] if search else ["--config", str(self.file)]
        self.file.parent.mkdir(exist_ok=True)
        self.events: list[dict[str, Any]] = []
        self.raw: list[str] = []
        if not self.store.exists():
            schema.create(self.store)
        self.settings(text)
        self.environ = {name: value for name, value in os.environ.items() if not name.startswith(("TRIALSYNC_", "NOTIFY_", "WATCHDOG_"))}
        self.environ |= {"TRIALSYNC_API_URL": api_url, "NO_PROXY": "*", **(environ or {})}
        if notify is not None:
            self.environ["NOTIFY_SOCKET"] = notify.address
        if watchdog is not None:
            self.environ["WATCHDOG_USEC"] = str(int(watchdog * 1_000_000))

    def settings(self, text: str) -> None:
        """Write the settings, whole at once as an editor does; the store's path and a quick pace are there already."""
        fresh = self.file.with_suffix(".new")
        fresh.write_text(f'[store]\npath = "{self.store}"\n{text}')
        fresh.replace(self.file)

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-m", "trialsync", *self.named, "run"],
            cwd=self.folder,
            env=self.environ,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reading.join()
        assert self.process.stderr is not None
        self.process.stderr.close()
        if error is not None:
            sys.stderr.write("".join(self.raw[-60:]))

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.raw.append(line)
            try:
                found = json.loads(line)
            except ValueError:
                continue
            self.events.append(found)

    def of(self, event: str, **wanted: Any) -> list[dict[str, Any]]:
        """Return the events so far of a name, with these values."""
        return [
            each for each in list(self.events) if each["event"] == event and all(each.get(key) == value for key, value in wanted.items())
        ]

    def wait(self, event: str, *, times: int = 1, **wanted: Any) -> dict[str, Any]:
        """Wait until an event came so many times; return the last of them."""

        def came() -> list[dict[str, Any]] | None:
            found = self.of(event, **wanted)
            if len(found) < times and self.process.poll() is not None:
                self._reading.join()
                assert len(self.of(event, **wanted)) >= times, f"the daemon ended with {self.process.returncode} before {event}"
            return found if len(found) >= times else None

        found: list[dict[str, Any]] = wait_for(came, f"{times} times {event} with {wanted}")
        return found[times - 1]

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def ends(self, seconds: float = PATIENCE) -> int:
        """Wait for the process to end; return its exit code."""
        code = self.process.wait(seconds)
        self._reading.join()
        return code

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run another command of the program on the same settings."""
        return subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-m", "trialsync", "--config", str(self.file), *arguments],
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
            check=False,
        )

    def stop(self) -> int:
        """Ask it to end; return its exit code."""
        self.signal(signal.SIGTERM)
        return self.ends()


QUICK = "[registry]\nrequests_per_second = 1000.0\n"


def watch(name: str = "ataxia", *, every: str = "1s", condition: str = "Ataxia") -> str:
    """Return a watch of the settings with a schedule of its own, without jitter."""
    return f'[[watch]]\nname = "{name}"\nquery.cond = "{condition}"\nschedule = {{ every = "{every}", jitter = "0s" }}\n'
