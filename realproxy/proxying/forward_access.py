"""The forward side's gate: who may ask, for what, which addresses may be dialled, what is told there.

Nothing here changes once it is built; workers, the refresher and the relay thread share it.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from pathlib import Path

from policies.addresses import is_local_name, is_private
from policies.bad_input import BadInput
from policies.forward.anonymity import header_rules
from policies.forward.basic_auth import CHALLENGE, is_known, read_basic
from policies.forward.blocking import Blocklist, normal_host
from policies.settings import Forward, Limits
from realproxy.errors import LocalReply, Termination
from realproxy.http1 import RequestHead
from realproxy.messages.headers import connect_via, forward_request
from realproxy.net.address import Address, is_own
from realproxy.net.dial import connect
from realproxy.net.resolver import Resolver, is_literal, read_address
from realproxy.socks import ServerHandshake
from realproxy.upstream.parent_proxy import ParentProxy


def read_blocklist(settings: Forward) -> Blocklist:
    """The rules and the hosts files of the settings; raises `BadInput`."""
    blocked = Blocklist(settings.block)
    for file in settings.block_files:
        try:
            blocked.add_hosts(file, Path(file).read_text(encoding="utf-8"))
        except OSError as error:
            problem = (error.strerror or str(error)).lower()
            raise BadInput("forward.block_files", "", f"{file}: {problem}") from None
        except UnicodeDecodeError:
            raise BadInput("forward.block_files", "", f"{file}: is not UTF-8 text") from None
        except ValueError as error:
            raise BadInput("forward.block_files", "", f"{file}: {error}") from None
    return blocked


def asked_host(head: RequestHead) -> str:
    """The host that a request asks for, without brackets."""
    return head.host.decode().removeprefix("[").removesuffix("]")


class ForwardAccess:
    """What the settings of the forward side allow.

    Parameters
    ----------
    settings : policies.settings.Forward
        Its table.
    resolver : Resolver
        Turns names into addresses.
    limits : Limits
        From the settings of the whole proxy.

    Attributes
    ----------
    parent : ParentProxy or None
        The next proxy of a chain.
    admin : Address or None
        The admin port, which nobody reaches through the proxy: what asks there would seem to be local.
    tcp : sequence of Address
        The raw TCP listeners, which nobody reaches through the proxy for the same reason.

    Raises
    ------
    BadInput
        If a hosts file or the certificates for a parent cannot be read.
    """

    def __init__(self, settings: Forward, resolver: Resolver, limits: Limits) -> None:
        self.settings = settings
        self._resolver, self._limits = resolver, limits
        self.admin: Address | None = None
        self.tcp: Sequence[Address] = ()
        self.parent: ParentProxy | None = None
        if (parent := settings.next_proxy) is not None:
            self.parent = ParentProxy(parent, settings.parent_ca, resolver, limits)
        self._socks = frozenset(int(name[-1]) for name in settings.protocols if name.startswith("socks"))
        self._blocked = read_blocklist(settings)
        self._rules = header_rules(settings.anonymity)
        self._tunnel_ports = frozenset(settings.connect_ports)

    # --- who ------------------------------------------------------------------------------------

    def authorise(self, head: RequestHead) -> str:
        """The user who asks, empty if none is needed; raises `LocalReply` 407. RFC 9110, 11.7"""
        users = self.settings.auth
        if not users:
            return ""
        found = read_basic(head.fields.text("proxy-authorization"))
        if found is not None and is_known(users, *found):
            return found[0]
        challenge = f"Proxy-Authenticate: {CHALLENGE}\r\n".encode()
        raise LocalReply(
            407,
            Termination.UNAUTHENTICATED,
            "forward.auth: this proxy wants a user and a password",
            fields=challenge,
        )

    def is_user(self, user: str, password: str) -> bool:
        """Whether these are the credentials of somebody."""
        return is_known(self.settings.auth, user, password)

    @property
    def asks_parent(self) -> bool:
        """Whether plain requests go to a parent as they are."""
        return self.parent is not None and self.parent.takes_requests

    def is_prompt(self, host: str) -> bool:
        """Whether a request for `host` needs no parent and no look-up, and so no waiting."""
        return self.parent is None and self._resolver.is_cached(host)

    def upstream(self, target: str) -> str:
        """What the log calls the upstream: the parent, or else the target."""
        return target if self.parent is None else self.parent.parent.name

    def handshake(self) -> ServerHandshake | None:
        """For a client that speaks SOCKS; None if that is off."""
        if not self._socks:
            return None
        return ServerHandshake(self._socks, self.is_user if self.settings.auth else None)

    # --- where ----------------------------------------------------------------------------------

    def admit_tunnel(self, head: RequestHead) -> None:
        """Refuse CONNECT to a port that it must not lead to."""
        if head.port not in self._tunnel_ports:
            raise LocalReply(
                403, Termination.REFUSED, f"forward.connect_ports: {head.port} is not among them"
            )

    def admit_socks(self, port: int) -> None:
        """Refuse SOCKS to a port that it must not lead to."""
        ports = self.settings.socks_ports
        if ports is not None and port not in ports:
            raise LocalReply(403, Termination.REFUSED, f"forward.socks_ports: {port} is not among them")

    def admit_name(self, host: str) -> None:
        """Refuse what is blocked by its name."""
        rule = self._blocked.rule_for_name(host)
        if rule is not None:
            raise LocalReply(403, Termination.REFUSED, f"{rule} blocks {host}")

    def addresses(self, host: str, port: int, own: Address) -> list[Address]:
        """Where a request may be sent: addresses that were looked up and checked, to be dialled as they are.

        Behind a parent a name is not looked up but left to the parent, unless it is an address or this
        machine's: the parent may be on it, too.

        Parameters
        ----------
        host : str
            Name or address, admitted by `admit_name`.
        port : int
            Of the target.
        own : Address
            Where this proxy listens.

        Raises
        ------
        LocalReply
            403 with the rule, 502 or 504 if the name leads nowhere.
        """
        if self.parent is not None and not is_literal(host):
            name = normal_host(host)
            if is_local_name(name):
                for loopback in ("127.0.0.1", "::1"):
                    self.admit_addresses(host, [(loopback, port)], own)
            elif written := read_address(name):
                return self.admit_addresses(host, [(written, port)], own)
            return [(name, port)]
        return self.admit_addresses(host, self._resolver.resolve((host, port)), own)

    def places(self, host: str, port: int, own: Address) -> list[Address]:
        """Where to send a plain request; raises like `addresses`."""
        addresses = self.addresses(host, port, own)
        return addresses if self.parent is None else [self.parent.endpoint(*addresses[0])]

    def open(
        self, host: str, port: int, own: Address, head: RequestHead | None = None
    ) -> tuple[socket.socket, bytes]:
        """A connection for a tunnel, and the first bytes that came; raises like `addresses`.

        `head` is that of the CONNECT which asks for it, if one does.
        """
        addresses = self.addresses(host, port, own)
        if self.parent is not None:
            return self.parent.open(*addresses[0], connect_via(head, self._rules))
        return connect(addresses, self._limits.connect_timeout), b""

    def admit_addresses(self, host: str, found: Sequence[Address], own: Address) -> list[Address]:
        """Those of the resolved addresses that may be dialled; raises `LocalReply` 403 if there is none."""
        listening = (own, *self.tcp)
        others = [address for address in found if not any(is_own(address, one) for one in listening)]
        if not others:
            raise LocalReply(403, Termination.LOOP, f"the target {host}:{found[0][1]} is this proxy itself")
        if self.admin is not None and any(is_own(address, self.admin) for address in others):
            raise LocalReply(
                403, Termination.REFUSED, f"the target {host}:{found[0][1]} is this proxy's admin port"
            )
        if not self.settings.private_targets:
            public = [address for address in others if not is_private(address[0])]
            if not public:
                detail = f"forward.private_targets: {host} leads to {others[0][0]}, which is private"
                raise LocalReply(403, Termination.REFUSED, detail)
            others = public
        free = [address for address in others if self._blocked.rule_for_address(address[0]) is None]
        if not free:
            rule = self._blocked.rule_for_address(others[0][0])
            raise LocalReply(403, Termination.REFUSED, f"{rule} blocks {host}, which leads to {others[0][0]}")
        return free

    # --- what is told ---------------------------------------------------------------------------

    def request(
        self,
        head: RequestHead,
        client: str,
        validators: Sequence[tuple[str, str]] | None = None,
        *,
        whole: bool = False,
    ) -> bytes:
        """The head to send on, see `realproxy.messages.headers.forward_request`."""
        parent = self.parent.fields if self.parent is not None and self.asks_parent else None
        return forward_request(head, self._rules, client, validators, parent=parent, whole=whole)
