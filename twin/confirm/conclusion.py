"""The result of a confirmation as sentences: the verdicts, whether both twins rank alike, what is judged."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence

from twin.confirm.compare import (
    ABSOLUTE,
    EXACT_ANSWERS,
    EXACT_MS,
    EXACT_RECOVERY_S,
    EXACT_ROLLBACK_S,
    HIGHER_IS_BETTER,
    OF_CALLS,
    TOLERANCE,
    kind,
)
from twin.confirm.outcome import Confirmation
from twin.plots.style import TITLES, VERDICT


def conclusion(found: Confirmation) -> list[str]:
    """The sentences, one per line."""
    count = {word: sum(outcome.verdict == word for outcome in found.variants) for word in VERDICT}
    said = ", ".join(f"{number} {word}" for word, number in count.items() if number)
    lines = [f"Predictions: {said}."]
    valid = sum(outcome.verdict != "void" for outcome in found.variants)
    for ranking in found.rankings.values() if valid > 1 else ():
        between = ">" if ranking.metric in HIGHER_IS_BETTER else "<"
        metric = ranking.metric.removesuffix("_ms").replace("_", " ")
        if ranking.kendall_tau is None:
            lines.append(f"By {metric} no two variants can be told apart.")
        else:
            agreed = "agree on all pairs" if ranking.kendall_tau == 1 else "disagree on some pairs"
            lines.append(
                f"By {metric} the twins {agreed} of variants that can be told apart "
                f"(pairs: {ranking.decided}, Kendall's tau {ranking.kendall_tau:+.2f}). "
                f"Measured, best first: {in_order(*labels_in_order(found, ranking.metric), between)}."
            )
    if found.repeated:
        lines.append(f"Void runs that were repeated: {found.repeated}.")
    return lines


def in_order(names: Sequence[str], apart: Collection[frozenset[str]], between: str = "<") -> str:
    """The names with `between` after each that can be told apart from the next one, else with ``≈``."""
    said = names[0]
    for one, other in itertools.pairwise(names):
        said += f" {between if frozenset((one, other)) in apart else '≈'} {other}"
    return said


def labels_in_order(found: Confirmation, metric: str) -> tuple[list[str], frozenset[frozenset[str]]]:
    """The labels as measured, best first, and the pairs of them that can be told apart."""
    ranking, labels = found.rankings[metric], [outcome.variant.label for outcome in found.variants]
    apart = frozenset(frozenset((labels[one], labels[other])) for one, other in ranking.apart)
    return [labels[number] for number in ranking.measured], apart


def how_judged(found: Confirmation) -> list[str]:
    """The tolerances of the judged metrics, and why the others are not judged, one sentence per line."""
    shown = [name for name in found.metrics if name in TOLERANCE]
    limits = [f"{_name(name)} {TOLERANCE[name] * 100:g} {_unit(name)}" for name in shown]
    lines = [
        f"Confirmed means within these tolerances: {', '.join(limits)}; "
        f"for response times also within {EXACT_MS:g} ms."
    ]
    lines += [*_how_services_are_judged(found), *_how_recoveries_are_judged(found)]
    judged = [outcome for outcome in found.variants if outcome.verdict != "void"]
    unjudged: dict[tuple[str, str], list[str]] = {}
    for outcome in judged:
        for metric, why in outcome.unjudged.items():
            unjudged.setdefault((metric, why), []).append(outcome.variant.label)
    for (metric, why), labels in unjudged.items():
        of = "" if len(labels) == len(judged) else f" of {', '.join(labels)}"
        lines.append(f"Not judged (in parentheses): {_name(metric)}{of}, because {why}.")
    if len(judged) < len(found.variants):
        lines.append(
            "Void: a run or the calibration broke a rule for valid runs, so no figure of the variant "
            "is judged."
        )
    return lines


def _how_services_are_judged(found: Confirmation) -> list[str]:
    """The tolerances of services and canaries, if there are any."""
    kinds, lines = {kind(name) for name in found.service_metrics}, []
    if "service_share" in kinds:
        share, errors = (TOLERANCE[name] * 100 for name in ("service_share", "service_errors"))
        lines.append(
            f"For each service: share {share:g} pp, errors {errors:g} pp or {EXACT_ANSWERS} of its answers."
        )
    if found.call_metrics:
        rps, mean, errors = (TOLERANCE[name] * 100 for name in OF_CALLS)
        lines.append(
            f"For the calls to each service: calls/s {rps:g} %, mean {mean:g} % or {EXACT_MS:g} ms, "
            f"errors {errors:g} pp; of few calls, {EXACT_ANSWERS} of them."
        )
    if "rollback_s" in kinds:
        lines.append(
            f"Time of rollback: {TOLERANCE['rollback_s'] * 100:g} %, or {EXACT_ROLLBACK_S:g} s; "
            "a rollback in one twin that is none in the other refutes."
        )
    return lines


def _how_recoveries_are_judged(found: Confirmation) -> list[str]:
    """The tolerance of recoveries, if there was an outage."""
    if all(outcome.measured.recovery_ratio is None for outcome in found.variants):
        return []
    return [
        f"Time of recovery: {TOLERANCE['recovery_s'] * 100:g} %, or {EXACT_RECOVERY_S:g} s; "
        "a recovery in one twin that is none in the other refutes."
    ]


def _name(metric: str) -> str:
    return TITLES[metric].partition(",")[0]


def _unit(metric: str) -> str:
    return "pp" if metric in ABSOLUTE else "%"
