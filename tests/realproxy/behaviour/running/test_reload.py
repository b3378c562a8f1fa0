"""Other settings while it runs: as one snapshot, without losing a request."""

import json
import signal
import threading
import time
from pathlib import Path

import pytest

from realproxy import BadInput, Cache, Limits, Log, Proxy, Route, RouteCache, Service
from realproxy.server.connection_loop import LAST_CALL


def answering(status: int) -> dict:
    return Proxy(route=[Route(respond=status)]).settings


def with_changes(proxy: Proxy, **changes):
    return proxy.settings.model_copy(update=changes)


class Load:
    """Clients that ask all the time, half of them on a kept connection; and what they were answered."""

    def __init__(self, connect, port: int, clients: int = 4) -> None:
        self._connect, self._port = connect, port
        self.statuses: list[int] = []
        self.lost: list[BaseException] = []
        self._enough = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(number % 2 == 0,)) for number in range(clients)
        ]
        for thread in self._threads:
            thread.start()

    def _run(self, keep: bool) -> None:
        try:
            while not self._enough.is_set():
                since = time.monotonic()
                self._ask(self._connect(self._port), keep, since)
        except ConnectionRefusedError:
            return  # it has stopped

    def _ask(self, client, keep: bool, since: float) -> None:
        """Ask on one connection until it ends; it was made after `since`."""
        while not self._enough.is_set():
            fields = "" if keep else "Connection: close\r\n"
            begun = asked = time.monotonic()
            try:
                client.send(f"GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
                asked = time.monotonic()
                answer = client.answer()
            except (OSError, EOFError) as error:
                # On a busy machine a client may be idle for so long that its connection is closed. It
                # was idle at most since its last request: the response may have waited for the client.
                if asked - since < LAST_CALL / 2:
                    self.lost.append(error)
                return
            since = begun
            self.statuses.append(answer.status)
            if answer["connection"] == "close":
                return

    def stop(self) -> None:
        self._enough.set()
        for thread in self._threads:
            thread.join()


@pytest.fixture
def load(wire):
    loads = []

    def start(port: int) -> Load:
        loads.append(Load(wire, port))
        return loads[-1]

    yield start
    for one in loads:
        one.stop()


def test_the_next_request_is_served_by_the_new_settings(serve, wire):
    proxy = serve(route=[Route(respond=204)])
    client = wire(proxy)
    assert client.ask().status == 204
    proxy.reload(with_changes(proxy, route=(Route(respond=403),)))
    assert client.ask().status == 403
    assert proxy.settings.route == (Route(respond=403),)


def test_a_request_under_way_ends_as_it_began(origin, serve, wire):
    gate, arrived = threading.Event(), threading.Event()

    def slow(_):
        arrived.set()
        gate.wait(30)
        return b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nold"

    proxy = serve(origin(slow))
    client = wire(proxy).send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert arrived.wait(30)
    proxy.reload(with_changes(proxy, route=(Route(respond=403),), service={}))
    assert wire(proxy).ask().status == 403
    gate.set()
    assert client.answer().body == b"old"
    assert client.ask().status == 403


def test_under_load_no_request_is_lost(serve, load, until):
    proxy = serve(route=[Route(respond=201)])
    clients = load(proxy.port)
    for number in range(30):
        proxy.reload(with_changes(proxy, route=(Route(respond=201 + number % 2),)))
        time.sleep(0.01)
    until(lambda: len(clients.statuses) > 200)
    clients.stop()
    assert clients.lost == []
    assert set(clients.statuses) == {201, 202}


def test_what_is_stored_stays_if_the_table_is_the_same(origin, serve, wire):
    server = origin(lambda _: b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 2\r\n\r\nok")
    proxy = serve(server, caching=RouteCache())
    wire(proxy).ask()
    proxy.reload(with_changes(proxy, limits=Limits(threads=7)))
    assert wire(proxy).ask()["cache-status"] == "proxytwin; hit"
    proxy.reload(with_changes(proxy, cache=Cache(capacity="1MiB")))
    assert "fwd=uri-miss" in wire(proxy).ask()["cache-status"]
    assert len(server.asked) == 2


def test_a_service_whose_table_is_the_same_keeps_its_counts(origin, serve, wire):
    first, second = origin(), origin()
    proxy = serve(first)
    wire(proxy).ask()
    other = Service(upstreams=[second.address])
    proxy.reload(with_changes(proxy, service={**proxy.settings.service, "other": other}))
    assert proxy.stats()["upstreams"]["web"][0]["requests"] == 1
    proxy.reload(with_changes(proxy, service={"web": other}))
    assert wire(proxy).ask().status == 200
    assert [upstream["requests"] for upstream in proxy.stats()["upstreams"]["web"]] == [1]


def test_new_limits_hold_for_who_waits_already(serve, wire):
    proxy = serve(route=[Route(respond=204)], limits=Limits(connections=1, drain="0s"))
    wire(proxy).ask()
    waiting = wire(proxy).send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    proxy.reload(with_changes(proxy, limits=Limits(connections=2, drain="0s")))
    assert waiting.answer().status == 204


def test_lines_go_to_the_new_log(serve, wire, tmp_path, until):
    old, new = tmp_path / "old.log", tmp_path / "new.log"
    proxy = serve(route=[Route(respond=204)], log=Log(file=str(old)))
    client = wire(proxy)
    client.ask("/1")
    proxy.reload(with_changes(proxy, log=Log(file=str(new))))
    client.ask("/2")
    until(lambda: new.read_text() and old.read_text())
    assert [json.loads(file.read_text())["target"] for file in (old, new)] == ["/1", "/2"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"listen": "127.0.0.1:1"}, "listen: cannot change while the proxy runs"),
        ({"admin": "127.0.0.1:1"}, "admin: cannot change while the proxy runs"),
        ({"log": Log(file="/nowhere/at/all")}, "log.file: cannot be written"),
        (
            {"service": {"web": Service(upstreams=["nowhere"])}},
            r"service.web.upstreams.0.address: expected 'host:port'",
        ),
    ],
)
def test_what_cannot_be_is_refused_and_the_old_stays(serve, wire, changes, message):
    proxy = serve(route=[Route(respond=204)])
    before = proxy.settings
    with pytest.raises(BadInput, match=message):
        proxy.reload(with_changes(proxy, **changes))
    assert wire(proxy).ask().status == 204
    assert proxy.settings == before


