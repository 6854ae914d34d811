"""Sets of NCT numbers, a bit each: of the whole registry one takes a megabyte, where a set of texts takes seventy."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, MutableSet
from collections.abc import Set as AbstractSet
from typing import Final, Self

_PREFIX: Final = "NCT"
_LENGTH: Final = 11
_GREATEST: Final = 99_999_999
_ANY: Final = re.compile(rb"[^\0]", re.DOTALL)


class NctSet(MutableSet[str]):
    """A set of NCT numbers, in ascending order. Nothing else can be in it: to add what is no NCT number raises ValueError."""

    __slots__ = ("_bits", "_count")

    def __init__(self, nct_ids: Iterable[str] = ()) -> None:
        self._bits, self._count = bytearray(), 0
        self.update(nct_ids)

    @classmethod
    def of(cls, numbers: Iterable[int]) -> NctSet:
        """Return the set of the NCT numbers that hold these whole numbers. Raises ValueError for one that has more than eight digits."""
        found = cls()
        bits = found._bits
        for number in numbers:
            index = number >> 3
            if index >= len(bits):
                if number > _GREATEST:
                    raise ValueError(f"{number} has more than eight digits")
                bits.extend(bytes(index + 1 - len(bits)))
            elif number < 0:
                raise ValueError(f"{number} is less than nothing")
            bits[index] |= 1 << (number & 7)
        found._count = found.bits.bit_count()
        return found

    @property
    def bits(self) -> int:
        """Return the set as a whole number: the bit of each NCT number in it is set."""
        return int.from_bytes(self._bits, "little")

    def __contains__(self, nct_id: object) -> bool:
        place = _place(nct_id)
        return place is not None and place >> 3 < len(self._bits) and bool(self._bits[place >> 3] >> (place & 7) & 1)

    def __iter__(self) -> Iterator[str]:
        for found in _ANY.finditer(bytes(self._bits)):
            byte = found[0][0]
            yield from (f"{_PREFIX}{found.start() << 3 | bit:08d}" for bit in range(8) if byte >> bit & 1)

    def __len__(self) -> int:
        return self._count

    def add(self, nct_id: str) -> None:
        """Put a number in. Raises ValueError where it is none."""
        place = _place(nct_id)
        if place is None:
            raise ValueError(f"{nct_id!r} is not an NCT number")
        index, bit = place >> 3, 1 << (place & 7)
        if index >= len(self._bits):
            self._bits.extend(bytes(index + 1 - len(self._bits)))
        self._count += not self._bits[index] & bit
        self._bits[index] |= bit

    def discard(self, nct_id: str) -> None:
        """Take a number out, where it is in."""
        if nct_id in self:
            place = int(nct_id[3:])
            self._bits[place >> 3] ^= 1 << (place & 7)
            self._count -= 1

    def clear(self) -> None:
        """Take everything out."""
        self._bits, self._count = bytearray(), 0

    def update(self, nct_ids: Iterable[str]) -> None:
        """Put all of these in."""
        if isinstance(nct_ids, NctSet):
            self._become(self.bits | nct_ids.bits)
        else:
            for nct_id in nct_ids:
                self.add(nct_id)

    def difference_update(self, nct_ids: Iterable[str]) -> None:
        """Take all of these out."""
        self._become(self.bits & ~_all(nct_ids).bits)

    def intersection_update(self, nct_ids: Iterable[str]) -> None:
        """Take out whatever is not among these."""
        self._become(self.bits & _all(nct_ids).bits)

    def union(self, nct_ids: Iterable[str]) -> NctSet:
        """Return a set of what is in this or among these."""
        found = NctSet(self)
        found.update(nct_ids)
        return found

    def intersection(self, nct_ids: Iterable[str]) -> NctSet:
        """Return a set of what is in this and among these."""
        found = NctSet(self)
        found.intersection_update(nct_ids)
        return found

    def difference(self, nct_ids: Iterable[str]) -> NctSet:
        """Return a set of what is in this and not among these."""
        found = NctSet(self)
        found.difference_update(nct_ids)
        return found

    def __ior__(self, other: AbstractSet[str]) -> Self:  # type: ignore[override]
        self.update(other)
        return self

    def __iand__(self, other: AbstractSet[str]) -> Self:
        self.intersection_update(other)
        return self

    def __isub__(self, other: AbstractSet[str]) -> Self:
        self.difference_update(other)
        return self

    def __or__(self, other: AbstractSet[str]) -> NctSet:  # type: ignore[override]
        return self.union(other)

    def __and__(self, other: AbstractSet[str]) -> NctSet:
        return self.intersection(other)

    def __sub__(self, other: AbstractSet[str]) -> NctSet:
        return self.difference(other)

    def _become(self, whole: int) -> None:
        self._count = whole.bit_count()
        self._bits = bytearray(whole.to_bytes((whole.bit_length() + 7) // 8, "little"))


def _all(nct_ids: Iterable[str]) -> NctSet:
    return nct_ids if isinstance(nct_ids, NctSet) else NctSet(nct_ids)


def _place(nct_id: object) -> int | None:
    """Return the number of an NCT number, ``None`` for what is none."""
    if isinstance(nct_id, str) and len(nct_id) == _LENGTH and nct_id.startswith(_PREFIX) and nct_id.isascii() and nct_id[3:].isdigit():
        return int(nct_id[3:])
    return None
