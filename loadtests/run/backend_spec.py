"""What the process of the backends is told about a scenario's backends."""

from __future__ import annotations

from typing import Any

from scenarios.schema import Scenario

_KEYS = {"replicas", "concurrency", "slow", "slow_during", "fail", "cache_control"}


def backend_spec(scenario: Scenario) -> tuple[dict[str, dict[str, Any]], bool]:
    """Settings by backend, for `loadtests.backend.server`, and whether they have random numbers."""
    settings = {name: backend.model_dump(include=_KEYS) for name, backend in scenario.backend.items()}
    by_chance = False
    for name, backend in scenario.backend.items():
        latency = scenario.link.backend
        if backend.jitter or backend.hiccup or backend.errors or latency:
            by_chance = True
            settings[name] |= {
                "jitter": backend.jitter and str(backend.jitter),
                "hiccup": backend.hiccup and backend.hiccup.model_dump(),
                "errors": backend.errors,
                "latency": latency and str(latency),
                "seed": scenario.seed,
            }
    return settings, by_chance
