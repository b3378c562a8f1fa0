"""The small internet of the experiment: five namespaces, five wires, and random addresses.

    client ──local── internet ──entry── provider          (entry: the side of its clients)
                     internet ──exit─── provider          (exit: the side of the sites)
                     internet ──names── name server
                     internet ──network── site
                     internet: the site of the second program, which is on none of the other wires

Each wire is a pair of devices (veth(4)) with one IPv4 and one IPv6 network. The addresses differ in each
run, so that an address can be searched for like any other secret.
"""

from __future__ import annotations

import ipaddress
import secrets
from contextlib import ExitStack
from dataclasses import dataclass

from twin.exposure.namespaces import Namespace
from twin.exposure.vocabulary import Observer

NATIVE_METRIC, TUNNEL_METRIC, SWITCH_METRIC = 100, 10, 4000
"""Of default routes: the lowest that exists wins, so a tunnel comes before the native route."""


@dataclass(frozen=True)
class Ends:
    """IPv4 and IPv6 address of one end of a wire."""

    v4: str
    v6: str


class _Plan:
    """Random networks that do not overlap, and random hosts in them."""

    def __init__(self) -> None:
        self._net6 = f"fd{secrets.token_hex(1)}:{secrets.token_hex(2)}:{secrets.token_hex(2)}"
        self._third = secrets.SystemRandom().sample(range(1, 255), 8)
        self._second = secrets.SystemRandom().randrange(16, 255)
        self._used = 0

    def network(self) -> tuple[Ends, Ends]:
        """A router's end and a host's end of a new network, /24 and /64."""
        third = self._third[self._used]
        self._used += 1
        host = secrets.SystemRandom().randrange(20, 250)
        tail = ":".join(f"{secrets.randbelow(0xEFFF) + 0x1000:x}" for _ in range(4))
        v4, v6 = f"10.{self._second}.{third}", f"{self._net6}:{third:x}"
        return Ends(f"{v4}.1", _usual(f"{v6}::1")), Ends(f"{v4}.{host}", _usual(f"{v6}:{tail}"))


def _usual(address: str) -> str:
    """An address in the one form in which programs write it (RFC 5952)."""
    return str(ipaddress.ip_address(address))


WIRES = {
    Observer.LOCAL: "local",
    Observer.ENTRY: "entry",
    Observer.EXIT: "exit",
    Observer.NAMES: "names",
    Observer.NETWORK: "network",
}
"""The wires, by who observes them; the name of the device at the internet's end."""


