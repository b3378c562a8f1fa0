"""The settings of resilience: what a service does about upstreams that are slow, failing or overloaded."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, model_validator

from policies.concurrency import concurrency_limits
from policies.settings.base import Settings
from policies.units import Duration


class Health(Settings):
    """Probes of every upstream, see `policies.resilience.HealthChecks`.

    Parameters
    ----------
    path : str
        Path of the probe's request.
    every : duration
        Between two probes of an upstream.
    rise, fall : int
        Probes in a row that bring an upstream up, or take it down.
    """

    path: Annotated[str, Field(pattern=r"^/[!-~]*$")] = "/health"
    every: Annotated[Duration, Field(gt=0)] = 2.0
    rise: Annotated[int, Field(ge=1)] = 2
    fall: Annotated[int, Field(ge=1)] = 3


class SuccessRate(Settings):
    """Eject upstreams that fail more often than the others, see `policies.resilience.success_rate`.

    Parameters
    ----------
    hosts : int
        Upstreams with enough requests in an interval, or none is judged.
    requests : int
        Requests in an interval, or the upstream is not judged.
    deviations : float
        Standard deviations below the mean of all that eject an upstream.
    """

    hosts: Annotated[int, Field(ge=2)] = 5
    requests: Annotated[int, Field(ge=1)] = 100
    deviations: Annotated[float, Field(gt=0)] = 1.9


def _read_success_rate(value: object) -> object:
    return SuccessRate() if value is True else None if value is False else value


def _read_grow(value: object) -> object:
    if isinstance(value, bool) or (isinstance(value, (int, float)) and 1 < value <= 100):
        return value
    raise ValueError(f"expected true, false or a factor above 1 such as 2.0, not {value!r}")


class Eject(Settings):
    """Stop sending requests to failing upstreams, see `policies.resilience.PassiveEjection`.

    Parameters
    ----------
    errors : int
        Consecutive failures (500 or more, refused, too late) that eject an upstream.
    for_ : duration
        Duration of an ejection; ``for`` in the file.
    most : float
        Largest share of the upstreams that may be ejected at once.
    grow : bool or float
        ``true``: the n-th ejection lasts n times as long; a number: each lasts so many times as long as the
        one before. Off by default.
    most_for : duration
        The longest ejection with `grow`; never shorter than `for_`.
    every : duration
        Interval of `success_rate`, and after which an upstream that was not ejected has one ejection less
        to its name.
    success_rate : SuccessRate or bool, optional
        ``true`` or a table: also eject upstreams that fail more often than the others. Off by default.
    """

    model_config = ConfigDict(populate_by_name=True)

    errors: Annotated[int, Field(ge=1)] = 5
    for_: Annotated[Duration, Field(alias="for", gt=0)] = 10.0
    most: Annotated[float, Field(ge=0, le=1)] = 0.5
    grow: Annotated[bool | float, BeforeValidator(_read_grow)] = False
    most_for: Annotated[Duration, Field(gt=0)] = 300.0
    every: Annotated[Duration, Field(gt=0)] = 10.0
    success_rate: Annotated[SuccessRate | None, BeforeValidator(_read_success_rate)] = None


class Retry(Settings):
    """Ask another upstream after a failure: no connection, no response in time, or a status of 500 or more.

    Only requests that may be sent twice are repeated: requests with idempotent methods (RFC 9110, 9.2.2)
    whose body, if any, is small enough to be kept, and requests that were not sent at all.

    Parameters
    ----------
    attempts : int
        In all, including the first one.
    budget : float, optional
        Retries per request, see `policies.resilience.RetryBudget`; unlimited by default.
    codes : list of int, optional
        Only these statuses are failures to repeat, 500 to 599; a response that did not come in time is a
        504, a broken one a 502. All by default.
    backoff : duration
        Before the first retry, and twice as long before each further one, see `policies.resilience.backoff`.
    """

    attempts: Annotated[int, Field(ge=1, le=100)] = 2
    budget: Annotated[float, Field(ge=0)] | None = None
    codes: tuple[Annotated[int, Field(ge=500, le=599)], ...] | None = None
    backoff: Duration = 0.0


class Hedge(Settings):
    """Ask a second upstream if the first is slow; the first response counts, the other request is cancelled.

    Only requests with idempotent methods and without a body are sent twice. J. Dean, L. A. Barroso,
    "The tail at scale", Communications of the ACM 56, 2013.

    Parameters
    ----------
    after : duration
        How long only the first upstream is asked.
    """

    after: Annotated[Duration, Field(gt=0)]


class Breaker(Settings):
    """Refuse with 503 while a service fails, see `policies.resilience.CircuitBreaker`.

    Parameters
    ----------
    failures : int
        Consecutive failures that open the breaker.
    open : duration
        Until one request may try again.
    """

    failures: Annotated[int, Field(ge=1)] = 5
    open: Annotated[Duration, Field(gt=0)] = 5.0


class Queue(Settings):
    """Limit the requests in flight to a service, see `policies.resilience.BoundedQueue`.

    Parameters
    ----------
    in_flight : int, optional
        At once. Not needed with the service's `limit`, which is then obeyed alone.
    wait : duration
        How long further requests may wait; then 503.
    length : int, optional
        How many may wait at once; further ones get 503 at once. No limit by default.
    order : str
        Who proceeds first: ``fifo``, who has waited longest, or ``lifo``, who came last.
    """

    in_flight: Annotated[int, Field(ge=1)] | None = None
    wait: Duration = 0.0
    length: Annotated[int, Field(ge=1)] | None = None
    order: Literal["fifo", "lifo"] = "fifo"


class Limit(Settings):
    """A limit of requests in flight that is learned; further ones get 503 at once, or wait in `Queue`.

    Parameters
    ----------
    policy : str
        Name of a concurrency limit, see `policies.concurrency`; ``fixed`` is what a number means, and stays
        at `initial`.
    initial : int
        The limit at first; brought between `min` and `max` if it is not given.
    min, max : int
        Bounds of the limit.
    latency : duration
        For ``aimd``: a window whose 90th percentile is longer counts as a failure.
    """

    policy: Annotated[str, AfterValidator(concurrency_limits.check)] = "vegas"
    initial: Annotated[int, Field(ge=1)] = 20
    min: Annotated[int, Field(ge=1)] = 1
    max: Annotated[int, Field(ge=1)] = 1000
    latency: Annotated[Duration, Field(gt=0)] = 5.0

    @model_validator(mode="after")
    def _in_order(self) -> Limit:
        if self.min > self.max:
            raise ValueError(f"min: expected no more than max, {self.max}, not {self.min}")
        if self.policy == "fixed":
            return self
        if "initial" in self.model_fields_set and not self.min <= self.initial <= self.max:
            raise ValueError(f"initial: expected {self.min} to {self.max}, not {self.initial}")
        return self

    @property
    def first(self) -> int:
        """The limit at first."""
        return self.initial if self.policy == "fixed" else max(self.min, min(self.initial, self.max))


def read_limit(value: Any) -> object:
    """A number as the table of a fixed limit."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return value
    if value != int(value) or value < 1:
        raise ValueError(f"expected a whole number of 1 or more, not {value:g}")
    return Limit(policy="fixed", initial=int(value))
