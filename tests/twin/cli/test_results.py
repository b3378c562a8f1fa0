"""What the commands write: tables, JSON, pictures, and their exit status."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scenarios import shipped_scenarios
from simulator import Costs
from twin.confirm.procedure import confirm

Run = Callable[..., tuple[int, str, str]]
OneLine = Callable[[str], str]
Started = Callable[..., Any]

FIGURES = {
    "throughput_rps", "mean_ms", "p50_ms", "p95_ms", "p99_ms", "hit_ratio", "error_ratio", "upstream_share",
    "fetch_rps", "fetches_per_expiry",
}  # fmt: skip

SECONDS = 60.0
"""How long a command may take to start its children, to end, or to answer."""


def test_help_names_every_command_and_every_shipped_scenario(run: Run) -> None:
    code, out, _ = run("--help")
    assert code == 0
    for command in ("confirm", "simulate", "loadtest", "serve", "check", "explain", "lab"):
        assert f"  {command}" in out
        assert run(command, "--help")[0] == 0
    said = "".join(run("confirm", "--help")[1].split())  # a line may end within a name, at its hyphen
    for name in shipped_scenarios():
        assert name in said


def test_the_installed_command_is_this_one(one_line: OneLine) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "twin", "simulate", "nothing"],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert one_line(done.stderr).startswith("nothing: no such file or shipped scenario")


def test_an_overload_is_said_in_one_line_and_in_the_json(one_line: OneLine, run: Run, tmp_path: Path) -> None:
    target = tmp_path / "out.json"
    changes = ('workload={rate = "900/s"}', "duration=10s", "compare={}")
    options = [word for change in changes for word in ("--set", change)]
    code, out, err = run("simulate", "slow-server", *options, "--json", str(target))
    assert code == 2 and "req/s" in out, "its table can be seen all the same"
    said = json.loads(target.read_text())["unsettled"]["as written"]
    assert one_line(err) == f"as written: {said}" and "never settles" in said


def test_an_overload_beside_one_that_settles_is_an_answer(one_line: OneLine, run: Run) -> None:
    changes = ("duration=20s", 'compare={"proxy.service.web.balance" = ["round_robin", "p2c"]}')
    code, _, err = run("simulate", "one-slow-of-ten", *(word for c in changes for word in ("--set", c)))
    assert code == 0
    assert one_line(err).startswith("round_robin: ") and "never settles" in err


def test_replications_show_their_confidence_interval(run: Run, tmp_path: Path) -> None:
    target = tmp_path / "out.json"
    changes = ("duration=3s", 'compare={"proxy.service.web.balance" = ["p2c"]}')
    options = [word for change in changes for word in ("--set", change)]
    _, one, _ = run("simulate", "slow-server", *options)
    _, three, _ = run("simulate", "slow-server", *options, "--replications", 3, "--json", target)
    assert "±" not in one and "confidence interval" in three
    (variant,) = json.loads(target.read_text())["variants"]
    assert f"±{variant['half_width']['mean_ms']:.1f}" in three


def test_a_load_that_settles_is_not_remarked_upon(run: Run) -> None:
    assert "settles" not in run("simulate", "slow-server", "--set", "duration=5s")[1]


def test_simulate_writes_one_side_as_json_and_a_table(run: Run, scenario: Path, tmp_path: Path) -> None:
    file = tmp_path / "new" / "out.json"
    code, out, err = run("simulate", scenario, "--replications", 2, "--json", file, "--set", "seed=9")
    assert (code, err) == (0, "")
    assert "Which balancer? (predicted)" in out
    data = json.loads(file.read_text())
    assert (data["scenario"], data["seed"], data["void"]) == ("small", 9, [])
    assert [variant["setting"] for variant in data["variants"]] == [
        {"proxy.service.web.balance": "round_robin"},
        {"proxy.service.web.balance": "p2c"},
    ]
    for variant in data["variants"]:
        assert set(variant) == {"setting", "simulated", "half_width"}
        assert set(variant["simulated"]) >= FIGURES
        assert variant["simulated"]["hit_ratio"] is None
        assert set(variant["simulated"]["upstream_share"]) == {"web/0", "web/1"}


def test_the_same_seed_predicts_the_same(run: Run, scenario: Path, tmp_path: Path) -> None:
    files = [tmp_path / f"{name}.json" for name in ("first", "again", "other")]
    for file, seed in zip(files, (3, 3, 4), strict=True):
        assert run("simulate", scenario, "--set", f"seed={seed}", "--json", file)[0] == 0
    first, again, other = (json.loads(file.read_text())["variants"] for file in files)
    assert first == again != other


def test_json_may_go_to_standard_output() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "twin", "simulate", "slow-server", "--set", "duration=1s",
         "--json", "/dev/stdout"],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=True,
    )  # fmt: skip
    data, _ = json.JSONDecoder().raw_decode(done.stdout)
    assert data["scenario"] == "slow-server"
    assert Path("/dev/stdout").is_symlink()


@pytest.mark.parametrize(
    ("slower", "void", "expected"), [(0.0, {}, 0), (0.05, {}, 1), (0.0, {0: ["late"], 1: ["late"]}, 1)]
)
def test_confirm_ends_with_1_if_anything_is_refuted_or_void(
    run: Run,
    scenario: Path,
    monkeypatch: pytest.MonkeyPatch,
    ModelStage: Callable[..., Any],  # noqa: N803
    slower: float,
    void: dict[int, list[str]],
    expected: int,
) -> None:
    true = replace(Costs(), service_extra=Costs().service_extra + slower)
    monkeypatch.setattr("twin.confirm.procedure.Stage", lambda: ModelStage(true, void))
    monkeypatch.setattr("twin.confirm.procedure.confirm", functools.partial(confirm, costs=Costs(), tries=2))
    page, file = scenario.parent / "out.html", scenario.parent / "out.json"
    long = ["--set", "duration=8s"]
    code, out, err = run("confirm", scenario, *long, "--report", page, "--json", file)
    assert (code, err) == (expected, "")
    verdicts = [variant["verdict"] for variant in json.loads(file.read_text())["variants"]]
    assert ("refuted" in verdicts) == bool(slower)
    assert ("void" in verdicts) == bool(void)
    assert bool(json.loads(file.read_text())["void"]) == bool(void)
    assert page.read_text().startswith("<!doctype html>")
    assert f"Report: {page}" in out
    assert ("void: round_robin: late" in out) == bool(void)


def test_loadtest_writes_the_measured_side(started: Started, scenario: Path, tmp_path: Path) -> None:
    file, folder = tmp_path / "out.json", tmp_path / "temporary"
    folder.mkdir()
    changes = ("compare={}", "warmup=200ms", "duration=2s")
    arguments = ["loadtest", scenario, "--json", file, *(word for c in changes for word in ("--set", c))]
    with started(*arguments, folder=folder) as process:
        out, err = process.communicate(timeout=3 * SECONDS)
    data = json.loads(file.read_text())
    assert process.returncode == (1 if data["void"] else 0)
    assert err == ""
    assert "Which balancer? (measured)" in out
    assert [line for line in out.splitlines() if line.startswith("void: ")] == [
        f"void: {reason}" for reason in data["void"]
    ]
    (variant,) = data["variants"]
    assert set(variant) == {"setting", "measured"}
    assert set(variant["measured"]) >= FIGURES
    assert variant["measured"]["requests"] > 20
    assert not list(folder.iterdir())
