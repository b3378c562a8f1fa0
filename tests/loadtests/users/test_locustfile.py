"""The locustfile by hand: Locust's command line and its own page, on real backends without a proxy."""

import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from loadtests.free_port import free_port
from loadtests.run.processes import Child
from scenarios import Records

ROOT = Path(__file__).parents[3]
LOCUST = [sys.executable, "-m", "locust", "-f", "loadtests/users/locustfile.py"]
LOADED = """
import json, os, sys
from locust import main
from loadtests.users.locust_adapter import three_digits

for line in sys.stdin:
    asked = json.loads(line)
    if "three_digits" in asked:
        print(json.dumps({"said": [three_digits(x) for x in asked["three_digits"]]}), flush=True)
        continue
    pid = os.fork()
    if not pid:
        os.dup2(os.open(asked["output"], os.O_WRONLY | os.O_CREAT), 1)
        os.dup2(1, 2)
        sys.argv = asked["command"]
        sys.exit(main.main())
    print(json.dumps({"code": os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}), flush=True)
"""
"""Locust, which has loaded its program once; each command is a process that is forked from it."""

SHORT = ["--set", "duration=2s", "--set", "warmup=0s", "--set", "workload.users=20"]


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    command = [
        sys.executable,
        "-m",
        "loadtests.backend.server",
        '{"web": {"concurrency": 50}}',
        "--until-eof",
    ]
    with Child("the backends", command) as backends:
        yield f"http://127.0.0.1:{backends.expect(60.0)['ports']['web/0']}"


@pytest.fixture(scope="module")
def loaded() -> Iterator[Child]:
    with Child("Locust", [sys.executable, "-c", LOADED], folder=ROOT) as child:
        yield child


