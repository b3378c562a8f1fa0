"""The listening sockets of a proxy. Several processes may share them."""

from __future__ import annotations

import contextlib
import socket
from typing import NamedTuple

from policies.settings import ProxySettings
from realproxy.net.address import Address
from realproxy.net.listener import listen
from realproxy.server.accept_balance import AcceptBalance
from realproxy.server.tcp_proxy import open_listeners


class Listeners(NamedTuple):
    """The sockets, and the data that processes share with them.

    Attributes
    ----------
    proxy : socket.socket
        For HTTP and SOCKS.
    tcp : list of socket.socket
        One for each raw TCP listener, in the order of the settings.
    admin : socket.socket or None
        For the admin port; None in a worker process.
    balance : AcceptBalance or None
        None if only one process accepts.
    admin_address : Address or None
        Of the admin port, even if its socket belongs to the parent process.
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
        tcp = [opened.enter_context(sock) for sock in open_listeners(settings, where)]
        admin = None
        if settings.admin is not None:
            admin = opened.enter_context(listen(settings.admin, where, "admin"))
        opened.pop_all()
    address = admin.getsockname()[:2] if admin is not None else None
    return Listeners(proxy, tcp, admin, admin_address=address)
