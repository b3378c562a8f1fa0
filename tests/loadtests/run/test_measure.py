"""Real runs: real backends, the real proxy and Locust, on loopback."""

import subprocess
import sys
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from loadtests import Measurement, Stage
from policies.balancing import Balancer, balancing_policies, balancing_policy
from policies.contract import PolicyFault
from scenarios import Scenario, Workload, load_scenario
from scenarios.records import NO_UPSTREAM
from simulator import simulate

ROOT = Path(__file__).parents[3]
Reasons = Callable[[Measurement], list[str]]
Undisturbed = Callable[[Scenario, Callable[[Measurement], object]], Measurement]


def scenario(name: str = "slow-server", *changes: str, seconds: float = 2.0) -> Scenario:
    return load_scenario(name, [f"duration={seconds}s", "warmup=0s", *changes]).scenario


def open_load(*changes: str, seconds: float = 1.0) -> Scenario:
    shipped = scenario(*["slow-server", *changes], seconds=seconds)
    workload = shipped.workload.model_copy(update={"users": None, "rate": 150.0})
    return shipped.model_copy(update={"workload": workload})


@pytest.fixture(scope="module")
def closed(undisturbed: Undisturbed) -> Measurement:
    def hardly_slowed_down(run: Measurement) -> bool:
        return len(run.records) > 200 and bool(np.percentile(beyond_the_work(run), 10) < 0.005)

    return undisturbed(scenario(), hardly_slowed_down)


def beyond_the_work(run: Measurement) -> np.ndarray:
    """Seconds that each answer of `scenario()` took beyond the work that it asked for."""
    shipped, records = scenario(), run.records
    workload = Workload(shipped)
    demand = {
        (user, seq): request.demand[0]
        for user in range(workload.streams)
        for seq, request in enumerate(islice(workload.stream(user), 100))
    }
    keys = zip(records.user.tolist(), records.seq.tolist(), strict=True)
    slow = np.array([shipped.backend["web"].slowness(number) for number in records.upstream.tolist()])
    return records.response - np.array([demand[key] for key in keys]) * slow


@pytest.fixture(scope="module")
def cached(undisturbed: Undisturbed) -> Measurement:
    return undisturbed(scenario("small-cache"), lambda run: len(run.records) > 100)


def test_a_replica_that_dies_costs_what_the_model_says(undisturbed: Undisturbed) -> None:
    """A quarter of a second's requests are refused, and nothing more; then it works again."""
    frail = scenario(
        "one-replica-dies", "backend.web.fail={3='1s..2s'}", "compare={}",
        "proxy.service.web.failover=false", seconds=3.0,
    )  # fmt: skip
    model = simulate(frail).summary

    def as_the_model_says(real: Measurement) -> bool:
        records = real.records
        lost = records.select(records.status != 200)
        assert set(lost.status.tolist()) <= {502}
        assert (lost.done > 1.0).all()
        share, again = records.upstream_share().get("web/3"), records.sent[records.upstream == 3] > 2.0
        return (
            np.mean(records.status == 502) == pytest.approx(model.error_ratio, abs=0.03)
            and share == pytest.approx(model.upstream_share["web/3"], abs=0.03)
            and bool((lost.sent < 2.3).all() and again.any())
        )

    assert model.error_ratio > 0.03
    undisturbed(frail, as_the_model_says)


def test_retries_save_what_a_dying_replica_loses(stage: Stage, by_rule: Reasons) -> None:
    frail = scenario(
        "one-replica-dies", "backend.web.fail={3='500ms..1s'}", "compare={}",
        "proxy.service.web.retry={attempts = 2}", seconds=1.5,
    )  # fmt: skip
    real = stage.measure(frail)
    assert by_rule(real) == []
    assert set(real.records.status.tolist()) == {200}


