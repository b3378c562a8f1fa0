"""Durations, sizes and rates as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from policies.units import (
    Duration,
    Rate,
    Size,
    format_duration,
    format_size,
    parse_duration,
    parse_rate,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("200ms", 0.2), ("10s", 10), ("5m", 300), ("1.5m", 90), ("2h", 7200), ("1d", 86400), ("3us", 3e-6),
        ("3µs", 3e-6), ("7ns", 7e-9), ("1e3s", 1000), ("2.5e-1s", 0.25), ("10_000ms", 10), (" 3 s ", 3),
        ("0", 0), (0, 0), ("0s", 0),
    ],
)  # fmt: skip
def test_durations_that_are_understood(text: object, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds, rel=1e-15)


@pytest.mark.parametrize(
    "text",
    [
        "", "s", "10", "-1s", "+1s", "1 s s", "1s2ms", "1S", "1min", "one second", "1,5s", ".5s", "1.s",
        "nan", "inf", "infs", "1e400s", "1e400d", "0x10s", "1B", "1s\n1", 10, 1.5, -1, None, True, False, [],
        {}, ["1s"], b"1s",
    ],
)  # fmt: skip
def test_durations_that_are_refused_in_one_line(text: object) -> None:
    with pytest.raises(ValueError, match=r"^expected a duration such as '200ms', '10s' or '5m', not .*$"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0), ("1500", 1500), (1500, 1500), (0, 0), ("1B", 1), ("2kB", 2000), ("2KB", 2000),
        ("8KiB", 8192), ("1.5KiB", 1536), ("64MiB", 2**26), ("1MB", 10**6), ("3GiB", 3 * 2**30),
        ("1GB", 10**9), ("1TiB", 2**40),
        ("1TB", 10**12), ("1e3", 1000), ("1_000 B", 1000), ("0.5KiB", 512), ("68.719GB", 68_719_000_000),
    ],
)  # fmt: skip
def test_sizes_that_are_understood(text: object, size: int) -> None:
    assert parse_size(text) == size
    assert type(parse_size(text)) is int


@pytest.mark.parametrize(
    "text",
    [
        "", "B", "-1", "-1KiB", "1.5", "0.3B", "1.0001KiB", "1kib", "1K", "1M", "lots", "1 KiB 2", "1e400",
        "nan", "5s", -1, 1.0, 1.5, True, None, [], {}, b"1",
    ],
)  # fmt: skip
def test_sizes_that_are_refused_in_one_line(text: object) -> None:
    with pytest.raises(
        ValueError, match=r"^expected a size such as '8KiB', .* or a whole number of bytes, not .*$"
    ):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "per_second"),
    [
        ("120/s", 120),
        ("90/m", 1.5),
        ("3600/h", 1),
        ("1/ms", 1000),
        ("2.5 / s", 2.5),
        ("1e3/s", 1000),
        ("0/s", 0),
    ],
)
def test_rates_that_are_understood(text: str, per_second: float) -> None:
    assert parse_rate(text) == pytest.approx(per_second, rel=1e-15)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "120",
        "/s",
        "120/",
        "120/x",
        "-1/s",
        "1s/s",
        "1/2/s",
        "1/s/s",
        "1/10s",
        "1e400/s",
        120,
        None,
        True,
        [],
    ],
)
def test_rates_that_are_refused_in_one_line(text: object) -> None:
    with pytest.raises(ValueError, match=r"^expected a rate such as '120/s' or '3000/m', not .*$"):
        parse_rate(text)


UNITS_OF_SIZE = [("B", 1), ("kB", 10**3), ("KiB", 2**10), ("MB", 10**6), ("MiB", 2**20), ("GiB", 2**30)]


@given(st.integers(0, 2**53))
def test_a_whole_number_of_bytes_is_taken_exactly(size: int) -> None:
    assert (
        parse_size(size) == parse_size(str(size)) == parse_size(f"{size}B") == parse_size(f"{size:_}") == size
    )


@given(thousandths=st.integers(0, 10**6), unit=st.sampled_from(UNITS_OF_SIZE))
def test_a_decimal_fraction_is_taken_if_it_is_a_whole_number_of_bytes(
    thousandths: int, unit: tuple[str, int]
) -> None:
    text = f"{thousandths // 1000}.{thousandths % 1000:03}{unit[0]}"
    whole, rest = divmod(thousandths * unit[1], 1000)
    if rest:
        with pytest.raises(ValueError, match="whole number of bytes"):
            parse_size(text)
    else:
        assert parse_size(text) == whole


@given(st.floats(1e-7, 1e7))
def test_a_formatted_duration_reads_back_to_four_digits(seconds: float) -> None:
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds, rel=5.1e-4)


@given(st.integers(1, 1023), st.sampled_from(["B", "KiB", "MiB", "GiB"]))
def test_a_formatted_whole_size_reads_back_exactly(count: int, unit: str) -> None:
    assert parse_size(format_size(parse_size(f"{count}{unit}"))) == parse_size(f"{count}{unit}")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"), (0.0125, "12.5ms"), (1, "1s"), (59.5, "59.5s"), (60, "1m"), (5400, "90m"), (3e-6, "3us"),
        (1e-9, "0.001us"),
    ],
)  # fmt: skip
def test_a_duration_is_written_in_the_largest_unit_it_fills(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0B"), (1023, "1023B"), (1536, "1.5KiB"), (2**26, "64MiB"), (3 * 2**29, "1.5GiB")]
)
def test_a_size_is_written_in_binary_units(size: int, text: str) -> None:
    assert format_size(size) == text


class Quantities(BaseModel):
    wait: Duration = 1.0
    room: Size = 1
    pace: Rate = 1.0


def test_models_take_the_written_form_and_what_they_were_dumped_to() -> None:
    read = Quantities.model_validate({"wait": "200ms", "room": "8KiB", "pace": "90/m"})
    assert read == Quantities(wait=0.2, room=8192, pace=1.5)
    assert Quantities.model_validate(read.model_dump()) == read


@pytest.mark.parametrize("wrong", [{"wait": -0.5}, {"pace": -1.0}, {"room": -1}, {"wait": 1}, {"room": 1.5}])
def test_models_refuse_negative_and_bare_numbers(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Quantities.model_validate(wrong)
