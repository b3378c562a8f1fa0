"""The forward side."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from policies.settings.base import Settings


class Forward(Settings):
    """The forward side: what clients that are told to use this proxy may do.

    Parameters
    ----------
    protocols : list of str
        ``http`` (absolute-form) and ``connect`` (tunnels).
    connect_ports : list of int
        Ports that a tunnel may lead to.
    private_targets : bool
        Whether loopback, link-local and private addresses may be reached. The address that is
        dialled is what counts, not the name.
    cache : bool
        Whether answers may be stored.
    """

    protocols: tuple[Literal["http", "connect"], ...] = ("http", "connect")
    connect_ports: tuple[Annotated[int, Field(ge=1, le=65535)], ...] = (443,)
    private_targets: bool = False
    cache: bool = False
