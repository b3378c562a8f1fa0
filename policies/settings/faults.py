"""Faults that a route injects, on purpose: what clients and proxies make of them is the lesson."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from policies.settings.base import Settings
from policies.units import ByteRate, Duration

Probability = Annotated[float, Field(ge=0, le=1)]


class Latency(Settings):
    """The request waits before anything is done for it.

    Parameters
    ----------
    delay : duration
        How long, or how long on average.
    law : str
        ``constant``, or ``exponential`` with that mean.
    probability : float
        Share of the requests that it strikes, by chance.
    """

    kind: Literal["latency"]
    delay: Annotated[Duration, Field(gt=0)]
    law: Literal["constant", "exponential"] = "constant"
    probability: Probability = 1.0


class Error(Settings):
    """The proxy answers with an error instead of asking anybody.

    Parameters
    ----------
    status : int
        Of the answer.
    probability : float
        Share of the requests that it strikes, by chance.
    """

    kind: Literal["error"]
    status: Annotated[int, Field(ge=400, le=599)] = 503
    probability: Probability = 1.0


class Reset(Settings):
    """The client's connection is reset instead of an answer.

    Parameters
    ----------
    probability : float
        Share of the requests that it strikes, by chance.
    """

    kind: Literal["reset"]
    probability: Probability = 1.0


class Bandwidth(Settings):
    """The answer comes slowly.

    Parameters
    ----------
    rate : byte rate
        Such as ``64KiB/s``.
    probability : float
        Share of the requests that it strikes, by chance.
    """

    kind: Literal["bandwidth"]
    rate: Annotated[ByteRate, Field(gt=0)]
    probability: Probability = 1.0


class Half(Settings):
    """The answer is cut off in its body, and the connection reset.

    Parameters
    ----------
    share : float
        How much of the body comes; of one that names no length, of its first part.
    probability : float
        Share of the requests that it strikes, by chance.
    """

    kind: Literal["half"]
    share: Annotated[float, Field(ge=0, lt=1)] = 0.5
    probability: Probability = 1.0


Fault = Annotated[Latency | Error | Reset | Bandwidth | Half, Field(discriminator="kind")]
"""One fault; ``kind`` says which."""
