"""Lesson 10, both at once: its formula, its networks over the range of the sliders, and real proxies."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable

import matplotlib.image
import numpy as np
import pytest
from matplotlib.figure import Figure

from lessons.both_at_once import (
    BY_PATH,
    BY_TURNS,
    both_ways,
    busiest_shield,
    clients_at_the_site,
    cold_shield,
    explore_row,
    explore_shields,
    row_run,
    saved_by_hashing,
    shares_by_formula,
    shares_of,
    shield_runs,
    sidecars,
    simulated_shares,
)
from lessons.both_at_once.exercise import _CASES, _examine, _mistake, _reaching
from lessons.both_at_once.figures import (
    EDGES,
    FIRST,
    ROOM,
    SECOND,
    SHIELDS,
    figure_of_row,
    figure_of_shields,
)
from lessons.both_at_once.formulas import OBJECTS, chances, characteristic_time
from lessons.both_at_once.networks import EDGE_PLACES, network
from lessons.kit import Exercise
from lessons.kit.display import png
from scenarios.schema import check_real
from simulator import simulate

ROWS = list(itertools.product(FIRST[:2], SECOND[:2]))
HIERARCHIES = list(itertools.product(EDGES[:2], SHIELDS[:2], ROOM[:2], (False, True)))


# -- the formula ---------------------------------------------------------------------------------


def test_in_the_characteristic_time_as_many_objects_are_requested_as_the_cache_holds() -> None:
    time = characteristic_time(chances(), 100)
    assert (1 - np.exp(-chances() * time)).sum() == pytest.approx(100, rel=1e-6)
    assert characteristic_time(chances(), OBJECTS) == float("inf")


def test_of_equally_popular_objects_a_cache_has_the_share_that_it_holds() -> None:
    even = np.full(50, 0.02)
    assert 1 - np.exp(-even[0] * characteristic_time(even, 20)) == pytest.approx(0.4)


def test_two_shields_by_path_are_one_of_twice_the_size_and_by_turns_about_one() -> None:
    two = [shares_by_formula(50, 100, shields=2, by_path=way).behind for way in (False, True)]
    one, double = (shares_by_formula(50, room).behind for room in (100, 200))
    assert two[1] == pytest.approx(double)
    assert one < two[0] < one + 0.03
    for count in (1, 2, 4):
        assert sum(shares_by_formula(50, 100, shields=count)) == pytest.approx(1.0)


@pytest.mark.parametrize(("first", "second"), [(100, 100), (100, 400), (400, 100), (20, 800)])
def test_the_formula_of_a_row_is_what_is_simulated(first: int, second: int) -> None:
    """Che's approximation: within two percentage points, with a minute of requests."""
    seen = simulated_shares(first, second, forward=True, duration_s=60)
    assert seen == pytest.approx(shares_by_formula(first, second), abs=0.02)


@pytest.mark.parametrize(("edges", "shields", "room", "by_path"), [(3, 2, 200, True), (3, 3, 200, False)])
def test_the_formula_of_a_hierarchy_is_what_is_simulated(
    edges: int, shields: int, room: int, by_path: bool
) -> None:
    seen = simulated_shares(EDGE_PLACES, room, edges, shields, by_path=by_path, duration_s=60)
    assert seen == pytest.approx(
        shares_by_formula(EDGE_PLACES, room, edges, shields, by_path=by_path), abs=0.02
    )


# -- the explorers -------------------------------------------------------------------------------

DRAWN: list[Callable[[], Figure]] = [
    *(lambda row=row: figure_of_row(*row) for row in ROWS),  # type: ignore[misc]
    *(lambda one=one: figure_of_shields(*one[:3], by_path=one[3]) for one in HIERARCHIES[::3]),  # type: ignore[misc]
]


@pytest.mark.parametrize("draw", DRAWN[::3])
def test_a_corner_of_the_sliders_is_answered_in_under_a_second(
    draw: Callable[[], Figure], in_a_second: Callable[[Callable[[], bytes]], bytes]
) -> None:
    def answer() -> bytes:
        simulated_shares.cache_clear()
        return png(draw())

    assert matplotlib.image.imread(io.BytesIO(in_a_second(answer))).shape[:2] == (363, 1100)


@pytest.mark.parametrize("drawn", [DRAWN[: len(ROWS)], DRAWN[len(ROWS) :]], ids=["row", "shields"])
def test_axes_stand_still_and_nothing_lies_beyond_them(drawn: list[Callable[[], Figure]]) -> None:
    figures = [draw() for draw in drawn]
    assert len({tuple((one.get_xlim(), one.get_ylim()) for one in figure.axes) for figure in figures}) == 1
    for figure in figures:
        assert all(panel.get_xlabel() and panel.get_title() for panel in figure.axes)
        right = figure.axes[1]
        highest = max(np.max(line.get_ydata()) for line in right.get_lines() if len(line.get_ydata()) != 2)
        assert highest < right.get_ylim()[1]


