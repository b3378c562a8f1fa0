"""Which upstream each client is sent to, and how many are sent elsewhere when the upstreams change."""

from __future__ import annotations

import numpy as np

from scenarios.records import NO_UPSTREAM, Records


def homes(records: Records) -> dict[int, str]:
    """The upstream that answered each user last, by the user's number."""
    known = records.upstream != NO_UPSTREAM
    names = np.array(records.upstreams)[records.upstream[known]]
    return dict(zip(records.user[known].tolist(), names.tolist(), strict=True))


def share_moved(before: Records, after: Records) -> float:
    """Share of the users of both runs who have another upstream in the second one.

    Raises
    ------
    ValueError
        If no user asked in both.
    """
    old, new = homes(before), homes(after)
    both = old.keys() & new.keys()
    if not both:
        raise ValueError("expected at least one user who asked in both runs")
    return sum(old[user] != new[user] for user in both) / len(both)
