"""Spreads calls over processes, or makes them in this process if there is only one.

The processes ignore Ctrl-C, which a terminal sends to all of its processes: the parent handles it and
ends them. They also end if the parent is killed.
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import TypeVar

from scenarios.uninterrupted import uninterrupted

Found = TypeVar("Found")

_SECONDS_BETWEEN_LOOKS = 0.5
_JOBLIB_THREAD = "ExecutorManagerThread"


class WorkerDied(RuntimeError):
    """A process ended before its call did."""


def spread(
    function: Callable[..., Found], calls: Iterable[tuple[object, ...]], jobs: int, ordered: bool = True
) -> Iterator[Found]:
    """Yield what `function` returns for each call's arguments.

    Parameters
    ----------
    function : callable
    calls : iterable of tuple
        Arguments.
    jobs : int
        Number of processes; -1 for one per core.
    ordered : bool
        Whether to yield in the order of `calls`. If not, each call is sent and returned separately.

    Raises
    ------
    WorkerDied
        If a process dies; the results before it are valid.
    """
    if jobs == 1:
        yield from (function(*arguments) for arguments in calls)
        return
    from concurrent.futures.process import BrokenProcessPool

    import joblib  # takes a tenth of a second to load

    pool = joblib.Parallel(
        n_jobs=jobs,
        batch_size="auto" if ordered else 1,
        return_as="generator" if ordered else "generator_unordered",
    )
    tasks = (joblib.delayed(_in_worker)(os.getpid(), function, *arguments) for arguments in calls)
    found: Iterator[Found] = iter(())
    try:
        with uninterrupted(), _deaf_children():
            found = pool(tasks)
        yield from found
    except BrokenProcessPool:
        raise WorkerDied("a worker process died; perhaps it ran out of memory") from None
    finally:
        _dismiss(found)


def _dismiss(found: Iterator[Found]) -> None:
    """End calls whose results are not needed any more."""
    with uninterrupted(), _joblib_silenced():
        if isinstance(found, Generator):
            found.close()


@contextlib.contextmanager
def _joblib_silenced() -> Iterator[None]:
    """Suppress joblib's warning about cancelled calls, and errors of its thread when it ends after them."""
    report = threading.excepthook

    def hook(error: threading.ExceptHookArgs) -> None:
        if error.thread is None or error.thread.name != _JOBLIB_THREAD:
            report(error)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        threading.excepthook = hook
        try:
            yield
        finally:
            threading.excepthook = report


@contextlib.contextmanager
def _deaf_children() -> Iterator[None]:
    """Processes that this thread starts inside the block ignore SIGINT, except on Windows.

    A process inherits the blocked signals of the thread that starts it. joblib's resource trackers, which
    it starts once, handle signals themselves and might unblock ours; so they are started before.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    from multiprocessing import resource_tracker

    from joblib.externals.loky.backend import resource_tracker as joblib_tracker

    resource_tracker.ensure_running()
    joblib_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _in_worker(parent: int, function: Callable[..., Found], *arguments: object) -> Found:
    if os.getpid() != parent:
        _end_with(parent)
    return function(*arguments)


@functools.cache
def _end_with(parent: int) -> None:
    """Make this process end after `parent` has ended."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        os._exit(1)

    threading.Thread(target=watch, name="ends with the parent", daemon=True).start()
