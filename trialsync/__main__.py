"""The program, as ``trialsync`` and as ``python -m trialsync``: the command line, and an end in peace while that is still being loaded.

Little is imported here, not even what names types: until the key is answered, pressing it ends in Python's own way.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress

_INTERRUPTED = 130


def main() -> None:
    """Run the command line and exit with its code; Ctrl-C before that is loaded ends with the word and the code of the command line."""
    # A program that is begun in the background by a shell ignores the key, and goes on doing so.
    answers = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if answers:
        signal.signal(signal.SIGINT, _end)
    from trialsync.cli.main import main as command_line  # noqa: PLC0415 - it takes a while, in which the key may be pressed

    if answers:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    command_line()


def _end(_signal: int, _frame: object) -> None:
    """End at once. An exception might be lost on its way through what is being loaded, and nothing is open yet that would want closing."""
    with suppress(OSError):
        os.write(2, b"interrupted\n")
    os._exit(_INTERRUPTED)


if __name__ == "__main__":
    main()
