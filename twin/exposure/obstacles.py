"""What the machine lacks for a measurement, in one line for each way."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Sequence

from twin.exposure.vocabulary import VPNS, Way


def obstacles(ways: Sequence[Way]) -> dict[Way, str]:
    """Why a way cannot be measured here; ways that can are not in the result."""
    general = _general()
    found = dict.fromkeys(ways, general) if general else {}
    if not general:
        found |= {way: why for way in ways if way in VPNS and (why := _of_vpn(way))}
    return found


def _general() -> str:
    """What everything needs."""
    if not sys.platform.startswith("linux"):
        return "network namespaces exist only on Linux"
    if os.geteuid() != 0:
        return "not root: namespaces, devices and packet sockets need root"
    if shutil.which("ip") is None:
        return "the command ip is not there (Debian: iproute2)"
    if importlib.util.find_spec("cryptography") is None:
        return "the package cryptography is not installed"
    from twin.exposure.namespaces import Namespace, NamespaceError

    try:
        Namespace("trial").close()
    except (NamespaceError, OSError) as error:
        return f"the system allows no network namespace ({error})"
    return ""


def _of_vpn(way: Way) -> str:
    from twin.exposure import tunnel, wireguard

    if not os.access(tunnel.DEVICE, os.R_OK | os.W_OK):
        return f"{tunnel.DEVICE} is not there"
    if way is Way.WIREGUARD and (lacking := wireguard.missing()):
        return f"{', '.join(lacking)} not installed (Debian: wireguard-go, wireguard-tools, util-linux)"
    return ""
