"""What a confirmation is as JSON, and when it counts as refuted."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from scenarios.loading import LoadedScenario
from simulator import Costs
from twin.confirm.outcome import Calibration, Confirmation

FIGURES = {
    "throughput_rps", "mean_ms", "p50_ms", "p95_ms", "p99_ms", "hit_ratio", "error_ratio", "upstream_share",
    "fetch_rps", "fetches_per_expiry",
}  # fmt: skip


@pytest.fixture(scope="module")
def cached(
    load: Callable[..., LoadedScenario], caching: dict[str, Any], confirmation: Callable[..., Confirmation]
) -> Confirmation:
    return confirmation(load(caching), void=["lru: too late"])


def test_the_json_has_the_promised_keys(cached: Confirmation) -> None:
    data = cached.as_dict()
    assert {"scenario", "seed", "calibration", "void", "variants", "ranking"} <= set(data)
    assert (data["scenario"], data["seed"], data["void"]) == ("small", 3, ["lru: too late"])
    assert [variant["setting"] for variant in data["variants"]] == [
        {"proxy.cache.policy": policy} for policy in ("fifo", "lru", "sieve")
    ]
    for variant in data["variants"]:
        assert set(variant) >= {"setting", "simulated", "measured", "difference", "noise", "verdict"}
        assert set(variant["simulated"]) == set(variant["measured"]) >= FIGURES
        assert set(variant["difference"]) == set(variant["noise"]) == FIGURES - {"upstream_share"}
        assert (variant["verdict"], variant["void"]) == ("void", ["lru: too late"])
        assert variant["tolerance"] == {}, "where a run is void, nothing is judged"
        assert set(variant["not_judged"]) == set(variant["difference"])
        assert set(variant["simulated"]["upstream_share"]) == {"web/0"}


def test_the_json_is_plain_data(cached: Confirmation) -> None:
    assert json.loads(json.dumps(cached.as_dict(), allow_nan=False)) == cached.as_dict()


def test_the_ranking_is_by_the_scenarios_own_metric(cached: Confirmation) -> None:
    data = cached.as_dict()
    assert data["ranking"] == {"metric": "hit_ratio", "kendall_tau": 1.0, "pairs": 3}
    assert set(data["rankings"]) == {"p99_ms", "hit_ratio"}
    ratios = {
        variant["setting"]["proxy.cache.policy"]: variant["measured"]["hit_ratio"]
        for variant in data["variants"]
    }
    order = data["rankings"]["hit_ratio"]["measured"]
    assert [ratios[policy] for policy in order] == sorted(ratios.values(), reverse=True)


def test_one_refuted_variant_refutes(cached: Confirmation) -> None:
    assert not cached.refuted
    changed = [*cached.variants[1:], replace(cached.variants[0], verdict="refuted")]
    assert replace(cached, variants=changed).refuted
    assert not replace(cached, variants=[replace(cached.variants[0], verdict="inconclusive")]).refuted


def test_the_json_says_what_is_judged_and_why_the_rest_is_not(balanced: Confirmation) -> None:
    for variant in balanced.as_dict()["variants"]:
        assert variant["verdict"] == "confirmed"
        assert variant["tolerance"]["p50_ms"] == pytest.approx(0.1)
        assert set(variant["not_judged"]) == {"p99_ms"}
        assert set(variant["tolerance"]) | {"p99_ms"} == set(variant["difference"])


@pytest.mark.parametrize(
    ("metric", "apart", "expected"),
    [
        ("mean_ms", 0.04, "+4.0%"),
        ("mean_ms", -0.07, "-7.0%"),  # beyond its tolerance
        ("p50_ms", -0.5, "-0.4ms"),  # half of 0.8 ms
        ("p50_ms", 0.05, "+5.0%"),
        ("p99_ms", 0.3, "(+30.0%)"),  # not judged
        ("hit_ratio", 0.002, "+0.2pp"),
        ("hit_ratio", None, "–"),
    ],
)
def test_a_difference_shows_whether_and_how_it_was_judged(
    balanced: Confirmation, metric: str, apart: float | None, expected: str
) -> None:
    first = balanced.variants[0]
    off = replace(
        first,
        measured=replace(first.measured, p50_ms=0.8, mean_ms=50.0),
        difference=first.difference | {metric: apart},
    )
    assert off.difference_text(metric) == expected
    assert off.beyond(metric) == (expected == "-7.0%")
    void = replace(off, verdict="void")
    assert not void.beyond(metric)
    assert "(" not in void.difference_text(metric), "the verdict says it of all figures"


def test_a_calibration_is_written_in_seconds_without_its_spreads() -> None:
    costs = Costs(0.001, 0.002, 0.003, 0.004, 0.005, (0.1,), (0.2,))
    assert Calibration(costs, {"miss": 3, "hit": 4}).as_dict() == {
        "hit_cpu": 0.001,
        "miss_cpu": 0.002,
        "client_link": 0.003,
        "upstream_link": 0.004,
        "service_extra": 0.005,
        "samples": {"miss": 3, "hit": 4},
    }
    assert Calibration.given(costs).samples == {}


def test_what_never_settles_is_in_the_json(cached: Confirmation) -> None:
    assert cached.as_dict()["unsettled"] == {}
    first, *others = cached.variants
    grown = replace(cached, variants=[replace(first, unsettled="the queue never settles"), *others])
    assert grown.as_dict()["unsettled"] == {first.variant.label: "the queue never settles"}
