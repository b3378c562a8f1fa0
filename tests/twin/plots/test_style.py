"""Colours that everybody can tell apart and read: contrasts by WCAG 2.2, colour blindness by Machado et al.

The matrices are those of G. Machado, M. Oliveira and L. Fernandes, "A physiologically-based model for
simulation of color vision deficiency", IEEE Transactions on Visualization and Computer Graphics 15(6), 2009,
at full severity; distances are CIE 1976 ΔE of L*a*b*.
"""

from __future__ import annotations

import itertools
import re
from importlib import resources
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from numpy.typing import NDArray

from twin.plots import style
from twin.plots.style import FAINT, MEASURED, NEUTRAL, PREDICTED, VERDICT, highlighted, line_style

VISIONS = {
    "all cones": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039],
    ],
}  # fmt: skip
FAR = 18.0
"""Two colours this far apart are told apart at a glance also as thin lines; 2.3 is just noticeable."""
LIVE = resources.files("realproxy.observe").joinpath("live.html").read_text(encoding="utf-8")


def linear(colour: Any) -> NDArray[np.float64]:
    values = np.asarray(to_rgb(colour))
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def contrast(one: Any, other: Any = "white") -> float:
    low, high = sorted(float(linear(colour) @ [0.2126, 0.7152, 0.0722]) for colour in (one, other))
    return (high + 0.05) / (low + 0.05)


def faint(colour: str, alpha: float, on: str = "white") -> NDArray[np.float64]:
    return alpha * np.asarray(to_rgb(colour)) + (1 - alpha) * np.asarray(to_rgb(on))


def lab(rgb: NDArray[np.float64]) -> NDArray[np.float64]:
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = to_xyz @ np.clip(rgb, 0, 1) / np.array([0.9505, 1.0, 1.089])
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def distance(one: Any, other: Any) -> float:
    """The distance of two colours for the eyes that tell them apart worst."""
    seen = [
        [lab(np.asarray(matrix) @ linear(colour)) for colour in (one, other)] for matrix in VISIONS.values()
    ]
    return min(float(np.linalg.norm(a - b)) for a, b in seen)


def test_the_arithmetic_agrees_with_known_values() -> None:
    assert contrast("white", "black") == pytest.approx(21.0)
    assert contrast("#e07b1f") == pytest.approx(2.99, abs=0.01), "orange on white, as it was"
    assert distance("#ff0000", "#ff0000") == 0
    assert distance("#c0504d", "#7f7f31") < FAR < distance("#c0504d", "#0b61a4"), (
        "red and olive are alike for many"
    )


@pytest.mark.parametrize(
    "colour", [PREDICTED, MEASURED, NEUTRAL, style.INK, style.NEVER_SETTLES, *VERDICT.values()]
)
def test_what_is_written_can_be_read(colour: str) -> None:
    assert contrast(colour) >= 4.5, "on white, and white on it"


def test_what_is_drawn_can_be_seen() -> None:
    for number in range(20):
        assert contrast(line_style(number)["color"]) >= 3, number
    assert contrast(faint(PREDICTED, FAINT)) >= 3
    assert contrast(faint(NEUTRAL, FAINT)) >= 3


def test_everybody_tells_predicted_from_measured() -> None:
    assert distance(PREDICTED, MEASURED) > 3 * FAR
    assert style.PREDICTED_MARK != style.MEASURED_MARK, "and nobody needs the colour"
    assert style.MEASURED_HATCH


@pytest.mark.parametrize("pair", list(itertools.combinations(range(10), 2)))
def test_everybody_tells_any_two_of_ten_lines_apart(pair: tuple[int, int]) -> None:
    one, other = map(line_style, pair)
    shapes_differ = one["marker"] != other["marker"] and one["ls"] != other["ls"]
    assert shapes_differ or distance(one["color"], other["color"]) >= FAR
    assert one["marker"] != other["marker"], "also in a copy without colours"


def test_twenty_lines_have_twenty_looks() -> None:
    assert len({tuple(map(str, line_style(number).values())) for number in range(20)}) == 20


def test_among_highlighted_lines_each_has_its_dash_and_the_chosen_one_is_last() -> None:
    looks = dict(highlighted([f"policy {number}" for number in range(9)], "policy 3"))
    assert list(looks)[-1] == "policy 3" and "ls" not in looks["policy 3"]
    dashes = [str(look["ls"]) for name, look in looks.items() if name != "policy 3"]
    assert len(set(dashes)) == len(dashes) == 8
    assert len(dict(highlighted([str(number) for number in range(30)], "7"))) == 30, "however many there are"


# -- the live page, which cannot import the style --------------------------------------------------


def palette(mode: str) -> dict[str, str]:
    """The colours of the live page in one mode: light or dark."""
    light, dark = re.findall(r":root \{(.*?)\}", LIVE, re.DOTALL)[:2]
    return dict(re.findall(r"--(\w+): (#[0-9a-f]{6});", {"light": light, "dark": dark}[mode]))


def test_the_live_page_has_the_colours_of_the_figures() -> None:
    assert (palette("light")["measured"], palette("light")["soft"]) == (MEASURED, NEUTRAL)


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_the_live_page_can_be_read_and_seen_in_both_modes(mode: str) -> None:
    colours = palette(mode)
    for ground in ("paper", "card"):
        for text in ("ink", "soft", "hit", "error"):
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
        for drawn in ("measured", "tail", "hit", "error"):
            assert contrast(colours[drawn], colours[ground]) >= 3, (drawn, ground)
    assert contrast(faint(colours["measured"], 0.75, colours["card"]), colours["card"]) >= 3, (
        "on the way back"
    )
    for one, other in itertools.combinations(("measured", "hit", "error", "tail"), 2):
        assert distance(colours[one], colours[other]) >= FAR, (one, other)


def test_the_live_pages_lines_and_dots_also_differ_in_shape() -> None:
    assert "stroke-dasharray" in LIVE and 'class="line${place ? " dashed" : ""}"' in LIVE
    assert 'class="square"' in LIVE and 'class="cross"' in LIVE