def locust(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [*LOCUST, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def eventually(check: Callable[[], bool], seconds: float = 60.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if check():
            return True
        time.sleep(0.05)
    return False


def page(url: str, form: dict[str, str] | None = None) -> str | None:
    data = None if form is None else urllib.parse.urlencode(form).encode()
    try:
        with urllib.request.urlopen(url, data, timeout=30.0) as answer:
            return str(answer.read().decode())
    except (urllib.error.URLError, ConnectionError):
        return None


def test_headless_it_replays_the_scenario_ends_by_itself_and_prints_locusts_table(
    host: str, tmp_path: Path
) -> None:
    file = tmp_path / "run.npz"
    done = locust("--headless", "--only-summary", "--host", host, "--records", str(file), *SHORT)
    assert done.returncode == 0, done.stderr
    assert "/objects/[number]" in done.stdout + done.stderr
    records = Records.load(file)
    assert len(records) > 20
    assert set(records.user.tolist()) <= set(range(20))
    assert (records.status == 200).all()
    assert set(records.upstream.tolist()) == {0}


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--scenario", "slow-servr"], "no such file or shipped scenario (did you mean 'slow-server'?)"),
        (["--host", "localhost"], "--host: expected an address such as http://127.0.0.1:8080"),
        (["--master"], "--processes, --master, --worker: not supported"),
        (["-r", "5"], "-r: all users start at the same moment; expected no -r"),
        (["-u", "7", "--scenario", "cache-size"], "-u: 7: cache-size has no users, but a rate or a trace"),
        (
            ["-u", "7", "--set", "workload.users=8"],
            "-u: 7: --set says workload.users=8; expected one of them",
        ),
        (["-u", "0"], "workload.users: input should be greater than or equal to 1, not 0"),
        (["-t", "5s", "--set", "duration=6s"], "-t: 5s: --set says duration=6s; expected one of them"),
        (["-t", "5s", "--set", "warmup=7s"], "warmup: expected less than the duration"),
        (["--tags", "fast"], "--tags: a scenario has no tags"),
        (["--exclude-tags", "fast"], "--exclude-tags: a scenario has no tags"),
        (
            ["--config-users", '{"user_class_name": "ScenarioUser", "weight": 2}'],
            "--config-users: expected --set",
        ),
        (["--records", "run.csv"], "--records: run.csv: expected a name that ends in .npz"),
        (["--records", "/nowhere/run.npz"], "--records: /nowhere/run.npz: cannot be written"),
        (["--set", "workload.users=2", "--set", "workload.users=3"], "--set: workload.users: is given twice"),
        (["--host", "http://127.0.0.1:1/base?x=1"], "a query or a fragment cannot begin the paths"),
        (["--autostart", "--headful", "--host", "localhost"], "--host: expected an address such as"),
    ],
)
def test_bad_options_get_one_line_and_exit_code_2(
    loaded: Child, tmp_path: Path, arguments: list[str], problem: str
) -> None:
    output = tmp_path / "said"
    command = [*LOCUST[2:], "--headless", "--skip-log-setup", *arguments]
    loaded.send({"command": command, "output": str(output)})
    code, said = loaded.expect(60.0)["code"], output.read_text()
    assert (code, said.count("\n")) == (2, 1), said
    assert problem in said


def test_locusts_own_page_starts_a_run_and_shows_it(host: str) -> None:
    port = free_port()
    web = f"http://127.0.0.1:{port}"
    brief = ["--set", "duration=2s", "--set", "warmup=0s"]
    arguments = ["--web-host", "127.0.0.1", "--web-port", str(port), "--host", host, *brief]
    with Child("Locust", [*LOCUST, *arguments], folder=ROOT) as child:
        assert eventually(lambda: page(web) is not None), child.last_words()
        form = {"user_count": "100", "spawn_rate": "20", "host": host, "scenario": "slow-server"}
        assert '"success":true' in (page(f"{web}/swarm", form) or "").replace(" ", "")

        def stopped() -> bool:
            return json.loads(page(f"{web}/stats/requests") or "{}").get("state") == "stopped"

        def under_way() -> bool:
            answer = json.loads(page(f"{web}/swarm", form) or "{}")
            return answer.get("message") == "a run is under way; stop it before you start another one"

        assert eventually(stopped), child.last_words()
        rows = json.loads(page(f"{web}/stats/requests") or "{}")["stats"]
        assert rows[0]["name"] == "/objects/[number]"
        assert rows[0]["num_requests"] > 20
        assert rows[0]["num_failures"] == 0

        assert "Ramping to 100 users" in child.last_words()

        for change, problem in {
            ("scenario", "slow-servr"): "did you mean 'slow-server'?",
            ("host", "https://127.0.0.1"): "TLS is not supported",
            ("host", ""): "--host: expected an address such as",
            ("run_time", "5s"): "the scenario says how long it lasts",
        }.items():
            answer = json.loads(page(f"{web}/swarm", form | dict([change])) or "{}")
            assert answer["success"] is False
            assert problem in answer["message"]
            assert stopped()

        page(f"{web}/swarm", form | {"scenario": "one-replica-dies"})
        assert eventually(lambda: "Ramping to 60 users" in child.last_words())
        assert eventually(under_way)
        assert '"hide_common_options": true' in (page(web) or "")
        assert eventually(stopped)


def objects_server(targets: list[str]) -> http.server.ThreadingHTTPServer:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            targets.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    return http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)


def test_a_path_of_the_host_begins_every_path_and_u_and_t_change_the_scenario(
    loaded: Child, tmp_path: Path
) -> None:
    targets: list[str] = []
    file, output = tmp_path / "run.npz", tmp_path / "said"
    with objects_server(targets) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        options = ["--host", f"http://127.0.0.1:{server.server_port}/base/", "-u", "5", "-t", "1s"]
        options += ["--set", "workload.think=50ms", "--records", str(file)]
        loaded.send({"command": [*LOCUST[2:], "--headless", *options], "output": str(output)})
        code = loaded.expect(60.0)["code"]
        server.shutdown()
        thread.join()
    assert code == 0, output.read_text()
    records = Records.load(file)
    assert len(targets) == len(records) > 20
    assert all(target.startswith("/base/objects/") for target in targets)
    assert set(records.user.tolist()) == set(range(5))
    assert records.due.max() < 1.0


