"""A student's own class that errs is told by its name and method, in `simulate`, `sweep` and `curve`."""

from collections.abc import Callable

import pytest

from policies.contract import PolicyFault
from scenarios import Scenario, load_scenario
from simulator import simulate
from twin.sweeps import sweep
from twin.sweeps.curve import curves_of

EXPECTED = "expected the index of an available upstream as an int: one of 0, 1, 2, 3"
QUEUE = """
def __init__(self, capacity, **kwargs):
    super().__init__(capacity, **kwargs)
    self.row = []
def touch(self, key, now): pass
def _admit(self, key, size, now): self.row.append(key)
def _forget(self, key): self.row.remove(key)
"""
ERRING = {
    "pass": f"Mine.pick: returned None (is 'return' missing?); {EXPECTED}",
    "return 7": f"Mine.pick: returned 7; {EXPECTED}",
    "return 1 / 0": "Mine.pick: raised ZeroDivisionError: division by zero",
    "raise StopIteration": "Mine.pick: raised StopIteration",
}


def fault_of(call: Callable[[], object]) -> str:
    with pytest.raises(PolicyFault) as caught:
        call()
    return str(caught.value)


def balanced(duration: str = "1s") -> Scenario:
    own = {"proxy.service.web.balance": "mine", "compare": {}, "duration": duration}
    return load_scenario("slow-server", own).scenario


def cached(**changes: str) -> Scenario:
    own = {f"proxy.cache.{key}": value for key, value in changes.items()}
    return load_scenario("small-cache", {**own, "compare": {}, "duration": "1s"}).scenario


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("body", ERRING)
def test_a_balancer_that_errs(body: str, jobs: int, own_class) -> None:
    with own_class("balancing", f"def pick(self, key, now): {body}") as file:
        said = fault_of(lambda: simulate(balanced(), 2, jobs=jobs))
    assert said == f"{file}:2: {ERRING[body]}"


def test_a_hook_that_errs(own_class) -> None:
    body = "def pick(self, key, now): return 0\ndef finished(self, index, elapsed, now): return self.nothing"
    with own_class("balancing", body) as file, pytest.raises(PolicyFault) as caught:
        simulate(balanced())
    assert str(caught.value).startswith(f"{file}:3: Mine.finished: raised AttributeError: ")


def test_an_eviction_policy_that_errs(own_class) -> None:
    with own_class("eviction", f"{QUEUE}def _evict(self, now): return 'nobody'") as file:
        said = fault_of(lambda: simulate(cached(policy="mine")))
    assert said == f"{file}:8: Mine._evict: returned 'nobody'; expected the key of a stored object"


def test_an_admission_policy_that_errs(own_class) -> None:
    with own_class("admission", "def admits(self, key, size, stored): pass") as file:
        said = fault_of(lambda: simulate(cached(admission="mine")))
    assert said == (f"{file}:2: Mine.admits: returned None (is 'return' missing?); expected True or False")


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_curve(jobs: int, own_class, tmp_path) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_text("time_s,object,size_bytes\n" + "".join(f"{n},o{n},100\n" for n in range(50)))
    with own_class("eviction", f"{QUEUE}def _evict(self, now): pass") as file:
        said = fault_of(lambda: curves_of(trace, ["lru", "mine"], ["1KiB"], jobs=jobs))
    assert said == (
        f"{file}:8: Mine._evict: returned None (is 'return' missing?); expected the key of a stored object"
    )


def test_a_sweep_says_it_beside_the_settings_that_go_well(own_class) -> None:
    with own_class("balancing", "def pick(self, key, now): pass") as file:
        vary = {"proxy.service.web.balance": ["p2c", "mine"]}
        table = sweep("slow-server", vary, overrides={"duration": "1s", "compare": {}}, jobs=1)
    assert table["error"].tolist() == ["", f"{file}:2: {ERRING['pass']}"]


def test_numpys_index_is_as_good_as_pythons(own_class) -> None:
    body = "def pick(self, key, now):\n    import numpy as np\n    return np.argmin(self.upstreams.load)"
    with own_class("balancing", body):
        assert len(simulate(balanced()).records) > 100
