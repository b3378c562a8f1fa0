"""The costs of a proxy that runs already: only what its clients see can be measured.

Its settings cannot be changed for a probe and its CPU time cannot be read. So all costs are times of links,
and requests do not queue inside of it: the prediction holds as long as the proxy itself is not busy.
"""

from __future__ import annotations

import math

from loadtests import LoadTestError, Stage
from scenarios.distributions import parse_popularity
from scenarios.schema import Scenario
from simulator import Costs
from simulator.costs import spread_of
from twin.confirm.calibrate import CUT, PROBES_S, idle, typical
from twin.confirm.measure import TRIES, measure_once
from twin.confirm.outcome import Calibration
from twin.progress import Reporter

_MANY = 1_000_000
"""Objects of which hardly one is asked for twice."""
_FEW = 20


def calibrate_target(
    stage: Stage,
    scenario: Scenario,
    reporter: Reporter,
    probes_s: tuple[float, float] = PROBES_S,
    tries: int = TRIES,
) -> Calibration:
    """Measure the costs on the idle system; the parameters are those of `calibrate`.

    Raises
    ------
    LoadTestError
        If nothing could be measured.
    """
    total = probes_s[0] + (probes_s[1] if scenario.caching else 0.0)
    with reporter.step("calibrate", total, unit="s") as advance:
        reporter.note("responses from the backend")
        miss, _ = measure_once(stage, _probe(scenario, probes_s[0], _MANY), advance, tries)
        runs = [miss]
        if scenario.caching:
            reporter.note("responses from the cache")
            runs.append(measure_once(stage, _probe(scenario, probes_s[1], _FEW), advance, tries)[0])
    answered = miss.records.within((CUT, math.inf))
    passed = answered.select(~answered.hit).response
    kept = runs[-1].records.within((CUT, math.inf))
    stored = kept.select(kept.hit).response
    if not len(passed):
        raise LoadTestError("the calibration got no responses from the idle system")
    extra = max(miss.backends["busy_seconds"] - miss.backends["demand_seconds"], 0.0) / len(miss.records)
    whole = max(typical(passed) - extra, 0.0)
    link = min(typical(stored), whole) if len(stored) else whole / 2
    costs = Costs(
        0.0,
        0.0,
        link,
        whole - link,
        extra,
        spread_of(stored.tolist()) if len(stored) else (),
        spread_of(passed.tolist()),
    )
    samples = {"miss": len(passed), "hit": len(stored)}
    return Calibration(costs, samples, [reason for run in runs for reason in run.void])


def _probe(scenario: Scenario, seconds: float, objects: int) -> Scenario:
    probe = idle(scenario, seconds, work=0.0, storing=0 if scenario.caching else None)
    update = {"objects": objects, "popularity": parse_popularity("uniform")}
    return probe.model_copy(update={"workload": probe.workload.model_copy(update=update)})
