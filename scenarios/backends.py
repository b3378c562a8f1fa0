"""The schema of a scenario's backends: their work, their faults, and whom they ask."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from policies.units import Duration
from scenarios.chance import own_errors, own_work
from scenarios.distributions import DurationDistribution, parse_distribution
from scenarios.table import Table

MOST_TIMES = 1000
"""Highest `times` of a call."""


def _read_spell(value: object) -> object:
    if not isinstance(value, str):
        return value
    start, dots, end = value.partition("..")
    if not dots:
        raise ValueError(f"expected a time from and to such as '10s..20s', not {value!r}")
    return start.strip(), end.strip()


def _check_spell(spell: tuple[float, float]) -> tuple[float, float]:
    if spell[0] >= spell[1]:
        raise ValueError("expected a time that begins before it ends")
    return spell


Spell = Annotated[tuple[Duration, Duration], BeforeValidator(_read_spell), AfterValidator(_check_spell)]
"""Start and end in seconds since the start of a run; in the file, such as ``"10s..20s"``."""


class CallSettings(Table):
    """A call of a backend to another backend, see `scenarios.call_tree`.

    Parameters
    ----------
    to : str
        Name of the other backend.
    times : int
        Number of requests.
    parallel : bool
        Whether these requests are sent at once; by default one after the other.
    share : float
        Probability that the call is made, drawn once for each request that the calling backend gets.
    """

    to: str
    times: Annotated[int, Field(ge=1, le=MOST_TIMES)] = 1
    parallel: bool = False
    share: Annotated[float, Field(ge=0, le=1)] = 1.0


class Hiccup(Table):
    """Pauses of a server: garbage collection, a busy disk, a noisy neighbour.

    Parameters
    ----------
    share : float
        Share of the requests with a pause; drawn when their work begins, so that another attempt is
        drawn again.
    lasts : duration
        Length of the pause.
    """

    share: Annotated[float, Field(ge=0, le=1)]
    lasts: Duration


class BackendSettings(Table):
    """A group of equal servers.

    Parameters
    ----------
    replicas : int
        Number of servers.
    concurrency : int
        Requests in service at once at one replica; more wait there, first come, first served.
    service_time : distribution of durations
        Work of a request.
    discipline : str
        ``fifo``: `concurrency` requests are in service, more wait, first come, first served.
        ``ps``: all requests share `concurrency` processors evenly; none uses more than one.
    slow : dict of int to float
        Replicas with a factor on the duration of all work.
    slow_during : dict of int to spell
        When `slow` holds for a replica, such as ``"10s..20s"``; always by default.
    fail : dict of int to spell
        When a replica is down: it loses the work in progress and refuses connections.
    jitter : distribution of durations, optional
        Extra work, drawn by the server for every request that it gets; `service_time` is drawn for the
        request, whichever server gets it.
    hiccup : Hiccup, optional
        Pauses, also drawn by the server.
    errors : float
        Share of the responses that are errors (500), drawn by the server when the work ends.
    cache_control : str, optional
        The Cache-Control field of its responses.
    calls : list of CallSettings
        What it asks other backends, one call after the other, when its own work is done. It holds its
        slot until all have answered, and it answers 502 if one of them fails (500 or more).
    """

    replicas: Annotated[int, Field(ge=1, le=1000)] = 1
    concurrency: Annotated[int, Field(ge=1, le=10_000)] = 1
    service_time: DurationDistribution = parse_distribution("exponential(10ms)")
    discipline: Literal["fifo", "ps"] = "fifo"
    slow: dict[int, Annotated[float, Field(gt=0, le=1e6)]] = Field(default_factory=dict)
    slow_during: dict[int, Spell] = Field(default_factory=dict)
    fail: dict[int, Spell] = Field(default_factory=dict)
    jitter: DurationDistribution | None = None
    hiccup: Hiccup | None = None
    errors: Annotated[float, Field(ge=0, le=1)] = 0.0
    cache_control: str | None = None
    calls: tuple[CallSettings, ...] = ()

    @model_validator(mode="after")
    def _slow_replicas_exist(self) -> BackendSettings:
        for key in ("slow", "slow_during", "fail"):
            for replica in getattr(self, key):
                if not 0 <= replica < self.replicas:
                    last = self.replicas - 1
                    raise ValueError(f"{key}.{replica}: there is no such replica; expected 0 to {last}")
        for replica in self.slow_during:
            if replica not in self.slow:
                raise ValueError(f"slow_during.{replica}: expected slow.{replica} to say how slow")
        return self

    def own_work(self, seed: int, replica: str) -> Callable[[], float] | None:
        """Returns the extra seconds of work of each request, see `scenarios.chance.own_work`."""
        hiccup = self.hiccup and (self.hiccup.share, self.hiccup.lasts)
        return own_work(self.jitter, hiccup, seed, replica)

    def own_errors(self, seed: int, replica: str) -> Callable[[], bool] | None:
        """Says of each response whether it is an error, see `scenarios.chance.own_errors`."""
        return own_errors(self.errors, seed, replica)

    def slowness(self, replica: int) -> float:
        """Factor on the service time of one replica."""
        return self.slow.get(replica, 1.0)
