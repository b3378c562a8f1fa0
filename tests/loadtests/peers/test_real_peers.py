"""Debian's own nginx, HAProxy, Squid and Varnish before the backends of a scenario."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psutil
import pytest

from loadtests import LoadTestError, Measurement, Stage
from loadtests.free_port import free_port
from loadtests.peers.registry import PEERS
from scenarios import Scenario

Scenarios = Callable[..., Scenario]
EACH = [pytest.param(name, marks=pytest.mark.needs(peer.program)) for name, peer in PEERS.items()]
SHORT = {"duration": "1200ms", "warmup": "200ms", "workload.users": 4}


@pytest.fixture(scope="module")
def measured() -> Iterator[Callable[[str, Scenario], Measurement]]:
    """One stage for all peers: only the proxy differs."""
    with Stage() as stage:

        def run(name: str, scenario: Scenario) -> Measurement:
            stage.real = name
            return stage.measure(scenario)

        yield run


def complaints(run: Measurement) -> list[str]:
    """Reasons of a void run that no busy machine can cause."""
    return [reason for reason in run.void if "late" not in reason and "longer than" not in reason]


@pytest.mark.parametrize("name", EACH)
def test_records_of_a_run_are_complete(
    name: str, measured: Callable[[str, Scenario], Measurement], scenario: Scenarios
) -> None:
    run = measured(name, scenario(SHORT))
    assert complaints(run) == []
    assert set(run.records.status.tolist()) == {200}
    assert set(run.records.upstream.tolist()) == {0, 1}
    assert run.backends["requests"] == len(run.records)
    assert run.proxy["cpu_seconds"] >= 0


@pytest.mark.parametrize("name", EACH)
def test_hits_are_seen(
    name: str, measured: Callable[[str, Scenario], Measurement], scenario: Scenarios
) -> None:
    run = measured(
        name, scenario({**SHORT, "workload.objects": 10, "proxy.cache.capacity": "4MiB"}, cached=True)
    )
    hits = int(run.records.hit.sum())
    assert complaints(run) == []
    assert hits >= 0.5 * len(run.records)
    assert run.backends["requests"] == len(run.records) - hits


@pytest.mark.needs("nginx")
def test_a_peer_that_cannot_start_says_why_and_nothing_is_left(
    measured: Callable[[str, Scenario], Measurement], scenario: Scenarios, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PEERS["nginx"], "files", lambda _order: {"nginx.conf": "nonsense;"})
    with pytest.raises(LoadTestError, match=r'nginx ended(.|\n)*unknown directive "nonsense"'):
        measured("nginx", scenario(SHORT))


@pytest.mark.needs("nginx")
@pytest.mark.parametrize("end", ["hang_up", "terminate", "kill"])
def test_a_peer_ends_with_what_started_it(end: str, tmp_path: object, scenario: Scenarios) -> None:
    import sys
    from pathlib import Path

    from loadtests.peers.base import Order
    from loadtests.peers.installed import program_of
    from loadtests.run.processes import Child
    from loadtests.run.proxy_files import with_addresses

    folder = Path(str(tmp_path))
    settings = with_addresses(scenario().chain[0], {"web/0": 9, "web/1": 9})
    order = Order(settings, [], folder, free_port())
    peer = PEERS["nginx"]
    for name, text in peer.files(order).items():
        (folder / name).write_text(text)
    command = [sys.executable, "-m", "loadtests.run.peer_child", str(order.port)]
    with Child("nginx", command + peer.command(program_of(peer), order)) as child:
        assert child.expect(20)["port"] == order.port
        below = psutil.Process(child.pid).children(recursive=True)
        assert len(below) >= 2
        if end == "kill":
            below[0].kill()
        else:
            getattr(child, end)()
        child.wait(10)
        _, alive = psutil.wait_procs(below, timeout=10)
        assert not alive
