"""Compare the working tree with an old commit, on the same machine in the same rounds.

    python -m benchmarks.against_a_commit [--commit HEAD~1] [--rounds 5] [--seconds 3] [--connections 16 128]
                                          [--nginx] [--json FILE]

nginx is the origin. The old commit is checked out into a temporary worktree. wrk measures the old and the new
proxy in turn, A B B A, with default settings and bodies of 1 KiB:

- ``pass-through``: one object that is not cached;
- ``cached hits``: one object that is cached;
- ``mix``: hits and stored misses. Zipf (exponent 0.9) over 10,000 objects, a store with room for 1,000.

The result is the ratio of the medians, new to old. The table also shows the lowest and the highest ratio of a
round. Processor time per request depends less on other load of the machine than the rate does.

The cost of a stored miss, in pass-throughs, follows from the times t per request (the inverse of the rate, or
processor time) and the hit ratio h: t(mix) = h t(hits) + (1 - h) cost t(pass-through). The hit ratio comes
from a separate proxy of each tree, because a proxy with an admin port counts more.

``--nginx`` also measures nginx, as a proxy and as a cache. It has no mix: nginx has no comparable limit.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import shutil
import signal
import sys
import tempfile
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.beside_peers import PEER
from benchmarks.old_sources import check_imports, described, working_tree, worktree
from benchmarks.rig import ROOT, Ready, free_port, load, median, nginx, origin, started, wait_for

OBJECTS, ROOM, BODY = 10_000, 1_000, 1024
OLD_OVERHEAD = 512
"""Bytes that commits before the setting ``cache.overhead`` charge each object beyond its body."""
"""Bytes that the store counts for an object: its body, and 512 for head and index (docs/caching.md)."""
FILES = {"page": BODY, "cached/page": BODY} | {f"cached/{number}": BODY for number in range(1, OBJECTS + 1)}
PASS, HITS, MIX = "pass-through", "cached hits", "mix"
PATHS = {PASS: "/page", HITS: "/cached/page", MIX: "/cached/1"}
SETTINGS = """
{admin}
[cache]
policy = "s3_fifo"
capacity = {capacity}
[[route]]
when = {{ path = "/cached/*" }}
to = "origin"
cache = {{ ttl = "1h" }}
[[route]]
to = "origin"
[service.origin]
upstreams = ["127.0.0.1:{origin}"]
"""
ZIPF = Path(__file__).with_name("zipf.lua")
STRIDE = 61_001
"""Each run of the mix starts this many requests later in the sequence."""
WARM_UP = 2.0
"""Seconds in which a proxy fills its store and wrk opens its connections."""


class Measured(NamedTuple):
    """One run of wrk, and its cost for the proxy."""

    rate: float
    """Requests per second."""
    p99_ms: float
    cpu_us: float
    """Processor time per request; 0 if it is unknown."""


class Contestant(NamedTuple):
    name: str
    proxies: dict[str, Ready]
    """By case. Each case has a separate process, so that the cases do not affect each other."""


class Found(NamedTuple):
    """The results with one number of connections."""

    connections: int
    runs: dict[tuple[str, str], list[Measured]]
    """By case and contestant."""
    hit_ratios: dict[str, float]


class Bench:
    """Measures the proxies of both trees in front of one origin."""

    def __init__(self, folder: Path, origin_port: int, trees: dict[str, Path], seconds: float) -> None:
        self.folder, self.origin, self.trees, self.seconds = folder, origin_port, trees, seconds
        self.starts: Counter[Ready] = Counter()
        """Where a proxy's next run of the mix starts: in a round, at the same request for all proxies."""

    def measure(self, proxy: Ready, case: str, connections: int, seconds: float) -> Measured:
        """Run one case with wrk."""
        script, arguments = None, []
        if case == MIX:
            self.starts[proxy] += STRIDE
            script, arguments = ZIPF, [str(self.starts[proxy])]
        before = cpu_seconds(proxy.pid)
        found = load(proxy.port, PATHS[case], connections, seconds, script, arguments)
        spent = cpu_seconds(proxy.pid) - before
        return Measured(found.rate, found.p99_ms, 1e6 * spent / (found.rate * seconds))

    @contextlib.contextmanager
    def proxy(self, name: str, case: str, admin: str = "") -> Iterator[Ready]:
        store = (self.trees[name] / "policies" / "settings" / "store.py").read_text(encoding="utf-8")
        charged = BODY if "overhead" in store else BODY + OLD_OVERHEAD
        settings = SETTINGS.format(admin=admin, capacity=ROOM * charged, origin=self.origin)
        with started(self.folder / f"{name}-{case}.toml", settings, self.trees[name]) as ready:
            yield ready

    @contextlib.contextmanager
    def nginx(self) -> Iterator[Ready]:
        port, folder = free_port(), self.folder / "nginx"
        with nginx(folder, PEER.format(folder=folder, origin=self.origin, port=port), log=False):
            wait_for(port)
            yield Ready(port, 0)

    @contextlib.contextmanager
    def contestants(self, *, beside_nginx: bool) -> Iterator[list[Contestant]]:
        """Start all contestants and warm them up."""
        with contextlib.ExitStack() as stack:
            found = [
                Contestant(name, {case: stack.enter_context(self.proxy(name, case)) for case in PATHS})
                for name in self.trees
            ]
            if beside_nginx:
                peer = stack.enter_context(self.nginx())
                found.append(Contestant("nginx", {PASS: peer, HITS: peer}))
            for contestant in found:
                for case, proxy in contestant.proxies.items():
                    self.measure(proxy, case, 16, WARM_UP)
            yield found

    def hit_ratio(self, name: str, connections: int) -> float:
        """The hit ratio of a tree's proxy in the mix."""

        def counts(url: str) -> tuple[int, int]:
            with urllib.request.urlopen(f"{url}/stats", timeout=10) as answer:
                stats = json.load(answer)
            return stats["hits"], stats["hits"] + stats["misses"] + stats["collapsed"]

        with self.proxy(name, "counted", 'admin = "127.0.0.1:0"') as proxy:
            self.measure(proxy, MIX, connections, WARM_UP)
            hits_before, all_before = counts(proxy.admin)
            self.measure(proxy, MIX, connections, self.seconds)
            hits, total = counts(proxy.admin)
        return (hits - hits_before) / (total - all_before)

    def compare(self, contestants: list[Contestant], connections: int, rounds: int) -> Found:
        """Measure all cases of all contestants in turn."""
        hit_ratios = {name: self.hit_ratio(name, connections) for name in self.trees}
        runs: dict[tuple[str, str], list[Measured]] = {}
        for number in range(rounds):
            for case in PATHS:  # in the same order in every round, or a case would follow itself for some
                present = [one for one in contestants if case in one.proxies]
                for one in present if number % 2 == 0 else reversed(present):
                    found = self.measure(one.proxies[case], case, connections, self.seconds)
                    runs.setdefault((case, one.name), []).append(found)
        return Found(connections, runs, hit_ratios)