def test_the_backlog_of_a_run_does_not_outlive_it(stage: Stage) -> None:
    """Retries leave seconds of work at the server, for clients who have gone; the next run begins without."""
    storm = scenario(
        "retry-storm", "compare={}", "proxy.service.web.retry={attempts = 4}",
        "backend.web.slow_during={0='300ms..700ms'}", seconds=1.0,
    )  # fmt: skip
    for run in (stage.measure(storm), stage.measure(storm)):
        records = run.records
        assert 504 in records.status
        assert np.mean(records.status[records.due < 0.1] == 200) > 0.5


def asked(measurement: Measurement, user: int) -> list[int]:
    records = measurement.records
    rows = np.flatnonzero(records.user == user)
    return records.object[rows[np.argsort(records.seq[rows])]].tolist()


def test_a_closed_run_is_valid_and_its_records_are_well_formed(closed: Measurement, by_rule: Reasons) -> None:
    records = closed.records
    assert by_rule(closed) == []
    assert records.closed
    assert not records.caching
    assert len(records) > 200
    assert (records.due <= records.sent).all()
    assert (records.sent < records.done).all()
    assert (records.due >= 0).all()
    assert (records.due < 2.0).all()
    assert (records.status == 200).all()
    assert (records.size == 2048).all()


def test_all_that_was_planned_was_sent(closed: Measurement) -> None:
    assert closed.generator["planned"] == closed.generator["sent"] == len(closed.records)
    assert closed.proxy["requests"] == len(closed.records)


def test_every_user_asks_for_the_objects_of_its_own_stream(closed: Measurement) -> None:
    workload = Workload(scenario())
    for user in range(80):
        seen = asked(closed, user)
        assert seen == [request.object for request in islice(workload.stream(user), len(seen))]


def test_a_user_waits_for_its_answer_thinks_and_asks_again(closed: Measurement) -> None:
    workload, records = Workload(scenario()), closed.records
    for user in range(80):
        rows = np.flatnonzero(records.user == user)
        rows = rows[np.argsort(records.seq[rows])]
        pauses = [request.pause for request in islice(workload.stream(user), len(rows))]
        before = np.concatenate([[0.0], records.done[rows][:-1]])
        assert records.due[rows] == pytest.approx(before + pauses, abs=1e-9)


def test_no_answer_comes_sooner_than_the_work_takes(closed: Measurement) -> None:
    beyond = beyond_the_work(closed)
    assert (beyond > -1e-5).all()
    assert np.percentile(beyond, 10) < 0.005


def test_backends_and_clients_agree_on_who_answered(closed: Measurement) -> None:
    shares = closed.records.upstream_share()
    assert list(shares) == ["web/0", "web/1", "web/2", "web/3"]
    assert list(shares.values()) == pytest.approx([0.25] * 4, abs=0.005)
    for number, name in enumerate(shares):
        worked = closed.backends["replicas"][name]["requests"]
        assert worked == np.count_nonzero(closed.records.upstream == number)
    assert closed.backends["requests"] == len(closed.records)


def test_backends_report_the_work_that_was_demanded(closed: Measurement) -> None:
    backends = closed.backends
    for name, replica in backends["replicas"].items():
        slow = scenario().backend["web"].slowness(int(name.removeprefix("web/")))
        assert replica["busy_seconds"] == pytest.approx(slow * replica["demand_seconds"], rel=1e-3)
    assert backends["demand_seconds"] / backends["requests"] == pytest.approx(0.03, rel=0.5)
    assert 0 < backends["cpu_seconds"] < 2.0


def test_the_generator_and_the_proxy_report_their_cpu(closed: Measurement) -> None:
    assert 0 < closed.generator["cpu_share"] < 1
    assert closed.generator["cpu_seconds"] > 0
    assert 0 < closed.proxy["cpu_seconds"] < 4.0


