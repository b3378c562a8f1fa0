"""What a running proxy's watch has decided, and why: asked at its admin port, for `explain`."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from typing import Any

from policies.settings import ProxySettings

PATIENCE = 0.5
"""Seconds that the admin port has for its answer."""
_MOST_BYTES = 2**22
_MOST_CHANGES = 5
_NOT_OURS = (
    OSError, http.client.HTTPException, ValueError, LookupError, TypeError, AttributeError, StopIteration,
    ArithmeticError,
)  # fmt: skip
"""Nobody is there, or something else answers."""
_HERE = {"": "127.0.0.1", "*": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}
"""Where to ask a proxy whose admin port listens on all addresses."""


def running_split(settings: ProxySettings, number: int | None) -> list[str]:
    """Shares, evidence and decisions of a split route, if a proxy with these arms runs; else nothing.

    It asks the address in `admin`, and waits for `PATIENCE` at most. `number` is that of the route.
    """
    if number is None or settings.admin is None or not settings.route[number].arms:
        return []
    try:
        found = _stats(settings.admin)["splits"]
        split = next(split for split in found if split["route"] == number)
        if set(split["arms"]) != set(settings.route[number].arms):
            return []  # another file's proxy
        return ["".join(c if c.isprintable() else "?" for c in line) for line in _lines(split)]
    except _NOT_OURS:
        return []


def _stats(address: str) -> Any:
    """What ``/stats`` answers; raises one of many errors if that is no table."""
    until = time.monotonic() + PATIENCE
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    connection = http.client.HTTPConnection(_HERE.get(host, host), int(port), timeout=PATIENCE)
    try:
        connection.request("GET", "/stats")
        answer, body = connection.getresponse(), b""
        while piece := answer.read1(65536):
            body += piece
            if time.monotonic() > until or len(body) > _MOST_BYTES:
                raise TimeoutError
        return json.loads(body)
    finally:
        connection.close()


def _lines(split: Any) -> Iterator[str]:
    arms = split["arms"].items()
    shares = ", ".join(f"{arm} {one['share']:.2%} ({one['requests']:,} requests)" for arm, one in arms)
    yield f"running now: {shares}"
    canary = split.get("canary")
    if canary is None:
        return
    proof = f"evidence {float(canary['evidence']):.3g} of {1.0 / canary['alpha']:g}"
    yield f"canary {canary['watch']}: {canary['state']}, {proof}; {canary['figures']}"
    for change in canary["changes"][-_MOST_CHANGES:]:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(change["at"]))
        yield f"decided {when}: {change['state']} at {change['weight']:.2%}, because {change['reason']}"
