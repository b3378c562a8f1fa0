"""What the tests of balancers share."""

import random
from collections.abc import Callable, Sequence

import pytest

from policies.balancing import Balancer, Upstreams, balancing_policies

Make = Callable[..., Balancer]
ChiSquare = Callable[[Sequence[int]], float]


class Scripted(random.Random):
    """A generator whose `random()` gives the numbers that a test wrote down."""

    def __new__(cls, *_: object) -> "Scripted":
        return super().__new__(cls)

    def __init__(self, *numbers: float) -> None:
        super().__init__(0)
        self.numbers = list(numbers)

    def random(self) -> float:
        return self.numbers.pop(0)


@pytest.fixture(scope="session")
def balancer() -> Make:
    """`balancer("p2c", load=[3, 0], weight=[1, 2], available=[0])`, with `draws` instead of chance."""

    def make(
        policy: str,
        load: Sequence[int],
        *,
        weight: Sequence[float] | None = None,
        available: Sequence[int] | None = None,
        draws: Sequence[float] | None = None,
        seed: int = 1,
    ) -> Balancer:
        upstreams = Upstreams(weight or [1.0] * len(load))
        upstreams.load = list(load)
        if available is not None:
            upstreams.available = list(available)
        rng = random.Random(seed) if draws is None else Scripted(*draws)
        return balancing_policies[policy](upstreams, rng=rng)

    return make


@pytest.fixture(scope="session")
def uniform() -> Callable[[Sequence[int]], bool]:
    """Whether counts fit equal chances: a chi-square test with a false-alarm rate below 1e-6.

    Its critical value by Wilson and Hilferty (1931), for the 1 - 1e-7 quantile z = 5.1993; the
    seeds are fixed, so a test that passes once always passes.
    """

    def fits(counts: Sequence[int]) -> bool:
        expected = sum(counts) / len(counts)
        statistic = sum((count - expected) ** 2 for count in counts) / expected
        freedom = len(counts) - 1
        share = 2 / (9 * freedom)
        return statistic < freedom * (1 - share + 5.1993 * share**0.5) ** 3

    return fits
