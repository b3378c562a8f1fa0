"""Upstreams that are slow, failing or overloaded: what the proxy does about them, on the wire."""

import os
import signal
import sys
import threading
import time

import pytest

from loadtests.processes import Child
from policies.settings import Health
from realproxy import Limits, Route, Service

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
UNAVAILABLE = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy"
QUICK = Limits(answer_timeout="1s", connect_timeout="1s", drain="1s")


@pytest.fixture
def dead(nobody):
    """The address of a port where nobody listens."""
    return f"127.0.0.1:{nobody}"


@pytest.fixture
def service(serve):
    """A proxy in front of one service with these upstreams and settings."""

    def start(*upstreams, caching=None, limits=None, seed=None, **settings):
        addresses = [getattr(upstream, "address", upstream) for upstream in upstreams]
        return serve(
            route=[Route(to="web", cache=caching)],
            service={"web": Service(upstreams=addresses, **settings)},
            limits=limits or Limits(drain="1s"),
            seed=seed,
        )

    return start


def upstreams(proxy):
    return proxy.stats()["upstreams"]["web"]


def drop(asked):
    """Read the whole request, and end the connection instead of answering."""
    _ = asked.body


def echo(asked):
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(asked.body), asked.body)


def busy(_):
    return UNAVAILABLE


# --- failover and retries ----------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_refused_connection_goes_to_the_next_upstream_whatever_the_method(
    origin, service, wire, dead, method
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


def test_when_all_refuse_each_is_asked_once(service, wire, dead):
    proxy = service(dead, dead, dead)
    assert wire(proxy).ask().status == 502
    assert [upstream["requests"] for upstream in upstreams(proxy)] == [1, 1, 1]


@pytest.mark.parametrize("script", [drop, busy], ids=["dropped", "503"])
def test_a_failed_request_is_retried_on_another_upstream(origin, service, wire, script):
    bad, good = origin(script), origin()
    client = wire(service(bad, good, retry={"attempts": 2}))
    assert [client.ask().status for _ in range(4)] == [200] * 4
    assert (len(bad.asked), len(good.asked)) == (2, 4)


def test_a_request_that_is_answered_too_late_is_retried(origin, service, wire):
    slow = origin(lambda asked: asked.reader.read(1))
    client = wire(service(slow, origin(), limits=QUICK, retry={"attempts": 2}))
    assert [client.ask().status for _ in range(2)] == [200] * 2


def test_what_may_have_had_an_effect_is_not_sent_twice(origin, service, wire):
    bad, good = origin(drop), origin()
    client = wire(service(bad, good, retry={"attempts": 3}))
    assert client.ask("/", "POST", "Content-Length: 0").status == 502
    assert good.asked == []


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_small_body_is_sent_again(origin, service, wire, framing):
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


def test_a_body_too_long_to_be_kept_is_not_sent_again(origin, service, wire):
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
def test_an_upstream_killed_under_load_loses_no_idempotent_request(origin, service, wire, until, policy):
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


def test_a_process_killed_with_9_under_load_loses_no_idempotent_request(service, wire, until):
    command = [sys.executable, "-m", "loadtests.backends", '{"web": {"concurrency": 50}}', "--until-eof"]
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


# --- ejection and health -----------------------------------------------------------------------


def test_an_upstream_that_keeps_failing_is_ejected_and_let_in_again(later, origin, service, wire):
    answers = {"bad": UNAVAILABLE}
    bad, good = origin(lambda _: answers["bad"]), origin()
    proxy = service(bad, good, eject={"errors": 2, "for": "30s"})
    client = wire(proxy)
    statuses = [client.ask().status for _ in range(12)]
    assert statuses.count(503) == 2
    assert upstreams(proxy)[0]["ejected"] == 1
    assert (upstreams(proxy)[0]["failures"], len(bad.asked)) == (2, 2)
    answers["bad"] = OK
    later(9.0)
    assert [client.ask().status for _ in range(4)] == [200] * 4
    assert len(bad.asked) == 2
    later(21.0)
    assert [client.ask().status for _ in range(4)] == [200] * 4
    assert len(bad.asked) > 2
    assert upstreams(proxy)[0]["ejected"] == 0


