"""Size limit: large objects stay outside."""

from __future__ import annotations

from collections.abc import Hashable

from policies.admission.base import Admission, admission_policy
from policies.units import parse_size


@admission_policy("size")
class SizeLimit(Admission):
    """Admit what counts for at most so many bytes, as in ``size(64KiB)``.

    One large object can push out hundreds of small ones: a limit trades bytes served from the cache
    for hits. Constant cost, no memory. Shown to matter by M. Abrams et al., "Caching proxies:
    limitations and potentials", 4th WWW Conference, 1995 ("LRU-threshold").
    """

    def __init__(self, capacity: int, argument: str | None = None) -> None:
        super().__init__(capacity)
        if argument is None:
            raise ValueError("expected a limit in parentheses, such as 'size(64KiB)'")
        self.limit = parse_size(argument)

    def admits(self, key: Hashable, size: int, stored: bool) -> bool:
        return size <= self.limit
