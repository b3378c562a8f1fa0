"""Real backends: HTTP servers that do the work that requests ask for."""

import contextlib
import http.client
import json
import socket
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from loadtests.backend.replica import HEALTH_CHECK
from loadtests.run.processes import Child
from realproxy.upstream.health_check import USER_AGENT
from scenarios.chance import own_errors

Takes = Callable[[float, float, Callable[[], object]], None]
SPEC = {
    "web": {"replicas": 2, "concurrency": 2, "slow": {"1": 4.0}, "cache_control": "max-age=60"},
    "api": {"concurrency": 1},
}


@pytest.fixture(scope="module")
def ports() -> Iterator[dict[str, int]]:
    command = [sys.executable, "-m", "loadtests.backend.server", json.dumps(SPEC), "--until-eof"]
    with Child("the backends", command) as backends:
        yield backends.expect(60.0)["ports"]


@pytest.fixture
def web(ports: dict[str, int]) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection("127.0.0.1", ports["web/0"], timeout=30.0)
    yield connection
    connection.close()


def get(
    connection: http.client.HTTPConnection, path: str = "/", method: str = "GET", **headers: str
) -> tuple[http.client.HTTPResponse, bytes]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, headers=named)
    answer = connection.getresponse()
    return answer, answer.read()


def exchange(port: int, request: bytes) -> bytes:
    """All that a replica says to raw bytes until it closes."""
    with socket.create_connection(("127.0.0.1", port), 30.0) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_every_replica_has_its_own_port_and_says_its_name(ports: dict[str, int]) -> None:
    assert list(ports) == ["web/0", "web/1", "api/0"]
    for name, port in ports.items():
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30.0)
        assert get(connection)[0].getheader("Proxytwin-Upstream") == name
        connection.close()


def test_a_plain_request_gets_a_small_body_at_once(web: http.client.HTTPConnection) -> None:
    answer, body = get(web)
    assert (answer.status, len(body)) == (200, 1024)
    assert answer.getheader("Cache-Control") == "max-age=60"


@pytest.mark.parametrize("size", [0, 1, 65536, 65537, 1_000_000])
def test_the_body_is_as_large_as_asked(web: http.client.HTTPConnection, size: int) -> None:
    for _ in range(2):
        answer, body = get(web, Proxytwin_Size=str(size))
        assert (len(body), answer.getheader("Content-Length")) == (size, str(size))


def test_the_head_of_an_answer_is_small(ports: dict[str, int]) -> None:
    text = exchange(ports["web/0"], b"GET / HTTP/1.1\r\nProxytwin-Size: 0\r\nConnection: close\r\n\r\n")
    assert len(text) < 512


def test_work_takes_as_long_as_demanded_of_this_backend(
    web: http.client.HTTPConnection, takes: Takes
) -> None:
    takes(0.1, 0.05, lambda: get(web, Proxytwin_Demand="api=5.0;web=0.1"))


def test_a_slow_replica_takes_longer(ports: dict[str, int], takes: Takes) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", ports["web/1"], timeout=30.0)
    takes(0.2, 0.05, lambda: get(connection, Proxytwin_Demand="web=0.05"))
    connection.close()


