"""What every admission policy is: a doorkeeper that is asked before the eviction policy."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Hashable

from policies.registry import Registry


class Admission(ABC):
    """Which objects may enter a cache at all.

    Parameters
    ----------
    capacity : int
        Bytes of the cache.
    argument : str, optional
        What stood in parentheses behind the name, for a policy that takes something.

    Attributes
    ----------
    duels : bool
        Whether `prefers` is asked about each object that would have to go for a new one.

    Raises
    ------
    ValueError
        If the argument is not what the policy takes.
    """

    duels = False

    def __init__(self, capacity: int, argument: str | None = None) -> None:
        if argument is not None:
            raise ValueError(f"expected nothing in parentheses, not {argument!r}")

    def asked(self, key: Hashable, stored: int) -> None:
        """A request for `key` came: a hit, or a miss whose answer is to be stored; `stored` objects are."""
        return

    @abstractmethod
    def admits(self, key: Hashable, size: int, stored: bool) -> bool:
        """Whether `key`, of `size` bytes, may be kept; `stored` says whether it is there already."""

    def prefers(self, key: Hashable, victim: Hashable) -> bool:
        """Whether the new `key` is worth more than `victim`, which would have to go."""
        return True


admission_policies: Registry[Admission] = Registry("admission policy")
admission_policy = admission_policies.register

_WRITTEN = re.compile(r"(\w+)(?:\((.*)\))?")


def build_admission(text: str, capacity: int) -> Admission:
    """The admission policy that a setting such as ``"size(64KiB)"`` names.

    Raises
    ------
    ValueError
        If there is none, or if what stands in parentheses does not fit it.
    """
    found = _WRITTEN.fullmatch(text)
    if found is None:
        raise ValueError(f"expected an admission policy such as 'tinylfu' or 'size(64KiB)', not {text!r}")
    policy = admission_policies[found[1]]
    try:
        return policy(capacity, found[2])
    except ValueError as error:
        raise ValueError(f"{found[1]}: {error}") from None


def check_admission(text: str) -> str:
    """Return `text` if `build_admission` takes it, or raise its `ValueError` (for pydantic)."""
    build_admission(text, 0)
    return text
