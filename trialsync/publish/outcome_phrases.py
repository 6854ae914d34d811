"""What happened to a study's outcomes on a day, in phrases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from trialsync.publish.phrase import Phrase, Rows, Tone, added_removed, fields_of, is_count
from trialsync.study.facts.outcomes import reads_otherwise

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from trialsync.model import Json, LoggedChange

PHASES: Final = {"before-start": "before start", "after-start": "after start", "after-primary-completion": "after primary completion"}
_LESSER: Final = {"secondary": "secondary outcome", "other": "other outcome"}
_WORDS: Final = {"measure": "reworded", "timeFrame": "new time frame", "description": "new description"}
_TRIVIAL: Final = {"measure": "wording", "timeFrame": "time frame", "description": "description"}


def phase_words(fact: Mapping[str, Json]) -> str | None:
    """Return in which phase of the study a fact says that an outcome was edited, ``None`` where it does not say."""
    phase = fact.get("phase")
    if not isinstance(phase, str) or phase not in PHASES:
        return None
    return f"{PHASES[phase]}, by an estimated date" if fact.get("phase_basis") == "estimated" else PHASES[phase]


def primary_outcomes(rows: Rows) -> Iterator[Phrase]:
    """Yield what became of the primary outcomes, and what was moved between them and the others, which is not told twice."""
    taken = rows.take("outcomes.primary")
    if not taken:
        return
    moved = _moved(taken)
    came, went = (sum(count for (word, _), count in moved.items() if word == each) for each in ("promoted", "demoted"))
    moves = [
        f"{count:,} {word}{'' if where == 'secondary' else f' {way} {where}'}"
        for (word, where), count in moved.items()
        for way in ("from" if word == "promoted" else "to",)
    ]
    text = _text(taken, "primary outcome", moves, (came, went))
    facts = [fact for row in taken for fact in row.facts]
    when = next((words for fact in facts if (words := phase_words(fact))), None)
    with_results = "with results" if any(fact.get("with_results") is True for fact in facts) else None
    said = ", ".join(part for part in (when, with_results) if part)
    yield Phrase(f"{text} ({said})" if said else text, fields_of(taken), tone=Tone.BAD)
    # What was demoted came there, what was promoted went from there.
    rows.moved |= {f"outcomes.{where}": (moved.get(("demoted", where), 0), moved.get(("promoted", where), 0)) for where in _LESSER}


def lesser_outcomes(rows: Rows) -> Iterator[Phrase]:
    """Yield what became of the secondary and other outcomes, but for those of which was told with the primary ones."""
    for where, noun in _LESSER.items():
        taken = rows.take(f"outcomes.{where}")
        text = _text(taken, noun, [], rows.moved.get(f"outcomes.{where}", (0, 0)))
        if text:
            yield Phrase(text, fields_of(taken))


def _moved(rows: Sequence[LoggedChange]) -> dict[tuple[str, str], int]:
    """Return how many outcomes were promoted from, and demoted to, each of the other lists."""
    found: dict[tuple[str, str], int] = {}
    for fact in (fact for row in rows for fact in row.facts):
        for word, way in (("promoted", "from"), ("demoted", "to")):
            if fact.get("id") == f"outcome-{word}":
                count = fact.get("count")
                key = (word, where if isinstance(where := fact.get(way), str) and where in _LESSER else "secondary")
                found[key] = found.get(key, 0) + (count if is_count(count) and count > 0 else 1)
    return found


def _text(rows: Sequence[LoggedChange], noun: str, moves: Sequence[str], moved: tuple[int, int]) -> str:
    """Return ``primary outcomes +1 −1, 2 reworded``, nothing where all of it was moved."""  # noqa: RUF002 - a minus sign
    parts = list(added_removed(rows, but=moved))
    items: dict[str, set[str | None]] = {}
    for row in rows:
        if row.item and row.attribute:
            items.setdefault(_word(row), set()).add(row.item)
    edited = {row.item for row in rows if row.item and row.attribute}
    if not parts and not moves and len(edited) == 1:
        return _one(noun, list(items))
    counts = [f"{len(each):,} {word}" for word, each in items.items()]
    said = ", ".join([*([" ".join(parts)] if parts else []), *moves, *counts])
    return f"{noun}s {said}" if said else ""


def _word(row: LoggedChange) -> str:
    name = (row.attribute or "").split(".")[0]
    if name in _TRIVIAL and isinstance(row.before, str) and isinstance(row.after, str) and not reads_otherwise(row):
        return f"{_TRIVIAL[name]} (trivial)"
    return _WORDS.get(name, "edited")


def _one(noun: str, words: Sequence[str]) -> str:
    if words == ["wording (trivial)"]:
        return f"wording of {noun} (trivial)"
    return f"{noun}{'' if words[0] == 'reworded' else ':'} {', '.join(words)}"