def test_hits_are_told_from_misses(cached: Measurement, by_rule: Reasons) -> None:
    records = cached.records
    assert by_rule(cached) == []
    assert records.caching
    assert 0.05 < records.hit.mean() < 0.95
    assert (records.hit == (records.upstream == NO_UPSTREAM)).all()
    assert cached.backends["requests"] == np.count_nonzero(~records.hit)
    first = {number: row for row, number in reversed(list(enumerate(records.object.tolist())))}
    assert not records.hit[list(first.values())].any()


def test_hits_and_misses_bring_the_objects_own_size(cached: Measurement) -> None:
    sizes = Workload(scenario("small-cache")).sizes
    assert (cached.records.size == sizes[cached.records.object]).all()


def test_the_same_scenario_asks_for_the_same_again(stage: Stage, closed: Measurement) -> None:
    again = stage.measure(scenario(seconds=1.0))
    for user in range(80):
        mine, yours = asked(closed, user), asked(again, user)
        common = min(len(mine), len(yours))
        assert mine[:common] == yours[:common]
        assert common or len(yours) == 0


def test_open_load_arrives_as_planned_however_late_the_answers_are(stage: Stage, by_rule: Reasons) -> None:
    planned = open_load()
    run = stage.measure(planned)
    records = run.records
    arrivals = np.cumsum([request.pause for request in islice(Workload(planned).stream(0), len(records))])
    order = np.argsort(records.seq)
    assert by_rule(run) == []
    assert not records.closed
    assert records.due[order] == pytest.approx(arrivals, abs=1e-9)
    assert (records.sent >= records.due).all()
    assert records.response == pytest.approx(records.done - records.due)
    assert (np.diff(records.due[order]) < records.response[order][:-1]).any()  # requests overlap


