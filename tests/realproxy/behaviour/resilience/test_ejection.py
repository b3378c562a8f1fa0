"""Ejection that grows, by success rate, and slow start of those who come back or are new."""

from realproxy import Limits, Proxy, Route, Service

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
BUSY = b"HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n"


def test_repeated_ejections_last_longer_and_are_counted(later, origin, service, wire, upstreams):
    good, bad = origin(lambda _: OK), origin(lambda _: BUSY)
    proxy = service(good, bad, eject={"errors": 1, "for": "30s", "grow": True, "every": "1h"})
    client = wire(proxy)
    for times in (1, 2):
        while upstreams(proxy)[1]["ejections"] < times:
            client.ask()
        found = upstreams(proxy)[1]
        assert (found["ejected"], found["ejections"]) == (1, times)
        later(30.0 * times - 5.0)
        assert [client.ask().status for _ in range(4)] == [200] * 4
        assert 30.0 * times - 5.0 <= upstreams(proxy)[1]["ejected_s"] < 30.0 * times
        later(5.0)
    bad.script = lambda _: OK
    assert [client.ask().status for _ in range(4)] == [200] * 4
    assert (upstreams(proxy)[1]["ejected"], upstreams(proxy)[1]["ejected_s"]) == (0, 0.0)


def test_who_fails_more_often_than_the_others_is_ejected_when_the_interval_ends(
    later, origin, service, wire, upstreams
):
    answers = iter(range(10**6))
    servers = [origin(lambda _: OK) for _ in range(4)]
    servers.append(origin(lambda _: BUSY if next(answers) % 2 else OK))
    proxy = service(
        *servers,
        eject={"errors": 1000, "every": "10s", "success_rate": {"requests": 20}},
        limits=Limits(drain="1s"),
    )
    client = wire(proxy)
    found = [client.ask().status for _ in range(120)]
    assert found.count(503) == 12
    assert [one["ejected"] for one in upstreams(proxy)] == [0] * 5
    later(10.0)
    assert [client.ask().status for _ in range(20)] == [200] * 20
    assert [one["ejected"] for one in upstreams(proxy)] == [0, 0, 0, 0, 1]


def shares(proxy: Proxy) -> list[int]:
    return [one["requests"] for one in proxy.stats()["upstreams"]["web"]]


def test_who_comes_back_gets_a_share_that_grows(later, origin, service, wire, upstreams):
    servers = [origin(lambda _: OK), origin(lambda _: OK)]
    state = {"bad": True}
    servers[1].script = lambda _: BUSY if state["bad"] else OK
    proxy = service(*servers, seed=3, eject={"errors": 1, "for": "10s"}, slow_start="1000s")
    client = wire(proxy)
    while not upstreams(proxy)[1]["ejected"]:
        client.ask()
    state["bad"] = False
    later(10.0)
    client.ask()
    assert [one["warming"] for one in upstreams(proxy)] == [0, 1]
    parts = []
    for seconds in (0.0, 500.0, 500.0):
        later(seconds)
        before = shares(proxy)
        for _ in range(400):
            client.ask()
        parts.append(shares(proxy)[1] - before[1])
    # A tenth against a whole is 36 of 400, a half 133. Six standard deviations are 35 and 57.
    assert abs(parts[0] - 36) < 35
    assert abs(parts[1] - 133) < 57
    assert abs(parts[2] - 200) <= 1
    assert upstreams(proxy)[1]["warming"] == 0


def test_who_is_new_after_a_reload_is_warmed_and_the_others_are_not(origin, serve, wire):
    servers = [origin(lambda _: OK) for _ in range(3)]

    def settings(count):
        addresses = [server.address for server in servers[:count]]
        return {
            "route": [Route(to="web")],
            "service": {"web": Service(upstreams=addresses, slow_start="1000s")},
        }

    proxy = serve(**settings(2))
    assert [one["warming"] for one in proxy.stats()["upstreams"]["web"]] == [0, 0]
    proxy.reload(proxy.settings.model_copy(update=settings(3)))
    assert [one["warming"] for one in proxy.stats()["upstreams"]["web"]] == [0, 0, 1]
    client = wire(proxy)
    for _ in range(210):
        assert client.ask().status == 200
    assert shares(proxy)[2] < 30  # 10 are expected
