"""The journal of a sweep: what was appended is there, a torn line is not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from policies.bad_input import BadInput
from twin.sweeps.journal import Journal


def test_a_journal_tells_what_was_appended(tmp_path: Path) -> None:
    outcomes: Sequence[tuple[str, dict[str, Any]]] = [
        ("a", {"p99_ms": 0.1 + 0.2, "hit_ratio": None, "requests": 3}),
        ("b", {"error": 'it said "no",\nthen é'}),
    ]
    with Journal(tmp_path / "j") as journal:
        for key, outcome in outcomes:
            journal.append(key, outcome)
    with Journal(tmp_path / "j") as journal:
        assert journal.finished == dict(outcomes)


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_torn_last_line_is_dropped_wherever_it_was_torn(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "j"
    with Journal(path) as journal:
        journal.append("a", {"p99_ms": 1.5})
        journal.append("b", {"p99_ms": 2.5})
    path.write_bytes(path.read_bytes()[:-cut])
    with Journal(path) as journal:
        left = list(journal.finished)
        assert left == ["a", "b"][: len(left)] and len(left) < 2
        journal.append("c", {})
    with Journal(path) as journal:
        assert list(journal.finished) == [*left, "c"]


def test_two_sweeps_do_not_write_one_journal(tmp_path: Path) -> None:
    with Journal(tmp_path / "j"), pytest.raises(BadInput, match="j: another sweep is writing this file"):
        Journal(tmp_path / "j")


@pytest.mark.parametrize(
    "content", [b"some,table\n1,2\n", b"\xff\n", b"cell,outcome\na\n", b"cell,outcome\na,{\n"]
)
def test_a_file_that_is_no_journal_is_left_alone(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "j").write_bytes(content)
    with pytest.raises(BadInput, match="j: is not a sweep's journal; delete it or choose another --out"):
        Journal(tmp_path / "j")
    assert (tmp_path / "j").read_bytes() == content
