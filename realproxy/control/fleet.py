"""Several processes that serve on the same sockets: started, watched, restarted, added up.

The parent binds the sockets and accepts nothing on them. One spare process has started already
and waits for its turn, so that one that dies is replaced at once.

Threads. `_crew` is changed under `_lock`, by the watching thread and at the start and the stop.
A `WorkerHandle` has a lock of its own, for one question and its answer. Every wait has a limit.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

from policies.bad_input import BadInput
from policies.settings import ProxySettings
from policies.workers import worker_seed
from realproxy.cache.purge import read_purge
from realproxy.control.instance import check_fixed
from realproxy.control.listeners import Listeners, bind_listeners
from realproxy.net.address import Address
from realproxy.net.listener import host_of
from realproxy.observe.admin_pages import admin_pages
from realproxy.observe.admin_server import AdminServer
from realproxy.observe.sum_stats import sum_stats
from realproxy.server.accept_balance import AcceptBalance

COMMAND = (sys.executable, "-m", "realproxy.control.worker_process")
"""What starts a worker; the descriptor of its control socket is appended."""
START_PATIENCE = 60.0
"""Seconds for a worker to start and serve."""
ANSWER_PATIENCE = 5.0
"""Seconds for a worker to answer a question."""
END_PATIENCE = 10.0
"""Seconds beyond ``limits.drain`` for a worker to end before it is killed."""
SHORT_LIFE = 5.0
"""Seconds: a worker that dies sooner than that may do so again."""
LONGEST_PAUSE = 10.0
"""Seconds before a worker that dies again and again is replaced, at most."""


def pause_after(deaths: int) -> float:
    """Seconds before the successor of a worker begins, after so many short lives in a row.

    Examples
    --------
    >>> [pause_after(deaths) for deaths in (1, 2, 3, 4, 5, 20)]
    [0.0, 0.0, 0.25, 0.5, 1.0, 10.0]
    """
    return 0.0 if deaths < 3 else min(LONGEST_PAUSE, 0.25 * 2 ** (deaths - 3))


class Gone(Exception):
    """A worker does not answer: it has died, or hangs."""


class WorkerHandle:
    """One worker process, seen from its parent.

    Parameters
    ----------
    command : sequence of str
        What starts it.
    sockets : Listeners
        What it inherits.
    """

    def __init__(self, command: Sequence[str], sockets: Listeners) -> None:
        self._lock = threading.Lock()
        self._control, theirs = socket.socketpair()
        assert sockets.balance is not None
        self.turns = sockets.balance.fd
        self.listeners = [sock.fileno() for sock in (sockets.proxy, *sockets.tcp)]
        path = os.pathsep.join(entry for entry in sys.path if entry)
        with theirs:
            self._process = subprocess.Popen(
                [*command, str(theirs.fileno())],
                pass_fds=[theirs.fileno(), self.turns, *self.listeners],
                stdin=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": path},
                start_new_session=True,  # Ctrl-C is for the parent, which then stops it in order
            )
        self.pid = self._process.pid
        self.alarm = os.pidfd_open(self.pid)
        self.since = time.monotonic()
        self._number = 0
        self._unread = b""

    def send(self, wish: str, **more: Any) -> int:
        """Say what to do, without waiting for the answer; returns its number. Raises `Gone`."""
        with self._lock:
            return self._send(wish, more)

    def call(self, wish: str, patience: float = ANSWER_PATIENCE, **more: Any) -> Any:
        """Say what to do and wait for the result; raises `Gone`, or `BadInput` as the worker does."""
        with self._lock:
            return self._await(self._send(wish, more), patience)

    def await_answer(self, number: int, patience: float) -> Any:
        """The result of what was told; raises like `call`."""
        with self._lock:
            return self._await(number, patience)

    def _send(self, wish: str, more: dict[str, Any]) -> int:
        self._number += 1
        line = json.dumps({"id": self._number, "do": wish, **more}).encode() + b"\n"
        try:
            self._control.settimeout(ANSWER_PATIENCE)
            self._control.sendall(line)
        except OSError:
            raise Gone from None
        return self._number

    def _await(self, number: int, patience: float) -> Any:
        deadline = time.monotonic() + patience
        while True:
            answer = json.loads(self._line(deadline))
            if answer["id"] == number:  # an earlier one came too late for who asked
                break
        if "problem" in answer:
            raise BadInput(*answer["problem"])
        return answer["result"]

    def _line(self, deadline: float) -> bytes:
        while b"\n" not in self._unread:
            try:
                self._control.settimeout(max(deadline - time.monotonic(), 0.001))
                data = self._control.recv(2**20)
            except OSError:
                raise Gone from None
            if not data:
                raise Gone
            self._unread += data
        line, _, self._unread = self._unread.partition(b"\n")
        return line

    def ended(self) -> bool:
        """Whether it has ended."""
        return self._process.poll() is not None

    def close(self, patience: float) -> None:
        """Make sure that it ends within so many seconds, and forget it."""
        with contextlib.suppress(OSError):
            self._control.shutdown(socket.SHUT_RDWR)
        try:
            self._process.wait(max(patience, 0.0))
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
        with self._lock:  # nobody is asking any more
            self._control.close()
        os.close(self.alarm)


class Fleet:
    """Several worker processes under one parent; what `Running` is for one process.

    Parameters
    ----------
    settings : ProxySettings
        With ``workers``.
    seed : int or None
        As in `realproxy.Proxy`; every worker has chances of its own.
    where : str
        What messages call the source of the settings.
    command : sequence of str
        What starts a worker.
    """

    def __init__(
        self, settings: ProxySettings, seed: int | None, where: str, command: Sequence[str] = COMMAND
    ) -> None:
        self.settings, self._seed, self._where, self._command = settings, seed, where, command
        self._lock = threading.Lock()
        self._stopping = False
        self._restarts = 0
        self._due: dict[int, float] = {}
        self._deaths: dict[int, int] = {}
        self._crew: dict[int, WorkerHandle] = {}
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._sockets = bind_listeners(settings, where)._replace(
            balance=AcceptBalance.create(settings.workers)
        )
        self.address: Address = self._sockets.proxy.getsockname()[:2]
        self.tcp_addresses: list[Address] = [sock.getsockname()[:2] for sock in self._sockets.tcp]
        self.admin: AdminServer | None = None
        self._spare: WorkerHandle | None = None
        try:
            self._start()
        except BadInput:
            self._end_all()
            raise
        self._thread = threading.Thread(target=self._watch, name="proxy-fleet", daemon=True)
        self._thread.start()
        if self._sockets.admin is not None:
            self.admin = AdminServer(self._sockets.admin, host_of(settings.admin or ""), admin_pages(self))

    # --- starting and watching ------------------------------------------------------------------

    def _start(self) -> None:
        answers = {}
        try:
            for slot in range(self.settings.workers):
                self._crew[slot] = WorkerHandle(self._command, self._sockets)
                answers[slot] = self._begin(slot)
            for slot, number in answers.items():
                self._crew[slot].await_answer(number, START_PATIENCE)
        except Gone:
            problem = "a worker process ended before it served"
            raise BadInput(self._where, "workers", problem) from None
        self._spare = WorkerHandle(self._command, self._sockets)

    def _begin(self, slot: int) -> int:
        """Tell the process of a slot to serve; returns the number of its answer."""
        process = self._crew[slot]
        seed = None if self._seed is None else worker_seed(self._seed, slot)
        return process.send(
            "serve", settings=self._share(self.settings), seed=seed, where=self._where,
            listeners=process.listeners, turns=[process.turns, self.settings.workers, slot],
            admin=self._sockets.admin_address,
        )  # fmt: skip

    def _share(self, settings: ProxySettings) -> dict[str, Any]:
        """The settings of one worker: its share of the cache and of the connections."""
        limits = settings.limits
        connections = -(-limits.connections // settings.workers)
        changes = {
            "cache": settings.worker_cache,
            "limits": limits.model_copy(update={"connections": connections}),
        }
        return settings.model_copy(update=changes).model_dump(mode="json", by_alias=True)

    def _watch(self) -> None:
        """Replace who dies, at once or, if it dies again and again, after a while."""
        while not self._stopping:
            poller = select.poll()
            poller.register(self._wake, select.POLLIN)
            with self._lock:
                for process in (*self._crew.values(), self._spare):
                    if process is not None:
                        poller.register(process.alarm, select.POLLIN)
            pause = min(self._due.values(), default=time.monotonic() + 60) - time.monotonic()
            poller.poll(max(0.0, pause) * 1000)
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(self._wake)
            with self._lock:
                if not self._stopping:
                    self._bury()
                    self._replace()

    def _bury(self) -> None:
        """Note who has died, and when it is to be replaced."""
        now, turns = time.monotonic(), self._sockets.balance
        assert turns is not None
        if self._spare is not None and self._spare.ended():
            self._spare.close(0.0)
            self._spare = None
            self._due.setdefault(-1, now + 1.0)
        for slot, process in list(self._crew.items()):
            if not process.ended():
                continue
            del self._crew[slot]
            process.close(0.0)
            turns.clear(slot)
            short = now - process.since < SHORT_LIFE
            deaths = self._deaths[slot] = self._deaths.get(slot, 0) + 1 if short else 1
            self._due[slot] = now + pause_after(deaths)

    def _replace(self) -> None:
        """Put the spare in the place of who has died, and get another spare."""
        now = time.monotonic()
        for slot in [slot for slot, due in self._due.items() if due <= now]:
            del self._due[slot]
            if slot >= 0:
                process, self._spare = self._spare or WorkerHandle(self._command, self._sockets), None
                process.since = now
                self._crew[slot] = process
                self._restarts += 1
                with contextlib.suppress(Gone):
                    self._begin(slot)
            if self._spare is None:
                self._spare = WorkerHandle(self._command, self._sockets)

    # --- what `Running` does, too ---------------------------------------------------------------

    def _all(self) -> list[WorkerHandle]:
        with self._lock:
            return [self._crew[slot] for slot in sorted(self._crew)]

    def _gather(self, wish: str, **more: Any) -> list[tuple[WorkerHandle, Any]]:
        """What every worker says; one that cannot answer is left out."""
        asked, found = [], []
        for process in self._all():
            with contextlib.suppress(Gone):
                asked.append((process, process.send(wish, **more)))
        for process, number in asked:
            with contextlib.suppress(Gone):
                result = process.await_answer(number, ANSWER_PATIENCE)
                if result is not None:
                    found.append((process, result))
        return found

    def stats(self) -> dict[str, Any]:
        """The sum of `Running.stats`, with ``processes`` and ``restarts``."""
        found = self._gather("stats")
        processes = [
            {"pid": process.pid, **{key: stats[key] for key in ("requests", "connections", "cpu_seconds")}}
            for process, stats in found
        ]
        return {
            **sum_stats(stats for _, stats in found),
            "processes": processes,
            "restarts": self._restarts,
        }

    def recent(self) -> list[dict[str, Any]]:
        """The last exchanges of all workers, the latest first."""
        lines = [line for _, recent in self._gather("recent") for line in recent]
        return sorted(lines, key=lambda line: -line["time"])[:64]

    def reload(self, settings: ProxySettings, where: str) -> None:
        """See `realproxy.Proxy.reload`; a worker that refuses takes the others back to what was."""
        check_fixed(self.settings, settings, where)
        told: list[WorkerHandle] = []
        for process in self._all():
            try:
                process.call("reload", settings=self._share(settings), where=where)
                told.append(process)
            except Gone:
                continue  # its successor gets the settings that are in force then
            except BadInput:
                for other in told:
                    with contextlib.suppress(Gone, BadInput):
                        other.call("reload", settings=self._share(self.settings), where=where)
                raise
        self.settings = settings
        for process in self._all():
            if process not in told:  # it was started meanwhile, by the former settings
                with contextlib.suppress(Gone):
                    process.call("reload", settings=self._share(settings), where=where)

    def purge(self, **what: str | None) -> int:
        """See `realproxy.Proxy.purge`; the sum over all workers, each of which has a store of its own."""
        read_purge(**what)
        return sum(count for _, count in self._gather("purge", what=what))

    def reopen_log(self) -> None:
        """See `realproxy.Proxy.reopen_log`."""
        self._gather("reopen")

    def stop(self) -> None:
        """Have all workers finish what is under way, and end them."""
        self._stopping = True
        os.eventfd_write(self._wake, 1)
        self._thread.join(END_PATIENCE)
        if self.admin is not None:
            self.admin.stop()
        self._end_all()

    def _end_all(self) -> None:
        with self._lock:
            self._sockets.close()  # before the workers do, so that nobody waits for an acceptance here
            everyone = [*self._crew.values(), *([self._spare] if self._spare is not None else [])]
            for process in everyone:
                with contextlib.suppress(Gone):
                    process.send("stop")
            deadline = time.monotonic() + self.settings.limits.drain + END_PATIENCE
            for process in everyone:
                process.close(deadline - time.monotonic())
            self._crew, self._spare = {}, None
            os.close(self._wake)
