"""Proxies that are each other's parents: no request goes in circles, and no origin is told anything."""

import threading

import pytest

from realproxy import Forward, Limits, Proxy, homing

LEVELS = ["elite", "anonymous", "transparent"]


@pytest.fixture
def circle(serve):
    """Proxies of which each is the parent of the one before, and the first one that of the last."""

    def start(scheme: str = "http", level: str = "elite", length: int = 2, **more) -> list[Proxy]:
        def forward(parent: Proxy | None) -> Forward:
            url = f"{scheme}://127.0.0.1:{parent.port}" if parent is not None else None
            return Forward(private_targets=True, anonymity=level, parent=url, **more)

        proxies: list[Proxy] = []
        for _ in range(length):
            proxies.insert(
                0, serve(forward=forward(proxies[0] if proxies else None), limits=Limits(drain="0s"))
            )
        last = proxies[-1]
        last.reload(last.settings.model_copy(update={"forward": forward(proxies[0])}))
        return proxies

    return start


@pytest.mark.parametrize("scheme", ["http", "socks5"])
@pytest.mark.parametrize("length", [1, 2, 3])
def test_elite_proxies_in_a_circle_refuse_at_once(circle, wire, scheme, length):
    proxies = circle(scheme, length=length)
    for proxy in proxies:
        for method, target in (("GET", "http://shop.test/"), ("CONNECT", "shop.test:443")):
            answer = wire(proxy).ask(target, method)
            assert (answer.status, b"leads back to this proxy" in answer.body) == (508, True)
        client = wire(proxy).send(b"\x05\x01\x00\x05\x01\x00\x03\x09shop.test\x01\xbb")
        assert client.reader.read(4) == b"\x05\x00\x05\x02", "not allowed"
    assert sum(proxy.stats()["requests"] for proxy in proxies) < 20 * length
    assert all(proxy.stats()["ends"]["loop"] > 0 for proxy in proxies)


@pytest.mark.parametrize("level", LEVELS)
def test_tunnels_in_a_circle_are_refused_at_every_level(circle, wire, level):
    assert wire(circle(level=level)[0]).ask("shop.test:443", "CONNECT").status == 508


def test_who_is_before_a_circle_is_told_too(circle, serve, wire):
    inside = circle()[0]
    outside = serve(
        forward=Forward(anonymity="elite", parent=f"http://127.0.0.1:{inside.port}"),
        limits=Limits(drain="0s"),
    )
    answer = wire(outside).ask("http://shop.test/")
    assert (answer.status, b"leads back to this proxy" in answer.body) == (508, True)
    assert wire(outside).ask("shop.test:443", "CONNECT").status == 508


def test_a_circle_that_is_opened_is_noticed(circle, origin, wire, until, monkeypatch):
    monkeypatch.setattr(homing, "AGAIN", 0.05)
    server = origin()
    first, last = circle()
    assert wire(first).ask(f"http://{server.address}/").status == 508
    last.reload(last.settings.model_copy(update={"forward": Forward(private_targets=True)}))
    until(lambda: wire(first).ask(f"http://{server.address}/").status == 200)


def test_a_circle_that_comes_into_being_is_noticed(origin, serve, wire, until, monkeypatch):
    monkeypatch.setattr(homing, "EVERY", 0.05)
    server = origin()
    last = serve(forward=Forward(private_targets=True, anonymity="elite"), limits=Limits(drain="0s"))
    forward = Forward(private_targets=True, anonymity="elite", parent=f"http://127.0.0.1:{last.port}")
    first = serve(forward=forward, limits=Limits(drain="0s"))
    assert wire(first).ask(f"http://{server.address}/").status == 200
    back = forward.model_copy(update={"parent": f"http://127.0.0.1:{first.port}"})
    last.reload(last.settings.model_copy(update={"forward": back}))
    until(lambda: wire(first).ask("http://shop.test/").status == 508)


def test_the_origin_is_told_nothing_and_the_parent_once(origin, serve, wire):
    server, parent = origin(), serve(forward=Forward(private_targets=True, anonymity="elite"))
    seen = []
    gate = parent._running._now.site.forwarding
    admit, gate.admit_name = gate.admit_name, lambda host: (seen.append(host), admit(host))[1]
    near = serve(
        forward=Forward(private_targets=True, anonymity="elite", parent=f"http://127.0.0.1:{parent.port}")
    )
    client = wire(near)
    assert [client.ask(f"http://{server.address}/").status for _ in range(5)] == [200] * 5
    assert {name.lower() for asked in server.asked for name, _ in asked.fields} == {"host"}
    assert seen.count("127.0.0.1") == 5
    [question] = [host for host in seen if host != "127.0.0.1"]
    assert question.endswith(".invalid")


def test_a_parent_that_takes_its_time_delays_no_request_for_long(origin, serve, wire, monkeypatch):
    monkeypatch.setattr(homing, "HOLD", 0.05)
    go_on = threading.Event()

    def parent(asked):
        if asked.method == "CONNECT":
            go_on.wait(30)
            return b"HTTP/1.1 502 No such host\r\nContent-Length: 0\r\n\r\n"
        return b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

    url = f"http://{origin(parent).address}"
    near = serve(forward=Forward(private_targets=True, parent=url))
    assert wire(near).ask("http://shop.test/").body == b"ok"
    go_on.set()
