"""Lesson 11, a proxy or a VPN: who sees what, predicted cell by cell, and then measured.

- `cells`: the student's predictions, a table of cells to click.
- `counts`: cells as numbers.
- `explorer`: what the topology says, with and without encryption, in every state.
- `measured`: the measurement in a notebook, its states, and the proof of "not seen".
- `rows`: a table of texts.
- `exercise`: on how many wires is the content in the clear?

Without Linux and root nothing is measured; then everything shows what the model says, and says so.
"""

from lessons.proxy_or_vpn.cells import CellPredictions, predict_cells
from lessons.proxy_or_vpn.counts import readers, ways_that_show_others
from lessons.proxy_or_vpn.exercise import clear_wires
from lessons.proxy_or_vpn.explorer import ExposureExplorer, explore_exposure
from lessons.proxy_or_vpn.measured import measure_in_notebook, proof_of, states_of

__all__ = [
    "CellPredictions",
    "ExposureExplorer",
    "clear_wires",
    "explore_exposure",
    "measure_in_notebook",
    "predict_cells",
    "proof_of",
    "readers",
    "states_of",
    "ways_that_show_others",
]
