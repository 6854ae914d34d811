"""A fact in a person's words, from the values that it carries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeGuard

from trialsync.publish.outcome_phrases import phase_words
from trialsync.publish.span import ordinal, signed
from trialsync.publish.value import compact

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from trialsync.model import Json


def fact_words(fact: Mapping[str, Json]) -> str:
    """Return what a fact of a row says: ``Completion slipped +12 months (2nd time, +18 in all)``; its id in words where it says no more."""
    name = str(fact.get("id", ""))
    said = _SAID.get(name)
    return (said(fact) if said else "") or name.replace("-", " ").capitalize()


def _stopped(fact: Mapping[str, Json]) -> str:
    status, given = fact.get("status"), fact.get("reason_given")
    told = {True: ", with a reason", False: ", no reason given"}.get(given, "") if isinstance(given, bool) else ""
    return f"Stopped{f': {_plain(status)}' if status else ''}{told}"


def _slipped(what: str) -> Callable[[Mapping[str, Json]], str]:
    def said(fact: Mapping[str, Json]) -> str:
        times, total = fact.get("times"), fact.get("total_months")
        again = f" ({ordinal(times)} time, {_total(total, fact)} in all)" if _is_count(times) and _is_count(total) and times > 1 else ""
        return f"{what} slipped{_by(fact)}{again}"

    return said


def _total(months: int, fact: Mapping[str, Json]) -> str:
    days = fact.get("total_days")
    return signed(days, "day") if not months and _is_count(days) else signed(months, "month")


def _earlier(what: str) -> Callable[[Mapping[str, Json]], str]:
    return lambda fact: f"{what} pulled in{_by({name: -value for name, value in fact.items() if _is_count(value)})}{_types(fact)}"


def _corrected(what: str) -> Callable[[Mapping[str, Json]], str]:
    return lambda fact: f"{what} corrected{_by(fact)}{_types(fact)}"


def _types(fact: Mapping[str, Json]) -> str:
    """Return the types of a date before and after, where they are two."""
    before, after = (_plain(fact[name]) if fact.get(name) else "no type" for name in ("type_before", "type_after"))
    return f", {before} → {after}" if before != after else ""


def _by(fact: Mapping[str, Json]) -> str:
    months, days = fact.get("months"), fact.get("days")
    if _is_count(months) and months:
        return f" {signed(months, 'month')}"
    return f" {signed(days, 'day')}" if _is_count(days) and days else ""


def _enrolment(word: str) -> Callable[[Mapping[str, Json]], str]:
    def said(fact: Mapping[str, Json]) -> str:
        before, after, percent = fact.get("before"), fact.get("after"), fact.get("percent")
        numbers = f": {before:,} → {after:,}" if _is_count(before) and _is_count(after) else ""
        share = f" ({abs(percent):g} %)" if isinstance(percent, int | float) and not isinstance(percent, bool) else ""
        kind = f", {_plain(fact['type'])}" if fact.get("type") else ""
        return f"Enrolment {word}{numbers}{share}{kind}"

    return said


def _outcome(what: str, way: str = "") -> Callable[[Mapping[str, Json]], str]:
    def said(fact: Mapping[str, Json]) -> str:
        parts = [words] if (words := phase_words(fact)) else []
        parts += ["with results"] if fact.get("with_results") is True else []
        count = fact.get("count")
        many = f" (×{count:,})" if _is_count(count) and count > 1 else ""  # noqa: RUF001 - times
        led = f" {way} {_plain(fact[way])}" if way and fact.get(way) else ""
        return f"{what}{led}{many}{f', {chr(32).join(parts)}' if parts else ''}"

    return said


def _in(what: str, key: str = "country", joint: str = " in ") -> Callable[[Mapping[str, Json]], str]:
    return lambda fact: f"{what}{joint}{compact(fact[key])}" if fact.get(key) else what


def _documents(fact: Mapping[str, Json]) -> str:
    held = fact.get("documents")
    return f"Documents posted: {', '.join(map(compact, held))}" if isinstance(held, list) and held else "Documents posted"


def _publications(fact: Mapping[str, Json]) -> str:
    held = fact.get("publications")
    told = [" ".join(compact(each[name]) for name in ("type", "pmid") if each.get(name)) for each in held] if _is_objects(held) else []
    return f"Publication linked: {', '.join(told)}" if any(told) else "Publication linked"


def _is_objects(value: Json) -> TypeGuard[list[dict[str, Json]]]:
    return isinstance(value, list) and all(isinstance(each, dict) for each in value)


def _sponsor(fact: Mapping[str, Json]) -> str:
    return f"Sponsor changed: {compact(fact.get('before'))} → {compact(fact.get('after'))}"


def _plain(value: Json) -> str:
    return compact(value).replace("_", " ").lower()


def _is_count(value: Json) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


_SAID: Final[dict[str, Callable[[Mapping[str, Json]], str]]] = {
    "stopped": _stopped,
    "restarted": lambda fact: f"Restarted{f' after {_plain(before)}' if (before := fact.get('from')) else ''}",
    "went-unknown": lambda fact: f"Status unknown{f', last {_plain(known)}' if (known := fact.get('last_known')) else ''}",
    "primary-completion-slipped": _slipped("Primary completion"),
    "completion-slipped": _slipped("Completion"),
    "primary-completion-pulled-in": _earlier("Primary completion"),
    "completion-pulled-in": _earlier("Completion"),
    "primary-completion-corrected": _corrected("Actual primary completion"),
    "completion-corrected": _corrected("Actual completion"),
    "start-moved": lambda fact: f"Start moved{_by(fact)}",
    "enrollment-cut": _enrolment("cut"),
    "enrollment-raised": _enrolment("raised"),
    "primary-outcome-added": _outcome("Primary outcome added"),
    "primary-outcome-removed": _outcome("Primary outcome removed"),
    "primary-outcome-reworded": _outcome("Primary outcome reworded"),
    "primary-outcome-timeframe-changed": _outcome("Primary outcome's time frame changed"),
    "primary-outcome-description-changed": _outcome("Primary outcome's description changed"),
    "outcome-demoted": _outcome("Primary outcome demoted", "to"),
    "outcome-promoted": _outcome("Outcome promoted to primary", "from"),
    "documents-posted": _documents,
    "publication-linked": _publications,
    "results-outcome-type-changed": lambda fact: f"Outcome in the results: {_plain(fact.get('before'))} → {_plain(fact.get('after'))}",
    "site-opened": _in("Site opened"),
    "site-closed": _in("Site closed"),
    "country-first-site": _in("First site"),
    "country-last-site": _in("Last site gone"),
    "sponsor-changed": _sponsor,
}
