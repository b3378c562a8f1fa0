"""The time that a request takes besides the backend's work; calibration measures it."""

from __future__ import annotations

import bisect
import json
import random
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Costs:
    """Time of one request outside of the backend's service, in seconds.

    Parameters
    ----------
    hit_cpu, miss_cpu : float
        Time on the proxy's one core for a response from the cache, and for one from a backend.
    client_link, upstream_link : float
        Remaining time between client and proxy, and between proxy and backend, both directions
        together: kernel, loopback, wake-ups. Requests do not queue for it.
    service_extra : float
        Time that a backend's slot is held beyond the demanded work.
    hit_spread, miss_spread : tuple of float
        Evenly spaced quantiles of the deviation of `client_link` from its mean, for a response from the
        cache and for one from a backend; empty for none.
    behind : tuple of Costs
        The costs of the proxies that are one hop behind a door, two hops, and so on, see
        `scenarios.topology.Topology.tiers`; their `upstream_link` is the link to what is behind them.
        Further proxies have the costs of the doors.
    sidecar : Costs or None
        The costs of each sidecar; their `upstream_link` is the link to its replica or to another sidecar.
        By default those of the doors.

    Notes
    -----
    The defaults are typical of a small machine. `twin.confirm.calibrate` measures them.
    """

    hit_cpu: float = 150e-6
    miss_cpu: float = 300e-6
    client_link: float = 350e-6
    upstream_link: float = 350e-6
    service_extra: float = 100e-6
    hit_spread: tuple[float, ...] = ()
    miss_spread: tuple[float, ...] = ()
    behind: tuple[Costs, ...] = ()
    sidecar: Costs | None = None

    @property
    def beside(self) -> Costs:
        """The costs of a sidecar, which is not linked to clients."""
        own = self if self.sidecar is None else self.sidecar
        return replace(own, client_link=0.0, hit_spread=(), miss_spread=(), behind=(), sidecar=None)

    def hop(self, tier: int, *, door: bool = False) -> Costs:
        """The costs of a proxy so many hops behind a door; only a door is linked to clients."""
        if tier <= 0:
            return self
        own = self.behind[tier - 1] if tier <= len(self.behind) else self
        link = self if door else Costs.zero()
        return replace(
            own,
            client_link=link.client_link,
            hit_spread=link.hit_spread,
            miss_spread=link.miss_spread,
            behind=(),
        )

    @classmethod
    def zero(cls) -> Costs:
        """A proxy and a network without costs, as queueing theory assumes."""
        return cls(0.0, 0.0, 0.0, 0.0, 0.0)

    def save(self, path: Path) -> None:
        """Write a JSON file."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Costs:
        """Read a file of `save`."""
        return cls._from(json.loads(path.read_text(encoding="utf-8")))

    @classmethod
    def _from(cls, data: dict[str, Any]) -> Costs:
        behind = tuple(map(cls._from, data.pop("behind", ())))
        sidecar = data.pop("sidecar", None)
        plain = {key: tuple(value) if isinstance(value, list) else value for key, value in data.items()}
        return cls(**plain, behind=behind, sidecar=None if sidecar is None else cls._from(sidecar))


def link_sampler(mean: float, spread: tuple[float, ...], rng: random.Random) -> Callable[[], float] | None:
    """A function that draws link times: `mean` plus a value between two adjacent quantiles of `spread`.

    ``None`` if all link times are zero.
    """
    if not spread and not mean:
        return None
    if not spread:
        return lambda: mean
    last = len(spread) - 1

    def draw() -> float:
        place = rng.random() * last
        below = int(place)
        value = spread[below] + (place - below) * (spread[below + 1] - spread[below])
        return max(mean + value, 0.0)

    return draw


def spread_of(samples: list[float], points: int = 51) -> tuple[float, ...]:
    """Quantiles of `samples` around their mean, for `Costs.hit_spread` and `miss_spread`.

    They are cut at the 1st and 99th percentile: a probe has too few samples to tell what is beyond.
    """
    ordered = sorted(samples)
    low, high = (ordered[int(q * (len(ordered) - 1))] for q in (0.01, 0.99))
    kept = ordered[bisect.bisect_left(ordered, low) : bisect.bisect_right(ordered, high)]
    mean = sum(kept) / len(kept)
    return tuple(kept[round(i / (points - 1) * (len(kept) - 1))] - mean for i in range(points))
