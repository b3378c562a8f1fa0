"""The measurement: build the small internet, make every visit, search what was recorded.

Only the calling thread makes visits and reads recordings. Servers, proxies and tunnels have threads or
processes of their own, and one owner here that closes them: an `ExitStack`, also after an error or Ctrl-C.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from twin.exposure.certificates import client_side, server_side, sign
from twin.exposure.control import send_control
from twin.exposure.namespaces import NamespaceError
from twin.exposure.provider import Interceptor, RealProxies
from twin.exposure.rules import derive
from twin.exposure.search import PAGE_BYTES, Secrets, find_items, has_other, random_label
from twin.exposure.servers import NameServer, Site
from twin.exposure.topology import WIRES, Ends, Internet
from twin.exposure.tunnel import NAME as TUNNEL
from twin.exposure.tunnel import Tunnel
from twin.exposure.visits import Surroundings, fetch, fetch_other
from twin.exposure.vocabulary import (
    VPNS,
    Cell,
    Finding,
    Item,
    Observer,
    State,
    Visit,
    Way,
)
from twin.exposure.wireguard import WireGuard
from twin.exposure.wires import BETWEEN_S, QUIET_S, Tap, wait_for_quiet
from twin.progress import Quiet, Reporter

_FAILURES = (OSError, ValueError, NamespaceError)
"""How a visit can fail to get its answer."""

Recording = dict[Observer, list[bytes]]


def measure(
    visits: Sequence[Visit], reporter: Reporter | None = None
) -> tuple[dict[Visit, Finding], Finding]:
    """Make visits, and find out who saw what.

    Returns the findings, in the order of `visits`, and those of the control: packets with all secrets in
    the clear, which every observer must see.

    Raises `NamespaceError` if the system refuses what the experiment needs.
    """
    reporter = reporter or Quiet()
    ordered = sorted(visits, key=lambda visit: visit.state is State.DEAD and visit.way not in VPNS)
    found: dict[Visit, Finding] = {}
    with Laboratory() as laboratory, reporter.step("measure", len(ordered) + 1) as advance:
        control = laboratory.control()
        advance(1)
        for visit in ordered:
            reporter.note(f"{visit.way}, {visit.state}")
            found[visit] = laboratory.make(visit)
            advance(1)
    return {visit: found[visit] for visit in visits}, control


class Laboratory:
    """The small internet with its servers, its provider and its observers; a context manager.

    Visits to a dead proxy end the provider's program for good, so they come last.
    """

    def __enter__(self) -> Laboratory:
        with ExitStack() as stack:
            self._folder = Path(
                stack.enter_context(tempfile.TemporaryDirectory(prefix="proxytwin-exposure-"))
            )
            self.internet = stack.enter_context(Internet())
            self._zone = f"{random_label()}.test"
            self._start(stack)
            self._taps = {wire: Tap(self.internet.internet, name) for wire, name in WIRES.items()}
            for tap in self._taps.values():
                stack.callback(tap.close)
            self._proxies.wait()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _start(self, stack: ExitStack) -> None:
        """Start all servers; the provider's process first, because it takes longest."""
        net = self.internet
        web, company = (sign(self._folder / name, self._zone) for name in ("web", "company"))
        self._proxies = RealProxies(net, self._folder, web, f"origin.{self._zone}")
        self._proxied = ExitStack()  # what a dead provider no longer has
        stack.enter_context(self._proxied)
        self._proxied.callback(self._proxies.close)
        self._interceptor = Interceptor(net, server_side(company), client_side(web))
        self._proxied.callback(self._interceptor.close)
        self._alive = True
        site, tls = net.addresses[Observer.NETWORK], server_side(web)
        self._site = Site(net.site, (site.v4, site.v6), tls)
        stack.callback(self._site.close)
        elsewhere = Site(net.internet, (net.elsewhere.v4, net.elsewhere.v6), tls)
        stack.callback(elsewhere.close)
        self._names = NameServer(net.names, net.addresses[Observer.NAMES].v4)
        stack.callback(self._names.close)
        self._here = Surroundings(
            names=net.addresses[Observer.NAMES].v4,
            provider=net.addresses[Observer.ENTRY].v4,
            proxy_name=f"proxy.{self._zone}",
            trust=client_side(web, company),
        )

    # --- visits -----------------------------------------------------------------------------------

    def make(self, visit: Visit) -> Finding:
        """Make one visit, and search what was recorded."""
        wanted = self._secrets(visit)
        with self._in_state(visit) as inside:
            self._recorded(inside, BETWEEN_S)  # what is left, and what the preparation has caused
            answered = True
            try:
                with self.internet.client.entered():
                    ipv6 = visit.state in (State.IPV6, State.IPV6_BOTH)
                    fetch(visit.way, wanted, self._here, encrypted=visit.encrypted, ipv6=ipv6)
            except _FAILURES:
                answered = False
            recording = self._recorded(inside)
            with suppress(*_FAILURES), self.internet.client.entered():
                fetch_other(wanted, self._here, encrypted=visit.encrypted)
            other = self._recorded(inside)
        return Finding(answered, self._cells(wanted, recording, other), measured=True)

    def control(self) -> Finding:
        """Send all secrets in the clear past every observer."""
        wanted = self._secrets(Visit(Way.DIRECT))
        self._recorded([], BETWEEN_S)
        send_control(wanted, self.internet)
        recording = self._recorded([])
        return Finding(True, self._cells(wanted, recording, recording), measured=True)

    def _secrets(self, visit: Visit) -> Secrets:
        """New secrets; the name server and the site are told what they must know of them."""
        net = self.internet
        site, client = net.addresses[Observer.NETWORK], net.addresses[Observer.LOCAL]
        wanted = Secrets(self._zone, (client.v4, client.v6), (site.v4, site.v6))
        public = net.addresses[Observer.ENTRY] if visit.way is Way.REVERSE else site
        both = visit.state in (State.IPV6, State.IPV6_BOTH)
        self._names.tell(
            {
                wanted.host: _records(public, both),
                wanted.other_host: _records(net.elsewhere, False),
            }
        )
        self._site.show(wanted.page())
        return wanted

    @contextmanager
    def _in_state(self, visit: Visit) -> Iterator[list[Tap]]:
        """Bring the way into its state; yields observers inside the provider's program."""
        state, net = visit.state, self.internet
        if visit.way not in VPNS:
            if state is State.DEAD and self._alive:
                self._alive = False
                self._proxied.close()
            yield []
            return
        with ExitStack() as stack:
            if state in (State.BEFORE_SWITCH, State.DEAD_SWITCH):
                net.close_switch()
                stack.callback(net.open_switch)
            if state in (State.BEFORE, State.BEFORE_SWITCH):
                yield []
                return
            inside = self._bring_up(visit, stack)
            yield inside

    def _bring_up(self, visit: Visit, stack: ExitStack) -> list[Tap]:
        """Start a VPN, and end it again if the state says that it has died."""
        ipv6 = visit.state is State.IPV6_BOTH
        vpn: Tunnel | WireGuard
        if visit.way is Way.WIREGUARD:
            vpn, device = WireGuard(self.internet, ipv6=ipv6), "wg"
        else:
            vpn, device = Tunnel(self.internet, encrypted=visit.encrypted, ipv6=ipv6), TUNNEL
        if visit.state in (State.DEAD, State.DEAD_SWITCH):
            vpn.close()
            return []
        stack.callback(vpn.close)
        tap = Tap(self.internet.provider, device)
        stack.callback(tap.close)
        return [tap]

    # --- recordings -------------------------------------------------------------------------------

    def _recorded(self, inside: list[Tap], quiet_s: float = QUIET_S) -> Recording:
        """What every observer has recorded since the last call."""
        packets = wait_for_quiet([*self._taps.values(), *inside], quiet_s)
        recording: Recording = {wire: packets[tap] for wire, tap in self._taps.items()}
        program = [packet for tap in inside for packet in packets[tap]]
        if self._alive:
            program += [*self._proxies.take(), *self._interceptor.take()]
        recording[Observer.PROVIDER] = [*recording[Observer.ENTRY], *recording[Observer.EXIT], *program]
        recording[Observer.SITE] = self._site.take()
        return recording

    def _cells(
        self, wanted: Secrets, recording: Recording, other: Recording
    ) -> dict[tuple[Observer, Item], Cell]:
        destination = set(wanted.destination)
        leads = bool(destination & set(self._names.addresses_of(wanted.host)))
        cells: dict[tuple[Observer, Item], Cell] = {}
        for observer in Observer:
            seen = set(find_items(wanted, recording[observer]))
            if has_other(wanted, other[observer]):
                seen.add(Item.OTHER)
            enough = sum(map(len, recording[observer])) >= PAGE_BYTES
            found = derive(seen, enough_bytes=enough, name_leads_there=leads)
            cells |= {(observer, item): found[item] for item in Item}
        return cells


def _records(ends: Ends, ipv6: bool) -> tuple[str, ...]:
    return (ends.v4, ends.v6) if ipv6 else (ends.v4,)
