"""The requests of every user: the same for both twins, and changed only by what a change is about."""

from itertools import islice

import numpy as np
import pytest

from scenarios import Request, Workload
from scenarios.distributions import parse_popularity

COUNT = 300


def taken(workload: Workload, stream: int = 0, count: int = COUNT) -> list[Request]:
    return list(islice(workload.stream(stream), count))


def column(requests: list[Request], name: str) -> list[object]:
    return [getattr(request, name) for request in requests]


@pytest.fixture
def workload(scenario):
    return lambda changes=None: Workload(scenario(changes))


OPEN = {"workload.users": None, "workload.rate": "120/s"}


@pytest.mark.parametrize("changes", [{}, OPEN], ids=["closed", "open"])
def test_the_same_seed_gives_the_same_requests_bit_for_bit(workload, changes: dict[str, object]) -> None:
    one, other = workload(changes), workload(changes)
    assert one.sizes.tolist() == other.sizes.tolist()
    for stream in range(one.streams):
        assert taken(one, stream) == taken(other, stream)


def test_a_stream_can_be_taken_again_from_its_start(workload) -> None:
    drawn = workload()
    assert taken(drawn, 2) == taken(drawn, 2)


def test_another_seed_gives_other_requests(workload) -> None:
    one, other = taken(workload()), taken(workload({"seed": 8}))
    for name in ("pause", "object", "demand"):
        assert column(one, name) != column(other, name)


def test_users_differ_from_each_other(workload) -> None:
    drawn = workload()
    pauses = [request.pause for user in range(4) for request in taken(drawn, user)]
    assert len(set(pauses)) == 4 * COUNT


def test_users_are_independent_of_how_many_there_are(workload) -> None:
    few, many = workload(), workload({"workload.users": 40})
    assert many.streams == 40
    assert [taken(few, user) for user in range(4)] == [taken(many, user) for user in range(4)]


def test_users_are_independent_of_how_far_others_went(workload) -> None:
    alone = taken(workload(), 1)
    drawn = workload()
    other, stream = drawn.stream(0), drawn.stream(1)
    for expected in alone:
        assert next(stream) == expected
        for _ in range(expected.object % 3):
            next(other)


@pytest.mark.parametrize(
    ("changes", "changed"),
    [
        ({"workload.think": "lognormal(1s, 2)"}, ["pause"]),
        ({"workload.popularity": "uniform"}, ["object", "size"]),
        ({"workload.size": "exponential(1KiB)"}, ["size"]),
        ({"workload.objects": 60}, ["object", "size"]),
        ({"backend.web.service_time": "erlang(30ms, 3)"}, ["demand"]),
        ({"backend.web.replicas": 9, "backend.web.concurrency": 7, "duration": "99s"}, []),
        ({"proxy.service.web.balance": "p2c", "backend.web.slow": {"1": 3.0}}, []),
    ],
    ids=str,
)
def test_a_change_moves_only_what_it_is_about(
    workload, changes: dict[str, object], changed: list[str]
) -> None:
    before, after = taken(workload()), taken(workload(changes))
    moved = {name for name in Request._fields if column(before, name) != column(after, name)}
    assert moved == set(changed)


def test_another_backend_leaves_the_first_one_its_demands(workload) -> None:
    before = taken(workload())
    after = taken(workload({"backend.api": {"service_time": "exponential(30ms)"}}))
    assert [request.demand[:1] for request in after] == column(before, "demand")
    assert all(len(request.demand) == 2 and request.demand[0] != request.demand[1] for request in after)


def test_every_object_keeps_its_size_whoever_asks(workload) -> None:
    drawn = workload()
    for user in range(4):
        for request in taken(drawn, user):
            assert request.size == drawn.sizes[request.object]
            assert type(request.size) is int and type(request.object) is int and type(request.pause) is float


def test_sizes_are_whole_and_not_negative(workload) -> None:
    sizes = workload({"workload.size": "exponential(2B)", "workload.objects": 5_000}).sizes
    assert sizes.dtype == np.int64 and sizes.min() == 0 and len(sizes) == 5_000
    assert sizes.mean() == pytest.approx(2, rel=0.1)


@pytest.mark.parametrize("popularity", ["zipf(0.9)", "zipf(1.2)", "uniform"])
def test_objects_are_asked_for_as_often_as_their_popularity_says(workload, popularity: str) -> None:
    """Chi-square over 50 objects, for a false alarm in 10 million (Wilson and Hilferty 1931)."""
    requests = taken(workload({"workload.popularity": popularity}), 0, 40_000)
    expected = parse_popularity(popularity).probabilities(50) * len(requests)
    counts = np.bincount(column(requests, "object"), minlength=50)
    assert ((counts - expected) ** 2 / expected).sum() < 49 * (1 - 2 / 441 + 5.1993 * (2 / 441) ** 0.5) ** 3


def test_an_only_object_is_always_asked_for(workload) -> None:
    assert set(column(taken(workload({"workload.objects": 1})), "object")) == {0}


def test_closed_users_think_and_backends_work_as_long_as_the_scenario_says(workload) -> None:
    """z-tests of exponential means for a false alarm in 10 million."""
    requests = taken(workload(), 0, 40_000)
    for values, mean in [
        (column(requests, "pause"), 0.25),
        ([demand for (demand,) in column(requests, "demand")], 0.03),
    ]:
        assert abs(np.mean(values) - mean) < 5.33 * mean / 40_000**0.5


def test_open_arrivals_are_poisson_at_the_rate(workload) -> None:
    """Gaps are exponential (Kolmogorov-Smirnov) and counts per second have variance equal to mean."""
    drawn = workload(OPEN)
    assert (drawn.closed, drawn.streams) == (False, 1)
    gaps = np.array(column(taken(drawn, 0, 40_000), "pause"))
    expected = 1 - np.exp(-120 * np.sort(gaps))
    distance = np.abs(expected - (np.arange(40_000) + 0.5) / 40_000).max()
    assert distance * 200 < np.sqrt(np.log(2 / 1e-7) / 2)
    many = np.array(column(taken(drawn, 0, 200_000), "pause"))
    assert abs(many.mean() * 120 - 1) < 5.33 / 200_000**0.5
    counts = np.bincount(np.cumsum(gaps).astype(int))[:-1]
    dispersion = counts.var() / counts.mean()
    assert abs(dispersion - 1) < 5.33 * (2 / len(counts)) ** 0.5
    assert abs(np.corrcoef(gaps[1:], gaps[:-1])[0, 1]) < 5.33 / 200


def test_closed_load_has_one_stream_per_user(workload) -> None:
    drawn = workload()
    assert (drawn.closed, drawn.streams) == (True, 4)


def test_requests_do_not_end(workload) -> None:
    assert len(taken(workload(), 0, 1_000)) == 1_000


def test_each_closed_user_has_an_address_of_its_own(workload) -> None:
    drawn = workload({"workload.users": 300})
    addresses = [{request.client for request in taken(drawn, user, 5)} for user in (0, 1, 255, 299)]
    assert addresses == [{"127.0.0.1"}, {"127.0.0.2"}, {"127.0.1.0"}, {"127.0.1.44"}]


def test_open_load_comes_from_one_address_or_from_any_of_several(workload) -> None:
    one, many = taken(workload(OPEN), 0), taken(workload(OPEN | {"workload.clients": 4}), 0)
    assert set(column(one, "client")) == {"127.0.0.1"}
    assert set(column(many, "client")) == {"127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4"}
    for name in ("pause", "object", "size", "demand"):
        assert column(one, name) == column(many, name), "nothing else changes"
