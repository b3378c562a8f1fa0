"""Calls spread over processes, or made here if there is but one process to make them in.

The processes do not hear Ctrl-C, which a terminal sends to all that run in it: their parent does,
and dismisses them. A parent that is killed takes them along.
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
    """One of the processes ended before its call did."""


def spread(
    function: Callable[..., Found], calls: Iterable[tuple[object, ...]], jobs: int, ordered: bool = True
) -> Iterator[Found]:
    """What `function` returns for each call's arguments, as it comes.

    Parameters
    ----------
    function : callable
    calls : iterable of tuple
        Arguments.
    jobs : int
        Processes; -1 for one per core.
    ordered : bool
        Whether in the order of `calls`. If not, each call is also sent, and comes back, on its own.

    Raises
    ------
    WorkerDied
        If a process dies; what came before it stands.
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
    """End what still works for answers that nobody wants."""
    with uninterrupted(), _joblib_silenced():
        if isinstance(found, Generator):
            found.close()


@contextlib.contextmanager
def _joblib_silenced() -> Iterator[None]:
    """When calls are called off, joblib warns of that, and its thread may stumble over them at its end."""
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
    """Processes that this thread starts inside the block do not hear SIGINT.

    A process inherits the signals that the thread which starts it has blocked. What joblib starts
    once and for all beside its workers looks after itself, but might lift our block.
    """
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
    """From now on this process ends when `parent` has."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        os._exit(1)

    threading.Thread(target=watch, name="ends with the parent", daemon=True).start()
