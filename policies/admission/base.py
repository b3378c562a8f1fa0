"""The interface of admission policies: an object that is asked before the eviction policy."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence

from policies.contract import PolicyFault, verdict
from policies.registry import Registry


class Admission(ABC):
    """Which objects may enter a cache.

    Parameters
    ----------
    capacity : int
        Bytes of the cache.
    argument : str, optional
        The text in parentheses after the policy's name in the settings.

    Attributes
    ----------
    duels : bool
        Whether the cache must ask `outweighs` about the objects that would be evicted for a new one.

    Raises
    ------
    ValueError
        If the policy does not accept the argument.
    """

    duels = False

    def __init__(self, capacity: int, argument: str | None = None) -> None:
        if argument is not None:
            raise ValueError(f"expected nothing in parentheses, not {argument!r}")

    def asked(self, key: Hashable, stored: int) -> None:
        """Called for every hit, and for every miss whose response is to be stored.

        Parameters
        ----------
        key : hashable
        stored : int
            Number of objects in the cache.
        """
        return

    @abstractmethod
    def admits(self, key: Hashable, size: int, stored: bool) -> bool:
        """Whether `key`, of `size` bytes, may be stored; `stored` tells whether it is stored already."""

    def prefers(self, key: Hashable, victim: Hashable) -> bool:
        """Whether the new `key` is worth more than `victim`, which would be evicted for it."""
        return True

    def outweighs(self, key: Hashable, victims: Sequence[Hashable]) -> bool:
        """Whether the new `key` is worth more than all `victims`, which would be evicted for it together.

        By default, if it is worth more than each of them.
        """
        return all(verdict(self, "prefers", self.prefers(key, victim)) for victim in victims)


admission_policies: Registry[Admission] = Registry("admission policy", Admission)
admission_policy = admission_policies.register

_WRITTEN = re.compile(r"(\w+)(?:\((.*)\))?")


def build_admission(text: str, capacity: int) -> Admission:
    """The admission policy for a setting such as ``"size(64KiB)"``.

    Raises
    ------
    ValueError
        If the name is unknown, or the policy does not accept the argument.
    """
    found = _WRITTEN.fullmatch(text)
    if found is None:
        raise ValueError(f"expected an admission policy such as 'tinylfu' or 'size(64KiB)', not {text!r}")
    admission_policies.check(found[1])
    try:
        return admission_policies.build(found[1], capacity, found[2])
    except ValueError as error:
        mistake = error.__cause__ if isinstance(error, PolicyFault) else error
        if not isinstance(mistake, ValueError):
            raise
        raise ValueError(f"{found[1]}: {mistake}") from None


def check_admission(text: str) -> str:
    """Return `text` if it names an admission policy; raise `ValueError` if not (for pydantic)."""
    build_admission(text, 0)
    return text
