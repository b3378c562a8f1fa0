"""Split routes, canaries and mirrors in the model: shares, users, cookies, rollbacks and copies."""

from __future__ import annotations

import random
from collections import defaultdict
from typing import Any

import numpy as np
import pytest

from policies.canary import Rollout
from policies.reverse.split import Split
from policies.settings import Mirror
from scenarios import Records, Scenario, parse_scenario
from scenarios.workload import client_address
from simulator import Costs, simulate
from simulator.routes import PlansByClient
from simulator.splits import MirroredTo

WEIGHTS = {"api": 90, "new": 10}


def split_scenario(
    route: dict[str, Any] | None = None,
    workload: dict[str, Any] | None = None,
    duration: str = "10s",
    **more: Any,
) -> Scenario:
    """Two arms, `api` and `new`; `more` has the settings of backends and services by name."""
    backend = {name: {"concurrency": 50, "service_time": "1ms", **more.get(name, {})} for name in WEIGHTS}
    service = {name: {"upstreams": name, **more.get("service", {})} for name in WEIGHTS}
    backend |= more.get("backend", {})
    service |= {name: {"upstreams": name} for name in more.get("backend", {})}
    data = {
        "title": "splits",
        "seed": 5,
        "duration": duration,
        "warmup": "0s",
        "workload": {"rate": "400/s", "objects": 10, **(workload or {})},
        "backend": backend,
        "proxy": {
            "route": [{"to": WEIGHTS, **(route or {})}],
            "service": service,
            "limits": more.get("limits", {}),
        },
    }
    return parse_scenario(data).scenario


def run(scenario: Scenario, costs: Costs | None = None) -> Records:
    records = simulate(scenario, costs=costs or Costs.zero()).records
    return records.select(np.argsort(records.seq))


def at_canary(records: Records) -> np.ndarray:
    return records.upstream == records.upstreams.index("new/0")


# -- shares and users ----------------------------------------------------------------------------


def test_arms_get_their_shares() -> None:
    """About 4,000 requests at 10 %: within 4.42 standard deviations, so one seed in 100,000 fails."""
    records = run(split_scenario())
    count, n = int(at_canary(records).sum()), len(records)
    assert abs(count - 0.1 * n) < 4.42 * (n * 0.09) ** 0.5
    summary = records.summary((0.0, 10.0))
    assert summary.services["new"].share == pytest.approx(count / n)
    assert summary.services["api"].share + summary.services["new"].share == pytest.approx(1.0)
    assert (summary.rollback_ratio, summary.rollback_s) == (None, None), "nobody watches"


def test_the_arms_are_those_that_the_policy_draws_from_the_seed_of_the_route() -> None:
    """The real proxy draws from the same words, so both twins send the n-th request to the same arm."""
    scenario = split_scenario(duration="2s")
    rollout = Rollout(scenario.proxy.route[0], random.Random("5/split 0"))
    records = run(scenario)
    expected = [rollout.choose("10.0.0.1", lambda _: None)[0].arm == "new" for _ in range(len(records))]
    assert at_canary(records).tolist() == expected


def test_a_sticky_client_has_the_arm_of_its_hash() -> None:
    records = run(split_scenario({"sticky": "client"}, {"rate": None, "users": 60, "think": "50ms"}))
    split = Split(dict(WEIGHTS))
    for user, is_canary in zip(records.user.tolist(), at_canary(records).tolist(), strict=True):
        assert is_canary == (split.by_key(client_address(user)) == "new")


def arms_by_user(records: Records) -> dict[int, list[bool]]:
    found: dict[int, list[bool]] = defaultdict(list)
    for user, is_canary in zip(records.user.tolist(), at_canary(records).tolist(), strict=True):
        found[user].append(is_canary)
    return found


def test_a_cookie_keeps_each_user_with_one_arm() -> None:
    records = run(split_scenario({"sticky": "cookie:arm"}, {"rate": None, "users": 100, "think": "50ms"}))
    users = arms_by_user(records)
    assert all(len(set(arms)) == 1 for arms in users.values())
    assert 0 < sum(arms[0] for arms in users.values()) < 30


