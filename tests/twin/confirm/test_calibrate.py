"""Calibration: the probes are idle, and known costs come back out of what they measure."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests import LoadTestError, Measurement
from scenarios import Scenario, Workload, load_scenario, parse_scenario, shipped_scenarios
from scenarios.loading import LoadedScenario
from simulator import Costs, simulate
from simulator.replication import simulate_once
from twin.confirm.calibrate import costs_from, hit_probe, miss_probe

PROBES = {"miss": miss_probe, "hit": hit_probe}


def measured(probe: Scenario, true: Costs) -> Measurement:
    """What a real system with these costs would yield for a probe."""
    records = simulate_once(probe, true).records
    asked = [request for request, _ in zip(Workload(probe).stream(0), range(len(records)), strict=False)]
    misses = int(np.count_nonzero(~records.hit))
    demand = sum(request.demand[0] for request in itertools.compress(asked, ~records.hit))
    return Measurement(
        records,
        void=[],
        generator={},
        proxy={"cpu_seconds": misses * true.miss_cpu + (len(records) - misses) * true.hit_cpu},
        backends={"busy_seconds": demand + misses * true.service_extra, "demand_seconds": demand},
    )


# -- the probes ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", shipped_scenarios())
@pytest.mark.parametrize("kind", PROBES)
def test_a_probe_is_a_scenario_that_runs_by_itself(name: str, kind: str) -> None:
    probe = PROBES[kind](load_scenario(name).scenario)
    assert isinstance(probe, Scenario)
    assert probe.compare == {}
    assert probe.warmup is not None
    assert 0 < probe.warmup < probe.duration < 5
    records = simulate(probe).records
    assert len(records) > 100
    assert set(records.status.tolist()) == {200}


@pytest.mark.parametrize("workload", [{"users": 50, "think": "1ms"}, {"rate": "900/s"}, {"trace": "t.csv"}])
@pytest.mark.parametrize("kind", PROBES)
def test_a_probe_is_idle_whatever_the_load(
    balancing: dict[str, Any],
    workload: dict[str, Any],
    kind: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text("time_s,object,size_bytes\n0,a,1\n1,b,1\n")
    probe = PROBES[kind](parse_scenario({**balancing, "workload": workload}).scenario)
    assert (probe.workload.users, probe.workload.rate, probe.workload.trace) == (1, None, None)
    queues = simulate(probe).queues
    assert max(int(queue.values.max()) for queue in queues.values()) == 1


def test_the_first_probe_asks_the_backends_and_the_second_one_the_cache(
    load: Callable[..., LoadedScenario], balancing: dict[str, Any], caching: dict[str, Any]
) -> None:
    for data in (balancing, caching):
        scenario = load(data).scenario
        assert not simulate(miss_probe(scenario)).records.hit.any()
        hits = simulate(hit_probe(scenario)).records
        assert np.count_nonzero(~hits.hit) == len(np.unique(hits.object))  # each object misses once
        assert hits.within((0.5, 10.0)).hit.mean() > 0.95


def test_a_miss_of_the_first_probe_is_stored_where_the_scenario_stores_it(
    load: Callable[..., LoadedScenario], balancing: dict[str, Any], caching: dict[str, Any]
) -> None:
    """Storing costs the proxy time at each miss, so that it belongs to the costs of a miss."""
    stored, plain = (miss_probe(load(data).scenario) for data in (caching, balancing))
    assert stored.proxy.caching and not plain.proxy.caching
    turned_out = simulate(stored.model_copy(update={"proxy": _tiny(stored.proxy)})).runs[0].turned_out
    assert turned_out["proxy"].too_large > 100, "each of them came to the store"
    assert not simulate(stored).records.hit.any()


def _tiny(proxy: Any) -> Any:
    """The proxy with a store that no response fits into."""
    return proxy.model_copy(update={"cache": proxy.cache.model_copy(update={"capacity": 1})})


def test_no_replica_of_a_probe_is_slow_and_all_work_is_equal(load: Callable[..., LoadedScenario]) -> None:
    probe = miss_probe(load().scenario)
    assert probe.backend["web"].slow == {}
    assert probe.backend["web"].service_time.scv == 0
    assert probe.backend["web"].service_time.mean == pytest.approx(0.005)


@pytest.mark.parametrize("kind", PROBES)
def test_a_probe_keeps_the_proxys_settings_and_the_objects_sizes(caching: dict[str, Any], kind: str) -> None:
    data = {**caching, "proxy": {**caching["proxy"], "limits": {"threads": 7}}}
    data["proxy"]["service"] = {"web": {"upstreams": "web", "balance": "p2c"}}
    data["proxy"]["route"] = [
        {"when": {"path": "/private/*"}, "respond": 403},
        {"when": {"method": "GET"}, "to": "web"},
    ]
    scenario = parse_scenario(data).scenario
    probe = PROBES[kind](scenario)
    assert probe.proxy.limits == scenario.proxy.limits
    assert probe.proxy.service == scenario.proxy.service
    assert [route.when for route in probe.proxy.route] == [route.when for route in scenario.proxy.route]
    assert probe.proxy.route[0] == scenario.proxy.route[0]
    assert probe.proxy.cache.policy == scenario.proxy.cache.policy
    assert probe.workload.size == scenario.workload.size
    assert probe.workload.popularity == scenario.workload.popularity


def test_a_probe_leaves_the_scenario_as_it_was(load: Callable[..., LoadedScenario]) -> None:
    scenario = load().scenario
    before = scenario.model_dump()
    miss_probe(scenario)
    hit_probe(scenario)
    assert scenario.model_dump() == before


# -- costs ---------------------------------------------------------------------------------------

TRUE = Costs(hit_cpu=0.0002, miss_cpu=0.0006, client_link=0.0004, upstream_link=0.0005, service_extra=0.0003)


def test_known_costs_come_back(load: Callable[..., LoadedScenario]) -> None:
    scenario = load().scenario
    found = costs_from(measured(miss_probe(scenario), TRUE), measured(hit_probe(scenario), TRUE))
    for name in ("hit_cpu", "miss_cpu", "client_link", "upstream_link", "service_extra"):
        assert getattr(found.costs, name) == pytest.approx(getattr(TRUE, name), rel=0.01), name
    assert np.allclose(found.costs.hit_spread, 0, atol=1e-9)
    assert np.allclose(found.costs.miss_spread, 0, atol=1e-9)
    assert set(found.samples) == {"miss", "hit"}
    assert min(found.samples.values()) > 100


def test_a_spread_comes_back_too(load: Callable[..., LoadedScenario]) -> None:
    scenario = load().scenario
    narrow, wide = (tuple(np.linspace(-width, width, 51)) for width in (0.0001, 0.0003))
    true = Costs(**{**asdict(TRUE), "hit_spread": narrow, "miss_spread": wide})
    found = costs_from(measured(miss_probe(scenario), true), measured(hit_probe(scenario), true)).costs
    assert np.allclose(found.hit_spread, narrow, atol=0.00003)
    assert np.allclose(found.miss_spread, wide, atol=0.00008)
    assert np.mean(found.miss_spread) == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("kind", PROBES)
def test_a_prediction_with_the_found_costs_is_what_was_measured(
    load: Callable[..., LoadedScenario], kind: str
) -> None:
    scenario = load().scenario
    spread = tuple(np.linspace(-0.0002, 0.0002, 51))
    true = Costs(**{**asdict(TRUE), "hit_spread": spread, "miss_spread": spread})
    found = costs_from(measured(miss_probe(scenario), true), measured(hit_probe(scenario), true)).costs
    probe = PROBES[kind](scenario)
    said, seen = simulate(probe, costs=found).summary, simulate(probe, costs=true).summary
    assert said.mean_ms == pytest.approx(seen.mean_ms, rel=0.01)
    assert said.p95_ms == pytest.approx(seen.p95_ms, rel=0.02)


def test_longer_or_shorter_probes_count_as_a_whole(load: Callable[..., LoadedScenario]) -> None:
    scenario = load().scenario
    short = costs_from(measured(miss_probe(scenario, 1.5), TRUE), measured(hit_probe(scenario, 1.0), TRUE))
    long = costs_from(measured(miss_probe(scenario, 8.0), TRUE), measured(hit_probe(scenario, 8.0), TRUE))
    assert short.costs.miss_cpu == pytest.approx(long.costs.miss_cpu, rel=0.02)
    assert long.samples["hit"] / short.samples["hit"] > 5
    assert long.samples["miss"] / short.samples["miss"] > 5


seconds = st.floats(0, 20)


@pytest.fixture(scope="module")
def probes(load: Callable[..., LoadedScenario]) -> tuple[Measurement, Measurement]:
    scenario = load().scenario
    return measured(miss_probe(scenario), TRUE), measured(hit_probe(scenario), TRUE)


@given(cpu=st.tuples(seconds, seconds), busy=seconds, demand=seconds, faster=st.floats(0, 0.006))
def test_no_cost_is_ever_negative(
    probes: tuple[Measurement, Measurement],
    cpu: tuple[float, float],
    busy: float,
    demand: float,
    faster: float,
) -> None:
    miss, hit = (
        Measurement(probe.records.select(np.arange(len(probe.records))), [], {}, {"cpu_seconds": used},
                    {"busy_seconds": busy, "demand_seconds": demand})
        for probe, used in zip(probes, cpu, strict=True)
    )  # fmt: skip
    miss.records.done[:] = np.maximum(miss.records.done - faster, miss.records.sent)
    found = costs_from(miss, hit).costs
    for name in ("hit_cpu", "miss_cpu", "client_link", "upstream_link", "service_extra"):
        assert getattr(found, name) >= 0, name
    simulate(miss_probe(parse_scenario(TINY).scenario, 1.0), costs=found)


TINY = {
    "title": "t",
    "workload": {"users": 1},
    "backend": {"web": {}},
    "proxy": {"route": [{"to": "web"}], "service": {"web": {"upstreams": "web"}}},
}


def test_probes_that_saw_nothing_are_an_error_in_words(load: Callable[..., LoadedScenario]) -> None:
    scenario = load().scenario
    miss, hit = measured(miss_probe(scenario), TRUE), measured(hit_probe(scenario), TRUE)
    nothing = Measurement(miss.records.within((98.0, 99.0)), [], {}, miss.proxy, miss.backends)
    for probes in ((nothing, hit), (miss, nothing), (miss, miss)):
        with pytest.raises(LoadTestError, match="the calibration got no responses"):
            costs_from(*probes)


# -- several proxies in a row --------------------------------------------------------------------

BEHIND = Costs(hit_cpu=0.0003, miss_cpu=0.0007, client_link=0.0, upstream_link=0.0002, service_extra=0.0003)


@pytest.fixture(scope="module", params=["reverse", "forward"])
def in_a_row(request: pytest.FixtureRequest, caching: dict[str, Any]) -> Scenario:
    edge: dict[str, Any] = {"route": [{"to": "next"}], "service": {"next": {"upstreams": "proxy.1"}}}
    first = {"forward": {}} if request.param == "forward" else edge
    return parse_scenario({**caching, "compare": {}, "proxy": [first, caching["proxy"]]}).scenario


def measured_in_a_row(probe: Scenario, first: Costs, second: Costs) -> Measurement:
    run = measured(probe, replace(first, behind=(second,)))
    reached = np.count_nonzero(run.records.cache != 1)
    by_second = np.count_nonzero(run.records.cache == 2)
    own = len(run.records) - reached
    return replace(
        run,
        proxy={"cpu_seconds": own * first.hit_cpu + reached * first.miss_cpu},
        behind_cpu_seconds=[by_second * second.hit_cpu + (reached - by_second) * second.miss_cpu],
    )


def test_each_proxy_of_a_chain_has_its_own_probe(in_a_row: Scenario) -> None:
    assert not simulate(miss_probe(in_a_row)).records.hit.any()
    for place in (0, 1):
        records = simulate(hit_probe(in_a_row, place=place)).records
        assert set(records.cache.tolist()) == {0, place + 1}
        assert (records.cache == place + 1).mean() > 0.9


def test_the_known_costs_of_every_hop_come_back(in_a_row: Scenario) -> None:
    probes = [miss_probe(in_a_row), *(hit_probe(in_a_row, place=place) for place in (0, 1))]
    found = costs_from(*(measured_in_a_row(probe, TRUE, BEHIND) for probe in probes))
    (behind,) = found.costs.behind
    for name in ("hit_cpu", "miss_cpu", "client_link", "upstream_link", "service_extra"):
        assert getattr(found.costs, name) == pytest.approx(getattr(TRUE, name), rel=0.02), name
    for name in ("hit_cpu", "miss_cpu", "upstream_link"):
        assert getattr(behind, name) == pytest.approx(getattr(BEHIND, name), rel=0.02), name
    assert set(found.samples) == {"miss", "hit", "hit of proxy.1"}


# -- proxies side by side ------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["in order", "upside down"])
def hierarchy(request: pytest.FixtureRequest, caching: dict[str, Any]) -> Scenario:
    """Two edges before two shields; in the file the edges come first, or last."""
    first = 2 if request.param == "in order" else 0
    names = [f"proxy.{first}", f"proxy.{first + 1}"]
    edge: dict[str, Any] = {
        "route": [{"to": "next"}],
        "service": {"next": {"upstreams": names, "balance": "round_robin"}},
    }
    edges, shields = [edge, edge], [caching["proxy"], caching["proxy"]]
    doors = ["proxy.0", "proxy.1"] if first else ["proxy.2", "proxy.3"]
    workload = {**caching["workload"], "doors": doors}
    proxies = edges + shields if first else shields + edges
    return parse_scenario({**caching, "compare": {}, "workload": workload, "proxy": proxies}).scenario


def test_the_probes_of_a_hierarchy_take_one_way(hierarchy: Scenario) -> None:
    way = hierarchy.topology.longest_way()
    assert way in ([0, 2], [2, 0])
    for probe in (miss_probe(hierarchy), *(hit_probe(hierarchy, place=number) for number in way)):
        queues = simulate(probe).queues
        for number, name in enumerate(hierarchy.proxies):
            assert (queues[name].values.max() > 0) <= (number in way), name
    for number in way:
        records = simulate(hit_probe(hierarchy, place=number)).records
        assert set(records.cache.tolist()) == {0, number + 1}


def test_the_known_costs_of_every_tier_come_back(hierarchy: Scenario) -> None:
    way = hierarchy.topology.longest_way()
    true = replace(TRUE, behind=(BEHIND,))

    def along(probe: Scenario) -> Measurement:
        run = measured(probe, true)
        cpu = dict.fromkeys(range(len(probe.chain)), 0.0)
        asked = run.records.cache >= 0
        for tier, number in enumerate(way):
            answered, costs = asked & (run.records.cache == number + 1), true.hop(tier)
            asked &= ~answered
            hits, misses = np.count_nonzero(answered), np.count_nonzero(asked)
            cpu[number] = hits * costs.hit_cpu + misses * costs.miss_cpu
        first, *others = cpu.values()
        return replace(run, proxy={"cpu_seconds": first}, behind_cpu_seconds=others)

    probes = [miss_probe(hierarchy), *(hit_probe(hierarchy, place=number) for number in way)]
    found = costs_from(*map(along, probes), way=way)
    (behind,) = found.costs.behind
    for name in ("hit_cpu", "miss_cpu", "client_link", "upstream_link", "service_extra"):
        assert getattr(found.costs, name) == pytest.approx(getattr(TRUE, name), rel=0.02), name
    for name in ("hit_cpu", "miss_cpu", "upstream_link"):
        assert getattr(behind, name) == pytest.approx(getattr(BEHIND, name), rel=0.02), name
    assert set(found.samples) == {"miss", "hit", f"hit of proxy.{way[1]}"}
