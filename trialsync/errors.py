"""Every error that trialsync raises on purpose; each message says what is wrong and its hint what to do next.

TrialsyncError
├── UsageError              exit 2   something typed cannot be used
│   ├── BadNctId
│   ├── BadDate
│   ├── BadFilter
│   └── UnknownWatch
├── SettingsError           exit 2   the TOML file, or the environment, cannot be used
├── FileError               exit 2   a file to read studies from cannot be used
├── OutputError             exit 2   the standard output cannot be written
├── ExportError             exit 2   what is to be exported cannot be written
├── PlaceUnusable           exit 2   a remembered place is not one of this log
├── RecordError             exit 3   one study's record cannot be used; the others can
├── StoreError              exit 2   the store cannot be used
│   ├── StoreMissing        exit 2
│   ├── StoreForeign        exit 2   a file, but not a trialsync store
│   ├── StoreUnwritable     exit 2   read-only, or the disk is full
│   ├── StoreBusy           exit 5   another process is writing
│   ├── AnswerTooLong       exit 2   the question would take longer than its asker allowed
│   ├── StoreTooNew         exit 6   written by a newer trialsync
│   └── StoreDamaged        exit 6
├── Stopped                 exit 3   the work under way was asked to end; what it committed is kept
└── RegistryError           exit 4   the registry did not give what was asked
    ├── RegistryRefused     exit 2   it calls the request itself wrong (400); its own sentence is kept
    ├── RegistryUnavailable exit 4   no answer, 429, 5xx, or an answer that cannot be read
    ├── ClientRejected      exit 4   403: the edge turned this client away
    ├── StudyNotFound       exit 3   404 with the registry's own sentence that names the study
    ├── HistoryChanged      exit 4   its record history has another form than it had; nothing of it is believed
    ├── DataChanged         exit 4   a new load arrived in the middle of a walk
    └── WalkIncomplete      exit 4   the pages do not add up to what the registry counted
"""

from __future__ import annotations

from typing import ClassVar, Final


class TrialsyncError(Exception):
    """The root. ``str(error)`` is the sentence to show; ``error.hint``, where there is one, is what to do next."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class UsageError(TrialsyncError):
    """Something that was typed cannot be used."""

    exit_code = 2


class BadNctId(UsageError):
    """Not ``NCT`` and eight digits."""

    def __init__(self, text: str) -> None:
        super().__init__(f"{text!r} is not an NCT number", hint="NCT and eight digits, for example NCT07263919")


class BadDate(UsageError):
    """Not a date, or not one that this option takes."""


class BadFilter(UsageError):
    """A filter of the change log that nothing could ever match."""


class UnknownWatch(UsageError):
    """A watch that the settings and the store do not know."""


class SettingsError(TrialsyncError):
    """The settings file, or a variable that overrides it, cannot be used."""

    exit_code = 2


class FileError(TrialsyncError):
    """A file to read studies from cannot be used."""

    exit_code = 2


class OutputError(TrialsyncError):
    """The standard output cannot be written: a full disk."""

    exit_code = 2


class ExportError(TrialsyncError):
    """What is to be exported cannot be written."""

    exit_code = 2


class PlaceUnusable(TrialsyncError):
    """Where a reader of the log left off is not known, or is no place of this log."""

    exit_code = 2


class RecordError(TrialsyncError):
    """One study's record cannot be used; the others are kept."""

    exit_code = 3


class StoreError(TrialsyncError):
    """The store cannot be used."""

    exit_code = 2


class StoreMissing(StoreError):
    """There is no store where the settings say."""


class StoreForeign(StoreError):
    """The file is there, and is not a trialsync store."""


class StoreUnwritable(StoreError):
    """The store cannot be written: permissions, a read-only filesystem, or a full disk."""


class StoreBusy(StoreError):
    """Another process holds the store for writing."""

    exit_code = 5


class AnswerTooLong(StoreError):
    """The store was given so many seconds for its answers, and the question takes longer."""


class StoreTooNew(StoreError):
    """The store was written by a newer trialsync."""

    exit_code = 6


class StoreDamaged(StoreError):
    """The store's content contradicts itself."""

    exit_code = 6


class Stopped(TrialsyncError):
    """The work under way was asked to end, by a signal for example; every page that it committed is kept."""

    exit_code = 3

    def __init__(self) -> None:
        super().__init__("stopped before its end", hint="what was seen is kept; the next poll goes on from there")


STOPPED: Final = str(Stopped())
"""What the row of a poll says that was asked to end: that it did is no failure of its watch."""


class RegistryError(TrialsyncError):
    """The registry did not give what was asked."""

    exit_code = 4


class RegistryRefused(RegistryError):
    """The registry calls the request itself wrong; the message holds its own sentence."""

    exit_code = 2


class RegistryUnavailable(RegistryError):
    """No answer, too many requests, a server error, or an answer that cannot be read."""


class ClientRejected(RegistryError):
    """403: the registry's edge turned this client away. It says nothing about any study."""


class StudyNotFound(RegistryError):
    """404 with the registry's own sentence that names the study."""

    exit_code = 3


class HistoryChanged(RegistryError):
    """The registry's record history, which it does not document, has another form than it had; the message names what and where."""

    def __init__(self, where: str, what: str) -> None:
        super().__init__(
            f"the registry's record history has changed its form: {where} {what}",
            hint="nothing was recorded of this answer; a newer trialsync may know the new form",
        )


class DataChanged(RegistryError):
    """A new load arrived while a walk was under way; it has to start over."""


class WalkIncomplete(RegistryError):
    """The pages of a walk do not add up to what the registry counted."""
