"""``python -m examples.shop``: the shop under Locust, until Ctrl-C."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path

from examples.shop.mesh import Mesh
from loadtests.run.processes import Child, LoadTestError

_LOCUSTFILE = Path(__file__).with_name("locustfile.py")
_TICK_S = 0.2
_PATIENCE_S = 10.0
"""How long Locust may take to end."""


def main(arguments: list[str] | None = None) -> int:
    """Start the shop, tell where it is, and serve until Ctrl-C or SIGTERM, or until a process ends."""
    parser = argparse.ArgumentParser(prog="python -m examples.shop", description=__doc__)
    parser.add_argument("--users", type=int, default=5, help="customers under Locust; 0 for none (5)")
    parser.add_argument("--seconds", type=float, help="end by itself after so long")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with Mesh() as mesh:
            _tell(mesh)
            if options.users > 0:
                with _customers(mesh.door.url, options.users) as customers:
                    try:
                        return _wait({**mesh.children, "Locust": customers}, options.seconds)
                    finally:
                        _tell_of(customers)
            return _wait(mesh.children, options.seconds)
    except KeyboardInterrupt:
        return 0
    except LoadTestError as problem:
        print(problem, file=sys.stderr)
        return 1


def _tell(mesh: Mesh) -> None:
    print(f"The shop is open: {mesh.door.url}/pages/7")
    print(f"Live page of the door: {mesh.door.admin}")
    for name, place in mesh.sidecars.items():
        asks = f"; asks through {place.forward}" if place.forward else ""
        process = mesh.children[name].pid
        print(f"{name}: process {process}, sidecar {place.url}{asks}; live page {place.admin}")
    print(f"Access logs: {mesh.folder}")
    print("Ctrl-C closes it.", flush=True)


def _customers(url: str, users: int) -> Child:
    options = ["--headless", "--only-summary", "--users", str(users), "--spawn-rate", str(users)]
    command = [sys.executable, "-m", "locust", "-f", str(_LOCUSTFILE), "--host", url, *options]
    return Child("Locust", command)


def _tell_of(customers: Child) -> None:
    """Print Locust's summary, which it writes at its end."""
    if customers.alive:
        customers.terminate()
        customers.wait(_PATIENCE_S)
    print(customers.last_words(), flush=True)


def _wait(children: dict[str, Child], seconds: float | None) -> int:
    """Wait; 1 if a process ends that nobody has stopped, for example because its user killed it."""
    end = None if seconds is None else time.monotonic() + seconds
    gone: set[str] = set()
    while end is None or time.monotonic() < end:
        for name, child in children.items():
            if not child.alive and name not in gone:
                gone.add(name)
                print(str(child.failure("ended")).splitlines()[0], flush=True)
        time.sleep(_TICK_S)
    return 1 if gone else 0


if __name__ == "__main__":
    sys.exit(main())