class Healthy:
    """A script that answers probes as it is told, and everything else with 200."""

    def __init__(self):
        self.well = True
        self.probes = []

    def __call__(self, asked):
        if asked.target == "/up":
            self.probes.append(asked["User-Agent"])
            return OK if self.well else UNAVAILABLE
        return OK


def test_probes_take_an_upstream_out_and_in_again(origin, service, wire, until):
    scripts = [Healthy(), Healthy()]
    servers = [origin(script) for script in scripts]
    proxy = service(*servers, health={"path": "/up", "every": "200ms", "rise": 2, "fall": 2})
    client = wire(proxy)
    scripts[0].well = False
    until(lambda: upstreams(proxy)[0]["unhealthy"])
    before = len([asked for asked in servers[0].asked if asked.target == "/"])
    for _ in range(6):
        client.ask()
    assert len([asked for asked in servers[0].asked if asked.target == "/"]) == before
    scripts[0].well = True
    until(lambda: not upstreams(proxy)[0]["unhealthy"])
    assert set(scripts[0].probes) == {"proxytwin-health"}


def test_when_all_are_unhealthy_all_are_asked_all_the_same(origin, service, wire, until):
    scripts = [Healthy(), Healthy()]
    servers = [origin(script) for script in scripts]
    proxy = service(*servers, health={"path": "/up", "every": "20ms", "fall": 1})
    for script in scripts:
        script.well = False
    until(lambda: all(upstream["unhealthy"] for upstream in upstreams(proxy)))
    client = wire(proxy)
    assert [client.ask().status for _ in range(4)] == [200] * 4
    assert all(any(asked.target == "/" for asked in server.asked) for server in servers)


def test_who_refuses_says_nothing_or_talks_nonsense_is_unhealthy(origin, service, wire, until, dead):
    silent = origin(lambda asked: asked.reader.read(1))
    nonsense = origin(lambda _: b"garbage\r\n\r\n")
    proxy = service(dead, silent, nonsense, origin(), health={"every": "1s", "fall": 1})
    until(lambda: [upstream["unhealthy"] for upstream in upstreams(proxy)] == [1, 1, 1, 0])
    assert [wire(proxy).ask().status for _ in range(3)] == [200] * 3


def test_another_configuration_checks_what_it_says_and_leaves_no_thread(origin, service, wire, until):
    script = Healthy()
    server = origin(script)
    table = {"path": "/nowhere", "every": "20ms"}
    proxy = service(server, health=table)
    changed = proxy.settings.service["web"].model_copy(update={"health": Health(path="/up", every="20ms")})
    proxy.reload(proxy.settings.model_copy(update={"service": {"web": changed}}))
    until(lambda: script.probes)
    assert sum(thread.name == "proxy-health" for thread in threading.enumerate()) == 1
    proxy.stop()
    assert not any(thread.name == "proxy-health" for thread in threading.enumerate())


# --- breaker, queue and rate -------------------------------------------------------------------


def test_a_breaker_refuses_while_it_is_open_and_lets_one_try(later, origin, service, wire, until):
    answers = {"now": UNAVAILABLE}
    server = origin(lambda _: answers["now"])
    proxy = service(server, breaker={"failures": 3, "open": "30s"})
    client = wire(proxy)
    assert [client.ask().body for _ in range(3)] == [b"busy"] * 3
    refused = client.ask()
    assert (refused.status, b"web" in refused.body) == (503, True)
    assert 1 <= int(refused["Retry-After"]) <= 30
    assert len(server.asked) == 3
    until(lambda: proxy.stats()["ends"].get("breaker-open") == 1)
    answers["now"] = OK
    assert client.ask().status == 503
    later(30.1)
    assert [client.ask().status for _ in range(4)] == [200] * 4


def test_a_breaker_lets_a_stale_answer_stand_in(origin, service, wire):
    fields = b'Cache-Control: max-age=1\r\nAge: 1\r\nETag: "v1"\r\nContent-Length: 2'
    answers = {"now": b"HTTP/1.1 200 OK\r\n%b\r\n\r\nok" % fields}
    server = origin(lambda _: answers["now"])
    proxy = service(server, caching={"stale": "60s"}, breaker={"failures": 1, "open": "60s"})
    client = wire(proxy)
    assert client.ask("/kept").status == 200
    answers["now"] = UNAVAILABLE
    assert client.ask("/other").status == 503
    asked = len(server.asked)
    answer = client.ask("/kept")
    assert (answer.status, answer.body, "stale-if-error" in answer["Cache-Status"]) == (200, b"ok", True)
    assert len(server.asked) == asked


