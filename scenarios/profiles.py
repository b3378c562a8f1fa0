"""Load profiles: how the rate of an open load changes over a run, such as ``bursts(10s, 1s, 5)``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from policies.units import parse_duration
from scenarios.calls import parse_call

Factors = NDArray[np.float64]
_BLOCK = 128


@dataclass(frozen=True)
class Kind:
    """A kind of profile.

    Parameters
    ----------
    arguments : tuple of str
        Name of each argument; those in `durations` are durations, the others plain numbers.
    factor : callable
        ``factor(times, *arguments)``: factors of the rate at `times` (seconds).
    peak : callable
        The largest factor, as a function of the arguments.
    holds : callable
        Whether the arguments are possible.
    rule : str
        What `holds` demands, for the message.
    """

    arguments: tuple[str, ...]
    durations: tuple[str, ...]
    factor: Callable[..., Factors]
    peak: Callable[..., float]
    holds: Callable[..., bool]
    rule: str


KINDS: dict[str, Kind] = {
    "ramp": Kind(
        ("low", "high", "over"),
        ("over",),
        lambda t, low, high, over: low + (high - low) * np.minimum(t / over, 1.0),
        lambda low, high, _: max(low, high),
        lambda low, high, over: low >= 0 and high > 0 and over > 0,
        "low must not be negative, high and over must be above 0",
    ),
    "bursts": Kind(
        ("every", "lasting", "factor"),
        ("every", "lasting"),
        lambda t, every, lasting, factor: np.where(np.mod(t, every) < lasting, factor, 1.0),
        lambda _every, _lasting, factor: max(factor, 1.0),
        lambda every, lasting, factor: 0 < lasting < every and factor >= 0,
        "lasting must be above 0 and below every, factor not negative",
    ),
    "day": Kind(
        ("length", "swing"),
        ("length",),
        lambda t, length, swing: 1.0 - swing * np.cos(2 * np.pi * t / length),
        lambda _, swing: 1.0 + swing,
        lambda length, swing: length > 0 and 0 <= swing <= 1,
        "length must be above 0, swing from 0 to 1",
    ),
}


@dataclass(frozen=True)
class Profile:
    """The factor of a rate over time.

    ``ramp(low, high, over)`` changes linearly from one factor to the other and then stays;
    ``bursts(every, lasting, factor)`` begins every period with a burst; ``day(length, swing)`` is a
    cosine around 1 that begins at its minimum.

    Parameters
    ----------
    kind : str
        A key of `KINDS`.
    arguments : tuple of float
        In the kind's order, in seconds or as plain numbers.
    text : str
        The notation in the settings.
    """

    kind: str
    arguments: tuple[float, ...]
    text: str

    def factor(self, times: Factors) -> Factors:
        """Factors of the rate at `times` (seconds)."""
        return KINDS[self.kind].factor(times, *self.arguments)

    @property
    def peak(self) -> float:
        """The largest factor."""
        return KINDS[self.kind].peak(*self.arguments)

    def pauses(self, rate: float, rng: np.random.Generator, chance: np.random.Generator) -> Iterator[float]:
        """Endless seconds from one arrival to the next.

        By thinning: arrivals are drawn at the peak rate, and each is kept with a probability of the rate at
        its time over the peak rate (P. A. W. Lewis, G. S. Shedler, "Simulation of nonhomogeneous Poisson
        processes by thinning", Naval Research Logistics 26, 1979).
        """
        now = last = 0.0
        while True:
            times = now + np.cumsum(rng.exponential(1.0 / (rate * self.peak), _BLOCK))
            kept = chance.random(_BLOCK) * self.peak < self.factor(times)
            for time in times[kept].tolist():
                yield time - last
                last = time
            now = float(times[-1])

    def __str__(self) -> str:
        return self.text

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.is_instance_schema(cls)


def parse_profile(text: object) -> Profile:
    """Parse a profile; raises `ValueError` in one line."""
    call = parse_call(text)
    if call is None:
        raise ValueError(f"expected a profile such as 'bursts(10s, 1s, 5)', not {text!r}")
    kind = call.choose(KINDS, "profile")
    arguments = call.read(kind.arguments, kind.durations, parse_duration, kind.holds, kind.rule)
    return Profile(call.name, arguments, call.text)


LoadProfile = Annotated[
    Profile, BeforeValidator(lambda value: value if isinstance(value, Profile) else parse_profile(value))
]
"""A `Profile`, written as in ``"day(60s, 0.8)"``."""
