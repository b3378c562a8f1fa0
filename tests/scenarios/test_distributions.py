"""Distributions: what the text means, and that samples have the mean and spread that it names."""

import math

import numpy as np
import pytest

from policies.units import parse_size
from scenarios.backends import BackendSettings
from scenarios.distributions import FAMILIES, parse_distribution, parse_popularity
from scenarios.schema import WorkloadSettings

SAMPLES = 200_000
Z = 5.33
"""Two-sided quantile of the normal distribution for a false alarm in 10 million; the seeds are fixed."""

RANDOM = [
    ("exponential(30ms)", 0.030, 1.0),
    ("uniform(10ms, 50ms)", 0.030, 0.04**2 / 12 / 0.03**2),
    ("uniform(0, 2s)", 1.0, 1 / 3),
    ("lognormal(30ms, 0.5)", 0.030, math.expm1(0.25)),
    ("erlang(30ms, 4)", 0.030, 1 / 4),
    ("erlang(30ms, 1)", 0.030, 1.0),
    ("hyperexponential(30ms, 4)", 0.030, 4.0),
    ("hyperexponential(30ms, 1.01)", 0.030, 1.01),
    ("pareto(30ms, 6)", 0.030, 1 / 24),
]


def test_every_random_family_is_tested_here() -> None:
    assert {text.partition("(")[0] for text, *_ in RANDOM} | {"constant"} == FAMILIES.keys()


@pytest.mark.parametrize(("text", "mean", "scv"), RANDOM)
def test_mean_and_spread_are_those_of_the_formula(text: str, mean: float, scv: float) -> None:
    distribution = parse_distribution(text)
    assert distribution.mean == pytest.approx(mean, rel=1e-12)
    assert distribution.scv == pytest.approx(scv, rel=1e-12)


@pytest.mark.parametrize(("text", "mean", "scv"), RANDOM)
def test_samples_have_the_mean_and_the_spread(text: str, mean: float, scv: float) -> None:
    """Two z-tests, of the mean and of the variance about the true mean, whose standard errors are sampled."""
    values = parse_distribution(text).sample(np.random.default_rng(11), SAMPLES)
    squares = (values - mean) ** 2
    assert values.shape == (SAMPLES,) and values.min() >= 0
    assert abs(values.mean() - mean) < Z * values.std() / SAMPLES**0.5
    assert abs(squares.mean() - scv * mean**2) < Z * squares.std() / SAMPLES**0.5
    assert values.std() / SAMPLES**0.5 < 0.006 * mean, "the test would notice a mean that is 3 % off"


KOLMOGOROV = math.sqrt(math.log(2 / 1e-7) / 2)
"""Critical value of the scaled Kolmogorov-Smirnov distance for a false alarm in 10 million."""


@pytest.mark.parametrize(
    ("text", "below"),
    [
        ("exponential(2s)", lambda x: 1 - np.exp(-x / 2)),
        ("uniform(1s, 3s)", lambda x: (x - 1) / 2),
        ("erlang(2s, 2)", lambda x: 1 - np.exp(-x) * (1 + x)),
        ("pareto(2s, 2)", lambda x: 1 - x**-2.0),
        ("pareto(3s, 1.5)", lambda x: 1 - x**-1.5),
        ("lognormal(2s, 1.5)", lambda x: np.array([
            0.5 * math.erfc((math.log(2) - 1.125 - math.log(v)) / 1.5 / math.sqrt(2)) for v in x
        ])),
        # Balanced means with scv 3: the phases have chance (1 ± 1/√2) / 2, each with half of the mean.
        ("hyperexponential(1s, 3)", lambda x: 1 - sum(
            p * np.exp(-2 * p * x) for p in ((1 + 0.5**0.5) / 2, (1 - 0.5**0.5) / 2)
        )),
    ],
)  # fmt: skip
def test_samples_follow_the_whole_distribution(text: str, below) -> None:
    """Heavy tails too, whose mean or variance no sample shows."""
    count = 20_000
    expected = below(np.sort(parse_distribution(text).sample(np.random.default_rng(5), count)))
    steps = np.arange(count + 1) / count
    distance = max((steps[1:] - expected).max(), (expected - steps[:-1]).max())
    assert distance * count**0.5 < KOLMOGOROV


