"""What lesson 3 says, and what theory, statistics and simulation compute."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from lessons.kit import simulated
from lessons.trust import SERVICE_S, means_by_server, one_connection, one_server, repeat, ten_at_once
from lessons.trust.exercise import _CASES, _runs_needed
from lessons.trust.explorer import LOADS, SECONDS
from lessons.trust.replications import RUNS
from scenarios import Scenario
from simulator import Result, compare_paired
from simulator.statistics import batch_means, coordinated_omission, estimate, student_t95
from twin.confirm.compare import TOLERANCE


@functools.cache
def run(
    load: float = 0.8, seconds: float = 12.0, runs: int = 1, service: str = "exponential(20ms)"
) -> Result:
    return simulated(one_server(load, seconds, backend__web__service_time=service), runs)


def scenario() -> Scenario:
    return one_server().scenario


def spread(load: float) -> float:
    means = repeat(load, 12).means
    return float(means.max() / means.min())


def busy_periods() -> list[int]:
    """The number of times that the server begins to work, in each of ten runs."""
    queues = [one.queues["web/0"].values for one in run(runs=10).runs]
    return [int(np.sum((queue[1:] > 0) & (queue[:-1] == 0))) for queue in queues]


def waiting_in_long_periods() -> float:
    """The share of the waiting that falls into the longest tenth of the busy periods."""
    queue = run(seconds=400).queues["web/0"]
    waiting = np.maximum(queue.values[:-1] - 1, 0) * np.diff(queue.times)
    starts = np.flatnonzero(np.concatenate([[True], queue.values[:-2] == 0]))
    each = np.sort(np.add.reduceat(waiting, starts))[::-1]
    return float(each[: len(each) // 10].sum() / each.sum())


def of_a_long_run() -> tuple[float, float]:
    """Half widths: as if requests were independent, and by batch means."""
    response = run(seconds=400).records.within((20, 400)).response
    return estimate(1e3 * response).half_width, batch_means(1e3 * response, batches=20).half_width


@functools.cache
def two_per_cent_faster() -> tuple[float, float, float]:
    """The time saved in per cent, the spread of the runs in per cent, and the reduction of the variance."""
    slower, faster = run(0.8, 20, 6), run(0.8, 20, 6, "exponential(19.6ms)")
    found, means = compare_paired(slower, faster, "mean_ms"), slower.values("mean_ms")
    assert found.variance_reduction is not None
    return 100 * found.mean / means.mean(), 100 * (means.max() / means.min() - 1), found.variance_reduction


def doubled() -> list[float]:
    means = [run(1.2, seconds).summary.mean_ms for seconds in (10, 20, 40)]
    return [means[1] / means[0], means[2] / means[1]]


CLAIMS: dict[str, Callable[[], Sequence[Any] | bool]] = {
    "works on one request at a time, 20 ms on average": lambda: [1e3 * SERVICE_S],
    "**simulate** it ten times at once": lambda: [RUNS],
    "The server is busy for 80 % of the time. Requests arrive at random moments, 40 per second, and take "
    "20 ms each": lambda: [
        100 * (scenario().workload.rate or 0) * SERVICE_S, scenario().workload.rate or 0, 1e3 * SERVICE_S,
    ],
    "at a load of 0.8": lambda: [(scenario().workload.rate or 0) * SERVICE_S],
    "ten runs of 12 s: longest": lambda: [RUNS, repeat(0.8, 12).duration_s],
    "At a load of 0.8, how far apart are ten runs of 12 s?": lambda: [
        (LOADS[0], 0.8), RUNS, (SECONDS[0], 12),
    ],
    "Move the load down to 0.3. Why do the dots come closer together?": lambda: [
        0.3 if spread(0.3) < spread(0.8) else 0,
    ],
    "At 0.95 and 4 s the band lies *below* the line.": lambda: [
        0.95, 4 if repeat(0.95, 4).estimate.interval[1] < repeat(0.95, 4).theory else 0,
    ],
    "There are nearly 500 requests in twelve seconds, but only about a hundred *busy periods*": lambda: [
        (repeat(0.8, 12).requests / RUNS, 500), repeat(0.8, 12).duration_s, float(np.mean(busy_periods())),
    ],
    "And a few long ones make most of the waiting.": lambda: bool(waiting_in_long_periods() > 0.8),
    "At loads of 0.5, 0.8 and 0.9 it is 2, 5 and 10 times the mean service time.": lambda: [
        0.5, 0.8, 0.9, *(repeat(load, 2).theory / SERVICE_S for load in (0.5, 0.8, 0.9)),
    ],
    "you get an interval that is far too narrow": lambda: bool(of_a_long_run()[0] < of_a_long_run()[1] / 5),
    "a server that is 2 % faster really better? The next cell runs each server six times for 20 s": lambda: [
        100 * (1 - 19.6 / (1e3 * SERVICE_S)), len(run(0.8, 20, 6).runs), run(0.8, 20, 6).scenario.duration,
    ],
    "The response times of both servers vary wildly from run to run": lambda: bool(
        two_per_cent_faster()[1] > 50
    ),
    "The difference varies far less.": lambda: bool(two_per_cent_faster()[2] > 25),
    "(Do you notice that 2 % less work saves more than 2 % of the time?": lambda: [
        2, (2, two_per_cent_faster()[0]),
    ],
    "the throughput is within 2 %, of the mean within 5 %, and of p95 within 8 %.": lambda: [
        100 * TOLERANCE[name] for name in ("throughput_rps", "mean_ms", "p95_ms")
    ],
    "Six seconds are far from an infinite run, so the theory is off by more than a tenth.": lambda: [
        6, (0.1, repeat(0.8, 2).theory / (run(seconds=6).summary.mean_ms / 1e3) - 1),
    ],
    "Ten runs of 12 s would take two minutes.": lambda: [RUNS, 12, RUNS * 12 / 60],
    "So the next cell starts *ten servers* side by side.": lambda: [len(ten_at_once().scenario.replicas)],
    "these are ten runs at once": lambda: [len(ten_at_once().scenario.replicas)],
    "one connection, a load of 0.8, and exactly 20 ms of work": lambda: [
        (one_connection(8).scenario.workload.rate or 0) * SERVICE_S,
        1e3 * one_connection(8).scenario.backend["web"].service_time.mean,
    ],
    "the report says *20 ms, always*": lambda: [
        1e3 * float(np.quantile(coordinated_omission(simulated(one_connection(8)).records).from_sent, 0.99)),
    ],
    "Ten runs gave a confidence interval of ± 20 ms. You want ± 5 ms.": lambda: [
        _CASES[0][1], _CASES[0][0], _CASES[0][2],
    ],
    "becomes only a little smaller (by 13 % from 10 to 160 runs)": lambda: [
        100 * (1 - student_t95(_runs_needed(*_CASES[0]) - 1) / student_t95(9)), 10, _runs_needed(*_CASES[0]),
    ],
    "At a load of 1.2, more work arrives": lambda: [
        (one_server(1.2).scenario.workload.rate or 0) * SERVICE_S,
    ],
    'If the duration doubles, the "mean" doubles, too.': lambda: [2, (min(doubled()), max(doubled()))],
    "a difference needs far fewer runs": lambda: bool(two_per_cent_faster()[2] > 25),
    "An interval that is four times narrower needs sixteen times as many runs.": lambda: [
        _CASES[0][0] / _CASES[0][2], _runs_needed(*_CASES[0]) / _CASES[0][1],
    ],
    "Common random numbers remove most of the randomness": lambda: bool(two_per_cent_faster()[2] > 2),
    "and Student's t becomes a little smaller with more runs": lambda: bool(
        0.8 < student_t95(159) / student_t95(9) < 1
    ),
}  # fmt: skip

OTHERS = {
    "definition": (
        "three digits when you run it once, and three other digits",
        "many are shorter, a few are much longer",
        "The band is the **95 % confidence interval**", "cut one long run into 20 long pieces",
        "pieces are nearly independent", "difference between two real runs", "an error of 2 % in the service",
        "an empty queue is much shorter than the usual queue",
    ),
    "what the next cell sets": ("100 users start with an empty server", "these six seconds, simulated"),
    "what people expect": ("differ by ten per cent at most",),
    "a question or an advice": (
        "**Ten real runs.** How far apart", "How far apart are real runs?", "ten runs of 40 s first miss",
        "what do the means of ten runs look like?", "Confirm a load of 0.5 and a load of 0.9",
        "Do ten runs, and look", "How many runs are enough",
    ),
    "an argument": ("Statistics show how far the simulator", "Ten thousand replications of a wrong model"),
    "held below": ("This takes about 20 seconds",),
}  # fmt: skip
REASONS = [piece for pieces in OTHERS.values() for piece in pieces]


@pytest.mark.parametrize("said", CLAIMS)
def test_a_claim_is_what_is_computed(said: str, against_text: Callable[..., None]) -> None:
    against_text(3, said, CLAIMS[said]())


def test_each_number_and_comparison_in_the_text_is_a_claim(uncovered: Callable[..., list[str]]) -> None:
    assert uncovered(3, CLAIMS, REASONS) == []


def test_each_exception_is_in_the_text(unknown: Callable[..., list[str]]) -> None:
    assert unknown(3, REASONS) == []


def test_the_seconds_of_the_confirmation_are_as_planned(
    against_text: Callable[..., None], planned_s: Callable[[int], float]
) -> None:
    against_text(3, "This takes about 20 seconds", [(planned_s(3) + 3, planned_s(3) + 9)])


def test_ten_servers_at_once_are_ten_runs() -> None:
    """Each server has the load of `one_server`, and the means are as far apart as those of ten runs."""
    found = simulated(ten_at_once(0.8, 60))
    assert found.scenario.workload.rate == pytest.approx(10 * 0.8 / SERVICE_S)
    means = means_by_server(found.records)
    assert len(means) == RUNS and (means > SERVICE_S).all()
    assert abs(estimate(means).z_score(repeat(0.8, 2).theory)) < 4.9
    short = means_by_server(simulated(ten_at_once(0.8, 12)).records)
    assert short.max() / short.min() > 1.5
