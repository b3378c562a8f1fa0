"""Calls spread over processes, or made here if there is but one process to make them in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Found = TypeVar("Found")


def spread(function: Callable[..., Found], calls: Iterable[tuple[object, ...]], jobs: int) -> Iterator[Found]:
    """What `function` returns for each call's arguments, in their order, as it comes.

    Parameters
    ----------
    function : callable
    calls : iterable of tuple
        Arguments.
    jobs : int
        Processes; -1 for one per core.
    """
    if jobs == 1:
        return (function(*arguments) for arguments in calls)
    import joblib  # takes a tenth of a second to load

    tasks = (joblib.delayed(function)(*arguments) for arguments in calls)
    found: Iterator[Found] = joblib.Parallel(n_jobs=jobs, return_as="generator")(tasks)
    return found
