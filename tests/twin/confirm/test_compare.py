"""Differences, noise, verdicts and rankings: arithmetic with known answers."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenarios import Summary
from scenarios.shares import ServiceFigures
from twin.confirm.compare import (
    COMPARED,
    EXACT_MS,
    TOLERANCE,
    Differences,
    Interval,
    difference,
    difference_text,
    intervals,
    noise_floor,
    ranking,
    tolerances,
    unjudged,
    verdict,
)

Make = Callable[..., Summary]
SILENT: Differences = dict.fromkeys(COMPARED, 0.0)
"""No noise at all."""


# -- differences ---------------------------------------------------------------------------------


def test_differences_are_relative_to_the_measured_value_and_of_ratios_absolute(summary: Make) -> None:
    predicted = summary(throughput_rps=102.0, p99_ms=45.0, hit_ratio=0.48, error_ratio=0.0)
    measured = summary(throughput_rps=100.0, p99_ms=50.0, hit_ratio=0.5, error_ratio=0.01)
    apart = difference(predicted, measured)
    assert apart["throughput_rps"] == pytest.approx(0.02)
    assert apart["p99_ms"] == pytest.approx(-0.1)
    assert apart["hit_ratio"] == pytest.approx(-0.02)
    assert apart["error_ratio"] == pytest.approx(-0.01)
    assert apart["mean_ms"] == 0.0
    assert set(apart) == set(COMPARED)


@pytest.mark.parametrize("missing", [None, math.nan])
def test_where_a_twin_has_no_figure_there_is_no_difference(summary: Make, missing: float | None) -> None:
    without, complete = summary(hit_ratio=missing, mean_ms=math.nan), summary()
    for apart in (difference(without, complete), difference(complete, without)):
        assert apart["hit_ratio"] is None
        assert apart["mean_ms"] is None
        assert apart["p95_ms"] == 0.0


def test_nothing_is_relative_to_zero(summary: Make) -> None:
    assert difference(summary(), summary(throughput_rps=0.0))["throughput_rps"] is None


@given(factor=st.floats(1e-3, 1e3), one=st.floats(0.1, 1e4), other=st.floats(0.1, 1e4))
def test_relative_differences_do_not_depend_on_the_unit(
    summary: Make, factor: float, one: float, other: float
) -> None:
    plain = difference(summary(mean_ms=one), summary(mean_ms=other))["mean_ms"]
    scaled = difference(summary(mean_ms=one * factor), summary(mean_ms=other * factor))["mean_ms"]
    assert plain == pytest.approx(scaled, rel=1e-6, abs=1e-9)


# -- the noise floor -----------------------------------------------------------------------------


def test_the_noise_floor_is_the_root_mean_square_of_the_pairs(summary: Make) -> None:
    runs = [
        [summary(mean_ms=98.0, hit_ratio=0.50), summary(mean_ms=102.0, hit_ratio=0.53)],
        [summary(mean_ms=49.0, hit_ratio=0.60), summary(mean_ms=51.0, hit_ratio=0.56)],
    ]
    floor = noise_floor(runs)
    assert floor["mean_ms"] == pytest.approx(0.04)
    assert floor["hit_ratio"] == pytest.approx(math.sqrt((0.03**2 + 0.04**2) / 2))
    assert floor["p99_ms"] == 0.0


def test_three_runs_are_three_pairs(summary: Make) -> None:
    floor = noise_floor([[summary(hit_ratio=ratio) for ratio in (0.50, 0.51, 0.53)]])
    assert floor["hit_ratio"] == pytest.approx(math.sqrt((0.01**2 + 0.02**2 + 0.03**2) / 3))


def test_without_repetition_the_noise_is_unknown(summary: Make) -> None:
    assert set(noise_floor([[summary()], [summary()]]).values()) == {None}
    assert set(noise_floor([]).values()) == {None}


def test_missing_figures_do_not_count_as_noise(summary: Make) -> None:
    floor = noise_floor([[summary(hit_ratio=None), summary(hit_ratio=None)]])
    assert floor["hit_ratio"] is None
    broken = [summary(mean_ms=math.nan), summary()]
    assert noise_floor([broken, [summary(mean_ms=99.0), summary(mean_ms=101.0)]])["mean_ms"] == pytest.approx(
        0.02
    )


def test_two_runs_with_a_known_noise_lie_root_two_of_it_apart(summary: Make) -> None:
    rng = np.random.default_rng(5)
    runs = [[summary(mean_ms=20 * (1 + 0.02 * x)) for x in rng.standard_normal(2)] for _ in range(2000)]
    assert noise_floor(runs)["mean_ms"] == pytest.approx(math.sqrt(2) * 0.02, rel=0.05)


run_times = st.lists(st.lists(st.floats(1.0, 1e3), min_size=1, max_size=4), min_size=1, max_size=5)


@given(times=run_times, data=st.data())
def test_the_noise_floor_knows_no_order(summary: Make, times: list[list[float]], data: st.DataObject) -> None:
    runs = [[summary(mean_ms=time) for time in of_variant] for of_variant in times]
    mixed = [data.draw(st.permutations(of_variant)) for of_variant in data.draw(st.permutations(runs))]
    plain, other = noise_floor(runs)["mean_ms"], noise_floor(mixed)["mean_ms"]
    assert (plain is None) == (other is None)
    assert plain is None or plain == pytest.approx(other)


# -- the verdict ---------------------------------------------------------------------------------


def apart_by(**differences: float | None) -> Differences:
    return {**dict.fromkeys(COMPARED, 0.0), "hit_ratio": None, **differences}


@pytest.mark.parametrize(
    ("apart", "noise", "expected"),
    [
        (apart_by(), SILENT, "confirmed"),
        (apart_by(mean_ms=0.049, p95_ms=-0.079, throughput_rps=0.019), SILENT, "confirmed"),
        (apart_by(mean_ms=0.05), SILENT, "confirmed"),
        (apart_by(mean_ms=0.06), SILENT, "refuted"),
        (apart_by(mean_ms=-0.06), SILENT, "refuted"),
        (apart_by(throughput_rps=-0.021), SILENT, "refuted"),
        (apart_by(hit_ratio=0.011), SILENT, "refuted"),
        (apart_by(mean_ms=0.06), SILENT | {"mean_ms": 0.07}, "inconclusive"),
        (apart_by(mean_ms=0.06, p95_ms=0.2), SILENT | {"mean_ms": 0.07}, "refuted"),
        (apart_by(mean_ms=0.06), SILENT | {"p95_ms": 0.5}, "refuted"),
        (apart_by(mean_ms=0.04), SILENT | {"mean_ms": 0.07}, "confirmed"),
        (apart_by(p50_ms=0.11), SILENT, "refuted"),
        (apart_by(p50_ms=0.11), SILENT | {"p50_ms": 0.12}, "inconclusive"),
        (apart_by(p99_ms=0.5), SILENT, "confirmed"),  # shown, not judged
    ],
)
def test_verdicts(apart: Differences, noise: Differences, expected: str) -> None:
    assert verdict(apart, noise) == expected


@pytest.mark.parametrize(("off", "expected"), [(0.04, "confirmed"), (0.06, "refuted")])
def test_without_known_noise_the_tolerance_alone_decides(off: float, expected: str) -> None:
    assert verdict(apart_by(mean_ms=off), dict.fromkeys(COMPARED)) == expected


@pytest.mark.parametrize("name", ["throughput_rps", "mean_ms", "p95_ms"])
def test_nothing_is_confirmed_where_there_is_nothing_to_judge(name: str) -> None:
    assert verdict(apart_by(**{name: None}), SILENT) == "inconclusive"
    assert verdict(apart_by(**{name: None}, hit_ratio=0.5), SILENT) == "refuted"


@given(
    off=st.fixed_dictionaries({name: st.floats(-1, 1) for name in TOLERANCE}),
    noise=st.fixed_dictionaries({name: st.none() | st.floats(0, 1) for name in TOLERANCE}),
)
def test_a_verdict_does_not_depend_on_the_sign_and_more_noise_never_refutes(
    off: dict[str, float], noise: dict[str, float | None]
) -> None:
    said = verdict({**off}, noise)
    assert said == verdict({name: -value for name, value in off.items()}, noise)
    louder = verdict({**off}, {name: (value or 0.0) + 0.5 for name, value in noise.items()})
    assert (said == "confirmed") == (louder == "confirmed")
    assert said != "inconclusive" or louder == "inconclusive"


# -- which figures are judged, and how strictly ---------------------------------------------------


def judged(predicted: Summary, measured: Summary) -> str:
    return verdict(difference(predicted, measured), SILENT, tolerances(predicted, measured))


@pytest.mark.parametrize(
    ("predicted_ms", "measured_ms", "expected"),
    [
        (0.4, 0.8, "confirmed"),  # hits: 50 % off, but only 0.4 ms
        (0.4, 0.95, "refuted"),
        (13.0, 20.0, "refuted"),
        (19.0, 20.0, "confirmed"),
        (17.9, 20.0, "refuted"),  # 10.5 %
    ],
)
def test_p50_is_judged_to_a_tenth_or_to_what_the_real_system_can_keep(
    summary: Make, predicted_ms: float, measured_ms: float, expected: str
) -> None:
    said, seen = (summary(p50_ms=value, hit_ratio=0.8) for value in (predicted_ms, measured_ms))
    assert judged(said, seen) == expected


@pytest.mark.parametrize(
    ("predicted_hits", "measured_hits", "jumps"),
    [(0.5, 0.5, True), (0.445, 0.452, True), (0.545, 0.552, True), (0.44, 0.44, False), (0.8, 0.8, False)],
)
def test_p50_is_not_judged_where_it_jumps_between_hits_and_misses(
    summary: Make, predicted_hits: float, measured_hits: float, jumps: bool
) -> None:
    said, seen = summary(p50_ms=0.5, hit_ratio=predicted_hits), summary(p50_ms=12.0, hit_ratio=measured_hits)
    assert ("p50_ms" in unjudged(said, seen)) == jumps
    assert ("p50_ms" in tolerances(said, seen)) != jumps
    assert (judged(said, seen) == "refuted") != jumps


@given(
    figures=st.fixed_dictionaries({name: st.floats(0.01, 1e4) for name in ("mean_ms", "p50_ms", "p95_ms")}),
    hits=st.none() | st.floats(0, 1),
)
def test_every_metric_is_judged_or_has_a_reason_not_to_be(
    summary: Make, figures: dict[str, float], hits: float | None
) -> None:
    one = summary(**figures, hit_ratio=hits)
    allowed, reasons = tolerances(one, one), unjudged(one, one)
    assert set(allowed) | set(reasons) == set(COMPARED)
    assert not set(allowed) & set(reasons)
    for name, limit in allowed.items():
        assert limit >= TOLERANCE[name]
        assert limit == TOLERANCE[name] or limit * figures[name] == pytest.approx(EXACT_MS)


# -- services and rollbacks ----------------------------------------------------------------------


def canary(summary: Make, ratio: float, seconds: float | None, share: float = 0.1, errors: float | None = 0.2,
           answers: float = 1000.0) -> Summary:  # fmt: skip
    services = {
        "api": ServiceFigures(1 - share, 0.0, 10_000.0), "new": ServiceFigures(share, errors, answers),
    }  # fmt: skip
    return summary(rollback_ratio=ratio, rollback_s=seconds, services=services)


@pytest.mark.parametrize(
    ("said", "seen", "expected"),
    [
        ((1.0, 10.0), (1.0, 10.9), "confirmed"),
        ((1.0, 10.0), (1.0, 12.0), "refuted"),
        ((1.0, 0.5), (1.0, 0.7), "confirmed"),  # a quarter of a second
        ((1.0, 0.5), (1.0, 0.8), "refuted"),
        ((0.0, None), (0.0, None), "confirmed"),
        ((1.0, 3.0), (0.0, None), "refuted"),
        ((0.0, None), (1.0, 3.0), "refuted"),
        ((0.4, 3.0), (0.5, 3.0), "confirmed"),
        ((1.0, 3.0), (0.5, 3.0), "confirmed"),
        ((0.3, 3.0), (1.0, 3.0), "refuted"),
        ((1.0, 3.0, 0.1), (1.0, 3.0, 0.115), "refuted"),
        ((1.0, 3.0, 0.1, 0.20), (1.0, 3.0, 0.1, 0.215), "confirmed"),
        ((1.0, 3.0, 0.1, 0.20), (1.0, 3.0, 0.1, 0.25), "refuted"),
        ((1.0, 3.0, 0.1, 0.20, 20), (1.0, 3.0, 0.1, 0.30, 20), "confirmed"),  # two of twenty
        ((1.0, 3.0, 0.1, 0.20, 20), (1.0, 3.0, 0.1, 0.35, 20), "refuted"),
        ((1.0, 3.0, 0.1, None, 0), (1.0, 3.0, 0.1, 0.3, 20), "confirmed"),  # nothing to compare
    ],
)
def test_rollbacks_shares_and_errors_are_judged(
    summary: Make, said: tuple[float, ...], seen: tuple[float, ...], expected: str
) -> None:
    assert judged(canary(summary, *said), canary(summary, *seen)) == expected


def test_the_noise_of_a_rollback_is_that_of_two_runs(summary: Make) -> None:
    floor = noise_floor([[canary(summary, 1.0, 9.0, 0.10), canary(summary, 1.0, 11.0, 0.12)]])
    assert floor["rollback_s"] == pytest.approx(0.2)
    assert floor["service_share.new"] == pytest.approx(0.02)
    assert floor["rollback_ratio"] == 0.0
    said, seen = canary(summary, 1.0, 10.0), canary(summary, 1.0, 12.0)
    assert verdict(difference(said, seen), floor, tolerances(said, seen)) == "inconclusive"


def test_what_happened_in_one_run_only_has_no_time_to_compare(summary: Make) -> None:
    floor = noise_floor([[canary(summary, 1.0, 9.0), canary(summary, 0.0, None)]])
    assert (floor["rollback_s"], floor["rollback_ratio"]) == (None, 1.0)


def test_a_scenario_without_services_has_no_metrics_of_them(summary: Make) -> None:
    assert set(difference(summary(), summary())) == set(COMPARED) == set(noise_floor([[summary()]]))


def test_differences_of_services_are_in_percentage_points() -> None:
    assert difference_text(0.012, "service_share.new") == "+1.2pp"
    assert difference_text(-0.5, "rollback_ratio") == "-50.0pp"
    assert difference_text(0.012, "rollback_s") == "+1.2%"


# -- intervals -----------------------------------------------------------------------------------


def test_the_spread_is_pooled_over_the_variants(summary: Make) -> None:
    runs = [[summary(p99_ms=99.0), summary(p99_ms=101.0)], [summary(p99_ms=500.0), summary(p99_ms=500.0)]]
    first, second = intervals(runs, "p99_ms")
    spread = math.sqrt(2 * 0.01**2 / 2)  # two degrees of freedom
    half = 4.303 * spread / math.sqrt(2)  # Student's t
    assert (first.low, first.middle, first.high) == pytest.approx((100 - 100 * half, 100, 100 + 100 * half))
    assert (second.low, second.middle, second.high) == pytest.approx(
        (500 - 500 * half, 500, 500 + 500 * half)
    )


def test_intervals_hold_the_truth_in_95_of_100_cases(summary: Make) -> None:
    rng = np.random.default_rng(8)
    truth = [10.0, 20.0, 40.0, 80.0]
    held = 0
    for _ in range(1000):
        runs = [[summary(p99_ms=mean * (1 + 0.03 * x)) for x in rng.standard_normal(2)] for mean in truth]
        found = intervals(runs, "p99_ms")
        held += sum(one.low <= mean <= one.high for one, mean in zip(found, truth, strict=True))
    assert 0.93 < held / 4000 < 0.97


def test_with_single_runs_nothing_can_be_told_apart(summary: Make) -> None:
    runs = [[summary(p99_ms=value)] for value in (1.0, 1000.0)] + [[summary(p99_ms=0.0)]]
    found = intervals(runs, "p99_ms")
    assert [one.middle for one in found] == [1.0, 1000.0, 0.0]
    assert found[0].overlaps(found[1])
    assert ranking(found, found, "p99_ms").kendall_tau is None


def test_an_unknown_figure_can_never_be_told_apart(summary: Make) -> None:
    ratios = [(0.1, 0.1), (None, None), (0.9, 0.9)]
    found = intervals([[summary(hit_ratio=ratio) for ratio in pair] for pair in ratios], "hit_ratio")
    assert math.isnan(found[1].middle)
    assert found[0].overlaps(found[1])
    assert found[1].overlaps(found[2])
    assert not found[0].overlaps(found[2])
    assert ranking(found, found, "hit_ratio").measured == [2, 0], "what is unknown has no place"


def test_intervals_that_touch_overlap() -> None:
    assert Interval(1, 2, 3).overlaps(Interval(3, 4, 5))
    assert not Interval(1, 2, 2.9).overlaps(Interval(3, 4, 5))


# -- rankings ------------------------------------------------------------------------------------


def narrow(*middles: float) -> list[Interval]:
    return [Interval(middle - 0.1, middle, middle + 0.1) for middle in middles]


def test_twins_that_agree_have_a_tau_of_one() -> None:
    found = ranking(narrow(30, 10, 20), narrow(31, 11, 19), "p99_ms")
    assert (found.kendall_tau, found.decided) == (1.0, 3)
    assert found.predicted == found.measured == [1, 2, 0]


def test_twins_that_say_the_opposite_have_a_tau_of_minus_one() -> None:
    found = ranking(narrow(1, 2, 3), narrow(3, 2, 1), "p99_ms")
    assert (found.kendall_tau, found.decided) == (-1.0, 3)
    assert (found.predicted, found.measured) == ([0, 1, 2], [2, 1, 0])


def test_one_pair_the_wrong_way_round_among_three() -> None:
    assert ranking(narrow(1, 2, 3), narrow(2, 1, 3), "p99_ms").kendall_tau == pytest.approx(1 / 3)


def test_pairs_that_overlap_in_either_twin_are_left_out() -> None:
    wide = [Interval(0, 1, 5), Interval(0, 2, 5), Interval(9, 10, 11)]
    assert ranking(wide, narrow(2, 1, 10), "p99_ms").decided == 2
    assert ranking(narrow(2, 1, 10), wide, "p99_ms").decided == 2
    assert ranking(wide, narrow(2, 1, 10), "p99_ms").kendall_tau == 1.0
    assert ranking(wide[:2], narrow(2, 1), "p99_ms").kendall_tau is None


@pytest.mark.parametrize(
    ("metric", "best_first"), [("p99_ms", [0, 2, 1]), ("hit_ratio", [1, 2, 0]), ("throughput_rps", [1, 2, 0])]
)
def test_the_order_is_best_first(metric: str, best_first: list[int]) -> None:
    found = ranking(narrow(1, 3, 2), narrow(1, 3, 2), metric)
    assert found.predicted == found.measured == best_first


def test_one_variant_alone_has_no_ranking() -> None:
    found = ranking(narrow(1), narrow(2), "p99_ms")
    assert (found.kendall_tau, found.decided, found.measured) == (None, 0, [0])


bounds = st.tuples(st.floats(0, 100), st.floats(0, 10)).map(
    lambda t: Interval(t[0] - t[1], t[0], t[0] + t[1])
)


@given(pairs=st.lists(st.tuples(bounds, bounds), min_size=1, max_size=6), data=st.data())
def test_a_ranking_depends_neither_on_the_order_of_the_variants_nor_on_which_twin_is_which(
    pairs: list[tuple[Interval, Interval]], data: st.DataObject
) -> None:
    said, seen = [list(side) for side in zip(*pairs, strict=True)]
    found = ranking(said, seen, "p99_ms")
    swapped = ranking(seen, said, "p99_ms")
    assert (found.kendall_tau, found.decided) == (swapped.kendall_tau, swapped.decided)
    assert (found.predicted, found.measured) == (swapped.measured, swapped.predicted)

    order = data.draw(st.permutations(range(len(pairs))))
    mixed = ranking([said[i] for i in order], [seen[i] for i in order], "p99_ms")
    assert (mixed.kendall_tau, mixed.decided) == (found.kendall_tau, found.decided)
    values = [seen[order[i]].middle for i in mixed.measured]
    assert values == sorted(values) == [seen[i].middle for i in found.measured]


@given(figures=st.lists(st.floats(0, 1e6), min_size=2, max_size=6, unique_by=round))
def test_a_twin_never_disagrees_with_itself(figures: list[float]) -> None:
    assert ranking(narrow(*figures), narrow(*figures), "mean_ms").kendall_tau in (1.0, None)
