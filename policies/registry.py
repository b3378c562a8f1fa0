"""Registries of policies by name: a settings file chooses one, a notebook cell can add one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from policies import contract
from policies.suggestion import nearest

__all__ = ["Registry", "nearest"]

Policy = TypeVar("Policy")


class Registry(Generic[Policy]):
    """The classes of one family of policies, by the names that settings use.

    Parameters
    ----------
    kind : str
        The family in error messages, such as ``"eviction policy"``.
    base : type
        The class that all classes of the family are below; any class may be registered by default.
    needed : str
        Attributes that its constructor sets.
    """

    def __init__(self, kind: str, base: type[Any] = object, *needed: str) -> None:
        self.kind = kind
        self._base, self._needed = base, needed
        if base is not object:
            contract.BASES.append(base)
        self._classes: dict[str, type[Policy]] = {}

    def register(self, name: str) -> Callable[[type[Policy]], type[Policy]]:
        """A class decorator that registers the class as `name` for the real proxy and the simulator.

        A second registration replaces the first, so that a notebook cell can run twice. The name of a
        shipped class cannot be taken.

        Raises
        ------
        PolicyFault
            From the decorator, if the class is not of the family, or lacks a method or a parameter.
        """

        def remember(policy: type[Policy]) -> type[Policy]:
            contract.check_class(policy, name, self._base, self._classes.get(name))
            self._classes[name] = policy
            return policy

        return remember

    def __getitem__(self, name: str) -> type[Policy]:
        try:
            return self._classes[name]
        except KeyError:
            raise ValueError(f"unknown {self.kind} {name!r}{nearest(name, self.names())}") from None

    def build(self, name: str, *arguments: Any, **options: Any) -> Policy:
        """An instance of the class `name`; raises `PolicyFault` if an own class cannot be made so."""
        made: Policy = contract.build(self[name], self._needed, *arguments, **options)
        return made

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
