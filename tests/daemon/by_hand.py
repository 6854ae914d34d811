"""What tests of the daemon's parts set by hand: a clock, and settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trialsync.settings import Settings, load

if TYPE_CHECKING:
    from pathlib import Path


class Hand:
    """A clock that is moved by hand; seconds."""

    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        """Return the present moment."""
        return self.at


def settings_of(folder: Path, text: str) -> Settings:
    """Return settings with a store in the folder."""
    (folder / "trialsync.toml").write_text(f'[store]\npath = "trialsync.db"\n{text}')
    return load(folder / "trialsync.toml", {}, folder)
