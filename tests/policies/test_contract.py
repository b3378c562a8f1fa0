"""What an own class does wrong is said in one line: its name, its method, and what was expected."""

import contextlib
import pickle
import random
from functools import partial

import numpy as np
import pytest

from policies.admission import Admission, admission_policy
from policies.balancing import Balancer, Dispatch, balancing_policy
from policies.concurrency import ConcurrencyLimit
from policies.contract import PolicyFault, blaming
from policies.eviction import EvictionPolicy, eviction_policy
from policies.http_cache.index import ObjectCache, build_cache
from policies.settings import Cache

_AVAILABLE = "expected the index of an available upstream as an int: one of 0, 1, 2"

PICK = "def pick(self, key, now): "
PICKS = {
    "pass": f"pick: returned None (is 'return' missing?); {_AVAILABLE}",
    "self.upstreams.available[0]": f"pick: returned None (is 'return' missing?); {_AVAILABLE}",
    "return 99": f"pick: returned 99; {_AVAILABLE}",
    "return 3": f"pick: returned 3; {_AVAILABLE}",
    "return -1": f"pick: returned -1; {_AVAILABLE}",
    "return True": f"pick: returned True; {_AVAILABLE}",
    "return 1.0": f"pick: returned 1.0; {_AVAILABLE}",
    "return '0'": f"pick: returned '0'; {_AVAILABLE}",
    "return [0]": f"pick: returned [0]; {_AVAILABLE}",
    "return self.upstreams": "pick: returned <policies.balancing.base.Upstreams",
    "return 1 / 0": "pick: raised ZeroDivisionError: division by zero",
    "return self.nothing": "pick: raised AttributeError: 'Mine' object has no attribute 'nothing'",
    "raise StopIteration": "pick: raised StopIteration",
    "raise KeyError('x')": "pick: raised KeyError: 'x'",
    "assert False": "pick: raised AssertionError",
    "return self._draw(1)": "pick: raised TypeError: Balancer._draw() takes 1 positional argument but 2",
}
"""Bodies of `pick`, and what is said of them."""

EVICTION = """
def __init__(self, capacity, **kwargs):
    super().__init__(capacity, **kwargs)
    self.row = []
def touch(self, key, now): pass
def _admit(self, key, size, now): self.row.append(key)
def _evict(self, now): return self.row.pop(0)
def _forget(self, key): self.row.remove(key)
"""
"""A first-in, first-out queue. A further method replaces one of these."""

STORED = "expected the key of a stored object"
EVICTIONS = {
    "def _evict(self, now): pass": f"_evict: returned None (is 'return' missing?); {STORED}",
    "def _evict(self, now): return 'nobody'": f"_evict: returned 'nobody'; {STORED}",
    "def _evict(self, now): return self.row[0]": f"_evict: returned 0; {STORED}",
    "def _evict(self, now): return [self.row.pop(0)]": f"_evict: returned [0]; {STORED}",
    "def _evict(self, now): return self.row.pop(99)": "_evict: raised IndexError: pop index out of range",
    "def _admit(self, key, size, now): raise RuntimeError('no')": "_admit: raised RuntimeError: no",
    "def _announce(self, key, size): return {}[key]": "_announce: raised KeyError: 0",
    "def touch(self, key, now): self.row.remove(-1)":
        "touch: raised ValueError: list.remove(x): x not in list",
    "def insert(self, key, size, now): pass":
        "insert: returned None (is 'return' missing?); expected the keys that are no longer stored",
    "def insert(self, key, size, now): return ['nobody']":
        "insert: returned ['nobody']; expected the keys that are no longer stored",
}  # fmt: skip

ADMISSION = """
duels = True
def admits(self, key, size, stored): return True
def prefers(self, key, victim): return True
"""
ADMISSIONS = {
    "def admits(self, key, size, stored): pass":
        "admits: returned None (is 'return' missing?); expected True or False",
    "def admits(self, key, size, stored): return 'yes'": "admits: returned 'yes'; expected True or False",
    "def admits(self, key, size, stored): return 1 / 0":
        "admits: raised ZeroDivisionError: division by zero",
    "def asked(self, key, stored): raise RuntimeError('no')": "asked: raised RuntimeError: no",
    "def prefers(self, key, victim): return 1": "prefers: returned 1; expected True or False",
    "def outweighs(self, key, victims): return victims":
        "outweighs: returned [",
}  # fmt: skip


def dispatch() -> Dispatch:
    return Dispatch("mine", [1.0] * 3, random.Random(1))


def fill(cache: ObjectCache[str]) -> None:
    for number in range(6):
        if cache.lookup(number % 4, number) is None:
            cache.store(number % 4, "x", 40, 100.0, number)
        cache.lookup(number % 4, number)


def store(**settings: object) -> ObjectCache[str]:
    return build_cache(Cache(capacity=100, **settings), random.Random(1))


