"""`curve`, `simulate` and `sweep` on one trace: one hit ratio, and a line that says what an object costs."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

Run = Callable[..., tuple[int, str, str]]

SCENARIO = """
title = "one trace"
duration = "10.01s"
warmup = "0s"
[workload]
trace = "trace.csv"
[backend.web]
concurrency = 50
service_time = "constant(1ms)"
cache_control = "max-age=3600"
[proxy]
route = [{ to = "web", cache = true }]
service = { web = { upstreams = "web" } }
cache = { policy = "lru", capacity = "8KiB" }
"""


@pytest.fixture(scope="module")
def scenario(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scenario file beside its trace, of small objects: 2,000 requests for 100 bytes each."""
    folder = tmp_path_factory.mktemp("capacity")
    objects = np.random.default_rng(3).zipf(1.3, 2_000).clip(max=500)
    rows = [f"{number / 200:.3f},o{one},100" for number, one in enumerate(objects)]
    (folder / "trace.csv").write_text("\n".join(["time_s,object,size_bytes", *rows]) + "\n")
    (folder / "one.toml").write_text(SCENARIO)
    return folder / "one.toml"


def curve(run: Run, scenario: Path, *options: str) -> tuple[float, str]:
    status, shown, said = run("curve", scenario.parent / "trace.csv", "--policy=lru", *options)
    assert (status, said) == (0, "")
    found = re.search(r"lru\s*│\s*([0-9.]+)", shown)
    assert found is not None
    return 100 * float(found[1]), shown


def simulated(run: Run, scenario: Path, *changes: str) -> tuple[float, str, str]:
    status, shown, said = run(
        "simulate", scenario, *(word for change in changes for word in ("--set", change))
    )
    assert status == 0
    found = re.search(r"([0-9.]+)%", shown)
    assert found is not None
    return float(found[1]), shown, said


@pytest.mark.parametrize("overhead", ["0B", "512B"])
def test_curve_and_simulate_say_the_same_and_what_an_object_costs(
    overhead: str, run: Run, scenario: Path
) -> None:
    ratio, of_curve = curve(run, scenario, "--capacity=8KiB", f"--overhead={overhead}")
    hits, of_simulation, said = simulated(run, scenario, f"proxy.cache.overhead={overhead}")
    assert hits == pytest.approx(ratio, abs=0.06)
    assert f"overhead {overhead} an object; all requests count, fetches take no time" in of_curve
    assert f"cache: 8KiB, overhead {overhead} an object\n" in of_simulation
    assert said == ""


def test_without_an_overhead_more_is_found(run: Run, scenario: Path) -> None:
    cheap, _ = curve(run, scenario, "--capacity=8KiB")
    dear, _ = curve(run, scenario, "--capacity=8KiB", "--overhead=512B")
    assert cheap > dear + 5


def test_a_warm_up_that_does_not_count_is_said(run: Run, scenario: Path) -> None:
    _, shown, _ = simulated(run, scenario, "warmup=5s")
    assert "cache: 8KiB, overhead 0B an object; hits are counted after the warm-up (5s)" in shown


def test_what_the_number_of_objects_turns_out_is_one_line(run: Run, scenario: Path) -> None:
    _, _, said = simulated(run, scenario, "proxy.cache.objects=10")
    assert re.fullmatch(
        r"proxytwin: as written: proxy: [\d,]+ objects were evicted because the cache held as many as it may "
        r"\(cache\.objects = 10\), though their bytes fitted\n",
        said,
    )


def test_what_is_larger_than_the_cache_is_one_line(run: Run, scenario: Path) -> None:
    _, _, said = simulated(run, scenario, "proxy.cache.capacity=99B")
    assert "2,000 responses were not stored because they are larger than the cache (99B)" in said


def test_a_sweep_says_the_same_as_simulate(run: Run, scenario: Path) -> None:
    status, shown, _ = run("sweep", scenario, "--vary", "workload.trace=trace.csv", "--jobs=1")
    hits, _, _ = simulated(run, scenario)
    assert status == 0
    of_sweep = re.search(r"│\s+(0\.\d{4})\s+│", shown)
    assert of_sweep is not None
    assert 100 * float(of_sweep[1]) == pytest.approx(hits, abs=0.06)
    assert "cache: 8KiB, overhead 0B an object" in shown


@pytest.mark.parametrize("wrong", ["big", "-1", "1%"])
def test_a_wrong_overhead_is_one_line(wrong: str, run: Run, scenario: Path) -> None:
    status, _, said = run("curve", scenario.parent / "trace.csv", f"--overhead={wrong}")
    assert (status, said.count("\n")) == (2, 1)
    assert said.startswith(f"proxytwin: --overhead: {wrong}: expected a size")


def test_an_overhead_that_leaves_no_room_says_so(run: Run, scenario: Path) -> None:
    status, _, said = run("curve", scenario.parent / "trace.csv", "--capacity=500B", "--overhead=512B")
    assert status == 2
    assert "no object fits; the smallest requested object has 612 bytes, 512 of them overhead" in said
