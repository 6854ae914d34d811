"""The sections of the settings file: each key with its type, its default and what it may hold.

Validators raise ValueError with the half sentence that follows the key's name in a message; ``faults`` writes the whole sentence.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from trialsync.model import STATUSES
from trialsync.settings.values import (
    API_URL,
    Contact,
    Cron,
    Duration,
    FilePath,
    Host,
    Jitter,
    Name,
    NctId,
    OneValue,
    TimeOfDay,
    Timezone,
    Url,
    Values,
)


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
    contact: Contact | None = None


class Schedule(Section):
    """``[schedule]``, or a watch's own: either ``every``, or ``cron`` (days of the week by name) with its ``timezone``, UTC by default.

    A poll begins up to ``jitter`` later, by chance: by default a minute, or a tenth of ``every`` where that is less.
    """

    cron: Cron | None = None
    timezone: Timezone | None = None
    every: Duration | None = None
    jitter: Jitter | None = None

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

    @field_validator("jitter")
    @classmethod
    def _shorter(cls, value: timedelta | None, info: ValidationInfo) -> timedelta | None:
        every: timedelta | None = info.data.get("every")
        if value is None:
            return min(timedelta(minutes=1), every / 10) if every else timedelta(minutes=1)
        if every and value >= every:
            raise ValueError("must be less than every")
        return value

    def due_after(self, moment: datetime) -> datetime:
        """Return when the schedule wants the next poll after one of this moment: aware, UTC, jitter left out."""
        if self.cron is None:
            return moment + (self.every or timedelta(hours=1))
        from apscheduler.triggers.cron import CronTrigger  # type: ignore[import-untyped]  # noqa: PLC0415  slow, and seldom needed

        zone = ZoneInfo(self.timezone or "UTC")
        # The trigger counts the moment itself as one of its times.
        begin = (moment + timedelta(seconds=1)).astimezone(zone)
        found = CronTrigger.from_crontab(self.cron, timezone=zone).get_next_fire_time(None, begin)
        # It leaves out some of the times that the clocks skip when they are put forward, a whole day where they skip midnight: what the
        # clock on the wall would show next is asked too. Such a time is then that much later.
        shown = CronTrigger.from_crontab(self.cron, timezone=UTC).get_next_fire_time(None, begin.replace(tzinfo=UTC))
        assert found is not None  # noqa: S101 - a cron line that never comes is refused when the settings are read
        assert shown is not None  # noqa: S101 - likewise
        on_the_wall = shown.replace(tzinfo=zone).astimezone(UTC)
        due: datetime = found.astimezone(UTC)
        return min(due, on_the_wall) if on_the_wall > moment else due


class Sync(Section):
    """``[sync]``: from how many studies on a watch is walked by what moved, and in how many days the rest is swept."""

    incremental_above: int = Field(default=5000, ge=0)
    sweep_days: int = Field(default=7, ge=1)
    largest_loss: float = Field(default=0.2, ge=0, le=1)


class Web(Section):
    """``[web]``: the address that the web pages are served on, the names that it answers to, and whether contact persons are shown."""

    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    port: int = Field(default=8377, ge=1, le=65535)
    hosts: list[Host] = Field(default_factory=list)
    contacts: bool = False


class Site(Section):
    """``[site]``: what a study's page says of itself, and whether it lists baseline rows."""

    base_url: Url | None = None
    note: str | None = None
    baseline: bool = True


class Log(Section):
    """``[log]``: from which level on, and in which format."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "console", "json"] = "auto"


class Health(Section):
    """``[health]``: after how long without a completed poll a watch is overdue, where its schedule does not say later."""

    overdue_after: Duration = timedelta(hours=26)


class Backup(Section):
    """``[backup]``: the folder of the nightly copies of the store, how many of them stay, and when they are made."""

    dir: FilePath
    keep: int = Field(default=7, ge=1)
    at: TimeOfDay = time(2, 30)
    timezone: Timezone = "UTC"


class Heartbeat(Section):
    """``[heartbeat]``: the file that holds the address to fetch after each successful poll. The address itself is a secret."""

    url_file: FilePath | None = None


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

    @field_validator("overall_status")
    @classmethod
    def _known(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        for value in (one for text in values for one in text.replace("|", ",").split(",")):
            if value.strip() not in STATUSES:
                near = get_close_matches(value.strip().upper().replace(" ", "_"), STATUSES, n=1)
                said = f"did you mean {near[0]}?" if near else f"one of {', '.join(STATUSES)}"
                raise ValueError(f"{value.strip()!r} is not a status of the registry; {said}")
        return values


class WatchTable(Section):
    """One ``[[watch]]``: a name, and a query, NCT numbers, or everything."""

    name: Name
    was: Name | None = None
    query: Query = Query()
    filter: Filter = Filter()
    agg_filters: Values = Field(default=(), alias="aggFilters")
    geo_decay: OneValue = Field(default=(), alias="geoDecay")
    nct_ids: list[NctId] | None = None
    nct_ids_file: FilePath | None = None
    everything: bool = False
    schedule: Schedule | None = None

    @field_validator("schedule", mode="before")
    @classmethod
    def _says_when(cls, value: object) -> object:
        if value == {}:
            raise ValueError('says nothing: give it every or cron, such as { every = "6h" }, or leave it out for that of [schedule]')
        return value

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
        if self.was == self.name:
            raise ValueError("was: is the name that it has; leave it out")
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
    health: Health = Health()
    backup: Backup | None = None
    heartbeat: Heartbeat = Heartbeat()
