"""`explain` tells what the watch of a running proxy has decided, and is silent if none runs."""

import json
import socket
import threading
import time

import pytest

from policies.settings import parse_settings
from realproxy.control.running_split import PATIENCE, running_split

GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood"
BAD = b"HTTP/1.1 500 Oh\r\nContent-Length: 3\r\n\r\nbad"


def settings(admin, to=None, canary=True):
    route = {"to": to or {"api": 1, "new": 1}, **({"canary": {"watch": "new"}} if canary else {})}
    service = {name: {"upstreams": "127.0.0.1:1"} for name in ("api", "new")}
    return parse_settings({"route": [route], "service": service, **({"admin": admin} if admin else {})})


def test_it_tells_shares_evidence_and_decisions(origin, serve, wire):
    stable, canary = origin(lambda _: GOOD), origin(lambda _: BAD)
    service = {"api": {"upstreams": [stable.address]}, "new": {"upstreams": [canary.address]}}
    route = [{"to": {"api": 1, "new": 1}, "canary": {"watch": "new"}}]
    proxy = serve(route=route, service=service, seed=1, admin="127.0.0.1:0")
    asked = settings(proxy.admin_url.removeprefix("http://"))
    first, second = running_split(asked, 0)
    assert first == "running now: api 50.00% (0 requests), new 50.00% (0 requests)"
    assert second.startswith("canary new: watching, evidence 1 of 20; 0 of 0 answers")
    client = wire(proxy)
    for _ in range(60):
        client.ask("/")
    first, second, third = running_split(asked, 0)
    assert "api 100.00%" in first
    assert second.startswith("canary new: rolled back, evidence ")
    assert third.startswith("decided 20")
    assert "rolled back at 0.00%, because" in third
    proxy.set_weights(0, {"new": 1})
    assert "weights set by hand" in running_split(asked, 0)[-1]
    for other in (settings(asked.admin, {"api": 1, "500": 1}, canary=False), settings(None)):
        assert running_split(other, 0) == [], "another file's proxy, or no admin port"
    assert running_split(asked, None) == []


def test_it_is_silent_if_nobody_is_there(nobody):
    assert running_split(settings(f"127.0.0.1:{nobody}"), 0) == []
    assert running_split(settings("127.0.0.1:0"), 0) == []


STRANGE = [
    b"",
    b"SSH-2.0-OpenSSH\r\n",
    b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{",
    *(
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        for body in (
            b"[]", b"{}", b"{", b"null", b'{"splits": 3}', b'{"splits": [1]}', b'{"splits": [{"route": 0}]}',
            json.dumps({"splits": [{"route": 0, "arms": {"api": 1, "new": None}}]}).encode(),
            json.dumps({"splits": [{"route": 0, "arms": ["api", "new"]}]}).encode(),
        )
    ),
]  # fmt: skip


@pytest.fixture
def stranger():
    """Says the same to each connection, and closes it; `say(None)` says nothing and keeps it open."""
    said, kept = [], []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                if said[-1] is None:
                    kept.append(connection)
                    continue
                with connection:
                    connection.recv(65536)
                    connection.sendall(said[-1])

        thread = threading.Thread(target=serve)
        thread.start()
        yield said.append, f"127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
    for connection in kept:
        connection.close()


def test_it_is_silent_if_something_else_answers(stranger):
    say, address = stranger
    for said in STRANGE:
        say(said)
        assert running_split(settings(address), 0) == [], said


def test_it_does_not_wait_for_one_who_says_nothing(stranger):
    say, address = stranger
    say(None)
    began = time.monotonic()
    assert running_split(settings(address), 0) == []
    assert time.monotonic() - began < PATIENCE + 5.0


def test_what_it_prints_cannot_move_the_cursor(stranger):
    arm = {"weight": 1, "share": 0.5, "requests": 1}
    canary = {
        "watch": "new", "state": "\x1b[2Jwatching", "evidence": 1.0, "alpha": 0.05, "figures": "a\nb",
        "changes": [],
    }  # fmt: skip
    split = {"route": 0, "arms": {"api": arm, "new": arm}, "canary": canary}
    body = json.dumps({"splits": [split]}).encode()
    say, address = stranger
    say(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
    assert running_split(settings(address), 0)[1] == "canary new: ?[2Jwatching, evidence 1 of 20; a?b"
