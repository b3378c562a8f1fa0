"""Lesson 6, caching: its formulas, simulations, figures over the whole range of the sliders, and exercise."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable
from typing import Any

import matplotlib.image
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from lessons.caching import (
    cache_size,
    caching_runs,
    characteristic_time_hits,
    expiry,
    expiry_figures,
    explore_capacity,
    explore_lifetimes,
    explore_stampede,
    explore_windows,
    hits_by_policy,
    most_popular_kept,
)
from lessons.caching.exercise import _CASES, _examine, _needed, lifetime_needed
from lessons.caching.explorers import CacheExplorer
from lessons.caching.scenarios import FETCH_S, FRESH_S, PAGE_RPS, long_run
from lessons.kit import Exercise
from lessons.kit.display import png
from policies import eviction_policies, eviction_policy
from policies.eviction import Lru
from scenarios.schema import check_real
from simulator import Costs, simulate
from twin.plots.style import NEUTRAL, PREDICTED

DRAWINGS: dict[str, tuple[Callable[..., Figure], tuple[Any, ...]]] = {
    "capacity": (cache_size.figure_of_capacity, (cache_size.PERCENT,)),
    "lifetimes": (
        expiry_figures.figure_of_lifetimes,
        (expiry_figures.LIFETIMES_S, expiry_figures.LIFETIME_RATES),
    ),
    "stampede": (
        lambda rate, ms: expiry_figures.figure_of_stampede(rate, ms / 1e3),
        (expiry_figures.STAMPEDE_RATES, expiry_figures.FETCHES_MS),
    ),
    "pages": (
        lambda window, rate: expiry_figures.figure_of_pages(rate, window),
        (expiry_figures.WINDOWS_S, expiry_figures.PAGE_RATES),
    ),
}
CORNERS = [
    (name, corner)
    for name, (_, spans) in DRAWINGS.items()
    for corner in itertools.product(*(span[:2] for span in spans))
]
REMEMBERED = (
    cache_size._hit_ratio, cache_size._asked,
    expiry.simulated_lifetime, expiry.simulated_stampede, expiry.simulated_pages,
)  # fmt: skip


def test_a_clairvoyant_is_allowed_and_beats_the_static_optimum() -> None:
    for percent in (1, 20, 60):
        online = hits_by_policy(percent, eviction_policies.names())
        future = hits_by_policy(percent, ["belady"])["belady"]
        assert max(online.values()) < most_popular_kept(percent) < future


@pytest.mark.parametrize("policies", [["sieve"], ["belady", "lfu"], ["lru", "belady"]])
def test_any_policies_can_be_looked_at(policies: list[str]) -> None:
    explorer = explore_capacity(5, policies)
    assert explorer.controls[1].value == ("lru" if "lru" in policies else policies[0])
    assert explorer.picture.data == png(
        cache_size.figure_of_capacity(5, explorer.controls[1].value, policies)
    )


@pytest.mark.parametrize(("name", "corner"), CORNERS)
def test_every_corner_of_the_sliders_is_answered_in_under_a_second(
    name: str, corner: Any, in_a_second: Callable[[Callable[[], bytes]], bytes]
) -> None:
    def answer() -> bytes:
        for function in REMEMBERED:
            function.cache_clear()
        return png(DRAWINGS[name][0](*corner))

    data = in_a_second(answer)
    assert matplotlib.image.imread(io.BytesIO(data)).shape[:2] == (363, 1100)


@pytest.mark.parametrize("name", DRAWINGS)
def test_axes_stand_still_and_say_what_they_show(name: str) -> None:
    draw, spans = DRAWINGS[name]
    corners = [draw(*(span[place] for span in spans)).axes for place in (0, 1)]
    for low, high in zip(*corners, strict=True):
        assert (low.get_xlim(), low.get_ylim()) == (high.get_xlim(), high.get_ylim())
        assert low.get_xlabel() and low.get_title()


@pytest.mark.parametrize("name", ["lifetimes", "pages"])
def test_what_is_simulated_lies_on_its_formula(name: str) -> None:
    """With some thousand requests, in the middle of the sliders, within two percentage points."""
    draw, _ = DRAWINGS[name]
    for panel in draw(*{"lifetimes": (5, 20), "pages": (1, 1.0)}[name]).axes:
        dots = [line for line in panel.get_lines() if line.get_marker() == "o"]
        curves = [line for line in panel.get_lines() if to_hex(line.get_color()) == NEUTRAL]
        for dot in dots:
            assert to_hex(dot.get_color()) == PREDICTED
            (x,), (y,) = dot.get_data()
            places, values = curves[0].get_data()
            nearest = min(range(len(places)), key=lambda i: abs(places[i] - x))
            assert y == pytest.approx(values[nearest], abs=0.02 * panel.get_ylim()[1])


def test_a_stampede_is_as_large_as_its_formula_says() -> None:
    found = expiry.simulated_stampede(200.0, 0.2)
    assert found[False].summary.fetches_per_expiry == pytest.approx(
        expiry.fetches_per_expiry(200.0, 0.2), rel=0.1
    )
    assert found[True].summary.fetches_per_expiry == 1
    assert found[True].inside.values.max() == 1 and 30 < found[False].inside.values.max() < 60


def test_the_formulas_at_their_ends() -> None:
    assert expiry.hit_ratio(2.0, 1.0) == pytest.approx(2 / 3)
    assert expiry.hit_ratio(0.0, 5.0, 1.0) == 0
    assert expiry.share_that_waits(3.0, 2.0, 0.0, 0.0) == pytest.approx(1 - expiry.hit_ratio(3.0, 2.0))
    assert expiry.share_that_waits(3.0, 2.0, 0.1, 100.0) < 1e-100


def test_hits_by_policy_are_those_of_the_simulated_proxy() -> None:
    found = hits_by_policy(20)
    assert list(found) == list(cache_size.POLICIES)
    assert found["fifo"] < found["lru"] < found["sieve"] < most_popular_kept(20)
    for name in ("lru", "sieve"):
        scenario = cache_size.capacity_scenario(20, [name], duration_s=20).variants[0].scenario
        hits = simulate(scenario, costs=Costs.zero()).summary.hit_ratio
        assert hits == pytest.approx(found[name], abs=0.04)


@pytest.mark.parametrize("percent", [2, 5, 20, 60])
def test_lru_keeps_what_is_asked_for_within_the_characteristic_time(percent: float) -> None:
    """Within 1.5 percentage points, because it is an approximation and the cache is small."""
    assert characteristic_time_hits(percent) == pytest.approx(hits_by_policy(percent)["lru"], abs=0.015)


def test_a_policy_from_a_notebook_cell_is_as_good_as_a_shipped_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eviction_policies, "_classes", dict(eviction_policies._classes))
    eviction_policy("of_a_cell")(type("OfACell", (Lru,), {}))
    found = hits_by_policy(5, ["of_a_cell", "lru"])
    assert found["of_a_cell"] == found["lru"]
    assert isinstance(explore_capacity(5, ["lru", "of_a_cell"]), CacheExplorer)


@pytest.mark.parametrize("explore", [explore_capacity, explore_lifetimes, explore_stampede, explore_windows])
def test_a_slider_draws_the_picture_anew(explore: Callable[[], CacheExplorer]) -> None:
    explorer = explore()
    before = explorer.picture.data
    assert before.startswith(b"\x89PNG")
    slider = explorer.controls[0]
    slider.value = slider.min
    assert explorer.picture.data != before


# -- what is confirmed ---------------------------------------------------------------------------


def test_the_runs_are_short_real_and_named() -> None:
    loaded = caching_runs()
    labels = [variant.label for variant in loaded.variants]
    assert labels == ["fifo", "sieve", "expiring", "one second of grace", "not coalesced", "coalesced"]
    assert sum(variant.scenario.duration for variant in loaded.variants) < 15
    for variant in loaded.variants:
        check_real(variant.scenario, variant.label)


def test_the_runs_show_what_the_lesson_says() -> None:
    found = {
        label: simulate(long_run(label, 12), 3, costs=Costs.zero()).summary
        for label in ("fifo", "sieve", "expiring", "one second of grace", "not coalesced", "coalesced")
    }
    fifo, sieve, expiring, graceful, each, one = found.values()
    assert fifo.hit_ratio + 0.1 < sieve.hit_ratio < most_popular_kept(20)
    assert expiring.hit_ratio == pytest.approx(expiry.hit_ratio(PAGE_RPS, FRESH_S, FETCH_S), abs=0.02)
    assert graceful.fetch_rps == pytest.approx(expiring.fetch_rps, rel=0.05)
    assert graceful.mean_ms < expiring.mean_ms / 3
    assert each.fetches_per_expiry == pytest.approx(41, rel=0.1)
    assert one.fetches_per_expiry == 1


def test_a_run_is_so_short_that_it_ends_between_two_stampedes() -> None:
    for variant in caching_runs().variants[-2:]:
        records = simulate(variant.scenario).records
        assert records.fetches is not None
        assert records.fetches.firsts().sum() == 2
        assert records.fetches.end.max() < variant.scenario.duration - 0.1


# -- the exercise --------------------------------------------------------------------------------


@pytest.fixture
def needed() -> Exercise:
    return Exercise(_examine, lifetime_needed._hints, lifetime_needed._why)


def test_the_lifetime_needed_gives_the_hits(needed: Exercise) -> None:
    for rate, fetch_s, hits in _CASES:
        fresh_s = _needed(rate, fetch_s, hits)
        assert fresh_s > 0
        assert expiry.hit_ratio(rate, fresh_s, fetch_s) == pytest.approx(hits)
    assert needed.check(lambda rate, fetch_s, hits: hits / (1 - hits) / rate - fetch_s).right is True


@pytest.mark.parametrize("answer", [None, ..., lambda *_: ..., lambda *_: None])
def test_the_lifetime_can_be_left_for_later(needed: Exercise, answer: Any) -> None:
    assert needed.check(answer).right is None
    assert needed.wrong_answers == 0


@pytest.mark.parametrize(
    ("answer", "finding"),
    [
        (lambda rate, _fetch_s, hits: hits / (1 - hits) / rate, "that waits for the fetch is a hit, too"),
        (lambda rate, fetch_s, hits: hits / (1 - hits) / rate + fetch_s, "wrong sign"),
        (lambda rate, fetch_s, hits: 1e3 * (hits / (1 - hits) / rate - fetch_s), "milliseconds"),
        (lambda _rate, _fetch_s, hits: hits / (1 - hits), "take to come"),
        (lambda rate, _fetch_s, hits: 1 / (1 - hits) / rate, "not a hit"),
        (lambda rate, fetch_s, hits: 1 / (1 - hits) / rate - fetch_s, "not a hit"),
        (lambda rate, fetch_s, hits: (1 - hits) / hits / rate - fetch_s, "upside down"),
        (lambda rate, _fetch_s, hits: hits / rate, "not proportional"),
        (lambda *_: 2.0, "would be 0.815"),
        (lambda *_: -9.0, "expires before it arrives"),
    ],
)
def test_a_known_mistake_is_called_by_its_name(
    needed: Exercise, answer: Callable[..., object], finding: str
) -> None:
    feedback = needed.check(answer)
    assert feedback.right is False
    assert finding in feedback.text and "Hint 1 of 3" in feedback.text
