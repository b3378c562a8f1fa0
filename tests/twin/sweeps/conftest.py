"""A small scenario, what was simulated of it, and a policy that breaks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from policies.eviction import EvictionPolicy, eviction_policies, eviction_policy
from twin.sweeps import runners

FILE = """
title = "What do these tests show?"
seed = 3
duration = "{duration}"
warmup = "200ms"
[workload]
users = 8
think = "exponential(60ms)"
objects = 50
size = "300"
[backend.web]
replicas = 2
concurrency = 2
service_time = "exponential(10ms)"
cache_control = "max-age=60"
[proxy]
route = [{{ to = "web", cache = true }}]
service = {{ web = {{ upstreams = "web" }} }}
cache = {{ policy = "lru", capacity = "10KiB", overhead = "512B" }}
"""


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(FILE.format(duration="1s"))
    return path


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys of the cells that were simulated in this process."""
    keys: list[str] = []
    real = runners.simulate_cell

    def remember(added: Any, key: str, *rest: Any) -> Any:
        keys.append(key)
        return real(added, key, *rest)

    monkeypatch.setattr(runners, "simulate_cell", remember)
    return keys


@eviction_policy("breaks")
class Breaks(EvictionPolicy):
    """Raises when it should evict."""

    def touch(self, key: object, now: float) -> None:
        pass

    def _admit(self, key: object, size: int, now: float) -> None:
        pass

    def _evict(self, now: float) -> object:
        raise ZeroDivisionError("no\nidea")

    def _forget(self, key: object) -> None:
        pass


del eviction_policies._classes["breaks"]


@pytest.fixture
def breaks() -> type[EvictionPolicy]:
    return Breaks


@pytest.fixture
def breaking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(eviction_policies._classes, "breaks", Breaks)
