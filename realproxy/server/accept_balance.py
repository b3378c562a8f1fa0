"""Whose turn it is to accept: of several processes on one socket, the one with the fewest connections.

Left to the kernel, who happens to run takes a whole burst, and the others have nothing to do.

Threads. Every process writes its own number in memory that all share; the parent writes that of a
process that has died. A number may be a moment old: it decides only who yields, and nobody yields
for long.
"""

from __future__ import annotations

import mmap
import os

YIELD = 0.001
"""Seconds for which a process leaves new connections to the others."""
MAX_YIELDS = 5
"""Times in a row that it does so: the others may be stuck."""
ABSENT = 2**63
"""What is written for a process that accepts nothing."""


class AcceptBalance:
    """The numbers of connections of all processes.

    Parameters
    ----------
    fd : int
        Of the memory; closed by `close`.
    slots : int
        Processes.
    slot : int
        The caller's own; -1 for the parent, which accepts nothing.
    """

    def __init__(self, fd: int, slots: int, slot: int) -> None:
        self.fd, self._slot = fd, slot
        self._memory = mmap.mmap(fd, 8 * slots)
        self._counts = memoryview(self._memory).cast("Q")
        self._yields = 0

    @classmethod
    def create(cls, slots: int) -> AcceptBalance:
        """Memory for so many processes, none of which is there yet."""
        fd = os.memfd_create("proxytwin-turns", os.MFD_CLOEXEC)
        os.ftruncate(fd, 8 * slots)
        turns = cls(fd, slots, -1)
        for slot in range(slots):
            turns.clear(slot)
        return turns

    def clear(self, slot: int) -> None:
        """A process accepts nothing any more."""
        self._counts[slot] = ABSENT

    def publish(self, connections: int) -> None:
        """The caller has so many connections now."""
        self._counts[self._slot] = connections

    def may_accept(self) -> bool:
        """Whether the caller is to accept, as nobody has fewer connections, or nobody else does."""
        if self._counts[self._slot] <= min(self._counts) or self._yields >= MAX_YIELDS:
            self._yields = 0
            return True
        self._yields += 1
        return False

    def close(self) -> None:
        """Give the memory back."""
        self._counts.release()
        self._memory.close()
        os.close(self.fd)
