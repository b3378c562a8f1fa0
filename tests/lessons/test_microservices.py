"""Lesson 9, microservices: formulas against the simulator, sliders over their whole range, the exercise."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable
from math import inf, isinf, isnan
from types import SimpleNamespace
from typing import Any

import matplotlib.image
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from lessons.kit import Exercise
from lessons.kit.display import png
from lessons.microservices import (
    BUDGET,
    DEADLINE,
    FREE,
    PAGE,
    REMEDIES,
    explore_limits,
    explore_pages,
    explore_storm,
    fan_out,
    figures,
    finite_queue,
    fork_join_ms,
    good_after,
    harmonic,
    healing_s,
    heals,
    limited,
    limits,
    measured,
    page_ms,
    picture_of_storms,
    remedies,
    retries,
    simulated_limit,
    simulated_pages,
    simulated_storm,
    slow_pages,
    storm,
    storm_of,
    storm_runs,
    storm_variant,
    ten_remedies,
)
from lessons.microservices.exercise import _CASES, _budget, _examine, _mistake
from lessons.microservices.fan_out import CALL_MS
from policies.concurrency import concurrency_limits
from scenarios.loading import Variant, load_scenario
from scenarios.schema import check_real
from simulator import simulate

DRAWINGS: dict[str, tuple[Callable[..., Figure], tuple[tuple[float, float, float], ...]]] = {
    "pages": (
        lambda calls, percent: figures.figure_of_pages(int(calls), percent / 100),
        (figures.CALLS, figures.SLOW_PERCENT),
    ),
    "storm": (
        lambda load, percent, outage, most: figures.figure_of_storm(
            load, min(percent / 100, most), outage, int(most), 1.0
        ),
        (figures.LOADS_RPS, figures.BUDGETS_PERCENT, figures.OUTAGES_S, figures.RETRIES),
    ),
    "limits": (
        lambda load, slower: figures.figure_of_limits(load, slower, "vegas"),
        (figures.LOADS, figures.SLOWER),
    ),
}  # fmt: skip
CORNERS = [
    (name, corner)
    for name, (_, spans) in DRAWINGS.items()
    for corner in itertools.product(*(span[:2] for span in spans))
]
REMEMBERED = (fan_out.simulated_pages, storm.simulated_storm, limits.remembered_limit)


@pytest.mark.parametrize(("calls", "times"), [(1, 1.0), (10, 2.929), (100, 5.1874)])
def test_the_mean_of_the_slowest_is_the_harmonic_number(calls: int, times: float) -> None:
    assert harmonic(calls) == pytest.approx(times, abs=1e-3)
    assert page_ms(calls) == pytest.approx(CALL_MS * harmonic(calls), rel=1e-4)


@pytest.mark.parametrize(("calls", "slow"), [(1, 0.05), (10, 0.01), (20, 0.02), (50, 0.0)])
def test_pages_are_simulated_as_the_formulas_say(calls: int, slow: float) -> None:
    """At least 120 pages, seeds fixed: within five standard errors, of which one is below 60 ms / 11."""
    found = simulated_pages(calls, slow)
    assert found.mean_ms == pytest.approx(page_ms(calls, slow), abs=5 * 60 / (6000 / calls) ** 0.5)
    assert found.slow == pytest.approx(slow_pages(calls, slow), abs=5 * 0.5 / (6000 / calls) ** 0.5)


def test_a_second_attempt_makes_slow_pages_rare() -> None:
    assert slow_pages(100, 0.01) == pytest.approx(0.634, abs=5e-4)
    assert slow_pages(100, 0.01, attempts=2) == pytest.approx(0.00995, abs=5e-5)
    assert slow_pages(7, 1.0) == 1.0 and slow_pages(7, 0.0) == 0.0


def test_fork_and_join_takes_longer_than_one_queue_and_less_than_two() -> None:
    for load in (0.1, 0.5, 0.9):
        alone = CALL_MS / (1 - load)
        assert alone < fork_join_ms(load) < 2 * alone
    assert fork_join_ms(0.0) == pytest.approx(CALL_MS * harmonic(2))


@pytest.mark.parametrize(
    ("budget", "fits"), [(0.0, True), (0.2, True), (0.4, True), (0.6, False), (1.0, False), (3.0, False)]
)
def test_a_budget_heals_if_and_only_if_all_attempts_fit(budget: float, fits: bool) -> None:
    assert heals(65, budget) == fits
    found = simulated_storm(65, budget, 0.6)
    assert (found.healed_s is not None) == fits
    if fits:
        assert found.healed_s == pytest.approx(healing_s(65, budget, 0.6), abs=0.4)
    else:
        assert isinf(healing_s(65, budget, 0.6)) and found.at_the_end == 0.0


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_what_heals_does_not_depend_on_the_seed(seed: int) -> None:
    healed = []
    for name, settings in REMEDIES.items():
        scenario = storm_variant(settings).scenario.model_copy(update={"seed": seed})
        if storm_of(Variant({}, scenario)).healed_s is not None:
            healed.append(name)
    assert healed == remedies.healing()


def test_the_remedies_are_those_of_the_shipped_scenario() -> None:
    shipped = load_scenario("retry-storm")
    service = [variant.scenario.proxy.service["web"] for variant in shipped.variants]
    ours = [storm_variant(settings).scenario.proxy.service["web"] for settings in REMEDIES.values()]
    assert len(ours) == 10 and all(one in service for one in ours)
    mine = storm_variant({"retry": {"attempts": 4}}).scenario
    assert mine.backend == shipped.scenario.backend and mine.workload == shipped.scenario.workload


def test_attempts_are_more_than_good_answers_and_the_queue_grows_in_a_storm() -> None:
    free, budget = simulated_storm(65, 3.0, 0.6), simulated_storm(65, 0.2, 0.6)
    assert free.attempts_at_the_end > 2 * storm.CAPACITY_RPS > 0 == free.at_the_end
    assert free.queue[-1] > 20 * storm.CAPACITY_RPS * storm.LIMIT_S
    assert budget.queue[-1] < storm.CAPACITY_RPS * storm.LIMIT_S < budget.queue.max()


def test_the_students_list_is_compared_and_a_wrong_name_is_explained() -> None:
    assert (
        "You were right about 10 of 10"
        in ten_remedies(remedies.healing())._repr_mimebundle_()[0]["text/html"]
    )
    assert ten_remedies(["backoff"]).right == 3
    for nothing in (None, ..., []):
        shown = ten_remedies(nothing)._repr_mimebundle_()[0]["text/html"]
        assert "You were right" not in str(shown) and str(shown).count("<tr>") == 11
    assert "unknown name 'bakoff' (did you mean 'backoff'?)" in ten_remedies(["bakoff"]).problem
    for wrong in ("backoff", 7):
        assert "expected a list of names" in ten_remedies(wrong).problem
    assert "backoff: never" in repr(ten_remedies())


def test_a_fixed_limit_is_a_finite_queue() -> None:
    """Published values; the simulated work is less random than exponential, so it loses no more."""
    for places, refused, mean in ((10, 0.41034, 1.0), (20, 0.33442, 1.8074), (40, 0.33333, 3.8)):
        assert finite_queue(1.5, places) == (pytest.approx(refused, abs=5e-6), pytest.approx(mean, abs=5e-4))
    found = simulated_limit("fixed", 1.5, duration_s=40.0)
    assert found.refused == pytest.approx(finite_queue(1.5, 20)[0], abs=0.02)
    assert found.mean_ms == pytest.approx(limits.WORK_MS * finite_queue(1.5, 20)[1], rel=0.05)


@pytest.mark.parametrize("policy", limits.LIMITS)
def test_under_overload_all_slots_are_busy_and_only_without_a_limit_it_takes_long(policy: str) -> None:
    found = simulated_limit(policy, 1.5)
    assert found.goodput > 0.97
    assert (found.mean_ms > 1_000) == (policy == "no limit")
    if policy == "vegas":
        assert found.mean_ms < 1.7 * limits.WORK_MS


def test_a_service_that_becomes_slow_lets_aimd_collapse_and_vegas_recover() -> None:
    aimd, vegas = (simulated_limit(name, 0.6, 3.0, 240.0) for name in ("aimd", "vegas"))
    assert aimd.done[-20:].mean() < 0.12
    assert 0.5 < vegas.done[4:40].mean() < 0.8
    assert vegas.done[-20:].mean() > 0.9


def test_no_answers_have_no_mean_and_a_limit_of_ones_own_can_be_tried() -> None:
    class Shut(concurrency_limits["fixed"]):  # type: ignore[misc]
        def limit(self, now: float) -> int:
            return 1 if now < 1 else 2

    concurrency_limits.register("shut")(Shut)
    try:
        assert limited("shut", 0.5).variants[0].scenario.proxy.service["web"].limit.policy == "shut"
        assert simulated_limit("shut", 0.5).goodput < 0.3
    finally:
        del concurrency_limits._classes["shut"]


@pytest.mark.parametrize(("name", "corner"), CORNERS)
def test_every_corner_of_the_sliders_is_answered_in_under_a_second(
    name: str, corner: tuple[float, ...], in_a_second: Callable[[Callable[[], bytes]], bytes]
) -> None:
    def answer() -> bytes:
        for function in REMEMBERED:
            function.cache_clear()
        return png(DRAWINGS[name][0](*corner))

    assert matplotlib.image.imread(io.BytesIO(in_a_second(answer))).shape[:2] == (363, 1100)


@pytest.mark.parametrize("name", DRAWINGS)
def test_axes_stand_still_and_say_what_they_show(name: str) -> None:
    draw, spans = DRAWINGS[name]
    corners = [draw(*(span[place] for span in spans)).axes for place in (0, 1)]
    for low, high in zip(*corners, strict=True):
        assert (low.get_xlim(), low.get_ylim()) == (high.get_xlim(), high.get_ylim())
        assert low.get_xlabel() and low.get_ylabel() and low.get_title()


def test_a_slider_changes_the_picture_and_what_is_said() -> None:
    explorer = explore_storm()
    before = explorer.picture.data
    said = explorer._note.value
    assert said == "λ(1+b) = 260 ≥ 100. Simulated: not healed. Formula: never, once it has begun"
    explorer.budget.value = 20
    assert explorer._note.value.startswith(
        "λ(1+b) = 78 < 100. Simulated: healed after 0.96 s. Formula: 0.95 s"
    )
    assert explorer.picture.data != before
    explorer.retries.value = 0
    assert explorer._note.value.startswith("λ(1+b) = 65 < 100")
    pages = explore_pages(100, 1.0)
    assert "63% of the pages" in pages._note.value
    overload = explore_limits()
    before = overload.picture.data
    overload.chosen.value = "aimd"
    assert overload.picture.data != before
    overload.load.value, overload.slower.value = 0.6, 3.0
    assert "aimd: 11% of what it can do" in overload._note.value


def test_a_mean_of_nothing_is_said_in_words() -> None:
    from lessons.microservices.explorers import _ms

    assert _ms(float("nan")) == "no answers" and _ms(2623.4) == "mean 2,620 ms"
    assert isnan(good_after(simulate(storm_runs().variants[1].scenario).records, seconds=99.0))


def test_the_runs_of_the_lesson_can_be_measured_and_show_what_it_says() -> None:
    runs = {variant.label: variant.scenario for variant in storm_runs().variants}
    assert list(runs) == [PAGE, FREE, BUDGET, DEADLINE]
    for scenario in runs.values():
        check_real(scenario, "the lesson")
    found = {label: simulate(scenario).runs[0] for label, scenario in runs.items()}
    assert found[PAGE].summary.mean_ms == pytest.approx(page_ms(5), rel=0.15)
    assert good_after(found[FREE].records) == 0.0 and found[FREE].summary.recovery_s is None
    for label in (BUDGET, DEADLINE):
        assert good_after(found[label].records) == 1.0
    deadline, budget = (found[label].summary.recovery_s for label in (DEADLINE, BUDGET))
    assert deadline is not None and budget is not None and deadline < budget < 1.5


@given(
    load=st.floats(1, 100),
    capacity=st.floats(1, 1000),
    outage=st.floats(0.1, 100),
    within=st.floats(0.1, 1e4),
)
def test_the_solution_inverts_the_formula(load: float, capacity: float, outage: float, within: float) -> None:
    attempts = load * (1 + _budget(load, capacity, outage, within))
    assert attempts < capacity
    assert attempts * outage / (capacity - attempts) == pytest.approx(within, rel=1e-6)


CASE = (70.0, 100.0, 10.0, 60.0)
RIGHT = _budget(*CASE)


@pytest.mark.parametrize(
    ("given", "finding"),
    [
        (100 / 70 - 1, "never shrinks"),
        (1 + RIGHT, "attempts per request"),
        (70 * (1 + RIGHT), "attempts per second"),
        (70 * RIGHT, "retries per second"),
        (100 / 70 - 10 / 60 - 1, "retries have also filled it"),
        (100 * RIGHT, "a percentage"),
        (-0.2, "not negative"),
        (0.7, "more than the server can do"),
        (0.1, "heals after 33.48 s, not after 60 s"),
        (inf, "more than the server can do"),
    ],
)
def test_a_known_mistake_is_called_by_its_name(given: float, finding: str) -> None:
    assert finding in _mistake(given, *CASE)


@pytest.mark.parametrize("case", _CASES)
def test_the_solution_is_right_and_a_constant_is_not(case: tuple[float, float, float, float]) -> None:
    exercise = Exercise(_examine, ["a", "b", "c"], "why")
    assert exercise.check(lambda c, m, d, t: m * t / (c * (t + d)) - 1).right is True
    value = _budget(*case)
    assert exercise.check(lambda _load, _most, _outage, _within: np.float64(value)).right is False


def test_retries_without_a_budget_have_none() -> None:
    assert retries() == {"retry": {"attempts": 4}}
    assert retries(0.2, most=1) == {"retry": {"attempts": 2, "budget": 0.2}}


def test_the_picture_of_the_storms_shows_both_twins_from_the_start() -> None:
    outcomes: dict[str, Any] = {}
    for variant in storm_runs().variants:
        records = simulate(variant.scenario).records
        late = records.within(variant.scenario.window)
        outcomes[variant.label] = SimpleNamespace(
            variant=variant, from_the_start=(records, records), predicted_records=late, measured_records=late
        )
    picture = picture_of_storms(outcomes)
    assert "free retries: 0% predicted, 0% measured; budget 0.2: 100% predicted" in picture.description
    figure = measured.figure_of_storms(outcomes)
    for panel, end in zip(figure.axes, (0, 100, 100), strict=True):
        for line in panel.lines:
            seen = np.asarray(line.get_ydata())
            assert seen[0] == 100 and seen[-1] == end and len(seen) > 12
    outcomes[FREE].from_the_start = None
    assert measured.both(outcomes[FREE]) == (outcomes[FREE].predicted_records,) * 2
