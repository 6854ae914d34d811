"""The ``trialsync`` command: its group, and every error as one sentence with an exit code."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trialsync import __version__
from trialsync.cli.app import App, say
from trialsync.cli.changes import changes
from trialsync.cli.demo import demo
from trialsync.cli.importing import import_
from trialsync.cli.lists import fields, polls, watches
from trialsync.cli.sandbox import sandbox
from trialsync.cli.starting import check, init
from trialsync.cli.study import history, show
from trialsync.cli.syncing import sync
from trialsync.errors import TrialsyncError

if TYPE_CHECKING:
    from collections.abc import Sequence

_INTERRUPTED = 130
_BUG = 1


class _InOrder(click.Group):
    """A group that lists its commands in the order of work, not of the alphabet."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's own signature
        return list(self.commands)


@click.group(cls=_InOrder, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="trialsync", message="%(prog)s %(version)s")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The settings file. Otherwise $TRIALSYNC_CONFIG, ./config/trialsync.toml or /etc/trialsync/trialsync.toml, first wins.",
)
@click.pass_context
def trialsync(ctx: click.Context, config: Path | None) -> None:
    """Git log for the clinical-trial registry: follow studies on ClinicalTrials.gov, ask what changed.

    \b
    First steps:
      trialsync demo                               see it work, offline
      trialsync init 'https://clinicaltrials.gov/search?cond=Parkinson%20Disease'
      trialsync sync                               one pass over what you follow
      trialsync changes --since 7d                 what changed

    Exit codes: 0 done, 1 a bug, 2 usage, settings or store, 3 something was skipped and is named, 4 the registry is unavailable, 5 another
    process holds the store, 6 the store is damaged or too new.
    """
    ctx.obj = App(config)


for command in (init, sync, import_, changes, history, show, watches, fields, polls, check, demo, sandbox):
    trialsync.add_command(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code; what trialsync raises on purpose is one sentence on standard error."""
    try:
        code = trialsync.main(args=None if arguments is None else list(arguments), prog_name="trialsync", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        say("interrupted; what was committed is kept")
        sys.exit(_INTERRUPTED)
    except BrokenPipeError:
        # The reader of the pipe has had enough (head, less); that is no error of ours.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except TrialsyncError as error:
        say(f"trialsync: {error}")
        sys.exit(error.exit_code)
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
