"""Records of calls: every figure against one that was worked out by hand."""

from dataclasses import replace
from pathlib import Path

import pytest

from scenarios import Records
from scenarios.call_records import CallFigures, CallLog, CallRecords, mean_by_call

SERVICES = ["front", "cart", "store"]
#        service depth begin end status
ROWS = [
    (1, 1, 0.5, 1.1, 200),  # begun before the window, ended in it
    (2, 2, 2.0, 2.3, 500),  # 300 ms
    (1, 1, 1.0, 1.1, 200),  # 100 ms
    (1, 1, 3.0, 5.2, 504),  # 2200 ms, ended after the window
    (2, 1, 2.0, 2.1, 200),  # the same service at another depth
]
WINDOW = (1.0, 5.0)


@pytest.fixture
def calls() -> CallRecords:
    return CallRecords.from_rows(ROWS, SERVICES)


def test_figures_are_by_service_and_depth(calls: CallRecords) -> None:
    assert calls.figures(WINDOW) == {
        "cart@1": CallFigures(2 / 4, pytest.approx(1150), pytest.approx(2179), 0.5, 2),
        "store@1": CallFigures(1 / 4, pytest.approx(100), pytest.approx(100), 0.0, 1),
        "store@2": CallFigures(1 / 4, pytest.approx(300), pytest.approx(300), 1.0, 1),
    }


def test_a_service_without_calls_in_the_window_has_no_times(calls: CallRecords) -> None:
    assert calls.figures((10.0, 11.0))["store@2"] == CallFigures(0.0, None, None, None, 0)


def test_a_log_gives_what_was_noted_in_the_order_of_the_begin(calls: CallRecords) -> None:
    log = CallLog(SERVICES)
    for row in ROWS:
        log.note(*row)
    assert log.records().begin.tolist() == calls.begin.tolist() == sorted(row[2] for row in ROWS)
    assert log.records().figures(WINDOW) == calls.figures(WINDOW)
    assert len(CallLog(SERVICES).records()) == 0


def test_averages_leave_out_what_a_run_does_not_know(calls: CallRecords) -> None:
    known, unknown = calls.figures(WINDOW), calls.figures((10.0, 11.0))
    mean = mean_by_call([known, unknown, {}])["store@2"]
    assert mean == CallFigures(pytest.approx(0.25 / 3), pytest.approx(300), pytest.approx(300), 1.0, 1 / 3)


def test_calls_are_saved_with_the_records(calls: CallRecords, tmp_path: Path) -> None:
    rows = [(0, 0, 5, 1.0, 1.0, 1.5, 200, False, 0, 100)]
    records = replace(Records.from_rows(rows, ["front/0"], closed=True, caching=False), calls=calls)
    records.save(tmp_path / "r.npz")
    again = Records.load(tmp_path / "r.npz")
    assert again.calls is not None and again.calls.services == tuple(SERVICES)
    assert again.summary(WINDOW) == records.summary(WINDOW)
    assert "cart@1" in again.summary(WINDOW).as_dict()["calls"]