def cpu_seconds(pid: int) -> float:
    """Processor time of a process; 0 if `pid` is 0."""
    if not pid:
        return 0.0
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def ratios(new: list[Measured], old: list[Measured]) -> list[float]:
    """The ratio new to old of each round."""
    return [one.rate / other.rate for one, other in zip(new, old, strict=True)]


def cost_of_a_stored_miss(found: Found, name: str) -> tuple[float, float]:
    """The cost in pass-throughs, for one tree: by the rates, and by processor time."""
    hit_ratio = found.hit_ratios[name]

    def cost(time: dict[str, float]) -> float:
        return (time[MIX] - hit_ratio * time[HITS]) / (1 - hit_ratio) / time[PASS]

    runs = {case: found.runs[case, name] for case in PATHS}
    return (
        cost({case: 1 / median(one, "rate") for case, one in runs.items()}),
        cost({case: median(one, "cpu_us") for case, one in runs.items()}),
    )


def heading(*, beside_nginx: bool) -> str:
    peer = f"{'nginx':>13}{'p99':>8}" if beside_nginx else ""
    return (
        f"\n{'':21}{'requests/s':^45}{'CPU, µs a request':^28}{'p99, ms':^16}\n"
        f"{'':13}{'conns':>6}  {'old':>9}{'new':>9}{'ratio':>8}  {'of the rounds':14}  "
        f"{'old':>9}{'new':>9}{'ratio':>8}  {'old':>8}{'new':>8}{peer}"
    )


