"""Where the settings are found, and how they are read."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from trialsync.errors import SettingsError
from trialsync.model import Watch, nct_id
from trialsync.settings import faults
from trialsync.settings.secret import heartbeat
from trialsync.settings.sections import Document

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from trialsync.settings.secret import Secret
    from trialsync.settings.sections import Backup, Health, Log, Registry, Schedule, Site, Store, Sync, WatchTable, Web

ENVIRONMENT = {
    "TRIALSYNC_DATABASE": ("store", "path"),
    "TRIALSYNC_API_URL": ("registry", "api_url"),
    "TRIALSYNC_LOG_LEVEL": ("log", "level"),
    "TRIALSYNC_LOG_FORMAT": ("log", "format"),
}
"""The variables that override a setting; one that is empty counts as not set. ``TRIALSYNC_CONFIG`` names the file itself."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings in force. Paths are whole; times are UTC where nothing else is said.

    ``source`` is the file that they come from, None where there is none. ``store_named``: the file or the environment decides where the
    store is, so that a store that is not there is an error and not a first time; a file that does not name it decides on its default.
    ``web`` and ``backup`` are None where the file has no such section. ``tables`` are the watches as they stand in the file, schedules
    included. ``heartbeat`` says where the address is to fetch after a successful poll, None where there is none. ``written`` is the instant
    when the file was last written, ``overrides`` names the variable for each dotted key that one of ENVIRONMENT decided.
    """

    source: Path | None
    store_named: bool
    store: Store
    registry: Registry
    schedule: Schedule
    sync: Sync
    web: Web | None
    site: Site
    log: Log
    tables: tuple[WatchTable, ...]
    health: Health
    backup: Backup | None = None
    heartbeat: Secret | None = None
    written: datetime | None = None
    overrides: Mapping[str, str] = field(default_factory=dict)

    def watches(self, read_ids: Callable[[Path], tuple[str, ...]]) -> tuple[Watch, ...]:
        """Return the watches in the file's order; ``read_ids`` gives the NCT numbers in a file, and is asked anew each time.

        Raises SettingsError naming the watch where such a file cannot be opened or holds no NCT number, BadNctId where ``read_ids`` returns
        something else, and whatever else ``read_ids`` raises.
        """
        return tuple(self.watch(table, read_ids) for table in self.tables)

    def watch(self, table: WatchTable, read_ids: Callable[[Path], tuple[str, ...]]) -> Watch:
        """Return one watch; raises as ``watches`` does."""
        return Watch(name=table.name, query=table.parameters, nct_ids=self._ids(table, read_ids), everything=table.everything)

    def _ids(self, table: WatchTable, read_ids: Callable[[Path], tuple[str, ...]]) -> tuple[str, ...]:
        if table.nct_ids_file is None:
            return tuple(dict.fromkeys(table.nct_ids or ()))
        where = f"{self.source}: watch {faults.quoted(table.name)}: nct_ids_file"
        try:
            found = tuple(dict.fromkeys(nct_id(one) for one in read_ids(table.nct_ids_file)))
        except OSError as error:
            raise SettingsError(f"{where}: {table.nct_ids_file} cannot be read: {error.strerror}") from error
        if not found:
            raise SettingsError(f"{where}: {table.nct_ids_file} holds no NCT number")
        return found


def place(config: Path | None, environ: Mapping[str, str], cwd: Path, *, system: Path = Path("/etc")) -> Path | None:
    """Return the settings file to read: the first named or found, or None where none is named and none is there.

    In this order: ``config`` (what ``--config`` says), ``$TRIALSYNC_CONFIG``, ``config/trialsync.toml`` in ``cwd``, and
    ``trialsync/trialsync.toml`` in ``system``. A file that is named is returned whether it is there or not.
    """
    named = config or (Path(environ["TRIALSYNC_CONFIG"]) if environ.get("TRIALSYNC_CONFIG") else None)
    if named:
        return cwd / named
    usual = (cwd / "config" / "trialsync.toml", system / "trialsync" / "trialsync.toml")
    return next((path for path in usual if os.path.lexists(path)), None)


def load(config: Path | None, environ: Mapping[str, str], cwd: Path, *, system: Path = Path("/etc")) -> Settings:
    """Return the settings of the file that ``place`` finds, or the defaults, with the variables of ENVIRONMENT over them.

    Paths in the file are relative to the file, those in the environment and the default one without a file to ``cwd``. Raises SettingsError
    with a line for each fault, naming the file and the key, or the variable.
    """
    source = place(config, environ, cwd, system=system)
    home = environ.get("HOME")
    told: list[str] = []
    label = _label(source, cwd) if source else ""
    document = _checked(
        _read(source, label) if source else {}, source.parent if source else cwd, home, lambda where: f"{label}: {where}", told
    )

    overrides: dict[str, dict[str, str]] = {}
    variables = {}
    for variable, (section, key) in ENVIRONMENT.items():
        if environ.get(variable):
            overrides.setdefault(section, {})[key] = environ[variable]
            variables[f"{section}.{key}"] = variable
    over = _checked(overrides, cwd, home, lambda where: f"${_renamed(where, variables)}", told)
    if document is None or over is None:
        raise SettingsError("\n".join(told))

    def merged(section: str) -> Any:
        values = {key: getattr(getattr(over, section), key) for key in overrides.get(section, {})}
        return getattr(document, section).model_copy(update=values)

    return Settings(
        source=source,
        store_named=source is not None or "store" in overrides,
        store=merged("store"),
        registry=merged("registry"),
        schedule=document.schedule,
        sync=document.sync,
        web=document.web,
        site=document.site,
        log=merged("log"),
        tables=tuple(document.watch),
        health=document.health,
        backup=document.backup,
        heartbeat=heartbeat(document.heartbeat.url_file, environ, label),
        written=_written(source) if source else None,
        overrides=variables,
    )


def checked_text(text: str, label: str, folder: Path) -> Document:
    """Return the document that a settings file with this text would give, or raise SettingsError, in which ``label`` names it."""
    told: list[str] = []
    document = _checked(_parsed(text, label), folder, None, lambda where: f"{label}: {where}", told)
    if document is None:
        raise SettingsError("\n".join(told))
    return document


def _read(source: Path, label: str) -> dict[str, Any]:
    try:
        raw = source.read_bytes()
    except FileNotFoundError:
        raise SettingsError(f"{label}: there is no such settings file", hint="trialsync init makes one") from None
    except OSError as error:
        raise SettingsError(f"{label}: cannot be read: {error.strerror}") from error
    try:
        return _parsed(raw.decode("utf-8-sig"), label)
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise SettingsError(f"{label}: is not UTF-8 text (line {line})", hint="save it as UTF-8") from None


def _written(source: Path) -> datetime | None:
    try:
        return datetime.fromtimestamp(source.stat().st_mtime, UTC)
    except OSError:
        return None


def _parsed(text: str, label: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # TOMLDecodeError is a ValueError, and so is a number too long for int()
        raise SettingsError(f"{label}: is not TOML: {error}") from None


def _checked(raw: dict[str, Any], folder: Path, home: str | None, say: Callable[[str], str], told: list[str]) -> Document | None:
    doubled = [say(sentence) for sentence in faults.duplicates(raw)]
    told += doubled
    try:
        document = Document.model_validate({"store": {}, **raw}, context={"folder": folder, "home": home})
    except ValidationError as error:
        told += [say(faults.sentence(one, raw)) for one in error.errors(include_url=False)]
        return None
    return None if doubled else document


def _renamed(where: str, variables: Mapping[str, str]) -> str:
    key, _, rest = where.partition(": ")
    return f"{variables[key]}: {rest}"


def _label(source: Path, cwd: Path) -> str:
    return str(source.relative_to(cwd)) if source.is_relative_to(cwd) else str(source)