@pytest.mark.parametrize("text", ["30ms", "constant(30ms)"])
def test_a_quantity_alone_is_constant(text: str) -> None:
    distribution = parse_distribution(text)
    assert (distribution.mean, distribution.scv) == (0.03, 0.0)
    assert distribution.sample(np.random.default_rng(1), 3).tolist() == [0.03] * 3


@pytest.mark.parametrize(
    "text", ["uniform(0, 0)", "uniform(3s, 3s)", "lognormal(3s, 0)", "exponential(0)", "0"]
)
def test_distributions_without_any_spread(text: str) -> None:
    distribution = parse_distribution(text)
    assert distribution.sample(np.random.default_rng(1), 5).tolist() == [distribution.mean] * 5


def test_a_pareto_without_variance_says_so() -> None:
    assert parse_distribution("pareto(1s, 2)").scv == math.inf
    assert parse_distribution("pareto(1s, 1.1)").mean == 1.0


def test_the_same_generator_gives_the_same_samples() -> None:
    for text, *_ in RANDOM:
        one, other = (parse_distribution(text).sample(np.random.default_rng(3), 100) for _ in range(2))
        assert one.tolist() == other.tolist()


def test_sizes_are_read_as_sizes() -> None:
    assert parse_distribution("lognormal(8KiB, 1.5)", parse_size).mean == 8192
    assert parse_distribution("2KiB", parse_size).arguments == (2048.0,)
    assert parse_distribution(500, parse_size).arguments == (500.0,)


@pytest.mark.parametrize("text", [" exponential ( 30ms ) ", "exponential(30ms)", "exponential(0.03s)"])
def test_spaces_and_units_are_free(text: str) -> None:
    distribution = parse_distribution(text)
    assert (distribution.family, distribution.arguments) == ("exponential", (0.03,))
    assert str(distribution) == text, "as it was written"


REFUSED = [
    ("exponental(30ms)", "unknown distribution 'exponental' (did you mean 'exponential'?)"),
    ("zipf(0.9)", "unknown distribution 'zipf'; known: constant, erlang, "),
    ("exponential", "expected a duration such as '200ms', '10s' or '5m', not 'exponential'"),
    ("exponential(30ms", "expected a distribution such as 'exponential(30ms)', not 'exponential(30ms'"),
    ("exponential(30ms))", "expected a distribution such as 'exponential(30ms)', not "),
    ("2 * exponential(30ms)", "expected a distribution such as 'exponential(30ms)', not "),
    ("Exponential(30ms)", "expected a distribution such as 'exponential(30ms)', not "),
    ("exponential()", "expected exponential(mean), not 'exponential()'"),
    ("exponential(1s, 2s)", "expected exponential(mean), not 'exponential(1s, 2s)'"),
    ("lognormal(1s)", "expected lognormal(mean, sigma), not 'lognormal(1s)'"),
    ("lognormal(1s,)", "expected lognormal(mean, sigma), not 'lognormal(1s,)'"),
    ("exponential(30)", "expected a duration such as '200ms', '10s' or '5m', not '30'"),
    ("exponential(-30ms)", "expected a duration such as '200ms', '10s' or '5m', not '-30ms'"),
    ("exponential(1e999s)", "expected a duration such as '200ms', '10s' or '5m', not '1e999s'"),
    ("uniform(2s, 1s)", "uniform(low, high): low must not exceed high, in 'uniform(2s, 1s)'"),
    ("lognormal(1s, x)", "lognormal(mean, sigma): expected a number for sigma, not 'x'"),
    ("lognormal(1s, 2s)", "lognormal(mean, sigma): expected a number for sigma, not '2s'"),
    ("lognormal(1s, -1)", "lognormal(mean, sigma): sigma must not be negative, in 'lognormal(1s, -1)'"),
    ("lognormal(1s, inf)", "lognormal(mean, sigma): expected a number for sigma, not 'inf'"),
    ("erlang(1s, nan)", "erlang(mean, phases): expected a number for phases, not 'nan'"),
    ("erlang(1s, inf)", "erlang(mean, phases): expected a number for phases, not 'inf'"),
    ("erlang(1s, 1.5)", "erlang(mean, phases): phases must be a whole number from 1, in 'erlang(1s, 1.5)'"),
    ("erlang(1s, 0)", "erlang(mean, phases): phases must be a whole number from 1, in 'erlang(1s, 0)'"),
    ("hyperexponential(1s, 1e7)", "hyperexponential(mean, scv): scv must be above 1, and at most 1e6, in "),
    ("hyperexponential(1s, 1)", "hyperexponential(mean, scv): scv must be above 1, and at most 1e6, in "),
    ("pareto(1s, 1)", "pareto(mean, alpha): alpha must be above 1, or there is no mean, in 'pareto(1s, 1)'"),
    ("", "expected a duration such as '200ms', '10s' or '5m', not ''"),
    (5, "expected a duration such as '200ms', '10s' or '5m', not 5"),
    (None, "expected a duration such as '200ms', '10s' or '5m', not None"),
    (["1s"], "expected a duration such as '200ms', '10s' or '5m', not ['1s']"),
]


