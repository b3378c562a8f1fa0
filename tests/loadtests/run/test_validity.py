"""The rules that make a real run void, each with a run that breaks it and one that does not."""

import re
from typing import Any

import numpy as np
import pytest

from loadtests.run.machine_load import MachineLoad
from loadtests.run.validity import reasons_void
from scenarios import Records, Scenario, Workload
from scenarios.records import NO_UPSTREAM

DURATION = 2.0


def workload(**arrivals: Any) -> Workload:
    tables = {
        "title": "t",
        "duration": f"{DURATION}s",
        "workload": arrivals or {"users": 3, "think": "100ms"},
        "backend": {"web": {"replicas": 2}},
        "proxy": {"route": [{"to": "web"}], "service": {"web": {"upstreams": "web"}}},
    }
    return Workload(Scenario.model_validate(tables))


CLOSED = workload()
ROWS = [
    (user, seq, 7, 0.1 * (seq + 1), 0.1 * (seq + 1), 0.1 * (seq + 1) + 0.05, 200, False, user % 2, 100)
    for user in range(3)
    for seq in range(10)
]


def records(rows: list[tuple[Any, ...]] = ROWS) -> Records:
    return Records.from_rows(rows, ["web/0", "web/1"], closed=True, caching=False)


def void(
    seen: Records | None = None,
    load: Workload = CLOSED,
    late: float = 0.0,
    machine: MachineLoad | None = None,
    **generator: float,
) -> list[str]:
    """Judge a run that is valid but for what is given."""
    seen = records() if seen is None else seen
    health = {"cpu_share": 0.1, "lag_p99_ms": 0.3, "planned": len(seen)} | generator
    replicas = {
        "web/0": {"requests": 20, "late_seconds": 20 * late},
        "web/1": {"requests": 10, "late_seconds": 0.0},
    }
    return reasons_void(seen, load, DURATION, health, replicas, load=machine)


def changed(row: int, **values: Any) -> Records:
    names = ["user", "seq", "object", "due", "sent", "done", "status", "hit", "upstream", "size"]
    rows = list(ROWS)
    rows[row] = tuple((dict(zip(names, ROWS[row], strict=True)) | values).values())
    return records(rows)


def test_a_good_run_is_valid() -> None:
    assert void() == []


def test_a_generator_that_used_more_than_half_of_its_core() -> None:
    assert void(cpu_share=0.5) == []
    (reason,) = void(cpu_share=0.61)
    assert reason.startswith("the load generator itself used 61% of one core, more than 50%, so")
    assert "other programs" not in reason, "its own share says nothing about other programs"


def test_a_generator_that_sent_late() -> None:
    assert void(lag_p99_ms=2.0) == []
    (reason,) = void(lag_p99_ms=3.21)
    assert reason == "the load generator sent 1 % of the requests at least 3.2 ms late, more than 2 ms"


def test_fewer_requests_than_planned() -> None:
    assert void(planned=33) == ["33 requests were planned, but 30 were sent"]


def test_a_gap_in_a_users_stream() -> None:
    assert void(changed(4, seq=40)) == ["requests were left out or repeated in 1 of 3 streams"]


def test_a_request_that_was_sent_twice() -> None:
    assert void(changed(4, seq=3)) == ["requests were left out or repeated in 1 of 3 streams"]


def test_a_stream_that_does_not_begin_with_its_first_request() -> None:
    shifted = [(row[0], row[1] + (row[0] == 2), *row[2:]) for row in ROWS]
    assert void(records(shifted)) == ["requests were left out or repeated in 1 of 3 streams"]


def test_the_order_of_rows_does_not_matter() -> None:
    rows = list(ROWS)
    np.random.default_rng(1).shuffle(rows)
    assert void(records([tuple(row) for row in rows])) == []


def test_a_user_who_sent_nothing_although_there_was_time() -> None:
    assert "1 of 4 users sent no request" in void(load=workload(users=4, think="100ms"))


def test_a_user_who_thinks_longer_than_the_run_may_send_nothing() -> None:
    silent = Records.from_rows([], ["web/0", "web/1"], closed=True, caching=False)
    replicas = {name: {"requests": 0, "late_seconds": 0.0} for name in ("web/0", "web/1")}
    health = {"cpu_share": 0.0, "lag_p99_ms": 0.0, "planned": 0}
    assert reasons_void(silent, workload(users=4, think="5s"), DURATION, health, replicas) == []


def test_open_load_is_counted_independently_of_the_generator() -> None:
    rows = [(0, seq, 7, 0.1, 0.1, 0.2, 200, False, seq % 2, 100) for seq in range(20)]
    reasons = void(records(rows), load=workload(rate="1000/s"))
    assert any(reason.endswith("requests were planned, but 20 were sent") for reason in reasons)


@pytest.mark.parametrize("upstream", [1, NO_UPSTREAM])
def test_backends_that_worked_on_other_requests_than_clients_saw(upstream: int) -> None:
    reasons = void(changed(0, upstream=upstream))
    assert reasons[0].startswith("web/0 worked on 20 requests, but clients saw 19 responses from it")


