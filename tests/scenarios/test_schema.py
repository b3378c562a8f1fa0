"""A scenario's parts must fit together."""

import pytest

from policies.bad_input import BadInput
from scenarios import parse_scenario


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"proxy.tls": {"cert": "a", "key": "b"}},
            "proxy.tls: lies below HTTP, which the simulator does not model",
        ),
        (
            {"proxy.service.web.tls": True},
            "proxy.service.web.tls: lies below HTTP, which the simulator does not model",
        ),
        (
            {"workload.rate": "5/s"},
            "workload: expected exactly one of 'users', 'rate' and 'trace', found users and rate",
        ),
        (
            {"workload.users": None},
            "workload: expected exactly one of 'users', 'rate' and 'trace', found none",
        ),
        (
            {"workload.rate": "5/s", "workload.trace": "x.csv"},
            "workload: expected exactly one of 'users', 'rate' and 'trace', found users and rate and trace",
        ),
        (
            {"workload.connections": 5},
            "workload: connections: each closed user has one; expected 'rate' or 'trace'",
        ),
        (
            {"workload.clients": 5},
            "workload: clients: each closed user is one client; expected 'rate' or 'trace'",
        ),
        (
            {"workload.users": None, "workload.rate": "0/s"},
            "workload.rate: input should be greater than 0, not '0/s'",
        ),
        (
            {"workload.users": None, "workload.rate": 5},
            "workload.rate: expected a rate such as '120/s' or '3000/m', not 5",
        ),
        (
            {"workload.think": "0"},
            "workload: think: a closed user that never thinks never pauses; expected a mean above 0",
        ),
        ({"workload.objects": 0}, "workload.objects: input should be greater than or equal to 1, not 0"),
        (
            {"workload.size": "30ms"},
            "workload.size: expected a size such as '8KiB', '64MiB' or a whole number of bytes, not '30ms'",
        ),
        ({"backend": {}}, "backend: expected at least one item"),
        (
            {"backend.web.replicas": 0},
            "backend.web.replicas: input should be greater than or equal to 1, not 0",
        ),
        (
            {"backend.web.concurrency": -1},
            "backend.web.concurrency: input should be greater than or equal to 1, not -1",
        ),
        ({"backend.web.slow": {"3": 2.0}}, "backend.web: slow.3: there is no such replica; expected 0 to 2"),
        (
            {"backend.web.slow": {"1": 1e308}},
            "backend.web.slow.1: input should be less than or equal to 1000000, not 1e+308",
        ),
        ({"backend.web.slow": {"1": 0}}, "backend.web.slow.1: input should be greater than 0, not 0"),
        (
            {"backend.web.slow": {"x": 2.0}},
            "backend.web.slow.x: input should be a valid integer, "
            "unable to parse string as an integer, not 'x'",
        ),
        (
            {"proxy.service.web.upstreams": "wbe"},
            "proxy.service.web.upstreams: no backend 'wbe' (did you mean 'web'?)",
        ),
        ({"proxy.route": [{"to": "wbe"}]}, "proxy: route.0.to: unknown service 'wbe' (did you mean 'web'?)"),
        (
            {"proxy.cache.disk": {"folder": "x"}},
            "proxy.cache.disk: not modelled; only the real proxy obeys it",
        ),
        (
            {"proxy.route": [], "proxy.forward": {}},
            "proxy.route: expected at least one route for the workload to take",
        ),
        ({"proxy": []}, "proxy: expected at least one item"),
        ({"warmup": "10s"}, "warmup: expected less than the duration"),
        ({"warmup": -1.0}, "warmup: input should be greater than or equal to 0, not -1.0"),
        ({"seed": -1}, "seed: input should be greater than or equal to 0, not -1"),
        (
            {"rank_by": "p98_ms"},
            "rank_by: input should be 'throughput_rps', 'mean_ms', 'p50_ms', 'p95_ms', 'p99_ms', "
            "'hit_ratio', 'fetch_rps', 'fetches_per_expiry' or 'error_ratio', not 'p98_ms'",
        ),
    ],
)
def test_parts_that_do_not_fit_get_one_line(plain, changes: dict[str, object], said: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_scenario(plain(), changes, where="mine.toml")
    assert str(caught.value) == f"mine.toml: {said}"


@pytest.mark.parametrize("part", ["title", "workload", "backend", "proxy"])
def test_what_a_scenario_cannot_do_without(plain, part: str) -> None:
    data = plain()
    del data[part]
    with pytest.raises(BadInput) as caught:
        parse_scenario(data)
    assert str(caught.value) == f"scenario: {part}: is missing"


def test_a_fifth_of_the_duration_is_cut_off_unless_told_otherwise(scenario) -> None:
    assert scenario({"duration": "30s"}).window == (6.0, 30.0)
    assert scenario({"duration": "30s", "warmup": "3s"}).window == (3.0, 30.0)
    assert scenario({"duration": "30s", "warmup": "0"}).window == (0.0, 30.0)


def test_replicas_are_named_in_the_order_of_the_file(scenario) -> None:
    named = scenario({"backend.api": {"replicas": 2}}).replicas
    assert named == ["web/0", "web/1", "web/2", "api/0", "api/1"]


def test_only_slow_replicas_take_longer(scenario) -> None:
    backend = scenario({"backend.web.slow": {"2": 3.0}}).backend["web"]
    assert [backend.slowness(replica) for replica in range(3)] == [1.0, 1.0, 3.0]


def test_a_closed_user_may_think_for_no_time_at_times(scenario) -> None:
    assert scenario({"workload.think": "uniform(0, 1s)"}).workload.think.mean == 0.5


def test_open_load_needs_no_thinking(scenario) -> None:
    opened = scenario({"workload.users": None, "workload.rate": "90/m", "workload.think": "0"})
    assert opened.workload.rate == 1.5
