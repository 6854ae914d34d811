"""How far long work is: a bar on a terminal, a line now and then elsewhere, nothing where it was asked to be quiet."""

from __future__ import annotations

import sys
from collections import deque
from contextlib import contextmanager
from math import ceil
from threading import Event, Thread
from time import monotonic
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn
from rich.text import Text

from trialsync.cli.app import say
from trialsync.publish.text import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.progress import Task
    from rich.progress_bar import ProgressBar

FIRST_LINE: Final = 30.0
"""Where no terminal is, nothing is said of work that ends within so many seconds."""

NEXT_LINE: Final = 60.0
"""Then a line is said each so many seconds."""

_WINDOW: Final = 30.0
_STEP: Final = 0.5
_MINUTE: Final = 60
_MEGA: Final = 1_000_000


class Told:
    """How far a work is: what it told last, and at which pace it went lately.

    The pace is that of the last half minute, since what is gone on with passes ten times as fast over what it did before.
    """

    def __init__(self, what: str, unit: str, clock: Callable[[], float]) -> None:
        self.done = 0
        self.total: int | None = None
        self._what = what
        self._unit = unit
        self._clock = clock
        self._part = ""
        self._last = clock()
        self._seen: deque[tuple[float, int]] = deque([(self._last, 0)])

    def __call__(self, done: int, total: int | None, part: str = "", /) -> None:
        """Take the units done, their total (``None`` where it is not known), and the part of the work that they are of."""
        at = self._clock()
        if part != self._part or done < self.done:
            # Each part has its own pace; one of the same whole goes on where the one before it ended.
            self._seen = deque([(self._last, self.done if done >= self.done and total == self.total else 0)])
        self.done, self.total, self._part, self._last = done, total, part, at
        if len(self._seen) > 1 and at - self._seen[-2][0] < _STEP:
            self._seen[-1] = (at, done)
        else:
            self._seen.append((at, done))
        while len(self._seen) > 2 and at - self._seen[1][0] >= _WINDOW:  # noqa: PLR2004 - a pace needs two of them
            self._seen.popleft()

    @property
    def name(self) -> str:
        """Return what is done, and which part of it."""
        return f"{self._what}, {self._part}" if self._part else self._what

    def pace(self) -> float:
        """Return the units a second of the last half minute, 0 where nothing is known of it yet."""
        (begin, first), (end, last) = self._seen[0], self._seen[-1]
        return max(0.0, (last - first) / (end - begin)) if end > begin else 0.0

    def numbers(self, between: str) -> list[str]:
        """Return what there is to say: the units done and ``between`` them and their total, the pace, the time left; empty at first."""
        if not self.done and self.total is None:
            return []
        pace = self.pace()
        said = [_counted(self.done, self.total, self._unit, between)]
        if pace > 0:
            said.append(_pace(pace, self._unit))
            if self.total is not None and self.total > self.done:
                said.append(f"{_time((self.total - self.done) / pace)} left")
        return said

    def line(self, elapsed: float) -> str:
        """Return where the work is in a line, ``elapsed`` seconds after it began."""
        return f"{self.name}: {', '.join([*self.numbers(' of '), f'at work for {_time(elapsed)}'])}"


class _Name(ProgressColumn):
    """What is done."""

    def __init__(self, told: Told) -> None:
        self._told = told
        super().__init__()

    def render(self, task: Task) -> Text:  # noqa: ARG002 - rich's own signature
        return Text(visible(self._told.name))


class _Bar(BarColumn):
    """The share that is done; it swings to and fro where the whole is not known."""

    def __init__(self, told: Told) -> None:
        self._told = told
        super().__init__(bar_width=24)

    def render(self, task: Task) -> ProgressBar:
        task.completed, task.total = self._told.done, self._told.total
        return super().render(task)


class _Numbers(ProgressColumn):
    """How much that is, the pace, the time left."""

    def __init__(self, told: Told) -> None:
        self._told = told
        super().__init__()

    def render(self, task: Task) -> Text:  # noqa: ARG002 - rich's own signature
        return Text("  ".join(self._told.numbers("/")), style="progress.data.speed")


@contextmanager
def progress(what: str, unit: str, *, shown: bool = True, since: float | None = None) -> Iterator[Told | None]:
    """Give a function to tell the units done, their total (``None`` where it is not known), and the part that they are of.

    ``None`` where nothing is ``shown``, for commands that were asked to be quiet. A ``unit`` of bytes is shown in megabytes. ``since`` is
    when the command began (``monotonic``), where this is one of several steps: together they may be long, though none is.
    """
    if not shown:
        yield None
    elif sys.stderr.isatty():
        told = Told(what, unit, monotonic)
        with _bar(told):
            yield told
    else:
        told = Told(what, unit, monotonic)
        with lines(told, say, monotonic() if since is None else since, FIRST_LINE, NEXT_LINE):
            yield told


@contextmanager
def lines(told: Told, write: Callable[[str], None], since: float, first: float, then: float) -> Iterator[None]:
    """Write where a work is ``first`` seconds after it began (``since``, as ``monotonic`` has it), and again each ``then``, until it ends.

    A thread does it, so that work that tells nothing for long is not silent.
    """
    ended = Event()

    def say_now_and_then() -> None:
        elapsed = monotonic() - since
        due = first if elapsed < first else first + then * ceil((elapsed - first) / then)
        while not ended.wait(since + due - monotonic()):
            write(told.line(monotonic() - since))
            due += then

    thread = Thread(target=say_now_and_then, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextmanager
def _bar(told: Told) -> Iterator[None]:
    """Draw a bar on the terminal, as often as rich does."""
    columns = (SpinnerColumn(), _Name(told), _Bar(told), _Numbers(told))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        bar.add_task("")
        yield


def _counted(done: int, total: int | None, unit: str, between: str) -> str:
    if unit == "bytes":
        return f"{done / _MEGA:,.1f}{f'{between}{total / _MEGA:,.1f}' if total is not None else ''} MB"
    return f"{done:,}{f'{between}{total:,}' if total is not None else ''} {unit}".rstrip()


def _pace(pace: float, unit: str) -> str:
    if unit == "bytes":
        return f"{pace / _MEGA:,.1f} MB/s"
    return f"{pace:,.0f}/s" if pace >= 1 else f"{pace * _MINUTE:,.0f} a minute"


def _time(seconds: float) -> str:
    whole = round(seconds)
    hours, minutes = divmod(whole // _MINUTE, _MINUTE)
    return f"{hours}:{minutes:02d}:{whole % _MINUTE:02d}" if hours else f"{minutes}:{whole % _MINUTE:02d}"
