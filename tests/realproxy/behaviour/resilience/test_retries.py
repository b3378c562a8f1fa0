"""Failover and retries: what fails is asked again elsewhere, as far as that is safe, on the wire."""

import os
import signal
import sys
import threading
import time

import pytest

from loadtests.run.processes import Child
from realproxy import Limits

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
UNAVAILABLE = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy"
QUICK = Limits(answer_timeout="1s", connect_timeout="1s", drain="1s")


def echo(asked):
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(asked.body), asked.body)


def busy(_):
    return UNAVAILABLE


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_refused_connection_goes_to_the_next_upstream_whatever_the_method(
    origin, service, wire, dead, method, upstreams
):
    proxy = service(dead, origin(echo), dead)
    client = wire(proxy)
    for _ in range(4):
        answer = client.ask("/", method, "Content-Length: 0")
        assert answer.status == 200
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
    assert client.answer().body == b"abc"
    assert [upstream["outstanding"] for upstream in upstreams(proxy)] == [0, 0, 0]


def test_without_failover_a_refused_connection_is_a_502(origin, service, wire, dead):
    client = wire(service(dead, origin(), failover=False))
    assert [client.ask().status for _ in range(4)] == [502, 200, 502, 200]


def test_when_all_refuse_each_is_asked_once(service, wire, dead, upstreams):
    proxy = service(dead, dead, dead)
    assert wire(proxy).ask().status == 502
    assert [upstream["requests"] for upstream in upstreams(proxy)] == [1, 1, 1]


@pytest.mark.parametrize("dropped", [True, False], ids=["dropped", "503"])
def test_a_failed_request_is_retried_on_another_upstream(origin, service, wire, drop, dropped):
    bad, good = origin(drop if dropped else busy), origin()
    client = wire(service(bad, good, retry={"attempts": 2}))
    assert [client.ask().status for _ in range(4)] == [200] * 4
    assert (len(bad.asked), len(good.asked)) == (2, 4)


def test_a_request_that_is_answered_too_late_is_retried(origin, service, wire):
    slow = origin(lambda asked: asked.reader.read(1))
    client = wire(service(slow, origin(), limits=QUICK, retry={"attempts": 2}))
    assert [client.ask().status for _ in range(2)] == [200] * 2


