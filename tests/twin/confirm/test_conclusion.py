"""The sentences that conclude a confirmation."""

from __future__ import annotations

from dataclasses import replace

from scenarios.loading import Variant
from twin.confirm.compare import Ranking
from twin.confirm.conclusion import conclusion
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
