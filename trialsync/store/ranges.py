"""Which part of the log is asked about, and how far rows of it were counted."""

from __future__ import annotations

from dataclasses import dataclass

from trialsync.store.sources import FIRST, LAST


@dataclass(frozen=True, slots=True)
class Range:
    """Which ids are wanted: those greater than ``after`` up to ``up_to``, from the greatest on where the newest come first."""

    after: int | None = None
    up_to: int | None = None
    newest_first: bool = False

    @property
    def bounds(self) -> tuple[int, int]:
        """Return the smallest and the greatest id."""
        return FIRST if self.after is None else self.after + 1, LAST if self.up_to is None else self.up_to

    @property
    def order(self) -> str:
        """Return the order in SQL."""
        return "DESC" if self.newest_first else "ASC"


@dataclass(frozen=True, slots=True)
class Counted:
    """How many rows were counted; ``whole`` is false where there may be more."""

    rows: int
    whole: bool

    def __str__(self) -> str:
        # Where counting ended has no meaning to a reader, and an odd number looks as if it had one.
        unit = 10 ** (len(str(self.rows)) - 1)
        return f"{self.rows:,}" if self.whole else f"{self.rows // unit * unit:,} or more" if self.rows else "some"
