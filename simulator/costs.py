"""What a request costs besides the backend's work: the numbers that calibration measures."""

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
    """Time that one request spends outside of the backend's service, in seconds.

    Parameters
    ----------
    hit_cpu, miss_cpu : float
        Demand on the proxy's one core for an answer from the cache, and for one from a backend.
    client_link, upstream_link : float
        What is left between client and proxy, and between proxy and backend, both ways together:
        kernel, loopback, wake-ups. Nobody queues for it.
    service_extra : float
        What a backend's slot is held beyond the demanded work.
    hit_spread, miss_spread : tuple of float
        Quantiles, evenly spaced, of what `client_link` takes more or less than its mean in an
        answer from the cache, and in one from a backend; empty for none.
    behind : tuple of Costs
        Those of the second proxy in a row, of the third, and so on, each with the link to what is
        behind it as `upstream_link`; of a proxy that is not among them they are those of the first.

    Notes
    -----
    The defaults are of the order that a small machine shows. `twin.confirm.calibrate` measures them.
    """

    hit_cpu: float = 150e-6
    miss_cpu: float = 300e-6
    client_link: float = 350e-6
    upstream_link: float = 350e-6
    service_extra: float = 100e-6
    hit_spread: tuple[float, ...] = ()
    miss_spread: tuple[float, ...] = ()
    behind: tuple[Costs, ...] = ()

    def hop(self, number: int) -> Costs:
        """Of one proxy of a chain, by its number; clients are linked to the first only."""
        if number == 0:
            return self
        own = self.behind[number - 1] if number <= len(self.behind) else self
        return replace(own, client_link=0.0, hit_spread=(), miss_spread=(), behind=())

    @classmethod
    def zero(cls) -> Costs:
        """A proxy and network that cost nothing: what queueing theory assumes."""
        return cls(0.0, 0.0, 0.0, 0.0, 0.0)

    def save(self, path: Path) -> None:
        """Write the costs as JSON."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Costs:
        """Read what `save` wrote."""
        return cls._from(json.loads(path.read_text(encoding="utf-8")))

    @classmethod
    def _from(cls, data: dict[str, Any]) -> Costs:
        behind = tuple(map(cls._from, data.pop("behind", ())))
        plain = {key: tuple(value) if isinstance(value, list) else value for key, value in data.items()}
        return cls(**plain, behind=behind)


def link_sampler(mean: float, spread: tuple[float, ...], rng: random.Random) -> Callable[[], float] | None:
    """Draws link times: `mean` plus a value between two neighbouring quantiles of `spread`.

    ``None`` if there is nothing to draw: all take no time.
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

    The outermost are cut at the 1st and 99th percentile: a probe has too few samples to tell
    what is beyond them.
    """
    ordered = sorted(samples)
    low, high = (ordered[int(q * (len(ordered) - 1))] for q in (0.01, 0.99))
    kept = ordered[bisect.bisect_left(ordered, low) : bisect.bisect_right(ordered, high)]
    mean = sum(kept) / len(kept)
    return tuple(kept[round(i / (points - 1) * (len(kept) - 1))] - mean for i in range(points))
