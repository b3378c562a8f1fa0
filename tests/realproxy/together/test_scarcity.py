"""Threads that cannot be started, and faults of the program outside of the phases: all else goes on."""

from __future__ import annotations

import errno
import os
import signal
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable

import pytest

from policies.settings import Log
from realproxy import Limits, Proxy, Route
from realproxy.control import fleet as fleet_module
from realproxy.control.worker_handle import WorkerHandle
from realproxy.downstream.connection import DownstreamConnection
from realproxy.errors import UpstreamError
from realproxy.messages.record import RequestRecord
from realproxy.net import resolver as resolver_module
from realproxy.net.dial import start_connect
from realproxy.net.resolver import Resolver
from realproxy.observe import access_log
from realproxy.runtime.background_jobs import BackgroundJobs
from realproxy.server import handshake


class Fault(Exception):
    """What no part of the proxy expects."""


@pytest.fixture
def scarce(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Have the system start no threads of a name, for the first `times`; returns the list of those."""

    def prepare(name: str, times: int = 1) -> list[str]:
        refused: list[str] = []
        really = threading.Thread.start

        def start(self: threading.Thread) -> None:
            if self.name == name and len(refused) < times:
                refused.append(name)
                raise RuntimeError("can't start new thread")
            really(self)

        monkeypatch.setattr(threading.Thread, "start", start)
        return refused

    return prepare


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[type]:
    """The faults that are reported."""
    found: list[type] = []
    monkeypatch.setattr(threading, "excepthook", lambda fault: found.append(fault.exc_type))
    return found


def test_without_more_workers_requests_wait_for_those_that_there_are(origin, serve, wire, until, scarce):
    go_on = threading.Event()

    def script(_):
        assert go_on.wait(30)
        return b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

    proxy = serve(origin(script))
    refused = scarce("proxy-worker", times=10**6)
    clients = [wire(proxy).send("GET / HTTP/1.1\r\nHost: a\r\n\r\n") for _ in range(8)]
    until(lambda: refused)
    go_on.set()
    assert [client.answer().status for client in clients] == [200] * 8
    assert proxy.stats()["threads"] == 3


def test_a_name_is_looked_up_once_a_thread_can_be_started(monkeypatch, scarce):
    monkeypatch.setattr(resolver_module, "look_up", lambda _: ["192.0.2.7"])
    resolver = Resolver(0.05)
    refused = scarce("proxy-resolver")
    with pytest.raises(UpstreamError, match="not resolved in time"):
        resolver.resolve(("one.test", 80))
    resolver.timeout = 30.0
    assert resolver.resolve(("two.test", 80)) == [("192.0.2.7", 80)]
    assert refused and resolver.resolve(("one.test", 80)) == [("192.0.2.7", 80)]
    resolver.stop()


def test_a_job_in_the_background_waits_for_a_thread_and_the_stop_for_none(scarce):
    jobs = BackgroundJobs("proxy-refresh", 4)
    refused, done = scarce("proxy-refresh"), threading.Semaphore(0)
    for _ in range(2):
        assert jobs.submit(done.release)
    assert refused and done.acquire(timeout=30) and done.acquire(timeout=30)
    jobs.stop()


def test_the_admin_port_answers_the_next_client(serve, scarce):
    proxy = serve(route=[Route(respond=204)], admin="127.0.0.1:0")
    refused = scarce("proxy-admin-page")
    with pytest.raises((urllib.error.URLError, ConnectionError)):
        urllib.request.urlopen(f"{proxy.admin_url}/stats", timeout=30)
    with urllib.request.urlopen(f"{proxy.admin_url}/stats", timeout=30) as answer:
        assert refused and answer.status == 200


@pytest.mark.parametrize("where", ["read", "make"])
def test_a_fault_before_the_head_is_whole_costs_one_client(serve, wire, monkeypatch, told, where):
    proxy = serve(route=[Route(respond=204)])
    owner = {"read": DownstreamConnection, "make": handshake}[where]
    name = {"read": "read", "make": "DownstreamConnection"}[where]
    really = getattr(owner, name)

    def faulty(*arguments):
        monkeypatch.setattr(owner, name, really)
        raise Fault

    monkeypatch.setattr(owner, name, faulty)
    victim = wire(proxy)
    try:
        assert victim.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").ended()
    except ConnectionError:
        assert where == "make", "a connection with unread bytes is reset"
    assert wire(proxy).ask().status == 204 and told == [Fault]


def test_a_line_that_cannot_be_written_costs_only_itself(tmp_path, monkeypatch, told, capsys):
    log = access_log.AccessLog(Log(file=str(tmp_path / "log"), format="combined"))
    really, left = access_log.format_combined, [Fault]

    def once(record: RequestRecord, wall: float) -> str:
        if left:
            raise left.pop()
        return really(record, wall)

    log._format = once
    for client in ("192.0.2.1", "192.0.2.2"):
        log.write(RequestRecord(client, time.monotonic(), time.monotonic()))
    log.close()
    assert (tmp_path / "log").read_text(encoding="utf-8").startswith("192.0.2.2 ")
    assert told == [Fault] and "has lost lines: 1" in capsys.readouterr().err


def test_a_connection_to_no_address_leaves_no_socket():
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    with pytest.raises(OSError):
        start_connect(("fe80::1%nowhere", 80))
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_a_worker_process_that_cannot_be_started_now_is_started_soon(inside, until, monkeypatch):
    monkeypatch.setattr(fleet_module, "RETRY_START", 0.05)
    failures: list[int] = []

    def scarce_handle(*arguments):
        if len(failures) < 2:
            failures.append(errno.EMFILE)
            raise OSError(errno.EMFILE, "Too many open files")
        return WorkerHandle(*arguments)

    with Proxy(workers=2, route=[Route(respond=204)], limits=Limits(drain="1s")) as proxy:
        fleet = inside(proxy)
        monkeypatch.setattr(fleet_module, "WorkerHandle", scarce_handle)
        before = {process["pid"] for process in proxy.stats()["processes"]}
        os.kill(min(before), signal.SIGKILL)
        until(lambda: len(failures) == 2 and fleet._spare is not None and len(fleet._workers) == 2)
        after = {process["pid"] for process in proxy.stats()["processes"]}
        assert len(after) == 2 and min(before) not in after
