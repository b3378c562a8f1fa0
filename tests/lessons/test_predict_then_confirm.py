"""Lesson 1: its simulations and figures over the whole range of the sliders, and the laws that they obey."""

from __future__ import annotations

import io
import itertools
import time
from collections.abc import Callable, Iterator

import matplotlib.image
import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from lessons.kit.display import png
from lessons.predict_then_confirm import (
    BALANCERS,
    busy_share,
    explore_balancers,
    figure_of_balancers,
    figure_of_throughput,
    simulate_balancers,
    slow_server,
    throughput_by_users,
)
from lessons.predict_then_confirm.balancers import _simulated, answered_in
from lessons.predict_then_confirm.explorer import SLOWNESS, USERS
from policies import Balancer, balancing_policies, balancing_policy
from simulator import simulate
from twin.plots.style import PREDICTED

CORNERS = list(itertools.product(USERS[:2], SLOWNESS[:2]))


@pytest.fixture
def own_policy() -> Iterator[str]:
    @balancing_policy("always_last")
    class AlwaysLast(Balancer):
        def pick(self, key: str | None, now: float) -> int:
            return self.upstreams.available[-1]

    yield "always_last"
    del balancing_policies._classes["always_last"]


def colours(figure: Figure) -> set[str]:
    return {to_hex(line.get_color()) for panel in figure.axes for line in panel.get_lines()}


@pytest.mark.parametrize(("users", "slowness"), CORNERS)
def test_every_corner_of_the_sliders_is_answered_in_under_a_second(
    users: int, slowness: float, in_a_second: Callable[[Callable[[], bytes]], bytes]
) -> None:
    def answer() -> bytes:
        _simulated.cache_clear()
        return png(figure_of_balancers(simulate_balancers(users, slowness), "p2c"))

    data = in_a_second(answer)
    assert matplotlib.image.imread(io.BytesIO(data)).shape[:2] == (363, 1210)


def test_the_picture_shows_every_balancer_in_the_colour_of_predictions() -> None:
    figure = figure_of_balancers(simulate_balancers(20, 3.0), "p2c")
    tails, p99s, replicas = figure.axes
    assert {text.get_text() for text in tails.get_legend().get_texts()} == set(BALANCERS)
    assert [text.get_text() for text in p99s.get_yticklabels()] == list(BALANCERS)
    assert len(replicas.patches) == 4 and "p2c" in replicas.get_title()
    assert colours(figure) == {PREDICTED}
    assert all(panel.get_xlabel() for panel in figure.axes), "an axis without a unit"


def test_axes_stand_still_while_a_slider_moves() -> None:
    one, other = (figure_of_balancers(simulate_balancers(*corner)) for corner in (CORNERS[0], CORNERS[-1]))
    for before, after in zip(one.axes, other.axes, strict=True):
        assert before.get_xlim() == after.get_xlim() and before.get_ylim() == after.get_ylim()


@pytest.mark.parametrize(("users", "slowness"), CORNERS)
def test_nothing_lies_beyond_the_axes(users: int, slowness: float) -> None:
    results = simulate_balancers(users, slowness)
    tails, p99s, _ = figure_of_balancers(results).axes
    for look in results.values():
        assert tails.get_xlim()[0] < np.median(look.times) * 1e3 < tails.get_xlim()[1]
        assert p99s.get_xlim()[0] < look.summary.p99_ms < p99s.get_xlim()[1]


def test_what_is_foreseen_is_what_the_simulator_says() -> None:
    result = simulate_balancers(20, 4.0, ["random"])["random"]
    scenario = slow_server(20, 4.0, ["random"]).variants[0].scenario
    assert result.summary == simulate(scenario).summary
    assert scenario.backend["web"].slow == {3: 4.0}
    assert result.slow_share == result.summary.upstream_share["web/3"]
    assert result.times[0] > 0 and (np.diff(result.times) >= 0).all()


def test_a_policy_of_ones_own_is_foreseen_and_one_defined_anew_is_not_remembered(own_policy: str) -> None:
    assert simulate_balancers(10, 2.0, [own_policy])[own_policy].slow_share == 1.0

    @balancing_policy(own_policy)
    class AlwaysFirst(Balancer):
        def pick(self, key: str | None, now: float) -> int:
            return self.upstreams.available[0]

    assert simulate_balancers(10, 2.0, [own_policy])[own_policy].slow_share == 0.0
    assert figure_of_balancers(simulate_balancers(10, 2.0, [*BALANCERS, own_policy]), own_policy)


def test_a_slider_changes_the_picture_in_place() -> None:
    explorer = explore_balancers(users=20, slowness=3.0)
    before, said = explorer.picture.data, explorer._note.value
    explorer.slowness.value = 6.0
    assert (
        explorer.picture.data == png(figure_of_balancers(simulate_balancers(20, 6.0), BALANCERS[0])) != before
    )
    explorer.balancer.value = "least_requests"
    assert explorer.picture.data == png(figure_of_balancers(simulate_balancers(20, 6.0), "least_requests"))
    explorer.users.value = 40
    assert explorer.picture.data == png(figure_of_balancers(simulate_balancers(40, 6.0), "least_requests"))
    assert explorer._note.value != said and "simulated requests" in said


def test_how_long_an_answer_took_is_said_with_how_much_was_simulated() -> None:
    results = simulate_balancers(10, 1.0, ["random"])
    text = answered_in(results, time.perf_counter() - 0.5)
    assert text.startswith(f"{results['random'].summary.requests:,} simulated requests")
    assert "0.5" in text


def test_a_replica_is_busy_as_the_utilisation_law_says() -> None:
    """Busy share = throughput x work / slots, apart from requests that cross the edges of the window."""
    scenario = slow_server(60, 3.0, ["random"], duration_s=30).variants[0].scenario
    run = simulate(scenario).runs[0]
    inside = run.records.within(scenario.window)
    busy = busy_share(run, scenario)
    for number, name in enumerate(scenario.replicas):
        rate = np.count_nonzero(inside.upstream == number) / 24.0
        work = 0.020 * scenario.backend["web"].slowness(number)
        assert busy[name] == pytest.approx(rate * work / 4, rel=0.08)


def test_a_saturated_replica_is_busy_all_the_time_and_never_more() -> None:
    scenario = slow_server(120, 8.0, ["round_robin"]).variants[0].scenario
    busy = busy_share(simulate(scenario).runs[0], scenario)
    assert busy["web/3"] == pytest.approx(1.0, abs=0.01)
    assert all(0 < share <= 1 + 1e-12 for share in busy.values())


def test_simulated_throughput_keeps_to_the_bounds_that_the_figure_shows() -> None:
    scenario = slow_server(balancers=["round_robin"], duration_s=20).variants[0].scenario
    capacity, delay = 16 / 0.060, 0.290
    found = throughput_by_users(scenario, [20, 140])
    assert found[20] == pytest.approx(20 / delay, rel=0.05)
    assert found[140] == pytest.approx(capacity, rel=0.05)
    figure = figure_of_throughput(found, delay, capacity)
    assert "knee: 77 users" in [text.get_text() for text in figure.axes[0].texts]
    assert PREDICTED in colours(figure)


def test_a_knee_beyond_the_picture_is_not_pointed_at() -> None:
    assert not figure_of_throughput({10: 34.0}, 0.29, 266.7).axes[0].texts
