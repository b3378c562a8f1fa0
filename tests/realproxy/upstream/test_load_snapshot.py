"""A balancer that learns of the loads only now and then, in the real proxy."""

from __future__ import annotations

import random

from policies.settings import Service as Settings
from realproxy.upstream.service import Service


def outstanding(load_snapshot: str) -> list[int]:
    """Requests under way, by upstream, after thirty that none has answered."""
    upstreams = [f"127.0.0.1:{port}" for port in (9001, 9002, 9003)]
    settings = Settings(upstreams=upstreams, balance="least_requests", load_snapshot=load_snapshot)
    service = Service("web", settings, random.Random(1))
    for _ in range(30):
        service.start("127.0.0.1")
    return [one["outstanding"] for one in service.counts()]


def test_a_balancer_that_knows_the_loads_keeps_them_equal() -> None:
    assert outstanding("0s") == [10, 10, 10]


def test_between_two_looks_it_sees_no_loads_but_the_counts_are_true() -> None:
    found = outstanding("100h")
    assert sum(found) == 30
    assert found != [10, 10, 10]
