"""Small scenarios, and confirmations whose both sides come from the model, so that no socket is needed."""

from __future__ import annotations

import copy
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from loadtests import Measurement
from scenarios import Records, Scenario, Summary, parse_scenario
from scenarios.loading import LoadedScenario
from simulator import Costs, simulate
from simulator.replication import simulate_once
from twin import cli, compare, interruption
from twin.outcome import Calibration, Confirmation, VariantOutcome

BALANCING: dict[str, Any] = {
    "title": "Which balancer?",
    "seed": 3,
    "duration": "3s",
    "warmup": "500ms",
    "workload": {"users": 8, "think": "exponential(60ms)", "objects": 50, "size": "300"},
    "backend": {
        "web": {"replicas": 2, "concurrency": 2, "service_time": "erlang(10ms, 4)", "slow": {1: 3.0}}
    },
    "proxy": {"route": [{"to": "web"}], "service": {"web": {"upstreams": "web"}}},
    "compare": {"proxy.service.web.balance": ["round_robin", "least_requests"]},
}
CACHING: dict[str, Any] = {
    **BALANCING,
    "title": "Which eviction policy?",
    "rank_by": "hit_ratio",
    "backend": {"web": {"cache_control": "max-age=60"}},
    "proxy": {
        "route": [{"to": "web", "cache": True}],
        "service": {"web": {"upstreams": "web"}},
        "cache": {"policy": "lru", "capacity": "10KiB"},
    },
    "compare": {"proxy.cache.policy": ["fifo", "lru", "sieve"]},
}


def load(data: dict[str, Any] = BALANCING, **changes: Any) -> LoadedScenario:
    """A scenario with some of its top-level keys changed."""
    return parse_scenario({**copy.deepcopy(data), **changes}, name="small")


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


def confirmation(
    loaded: LoadedScenario, *, slower: float = 0.0, void: list[str] | None = None
) -> Confirmation:
    """What `confirm` would find if the real system were the model, with backends `slower` by some seconds."""
    true = replace(Costs(), service_extra=Costs().service_extra + slower)
    said = [simulate(variant.scenario, costs=Costs()).runs[0] for variant in loaded.variants]
    seen = [simulate(variant.scenario, costs=true).runs[0] for variant in loaded.variants]
    noise = compare.noise_floor([[run.summary, run.summary] for run in seen])
    outcomes = []
    for variant, one, other in zip(loaded.variants, said, seen, strict=True):
        apart = compare.difference(one.summary, other.summary)
        window = variant.scenario.window
        outcomes.append(
            VariantOutcome(
                variant,
                one.summary,
                other.summary,
                apart,
                compare.verdict(apart, noise),
                one.records.within(window),
                other.records.within(window),
            )
        )
    rankings = {
        metric: compare.ranking(
            compare.intervals([[run.summary] * 2 for run in said], metric),
            compare.intervals([[run.summary] * 2 for run in seen], metric),
            metric,
        )
        for metric in dict.fromkeys(["p99_ms", loaded.scenario.rank_by])
    }
    calibration = Calibration(Costs(), {"miss": 289, "hit": 296})
    return Confirmation(loaded.name, loaded.scenario, calibration, outcomes, noise, rankings, void or [])


class ModelStage:
    """In the place of `loadtests.Stage`: the model, with costs of its own, as the system that is measured.

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


@pytest.fixture(scope="session")
def in_a_second() -> Callable[[Callable[[], Any]], Any]:
    """What a lesson answers, in under a second of this thread's processor time.

    In the best of several rounds: what else runs is not the lesson's, but slows its thread down.
    """

    def answered(answer: Callable[[], Any]) -> Any:
        spent: list[float] = []
        while len(spent) < 5 and (not spent or spent[-1] >= 1.0):
            started = time.thread_time()
            found = answer()
            spent.append(time.thread_time() - started)
        assert min(spent) < 1.0
        return found

    return answered


@pytest.fixture(name="ModelStage", scope="session")
def _model_stage() -> type[ModelStage]:
    return ModelStage


@pytest.fixture(name="load", scope="session")
def _load() -> Callable[..., LoadedScenario]:
    return load


@pytest.fixture(name="summary", scope="session")
def _summary() -> Callable[..., Summary]:
    return summary


@pytest.fixture(name="confirmation", scope="session")
def _confirmation() -> Callable[..., Confirmation]:
    return confirmation


@pytest.fixture(scope="session")
def balancing() -> dict[str, Any]:
    return BALANCING


@pytest.fixture(scope="session")
def caching() -> dict[str, Any]:
    return CACHING


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
            cli.main()
        code = end.value.code
        assert isinstance(code, int)
        return code, *capsys.readouterr()

    yield main
    for number, handler in before.items():
        signal.signal(number, handler)
    sys.unraisablehook = hook
