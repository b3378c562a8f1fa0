"""A rollback is seen from outside, as a silence that cannot be chance."""

from __future__ import annotations

import numpy as np
import pytest

from scenarios.rollback import rollback_time


def test_the_last_request_of_the_canary_is_the_time_of_the_rollback() -> None:
    sent = np.arange(1000.0)
    rng = np.random.default_rng(1)
    is_canary = (rng.random(1000) < 0.1) & (sent < 300)
    shuffled = rng.permutation(1000)
    found = rollback_time(sent[shuffled], is_canary[shuffled])
    assert found == sent[is_canary][-1]


@pytest.mark.parametrize("rollback_at", [0, 1000])
def test_without_a_silence_that_means_something_there_is_no_rollback(rollback_at: int) -> None:
    sent = np.arange(1000.0)
    is_canary = (sent % 200 == 3) & (sent < rollback_at)
    if rollback_at == 1000:
        is_canary[-100] = True
    assert rollback_time(sent, is_canary) is None


def test_all_requests_at_the_canary_are_no_rollback() -> None:
    assert rollback_time(np.arange(10.0), np.ones(10, dtype=bool)) is None
