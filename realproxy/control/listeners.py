"""The listening sockets of a proxy. Several processes may share them."""

from __future__ import annotations

import contextlib
import socket
from typing import NamedTuple

from policies.settings import ProxySettings
from realproxy.net.address import Address
from realproxy.net.listener import listen
from realproxy.server.accept_balance import AcceptBalance


class Listeners(NamedTuple):
    """The sockets, and the data that processes share with them.

    `proxy` is for HTTP and SOCKS, `tcp` for raw TCP, in the order of the settings. `forward` is None if the
    forward side has no listener of its own. `balance` is None if only one process accepts. A worker process
    knows the `admin_address`, but its parent has the socket `admin`.
    """

    proxy: socket.socket
    tcp: list[socket.socket]
    admin: socket.socket | None
    balance: AcceptBalance | None = None
    admin_address: Address | None = None
    forward: socket.socket | None = None

    @property
    def clients(self) -> list[socket.socket]:
        """The sockets that clients connect to: those for HTTP, then `tcp`."""
        return [*self.http, *self.tcp]

    @property
    def http(self) -> list[socket.socket]:
        """`proxy`, then `forward` if there is one."""
        return [self.proxy, *([self.forward] if self.forward is not None else [])]

    @property
    def forward_address(self) -> Address:
        """Where the forward side answers, if it is on."""
        address: Address = self.http[-1].getsockname()[:2]
        return address

    def close(self) -> None:
        """Close the sockets, and free the shared memory of the balance."""
        for sock in (*self.clients, self.admin):
            if sock is not None:
                sock.close()
        if self.balance is not None:
            self.balance.close()


def bind_listeners(settings: ProxySettings, where: str) -> Listeners:
    """Listen on every address in the settings. If this raises `BadInput`, no socket stays open."""
    with contextlib.ExitStack() as opened:  # these are closed again if a later one fails
        proxy = opened.enter_context(listen(settings.listen, where))
        forward = None
        if settings.forward is not None and settings.forward.listen is not None:
            forward = opened.enter_context(listen(settings.forward.listen, where, "forward.listen"))
        tcp = [
            opened.enter_context(listen(tcp.listen, where, f"tcp.{number}.listen"))
            for number, tcp in enumerate(settings.tcp)
        ]
        admin = opened.enter_context(listen(settings.admin, where, "admin")) if settings.admin else None
        opened.pop_all()
    address = admin.getsockname()[:2] if admin is not None else None
    return Listeners(proxy, tcp, admin, admin_address=address, forward=forward)
