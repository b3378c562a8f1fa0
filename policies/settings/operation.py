"""Running a proxy: its log and its limits."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from policies.settings.base import Settings
from policies.units import ByteRate, Duration, Size


class Log(Settings):
    """The access log.

    Parameters
    ----------
    file : str
        Path that lines are appended to; ``-`` is standard output.
    format : str
        ``json`` (one object a line) or ``combined`` (as Apache and nginx write).
    """

    file: str
    format: Literal["json", "combined"] = "json"


class Limits(Settings):
    """What the proxy does not exceed or wait beyond.

    Parameters
    ----------
    connections : int
        Client connections at once; more wait in the kernel's queue.
    threads : int
        Requests that are worked on at once, in a thread each or awaiting an upstream without one;
        more wait in a queue.
    queue : int
        Requests that may wait there; further ones are answered 503 with Retry-After.
    head : size
        Bytes of a request's or an answer's head.
    header_timeout : duration
        From the first byte of a head to its end; then 408.
    idle_timeout : duration
        Between requests on a kept connection, and between two reads of a body or tunnel.
    connect_timeout : duration
        To reach an upstream; then 504.
    answer_timeout : duration
        Until an upstream's head, and between two reads of its body; then 504.
    upstream_idle : duration
        How long an unused upstream connection is kept.
    request_timeout : duration, optional
        From a whole request head to the end of the answer; then 504, or the answer is cut off. No
        limit without it.
    min_rate : byte rate, optional
        At which clients must send a body and take an answer, on average, after some seconds of
        grace; only the time that they are waited for counts. No limit without it.
    drain : duration
        How long a stop waits for requests that are under way.
    """

    connections: Annotated[int, Field(ge=1)] = 10_000
    threads: Annotated[int, Field(ge=1, le=4096)] = 256
    head: Annotated[Size, Field(ge=256)] = 32 * 2**10
    queue: Annotated[int, Field(ge=1)] = 4096
    header_timeout: Duration = 10.0
    idle_timeout: Duration = 60.0
    connect_timeout: Duration = 5.0
    answer_timeout: Duration = 60.0
    upstream_idle: Duration = 30.0
    request_timeout: Annotated[Duration, Field(gt=0)] | None = None
    min_rate: Annotated[ByteRate, Field(gt=0)] | None = None
    drain: Duration = 10.0
