"""The real proxy decides about a recorded sequence of requests as the policies do."""

from __future__ import annotations

import random
import time

import pytest

from policies.balancing import dispatch_rng
from policies.settings import Service as Settings
from realproxy.errors import LocalReply
from realproxy.upstream.service import PickedUpstream, Service
from tests.policies.resilience.recorded_sequence import EVENTS, NAME, SEED, SERVICE, decisions


def test_a_replayed_sequence_is_decided_as_the_policies_decide_it(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    service = Service(NAME, Settings.model_validate(SERVICE), dispatch_rng(SEED, NAME), seed=SEED)
    assert service.admission is not None
    running: dict[int, tuple[float, PickedUpstream]] = {}
    decided = []
    for event in EVENTS:
        now = event.at
        if not event.status:
            try:
                entered = service.admission.enter(None)
            except LocalReply as refusal:
                decided.append((event, -refusal.status))
                continue
            pick = service.start("")
            running[event.request] = entered, pick
            decided.append((event, pick.index))
        elif event.request in running:
            entered, pick = running.pop(event.request)
            pick.finish(event.status >= 500)
            service.admission.leave(event.status >= 500, entered)
    assert decided == list(decisions())


def test_the_random_numbers_of_retries_and_of_the_limit_disturb_no_balancer() -> None:
    settings = Settings.model_validate(
        {**SERVICE, "retry": {"attempts": 3, "backoff": "1s"}, "balance": "random"}
    )
    plain = Settings.model_validate({"upstreams": SERVICE["upstreams"], "balance": "random"})
    picks = []
    for each in (settings, plain):
        service = Service(NAME, each, random.Random(1), seed=SEED)
        attempts = service.attempts()
        picked = []
        for _ in range(20):
            picked.append(service.start("").index)
            service.again(attempts, refused=False, repeatable=True, status=503)
        picks.append(picked)
    assert picks[0] == picks[1]
