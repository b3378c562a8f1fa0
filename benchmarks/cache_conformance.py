"""Run the public suite of HTTP cache tests (http-cache-tests, cache-tests.fyi) on this proxy.

    python -m benchmarks.cache_conformance [--forward] [--suite FOLDER] [--json FILE]

The suite's origin and client run with the proxy between them. The suite's grader judges the results; it
knows that some tests depend on others. The suite is installed from npm into `suites/`, or is any edition of
it in a folder, such as a checkout of its repository.
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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from loadtests.free_port import free_port
from policies.bad_input import BadInput

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
"""Time limit of a run, which takes about one minute."""

_GONE = "it expects 200 although the origin is gone; the next edition accepts any error"
_CONTRADICTORY = "its Content-Range contradicts its body (RFC 9110, 14.4)"
_UNREADABLE = "an invalid Age is ignored (RFC 9111, 5.1); the next edition agrees"
_FIRST = "if there are several ages, the first counts (RFC 9111, 5.1); the next edition agrees"
INSTALL_S = 100
"""Time limit of npm, in seconds."""
STANDSTILL_S = 0.7
"""If the client stood still for longer, a run is invalid: responses are fresh for one or two real seconds."""
ROUNDS = 4
"""Highest number of runs; the first undisturbed one counts."""
UNSOUND = {
    "headers-store-Transfer-Encoding": "its response has no valid framing (RFC 9112, 6.1): 502 is right",
    "partial-store-partial-complete": "parts can only be combined with a strong validator (RFC 9111, 3.4)",
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
"""Tests that a cache need not pass or must not pass, with the reasons."""


@dataclass(frozen=True)
class Verdict:
    """The grader's verdict on one test."""

    kind: str
    passed: bool
    detail: str


_FILES = {
    "tests": ("tests/index.mjs",),
    "client": ("client/runner.mjs",),
    "server": ("server/server.mjs",),
    "grader": ("lib/results.mjs", "lib/display.mjs"),
}
"""What a run needs of the suite. The editions keep these files in different places."""
CLIENT = "node-fetch"
"""The package with which the suite asks. Node's own `fetch` adds Cache-Control to conditional requests."""
_PLACES = ("", "*/", "*/*/", "node_modules/http-cache-tests/", "node_modules/http-cache-tests/*/")
"""Where they may be in the folder, as patterns; the first match counts."""


@dataclass(frozen=True)
class Suite:
    """The files of one edition of the suite.

    `published` are the authors' results, if they are there. `packages` is the folder that has the HTTP client
    of the suite, which a bare checkout lacks.
    """

    folder: Path
    packages: Path
    tests: Path
    client: Path
    server: Path
    grader: Path
    published: Path | None


def find(folder: Path) -> Suite:
    """The suite in a folder; raises `BadInput` if there is none."""
    if not folder.is_dir():
        raise BadInput("suite", str(folder), "expected a folder, such as a checkout of http-cache-tests")
    found = {part: _first(folder, names) for part, names in _FILES.items()}
    if missing := [part for part, path in found.items() if path is None]:
        wanted = ", ".join(f"{_FILES[part][0]} (the {part})" for part in missing)
        raise BadInput("suite", str(folder), f"expected a checkout of http-cache-tests; missing: {wanted}")
    paths = {part: path for part, path in found.items() if path is not None}
    top = paths["tests"].parent.parent
    has_client = any((place / "node_modules" / CLIENT).is_dir() for place in (top, *top.parents))
    packages, published = top if has_client else install(), _first(folder, ("results/index.mjs",))
    return Suite(top, packages, **paths, published=published)


def _first(folder: Path, names: Sequence[str]) -> Path | None:
    """The first file in `folder` with one of these endings."""
    for place in _PLACES:
        for name in names:
            for path in sorted(folder.glob(place + name)):
                if "node_modules" in place or "node_modules" not in path.relative_to(folder).parts:
                    return path.resolve()
    return None


def missing_commands() -> list[str]:
    return [name for name in ("node", "npm") if shutil.which(name) is None]


def install() -> Path:
    """The folder of the suite; installs it from npm if necessary. A lock admits one process at a time."""
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
def origin(suite: Suite) -> Iterator[int]:
    """Start the suite's origin; yields its port. Raises `SystemExit` if it does not start."""
    port = free_port()
    settings = {"npm_config_protocol": "http", "npm_config_port": str(port), "npm_config_pidfile": os.devnull}
    with tempfile.TemporaryFile("w+", encoding="utf-8") as said:
        process = subprocess.Popen(
            ["node", str(suite.server)], cwd=suite.folder, env={**os.environ, **settings},
            stdout=subprocess.DEVNULL, stderr=said,
        )  # fmt: skip
        try:
            _await_server(process, port, said)
            yield port
        finally:
            process.terminate()
            process.wait()


