"""The decisions about upstreams that fail: each class against what it says, and against general rules."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.balancing import Dispatch, Upstreams, balancing_policies
from policies.resilience import (
    Attempts,
    BoundedQueue,
    CircuitBreaker,
    HealthChecks,
    Membership,
    PassiveEjection,
    RetryBudget,
    TokenBucket,
)


def test_a_breaker_opens_after_failures_in_a_row_and_lets_one_try_again() -> None:
    breaker = CircuitBreaker(3, 5.0)
    for failed in (True, True, False, True, True):
        assert breaker.allows(0.0)
        breaker.ended(failed, 0.0, 0.0)
    assert breaker.state(0.0) == "closed"
    breaker.ended(True, 0.0, 1.0)
    assert (breaker.state(1.0), breaker.allows(5.9)) == ("open", False)
    assert breaker.state(6.0) == "half open"
    assert [breaker.allows(6.0), breaker.allows(6.0)] == [True, False]
    breaker.ended(True, 6.0, 7.0)
    assert not breaker.allows(11.9)
    assert breaker.allows(12.0)
    breaker.ended(False, 12.0, 12.0)
    assert breaker.state(12.0) == "closed"


def test_requests_from_before_it_opened_do_not_close_a_breaker() -> None:
    breaker = CircuitBreaker(1, 5.0)
    assert breaker.allows(0.0)
    assert breaker.allows(0.0)
    breaker.ended(True, 0.0, 1.0)
    breaker.ended(False, 0.0, 2.0)
    assert breaker.state(2.0) == "open"


@pytest.mark.parametrize("failed", [False, True])
def test_an_older_requests_end_is_not_taken_for_the_trials(failed: bool) -> None:
    breaker = CircuitBreaker(1, 5.0)
    assert [breaker.allows(0.0), breaker.allows(0.5), breaker.allows(0.6)] == [True] * 3
    breaker.ended(True, 0.0, 1.0)
    assert breaker.allows(6.0)
    breaker.ended(failed, 0.5, 6.1)
    assert breaker.state(6.1) == "half open"
    assert not breaker.allows(6.1), "the trial is still under way"
    breaker.ended(False, 6.0, 6.2)
    assert breaker.state(6.2) == "closed"
    breaker.ended(True, 0.6, 6.3)
    assert breaker.state(6.3) == "closed", "what it says of the service is older than the trial"


@given(st.lists(st.booleans(), max_size=300), st.sampled_from([0.0, 0.1, 0.2, 0.5, 1.0]))
def test_a_budget_never_allows_more_retries_than_its_share_and_what_was_saved(
    events: list[bool], share: float
) -> None:
    budget, requests, retries = RetryBudget(share, most=3), 0, 0
    for is_request in events:
        if is_request:
            requests += 1
            budget.requested()
        else:
            retries += budget.spend()
    assert retries <= 3 + share * requests + 1e-6


def test_a_budget_of_a_fifth_pays_for_every_fifth_request() -> None:
    budget = RetryBudget(0.2)
    while budget.spend():
        pass
    spent = []
    for number in range(1, 21):
        budget.requested()
        if budget.spend():
            spent.append(number)
    assert spent == [5, 10, 15, 20]


def test_an_upstream_is_ejected_after_errors_in_a_row_and_comes_back() -> None:
    eject = PassiveEjection(4, 2, 10.0, 0.5)
    assert [eject.ended(0, failed, 0.0) for failed in (True, False, True, True)] == [
        False, False, False, True,
    ]  # fmt: skip
    assert not eject.ended(1, True, 1.0)
    assert eject.ended(1, True, 1.0)
    assert [eject.ended(2, True, 2.0) for _ in range(5)] == [False] * 5, "half of them are out already"
    assert eject.returning(9.9) == []
    assert eject.returning(10.0) == [0]
    assert eject.returning(10.0) == []
    assert eject.ended(2, True, 10.0)


def test_a_trial_whose_end_nobody_knows_is_given_to_another() -> None:
    breaker = CircuitBreaker(1, 5.0)
    breaker.ended(True, 0.0, 0.0)
    assert breaker.retry_after(2.0) == 3.0
    assert breaker.allows(6.0)
    breaker.ended(None, 6.0, 7.0)
    assert breaker.state(7.0) == "half open"
    assert breaker.allows(7.0)
    breaker.ended(False, 7.0, 8.0)
    assert (breaker.state(8.0), breaker.retry_after(8.0)) == ("closed", 0.0)


def test_a_refused_connection_costs_no_attempt_while_there_are_others() -> None:
    attempts = Attempts(1, None, failover=True)
    said = []
    for index in (2, 0, 1):
        attempts.failed.append(index)
        said.append(attempts.again(refused=True, repeatable=False, available=[0, 1, 2]))
    assert said == [True, True, False]
    alone = Attempts(1, None, failover=False)
    assert not alone.again(refused=True, repeatable=True, available=[0, 1, 2])


@given(
    st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=30),
    st.integers(1, 5),
    st.booleans(),
)
def test_attempts_never_exceed_what_is_allowed(
    failures: list[tuple[bool, bool]], most: int, failover: bool
) -> None:
    attempts, tries, free = Attempts(most, None, failover), 0, 0
    for number, (refused, repeatable) in enumerate(failures):
        tries += 1
        attempts.failed.append(number % 3)
        free += refused and failover and number < 2
        if not attempts.again(refused=refused, repeatable=repeatable, available=[0, 1, 2]):
            break
        assert repeatable or (refused and failover and number < 2)
    assert tries <= most + free


def test_only_an_attempt_that_is_made_is_paid_for() -> None:
    budget = RetryBudget(0.0, most=1)
    assert not Attempts(3, budget, True).again(refused=False, repeatable=False, available=[0])
    first = Attempts(3, budget, True)
    assert first.again(refused=False, repeatable=True, available=[0])
    assert not first.again(refused=False, repeatable=True, available=[0]), "nothing is left to spend"


@pytest.mark.parametrize("balance", sorted(balancing_policies.names()))
def test_whoever_failed_a_request_is_not_asked_again_before_the_others(balance: str) -> None:
    dispatch, rng = Dispatch(balance, [1.0] * 12, random.Random(4)), random.Random(5)
    now, outstanding = 0.0, []
    for request in range(300):
        failed: list[int] = []
        while len(failed) < rng.choice((1, 1, 3, 12)):
            failed.append(dispatch.start(str(request), now, failed))
            now += 0.001
        assert len(set(failed)) == len(failed)
        outstanding += failed
        while outstanding and rng.random() < 0.9:
            dispatch.finish(outstanding.pop(rng.randrange(len(outstanding))), 0.01, now, failed=True)
    loads = dispatch.upstreams.load
    assert [loads[index] for index in range(12)] == [outstanding.count(index) for index in range(12)]


@pytest.mark.parametrize("balance", ["peak_ewma", "prequal"])
def test_who_fails_at_once_does_not_look_fast(balance: str) -> None:
    dispatch, picked = Dispatch(balance, [1.0] * 3, random.Random(1)), [0, 0, 0]
    now = 0.0
    for _ in range(600):
        index = dispatch.start(None, now)
        picked[index] += 1
        elapsed = 0.0 if index == 0 else 0.02
        now += 0.02
        dispatch.finish(index, elapsed, now, failed=index == 0)
    assert picked[0] < 60


def test_health_follows_probes_in_a_row() -> None:
    checks = HealthChecks(2, rise=2, fall=3)
    probes = [False, False, True, False, False, False, False, True, False, True, True, True]
    said = [checks.probed(0, good) for good in probes]
    assert said == [None] * 5 + [False] + [None] * 4 + [True, None]
    assert checks.probed(1, True) is None


def test_an_upstream_is_out_while_anyone_has_a_reason() -> None:
    upstreams = Upstreams([1.0] * 3)
    members = Membership(upstreams)
    members.exclude(1, "ejected", 0.0)
    members.exclude(1, "unhealthy", 0.0)
    members.readmit(1, "ejected", 1.0)
    assert upstreams.available == [0, 2]
    members.readmit(1, "unhealthy", 2.0)
    assert upstreams.available == [0, 1, 2]
    members.readmit(2, "ejected", 2.0)
    assert upstreams.available == [0, 1, 2]


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 2), st.sampled_from("ab")), max_size=60))
def test_those_without_a_reason_can_be_picked_or_all_if_there_is_none(
    events: list[tuple[bool, int, str]],
) -> None:
    upstreams = Upstreams([1.0] * 3)
    members = Membership(upstreams)
    against: dict[int, set[str]] = {index: set() for index in range(3)}
    for out, index, reason in events:
        if out:
            members.exclude(index, reason, 0.0)
            against[index].add(reason)
        else:
            members.readmit(index, reason, 0.0)
            against[index].discard(reason)
        fit = [number for number in range(3) if not against[number]]
        assert upstreams.available == (fit or [0, 1, 2])
        assert members.reasons(index) == sorted(against[index])


def test_a_queue_serves_in_order_and_passes_over_who_gave_up() -> None:
    queue = BoundedQueue(2, 1.0)
    assert [queue.enter(ticket, 0.0) for ticket in "abcde"] == [True, True, False, False, False]
    assert queue.give_up("c")
    assert not queue.give_up("c")
    assert [queue.leave(0.0) for _ in range(4)] == [["d"], ["e"], [], []]
    assert not queue.give_up("d")
    assert [queue.enter(ticket, 0.0) for ticket in "xyz"] == [True, True, False]


def test_a_queue_without_a_wait_keeps_nobody() -> None:
    queue = BoundedQueue(1, 0.0)
    assert [queue.enter("a", 0.0), queue.enter("b", 0.0)] == [True, False]
    assert queue.leave(0.0) == []


@given(
    st.lists(st.floats(0, 2), min_size=1, max_size=200),
    st.floats(0.5, 50),
    st.floats(1, 20),
)
def test_a_token_bucket_never_exceeds_its_rate_and_burst(
    gaps: list[float], rate: float, burst: float
) -> None:
    bucket, now, passed = TokenBucket(rate, burst), 0.0, []
    for gap in gaps:
        now += gap
        if bucket.allows(now):
            passed.append(now)
    for start in range(len(passed)):
        count = len(passed) - start
        assert count <= burst + rate * (passed[-1] - passed[start]) + 1 + 1e-6


def test_a_token_bucket_passes_its_rate_once_the_burst_is_gone() -> None:
    bucket = TokenBucket(10.0, burst=1)
    passed = sum(bucket.allows(number / 100) for number in range(1001))
    assert passed == pytest.approx(101, abs=1)
