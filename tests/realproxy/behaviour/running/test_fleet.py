"""Several worker processes on one socket: they share the work, die and come back, and end together."""

import contextlib
import json
import os
import signal
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from policies.settings import load_settings, parse_settings
from realproxy import BadInput, Limits, Proxy, Route, Service
from realproxy.control.fleet import Fleet, restart_delay
from realproxy.server.accept_balance import MAX_YIELDS, AcceptBalance

ANSWER = Route(respond=204)


def settings(**keywords):
    keywords.setdefault("route", [ANSWER])
    keywords.setdefault("limits", Limits(drain="2s"))
    return Proxy(workers=2, **keywords).settings


@pytest.fixture(scope="module")
def fleet() -> Iterator[Proxy]:
    with Proxy(settings(admin="127.0.0.1:0")) as proxy:
        yield proxy


def pids(proxy: Proxy) -> list[int]:
    return [process["pid"] for process in proxy.stats()["processes"]]


def test_both_workers_take_a_part(fleet, wire, until):
    before = fleet.stats()["requests"]
    asked = 0

    def both_have() -> bool:
        nonlocal asked
        with contextlib.closing(wire(fleet)) as client:
            assert client.ask().status == 204
        asked += 1
        return all(process["requests"] > 0 for process in fleet.stats()["processes"])

    until(both_have, 30)
    stats = fleet.stats()
    assert stats["requests"] - before == asked
    assert stats["requests"] == sum(process["requests"] for process in stats["processes"])
    assert len(set(pids(fleet))) == 2 and os.getpid() not in pids(fleet)


def test_connections_are_spread_evenly(fleet, wire, until):
    """Even if all come at once. In the best of several bursts: a worker that gets no core yields some."""
    fewest = []
    while len(fewest) < 8 and max(fewest, default=0) < 12:
        until(lambda: fleet.stats()["connections"] == 0)
        clients = [wire(fleet) for _ in range(30)]
        until(lambda: fleet.stats()["connections"] == 30)
        fewest.append(min(process["connections"] for process in fleet.stats()["processes"]))
        for client in clients:
            client.close()
    assert max(fewest) >= 12


def test_who_has_the_fewest_connections_accepts():
    parent = AcceptBalance.create(3)
    first, second = (AcceptBalance(os.dup(parent.fd), 3, slot) for slot in (0, 1))
    first.publish(2)
    second.publish(1)  # the third is not there
    assert [second.may_accept() for _ in range(3)] == [True] * 3
    assert [first.may_accept() for _ in range(MAX_YIELDS + 2)] == [*[False] * MAX_YIELDS, True, False]
    parent.clear(1)
    assert first.may_accept()
    for turns in (parent, first, second):
        turns.close()


def test_stats_and_metrics_are_summed(fleet, wire, until):
    for _ in range(10):
        wire(fleet).ask()
    until(lambda: sum(row["count"] for row in fleet.stats()["traffic"]) == fleet.stats()["requests"])
    with urllib.request.urlopen(fleet.admin_url + "/metrics", timeout=30) as answer:
        text = answer.read().decode()
    total = next(line for line in text.splitlines() if line.startswith("proxytwin_requests_total{"))
    assert float(total.rpartition(" ")[2]) == fleet.stats()["requests"]
    with urllib.request.urlopen(fleet.admin_url + "/recent", timeout=30) as answer:
        assert json.load(answer)[0]["status"] == 204


def test_a_worker_that_is_killed_is_back_within_a_second(fleet, wire, inside):
    """From the kill until another process serves in its place; a busy machine may spoil some rounds."""
    took = []
    while len(took) < 3 and min(took, default=1.0) >= 1.0:
        spare_is_ready(inside(fleet))
        first, other = pids(fleet)
        os.kill(first, signal.SIGKILL)
        start = time.monotonic()
        while len(now := pids(fleet)) < 2 or first in now:
            assert time.monotonic() - start < 30.0
            assert wire(fleet).ask().status == 204  # the other one serves on
            time.sleep(0.01)
        took.append(time.monotonic() - start)
        assert other in now
    assert fleet.stats()["restarts"] == len(took)
    assert min(took) < 1.0


def spare_is_ready(running: Fleet) -> None:
    """Wait until the process that waits for its turn has read its program, on a busy machine too."""
    end = time.monotonic() + 60
    while running._spare is None:
        assert time.monotonic() < end
        time.sleep(0.01)
    assert running._spare.call("stats", 60) is None


def test_threads_that_ask_at_once_each_get_all_answers(fleet):
    with ThreadPoolExecutor(4) as threads:
        asked = [threads.submit(fleet.stats) for _ in range(100)]
    assert {len(stats.result()["processes"]) for stats in asked} == {fleet.settings.workers}


def test_new_settings_reach_every_worker(fleet, wire):
    for status in (201, 204):
        fleet.reload(fleet.settings.model_copy(update={"route": (Route(respond=status),)}))
        assert {wire(fleet).ask().status for _ in range(20)} == {status}


