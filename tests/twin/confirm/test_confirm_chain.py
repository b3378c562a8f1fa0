"""A chain of proxies is calibrated hop by hop, predicted, measured and shown as one proxy is."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from scenarios.loading import LoadedScenario
from simulator import Costs
from twin.cli.terminal import print_confirmation
from twin.confirm.outcome import Confirmation
from twin.confirm.procedure import confirm
from twin.confirm.report import confirmation_page

BEHIND = Costs(hit_cpu=0.0003, miss_cpu=0.0007, client_link=0.0, upstream_link=0.0002)
TRUE = replace(Costs(), behind=(BEHIND,))


@pytest.fixture(scope="module")
def found(
    load: Callable[..., LoadedScenario],
    caching: dict[str, Any],
    ModelStage: Callable[..., Any],  # noqa: N803
) -> Confirmation:
    """What `confirm` says of a system that is the model, with other costs than are assumed."""
    edge = {
        "route": [{"to": "next", "cache": True}],
        "service": {"next": {"upstreams": "proxy.1"}},
        "cache": {"policy": "lru", "capacity": "5KiB", "overhead": "512B"},
    }
    asked = {"proxy.1.cache.policy": ["fifo", "lfu"]}
    loaded = load(caching, proxy=[edge, caching["proxy"]], compare=asked, duration="2s")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("twin.confirm.procedure.Stage", lambda: ModelStage(TRUE))
        return confirm(loaded)


def test_a_chain_is_confirmed_with_the_costs_of_every_hop(found: Confirmation) -> None:
    assert [outcome.verdict for outcome in found.variants] == ["confirmed", "confirmed"]
    (behind,) = found.calibration.costs.behind
    assert behind.miss_cpu == pytest.approx(BEHIND.miss_cpu, rel=0.05)
    for outcome in found.variants:
        said, seen = outcome.simulated.cache_share, outcome.measured.cache_share
        assert set(said) == {"proxy.0", "proxy.1"}
        assert said == pytest.approx(seen, abs=0.02)
        assert min(seen.values()) > 0.02


def test_json_page_and_terminal_tell_of_every_hop(found: Confirmation) -> None:
    data = found.as_dict()
    assert [set(behind) for behind in data["calibration"]["behind"]] == [
        {"hit_cpu", "miss_cpu", "client_link", "upstream_link", "service_extra"}
    ]
    assert set(data["variants"][0]["measured"]["cache_share"]) == {"proxy.0", "proxy.1"}
    page = confirmation_page(found)
    assert "Share of requests that each cache answered" in page
    assert "proxy.1: CPU time of the proxy" in page
    console = Console(file=io.StringIO(), width=100)
    print_confirmation(found, console)
    assert "Share of requests that each cache answered" in console.file.getvalue()  # type: ignore[attr-defined]
