"""Mistakes in scenarios and on the command line: one clear line, exit 2, and nothing was begun."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from policies.settings.unsupported import NOT_YET, WHY

Run = Callable[..., tuple[int, str, str]]
OneLine = Callable[[str], str]

# The whole text of a file, or what of a good one is replaced by what; and what is said of it.
BROKEN_FILES: dict[str, tuple[str | tuple[str, str], str]] = {
    "toml": ("title = [", "is not valid TOML"),
    "key": (("users =", "user ="), "workload.user: unknown key (did you mean 'users'?)"),
    "table": (("[backend.web]", "[backends.web]"), "backends: unknown key (did you mean"),
    "policy": (('"p2c"', '"p2d"'), "unknown balancing policy 'p2d' (did you mean 'p2c'?)"),
    "count": (("users = 6", "users = -6"), "workload.users: "),
    "duration": (('"1s"', '"1 parsec"'), "duration: expected a duration such as '200ms'"),
    "empty": ("", "is empty; expected a scenario"),
    "blank": ("# later\n", "title: is missing"),
    "bytes": ("title = '\udcff'", "is not UTF-8"),
}


@pytest.mark.parametrize("kind", BROKEN_FILES)
def test_a_scenario_file_with_a_mistake_is_one_line(
    one_line: OneLine, run: Run, scenario: Path, tmp_path: Path, kind: str
) -> None:
    mistake, expected = BROKEN_FILES[kind]
    text = mistake if isinstance(mistake, str) else scenario.read_text().replace(*mistake)
    file = tmp_path / "wrong.toml"
    file.write_text(text, errors="surrogateescape")
    code, out, err = run("simulate", file)
    assert (code, out) == (2, "")
    line = one_line(err)
    assert line.startswith((f"{file}: ", f"{file}"))
    assert expected in line


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("workload.users", "--set: workload.users: expected key=value"),
        ("=3", "--set: =3: expected key=value"),
        ("workload.uzers=3", "workload.uzers: unknown key (did you mean 'users'?)"),
        ("workload.users=-3", "workload.users: "),
        ("workload.users=many", "workload.users: "),
        ("workload.users=0", "workload.users: "),
        ("workload.users=100000000000", "workload.users: input should be less than or equal to 1000000"),
        ("workload.think=soon", "workload.think: expected a duration"),
        ("workload.think=exponent(1s)", "unknown distribution 'exponent' (did you mean 'exponential'?)"),
        ("duration=10", "duration: expected a duration"),
        ("warmup=1h", "warmup: expected less than the duration"),
        ("proxy.cache.policy=lruu", "unknown eviction policy 'lruu' (did you mean 'lru'?)"),
        ("proxy.service.web.upstreams=wob", "no backend 'wob' (did you mean 'web'?)"),
        ("proxy.route.7.to=web", "expected a position from 0 to 0"),
        ("title.x=1", "--set: title.x: 'title' is a single value, not a table"),
        ("rank_by=p98_ms", "rank_by: "),
    ],
)
def test_a_changed_setting_with_a_mistake_is_one_line(
    one_line: OneLine, run: Run, scenario: Path, setting: str, expected: str
) -> None:
    code, out, err = run("simulate", scenario, "--set", setting)
    assert (code, out) == (2, "")
    assert expected in one_line(err)


@pytest.mark.parametrize("command", ["confirm", "simulate", "loadtest"])
@pytest.mark.parametrize("name", ["nothing.toml", "slow-servr", "/proc"])
def test_a_scenario_that_is_not_there_is_one_line(
    one_line: OneLine, run: Run, command: str, name: str
) -> None:
    code, out, err = run(command, name)
    assert (code, out) == (2, "")
    assert one_line(err).startswith(f"{name}: ")
    assert ("did you mean 'slow-server'?" in err) == (name == "slow-servr")


@pytest.mark.parametrize("command", ["confirm", "simulate", "loadtest"])
def test_a_trace_that_cannot_be_read_is_known_before_any_work_begins(
    one_line: OneLine, run: Run, scenario: Path, command: str
) -> None:
    text = scenario.read_text().replace("users = 6", "trace = 'trace.csv'").replace("think", "#")
    scenario.write_text(text)
    code, out, err = run(command, scenario)
    assert (code, out) == (2, "")
    trace = scenario.parent / "trace.csv"
    assert one_line(err) == f"{trace}: cannot be read: No such file or directory"
    trace.write_text("time_s,object,size_bytes\n0,a,1\n0.5,b,-1\n")
    code, out, err = run(command, scenario)
    assert (code, out) == (2, "")
    assert one_line(err).startswith(f"{trace}: line 3: ")


@pytest.mark.parametrize(
    ("command", "option"),
    [("confirm", "--json"), ("confirm", "--report"), ("simulate", "--json"), ("loadtest", "--json")],
)
def test_a_file_that_cannot_be_written_is_known_before_any_work_begins(
    one_line: OneLine, run: Run, scenario: Path, command: str, option: str
) -> None:
    for target in ("/proc/out", scenario.parent, scenario / "below"):
        code, out, err = run(command, scenario, option, target)
        assert (code, out) == (2, "")
        assert one_line(err).startswith(f"{option}: {target}: ")


def test_two_results_in_one_file_are_refused(one_line: OneLine, run: Run, scenario: Path) -> None:
    target = scenario.parent / "out"
    code, out, err = run("confirm", scenario, "--json", target, "--report", scenario.parent / "." / "out")
    assert (code, out) == (2, "")
    assert one_line(err) == f"--report: {target}: is the file of --json, too; expected another name"


def test_a_changed_value_of_a_compared_key_is_the_only_one_and_this_is_said(
    one_line: OneLine, run: Run, scenario: Path
) -> None:
    code, out, err = run("simulate", scenario, "--set", "proxy.service.web.balance=random")
    assert code == 0
    assert "random" in out
    assert "round_robin" not in out
    assert "p2c" not in out
    key = "proxy.service.web.balance"
    assert one_line(err) == f"--set fixes {key}, so the scenario does not compare its values"


def test_a_comparison_that_makes_no_difference_is_named(one_line: OneLine, run: Run, scenario: Path) -> None:
    code, _, err = run(
        "simulate", scenario, "--set", 'compare={"backend.web.cache_control"=["no-store", "public"]}'
    )
    assert code == 0
    said = "makes no difference here: all variants give the same figures"
    assert one_line(err) == f"backend.web.cache_control: {said}"


def test_vary_instead_of_the_scenarios_own_comparison_is_said(run: Run, scenario: Path) -> None:
    code, _, err = run("sweep", scenario, "--vary", "workload.users=5,9", "--jobs", 1)
    assert code == 0
    said = "--vary is given, so the scenario's own comparison of proxy.service.web.balance is left out"
    assert err == f"proxytwin: {said}\n"


def test_no_processes_at_all_are_refused(one_line: OneLine, run: Run, scenario: Path) -> None:
    code, _, err = run("simulate", scenario, "--jobs", 0)
    assert code == 2
    assert one_line(err).startswith("--jobs: 0: expected")


@pytest.mark.parametrize(
    "arguments",
    [
        ["bogus"],
        ["simulate"],
        ["simulate", "slow-server", "--bogus"],
        ["simulate", "slow-server", "--replications", "-1"],
        ["simulate", "slow-server", "--replications", "two"],
        ["confirm", "slow-server", "--seeds", "0"],
        ["confirm", "slow-server", "--repeats", "-2"],
        ["confirm", "slow-server", "small-cache"],
        ["simulate", "slow-server", "--json"],
        ["explain", "proxy.toml"],
    ],
)
def test_a_wrong_command_line_says_how_to_use_it(run: Run, arguments: list[str]) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert err.splitlines()[-1].startswith("Error: ")
    assert "Traceback" not in err


def test_a_part_of_the_load_test_that_fails_is_told_without_a_traceback(
    run: Run, scenario: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    code, out, err = run("loadtest", scenario)
    assert code == 1
    assert out == ""
    assert err.startswith("proxytwin: ")
    assert "ended (exit code 1)" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("command", ["confirm", "loadtest"])
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("proxy.cache.hit_lock", "1ms"),
        ("backend.web.discipline", "ps"),
    ],
)
def test_what_only_the_simulator_models_is_refused_before_anything_real_runs(
    run: Run, command: str, key: str, value: str
) -> None:
    setting = f"{key}={value}"
    code, _, err = run(command, "slow-server", "--set", setting)
    assert code == 2
    problem = WHY.get(key.removeprefix("proxy."), NOT_YET)
    assert err == f"proxytwin: slow-server: {key}: {problem}\n"
    assert run("simulate", "slow-server", "--set", setting, "--set", "duration=2s")[0] == 0


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (
            'cache = { disk = { folder = "/dev/null/x" } }',
            "cache.disk.folder: cannot be used: Not a directory",
        ),
        ('forward = { block_files = ["/"] }', "forward.block_files: /: is a directory"),
        ('forward = { parent = "https://a.test", parent_ca = "/" }', "forward.parent_ca: /: "),
    ],
)
def test_what_cannot_be_used_is_said_with_its_file(
    one_line: OneLine, run: Run, tmp_path: Path, settings: str, expected: str
) -> None:
    file = tmp_path / "proxy.toml"
    file.write_text(f'listen = "127.0.0.1:0"\nroute = [{{ respond = 204 }}]\n{settings}\n')
    code, out, err = run("serve", file)
    assert (code, out) == (2, "")
    assert one_line(err).startswith(f"{file}: {expected}")
