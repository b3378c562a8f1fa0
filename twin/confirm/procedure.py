"""The main job: calibrate, simulate, measure, compare, verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from loadtests import Stage
from loadtests.peers.registry import OURS
from loadtests.run.target import Target
from scenarios.due import check_sent
from scenarios.loading import LoadedScenario, Variant
from scenarios.records import Records, Summary, pool
from scenarios.schema import Scenario, check_real
from simulator import Costs, simulate
from simulator.statistics import mean_summary
from twin.confirm import compare
from twin.confirm.calibrate import PROBES_S, calibrate
from twin.confirm.calibrate_target import calibrate_target
from twin.confirm.measure import TRIES, measure_once
from twin.confirm.outcome import Calibration, Confirmation, VariantOutcome
from twin.progress import Quiet, Reporter

LUCKS = 10
"""Simulated runs per seed: the same requests with different link times."""
REPEATS = 2
"""Real runs per seed and variant; two runs show the noise of the real system."""


def confirm(
    loaded: LoadedScenario,
    *,
    seeds: int = 1,
    repeats: int = REPEATS,
    costs: Costs | None = None,
    reporter: Reporter | None = None,
    probes_s: tuple[float, float] = PROBES_S,
    tries: int = TRIES,
    real: str = OURS,
    target: Target | None = None,
) -> Confirmation:
    """Predict every variant, measure every variant on real sockets, and compare.

    Parameters
    ----------
    loaded : LoadedScenario
        A scenario with its variants.
    seeds : int
        Number of workloads: the scenario's seed and the seeds after it.
    repeats : int
        Real runs of every variant with every seed; the noise floor needs at least two.
    costs : Costs, optional
        The costs of an earlier calibration; without them, `confirm` calibrates first.
    reporter : Reporter, optional
        Shows the progress.
    probes_s : tuple of float
        Seconds of the calibration's two probes; see `twin.confirm.calibrate.calibrate`.
    tries : int
        How often a run is tried before its result counts as void.
    real : str
        Which proxy is measured: ours or a peer, see `loadtests.peers.registry`.
    target : Target, optional
        A proxy that runs already, instead.

    Raises
    ------
    BadInput
        If the scenario cannot be run as it stands, for example because a trace is unreadable,
        or no request is due.
    """
    reporter = reporter or Quiet()
    for variant in loaded.variants:
        check_real(variant.scenario, loaded.name)
    probe = calibrate if target is None else calibrate_target
    with Stage() if real == OURS and target is None else Stage(real, target) as stage:
        calibration = (
            Calibration.given(costs) if costs else probe(stage, loaded.scenario, reporter, probes_s, tries)
        )
        predicted, unsettled, notes = _predict(loaded.variants, seeds, calibration.costs, reporter)
        measured = _measure(stage, loaded.variants, seeds, repeats, reporter, tries)
    return _compare(loaded, calibration, predicted, unsettled, measured, notes)


def _with_seeds(scenario: Scenario, seeds: int) -> list[Scenario]:
    return [scenario.model_copy(update={"seed": scenario.seed + i}) for i in range(seeds)]


def _predict(
    variants: list[Variant], seeds: int, costs: Costs, reporter: Reporter
) -> tuple[list[list[list[Records]]], list[str], list[tuple[str, ...]]]:
    """By variant: records by seed and run; why it never settles, or an empty text; notes about its caches."""
    total = len(variants) * seeds * LUCKS
    predicted: list[list[list[Records]]] = []
    unsettled, notes = [], []
    with reporter.step("simulate", total) as advance:
        for variant in variants:
            of_seeds, reason, of_caches = [], "", []
            for scenario in _with_seeds(variant.scenario, seeds):
                result = simulate(scenario, lucks=LUCKS, costs=costs, progress=lambda *_: advance(1))
                check_sent(result.summary, scenario, variant.label)
                of_seeds.append([run.records for run in result.runs])
                reason = reason or result.settled.reason
                of_caches += result.cache_notes
            predicted.append(of_seeds)
            unsettled.append(reason)
            notes.append(tuple(of_caches))
    return predicted, unsettled, notes


@dataclass
class _Measured:
    """Records by variant, seed and repetition; reasons for void runs by variant; number of repeated runs."""

    records: list[list[list[Records]]]
    void: list[list[str]]
    repeated: int = 0


def _measure(
    stage: Stage, variants: list[Variant], seeds: int, repeats: int, reporter: Reporter, tries: int
) -> _Measured:
    """Measure the variants in turn, so that a drift of the machine affects all of them equally."""
    measured = _Measured([[[] for _ in range(seeds)] for _ in variants], [[] for _ in variants])
    total = repeats * seeds * sum(variant.scenario.duration for variant in variants)
    with reporter.step("measure", total, unit="s") as advance:
        for _ in range(repeats):
            for number, variant in enumerate(variants):
                for seed, scenario in enumerate(_with_seeds(variant.scenario, seeds)):
                    reporter.note(variant.label)
                    run, again = measure_once(stage, scenario, advance, tries)
                    measured.repeated += again
                    measured.void[number] += run.void
                    measured.records[number][seed].append(run.records)
    return measured


def _compare(
    loaded: LoadedScenario,
    calibration: Calibration,
    predicted: list[list[list[Records]]],
    unsettled: list[str],
    measured: _Measured,
    notes: list[tuple[str, ...]],
) -> Confirmation:
    windows = [variant.scenario.window for variant in loaded.variants]
    simulated_runs = [_summaries(*each) for each in zip(predicted, windows, strict=True)]
    measured_runs = [_summaries(*each) for each in zip(measured.records, windows, strict=True)]
    valid_runs = [[] if void else runs for runs, void in zip(measured_runs, measured.void, strict=True)]
    noise = compare.noise_floor([runs for of_seeds in valid_runs for runs in of_seeds])
    of_calibration = [f"calibration: {reason}" for reason in calibration.void]
    outcomes = [
        _outcome(variant, *of_variant, noise, [*of_calibration, *void])
        for variant, *of_variant, void in zip(
            loaded.variants, predicted, measured.records, unsettled, notes, measured.void, strict=True
        )
    ]
    rankings = {
        metric: compare.ranking(
            compare.intervals([[] if of_calibration else _flat(runs) for runs in simulated_runs], metric),
            compare.intervals([_flat(runs) for runs in valid_runs], metric),
            metric,
        )
        for metric in dict.fromkeys(["p99_ms", loaded.scenario.rank_by])
    }
    of_runs = [
        f"{variant.label}: {reason}"
        for variant, reasons in zip(loaded.variants, measured.void, strict=True)
        for reason in reasons
    ]
    void = [*of_calibration, *of_runs]
    return Confirmation(
        loaded.name, loaded.scenario, calibration, outcomes, noise, rankings, void, measured.repeated
    )


def _outcome(
    variant: Variant,
    predicted: list[list[Records]],
    measured: list[list[Records]],
    unsettled: str,
    notes: tuple[str, ...],
    noise: compare.Differences,
    void: list[str],
) -> VariantOutcome:
    window = variant.scenario.window
    said, seen = (mean_summary(_flat(_summaries(runs, window))) for runs in (predicted, measured))
    apart = compare.difference(said, seen)
    return VariantOutcome(
        variant,
        said,
        seen,
        apart,
        "void" if void else compare.verdict(apart, noise, compare.tolerances(said, seen)),
        pool([run.within(window).whole() for run in _flat(predicted)]),
        pool([run.within(window).whole() for run in _flat(measured)]),
        unsettled,
        notes,
        void,
        (pool([run.whole() for run in _flat(predicted)]), pool([run.whole() for run in _flat(measured)])),
    )


def _summaries(of_seeds: list[list[Records]], window: tuple[float, float]) -> list[list[Summary]]:
    return [[run.summary(window) for run in runs] for runs in of_seeds]


def _flat(nested: Sequence[Sequence[Any]]) -> list[Any]:
    return [item for inner in nested for item in inner]