def test_a_purge_reaches_every_worker(fleet, origin, wire, until):
    before = fleet.settings
    answer = b"HTTP/1.1 200 X\r\nCache-Control: max-age=60\r\nContent-Length: 5\r\n\r\nhello"
    service = {"web": Service(upstreams=[origin(lambda _: answer).address])}
    fleet.reload(before.model_copy(update={"route": (Route(to="web", cache=True),), "service": service}))

    def both_have_it() -> bool:
        assert wire(fleet).ask().body == b"hello"
        return fleet.stats()["cache_objects"] == 2

    until(both_have_it, 30)
    with pytest.raises(BadInput, match="exactly one"):
        fleet.purge()
    assert fleet.purge(prefix="http://shop.test/") == 2
    assert fleet.stats()["cache_objects"] == 0
    fleet.reload(before)


def test_settings_that_a_worker_refuses_change_nothing(fleet, wire):
    from realproxy import Log

    broken = {"route": (Route(respond=201),), "log": Log(file="/nowhere/at/all")}
    with pytest.raises(BadInput, match=r"log\.file: cannot be written"):
        fleet.reload(fleet.settings.model_copy(update=broken))
    with pytest.raises(BadInput, match="workers: cannot change"):
        fleet.reload(fleet.settings.model_copy(update={"workers": 3}))
    assert {wire(fleet).ask().status for _ in range(20)} == {204}


def test_what_is_wrong_is_said_in_one_line_and_leaves_nothing():
    children = set(psutil.Process().children())
    with pytest.raises(BadInput, match=r"log\.file: cannot be written"):
        Proxy(workers=2, route=[ANSWER], log={"file": "/nowhere/at/all"}).start()
    assert set(psutil.Process().children()) <= children


@pytest.mark.parametrize("command", [[sys.executable, "-c", "pass"], ["/bin/true"]])
def test_a_worker_that_cannot_start_is_said_so(command):
    """Whether it ends after it was told to serve, or before."""
    for _ in range(5):
        with pytest.raises(BadInput, match="workers: a worker process ended before it served"):
            Proxy(settings(), worker_command=command).start()


def test_who_dies_again_and_again_waits_longer_each_time():
    assert [restart_delay(deaths) for deaths in (1, 2, 3, 4, 5, 50)] == [0, 0, 0.25, 0.5, 1, 10]


def test_the_parent_stops_all_and_loses_no_request(child, origin, wire):
    """SIGTERM: requests under way get their responses; no process is left."""
    gate, arrived = threading.Event(), threading.Semaphore(0)

    def slow(_):
        arrived.release()
        gate.wait(60)
        return b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

    server = origin(slow)
    proxy = child(
        f'workers = 2\nroute = [{{ to = "web" }}]\nservice.web.upstreams = "{server.address}"\n'
        'limits = { drain = "20s" }\n'
    )
    clients = [wire(proxy).send("GET / HTTP/1.1\r\nHost: a\r\n\r\n") for _ in range(8)]
    for _ in clients:
        assert arrived.acquire(timeout=20)
    processes = psutil.Process(proxy.pid).children()
    assert len(processes) == 3  # two that serve, and a spare
    proxy.process.send_signal(signal.SIGTERM)
    gate.set()
    assert [client.answer().body for client in clients] == [b"ok"] * 8
    assert proxy.process.wait(60) == 0
    assert not psutil.wait_procs(processes, timeout=30)[1]


def test_workers_end_when_their_parent_is_killed(child, wire):
    proxy = child("workers = 2\nroute = [{ respond = 204 }]\n")
    processes = psutil.Process(proxy.pid).children()
    assert wire(proxy).ask().status == 204
    proxy.process.kill()
    assert not psutil.wait_procs(processes, timeout=20)[1]


def test_settings_reach_a_worker_as_they_are(tmp_path):
    """They go over a pipe as JSON."""
    file = tmp_path / "proxy.toml"
    file.write_text(
        """
        workers = 2
        limits = { idle_timeout = "1500ms", head = "8KiB" }
        log = { file = "-", format = "combined" }
        cache = { capacity = "3MiB", policy = "lru" }
        [forward]
        block = ["*.test"]
        [[route]]
        when = { host = "a.test", client = "10.0.0.0/8", header = { X = "1" } }
        to = "web"
        cache = { ttl = "1h" }
        [service.web]
        upstreams = ["127.0.0.1:1", { address = "127.0.0.1:2", weight = 2 }]
        eject = { errors = 2, for = "3s" }
        """,
        encoding="utf-8",
    )
    loaded = load_settings(file)
    assert parse_settings(json.loads(json.dumps(loaded.model_dump(mode="json", by_alias=True)))) == loaded


def test_the_cache_is_shared_out():
    both = Proxy(workers=2, route=[Route(to="a", cache=True)], service={"a": Service(upstreams=["a.test:1"])},
                 cache={"capacity": "10MiB"})  # fmt: skip
    assert both.settings.worker_cache.capacity == 5 * 2**20