class Internet:
    """The namespaces, wires, addresses and routes; a context manager.

    Attributes
    ----------
    client, internet, provider, names, site : Namespace
    addresses : dict of Observer to Ends
        The host's end of each wire.
    pool : Ends
        The addresses that a VPN's provider lends to its client; packets to them go to the provider.
    pool_router : Ends
        The provider's own address inside the tunnel.
    elsewhere : Ends
        The address of the second program's site.
    """

    def __init__(self) -> None:
        plan = _Plan()
        self._routers: dict[Observer, Ends] = {}
        self.addresses: dict[Observer, Ends] = {}
        for wire in WIRES:
            self._routers[wire], self.addresses[wire] = plan.network()
        self.pool_router, self.pool = plan.network()
        _, self.elsewhere = plan.network()
        self._stack = ExitStack()

    def __enter__(self) -> Internet:
        with ExitStack() as stack:
            spaces = {}
            for name in ("client", "internet", "provider", "names", "site"):
                spaces[name] = Namespace(name)
                stack.callback(spaces[name].close)
            self.client, self.internet, self.provider = (
                spaces["client"], spaces["internet"], spaces["provider"],
            )  # fmt: skip
            self.names, self.site = spaces["names"], spaces["site"]
            self._lay_wires()
            self._set_routes()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _lay_wires(self) -> None:
        ends = {
            Observer.LOCAL: self.client,
            Observer.ENTRY: self.provider,
            Observer.EXIT: self.provider,
            Observer.NAMES: self.names,
            Observer.NETWORK: self.site,
        }
        lines = ["link set lo up"]
        lines += [f"addr add {self.elsewhere.v4}/32 dev lo", f"addr add {self.elsewhere.v6}/128 dev lo nodad"]
        for number, (wire, name) in enumerate(WIRES.items()):
            macs = _macs(number)
            peer = f"peer name {name} address {macs[1]} netns {ends[wire].path}"
            lines.append(f"link add {name} address {macs[0]} type veth {peer}")
            lines += _up(name, self._routers[wire], self.addresses[wire], macs[1])
        self.internet.ip(lines)
        for space in {self.client, self.provider, self.names, self.site}:
            lines = ["link set lo up"]
            for number, (wire, name) in enumerate(WIRES.items()):
                if ends[wire] is space:
                    lines += _up(name, self.addresses[wire], self._routers[wire], _macs(number)[0])
            space.ip(lines)

    def _set_routes(self) -> None:
        for space in (self.internet, self.provider):
            space.forward_packets()
        exit_ = self.addresses[Observer.EXIT]
        self.internet.ip(
            [f"route add {self.pool.v4}/32 via {exit_.v4}", f"route add {self.pool.v6}/128 via {exit_.v6}"]
        )
        self.names.ip(_default(self._routers[Observer.NAMES], "names"))
        self.site.ip(_default(self._routers[Observer.NETWORK], "network"))
        entry, client = self._routers[Observer.ENTRY], self.addresses[Observer.LOCAL]
        self.provider.ip(
            [
                *_default(self._routers[Observer.EXIT], "exit"),
                f"route add {client.v4}/32 via {entry.v4} dev entry",
                f"route add {client.v6}/128 via {entry.v6} dev entry",
            ]
        )
        self.client.ip(
            [
                *self.native_routes(),
                f"route add {self.addresses[Observer.ENTRY].v4}/32 via {self._routers[Observer.LOCAL].v4}",
            ]
        )

    def native_routes(self) -> list[str]:
        """The commands that give the client its default routes without a VPN."""
        return _default(self._routers[Observer.LOCAL], "local")

    def close_switch(self) -> None:
        """The kill switch: no default route but a tunnel's; what finds none is refused at once."""
        commands = [line.replace("route add", "route del") for line in self.native_routes()]
        self.client.ip(
            [
                *commands,
                f"route add unreachable default metric {SWITCH_METRIC}",
                f"route add unreachable ::/0 metric {SWITCH_METRIC}",
            ]
        )

    def open_switch(self) -> None:
        """Undo `close_switch`."""
        self.client.ip(
            [
                f"route del unreachable default metric {SWITCH_METRIC}",
                f"route del unreachable ::/0 metric {SWITCH_METRIC}",
                *self.native_routes(),
            ]
        )


def _macs(number: int) -> tuple[str, str]:
    """Locally administered hardware addresses of both ends of a wire."""
    return f"02:00:00:00:{number:02x}:01", f"02:00:00:00:{number:02x}:02"


def _up(name: str, own: Ends, other: Ends, other_mac: str) -> list[str]:
    """Commands that bring a device up; it gets no other addresses, and need not ask who its neighbour is."""
    return [
        f"link set {name} addrgenmode none",
        f"link set {name} up",
        f"addr add {own.v4}/24 dev {name}",
        f"addr add {own.v6}/64 dev {name} nodad",
        f"neigh add {other.v4} lladdr {other_mac} dev {name} nud permanent",
        f"neigh add {other.v6} lladdr {other_mac} dev {name} nud permanent",
    ]


def _default(router: Ends, device: str) -> list[str]:
    return [
        f"route add default via {router.v4} dev {device} metric {NATIVE_METRIC}",
        f"route add ::/0 via {router.v6} dev {device} metric {NATIVE_METRIC}",
    ]
