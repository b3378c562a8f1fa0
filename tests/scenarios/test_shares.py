"""Figures by service, such as the arms of a split route."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scenarios import Records, parse_scenario
from scenarios.shares import ServiceFigures, figures_by_service, mean_by_service
from simulator.statistics import mean_summary


def services(
    backend: dict[str, Any], route: list[dict[str, Any]], **service: str
) -> dict[str, tuple[int, ...]]:
    data = {
        "title": "services",
        "workload": {"rate": "10/s"},
        "backend": backend,
        "proxy": {"route": route, "service": {name: {"upstreams": to} for name, to in service.items()}},
    }
    return parse_scenario(data).scenario.services


SPLIT = [{"to": {"api": 9, "new": 1}}]


def test_a_server_belongs_to_the_service_that_leads_to_it() -> None:
    backend = {"stable": {"replicas": 2}, "canary": {}}
    assert services(backend, SPLIT, api="stable", new="canary") == {"api": (0, 1), "new": (2,)}


def test_services_of_several_routes_are_told_apart_and_those_of_mirrors_are_none() -> None:
    route = [{"when": {"path": "*1"}, "to": "new"}, {"to": "api", "mirror": {"to": "copy"}}]
    backend: dict[str, Any] = {"a": {}, "b": {}, "c": {}}
    assert services(backend, route, api="a", new="b", copy="c") == {"new": (1,), "api": (0,)}


def test_one_service_alone_has_no_figures_of_its_own() -> None:
    assert services({"web": {}}, [{"to": "web"}], web="web") == {}


def test_services_that_share_a_backend_cannot_be_told_apart() -> None:
    assert services({"web": {}}, SPLIT, api="web", new="web") == {}


def test_shares_and_errors_are_those_of_answers() -> None:
    upstream = np.array([0, 0, 1, -1, 0, 1], dtype=np.int16)
    failed = np.array([False, True, True, True, False, False])
    found = figures_by_service(upstream, failed, {"api": (0,), "new": (1, 2), "idle": (3,)})
    assert found == {
        "api": ServiceFigures(0.6, pytest.approx(1 / 3), 3.0),
        "new": ServiceFigures(0.4, 0.5, 2.0),
        "idle": ServiceFigures(0.0, None, 0.0),
    }


def test_the_average_of_runs_leaves_out_where_nothing_was_answered() -> None:
    runs = [{"new": ServiceFigures(0.2, 0.5, 10.0)}, {"new": ServiceFigures(0.0, None, 0.0)}]
    assert mean_by_service(runs) == {"new": ServiceFigures(0.1, 0.5, 5.0)}


def row(number: int, upstream: int, status: int = 200) -> tuple[object, ...]:
    return (0, number, 0, number / 100, number / 100, number / 100 + 0.001, status, 0, upstream, 10)


def records(rows: list[tuple[object, ...]], **more: Any) -> Records:
    from dataclasses import replace

    made = Records.from_rows(rows, ["api/0", "new/0"], closed=False, caching=False)
    return replace(made, **{"services": {"api": (0,), "new": (1,)}, "canary": (1,), **more})


ROLLED_BACK = [row(n, 1 if n < 100 and n % 5 == 0 else 0) for n in range(1000)]
KEPT = [row(n, 1 if n % 5 == 0 else 0, 500 if n % 10 == 0 else 200) for n in range(1000)]


def test_the_average_of_runs_says_how_many_were_rolled_back() -> None:
    window = (0.0, 10.0)
    runs = [records(rows).summary(window) for rows in (ROLLED_BACK, KEPT, KEPT, KEPT)]
    assert [run.rollback_ratio for run in runs] == [1.0, 0.0, 0.0, 0.0]
    mean = mean_summary(runs)
    assert (mean.rollback_ratio, mean.rollback_s) == (0.25, pytest.approx(0.95))


def test_a_canary_that_never_answers_is_seen_by_the_errors_of_the_proxy() -> None:
    window = (0.0, 10.0)
    dead = [row(n, -1, 502) if n < 100 and n % 5 == 0 else row(n, 0) for n in range(1000)]
    assert records(dead).summary(window).rollback_s == pytest.approx(0.95)
    kept = [row(n, -1, 502) if n % 5 == 0 else row(n, 0) for n in range(1000)]
    assert records(kept).summary(window).rollback_ratio == 0.0
    both = [row(n, -1, 502) if n < 100 and n % 5 == 0 else row(n, n % 7 == 0) for n in range(1000)]
    assert records(both).summary(window).rollback_ratio == 0.0, "it still answers"


def test_the_figures_are_plain_data_and_survive_a_file(tmp_path: Path) -> None:
    made = records(KEPT)
    plain = made.summary((0.0, 10.0)).as_dict()
    assert json.loads(json.dumps(plain)) == plain
    assert plain["services"]["new"] == {"share": 0.2, "error_ratio": 0.5, "answers": 200.0}
    assert plain["rollback_ratio"] == 0.0
    assert "rollback_s" not in plain
    made.save(tmp_path / "run.npz")
    read = Records.load(tmp_path / "run.npz")
    assert (read.services, read.canary) == ({"api": (0,), "new": (1,)}, (1,))
    unwatched = records(KEPT, canary=(), services={}).summary((0.0, 10.0)).as_dict()
    assert not {"services", "rollback_ratio", "rollback_s"} & unwatched.keys()
