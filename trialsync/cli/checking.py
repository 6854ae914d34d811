"""``trialsync check``: whether the settings can work, and what they are."""

from __future__ import annotations

import ipaddress
import os
import socket
import stat
from typing import TYPE_CHECKING

import click

from trialsync.cli.app import App, put_text, say
from trialsync.cli.outside import open_registry
from trialsync.cli.starting import followed
from trialsync.errors import RegistryRefused, SettingsError, StoreError
from trialsync.publish.confirmed import counted
from trialsync.registry import query
from trialsync.settings import printed
from trialsync.store.lock import why_unwritable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trialsync.model import Watch
    from trialsync.settings import Backup, Settings, Web


@click.command()
@click.option("--offline", is_flag=True, help="Do not ask the registry.")
@click.option("--print", "show", is_flag=True, help="Print the settings in force, and where each comes from; no secrets.")
@click.pass_obj
def check(app: App, *, offline: bool, show: bool) -> int:
    """Check the settings, the store and whether the registry answers this machine; say what each is.

    What can't work is said with exit code 2; what is only worth a thought, such as web pages that are open to the network, with 0.

    \b
      trialsync check                     everything, one request to the registry and one a watch
      trialsync check --offline           without asking the registry
      trialsync check --print             the settings in force, with what the environment and the defaults add
    """
    found = app.settings
    if show:
        put_text(printed(found))
        return 0
    say(f"settings   {found.source or 'none: the defaults'}")
    watches, code = followed(app)
    if not found.tables:
        say("watch      none: a [[watch]] in the settings, or trialsync init where there are no settings yet, makes one")
    code = max(code, _check_store(app))
    if found.backup is not None:
        code = max(code, _check_backup(found.backup, found))
    code = max(code, _check_heartbeat(found))
    if found.web is not None:
        code = max(code, _check_web(found.web))
    return code if offline else max(code, _check_registry(app, watches))


def _check_registry(app: App, watches: Sequence[Watch]) -> int:
    """Say whether the registry answers, and for each watch how many studies it finds; one request each."""
    code = 0
    with open_registry(app) as registry:
        version = registry.version()
        label = version.data_timestamp if version else None
        say(f"registry   {app.settings.registry.api_url} answers: load {label[:10] if label else 'unknown'}")
        for watch in watches:
            try:
                totals = [registry.page({**part, "fields": "NCTId"}, size=1).total or 0 for part in query.params(watch)]
            except RegistryRefused as error:
                say(f"           {watch.name}: {error}")
                code = error.exit_code
                continue
            say(f"           {watch.name}: {counted(sum(totals), 'study', 'studies')}")
    return code


def _check_store(app: App) -> int:
    try:
        with app.reader() as reader:
            counts = reader.counts()
    except StoreError as error:
        say(f"store      {error}")
        return error.exit_code
    if (unwritable := why_unwritable(app.store)) is not None:
        say(f"store      {unwritable}, so that nothing can be recorded")
        return StoreError.exit_code
    say(f"store      {app.store}: {counts.studies:,} studies, {counts.versions:,} versions, {counts.changes:,} changes")
    return 0


def _check_backup(backup: Backup, found: Settings) -> int:
    folder = backup.dir
    if not folder.is_dir():
        say(f"backup     {folder} is not a folder (mkdir -p {folder})")
        return SettingsError.exit_code
    if not os.access(folder, os.W_OK | os.X_OK):
        say(f"backup     {folder} can't be written by this user")
        return SettingsError.exit_code
    say(f"backup     {folder}: the newest {counted(backup.keep, 'copy', 'copies')}, one each night at {backup.at:%H:%M} {backup.timezone}")
    if folder.resolve() == found.store.path.parent.resolve():
        say("           it is the store's own folder: what happens to the one happens to the other")
    return 0


def _check_heartbeat(found: Settings) -> int:
    if found.heartbeat is None:
        return 0
    try:
        found.heartbeat.url()
    except SettingsError as error:
        say(f"heartbeat  {error}")
        return error.exit_code
    say(f"heartbeat  an address is set ({found.heartbeat.name}); it was not fetched")
    if found.heartbeat.file is not None and found.heartbeat.file.stat().st_mode & stat.S_IROTH:
        say(f"           it is a secret that every user of this machine can read: chmod 600 {found.heartbeat.file}")
    return 0


def _check_web(web: Web) -> int:
    """Say where the web pages will be, whether the port is free, and whether others than this machine can reach it."""
    from trialsync.web.listening import why  # noqa: PLC0415 - where there are pages alone

    try:
        family, _, _, _, place = socket.getaddrinfo(web.host, web.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except (OSError, UnicodeError) as error:
        say(f"web        {web.host} is no address of this machine: {why(error)}")
        return SettingsError.exit_code
    try:
        socket.create_server((place[0], place[1]), family=family).close()
    except PermissionError:
        say(f"web        {web.host} port {web.port} may not be listened on by this user: take a port from 1024 on")
        return SettingsError.exit_code
    except OSError as error:
        say(f"web        {web.host} port {web.port} is not free now, which is right while trialsync run or serve is up: {why(error)}")
    else:
        say(f"web        {web.host} port {web.port} is free")
    if not ipaddress.ip_address(str(place[0]).partition("%")[0]).is_loopback:
        say("           it is open to the network, without accounts or encryption: put a reverse proxy before it, or take 127.0.0.1")
    return 0
