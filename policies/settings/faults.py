"""Faults that a route injects on purpose, for experiments with clients and proxies."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from policies.settings.base import Settings
from policies.units import ByteRate, Duration

Probability = Annotated[float, Field(ge=0, le=1)]


class Latency(Settings):
    """The request waits before the proxy does anything with it.

    Parameters
    ----------
    delay : duration
        How long; the mean, if `law` is exponential.
    law : str
        ``constant`` or ``exponential``.
    probability : float
        Share of the requests that get the fault, at random.
    """

    kind: Literal["latency"]
    delay: Annotated[Duration, Field(gt=0)]
    law: Literal["constant", "exponential"] = "constant"
    probability: Probability = 1.0


class Error(Settings):
    """The proxy answers with an error and asks no upstream.

    Parameters
    ----------
    status : int
        Of the response.
    probability : float
        Share of the requests that get the fault, at random.
    """

    kind: Literal["error"]
    status: Annotated[int, Field(ge=400, le=599)] = 503
    probability: Probability = 1.0


class Reset(Settings):
    """The proxy resets the client's connection and sends no response.

    Parameters
    ----------
    probability : float
        Share of the requests that get the fault, at random.
    """

    kind: Literal["reset"]
    probability: Probability = 1.0


class Bandwidth(Settings):
    """The response is sent slowly.

    Parameters
    ----------
    rate : byte rate
        Such as ``64KiB/s``.
    probability : float
        Share of the requests that get the fault, at random.
    """

    kind: Literal["bandwidth"]
    rate: Annotated[ByteRate, Field(gt=0)]
    probability: Probability = 1.0


class Half(Settings):
    """The proxy cuts off the body of the response and resets the connection.

    Parameters
    ----------
    share : float
        How much of the body is sent; of its first piece, if the response names no length.
    probability : float
        Share of the requests that get the fault, at random.
    """

    kind: Literal["half"]
    share: Annotated[float, Field(ge=0, lt=1)] = 0.5
    probability: Probability = 1.0


Fault = Annotated[Latency | Error | Reset | Bandwidth | Half, Field(discriminator="kind")]
"""One fault; ``kind`` says which."""
