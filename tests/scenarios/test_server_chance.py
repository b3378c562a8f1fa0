"""A server's own chance: drawn anew for every request, the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest

from scenarios.chance import own_work
from scenarios.distributions import parse_distribution

MS = parse_distribution("exponential(10ms)")
COUNT = 20_000


def drawn(
    jitter: object, hiccup: tuple[float, float] | None, seed: int = 7, name: str = "web/0"
) -> np.ndarray:
    draw = own_work(jitter, hiccup, seed, name)  # type: ignore[arg-type]
    assert draw is not None
    return np.array([draw() for _ in range(COUNT)])


def test_nothing_is_drawn_for_a_server_without_chance() -> None:
    assert own_work(None, None, 7, "web/0") is None


def test_pauses_come_by_their_share() -> None:
    pauses = drawn(None, (0.01, 1.5))
    assert set(pauses.tolist()) == {0.0, 1.5}
    error = (0.01 * 0.99 / COUNT) ** 0.5
    assert abs((pauses > 0).mean() - 0.01) < 4.9 * error, "one failure in a million, were the seed another"


def test_jitter_has_its_distribution_and_pauses_come_on_top() -> None:
    both, alone = drawn(MS, (0.01, 1.5)), drawn(MS, None)
    assert abs(alone.mean() - 0.01) < 4.9 * 0.01 / COUNT**0.5
    assert (both - alone).round(9).tolist() == drawn(None, (0.01, 1.5)).tolist()


@pytest.mark.parametrize(("seed", "name"), [(8, "web/0"), (7, "web/1")])
def test_every_server_has_a_chance_of_its_own(seed: int, name: str) -> None:
    assert drawn(MS, None).tolist() == drawn(MS, None).tolist()
    assert drawn(MS, None).tolist() != drawn(MS, None, seed, name).tolist()
