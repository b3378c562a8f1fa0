"""The listening sockets of a proxy, which several processes may share."""

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
    """What a proxy accepts on.

    Attributes
    ----------
    proxy : socket.socket
        For HTTP.
    tcp : list of socket.socket
        One for each raw TCP listener.
    admin : socket.socket or None
        Of the admin port.
    admin_address : Address or None
        Where the admin port is, in this process or in the parent.
    balance : AcceptBalance or None
        Whose turn it is to accept, where other processes accept on them, too.
    """

    proxy: socket.socket
    tcp: list[socket.socket]
    admin: socket.socket | None
    balance: AcceptBalance | None = None
    admin_address: Address | None = None

    def close(self) -> None:
        """Close all of them."""
        for sock in (self.proxy, *self.tcp, self.admin):
            if sock is not None:
                sock.close()
        if self.balance is not None:
            self.balance.close()


def bind_listeners(settings: ProxySettings, where: str) -> Listeners:
    """Listen on all that the settings name; raises `BadInput` and leaves nothing open."""
    with contextlib.ExitStack() as opened:  # what must not stay open if something else fails
        proxy = opened.enter_context(listen(settings.listen, where))
        tcp = [opened.enter_context(sock) for sock in open_listeners(settings, where)]
        admin = None
        if settings.admin is not None:
            admin = opened.enter_context(listen(settings.admin, where, "admin"))
        opened.pop_all()
    address = admin.getsockname()[:2] if admin is not None else None
    return Listeners(proxy, tcp, admin, admin_address=address)
