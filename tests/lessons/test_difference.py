"""One sign for all differences in lessons, the sign of a confirmation; and orders that do not pretend."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lessons.forward.shared_cache import share
from lessons.forward.shared_cache_measured import sharing_table
from lessons.kit import Order, Predictions, measured_order, side_by_side
from lessons.kit.difference import difference
from lessons.not_only_http.tunnel_measured import WaysMeasured
from scenarios.loading import LoadedScenario
from simulator import simulate
from twin.confirm import compare
from twin.confirm.outcome import Confirmation

SHOWN = re.compile(r"[+-]\d+\.\d (?:%|pp)")


def seen(shown: str) -> list[str]:
    return SHOWN.findall(shown)


@pytest.mark.parametrize(
    ("predicted", "measured", "unit", "said"),
    [
        (110.0, 100.0, "ms", "+10.0 %"),
        (90.0, 100.0, "ms", "-10.0 %"),
        (26.0, 25.0, "%", "+1.0 pp"),
        (25.0, 26.0, "%", "-1.0 pp"),
        (2.0, 2.0, "", "+0.0 %"),
        (0.0, 0.0, "ms", "+0.0 %"),
        (1.0, 0.0, "ms", "–"),
        (1e-9, 0.0, "%", "+0.0 pp"),
        (-1e-9, 0.0, "%", "+0.0 pp"),
    ],
)
def test_a_plus_means_that_the_prediction_was_too_high(
    predicted: float, measured: float, unit: str, said: str
) -> None:
    assert difference(predicted, measured, unit) == said


def test_every_table_of_the_lessons_has_this_sign() -> None:
    """A prediction above the measurement gets a plus in each of them."""
    assert seen(side_by_side({"mean": (110.0, 100.0, "ms")})._repr_html_()) == ["+10.0 %"]
    assert seen(side_by_side({"hits": (60.0, 50.0, "%")})._repr_html_()) == ["+10.0 pp"]
    assert seen(WaysMeasured({"CONNECT": 110.0}, {"CONNECT": [100.0]})._repr_html_()) == ["+10.0 %"]
    below = share(4, 0.9).shared - 0.1
    assert seen(sharing_table({4: below}, 0.9)) == ["+10.0 pp"]
    mine = Predictions()
    mine.number("it", "?", 110)
    mine.measured("it", 100)
    assert mine.closeness("it") == "10 % too high"


@pytest.mark.parametrize("row", [(None, 1.5, "s"), (1.5, None, "s"), (None, None, "s")])
def test_a_number_that_is_not_known_has_no_difference(row: tuple[float | None, float | None, str]) -> None:
    shown = repr(side_by_side({"rolled back after": row}))
    assert shown.endswith("| –") and shown.count("–") == 1 + row.count(None)


@given(st.floats(1, 1e6), st.floats(1, 1e6))
def test_the_sign_and_the_size_are_those_of_a_confirmation(predicted: float, measured: float) -> None:
    relative = compare._apart(predicted, measured, "mean_ms")
    assert relative is not None
    assert difference(predicted, measured, "ms") == f"{round(100 * relative, 1) + 0.0:+.1f} %"
    points = compare._apart(predicted / 1e6, measured / 1e6, "hit_ratio")
    assert points is not None
    assert float(difference(predicted / 1e4, measured / 1e4, "%")[:-3]) == pytest.approx(
        100 * points, abs=0.06
    )


@pytest.fixture(scope="module")
def found(load: Callable[..., LoadedScenario], confirmation: Callable[..., Confirmation]) -> Confirmation:
    return confirmation(load())


def with_apart(found: Confirmation, apart: tuple[tuple[int, int], ...]) -> Confirmation:
    ranking = compare.Ranking("p99_ms", [1, 0], [1, 0], 1.0 if apart else None, len(apart), apart)
    return replace(found, rankings={"p99_ms": ranking})


def test_a_measured_order_is_one_only_where_it_can_be_told(found: Confirmation) -> None:
    told = measured_order(with_apart(found, ((0, 1),)))
    assert str(told) == "least_requests < round_robin" and told.pairs == [("least_requests", "round_robin")]
    assert str(measured_order(with_apart(found, ()))) == "cannot be told apart"


def test_a_void_run_orders_nothing(found: Confirmation) -> None:
    void = replace(with_apart(found, ((0, 1),)), void=["it was late"])
    assert measured_order(void).pairs == []


@given(st.permutations(["a", "b", "c", "d"]), st.sets(st.sampled_from(["ab", "ac", "ad", "bc", "bd", "cd"])))
def test_an_order_has_a_sign_between_neighbours_that_can_be_told_apart_only(
    names: list[str], decided: set[str]
) -> None:
    order = Order.where(names, lambda one, other: "".join(sorted((one, other))) in decided)
    assert len(order.pairs) == len(decided)
    if decided:
        signs = str(order).split()[1::2]
        pairs = itertools.pairwise(names)
        assert signs == ["<" if "".join(sorted(pair)) in decided else "≈" for pair in pairs]


def test_a_ranking_names_the_pairs_that_it_counts(load: Callable[..., LoadedScenario]) -> None:
    runs = [simulate(variant.scenario, 3).runs for variant in load().variants]
    figures = compare.intervals([[run.summary for run in each] for each in runs], "p99_ms")
    ranking = compare.ranking(figures, figures, "p99_ms")
    assert ranking.decided == len(ranking.apart)
    assert all(not figures[one].overlaps(figures[other]) for one, other in ranking.apart)