def test_a_cookie_of_the_canary_alone_lets_users_drift_to_it() -> None:
    """After k requests a user is with the canary with probability 1 - 0.9^k; the stay is final."""
    records = run(
        split_scenario({"sticky": "canary-cookie:arm"}, {"rate": None, "users": 300, "think": "100ms"}, "4s")
    )
    users = arms_by_user(records)
    for arms in users.values():
        assert arms == sorted(arms), "nobody comes back"
    for k in (5, 15):
        share = np.mean([arms[k - 1] for arms in users.values() if len(arms) >= k])
        expected = 1 - 0.9**k
        assert share == pytest.approx(expected, abs=4 * (expected * (1 - expected) / 300) ** 0.5)


def test_a_client_has_its_cookie_only_once_its_answer_has_come() -> None:
    """Two requests of one client at once have two cookies, in both twins."""
    slow = {"api": {"service_time": "200ms"}, "new": {"service_time": "200ms"}}
    workload = {"rate": "400/s", "clients": 1}
    records = run(split_scenario({"sticky": "cookie:arm"}, workload, "2s", **slow))
    early, late = records.sent < 0.19, records.sent > 1.0
    assert 0 < at_canary(records)[early].sum() < early.sum(), "each draws its own"
    assert len(set(at_canary(records)[late].tolist())) <= 2
    before = run(split_scenario({"sticky": "cookie:arm"}, workload, "2s"))
    assert len(set(at_canary(before)[before.sent > 1.0].tolist())) == 1


def test_an_arm_that_is_a_status_is_answered_at_once_without_a_fault() -> None:
    fault = [{"kind": "latency", "probability": 1.0, "delay": "30ms"}]
    scenario = split_scenario({"to": {"api": 1, "503": 1}, "fault": fault})
    records = run(scenario)
    own = records.status == 503
    assert 0.4 < own.mean() < 0.6
    assert records.response[own].max() < 0.001
    assert records.response[~own].min() >= 0.03
    assert records.services == {}, "a status is no service"


def test_a_redirect_is_answered_before_a_fault_strikes() -> None:
    fault = [{"kind": "latency", "probability": 1.0, "delay": "30ms"}]
    scenario = split_scenario({"to": None, "redirect": {"path": "/new"}, "fault": fault}, duration="1s")
    records = run(scenario)
    assert set(records.status.tolist()) == {302}
    assert records.response.max() < 0.001


# -- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize("service", [{}, {"retry": {"attempts": 1}}, {"breaker": {}}])
def test_a_backend_fails_for_its_share_of_the_requests_whatever_guards_it(service: dict[str, Any]) -> None:
    records = run(split_scenario(new={"errors": 0.3}, service=service))
    failed = records.status >= 500
    assert not failed[~at_canary(records)].any()
    n = int(at_canary(records).sum())
    assert failed.sum() == pytest.approx(0.3 * n, abs=4.42 * (0.21 * n) ** 0.5)
    summary = records.summary((0.0, 10.0))
    assert summary.services["new"].error_ratio == pytest.approx(failed.sum() / n)
    assert summary.services["api"].error_ratio == 0.0


def test_errors_behind_a_link_are_errors_too() -> None:
    far = parse_scenario(
        {
            "title": "far", "seed": 5, "duration": "2s", "warmup": "0s",
            "workload": {"rate": "100/s"}, "link": {"backend": "1ms"},
            "backend": {"web": {"errors": 1.0}},
            "proxy": {"route": [{"to": "web"}], "service": {"web": {"upstreams": "web"}}},
        }
    ).scenario  # fmt: skip
    assert set(run(far).status.tolist()) == {500}


def test_a_retry_hides_errors_from_clients_and_not_from_the_watch() -> None:
    watched = {"canary": {"watch": "new"}}
    plain = simulate(split_scenario(watched, new={"errors": 0.3}), costs=Costs.zero()).summary
    twice = {"service": {"retry": {"attempts": 3}}, "new": {"errors": 0.3, "replicas": 3}}
    hidden = simulate(split_scenario(watched, **twice), costs=Costs.zero()).summary
    assert hidden.error_ratio < plain.error_ratio
    assert hidden.rollback_ratio == plain.rollback_ratio == 1.0


