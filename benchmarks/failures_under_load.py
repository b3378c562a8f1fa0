"""What each mechanism does when a real backend process is killed, slowed, frozen and restarted under load.

    python -m benchmarks.failures_under_load

Three backend processes with 10 ms of work stand behind the proxy; clients ask all the time, each again as
soon as it has an answer. A row says what happened to a process, which figure was measured, and between which
values its mechanism must keep it. The lower bound is what the settings say. The upper one allows for a busy
machine. Exit 1 if a figure is outside.
"""

from __future__ import annotations

import contextlib
import http.client
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from loadtests.free_port import free_port
from realproxy import Limits, Proxy, Route, Service

BACKEND = """
import sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        time.sleep(float(sys.argv[2]) if self.path != "/health" else 0)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *_):
        pass
class Server(ThreadingHTTPServer):
    request_queue_size = 256
    daemon_threads = True
server = Server(("127.0.0.1", int(sys.argv[1])), Handler)
print("ready", flush=True)
server.serve_forever()
"""
WORK, SLACK, PATIENCE = 0.010, 1.5, 20.0
"""Seconds: of one request; that a busy machine may add; until something that does not happen is an error."""


class Row(NamedTuple):
    """One figure, and the bounds that its mechanism promises."""

    mechanism: str
    event: str
    figure: str
    least: float
    measured: float
    most: float

    @property
    def holds(self) -> bool:
        """Whether the figure is within its bounds."""
        return self.least <= self.measured <= self.most


class Backend:
    """One backend process on a port of its own."""

    def __init__(self) -> None:
        self.port = free_port()
        self.start(WORK)

    def start(self, work: float) -> None:
        command = [sys.executable, "-c", BACKEND, str(self.port), str(work)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n"

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)


class Answer(NamedTuple):
    began: float
    ended: float
    status: int


