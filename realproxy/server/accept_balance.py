"""Connection balance: of several processes on one listener, the one with the fewest connections accepts.

Without it, the process that happens to run accepts a whole burst, and the other processes stay idle.

Threads. Every process writes its own count into shared memory; the parent clears the count of a process that
has died. A count may be outdated for a moment. This is harmless: counts only decide which process yields,
and a process yields only for a short time.
"""

from __future__ import annotations

import mmap
import os

YIELD = 0.001
"""Seconds for which a process leaves new connections to the other processes."""
MAX_YIELDS = 5
"""Times in a row that a process yields; then it accepts, because the other processes may be stuck."""
ABSENT = 2**63
"""The count of a process that does not accept."""


class AcceptBalance:
    """The connection counts of all processes, in shared memory, whose descriptor `close` closes.

    There are `slots` processes. `slot` is the caller's index; -1 for the parent, which does not accept.
    """

    def __init__(self, fd: int, slots: int, slot: int) -> None:
        self.fd, self._slot, self._yields = fd, slot, 0
        self._memory = mmap.mmap(fd, 8 * slots)
        self._counts = memoryview(self._memory).cast("Q")

    @classmethod
    def create(cls, slots: int) -> AcceptBalance:
        """Make the shared memory, in the parent; no process accepts yet."""
        fd = os.memfd_create("proxytwin-accept-balance", os.MFD_CLOEXEC)
        try:
            os.ftruncate(fd, 8 * slots)
            balance = cls(fd, slots, -1)
        except OSError:
            os.close(fd)
            raise
        for slot in range(slots):
            balance.clear(slot)
        return balance

    def clear(self, slot: int) -> None:
        """Note that a process does not accept any more."""
        self._counts[slot] = ABSENT

    def publish(self, connections: int) -> None:
        """Write the number of connections of the calling process."""
        self._counts[self._slot] = connections

    def may_accept(self) -> bool:
        """Whether the caller has the fewest connections, or has yielded `MAX_YIELDS` times in a row."""
        if self._counts[self._slot] <= min(self._counts) or self._yields >= MAX_YIELDS:
            self._yields = 0
            return True
        self._yields += 1
        return False

    def close(self) -> None:
        """Unmap the memory, and close its descriptor."""
        self._counts.release()
        self._memory.close()
        os.close(self.fd)
