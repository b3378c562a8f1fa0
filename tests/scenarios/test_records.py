"""Records and their summary: every figure against one that was worked out by hand."""

import json
import math
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenarios import Records, Summary
from scenarios.records import NO_UPSTREAM, Ledger, pool

UPSTREAMS = ["web/0", "web/1", "web/2"]

#        user seq object due  sent done  status hit  upstream size
ROWS = [
    (0, 0, 5, 0.5, 0.5, 1.5, 200, False, 0, 100),  # before the window, yet answered in it
    (0, 1, 6, 1.0, 1.0, 1.1, 200, False, 0, 100),  # 100 ms, at the window's start
    (1, 0, 6, 2.0, 2.1, 2.4, 200, True, NO_UPSTREAM, 100),  # 300 ms, or 400 ms since it was due
    (1, 1, 7, 3.0, 3.0, 3.2, 503, False, NO_UPSTREAM, 0),  # 200 ms
    (0, 2, 8, 4.0, 4.0, 4.4, 404, False, 2, 9),  # 400 ms; a client's mistake is no failure
    (0, 3, 8, 4.4, 4.4, 4.9, 0, False, NO_UPSTREAM, 0),  # 500 ms and no answer
    (1, 2, 9, 5.0, 5.0, 5.1, 200, False, 1, 100),  # after the window
]  # fmt: skip
WINDOW = (1.0, 5.0)


def records(rows: list[tuple[object, ...]] = ROWS, *, closed: bool = True, caching: bool = True) -> Records:
    return Records.from_rows(rows, UPSTREAMS, closed=closed, caching=caching)


def columns_of(given: Records) -> dict[str, list[object]]:
    return {item.name: np.asarray(getattr(given, item.name)).tolist() for item in fields(Records)}


def test_the_summary_is_that_of_the_requests_due_in_the_window() -> None:
    assert records().summary(WINDOW) == Summary(
        throughput_rps=5 / 4,  # done at 1.5, 1.1, 2.4, 3.2 and 4.4; what had no answer counts for none
        mean_ms=pytest.approx((100 + 300 + 200 + 400 + 500) / 5),
        p50_ms=pytest.approx(300),
        p95_ms=pytest.approx(480),  # four fifths of the way from 400 to 500
        p99_ms=pytest.approx(496),
        hit_ratio=1 / 5,
        error_ratio=2 / 5,
        upstream_share={"web/0": 0.5, "web/1": 0.0, "web/2": 0.5},
        requests=5,
    )


def test_open_load_counts_from_when_a_request_was_due() -> None:
    assert records().response[2] == pytest.approx(0.3)
    assert records(closed=False).response[2] == pytest.approx(0.4)
    assert records(closed=False).summary(WINDOW).mean_ms == pytest.approx(320)


def test_without_a_cache_there_is_no_hit_ratio() -> None:
    assert records(caching=False).summary(WINDOW).hit_ratio is None


def test_the_window_holds_its_start_but_not_its_end() -> None:
    assert records().within(WINDOW).due.tolist() == [1.0, 2.0, 3.0, 4.0, 4.4]
    assert records().within((0.0, 9.0)).seq.tolist() == [row[1] for row in ROWS]


def test_an_answer_counts_when_it_is_done_within_the_window() -> None:
    row = (0, 0, 0, 0.0, 0.0, 1.0, 200, False, 0, 1)
    late = (0, 1, 0, 1.0, 1.0, 2.0, 200, False, 0, 1)
    summary = records([row, late]).summary((1.0, 2.0))
    assert (summary.throughput_rps, summary.requests, summary.mean_ms) == (1.0, 1, 1000.0)


@pytest.mark.parametrize("rows", [[], ROWS], ids=["no records at all", "none in the window"])
def test_an_empty_window_gives_nan_and_no_warning(rows: list[tuple[object, ...]]) -> None:
    summary = records(rows).summary((100.0, 101.0))
    figures = (summary.mean_ms, summary.p50_ms, summary.p95_ms, summary.p99_ms)
    assert all(math.isnan(figure) for figure in (*figures, summary.hit_ratio, summary.error_ratio))
    assert (summary.throughput_rps, summary.requests) == (0.0, 0)
    assert summary.upstream_share == dict.fromkeys(UPSTREAMS, 0.0)


