"""Backends that stay until they are interrupted, for a proxy that somebody else runs.

The main thread waits; the threads are those of `server`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from loadtests.backend.server import sharpen_timers, start_replicas
from loadtests.descriptors import allow_many_descriptors


def stand(spec: dict[str, dict[str, Any]], first_port: int, ready: Callable[[dict[str, int]], None]) -> None:
    """Serve until an interruption; `ready` is called with the port of each replica.

    Raises
    ------
    OSError
        If a port cannot be used.
    """
    sharpen_timers()
    allow_many_descriptors()
    ready({replica.name: replica.port for replica in start_replicas(spec, first_port)})
    threading.Event().wait()
