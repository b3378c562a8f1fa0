"""Ten remedies for a retry storm: which of them heal, and when."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lessons.kit.display import Picture, box, table
from lessons.kit.panels import FIXED_STYLE
from lessons.microservices.storm import BEGIN_S, OUTAGE_S, SHOWN_S, Storm, retries, storm_of, storm_variant
from policies.registry import nearest
from twin.plots.style import NEUTRAL, NEVER_SETTLES, PREDICTED

REMEDIES: dict[str, dict[str, Any]] = {
    "no retries": {"retry": {"attempts": 1}},
    "one retry": {"retry": {"attempts": 2}},
    "backoff": {"retry": {"attempts": 4, "backoff": "50ms"}},
    "budget 0.2": retries(0.2),
    "budget 0.6": retries(0.6),
    "queue of 8": {**retries(), "queue": {"in_flight": 8}},
    "queue of 24": {**retries(), "queue": {"in_flight": 24}},
    "newest first": {**retries(), "queue": {"in_flight": 4, "wait": "200ms", "order": "lifo"}},
    "breaker": {**retries(), "breaker": {"failures": 5, "open": "300ms"}},
    "deadline": {"retry": {"attempts": 2}, "deadline": True},
}
"""Settings of the service. Without a remedy, it repeats a failed request three times."""


@functools.lru_cache(maxsize=16)
def remedied(name: str) -> Storm:
    """Simulate the outage of the shipped scenario with one of `REMEDIES`."""
    return storm_of(storm_variant(REMEDIES[name]))


def healing() -> list[str]:
    """The remedies with which clients are served well again."""
    return [name for name in REMEDIES if remedied(name).healed_s is not None]


class ten_remedies:  # noqa: N801 - reads as a function in a lesson
    """A table and a picture of the ten remedies, beside those of which the student says that they heal.

    Parameters
    ----------
    guess : iterable of str, optional
        Names of remedies. An unknown name is explained, and counts for nothing.
    """

    def __init__(self, guess: object = None) -> None:
        self.guess, self.problem = _read(guess)
        self.right = sum((name in self.guess) == (name in healing()) for name in REMEDIES)
        self._picture = Picture(figure_of_remedies(), _in_words())

    def _repr_mimebundle_(
        self, include: object = None, exclude: object = None
    ) -> tuple[dict[str, bytes | str], dict[str, dict[str, object]]]:
        data, metadata = self._picture._repr_mimebundle_()
        rows = [self._row(name) for name in REMEDIES]
        head = ["", "you said", "heals after", "good answers at the end", "attempts at the end"]
        shown = table(head, rows, {2: PREDICTED, 3: PREDICTED, 4: PREDICTED})
        said = f"You were right about {self.right} of {len(REMEDIES)}." if self.guess else ""
        remark = box(self.problem or said) if self.problem or said else ""
        return data | {"text/html": f"{shown}{remark}{data['text/html']}"}, metadata

    def _row(self, name: str) -> list[str]:
        storm = remedied(name)
        said = "–" if not self.guess else "heals" if name in self.guess else "never"
        healed = "never" if storm.healed_s is None else f"{storm.healed_s:.2f} s"
        return [name, said, healed, f"{storm.at_the_end:.0f}/s", f"{storm.attempts_at_the_end:.0f}/s"]

    def __repr__(self) -> str:
        return self._picture.description


def _read(guess: object) -> tuple[list[str], str]:
    """The names that are known, and what is wrong with the guess."""
    if guess is None or guess is ...:
        return [], ""
    if isinstance(guess, str) or not isinstance(guess, Iterable):
        return [], f"expected a list of names such as ['backoff'], not {guess!r:.40}"
    names = [str(name) for name in guess]
    for name in names:
        if name not in REMEDIES:
            return [], f"unknown name {name!r:.40}{nearest(name, list(REMEDIES))}"
    return names, ""


def figure_of_remedies(names: Sequence[str] = tuple(REMEDIES)) -> Figure:
    """Good answers over time, one small panel for each remedy."""
    with mpl.rc_context(FIXED_STYLE):
        figure = Figure(figsize=(10.0, 3.6))
        figure.subplots_adjust(left=0.065, right=0.985, top=0.92, bottom=0.13, wspace=0.12, hspace=0.42)
        panels = figure.subplots(2, 5, sharex=True, sharey=True).flat
        for name, panel in zip(names, panels, strict=True):
            _draw(panel, name)
        for panel in figure.axes[5:]:
            panel.set_xlabel("time, s")
        for panel in figure.axes[::5]:
            panel.set_ylabel("good/s")
    return figure


def _draw(panel: Axes, name: str) -> None:
    storm = remedied(name)
    panel.axvspan(BEGIN_S, BEGIN_S + OUTAGE_S, color=NEUTRAL, alpha=0.15, lw=0, zorder=0)
    panel.plot(storm.times, storm.good, color=PREDICTED, lw=1.6)
    panel.set(xlim=(0, SHOWN_S), ylim=(0, 130), yticks=(0, 50, 100))
    panel.set_title(name, fontsize=9)
    word = "never" if storm.healed_s is None else f"{storm.healed_s:.2f} s"
    colour = NEVER_SETTLES if storm.healed_s is None else NEUTRAL
    panel.annotate(
        word, (0.97, 0.95), xycoords="axes fraction", ha="right", va="top", fontsize=8.5, color=colour
    )


def _in_words() -> str:
    said = (
        f"{name}: {'never' if storm.healed_s is None else f'after {storm.healed_s:.2f} s'}"
        for name in REMEDIES
        for storm in (remedied(name),)
    )
    return f"When ten remedies heal after an outage of {OUTAGE_S} s. {'; '.join(said)}."
