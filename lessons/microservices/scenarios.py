"""The runs that lesson 9 confirms: a page of five calls, and an outage with three kinds of retries."""

from __future__ import annotations

from lessons.microservices.fan_out import pages_scenario
from lessons.microservices.remedies import REMEDIES
from lessons.microservices.storm import BEGIN_S, OUTAGE_S, retries, storm_variant
from scenarios.loading import LoadedScenario, Variant
from scenarios.records import Records

CALLS, PAGES_RPS = 5, 30.0
PAGE, FREE, BUDGET, DEADLINE = "five calls a page", "free retries", "budget 0.2", "deadline"
STORMS = (FREE, BUDGET, DEADLINE)
_PAGE_S, _STORM_S, _END_S = 2.4, 3.4, 2.6
"""Seconds of a run; the averages of a storm are of its end, when it is over, or will never be."""


def storm_runs() -> LoadedScenario:
    """Four variants, a few seconds each.

    - `PAGE`: a page asks five times at once, and has its answer with the last one;
    - `FREE`, `BUDGET`, `DEADLINE`: the outage with three retries, with a budget, and with one retry whose
      deadline the server knows.
    """
    (page,) = pages_scenario(CALLS, 0.0, _PAGE_S, PAGES_RPS).variants
    variants = [
        Variant({"": PAGE}, page.scenario),
        *(
            storm_variant(settings, duration_s=_STORM_S, warmup_s=_END_S, label=label)
            for label, settings in (
                (FREE, retries()),
                (BUDGET, REMEDIES[BUDGET]),
                (DEADLINE, REMEDIES[DEADLINE]),
            )
        ),
    ]
    return LoadedScenario("microservices", page.scenario, variants)


def good_after(records: Records, seconds: float = 1.5) -> float:
    """The share of good answers among the requests that were due so long after the outage, or later.

    NaN if there were none.
    """
    status = records.status[records.due >= BEGIN_S + OUTAGE_S + seconds]
    return float((status == 200).mean()) if len(status) else float("nan")
