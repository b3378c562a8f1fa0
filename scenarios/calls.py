"""Parses function calls in settings, such as ``exponential(30ms)`` or ``bursts(10s, 1s, 5)``."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from policies.registry import nearest

_CALL = re.compile(r"\s*([a-z_0-9]+)\s*\(([^()]*)\)\s*")
Kind = TypeVar("Kind")


@dataclass(frozen=True)
class Call:
    """A name and its arguments in parentheses.

    Parameters
    ----------
    name, inside : str
        Text before and within the parentheses.
    text : str
        The whole text.
    """

    name: str
    inside: str
    text: str

    def choose(self, kinds: Mapping[str, Kind], what: str) -> Kind:
        """The one of `kinds` with this name; otherwise a `ValueError` with the nearest known name."""
        if self.name not in kinds:
            raise ValueError(f"unknown {what} {self.name!r}{nearest(self.name, list(kinds))}")
        return kinds[self.name]

    def read(
        self,
        names: tuple[str, ...],
        quantities: tuple[str, ...],
        quantity: Callable[[str], float],
        holds: Callable[..., bool],
        rule: str,
    ) -> tuple[float, ...]:
        """The arguments as numbers in base units.

        Parameters
        ----------
        names : tuple of str
            Name of each argument.
        quantities : tuple of str
            The names of those that carry a unit; the others are plain numbers.
        quantity : callable
            Parses a number with a unit.
        holds : callable
            Whether the arguments are possible.
        rule : str
            What `holds` demands, for the message.

        Raises
        ------
        ValueError
            In one line.
        """
        parts = [part.strip() for part in self.inside.split(",")]
        form = f"{self.name}({', '.join(names)})"
        if len(parts) != len(names) or not all(parts):
            raise ValueError(f"expected {form}, not {self.text!r}")
        arguments = tuple(
            float(quantity(part)) if name in quantities else read_number(part, form, name)
            for name, part in zip(names, parts, strict=True)
        )
        if not holds(*arguments):
            raise ValueError(f"{form}: {rule}, in {self.text!r}")
        return arguments


def parse_call(text: object) -> Call | None:
    """Parse a call; ``None`` if the text is not one.

    Examples
    --------
    >>> parse_call("zipf(0.9)")
    Call(name='zipf', inside='0.9', text='zipf(0.9)')
    """
    found = _CALL.fullmatch(text) if isinstance(text, str) else None
    return None if found is None else Call(found[1], found[2], found[0])


def read_number(text: str, form: str, argument: str) -> float:
    """Parse a finite number; a `ValueError` names the argument and the form."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{form}: expected a number for {argument}, not {text!r}")
    return number
