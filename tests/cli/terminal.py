"""A terminal to type commands in: run in this process, in a folder of their own, with a registry on a port where one is needed."""

from __future__ import annotations

import io
import json
import logging
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import structlog

from trialsync.cli.main import main
from trialsync.registry.sandbox import Sandbox, SandboxServer, serve

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import TracebackType

    import pytest

    from trialsync.registry.sandbox import LoadLine, PastLine

SCRIPT = Path(sys.executable).with_name("trialsync")
"""The command as it is installed."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command did: its exit code and its two streams."""

    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Return the JSON lines that it printed."""
        return [json.loads(line) for line in self.out.splitlines()]


class Terminal:
    """Runs commands as a user types them, in an empty folder; waiting takes no time, and is kept in ``waited`` (seconds)."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.waited: list[float] = []
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        self._servers: list[SandboxServer] = []

    def __enter__(self) -> Self:
        for name in [name for name in os.environ if name.startswith("TRIALSYNC_")]:
            self._monkeypatch.delenv(name)
        self._monkeypatch.setenv("NO_PROXY", "*")
        self._monkeypatch.chdir(self.folder)
        self._monkeypatch.setattr(time, "sleep", self.waited.append)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for server in self._servers:
            server.close()
        # The log was sent to the captured stream, which is gone after the test.
        structlog.reset_defaults()
        root = logging.getLogger()
        for handler in [known for known in root.handlers if known.name == "trialsync"]:
            root.removeHandler(handler)

    def __call__(self, *arguments: str | Path, stdin: bytes = b"") -> Ran:
        """Run a command; return its exit code and what it printed."""
        self._capsys.readouterr()
        self._monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        try:
            main([str(each) for each in arguments])
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        else:
            raise AssertionError("main() ends with an exit code")
        out, err = self._capsys.readouterr()
        return Ran(code, out, err)

    def ok(self, *arguments: str | Path, stdin: bytes = b"") -> Ran:
        """Run a command that has to end with 0."""
        ran = self(*arguments, stdin=stdin)
        assert ran.code == 0, ran.err
        return ran

    def setenv(self, name: str, value: str | Path) -> None:
        """Set a variable of the environment."""
        self._monkeypatch.setenv(name, str(value))

    def serve(self, loads: Iterable[LoadLine], past: Iterable[PastLine] = ()) -> Sandbox:
        """Serve loads on a port, with what was before them, and point the environment to it; return the sandbox behind it."""
        sandbox = Sandbox(loads, past=past)
        server = serve(sandbox).start()
        self._servers.append(server)
        self.setenv("TRIALSYNC_API_URL", server.api_url)
        return sandbox

    def settings(self, *watches: Mapping[str, Any], text: str = "", place: str = "config/trialsync.toml") -> Path:
        """Write a settings file whose store is ``trialsync.db`` in the folder; ``text`` stands before the watches."""
        file = self.folder / place
        file.parent.mkdir(parents=True, exist_ok=True)
        tables = "".join("\n[[watch]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in watch.items()) for watch in watches)
        file.write_text(f"[store]\npath = {json.dumps(str(self.folder / 'trialsync.db'))}\n{text}\n{tables}")
        return file


def sentence(ran: Ran) -> str:
    """Return the one sentence that a command which could not do its work printed; nothing else is printed, and never a traceback."""
    assert ran.out == ""
    assert "Traceback" not in ran.err
    (line,) = ran.err.splitlines()
    return line