def test_shares_are_those_of_requests_that_reached_a_replica() -> None:
    assert records().upstream_share() == {"web/0": 2 / 4, "web/1": 1 / 4, "web/2": 1 / 4}
    hits = records().select(records().hit)
    assert len(hits) == 1 and hits.upstream_share() == dict.fromkeys(UPSTREAMS, 0.0)


def test_a_summary_is_plain_data_for_json() -> None:
    plain = records().summary(WINDOW).as_dict()
    assert list(plain) == [
        "throughput_rps", "mean_ms", "p50_ms", "p95_ms", "p99_ms", "hit_ratio", "error_ratio",
        "upstream_share", "requests", "fetch_rps", "fetches_per_expiry",
    ]  # fmt: skip
    assert Summary(**json.loads(json.dumps(plain))) == records().summary(WINDOW)


def test_rows_become_columns_of_the_right_kind() -> None:
    made = records()
    assert len(made) == len(ROWS)
    assert made.upstream.tolist() == [0, 0, -1, -1, 2, -1, 1]
    assert (made.hit.dtype, made.due.dtype, made.object.dtype) == (np.bool_, np.float64, np.int64)
    assert records([]).due.dtype == np.float64 and len(records([])) == 0


def test_rows_may_be_picked_by_mask_or_by_number() -> None:
    made = records()
    assert made.select(made.user == 1).seq.tolist() == [0, 1, 2]
    assert made.select(np.array([3, 0])).status.tolist() == [503, 200]
    assert made.select(made.user == 1).upstreams == UPSTREAMS


@pytest.mark.parametrize(("closed", "caching"), [(True, False), (False, True)])
@pytest.mark.parametrize("rows", [ROWS, []], ids=["some", "none"])
def test_what_was_saved_is_loaded_again(
    tmp_path: Path, rows: list[tuple[object, ...]], closed: bool, caching: bool
) -> None:
    saved = records(rows, closed=closed, caching=caching)
    saved.save(tmp_path / "run.npz")
    loaded = Records.load(tmp_path / "run.npz")
    assert columns_of(loaded) == columns_of(saved)
    assert [getattr(loaded, item.name).dtype for item in fields(Records)[:10]] == [
        getattr(saved, item.name).dtype for item in fields(Records)[:10]
    ]
    assert (loaded.closed, loaded.caching, loaded.upstreams) == (closed, caching, UPSTREAMS)


def test_a_frame_has_a_row_per_request_and_its_response_time() -> None:
    frame = records().to_frame()
    assert len(frame) == len(ROWS) and list(frame["object"]) == [row[2] for row in ROWS]
    assert frame["response"].iloc[1] == pytest.approx(0.1)


def test_pooled_runs_are_all_rows_of_all_runs() -> None:
    pooled = pool([records(ROWS[:3]), records(ROWS[3:])])
    assert columns_of(pooled) == columns_of(records())


ANY_ROW = st.tuples(
    st.just(0), st.just(0), st.just(0), st.floats(0, 9), st.floats(0, 1), st.floats(0, 3),
    st.sampled_from([0, 200, 404, 500]), st.booleans(), st.integers(-1, 2), st.just(1),
)  # fmt: skip


@given(st.lists(ANY_ROW, max_size=40), st.floats(0, 5), st.floats(0.5, 5))
def test_figures_are_in_their_bounds_and_in_order(
    drawn: list[tuple[float, ...]], start: float, length: float
) -> None:
    """`sent` and `done` are drawn as delays after `due`."""
    rows = [(*row[:4], row[3] + row[4], row[3] + row[4] + row[5], *row[6:]) for row in drawn]
    summary = records(rows, closed=False).summary((start, start + length))
    assert summary.requests == sum(start <= row[3] < start + length for row in rows)
    assert 0 <= summary.throughput_rps <= len(rows) / length * (1 + 1e-9)
    if summary.requests:
        assert 0 <= summary.p50_ms <= summary.p95_ms <= summary.p99_ms
        assert 0 <= summary.hit_ratio <= 1 and 0 <= summary.error_ratio <= 1
    assert sum(summary.upstream_share.values()) == pytest.approx(1) or not any(
        summary.upstream_share.values()
    )


