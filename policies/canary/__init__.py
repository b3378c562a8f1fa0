"""Canary: whether a new version may have more of the traffic, decided from the answers of both versions.

Start with `watch`: the steps of a rollout, promotion and rollback. `whose_error` holds its test, which is
valid however often one looks; `latency` applies the same test to slow answers, and `acceptable` lets a canary
pass that makes no errors at all. `z_test` is what others do, to be compared. `sprt` is Wald's test, from
which the others come. The split of the requests is in `policies.reverse.split`, and `rollout` joins split and
watch.

Each split route has one `Rollout`. The real proxy calls it under a lock.
"""

from policies.canary.acceptable import AcceptableErrors
from policies.canary.latency import SlowAnswers
from policies.canary.rollout import RequestJudge, Rollout
from policies.canary.sprt import Sprt
from policies.canary.watch import (
    PROMOTED,
    ROLLED_BACK,
    WATCHING,
    CanaryWatch,
    Change,
    Trial,
    excluded_ratio,
)
from policies.canary.whose_error import WhoseError, canary_share

__all__ = [
    "PROMOTED",
    "ROLLED_BACK",
    "WATCHING",
    "AcceptableErrors",
    "CanaryWatch",
    "Change",
    "RequestJudge",
    "Rollout",
    "SlowAnswers",
    "Sprt",
    "Trial",
    "WhoseError",
    "canary_share",
    "excluded_ratio",
]  # fmt: skip
