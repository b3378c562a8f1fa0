"""The student's predictions, and their comparison with both twins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lessons.kit.display import box, table
from lessons.kit.number import finite_number, shown
from lessons.kit.order import Order
from policies.registry import nearest
from twin.plots.style import MEASURED, NEUTRAL, PREDICTED

Guess = float | Order


@dataclass
class _Entry:
    """One question with its answers; `problem` says why a guess was not accepted."""

    question: str
    unit: str
    guess: Guess | None
    problem: str
    names: tuple[str, ...] = ()
    simulated: Guess | None = None
    measured: Guess | None = None


class Predictions:
    """The student's guesses; a notebook shows them as a table, with simulation and measurement.

    A missing guess is ``None``. If a guess is missing or cannot be read, the table says so, and the lesson
    goes on without it.

    Examples
    --------
    >>> mine = Predictions()
    >>> mine.number("share", "share of the slow replica", 10, unit="%")
    >>> mine.simulated("share", 12.5)
    >>> mine.closeness("share")
    '2.5 pp too low'
    """

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}

    def number(self, key: str, question: str, guess: object, unit: str = "") -> None:
        """Add a question whose answer is a number, or replace it.

        Parameters
        ----------
        key : str
            The name that `simulated` and `measured` use for this question.
        question : str
            The text in the table.
        guess : float or None
            The student's guess, any kind of real number.
        unit : str
            The text after the numbers.
        """
        kept = finite_number(guess)
        missing = guess is None or guess is ...
        problem = "" if missing or kept is not None else f"expected a number such as 2.5, not {shown(guess)}"
        self._entries[key] = _Entry(question, unit, kept, problem)

    def order(self, key: str, question: str, guess: object, of: Sequence[str]) -> None:
        """Add a question whose answer is an order of all the names in `of`, best first."""
        problem = "" if guess is None or guess is ... else _problem_of_order(guess, of)
        kept = _sure(guess) if isinstance(guess, (list, tuple)) and not problem else None
        self._entries[key] = _Entry(question, "", kept, problem, tuple(of))

    def simulated(self, key: str, value: object) -> None:
        """Set the result of the simulation: a number or an `Order`; ``None`` or NaN is unknown."""
        self._entries[key].simulated = _frozen(value)

    def measured(self, key: str, value: object) -> None:
        """Set the result of the measurement: a number or an `Order`; ``None`` or NaN is unknown."""
        self._entries[key].measured = _frozen(value)

    def closeness(self, key: str) -> str:
        """The error of the guess, in words, against the measurement or else the simulation; or empty."""
        entry = self._entries[key]
        truth = entry.simulated if entry.measured is None else entry.measured
        if entry.guess is None or truth is None:
            return ""
        if isinstance(truth, Order):
            assert isinstance(entry.guess, Order)
            return _pairs_right(entry.guess.names, truth)
        assert isinstance(entry.guess, float)
        return _off_by(entry.guess, truth, entry.unit)

    @property
    def missing(self) -> list[str]:
        """Keys of the questions that have no guess yet."""
        return [key for key, entry in self._entries.items() if entry.guess is None]

    @property
    def unmeasured(self) -> list[str]:
        """Keys of the questions that have no measurement yet."""
        return [key for key, entry in self._entries.items() if entry.measured is None]

    def _repr_html_(self) -> str:
        rows = [
            [entry.question, *(_written(value, entry.unit) for value in _answers(entry)), self.closeness(key)]
            for key, entry in self._entries.items()
        ]
        head = ["", "your prediction", "simulated", "measured", "you were"]
        shown = table(head, rows, {2: PREDICTED, 3: MEASURED})
        return shown + "".join(box(text, NEUTRAL) for text in self._remarks())

    def _remarks(self) -> list[str]:
        remarks = [f"{entry.question}: {entry.problem}" for entry in self._entries.values() if entry.problem]
        if self.missing:
            remarks.append(
                "A prediction is missing. Replace the `None` by your guess and run the cell again. "
                "You learn more from a wrong guess than from no guess. You can also go on without it."
            )
        return remarks

    def __repr__(self) -> str:
        lines = []
        for entry in self._entries.values():
            guess, simulated, measured = (_written(value, entry.unit) for value in _answers(entry))
            lines.append(f"{entry.question}: you {guess}, simulated {simulated}, measured {measured}")
        return "\n".join([*lines, *self._remarks()])


def _answers(entry: _Entry) -> tuple[Guess | None, ...]:
    return entry.guess, entry.simulated, entry.measured


def _frozen(value: object) -> Guess | None:
    if isinstance(value, Order):
        return value
    return _sure(value) if isinstance(value, (list, tuple)) else finite_number(value)


def _sure(names: Sequence[str]) -> Order:
    """An order in which each name can be told from every other."""
    return Order.where(names, lambda _one, _other: True)


def _written(value: Guess | None, unit: str) -> str:
    if value is None:
        return "–"
    if isinstance(value, Order):
        return str(value)
    return f"{value:.3g} {unit}".strip()


def _problem_of_order(guess: object, names: Sequence[str]) -> str:
    form = f"expected a list of {', '.join(names)}, best first"
    if not isinstance(guess, (list, tuple)) or not all(isinstance(name, str) for name in guess):
        return f"{form}, not {shown(guess)}"
    unknown = next((name for name in guess if name not in names), None)
    if unknown is not None:
        return f"unknown name {unknown!r}{nearest(unknown, list(names))}"
    left_out = [name for name in names if name not in guess]
    if left_out:
        return f"{form}; {left_out[0]!r} is missing"
    return f"{form}, each once" if len(guess) != len(names) else ""


def _pairs_right(guess: Sequence[str], truth: Order) -> str:
    """How many pairs are in the right order, of the pairs that can be told apart."""
    pairs = [(better, worse) for better, worse in truth.pairs if better in guess and worse in guess]
    if not pairs:
        return ""
    right = sum(guess.index(better) < guess.index(worse) for better, worse in pairs)
    return f"right in {right} of {len(pairs)} pairs"


def _off_by(guess: float, truth: float, unit: str) -> str:
    """The error in words, with the sign and the unit of `lessons.kit.difference`."""
    if unit == "%":
        points = guess - truth
        return "right" if abs(points) < 0.5 else f"{abs(points):.1f} pp too {'high' if points > 0 else 'low'}"
    if truth == 0:
        return "exactly right" if guess == 0 else f"{guess:+.3g} off"
    off = (guess - truth) / abs(truth)
    if abs(off) < 0.005:
        return "right"
    if guess > 0 and truth > 0 and not 0.5 <= guess / truth <= 2:
        return f"{max(guess / truth, truth / guess):.1f} times too {'high' if off > 0 else 'low'}"
    return f"{abs(off) * 100:.0f} % too {'high' if off > 0 else 'low'}"