def test_errors_are_not_stored() -> None:
    """A stored error would be given again and again."""
    data = {
        "title": "cached", "seed": 5, "duration": "5s", "warmup": "0s",
        "workload": {"rate": "200/s", "objects": 1},
        "backend": {"web": {"errors": 0.5, "cache_control": "max-age=3600"}},
        "proxy": {
            "route": [{"to": "web", "cache": True}], "service": {"web": {"upstreams": "web"}},
            "cache": {"capacity": "1MiB"},
        },
    }  # fmt: skip
    records = run(parse_scenario(data).scenario)
    assert not (records.status[records.hit] >= 500).any()
    assert (records.status >= 500).sum() < 20


# -- the watch -----------------------------------------------------------------------------------


def test_a_bad_canary_is_rolled_back_and_gets_nothing_more() -> None:
    records = run(split_scenario({"canary": {"watch": "new"}}, new={"errors": 0.5}))
    summary = records.summary((0.0, 10.0))
    assert summary.rollback_ratio == 1.0
    assert summary.rollback_s is not None and 0.0 < summary.rollback_s < 3.0
    assert not at_canary(records)[records.sent > summary.rollback_s].any()


def test_a_good_canary_stays() -> None:
    summary = run(split_scenario({"canary": {"watch": "new"}})).summary((0.0, 10.0))
    assert (summary.rollback_ratio, summary.rollback_s) == (0.0, None)


def test_a_good_canary_is_promoted_in_steps() -> None:
    canary = {"watch": "new", "steps": [0.5, 1.0], "acceptable": 0.05}
    records = run(split_scenario({"canary": canary}))
    assert at_canary(records)[-100:].all()
    assert at_canary(records)[:200].mean() < 0.3


def test_a_slow_canary_is_rolled_back_by_its_latency() -> None:
    slow = {"api": {"service_time": "exponential(5ms)"}, "new": {"service_time": "exponential(25ms)"}}
    for latency, ratio in ((True, 1.0), (False, 0.0)):
        route = {"canary": {"watch": "new", "latency": latency}}
        assert run(split_scenario(route, **slow)).summary((0.0, 10.0)).rollback_ratio == ratio


def test_a_retried_service_is_watched_like_a_plain_one() -> None:
    """The long way of an attempt tells the watch the same as the short one."""
    route = {"canary": {"watch": "new"}}
    plain = run(split_scenario(route, new={"errors": 0.2}))
    long = run(split_scenario(route, new={"errors": 0.2}, service={"retry": {"attempts": 1}}))
    assert np.array_equal(plain.upstream, long.upstream)
    assert np.array_equal(plain.status, long.status)


@pytest.mark.parametrize(
    ("canary", "limits"),
    [({"fail": {"0": "0s..10s"}}, {}), ({"service_time": "400ms"}, {"answer_timeout": "100ms"})],
)
def test_a_canary_that_never_answers_is_rolled_back(canary: dict[str, Any], limits: dict[str, Any]) -> None:
    scenario = split_scenario({"canary": {"watch": "new"}}, duration="5s", new=canary, limits=limits)
    records = run(scenario)
    summary = records.summary((0.0, 5.0))
    assert summary.rollback_ratio == 1.0
    assert summary.rollback_s is not None and summary.rollback_s < 2.0
    assert (records.status[records.sent > summary.rollback_s] == 200).all()


def test_other_link_times_leave_the_arms_and_the_errors_as_they_are() -> None:
    scenario = split_scenario({"canary": {"watch": "new"}}, new={"errors": 0.3})
    costs = Costs(miss_spread=(0.0, 1e-4, 5e-4))
    runs = [run.summary for run in simulate(scenario, costs=costs, lucks=3).runs]
    times = [summary.rollback_s for summary in runs if summary.rollback_s is not None]
    assert len(times) == 3
    assert max(times) - min(times) < 0.05


