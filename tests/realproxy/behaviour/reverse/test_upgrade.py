"""Upgrade and WebSocket: an upstream that agrees gets the connection, one that does not answers in HTTP."""

import base64
import hashlib
import os
import socket

import pytest

from realproxy import Forward, Limits

KEY_SUFFIX = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3
WEBSOCKET = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13")


def read_frame(reader) -> tuple[int, bytes]:
    """Opcode and payload of one WebSocket frame. RFC 6455, 5.2"""
    first, second = reader.read(2)
    size = second & 0x7F
    if size >= 126:
        size = int.from_bytes(reader.read(2 if size == 126 else 8))
    mask = reader.read(4) if second & 0x80 else bytes(4)
    return first & 0x0F, bytes(byte ^ mask[at % 4] for at, byte in enumerate(reader.read(size)))


def frame(opcode: int, payload: bytes, *, masked: bool) -> bytes:
    size = len(payload)
    length = bytes([size]) if size < 126 else b"\x7e" + size.to_bytes(2)
    length = bytes([length[0] | (0x80 if masked else 0)]) + length[1:]
    mask = os.urandom(4) if masked else b""
    body = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload)) if masked else payload
    return bytes([0x80 | opcode]) + length + mask + body


def accepting(asked) -> bytes:
    accept = base64.b64encode(hashlib.sha1(asked["sec-websocket-key"].encode() + KEY_SUFFIX).digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: %b\r\n\r\n" % accept
    )


def echo(asked) -> None:
    """An origin's script: a WebSocket that greets, then says back what it hears, until it is closed."""
    asked.sock.sendall(accepting(asked) + frame(1, b"welcome", masked=False))
    while True:
        opcode, payload = read_frame(asked.reader)
        asked.sock.sendall(frame(opcode, payload, masked=False))
        if opcode == 8:
            return


def open_websocket(client):
    key = base64.b64encode(os.urandom(16)).decode()
    answer = client.ask("/chat", "GET", *WEBSOCKET, f"Sec-WebSocket-Key: {key}")
    assert answer.status == 101, answer.body
    expected = base64.b64encode(hashlib.sha1(key.encode() + KEY_SUFFIX).digest()).decode()
    assert (answer["Sec-WebSocket-Accept"], answer["Upgrade"]) == (expected, "websocket")
    assert answer["Connection"] == "Upgrade"
    return client


def test_a_websocket_goes_through_the_reverse_side(origin, serve, wire, until):
    server = origin(echo)
    proxy = serve(server)
    client = open_websocket(wire(proxy))
    assert read_frame(client.reader) == (1, b"welcome")
    for text in (b"hello", b"x" * 5000):
        client.send(frame(1, text, masked=True))
        assert read_frame(client.reader) == (1, text)
    assert proxy.stats()["tunnels"] == proxy.stats()["upstreams"]["web"][0]["outstanding"] == 1
    client.send(frame(8, b"", masked=True))
    assert read_frame(client.reader) == (8, b"")
    assert client.ended()
    client.close()
    until(lambda: proxy.stats()["tunnels"] == proxy.stats()["connections"] == 0)
    until(lambda: proxy.stats()["upstreams"]["web"][0]["outstanding"] == 0)
    [asked] = server.asked
    assert (asked["Upgrade"], asked["Connection"], asked["X-Forwarded-For"]) == (
        "websocket", "Upgrade", "127.0.0.1",
    )  # fmt: skip


def test_what_the_client_sends_before_the_101_follows_it(origin, serve, wire):
    client = wire(serve(origin(echo)))
    lines = "\r\n".join((*WEBSOCKET, "Sec-WebSocket-Key: AAAA"))
    early = frame(1, b"early", masked=True).decode("latin-1")
    client.send(f"GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n{early}")
    assert client.head().status == 101
    assert [read_frame(client.reader)[1] for _ in range(2)] == [b"welcome", b"early"]


def test_websockets_cost_no_worker(origin, serve, wire):
    proxy = serve(origin(echo), limits=Limits(threads=1, drain="0s"))
    clients = [open_websocket(wire(proxy)) for _ in range(20)]
    for client in clients:
        client.send(frame(1, b"ping", masked=True))
        assert [read_frame(client.reader)[1] for _ in range(2)] == [b"welcome", b"ping"]


def test_an_upstream_that_stays_with_http_answers_as_ever(origin, serve, wire):
    server = origin()
    client = wire(serve(server))
    for _ in range(2):
        assert client.ask("/", "GET", *WEBSOCKET).body == b"hello"
    assert len(server.asked) == 2
    assert server.connections == 1


@pytest.mark.parametrize(
    "fields",
    [
        ("Upgrade: websocket",),
        ("Connection: Upgrade", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA"),
        ("Connection: Upgrade, HTTP2-Settings", "Upgrade: H2C, TLS/1.3, tls"),
        ("Connection: Upgrade", "Upgrade: websocket", "Content-Length: 0", "Transfer-Encoding: "),
    ],
)
def test_what_may_not_be_offered_is_not(origin, serve, wire, fields):
    server = origin()
    answer = wire(serve(server)).ask("/", "GET", *fields)
    assert answer.status == 400 if "Transfer-Encoding: " in fields else answer.body == b"hello"
    assert all(asked["Upgrade"] is None for asked in server.asked)


@pytest.mark.parametrize("offered", [(), WEBSOCKET])
def test_a_switch_that_nobody_asked_for_is_refused(origin, serve, wire, offered):
    server = origin(lambda _: b"HTTP/1.1 101 Sure\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n")
    assert wire(serve(server)).ask("/", "GET", *offered).status == 502


def test_a_tunnelled_websocket_goes_through_the_forward_side(origin, serve, wire):
    server = origin(echo)
    proxy = serve(forward=Forward(private_targets=True, connect_ports=[server.port]))
    client = wire(proxy)
    assert client.ask(server.address, "CONNECT").status == 200
    open_websocket(client)
    assert read_frame(client.reader) == (1, b"welcome")


def test_half_a_connection_ends_and_the_other_goes_on(origin, serve, wire):
    """The new protocol may half-close, as raw TCP may."""

    def counting(asked) -> None:
        asked.sock.sendall(b"HTTP/1.1 101 OK\r\nUpgrade: count\r\nConnection: Upgrade\r\n\r\n")
        asked.sock.sendall(b"%d" % len(asked.reader.read()))

    client = wire(serve(origin(counting)))
    assert client.ask("/", "GET", "Connection: upgrade", "Upgrade: count").status == 101
    client.send(b"x" * 3_000_000)
    client.sock.shutdown(socket.SHUT_WR)
    assert client.reader.read() == b"3000000"
