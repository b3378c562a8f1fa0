"""Several processes that serve on the same sockets: started, watched and restarted, with their counts summed.

The parent binds the sockets and does not accept on them. One spare process has started already but
does not serve yet, so a worker that dies is replaced at once.

Threads. `_workers` and `_spare` are changed under `_lock`, by the watching thread and during start and stop.
"""

from __future__ import annotations

import contextlib
import os
import select
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from policies.bad_input import BadInput
from policies.settings import ProxySettings
from policies.workers import worker_seed
from realproxy.cache.purge import read_purge
from realproxy.control.instance import check_fixed
from realproxy.control.listeners import bind_listeners
from realproxy.control.worker_handle import WorkerHandle, WorkerUnavailable
from realproxy.net.address import Address
from realproxy.net.listener import host_of
from realproxy.observe.admin_pages import admin_pages
from realproxy.observe.admin_server import AdminServer
from realproxy.observe.sum_stats import sum_stats
from realproxy.server.accept_balance import AcceptBalance

COMMAND = (sys.executable, "-m", "realproxy.control.worker_process")
"""Starts a worker; the descriptor of its control socket is appended."""
START_TIMEOUT = 60.0
"""Seconds for a worker to start and serve."""
END_TIMEOUT = 10.0
"""Seconds beyond ``limits.drain`` for a worker to end; then it is killed."""
SHORT_LIFE = 5.0
"""Seconds: a worker that dies sooner counts as a failed start."""
RETRY_START = 1.0
"""Seconds until the next try when the system could start no process."""
MAX_RESTART_DELAY = 10.0
"""Seconds."""
_SPARE = -1
"""Stands for the spare in `Fleet._restart_at`, where workers are named by their slot."""


def restart_delay(failures: int) -> float:
    """Seconds until a worker is replaced, after so many failed starts in a row.

    Examples
    --------
    >>> [restart_delay(failures) for failures in (1, 2, 3, 4, 5, 20)]
    [0.0, 0.0, 0.25, 0.5, 1.0, 10.0]
    """
    return 0.0 if failures < 3 else min(MAX_RESTART_DELAY, 0.25 * 2 ** (failures - 3))


