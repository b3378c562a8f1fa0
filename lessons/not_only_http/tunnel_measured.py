"""The ways through a proxy on real sockets: the real proxy between two delayed links."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

from IPython.display import HTML, display

from lessons.kit.display import Picture, box, table
from lessons.kit.progress_bars import NotebookBars
from lessons.not_only_http.clients import LOGIN, shout_impatiently, shout_through
from lessons.not_only_http.delay_line import DelayLine
from lessons.not_only_http.figures import figure_of_measured_ways
from lessons.not_only_http.servers import shouting_server
from lessons.not_only_http.tunnel_model import WAYS, all_ways
from realproxy import Forward, Limits, Proxy, Service, Tcp
from twin.plots.style import MEASURED, PREDICTED

_LIMITS = Limits(drain="0s")


@dataclass(frozen=True)
class WaysMeasured:
    """Milliseconds to the first answer by each way: what was predicted, and every real connection's."""

    predicted: dict[str, float]
    measured: dict[str, list[float]]

    def ms(self, way: str) -> float:
        """The median of what was measured."""
        return median(self.measured[way])

    def _repr_html_(self) -> str:
        rows = [
            [
                way,
                f"{predicted:.0f} ms",
                f"{self.ms(way):.1f} ms",
                f"{100 * (self.ms(way) - predicted) / predicted:+.1f} %",
            ]
            for way, predicted in self.predicted.items()
        ]
        shown = table(
            ["first answer by", "predicted", "measured (median)", "apart"], rows, {1: PREDICTED, 2: MEASURED}
        )
        return shown + box("What is left is the work of real programs, which the model does not have.")

    def __repr__(self) -> str:
        return "\n".join(
            f"{way}: predicted {ms:.0f} ms, measured {self.ms(way):.1f} ms"
            for way, ms in self.predicted.items()
        )


@contextlib.contextmanager
def proxy_for_anything(*targets: int, upstream: int | None = None, login: bool = False) -> Iterator[Proxy]:
    """A real proxy with CONNECT and SOCKS to some ports, and a raw TCP listener.

    Parameters
    ----------
    *targets : int
        Ports on loopback that clients may name.
    upstream : int, optional
        Where the raw TCP listener leads; the first target if not given.
    login : bool
        Whether a client must say who it is.
    """
    auth = dict([LOGIN]) if login else {}
    forward = Forward(private_targets=True, connect_ports=targets, socks_ports=targets, auth=auth)
    service = Service(upstreams=[f"127.0.0.1:{upstream or targets[0]}"])
    with Proxy(
        forward=forward, tcp=[Tcp(listen=":0", to="it")], service={"it": service}, limits=_LIMITS
    ) as proxy:
        yield proxy


@contextlib.contextmanager
def distant_proxy(client_ms: float, server_ms: float) -> Iterator[tuple[dict[str, int], int]]:
    """The shouting server, and real proxies before it, all some way apart.

    Gives the port at which a client finds the proxy, by way, and the one that it asks the proxy for.
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
    """Predict the first answer by each way, then measure it on real sockets; shows what came of it.

    Parameters
    ----------
    client_ms, server_ms : float
        Round trips of the links.
    repeats : int
        Real connections by each way.
    """
    bars = NotebookBars()
    display(bars.panel)
    predicted = {way: found.first_ms for way, found in all_ways(client_ms, server_ms).items()}
    measured: dict[str, list[float]] = {}
    with distant_proxy(client_ms, server_ms) as (ports, target):
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


def measure_impatience(client_ms: float = 60, server_ms: float = 20, repeats: int = 5) -> list[float]:
    """Milliseconds to the first answer for a client that says all of SOCKS5 at once."""
    with distant_proxy(client_ms, server_ms) as (ports, target):
        return [shout_impatiently(ports["SOCKS5"], target)[1] for _ in range(repeats)]
