"""The locustfile by hand: Locust's command line and its own page, on real backends without a proxy."""

import json
import os
import signal
import subprocess
import sys
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
    arguments = ["--web-host", "127.0.0.1", "--web-port", str(port), "--host", host, *SHORT]
    with Child("Locust", [*LOCUST, *arguments], folder=ROOT) as child:
        assert eventually(lambda: page(web) is not None), child.last_words()
        form = {"user_count": "20", "spawn_rate": "20", "host": host, "scenario": "slow-server"}
        assert '"success":true' in (page(f"{web}/swarm", form) or "").replace(" ", "")

        def stopped() -> bool:
            return json.loads(page(f"{web}/stats/requests") or "{}").get("state") == "stopped"

        assert eventually(stopped), child.last_words()
        rows = json.loads(page(f"{web}/stats/requests") or "{}")["stats"]
        assert rows[0]["name"] == "/objects/[number]"
        assert rows[0]["num_requests"] > 20
        assert rows[0]["num_failures"] == 0

        page(f"{web}/swarm", form | {"scenario": "slow-servr"})
        assert eventually(lambda: "did you mean 'slow-server'?" in child.last_words())
        assert eventually(stopped)


def test_ctrl_c_ends_a_run_at_once(host: str) -> None:
    command = [*LOCUST, "--headless", "--host", host, "--set", "duration=60s", "--only-summary"]
    with Child("Locust", command, folder=ROOT) as child:
        assert eventually(lambda: "All users spawned" in child.last_words()), child.last_words()
        os.kill(child.pid, signal.SIGINT)
        child.wait(60.0)


def test_locusts_statistics_keep_three_digits(loaded: Child) -> None:
    loaded.send({"three_digits": [0.449, 7.25, 99.94, 123.4, 1234.5, 45678.0]})
    assert loaded.expect(60.0)["said"] == [0.4, 7.2, 99.9, 123.0, 1230.0, 45700.0]
