"""The sections of the settings file: each key with its type, its default and what it may hold.

Validators raise ValueError with the half sentence that follows the key's name in a message; ``faults`` writes the whole sentence.
"""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from trialsync.errors import BadNctId
from trialsync.model import nct_id

API_URL = "https://clinicaltrials.gov/api/v2"

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_DURATION = re.compile(r"([1-9][0-9]{0,5})([smhd])")
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
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if not found:
        raise ValueError('must be a whole number above 0 and a unit as text, such as "90s", "30m", "1h" or "7d"')
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


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


FilePath = Annotated[Path, BeforeValidator(_path)]
Duration = Annotated[timedelta, BeforeValidator(_duration)]
Url = Annotated[str, AfterValidator(_url)]
Values = Annotated[tuple[str, ...], BeforeValidator(_values)]
OneValue = Annotated[Values, AfterValidator(_one)]


class Section(BaseModel):
    """A table of the file: read once, typed strictly, with no key that is not named here."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, validate_default=True, allow_inf_nan=False)


class Store(Section):
    """``[store]``: where the SQLite file is, and which fields get rows when a study is first seen."""

    path: FilePath = Path("trialsync.db")
    baseline: Literal["core", "all", "none"] = "core"


class Registry(Section):
    """``[registry]``: the service's address without a trailing slash, how often to ask it at most, and who asks."""

    api_url: Url = API_URL
    requests_per_second: float = Field(default=1.0, gt=0)
    contact: Annotated[str, AfterValidator(_contact)] | None = None


class Schedule(Section):
    """``[schedule]``, or a watch's own: either ``every``, or ``cron`` (days of the week by name) with its ``timezone``, UTC by default."""

    cron: Annotated[str, AfterValidator(_cron)] | None = None
    timezone: Annotated[str, AfterValidator(_timezone)] | None = None
    every: Duration | None = None

    @field_validator("timezone")
    @classmethod
    def _only_with_cron(cls, value: str | None, info: ValidationInfo) -> str | None:
        if "cron" not in info.data:  # it had a fault of its own, which is told
            return value
        if value and not info.data["cron"]:
            raise ValueError("goes with cron alone: every counts hours, not days")
        return "UTC" if info.data["cron"] and not value else value

    @field_validator("every")
    @classmethod
    def _either(cls, value: timedelta | None, info: ValidationInfo) -> timedelta | None:
        if value and info.data.get("cron"):
            raise ValueError("must not stand beside cron: take one of the two")
        return value if value or info.data.get("cron") else timedelta(hours=1)


class Sync(Section):
    """``[sync]``: from how many studies on a watch is walked by what moved, and in how many days the rest is swept."""

    incremental_above: int = Field(default=5000, ge=0)
    sweep_days: int = Field(default=7, ge=1)
    largest_loss: float = Field(default=0.2, ge=0, le=1)


class Web(Section):
    """``[web]``: the address that the web pages are served on."""

    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    port: int = Field(default=8377, ge=1, le=65535)


class Site(Section):
    """``[site]``: what a study's page says of itself, and whether it lists baseline rows."""

    base_url: Url | None = None
    note: str | None = None
    baseline: bool = True


class Log(Section):
    """``[log]``: from which level on, and in which format."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "console", "json"] = "auto"


class Query(Section):
    """A watch's ``query``: the API's parameters ``query.*``, each an expression or a list of which any may hold."""

    cond: Values = ()
    term: Values = ()
    locn: Values = ()
    titles: Values = ()
    intr: Values = ()
    outc: Values = ()
    spons: Values = ()
    lead: Values = ()
    id: Values = ()
    patient: Values = ()


class Filter(Section):
    """A watch's ``filter``: the API's parameters ``filter.*``."""

    overall_status: Values = Field(default=(), alias="overallStatus")
    geo: OneValue = ()
    ids: Values = ()
    advanced: Values = ()
    synonyms: Values = ()


class WatchTable(Section):
    """One ``[[watch]]``: a name, and a query, NCT numbers, or everything."""

    name: Annotated[str, AfterValidator(_name)]
    was: Annotated[str, AfterValidator(_name)] | None = None
    query: Query = Query()
    filter: Filter = Filter()
    agg_filters: Values = Field(default=(), alias="aggFilters")
    geo_decay: OneValue = Field(default=(), alias="geoDecay")
    nct_ids: list[Annotated[str, AfterValidator(_nct_id)]] | None = None
    nct_ids_file: FilePath | None = None
    everything: bool = False
    schedule: Schedule | None = None

    @property
    def parameters(self) -> dict[str, tuple[str, ...]]:
        """Return the API's parameters by their full names, such as ``query.cond`` and ``aggFilters``, each with its values."""
        dumped = self.model_dump(by_alias=True, include={"query", "filter", "agg_filters", "geo_decay"})
        named = {f"{table}.{key}": values for table in ("query", "filter") for key, values in dumped[table].items()}
        named |= {key: dumped[key] for key in ("aggFilters", "geoDecay")}
        return {key: values for key, values in named.items() if values}

    @model_validator(mode="after")
    def _just_one(self) -> Self:
        parameters = self.parameters
        ways = {
            "a query": bool(parameters),
            "nct_ids": self.nct_ids is not None,
            "nct_ids_file": self.nct_ids_file is not None,
            "everything": self.everything,
        }
        chosen = [way for way, taken in ways.items() if taken]
        if not chosen:
            raise ValueError("follows nothing: give it query, filter, nct_ids or nct_ids_file, or everything = true for the whole registry")
        if len(chosen) > 1:
            raise ValueError(f"has {' and '.join(chosen)}: take one of them, and a second watch for the other")
        if self.nct_ids == []:
            raise ValueError("nct_ids: must hold at least one NCT number")
        if self.geo_decay and not self.filter.geo:
            raise ValueError("geoDecay: means nothing without filter.geo")
        for key, values in parameters.items():
            # The specification's own note: a query parameter of NCT numbers alone makes the registry ignore the filters.
            if key.startswith("query.") and len(parameters) > 1 and _only_nct_ids(values):
                raise ValueError(f"{key}: holds NCT numbers alone, for which the registry ignores the rest of the query: use nct_ids")
        return self


def _only_nct_ids(values: tuple[str, ...]) -> bool:
    words = [word for value in values for word in re.split(r"[\s,]+", value) if word]
    return all(re.fullmatch(r"NCT0*[1-9][0-9]{0,7}", word, re.IGNORECASE) for word in words)


class Document(Section):
    """The whole file."""

    store: Store
    registry: Registry = Registry()
    schedule: Schedule = Schedule()
    sync: Sync = Sync()
    watch: list[WatchTable] = Field(default_factory=list)
    web: Web | None = None
    site: Site = Site()
    log: Log = Log()
