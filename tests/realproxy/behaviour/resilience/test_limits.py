"""Limits of requests in flight: fixed or learned, refused at once or queued, in either order."""

import pytest

BUSY = b"HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture
def held(service, origin, wire, gated, until):
    """A proxy whose service has as many requests in flight as given; asks for others."""

    def hold(count, **settings):
        server = origin(gated)
        proxy = service(server, **settings)
        clients = [wire(proxy).send("GET /held HTTP/1.1\r\nHost: a\r\n\r\n") for _ in range(count)]
        for _ in clients:
            assert gated.inside.acquire(timeout=30)
        return proxy, server, clients

    return hold


@pytest.mark.parametrize("limit", [2, {"policy": "vegas", "initial": 2}, {"policy": "aimd", "initial": 2}])
def test_who_is_above_the_limit_is_refused_at_once(held, wire, gated, until, limit):
    proxy, server, clients = held(2, limit=limit)
    refused = wire(proxy).ask("/more")
    assert (refused.status, refused["Retry-After"]) == (503, "1")
    state = proxy.stats()["services"]["web"]
    assert (state["in_flight"], state["limit"], state["waiting"]) == (2, 2, 0)
    gated.go.release(3)
    assert [client.answer().status for client in clients] == [200] * 2
    assert wire(proxy).ask("/more").status == 200
    assert [asked.target for asked in server.asked] == ["/held", "/held", "/more"]
    until(lambda: proxy.stats()["services"]["web"]["in_flight"] == 0)


def test_failures_make_a_learned_limit_fall(service, origin, wire):
    proxy = service(origin(lambda _: BUSY), limit={"policy": "aimd", "initial": 20})
    client = wire(proxy)
    for _ in range(5000):
        assert client.ask().status == 503
        if proxy.stats()["services"]["web"]["limit"] < 20:
            break
    assert proxy.stats()["services"]["web"]["limit"] == 18


def test_cached_answers_are_no_samples(service, origin, wire):
    fields = b"Cache-Control: max-age=60\r\nContent-Length: 2"
    server = origin(lambda _: b"HTTP/1.1 200 OK\r\n%b\r\n\r\nok" % fields)
    proxy = service(server, caching=True, limit={"policy": "aimd", "initial": 1, "max": 50})
    client = wire(proxy)
    for _ in range(300):
        assert client.ask().status == 200
    assert len(server.asked) == 1
    assert proxy.stats()["services"]["web"]["limit"] == 1


@pytest.mark.parametrize(("order", "served"), [("fifo", "123"), ("lifo", "321")])
def test_who_waits_for_the_limit_proceeds_in_the_order_that_is_asked_for(
    held, wire, gated, until, order, served
):
    proxy, server, clients = held(1, limit=1, queue={"wait": "30s", "order": order})
    for number in "123":
        clients.append(wire(proxy).send(f"GET /{number} HTTP/1.1\r\nHost: a\r\n\r\n"))
        until(lambda n=int(number): proxy.stats()["services"]["web"]["waiting"] == n)
    gated.go.release(4)
    assert [client.answer().status for client in clients] == [200] * 4
    assert "".join(asked.target[1:] for asked in server.asked[1:]) == served


def test_a_limited_service_needs_no_worker_for_a_request_that_need_not_wait(service, origin, wire):
    proxy = service(
        origin(),
        limit={},
        queue={"wait": "1s"},
        breaker={},
        rate="100000/s",
        retry={"budget": 0.2},
        eject={"most": 1.0},
    )
    client = wire(proxy)
    for _ in range(20):
        assert client.ask("/", "GET", "Proxytwin-Timeout-Ms: 20000").status == 200
    assert proxy.stats()["at_once"] >= 15
