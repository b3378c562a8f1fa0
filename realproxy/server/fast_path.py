"""The express lane: requests that the front thread answers itself, for nothing has to be waited for.

A hand-over to a worker and back costs more than a simple request does. So the front thread begins
with every request; it sends what can be sent and never waits. Most requests end here: fresh hits,
and small answers of upstreams to which a connection is kept. What would have to wait (for a
connection, a body, a slow client, another's fetch) goes on in a worker where it was left.

Threads. All belongs to the front thread; a turn and its client are a worker's once they are handed on.
"""

from __future__ import annotations

import time

from realproxy.downstream.connection import DownstreamConnection, State
from realproxy.proxying.context import Generation, Outcome, RequestContext
from realproxy.proxying.worker import ThreadState
from realproxy.runtime.isolation import report
from realproxy.server.connection_loop import ConnectionLoop
from realproxy.server.worker_pool import WorkerPool
from realproxy.upstream.connection import UpstreamConnection


class FastPath:
    """Answers requests in the front thread.

    Parameters
    ----------
    front : ConnectionLoop
        Whose thread it is, and who owns the clients that wait.
    workers : WorkerPool
        Who go on with what has to wait.
    serving : Generation
        Knows what a request needs; may be replaced at any time.
    patience : float
        Seconds that an upstream has to say something; may be changed at any time.
    """

    def __init__(
        self, front: ConnectionLoop, workers: WorkerPool, serving: Generation, patience: float
    ) -> None:
        self._front = front
        self.serving, self.patience = serving, patience
        self._places = workers.places
        self._worker = ThreadState(self._places)
        self._asked: dict[int, RequestContext] = {}
        workers.count_with(self._worker)

    @property
    def answered(self) -> int:
        """Requests that needed no worker."""
        return sum(count for key, count in self._worker.tally.copy().items() if key.isdigit())

    @property
    def awaiting(self) -> int:
        """Requests whose upstream is awaited, without a thread."""
        return len(self._asked)

    def takes(self, client: DownstreamConnection) -> bool:
        """Begin with a request whose head has arrived; returns whether no worker is needed for now."""
        if client.trouble is not None or not client.is_simple:
            return False
        return self._step(client, self.serving)

    def upstream_spoke(self, fd: int) -> None:
        """Something has happened on a connection that an answer is awaited on."""
        turn = self._asked.pop(fd, None)
        if turn is None:
            return
        client = turn.client
        client.suspended = turn
        if not self._step(client, turn.serving):
            self._front.hand_on(client)

    def sweep(self, now: float) -> None:
        """Have workers say so where an upstream has had its time."""
        for fd, turn in list(self._asked.items()):
            if turn.until <= now:
                del self._asked[fd]
                self._hand_on(turn)

    def end(self) -> None:
        """Let go of what is still awaited; the front is closing all clients."""
        for turn in self._asked.values():
            turn.let_go()
        self._asked.clear()

    def _step(self, client: DownstreamConnection, serving: Generation) -> bool:
        """Do what can be done, and see to the client; returns whether no worker is needed for now.

        A fault of the program costs this client its connection, as it does in a worker, and not the
        front its thread.
        """
        client.state, client.patient, self._worker.at = State.AWAITING, False, serving.serve
        try:
            then = serving.at_once(client, self._worker)
        except Exception as fault:  # noqa: BLE001
            then = Outcome.CLOSE
            if client.suspended is not None:
                client.suspended.let_go()
            report(fault)
        client.patient, self._worker.at = True, None
        return self._see_to(client, then)

    def _see_to(self, client: DownstreamConnection, then: Outcome) -> bool:
        """Do what a step has found out; False if a worker must go on."""
        front, turn = self._front, client.suspended
        assert turn is None or isinstance(turn, RequestContext)
        if then is Outcome.WORKER:
            if turn is not None:
                turn.serving.under_way.add(turn)
                self._forget(turn)
            return False
        client.suspended = None
        if then is Outcome.AWAITED and turn is not None and turn.fetch is not None:
            self._await(turn, turn.fetch.awaited)
            return True
        if turn is not None and turn.placed:
            self._places.release()
        if then is Outcome.NEXT:
            front.stay(client)
        elif then is Outcome.LINGER:
            front.linger(client)
        else:
            front.close(client)
        return True

    def _await(self, turn: RequestContext, connection: UpstreamConnection | None) -> None:
        """Have the front report when the upstream says something."""
        assert connection is not None
        self._asked[connection.sock.fileno()] = turn
        turn.serving.under_way.add(turn)
        turn.until = turn.until or time.monotonic() + self.patience
        self._front.watch(connection)

    def _hand_on(self, turn: RequestContext) -> None:
        """The upstream had its time: a worker says so."""
        self._forget(turn)
        if turn.fetch is not None:
            turn.fetch.late()
        turn.client.suspended = turn
        self._front.hand_on(turn.client)

    def _forget(self, turn: RequestContext) -> None:
        """Look no more at the upstream of a turn, which a worker will wait for."""
        if turn.fetch is not None and turn.fetch.awaited is not None:
            self._front.unwatch(turn.fetch.awaited)
