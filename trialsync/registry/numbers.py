"""NCT numbers in any text: a CSV of included studies, a RIS file, a web page."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from trialsync.errors import FileError
from trialsync.registry.sources import shown

if TYPE_CHECKING:
    from pathlib import Path

_UTF_16: Final = (b"\xff\xfe", b"\xfe\xff")
_ALMOST: Final = re.compile(r"(?<![A-Z0-9])NCT[ -]?\d+", re.IGNORECASE | re.ASCII)
_IN_TEXT: Final = re.compile(
    r"(?:NCT|(?<![A-Z0-9])NCT[ \t\u00a0]?[-:#\u2010-\u2013]?[ \t\u00a0]?)(?!0{8})([0-9]{8})(?![0-9])", re.IGNORECASE | re.ASCII
)


def nct_ids(text: str) -> tuple[str, ...]:
    """Return every NCT number in a text of any kind, each once, in the order of their first places, in the one spelling."""
    return tuple(dict.fromkeys(f"NCT{digits}" for digits in _IN_TEXT.findall(text)))


def nct_ids_in(path: Path) -> tuple[str, ...]:
    """Return every NCT number in a text file (CSV, RIS, HTML …); raise FileError where there is no such file, or no number in it."""
    data = _bytes_in(path)
    found = nct_ids(_decoded(data))
    if not found:
        packed = data.startswith((b"PK\x03\x04", b"\x1f\x8b", b"%PDF"))
        raise FileError(f"{shown(path)} holds no NCT number", hint="save it as text, for example CSV" if packed else None)
    return found


def _bytes_in(path: Path) -> bytes:
    if path.is_dir():
        raise FileError(f"{shown(path)} is a folder, and a file with NCT numbers is due")
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise FileError(f"no such file: {shown(path)}") from error
    except OSError as error:
        raise FileError(f"{shown(path)} cannot be read: {error.strerror}") from error


def _decoded(data: bytes) -> str:
    return data.decode("utf-16" if data.startswith(_UTF_16) else "utf-8", "replace")


def mistyped_in(path: Path) -> tuple[str, ...]:
    """Return what looks like an NCT number in a text file and has too few or too many digits; raise FileError as ``nct_ids_in``."""
    found = _ALMOST.findall(_decoded(_bytes_in(path)))
    return tuple(dict.fromkeys(word for word in found if not nct_ids(word)))
