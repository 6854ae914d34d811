"""The filters of the change log as options: the same for every command that asks it."""

from __future__ import annotations

import functools
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

import click

from trialsync.errors import UsageError
from trialsync.model import By, Kind, Origin, Tier, nct_id
from trialsync.store.filters import ChangeFilter
from trialsync.store.when import day, moment

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Asked:
    """The filters as they were typed."""

    since: str | None
    until: str | None
    seen_since: str | None
    studies: tuple[str, ...]
    watches: tuple[str, ...]
    fields: tuple[str, ...]
    kinds: tuple[str, ...]
    tiers: tuple[str, ...]
    bys: tuple[str, ...]
    origins: tuple[str, ...]
    facts: tuple[str, ...]
    without_facts: tuple[str, ...]
    countries: tuple[str, ...]
    sponsors: tuple[str, ...]
    texts: tuple[str, ...]
    baseline: bool

    def wanted(self, present: datetime, *, housekeeping: bool) -> ChangeFilter:
        """Return them as the store takes them, times ago seen from ``present``. Raises BadDate, BadNctId, BadFilter, UsageError."""
        wanted = ChangeFilter(
            since=day(self.since, "--since", present) if self.since else None,
            until=day(self.until, "--until", present) if self.until else None,
            seen_since=moment(self.seen_since, "--seen-since", present) if self.seen_since else None,
            studies=tuple(nct_id(each) for each in self.studies),
            watches=self.watches,
            fields=self.fields,
            kinds=tuple(Kind(each) for each in self.kinds),
            tiers=tuple(Tier(each) for each in self.tiers),
            bys=tuple(By(each) for each in self.bys),
            origins=tuple(Origin(each) for each in self.origins),
            facts=self.facts,
            without_facts=self.without_facts,
            countries=self.countries,
            sponsors=self.sponsors,
            texts=self.texts,
            baseline=self.baseline,
            housekeeping=housekeeping or Tier.HOUSEKEEPING.value in self.tiers,
        )
        if wanted.since and wanted.until and wanted.since > wanted.until:
            raise UsageError(f"--since {self.since} is after --until {self.until}")
        return wanted

    def given(self) -> dict[str, Any]:
        """Return those that were typed, by the names of their options, in the order of the help."""
        values = {part.name: getattr(self, part.name) for part in fields(self)}
        return {OPTION_OF[name]: list(value) if isinstance(value, tuple) else value for name, value in values.items() if value}


OPTION_OF: Final = {
    "since": "--since",
    "until": "--until",
    "seen_since": "--seen-since",
    "studies": "--study",
    "watches": "--watch",
    "fields": "--field",
    "kinds": "--kind",
    "tiers": "--tier",
    "bys": "--by",
    "origins": "--origin",
    "facts": "--fact",
    "without_facts": "--without",
    "countries": "--country",
    "sponsors": "--sponsor",
    "texts": "--text",
    "baseline": "--baseline",
}
"""The option that each part of ``Asked`` is typed with."""

_OPTIONS: Final = (
    click.option("--since", metavar="DATE", help="Changes dated on or after a day (2026-02-18), or a time ago (7d, 12h)."),
    click.option("--until", metavar="DATE", help="Changes dated on or before a day, or a time ago."),
    click.option("--seen-since", metavar="DATE", help="Changes that we saw at or after a day, an instant or a time ago."),
    click.option("--study", "studies", multiple=True, metavar="NCT_ID", help="Changes of a study."),
    click.option("--watch", "watches", multiple=True, metavar="NAME", help="Changes of the studies in a watch."),
    click.option(
        "--field",
        "fields",
        multiple=True,
        metavar="GLOB",
        help="Changes whose path matches; * crosses dots. (trialsync fields lists the names.)",
    ),
    click.option("--kind", "kinds", multiple=True, type=click.Choice([each.value for each in Kind]), help="What happened."),
    click.option("--tier", "tiers", multiple=True, type=click.Choice([each.value for each in Tier]), help="How much the field matters."),
    click.option("--by", "bys", multiple=True, type=click.Choice([each.value for each in By]), help="Who made the change."),
    click.option(
        "--origin", "origins", multiple=True, type=click.Choice([each.value for each in Origin]), help="How the version reached us."
    ),
    click.option(
        "--fact", "facts", multiple=True, metavar="ID", help="Changes that carry a fact; may have a *. (trialsync facts lists them.)"
    ),
    click.option("--without", "without_facts", multiple=True, metavar="ID", help="Changes that do not carry a fact."),
    click.option("--country", "countries", multiple=True, metavar="NAME", help="Studies with a site in a country, now or in the row."),
    click.option("--sponsor", "sponsors", multiple=True, metavar="WORDS", help="Studies whose lead sponsor's name holds these words."),
    click.option("--text", "texts", multiple=True, metavar="WORDS", help="Full text of title, conditions, before and after."),
    click.option("--baseline", is_flag=True, help="The rows of first versions too: what stood there when we first saw a study."),
)


def filtered(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the filters of the change log; it gets them together, as ``asked``."""

    @functools.wraps(command)
    def with_filters(*arguments: Any, **options: Any) -> Any:
        asked = Asked(**{part.name: options.pop(part.name) for part in fields(Asked)})
        return command(*arguments, asked=asked, **options)

    for option in reversed(_OPTIONS):
        option(with_filters)
    return with_filters
