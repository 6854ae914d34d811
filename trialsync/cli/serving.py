"""``trialsync serve``: the web pages and the HTTP API over the store, alone."""

from __future__ import annotations

import signal

import click

from trialsync.cli.app import App, now, say
from trialsync.settings import Web


@click.command()
@click.option("--host", metavar="ADDRESS", help="The address to listen on, in place of the settings' (127.0.0.1 where they name none).")
@click.option("--port", type=click.IntRange(0, 65535), help="The port, in place of the settings' (8377 by default); 0 takes a free one.")
@click.pass_obj
def serve(app: App, *, host: str | None, port: int | None) -> None:
    """Serve the web pages and the HTTP API: what the store holds, for browsers, feed readers and programs.

    It only reads, and polls nothing: trialsync sync, from cron or a timer, or trialsync run does that at the same time. It listens on this
    machine alone unless the settings or --host say otherwise, has no accounts, and answers to the names in [web] hosts.

    \b
      trialsync serve
      curl 'http://127.0.0.1:8377/api/changes?since=7d&field=status.overallStatus'
      curl 'http://127.0.0.1:8377/api/changes.csv?watch=parkinson&limit=10000'
    """
    from trialsync.web.app import make_app  # noqa: PLC0415 - slow to load, and needed here alone
    from trialsync.web.listening import listen, server_of  # noqa: PLC0415

    web = app.settings.web or Web()
    address = host or web.host
    with app.reader():
        pass
    listening = listen(address, web.port if port is None else port)
    number = listening.getsockname()[1]
    application = make_app(app.store, app.logs, now=now, listening=address)
    shown = f"[{address}]" if ":" in address else address
    say(f"trialsync answers at http://{shown}:{number}/ (its API at http://{shown}:{number}/api)", "Ctrl-C ends it.")
    # A service manager ends it by SIGTERM; a shell's background job has SIGINT ignored.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    server = server_of(application)
    try:
        server.run(sockets=[listening])
    except KeyboardInterrupt:
        say("the server is closed")
    finally:
        listening.close()