def test_what_may_have_had_an_effect_is_not_sent_twice(origin, service, wire, drop):
    bad, good = origin(drop), origin()
    client = wire(service(bad, good, retry={"attempts": 3}))
    assert client.ask("/", "POST", "Content-Length: 0").status == 502
    assert good.asked == []


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_small_body_is_sent_again(origin, service, wire, framing, drop):
    bad, good = origin(drop), origin(echo)
    client = wire(service(bad, good, retry={"attempts": 2}))
    body = bytes(range(256)) * 100
    if framing == "length":
        client.send(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body))
        client.send(body[:5000])
        client.send(body[5000:])
    else:
        client.send("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        for part in (body[:5000], body[5000:]):
            client.send(b"%x\r\n%b\r\n" % (len(part), part))
        client.send("0\r\n\r\n")
    assert client.answer().body == body
    assert len(bad.asked) == 1
    assert client.ask().status == 200, "the connection is still in step"


def test_a_body_that_arrives_half_before_and_half_after_the_failure_is_whole(origin, service, wire, until):
    def leave_early(asked):
        asked.reader.read(3)

    bad, good = origin(leave_early), origin(echo)
    proxy = service(bad, good, retry={"attempts": 2})
    client = wire(proxy).send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\nabcd")
    until(lambda: len(good.asked) == 1)
    assert client.send("efgh").answer().body == b"abcdefgh"


def test_a_body_too_long_to_be_kept_is_not_sent_again(origin, service, wire, drop):
    bad, good = origin(drop), origin(echo)
    client = wire(service(bad, good, retry={"attempts": 2}))
    client.send(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + bytes(100_000))
    assert client.answer().status == 502
    assert good.asked == []


def test_the_last_attempt_counts_even_if_it_failed(origin, service, wire):
    servers = [origin(busy) for _ in range(3)]
    answer = wire(service(*servers, retry={"attempts": 2})).ask()
    assert (answer.status, answer.body) == (503, b"busy")
    assert sum(len(server.asked) for server in servers) == 2


def test_a_budget_bounds_retries(origin, service, wire):
    bad = origin(busy)
    client = wire(service(bad, retry={"attempts": 4, "budget": 0.1}))
    for _ in range(40):
        client.ask()
    assert 40 + 10 + 3 <= len(bad.asked) <= 40 + 10 + 4


def test_a_single_upstream_is_asked_again(origin, service, wire):
    answers = [UNAVAILABLE, OK]
    client = wire(service(origin(lambda _: answers.pop(0)), retry={"attempts": 2}))
    assert client.ask().status == 200


def test_an_answer_that_has_begun_is_not_retried(origin, service, wire):
    def half(asked):
        asked.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")

    good = origin()
    answer = wire(service(origin(half), good, retry={"attempts": 3})).ask()
    assert (answer.body, answer.missing) == (b"abc", 7)
    assert good.asked == []


@pytest.mark.parametrize("policy", ["round_robin", "least_requests", "peak_ewma"])
def test_an_upstream_killed_under_load_loses_no_idempotent_request(
    origin, service, wire, until, policy, upstreams
):
    """Two of three upstreams die while twelve clients ask; one of them in the middle of its work."""

    def work(_):
        time.sleep(0.003)
        return OK

    servers = [origin(work) for _ in range(3)]
    proxy = service(*servers, balance=policy, retry={"attempts": 3})
    statuses, enough = [], threading.Event()

    def ask_on(client):
        while not enough.is_set():
            statuses.append(client.ask("/", "GET").status)
            statuses.append(client.ask("/", "PUT", "Content-Length: 0").status)

    clients = [threading.Thread(target=ask_on, args=(wire(proxy),)) for _ in range(12)]
    for client in clients:
        client.start()
    for number, victim in enumerate(servers[:2], start=1):
        until(lambda n=number: len(statuses) > 70 * n)
        victim.close()
    until(lambda: len(statuses) > 210)
    enough.set()
    for client in clients:
        client.join()
    assert len(statuses) > 200
    assert set(statuses) == {200}
    assert all(server.asked for server in servers)
    assert [upstream["outstanding"] for upstream in upstreams(proxy)] == [0, 0, 0]


def test_a_process_killed_with_9_under_load_loses_no_idempotent_request(service, wire, until, upstreams):
    command = [
        sys.executable,
        "-m",
        "loadtests.backend.server",
        '{"web": {"concurrency": 50}}',
        "--until-eof",
    ]
    with Child("one backend", command) as doomed, Child("another", command) as other:
        ports = [child.expect(20.0)["ports"]["web/0"] for child in (doomed, other)]
        proxy = service(*(f"127.0.0.1:{port}" for port in ports), retry={"attempts": 2})
        clients, statuses, enough = [wire(proxy) for _ in range(8)], [], threading.Event()

        def ask_on(client):
            while not enough.is_set():
                statuses.append(client.ask("/", "GET", "Proxytwin-Demand: web=0.005").status)

        threads = [threading.Thread(target=ask_on, args=(client,)) for client in clients]
        for thread in threads:
            thread.start()
        until(lambda: len(statuses) > 50)
        os.kill(doomed.pid, signal.SIGKILL)
        until(lambda: len(statuses) > 150)
        enough.set()
        for thread in threads:
            thread.join()
    assert set(statuses) == {200}
    assert upstreams(proxy)[0]["failures"] > 0


def test_a_kept_connection_that_ends_after_an_interim_response_has_failed(origin, serve, wire):
    """The upstream has begun to answer: this is no idle connection that it has closed."""
    passed_on = threading.Event()

    def script(asked):
        if asked.target != "/dies":
            return OK
        asked.sock.sendall(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        passed_on.wait(10)
        return None

    server = origin(script)
    client = wire(proxy := serve(server))
    assert client.ask().body == b"ok"
    client.send("GET /dies HTTP/1.1\r\nHost: a\r\n\r\n")
    assert client.answer().status == 103
    passed_on.set()
    assert client.answer().status == 502
    assert [asked.target for asked in server.asked] == ["/", "/dies"]
    assert proxy.stats()["upstreams"]["web"][0]["failures"] == 1
