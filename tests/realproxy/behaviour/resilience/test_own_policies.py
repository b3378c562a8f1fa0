"""A student's own class that errs: a 500 and a line that names it, never a cut connection."""

import socket

import pytest

from realproxy import Cache, Route, Service, Tcp

PICK = "def pick(self, key, now): "
ERRING = ["pass", "return 9", "return -1", "return True", "return 0.0", "return 1 / 0", "raise StopIteration"]
QUEUE = """
def __init__(self, capacity, **kwargs):
    super().__init__(capacity, **kwargs)
    self.row = []
def touch(self, key, now): pass
def _admit(self, key, size, now): self.row.append(key)
def _evict(self, now): return self.row.pop(0)
def _forget(self, key): self.row.remove(key)
"""


def fresh(asked) -> bytes:
    body = asked.target.encode() * 20
    return b"HTTP/1.1 200 OK\r\nCache-Control: max-age=99\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


@pytest.mark.parametrize("body", ERRING)
def test_a_wrong_pick_is_a_500_and_the_connection_goes_on(body, own_class, origin, serve, wire, capfd):
    with own_class("balancing", PICK + body) as file:
        client = wire(serve(origin(fresh), balance="mine"))
        for _ in range(3):
            answer = client.ask("/", "POST") if body == "pass" else client.ask()
            assert answer.status == 500
            assert answer.body.startswith(b"500 Internal Server Error: Mine.pick: r")
            assert "proxy_internal_error" in answer["Proxy-Status"]
    assert f"proxytwin: own policy: {file}:2: Mine.pick: r" in capfd.readouterr().err


def test_a_balancer_that_errs_now_and_then(own_class, origin, serve, wire):
    body = "asked = 0\ndef pick(self, key, now):\n    self.asked += 1\n    return [None, 0][self.asked % 2]"
    with own_class("balancing", body):
        proxy = serve(origin(fresh), balance="mine")
        client = wire(proxy)
        assert [client.ask().status for _ in range(6)] == [200, 500] * 3
        assert proxy.stats()["upstreams"]["web"][0]["outstanding"] == 0


@pytest.mark.parametrize("hook", ["finished(self, index, elapsed, now)", "started(self, index)"])
def test_a_hook_that_raises_does_not_spoil_the_response(hook, own_class, origin, serve, wire, capfd):
    with own_class("balancing", f"{PICK}return 0\ndef {hook}: raise RuntimeError('x')"):
        proxy = serve(origin(fresh), balance="mine")
        client = wire(proxy)
        assert [client.ask().status for _ in range(3)] == [200] * 3
        assert proxy.stats()["upstreams"]["web"][0]["outstanding"] == 0
    said = capfd.readouterr().err
    assert ("Mine.finished: raised RuntimeError: x" in said) == hook.startswith("finished")


@pytest.mark.parametrize(
    "method",
    [
        "def _evict(self, now): pass",
        "def _evict(self, now): return 'nobody'",
        "def _evict(self, now): return 1 / 0",
        "def _admit(self, key, size, now): raise RuntimeError('no')",
        "def _announce(self, key, size): return self.nothing",
        "def insert(self, key, size, now): pass",
    ],
)
def test_an_eviction_policy_that_errs_costs_only_what_it_was_to_store(
    method, own_class, origin, serve, wire, capfd
):
    name = method.split()[1].partition("(")[0]
    with own_class("eviction", QUEUE + method):
        proxy = serve(origin(fresh), caching=True, cache=Cache(policy="mine", capacity="100B"))
        client = wire(proxy)
        for number in (1, 2, 3, 4, 1, 2):
            answer = client.ask(f"/{number}")
            assert (answer.status, answer.body) == (200, b"/%d" % number * 20)
    assert f"Mine.{name}: r" in capfd.readouterr().err


def test_a_touch_that_raises_is_a_500(own_class, origin, serve, wire):
    with own_class("eviction", f"{QUEUE}def touch(self, key, now): raise RuntimeError('x')"):
        client = wire(serve(origin(fresh), caching=True, cache=Cache(policy="mine", capacity="1KiB")))
        assert [client.ask("/a").status for _ in range(3)] == [200, 500, 500]
        assert client.ask("/b").status == 200


def test_an_admission_policy_that_errs_stores_nothing(own_class, origin, serve, wire, capfd):
    with own_class("admission", "def admits(self, key, size, stored): return 'yes'"):
        client = wire(serve(origin(fresh), caching=True, cache=Cache(admission="mine")))
        assert [client.ask("/a").status for _ in range(3)] == [200] * 3
    assert "Mine.admits: returned 'yes'; expected True or False" in capfd.readouterr().err


def test_a_raw_tcp_connection_ends_with_a_line(own_class, origin, serve, until, capfd):
    server = origin(fresh)
    with own_class("balancing", f"{PICK}pass"):
        proxy = serve(
            tcp=[Tcp(listen="127.0.0.1:0", to="web")],
            service={"web": Service(upstreams=[server.address], balance="mine")},
            route=[Route(to="web")],
        )
        with socket.create_connection(("127.0.0.1", proxy.tcp_ports[0]), timeout=5) as client:
            assert client.recv(1) == b""
    assert "Mine.pick: returned None" in capfd.readouterr().err


def test_a_constructor_that_raises_is_said_at_the_start(own_class, origin, serve):
    body, said = f"{PICK}return 0\ndef __init__(self, upstreams): pass", r"Mine\.__init__: raised TypeError"
    with own_class("balancing", body), pytest.raises(ValueError, match=said):
        serve(origin(fresh), balance="mine")
