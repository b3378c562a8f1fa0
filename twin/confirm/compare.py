"""Compare predictions with measurements: differences, the noise floor, the verdict and the ranking.

This is pure arithmetic on summaries, so that every rule can be tested without a run.

The rules
---------
*Difference*: predicted minus measured, relative to the measured value; for ratios, absolute.

*Noise floor*: the root mean square, over all variants, of the difference between two real runs of the
same variant and seed. The mean of two runs has a standard error of half of that. So a difference
beyond the floor is beyond two standard errors: it is not noise of the real system.

*Verdict* of a variant: ``confirmed`` if every judged difference is within its tolerance; ``refuted`` if
one is beyond its tolerance and beyond the noise floor; else ``inconclusive``: the difference is not
larger than the noise, or there was nothing to judge. If nothing was run twice, the noise is unknown,
and a difference beyond the tolerance is enough for ``refuted``. The verdict is ``void`` if a run of the
variant or the calibration broke a rule for valid runs (`loadtests.run.validity`): then nothing is judged.

*Services*, such as the arms of a split route, have a metric each: ``service_share.canary`` and
``service_errors.canary``. Both twins draw the arms and the backends' errors from the same seeds, so even
the time of a rollback is judged, and a rollback in one twin that is none in the other refutes.

*Outages*: whether and when clients are served well again is judged likewise.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from scenarios.records import Summary
from simulator.statistics import student_t95

Verdict = Literal["confirmed", "refuted", "inconclusive", "void"]

TOLERANCE = {
    "throughput_rps": 0.02, "mean_ms": 0.05, "p50_ms": 0.10, "p95_ms": 0.08,
    "hit_ratio": 0.01, "fetch_rps": 0.05, "fetches_per_expiry": 0.05, "error_ratio": 0.01,
    "service_share": 0.01, "service_errors": 0.02, "rollback_ratio": 0.5, "rollback_s": 0.1,
    "call_rps": 0.02, "call_mean_ms": 0.05, "call_errors": 0.02,
    "recovery_ratio": 0.5, "recovery_s": 0.15,
}  # fmt: skip
"""The judged metrics, and the tolerance of each."""
EXACT_ROLLBACK_S = 0.25
"""The time of a rollback may always differ by this much: it is seen as the canary's last request, and the
next one would have come a moment later."""
EXACT_RECOVERY_S = 0.3
"""The time of a recovery may always differ by this much: it is seen as one of the failures before it."""
EXACT_ANSWERS = 2
"""The errors of a service may always differ by so many of its answers: until a rollback it has few. And so
may the number of its calls: those at the edges of the window."""
EXACT_MS = 0.5
"""A judged time may always differ by this much: timers and thread switches of the real system are not more
exact. It matters only where most requests are hits and take less than a few milliseconds."""
MEDIAN_JUMPS = (0.45, 0.55)
"""Hit ratios at which p50 is not judged: it jumps between hits and misses, and one percentage point of hits
can change it more than tenfold."""
NEVER_JUDGED = {"p99_ms": "only 1 % of the requests are beyond it, so it varies most from run to run"}
"""Metrics that are shown but not judged, and why."""

OF_CACHES = ("hit_ratio", "fetch_rps", "fetches_per_expiry")
"""Metrics that only exist with a cache."""
COMPARED = ("throughput_rps", "mean_ms", "p50_ms", "p95_ms", "p99_ms", *OF_CACHES, "error_ratio")
"""The metrics of every scenario."""
OF_SERVICES = ("service_share", "service_errors")
"""Metrics that each service has, if there are several; their full names are such as ``service_share.api``."""
OF_CALLS = ("call_rps", "call_mean_ms", "call_errors")
"""Metrics that the calls to each service have at each depth, such as ``call_mean_ms.store@2``."""
OF_CANARIES = ("rollback_ratio", "rollback_s")
"""Metrics that only exist with a watched canary."""
OF_OUTAGES = ("recovery_ratio", "recovery_s")
"""Metrics that only exist with an outage of a server."""
ABSOLUTE = frozenset(
    {"hit_ratio", "error_ratio", "rollback_ratio", "recovery_ratio", "call_errors", *OF_SERVICES}
)
"""Metrics whose differences are absolute; the differences of all others are relative."""
HIGHER_IS_BETTER = frozenset({"throughput_rps", "hit_ratio"})

_ALWAYS_KNOWN = ("throughput_rps", "mean_ms", "p95_ms")
"""Judged metrics that every run with at least one response has."""
_TIMES = ("mean_ms", "p50_ms", "p95_ms")

Differences = dict[str, float | None]


def kind(name: str) -> str:
    """The metric without the name of its service."""
    return name.partition(".")[0]


def figures(summary: Summary) -> dict[str, float | None]:
    """All metrics of a summary that are compared, by their full names."""
    found: dict[str, float | None] = {name: getattr(summary, name) for name in COMPARED}
    for service, those in summary.services.items():
        found[f"service_share.{service}"] = those.share
        found[f"service_errors.{service}"] = those.error_ratio
    for call, of_call in summary.calls.items():
        found[f"call_rps.{call}"] = of_call.rps
        found[f"call_mean_ms.{call}"] = of_call.mean_ms
        found[f"call_errors.{call}"] = of_call.error_ratio
    if summary.rollback_ratio is not None:
        found |= {name: getattr(summary, name) for name in OF_CANARIES}
    if summary.recovery_ratio is not None:
        found |= {name: getattr(summary, name) for name in OF_OUTAGES}
    return found


def difference(predicted: Summary, measured: Summary) -> Differences:
    """The difference of each metric; ``None`` if one twin does not have the metric."""
    said, seen = figures(predicted), figures(measured)
    return {name: _apart(said.get(name), seen.get(name), name) for name in {**said, **seen}}


def difference_text(apart: float | None, name: str, *, sign: str = "+", space: str = "") -> str:
    """A difference in per cent or percentage points, or a dash if it is unknown."""
    unit = "pp" if kind(name) in ABSOLUTE else "%"
    return "–" if apart is None else f"{apart * 100:{sign}.1f}{space}{unit}"


def _apart(one: float | None, other: float | None, name: str) -> float | None:
    if one is None or other is None or math.isnan(one) or math.isnan(other):
        return None
    if kind(name) in ABSOLUTE:
        return one - other
    return (one - other) / other if other else None


def noise_floor(repeats: Sequence[Sequence[Summary]]) -> Differences:
    """The difference between real runs of the same requests.

    Parameters
    ----------
    repeats : sequence of sequences of Summary
        The runs of each variant and seed.

    Returns
    -------
    dict
        Root mean square over all pairs; ``None`` if nothing was run twice.
    """
    of_runs = [[figures(run) for run in runs] for runs in repeats]
    pairs = [pair for runs in of_runs for pair in itertools.combinations(runs, 2)]
    floor: Differences = {}
    for name in dict.fromkeys([*COMPARED, *(name for runs in of_runs for run in runs for name in run)]):
        apart = [_spread(a.get(name), b.get(name), name) for a, b in pairs]
        known = [value for value in apart if value is not None]
        floor[name] = math.sqrt(sum(value**2 for value in known) / len(known)) if known else None
    return floor


def _spread(one: float | None, other: float | None, name: str) -> float | None:
    """Like `_apart`, but relative to the mean of the two runs."""
    if one is None or other is None or math.isnan(one) or math.isnan(other):
        return None
    if kind(name) in ABSOLUTE:
        return one - other
    return 2 * (one - other) / (one + other) if one + other else None


def unjudged(predicted: Summary, measured: Summary) -> dict[str, str]:
    """The metrics of a variant that are shown but not judged, and why."""
    reasons = dict(NEVER_JUDGED)
    low, high = MEDIAN_JUMPS
    ratios = [side.hit_ratio for side in (predicted, measured)]
    if any(ratio is not None and low <= ratio <= high for ratio in ratios):
        reasons["p50_ms"] = "about half of the requests are hits, so it jumps between hits and misses"
    return reasons


def tolerances(predicted: Summary, measured: Summary) -> dict[str, float]:
    """How much each judged metric of a variant may differ, in the unit of `difference`."""
    allowed = {name: TOLERANCE[kind(name)] for name in figures(measured) if kind(name) in TOLERANCE}
    for name in _TIMES:
        time = getattr(measured, name)
        if time > 0:
            allowed[name] = max(allowed[name], EXACT_MS / time)
    for service, those in measured.services.items():
        if those.answers:
            name = f"service_errors.{service}"
            allowed[name] = max(allowed[name], EXACT_ANSWERS / those.answers)
    for call, of_call in measured.calls.items():
        if of_call.calls and of_call.mean_ms:
            few = EXACT_ANSWERS / of_call.calls
            allowed[f"call_rps.{call}"] = max(allowed[f"call_rps.{call}"], few)
            allowed[f"call_errors.{call}"] = max(allowed[f"call_errors.{call}"], few)
            mean = f"call_mean_ms.{call}"
            allowed[mean] = max(allowed[mean], EXACT_MS / of_call.mean_ms)
    if measured.rollback_s:
        allowed["rollback_s"] = max(allowed["rollback_s"], EXACT_ROLLBACK_S / measured.rollback_s)
    if measured.recovery_s:
        allowed["recovery_s"] = max(allowed["recovery_s"], EXACT_RECOVERY_S / measured.recovery_s)
    for name in unjudged(predicted, measured):
        allowed.pop(name, None)
    return allowed


def verdict(
    apart: Differences, noise: Differences, allowed: Mapping[str, float] = TOLERANCE
) -> Literal["confirmed", "refuted", "inconclusive"]:
    """The verdict on a variant whose runs are valid, by the rules at the top of this module.

    Parameters
    ----------
    apart, noise : dict
        The differences and the noise floor, by metric.
    allowed : mapping of str to float
        The judged metrics, and how much each may differ; see `tolerances`.
    """
    beyond = [name for name, limit in allowed.items() if _exceeds(apart.get(name), limit)]
    if any(_exceeds(apart[name], noise.get(name) or 0.0) for name in beyond):
        return "refuted"
    unknown = [name for name in _ALWAYS_KNOWN if apart.get(name) is None]
    return "inconclusive" if beyond or unknown else "confirmed"


def _exceeds(value: float | None, limit: float) -> bool:
    return value is not None and abs(value) > limit


@dataclass(frozen=True)
class Interval:
    """A metric of one variant with its uncertainty: about 95 % of such intervals contain the true mean."""

    low: float
    middle: float
    high: float

    def overlaps(self, other: Interval) -> bool:
        """Whether the two cannot be told apart; also true if one is unknown (NaN)."""
        return not (self.low > other.high or other.low > self.high)


def intervals(runs: Sequence[Sequence[Summary]], metric: str) -> list[Interval]:
    """One interval per variant: the mean of its runs, with its uncertainty.

    The relative standard deviation of a single run is pooled over all variants, because one variant has
    too few runs. With one run of each, the standard deviation is unknown, and no variants can be told
    apart. If the metric does not exist, such as the hit ratio without a cache, the interval is NaN.
    """
    values = [_known(getattr(run, metric) for run in of_variant) for of_variant in runs]
    means = [sum(v) / len(v) if v else math.nan for v in values]
    squares = sum(((x - m) / m) ** 2 if m else 0.0 for v, m in zip(values, means, strict=True) for x in v)
    freedom = sum(max(len(v) - 1, 0) for v in values)
    spread = student_t95(freedom) * math.sqrt(squares / freedom) if freedom else math.inf
    half = [
        spread * abs(m) / math.sqrt(max(len(v), 1)) if m else 0.0 for v, m in zip(values, means, strict=True)
    ]
    return [Interval(m - h, m, m + h) for m, h in zip(means, half, strict=True)]


def _known(figures: Iterable[float | None]) -> list[float]:
    return [figure for figure in figures if figure is not None and not math.isnan(figure)]


@dataclass(frozen=True)
class Ranking:
    """Whether the twins put the variants in the same order.

    Attributes
    ----------
    metric : str
        The metric of the order.
    predicted, measured : list of int
        Numbers of the variants, best first, without those whose figure is unknown.
    kendall_tau : float or None
        Agreeing minus disagreeing pairs over all pairs whose intervals do not overlap in either
        twin; ``None`` if there is no such pair.
    decided : int
        Number of those pairs.
    apart : tuple of pairs of int
        Those pairs, by the numbers of the variants.
    """

    metric: str
    predicted: list[int]
    measured: list[int]
    kendall_tau: float | None
    decided: int
    apart: tuple[tuple[int, int], ...] = ()


def ranking(predicted: Sequence[Interval], measured: Sequence[Interval], metric: str) -> Ranking:
    """Compare the two orders; leave out pairs that cannot be told apart."""
    apart = tuple(
        (i, j)
        for i, j in itertools.combinations(range(len(measured)), 2)
        if not (predicted[i].overlaps(predicted[j]) or measured[i].overlaps(measured[j]))
    )
    agreeing = 0
    for i, j in apart:
        same = (predicted[i].middle < predicted[j].middle) == (measured[i].middle < measured[j].middle)
        agreeing += 1 if same else -1
    return Ranking(
        metric,
        _order(predicted, metric),
        _order(measured, metric),
        agreeing / len(apart) if apart else None,
        len(apart),
        apart,
    )


def _order(figures: Sequence[Interval], metric: str) -> list[int]:
    sign = -1 if metric in HIGHER_IS_BETTER else 1
    known = [i for i, figure in enumerate(figures) if not math.isnan(figure.middle)]
    return sorted(known, key=lambda i: sign * figures[i].middle)
