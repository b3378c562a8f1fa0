"""Real backends: all replicas of all backends of a scenario, as HTTP servers in one process.

``python -m loadtests.backend.server '{"web": {"replicas": 2, "concurrency": 4}}'`` prints one JSON line
with the port of each replica and serves until SIGTERM or Ctrl-C. Fields of a request set its work:

- ``Proxytwin-Demand: web=0.0312;api=0.002``: seconds of work at each backend, and its calls to others, see
  `demand`; none by default. A backend that it does not name refuses the request.
- ``Proxytwin-Size: 2048``: bytes of the response's body; 1024 by default.
- ``Proxytwin-Timeout-Ms: 80``: what is left for the response. A backend that cannot make it responds 504
  without any work.

A backend works, then makes its calls, and holds its slot until all have been answered. If one fails, it
responds 502. ``GET /-/stats`` returns the totals of a replica. ``GET /-/fetches`` and ``GET /-/calls`` return
its fetches and its calls since the last such request. None of these takes a slot, and a proxy's health check
does not take one either.

With ``--until-eof`` the process reads commands from standard input, one JSON object per line, and writes
each line back when the command is done. ``{"start": 1234.5}`` (on the monotonic clock) begins a run, with
the faults of ``fail``, ``slow`` and ``slow_during``; ``{"start": null}`` ends it. The command
``{"egress": {"web/0": 15001}}`` names the port of the forward side of each replica's sidecar.

Threads: the main thread owns the `FaultSchedule`, whose thread closes and opens ports, and it sets the
egress of replicas. See `replica` for theirs.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from loadtests.backend.calls import Egress
from loadtests.backend.fault_schedule import FaultSchedule
from loadtests.backend.replica import Replica
from loadtests.descriptors import allow_many_descriptors


def start_replicas(spec: dict[str, dict[str, Any]], first_port: int = 0) -> list[Replica]:
    """Start all replicas of `spec`, settings by backend name, at any ports or one after the other."""
    named = [(name, number) for name in spec for number in range(int(spec[name].get("replicas", 1)))]
    replicas = [
        Replica(name, number, spec[name], first_port and first_port + place)
        for place, (name, number) in enumerate(named)
    ]
    for replica in replicas:
        replica.come_up()
    return replicas


def sharpen_timers() -> None:
    """Set the timer slack to 1 ns, so that sleeps end on time, and let threads switch every 0.5 ms."""
    sys.setswitchinterval(0.0005)
    with contextlib.suppress(OSError):
        Path("/proc/self/timerslack_ns").write_text("1", encoding="ascii")


def main(arguments: list[str] | None = None) -> None:
    """Serve until SIGTERM, Ctrl-C, or with ``--until-eof`` the end of standard input."""
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.backend.server", description="Real test backends."
    )
    parser.add_argument("spec", type=json.loads, help="JSON: settings by backend name")
    parser.add_argument("--until-eof", action="store_true", help="end when standard input does")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sharpen_timers()
    allow_many_descriptors()
    with contextlib.suppress(KeyboardInterrupt):
        replicas = start_replicas(options.spec)
        ready = {"pid": os.getpid(), "ports": {replica.name: replica.port for replica in replicas}}
        print(json.dumps(ready), flush=True)
        if options.until_eof:
            _obey(FaultSchedule(options.spec, replicas), replicas)
        else:
            threading.Event().wait()


def _obey(schedule: FaultSchedule, replicas: list[Replica]) -> None:
    """Execute the commands from standard input, up to its end."""
    for line in sys.stdin:
        command = json.loads(line)
        if "egress" in command:
            _lead_out(replicas, command["egress"])
        elif command["start"] is None:
            schedule.end()
        else:
            schedule.begin(float(command["start"]))
        print(line, end="", flush=True)


def _lead_out(replicas: list[Replica], ports: dict[str, int]) -> None:
    """Give each replica the port of its sidecar; none to those that have none."""
    for replica in replicas:
        before, port = replica.egress, ports.get(replica.name)
        replica.egress = None if port is None else Egress(port)
        if before is not None:
            before.close()


if __name__ == "__main__":
    main()
