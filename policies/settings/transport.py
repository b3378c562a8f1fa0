"""The settings below HTTP: raw TCP listeners, certificates, TLS to upstreams and the PROXY protocol."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import ConfigDict, Field

from policies.settings.base import Listen, Network, Settings
from policies.units import Duration


class ProxyProtocol(Settings):
    """Connections from a proxy in front begin with a header that names the client.

    W. Tarreau, "The PROXY protocol, versions 1 & 2". Connections from the listed networks must begin with
    the header. On all others it is not looked for, so that no client can choose its own address.

    Parameters
    ----------
    from_ : list of str
        Trusted networks, such as ``127.0.0.0/8``; ``from`` in the file.
    """

    model_config = ConfigDict(populate_by_name=True)

    from_: Annotated[tuple[Network, ...], Field(alias="from", min_length=1)]


class Certificate(Settings):
    """A certificate for clients: with one, `listen` speaks TLS 1.2 and 1.3.

    Parameters
    ----------
    cert : str
        Path of a PEM file: the certificate, then the chain to its authority.
    key : str
        Path of its key in PEM, without password.
    names : list of str
        Server names (SNI) that it is used for, exact or like ``*.shop.test``; by default the names in
        the certificate.
    """

    cert: str
    key: str
    names: tuple[str, ...] = ()


class Identity(Settings):
    """Who this proxy is among proxies that prove their names to each other: mutual TLS.

    Parameters
    ----------
    folder : str
        Folder of PEM files: ``ca.pem`` (the authorities that sign the certificates of all),
        ``NAME.pem`` (this proxy's certificate, then its chain) and ``NAME.key`` (its key, without password).
    name : str
        Name of this proxy, which its certificate must have.
    demand : bool
        Whether `ProxySettings.listen` speaks TLS with this certificate, and demands one of every client.
        Turn it off at a front door, whose clients have none.
    """

    folder: Annotated[str, Field(min_length=1)]
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")]
    demand: bool = True

    @property
    def authorities(self) -> str:
        """Path of ``ca.pem``."""
        return str(Path(self.folder) / "ca.pem")

    @property
    def certificate(self) -> str:
        """Path of ``NAME.pem``."""
        return str(Path(self.folder) / f"{self.name}.pem")

    @property
    def key(self) -> str:
        """Path of ``NAME.key``."""
        return str(Path(self.folder) / f"{self.name}.key")


class UpstreamTls(Settings):
    """TLS to the upstreams of a service; ``true`` for all defaults.

    Parameters
    ----------
    ca : str, optional
        PEM file of the authorities that may sign an upstream's certificate; by default the
        system's.
    name : str, optional
        Server name (SNI), which the certificate must have; by default the host in the upstream's
        address.
    verify : bool
        Whether the certificate is checked. Without the check, anyone can pose as the upstream.
    """

    ca: Annotated[str, Field(min_length=1)] | None = None
    name: Annotated[str, Field(min_length=1)] | None = None
    verify: bool = True


class Tcp(Settings):
    """A raw TCP listener: every connection goes to an upstream of a service, whatever the protocol.

    Parameters
    ----------
    listen : str
        As `ProxySettings.listen`.
    to : str
        Name of the service. Its balancer counts open connections.
    idle_timeout : duration
        Without a byte in either direction; then both connections are closed.
    proxy_protocol : ProxyProtocol, optional
        The proxies in front that name their clients.
    """

    listen: Listen
    to: str
    idle_timeout: Annotated[Duration, Field(gt=0)] = 3600.0
    proxy_protocol: ProxyProtocol | None = None
