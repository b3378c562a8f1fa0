"""The upstream of each client, and how many clients move when the upstreams change."""

from __future__ import annotations

import numpy as np

from scenarios.records import NO_UPSTREAM, Records


def homes(records: Records) -> dict[int, str]:
    """The upstream of each user's last response, by the user's number."""
    known = records.upstream != NO_UPSTREAM
    names = np.array(records.upstreams)[records.upstream[known]]
    return dict(zip(records.user[known].tolist(), names.tolist(), strict=True))


def share_moved(before: Records, after: Records) -> float:
    """Share of the users in both runs that have another upstream in the second run.

    Raises
    ------
    ValueError
        If no user sent a request in both runs.
    """
    old, new = homes(before), homes(after)
    both = old.keys() & new.keys()
    if not both:
        raise ValueError("expected at least one user that sent a request in both runs")
    return sum(old[user] != new[user] for user in both) / len(both)