def test_what_a_replica_has_done_can_be_read(ports: dict[str, int]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", ports["api/0"], timeout=30.0)
    before = json.loads(get(connection, "/-/stats")[1])
    for _ in range(3):
        get(connection, Proxytwin_Demand="api=0.02")
    after = json.loads(get(connection, "/-/stats")[1])
    connection.close()
    assert after["upstream"] == "api/0"
    assert after["requests"] - before["requests"] == 3
    assert after["busy_seconds"] - before["busy_seconds"] == pytest.approx(0.06)
    assert after["queue"] == 0
    assert after["cpu_seconds"] >= before["cpu_seconds"] > 0


def test_head_has_a_length_but_no_body(web: http.client.HTTPConnection) -> None:
    answer, body = get(web, method="HEAD", Proxytwin_Size="5000")
    assert (answer.getheader("Content-Length"), body) == ("5000", b"")
    assert len(get(web)[1]) == 1024


def test_request_bodies_are_read_and_the_connection_goes_on(web: http.client.HTTPConnection) -> None:
    for body, chunked in ((b"x" * 200_000, False), (iter([b"ab", b"c" * 70_000]), True)):
        web.request("POST", "/", body=body, encode_chunked=chunked, headers={"Proxytwin-Size": "3"})
        answer = web.getresponse()
        assert (answer.status, len(answer.read())) == (200, 3)


def test_a_client_that_expects_100_continue_gets_it(ports: dict[str, int]) -> None:
    with socket.create_connection(("127.0.0.1", ports["web/0"]), 30.0) as connection:
        connection.sendall(
            b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\nConnection: close\r\n\r\n"
        )
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"ok")
        assert connection.recv(12) == b"HTTP/1.1 200"


@pytest.mark.parametrize(
    "request_text",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nProxytwin-Size: many\r\n\r\n",
        b"GET / HTTP/1.1\r\nProxytwin-Demand: web=inf\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_a_request_that_cannot_be_read_gets_400_and_the_end(
    ports: dict[str, int], request_text: bytes
) -> None:
    assert exchange(ports["web/0"], request_text).startswith(b"HTTP/1.1 400 ")


def test_http_1_0_ends_the_connection_unless_asked_to_keep_it(ports: dict[str, int]) -> None:
    assert exchange(ports["web/0"], b"GET / HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 200 ")
    twice = b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n\r\n"
    assert exchange(ports["web/0"], twice).count(b"HTTP/1.1 200 ") == 2


def test_backends_end_with_their_standard_input_and_on_sigterm() -> None:
    command = [sys.executable, "-m", "loadtests.backend.server", "{}"]
    with Child("the backends", [*command, "--until-eof"]) as backends:
        backends.expect(60.0)
        backends.hang_up()
        assert backends.wait(60.0) == 0
    with Child("the backends", command) as backends:
        backends.expect(60.0)
        backends.terminate()
        assert backends.wait(60.0) == 0


def test_it_tells_what_was_fetched_when_and_tells_it_once(web: http.client.HTTPConnection) -> None:
    json.loads(get(web, "/-/fetches")[1])
    before = time.monotonic()
    get(web, "/objects/17", Proxytwin_Demand="web=0.02")
    get(web, "/elsewhere")
    told = json.loads(get(web, "/-/fetches")[1])
    assert [row[0] for row in told] == [17, -1]
    (_, begin, end), (_, later, _) = told
    assert before < begin < begin + 0.02 <= end <= later < time.monotonic()
    assert json.loads(get(web, "/-/fetches")[1]) == []


def test_what_is_still_worked_on_is_told_too(ports: dict[str, int], web: http.client.HTTPConnection) -> None:
    get(web, "/-/fetches")
    other = http.client.HTTPConnection("127.0.0.1", ports["web/0"], timeout=30.0)
    other.request("GET", "/objects/5", headers={"Proxytwin-Demand": "web=2"})
    deadline = time.monotonic() + 20
    while not (told := json.loads(get(web, "/-/fetches")[1])) and time.monotonic() < deadline:
        time.sleep(0.01)
    (row,) = told
    assert row[0] == 5 and row[1] <= row[2] < row[1] + 2
    other.getresponse().read()
    other.close()


# --- spells ----------------------------------------------------------------------------------


FRAIL = {
    "web": {
        "replicas": 2,
        "slow": {"1": 50.0},
        "slow_during": {"1": [0.0, 60.0]},
        "fail": {"0": [1.0, 3.5]},
    }
}


@pytest.fixture
def frail() -> Iterator[tuple[Child, dict[str, int]]]:
    command = [sys.executable, "-m", "loadtests.backend.server", json.dumps(FRAIL), "--until-eof"]
    with Child("the backends", command) as backends:
        yield backends, backends.expect(60.0)["ports"]


