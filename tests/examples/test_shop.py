"""The shop: four services with their sidecars, started by one command, and nothing left at its end."""

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from examples.shop.mesh import Mesh
from loadtests.run.processes import Child

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def shop() -> Iterator[Mesh]:
    with Mesh() as mesh:
        yield mesh


def page(mesh: Mesh, **fields: str) -> tuple[int, Any]:
    host = mesh.door.url.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=20.0)
    with contextlib.closing(connection):
        connection.request("GET", "/pages/7", headers={n.replace("_", "-"): v for n, v in fields.items()})
        answer = connection.getresponse()
        body = answer.read()
    return answer.status, json.loads(body) if answer.status == 200 else body


def logged(mesh: Mesh, name: str, trace: str) -> list[dict[str, Any]]:
    """The lines of a proxy's access log about one trace; the log is written a moment after the answer."""
    place, limit = mesh.door if name == "door" else mesh.sidecars[name], time.monotonic() + 20.0
    while True:
        lines = [json.loads(line) for line in Path(place.log).read_text().splitlines()]
        found = [line for line in lines if trace in json.dumps(line)]
        if found or time.monotonic() > limit:
            return found
        time.sleep(0.01)


def test_a_page_has_what_all_services_say(shop: Mesh) -> None:
    status, told = page(shop)
    assert (status, told["customer"], len(told["goods"])) == (200, "7", 3)


def test_a_request_is_one_trace_through_all_sidecars(shop: Mesh) -> None:
    trace = os.urandom(16).hex()
    assert page(shop, traceparent=f"00-{trace}-{'1' * 16}-01")[0] == 200
    for name in ("door", "front/0", "cart/0"):
        assert logged(shop, name, trace), f"{name} has logged the trace"


def test_every_proxy_has_a_live_page(shop: Mesh) -> None:
    for place in (shop.door, *shop.sidecars.values()):
        connection = http.client.HTTPConnection(place.admin.removeprefix("http://"), timeout=20.0)
        with contextlib.closing(connection):
            connection.request("GET", "/")
            assert connection.getresponse().status == 200


def test_a_deadline_of_the_customer_ends_everything(shop: Mesh) -> None:
    assert page(shop, Proxytwin_Timeout_Ms="1")[0] == 504


def test_a_killed_replica_is_not_missed(shop: Mesh) -> None:
    """Its sidecar answers 502, and the front's sidecar asks the other replica of the catalogue."""
    victim = shop.children["catalogue/1"]
    os.kill(victim.pid, signal.SIGKILL)
    victim.wait(10.0)
    assert [page(shop)[0] for _ in range(6)] == [200] * 6


def listening(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def await_customers(log: Path) -> None:
    limit = time.monotonic() + 30.0
    while "/pages/" not in log.read_text():
        assert time.monotonic() < limit
        time.sleep(0.02)


def test_one_command_starts_it_and_ctrl_c_ends_everything() -> None:
    command = [sys.executable, "-m", "examples.shop", "--users", "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as shop:
        try:
            assert shop.stdout is not None
            said = ""
            while "Ctrl-C" not in said:
                line = shop.stdout.readline()
                assert line, said
                said += line
            children = psutil.Process(shop.pid).children(recursive=True)
            ports = [int(port) for port in re.findall(r"http://127\.0\.0\.1:(\d+)", said)]
            folder = Path(re.findall(r"Access logs: (.*)", said)[0])
            assert len(children) >= 11 and all(map(listening, ports))
            await_customers(folder / "door.log")
            shop.send_signal(signal.SIGINT)
            rest = shop.stdout.read()
            assert shop.wait(30.0) == 0
        finally:
            shop.kill()
    _, alive = psutil.wait_procs(children, timeout=20.0)
    assert alive == [] and not any(map(listening, ports)) and not folder.exists()
    assert "/pages/[customer]" in rest, "Locust's summary"


def test_a_service_ends_with_its_parent() -> None:
    """The kernel closes the pipe to a service when the shop is killed."""
    with Child("a service", [sys.executable, "-m", "examples.shop.service", "store"]) as service:
        service.expect(30.0)
        service.hang_up()
        assert service.wait(20.0) == 0
