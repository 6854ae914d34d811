"""``trialsync run``: the daemon."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from trialsync import log, settings
from trialsync.cli.app import App, now

if TYPE_CHECKING:
    from trialsync.settings import Settings


@click.command()
@click.pass_obj
def run(app: App) -> int:
    """Follow the watches of the settings by their schedules, until a signal ends it: a service, for systemd or a terminal.

    It asks for a new load every hour ([schedule]; a watch may have its own) and polls when there is one, one watch at a time; a schedule
    that was missed while it did not run is made up at the start. It holds the store for the time of a poll alone, so that sync, import and
    the others work in between. With [web] it serves what trialsync serve does, with [backup] it copies the store each night.

    It says what it does in its log, on standard error: one line poll.ended a poll (JSON, or for eyes on a terminal; [log]).

    \b
      SIGTERM, SIGINT   stop: the poll under way keeps its page; within 10 seconds; a second one stops at once
      SIGHUP            read the settings anew; where they can't be used the old ones stay, and the log says why; what failed is tried again
    """
    from trialsync.daemon.signals import Signals  # noqa: PLC0415 - with the rest of the daemon

    with Signals() as signals:
        found = app.settings
        _log_as(found)
        folder = Path.cwd()
        # The file that was found at the start, not the first that is found then: where it is gone, that is said.
        config = found.source or app.config

        from trialsync.daemon.notify import Notifier, watchdog_seconds  # noqa: PLC0415 - loaded after the settings, which may be wrong
        from trialsync.daemon.process import Daemon, Outside  # noqa: PLC0415
        from trialsync.daemon.worker import Clock  # noqa: PLC0415

        outside = Outside(
            clock=Clock(now, time.monotonic),
            wait=signals.wait,
            load=lambda: settings.load(config, os.environ, folder),
            log_as=_log_as,
            leave=_leave,
            notifier=Notifier.of(os.environ),
            watchdog=watchdog_seconds(os.environ, os.getpid()),
        )
        code = Daemon(found, outside).run()
    _flush()
    return code


def _log_as(found: Settings) -> None:
    log.configure(sys.stderr, level=found.log.level, format=found.log.format, environ=os.environ)


def _leave(code: int) -> NoReturn:
    _flush()
    os._exit(code)


def _flush() -> None:
    """Write out what was said; where nobody takes it any more, let it go: Python would try again, and end with a code for that."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
