"""The commands: what they write, how they end, and that a mistake is one clear line."""

from __future__ import annotations

import functools
import http.client
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest

from policies.modelled import NOT_YET, WHY
from scenarios import shipped_scenarios
from simulator import Costs
from twin import cli
from twin.confirm import confirm

Run = Callable[..., tuple[int, str, str]]

SCENARIO = """\
title = "Which balancer?"
seed = 3
duration = "1s"
[workload]
users = 6
think = "exponential(60ms)"
[backend.web]
replicas = 2
service_time = "erlang(10ms, 4)"
[proxy]
route = [{ to = "web" }]
service = { web = { upstreams = "web" } }
[compare]
"proxy.service.web.balance" = ["round_robin", "p2c"]
"""
PROXY = """\
listen = "127.0.0.1:0"
[[route]]
when = { path = "/secret/*" }
respond = 403
[[route]]
when = { path = "/api/*" }
to = "api"
[service.api]
upstreams = ["127.0.0.1:9"]
"""
FIGURES = {
    "throughput_rps", "mean_ms", "p50_ms", "p95_ms", "p99_ms", "hit_ratio", "error_ratio", "upstream_share",
    "fetch_rps", "fetches_per_expiry",
}  # fmt: skip
SECONDS = 60.0
"""How long a command may take to start its children, to end, or to answer."""


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """A command in this process: exit code, standard output, standard error."""
    before = signal.getsignal(signal.SIGTERM)

    def main(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["proxytwin", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        code = end.value.code
        assert isinstance(code, int)
        return code, *capsys.readouterr()

    yield main
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    file = tmp_path / "small.toml"
    file.write_text(SCENARIO)
    return file


@pytest.fixture
def proxy_file(tmp_path: Path) -> Path:
    file = tmp_path / "proxy.toml"
    file.write_text(PROXY)
    return file


@contextmanager
def started(*arguments: object, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A command as a process of its own, with `folder` for its temporary files."""
    with subprocess.Popen(
        [sys.executable, "-m", "twin.cli", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(folder), "PYTHONUNBUFFERED": "1"},
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def one_line(err: str) -> str:
    assert err.startswith("proxytwin: ")
    assert err.count("\n") == 1
    assert err.endswith("\n")
    return err.removeprefix("proxytwin: ").strip()


# -- mistakes ------------------------------------------------------------------------------------

BROKEN_FILES = {
    "toml": ("title = [", "is not valid TOML"),
    "key": (SCENARIO.replace("users =", "user ="), "workload.user: unknown key (did you mean 'users'?)"),
    "table": (SCENARIO.replace("[backend.web]", "[backends.web]"), "backends: unknown key (did you mean"),
    "policy": (SCENARIO.replace('"p2c"', '"p2d"'), "unknown balancing policy 'p2d' (did you mean 'p2c'?)"),
    "count": (SCENARIO.replace("users = 6", "users = -6"), "workload.users: "),
    "duration": (SCENARIO.replace('"1s"', '"1 parsec"'), "duration: expected a duration such as '200ms'"),
    "empty": ("", "is missing"),
    "bytes": ("title = '\udcff'", "is not UTF-8"),
}


@pytest.mark.parametrize("kind", BROKEN_FILES)
def test_a_scenario_file_with_a_mistake_is_one_line(run: Run, tmp_path: Path, kind: str) -> None:
    text, expected = BROKEN_FILES[kind]
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
    run: Run, scenario: Path, setting: str, expected: str
) -> None:
    code, out, err = run("simulate", scenario, "--set", setting)
    assert (code, out) == (2, "")
    assert expected in one_line(err)


@pytest.mark.parametrize("command", ["confirm", "simulate", "loadtest"])
@pytest.mark.parametrize("name", ["nothing.toml", "slow-servr", "/proc"])
def test_a_scenario_that_is_not_there_is_one_line(run: Run, command: str, name: str) -> None:
    code, out, err = run(command, name)
    assert (code, out) == (2, "")
    assert one_line(err).startswith(f"{name}: ")
    assert ("did you mean 'slow-server'?" in err) == (name == "slow-servr")


@pytest.mark.parametrize("command", ["confirm", "simulate", "loadtest"])
def test_a_trace_that_cannot_be_read_is_known_before_any_work_begins(
    run: Run, scenario: Path, command: str
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
    run: Run, scenario: Path, command: str, option: str
) -> None:
    for target in ("/proc/out", scenario.parent, scenario / "below"):
        code, out, err = run(command, scenario, option, target)
        assert (code, out) == (2, "")
        assert one_line(err).startswith(f"{option}: {target}: ")


def test_no_processes_at_all_are_refused(run: Run, scenario: Path) -> None:
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


# -- help ----------------------------------------------------------------------------------------


def test_help_names_every_command_and_every_shipped_scenario(run: Run) -> None:
    code, out, _ = run("--help")
    assert code == 0
    for command in ("confirm", "simulate", "loadtest", "serve", "check", "explain", "lab"):
        assert f"  {command}" in out
        assert run(command, "--help")[0] == 0
    said = "".join(run("confirm", "--help")[1].split())  # a line may end within a name, at its hyphen
    for name in shipped_scenarios():
        assert name in said


def test_the_installed_command_is_this_one() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "twin.cli", "simulate", "nothing"],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert one_line(done.stderr).startswith("nothing: no such file or shipped scenario")


# -- simulate ------------------------------------------------------------------------------------


def test_an_overload_is_said_in_one_line_and_in_the_json(run: Run, tmp_path: Path) -> None:
    target = tmp_path / "out.json"
    changes = ('workload={rate = "900/s"}', "duration=10s", "compare={}")
    options = [word for change in changes for word in ("--set", change)]
    code, out, err = run("simulate", "slow-server", *options, "--json", str(target))
    assert code == 2 and "req/s" in out, "its table can be seen all the same"
    said = json.loads(target.read_text())["unsettled"]["as written"]
    assert one_line(err) == f"as written: {said}" and "never settles" in said


def test_an_overload_beside_one_that_settles_is_an_answer(run: Run) -> None:
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
        [sys.executable, "-m", "twin.cli", "simulate", "slow-server", "--set", "duration=1s",
         "--json", "/dev/stdout"],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=True,
    )  # fmt: skip
    data, _ = json.JSONDecoder().raw_decode(done.stdout)
    assert data["scenario"] == "slow-server"
    assert Path("/dev/stdout").is_symlink()


# -- confirm and loadtest ------------------------------------------------------------------------


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
    monkeypatch.setattr("twin.confirm.Stage", lambda: ModelStage(true, void))
    monkeypatch.setattr("twin.confirm.confirm", functools.partial(confirm, costs=Costs(), tries=2))
    page, file = scenario.parent / "out.html", scenario.parent / "out.json"
    long = ["--set", "duration=20s"]
    code, out, err = run("confirm", scenario, *long, "--report", page, "--json", file)
    assert (code, err) == (expected, "")
    verdicts = [variant["verdict"] for variant in json.loads(file.read_text())["variants"]]
    assert ("refuted" in verdicts) == bool(slower)
    assert bool(json.loads(file.read_text())["void"]) == bool(void)
    assert page.read_text().startswith("<!doctype html>")
    assert f"Report: {page}" in out
    assert ("void: round_robin: late" in out) == bool(void)


def test_loadtest_writes_the_measured_side(scenario: Path, tmp_path: Path) -> None:
    file, folder = tmp_path / "out.json", tmp_path / "temporary"
    folder.mkdir()
    arguments = ["loadtest", scenario, "--json", file, "--set", "compare={}", "--set", "warmup=200ms"]
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


def descendants_until(process: subprocess.Popen[str], word: str) -> list[psutil.Process]:
    """All processes that a command has started, once one of them has `word` in its command line."""
    deadline = time.monotonic() + SECONDS
    parent = psutil.Process(process.pid)
    while time.monotonic() < deadline and process.poll() is None:
        found = parent.children(recursive=True)
        try:
            if any(word in " ".join(child.cmdline()) for child in found):
                return found
        except psutil.NoSuchProcess:
            continue
        time.sleep(0.02)
    raise AssertionError(f"the command started nothing with {word!r}: {process.communicate()}")


def running(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that have not ended, whether or not anybody has asked for their exit codes."""

    def ended(process: psutil.Process) -> bool:
        try:
            return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    return [process for process in processes if not ended(process)]


@pytest.mark.parametrize(
    ("command", "number", "word"),
    [
        ("confirm", signal.SIGINT, "locust"),
        ("confirm", signal.SIGTERM, "proxy_child"),
        ("loadtest", signal.SIGINT, "proxy_child"),
    ],
)
def test_an_interrupted_command_ends_soon_and_leaves_nothing(
    scenario: Path, tmp_path: Path, command: str, number: signal.Signals, word: str
) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    with started(command, scenario, "--set", "duration=60s", folder=folder) as process:
        found = descendants_until(process, word)
        process.send_signal(number)
        _, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert len(err.splitlines()) <= 1
    assert not running(found)
    assert not list(folder.iterdir())


def test_a_killed_command_leaves_no_process(scenario: Path, tmp_path: Path) -> None:
    with started("loadtest", scenario, "--set", "duration=60s", folder=tmp_path) as process:
        found = descendants_until(process, "proxy_child")
        process.kill()
        process.wait(SECONDS)
    assert len(found) >= 3  # Locust, backends, proxy
    _, alive = psutil.wait_procs(found, timeout=SECONDS)
    assert not alive


def test_an_interrupted_simulation_ends_soon(scenario: Path, tmp_path: Path) -> None:
    arguments = ["simulate", scenario, "--set", "duration=1h", "--replications", "8", "--jobs", "2"]
    with started(*arguments, folder=tmp_path) as process:
        found = descendants_until(process, "LokyProcess")
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=SECONDS)
    assert process.returncode == 130
    _, alive = psutil.wait_procs(found, timeout=SECONDS)
    assert not alive


# -- serve, check, explain -----------------------------------------------------------------------


def answer(url: str, path: str) -> int:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=SECONDS)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    readable, _, _ = select.select([process.stdout], [], [], SECONDS)
    assert readable, "it said nothing"
    return process.stdout.readline()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_says_where_it_serves_and_stops_when_told(
    proxy_file: Path, tmp_path: Path, number: signal.Signals
) -> None:
    with started("serve", proxy_file, folder=tmp_path) as process:
        url = first_line(process).split()[-1]
        assert url.startswith("http://127.0.0.1:")
        assert answer(url, "/secret/key") == 403
        assert answer(url, "/api/orders") == 502  # nobody listens there
        assert answer(url, "/") == 404
        process.send_signal(number)
        out, err = process.communicate(timeout=SECONDS)
    assert process.returncode in (0, 130)
    assert out == ""
    assert "Traceback" not in err
    with pytest.raises(ConnectionRefusedError):
        answer(url, "/")


def test_a_port_that_is_in_use_is_one_line(run: Run, proxy_file: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        proxy_file.write_text(PROXY.replace("127.0.0.1:0", f"127.0.0.1:{port}"))
        code, out, err = run("serve", proxy_file)
    assert (code, out) == (2, "")
    assert one_line(err).startswith(f"{proxy_file}: listen: port {port} is in use")


BROKEN_PROXIES = {
    "toml": ("listen = ", "is not valid TOML"),
    "key": (PROXY.replace("respond", "respnd"), "route.0.respnd: unknown key (did you mean 'respond'?)"),
    "policy": (PROXY + "balance = 'p2d'", "service.api.balance: unknown balancing policy 'p2d'"),
    "service": (PROXY.replace('to = "api"', 'to = "apy"'), "unknown service 'apy' (did you mean 'api'?)"),
    "duration": (PROXY + "[limits]\nidle_timeout = 'never'", "limits.idle_timeout: expected a duration"),
    "count": (PROXY + "[limits]\nthreads = -4", "limits.threads: "),
    "address": (PROXY.replace("127.0.0.1:9", "127.0.0.1"), "service.api.upstreams.0"),
    "log": (PROXY + "[log]\nfile = '/nowhere/access.log'", "log.file: "),
    "listen": (PROXY.replace("127.0.0.1:0", "8080"), "listen: expected 'host:port'"),
}


@pytest.mark.parametrize("command", [["serve"], ["check"]])
@pytest.mark.parametrize("kind", BROKEN_PROXIES)
def test_a_proxys_file_with_a_mistake_is_one_line(
    run: Run, proxy_file: Path, command: Sequence[str], kind: str
) -> None:
    text, expected = BROKEN_PROXIES[kind]
    proxy_file.write_text(text)
    code, out, err = run(*command, proxy_file)
    assert (code, out) == (2, "")
    assert one_line(err).startswith(f"{proxy_file}")
    assert expected in err


@pytest.mark.parametrize("command", [["serve"], ["check"], ["explain", "GET", "/"]])
def test_a_proxys_file_that_is_not_there_is_one_line(run: Run, command: list[str]) -> None:
    code, out, err = run(command[0], "nothing.toml", *command[1:])
    assert (code, out) == (2, "")
    assert one_line(err) == "nothing.toml: no such file"


def test_check_says_ok_for_a_good_file(run: Run, proxy_file: Path) -> None:
    assert run("check", proxy_file) == (0, f"{proxy_file}: ok\n", "")


def test_check_tells_every_finding(run: Run, proxy_file: Path) -> None:
    proxy_file.write_text('[[route]]\nrespond = 200\n[[route]]\nrespond = 404\n[log]\nfile = "/nowhere/x"\n')
    code, out, err = run("check", proxy_file)
    assert (code, out) == (2, "")
    assert [line.partition(": ")[2].partition(": ")[2].partition(": ")[0] for line in err.splitlines()] == [
        "log.file",
        "route.1",
    ]


def test_explain_names_the_rule_that_takes_a_request_and_why_others_do_not(
    run: Run, proxy_file: Path
) -> None:
    code, out, err = run("explain", proxy_file, "GET", "http://shop.test/api/orders")
    assert (code, err) == (0, "")
    first, second, *_ = out.splitlines()
    assert first.startswith("route.0: no")
    assert second.startswith("route.1: yes")
    assert "service api" in out
    assert "route.0: yes" in run("explain", proxy_file, "GET", "/secret/key")[1]
    assert "403" in run("explain", proxy_file, "GET", "/secret/key")[1]
    assert "404" in run("explain", proxy_file, "GET", "/other")[1]


def test_explain_heeds_fields_and_the_clients_address(run: Run, proxy_file: Path) -> None:
    proxy_file.write_text(
        '[[route]]\nwhen = { header = { X-Beta = "1" } }\nrespond = 201\n'
        '[[route]]\nwhen = { client = "203.0.113.0/24" }\nrespond = 202\n'
        "[[route]]\nrespond = 204\n"
    )
    assert "route.2: yes" in run("explain", proxy_file, "GET", "/")[1]
    assert "route.0: yes" in run("explain", proxy_file, "GET", "/", "-H", "X-Beta: 1")[1]
    assert "route.1: yes" in run("explain", proxy_file, "GET", "/", "--client", "203.0.113.9")[1]


def test_explain_says_what_the_cache_makes_of_an_answer(run: Run, proxy_file: Path, tmp_path: Path) -> None:
    proxy_file.write_text('[[route]]\nto = "a"\ncache = true\n[service.a]\nupstreams = "127.0.0.1:1"\n')
    file = tmp_path / "answer.txt"
    file.write_text("HTTP/1.1 200 OK\nCache-Control: max-age=60\n\nhello")
    code, out, err = run("explain", proxy_file, "GET", "/", "--answer", file, "--after", "1m")
    assert (code, err) == (0, "")
    assert "fresh: 60 s, by max-age in Cache-Control (RFC 9111, 5.2.2.1)" in out
    assert "after 60 s: fetched anew, for it is stale by 0 s" in out
    for wrong in (
        ["--answer", tmp_path / "none"],
        ["--answer", proxy_file],
        ["--answer", file, "--after", "x"],
    ):
        code, out, err = run("explain", proxy_file, "GET", "/", *wrong)
        assert (code, out) == (2, "")
        one_line(err)


@pytest.mark.parametrize(
    "wrong",
    [["GET", "/", "-H", "nonsense"], ["GET", "no url"], ["G T", "/"], ["GET", "/", "--client", "nobody"]],
)
def test_explain_refuses_what_is_no_request(run: Run, proxy_file: Path, wrong: list[str]) -> None:
    code, out, err = run("explain", proxy_file, *wrong)
    assert (code, out) == (2, "")
    one_line(err)


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
