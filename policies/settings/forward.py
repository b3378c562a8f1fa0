"""The settings of the forward side."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from policies.basic_auth import check_password, check_user
from policies.forward.anonymity import Level
from policies.forward.blocking import check_rule
from policies.forward.parent import Parent, parse_parent
from policies.settings.base import Listen, Settings
from policies.units import Duration

Port = Annotated[int, Field(ge=1, le=65535)]


def _check_parent(text: str) -> str:
    parse_parent(text)
    return text


def _read_services(value: object) -> object:
    if not isinstance(value, bool) and value != "only":
        raise ValueError(f"expected true, false or 'only', not {value!r}")
    return value


class Forward(Settings):
    """The forward side: what clients may do that are configured to use this proxy.

    Parameters
    ----------
    listen : str, optional
        As `ProxySettings.listen`: a listener of its own for this side. Then `ProxySettings.listen` serves
        the reverse side alone. By default, both sides answer there. This one never speaks TLS.
    services : bool or str
        Whether the names of the services are hosts: a request for ``http://cart/`` goes to the service
        ``cart``, whatever the port and the rules below say. With ``only``, no other host can be reached.
    protocols : list of str
        ``http`` (absolute-form), ``connect`` (tunnels), ``socks4`` (also 4a) and ``socks5`` (also
        UDP), all on one port.
    block : list of str
        Hosts that clients may not reach: a name, a glob (``*.ads.test``), a regular expression
        (``~^track[0-9]*\\.``), or a network (``10.0.0.0/8``) of the dialled address.
    block_files : list of str
        Hosts files; clients may not reach the names that these map to 0.0.0.0 or to loopback.
    connect_ports : list of int
        Ports that CONNECT may reach.
    socks_ports : list of int, optional
        Ports that SOCKS may reach; all by default.
    private_targets : bool
        Whether clients may reach loopback, link-local and private addresses. The dialled address
        counts, not the name.
    anonymity : str
        ``transparent``, ``anonymous`` or ``elite``, see `policies.forward.anonymity.TABLE`.
    parent : str, optional
        The next proxy of a chain: ``http://``, ``https://`` or ``socks5://``, with ``user:password@``
        if it needs credentials. The parent then resolves the names.
    parent_ca : str, optional
        File of the certificates that may sign the parent's certificate; by default the system's.
    auth : dict of str to str
        Passwords by user. If there are any, every client must authenticate: by Basic, or in SOCKS5.
    cache : bool
        Whether responses may be stored.
    coalesce, wait
        As in a route's `RouteCache`.
    """

    listen: Listen | None = None
    services: Annotated[bool | Literal["only"], BeforeValidator(_read_services)] = False
    protocols: Annotated[tuple[Literal["http", "connect", "socks4", "socks5"], ...], Field(min_length=1)] = (
        "http", "connect", "socks4", "socks5",
    )  # fmt: skip
    block: tuple[Annotated[str, AfterValidator(check_rule)], ...] = ()
    block_files: tuple[str, ...] = ()
    connect_ports: tuple[Port, ...] = (443,)
    socks_ports: tuple[Port, ...] | None = None
    private_targets: bool = False
    anonymity: Level = "anonymous"
    parent: Annotated[str, AfterValidator(_check_parent)] | None = Field(default=None, repr=False)
    parent_ca: Annotated[str, Field(min_length=1)] | None = None
    auth: dict[Annotated[str, AfterValidator(check_user)], Annotated[str, AfterValidator(check_password)]] = (
        Field(default_factory=dict, repr=False)
    )
    cache: bool = False
    coalesce: bool = False
    wait: Annotated[Duration, Field(gt=0)] = 5.0

    @model_validator(mode="after")
    def _services_are_asked_on_their_own_listener(self) -> Forward:
        if self.services:
            if self.listen is None:
                example = "'127.0.0.1:15001'"
                raise ValueError(f"services: expected 'listen' too, a listener for them such as {example}")
            if "http" not in self.protocols:
                raise ValueError("services: expected 'http' among the protocols")
        return self

    @property
    def next_proxy(self) -> Parent | None:
        """The parsed parent."""
        return parse_parent(self.parent) if self.parent is not None else None
