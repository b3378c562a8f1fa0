"""Registries of policies by name: a settings file chooses one, a notebook cell can add one."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Generic, TypeVar

Policy = TypeVar("Policy")


def nearest(name: str, known: list[str]) -> str:
    """A hint such as ``" (did you mean 'lru'?)"``, or the list of known names."""
    if not known:
        return ""
    close = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean {close[0]!r}?)" if close else f"; known: {', '.join(sorted(known))}"


class Registry(Generic[Policy]):
    """The classes of one family of policies, by the names that settings use.

    Parameters
    ----------
    kind : str
        The family in error messages, such as ``"eviction policy"``.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._classes: dict[str, type[Policy]] = {}

    def register(self, name: str) -> Callable[[type[Policy]], type[Policy]]:
        """A class decorator that registers the class as `name` for the real proxy and the simulator.

        A second registration replaces the first, so that a notebook cell can run twice.
        """

        def remember(policy: type[Policy]) -> type[Policy]:
            self._classes[name] = policy
            return policy

        return remember

    def __getitem__(self, name: str) -> type[Policy]:
        try:
            return self._classes[name]
        except KeyError:
            raise ValueError(f"unknown {self.kind} {name!r}{nearest(name, self.names())}") from None

    def check(self, name: str) -> str:
        """Return `name`; raise `ValueError` with the nearest known name if it is unknown (for pydantic)."""
        self[name]
        return name

    def names(self) -> list[str]:
        """All names, in the order of registration."""
        return list(self._classes)

    def added(self, package: str = "policies") -> dict[str, type[Policy]]:
        """The classes that are defined outside of `package`, such as a student's."""
        return {
            name: policy
            for name, policy in self._classes.items()
            if policy.__module__.partition(".")[0] != package
        }
