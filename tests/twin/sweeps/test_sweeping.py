"""A sweep: every combination once, equal chance for all, and one tidy table of what was found."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import twin
from policies.bad_input import BadInput
from policies.eviction import eviction_policies, eviction_policy
from policies.eviction.lru import Lru
from scenarios import Summary, load_scenario
from scenarios.shares import ServiceFigures
from simulator import Costs, simulate
from twin.sweeps import runners
from twin.sweeps.sweeping import sweep

CAPACITY, POLICY = "proxy.cache.capacity", "proxy.cache.policy"
VARY: dict[str, list[Any]] = {CAPACITY: ["5KiB", "10KiB"], POLICY: ["fifo", "lru", "sieve"]}


def test_each_row_is_what_simulate_says_of_that_setting_and_seed(scenario: Path) -> None:
    table = sweep(scenario, VARY, replications=2, jobs=1)
    assert len(table) == 2 * 3 * 2
    assert table.groupby([CAPACITY, POLICY])["seed"].agg(list).tolist() == [[3, 4]] * 6
    for row in table.to_dict("records"):
        changes = {CAPACITY: row[CAPACITY], POLICY: row[POLICY], "seed": row["seed"]}
        alone = simulate(load_scenario(scenario, changes).scenario).summary
        assert {name: row[name] for name in runners.figures(alone)} == runners.figures(alone)
        assert row["error"] == ""


def test_a_table_is_tidy_with_every_figure(scenario: Path) -> None:
    table = sweep(scenario, VARY, replications=2, jobs=1)
    figures = {name for name in Summary.__dataclass_fields__ if not name.endswith("_share")}
    sometimes = {"services", "calls", "rollback_s", "rollback_ratio", "recovery_s", "recovery_ratio"}
    assert figures - sometimes < set(table.columns)
    assert list(table.columns[:4]) == [CAPACITY, POLICY, "replication", "seed"]
    assert {"upstream_share.web/0", "upstream_share.web/1"} < set(table.columns)
    assert table[POLICY].tolist() == [name for name in VARY[POLICY] for _ in range(2)] * 2


def test_a_table_tells_of_services_and_rollbacks() -> None:
    changes = {"duration": "3s", "backend.canary.errors": 0.5}
    table = sweep("canary-errors", {"seed": [1, 2]}, overrides=changes, jobs=1)
    assert (table["rollback_ratio"] == 1.0).all()
    assert (table["rollback_s"] < 3.0).all()
    assert {f"services.canary.{figure}" for figure in ServiceFigures._fields} < set(table.columns)


def test_a_table_tells_of_recoveries_and_of_calls() -> None:
    storm = sweep("retry-storm", {"seed": [1]}, overrides={"compare": {}}, jobs=1)
    assert (storm["recovery_ratio"] == 1.0).all() and (storm["recovery_s"] < 1.0).all()
    shop = sweep("shop", {"seed": [1]}, overrides={"compare": {}, "duration": "2s"}, jobs=1)
    assert {"calls.cart@1.mean_ms", "calls.store@2.rps"} < set(shop.columns)


def test_all_cells_see_the_same_requests(scenario: Path) -> None:
    """A key that changes nothing changes no figure: common random numbers."""
    table = sweep(scenario, {"proxy.limits.threads": [256, 300, 4096]}, replications=2, jobs=1)
    figures = [name for name in table if name not in ("proxy.limits.threads", "seed", "replication")]
    for _, rows in table.groupby("replication"):
        assert len(rows[figures].drop_duplicates()) == 1
    assert len(table[figures].drop_duplicates()) == 2, "another seed is another workload"


def test_one_process_and_several_find_the_same(scenario: Path, tmp_path: Path) -> None:
    one, two = tmp_path / "one.csv", tmp_path / "two.csv"
    first = sweep(scenario, VARY, jobs=1, out=one)
    pd.testing.assert_frame_equal(first, sweep(scenario, VARY, jobs=2, out=two), check_exact=True)
    assert one.read_bytes() == two.read_bytes()


def test_csv_and_parquet_hold_the_table(scenario: Path, tmp_path: Path) -> None:
    table = sweep(scenario, VARY, jobs=1, out=tmp_path / "t.csv")
    sweep(scenario, VARY, jobs=1, out=tmp_path / "t.parquet")
    read = pd.read_csv(tmp_path / "t.csv", keep_default_na=False)
    pd.testing.assert_frame_equal(read, table, check_dtype=False, check_exact=True)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "t.parquet"), table, check_exact=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["small.toml", "t.csv", "t.parquet"]


def test_a_name_that_is_no_tables_is_one_line_before_any_work(scenario: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"not a table's name: '\.xlsx'; expected \.csv or \.parquet"):
        sweep(scenario, VARY, jobs=1, out=tmp_path / "t.xlsx")
    assert not list(tmp_path.glob("t.*"))


def test_parquet_without_its_package_is_one_line(
    scenario: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(
        BadInput, match="Parquet needs the package pyarrow; install proxytwin with its 'parquet' extra"
    ):
        sweep(scenario, VARY, jobs=1, out=tmp_path / "t.parquet")


def test_without_keys_a_sweep_takes_what_the_scenario_compares(caching: dict[str, Any]) -> None:
    table = sweep({**copy.deepcopy(caching), "duration": "1s"}, jobs=1)
    assert table["proxy.cache.policy"].tolist() == ["fifo", "lru", "sieve"]


def test_costs_and_other_settings_count(scenario: Path) -> None:
    vary = {POLICY: ["lru"]}
    plain = sweep(scenario, vary, jobs=1)
    assert sweep(scenario, vary, jobs=1, costs=Costs.zero())["mean_ms"][0] < plain["mean_ms"][0]
    assert sweep(scenario, vary, jobs=1, overrides=["workload.users=2"])["requests"][0] < plain["requests"][0]


def test_lists_and_mixed_values_become_text(scenario: Path, tmp_path: Path) -> None:
    table = sweep(scenario, {"backend.web.slow": [{}, {"0": 3.0}], "workload.size": [300, "1KiB"]}, jobs=1,
                  out=tmp_path / "t.parquet")  # fmt: skip
    assert table["backend.web.slow"].unique().tolist() == ["{}", '{"0": 3.0}']
    assert table["workload.size"].unique().tolist() == ["300", "1KiB"]


def test_a_policy_of_a_notebook_can_be_swept(scenario: Path) -> None:
    @eviction_policy("mine")
    class Mine(Lru):
        pass

    try:
        table = sweep(scenario, {POLICY: ["lru", "mine"]}, jobs=2)
    finally:
        del eviction_policies._classes["mine"]
    assert table["hit_ratio"].nunique() == 1 and (table["error"] == "").all()


def test_the_package_offers_it_by_name() -> None:
    assert twin.sweep is sweep
    with pytest.raises(AttributeError, match="no attribute 'sweeps_of'"):
        _ = twin.sweeps_of
