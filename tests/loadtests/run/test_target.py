"""A proxy and backends that run already: found by asking them, measured, and left running."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from loadtests import Stage
from loadtests.free_port import free_port
from loadtests.run.proxy_files import with_addresses, write_settings
from loadtests.run.target import Target, check_standing
from policies.bad_input import BadInput
from scenarios import Scenario, parse_scenario

SHORT = {"duration": "1s", "warmup": "200ms", "workload.users": 4}


@pytest.fixture(scope="module")
def scenario(caching: dict[str, Any]) -> Scenario:
    data = copy.deepcopy(caching)
    return parse_scenario({**data, "compare": {}}, {**SHORT, "proxy.cache.capacity": "1MiB"}).scenario


@pytest.fixture(scope="module")
def backends(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of the scenario's only replica, run by the command `backends`."""
    port = free_port()
    file = tmp_path_factory.mktemp("target") / "mine.toml"
    file.write_text(
        'title = "x"\nworkload = { users = 1 }\nbackend = { web = { cache_control = "max-age=60" } }\n'
        'proxy = { route = [{ to = "web" }], service = { web = { upstreams = "web" } } }\n'
    )
    command = [sys.executable, "-m", "twin", "backends", str(file), "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == f"web/0 127.0.0.1:{port}\n"
        yield port
        process.terminate()
        assert process.wait(20) in (0, 130, 143)


@pytest.fixture(scope="module")
def url(backends: int, scenario: Scenario, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a proxy that leads to these backends."""
    file = tmp_path_factory.mktemp("proxy") / "proxy.toml"
    write_settings(with_addresses(scenario.chain[0], {"web/0": backends}), file)
    command = [sys.executable, "-m", "realproxy", str(file), "--until-eof"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["url"]
        process.terminate()
        process.wait(20)


def test_a_running_proxy_is_measured_and_each_run_finds_a_cold_cache(
    backends: int, url: str, scenario: Scenario
) -> None:
    target = Target(url, backends)
    target.check(scenario, "mine.toml")
    with Stage(target=target) as stage:
        first, second = stage.measure(scenario), stage.measure(scenario)
    for run in (first, second):
        assert not [reason for reason in run.void if "late" not in reason and "longer than" not in reason]
        assert run.backends["requests"] == (~run.records.hit).sum() > 0
        assert run.records.hit.any()


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (lambda port, _url: Target(f"http://127.0.0.1:{free_port()}", port), "no proxy answers there"),
        (lambda _port, url: Target(url, free_port()), "no backend web/0 at 127.0.0.1:"),
        (lambda port, _url: Target("https://127.0.0.1:1", port), "expected an address such as"),
        (lambda port, _url: Target("127.0.0.1:1", port), "expected an address such as"),
    ],
)
def test_what_leads_elsewhere_is_one_line(
    asked: Callable[[int, str], Target], said: str, backends: int, url: str, scenario: Scenario
) -> None:
    with pytest.raises(BadInput, match=said) as mistake:
        asked(backends, url).check(scenario, "mine.toml")
    assert mistake.value.where == "--target"


def test_a_proxy_before_other_servers_is_refused(backends: int, scenario: Scenario, tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=tmp_path,
    ) as other:  # fmt: skip
        assert other.stdout is not None
        port = int(other.stdout.readline().split("port ")[1].split()[0])
        with pytest.raises(BadInput, match="does not lead to our backends"):
            Target(f"http://127.0.0.1:{port}", backends).check(scenario, "mine.toml")
        other.terminate()


def test_what_belongs_to_a_run_is_refused(scenario: Scenario) -> None:
    failing = scenario.backend["web"].model_copy(update={"fail": {0: (1.0, 2.0)}})
    with pytest.raises(BadInput) as mistake:
        check_standing(scenario.model_copy(update={"backend": {"web": failing}}), "mine.toml")
    assert mistake.value.key == "backend.web.fail"
