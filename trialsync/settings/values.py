"""The kinds of values that settings have: each checked, and brought to its one form.

Validators raise ValueError with the half sentence that follows the key's name in a message; ``faults`` writes the whole sentence.
"""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BeforeValidator, ValidationInfo

from trialsync.errors import BadNctId
from trialsync.model import nct_id

API_URL = "https://clinicaltrials.gov/api/v2"

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_DURATION = re.compile(r"([1-9][0-9]{0,5})([smhd])")
_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def _path(value: Any, info: ValidationInfo) -> Any:
    context: dict[str, Any] = info.context or {}
    if isinstance(value, Path):
        return context["folder"] / value
    if not isinstance(value, str):
        raise ValueError("must be a path as text")  # noqa: TRY004  pydantic collects ValueError alone
    if not value.strip() or "\0" in value:
        raise ValueError("must be a path, not an empty text or one with a NUL")
    home = context["home"]
    if value.startswith("~/") and home:
        return Path(home, value[2:])
    return Path(os.path.normpath(context["folder"] / value))


def _duration(value: Any) -> Any:
    if isinstance(value, timedelta):  # a default: TOML has no such type
        return value
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if not found:
        raise ValueError('must be a whole number above 0 and a unit as text, such as "90s", "30m", "1h" or "7d"')
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def _jitter(value: Any) -> Any:
    return timedelta(0) if value == "0s" else _duration(value)


def _url(value: str) -> str:
    said = f'must be an address such as "{API_URL}", without "?" and "#"'
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise ValueError(said) from None
    if parts.username is not None:
        raise ValueError("holds a name or a password, and secrets do not belong into settings")
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0 or re.search(r"[?#\s]", value) or not value.isprintable():
        raise ValueError(said)
    return value.rstrip("/")


def _host(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,253}|[0-9A-Fa-f:.]{2,45}", value):
        raise ValueError('must be a name such as "trials.example.org", without scheme, port or path')
    return value.lower().rstrip(".")


def _contact(value: str) -> str:
    # RFC 9110, 5.6.5: what stands in a comment of a header is plain text without brackets or backslashes.
    if not value.strip() or not value.isascii() or not value.isprintable() or set(value) & set("()\\"):
        raise ValueError("is sent in the User-Agent: plain ASCII without brackets and backslashes, such as an e-mail address")
    return value.strip()


def _cron(value: str) -> str:
    fields = value.split()
    if len(fields) != 5:  # noqa: PLR2004
        raise ValueError('must be five fields (minute, hour, day of the month, month, day of the week), such as "15 9-18 * * mon-fri"')
    if re.search("[0-9]", fields[4]):
        raise ValueError('must name the days of the week ("mon-fri"): their numbers mean different days to different programs')
    from apscheduler.triggers.cron import CronTrigger  # type: ignore[import-untyped]  # noqa: PLC0415  slow, and seldom needed

    try:
        fires = CronTrigger.from_crontab(value, timezone=UTC).get_next_fire_time(None, datetime(2026, 1, 1, tzinfo=UTC))
    except ValueError as error:
        raise ValueError(f"is not a schedule: {error}") from None
    if fires is None:
        raise ValueError("is a date that never comes")
    return " ".join(fields)


def _timezone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ValueError, OSError):  # ZoneInfoNotFoundError is a KeyError; a folder of the database, an IsADirectoryError
        pass
    except KeyError:
        if not available_timezones():
            raise ValueError("cannot be looked up: this machine has no time zone database; install tzdata") from None
    else:
        return value
    raise ValueError('must be an IANA time zone such as "America/New_York"')


def _values(value: Any) -> Any:
    if isinstance(value, bool):
        return ("true" if value else "false",)
    if isinstance(value, int):
        return (str(value),)
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list | tuple) or not all(isinstance(one, str) for one in listed):
        raise ValueError("must be text, a whole number, true or false, or a list of texts")
    if value == [] or not all(one.strip() for one in listed):
        raise ValueError("must not be empty")
    return tuple(listed)


def _one(value: tuple[str, ...]) -> tuple[str, ...]:
    if len(value) > 1:
        raise ValueError("must be one text, not a list: the registry takes one alone")
    return value


def _nct_id(value: str) -> str:
    try:
        return nct_id(value)
    except BadNctId as error:
        raise ValueError(str(error)) from None


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError('must be up to 64 of a-z, 0-9, ".", "_" and "-", and begin with a letter or a digit')
    try:
        nct_id(value)
    except BadNctId:
        return value
    raise ValueError("must not be an NCT number: commands take either")


def _time_of_day(value: Any) -> Any:
    if isinstance(value, time):  # TOML's own, 02:30:00
        return value
    found = _TIME.fullmatch(value) if isinstance(value, str) else None
    if not found:
        raise ValueError('must be a time of day as text, such as "02:30"')
    return time(int(found[1]), int(found[2]))


Cron = Annotated[str, AfterValidator(_cron)]
Timezone = Annotated[str, AfterValidator(_timezone)]
TimeOfDay = Annotated[time, BeforeValidator(_time_of_day)]
Contact = Annotated[str, AfterValidator(_contact)]
Host = Annotated[str, AfterValidator(_host)]
NctId = Annotated[str, AfterValidator(_nct_id)]
Name = Annotated[str, AfterValidator(_name)]
FilePath = Annotated[Path, BeforeValidator(_path)]
Duration = Annotated[timedelta, BeforeValidator(_duration)]
Jitter = Annotated[timedelta, BeforeValidator(_jitter)]
Url = Annotated[str, AfterValidator(_url)]
Values = Annotated[tuple[str, ...], BeforeValidator(_values)]
OneValue = Annotated[Values, AfterValidator(_one)]