def order(backends: Child, start: float | None) -> None:
    backends.send({"start": start})
    assert backends.expect(60.0) == {"start": start}


def is_up(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 30.0).close()
    except OSError:  # refused, or reset by a listener that is just being closed
        return False
    return True


def await_that(condition: Callable[[], bool]) -> float:
    """Wait until something is so; returns when."""
    until = time.monotonic() + 30.0
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.002)
    return time.monotonic()


def test_a_replica_fails_when_the_run_says_so(frail: tuple[Child, dict[str, int]]) -> None:
    """It refuses, loses what it works on, does not count that as done, and comes back on its port."""
    backends, ports = frail
    port = ports["web/0"]
    start = time.monotonic()
    order(backends, start)
    working = b"GET / HTTP/1.1\r\nProxytwin-Demand: web=60\r\n\r\n"
    with contextlib.suppress(ConnectionResetError):
        assert exchange(port, working) == b""
    assert 1.0 <= await_that(lambda: not is_up(port)) - start < 3.5
    assert await_that(lambda: is_up(port)) - start >= 3.5
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30.0)
    began = time.monotonic()
    assert get(connection, Proxytwin_Demand="web=0.01")[0].status == 200
    assert time.monotonic() - began < 20.0, "the slot of the lost request is free"
    assert json.loads(get(connection, "/-/stats")[1])["requests"] == 1
    connection.close()


def test_a_run_that_is_over_leaves_no_replica_down_or_slow(frail: tuple[Child, dict[str, int]]) -> None:
    backends, ports = frail
    slow = http.client.HTTPConnection("127.0.0.1", ports["web/1"], timeout=30.0)

    def seconds() -> float:
        before = time.monotonic()
        get(slow, Proxytwin_Demand="web=0.005")
        return time.monotonic() - before

    assert min(seconds() for _ in range(3)) < 0.2
    order(backends, time.monotonic())
    await_that(lambda: not is_up(ports["web/0"]))
    assert seconds() >= 0.25
    order(backends, None)
    assert is_up(ports["web/0"])
    assert min(seconds() for _ in range(3)) < 0.2
    slow.close()


def test_a_health_check_takes_no_slot_and_counts_for_nothing(web: http.client.HTTPConnection) -> None:
    assert HEALTH_CHECK == USER_AGENT
    before = json.loads(get(web, "/-/stats")[1])
    assert get(web, "/health", User_Agent=HEALTH_CHECK)[0].status == 200
    assert json.loads(get(web, "/-/stats")[1])["requests"] == before["requests"]


def test_errors_are_those_of_the_model_and_may_not_be_stored() -> None:
    """A health check never fails, and uses up no chance."""
    spec = {"bad": {"errors": 0.3, "seed": 7, "cache_control": "max-age=60"}}
    command = [sys.executable, "-m", "loadtests.backend.server", json.dumps(spec), "--until-eof"]
    expected = own_errors(0.3, 7, "bad/0")
    assert expected is not None
    with Child("the backends", command) as backends:
        port = backends.expect(60.0)["ports"]["bad/0"]
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30.0)) as connection:
            for _ in range(100):
                assert get(connection, User_Agent=USER_AGENT)[0].status == 200
                answer, body = get(connection)
                assert (answer.status, len(body)) == ((500 if expected() else 200), 1024)
                assert answer.getheader("Cache-Control") == (None if answer.status == 500 else "max-age=60")


def test_a_request_that_is_past_its_deadline_gets_504_and_no_work(web: http.client.HTTPConnection) -> None:
    for left, status in (("-1", 504), ("0", 504), ("10000", 200), ("soon", 200)):
        web.request("GET", "/", headers={"Proxytwin-Timeout-Ms": left, "Proxytwin-Demand": "web=0.001"})
        answer = web.getresponse()
        answer.read()
        assert answer.status == status
        assert (answer.headers["Proxytwin-Upstream"] is None) == (status == 504)
