"""The speed of `proxytwin curve`: replayed requests per second on one core, by eviction policy.

    python benchmarks/curve.py [--requests 2000000] [--objects 100000] [--rounds 3] [--policy lru,sieve]

It writes a trace (Zipf, exponent 1, sizes of some KiB) in libCacheSim's format oracleGeneral, reads it, and
replays it through each policy at three capacities: 0.3, 3 and 30 % of the bytes of all objects. A rate is
requests through a cache per second of this process's processor time, in the best of the rounds. The rates in
the last column include the reading of the trace, once for the three capacities. Exit status 1 if a rate is
below its floor.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from policies.eviction import eviction_policies, offline_policies
from scenarios.traces import TraceFile
from scenarios.traces.binary import ORACLE_GENERAL
from simulator.curve import Sample, curve, take_samples

FLOORS = {"lru": 3.0, "sieve": 3.0}
FLOOR = 0.3
"""Lowest allowed rate in millions of requests per second; offline policies have no limit."""
SHARES = (0.003, 0.03, 0.3)
Found = TypeVar("Found")


def write_trace(path: Path, requests: int, objects: int) -> None:
    rng = np.random.default_rng(1)
    weight = 1 / np.arange(1, objects + 1)
    ranks = np.minimum(np.searchsorted(np.cumsum(weight / weight.sum()), rng.random(requests)), objects - 1)
    rows = np.zeros(requests, ORACLE_GENERAL)
    rows["time"] = np.arange(requests) // 1000
    rows["id"] = rng.integers(0, 2**63, objects, dtype=np.uint64)[ranks]
    rows["size"] = (rng.lognormal(8, 1, objects).astype(np.uint32) + 1)[ranks]
    rows.tofile(path)


def timed(work: Callable[[], Found], rounds: int) -> tuple[float, Found]:
    """The shortest processor time over the rounds, in seconds, and the result."""
    best = float("inf")
    for _ in range(rounds):
        start = time.process_time()
        found = work()
        best = min(best, time.process_time() - start)
    return best, found


def read(path: Path) -> list[Sample]:
    return take_samples(TraceFile(path).blocks())


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=2_000_000)
    parser.add_argument("--objects", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--policy", default=",".join([*eviction_policies.names(), *offline_policies.names()]))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.oracleGeneral"
        write_trace(path, arguments.requests, arguments.objects)
        reading, samples = timed(lambda: read(path), arguments.rounds)
    capacities = [int(share * samples[0].footprint) for share in SHARES]
    replayed = arguments.requests * len(capacities)
    print(f"read: {arguments.requests / reading / 1e6:.1f} M requests/s", flush=True)
    print(f"{'policy':<12} {'hit ratio':>22} {'replayed, M/s':>14} {'with reading':>13}")
    missed = []
    for policy in arguments.policy.split(","):
        seconds, table = timed(lambda policy=policy: curve(samples, [policy], capacities), arguments.rounds)
        rate, whole = replayed / seconds / 1e6, replayed / (seconds + reading) / 1e6
        hits = " ".join(f"{hit:.4f}" for hit in table["hit_ratio"])
        print(f"{policy:<12} {hits:>22} {rate:>14.2f} {whole:>13.2f}", flush=True)
        floor = 0.0 if policy in offline_policies.names() else FLOORS.get(policy, FLOOR)
        if whole < floor:
            missed.append(f"{policy} is below {floor:g} M requests/s")
    for line in missed:
        print(line, file=sys.stderr)
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