def fault_of(call) -> str:
    with pytest.raises(PolicyFault) as caught, blaming():
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("body", PICKS)
def test_a_wrong_pick_is_said(own_class, body: str) -> None:
    with own_class("balancing", PICK + body) as file:
        said = fault_of(lambda: dispatch().start("client", 0.0))
    assert said.startswith(f"{file}:2: Mine.{PICKS[body]}")


def test_an_upstream_that_is_not_available_must_not_be_picked(own_class) -> None:
    with own_class("balancing", f"{PICK}return 1"):
        chosen = dispatch()
        assert chosen.start("client", 0.0) == 1
        chosen.upstreams.mark_down(1)
        said = fault_of(lambda: chosen.start("client", 1.0))
    assert said.endswith("returned 1; expected the index of an available upstream as an int: one of 0, 2")
    assert chosen.outstanding == [0, 1, 0], "what was not picked is not counted"


@pytest.mark.parametrize("kind", [np.int64, np.uint8, np.intp])
def test_numpys_integers_are_indices(own_class, kind: type) -> None:
    with own_class("balancing", f"{PICK}return self.kind(2)"):
        chosen = dispatch()
        chosen.balancer.kind = kind
        found = chosen.start("client", 0.0)
    assert found == 2
    assert type(found) is int


@pytest.mark.parametrize("kind", [np.bool_, np.float64])
def test_numpys_other_numbers_are_not(own_class, kind: type) -> None:
    with own_class("balancing", f"{PICK}return self.kind(1)"):
        chosen = dispatch()
        chosen.balancer.kind = kind
        assert "Mine.pick: returned" in fault_of(lambda: chosen.start("client", 0.0))


def test_a_value_that_cannot_be_shown_or_is_long_stays_one_short_line(own_class) -> None:
    class Odd:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    for odd in (Odd(), "x" * 9_000, list(range(9_000)), "two\nlines", np.zeros((50, 50))):
        with own_class("balancing", f"{PICK}return self.odd"):
            chosen = dispatch()
            chosen.balancer.odd = odd
            assert len(fault_of(partial(chosen.start, "client", 0.0))) < 250


def test_of_many_upstreams_only_some_are_listed(own_class) -> None:
    with own_class("balancing", f"{PICK}return -1"):
        many = Dispatch("mine", [1.0] * 30, random.Random(1))
        assert fault_of(lambda: many.start("client", 0.0)).endswith("one of 0, 1, 2, 3, 4, 5, 6, 7, …")


@pytest.mark.parametrize(
    ("hook", "call"),
    [
        ("finished(self, index, elapsed, now)", lambda chosen: chosen.finish(0, 1.0, 1.0)),
        ("started(self, index)", lambda chosen: chosen.start("client", 0.0, failed=[1])),
    ],
)
def test_a_hook_that_raises_is_said(own_class, hook: str, call) -> None:
    with own_class("balancing", f"{PICK}return 0\ndef {hook}: raise RuntimeError('x')") as file:
        assert fault_of(lambda: call(dispatch())) == (
            f"{file}:3: Mine.{hook.partition('(')[0]}: raised RuntimeError: x"
        )


@pytest.mark.parametrize("method", EVICTIONS)
def test_an_eviction_policy_that_errs_is_said(own_class, method: str) -> None:
    with own_class("eviction", f"{EVICTION}{method}") as file:
        said = fault_of(lambda: fill(store(policy="mine")))
    assert said == f"{file}:9: Mine.{EVICTIONS[method]}"


def test_a_key_that_cannot_be_forgotten_is_said(own_class) -> None:
    with own_class("eviction", f"{EVICTION}def _forget(self, key): self.row.remove('x')"):
        cache = store(policy="mine")
        cache.store("a", "x", 40, 5.0, 0.0)
        said = fault_of(lambda: cache.lookup("a", 9.0))
    assert said.endswith("Mine._forget: raised ValueError: list.remove(x): x not in list")


@pytest.mark.parametrize("method", [one for one in EVICTIONS if "insert" not in one])
def test_after_a_fault_nothing_is_stored_that_the_policy_does_not_know(own_class, method: str) -> None:
    with own_class("eviction", f"{EVICTION}{method}"):
        cache = store(policy="mine")
        for number in range(6):
            with contextlib.suppress(PolicyFault), blaming():
                cache.store(number, "x", 40, 100.0, 0.0)
        assert {number for number in range(6) if cache.peek(number, 1.0)} <= set(cache.eviction._sizes)


@pytest.mark.parametrize("method", ADMISSIONS)
def test_an_admission_policy_that_errs_is_said(own_class, method: str) -> None:
    with own_class("admission", f"{ADMISSION}{method}") as file:
        said = fault_of(lambda: fill(store(policy="lru", admission="mine")))
    assert said.startswith(f"{file}:5: Mine.{ADMISSIONS[method]}")


