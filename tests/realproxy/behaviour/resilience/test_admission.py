"""Breaker, queue and rate: what a service cannot take now is refused, or waits."""

import time

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
UNAVAILABLE = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy"


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


def test_a_full_queue_refuses_at_once_without_a_wait(origin, service, wire, until, gated):
    proxy = service(origin(gated), queue={"in_flight": 1})
    first, second = wire(proxy), wire(proxy)
    first.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n")
    assert gated.inside.acquire(timeout=30)
    refused = second.ask("/2")
    assert (refused.status, refused["Retry-After"]) == (503, "1")
    until(lambda: proxy.stats()["ends"].get("overloaded") == 1)
    gated.go.release(2)
    assert first.answer().status == 200
    assert second.ask("/2").status == 200


def test_who_waits_in_the_queue_goes_on_in_order_or_gives_up(origin, service, wire, until, gated):
    server = origin(gated)
    proxy = service(server, queue={"in_flight": 1, "wait": "5s"})
    clients = [wire(proxy) for _ in range(4)]
    for number, client in enumerate(clients):
        client.send(f"GET /{number} HTTP/1.1\r\nHost: a\r\n\r\n")
        if number == 0:
            assert gated.inside.acquire(timeout=30)
        else:
            until(lambda n=number: proxy.stats()["services"]["web"]["waiting"] == n)
    gated.go.release(4)
    assert [client.answer().status for client in clients] == [200] * 4
    assert [asked.target for asked in server.asked] == ["/0", "/1", "/2", "/3"]


def test_who_has_waited_long_enough_is_refused(origin, service, wire, gated):
    proxy = service(origin(gated), queue={"in_flight": 1, "wait": "100ms"})
    first = wire(proxy).send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert gated.inside.acquire(timeout=30)
    start = time.monotonic()
    assert wire(proxy).ask().status == 503
    assert 0.1 <= time.monotonic() - start < 9
    gated.go.release()
    assert first.answer().status == 200


def test_a_rate_limit_answers_429(origin, service, wire):
    server = origin()
    client = wire(service(server, rate="0.05/s"))
    answers = [client.ask() for _ in range(5)]
    assert [answer.status for answer in answers] == [200, 429, 429, 429, 429]
    assert all(10 <= int(answer["Retry-After"]) <= 20 for answer in answers[1:])
    assert len(server.asked) == 1


def test_a_client_that_leaves_gives_its_place_in_the_queue_back(origin, service, wire, until, gated):
    proxy = service(origin(gated), queue={"in_flight": 1, "wait": "5s"}, breaker={"failures": 1})
    first = wire(proxy).send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab")
    assert gated.inside.acquire(timeout=30)
    first.close()
    gated.go.release(2)
    assert wire(proxy).ask().status == 200
