"""Fetches: which of them had the same cause."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from scenarios import Records
from scenarios.fetches import Fetches, FetchLog

rows_of_fetches = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 30), st.integers(0, 5)).map(
        lambda row: (row[0], row[1] / 4, (row[1] + row[2]) / 4)
    ),
    max_size=40,
)


def one_by_one(rows: list[tuple[int, float, float]]) -> int:
    """An expiry a fetch that begins when no earlier one of its object is under way."""
    until: dict[int, float] = {}
    count = 0
    for number, begin, end in sorted(rows, key=lambda row: row[1]):
        count += begin >= until.get(number, -1.0)
        until[number] = max(until.get(number, -1.0), end)
    return count


def test_overlapping_fetches_of_one_object_have_one_cause() -> None:
    stampede = [(7, 1.0, 1.2), (7, 1.05, 1.25), (7, 1.19, 1.39), (7, 1.3, 1.5)]
    apart, other = (7, 3.0, 3.2), (8, 1.1, 1.3)
    assert Fetches.from_rows(stampede).firsts().tolist() == [True, False, False, False]
    assert Fetches.from_rows([apart, other, *stampede]).firsts().sum() == 3
    assert Fetches.from_rows([(7, 0.0, 5.0), (7, 1.0, 1.5), (7, 2.0, 2.5)]).firsts().sum() == 1
    assert Fetches.from_rows([]).firsts().sum() == 0


def test_an_expiry_counts_whole_where_its_first_fetch_is() -> None:
    """Or a window's edge in the middle of a stampede would make a small one of it."""
    stampedes = [(7, begin + i / 100, begin + i / 100 + 0.2) for begin in (1.0, 3.0, 5.0) for i in range(10)]
    fetches = Fetches.from_rows([*stampedes, (8, 3.0, 3.1)])
    assert fetches.per_expiry((1.05, 5.02)) == (10 + 1 + 10) / 3
    assert np.isnan(fetches.per_expiry((6, 7)))


@given(rows=rows_of_fetches)
def test_expiries_are_those_that_counting_one_by_one_finds(rows: list[tuple[int, float, float]]) -> None:
    # one after the other where times are equal: of those, the order is not told
    rows = [
        (number, begin + place * 1e-6, end + place * 1e-6) for place, (number, begin, end) in enumerate(rows)
    ]
    log = FetchLog()
    for row in rows:
        log.note(*row)
    found = log.fetches()
    assert found.firsts().sum() == one_by_one(rows)
    assert (np.diff(found.begin) >= 0).all() and len(found) == len(rows)


def test_records_carry_them_through_a_file_a_window_and_a_summary(tmp_path: Path) -> None:
    fetches = Fetches.from_rows([(1, 2.5, 2.6), (1, 0.5, 0.6), (1, 2.55, 2.7)])
    rows = [(0, 0, 1, 2.0, 2.0, 2.1, 200, False, 0, 10)]
    records = Records.from_rows(rows, ["web/0"], closed=True, caching=True)
    assert records.summary((0, 4)).fetch_rps is None
    records = dataclasses.replace(records, fetches=fetches)
    records.save(tmp_path / "records.npz")
    for one in (records, Records.load(tmp_path / "records.npz"), records.select(records.object == 1)):
        found = one.summary((1.0, 3.0))
        assert found.fetch_rps == 1.0 and found.fetches_per_expiry == 2.0
    assert records.within((1.0, 3.0)).fetches.begin.tolist() == [2.5, 2.55]
