"""The results of a confirmation as data: calibration, both twins' metrics, verdicts, rankings."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

from scenarios.loading import Variant
from scenarios.records import Records, Summary
from scenarios.schema import Scenario
from simulator import Costs
from twin.confirm import compare


@dataclass(frozen=True)
class Calibration:
    """The costs for the simulator, and the probes that measured them.

    Attributes
    ----------
    costs : Costs
        The costs that the simulator uses.
    samples : dict of str to int
        Requests in each probe; empty if the costs were given.
    void : list of str
        Why the probes cannot be trusted; empty if they can.
    """

    costs: Costs
    samples: dict[str, int]
    void: list[str] = field(default_factory=list)

    @classmethod
    def given(cls, costs: Costs) -> Calibration:
        """A calibration with given costs, without probes."""
        return cls(costs, {})

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON; times in seconds."""
        behind = [_seconds(costs) for costs in self.costs.behind]
        more: dict[str, Any] = {"behind": behind} if behind else {}
        if self.costs.sidecar is not None:
            more["sidecar"] = _seconds(self.costs.sidecar)
        return {**_seconds(self.costs), **more, "samples": self.samples}


def _seconds(costs: Costs) -> dict[str, float]:
    """The costs that are a single number."""
    return {key: value for key, value in asdict(costs).items() if isinstance(value, float)}


@dataclass(frozen=True)
class VariantOutcome:
    """One variant in both twins.

    Attributes
    ----------
    variant : Variant
    simulated, measured : Summary
        Averages over seeds and repetitions.
    difference : dict
        Predicted minus measured; see `twin.confirm.compare`.
    verdict : str
        One of `twin.confirm.compare.Verdict`.
    predicted_records, measured_records : Records
        The requests of all runs after the warm-up, for figures.
    unsettled : str
        Why the variant never settles, so that its averages depend on the duration; empty if it settles.
    cache_notes : tuple of str
        What the simulated caches did not keep for another reason than their policy.
    void : list of str
        Why its runs or the calibration prove nothing; empty if its verdict is not ``void``.
    from_the_start : tuple of Records, optional
        All requests, predicted and measured, those of the warm-up too.
    """

    variant: Variant
    simulated: Summary
    measured: Summary
    difference: compare.Differences
    verdict: compare.Verdict
    predicted_records: Records
    measured_records: Records
    unsettled: str = ""
    cache_notes: tuple[str, ...] = ()
    void: list[str] = field(default_factory=list)
    from_the_start: tuple[Records, Records] | None = None

    @property
    def tolerances(self) -> dict[str, float]:
        """How much each metric may differ; empty if nothing is judged because a run is void."""
        return {} if self.verdict == "void" else compare.tolerances(self.simulated, self.measured)

    @property
    def unjudged(self) -> dict[str, str]:
        """The metrics that are shown but not judged, and why."""
        if self.verdict == "void":
            return dict.fromkeys(self.difference, "the verdict is void")
        return compare.unjudged(self.simulated, self.measured)

    def as_dict(self) -> dict[str, Any]:
        """Both twins' figures and the verdict, for JSON."""
        return {
            "simulated": self.simulated.as_dict(),
            "measured": self.measured.as_dict(),
            "difference": self.difference,
            "verdict": self.verdict,
            "void": self.void,
            "tolerance": self.tolerances,
            "not_judged": self.unjudged,
        }

    def beyond(self, metric: str) -> bool:
        """Whether the difference is judged, and beyond its tolerance."""
        apart = self.difference.get(metric)
        return apart is not None and abs(apart) > self.tolerances.get(metric, math.inf)

    def difference_text(self, metric: str, space: str = "") -> str:
        """The difference with its unit, in parentheses if it alone is not judged.

        It is in per cent or percentage points. If it is within the tolerance only because it is less than
        `twin.confirm.compare.EXACT_MS` or `EXACT_ROLLBACK_S`, it is in milliseconds or seconds.
        """
        apart = self.difference.get(metric)
        text = compare.difference_text(apart, metric, space=space)
        if apart is None or self.verdict == "void":
            return text
        if metric in self.unjudged:
            return f"({text})"
        small = compare.TOLERANCE[compare.kind(metric)] < abs(apart) <= self.tolerances[metric]
        if small and compare.kind(metric) not in compare.ABSOLUTE:
            units = {"rollback_s": ("+.2f", "s"), "recovery_s": ("+.2f", "s"), "call_rps": ("+.2f", "/s")}
            form, unit = units.get(compare.kind(metric), ("+.1f", "ms"))
            seen = compare.figures(self.measured)[metric] or 0.0
            return f"{apart * seen:{form}}{space}{unit}"
        return text


