"""What every command shares: the settings, the store's place, the clock, the registry, and the two streams."""

from __future__ import annotations

import errno
import os
import shlex
import shutil
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from trialsync import settings
from trialsync.errors import OutputError, StoreMissing
from trialsync.publish.line import markdown_line, terminal_line
from trialsync.publish.long_text import differences
from trialsync.publish.render import Format, render
from trialsync.publish.text import visible
from trialsync.registry.numbers import nct_ids_in
from trialsync.store import schema
from trialsync.store.reader import Reader
from trialsync.store.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from trialsync.log import Format as LogFormat
    from trialsync.log import Level
    from trialsync.model import Watch
    from trialsync.publish.line import Line
    from trialsync.publish.render import Sheet
    from trialsync.publish.table import Row
    from trialsync.settings import Settings

PARTIAL = 3
"""The exit code where something was skipped and is named."""


def now() -> datetime:
    """Return the present instant, aware, UTC."""
    return datetime.now(UTC)


class Interrupted(Exception):
    """A command was interrupted, and says what stands."""


@contextmanager
def interruptible(stands: Callable[[], str]) -> Iterator[None]:
    """Tell an interruption with what ``stands`` returns then: what is kept, and how to go on."""
    try:
        yield
    except KeyboardInterrupt as key:
        raise Interrupted(stands()) from key


def say(*lines: str) -> None:
    """Print sentences to standard error; what would steer a terminal is made visible."""
    for line in lines:
        sys.stderr.write("\n".join(visible(part) for part in line.split("\n")) + "\n")


@dataclass(frozen=True)
class App:
    """One invocation: ``config`` is what ``--config`` names."""

    config: Path | None

    @cached_property
    def settings(self) -> Settings:
        """Return the settings in force. Raises SettingsError."""
        return settings.load(self.config, os.environ, Path.cwd())

    @property
    def program(self) -> str:
        """Return the command as it can be typed again, with the settings file that was named."""
        return invoked_as() + (f" --config {shlex.quote(str(self.config))}" if self.config else "")

    @cached_property
    def logs(self) -> Settings:
        """Return the settings in force, with log lines going to standard error as they say. Raises SettingsError."""
        # What a command did it says itself, in a sentence; its events join in where somebody asked for them.
        chosen = self.settings.log
        _log_lines(chosen.level if "level" in chosen.model_fields_set else "error", chosen.format)
        return self.settings

    def hush(self) -> None:
        """Let only events of level error be logged from here on, whatever the settings say. Raises SettingsError."""
        _log_lines("error", self.logs.log.format)

    @property
    def store(self) -> Path:
        """Return the place of the store, whether it is there or not."""
        return self.settings.store.path

    def watches(self) -> tuple[Watch, ...]:
        """Return the watches of the settings. Raises SettingsError."""
        return self.settings.watches(nct_ids_in)

    def writer(self, command: str, *, may_make: bool = False, quiet: bool = False) -> Writer:
        """Take the store for writing; ``may_make`` makes a first one where nobody named a place. Raises StoreError."""
        _ = self.logs
        if may_make and not self.settings.store_named and not self.store.exists():
            schema.create(self.store)
            if not quiet:
                say(f"made a new store, {self.store}")
        return Writer.open(self.store, now=now, command=command)

    def reader(self) -> Reader:
        """Open the store for reading, brought to today's schema first where it is older.

        Raises StoreError; a store that is not there is named with the command that makes one.
        """
        if not self.store.exists() and not self.settings.store_named:
            raise StoreMissing(
                f"there is no store yet at {self.store}", hint="trialsync sync NCT07263919 makes one, and so does trialsync init"
            )
        kept = schema.bring_up(self.store)
        if kept is not None:
            say(f"{self.store} is of today's schema now; as it was it is kept as {kept}")
        return Reader.open(self.store)


def _log_lines(level: Level, form: LogFormat) -> None:
    from trialsync import log  # noqa: PLC0415 - slow to load, and no line comes from those who ask the store alone

    log.configure(sys.stderr, level=level, format=form, environ=os.environ)


def invoked_as() -> str:
    """Return the command as it can be typed again: by its name where that leads here, otherwise as it was typed."""
    typed = Path(sys.argv[0])
    if typed.name == "__main__.py":
        return f"{shlex.quote(sys.executable)} -m trialsync"
    if typed.name != "trialsync" or shutil.which("trialsync") == str(typed.absolute()):
        return "trialsync"
    return str(typed)


def chosen(form: str | None) -> Format:
    """Return the format that was asked for: by default a table on a terminal and JSON lines in a pipe."""
    if form is not None:
        return Format(form)
    return Format.TABLE if sys.stdout.isatty() else Format.JSONL


def put(rows: Iterable[Row], sheet: Sheet, form: Format) -> bool:
    """Print rows to standard output in a format; return whether a table had to shorten something to the terminal's width."""
    width, color = terminal()
    cut = False
    for piece in render(rows, sheet, form, width=width, color=color):
        cut = cut or (form is Format.TABLE and "…" in piece)
        put_text(piece)
    return cut


def put_lines(lines: Iterable[Line], form: Format) -> None:
    """Print a line for each study and day to standard output, as a table or as Markdown. Raises OutputError, BrokenPipeError."""
    width, color = terminal()
    for each in lines:
        put_text(markdown_line(each) if form is Format.MD else terminal_line(each, width=width, color=color))


def put_differences(rows: Iterable[Row], form: Format) -> None:
    """Print to standard output what a table's cells can't hold of long texts, word by word. Raises OutputError, BrokenPipeError."""
    _, color = terminal()
    for each in differences(rows, in_markdown=form is Format.MD, color=color):
        put_text(each)


def terminal() -> tuple[int | None, bool]:
    """Return the width of the terminal that is printed to, in cells (``None`` where it is none), and whether it may have colour."""
    if not sys.stdout.isatty():
        return None, False
    return shutil.get_terminal_size().columns, not os.environ.get("NO_COLOR")


def put_text(text: str) -> None:
    """Print text to standard output. Raises OutputError, BrokenPipeError."""
    with output():
        sys.stdout.write(text)


@contextmanager
def output() -> Iterator[None]:
    """Tell a fault of the standard output, such as a full disk, as OutputError; a pipe that was closed at its other end is none."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"the output can't be written: {error.strerror}") from error


def flush() -> None:
    """Hand all that was printed to whoever reads it; a file has it on its disk then. Raises OutputError, BrokenPipeError."""
    with output():
        sys.stdout.flush()
        try:
            os.fsync(sys.stdout.fileno())
        except (OSError, ValueError) as error:
            # A pipe or a terminal can't, and has it all the same.
            if isinstance(error, OSError) and error.errno in {errno.EIO, errno.ENOSPC, errno.EDQUOT}:
                raise