def test_a_trace_is_replayed_from_any_working_directory(
    stage: Stage, by_rule: Reasons, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = ["time_s,object,size_bytes,service_s", "0.1,a,100,0.01", "0.2,b,3000,0.02", "0.25,a,100,0"]
    (tmp_path / "trace.csv").write_text("\n".join(lines))
    monkeypatch.chdir(tmp_path)
    shipped = scenario(seconds=0.5)
    workload = shipped.workload.model_copy(update={"users": None, "trace": "trace.csv"})
    run = stage.measure(shipped.model_copy(update={"workload": workload}))
    assert by_rule(run) == []
    assert run.records.due.tolist() == pytest.approx([0.0, 0.1, 0.15])
    assert run.records.object.tolist() == [0, 1, 0]
    assert run.records.size.tolist() == [100, 3000, 100]


def test_both_twins_send_the_same_requests_of_a_trace_to_the_last_digit(
    stage: Stage, by_rule: Reasons, tmp_path: Path
) -> None:
    """Of the requests that are due exactly at the end, or at the end of the warm-up, too."""
    times = [1732000000 + 0.1 * number for number in range(12)] + [1732000001.5] * 3
    rows = [f"{time!r},o{number % 3},100" for number, time in enumerate(times)]
    (tmp_path / "trace.csv").write_text("\n".join(["time_s,object,size_bytes", *rows]))
    shipped = scenario(seconds=0.5)
    workload = shipped.workload.model_copy(update={"users": None, "trace": str(tmp_path / "trace.csv")})
    traced = shipped.model_copy(update={"workload": workload, "duration": 1.5, "warmup": 0.5})
    run, predicted = stage.measure(traced), simulate(traced)
    assert by_rule(run) == []
    assert len(run.records) == len(predicted.records) == 12
    measured = run.records.summary(traced.window)
    assert measured.requests == predicted.summary.requests


def test_progress_is_told_several_times_a_second_up_to_the_end(stage: Stage) -> None:
    often = 0
    for _ in range(8):  # a machine that stops for a moment tells less often
        told: list[tuple[float, float]] = []
        stage.measure(
            scenario("slow-server", seconds=1.0),
            progress=lambda at, total, told=told: told.append((at, total)),
        )
        done = [seconds for seconds, _ in told]
        assert {total for _, total in told} == {1.0}
        assert len(told) <= 20
        assert done == sorted(done)
        assert done[-1] == 1.0
        often = max(often, len(told))
        if often >= 4:
            break
    assert often >= 4


def test_backends_are_kept_while_scenarios_ask_for_the_same(stage: Stage) -> None:
    few = "workload.users=4"
    stage.measure(scenario("slow-server", few, seconds=0.2))
    assert stage._backends is not None
    first = stage._backends.pid
    stage.measure(scenario("slow-server", few, "backend.web.service_time=1ms", seconds=0.2))
    assert stage._backends.pid == first
    stage.measure(scenario("slow-server", few, "backend.web.concurrency=5", seconds=0.2))
    assert stage._backends.pid != first


def test_a_policy_from_a_notebook_cell_reaches_the_real_proxy(stage: Stage, by_rule: Reasons) -> None:
    favourite = 2

    @balancing_policy("always_the_same")
    class AlwaysTheSame(Balancer):
        def pick(self, key: str | None, now: float) -> int:
            return favourite

    try:
        run = stage.measure(scenario("slow-server", "proxy.service.web.balance=always_the_same", seconds=0.5))
    finally:
        del balancing_policies._classes["always_the_same"]
    assert by_rule(run) == []
    assert run.records.upstream_share()["web/2"] == 1.0


def test_a_generator_that_cannot_keep_up_makes_the_run_void(stage: Stage) -> None:
    busy = open_load("backend.web.service_time=0ms", seconds=0.3)
    workload = busy.workload.model_copy(update={"rate": 10_000.0})
    run = stage.measure(busy.model_copy(update={"workload": workload}))
    assert any(reason.startswith("the load generator sent 1 %") for reason in run.void), run.void


def test_a_generator_short_of_connections_sends_late_and_the_run_is_void(stage: Stage) -> None:
    shipped = open_load("backend.web.service_time=20ms")
    workload = shipped.workload.model_copy(update={"connections": 2})
    measured = stage.measure(shipped.model_copy(update={"workload": workload}))
    records = measured.records
    under_way = [np.sum((records.sent <= at) & (records.done > at)) for at in records.sent]
    assert max(under_way) == 2
    assert any("late" in reason for reason in measured.void)


def test_locust_is_never_imported_into_the_callers_process() -> None:
    code = "import sys, loadtests.run.measure; print(sorted({'locust', 'gevent'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout == "[]\n"


def test_an_own_class_that_errs_ends_the_run_with_its_name_and_method(own_class) -> None:
    """Not with a run that is void; and at once, not after ten minutes."""
    body = (
        "asked = 0\ndef pick(self, key, now):\n    self.asked += 1\n    return 0 if self.asked < 9 else None"
    )
    with own_class("balancing", body) as file, Stage() as stage, pytest.raises(PolicyFault) as caught:
        stage.measure(scenario("slow-server", "proxy.service.web.balance=mine", seconds=600.0))
    assert str(caught.value) == (
        f"the proxy: {file}:3: Mine.pick: returned None (is 'return' missing?); "
        "expected the index of an available upstream as an int: one of 0, 1, 2, 3"
    )


def test_copies_for_a_mirror_and_answers_of_arms_void_no_run(stage: Stage, by_rule: Reasons) -> None:
    """Both are asked for: a backend works on requests that no client sees, and the proxy answers 503."""
    mirror = scenario("mirror", "compare={}", "backend.shadow.service_time=constant(1ms)", seconds=1.0)
    assert by_rule(stage.measure(mirror)) == []
    arms = scenario(
        "canary-errors", "compare={}", 'proxy.route.0={to = {stable = 1, "503" = 1}}', seconds=1.0
    )
    run = stage.measure(arms)
    assert by_rule(run) == []
    assert set(run.records.status.tolist()) >= {200, 503}
