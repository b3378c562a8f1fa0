"""Test backends ask others: in order or at once, through one port, with what travels with a request."""

import http.client
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from loadtests.backend.demand import AnotherBackend, callee, demanded
from loadtests.backend.request import BadRequest
from loadtests.run.processes import Child
from scenarios.call_tree import PlannedCall, written


class Sidecar(ThreadingHTTPServer):
    """Stands for the forward side of a sidecar: it records calls, and answers as it is told."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.calls: list[tuple[str, dict[str, str], int]] = []
        self.status: Callable[[str], int] = lambda _host: 200
        self.barrier: threading.Barrier | None = None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Sidecar

    def do_GET(self) -> None:
        fields = {name.lower(): value for name, value in self.headers.items()}
        self.server.calls.append((self.path, fields, self.client_address[1]))
        if self.server.barrier is not None:
            self.server.barrier.wait(20.0)
        self.send_response(self.server.status(fields["host"]))
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def sidecar() -> Iterator[Sidecar]:
    with Sidecar() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


SPEC = {"front": {"concurrency": 1}, "cart": {"concurrency": 2}}


@pytest.fixture(scope="module")
def backends() -> Iterator[tuple[Child, dict[str, int]]]:
    command = [sys.executable, "-m", "loadtests.backend.server", json.dumps(SPEC), "--until-eof"]
    with Child("the backends", command) as child:
        yield child, child.expect(60.0)["ports"]


Get = Callable[..., http.client.HTTPResponse]


@pytest.fixture
def get(backends: tuple[Child, dict[str, int]], sidecar: Sidecar) -> Iterator[Get]:
    """Ask the front, whose egress is `sidecar`."""
    child, ports = backends
    child.send({"egress": {"front/0": sidecar.server_address[1]}})
    child.expect(20.0)
    connection = http.client.HTTPConnection("127.0.0.1", ports["front/0"], timeout=30.0)

    def ask(demand: str, target: str = "/objects/3", **fields: str) -> http.client.HTTPResponse:
        named = {name.replace("_", "-"): value for name, value in fields.items()}
        connection.request("GET", target, headers={"Proxytwin-Demand": demand, **named})
        answer = connection.getresponse()
        answer.read()
        return answer

    yield ask
    connection.close()
    child.send({"egress": {}})  # closes the idle connections to the sidecar
    child.expect(20.0)


def test_calls_go_to_the_sidecar_by_name_with_their_own_demand(get: Get, sidecar: Sidecar) -> None:
    assert get("front=0.001(cart=0.5(store=1.0),store=0.25)").status == 200
    assert [(path, fields["host"], fields["proxytwin-demand"]) for path, fields, _ in sidecar.calls] == [
        ("http://cart/objects/3", "cart", "cart=0.5(store=1.0)"),
        ("http://store/objects/3", "store", "store=0.25"),
    ]


def test_a_connection_to_the_sidecar_is_used_again(get: Get, sidecar: Sidecar) -> None:
    for _ in range(2):
        get("front=0(cart=0,cart=0,cart=0)")
    assert len({port for *_, port in sidecar.calls}) == 1


def test_calls_of_one_step_are_sent_at_once(get: Get, sidecar: Sidecar) -> None:
    sidecar.barrier = threading.Barrier(4)  # nobody is answered before all four have come
    assert get("front=0(" + "&".join(["cart=0"] * 4) + ")").status == 200


def test_what_travels_with_a_request_goes_on_with_its_calls(get: Get, sidecar: Sidecar) -> None:
    trace = f"00-{'a' * 32}-{'b' * 16}-01"
    get("front=0.02(cart=0)", traceparent=trace, Proxytwin_Timeout_Ms="5000", Proxytwin_Depth="3")
    fields = sidecar.calls[0][1]
    assert fields["traceparent"] == trace
    assert 0 < float(fields["proxytwin-timeout-ms"]) <= 4980, "what its own work took is gone"
    assert fields["proxytwin-depth"] == "4"


def test_without_a_deadline_none_is_sent_on(get: Get, sidecar: Sidecar) -> None:
    get("front=0(cart=0)", Proxytwin_Timeout_Ms="soon")
    assert "proxytwin-timeout-ms" not in sidecar.calls[0][1]


@pytest.mark.parametrize("status", [500, 503])
def test_a_failed_call_ends_the_calls_and_the_caller_answers_502(
    get: Get, sidecar: Sidecar, status: int
) -> None:
    sidecar.status = lambda host: status if host == "cart" else 200
    assert get("front=0(store=0,cart=0,store=0)").status == 502
    assert [fields["host"] for _, fields, _ in sidecar.calls] == ["store", "cart"]


def test_without_a_sidecar_a_backend_says_that_it_cannot_ask(
    backends: tuple[Child, dict[str, int]],
) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", backends[1]["cart/0"], timeout=30.0)
    connection.request("GET", "/", headers={"Proxytwin-Demand": "cart=0(store=0)"})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    assert (answer.status, answer.getheader("Proxytwin-Refusal")) == (
        400,
        "cart/0 has no sidecar, so it cannot ask others",
    )


def test_a_sidecar_that_is_gone_is_a_failed_call(
    backends: tuple[Child, dict[str, int]], sidecar: Sidecar
) -> None:
    child, ports = backends
    child.send({"egress": {"front/0": 1}})  # nobody listens there
    child.expect(20.0)
    connection = http.client.HTTPConnection("127.0.0.1", ports["front/0"], timeout=30.0)
    connection.request("GET", "/", headers={"Proxytwin-Demand": "front=0(cart=0)"})
    answer = connection.getresponse()
    connection.close()
    assert answer.status == 502


def test_a_request_past_its_deadline_gets_504_and_no_work(get: Get, sidecar: Sidecar) -> None:
    for left in ("0", "-5"):
        start = time.monotonic()
        answer = get("front=9(cart=0)", Proxytwin_Timeout_Ms=left)
        assert (answer.status, answer.getheader("Proxytwin-Upstream")) == (504, None)
        assert time.monotonic() - start < 5
    assert sidecar.calls == []


def test_the_time_is_over_when_its_work_is_done(get: Get, sidecar: Sidecar) -> None:
    answer = get("front=0.05(cart=0)", Proxytwin_Timeout_Ms="20")
    assert (answer.status, answer.getheader("Proxytwin-Upstream")) == (504, "front/0")
    assert sidecar.calls == []


def test_the_slot_is_held_until_the_calls_are_answered(
    get: Get, sidecar: Sidecar, backends: tuple[Child, dict[str, int]]
) -> None:
    sidecar.barrier = threading.Barrier(2)
    port = backends[1]["front/0"]
    asking = threading.Thread(target=get, args=("front=0(cart=0)",))
    asking.start()
    other = http.client.HTTPConnection("127.0.0.1", port, timeout=30.0)
    limit = time.monotonic() + 20.0
    while not sidecar.calls:
        assert time.monotonic() < limit
        time.sleep(0.001)
    other.request("GET", "/", headers={"Proxytwin-Demand": "front=0"})
    stats = http.client.HTTPConnection("127.0.0.1", port, timeout=30.0)
    queue = 0
    while not queue:
        assert time.monotonic() < limit
        stats.request("GET", "/-/stats")
        queue = json.load(stats.getresponse())["queue"]
    sidecar.barrier.wait(20.0)
    assert other.getresponse().status == 200
    asking.join(20.0)
    for connection in (other, stats):
        connection.close()


def test_calls_are_told_once(get: Get, sidecar: Sidecar, backends: tuple[Child, dict[str, int]]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", backends[1]["front/0"], timeout=30.0)

    def told() -> list[list[Any]]:
        connection.request("GET", "/-/calls")
        return json.load(connection.getresponse())

    get("front=0(cart=0,store=0)", Proxytwin_Depth="1")
    rows = told()
    assert [(name, depth, status) for name, depth, _, _, status in rows] == [
        ("cart", 2, 200), ("store", 2, 200),
    ]  # fmt: skip
    assert rows[0][2] < rows[0][3] <= rows[1][2]
    assert told() == []
    connection.close()


# -- the field ------------------------------------------------------------------------------------


def test_the_field_is_read_as_it_was_written() -> None:
    names = ["front", "cart", "store"]
    deep = PlannedCall(1, 0.5, ((PlannedCall(2, 0.125), PlannedCall(2, 0.25)),))
    text = written(names, 0, 0.75, ((deep,), (PlannedCall(2, 1.0), deep)))
    seconds, steps = demanded(f"{text};cart=9.0", "front")
    assert seconds == 0.75
    assert [[callee(call) for call in step] for step in steps] == [["cart"], ["store", "cart"]]
    assert demanded(steps[0][0], "cart") == (0.5, [["store=0.125000", "store=0.250000"]])


def test_another_backend_is_named() -> None:
    with pytest.raises(AnotherBackend, match="did you mean 'cart'"):
        demanded("cart=1(front=2)", "carts")


@pytest.mark.parametrize("text", ["front=1(cart=1", "front=1(cart=1))", "front=x", "front=nan(cart=1)"])
def test_a_field_that_cannot_be_read_is_a_bad_request(text: str) -> None:
    with pytest.raises(BadRequest):
        demanded(text, "front")