@pytest.mark.parametrize("rows", [0, 1, 4096, 10_000])
def test_a_ledger_keeps_what_rows_would(rows: int) -> None:
    written = [
        (i % 7, i, 10**12 + i, i * 0.5, i * 0.5 + 1e-9, i + 1.0, 200 + i % 300, i % 2 == 0, i % 5 - 1, 10**10)
        for i in range(rows)
    ]
    ledger = Ledger()
    for row in written:
        ledger.append(row)
    found = ledger.records(["web/0"], closed=True, caching=True)
    expected = Records.from_rows(written, ["web/0"], closed=True, caching=True)
    for name in ("user", "seq", "object", "due", "sent", "done", "status", "hit", "upstream", "size"):
        assert getattr(found, name).dtype == getattr(expected, name).dtype
        assert getattr(found, name).tolist() == getattr(expected, name).tolist()
    assert len(ledger.records([], closed=True, caching=False)) == 0


#         user seq object due  sent done  status cache upstream size
PARTS = [
    (0, 0, 1, 1.0, 1.0, 1.2, 200, 1, NO_UPSTREAM, 10),
    (0, 1, 2, 1.0, 1.1, 1.5, 200, 0, 0, 20),
    (0, 2, 1, 2.0, 2.0, 2.4, 503, 0, NO_UPSTREAM, 0),
    (0, 3, 3, 2.0, 2.0, 2.1, 200, 2, NO_UPSTREAM, 5),
    (1, 0, 3, 2.0, 2.0, 2.2, 200, 0, 1, 5),
    (1, 1, 3, 2.0, 2.0, 2.3, 0, 0, NO_UPSTREAM, 0),
]  # fmt: skip


def in_parts(rows: list[tuple[object, ...]]) -> Records:
    return Records.from_rows(rows, UPSTREAMS, closed=True, caching=True, proxies=2, fanout=2)


@given(st.permutations(PARTS))
def test_a_whole_request_ends_with_its_slowest_part(rows: list[tuple[object, ...]]) -> None:
    whole = in_parts(rows).whole()
    assert whole.fanout == 1 and whole.whole() is whole
    assert list(zip(whole.user.tolist(), whole.seq.tolist(), strict=True)) == [(0, 0), (1, 0), (0, 1)]
    assert whole.response == pytest.approx([0.5, 0.3, 0.4])
    assert whole.status.tolist() == [200, 0, 503]
    assert whole.size.tolist() == [30, 5, 5]
    assert len(in_parts([]).whole()) == 0


def test_the_summary_of_parts_has_the_times_of_wholes_and_the_shares_of_parts() -> None:
    figures = in_parts(PARTS).summary((0.0, 4.0))
    assert figures.mean_ms == pytest.approx((500 + 400 + 300) / 3)
    assert figures.throughput_rps == pytest.approx(2 / 4)
    assert figures.requests == 6
    assert (figures.hit_ratio, figures.error_ratio) == (2 / 6, 2 / 6)
    assert figures.cache_share == {"proxy.0": 1 / 6, "proxy.1": 1 / 6}
    assert figures.as_dict()["cache_share"] == figures.cache_share


def test_what_records_are_about_is_saved_with_them(tmp_path: Path) -> None:
    in_parts(PARTS).save(tmp_path / "parts.npz")
    loaded = Records.load(tmp_path / "parts.npz")
    assert columns_of(loaded) == columns_of(in_parts(PARTS))
    assert (loaded.proxies, loaded.fanout) == (2, 2)
    assert pool([loaded.whole(), loaded.whole()]).proxies == 2