class Load:
    """Clients that ask all the time; `answers` grows."""

    def __init__(self, port: int, clients: int) -> None:
        self.port, self.stopped = port, threading.Event()
        self.answers: list[Answer] = []
        self.threads = [threading.Thread(target=self._ask) for _ in range(clients)]
        for thread in self.threads:
            thread.start()

    def _ask(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        while not self.stopped.is_set():
            began = time.monotonic()
            try:
                connection.request("GET", "/")
                answer = connection.getresponse()
                answer.read()
                status = answer.status
            except (OSError, http.client.HTTPException):
                connection.close()
                status = 0
            self.answers.append(Answer(began, time.monotonic(), status))
            if status != 200:
                self.stopped.wait(0.005)  # a refusal costs nothing: do not ask a thousand times a second
        connection.close()

    def stop(self) -> None:
        self.stopped.set()
        for thread in self.threads:
            thread.join()


class Scene:
    """A proxy under load before three backends."""

    def __init__(self, backends: list[Backend], proxy: Proxy, load: Load) -> None:
        self.backends, self.proxy, self.load = backends, proxy, load

    def upstream(self, index: int) -> dict[str, Any]:
        found: dict[str, Any] = self.proxy.stats()["upstreams"]["web"][index]
        return found

    def service(self) -> dict[str, Any]:
        found: dict[str, Any] = self.proxy.stats()["services"]["web"]
        return found

    def seconds_until(self, condition: Callable[[], object]) -> float:
        start = time.monotonic()
        while not condition():
            if time.monotonic() > start + PATIENCE:
                return PATIENCE
            time.sleep(0.002)
        return time.monotonic() - start

    def during(self, seconds: float) -> list[Answer]:
        """The answers to what is asked in the next seconds."""
        start, before = time.monotonic(), len(self.load.answers)
        time.sleep(seconds)
        return [one for one in self.load.answers[before:] if one.began >= start]


@contextlib.contextmanager
def scene(clients: int = 6, timeouts: dict[str, str] | None = None, **service: Any) -> Iterator[Scene]:
    with contextlib.ExitStack() as stack:
        backends = []
        for _ in range(3):
            backends.append(Backend())
            stack.callback(backends[-1].kill)
        upstreams = [f"127.0.0.1:{backend.port}" for backend in backends]
        proxy = stack.enter_context(
            Proxy(
                route=[Route(to="web", **(timeouts or {}))],
                service={"web": Service(upstreams=upstreams, **service)},
                limits=Limits(drain="100ms", answer_timeout="5s"),
            )
        )
        load = Load(proxy.port, clients)
        stack.callback(load.stop)
        found = Scene(backends, proxy, load)
        found.seconds_until(lambda: len(load.answers) > 3 * clients)
        yield found


def bad(answers: list[Answer]) -> int:
    return sum(one.status != 200 for one in answers)


def ejection() -> Iterator[Row]:
    """Killed: refused connections go elsewhere, and after two the process is left alone, longer each time."""
    with scene(eject={"errors": 2, "for": "400ms", "grow": True, "every": "1h"}) as at:
        at.backends[0].kill()
        took = at.seconds_until(lambda: at.upstream(0)["ejected"])
        yield Row("eject", "killed", "s until ejected", 0.0, took, SLACK)
        yield Row("eject", "killed", "answers that fail", 0, bad(at.during(0.1)), 0)
        ended = at.seconds_until(lambda: at.upstream(0)["ejections"] == 2)
        yield Row("eject", "killed", "s until ejected again", 0.3, ended, 0.4 + SLACK)
        at.backends[0].start(WORK)
        back = at.seconds_until(lambda: not at.upstream(0)["ejected"])
        yield Row("eject", "restarted", "s until asked again (2 × 0.4)", 0.2, back, 0.8 + SLACK)


def health() -> Iterator[Row]:
    """Frozen: three probes of 100 ms fail; two good ones bring it back."""
    probes = {"every": "100ms", "fall": 3, "rise": 2}
    with scene(health=probes, balance="least_requests", clients=4) as at:
        at.backends[0].freeze()
        took = at.seconds_until(lambda: at.upstream(0)["unhealthy"])
        yield Row("health", "frozen", "s until unhealthy (3 × 0.1)", 0.2, took, 0.4 + SLACK)
        at.backends[0].thaw()
        back = at.seconds_until(lambda: not at.upstream(0)["unhealthy"])
        yield Row("health", "thawed", "s until healthy (2 × 0.1)", 0.05, back, 0.3 + SLACK)


def breaker() -> Iterator[Row]:
    """All killed: it opens, and refuses at once; after a restart it closes with the next trial."""
    with scene(breaker={"failures": 5, "open": "300ms"}) as at:
        for backend in at.backends:
            backend.kill()
        took = at.seconds_until(lambda: at.service()["breaker_open"])
        yield Row("breaker", "all killed", "s until open", 0.0, took, SLACK)
        asked = sum(at.upstream(index)["requests"] for index in range(3))
        answers = at.during(0.2)
        more = sum(at.upstream(index)["requests"] for index in range(3)) - asked
        yield Row("breaker", "all killed", "attempts per answer", 0, more / len(answers), 0.5)
        for backend in at.backends:
            backend.start(WORK)
        back = at.seconds_until(lambda: not at.service()["breaker_open"])
        yield Row("breaker", "restarted", "s until closed (0.3)", 0.0, back, 0.3 + SLACK)


def try_timeout_and_retry() -> Iterator[Row]:
    """Frozen: a try ends after 60 ms and the retry is answered; the budget bounds the retries."""
    retry = {"attempts": 3, "budget": 0.2}
    with scene(timeouts={"try_timeout": "60ms", "timeout": "5s"}, retry=retry) as at:
        at.backends[0].freeze()
        at.during(0.1)
        asked = sum(at.upstream(index)["requests"] for index in range(3))
        answers = at.during(1.0)
        retries = sum(at.upstream(index)["requests"] for index in range(3)) - asked - len(answers)
        slow = [one.ended - one.began for one in answers if one.ended - one.began > 0.05]
        at.backends[0].thaw()
        median = sorted(slow)[len(slow) // 2]
        yield Row("try_timeout", "frozen", "s of the median answer that waited", 0.06, median, 0.2 + SLACK)
        share = retries / len(answers)
        saved = 10 + len(at.load.threads)  # by the budget, and tries under way
        yield Row("retry budget", "frozen", "retries per answer", 0.02, share, 0.2 + saved / len(answers))


def limits() -> Iterator[Row]:
    """Frozen: no more than the limit are in flight, and others are refused at once."""
    with scene(limit=3, clients=8, balance="least_requests") as at:
        for backend in at.backends:
            backend.freeze()
        at.seconds_until(lambda: at.service()["in_flight"] == 3)
        answers = at.during(0.2)
        yield Row("limit", "frozen", "requests in flight", 3, at.service()["in_flight"], 3)
        yield Row("limit", "frozen", "refused", 5, sum(one.status == 503 for one in answers), float("inf"))
        worst = sorted(one.ended - one.began for one in answers)[len(answers) // 2]
        yield Row("limit", "frozen", "s of the median refusal", 0.0, worst, 0.1)
        for backend in at.backends:
            backend.thaw()
        back = at.seconds_until(lambda: bad(at.during(0.05)) == 0 or at.load.answers[-1].status == 200)
        yield Row("limit", "thawed", "s until answered", 0.0, back, SLACK)


def deadlines() -> Iterator[Row]:
    """Slowed twenty times: who has a deadline of 100 ms is told 504 at its end, and not after the work."""
    with scene(timeouts={"timeout": "100ms"}, clients=4) as at:
        for backend in at.backends:
            backend.kill()
            backend.start(20 * WORK)
        at.during(0.1)
        answers = at.during(0.6)
        took = sorted(one.ended - one.began for one in answers)[len(answers) // 2]
        yield Row("timeout", "slowed 20 ×", "s of the median answer", 0.1, took, 0.18)


CASES = (ejection, health, breaker, try_timeout_and_retry, limits, deadlines)


def main() -> None:
    print(f"{'mechanism':14}{'process':14}{'figure':38}{'least':>8}{'measured':>10}{'most':>8}")
    held = True
    for case in CASES:
        for row in case():
            held = held and row.holds
            print(
                f"{row.mechanism:14}{row.event:14}{row.figure:38}{row.least:8.2f}{row.measured:10.3f}{row.most:8.2f}"
                f"{'' if row.holds else '  outside'}",
                flush=True,
            )
    sys.exit(not held)


if __name__ == "__main__":
    main()