@pytest.mark.parametrize(("text", "said"), REFUSED)
def test_texts_that_are_no_distribution_get_one_line(text: object, said: str) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]+$") as caught:
        parse_distribution(text)
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize("objects", [1, 2, 1_000])
@pytest.mark.parametrize("exponent", [0.0, 0.9, 1.0, 2.5])
def test_zipf_chances_fall_with_the_power_of_the_rank_and_sum_to_one(exponent: float, objects: int) -> None:
    chance = parse_popularity(f"zipf({exponent})").probabilities(objects)
    assert chance.sum() == pytest.approx(1, rel=1e-12) and len(chance) == objects
    assert chance / chance[0] == pytest.approx(np.arange(1, objects + 1) ** -exponent, rel=1e-12)


def test_uniform_popularity_is_zipf_with_exponent_zero() -> None:
    assert parse_popularity("uniform").probabilities(4).tolist() == [0.25] * 4
    assert str(parse_popularity("uniform")) == "uniform"
    assert str(parse_popularity("zipf(0.9)")) == "zipf(0.9)"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("zipf", "expected 'zipf(exponent)' or 'uniform', not 'zipf'"),
        ("zipf()", "zipf(exponent): expected a number for exponent, not ''"),
        ("zipf(x)", "zipf(exponent): expected a number for exponent, not 'x'"),
        ("zipf(nan)", "zipf(exponent): expected a number for exponent, not 'nan'"),
        ("zipf(-1)", "zipf(exponent): exponent must be from 0 to 20, not -1"),
        ("zipf(20)", "zipf(exponent): exponent must be from 0 to 20, not 20"),
        ("zipf(1, 2)", "zipf(exponent): expected a number for exponent, not '1, 2'"),
        ("uniform(1)", "expected 'zipf(exponent)' or 'uniform', not 'uniform(1)'"),
        (0.9, "expected 'zipf(exponent)' or 'uniform', not 0.9"),
        (None, "expected 'zipf(exponent)' or 'uniform', not None"),
    ],
)
def test_texts_that_are_no_popularity_get_one_line(text: object, said: str) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]+$") as caught:
        parse_popularity(text)
    assert str(caught.value) == said


def test_models_take_texts_and_what_was_parsed_from_them() -> None:
    time, popularity = parse_distribution("erlang(1s, 2)"), parse_popularity("zipf(0.5)")
    assert BackendSettings(service_time="erlang(1s, 2)").service_time == time
    assert BackendSettings(service_time=time).service_time is time
    assert WorkloadSettings(users=1, popularity=popularity, size="2KiB").size.mean == 2048
