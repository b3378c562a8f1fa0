"""Size limit: large objects do not enter."""

from __future__ import annotations

from collections.abc import Hashable

from policies.admission.base import Admission, admission_policy
from policies.units import parse_size


@admission_policy("size")
class SizeLimit(Admission):
    """Admit objects of at most so many charged bytes, as in ``size(64KiB)``.

    One large object can displace hundreds of small ones: a limit trades the byte hit ratio for the hit
    ratio. Constant cost, no memory. M. Abrams et al., "Caching proxies: limitations and potentials",
    4th WWW Conference, 1995 ("LRU-threshold"), showed that it matters.
    """

    def __init__(self, capacity: int, argument: str | None = None) -> None:
        super().__init__(capacity)
        if argument is None:
            raise ValueError("expected a limit in parentheses, such as 'size(64KiB)'")
        self.limit = parse_size(argument)

    def admits(self, key: Hashable, size: int, stored: bool) -> bool:
        return size <= self.limit
