"""Jobs that no client waits for, in a few threads.

Threads. At most `most`, started when first needed and ended by `stop` or `retire`. The lock protects their
number and that of the jobs.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable

END_PATIENCE = 2.0
"""Seconds that a stop waits for jobs whose connections were shut down."""


class BackgroundJobs:
    """Runs jobs in threads of their own, which bear `name`."""

    def __init__(self, name: str, most: int) -> None:
        self._name, self._most = name, most
        self._lock = threading.Lock()
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._unfinished = 0
        self._ended = False

    def submit(self, job: Callable[[], None]) -> bool:
        """Queue a job; returns False if no more jobs are taken."""
        with self._lock:
            if self._ended:
                return False
            self._unfinished += 1
            self._jobs.put(job)
            if len(self._threads) < min(self._unfinished, self._most):
                thread = threading.Thread(target=self._run_jobs, name=self._name, daemon=True)
                with contextlib.suppress(RuntimeError):  # too many threads: the job waits for one of ours
                    thread.start()
                    self._threads.append(thread)
        return True

    def retire(self) -> None:
        """Finish all jobs, and end the threads."""
        for thread in self._end():
            thread.join()

    def stop(self, abort: Callable[[], None] = lambda: None) -> None:
        """Drop the jobs that wait, `abort` those under way, and end the threads."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._jobs.get_nowait()
        threads = self._end()
        abort()
        deadline = time.monotonic() + END_PATIENCE
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _end(self) -> list[threading.Thread]:
        """Take no more jobs; returns the threads, which end after the queued jobs."""
        with self._lock:
            self._ended = True
            for _ in self._threads:
                self._jobs.put(None)
            return list(self._threads)

    def _run_jobs(self) -> None:
        try:
            while (job := self._jobs.get()) is not None:
                try:
                    job()
                finally:
                    with self._lock:
                        self._unfinished -= 1
        finally:
            with self._lock:
                self._threads.remove(threading.current_thread())
