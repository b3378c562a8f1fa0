"""The field Proxytwin-Demand: how long a backend works on a request, and what it asks others.

``web=0.0312;api=0.002`` is work at either of two backends. ``front=0.02(cart=0.01,store=0.03&store=0.02)``
adds calls: of the steps between commas, one follows the other; the calls of one step are made at once. Each
call has the text of the same form that the other backend gets. `scenarios.call_tree.written` writes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from loadtests.backend.request import BadRequest, number


class AnotherBackend(ValueError):
    """The request is for a backend with another name; the response is 400, with Proxytwin-Refusal."""


class Demand(NamedTuple):
    """What a request demands of a backend.

    Attributes
    ----------
    seconds : float
        Of work.
    steps : list of list of str
        The calls of each step, as text.
    """

    seconds: float
    steps: list[list[str]]


def demanded(field: str, backend: str) -> Demand:
    """What a field demands of `backend`; nothing if it demands nothing of anybody.

    Raises
    ------
    AnotherBackend
        If it demands work only of backends with other names.
    BadRequest
        If it cannot be read.
    """
    texts = {
        name.strip(): text for name, equals, text in (i.partition("=") for i in split(field, ";")) if equals
    }
    if texts and backend not in texts:
        from policies.registry import nearest  # rarely needed, and the policies take long to load

        hint = nearest(backend, list(texts))
        raise AnotherBackend(f"this backend is called {backend!r}, which the scenario does not know{hint}")
    seconds, parenthesis, calls = texts.get(backend, "0").partition("(")
    steps = [list(split(step, "&")) for step in split(calls[:-1], ",")] if parenthesis else []
    if parenthesis and not calls.rstrip().endswith(")"):
        raise BadRequest(f"expected the calls in parentheses, not {field[:80]!r}")
    return Demand(max(number(seconds), 0.0), steps)


def callee(call: str) -> str:
    """The name of the backend that a call asks."""
    return call.partition("=")[0].strip()


def split(text: str, mark: str) -> Iterator[str]:
    """The parts of a text between marks outside of parentheses."""
    if "(" not in text:
        yield from text.split(mark)
        return
    depth, start = 0, 0
    for place, sign in enumerate(text):
        depth += (sign == "(") - (sign == ")")
        if depth < 0:
            raise BadRequest(f"a parenthesis too many in {text[:80]!r}")
        if sign == mark and not depth:
            yield text[start:place]
            start = place + 1
    yield text[start:]
