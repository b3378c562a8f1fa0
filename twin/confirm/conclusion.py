"""The result of a confirmation as sentences: the verdicts, and whether both twins rank alike."""

from __future__ import annotations

from twin.confirm.compare import HIGHER_IS_BETTER
from twin.confirm.outcome import Confirmation
from twin.plots.style import VERDICT


def conclusion(found: Confirmation) -> list[str]:
    """The sentences, one per line."""
    count = {word: sum(outcome.verdict == word for outcome in found.variants) for word in VERDICT}
    said = ", ".join(f"{number} {word}" for word, number in count.items() if number)
    lines = [f"Predictions: {said}."]
    for ranking in found.rankings.values() if len(found.variants) > 1 else ():
        between = " > " if ranking.metric in HIGHER_IS_BETTER else " < "
        order = between.join(found.variants[i].variant.label for i in ranking.measured)
        metric = ranking.metric.removesuffix("_ms").replace("_", " ")
        if ranking.kendall_tau is None:
            lines.append(f"By {metric} no two variants can be told apart.")
        else:
            agreed = "agree on all pairs" if ranking.kendall_tau == 1 else "disagree on some pairs"
            lines.append(
                f"By {metric} the twins {agreed} of variants that can be told apart "
                f"(pairs: {ranking.decided}, Kendall's tau {ranking.kendall_tau:+.2f}). "
                f"Measured, best first: {order}."
            )
    if found.repeated:
        lines.append(f"Void runs that were repeated: {found.repeated}.")
    return lines