def _await_server(process: subprocess.Popen[bytes], port: int, said: IO[str]) -> None:
    end = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    said.seek(0)
    raise SystemExit(f"the suite's server does not start: {_reason(said.read())}")


def _reason(said: str) -> str:
    """The line of what node says that names the error."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if "Error" in line.split(":")[0]]
    return next(iter(errors or lines), "it says nothing")


@dataclass(frozen=True)
class Report:
    """The result of a run.

    Parameters
    ----------
    verdicts : dict of str to Verdict
        The verdicts on this proxy, by test.
    peers : dict of str to dict
        Numbers of passed tests by kind for other proxies, as published by the suite's authors.
    standstill : float
        The longest time, in seconds, for which the suite's client stood still.
    """

    verdicts: dict[str, Verdict]
    peers: dict[str, dict[str, int]]
    standstill: float

    def counts(self, kind: str) -> tuple[int, int]:
        """The number of passed tests of a kind, and of all tests of this kind."""
        of_kind = [verdict for verdict in self.verdicts.values() if verdict.kind == kind]
        return sum(verdict.passed for verdict in of_kind), len(of_kind)


def grade(suite: Suite, url: str, *through: str) -> Report:
    """Run the suite's client against a cache, and its grader over the results.

    Parameters
    ----------
    suite : Suite
    url : str
        The URL that the client requests.
    through : str
        Port of a forward proxy, if there is one.
    """
    script = Path(__file__).with_name("cache_conformance.mjs")
    files = {part: str(path) for part, path in vars(suite).items() if path is not None}
    command = ["node", "--no-warnings", str(script), json.dumps(files), url, *through]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        raise SystemExit(f"the suite did not end within {SECONDS} s") from None
    if done.returncode != 0:
        raise SystemExit(f"the suite fails: {_reason(done.stderr)}")
    found = json.loads(done.stdout.splitlines()[-1])
    verdicts = {name: Verdict(**one) for name, one in found["verdicts"].items()}
    return Report(verdicts, found["peers"], found["standstill"])


def undisturbed(suite: Suite, url: str, *through: str) -> Report:
    """Call `grade` until the machine did not stand still: the suite's tests use real seconds."""
    for _ in range(ROUNDS):
        report = grade(suite, url, *through)
        if report.standstill < STANDSTILL_S:
            break
    return report


@contextlib.contextmanager
def proxy(settings: str) -> Iterator[int]:
    """Start this proxy as a process; yields its port."""
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


def run(*, forward: bool = False, folder: Path | None = None) -> Report:
    """Run the suite on this proxy with a default cache, as a reverse or as a forward proxy.

    The suite is the one in `folder`, or else the edition from npm.
    """
    suite = find(folder if folder is not None else install())
    with origin(suite) as port, proxy(FORWARD if forward else REVERSE.format(port=port)) as own:
        if forward:
            return undisturbed(suite, f"http://127.0.0.1:{port}", str(own))
        return undisturbed(suite, f"http://127.0.0.1:{own}")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--forward", action="store_true", help="through the forward side")
    parser.add_argument("--suite", type=Path, metavar="FOLDER", help="an edition of the suite to run")
    parser.add_argument("--json", type=Path, help="write all verdicts there")
    options = parser.parse_args()
    if missing := missing_commands():
        print(f"needs {' and '.join(missing)}: apt-get install nodejs npm", file=sys.stderr)
        return 2
    try:
        report = run(forward=options.forward, folder=options.suite)
    except BadInput as problem:
        print(problem, file=sys.stderr)
        return 2
    print(f"{'':20}{'required':>12}{'optimal':>12}{'check':>12}")
    ours = {kind: report.counts(kind) for kind in KINDS}
    rows = {"proxytwin": {kind: passed for kind, (passed, _) in ours.items()}, **report.peers}
    for name, row in rows.items():
        print(f"{name:20}" + "".join(f"{row[kind]:>6} /{ours[kind][1]:>4}" for kind in KINDS))
    for name, verdict in sorted(report.verdicts.items(), key=lambda item: (item[1].kind, item[0])):
        if not verdict.passed and verdict.kind != "check":
            print(f"fails, {verdict.kind}: {name}: {verdict.detail}")
            unknown = "    and should not" if options.suite is None else "    (no reason is noted)"
            print(f"    unsound: {UNSOUND[name]}" if name in UNSOUND else unknown)
    if options.json:
        plain = {name: vars(verdict) for name, verdict in report.verdicts.items()}
        options.json.write_text(json.dumps(plain, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
