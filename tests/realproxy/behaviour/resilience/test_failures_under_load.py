"""Real backend processes are killed, slowed, frozen and restarted under load: each mechanism holds."""

import pytest

from benchmarks.failures_under_load import CASES


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_a_mechanism_does_what_its_settings_say(case):
    rows = list(case())
    assert rows
    assert [row for row in rows if not row.holds] == []
