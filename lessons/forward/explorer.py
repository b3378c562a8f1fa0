"""Sliders for lesson 4. A slider simulates a shared cache anew and redraws the figure.

The widget has no logic. It calls `share` and `figure_of_sharing`, which are tested over the whole range of
the sliders.
"""

from __future__ import annotations

import ipywidgets as widgets

from lessons.forward.shared_cache import MOST_USERS, figure_of_sharing, in_words, share
from lessons.kit.explorer import Drawn, Explorer

USERS = (1, MOST_USERS, 1)
ALIKE = (0.0, 1.4, 0.1)
"""Minimum, maximum, step."""


class SharingExplorer(Explorer):
    """Controls for the number of users and the similarity of their choices; a figure of hit ratios.

    Parameters
    ----------
    users : int
        Initial value of the slider.
    alike : float
        Initial value of the slider: the exponent of Zipf's law.

    Attributes
    ----------
    users, alike : widgets
        The sliders.
    """

    def __init__(self, users: int = 40, alike: float = 0.9) -> None:
        wide = {"style": {"description_width": "11em"}, "layout": widgets.Layout(width="34em")}
        self.users = widgets.IntSlider(users, *USERS, description="users", continuous_update=False, **wide)
        self.alike = widgets.FloatSlider(
            alike, min=ALIKE[0], max=ALIKE[1], step=ALIKE[2], description="similarity",
            readout_format=".1f", continuous_update=False, **wide,
        )  # fmt: skip
        super().__init__([self.users, self.alike])

    def draw(self) -> Drawn:
        """Hit ratios, and requests that reach the web."""
        found = share(self.users.value, self.alike.value)
        return Drawn(figure_of_sharing(found), in_words(found), in_words(found))


def explore_sharing(users: int = 40, alike: float = 0.9) -> SharingExplorer:
    """Sliders for a shared cache, as a `SharingExplorer`."""
    return SharingExplorer(users, alike)
