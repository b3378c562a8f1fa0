"""The reporter that shows nothing."""

from __future__ import annotations

import pytest

from twin.progress import Quiet


def test_a_quiet_reporter_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    reporter = Quiet()
    with reporter.step("measure", 4.0, unit="s") as advance:
        reporter.note("p2c [/x]")
        advance(1.0)
    assert capsys.readouterr() == ("", "")
