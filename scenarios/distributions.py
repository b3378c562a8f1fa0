"""Random distributions in settings: ``exponential(30ms)``, ``lognormal(8KiB, 1.5)``, ``zipf(0.9)``.

The first argument is the mean, except in ``uniform(low, high)`` and ``zipf(exponent)``. A quantity
without a family, such as ``30ms``, is constant.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from policies.units import parse_duration, parse_size
from scenarios.calls import parse_call, read_number

Sampler = Callable[..., NDArray[np.float64]]


@dataclass(frozen=True)
class Family:
    """A family of distributions.

    Parameters
    ----------
    arguments : tuple of str
        Name of each argument; those in `quantities` carry a unit, the others are plain numbers.
    sample : callable
        ``sample(rng, count, *arguments)``.
    mean, scv : callable
        Mean, and squared coefficient of variation (variance over squared mean), as functions of the
        arguments.
    """

    arguments: tuple[str, ...]
    sample: Sampler
    mean: Callable[..., float]
    scv: Callable[..., float]
    quantities: tuple[str, ...] = ("mean",)


def _first(mean: float, *_: float) -> float:
    return mean


def _hyperexponential(rng: np.random.Generator, n: int, mean: float, scv: float) -> NDArray[np.float64]:
    """Two exponential phases with balanced means (Whitt 1982): each phase carries half of the load."""
    p = (1 + np.sqrt((scv - 1) / (scv + 1))) / 2
    phase = np.where(rng.random(n) < p, mean / (2 * p), mean / (2 * (1 - p)))
    return rng.exponential(1.0, n) * phase


FAMILIES: dict[str, Family] = {
    "constant": Family(("mean",), lambda _, n, mean: np.full(n, mean), _first, lambda _: 0.0),
    "exponential": Family(("mean",), lambda rng, n, mean: rng.exponential(mean, n), _first, lambda _: 1.0),
    "uniform": Family(
        ("low", "high"),
        lambda rng, n, low, high: rng.uniform(low, high, n),
        lambda low, high: (low + high) / 2,
        lambda low, high: (high - low) ** 2 / 3 / (low + high) ** 2 if high else 0.0,
        quantities=("low", "high"),
    ),
    "lognormal": Family(
        ("mean", "sigma"),
        lambda rng, n, mean, sigma: mean * rng.lognormal(-(sigma**2) / 2, sigma, n),
        _first,
        lambda _, sigma: float(np.expm1(sigma**2)),
    ),
    "erlang": Family(
        ("mean", "phases"),
        lambda rng, n, mean, phases: rng.gamma(phases, mean / phases, n),
        _first,
        lambda _, phases: 1 / phases,
    ),
    "hyperexponential": Family(("mean", "scv"), _hyperexponential, _first, lambda _, scv: scv),
    "pareto": Family(
        ("mean", "alpha"),
        lambda rng, n, mean, alpha: mean * (alpha - 1) / alpha * (1 + rng.pareto(alpha, n)),
        _first,
        lambda _, alpha: 1 / (alpha * (alpha - 2)) if alpha > 2 else float("inf"),
    ),
}

_BOUNDS: dict[str, tuple[Callable[..., bool], str]] = {
    "uniform": (lambda low, high: low <= high, "low must not exceed high"),
    "lognormal": (lambda _, sigma: sigma >= 0, "sigma must not be negative"),
    "erlang": (
        lambda _, phases: phases >= 1 and phases == int(phases),
        "phases must be a whole number from 1",
    ),
    "hyperexponential": (lambda _, scv: 1 < scv <= 1e6, "scv must be above 1, and at most 1e6"),
    "pareto": (lambda _, alpha: alpha > 1, "alpha must be above 1, or there is no mean"),
}


@dataclass(frozen=True)
class Distribution:
    """A distribution of durations (seconds) or sizes (bytes).

    Parameters
    ----------
    family : str
        A key of `FAMILIES`.
    arguments : tuple of float
        In the family's order, in base units.
    text : str
        The notation in the settings.

    Examples
    --------
    >>> parse_distribution("exponential(30ms)").mean
    0.03
    """

    family: str
    arguments: tuple[float, ...]
    text: str

    @property
    def mean(self) -> float:
        """Mean, in base units."""
        return float(FAMILIES[self.family].mean(*self.arguments))

    @property
    def scv(self) -> float:
        """Squared coefficient of variation: 0 for constant, 1 for exponential."""
        return float(FAMILIES[self.family].scv(*self.arguments))

    def sample(self, rng: np.random.Generator, count: int) -> NDArray[np.float64]:
        """`count` independent values."""
        return FAMILIES[self.family].sample(rng, count, *self.arguments)

    def __str__(self) -> str:
        return self.text

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.is_instance_schema(cls)


def parse_distribution(text: object, quantity: Callable[[object], float] = parse_duration) -> Distribution:
    """Parse a distribution.

    Parameters
    ----------
    text : str
        ``family(argument, …)``, or a quantity alone.
    quantity : callable
        Parses the arguments with a unit: `parse_duration` or `parse_size`.

    Raises
    ------
    ValueError
        In one line, with the nearest known family or the expected form.
    """
    call = parse_call(text)
    if call is None:
        if isinstance(text, str) and "(" in text:
            raise ValueError(f"expected a distribution such as 'exponential(30ms)', not {text!r}")
        return Distribution("constant", (float(quantity(text)),), str(text))
    family = call.choose(FAMILIES, "distribution")
    holds, rule = _BOUNDS.get(call.name, (lambda *_: True, ""))
    arguments = call.read(family.arguments, family.quantities, quantity, holds, rule)
    return Distribution(call.name, arguments, call.text)


@dataclass(frozen=True)
class Popularity:
    """How often each object is requested; object 0 is the most popular.

    Parameters
    ----------
    exponent : float
        Zipf's: the probability of rank r is proportional to r to the power of minus the exponent; 0 is
        uniform.
    """

    exponent: float
    text: str

    def probabilities(self, objects: int) -> NDArray[np.float64]:
        """Probability of each object, in falling order."""
        weight = np.arange(1, objects + 1, dtype=np.float64) ** -self.exponent
        return np.asarray(weight / weight.sum())

    def __str__(self) -> str:
        return self.text

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.is_instance_schema(cls)


def parse_popularity(text: object) -> Popularity:
    """Parse ``zipf(exponent)`` or ``uniform``; raises `ValueError` for anything else."""
    if text == "uniform":
        return Popularity(0.0, "uniform")
    call = parse_call(text)
    if call is None or call.name != "zipf":
        raise ValueError(f"expected 'zipf(exponent)' or 'uniform', not {text!r}")
    exponent = read_number(call.inside, "zipf(exponent)", "exponent")
    if not 0 <= exponent < 20:
        raise ValueError(f"zipf(exponent): exponent must be from 0 to 20, not {exponent:g}")
    return Popularity(exponent, call.text)


def _reader(parse: Callable[[object], Any]) -> BeforeValidator:
    return BeforeValidator(
        lambda value: value if isinstance(value, (Distribution, Popularity)) else parse(value)
    )


DurationDistribution = Annotated[Distribution, _reader(parse_distribution)]
"""A `Distribution` of seconds."""
SizeDistribution = Annotated[Distribution, _reader(lambda text: parse_distribution(text, parse_size))]
"""A `Distribution` of bytes."""
ObjectPopularity = Annotated[Popularity, _reader(parse_popularity)]
"""A `Popularity`."""