def test_former_settings_leave_no_thread_behind(serve, until, tmp_path):
    proxy = serve(route=[Route(respond=204)], log=Log(file=str(tmp_path / "0")))
    count = threading.active_count()
    for number in range(10):
        proxy.reload(with_changes(proxy, log=Log(file=str(tmp_path / str(number)))))
    until(lambda: threading.active_count() <= count)


def rewrite(file: Path, toml: str) -> None:
    """Replace a file as an editor does, so that no reader sees half of it."""
    (file.parent / "new").write_text(toml, encoding="utf-8")
    (file.parent / "new").rename(file)


def test_sighup_reads_the_file_again(child, tmp_path, load, until):
    proxy = child("route = [{ respond = 201 }]")
    clients = load(proxy.port)
    until(lambda: 201 in clients.statuses)
    rewrite(tmp_path / "proxy.toml", "route = [{ respond = 202 }]")
    proxy.process.send_signal(signal.SIGHUP)
    until(lambda: 202 in clients.statuses)
    rewrite(tmp_path / "proxy.toml", "route = [{ respond = 203 }]\nrout = 1")
    proxy.process.send_signal(signal.SIGHUP)
    line = proxy.process.stderr.readline()
    assert "rout: unknown key" in line and "the former settings stay" in line
    clients.stop()
    assert clients.lost == []
    assert 203 not in clients.statuses


def test_sigterm_under_load_loses_no_request(child, load, until):
    proxy = child('route = [{ respond = 204 }]\nlimits = { drain = "5s" }')
    clients = load(proxy.port)
    until(lambda: len(clients.statuses) > 100)
    proxy.process.send_signal(signal.SIGTERM)
    assert proxy.process.wait(30) == 0
    clients.stop()
    assert clients.lost == []


def test_answers_that_a_stop_finds_under_way_say_that_they_are_the_last(origin, serve, wire, until):
    gate, arrived = threading.Event(), threading.Semaphore(0)

    def slow(asked):
        if asked.target != "/warm":
            arrived.release()
            gate.wait(40)
        return b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 2\r\n\r\nok"

    server = origin(slow)
    shared = Route(when={"path": "/shared"}, to="web", cache=RouteCache(coalesce=True, wait="30s"))
    proxy = serve(
        route=[shared, Route(to="web")],
        service={"web": Service(upstreams=[server.address])},
        cache=Cache(policy="lru", capacity="1MB"),
        limits=Limits(drain="30s"),
    )
    idle = wire(proxy)
    idle.ask("/warm")
    clients = []
    for line, body in (("GET /kept", ""), ("GET /fresh", ""), ("POST /body", "a"), ("GET /shared", "")):
        head = f"{line} HTTP/1.1\r\nHost: shop.test\r\nContent-Length: {len(body)}\r\n\r\n"
        clients.append(wire(proxy).send(head + body))
        assert arrived.acquire(timeout=30)
    clients.append(wire(proxy).send("GET /shared HTTP/1.1\r\nHost: shop.test\r\n\r\n"))
    until(lambda: proxy.stats()["waiting"] == 1)
    stop = threading.Thread(target=proxy.stop)
    stop.start()
    assert idle.ended()
    gate.set()
    answers = [client.answer() for client in clients]
    assert [(answer.body, answer["Connection"]) for answer in answers] == [(b"ok", "close")] * len(clients)
    assert all(client.ended() for client in clients)
    for client in clients:
        client.close()
    stop.join(30)
    assert not stop.is_alive()


def test_sigterm_gives_up_at_the_deadline(child, origin, wire, until):
    gate, arrived = threading.Event(), threading.Event()

    def never(_):
        arrived.set()
        gate.wait(40)

    server = origin(never)
    proxy = child(
        f'route = [{{ to = "web" }}]\nservice.web.upstreams = "{server.address}"\n'
        'limits = { drain = "300ms" }\n'
    )
    client = wire(proxy).send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert arrived.wait(30)
    start = time.monotonic()
    proxy.process.send_signal(signal.SIGTERM)
    assert proxy.process.wait(30) == 0
    assert 0.3 <= time.monotonic() - start < 20
    gate.set()
    assert client.ended()
