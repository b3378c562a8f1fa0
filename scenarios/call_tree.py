"""The calls that one request causes: a tree, drawn before the request is sent.

The tree travels with the request, in the field Proxytwin-Demand, and backends only obey it. So both twins
give the same work to the same call, whichever replica gets it and however often it is tried.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import chain, repeat
from typing import NamedTuple

import numpy as np

from scenarios.backends import BackendSettings, CallSettings

_BLOCK = 128
_STREAM = 2**31 + 8
"""Stream of a user's calls; the streams of its requests have smaller numbers."""


class PlannedCall(NamedTuple):
    """A call that a request causes.

    Attributes
    ----------
    backend : int
        Number of the backend that is asked, in the order of the scenario's file.
    demand : float
        Seconds of its work.
    calls : Steps
        What it asks in turn.
    """

    backend: int
    demand: float
    calls: tuple[tuple[PlannedCall, ...], ...] = ()


Steps = tuple[tuple[PlannedCall, ...], ...]
"""Calls one after the other; those of one step are sent at once."""


class CallTrees:
    """Draws the calls of each request of one user.

    Every call of the tree has separate random streams. So a change of one call does not change another.

    Parameters
    ----------
    backends : mapping of str to BackendSettings
        The scenario's backends.
    asked : collection of str
        The backends that a request may reach before any call.
    seed, user : int
        The scenario's seed, and the number of the user's stream.
    """

    def __init__(
        self, backends: Mapping[str, BackendSettings], asked: Collection[str], seed: int, user: int
    ) -> None:
        self._asked = [name in asked for name in backends]
        self._backends = list(backends.values())
        self._numbers = {name: number for number, name in enumerate(backends)}
        self._seed, self._user = seed, user

    def trees(self) -> Iterator[tuple[Steps, ...]]:
        """For each request in turn, what it causes at each backend, if it reaches that one first."""
        roots = (
            self._steps(number, (number,)) if asked else repeat(())
            for number, asked in enumerate(self._asked)
        )
        return zip(*roots, strict=True)

    def _steps(self, backend: int, path: tuple[int, ...]) -> Iterator[Steps]:
        """For each request in turn, all calls of one backend at one place of the tree."""
        calls = self._backends[backend].calls
        if not calls:
            return repeat(())
        each = [self._call(call, (*path, place)) for place, call in enumerate(calls)]
        return (tuple(chain.from_iterable(steps)) for steps in zip(*each, strict=True))

    def _call(self, call: CallSettings, path: tuple[int, ...]) -> Iterator[Steps]:
        """For each request in turn, the steps of one call; none where it is not made."""
        requests = zip(*(self._request(call.to, (*path, time)) for time in range(call.times)), strict=True)
        for made, planned in zip(self._made(call.share, path), requests, strict=False):
            if not made:
                yield ()
            elif call.parallel:
                yield (planned,)
            else:
                yield tuple((one,) for one in planned)

    def _made(self, share: float, path: tuple[int, ...]) -> Iterator[bool]:
        if share == 1.0:
            return repeat(True)
        rng = self._rng(*path)
        return chain.from_iterable((rng.random(_BLOCK) < share).tolist() for _ in repeat(None))

    def _request(self, to: str, path: tuple[int, ...]) -> Iterator[PlannedCall]:
        number, rng = self._numbers[to], self._rng(*path)
        dist = self._backends[number].service_time
        demands = chain.from_iterable(dist.sample(rng, _BLOCK).tolist() for _ in repeat(None))
        return map(PlannedCall, repeat(number), demands, self._steps(number, path))

    def _rng(self, *path: int) -> np.random.Generator:
        return np.random.default_rng(
            np.random.SeedSequence(self._seed, spawn_key=(self._user, _STREAM, *path))
        )


def written(names: Sequence[str], backend: int, demand: float, calls: Steps = ()) -> str:
    """A backend's work and calls as text for the field Proxytwin-Demand.

    Steps are separated by commas, calls that are sent at once by ``&``.

    Examples
    --------
    >>> store = PlannedCall(2, 0.25)
    >>> written(["front", "cart", "store"], 0, 0.5, ((PlannedCall(1, 0.125),), (store, store)))
    'front=0.500000(cart=0.125000,store=0.250000&store=0.250000)'
    """
    steps = ",".join("&".join(written(names, *call) for call in step) for step in calls)
    return f"{names[backend]}={demand:.6f}" + (f"({steps})" if steps else "")


def count(calls: Steps) -> int:
    """Number of calls in a tree."""
    return sum(1 + count(call.calls) for step in calls for call in step)
