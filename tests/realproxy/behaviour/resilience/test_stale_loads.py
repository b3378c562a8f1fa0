"""Balancers that know loads of a while ago."""


def upstreams(proxy):
    return proxy.stats()["upstreams"]["web"]


def test_balancers_decide_by_the_loads_of_the_last_snapshot(origin, service, wire, gated):
    """With all loads known, the least loaded are asked in turn; with old ones, anyone by chance."""
    servers = [origin(gated) for _ in range(6)]
    proxy = service(*servers, balance="least_requests", load_snapshot="600s", seed=1)
    clients = [wire(proxy) for _ in range(12)]
    for client in clients:
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert gated.inside.acquire(timeout=30)
    counts = [upstream["requests"] for upstream in upstreams(proxy)]
    assert sum(counts) == 12
    assert counts != [2] * 6
    gated.go.release(12)
    assert [client.answer().status for client in clients] == [200] * 12
