"""Which backend asks which: the graph of a scenario's `calls`, without cycles."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from policies.registry import nearest
from scenarios.backends import BackendSettings

MOST_CALLS = 400
"""Highest number of calls that one request may cause, at all backends that it may reach first together: the
plan of all of them travels in one field of the request."""

Backends = Mapping[str, BackendSettings]


def check_calls(backends: Backends, asked_first: Collection[str]) -> None:
    """Check that all calls lead to backends, never back, and to not too many of them.

    Raises
    ------
    ValueError
        In one line, with the key.
    """
    for name, backend in backends.items():
        for place, call in enumerate(backend.calls):
            if call.to not in backends:
                hint = nearest(call.to, list(backends))
                raise ValueError(f"backend.{name}.calls.{place}.to: no backend {call.to!r}{hint}")
    caused: dict[str, int] = {}
    for name in callees_first(backends):
        caused[name] = sum(call.times * (1 + caused[call.to]) for call in backends[name].calls)
    if (most := sum(caused[name] for name in asked_first)) > MOST_CALLS:
        first = max(asked_first, key=lambda name: caused[name])
        raise ValueError(
            f"backend.{first}.calls: one request may cause {most:,} calls in all; "
            f"expected at most {MOST_CALLS}, for it carries the plan of all of them"
        )


def callees_first(backends: Backends) -> list[str]:
    """All backends, each after those that it calls.

    Raises
    ------
    ValueError
        If there is a cycle; it names the cycle.
    """
    order: dict[str, None] = {}

    def visit(name: str, callers: tuple[str, ...]) -> None:
        if name in callers:
            cycle = " -> ".join([*callers[callers.index(name) :], name])
            raise ValueError(
                f"backend.{callers[-1]}.calls: {cycle} is a cycle; expected no way back to a caller"
            )
        if name in order:
            return
        for call in backends[name].calls:
            visit(call.to, (*callers, name))
        order[name] = None

    for name in backends:
        visit(name, ())
    return list(order)


def called(backends: Backends, name: str) -> list[str]:
    """The backends that one backend asks, each once, in the order of its calls."""
    return list(dict.fromkeys(call.to for call in backends[name].calls))


def with_sidecars(backends: Backends) -> list[str]:
    """The backends that call or are called, in the order of the file: their replicas have sidecars."""
    callees = {call.to for backend in backends.values() for call in backend.calls}
    return [name for name, backend in backends.items() if backend.calls or name in callees]
