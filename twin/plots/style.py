"""The look of all figures: colours, markers, dashes, the titles of metrics, and matplotlib's settings.

Every picture of the product takes its look from here: figures, reports, tables, and by a test the live page.

- Predicted and measured have one colour and one shape each.
- Text has a contrast of at least 4.5 : 1 to its background, lines and areas of at least 3 : 1
  (WCAG 2.2, 1.4.3 and 1.4.11).
- Two lines of one panel differ in dash and marker, or in colours that also colour-blind people tell apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

PREDICTED = "#0b61a4"
MEASURED = "#b34a00"
NEUTRAL = "#5b6472"
"""For formulas, for both twins together, and for text beside the data."""
INK = "#1f2937"
PREDICTED_MARK, MEASURED_MARK = "o", "D"
MEASURED_HATCH = "////"
"""A bar of a measurement is hatched, so that it differs from a prediction also without colours."""
FAINT = 0.7
"""Opacity of what is not highlighted: `PREDICTED` keeps its contrast of 3 : 1 on white."""
VERDICT = {"confirmed": "#187445", "refuted": "#b3261e", "inconclusive": "#7a5c00", "void": "#4b5563"}
NEVER_SETTLES = VERDICT["refuted"]
"""The colour of words about an overload, whose averages grow with the duration of the run."""
UNSETTLED: dict[str, Any] = {"marker": "^", "color": INK, "ms": 8, "mfc": "white", "mew": 1.6, "ls": ""}
"""The mark of an overload; its edge has the colour of its line."""

_SERIES = (PREDICTED, "#1a1209", "#a35cff", "#a98763", "#a8125f")
_MARKERS = ("o", "s", "^", "X", "v", "P", "<", "*", ">", "h")
_DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1, 1.2)), (0, (6, 1.5, 1, 1.5)))
_OF_OTHERS: tuple[Any, ...] = (
    "--", ":", "-.", (0, (6, 1, 1, 1, 1, 1)), (0, (1, 3)), (0, (9, 2)), (0, (9, 2, 3, 2)), (0, (3, 1, 1, 4)),
)  # fmt: skip

TITLES = {
    "throughput_rps": "throughput, requests/s",
    "mean_ms": "mean, ms",
    "p50_ms": "p50, ms",
    "p95_ms": "p95, ms",
    "p99_ms": "p99, ms",
    "hit_ratio": "hit ratio",
    "fetch_rps": "fetches/s",
    "fetches_per_expiry": "fetches per expiry",
    "error_ratio": "error ratio",
}

STYLE = {
    "figure.dpi": 110,
    "figure.constrained_layout.use": True,
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": NEUTRAL,
    "xtick.color": NEUTRAL,
    "ytick.color": NEUTRAL,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "hatch.color": "white",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e5e7eb",
    "axes.axisbelow": True,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "legend.frameon": False,
    "legend.title_fontsize": 8.5,
}


def line_style(number: int) -> dict[str, Any]:
    """Colour, dash and marker of line `number` among lines of equal rank, for ``Axes.plot``.

    The first five lines differ in their colours, and any two of the first ten in marker and dash, or in
    their colours. The same look comes again after twenty lines.
    """
    return {
        "color": _SERIES[number % len(_SERIES)],
        "ls": _DASHES[number // len(_SERIES) % len(_DASHES)],
        "marker": _MARKERS[(number + number // len(_MARKERS)) % len(_MARKERS)],
    }


def ink_on(colour: Any) -> str:
    """Black or white: the one that can be read on a colour, with a contrast of at least 4.5 : 1."""
    channels = [
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in colour[:3]
    ]
    luminance = sum(weight * value for weight, value in zip((0.2126, 0.7152, 0.0722), channels, strict=True))
    return "black" if luminance > 0.179 else "white"


def highlighted(names: Sequence[str], chosen: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The names with their looks among predictions: `chosen` last, solid and wide, the others dashed."""
    others = [name for name in names if name != chosen]
    for number, name in enumerate(others):
        yield name, {"lw": 1.4, "ls": _OF_OTHERS[number % len(_OF_OTHERS)], "alpha": FAINT}
    yield chosen, {"lw": 2.6}
