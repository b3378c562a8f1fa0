"""Hashing sources: the same source stays where it is, as far as can be, when upstreams come and go."""

import subprocess
import sys

import pytest

from policies.balancing import Balancer, balancing_policies
from policies.balancing.maglev import SIZES
from policies.balancing.whole_weights import MOST, whole_weights

SOURCES = [f"192.0.2.{number % 256}:{number}" for number in range(20_000)]
HASHING = ["source_hash", "rendezvous_hash", "ring_hash", "bounded_ring_hash", "maglev"]
CONSISTENT = HASHING[1:]


def placed(balancer: Balancer, sources: list[str] = SOURCES) -> list[int]:
    return [balancer.pick(source, 0.0) for source in sources]


@pytest.mark.parametrize("policy", HASHING)
def test_the_same_source_always_leads_to_the_same_upstream(policy: str, balancer) -> None:
    one, other = balancer(policy, [0] * 10, seed=1), balancer(policy, [0] * 10, seed=2)
    assert placed(one) == placed(one) == placed(other)


@pytest.mark.parametrize("policy", CONSISTENT)
def test_from_ten_to_eleven_about_one_source_in_eleven_moves(policy: str, balancer) -> None:
    before, after = placed(balancer(policy, [0] * 10)), placed(balancer(policy, [0] * 11))
    moved = [new for old, new in zip(before, after, strict=True) if old != new]
    assert 0.08 < len(moved) / len(SOURCES) < 0.12
    if policy != "maglev":
        assert set(moved) == {10}, "only to the new one"


def test_by_modulus_nearly_all_sources_move(balancer) -> None:
    before, after = placed(balancer("source_hash", [0] * 10)), placed(balancer("source_hash", [0] * 11))
    moved = sum(old != new for old, new in zip(before, after, strict=True))
    assert moved / len(SOURCES) == pytest.approx(10 / 11, abs=0.01)


@pytest.mark.parametrize("policy", CONSISTENT)
def test_when_one_goes_down_few_sources_move_but_its_own(policy: str, balancer) -> None:
    picks = balancer(policy, [0] * 10)
    before = placed(picks)
    picks.upstreams.mark_down(4)
    after = placed(picks)
    assert 4 not in after
    others = [new != old for old, new in zip(before, after, strict=True) if old != 4]
    assert sum(others) / len(others) < (0.03 if policy == "maglev" else 1e-9)
    picks.upstreams.mark_up(4, 1.0)
    assert placed(picks) == before, "and all come back"


@pytest.mark.parametrize(
    ("policy", "error"),
    [("rendezvous_hash", 0.08), ("ring_hash", 0.25), ("maglev", 0.08), ("source_hash", 0.08)],
)
def test_sources_are_shared_evenly(policy: str, error: float, balancer) -> None:
    """20,000 sources on ten: 2,000 each with a standard deviation of 42; a ring adds another 8 %."""
    found = placed(balancer(policy, [0] * 10))
    for index in range(10):
        assert found.count(index) == pytest.approx(2_000, rel=error)


def test_maglevs_table_is_shared_within_one_per_cent(balancer) -> None:
    picks = balancer("maglev", [0] * 10)
    picks.pick("a", 0.0)
    shares = [picks._table.count(index) for index in range(10)]
    assert sum(shares) == 8191 and max(shares) - min(shares) <= 1


@pytest.mark.parametrize("size", SIZES)
def test_maglevs_sizes_are_primes(size: int) -> None:
    assert all(size % divisor for divisor in range(2, int(size**0.5) + 1))


def test_maglevs_table_follows_weights(balancer) -> None:
    picks = balancer("maglev", [0] * 3, weight=[2.0, 3.0, 7.0])
    picks.pick("a", 0.0)
    shares = [picks._table.count(index) for index in range(3)]
    assert shares == pytest.approx([8191 * share / 12 for share in (2, 3, 7)], abs=2)


@pytest.mark.parametrize("policy", HASHING)
def test_without_a_source_any_upstream_may_be_picked(policy: str, balancer) -> None:
    picks = balancer(policy, [0] * 4)
    assert {picks.pick(None, 0.0) for _ in range(200)} == {0, 1, 2, 3}


def test_another_process_hashes_alike(balancer) -> None:
    """Python's own hash of a text is another one in each process."""
    program = (
        "import random\n"
        "from policies.balancing import Upstreams, balancing_policies\n"
        f"for policy in {HASHING}:\n"
        "    picks = balancing_policies[policy](Upstreams([1.0, 2.0, 1.0]), rng=random.Random(1))\n"
        "    print(*(picks.pick(str(number), 0.0) for number in range(50)))\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60
    ).stdout
    here = [
        " ".join(
            map(str, placed(balancer(policy, [0] * 3, weight=[1.0, 2.0, 1.0]), list(map(str, range(50)))))
        )
        for policy in HASHING
    ]
    assert said.splitlines() == here


def test_rendezvous_remembers_a_bounded_number_of_sources(balancer) -> None:
    picks = balancer("rendezvous_hash", [0] * 2)
    picks.REMEMBERED = 100
    placed(picks, SOURCES[:1_000])
    assert 0 < len(picks._winner) <= 100


@pytest.mark.parametrize(
    ("weights", "whole"),
    [
        ([1.0, 1.0], [1, 1]),
        ([0.1, 0.2, 0.3], [1, 2, 3]),
        ([7.5, 2.5], [3, 1]),
        ([1e-9, 1.0], [1, MOST]),
        ([1.0, 1e9], [1, MOST]),
    ],
)
def test_whole_weights_keep_the_proportions(weights: list[float], whole: list[int]) -> None:
    assert whole_weights(weights) == pytest.approx(whole, abs=1)


def test_whole_weights_do_not_sum_up_to_much() -> None:
    assert sum(whole_weights([1 / 997, 1 / 991, 1 / 983])) <= MOST + 3


def test_hashing_policies_are_registered() -> None:
    assert set(HASHING) <= set(balancing_policies.names())
