"""The runs that lesson 8 confirms: a rollback, and users who stay with an arm by hash and by cookie."""

from __future__ import annotations

from typing import Any

import numpy as np

from scenarios.loading import LoadedScenario, Variant, load_scenario
from scenarios.records import Records, Summary

WEIGHT, STABLE, CANARY = 0.10, 0.01, 0.10
"""The canary's share, and the error rates, in the run that is rolled back."""
RATE_RPS = 400
USERS, REQUESTS = 60, 10
"""Users who stay with an arm, and the request of each user that is looked at."""
ROLLED_BACK, BY_HASH, BY_COOKIE = "a bad canary", "sticky by hash", "sticky by the canary's cookie"
_ROLLBACK_S, _STICKY_S = 3.0, 2.5
_WORK = {f"backend.{arm}.service_time": "exponential(20ms)" for arm in ("stable", "canary")}
"""So long that some tenths of a millisecond of the machine's own make no difference."""
_SEED = 4
"""With it, the rollback comes neither early nor late: its time is between the quartiles of all rollouts."""


def canary_runs() -> LoadedScenario:
    """Three variants, a few seconds each.

    - `ROLLED_BACK`: a canary with a tenth of the requests fails ten times as often;
    - `BY_HASH`, `BY_COOKIE`: sixty users stay with their arms, by the hash of their addresses, and by a
      cookie that only the canary sets.
    """
    (bad,) = _loaded("canary-errors", {
        "workload.rate": f"{RATE_RPS}/s", "duration": f"{_ROLLBACK_S}s",
        "seed": _SEED, "backend.stable.errors": STABLE, "backend.canary.errors": CANARY, "compare": {},
        **_WORK,
    })  # fmt: skip
    by_hash, by_cookie = _loaded("canary-sticky", {
        "workload.users": USERS, "workload.think": "exponential(180ms)", "duration": f"{_STICKY_S}s",
        "compare": {"proxy.route.0.sticky": ["client", "canary-cookie:arm"]}, **_WORK,
    })  # fmt: skip
    variants = [
        Variant({"": ROLLED_BACK}, bad.scenario),
        Variant({"": BY_HASH}, by_hash.scenario),
        Variant({"": BY_COOKIE}, by_cookie.scenario),
    ]
    return LoadedScenario("canary", bad.scenario, variants)


def _loaded(name: str, changes: dict[str, Any]) -> list[Variant]:
    return load_scenario(name, changes).variants


def requests_until_rollback(summary: Summary) -> float | None:
    """Requests of both arms, about, until the canary got its last one; None without a rollback."""
    return None if summary.rollback_s is None else summary.rollback_s * summary.throughput_rps


def users_at_canary(records: Records, request: int = REQUESTS) -> float:
    """The share of the users whose request of this number, counted from 1, went to the canary."""
    canary = [number for number, name in enumerate(records.upstreams) if name.startswith("canary/")]
    asked = records.seq == request - 1
    return float(np.isin(records.upstream[asked], canary).mean())
