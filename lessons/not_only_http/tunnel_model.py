"""Ways through a proxy for protocols other than HTTP, simulated message by message.

Before a proxy forwards the first byte, the client must name the target. The protocol defines the number of
exchanges for that. In the simulation, client, proxy and server send each of these messages, and each
message takes half a round trip.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import simpy


@dataclass(frozen=True)
class Way:
    """One way to tell a proxy the target of a connection.

    Attributes
    ----------
    name : str
        The text in figures and tables.
    setup : tuple of (str, str)
        The client's messages before its first request, each with the proxy's reply, in order.
    """

    name: str
    setup: tuple[tuple[str, str], ...]


WAYS = {
    way.name: way
    for way in (
        Way("raw TCP", ()),
        Way("CONNECT", (("CONNECT host:port", "200"),)),  # RFC 9110, 9.3.6
        Way("SOCKS4a", (("connect to host:port", "granted"),)),
        Way("SOCKS5", (("I can: no password", "agreed"), ("connect to host:port", "done"))),  # RFC 1928
        Way(  # RFC 1929
            "SOCKS5, login",
            (("I can: login", "agreed"), ("name, password", "right"), ("connect to host:port", "done")),
        ),
    )
}


@dataclass(frozen=True)
class Message:
    """One message: its sender and receiver, and when it was sent and arrived, in milliseconds."""

    text: str
    sender: str
    receiver: str
    sent: float
    arrived: float


@dataclass(frozen=True)
class Conversation:
    """The messages of one simulated connection.

    Attributes
    ----------
    messages : tuple of Message
        In the order of their arrival.
    answers : tuple of float
        When each response arrived, in milliseconds after the first message was sent.
    """

    messages: tuple[Message, ...]
    answers: tuple[float, ...]

    @property
    def first_ms(self) -> float:
        """Milliseconds until the first response."""
        return self.answers[0]

    @property
    def mean_ms(self) -> float:
        """Mean milliseconds per request, including its share of the setup."""
        return self.answers[-1] / len(self.answers)


class _World:
    """Client, proxy and server with a mailbox each, and the links between them."""

    def __init__(self, client_ms: float, server_ms: float) -> None:
        self.env = simpy.Environment()
        self._mail = {name: simpy.Store(self.env) for name in ("client", "proxy", "server")}
        self._one_way = {
            frozenset(("client", "proxy")): client_ms / 2,
            frozenset(("proxy", "server")): server_ms / 2,
        }
        self.messages: list[Message] = []
        self.answers: list[float] = []

    def send(self, text: str, sender: str, receiver: str) -> None:
        self.env.process(self._carry(text, sender, receiver))

    def _carry(self, text: str, sender: str, receiver: str) -> Generator[simpy.Event, Any, None]:
        sent = self.env.now
        yield self.env.timeout(self._one_way[frozenset((sender, receiver))])
        self.messages.append(Message(text, sender, receiver, sent, self.env.now))
        yield self._mail[receiver].put((sender, text))

    def client(self, way: Way, requests: int) -> Generator[simpy.Event, Any, None]:
        for text, _ in way.setup:
            self.send(text, "client", "proxy")
            yield self._mail["client"].get()
        for _ in range(requests):
            self.send("request", "client", "proxy")
            yield self._mail["client"].get()
            self.answers.append(self.env.now)

    def proxy(self, way: Way) -> Generator[simpy.Event, Any, None]:
        for _, reply in way.setup:
            yield self._mail["proxy"].get()
            self.send(reply, "proxy", "client")
        while True:
            sender, text = yield self._mail["proxy"].get()
            self.send(text, "proxy", "server" if sender == "client" else "client")

    def server(self) -> Generator[simpy.Event, Any, None]:
        while True:
            yield self._mail["server"].get()
            self.send("response", "server", "proxy")


def converse(way: str, client_ms: float, server_ms: float, requests: int = 1) -> Conversation:
    """Simulate one connection. The client waits for each reply before it sends the next message.

    Parameters
    ----------
    way : str
        A key of `WAYS`.
    client_ms, server_ms : float
        Round trips between client and proxy, and between proxy and server.
    requests : int
        Number of requests, one after the other.
    """
    world = _World(client_ms, server_ms)
    for process in (world.client(WAYS[way], requests), world.proxy(WAYS[way]), world.server()):
        world.env.process(process)
    world.env.run()
    return Conversation(tuple(world.messages), tuple(world.answers))


def all_ways(client_ms: float, server_ms: float, requests: int = 1) -> dict[str, Conversation]:
    """Simulate one connection for each way."""
    return {name: converse(name, client_ms, server_ms, requests) for name in WAYS}
