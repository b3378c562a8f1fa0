"""The result of a confirmation as sentences: the verdicts, and whether both twins rank alike."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence

from twin.confirm.compare import HIGHER_IS_BETTER
from twin.confirm.outcome import Confirmation
from twin.plots.style import VERDICT


def conclusion(found: Confirmation) -> list[str]:
    """The sentences, one per line."""
    count = {word: sum(outcome.verdict == word for outcome in found.variants) for word in VERDICT}
    said = ", ".join(f"{number} {word}" for word, number in count.items() if number)
    lines = [f"Predictions: {said}."]
    for ranking in found.rankings.values() if len(found.variants) > 1 else ():
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
