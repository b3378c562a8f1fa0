"""The settings for operating a proxy: its log and its limits."""

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
        Path of the file that lines are appended to; ``-`` is standard output.
    format : str
        ``json`` (one object per line) or ``combined`` (the format of Apache and nginx).
    """

    file: str
    format: Literal["json", "combined"] = "json"


class Limits(Settings):
    """Limits and timeouts of the proxy.

    Parameters
    ----------
    connections : int
        Client connections at once; more wait in the kernel's queue.
    threads : int
        Requests in progress at once, in a thread or waiting for an upstream without one; more wait
        in a queue.
    queue : int
        Requests that may wait in that queue; further requests get 503 with Retry-After.
    head : size
        Bytes of the head of a request or response.
    header_timeout : duration
        From the first byte of a request head to its end; then 408.
    idle_timeout : duration
        Between requests on a kept connection, and between two reads of a body or tunnel.
    connect_timeout : duration
        To connect to an upstream; then 504.
    answer_timeout : duration
        Until the head of an upstream's response, and between two reads of its body; then 504.
    upstream_idle : duration
        How long an unused upstream connection is kept.
    request_timeout : duration, optional
        From a complete request head to the end of the response; then 504, or the response is cut
        off. No limit by default.
    body : size, optional
        The largest body of a request; a larger one gets 413. No limit by default.
    min_rate : byte rate, optional
        Least average rate at which clients must send a body and receive a response, after some
        seconds of grace; only time spent waiting for the client counts. No limit by default.
    drain : duration
        How long a stopping proxy waits for requests in progress.
    """

    connections: Annotated[int, Field(ge=1)] = 10_000
    threads: Annotated[int, Field(ge=1, le=4096)] = 256
    head: Annotated[Size, Field(ge=256)] = 32 * 2**10
    queue: Annotated[int, Field(ge=1)] = 4096
    header_timeout: Annotated[Duration, Field(gt=0)] = 10.0
    idle_timeout: Annotated[Duration, Field(gt=0)] = 60.0
    connect_timeout: Annotated[Duration, Field(gt=0)] = 5.0
    answer_timeout: Annotated[Duration, Field(gt=0)] = 60.0
    upstream_idle: Duration = 30.0
    request_timeout: Annotated[Duration, Field(gt=0)] | None = None
    body: Size | None = None
    min_rate: Annotated[ByteRate, Field(gt=0)] | None = None
    drain: Duration = 10.0
