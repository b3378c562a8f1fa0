"""The public suite of HTTP cache tests (http-cache-tests, cache-tests.fyi) against this proxy.

    python benchmarks/cache_conformance.py [--forward] [--json FILE]

The suite's own origin and client run, with the proxy between them; the suite's own grader, which
honours that tests depend on others, says what passes. The suite comes from npm, into `suites/`.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from loadtests.free_port import free_port

ROOT = Path(__file__).resolve().parents[1]
SUITES = ROOT / "suites"
EDITION = "0.4.5"
REVERSE = """
listen = "127.0.0.1:0"
[[route]]
to = "suite"
cache = true
[service.suite]
upstreams = ["127.0.0.1:{port}"]
"""
FORWARD = """
listen = "127.0.0.1:0"
[forward]
private_targets = true
cache = true
"""
KINDS = ("required", "optimal", "check")
SECONDS = 240
"""Within which a run must be over; it takes about one minute."""

_GONE = "it wants 200 from an origin that is gone; the next edition takes any error"
_CONTRADICTORY = "its Content-Range contradicts its body (RFC 9110, 14.4)"
_UNREADABLE = "an Age that cannot be read is ignored (RFC 9111, 5.1); so the next edition"
_FIRST = "of several ages the first counts (RFC 9111, 5.1); so the next edition"
INSTALL_S = 100
"""Seconds that npm may take."""
STANDSTILL_S = 0.7
"""Its answers are fresh for one or two real seconds: a run that stood still for longer says nothing."""
ROUNDS = 4
"""Runs at most, of which the first undisturbed one counts."""
UNSOUND = {
    "headers-store-Transfer-Encoding": "its answer has no readable framing (RFC 9112, 6.1): 502 is right",
    "partial-store-partial-complete": "parts need a strong validator to be combined (RFC 9111, 3.4)",
    "conditional-lm-fresh-no-lm": "a Date after If-Modified-Since means modified (RFC 9111, 4.3.2)",
    **{
        f"stale-close-{name}": _GONE
        for name in ("must-revalidate", "proxy-revalidate", "no-cache", "s-maxage=2")
    },
    **{
        f"partial-store-partial-reuse-partial{name}": _CONTRADICTORY
        for name in ("", "-absent", "-byterange", "-suffix")
    },
    **{
        f"age-parse-{name}": _UNREADABLE
        for name in ("nonnumeric", "negative", "float", "parameter", "numeric-parameter")
    },
    **{f"age-parse-{name}": _FIRST for name in ("prefix-twoline", "dup-0", "dup-0-twoline", "dup-old")},
}
"""Tests that a cache need not or must not pass, each with the reason."""


@dataclass(frozen=True)
class Verdict:
    """What the grader says of one test."""

    kind: str
    passed: bool
    detail: str


def missing_commands() -> list[str]:
    return [name for name in ("node", "npm") if shutil.which(name) is None]


def install() -> Path:
    """The folder of the suite, fetched from npm if it is not there yet; by one process at a time."""
    folder = SUITES / "node_modules" / "http-cache-tests"
    SUITES.mkdir(exist_ok=True)
    with (SUITES / "lock").open("w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "cli.mjs").exists():
            _fetch()
    return folder


def _fetch() -> None:
    command = ["npm", "install", "--prefix", str(SUITES), "--no-audit", "--no-fund", "--silent",
               "--ignore-scripts", "--fetch-retries=5", "--fetch-retry-mintimeout=1000",
               "--fetch-retry-maxtimeout=10000", f"http-cache-tests@{EDITION}"]  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=INSTALL_S)
    except subprocess.TimeoutExpired:
        raise SystemExit(f"npm did not install http-cache-tests within {INSTALL_S} s") from None
    if done.returncode != 0:
        raise SystemExit(f"npm cannot install http-cache-tests: {done.stderr.strip()}")


@contextlib.contextmanager
def origin(folder: Path) -> Iterator[int]:
    """The suite's own server."""
    port = free_port()
    settings = {"npm_config_protocol": "http", "npm_config_port": str(port), "npm_config_pidfile": os.devnull}
    process = subprocess.Popen(
        ["node", "server/server.mjs"], cwd=folder, env={**os.environ, **settings},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait()


@dataclass(frozen=True)
class Report:
    """What the grader says.

    Parameters
    ----------
    verdicts : dict of str to Verdict
        On this proxy, by test.
    peers : dict of str to dict
        How many tests of each kind other proxies pass, as the suite's authors publish it.
    standstill : float
        Seconds for which the suite's client got nowhere at one time.
    """

    verdicts: dict[str, Verdict]
    peers: dict[str, dict[str, int]]
    standstill: float

    def counts(self, kind: str) -> tuple[int, int]:
        """Tests of a kind that pass, and all of it."""
        of_kind = [verdict for verdict in self.verdicts.values() if verdict.kind == kind]
        return sum(verdict.passed for verdict in of_kind), len(of_kind)


def grade(folder: Path, url: str, *through: str) -> Report:
    """Run the suite's client against a cache, and its grader over the results.

    Parameters
    ----------
    folder : Path
        Of the suite.
    url : str
        To ask.
    through : str
        Port of a forward proxy, if there is one between.
    """
    script = Path(__file__).with_name("cache_conformance.mjs")
    command = ["node", "--no-warnings", str(script), str(folder), url, *through]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS)
    if done.returncode != 0:
        raise SystemExit(f"the suite fails: {done.stderr.strip()}")
    found = json.loads(done.stdout.splitlines()[-1])
    verdicts = {name: Verdict(**one) for name, one in found["verdicts"].items()}
    return Report(verdicts, found["peers"], found["standstill"])


