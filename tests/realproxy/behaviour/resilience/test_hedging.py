"""Hedging: a request that takes long is asked a second time elsewhere, and the first answer counts."""

import threading
import time

from realproxy import Limits

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
QUICK = Limits(answer_timeout="1s", connect_timeout="1s", drain="1s")


def test_a_slow_upstream_is_hedged_and_the_loser_cancelled(origin, service, wire, until, upstreams):
    gone = threading.Event()

    def stuck(asked):
        if asked.reader.read(1) == b"":
            gone.set()

    proxy = service(origin(stuck), origin(), hedge={"after": "30ms"})
    client = wire(proxy)
    start = time.monotonic()
    assert [client.ask().body for _ in range(3)] == [b"hello"] * 3
    assert time.monotonic() - start < 20
    assert gone.wait(30), "the loser's connection is closed"
    counts = upstreams(proxy)
    assert [upstream["outstanding"] for upstream in counts] == [0, 0]
    assert counts[0]["failures"] == 0, "to be slower is no failure"


def test_a_quick_answer_needs_no_hedge(origin, service, wire):
    servers = [origin(), origin()]
    client = wire(service(*servers, hedge={"after": "5s"}))
    assert [client.ask().status for _ in range(4)] == [200] * 4
    assert [len(server.asked) for server in servers] == [2, 2]


def test_a_hedge_that_fails_does_not_take_the_first_with_it(origin, service, wire, dead, drop):
    def slow(_):
        time.sleep(0.1)
        return OK

    first = origin(slow)
    for second in (dead, origin(drop), origin(lambda asked: asked.reader.read(1))):
        client = wire(service(first, second, hedge={"after": "10ms"}))
        assert client.ask().body == b"ok"


def test_the_hedge_answers_if_the_first_fails_later(origin, service, wire, until, upstreams):
    hedged = threading.Event()

    def die(_):
        assert hedged.wait(60)

    def slow(_):
        hedged.set()
        until(lambda: upstreams(proxy)[0]["failures"])
        return OK

    proxy = service(origin(die), origin(slow), hedge={"after": "10ms"})
    assert wire(proxy).ask().body == b"ok"
    assert [upstream["failures"] for upstream in upstreams(proxy)] == [1, 0]


def test_if_both_fail_so_does_the_request_or_a_retry_goes_on(origin, service, wire):
    def stuck(asked):
        asked.reader.read(1)

    servers = [origin(stuck), origin(stuck), origin()]
    assert wire(service(*servers[:2], limits=QUICK, hedge={"after": "20ms"})).ask().status == 504
    proxy = service(*servers, limits=QUICK, hedge={"after": "20ms"}, retry={"attempts": 2})
    assert wire(proxy).ask().status == 200


def test_only_idempotent_requests_without_a_body_are_hedged(origin, service, wire):
    def slow(asked):
        _ = asked.body
        time.sleep(0.05)
        return OK

    servers = [origin(slow), origin(slow)]
    client = wire(service(*servers, hedge={"after": "1ms"}))
    assert client.ask("/", "POST", "Content-Length: 0").status == 200
    client.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab")
    assert client.answer().status == 200
    assert sum(len(server.asked) for server in servers) == 2


def test_a_kept_connection_wins_a_race_like_any_other(origin, service, wire):
    stuck, fast = origin(lambda asked: asked.reader.read(1)), origin()
    client = wire(service(stuck, fast, hedge={"after": "5ms"}))
    assert [client.ask().status for _ in range(6)] == [200] * 6
    assert (len(fast.asked), fast.connections) == (6, 1)


def test_a_hedge_on_a_kept_connection_that_ends_has_failed_like_the_first(origin, service, wire, upstreams):
    """That was no idle connection that had been closed, and the first upstream is not asked once more."""
    hedged, first_ended = threading.Event(), threading.Event()

    def first(asked):
        if asked.target == "/warm":
            return OK
        hedged.wait(20)
        return None

    def second(asked):
        if asked.target == "/warm":
            return OK
        hedged.set()
        first_ended.wait(20)
        return None

    one, two = origin(first), origin(second)
    proxy = service(one, two, hedge={"after": "50ms"})
    client = wire(proxy)
    assert [client.ask("/warm").status for _ in range(2)] == [200, 200]
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    deadline = time.monotonic() + 20
    while upstreams(proxy)[0]["outstanding"] or not hedged.is_set():
        assert time.monotonic() < deadline
        time.sleep(0.002)
    first_ended.set()
    assert client.answer().status == 502
    assert [[asked.target for asked in one_.asked] for one_ in (one, two)] == [["/warm", "/"]] * 2
    assert [upstream["failures"] for upstream in upstreams(proxy)] == [1, 1]
