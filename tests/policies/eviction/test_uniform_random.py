"""Random: every stored object has the same chance to go."""

import random

import pytest

from policies.eviction import UniformRandom


def test_all_victims_are_equally_likely() -> None:
    """Chi-square with 9 degrees of freedom: above 49.0 in one of ten million runs; the seed is fixed."""
    cache = UniformRandom(10, rng=random.Random(5))
    place = {key: key for key in range(10)}
    counts = [0] * 10
    for key in range(10):
        cache.insert(key, 1, 0.0)
    for key in range(10, 20_010):
        (victim,) = cache.insert(key, 1, 0.0)
        place[key] = place.pop(victim)
        counts[place[key]] += 1
    expected = sum(counts) / 10
    assert sum((count - expected) ** 2 for count in counts) / expected < 49.0


def test_chance_is_the_generators() -> None:
    def victims(seed: int) -> list[object]:
        cache = UniformRandom(5, rng=random.Random(seed))
        return [cache.insert(key, 1, 0.0) for key in range(40)]

    assert victims(1) == victims(1) != victims(2)


def test_it_equals_a_plain_list_from_which_a_key_is_drawn() -> None:
    """A list, with the same draws: what is drawn or removed gives its place to the last."""
    cache, draws, steps = UniformRandom(6, rng=random.Random(9)), random.Random(9), random.Random(1)
    row: list[int] = []
    for now in range(3_000):
        key = steps.randrange(15)
        if steps.random() < 0.2:
            cache.remove(key)
            if key in row:
                row[row.index(key)] = row[-1]
                row.pop()
            continue
        hit = key in row
        if not hit:
            if len(row) == 6:
                place = int(draws.random() * 6)
                row[place] = row[-1]
                row.pop()
            row.append(key)
        assert cache.request(key, 1, now) == hit
        assert {key for key in range(15) if key in cache} == set(row)


@pytest.mark.parametrize("capacity", [1, 5])
def test_hits_draw_nothing(capacity: int) -> None:
    rng = random.Random(1)
    cache = UniformRandom(capacity, rng=rng)
    cache.request("a", 1, 0.0)
    state = rng.getstate()
    assert cache.request("a", 1, 1.0) and rng.getstate() == state
