"""The ways through a proxy on real sockets: the real proxy between two delayed links."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

from IPython.display import HTML, display

from lessons.kit.difference import difference
from lessons.kit.display import Picture, box, table
from lessons.kit.progress_bars import NotebookBars
from lessons.not_only_http.clients import LOGIN, shout_often, shout_pipelined, shout_through
from lessons.not_only_http.delay_line import DelayLine
from lessons.not_only_http.figures import figure_of_measured_ways
from lessons.not_only_http.servers import shouting_server
from lessons.not_only_http.tunnel_model import WAYS, all_ways
from realproxy import Forward, Limits, Proxy, Service, Tcp
from twin.plots.style import MEASURED, PREDICTED

_LIMITS = Limits(drain="0s")


@dataclass(frozen=True)
class WaysMeasured:
    """Milliseconds to the first response of each way: the prediction, and one value per real connection."""

    predicted: dict[str, float]
    measured: dict[str, list[float]]

    def ms(self, way: str) -> float:
        """The median of the measured times."""
        return median(self.measured[way])

    def _repr_html_(self) -> str:
        rows = [
            [
                way,
                f"{predicted:.0f} ms",
                f"{self.ms(way):.1f} ms",
                difference(predicted, self.ms(way), "ms"),
            ]
            for way, predicted in self.predicted.items()
        ]
        shown = table(
            ["first response", "predicted", "measured (median)", "difference"],
            rows,
            {1: PREDICTED, 2: MEASURED},
        )
        return shown + box("The difference is the work of the real programs, which the model leaves out.")

    def __repr__(self) -> str:
        return "\n".join(
            f"{way}: predicted {ms:.0f} ms, measured {self.ms(way):.1f} ms"
            for way, ms in self.predicted.items()
        )


@contextlib.contextmanager
def proxy_for_anything(*targets: int, upstream: int | None = None, login: bool = False) -> Iterator[Proxy]:
    """Start a real proxy with CONNECT, SOCKS and a raw TCP listener.

    Parameters
    ----------
    *targets : int
        Ports on the loopback that clients may name in CONNECT and SOCKS.
    upstream : int, optional
        The target of the raw TCP listener; the first of `targets` by default.
    login : bool
        Whether clients must log in.
    """
    auth = dict([LOGIN]) if login else {}
    forward = Forward(private_targets=True, connect_ports=targets, socks_ports=targets, auth=auth)
    service = Service(upstreams=[f"127.0.0.1:{upstream or targets[0]}"])
    with Proxy(
        forward=forward, tcp=[Tcp(listen="127.0.0.1:0", to="it")], service={"it": service}, limits=_LIMITS
    ) as proxy:
        yield proxy


@contextlib.contextmanager
def distant_proxy(client_ms: float, server_ms: float) -> Iterator[tuple[dict[str, int], int]]:
    """Start a server of `shouting_server`, and real proxies in front of it, with a delay line on each link.

    Yields the proxy's port for each way, and the port that the client names as the target.
    """
    with contextlib.ExitStack() as stack:
        target = stack.enter_context(DelayLine(stack.enter_context(shouting_server()), server_ms)).port
        open_one = stack.enter_context(proxy_for_anything(target))
        strict = stack.enter_context(proxy_for_anything(target, login=True))
        line = {
            port: stack.enter_context(DelayLine(port, client_ms)).port
            for port in (open_one.tcp_ports[0], open_one.port, strict.port)
        }
        special = {"raw TCP": open_one.tcp_ports[0], "SOCKS5, login": strict.port}
        yield {way: line[special.get(way, open_one.port)] for way in WAYS}, target


def measure_ways(client_ms: float = 60, server_ms: float = 20, repeats: int = 5) -> WaysMeasured:
    """Predict the time to the first response of each way, measure it on real sockets, and show both.

    Parameters
    ----------
    client_ms, server_ms : float
        Round trips of the links.
    repeats : int
        Number of real connections for each way.
    """
    bars = NotebookBars()
    predicted = {way: found.first_ms for way, found in all_ways(client_ms, server_ms).items()}
    measured: dict[str, list[float]] = {}
    with bars.displayed(), distant_proxy(client_ms, server_ms) as (ports, target):
        for way in WAYS:
            with bars.step(way, repeats) as advance:
                measured[way] = []
                for _ in range(repeats):
                    measured[way].append(shout_through(way, ports[way], target)[1])
                    advance(1)
    found = WaysMeasured(predicted, measured)
    display(HTML(found._repr_html_()))
    said = "; ".join(repr(found).splitlines())
    display(Picture(figure_of_measured_ways(predicted, measured), f"Predicted and measured: {said}."))
    return found


def measure_enough(
    client_ms: float = 60, server_ms: float = 20, share: float = 0.1, way: str = "SOCKS5", most: int = 40
) -> int | None:
    """How many requests a real connection needs until its setup has taken less than `share` of the time.

    ``None`` if `most` requests are not enough.
    """
    with distant_proxy(client_ms, server_ms) as (ports, target):
        setup, each = shout_often(way, ports[way], target, most)
    totals = itertools.accumulate(each, initial=setup)
    return next((number for number, total in enumerate(totals) if setup < share * total), None)


def measure_pipelined(client_ms: float = 60, server_ms: float = 20, repeats: int = 5) -> list[float]:
    """Milliseconds to the first response for a client that sends all of SOCKS5 and its request at once."""
    with distant_proxy(client_ms, server_ms) as (ports, target):
        return [shout_pipelined(ports["SOCKS5"], target)[1] for _ in range(repeats)]
