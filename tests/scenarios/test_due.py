"""A scenario that sends nothing after its warm-up is an error; one that may send something is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from policies.bad_input import BadInput
from scenarios import parse_scenario
from scenarios.due import check_sent
from simulator import simulate

SILENT: list[dict[str, Any]] = [
    {"workload.users": 3, "workload.think": "1h"},
    {"workload.users": 3, "workload.think": "1s", "warmup": "8100ms", "duration": "8500ms"},
    {"workload.rate": "0.01/h"},
    {"workload.rate": "100/s", "workload.profile": "bursts(10s, 9s, 0)", "warmup": "1s", "duration": "8s"},
    {"workload.rate": "100/s", "workload.profile": "ramp(0, 1, 10000h)", "duration": "1s"},
]
TALKATIVE: list[dict[str, Any]] = [
    {"workload.users": 3, "workload.think": "5s"},
    {"workload.users": 1, "workload.think": "exponential(1ms)", "warmup": "9s"},
    {"workload.users": 20_000, "workload.think": "exponential(1h)"},
    {"workload.rate": "1/s"},
    {"workload.rate": "100/s", "workload.profile": "bursts(10s, 9s, 0)", "warmup": "1s"},
    {"workload.rate": "100/s", "workload.profile": "day(10s, 1)"},
]


def tables(plain: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    for key in ("users", "think"):
        del plain["workload"][key]
    return plain | {"duration": "10s"}


@pytest.mark.parametrize("changes", SILENT, ids=str)
def test_a_load_that_sends_nothing_is_refused(plain, changes: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match=r"no request is due between the end of the warm-up, .* expected more"):
        parse_scenario(tables(plain(), changes), changes)


@pytest.mark.parametrize("changes", TALKATIVE, ids=str)
def test_a_load_that_may_send_something_is_not(plain, changes: dict[str, Any]) -> None:
    assert parse_scenario(tables(plain(), changes), changes).variants


def test_only_the_variants_must_send_something_and_the_silent_one_is_named(plain) -> None:
    silent, compared = plain(), ["1s", "2s"]
    silent["workload"]["think"], silent["compare"] = "1h", {"workload.think": compared}
    assert parse_scenario(silent).variants
    compared.append("1h")
    with pytest.raises(BadInput, match=r"^scenario: compare: workload\.think: no request is due"):
        parse_scenario(silent)


def test_what_only_the_run_can_show_is_an_error_too(plain) -> None:
    """The only request is due in the warm-up, and its response comes after the end."""
    changes = {"workload.users": 1, "workload.think": "1s", "backend.web.service_time": "constant(100s)"}
    scenario = parse_scenario(plain(), changes).scenario
    summary = simulate(scenario).summary
    assert np.isnan(summary.mean_ms)
    with pytest.raises(BadInput, match=r"^mine: duration: no request is due between"):
        check_sent(summary, scenario, "mine")
