"""The sentences that conclude a confirmation."""

from __future__ import annotations

from dataclasses import replace

from scenarios.loading import Variant
from twin.confirm.compare import Ranking
from twin.confirm.conclusion import conclusion, how_judged
from twin.confirm.outcome import Confirmation


def test_the_conclusion_counts_the_verdicts(balanced: Confirmation) -> None:
    assert conclusion(balanced)[0] == "Predictions: 2 confirmed."
    first, second = balanced.variants
    mixed = [replace(first, verdict="refuted"), replace(second, verdict="inconclusive")]
    assert conclusion(replace(balanced, variants=mixed))[0] == "Predictions: 1 refuted, 1 inconclusive."


def with_ranking(found: Confirmation, metric: str, tau: float | None, decided: int) -> str:
    ranking = Ranking(metric, [0, 1], [1, 0], tau, decided, ((0, 1),) if decided else ())
    return conclusion(replace(found, rankings={metric: ranking}))[1]


def test_the_order_is_told_best_first_in_the_direction_of_the_metric(balanced: Confirmation) -> None:
    said = with_ranking(balanced, "p99_ms", 1.0, 6)
    assert said.startswith(
        "By p99 the twins agree on all pairs of variants that can be told apart (pairs: 6, "
    )
    assert said.endswith("Measured, best first: least_requests < round_robin.")
    said = with_ranking(balanced, "hit_ratio", 1 / 3, 3)
    assert said.startswith(
        "By hit ratio the twins disagree on some pairs of variants that can be told apart (pairs: 3, "
    )
    assert "Kendall's tau +0.33)" in said
    assert said.endswith("Measured, best first: least_requests > round_robin.")


def test_between_neighbours_that_cannot_be_told_apart_no_order_is_told(balanced: Confirmation) -> None:
    first = balanced.variants[0]
    third = replace(first, variant=Variant({"": "random"}, first.variant.scenario))
    three = replace(balanced, variants=[*balanced.variants, third])
    ranking = Ranking("p99_ms", [0, 1, 2], [1, 0, 2], 1.0, 2, ((0, 1),))
    (_, said) = conclusion(replace(three, rankings={"p99_ms": ranking}))
    assert said.endswith("Measured, best first: least_requests < round_robin ≈ random.")


def test_variants_that_cannot_be_told_apart_have_no_order(balanced: Confirmation) -> None:
    assert with_ranking(balanced, "p99_ms", None, 0) == "By p99 no two variants can be told apart."


def test_void_is_counted_as_a_verdict_of_its_own_and_a_void_variant_has_no_rank(
    balanced: Confirmation,
) -> None:
    first, second = balanced.variants
    void = replace(balanced, variants=[first, replace(second, verdict="void", void=["late"])])
    assert conclusion(void) == ["Predictions: 1 confirmed, 1 void."]
    said = how_judged(void)
    assert said[-1].startswith("Void: a run or the calibration broke a rule for valid runs")
    assert not any(line.startswith("Void") for line in how_judged(balanced))


def test_the_tolerances_and_what_is_not_judged_are_said(balanced: Confirmation, cached: Confirmation) -> None:
    limits, p99 = how_judged(balanced)
    assert limits == (
        "Confirmed means within these tolerances: throughput 2 %, mean 5 %, p50 10 %, p95 8 %; "
        "for response times also within 0.5 ms."
    )
    assert p99.startswith("Not judged (in parentheses): p99, because only 1 %")
    assert "hit ratio 1 pp" in how_judged(cached)[0]
    one, *others = (
        replace(
            outcome,
            simulated=replace(outcome.simulated, hit_ratio=0.3),
            measured=replace(outcome.measured, hit_ratio=0.3),
        )
        for outcome in cached.variants
    )
    halves = replace(one, measured=replace(one.measured, hit_ratio=0.5))
    lines = how_judged(replace(cached, variants=[halves, *others]))
    assert f"p50 of {halves.variant.label}, because about half of the requests are hits" in lines[2]