# -- mirrors -------------------------------------------------------------------------------------


def with_mirrors(scenario: Scenario) -> tuple[Records, list[MirroredTo]]:
    """A run whose copies are known."""
    seen: list[MirroredTo] = []
    before = PlansByClient.__init__

    def remembering(self: PlansByClient, scenario: Scenario) -> None:
        before(self, scenario)
        seen.extend(one for those in self.mirrors.values() for one in those)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PlansByClient, "__init__", remembering)
        return run(scenario), seen


def mirrored(**mirror: Any) -> tuple[Records, MirroredTo]:
    shadow = mirror.pop("shadow", {"service_time": "1ms", "concurrency": 100})
    route = {"to": "api", "mirror": {"to": "shadow", **mirror}}
    records, (found,) = with_mirrors(split_scenario(route, backend={"shadow": shadow}))
    return records, found


def test_a_share_of_the_requests_is_copied() -> None:
    records, mirror = mirrored(share=0.25)
    n = len(records)
    assert mirror.sent == pytest.approx(n / 4, abs=4.42 * (n * 3 / 16) ** 0.5)
    assert (mirror.skipped, mirror.in_flight) == (0, 0)
    assert set(records.upstream.tolist()) == {records.upstreams.index("api/0")}, "clients never see it"


def test_a_mirror_that_hangs_costs_clients_nothing_and_its_copies_are_bounded() -> None:
    plain = run(split_scenario({"to": "api"}))
    records, mirror = mirrored(in_flight=8, shadow={"service_time": "10m", "concurrency": 1})
    assert np.array_equal(plain.done, records.done)
    assert mirror.skipped == len(records) - 8


def test_a_mirror_never_has_more_copies_under_way_than_its_bound() -> None:
    mirror = MirroredTo(Mirror(to="shadow", in_flight=2), random.Random(1))
    assert [mirror.begins() for _ in range(3)] == [True, True, False]
    mirror.ended()
    assert (mirror.begins(), mirror.in_flight, mirror.sent, mirror.skipped) == (True, 2, 1, 1)


def test_what_is_not_forwarded_is_not_copied() -> None:
    """Hits of the cache, and the proxy's own refusals."""
    data = {
        "title": "cached", "seed": 5, "duration": "5s", "warmup": "0s",
        "workload": {"rate": "200/s", "objects": 1},
        "backend": {"web": {"cache_control": "max-age=3600"}, "shadow": {}},
        "proxy": {
            "route": [{"to": "web", "cache": {"coalesce": True}, "mirror": {"to": "shadow"}}],
            "service": {"web": {"upstreams": "web"}, "shadow": {"upstreams": "shadow"}},
            "cache": {"capacity": "1MiB"},
        },
    }  # fmt: skip
    _, (mirror,) = with_mirrors(parse_scenario(data).scenario)
    assert mirror.sent == 1
    changes = {"proxy.route": [{"to": "web", "mirror": {"to": "shadow"}}], "proxy.service.web.rate": "10/s"}
    records, (mirror,) = with_mirrors(parse_scenario(data, changes).scenario)
    assert mirror.sent == (records.status == 200).sum() < len(records) / 5


# -- hashing -------------------------------------------------------------------------------------


def test_a_balancer_that_hashes_the_path_sends_each_object_to_one_replica() -> None:
    def homes(hash_on: str) -> dict[int, set[int]]:
        service = {"balance": "rendezvous_hash", "hash_on": hash_on}
        route = {"to": "api"}
        records = run(split_scenario(route, {"clients": 20}, "5s", api={"replicas": 4}, service=service))
        found: dict[int, set[int]] = defaultdict(set)
        for number, upstream in zip(records.object.tolist(), records.upstream.tolist(), strict=True):
            found[number].add(upstream)
        return found

    by_path = homes("path")
    assert all(len(upstreams) == 1 for upstreams in by_path.values())
    assert len(set().union(*by_path.values())) > 1
    assert max(map(len, homes("client").values())) > 1
