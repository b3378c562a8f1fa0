"""Second request: an object enters only when it is asked for again."""

from __future__ import annotations

from collections.abc import Hashable

from policies.admission.base import Admission, admission_policy
from policies.eviction.byte_queue import ByteQueue


@admission_policy("second_request")
class SecondRequest(Admission):
    """Refuse an object the first time, admit it the second time.

    This keeps out objects that are asked for only once, which are most objects of a content delivery
    network. The policy remembers as many keys as fit into the cache by their bytes; the oldest is
    forgotten first. Constant cost. B. M. Maggs, R. K. Sitaraman, "Algorithmic nuggets in content
    delivery", ACM SIGCOMM CCR 45(3), 2015 ("cache on second hit", with a Bloom filter; here the memory
    is exact).
    """

    def __init__(self, capacity: int, argument: str | None = None) -> None:
        super().__init__(capacity, argument)
        self._capacity = capacity
        self._seen = ByteQueue()

    def admits(self, key: Hashable, size: int, stored: bool) -> bool:
        if stored:
            return True
        if key in self._seen:
            self._seen.remove(key)
            return True
        self._seen.push(key, size)
        while self._seen.used > self._capacity:
            self._seen.pop_oldest()
        return False