class Fleet:
    """Several worker processes under one parent. `realproxy.control.instance.Instance` is a single process.

    The parameters are those of `realproxy.Proxy`; each worker gets a different seed. Raises `BadInput` if the
    sockets cannot be bound, or a worker refuses the settings.
    """

    def __init__(
        self, settings: ProxySettings, seed: int | None, where: str, command: Sequence[str] = COMMAND
    ) -> None:
        self.settings, self._seed, self._where, self._command = settings, seed, where, command
        self._lock = threading.Lock()
        self._stopping, self._restarts = False, 0
        self._restart_at: dict[int, float] = {}
        self._failures: dict[int, int] = {}
        self._workers: dict[int, WorkerHandle] = {}
        self._spare: WorkerHandle | None
        self._wake, self._spare = -1, None
        self.admin: AdminServer | None = None
        self._thread = threading.Thread(target=self._watch, name="proxy-fleet", daemon=True)
        self._listeners = listeners = bind_listeners(settings, where)
        self.address: Address = listeners.proxy.getsockname()[:2]
        self.forward_address: Address = listeners.forward_address
        self.tcp_addresses: list[Address] = [sock.getsockname()[:2] for sock in listeners.tcp]
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    # --- starting and watching ------------------------------------------------------------------

    def _start(self) -> None:
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._balance = AcceptBalance.create(self.settings.workers)
        self._listeners = self._listeners._replace(balance=self._balance)
        self._start_workers()
        self._thread.start()
        if self._listeners.admin is not None:
            name = host_of(self.settings.admin or "")
            self.admin = AdminServer(self._listeners.admin, name, admin_pages(self))

    def _start_workers(self) -> None:
        message_ids = {}
        try:
            for slot in range(self.settings.workers):
                self._workers[slot] = WorkerHandle(self._command, self._listeners)
                message_ids[slot] = self._send_serve(slot)
            for slot, message_id in message_ids.items():
                self._workers[slot].await_answer(message_id, START_TIMEOUT)
        except WorkerUnavailable:
            raise BadInput(self._where, "workers", "a worker process ended before it served") from None
        self._spare = WorkerHandle(self._command, self._listeners)

    def _send_serve(self, slot: int) -> int:
        """Tell the worker of a slot to serve; returns the message's id."""
        worker = self._workers[slot]
        seed = None if self._seed is None else worker_seed(self._seed, slot)
        return worker.send(
            "serve", settings=self._share(self.settings), seed=seed, where=self._where,
            listeners=worker.listener_fds, balance=[worker.balance_fd, self.settings.workers, slot],
            admin=self._listeners.admin_address,
        )  # fmt: skip

    def _share(self, settings: ProxySettings) -> dict[str, Any]:
        """The settings of one worker: its share of the cache and of the connections."""
        connections = -(-settings.limits.connections // settings.workers)
        limits = settings.limits.model_copy(update={"connections": connections})
        changes = {"cache": settings.worker_cache, "limits": limits}
        return settings.model_copy(update=changes).model_dump(mode="json", by_alias=True)

    def _watch(self) -> None:
        """Replace workers that die: at once, or after a delay if they die again and again."""
        while not self._stopping:
            poller = select.poll()
            poller.register(self._wake, select.POLLIN)
            with self._lock:
                for worker in (*self._workers.values(), self._spare):
                    if worker is not None:
                        poller.register(worker.pidfd, select.POLLIN)
            delay = min(self._restart_at.values(), default=time.monotonic() + 60) - time.monotonic()
            poller.poll(max(0.0, delay) * 1000)
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(self._wake)
            with self._lock:
                if not self._stopping:
                    self._reap()
                    self._replace()

    def _reap(self) -> None:
        """Remove the workers that have died, and set the time of their replacement."""
        now = time.monotonic()
        if self._spare is not None and self._spare.has_ended():
            self._spare.close(0.0)
            self._spare = None
            self._restart_at.setdefault(_SPARE, now + RETRY_START)
        for slot, worker in list(self._workers.items()):
            if not worker.has_ended():
                continue
            del self._workers[slot]
            worker.close(0.0)
            self._balance.clear(slot)
            failed = now - worker.started < SHORT_LIFE
            failures = self._failures[slot] = self._failures.get(slot, 0) + 1 if failed else 1
            self._restart_at[slot] = now + restart_delay(failures)

    def _replace(self) -> None:
        """Let the spare serve in the slot of a dead worker, and start another spare."""
        now = time.monotonic()
        for slot in [slot for slot, due in self._restart_at.items() if due <= now]:
            del self._restart_at[slot]
            try:
                if self._spare is None:
                    self._spare = WorkerHandle(self._command, self._listeners)
                if slot != _SPARE:
                    self._fill(slot, now)
                    self._spare = WorkerHandle(self._command, self._listeners)
            except OSError:  # no descriptors or no memory: try again
                self._restart_at[slot if slot not in self._workers else _SPARE] = now + RETRY_START

    def _fill(self, slot: int, now: float) -> None:
        assert self._spare is not None
        worker, self._spare = self._spare, None
        worker.started = now
        self._workers[slot] = worker
        self._restarts += 1
        with contextlib.suppress(WorkerUnavailable):
            self._send_serve(slot)

    # --- the interface of a running proxy -------------------------------------------------------

    def _all(self) -> list[WorkerHandle]:
        with self._lock:
            return [self._workers[slot] for slot in sorted(self._workers)]

    def _call_all(self, command: str, **arguments: Any) -> list[tuple[WorkerHandle, Any]]:
        """The answers of all workers; a worker that does not answer is left out."""
        sent, answers = [], []
        for worker in self._all():
            with contextlib.suppress(WorkerUnavailable):
                sent.append((worker, worker.send(command, **arguments)))
        for worker, message_id in sent:
            with contextlib.suppress(WorkerUnavailable):
                if (result := worker.await_answer(message_id)) is not None:
                    answers.append((worker, result))
        return answers

    def stats(self) -> dict[str, Any]:
        """The sum of the workers' `Instance.stats`, with ``processes`` and ``restarts``."""
        answers = self._call_all("stats")
        processes = [
            {"pid": worker.pid, **{key: stats[key] for key in ("requests", "connections", "cpu_seconds")}}
            for worker, stats in answers
        ]
        total = sum_stats(stats for _, stats in answers)
        return {**total, "processes": processes, "restarts": self._restarts}

    def recent(self) -> list[dict[str, Any]]:
        """The last requests of all workers, the latest first."""
        lines = [line for _, recent in self._call_all("recent") for line in recent]
        return sorted(lines, key=lambda line: -line["time"])[:64]

    def reload(self, settings: ProxySettings, where: str) -> None:
        """As `realproxy.Proxy.reload`. If one worker refuses, the others return to the former settings."""
        check_fixed(self.settings, settings, where)
        reloaded: list[WorkerHandle] = []
        for worker in self._all():
            try:
                worker.call("reload", settings=self._share(settings), where=where)
                reloaded.append(worker)
            except WorkerUnavailable:
                continue  # its successor starts with the settings that are in force then
            except BadInput:
                for other in reloaded:
                    with contextlib.suppress(WorkerUnavailable, BadInput):
                        other.call("reload", settings=self._share(self.settings), where=where)
                raise
        self.settings = settings
        for worker in self._all():
            if worker not in reloaded:  # it started meanwhile, with the former settings
                with contextlib.suppress(WorkerUnavailable):
                    worker.call("reload", settings=self._share(settings), where=where)

    def set_weights(self, route: int, weights: Mapping[str, float]) -> None:
        """As `realproxy.Proxy.set_weights`, in all workers."""
        for _, problem in self._call_all("weights", route=route, weights=dict(weights)):
            if problem:
                raise BadInput("weights", f"route.{route}", problem)

    def purge(self, **what: str | None) -> int:
        """As `realproxy.Proxy.purge`; the sum over all workers, each of which has its own store."""
        read_purge(**what)
        return sum(count for _, count in self._call_all("purge", what=what))

    def reopen_log(self) -> None:
        """As `realproxy.Proxy.reopen_log`, in every worker."""
        self._call_all("reopen")

    def stop(self) -> None:
        """Stop all workers. Each finishes its requests, for ``limits.drain`` at most."""
        self._stopping = True
        if self._thread.ident is not None:  # the start did not fail before
            os.eventfd_write(self._wake, 1)
            self._thread.join(END_TIMEOUT)
        if self.admin is not None:
            self.admin.stop()
        self._end_all()

    def _end_all(self) -> None:
        with self._lock:
            self._listeners.close()  # first, so that no client waits in the queue of a socket that stays open
            workers = [*self._workers.values(), *([self._spare] if self._spare is not None else [])]
            for worker in workers:
                with contextlib.suppress(WorkerUnavailable):
                    worker.send("stop")
            deadline = time.monotonic() + self.settings.limits.drain + END_TIMEOUT
            for worker in workers:
                worker.close(deadline - time.monotonic())
            self._workers, self._spare = {}, None
            if self._wake >= 0:
                os.close(self._wake)