def test_refetches_behind_stale_answers_are_seen_by_no_client() -> None:
    stale = [(0, 10 + row, 7, 1.5, 1.5, 1.6, 200, True, NO_UPSTREAM, 100) for row in range(3)]
    seen = records([*ROWS, *stale])
    done = {"web/0": {"requests": 22, "late_seconds": 0.0}, "web/1": {"requests": 11, "late_seconds": 0.0}}
    health = {"cpu_share": 0.1, "lag_p99_ms": 0.3, "planned": len(seen)}

    def judged(refetching: bool, **more: dict[str, float]) -> list[str]:
        return reasons_void(seen, CLOSED, DURATION, health, done | more, refetching=refetching)

    assert judged(True) == []
    assert len(judged(False)) == 2
    assert judged(True, **{"web/0": {"requests": 23, "late_seconds": 0.0}}) == [
        "backends got 4 requests whose responses no client saw, but only 3 responses came from the store"
    ]
    (fewer,) = judged(True, **{"web/1": {"requests": 9, "late_seconds": 0.0}})
    assert fewer.startswith("web/1 worked on 9 requests, but clients saw 10 responses from it")


def test_hits_need_no_backend() -> None:
    hit = (0, 10, 7, 1.5, 1.5, 1.6, 200, True, NO_UPSTREAM, 100)
    assert void(records([*ROWS, hit])) == []


def test_backends_that_could_not_keep_their_service_times() -> None:
    assert void(late=0.0009) == []
    assert void(late=0.0031) == [
        "web/0 took 3.1 ms longer than its service time on average, more than 1 ms"
    ]  # fmt: skip


def test_what_was_late_is_told_with_the_measured_load_of_the_machine_and_nothing_else_is() -> None:
    measured = MachineLoad(cores=2, own=0.71, others=1.24)
    said = "this run used 0.7 and other programs used 1.2 of the machine's 2 cores"
    late = void(lag_p99_ms=3.21, late=0.0031, machine=measured)
    assert len(late) == 2 and all(reason.endswith(f": {said}") for reason in late)
    lost = changed(0, status=0, upstream=NO_UPSTREAM)
    for reason in void(lost, cpu_share=0.7, planned=33, machine=measured):
        assert said not in reason, "a cause that is not the machine's load"


def test_every_reason_has_the_measured_figure_and_what_it_should_have_been() -> None:
    broken = [
        *void(cpu_share=0.61), *void(lag_p99_ms=3.2), *void(planned=33), *void(late=0.003),
        *void(changed(0, status=502, upstream=NO_UPSTREAM)), *void(changed(4, seq=40)),
        *void(load=workload(users=4, think="100ms")),
    ]  # fmt: skip
    assert len(broken) >= 8
    for reason in broken:
        assert len(re.findall(r"\d+(?:\.\d+)?", reason)) >= 2, reason


def test_requests_without_an_answer() -> None:
    assert "1 of 30 requests got no complete response" in void(changed(0, status=0, upstream=NO_UPSTREAM))


def test_errors_of_the_proxy_itself() -> None:
    reasons = void(changed(0, status=502, upstream=NO_UPSTREAM))
    assert "1 of 30 requests got an error from the proxy itself, mostly 502" in reasons


def test_errors_of_a_backend_are_not_the_proxys() -> None:
    assert void(changed(0, status=503)) == []


def test_where_failures_are_the_question_they_are_an_answer() -> None:
    """Refused, lost and repeated requests are then no reason to void a run; unanswered ones still are."""
    lost = changed(0, status=502, upstream=NO_UPSTREAM)
    health = {"cpu_share": 0.1, "lag_p99_ms": 0.3, "planned": len(lost)}

    def judged(seen: Records, worked: int) -> list[str]:
        done = {
            "web/0": {"requests": worked, "late_seconds": 0.0},
            "web/1": {"requests": 10, "late_seconds": 0.0},
        }
        return reasons_void(seen, CLOSED, DURATION, health, done, failing=True)

    assert judged(lost, 19) == judged(lost, 25) == []
    (fewer,) = judged(lost, 18)
    assert fewer.startswith("web/0 worked on 18 requests, but clients saw 19 responses from it")
    assert judged(changed(0, status=0, upstream=NO_UPSTREAM), 19) == [
        "1 of 30 requests got no complete response"
    ]


def test_waiting_clients_may_share_an_error_and_nothing_else() -> None:
    health = {"cpu_share": 0.1, "lag_p99_ms": 0.3, "planned": len(ROWS)}
    replicas = {
        name: {"requests": count, "late_seconds": 0.0} for name, count in (("web/0", 20), ("web/1", 9))
    }
    for status, sharing, reasons in ((500, True, 0), (200, True, 1), (500, False, 1)):
        seen = changed(next(n for n, row in enumerate(ROWS) if row[8] == 1), status=status)
        assert len(reasons_void(seen, CLOSED, DURATION, health, replicas, sharing=sharing)) == reasons


def test_a_mirrored_replica_may_work_on_more_than_clients_see_and_never_on_less() -> None:
    health = {"cpu_share": 0.1, "lag_p99_ms": 0.3, "planned": len(ROWS)}

    def reasons(requests: int, *mirrored: str, **more: bool) -> list[str]:
        replicas = {
            "web/0": {"requests": 20, "late_seconds": 0.0},
            "web/1": {"requests": requests, "late_seconds": 0.0},
        }
        return reasons_void(
            records(), CLOSED, DURATION, health, replicas, mirrored=frozenset(mirrored), **more
        )

    assert reasons(10) == []
    assert len(reasons(25)) == 1
    assert reasons(25, "web/1") == []
    assert reasons(25, "web/1", refetching=True) == []
    assert len(reasons(9, "web/1")) == 1


def test_tests_of_real_runs_pass_over_what_a_busy_machine_can_cause(busy: tuple[str, ...]) -> None:
    reasons = [*void(cpu_share=0.61), *void(lag_p99_ms=3.2), *void(late=0.003)]
    assert len(reasons) == len(busy)
    assert all(any(words in reason for words in busy) for reason in reasons)
