"""Statistics against values whose truth is known. All samples are seeded: a test here never flickers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from scenarios import Scenario
from simulator import Costs, compare_paired, simulate
from simulator.statistics import (
    batch_means,
    coordinated_omission,
    estimate,
    mser5,
    paired_difference,
    settled,
    student_t95,
)

floats = st.floats(-1e6, 1e6)


def autoregressive(rng: np.random.Generator, count: int, memory: float) -> NDArray[np.float64]:
    """Values around zero that remember the last one, as waiting times in a queue do."""
    noise, values = rng.normal(size=count), np.zeros(count)
    for place in range(1, count):
        values[place] = memory * values[place - 1] + noise[place]
    return values


def within_binomial(hits: int, trials: int, chance: float) -> bool:
    """4.9 standard deviations: a right coverage fails one such check in a million."""
    return abs(hits - trials * chance) < 4.9 * np.sqrt(trials * chance * (1 - chance))


def test_students_t_is_that_of_the_tables() -> None:
    assert student_t95(1) == 12.706
    assert student_t95(19) == 2.093
    assert [student_t95(n) for n in (40, 120, 10**6)] == pytest.approx([2.0211, 1.9799, 1.9600], abs=1e-4)


def test_an_interval_covers_the_truth_in_95_of_100_samples() -> None:
    rng = np.random.default_rng(1)
    samples = [estimate(rng.normal(3.0, 2.0, 6)).interval for _ in range(2000)]
    assert within_binomial(sum(low < 3.0 < high for low, high in samples), 2000, 0.95)


@given(st.lists(floats, min_size=2, max_size=30), floats, st.floats(0.5, 100))
def test_an_interval_moves_and_grows_with_its_values(values: list[float], by: float, times: float) -> None:
    one, other = estimate(values), estimate([times * value + by for value in values])
    assert other.mean == pytest.approx(times * one.mean + by, abs=1e-6, rel=1e-9)
    assert other.half_width == pytest.approx(times * one.half_width, abs=1e-6, rel=1e-6)


def test_one_value_has_no_interval() -> None:
    with pytest.raises(ValueError, match="at least two"):
        estimate([1.0])


def test_values_without_spread_are_infinitely_far_from_anything_else() -> None:
    constant = estimate([2.0, 2.0, 2.0])
    assert [constant.z_score(truth) for truth in (1.0, 2.0, 3.0)] == [np.inf, 0.0, -np.inf]


# -- batch means ------------------------------------------------------------------------------------


def test_batch_means_cover_the_truth_where_neighbours_depend_on_each_other() -> None:
    rng = np.random.default_rng(2)
    runs = [autoregressive(rng, 4000, 0.8) for _ in range(300)]
    found = [batch_means(run) for run in runs]
    assert within_binomial(sum(f.interval[0] < 0 < f.interval[1] for f in found), 300, 0.95)
    naive = [estimate(run) for run in runs]
    assert sum(f.interval[0] < 0 < f.interval[1] for f in naive) < 0.6 * 300, "why batches are needed"


def test_batches_that_are_too_short_are_told() -> None:
    run = autoregressive(np.random.default_rng(3), 4000, 0.98)
    assert not batch_means(run, batches=400).trusted
    assert batch_means(run, batches=10).trusted


def test_batches_have_equal_lengths_and_the_start_is_dropped() -> None:
    found = batch_means(np.array([99.0, 1, 3, 5, 7, 9, 11]), batches=3)
    assert found.means.tolist() == [2, 6, 10]
    assert found.mean == 6


@pytest.mark.parametrize(("values", "batches"), [(7, 4), (100, 1), (0, 20), (10, 0)])
def test_too_few_values_for_batches_are_refused(values: int, batches: int) -> None:
    with pytest.raises(ValueError, match="two"):
        batch_means(np.zeros(values), batches)


# -- MSER-5 -----------------------------------------------------------------------------------------


def literal_mser(values: NDArray[np.float64]) -> int:
    """The definition, as slow as it reads."""
    batches = values[: len(values) // 5 * 5].reshape(-1, 5).mean(axis=1)
    scores = [np.var(batches[d:]) / (len(batches) - d) for d in range(len(batches) - 5)]
    return int(np.argmin(scores)) * 5


@given(st.integers(0, 2**32), st.integers(50, 400), st.floats(0, 50))
def test_mser5_is_its_definition(seed: int, count: int, decay: float) -> None:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=count) + decay * np.exp(-np.arange(count) / 20)
    assert mser5(values).truncation == literal_mser(values)


def test_mser5_cuts_off_a_start_that_is_unlike_the_rest() -> None:
    values = np.random.default_rng(4).normal(10, 1, 2000)
    values[:300] += np.linspace(-10, 0, 300)
    found = mser5(values, times=np.arange(2000) / 100)
    assert 150 <= found.truncation <= 320
    assert found.end == found.truncation / 100
    assert found.note == ""


def test_mser5_says_when_it_fails() -> None:
    found = mser5(np.linspace(0, 1, 1000))
    assert found.truncation > 500
    assert "more than half" in found.note


def test_mser5_needs_something_to_look_at() -> None:
    with pytest.raises(ValueError, match="at least 50 values"):
        mser5(np.zeros(49))
    assert mser5(np.zeros(50)).truncation == 0


# -- common random numbers --------------------------------------------------------------------------


def test_a_paired_difference_is_that_of_the_pairs() -> None:
    found = paired_difference([3.0, 5.0, 10.0], [1.0, 3.0, 8.0])
    assert (found.mean, found.error, found.variance_reduction) == (2.0, 0.0, np.inf)
    assert found.decided


def test_independent_runs_gain_nothing_from_pairing() -> None:
    rng = np.random.default_rng(5)
    found = paired_difference(rng.normal(size=4000), rng.normal(size=4000))
    assert found.variance_reduction == pytest.approx(1.0, abs=0.1)


def test_values_without_partners_are_refused() -> None:
    with pytest.raises(ValueError, match="3 and 2"):
        paired_difference([1.0, 2.0, 3.0], [1.0, 2.0])


def balanced(bare_scenario: Callable[..., Scenario], balance: str, seed: int = 11) -> Scenario:
    return bare_scenario(
        {"rate": "240/s"},
        {"replicas": 4, "service_time": "exponential(10ms)"},
        balance=balance,
        seed=seed,
        duration="20s",
        warmup="2s",
    )


def test_common_random_numbers_decide_with_fewer_runs(bare_scenario: Callable[..., Scenario]) -> None:
    results = {
        name: simulate(balanced(bare_scenario, name), 8, costs=Costs.zero()) for name in ("random", "p2c")
    }
    same = compare_paired(results["random"], results["p2c"], "mean_ms")
    assert same.decided and same.mean > 0
    other = simulate(balanced(bare_scenario, "p2c", seed=500), 2, costs=Costs.zero())
    with pytest.raises(ValueError, match="the same seed"):
        compare_paired(results["random"], other, "mean_ms")


def test_pairing_reduces_variance_where_only_the_speed_differs(
    bare_scenario: Callable[..., Scenario],
) -> None:
    def result(mean_ms: float) -> object:
        return simulate(
            bare_scenario(
                {"rate": "70/s"}, {"service_time": f"exponential({mean_ms}ms)"}, duration="20s", warmup="2s"
            ),
            8,
            costs=Costs.zero(),
        )

    found = compare_paired(result(10.1), result(10.0), "mean_ms")
    assert found.variance_reduction > 100
    assert found.decided and found.mean > 0


# -- an overload ------------------------------------------------------------------------------------


@pytest.mark.parametrize("load", [0.5, 0.8, 0.95])
def test_a_stable_queue_is_called_settled(bare_scenario: Callable[..., Scenario], load: float) -> None:
    """30 runs of each load, and no false alarm; up to 1 in 1000 is promised."""
    scenario = bare_scenario(
        {"rate": f"{100 * load}/s"}, {"service_time": "exponential(10ms)"}, duration="20s", warmup="2s"
    )
    for seed in range(30):
        assert simulate(scenario.model_copy(update={"seed": seed}), costs=Costs.zero()).settled


@pytest.mark.parametrize("load", [1.2, 1.5, 3.0])
def test_an_overload_is_said_with_its_growth(bare_scenario: Callable[..., Scenario], load: float) -> None:
    scenario = bare_scenario(
        {"rate": f"{100 * load}/s"}, {"service_time": "exponential(10ms)"}, duration="30s", warmup="3s"
    )
    result = simulate(scenario, 2, costs=Costs.zero())
    assert not result.settled
    assert result.settled.growth_rps == pytest.approx(100 * (load - 1), rel=0.25)
    assert "never settles" in result.settled.reason and len(result.settled.reason.splitlines()) == 1


def test_closed_users_settle_however_many_there_are(bare_scenario: Callable[..., Scenario]) -> None:
    scenario = bare_scenario(
        {"users": 300, "think": "exponential(100ms)"}, {"service_time": "10ms"}, duration="30s", warmup="5s"
    )
    assert simulate(scenario, costs=Costs.zero()).settled


def test_driftless_random_walks_raise_no_more_alarms_than_promised() -> None:
    """The worst stable case, a load of one: reflected walks, 5,000 of them, at most 1 in 1000 (binomial)."""
    rng = np.random.default_rng(6)
    alarms = 0
    for _ in range(5000):
        walk = np.cumsum(rng.normal(size=2000))
        inside = walk - np.minimum.accumulate(np.minimum(walk, 0))
        alarms += not settled([inside[:: 2000 // 20]], 10.0)
    assert alarms < 5 + 4.9 * np.sqrt(5)


def test_a_deterministic_growth_is_an_overload() -> None:
    assert not settled([np.arange(21) * 7.0], 1.0, "the queue")
    assert settled([np.zeros(21)], 1.0)


# -- coordinated omission ---------------------------------------------------------------------------


def test_a_generator_that_sends_on_time_omits_nothing(bare_scenario: Callable[..., Scenario]) -> None:
    records = simulate(bare_scenario({"rate": "50/s"}, {"service_time": "10ms"}, duration="5s")).records
    found = coordinated_omission(records)
    assert np.array_equal(found.from_due, found.from_sent)
    assert found.understated() == 1.0


def test_one_connection_hides_all_waiting(bare_scenario: Callable[..., Scenario]) -> None:
    """The one server's queue moves into the generator: the same answers, at the same times."""
    open_load, backend = {"rate": "80/s"}, {"service_time": "exponential(10ms)"}
    free = simulate(bare_scenario(open_load, backend), costs=Costs.zero())
    short = simulate(bare_scenario({**open_load, "connections": 1}, backend), costs=Costs.zero())
    assert np.array_equal(free.records.done, short.records.done)
    assert np.array_equal(free.records.due, short.records.due)
    assert free.summary == short.summary, "response counts from the due time"
    found = coordinated_omission(short.records, (0, 100))
    assert (found.from_sent <= found.from_due).all()
    assert found.from_sent.mean() == pytest.approx(0.01, rel=0.05), "the work alone"
    assert found.understated() > 3


def test_never_more_requests_are_under_way_than_connections(bare_scenario: Callable[..., Scenario]) -> None:
    scenario = bare_scenario(
        {"rate": "200/s", "connections": 3}, {"service_time": "10ms", "concurrency": 9}, duration="5s"
    )
    result = simulate(scenario, costs=Costs.zero())
    assert result.queues["proxy"].values.max() == 3
    assert (result.records.sent >= result.records.due).all()
