"""Names with several addresses are resolved anew: upstreams come and go, and no request is lost."""

import socket
import threading

import pytest

from realproxy import Limits, Route, Service

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture
def names(monkeypatch):
    """The addresses of ``web.test``, which a test may change."""
    found = {"web.test": ["127.0.0.1"]}
    ask = socket.getaddrinfo

    def look_up(host, port, *arguments, **keywords):
        if host in found:
            if not found[host]:
                raise socket.gaierror(socket.EAI_AGAIN, "no answer")
            return [
                (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port or 0)) for address in found[host]
            ]
        return ask(host, port, *arguments, **keywords)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return found


@pytest.fixture
def everywhere(origin):
    """An origin that is reached at every address of loopback, and notes at which."""
    asked = []

    def script(request):
        asked.append(request.sock.getsockname()[0])
        return OK

    def start():
        server = origin(script)
        server._listener.shutdown(socket.SHUT_RDWR)
        server._listener.close()
        server._listener = socket.create_server(("0.0.0.0", 0), backlog=64)
        server._spawn(server._accept)
        return server._listener.getsockname()[1], asked

    return start


def addresses(proxy) -> list[str]:
    return sorted(one["address"].rpartition(":")[0] for one in proxy.stats()["upstreams"]["web"])


def test_addresses_come_and_go_and_no_request_is_lost(names, later, everywhere, serve, wire, until):
    port, asked = everywhere()
    proxy = serve(
        route=[Route(to="web")],
        service={
            "web": Service(upstreams=[f"web.test:{port}"], resolve="2s", slow_start="1h", eject={"most": 1.0})
        },
        limits=Limits(drain="1s", idle_timeout="10h"),
    )
    assert addresses(proxy) == ["127.0.0.1"]
    stop, wrong = threading.Event(), []

    def keep_asking():
        client = wire(proxy)
        while not stop.is_set():
            status = client.ask().status
            if status != 200:
                wrong.append(status)

    thread = threading.Thread(target=keep_asking)
    thread.start()
    try:
        for found in (["127.0.0.1", "127.0.0.2", "127.0.0.3"], ["127.0.0.3", "127.0.0.4"], [], ["127.0.0.9"]):
            names["web.test"] = found
            later(2.0)
            expected = sorted(found) or ["127.0.0.3", "127.0.0.4"]
            until(lambda expected=expected: addresses(proxy) == expected)
            before = len(asked)
            until(lambda before=before: len(asked) > before + 30)
    finally:
        stop.set()
        thread.join()
    assert wrong == []
    assert {"127.0.0.1", "127.0.0.3", "127.0.0.9"} <= set(asked)
    assert asked[-1] == "127.0.0.9"


def test_each_address_has_its_own_ejection_and_the_log_its_name(names, everywhere, serve, wire):
    port, _ = everywhere()
    names["web.test"] = ["127.0.0.1", "127.0.0.2"]
    proxy = serve(
        route=[Route(to="web")],
        service={"web": Service(upstreams=[f"web.test:{port}"], resolve="30s", eject={"errors": 1})},
    )
    client = wire(proxy)
    assert [client.ask().status for _ in range(4)] == [200] * 4
    assert [one["requests"] for one in proxy.stats()["upstreams"]["web"]] == [2, 2]
