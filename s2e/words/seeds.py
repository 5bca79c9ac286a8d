"""The source of every random number."""

from __future__ import annotations

import hashlib


def derive_seed(*path: int | str) -> int:
    """A 63-bit seed from a path such as (job seed, "order", round): the same everywhere, independent of hash seeds."""
    digest = hashlib.blake2b("/".join(str(part) for part in path).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
