"""A trace's time begins at its first request, `duration` follows it, and what is cut or empty is said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policies.bad_input import BadInput
from scenarios import Workload, load_scenario
from scenarios.loading import LoadedScenario
from scenarios.timeline import length, timeline
from simulator import simulate

HEAD = "time_s,object,size_bytes\n"
TEXT = """
title = "Which?"
[workload]
trace = "requests.csv"
[backend.web]
service_time = "constant(1ms)"
[proxy]
route = [{ to = "web" }]
service = { web = { upstreams = "web" } }
"""
Load = Callable[..., LoadedScenario]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """A scenario that replays a trace with these times; changes are dotted keys."""

    def loaded(times: list[Any], changes: dict[str, Any] | None = None, text: str = TEXT) -> LoadedScenario:
        rows = "".join(f"{time},o{number % 3},10\n" for number, time in enumerate(times))
        (tmp_path / "requests.csv").write_text(HEAD + rows)
        (tmp_path / "mine.toml").write_text(text)
        return load_scenario(tmp_path / "mine.toml", changes or {})

    return loaded


def sent(loaded: LoadedScenario) -> int:
    return len(list(Workload(loaded.scenario).stream(0)))


@pytest.mark.parametrize(
    ("times", "changes", "lasts", "count", "said"),
    [
        ([0, 1, 2, 3], {}, 4.0, 4, "duration follows its 4 requests: 4 s"),
        ([1732000000, 1732000001, 1732000003], {}, 4.5, 3, "begins at its first request, at 1732000000 s;"),
        ([7.5, 8.5], {"duration": "2s"}, 2.0, 2, "time begins at its first request, at 7.5 s"),
        ([0, 60, 120, 180], {"duration": "10s", "warmup": "0s"}, 10.0, 1,
         "duration is 10 s, but the trace lasts 240 s: it is cut after 1 of its 4 requests"),
        ([0, 1, 2, 3], {"duration": "3s"}, 3.0, 3, "it is cut after 3 of its 4 requests"),
        ([0, 1, 2, 3], {"duration": "1m", "warmup": "1s"}, 60.0, 4,
         "the trace lasts 4 s: nothing is sent after its last request, at 3 s"),
        ([5], {}, 1.0, 1, "all of them come at once, so there is no warm-up"),
        ([5, 5, 5], {}, 1.0, 3, "duration follows its 3 requests: 1 s; all of them come at once"),
        ([0, 1, 2 * 86400, 2 * 86400 + 1], {}, 172801 * 4 / 3, 4, "its 4 requests: 230,401 s"),
        ([0, 1, 2, 3], {"warmup": "3s"}, 4.0, 4, "duration follows its 4 requests: 4 s"),
        ([n / 1e6 for n in range(1000)], {}, 1e-3, 1000, "warning: these are 1,000,000 requests per second"),
    ],
)  # fmt: skip
def test_what_is_sent_and_what_is_said(
    load: Load, times: list[float], changes: dict[str, Any], lasts: float, count: int, said: str
) -> None:
    loaded = load(times, changes)
    assert loaded.scenario.duration == pytest.approx(lasts)
    assert sent(loaded) == count
    (line,) = loaded.remarks()
    assert said in line
    assert line.startswith(f"{loaded.scenario.workload.trace}: ")


def test_nothing_is_said_of_a_trace_that_is_replayed_as_it_stands(load: Load) -> None:
    assert load([0, 1, 2, 3], {"duration": "4s"}).remarks() == []


@pytest.mark.parametrize(
    ("times", "changes", "problem"),
    [
        ([0, 1, 2, 3], {"warmup": "10s"}, "warmup: expected less than the 4 s that the trace lasts"),
        (
            [0, 1, 2, 3],
            {"warmup": "3500ms"},
            "warmup: no request of",
        ),
        ([5], {"duration": "10s"}, "is due at 0 s, is due between the end of the warm-up, 2 s"),
        ([0, 60, 120], {"duration": "10s"}, "is due at 0 s, is due between the end of the warm-up, 2 s"),
        ([0, 1], {"duration": "0s"}, "duration: input should be greater than 0"),
    ],
)
def test_no_request_to_evaluate_is_an_error(
    load: Load, times: list[float], changes: dict[str, Any], problem: str
) -> None:
    with pytest.raises(BadInput) as caught:
        load(times, changes)
    assert problem in str(caught.value)


def test_each_compared_trace_has_its_own_duration(load: Load, tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text(HEAD + "50,a,1\n60,a,1\n")
    text = TEXT + '[compare]\n"workload.trace" = ["requests.csv", "other.csv"]\n'
    loaded = load([0, 1, 2, 3], text=text)
    assert [variant.scenario.duration for variant in loaded.variants] == [4.0, 20.0]
    assert len(loaded.remarks()) == 2


def test_settings_that_a_trace_replaces_are_named(load: Load, tmp_path: Path) -> None:
    changes = {"workload.objects": 5, "workload.think": "1s", "duration": "2s"}
    remark = load([0, 1], changes).remarks()
    assert remark == ["workload.think, workload.objects: no effect, because workload.trace is given"]
    loaded = load([0, 1], {"duration": "2s"})
    (tmp_path / "requests.csv").write_text("time_s,object,size_bytes,service_s\n0,a,1,0.5\n1,b,1,0.5\n")
    assert loaded.remarks()[0].endswith("requests.csv: its service_s replace backend.web.service_time")


def test_an_open_load_does_not_think(load: Load) -> None:
    text = TEXT.replace('trace = "requests.csv"', 'rate = "100/s"\nthink = "1s"')
    assert load([], text=text).remarks() == ["workload.think: no effect, because workload.rate is given"]


def test_a_trace_that_has_changed_is_read_again(load: Load) -> None:
    assert (sent(load([0, 1, 2, 3])), sent(load([0, 1, 2, 3, 4]))) == (4, 5)


@pytest.mark.parametrize("time", [1732000000123, 1732000000123456, 1732000000123456768])
def test_times_in_another_unit_are_refused_with_the_way_to_say_so(load: Load, time: int) -> None:
    with pytest.raises(
        BadInput, match=r"line 2: expected seconds, not 1.732e\+1\d; if these are milliseconds"
    ):
        load([time, time + 1])


def test_rows_in_another_order_are_sorted_stably_and_this_is_said(load: Load) -> None:
    loaded = load([12, 10, 13, 10], {"duration": "4s"})
    requests = list(Workload(loaded.scenario).stream(0))
    timeline_of, said = timeline(loaded.scenario.workload), loaded.remarks()
    assert timeline_of.trace.times.tolist() == [0.0, 0.0, 2.0, 3.0]
    assert [(r.pause, r.object) for r in requests] == [(0.0, 1), (0.0, 0), (2.0, 0), (1.0, 2)]
    assert "2 of its 4 requests stood after a later one: it is sorted by time" in said[0]


def test_requests_that_a_client_sends_at_once_take_the_time_of_their_first(load: Load) -> None:
    loaded = load([0, 1, 2, 3, 10, 11, 12], {"workload.fanout": 2, "duration": "20s", "warmup": "0s"})
    records = simulate(loaded.scenario).records
    assert sorted(records.due.round(6).tolist()) == [0.0, 0.0, 2.0, 2.0, 10.0, 10.0, 12.0]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    times=st.lists(st.one_of(st.integers(0, 50), st.floats(0, 50)), min_size=1, max_size=40).map(sorted),
    offset=st.sampled_from([0, 0.1, 1732000000, 86400 * 365]),
    duration=st.one_of(st.none(), st.integers(1, 60), st.sampled_from([0.3, 0.1 + 0.2, 7.7])),
    fanout=st.integers(1, 3),
)
def test_every_request_before_the_end_is_sent_once_and_no_other(
    load: Load, times: list[float], offset: float, duration: float | None, fanout: int
) -> None:
    moved = [time + offset for time in times]
    changes = {"warmup": "0s", "workload.fanout": fanout}
    changes |= {} if duration is None else {"duration": f"{duration}s"}
    loaded = load(moved, changes)
    due = (np.array(moved) - moved[0])[::fanout]
    groups = len(due) if duration is None else int(np.count_nonzero(due < duration))
    expected = min(groups * fanout, len(times))
    assert sent(loaded) == expected
    assert len(simulate(loaded.scenario).records) == expected
    wholes = list(Workload(loaded.scenario).wholes(0))
    assert np.cumsum([parts[0].pause for parts in wholes]) == pytest.approx(due[: len(wholes)], abs=1e-6)
    cut = expected < len(times)
    assert cut == any("it is cut after" in line for line in loaded.remarks())


@given(st.lists(st.floats(0, 1e6), min_size=1).map(sorted))
def test_a_trace_lasts_longer_than_its_last_request_is_late(times: list[float]) -> None:
    shifted = np.array(times) - times[0]
    assert length(shifted) > shifted[-1]
