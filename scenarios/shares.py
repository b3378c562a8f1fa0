"""How a run's requests are spread over services, such as the arms of a split route, and how they fare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from policies.settings import ProxySettings


class ServiceFigures(NamedTuple):
    """What one service got and answered.

    Attributes
    ----------
    share : float
        Share of this service in the requests that a backend answered.
    error_ratio : float or None
        Share of its answers with a status of 500 or more; ``None`` if it answered nothing.
    answers : float
        Number of its answers; their average over several runs.
    """

    share: float
    error_ratio: float | None
    answers: float


def servers_by_service(proxy: ProxySettings, replicas: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """The servers of each service that a route leads to, as numbers in `replicas`.

    Empty for a single service, and if a server's name does not tell its service: two services share a
    backend, or one of them leads to another proxy.
    """
    names = dict.fromkeys(name for route in proxy.route for name in route.services)
    owners = [name.rpartition("/")[0] for name in replicas]
    backends = {name: {upstream.address for upstream in proxy.service[name].upstreams} for name in names}
    led = [address for addresses in backends.values() for address in addresses]
    if len(names) < 2 or len(set(led)) < len(led) or not set(led) <= set(owners):
        return {}
    return {
        name: tuple(number for number, owner in enumerate(owners) if owner in addresses)
        for name, addresses in backends.items()
    }


def figures_by_service(
    upstream: NDArray[np.int16], failed: NDArray[np.bool_], services: Mapping[str, tuple[int, ...]]
) -> dict[str, ServiceFigures]:
    """The figures of each service.

    Parameters
    ----------
    upstream : ndarray of int
        Which replica answered each request; negative if none did.
    failed : ndarray of bool
        Whether the answer is an error.
    services : mapping of str to tuple of int
        The replicas of each service.
    """
    total = max(int(np.count_nonzero(upstream >= 0)), 1)
    found = {}
    for name, replicas in services.items():
        own = np.isin(upstream, replicas)
        answers = int(np.count_nonzero(own))
        errors = float(failed[own].mean()) if answers else None
        found[name] = ServiceFigures(answers / total, errors, float(answers))
    return found


def mean_by_service(runs: list[dict[str, ServiceFigures]]) -> dict[str, ServiceFigures]:
    """The averages of several runs; those of the errors over the runs in which the service answered."""
    return {
        name: ServiceFigures(
            float(np.mean([run[name].share for run in runs])),
            _mean([run[name].error_ratio for run in runs]),
            float(np.mean([run[name].answers for run in runs])),
        )
        for name in runs[0]
    }


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