def undisturbed(folder: Path, url: str, *through: str) -> Report:
    """`grade`, again as long as the machine stands still in between: the suite counts in real seconds."""
    for _ in range(ROUNDS):
        report = grade(folder, url, *through)
        if report.standstill < STANDSTILL_S:
            break
    return report


@contextlib.contextmanager
def proxy(settings: str) -> Iterator[int]:
    """The port of this proxy, in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="conformance") as folder:
        file = Path(folder) / "proxy.toml"
        file.write_text(settings, encoding="utf-8")
        command = [sys.executable, "-m", "realproxy", str(file), "--until-eof"]
        process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        try:
            assert process.stdout is not None
            port: int = json.loads(process.stdout.readline())["port"]
            yield port
        finally:
            process.communicate(timeout=30)


def run(*, forward: bool = False) -> Report:
    """The verdicts on this proxy with an ordinary cache, on its reverse or its forward side."""
    folder = install()
    with origin(folder) as port, proxy(FORWARD if forward else REVERSE.format(port=port)) as own:
        if forward:
            return undisturbed(folder, f"http://127.0.0.1:{port}", str(own))
        return undisturbed(folder, f"http://127.0.0.1:{own}")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--forward", action="store_true", help="through the forward side")
    parser.add_argument("--json", type=Path, help="write all verdicts there")
    options = parser.parse_args()
    if missing := missing_commands():
        print(f"needs {' and '.join(missing)}: apt-get install nodejs npm", file=sys.stderr)
        return 2
    report = run(forward=options.forward)
    print(f"{'':20}{'required':>12}{'optimal':>12}{'check':>12}")
    ours = {kind: report.counts(kind) for kind in KINDS}
    rows = {"proxytwin": {kind: passed for kind, (passed, _) in ours.items()}, **report.peers}
    for name, row in rows.items():
        print(f"{name:20}" + "".join(f"{row[kind]:>6} /{ours[kind][1]:>4}" for kind in KINDS))
    for name, verdict in sorted(report.verdicts.items(), key=lambda item: (item[1].kind, item[0])):
        if not verdict.passed and verdict.kind != "check":
            print(f"fails, {verdict.kind}: {name}: {verdict.detail}")
            print(f"    unsound: {UNSOUND[name]}" if name in UNSOUND else "    and should not")
    if options.json:
        plain = {name: vars(verdict) for name, verdict in report.verdicts.items()}
        options.json.write_text(json.dumps(plain, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
