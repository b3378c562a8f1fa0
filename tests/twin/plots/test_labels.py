"""Names in figures: where they are broken, and that those at the ends of lines never cover each other."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.plots.labels import _spread, wrapped


@given(wanted=st.lists(st.floats(-1, 2), min_size=1, max_size=20), gap=st.floats(0.01, 0.05))
def test_names_stand_inside_the_panel_in_the_order_of_their_lines_and_apart(
    wanted: list[float], gap: float
) -> None:
    places = _spread(wanted, gap)
    order = sorted(range(len(wanted)), key=lambda i: (wanted[i], places[i]))
    in_order = [places[i] for i in order]
    assert all(b - a >= gap - 1e-9 for a, b in itertools.pairwise(in_order))
    assert in_order[0] >= -1e-9
    assert in_order[-1] <= max(1.0, (len(wanted) - 1) * gap) + 1e-9


def test_a_name_with_room_stands_at_the_end_of_its_line() -> None:
    assert _spread([0.9, 0.1, 0.5], 0.05) == pytest.approx([0.9, 0.1, 0.5])
    assert _spread([0.5, 0.5, 0.5], 0.1) == pytest.approx([0.4, 0.5, 0.6]), "around the common end"


@given(text=st.text("ab_=.,/ -", max_size=120), inches=st.floats(0.5, 4))
def test_a_wrapped_text_keeps_its_letters_and_fits(text: str, inches: float) -> None:
    lines = wrapped(text, inches).split("\n")
    assert "".join("".join(lines).split()) == "".join(text.split())
    assert max(map(len, lines)) <= max(int(inches * 72 / 6.2), 8)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("p2c", ["p2c"]),
        ("proxy.service.web.balance=p2c", ["proxy.service.web.", "balance=p2c"]),
        ("x" * 30, ["x" * 23, "x" * 7]),
    ],
)
def test_a_key_is_broken_between_its_parts(text: str, lines: list[str]) -> None:
    assert wrapped(text, 2.0).split("\n") == lines