@pytest.mark.parametrize(
    ("family", "body", "said"),
    [
        ("balancing", "pass", "Mine: expected a method pick, as Balancer describes it"),
        ("balancing", "def choose(self, key, now): return 0", "Mine: expected a method pick, as Balancer"),
        ("balancing", "def pick(self): return 0", "Mine.pick: expected the parameters (self, key, now)"),
        (
            "balancing", f"{PICK}return 0\ndef finished(self, index): pass",
            "Mine.finished: expected the parameters (self, index, elapsed, now)",
        ),
        ("eviction", "pass", "Mine: expected a method _admit, as EvictionPolicy describes it"),
        (
            "eviction", f"{EVICTION}def touch(self, key): pass",
            "Mine.touch: expected the parameters (self, key, now)",
        ),
        ("admission", "pass", "Mine: expected a method admits, as Admission describes it"),
    ],
)  # fmt: skip
def test_what_a_class_lacks_is_said_where_it_is_registered(
    own_class, family: str, body: str, said: str
) -> None:
    with pytest.raises(PolicyFault) as caught, own_class(family, body):
        pass
    assert said in str(caught.value)


def test_more_parameters_with_defaults_and_any_parameters_are_fine(own_class) -> None:
    with own_class("balancing", "def pick(self, key, now, mood='good'): return 0"):
        assert dispatch().start("client", 0.0) == 0
    with own_class("balancing", "def pick(self, *any): return 0"):
        assert dispatch().start("client", 0.0) == 0


@pytest.mark.parametrize("decorator", [balancing_policy, eviction_policy, admission_policy])
@pytest.mark.parametrize("thing", [int, len, "text", random.Random(1)])
def test_what_is_not_of_the_family_is_refused(decorator, thing: object) -> None:
    with pytest.raises(PolicyFault, match="expected a class below"):
        decorator("mine")(thing)


def test_a_class_of_another_family_is_refused() -> None:
    with pytest.raises(PolicyFault, match="Lru: expected a class below Balancer"):
        from policies.eviction import Lru

        balancing_policy("lru")(Lru)


SHIPPED = [("balancing", "p2c"), ("eviction", "lru"), ("admission", "size")]


@pytest.mark.parametrize(("family", "name"), SHIPPED)
def test_the_name_of_a_shipped_class_cannot_be_taken(own_class, family: str, name: str) -> None:
    body = {"balancing": f"{PICK}return 0", "eviction": EVICTION, "admission": ADMISSION}[family]
    with (
        pytest.raises(PolicyFault, match=f"Mine: the name '{name}' belongs to"),
        own_class(family, body, name),
    ):
        pass


INITS = {
    "def __init__(self, *a, **k): pass": "Mine.__init__: expected a call of super().__init__",
    "def __init__(self): pass": "Mine.__init__: raised TypeError: ",
    "def __init__(self, *a, **k): int('x')": "Mine.__init__: raised ValueError: invalid literal for int()",
}


@pytest.mark.parametrize("init", INITS)
def test_a_constructor_that_errs_is_said(own_class, init: str) -> None:
    with own_class("balancing", f"{PICK}return 0\n{init}"):
        assert INITS[init] in fault_of(dispatch)
    with own_class("eviction", f"{EVICTION}{init}"):
        assert INITS[init] in fault_of(lambda: store(policy="mine"))


def test_an_argument_that_an_own_admission_policy_refuses_is_a_mistake_in_the_settings(own_class) -> None:
    body = f"{ADMISSION}def __init__(self, capacity, argument=None): raise ValueError('expected a number')"
    with own_class("admission", body), pytest.raises(ValueError, match="mine: expected a number"):
        Cache(admission="mine(x)")


def test_errors_of_nobodys_class_stay_as_they_are() -> None:
    with pytest.raises(ZeroDivisionError), blaming():
        1 / 0  # noqa: B018
    with pytest.raises(KeyError), blaming():
        Dispatch("round_robin", [1.0], random.Random(1)).balancer.upstreams.__dict__["x"]


def test_a_fault_survives_a_copy_and_a_pickle_as_processes_and_simpy_make_them() -> None:
    fault = PolicyFault("a.py:1", "Mine.pick", "returned None")
    for copy in (pickle.loads(pickle.dumps(fault)), type(fault)(*fault.args)):
        assert (str(copy), copy.key) == ("a.py:1: Mine.pick: returned None", "Mine.pick")


def test_a_class_in_a_cell_is_named_by_its_line() -> None:
    scope = {"Balancer": Balancer, "__name__": "__main__"}
    code = compile(f"class Cell(Balancer):\n    {PICK}return 1 / 0", "/tmp/ipykernel_9/77.py", "exec")
    exec(code, scope)
    balancer = scope["Cell"](None, rng=random.Random(1))
    assert fault_of(lambda: balancer.pick("", 0.0)) == (
        "line 2 of the cell: Cell.pick: raised ZeroDivisionError: division by zero"
    )


def test_the_base_classes_are_those_of_the_families() -> None:
    from policies.contract import BASES

    assert set(BASES) == {Balancer, EvictionPolicy, Admission, ConcurrencyLimit}
