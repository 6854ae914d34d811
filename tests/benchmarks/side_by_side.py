"""trialsync beside ``biocatalystfeed``, whose ``bcf trials watch`` also follows ClinicalTrials.gov into SQLite.

    .venv/bin/python -m venv --without-pip .venv-benchmark && .venv/bin/pip --python .venv-benchmark install --group benchmark
    .venv/bin/python -m tests.benchmarks side_by_side [--studies 4900]

Both follow every study of one sandbox on a port, by turns and load by load, at no pace: the dated loads at hand, each polled in its turn,
and a generated registry over a month, in about three minutes. ``contenders`` says how each is run and what was adapted; ``truth`` what
really changed. Of more than 5,000 studies trialsync asks for what moved, and sweeps the rest within a week: what that has not reached yet
counts as not told.

Time is that of whole processes, Python's start included: passed time, in which the sandbox works too, and processor time, in which it does
not. Bytes received are the bodies of answers as they were sent, compressed for both.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, fields, replace
from datetime import date, timedelta
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import orjson

from trialsync.registry.sandbox import LoadLine, packaged_loads, read_loads, serve
from trialsync.sync.poll import Policy

from .contenders import VERSION, BioCatalystFeed, Cost, Counted, Tool, Trialsync, absence
from .corpus import IS_REAL, SHARED
from .generator import GeneratedRegistry
from .measuring import Result, say
from .truth import PLACES, UPDATE_DATES, judge, truth

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from .generator import Load
    from .truth import Told, Truth, Verdict

STUDIES: Final = 4_900
"""Below 5,000 also after a month: above that trialsync follows by what moved."""
SEED: Final = 20260302
NIGHTS: Final = 22
"""The weekdays from the generated registry's first load to the first of the next month, on which studies turn UNKNOWN."""
GONE: Final = 5
"""Studies that the generated registry has no more after that month; the generator itself takes none away."""
ROUNDS: Final = 3
_NAMED: Final = 5
_FIRST: Final = "first poll"
_AGAIN: Final = "the same load again"
_BOTH: Final = (Trialsync, BioCatalystFeed)


@dataclass(frozen=True, slots=True)
class World:
    """Loads that both follow. ``later`` names the polls of the loads after the first; those of one name are told together."""

    name: str
    lines: list[LoadLine]
    later: tuple[str, ...]
    rounds: int = 1

    @property
    def loads(self) -> list[str]:
        """Return the days of the loads, oldest first."""
        return sorted({line.load for line in self.lines})


def run(studies: int) -> Iterator[Result]:
    """Run both on the loads at hand and on a generated registry of so many studies; yield what is demanded of trialsync.

    Ends with a sentence where the other program is not installed.
    """
    if (sentence := absence()) is not None:
        sys.exit(sentence)
    say(f"  biocatalystfeed {VERSION}, without its pause of 1.3 s between requests, and with a --max above its usual 200 studies")
    yield from compared(at_hand())
    yield from compared(generated(studies))


def at_hand(*, real: bool = IS_REAL) -> World:
    """Return the dated loads beside the project, or else those of the package and one more day on which nothing happens."""
    if real:
        lines, name = list(read_loads(SHARED / "loads.jsonl.xz")), "the real records beside the project"
    else:
        lines, name = list(packaged_loads()), "the records of the sandbox"
        # That a study is gone is told once two loads agree.
        last = lines[-1]
        lines.append(replace(last, load=(date.fromisoformat(last.load) + timedelta(days=1)).isoformat()))
    later = len({line.load for line in lines}) - 1
    return World(name, lines, (f"{later} new loads",) * later)


