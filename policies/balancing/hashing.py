"""Hashes that are the same in every process and on every machine."""

from __future__ import annotations

import random
from hashlib import blake2b

BITS = 64


def stable_hash(text: str) -> int:
    """A 64-bit hash of `text`; Python's own hash differs between processes."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest())


def hash_key(key: str | None, rng: random.Random) -> int:
    """The hash of a request's key; a random number without a key."""
    return rng.getrandbits(BITS) if key is None else stable_hash(key)
