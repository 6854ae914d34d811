"""The ``trialsync`` command: its group, and every error as one sentence with an exit code."""

from __future__ import annotations

import os
import sys
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trialsync import __version__
from trialsync.cli.app import App, Interrupted, output, say
from trialsync.errors import OutputError, StoreError, TrialsyncError

if TYPE_CHECKING:
    from collections.abc import Sequence

_INTERRUPTED = 130
_BUG = 1


_COMMANDS = {
    "init": "starting:init",
    "sync": "syncing:sync",
    "run": "running:run",
    "import": "importing:import_",
    "backfill": "backfilling:backfill",
    "changes": "changes:changes",
    "log": "study:history",
    "show": "study:show",
    "diff": "difference:diff",
    "watches": "lists:watches",
    "fields": "lists:fields",
    "facts": "facts:facts",
    "polls": "lists:polls",
    "check": "checking:check",
    "health": "health:health",
    "verify": "care:verify",
    "rebuild": "rebuilding:rebuild",
    "backup": "care:backup",
    "restore": "care:restore",
    "export": "exporting:export_",
    "demo": "demo:demo",
    "serve": "serving:serve",
    "sandbox": "sandbox:sandbox",
}
"""Where each command is, in the order of work; only the one that is typed is loaded, so that asking the log is quick."""


class _Commands(click.Group):
    """The group of all commands."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's own signature
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            near = get_close_matches(cmd_name, _COMMANDS, n=1)
            raise click.UsageError(f"No such command {cmd_name!r}." + (f" Did you mean {near[0]!r}?" if near else ""), ctx)
        module, name = _COMMANDS[cmd_name].split(":")
        command: click.Command = getattr(import_module(f"trialsync.cli.{module}"), name)
        return command

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            # click would end with 1, and without a word.
            raise _EnoughError from error
        except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError) as error:
            # A broken file gives values that nobody wrote. What it does not explain is a bug, and stays as it is.
            damage = _damage(ctx)
            if damage is None:
                raise
            raise damage from error


class _EnoughError(Exception):
    """The reader of the pipe has had enough (head, less)."""


def _damage(ctx: click.Context) -> StoreError | None:
    from trialsync.store.verify import damage  # noqa: PLC0415 - loaded only where something went wrong

    try:
        return damage(ctx.obj.store) if isinstance(ctx.obj, App) else None
    except TrialsyncError:
        return None


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
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
      trialsync sync                               one pass over what you follow; trialsync run goes on by itself
      trialsync changes --since 7d                 what changed

    Exit codes: 0 done, 1 a bug, 2 usage, settings or store, 3 something was skipped and is named, 4 the registry is unavailable, 5 another
    process holds the store, 6 the store is damaged or too new.
    """
    ctx.obj = App(config)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code; what trialsync raises on purpose is one sentence on standard error."""
    _open_streams()
    try:
        code = trialsync.main(args=None if arguments is None else list(arguments), prog_name="trialsync", standalone_mode=False)
        with output():
            sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        say("interrupted")
        sys.exit(_INTERRUPTED)
    except Interrupted as stopped:
        # A terminal shows the key that was pressed, as ^C.
        say(*([""] if sys.stderr.isatty() else []), f"interrupted: {stopped}")
        sys.exit(_INTERRUPTED)
    except (_EnoughError, BrokenPipeError):
        # No error of ours.
        _print_no_more()
        sys.exit(0)
    except TrialsyncError as error:
        say(f"trialsync: {error}")
        if isinstance(error, OutputError):
            _print_no_more()
        sys.exit(error.exit_code)
    sys.exit(code if isinstance(code, int) else 0)


def _open_streams() -> None:
    """Have standard streams that whoever began this closed (``>&-``) lead nowhere: no file of ours then comes to lie in their place."""
    sys.stdin = sys.stdin or Path(os.devnull).open()  # noqa: SIM115 - for as long as this process runs
    sys.stdout = sys.stdout or Path(os.devnull).open("w")  # noqa: SIM115
    sys.stderr = sys.stderr or Path(os.devnull).open("w")  # noqa: SIM115


def _print_no_more() -> None:
    """Let what is still to be printed go nowhere, so that Python does not try again at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
