"""Calls written as text, such as ``exponential(30ms)`` or ``bursts(10s, 1s, 5)``."""

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
    """A name and what stands behind it in parentheses.

    Parameters
    ----------
    name, inside : str
        Before the parentheses, and between them.
    text : str
        As it was written.
    """

    name: str
    inside: str
    text: str

    def choose(self, kinds: Mapping[str, Kind], what: str) -> Kind:
        """The one of `kinds` that has this name, or a `ValueError` that says the nearest one."""
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
        """The arguments, in base units; a `ValueError` in one line if they are none.

        Those of `names` that are `quantities` carry a unit, which `quantity` reads; the others are
        numbers. `rule` is what `holds` demands of them all.
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
    """The call that a text is; ``None`` if it is none.

    Examples
    --------
    >>> parse_call("zipf(0.9)")
    Call(name='zipf', inside='0.9', text='zipf(0.9)')
    """
    found = _CALL.fullmatch(text) if isinstance(text, str) else None
    return None if found is None else Call(found[1], found[2], found[0])


def read_number(text: str, form: str, argument: str) -> float:
    """A finite number, or a `ValueError` that names the argument of the form."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{form}: expected a number for {argument}, not {text!r}")
    return number
