"""What several lessons use.

- `predictions`: keeps what the student predicted, and sets it beside the result.
- `exercise`: an exercise that checks itself; each wrong answer brings a more telling hint.
- `simulation` and `comparison`: a simulation as formulas have it, and a table of figures side by side.
- `confirmation`: a real run within half a minute, with its table and picture; `progress_bars` meanwhile.
- `display`: pictures, boxes and tables in a notebook; most of the above use it.

Everything runs in the notebook's thread. `confirmation` starts the processes of a real run and ends
them before it returns.
"""

from lessons.kit.comparison import side_by_side
from lessons.kit.confirmation import confirm_in_notebook, figure_of_confirmation
from lessons.kit.display import Picture
from lessons.kit.exercise import Exercise, Feedback, Unanswered
from lessons.kit.predictions import Predictions
from lessons.kit.simulation import simulated

__all__ = [
    "Exercise",
    "Feedback",
    "Picture",
    "Predictions",
    "Unanswered",
    "confirm_in_notebook",
    "figure_of_confirmation",
    "side_by_side",
    "simulated",
]
