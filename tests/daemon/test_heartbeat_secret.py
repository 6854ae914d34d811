"""The heartbeat's address stays a secret, whatever becomes of the request."""

from __future__ import annotations

import io
import logging
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, ClassVar

import pytest
import structlog

from trialsync import log
from trialsync.daemon.heartbeat import send_heartbeat
from trialsync.settings import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Monitor(BaseHTTPRequestHandler):
    """A service that waits for heartbeats; what it answers depends on the last part of the path."""

    heard: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        """Answer a heartbeat."""
        self.heard.append(self.path)
        how = self.path.rpartition("/")[2]
        if how == "nonsense":
            self.wfile.write(b"\x00\x01 no HTTP\r\n\r\n")
            return
        self.send_response(int(how))
        if how == "302":
            self.send_header("Location", "/s3cr3t/404")
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Say nothing on standard error."""


@pytest.fixture
def monitor(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Return the address of a service that waits for heartbeats."""
    monkeypatch.setenv("NO_PROXY", "*")
    with HTTPServer(("127.0.0.1", 0), Monitor) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/s3cr3t"
        server.shutdown()
        thread.join()


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """Return what is logged, from level debug on."""
    root = logging.getLogger()
    level = root.level
    stream = io.StringIO()
    log.configure(stream, level="debug", format="json", environ={})
    yield stream
    structlog.reset_defaults()
    root.setLevel(level)
    for handler in [known for known in root.handlers if known.name == "trialsync"]:
        root.removeHandler(handler)


@pytest.mark.parametrize("how", ["200", "204", "302", "404", "500", "nonsense"])
def test_no_answer_makes_it_known(monitor: str, lines: io.StringIO, how: str, tmp_path: Path) -> None:
    """Good and bad answers are logged without the address, from level debug up, and only a good one counts."""
    file = tmp_path / "url"
    file.write_text(f"{monitor}/{how}\n")
    assert send_heartbeat(Secret("heartbeat.url_file", file=file)) is (how in {"200", "204"})
    assert Monitor.heard[-1].startswith("/s3cr3t/")
    assert "heartbeat." in lines.getvalue()
    assert "s3cr3t" not in lines.getvalue()
    assert str(monitor.split("/")[2]) not in lines.getvalue()


@pytest.mark.parametrize(
    "address", ["http://s3cr3t.invalid/x", "http://127.0.0.1:9/s3cr3t", "s3cr3t", "https://127.0.0.1:9/s3cr3t", "http://[s3cr3t"]
)
def test_no_failure_makes_it_known(lines: io.StringIO, address: str) -> None:
    """Addresses that can't be reached or are none are logged by the kind of failure alone."""
    assert not send_heartbeat(Secret("$TRIALSYNC_HEARTBEAT_URL", text=address))
    assert "heartbeat.failed" in lines.getvalue()
    assert "s3cr3t" not in lines.getvalue()