def rows(found: Found) -> Iterator[str]:
    """The table's lines for one number of connections."""
    for case in PATHS:
        old, new, *others = (runs for (of, _), runs in found.runs.items() if of == case)
        paired = ratios(new, old)
        rate, cpu, tail = (
            [median(runs, what) for runs in (old, new)] for what in ("rate", "cpu_us", "p99_ms")
        )
        yield (
            f"{case:13}{found.connections:6}  {rate[0]:9.0f}{rate[1]:9.0f}{rate[1] / rate[0]:8.3f}  "
            f"{min(paired):6.3f}..{max(paired):6.3f}  {cpu[0]:9.1f}{cpu[1]:9.1f}{cpu[1] / cpu[0]:8.3f}  "
            f"{tail[0]:8.2f}{tail[1]:8.2f}"
            + "".join(f"{median(one, 'rate'):13.0f}{median(one, 'p99_ms'):8.2f}" for one in others)
        )
    for name, hit_ratio in found.hit_ratios.items():
        cost, cpu_cost = cost_of_a_stored_miss(found, name)
        yield (
            f"{'':21}{name}: {100 * hit_ratio:.1f} % of the mix are hits; "
            f"a stored miss costs {cost:.2f} pass-throughs ({cpu_cost:.2f} by the processor)"
        )


def as_json(found: Found) -> dict[str, Any]:
    """The results as plain data, with every round."""
    cases: dict[str, dict[str, Any]] = {case: {} for case in PATHS}
    for (case, name), runs in found.runs.items():
        medians = {what: median(runs, what) for what in Measured._fields}
        cases[case][name] = medians | {"rounds": [one._asdict() for one in runs]}
    for case, measured in cases.items():
        measured["ratio"] = measured["new"]["rate"] / measured["old"]["rate"]
        measured["paired_ratios"] = ratios(found.runs[case, "new"], found.runs[case, "old"])
    misses = {}
    for name, hit_ratio in found.hit_ratios.items():
        cost, cpu_cost = cost_of_a_stored_miss(found, name)
        misses[name] = {"hit_ratio": hit_ratio, "pass_throughs": cost, "pass_throughs_by_cpu": cpu_cost}
    return {"connections": found.connections, "cases": cases, "stored_miss": misses}


def run(options: argparse.Namespace) -> None:
    cores, busy, python = os.cpu_count(), os.getloadavg()[0], platform.python_version()
    compared = {
        "old": described(options.commit),
        "new": working_tree(),
        "machine": f"{cores} cores, load average {busy:.1f} before; Python {python}",
    }
    print("\n".join(f"{name}: {value}" for name, value in compared.items()))
    with (
        tempfile.TemporaryDirectory(prefix="against_a_commit") as text,
        worktree(options.commit, Path(text) / "old") as old,
        origin(Path(text) / "origin", FILES) as port,
    ):
        trees = {"old": old, "new": ROOT}
        # Both proxies are to find their modules compiled.
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        for tree in trees.values():
            check_imports(tree)
        bench = Bench(Path(text), port, trees, options.seconds)
        with bench.contestants(beside_nginx=options.nginx) as contestants:
            print(heading(beside_nginx=options.nginx), flush=True)
            measured = []
            for connections in options.connections:
                measured.append(bench.compare(contestants, connections, options.rounds))
                print("\n".join(rows(measured[-1])), flush=True)
    if options.json is not None:
        data = compared | {
            "rounds": options.rounds,
            "seconds": options.seconds,
            "measured": [as_json(found) for found in measured],
        }
        options.json.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--commit", default="HEAD~1", metavar="REV", help="the old one (HEAD~1)")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each cell (5)")
    parser.add_argument("--seconds", type=float, default=3, help="of each measurement (3)")
    parser.add_argument("--connections", type=int, nargs="+", default=[16, 128], help="of wrk (16 128)")
    parser.add_argument("--nginx", action="store_true", help="measure nginx as well")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that all child processes are ended
    missing = [name for name in ("git", "nginx", "wrk") if shutil.which(name) is None]
    if missing:
        print(f"needs {' and '.join(missing)}: apt-get install {' '.join(missing)}", file=sys.stderr)
        return 2
    try:
        run(options)
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
