"""Below HTTP: raw TCP listeners, certificates, and who a connection comes from."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field

from policies.settings.base import Listen, Network, Settings
from policies.units import Duration


class ProxyProtocol(Settings):
    """Connections from a proxy in front begin with a header that says who the client is.

    "The PROXY protocol, versions 1 & 2", W. Tarreau. From the addresses that are named a header is
    demanded; from any other it is not looked for, so that no client can name itself.

    Parameters
    ----------
    from_ : list of str
        Networks that are believed, such as ``127.0.0.0/8``; ``from`` in the file.
    """

    model_config = ConfigDict(populate_by_name=True)

    from_: Annotated[tuple[Network, ...], Field(alias="from", min_length=1)]


class Certificate(Settings):
    """A certificate that clients are shown: with one, `listen` speaks TLS 1.2 and 1.3.

    Parameters
    ----------
    cert : str
        Path of a PEM file: the certificate, then those that lead to its authority.
    key : str
        Path of its key in PEM, without password.
    names : list of str
        Names that it is shown for (SNI), exact or as ``*.shop.test``; by default those that the
        certificate itself has.
    """

    cert: str
    key: str
    names: tuple[str, ...] = ()


class UpstreamTls(Settings):
    """TLS to the upstreams of a service; ``true`` for all defaults.

    Parameters
    ----------
    ca : str, optional
        PEM file of the authorities that may have signed an upstream's certificate; by default
        those that this machine trusts.
    name : str, optional
        The name that the certificate must have, and that is asked for (SNI); by default the host in
        the upstream's address.
    verify : bool
        Whether the certificate is checked at all. Without it anybody may be the upstream.
    """

    ca: str | None = None
    name: str | None = None
    verify: bool = True


class Tcp(Settings):
    """A raw TCP listener: every connection leads to an upstream of a service, whatever it speaks.

    Parameters
    ----------
    listen : str
        ``host:port``; port 0 is any free one, an empty host is 127.0.0.1.
    to : str
        Name of the service. Its balancer counts open connections.
    idle_timeout : duration
        Without a byte either way until both sides are closed.
    proxy_protocol : ProxyProtocol, optional
        Who in front says who the client is.
    """

    listen: Listen
    to: str
    idle_timeout: Annotated[Duration, Field(gt=0)] = 3600.0
    proxy_protocol: ProxyProtocol | None = None