def generated(studies: int) -> World:
    """Return a registry of so many studies, what it is a month later, and on the day after that."""
    registry = GeneratedRegistry(SEED, studies)
    lines = [_line(registry, place) for place in range(studies)]
    touched: set[int] = set()
    for _ in range(NIGHTS):
        touched |= _touched(registry.advance())
    lines += [_line(registry, place) for place in sorted(touched)]
    gone = [place for place in range(0, studies, max(1, studies // GONE)) if place not in touched][:GONE]
    lines += [LoadLine(registry.load, registry.nct_id(place), None) for place in gone]
    lines += [_line(registry, place) for place in sorted(_touched(registry.advance()) - set(gone))]
    return World("generated records", lines, ("a month later", "the day after"), ROUNDS)


def _touched(load: Load) -> set[int]:
    return {*load.updated, *load.silent, *load.new}


def _line(registry: GeneratedRegistry, place: int) -> LoadLine:
    return LoadLine(registry.load, registry.nct_id(place), orjson.loads(registry.text(place)))


def compared(world: World) -> Iterator[Result]:
    """Run both over the loads of a world; print what each cost and told, and yield what is demanded of trialsync."""
    true = truth((line.load, line.nct_id, line.study) for line in world.lines)
    costs: list[dict[tuple[str, str], Cost]] = []
    for turn in range(world.rounds):
        with TemporaryDirectory(prefix="trialsync-benchmark-") as folder:
            cost, told, held = one_round(world, Path(folder), _BOTH if turn % 2 == 0 else _BOTH[::-1], true.known)
            costs.append(cost)
    first = sum(line.load == world.loads[0] for line in world.lines)
    rounds = "one round" if world.rounds == 1 else f"medians of {world.rounds} rounds, who goes first by turns"
    say(f"  {world.name}: {first:,} studies on the first of {len(world.loads)} loads; {rounds}")
    if first > (above := Policy().incremental_above):
        say(f"    above {above:,} studies trialsync asks for what moved and sweeps the rest in a week: what waits for that is not told")
    for line in cost_table({key: medians([cost[key] for cost in costs]) for key in costs[0]}):
        say(f"    {line}")
    for tool in _BOTH:
        say(f"    in the end {tool.name} holds {held[tool.name]}")
    verdicts = {tool.name: judge(true, told[tool.name]) for tool in _BOTH}
    for line in told_table(true, verdicts):
        say(f"    {line}")
    ours, theirs = verdicts[Trialsync.name], verdicts[BioCatalystFeed.name]
    happened = len(true.new) + len(true.gone) + len(true.changed)
    missed = [happened - each.new - each.gone - each.changed for each in (ours, theirs)]
    places = [each.missed.total() for each in (ours, theirs)]
    name = "side by side"
    yield Result(f"{name}: studies new, gone or changed, and not told", str(missed[0]), str(missed[1]), missed[0], 0)
    yield Result(f"{name}: places that changed and were not told", f"{places[0]:,}", f"{places[1]:,}", places[0], 0)
    yield Result(f"{name}: told, though nothing changed there", str(len(ours.untrue)), str(len(theirs.untrue)), len(ours.untrue), 0)


def one_round(
    world: World, folder: Path, order: Sequence[type[Tool]], known: Collection[str]
) -> tuple[dict[tuple[str, str], Cost], dict[str, Told], dict[str, str]]:
    """Have both poll the first load twice and each later one once; return what that cost, what each told, and what each holds."""
    sandbox = Counted(world.lines)
    costs: dict[tuple[str, str], Cost] = {}
    with serve(sandbox) as server:
        tools = [kind(folder, sandbox, server.api_url) for kind in order]
        for kind in (_FIRST, _AGAIN, *world.later):
            if kind not in {_FIRST, _AGAIN}:
                sandbox.advance()
            for tool in tools:
                cost = tool.measured()
                before = costs.get((kind, tool.name))
                costs[kind, tool.name] = cost if before is None else together(before, cost)
        polled = [world.loads[0], *world.loads]
        return costs, {tool.name: tool.told(polled, known) for tool in tools}, {tool.name: tool.held() for tool in tools}


def together(before: Cost, after: Cost) -> Cost:
    """Return what two polls in a row cost: the higher peak, and the store as the second left it."""
    total = Cost(*(getattr(before, each.name) + getattr(after, each.name) for each in fields(Cost)))
    return replace(total, peak=max(before.peak, after.peak), store=after.store)


def medians(costs: Sequence[Cost]) -> Cost:
    """Return the medians of several rounds."""
    return Cost(**{each.name: median(getattr(cost, each.name) for cost in costs) for each in fields(Cost)})


def cost_table(costs: dict[tuple[str, str], Cost]) -> Iterator[str]:
    """Yield the lines that say what the polls cost, and below both how many times as much trialsync's did."""
    yield _columns("", "passed", "the sandbox's", "processor", "peak", "requests", "bytes received", "changes", "store, bytes")
    for kind in dict.fromkeys(kind for kind, _ in costs):
        ours, theirs = (costs[kind, tool.name] for tool in _BOTH)
        for tool, cost in zip(_BOTH, (ours, theirs), strict=True):
            yield _columns(
                f"{kind}: {tool.name}",
                *(f"{value:,.2f} s" for value in (cost.passed, cost.sandbox, cost.processor)),
                f"{cost.peak:,.0f} MiB",
                *(f"{value:,.0f}" for value in (cost.requests, cost.received, cost.rows, cost.store)),
            )
        pairs = [(getattr(ours, each.name), getattr(theirs, each.name)) for each in fields(Cost)]
        yield _columns("  trialsync's by the other's", *(f"{one / other:,.2f}" if other else "-" for one, other in pairs))


def _columns(name: str, *values: str) -> str:
    widths = (9, 13, 9, 9, 8, 14, 7, 12)
    return f"{name:<36}" + "  ".join(f"{value:>{width}}" for value, width in zip(values, widths, strict=True))


def told_table(true: Truth, verdicts: dict[str, Verdict]) -> Iterator[str]:
    """Yield the lines that hold what both told against what really changed; a study counts once for each load that changed it."""
    both = [verdicts[tool.name] for tool in _BOTH]
    changed = true.changed.values()

    def line(name: str, really: int | str, *told: int | str) -> str:
        columns = (
            f"{value:>{width},}" if isinstance(value, int) else f"{value:>{width}}"
            for value, width in zip((really, *told), (8, 11, 17), strict=True)
        )
        return f"{name:<60}" + "".join(columns)

    yield line("what happened, and what was told of it", "really", *(tool.name for tool in _BOTH))
    yield line("studies that came", len(true.new), *(each.new for each in both))
    yield line("studies that went", len(true.gone), *(each.gone for each in both))
    yield line("studies that changed, once for each load that changed them", len(changed), *(each.changed for each in both))
    yield line("  in more than the dates of the update itself", sum(each.is_news for each in changed), *(each.news for each in both))
    yield line(
        "places (paths without list positions) that changed in them",
        sum(len(each.places) for each in changed),
        *(each.places for each in both),
    )
    yield line(
        "  beyond the dates of the update", sum(len(each.places - UPDATE_DATES) for each in changed), *(each.beyond for each in both)
    )
    yield line("  besides, told by just the new length of their list", "", *(each.counts for each in both))
    really = {name: sum(name in each.fields for each in changed) for name in PLACES}
    yield line("changes of the 15 fields that biocatalystfeed follows", sum(really.values()), *(each.fields.total() for each in both))
    for name, number in really.items():
        if any(each.fields[name] != number for each in both):
            yield line(f"  {name}", number, *(each.fields[name] for each in both))
    yield line("told, though nothing changed there", "", *(len(each.untrue) for each in both))
    for tool, each in zip(_BOTH, both, strict=True):
        beyond = [(place, number) for place, number in sorted(each.missed.items(), key=_most_first) if place not in UPDATE_DATES]
        if beyond:
            named = ", ".join(f"{_short(place)} {number}" for place, number in beyond[:_NAMED])
            rest = f", and {len(beyond) - _NAMED} places more" if len(beyond) > _NAMED else ""
            yield f"not told by {tool.name}, beyond the dates of the update, in so many studies: {named}{rest}"
        for sentence in each.untrue[:_NAMED]:
            yield f"told by {tool.name}, and not so: {sentence}"


def _most_first(counted: tuple[str, int]) -> tuple[int, str]:
    return -counted[1], counted[0]


def _short(place: str) -> str:
    return ".".join(part.removesuffix("Module") for part in place.split(".")[1:]) or place
