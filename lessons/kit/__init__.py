"""Code that several lessons use.

- `predictions`: keeps the student's predictions, and compares them with the results.
- `exercise`: an exercise that checks itself; each new wrong answer gives a better hint.
- `number`: which of the things that a student writes are numbers.
- `difference`: how far two numbers are apart, with one sign; `order`: which variants can be told apart.
- `simulation`: simulates without the costs of proxy and network; `comparison`: a table of two columns.
- `confirmation`: a real run in half a minute, with a table and a figure; `progress_bars` show its progress.
- `origin_server`: a small real web server that records each request.
- `explorer`: sliders above a figure that a saved notebook keeps.
- `display`: figures, boxes and tables in a notebook; most of the other modules use it.

Everything runs in the notebook's thread. `confirmation` starts the processes of a real run and ends
them before it returns.
"""

from lessons.kit.comparison import side_by_side
from lessons.kit.confirmation import confirm_in_notebook, figure_of_confirmation
from lessons.kit.display import Picture
from lessons.kit.exercise import Exercise, Feedback, Unanswered, Unreadable
from lessons.kit.order import Order, measured_order
from lessons.kit.predictions import Predictions
from lessons.kit.simulation import simulated

__all__ = [
    "Exercise",
    "Feedback",
    "Order",
    "Picture",
    "Predictions",
    "Unanswered",
    "Unreadable",
    "confirm_in_notebook",
    "figure_of_confirmation",
    "measured_order",
    "side_by_side",
    "simulated",
]