class Gated:
    """A script that answers when it is let."""

    def __init__(self):
        self.inside = threading.Semaphore(0)
        self.go = threading.Semaphore(0)

    def __call__(self, _):
        self.inside.release()
        self.go.acquire(timeout=30)
        return OK


def test_a_full_queue_refuses_at_once_without_a_wait(origin, service, wire, until):
    script = Gated()
    proxy = service(origin(script), queue={"in_flight": 1})
    first, second = wire(proxy), wire(proxy)
    first.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n")
    assert script.inside.acquire(timeout=30)
    refused = second.ask("/2")
    assert (refused.status, refused["Retry-After"]) == (503, "1")
    until(lambda: proxy.stats()["ends"].get("overloaded") == 1)
    script.go.release(2)
    assert first.answer().status == 200
    assert second.ask("/2").status == 200


def test_who_waits_in_the_queue_goes_on_in_order_or_gives_up(origin, service, wire, until):
    script = Gated()
    server = origin(script)
    proxy = service(server, queue={"in_flight": 1, "wait": "5s"})
    clients = [wire(proxy) for _ in range(4)]
    for number, client in enumerate(clients):
        client.send(f"GET /{number} HTTP/1.1\r\nHost: a\r\n\r\n")
        if number == 0:
            assert script.inside.acquire(timeout=30)
        else:
            until(lambda n=number: proxy.stats()["services"]["web"]["waiting"] == n)
    script.go.release(4)
    assert [client.answer().status for client in clients] == [200] * 4
    assert [asked.target for asked in server.asked] == ["/0", "/1", "/2", "/3"]


def test_who_has_waited_long_enough_is_refused(origin, service, wire):
    script = Gated()
    proxy = service(origin(script), queue={"in_flight": 1, "wait": "100ms"})
    first = wire(proxy).send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert script.inside.acquire(timeout=30)
    start = time.monotonic()
    assert wire(proxy).ask().status == 503
    assert 0.1 <= time.monotonic() - start < 9
    script.go.release()
    assert first.answer().status == 200


def test_a_rate_limit_answers_429(origin, service, wire):
    server = origin()
    client = wire(service(server, rate="0.05/s"))
    answers = [client.ask() for _ in range(5)]
    assert [answer.status for answer in answers] == [200, 429, 429, 429, 429]
    assert all(10 <= int(answer["Retry-After"]) <= 20 for answer in answers[1:])
    assert len(server.asked) == 1


def test_a_client_that_leaves_gives_its_place_in_the_queue_back(origin, service, wire, until):
    script = Gated()
    proxy = service(origin(script), queue={"in_flight": 1, "wait": "5s"}, breaker={"failures": 1})
    first = wire(proxy).send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab")
    assert script.inside.acquire(timeout=30)
    first.close()
    script.go.release(2)
    assert wire(proxy).ask().status == 200


# --- hedging -----------------------------------------------------------------------------------


def test_a_slow_upstream_is_hedged_and_the_loser_cancelled(origin, service, wire, until):
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


def test_a_hedge_that_fails_does_not_take_the_first_with_it(origin, service, wire, dead):
    def slow(_):
        time.sleep(0.1)
        return OK

    first = origin(slow)
    for second in (dead, origin(drop), origin(lambda asked: asked.reader.read(1))):
        client = wire(service(first, second, hedge={"after": "10ms"}))
        assert client.ask().body == b"ok"


def test_the_hedge_answers_if_the_first_fails_later(origin, service, wire, until):
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


# --- stale loads -------------------------------------------------------------------------------


def test_balancers_decide_by_the_loads_of_the_last_snapshot(origin, service, wire):
    """With all loads known, the least loaded are asked in turn; with old ones, anyone by chance."""
    script = Gated()
    servers = [origin(script) for _ in range(6)]
    proxy = service(*servers, balance="least_requests", load_snapshot="600s", seed=1)
    clients = [wire(proxy) for _ in range(12)]
    for client in clients:
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert script.inside.acquire(timeout=30)
    counts = [upstream["requests"] for upstream in upstreams(proxy)]
    assert sum(counts) == 12
    assert counts != [2] * 6
    script.go.release(12)
    assert [client.answer().status for client in clients] == [200] * 12
