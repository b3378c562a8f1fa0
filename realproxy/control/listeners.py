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

    `proxy` is for HTTP and SOCKS, `tcp` for raw TCP, in the order of the settings. `balance` is None if only
    one process accepts. A worker process knows the `admin_address`, but its parent has the socket `admin`.
    """

    proxy: socket.socket
    tcp: list[socket.socket]
    admin: socket.socket | None
    balance: AcceptBalance | None = None
    admin_address: Address | None = None

    def close(self) -> None:
        """Close the sockets, and free the shared memory of the balance."""
        for sock in (self.proxy, *self.tcp, self.admin):
            if sock is not None:
                sock.close()
        if self.balance is not None:
            self.balance.close()


def bind_listeners(settings: ProxySettings, where: str) -> Listeners:
    """Listen on every address in the settings. If this raises `BadInput`, no socket stays open."""
    with contextlib.ExitStack() as opened:  # these are closed again if a later one fails
        proxy = opened.enter_context(listen(settings.listen, where))
        tcp = [
            opened.enter_context(listen(tcp.listen, where, f"tcp.{number}.listen"))
            for number, tcp in enumerate(settings.tcp)
        ]
        admin = opened.enter_context(listen(settings.admin, where, "admin")) if settings.admin else None
        opened.pop_all()
    address = admin.getsockname()[:2] if admin is not None else None
    return Listeners(proxy, tcp, admin, admin_address=address)
