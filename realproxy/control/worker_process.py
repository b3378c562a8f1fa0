"""``python -m realproxy.control.worker_process FD``: one of several processes that serve on the same sockets.

Its parent sends it messages over the socket FD, in lines of JSON: ``{"id": …, "do": …, …}``. It answers
``{"id": …, "result": …}``, or ``{"id": …, "problem": [where, key, text]}`` for an error of the user
(`BadInput`). When the parent closes the socket, or dies, the worker finishes its requests and ends.
"""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Callable
from typing import Any

from policies.bad_input import BadInput
from policies.settings import parse_settings
from realproxy.control.instance import Instance, gc_freeze
from realproxy.control.listeners import Listeners
from realproxy.server.accept_balance import AcceptBalance

Message = dict[str, Any]


class WorkerProcess:
    """The state of a worker process: no proxy until the message ``serve``."""

    def __init__(self) -> None:
        self.instance: Instance | None = None

    def handle(self, message: Message) -> Any:
        """Carry out a message and return the result; raises `BadInput`."""
        command = message["do"]
        if command == "serve":
            self.instance = _serve(message)
            gc_freeze()
            return None
        instance = self.instance
        if instance is None:
            return None
        return _COMMANDS[command](instance, message)


def _reload(instance: Instance, message: Message) -> None:
    instance.reload(parse_settings(message["settings"], message["where"]), message["where"])


def _weights(instance: Instance, message: Message) -> str:
    """Set weights; returns what is wrong with them."""
    try:
        instance.set_weights(message["route"], message["weights"])
    except BadInput as mistake:
        return mistake.problem
    return ""


_COMMANDS: dict[str, Callable[[Instance, Message], Any]] = {
    "reload": _reload,
    "reopen": lambda instance, _: instance.reopen_log(),
    "weights": _weights,
    "purge": lambda instance, message: instance.purge(**message["what"]),
    "stats": lambda instance, _: instance.stats(),
    "recent": lambda instance, _: instance.recent(),
}


def _serve(message: Message) -> Instance:
    where = message["where"]
    settings = parse_settings(message["settings"], where)
    admin = tuple(message["admin"]) if message["admin"] is not None else None
    proxy, *others = (socket.socket(fileno=fd) for fd in message["listeners"])
    forward = others.pop(0) if settings.forward is not None and settings.forward.listen else None
    listeners = Listeners(proxy, others, None, AcceptBalance(*message["balance"]), admin, forward)
    return Instance(settings, message["seed"], where, listeners)


def main(arguments: list[str]) -> int:
    """Serve until the parent closes the control socket; the only argument is its descriptor."""
    worker = WorkerProcess()
    with socket.socket(fileno=int(arguments[0])) as control, control.makefile("rb") as lines:
        try:
            for message in map(json.loads, lines):
                if message["do"] == "stop":
                    break
                answer: Message = {"id": message["id"]}
                try:
                    answer["result"] = worker.handle(message)
                except BadInput as problem:
                    answer["problem"] = [problem.where, problem.key, problem.problem]
                control.sendall(json.dumps(answer).encode() + b"\n")
        except OSError:
            pass  # the parent has died
        finally:
            if worker.instance is not None:
                worker.instance.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
