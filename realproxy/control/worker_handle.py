"""One worker process, seen from its parent: started, asked over a control socket, and ended.

Threads. Any thread may call a worker. A lock keeps each message and each answer whole. Every wait has a time
limit.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

from policies.bad_input import BadInput
from realproxy.control.listeners import Listeners

ANSWER_TIMEOUT = 5.0
"""Seconds for a worker to answer a message."""


class WorkerUnavailable(Exception):
    """A worker does not answer, because it has died or hangs."""


class WorkerHandle:
    """A worker process and the parent's end of its control socket.

    `command` starts the process; the descriptor of the control socket is appended. The process inherits the
    descriptors of `listeners` and of their `AcceptBalance`. `pidfd` becomes readable when the process ends.
    `started` is when the process began to serve, on the monotonic clock.
    """

    def __init__(self, command: Sequence[str], listeners: Listeners) -> None:
        self._lock = threading.Lock()
        self._control, control_of_worker = socket.socketpair()
        assert listeners.balance is not None
        self.balance_fd = listeners.balance.fd
        self.listener_fds = [sock.fileno() for sock in listeners.clients]
        path = os.pathsep.join(entry for entry in sys.path if entry)
        with contextlib.ExitStack() as undo, control_of_worker:
            undo.callback(self._control.close)
            self._process = subprocess.Popen(
                [*command, str(control_of_worker.fileno())],
                pass_fds=[control_of_worker.fileno(), self.balance_fd, *self.listener_fds],
                stdin=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": path},
                start_new_session=True,  # Ctrl-C reaches the parent alone, which then stops its workers
            )
            undo.callback(self._process.wait)
            undo.callback(self._process.kill)
            self.pid, self.pidfd = self._process.pid, os.pidfd_open(self._process.pid)
            undo.pop_all()
        self.started = time.monotonic()
        self._last_id, self._unread = 0, b""
        self._answers: dict[int, dict[str, Any]] = {}
        """Answers that were read and not asked for yet, by the id of the message."""

    def send(self, command: str, **arguments: Any) -> int:
        """Send a message and return its id, without waiting for the answer; raises `WorkerUnavailable`."""
        with self._lock:
            self._last_id += 1
            line = json.dumps({"id": self._last_id, "do": command, **arguments}).encode() + b"\n"
            try:
                self._control.settimeout(ANSWER_TIMEOUT)
                self._control.sendall(line)
            except OSError:
                raise WorkerUnavailable from None
            return self._last_id

    def await_answer(self, message_id: int, timeout: float = ANSWER_TIMEOUT) -> Any:
        """The result of a message that was sent before.

        Raises `WorkerUnavailable`, or the `BadInput` that the worker raised.
        """
        with self._lock:
            deadline = time.monotonic() + timeout
            while message_id not in self._answers:
                answer = json.loads(self._read_line(deadline))
                self._answers[answer["id"]] = answer  # perhaps for another thread
            answer = self._answers.pop(message_id)
        if "problem" in answer:
            raise BadInput(*answer["problem"])
        return answer["result"]

    def call(self, command: str, timeout: float = ANSWER_TIMEOUT, **arguments: Any) -> Any:
        """Send a message and return the result; raises like `await_answer`."""
        return self.await_answer(self.send(command, **arguments), timeout)

    def _read_line(self, deadline: float) -> bytes:
        while b"\n" not in self._unread:
            try:
                self._control.settimeout(max(deadline - time.monotonic(), 0.001))
                data = self._control.recv(2**20)
            except OSError:
                raise WorkerUnavailable from None
            if not data:
                raise WorkerUnavailable
            self._unread += data
        line, _, self._unread = self._unread.partition(b"\n")
        return line

    def has_ended(self) -> bool:
        """Whether the process has ended; reaps it."""
        return self._process.poll() is not None

    def close(self, timeout: float) -> None:
        """Close the control socket, which makes the process end, and kill it after `timeout` seconds."""
        with contextlib.suppress(OSError):
            self._control.shutdown(socket.SHUT_RDWR)
        try:
            self._process.wait(max(timeout, 0.0))
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
        with self._lock:  # no thread waits for an answer any more
            self._control.close()
        os.close(self.pidfd)
