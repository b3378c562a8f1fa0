"""Small scenarios, and confirmations whose both sides come from the model, so that no socket is needed."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from loadtests import Measurement
from scenarios import Records, Scenario, Summary
from scenarios.loading import LoadedScenario
from simulator import Costs
from simulator.replication import simulate_once
from twin.cli import entry_point, interruption
from twin.confirm.outcome import Confirmation


def summary(**changes: Any) -> Summary:
    figures: dict[str, Any] = {
        "throughput_rps": 100.0,
        "mean_ms": 20.0,
        "p50_ms": 15.0,
        "p95_ms": 60.0,
        "p99_ms": 90.0,
        "hit_ratio": 0.5,
        "error_ratio": 0.0,
        "upstream_share": {"web/0": 0.75, "web/1": 0.25},
        "requests": 1000,
    }
    return Summary(**{**figures, **changes})


class ModelStage:
    """Replaces `loadtests.Stage`: the simulator, with other costs, is the measured system.

    Parameters
    ----------
    costs : Costs
        What this system's requests cost.
    void : dict of int to list of str
        Why some runs are void, by the number of the run.
    """

    def __init__(self, costs: Costs | None = None, void: dict[int, list[str]] | None = None) -> None:
        self.costs = costs or Costs()
        self.void = void or {}
        self.asked: list[Scenario] = []
        self.closed = False

    def __enter__(self) -> ModelStage:
        return self

    def __exit__(self, *_: object) -> None:
        self.closed = True

    def measure(
        self, scenario: Scenario, progress: Callable[[float, float], None] = lambda *_: None
    ) -> Measurement:
        number = len(self.asked)
        self.asked.append(scenario)
        progress(scenario.duration / 2, scenario.duration)
        progress(scenario.duration, scenario.duration)
        records = simulate_once(scenario, self.costs, luck=1000 + number).records
        extra = (len(records) - int(records.hit.sum())) * self.costs.service_extra
        cpus = [self._cpu_seconds(records, place) for place in range(len(scenario.chain))]
        return Measurement(
            records,
            self.void.get(number, []),
            {},
            {"cpu_seconds": cpus[0]},
            {"busy_seconds": 1.0 + extra, "demand_seconds": 1.0},
            cpus[1:],
        )

    def _cpu_seconds(self, records: Records, place: int) -> float:
        """Of one proxy of the chain: it answers by itself, or passes on what no cache before it has."""
        hits = int((records.cache == place + 1).sum())
        passed = int(((records.cache == 0) | (records.cache > place + 1)).sum())
        costs = self.costs.hop(place)
        return hits * costs.hit_cpu + passed * costs.miss_cpu


@pytest.fixture(name="ModelStage", scope="session")
def _model_stage() -> type[ModelStage]:
    return ModelStage


@pytest.fixture(name="summary", scope="session")
def _summary() -> Callable[..., Summary]:
    return summary


@pytest.fixture(scope="module")
def balanced(load: Callable[..., LoadedScenario], confirmation: Callable[..., Confirmation]) -> Confirmation:
    return confirmation(load())


@pytest.fixture(scope="module")
def cached(
    load: Callable[..., LoadedScenario], caching: dict[str, Any], confirmation: Callable[..., Confirmation]
) -> Confirmation:
    return confirmation(load(caching))


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., tuple[int, str, str]]]:
    """A command in this process: exit code, standard output, standard error."""
    numbers = (*interruption.INTERRUPTIONS, signal.SIGALRM)
    before = {number: signal.getsignal(number) for number in numbers}
    hook = sys.unraisablehook

    def main(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["proxytwin", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            entry_point.main()
        code = end.value.code
        assert isinstance(code, int)
        return code, *capsys.readouterr()

    yield main
    for number, handler in before.items():
        signal.signal(number, handler)
    sys.unraisablehook = hook