@dataclass(frozen=True)
class Confirmation:
    """The result of `confirm`.

    Attributes
    ----------
    name : str
        The scenario's name.
    scenario : Scenario
    calibration : Calibration
        The costs, measured on the idle system before the comparison.
    variants : list of VariantOutcome
    noise : dict
        The noise floor, by metric.
    rankings : dict of str to Ranking
        By p99, and by the metric that the scenario ranks by.
    void : list of str
        Why runs cannot be used; empty if all are valid.
    repeated : int
        Number of void runs that were repeated.
    of_real : tuple of str
        How the measured proxy differs from what the names in the scenario say.
    """

    name: str
    scenario: Scenario
    calibration: Calibration
    variants: list[VariantOutcome]
    noise: compare.Differences
    rankings: dict[str, compare.Ranking]
    void: list[str] = field(default_factory=list)
    repeated: int = 0
    of_real: tuple[str, ...] = ()

    @property
    def metrics(self) -> list[str]:
        """The metrics worth a column: those of caches only with a cache, and errors only if there are any."""
        sides = [side for one in self.variants for side in (one.simulated, one.measured)]
        caching = any(side.hit_ratio is not None for side in sides)
        failing = any(side.error_ratio > 0 for side in sides)
        return [
            name
            for name in compare.COMPARED
            if (failing or name != "error_ratio") and (caching or name not in compare.OF_CACHES)
        ]

    @property
    def service_metrics(self) -> list[str]:
        """The metrics of the services, if there are several, and of a watched canary."""
        return [
            name
            for name in self.noise | self.variants[0].difference
            if compare.kind(name) in (*compare.OF_SERVICES, *compare.OF_CANARIES)
        ]

    @property
    def call_metrics(self) -> list[str]:
        """The metrics of the calls between backends, if there are any."""
        return [
            name
            for name in self.noise | self.variants[0].difference
            if compare.kind(name) in compare.OF_CALLS
        ]

    @property
    def refuted(self) -> bool:
        """Whether any prediction was refuted."""
        return any(outcome.verdict == "refuted" for outcome in self.variants)

    @property
    def unsettled(self) -> dict[str, str]:
        """The reason for each variant that never settles, by label."""
        return {one.variant.label: one.unsettled for one in self.variants if one.unsettled}

    def as_dict(self) -> dict[str, Any]:
        """The form that ``--json`` writes."""
        ranked = self.rankings[self.scenario.rank_by]
        return {
            "scenario": self.name,
            "title": self.scenario.title,
            "seed": self.scenario.seed,
            "calibration": self.calibration.as_dict(),
            "void": self.void,
            "unsettled": self.unsettled,
            "repeated_runs": self.repeated,
            "noise": self.noise,
            "variants": [
                {"setting": outcome.variant.setting, **outcome.as_dict(), "noise": self.noise}
                for outcome in self.variants
            ],
            "ranking": {"metric": ranked.metric, "kendall_tau": ranked.kendall_tau, "pairs": ranked.decided},
            "rankings": {
                name: {
                    "predicted": [self.variants[i].variant.label for i in one.predicted],
                    "measured": [self.variants[i].variant.label for i in one.measured],
                    "kendall_tau": one.kendall_tau,
                    "pairs": one.decided,
                }
                for name, one in self.rankings.items()
            },
        }
