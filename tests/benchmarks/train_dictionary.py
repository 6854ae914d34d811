"""Make the dictionary that studies are compressed with, from studies in JSON lines.

    python tests/benchmarks/train_dictionary.py ../shared/registry/studies.jsonl.xz trialsync/store/studies-3.zdict \
        --without ../shared/registry/loads.jsonl.xz

A dictionary holds fragments of what it was trained on, and ships with the package. So it is trained on the records' structure and on what
many of them share, never on what one of them says: a number, or a string of up to 60 characters, is kept where at least four studies have
it; of a longer string only the runs of two to eight words that at least five studies have, sorted, so that no sentence is left of it;
whatever stands below a contact or an official, citations, e-mail
addresses and numbers of studies are cut out. ``--whole`` trains on the records as
they are, to see what that caution costs (do not ship it). ``--without`` leaves out the studies of another file, so that a ratio measured
on that file is an honest one.

A dictionary that stores were written with is never made again in place: give a new one a new number, and the codec a new format byte.
"""

from __future__ import annotations

import argparse
import gzip
import lzma
import re
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BYTES = 524_288
"""Of each of its two parts: what the shared strings are, each once, and what zstd's trainer makes of the records that are left of them."""

LEVEL = 7
SHORT = 60
STUDIES_WITH_STRING = 4
STUDIES_WITH_PHRASE = 5
LONGEST_PHRASE = 8
SHORTEST = 5
LARGEST_SAMPLE = 120_000
LARGEST_TABLES = 4_096
PERSONAL = frozenset({"citation", "centralContacts", "contacts", "overallOfficials", "pointOfContact", "responsibleParty"})
IDENTIFYING = re.compile(r"@|NCT\d|\d{3}[-. )]+\d{3}")


def records(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the studies of a JSON lines file, bare or under ``study``, compressed by its suffix or not."""
    openers: dict[str, Callable[[Path], Any]] = {".xz": lzma.open, ".gz": gzip.open}
    with openers.get(path.suffix, Path.open)(path) as lines:
        for line in lines:
            record = orjson.loads(line)
            yield record.get("study", record)


def plain(value: Any) -> Iterator[str | float]:
    """Yield every string and number of a record, those about persons left out."""
    if isinstance(value, str | int | float):
        yield value
    elif isinstance(value, list):
        for part in value:
            yield from plain(part)
    elif isinstance(value, dict):
        for name, part in value.items():
            if name not in PERSONAL:
                yield from plain(part)


def phrases(texts: list[set[str]]) -> set[tuple[str, ...]]:
    """Return the runs of two to eight words that enough studies have; ``texts`` are each study's long strings."""
    found: set[tuple[str, ...]] = set()
    shared: set[tuple[str, ...]] = set()
    for length in range(2, LONGEST_PHRASE + 1):
        counted: Counter[tuple[str, ...]] = Counter()
        for study in texts:
            runs: set[tuple[str, ...]] = set()
            for text in study:
                words = text.split(" ")
                runs.update(tuple(words[start : start + length]) for start in range(len(words) - length + 1))
            # A run is shared only where both runs that it is longer than by one word are.
            counted.update(run for run in runs if length == 2 or (run[1:] in shared and run[:-1] in shared))
        shared = {run for run, studies in counted.items() if studies >= STUDIES_WITH_PHRASE and not any(map(IDENTIFYING.search, run))}
        found |= shared
    return found


def segments(text: str, known: set[tuple[str, ...]]) -> Iterator[str]:
    """Yield the longest known runs of a text, one behind the other."""
    words = text.split(" ")
    start = 0
    while start < len(words):
        for length in range(LONGEST_PHRASE, 1, -1):
            if tuple(words[start : start + length]) in known:
                yield " ".join(words[start : start + length])
                start += length
                break
        else:
            start += 1


def emptied(value: Any, keep: Callable[[str | float], str | float]) -> Any:
    """Return a record whose strings are what ``keep`` leaves of them, and nothing below a person."""
    if isinstance(value, str | int | float):
        return keep(value)
    if isinstance(value, list):
        return [emptied(part, keep) for part in value]
    if isinstance(value, dict):
        return {name: emptied(part, (lambda _: "") if name in PERSONAL else keep) for name, part in value.items()}
    return value


def shared(studies: list[dict[str, Any]]) -> Callable[[str | float], str | float]:
    """Return what leaves of a string or number only what many of these studies have."""
    short: Counter[str | float] = Counter()
    long: list[set[str]] = []
    for study in studies:
        found = set(plain(study))
        short.update(found)
        long.append({text for text in found if isinstance(text, str) and len(text) > SHORT})
    known = phrases(long)

    def keep(text: str | float) -> str | float:
        if not isinstance(text, str):
            return text if isinstance(text, bool) or short[text] >= STUDIES_WITH_STRING else 0
        if len(text) <= SHORT:
            return text if short[text] >= STUDIES_WITH_STRING and not IDENTIFYING.search(text) else ""
        return "\n".join(sorted(segments(text, known)))

    return keep


def listed(studies: list[dict[str, Any]]) -> bytes:
    """Return the strings and runs of words in such records, each once, the frequent ones last: they are the nearest."""
    counted: Counter[str] = Counter()
    for study in studies:
        counted.update(part for text in plain(study) if isinstance(text, str) for part in text.split("\n") if len(part) > SHORTEST)
    return "\n".join(sorted(counted, key=lambda text: (counted[text], text))).encode()


def ratio(dictionary: zstd.ZstdDict, studies: list[bytes], level: int) -> float:
    """Return compressed bytes by bytes."""
    compressor = zstd.ZstdCompressor(options={zstd.CompressionParameter.compression_level: level}, zstd_dict=dictionary.as_digested_dict)
    return sum(len(compressor.compress(text, compressor.FLUSH_FRAME)) for text in studies) / sum(map(len, studies))


def main() -> None:
    """Train, write, and print the ratios."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--without", type=Path)
    parser.add_argument("--whole", action="store_true")
    options = parser.parse_args()
    left_out = [study for study in records(options.without) if study] if options.without else []
    numbers = {study["protocolSection"]["identificationModule"]["nctId"] for study in left_out}
    studies = [study for study in records(options.source) if study["protocolSection"]["identificationModule"]["nctId"] not in numbers]
    if not options.whole:
        keep = shared(studies)
        studies = [emptied(study, keep) for study in studies]
    samples = [orjson.dumps(study) for study in studies]
    cut = [sample[:LARGEST_SAMPLE] for sample in samples]
    content = listed(studies)[-BYTES:] + zstd.train_dict(cut, BYTES).dict_content
    dictionary = zstd.finalize_dict(zstd.ZstdDict(content, is_raw=True), cut, len(content) + LARGEST_TABLES, LEVEL)
    options.target.write_bytes(dictionary.dict_content)
    sys.stdout.write(f"{options.target}: {len(dictionary.dict_content):,} bytes, from {len(samples):,} studies\n")
    measured = [orjson.dumps(study) for study in left_out] or samples
    for level in (3, 7, 9, 12, 19):
        sys.stdout.write(f"  level {level:2}: {ratio(dictionary, measured, level):.4f} of the JSON's bytes\n")


if __name__ == "__main__":
    main()
