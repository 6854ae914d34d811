"""Page tokens: a place in an order, bound to the data version but, as the service's are, not to the query."""

from __future__ import annotations

import base64
import binascii
import struct
import zlib
from dataclasses import dataclass

_LAYOUT = struct.Struct(">IIQI")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page starts: ``offset`` studies into the order ``seed`` of the dataset ``version``."""

    version: int
    offset: int
    seed: int

    def token(self) -> str:
        """Return the place as an opaque token for an address."""
        plain = _LAYOUT.pack(self.version, self.offset, self.seed, 0)[:-4]
        check = zlib.crc32(plain)
        mask = struct.pack(">I", check) * 4
        hidden = bytes(left ^ right for left, right in zip(plain, mask, strict=True))
        return base64.urlsafe_b64encode(hidden + struct.pack(">I", check)).rstrip(b"=").decode()


def place(token: str) -> Place | None:
    """Return the place that a token stands for; None for text that is no token of ours."""
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    if len(raw) != _LAYOUT.size:
        return None
    check = raw[16:]
    plain = bytes(left ^ right for left, right in zip(raw[:16], check * 4, strict=True))
    if struct.pack(">I", zlib.crc32(plain)) != check:
        return None
    version, offset, seed, _ = _LAYOUT.unpack(plain + check)
    return Place(version, offset, seed)