def test_backends_of_another_name_end_the_run_with_one_line(loaded: Child, host: str, tmp_path: Path) -> None:
    file, output = tmp_path / "other.toml", tmp_path / "said"
    file.write_text(
        """title = "t"
        [workload]
        users = 3
        think = "50ms"
        [backend.wob]
        [proxy]
        route = [{ to = "web" }]
        service = { web = { upstreams = "wob" } }"""
    )
    options = ["--headless", "--only-summary", "--scenario", str(file), "--host", host]
    loaded.send({"command": [*LOCUST[2:], *options], "output": str(output)})
    code, said = loaded.expect(60.0)["code"], output.read_text()
    assert code == 2, said
    assert "this backend is called 'web', which the scenario does not know (did you mean 'wob'?)" in said


def test_one_host_for_several_doors_is_said(loaded: Child, host: str, tmp_path: Path) -> None:
    file, output, records = tmp_path / "doors.toml", tmp_path / "said", tmp_path / "run.npz"
    door = '[[proxy]]\nroute = [{ to = "web" }]\nservice = { web = { upstreams = "web" } }\n'
    file.write_text(
        'title = "t"\nduration = "500ms"\n[workload]\nusers = 2\nthink = "50ms"\n'
        'doors = ["proxy.0", "proxy.1"]\n[backend.web]\n' + 2 * door
    )
    options = ["--headless", "--scenario", str(file), "--host", host, "--records", str(records)]
    loaded.send({"command": [*LOCUST[2:], *options], "output": str(output)})
    assert loaded.expect(60.0)["code"] == 0, output.read_text()
    assert "workload.doors: all clients ask --host; only confirm asks every door" in output.read_text()
    assert set(Records.load(records).user.tolist()) == {0, 1}


def test_autoquit_is_obeyed_after_the_scenarios_end(loaded: Child, host: str, tmp_path: Path) -> None:
    file, output = tmp_path / "run.npz", tmp_path / "said"
    options = ["--autostart", "--autoquit", "0", "--web-host", "127.0.0.1", "--web-port", str(free_port())]
    options += ["--host", host, "-u", "2", "-t", "1s", "--set", "workload.think=50ms", "--records", str(file)]
    loaded.send({"command": [*LOCUST[2:], *options], "output": str(output)})
    assert loaded.expect(60.0)["code"] == 0, output.read_text()
    assert set(Records.load(file).user.tolist()) == {0, 1}


def test_settings_that_reach_nothing_are_named(loaded: Child, host: str, tmp_path: Path) -> None:
    output = tmp_path / "said"
    changes = ["proxy.cache.capacity=1MiB", "backend.web.replicas=4", "backend.web.service_time=1ms"]
    changes += ["link.client=1ms", "link.backend=1ms"]
    options = [part for change in changes for part in ("--set", change)]
    command = [*LOCUST[2:], "--headless", "--host", host, "-u", "2", "-t", "1s", *options]
    loaded.send({"command": command, "output": str(output)})
    assert loaded.expect(60.0)["code"] == 0
    said = output.read_text()
    assert said.count("no effect, because the proxy and its backends run already") == 3
    assert "--set: proxy.cache.capacity: no effect" in said
    assert "--set: backend.web.replicas: no effect" in said
    assert "--set: link.backend: no effect" in said


def test_ctrl_c_ends_a_run_at_once(host: str) -> None:
    command = [*LOCUST, "--headless", "--host", host, "--set", "duration=60s", "--only-summary"]
    with Child("Locust", command, folder=ROOT) as child:
        assert eventually(lambda: "All users spawned" in child.last_words()), child.last_words()
        os.kill(child.pid, signal.SIGINT)
        child.wait(60.0)


def test_locusts_statistics_keep_three_digits(loaded: Child) -> None:
    loaded.send({"three_digits": [0.449, 7.25, 99.94, 123.4, 1234.5, 45678.0]})
    assert loaded.expect(60.0)["said"] == [0.4, 7.2, 99.9, 123.0, 1230.0, 45700.0]
