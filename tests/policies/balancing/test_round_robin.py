"""Round robin: in turn."""


def test_each_upstream_in_turn_whatever_its_load(balancer) -> None:
    picks = balancer("round_robin", [9, 0, 5], weight=[2.0, 2.0, 2.0], draws=[])
    assert [picks.pick(None, 0.0) for _ in range(7)] == [0, 1, 2, 0, 1, 2, 0]


def test_different_weights_make_it_the_smooth_weighted_round_robin_of_nginx(balancer) -> None:
    weight = [1.0, 5.0, 2.0]
    picks = balancer("round_robin", [9, 0, 5], weight=weight, draws=[])
    smooth = balancer("weighted_round_robin", [0, 0, 0], weight=weight, draws=[])
    picked = [picks.pick(None, 0.0) for _ in range(16)]
    assert picked == [smooth.pick(None, 0.0) for _ in range(16)]
    assert [picked[:8].count(index) for index in range(3)] == weight


def test_upstreams_that_are_not_available_are_passed_over(balancer) -> None:
    picks = balancer("round_robin", [0, 0, 0, 0], available=[0, 2, 3], draws=[])
    assert [picks.pick(None, 0.0) for _ in range(4)] == [0, 2, 3, 0]


def test_an_upstream_that_comes_back_takes_part_again(balancer) -> None:
    picks = balancer("round_robin", [0, 0, 0], available=[0, 2], draws=[])
    before = [picks.pick(None, 0.0) for _ in range(2)]
    picks.upstreams.available = [0, 1, 2]
    after = [picks.pick(None, 0.0) for _ in range(6)]
    assert before == [0, 2] and sorted(after) == [0, 0, 1, 1, 2, 2]
