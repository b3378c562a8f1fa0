"""What resilience costs: a request through all of it beside one that is passed through, in the same rounds.

    python -m benchmarks.resilience_cost [--rounds 7] [--seconds 3] [--connections 32] [--most 1.15]

nginx is the origin, and a body has 1 KiB. wrk measures two proxies in turn, A B B A:

- ``bare``: one route, one upstream;
- ``all``: the second of two routes; four upstreams balanced by ``p2c``; deadline, limit (vegas), breaker,
  and retries with a budget.

The cost is the ratio of processor time per request, all to bare, and of the rates, bare to all: medians of
the rounds. Exit 1 if the cost by processor time, which depends less on other load of the machine, is above
``--most``.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

from benchmarks.against_a_commit import cpu_seconds
from benchmarks.rig import Ready, load, origin, started

BARE = """
[[route]]
to = "origin"
[service.origin]
upstreams = ["127.0.0.1:{origin}"]
"""
ALL = """
[[route]]
when = {{ path = "/old/*" }}
respond = 404
[[route]]
to = "origin"
timeout = "10s"
[service.origin]
upstreams = ["127.0.0.1:{origin}", "127.0.0.1:{origin}", "127.0.0.1:{origin}", "127.0.0.1:{origin}"]
balance = "p2c"
limit = {{ policy = "vegas", initial = 100, min = 64 }}
breaker = {{ failures = 5, open = "5s" }}
retry = {{ attempts = 2, budget = 0.2 }}
"""


def measure(proxy: Ready, connections: int, seconds: float) -> tuple[float, float]:
    """Requests per second, and processor time per request in microseconds."""
    before = cpu_seconds(proxy.pid)
    found = load(proxy.port, "/page", connections, seconds)
    return found.rate, 1e6 * (cpu_seconds(proxy.pid) - before) / (found.rate * seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description="What resilience costs a request.")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--most", type=float, default=1.15)
    options = parser.parse_args()
    runs: dict[str, list[tuple[float, float]]] = {"bare": [], "all": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (
            origin(folder / "origin", {"page": 1024}) as port,
            started(folder / "bare.toml", BARE.format(origin=port)) as bare,
            started(folder / "all.toml", ALL.format(origin=port)) as everything,
        ):
            proxies = {"bare": bare, "all": everything}
            for proxy in proxies.values():
                measure(proxy, options.connections, 1.0)
            for number in range(options.rounds):
                for which in ("bare", "all") if number % 2 == 0 else ("all", "bare"):
                    runs[which].append(measure(proxies[which], options.connections, options.seconds))
    print(f"{'':6}{'requests/s':>12}{'µs of CPU':>12}")
    for which, found in runs.items():
        rate, cpu = (statistics.median(one[at] for one in found) for at in (0, 1))
        print(f"{which:6}{rate:12.0f}{cpu:12.1f}")
    by_cpu, by_rate = (
        statistics.median(
            (mine[at] / other[at]) ** power for mine, other in zip(runs["all"], runs["bare"], strict=True)
        )
        for at, power in ((1, 1), (0, -1))
    )
    print(f"cost: {by_cpu:.3f} by processor time, {by_rate:.3f} by rate; at most {options.most}")
    sys.exit(by_cpu > options.most)


if __name__ == "__main__":
    main()
