"""Random: equal chances, nothing else."""


def test_each_draw_has_its_share_of_the_unit_interval(balancer) -> None:
    picks = balancer("random", [0, 0, 0, 0], draws=[0.0, 0.2499, 0.25, 0.5, 0.75, 1 - 2**-53])
    assert [picks.pick(None, 0.0) for _ in range(6)] == [0, 0, 1, 2, 3, 3]


def test_all_have_the_same_chance_whatever_their_load(balancer, uniform) -> None:
    picks = balancer("random", [50, 0, 3, 0, 9])
    picked = [picks.pick(None, 0.0) for _ in range(20_000)]
    assert uniform([picked.count(index) for index in range(5)])


def test_chances_are_in_proportion_to_weights(balancer, uniform) -> None:
    weight = [1.0, 9.0, 1.0, 2.0]
    picks = balancer("random", [50, 0, 3, 0], weight=weight)
    picked = [picks.pick(None, 0.0) for _ in range(26_000)]
    assert uniform([round(picked.count(index) / weight[index]) for index in range(4)])


def test_the_available_ones_share_equally(balancer, uniform) -> None:
    picks = balancer("random", [0] * 5, available=[0, 3, 4])
    picked = [picks.pick(None, 0.0) for _ in range(9_000)]
    assert uniform([picked.count(index) for index in (0, 3, 4)])
    assert set(picked) == {0, 3, 4}


def test_the_test_of_uniformity_notices_a_small_bias(uniform) -> None:
    assert uniform([5_000, 5_080, 4_920])
    assert not uniform([5_000, 5_400, 4_600])
