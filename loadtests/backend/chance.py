"""What a replica draws by itself: extra work, errors, and the latency of its link; as in the simulator.

Not locked: a replica locks its draws.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def own_work(settings: dict[str, Any], replica: str) -> Callable[[], float] | None:
    """A function that draws the random extra work of a server; None without ``jitter`` and ``hiccup``."""
    if not settings.get("jitter") and not settings.get("hiccup"):
        return None
    from scenarios.backends import BackendSettings

    chance = BackendSettings(jitter=settings.get("jitter"), hiccup=settings.get("hiccup"))
    return chance.own_work(settings["seed"], replica)


def own_error(settings: dict[str, Any], replica: str) -> Callable[[], bool] | None:
    """A function that says whether the next response is an error; None without ``errors``."""
    if not settings.get("errors"):
        return None
    from scenarios.chance import own_errors

    return own_errors(settings["errors"], settings["seed"], replica)


def latency(settings: dict[str, Any], replica: str) -> Callable[[], float] | None:
    """A function that draws the latency of the link between proxy and server; None without ``latency``."""
    if not settings.get("latency"):
        return None
    from scenarios.distributions import parse_distribution
    from scenarios.latency import latency_draws

    return latency_draws(parse_distribution(settings["latency"]), settings["seed"], replica)
