"""The forward side."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from policies.forward.anonymity import Level
from policies.forward.basic_auth import check_password, check_user
from policies.forward.blocking import check_rule
from policies.forward.parent import Parent, parse_parent
from policies.settings.base import Settings
from policies.units import Duration

Port = Annotated[int, Field(ge=1, le=65535)]


def _check_parent(text: str) -> str:
    parse_parent(text)
    return text


class Forward(Settings):
    """The forward side: what clients that are told to use this proxy may do.

    Parameters
    ----------
    protocols : list of str
        ``http`` (absolute-form), ``connect`` (tunnels), ``socks4`` (also 4a) and ``socks5`` (also
        UDP), all on the one port.
    block : list of str
        What may not be reached: a name, a glob (``*.ads.test``), a regular expression
        (``~^track[0-9]*\\.``), or a network (``10.0.0.0/8``) of the address that is dialled.
    block_files : list of str
        Hosts files; each name that they send to 0.0.0.0 or to loopback may not be reached.
    connect_ports : list of int
        Ports that CONNECT may lead to.
    socks_ports : list of int, optional
        Ports that SOCKS may lead to; any without it.
    private_targets : bool
        Whether loopback, link-local and private addresses may be reached. The address that is
        dialled is what counts, not the name.
    anonymity : str
        ``transparent``, ``anonymous`` or ``elite``, see `policies.forward.anonymity.TABLE`.
    parent : str, optional
        The next proxy of a chain: ``http://``, ``https://`` or ``socks5://``, with ``user:password@``
        if it asks for that. Names are then resolved there and not here.
    parent_ca : str, optional
        File of the certificates that a parent's own must be signed by; the system's without it.
    auth : dict of str to str
        Passwords by user. If there are any, a client must name one: by Basic, or in SOCKS5.
    cache : bool
        Whether answers may be stored.
    coalesce, wait
        As in a route's `RouteCache`.
    """

    protocols: tuple[Literal["http", "connect", "socks4", "socks5"], ...] = (
        "http", "connect", "socks4", "socks5",
    )  # fmt: skip
    block: tuple[Annotated[str, AfterValidator(check_rule)], ...] = ()
    block_files: tuple[str, ...] = ()
    connect_ports: tuple[Port, ...] = (443,)
    socks_ports: tuple[Port, ...] | None = None
    private_targets: bool = False
    anonymity: Level = "anonymous"
    parent: Annotated[str, AfterValidator(_check_parent)] | None = Field(default=None, repr=False)
    parent_ca: str | None = None
    auth: dict[Annotated[str, AfterValidator(check_user)], Annotated[str, AfterValidator(check_password)]] = (
        Field(default_factory=dict, repr=False)
    )
    cache: bool = False
    coalesce: bool = False
    wait: Annotated[Duration, Field(gt=0)] = 5.0

    @property
    def next_proxy(self) -> Parent | None:
        """The parent, read."""
        return parse_parent(self.parent) if self.parent is not None else None
