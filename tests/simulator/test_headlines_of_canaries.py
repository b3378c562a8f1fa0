"""What the shipped scenarios of ingress and canary are to show, they show."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from scenarios import Records, Summary, load_scenario
from simulator import simulate


@cache
def predicted(name: str) -> tuple[dict[str, Summary], dict[str, Records]]:
    """Summary and records of every variant, by label."""
    results = {variant.label: simulate(variant.scenario) for variant in load_scenario(name).variants}
    return (
        {label: result.summary for label, result in results.items()},
        {label: result.records for label, result in results.items()},
    )


def test_the_worse_a_canary_is_the_sooner_it_is_rolled_back() -> None:
    alike, worse, worst = predicted("canary-errors")[0].values()
    assert [one.rollback_ratio for one in (alike, worse, worst)] == [0.0, 1.0, 1.0]
    assert worst.rollback_s is not None
    assert worse.rollback_s is not None
    assert worst.rollback_s < worse.rollback_s / 2


def test_a_slower_canary_is_rolled_back_and_an_equal_one_is_not() -> None:
    ratios = [summary.rollback_ratio for summary in predicted("canary-latency")[0].values()]
    assert ratios == [0.0, 1.0, 1.0]


def test_a_hash_keeps_a_tenth_at_the_canary_and_its_own_cookie_lets_users_drift() -> None:
    by_client, by_cookie, drifting = (
        summary.services["canary"].share for summary in predicted("canary-sticky")[0].values()
    )
    assert by_client == pytest.approx(0.1, abs=0.13)  # 100 users: 4.42 standard deviations
    assert by_cookie == pytest.approx(0.1, abs=0.13)
    assert drifting > 0.65


def test_a_test_that_peeks_rolls_a_good_canary_back_where_the_valid_one_does_not() -> None:
    valid, peeking = predicted("canary-peeking")[0].values()
    assert (valid.rollback_ratio, peeking.rollback_ratio) == (0.0, 1.0)


def test_clients_do_not_notice_a_mirror_that_hangs() -> None:
    fast, hanging = predicted("mirror")[0].values()
    assert hanging.p99_ms == pytest.approx(fast.p99_ms, abs=0.5)
    assert hanging.mean_ms == pytest.approx(fast.mean_ms, abs=0.2)


def test_behind_one_door_only_the_busy_service_is_slow() -> None:
    quiet, busy = predicted("one-door")[1].values()
    assert set(quiet.services) == {"shop", "cart", "pictures"}

    def mean_ms(records: Records, service: str) -> float:
        return float(records.response[np.isin(records.upstream, records.services[service])].mean() * 1e3)

    for service in ("shop", "pictures"):
        assert mean_ms(busy, service) == pytest.approx(mean_ms(quiet, service), rel=0.05)
    assert mean_ms(busy, "cart") > 2 * mean_ms(quiet, "cart")
