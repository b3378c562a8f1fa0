"""Real runs for lesson 3: ten independent servers at once, and a load generator with one connection."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lessons.trust.replications import RUNS, SERVICE_S, one_server
from scenarios import load_scenario
from scenarios.loading import LoadedScenario
from scenarios.records import NO_UPSTREAM, Records


def ten_at_once(load: float = 0.8, duration_s: float = 12.0) -> LoadedScenario:
    """Ten servers of `one_server` side by side, so that ten real runs take as long as one.

    A balancer sends each request to a server at random. So each server gets its own random arrivals, at its
    own random moments, and none of them affects another.
    """
    return one_server(
        load,
        duration_s,
        workload__rate=f"{RUNS * load / SERVICE_S:g}/s",
        backend__web__replicas=RUNS,
        proxy__service__web__balance="random",
    )


def means_by_server(records: Records) -> NDArray[np.float64]:
    """The mean response time of each server, in seconds: one value for each run of `ten_at_once`."""
    numbers = np.unique(records.upstream[records.upstream != NO_UPSTREAM])
    return np.array([records.response[records.upstream == number].mean() for number in numbers])


def one_connection(duration_s: float, connections: int = 1) -> LoadedScenario:
    """The shipped scenario ``coordinated-omission`` with one connection, or with a few."""
    changes = {"duration": f"{duration_s:g}s", "workload.connections": connections, "compare": {}}
    return load_scenario("coordinated-omission", changes)
