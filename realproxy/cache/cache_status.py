"""The Cache-Status field: how the cache handled a request. RFC 9211"""

from __future__ import annotations

from functools import lru_cache
from math import floor

from policies.http_cache.freshness import Forwarded, NotStored

HIT = "hit"


@lru_cache(maxsize=256)
def status_field(outcome: str, name: str) -> bytes:
    """The field line of the cache `name` for an outcome such as ``hit`` or ``fwd=uri-miss; stored``."""
    return f"Cache-Status: {name}; {outcome}\r\n".encode()


def describe(outcome: str, key: bytes, fresh_for: float | None) -> str:
    """An outcome with the parameters ``ttl``, in whole seconds, and ``key``. RFC 9211, 2"""
    name = "".join(
        chr(byte) if 32 < byte < 127 and byte not in b'"\\%' else f"%{byte:02x}" for byte in key.strip()
    ).replace("%20", " ")
    ttl = "" if fresh_for is None else f"; ttl={floor(fresh_for)}"
    return f'{outcome}{ttl}; key="{name}"'


def forwarded_outcome(reason: Forwarded, not_stored: NotStored | None) -> str:
    """The outcome of a request that was sent upstream."""
    return f"fwd={reason}; stored" if not_stored is None else f"fwd={reason}; detail={not_stored}"
