"""``trialsync sandbox``: the stand-in for the registry on a port, for trying settings without troubling the service."""

from __future__ import annotations

import signal
import threading
from datetime import date
from pathlib import Path

import click

from trialsync.cli.app import say
from trialsync.errors import BadDate
from trialsync.registry.sandbox import Sandbox, packaged_loads, packaged_past, read_loads, serve

_LARGE = 1_000_000
"""A file of more bytes takes long enough to read that it is said."""


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=8378, show_default=True, help="The port; 0 takes a free one.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--loads", type=click.Path(path_type=Path), metavar="FILE", help='Dated loads, one {"load", "nctId", "study"} a line; also .xz, .gz.'
)
@click.option("--start", metavar="DATE", help="Begin with the last load of this day or before; otherwise with the first.")
@click.option("--every", type=click.FloatRange(min=0.1), metavar="SECONDS", help="Go on to the next load by itself.")
def sandbox(*, port: int, host: str, loads: Path | None, start: str | None, every: float | None) -> None:
    """Serve a stand-in for the ClinicalTrials.gov API, replaying dated loads.

    Without --loads it serves small loads that come with trialsync. Another terminal goes on to the next load by a POST to
    /sandbox/advance; GET /sandbox tells where it stands. A POST of {"fault": "too-many", "at": 2} to /sandbox/faults makes the second
    request from now on fail so, DELETE takes it back; an unknown fault is answered with the names of those there are.

    \b
      trialsync sandbox --port 8378
      export TRIALSYNC_API_URL=http://127.0.0.1:8378/api/v2 TRIALSYNC_DATABASE=try.db
      trialsync init && trialsync sync
      curl -X POST http://127.0.0.1:8378/sandbox/advance
    """
    try:
        first = date.fromisoformat(start) if start else None
    except ValueError:
        raise BadDate(f"--start {start!r} is not a day", hint="for example 2026-05-12") from None
    if loads is not None and loads.is_file() and loads.stat().st_size > _LARGE:
        say(f"reading {loads} …")
    stand_in = Sandbox(read_loads(loads), start=first) if loads else Sandbox(packaged_loads(), past=packaged_past(), start=first)
    server = serve(stand_in, host, port)
    say(
        f"the registry's stand-in is at http://{host}:{server.port}/api/v2, load {stand_in.load}, {stand_in.loads_left} more to come",
        f"  export TRIALSYNC_API_URL=http://{host}:{server.port}/api/v2 TRIALSYNC_DATABASE=try.db     in another terminal",
        "  trialsync init && trialsync sync     with the watches of your settings, and a store of its own",
        f"  curl -X POST http://{host}:{server.port}/sandbox/advance     goes on to the next load",
        "Ctrl-C ends it.",
    )
    # A service manager ends it by SIGTERM; a shell's background job has SIGINT ignored.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    done = threading.Event()
    if every:
        threading.Thread(target=_advance, args=(stand_in, every, done), daemon=True).start()
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        say("the sandbox is closed")
    finally:
        done.set()
        server.close()


def _advance(stand_in: Sandbox, every: float, done: threading.Event) -> None:
    while not done.wait(every):
        if stand_in.advance() is None:
            say(f"load {stand_in.load} is the last")
            return
        say(f"load {stand_in.load}")