def test_a_slider_changes_the_picture_in_place() -> None:
    explorer = explore_row(100, 100)
    before = explorer.picture.data
    explorer.second.value = 400
    assert explorer.picture.data == png(figure_of_row(100, 400)) != before
    assert "reverse proxy 23" in explorer.picture.alt or "reverse proxy 24" in explorer.picture.alt


def test_the_shields_explorer_follows_all_of_its_controls() -> None:
    explorer = explore_shields(2, 2, 200)
    explorer.way.value = "by path"
    explorer.shields.value = 3
    assert explorer.picture.data == png(figure_of_shields(2, 3, 200, by_path=True))
    assert "chooses its shield: by path" in explorer.picture.alt


# -- the runs ------------------------------------------------------------------------------------


def test_the_runs_of_the_lesson_can_be_measured_and_differ_only_in_the_choice() -> None:
    for loaded in (shield_runs(), row_run(), network(20, 100, 3, 2)):
        for variant in loaded.variants:
            check_real(variant.scenario, "the lesson")
    turns, path = (variant.scenario for variant in shield_runs().variants)
    assert [one.chain[0].service["behind"].balance for one in (turns, path)] == [BY_TURNS, BY_PATH]
    assert turns.chain[1:] == path.chain[1:]


def test_the_luck_of_the_short_runs_is_ordinary() -> None:
    """What a student sees in a few seconds is what he would see in a minute, within four points."""
    short = saved_by_hashing(*(simulate(one.scenario).summary for one in shield_runs().variants))
    long = saved_by_hashing(*(simulate(one.scenario).summary for one in shield_runs(60, 5).variants))
    assert short == pytest.approx(long, abs=4.0)
    row = shares_of(simulate(row_run().scenario).summary)
    assert row.behind == pytest.approx(simulated_shares(100, 100, forward=True).behind, abs=0.01)


def test_the_busiest_shield_is_that_of_the_most_popular_object() -> None:
    assert 0.25 < busiest_shield(0.9) < 0.27
    assert busiest_shield(2.0) > 1 / 1.65, "more than the first object alone"


# -- real proxies --------------------------------------------------------------------------------


def test_behind_a_forward_proxy_the_site_sees_one_client() -> None:
    directly, through = both_ways().rows
    assert directly[2:] == ["40", "1.1 proxytwin"]
    assert through[2:] == ["1", "1.1 proxytwin, 1.1 proxytwin"]
    clients, seen = clients_at_the_site(3, through_forward=False)
    assert clients == 3 and seen.target == "/"


def test_only_the_named_caller_gets_through_the_sidecars() -> None:
    front, guest, stranger = sidecars().rows
    assert front[2] == "200" and "`/items`, Host: cart, Via: 1.1 proxytwin, 1.1 proxytwin" in front[3]
    assert guest[2:] == ["403", "nothing"]
    assert stranger[2:] == ["connection refused: no certificate", "nothing"]
    assert "<table" in sidecars()._repr_html_()


# -- the exercise --------------------------------------------------------------------------------


@pytest.mark.parametrize("case", _CASES)
def test_a_warm_shield_more_would_spare_what_it_answers(case: tuple[float, float, float, int]) -> None:
    rate, edge, shield, shields = case
    warm = rate * (1 - edge) * (1 - shield)
    assert _reaching(*case) - warm == pytest.approx(rate * (1 - edge) * shield / shields)


@pytest.mark.parametrize(
    ("given", "finding"),
    [
        (180.0, "while all shields are warm"),
        (600.0, "what all shields together are asked for"),
        (475.0, "The edges answer their share first"),
        (150.0, "the cold shield alone"),
        (135.0, "what the warm shields ask for"),
        (495.0, "Only one is *cold*"),
        (0.285, "Multiply by `rate`"),
        (1200.0, "more than all clients"),
        (-1.0, "gets nothing"),
        (100.0, "the share 0.1 of all"),
    ],
)
def test_a_known_mistake_is_called_by_its_name(given: float, finding: str) -> None:
    assert finding in _mistake(given, *_CASES[0])


def test_shares_that_are_added_instead_of_multiplied_are_named() -> None:
    rate, edge, shield, shields = _CASES[0]
    given = rate * (1 - edge - shield * (1 - 1 / shields))
    assert "of the requests that the shield *sees*" in _mistake(given, *_CASES[0])


def test_the_solution_is_right_and_that_of_warm_shields_is_not() -> None:
    exercise = Exercise(_examine, ["a", "b", "c"], "why")
    right = exercise.check(
        lambda rate, edge, shield, shields: rate * (1 - edge) * (1 - shield * (1 - 1 / shields))
    )
    assert right.right is True
    wrong = exercise.check(lambda rate, edge, shield, _shields: rate * (1 - edge) * (1 - shield))
    assert wrong.right is False and "warm" in wrong.text
    assert cold_shield is not None
