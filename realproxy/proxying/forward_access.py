"""What the forward side allows: which users, which ports and names, and which addresses may be dialled.

Threads. Any thread may use a `ForwardAccess`. It does not change, except that `Instance` sets `admin` and
`others` before other threads see it.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from policies.addresses import is_local_name, is_private
from policies.bad_input import BadInput
from policies.basic_auth import CHALLENGE, is_known, read_basic
from policies.forward.anonymity import header_rules
from policies.forward.blocking import Blocklist
from policies.host_names import normal_host
from policies.settings import Forward, Limits
from realproxy.errors import LocalReply, Termination
from realproxy.http1 import RequestHead, ResponseHead
from realproxy.messages.headers import connect_via, forward_request
from realproxy.net.address import Address, is_own
from realproxy.net.dial import connect
from realproxy.net.resolver import Resolver, is_literal, parse_ip
from realproxy.upstream.endpoint import Endpoint

MOST_NAMED = 20
"""Services that a message names."""


def read_blocklist(settings: Forward) -> Blocklist:
    """Read the rules and the hosts files that the settings name; raises `BadInput`."""
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


class NextProxy(Protocol):
    """The next proxy of a chain."""

    fields: bytes
    """Lines with credentials, for each request to it."""
    name: str
    """Its name in the log and in messages."""
    takes_requests: bool
    """Whether it takes plain HTTP requests; otherwise each needs a tunnel."""

    def endpoint(self, host: str, port: int) -> Endpoint:
        """Where to send a plain request for a target."""

    def open_tunnel(self, host: str, port: int, fields: bytes = b"") -> tuple[socket.socket, bytes]:
        """A connection to the target through it, and the first bytes from there; raises `UpstreamError`.

        `fields` are further lines for a CONNECT.
        """

    def check_response(self, response: ResponseHead) -> None:
        """Raise `UpstreamError` for a response that is meant for this proxy, not for its client."""


def _forbidden(detail: str) -> LocalReply:
    return LocalReply(403, Termination.REFUSED, detail)


class ForwardAccess:
    """The access rules of the forward side. Every refusal is a `LocalReply` that names the rule.

    `parent` is the next proxy of a chain, or None. `services` are the names of the services that are hosts
    on this side. The proxy opens no connection to its own admin port and other listeners (`admin`, `others`),
    because that connection would seem to be local. Raises `BadInput` if a hosts file cannot be read.
    """

    def __init__(
        self, settings: Forward, resolver: Resolver, limits: Limits, parent: NextProxy | None = None,
        services: Sequence[str] = (),
    ) -> None:  # fmt: skip
        self.settings, self.parent = settings, parent
        self._resolver, self._limits = resolver, limits
        self.admin: Address | None = None
        self.others: Sequence[Address] = ()
        self._services = {name.lower(): name for name in services}
        self._blocked = read_blocklist(settings)
        self._rules = header_rules(settings.anonymity)
        self._tunnel_ports = frozenset(settings.connect_ports)

    # --- users ----------------------------------------------------------------------------------

    def authorise(self, head: RequestHead) -> str:
        """The authenticated user, empty if no login is required; raises `LocalReply` 407. RFC 9110, 11.7"""
        users = self.settings.auth
        if not users:
            return ""
        credentials = read_basic(head.fields.text("proxy-authorization"))
        if credentials is not None and is_known(users, *credentials):
            return credentials[0]
        challenge = f"Proxy-Authenticate: {CHALLENGE}\r\n".encode()
        detail = "forward.auth: this proxy wants a user and a password"
        raise LocalReply(407, Termination.UNAUTHENTICATED, detail, fields=challenge)

    @property
    def request_parent(self) -> NextProxy | None:
        """The parent, if plain requests go there in absolute-form, not through a tunnel."""
        return self.parent if self.parent is not None and self.parent.takes_requests else None

    def is_prompt(self, host: str) -> bool:
        """Whether a request for `host` needs neither a parent nor a DNS look-up, so it does not wait."""
        return self.parent is None and self._resolver.is_cached(host)

    def upstream_name(self, target: str) -> str:
        """The upstream's name in the log: the parent if there is one, else the target."""
        return target if self.parent is None else self.parent.name

    # --- targets --------------------------------------------------------------------------------

    def check_tunnel_port(self, head: RequestHead) -> None:
        """Refuse CONNECT to a port that ``connect_ports`` does not list."""
        if head.port not in self._tunnel_ports:
            raise _forbidden(f"forward.connect_ports: {head.port} is not among them")

    def check_socks_port(self, port: int) -> None:
        """Refuse SOCKS to a port that ``socks_ports`` does not list."""
        ports = self.settings.socks_ports
        if ports is not None and port not in ports:
            raise _forbidden(f"forward.socks_ports: {port} is not among them")

    def service_of(self, host: str) -> str | None:
        """The service that a host stands for, or None. RFC 3986, 3.2.2: the dot of the root does not count"""
        return self._services.get(host.removesuffix(".").lower()) if self._services else None

    @property
    def known(self) -> str:
        """The hosts that stand for services, in words."""
        names = sorted(self._services.values())
        more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
        return ", ".join(names[:MOST_NAMED]) + more

    def check_name(self, host: str) -> None:
        """Refuse a service (no tunnel leads there), a host beside services, and what the blocklist names."""
        if self.service_of(host) is not None:
            raise _forbidden(
                f"forward.services: {host} is a service: ask for http://{host}/, not for a tunnel"
            )
        if self.settings.services == "only":
            raise _forbidden(f"forward.services: {host} is none of {self.known}")
        rule = self._blocked.rule_for_name(host)
        if rule is not None:
            raise _forbidden(f"{rule} blocks {host}")

    def resolve_allowed(self, host: str, port: int, own: Address) -> list[Address]:
        """Resolve `host`, which `check_name` has accepted, and return the addresses that may be dialled.

        Dial these addresses, not the name: a second look-up might return an unchecked address. If there is
        a parent, the parent resolves the name; the one result then is ``(name, port)``. The exceptions
        are IP addresses and names of this machine, which are checked here, because the parent may run on
        this machine. `own` is where this proxy listens.

        Raises `LocalReply`: 403 with the rule; 502 or 504 if the name does not resolve.
        """
        if self.parent is not None and not is_literal(host):
            name = normal_host(host)
            if is_local_name(name):
                for loopback in ("127.0.0.1", "::1"):
                    self.check_addresses(host, [(loopback, port)], own)
            elif address := parse_ip(name):
                return self.check_addresses(host, [(address, port)], own)
            return [(name, port)]
        return self.check_addresses(host, self._resolver.resolve((host, port)), own)

    def endpoint(self, host: str, port: int, own: Address) -> Endpoint:
        """Where a plain request is sent; raises like `resolve_allowed`."""
        addresses = self.resolve_allowed(host, port, own)
        return Endpoint(addresses) if self.parent is None else self.parent.endpoint(*addresses[0])

    def open_tunnel(
        self, host: str, port: int, own: Address, head: RequestHead | None = None
    ) -> tuple[socket.socket, bytes]:
        """Open a connection for a tunnel; parameters and errors are those of `resolve_allowed`.

        `head` is the client's CONNECT, if it used HTTP. Returns the socket, and the first bytes of the
        target, which a parent may send together with its response head.
        """
        addresses = self.resolve_allowed(host, port, own)
        if self.parent is not None:
            return self.parent.open_tunnel(*addresses[0], connect_via(head, self._rules))
        return connect(addresses, self._limits.connect_timeout), b""

    def check_addresses(self, host: str, found: Sequence[Address], own: Address) -> list[Address]:
        """Return those of the addresses `found` that may be dialled; raises `LocalReply` 403 if none may."""
        own_addresses = (own, *self.others)
        others = [address for address in found if not any(is_own(address, one) for one in own_addresses)]
        if not others:
            raise LocalReply(403, Termination.LOOP, f"the target {host}:{found[0][1]} is this proxy itself")
        if self.admin is not None and any(is_own(address, self.admin) for address in others):
            raise _forbidden(f"the target {host}:{found[0][1]} is this proxy's admin port")
        if not self.settings.private_targets:
            public = [address for address in others if not is_private(address[0])]
            if not public:
                raise _forbidden(f"forward.private_targets: {host} leads to {others[0][0]}, which is private")
            others = public
        allowed = [address for address in others if self._blocked.rule_for_address(address[0]) is None]
        if not allowed:
            rule = self._blocked.rule_for_address(others[0][0])
            raise _forbidden(f"{rule} blocks {host}, which leads to {others[0][0]}")
        return allowed

    # --- the request that is sent ---------------------------------------------------------------

    def request_head(
        self, head: RequestHead, client: str, validators: Sequence[tuple[str, str]] | None = None, *,
        whole: bool = False,
    ) -> bytes:  # fmt: skip
        """The head to send upstream, as `realproxy.messages.headers.forward_request` writes it."""
        parent = self.request_parent
        fields = parent.fields if parent is not None else None
        return forward_request(head, self._rules, client, validators, parent=fields, whole=whole)
