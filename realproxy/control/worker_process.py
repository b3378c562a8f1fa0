"""``python -m realproxy.control.worker_process FD``: one of several processes that serve on the same sockets.

It is told what to do over the socket FD, in lines of JSON: ``{"id": …, "do": …, …}``, and answers
``{"id": …, "result": …}``, or ``{"id": …, "problem": [where, key, text]}`` for a user's mistake. When the
other end is closed, as when the parent has died, it finishes what is under way and ends.
"""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Iterator
from typing import Any

from policies.bad_input import BadInput
from policies.settings import parse_settings
from realproxy.control.instance import Instance, gc_freeze
from realproxy.control.listeners import Listeners
from realproxy.server.accept_balance import AcceptBalance

Message = dict[str, Any]


class WorkerProcess:
    """What a worker process serves, once it was told."""

    def __init__(self) -> None:
        self._running: Instance | None = None

    def do(self, message: Message) -> Any:
        """Obey one message; raises `BadInput`."""
        wish = message["do"]
        if wish == "serve":
            self._running = _serve(message)
            gc_freeze()
            return None
        running = self._running
        if running is None:
            return None
        if wish == "reload":
            return running.reload(parse_settings(message["settings"], message["where"]), message["where"])
        if wish == "reopen":
            return running.reopen_log()
        if wish == "purge":
            return running.purge(**message["what"])
        return running.stats() if wish == "stats" else running.recent()

    def stop(self) -> None:
        """Finish what is under way, and end."""
        if self._running is not None:
            self._running.stop()


def _serve(message: Message) -> Instance:
    where = message["where"]
    settings = parse_settings(message["settings"], where)
    admin = tuple(message["admin"]) if message["admin"] is not None else None
    proxy, *tcp = (socket.socket(fileno=fd) for fd in message["listeners"])
    return Instance(
        settings, message["seed"], where, Listeners(proxy, tcp, None, AcceptBalance(*message["turns"]), admin)
    )


def messages(control: socket.socket) -> Iterator[Message]:
    """The lines that come, up to the end or to one that says stop."""
    with control.makefile("rb") as lines:
        for line in lines:
            message = json.loads(line)
            if message["do"] == "stop":
                return
            yield message


def main(arguments: list[str]) -> int:
    """Serve as told over the socket whose descriptor is the only argument."""
    member = WorkerProcess()
    with socket.socket(fileno=int(arguments[0])) as control:
        try:
            for message in messages(control):
                answer: Message = {"id": message["id"]}
                try:
                    answer["result"] = member.do(message)
                except BadInput as problem:
                    answer["problem"] = [problem.where, problem.key, problem.problem]
                control.sendall(json.dumps(answer).encode() + b"\n")
        except OSError:
            pass  # the parent is gone
        finally:
            member.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
