"""Secrets: settings that say where a value is, never the value. It is read when it is needed, and nothing prints it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from trialsync.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

HEARTBEAT_VARIABLE: Final = "TRIALSYNC_HEARTBEAT_URL"
"""The variable that holds the heartbeat's address itself."""

HEARTBEAT_CREDENTIAL: Final = "heartbeat-url"
"""The name of the same as a credential of systemd (``LoadCredential=heartbeat-url:/path``), a file in ``$CREDENTIALS_DIRECTORY``."""

_LONGEST: Final = 4096
_BLANK: Final = 16


@dataclass(frozen=True, slots=True)
class Secret:
    """An address that only trialsync may know. ``name`` says where it comes from; ``file`` holds it, or else ``text`` is it."""

    name: str
    file: Path | None = None
    text: str | None = field(default=None, repr=False)

    def url(self) -> str:
        """Return the address, read anew from its file. Raises SettingsError, which never repeats it."""
        value = self._read().strip()
        try:
            parts = urlsplit(value)
            sound = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        except ValueError:
            sound = False
        if not sound or not value.isprintable() or not value.isascii() or " " in value:
            raise SettingsError(f"{self.name}: does not hold one address that begins with https:// or http://")
        return value

    def _read(self) -> str:
        if self.file is None:
            return self.text or ""
        try:
            with self.file.open(encoding="utf-8") as lines:
                return lines.read(_LONGEST)
        except OSError as error:
            raise SettingsError(f"{self.name}: {self.file} cannot be read: {error.strerror}") from error
        except UnicodeDecodeError:
            return ""


def heartbeat(url_file: Path | None, environ: Mapping[str, str], label: str) -> Secret | None:
    """Return where the heartbeat's address is, or None where there is none; ``label`` names the settings file.

    The first of these: ``$TRIALSYNC_HEARTBEAT_URL``, the file of ``[heartbeat] url_file``, systemd's credential ``heartbeat-url``.
    """
    if environ.get(HEARTBEAT_VARIABLE):
        return Secret(f"${HEARTBEAT_VARIABLE}", text=environ[HEARTBEAT_VARIABLE])
    if url_file is not None:
        return Secret(f"{label}: heartbeat.url_file", file=url_file)
    folder = environ.get("CREDENTIALS_DIRECTORY")
    credential = Path(folder, HEARTBEAT_CREDENTIAL) if folder else None
    # A blank one is the unit's own default, for where nobody gave one.
    if credential is not None and os.path.lexists(credential) and not _is_blank(credential):
        return Secret(f"credential {HEARTBEAT_CREDENTIAL}", file=credential)
    return None


def _is_blank(file: Path) -> bool:
    try:
        return file.stat().st_size < _BLANK and not file.read_bytes().strip()
    except OSError:
        return False
