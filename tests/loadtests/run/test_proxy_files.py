"""What a proxy process is started with: settings on real addresses, and a student's classes by value."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as test_settings
from hypothesis import strategies as st

from loadtests.run.proxy_files import with_addresses, write_classes, write_settings
from policies.balancing import Balancer, balancing_policies, balancing_policy
from policies.settings import ProxySettings, load_settings, parse_settings

PORTS = {"web/0": 9001, "web/1": 9002, "api/0": 9003}


def settings(**changes: object) -> ProxySettings:
    return parse_settings({"route": [{"to": "s"}], "service": {"s": {"upstreams": ["web"]}}} | changes)


def test_every_replica_takes_the_place_and_the_weight_of_its_backend() -> None:
    upstreams = [{"address": "api", "weight": 3}, "web"]
    real = with_addresses(settings(service={"s": {"upstreams": upstreams, "balance": "p2c"}}), PORTS)
    assert [(u.address, u.weight) for u in real.service["s"].upstreams] == [
        ("127.0.0.1:9003", 3.0),
        ("127.0.0.1:9001", 1.0),
        ("127.0.0.1:9002", 1.0),
    ]
    assert real.service["s"].balance == "p2c"


def test_the_real_proxy_listens_on_any_free_port() -> None:
    assert with_addresses(settings(listen="127.0.0.1:8080"), PORTS).listen == "127.0.0.1:0"


text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)


@test_settings(max_examples=30)
@given(text, st.dictionaries(text, text, max_size=2), st.floats(0, 1e6), st.integers(1, 2**50))
def test_settings_survive_being_written(
    tmp_path_factory: pytest.TempPathFactory, name: str, header: dict[str, str], ttl: float, size: int
) -> None:
    header = {key: "=" + value for key, value in header.items()}
    written = settings(
        route=[{"when": {"header": header}, "to": name, "cache": {"ttl": ttl}}, {"respond": 404}],
        service={name: {"upstreams": [name, {"address": name, "weight": ttl + 0.5}]}},
        cache={"policy": "lru", "capacity": size},
        forward={"private_targets": True},
        log={"file": name},
    )
    path = tmp_path_factory.getbasetemp() / "settings.toml"
    write_settings(written, path)
    assert load_settings(path) == written


READ = """
import random, sys
from pathlib import Path
from loadtests.run.proxy_files import register_classes
from policies.balancing import Dispatch
register_classes(Path(sys.argv[1]))
dispatch = Dispatch("always_last", [1.0, 1.0, 1.0], random.Random(1))
print([dispatch.start(None, 0.0) for _ in range(3)])
"""


def test_a_class_that_exists_in_this_process_only_reaches_another(tmp_path: Path) -> None:
    back = 1

    @balancing_policy("always_last")
    class AlwaysLast(Balancer):
        def pick(self, key: str | None, now: float) -> int:
            return len(self.upstreams.weight) - back

    try:
        write_classes(tmp_path / "classes")
    finally:
        del balancing_policies._classes["always_last"]
    command = [sys.executable, "-c", READ, str(tmp_path / "classes")]
    root = Path(__file__).parents[3]
    done = subprocess.run(command, capture_output=True, text=True, cwd=root, timeout=30, check=False)
    assert (done.stdout, done.stderr) == ("[2, 2, 2]\n", "")
