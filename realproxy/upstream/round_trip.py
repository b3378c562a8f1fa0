"""A round trip: a request goes to an upstream, and to another one if that fails, until one responds.

Owner: the thread that runs the request. It also owns the upstream connection until `finish`, which alone
releases or closes the connection. A thread that must not wait calls `open` and `send` with
``may_block=False``, and `try_receive_head`. They raise `WouldBlock`, and a worker then finds all that they
have changed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from policies.resilience import is_failure
from policies.settings import Limits
from realproxy.downstream.connection import DownstreamConnection
from realproxy.errors import LocalReply, Termination, UpstreamError, WouldBlock
from realproxy.http1 import UNTIL_CLOSE, Malformed, RequestHead, ResponseHead, parse_response
from realproxy.messages.deadline import FIELD, due, over, told
from realproxy.messages.headers import client_response
from realproxy.messages.record import RequestRecord
from realproxy.upstream.connection import UpstreamConnection
from realproxy.upstream.endpoint import Place
from realproxy.upstream.pool import ConnectionPool
from realproxy.upstream.request_body import Pieces, RequestBody
from realproxy.upstream.target import UpstreamTarget
from realproxy.upstream.upgrade import check_chosen

MOST_INTERIM = 64
"""Interim responses (1xx) to one request; more would never end."""
IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})  # RFC 9110, 9.2.2
_OWN = (Termination.STOPPED, Termination.OVERLOADED)
"""Failures that are not the upstream's."""
_PLAIN = frozenset({b"2", b"3", b"4"})
"""First digits of the statuses that the fast path forwards."""


class Sink(Protocol):
    """Takes a response."""

    def send(self, pieces: Sequence[bytes | memoryview]) -> int:
        """Take `pieces`; returns their length in bytes, raises `Aborted`."""


class RoundTrip:
    """One request until an upstream has responded.

    `sink` takes interim responses. The upstream may switch to the protocols in `offers`.
    """

    __slots__ = (
        "_awaiting", "_first", "_fresh", "_offers", "_place", "_pool", "_sent", "_sink", "_target", "_until",
        "_wait", "body", "connection", "due", "failed", "head", "is_late", "limits", "over", "record",
        "try_timeout",
    )  # fmt: skip

    def __init__(
        self, pool: ConnectionPool, limits: Limits, client: DownstreamConnection, sink: Sink,
        record: RequestRecord, head: RequestHead, target: UpstreamTarget, offers: Sequence[bytes] = (),
    ) -> None:  # fmt: skip
        self.limits, self.record, self.head = limits, record, head
        self._pool, self._sink, self._target, self._offers = pool, sink, target, offers
        self._until: float | None = None
        if limits.request_timeout is not None or FIELD in head.fields.names:
            self._until = target.until = due(head, limits, record.arrived)
        self.body: RequestBody | None = None
        if head.framing:
            self.body = RequestBody(client, head, limits, pool.waits, self._until)
        self._wait = target.wait
        if self._wait is not None and (head.framing or offers or head.method not in IDEMPOTENT):
            self._wait = None
        self.connection: UpstreamConnection | None = None
        self._place: Place | None = None
        self._first: Pieces | None = None
        self._sent = self._fresh = self._awaiting = False
        self.due: float | None = None  # when the present attempt must be over, on the monotonic clock
        self.is_late = False  # the upstream's time is over; `wait_for_head` raises `UpstreamError`
        self.try_timeout: float | None = None  # seconds for one attempt, if that is less than for a pause
        self.over = False  # `finish` or `detach` was called
        self.failed: bool | None = None  # the upstream has failed the request; None if that is not known

    @property
    def all_read(self) -> bool:
        """Whether nothing is left of the request's body."""
        return self.body is None or self.body.done

    # --- open, send -----------------------------------------------------------------------------

    def open(self, may_block: bool) -> None:
        """Pick an upstream and connect to it; raises `LocalReply` if one of them fails."""
        target = self._target
        if not may_block and (self.body is not None or self._offers or target.delay):
            raise WouldBlock
        if may_block and self._until is not None:
            self._check_time()
        place = self._place
        if place is None:
            place = self._place = target.begin(may_block)
        if not may_block:
            connection = None if self._fresh else self._pool.acquire_idle(place[0])
            if connection is None:
                raise WouldBlock
            self.connection = connection
            if self.try_timeout is not None:
                self._limit_try(connection, time.monotonic())
            elif self._until is not None:
                self.due = connection.deadline = self._until
                connection.timeout = self.limits.answer_timeout
            return
        self._connect(place)

    def _connect(self, place: Place) -> None:
        """Read what has come of the body, wait if this is a retry, and connect in the time that is left."""
        target = self._target
        if self.body is not None and self._first is None:
            self._first = self.body.first()
        if target.delay:
            self._pool.pause(target.delay)
            target.delay = 0.0
        self._check_time()
        start = time.monotonic()
        left = math.inf if self._until is None else self._until - start
        connection = self.connection = self._pool.acquire(place[0], fresh=self._fresh, seconds=left)
        self.record.connecting += time.monotonic() - start
        if self._until is not None or self.try_timeout is not None:
            self._limit_try(connection, start)

    def _limit_try(self, connection: UpstreamConnection, start: float) -> None:
        """Limit the time of the attempt that began at `start`."""
        until = self._until
        if self.try_timeout is not None:
            until = min(until or math.inf, start + self.try_timeout)
        self.due = connection.deadline = until
        connection.timeout = self.limits.answer_timeout

    def send(self, may_block: bool) -> None:
        """Send the head, and what has arrived of the body; raises `UpstreamError`."""
        if self.connection is None:
            self.open(may_block)
        connection, place = self.connection, self._place
        assert connection is not None
        assert place is not None
        record = self.record
        record.asked, record.reused = time.monotonic(), connection.reused
        head = place[1]
        if self.due is not None and self._target.tells:
            head = told(head, self.due - record.asked)
        if may_block:
            self._sent = True
            connection.send([head, *self._first] if self._first else [head])
        elif connection.try_send(head):
            self._sent = self._awaiting = True
        else:
            self._disconnect()
            self._fresh = True
            raise WouldBlock

    # --- the response ---------------------------------------------------------------------------

    def try_receive_head(self) -> ResponseHead | None:
        """The head of a response that the fast path may forward; never waits.

        What follows the head is in the connection's buffer. None if nothing has arrived yet. Raises
        `UpstreamError` for a head that must not be passed on.
        """
        connection = self.connection
        if connection is None or self._wait is not None:
            raise WouldBlock
        if self._awaiting:  # the request was sent just now
            self._awaiting = False
            return None
        if not connection.try_receive():
            return None
        buffer = connection.buffer
        end = buffer.find(b"\r\n\r\n")
        if not -1 < end <= self.limits.head or buffer[9:10] not in _PLAIN:
            raise WouldBlock
        try:
            head = parse_response(buffer[: end + 4], self.head.method)
        except Malformed:
            raise WouldBlock from None  # a worker finds the same, and may ask another upstream
        connection.buffer = buffer[end + 4 :]
        if self._target.check is not None:
            self._target.check(head)
        self.failed = False
        return head

    def wait_for_head(self) -> ResponseHead:
        """Wait for the head of the final response; interim ones are passed on. RFC 9110, 15.2

        What follows the head is in the connection's buffer. Raises `LocalReply` or `Malformed` if there is
        no response, and `Aborted` if the client is gone.
        """
        self._wait_for_bytes()
        connection = self.connection
        assert connection is not None
        for _ in range(MOST_INTERIM):
            head = parse_response(
                connection.read_head(self.limits.head, self._check_time()), self.head.method
            )
            if head.status == 101:
                check_chosen(head, self._offers)
            if head.status >= 200 or head.status == 101:
                if self._target.check is not None:
                    self._target.check(head)
                self.failed = is_failure(head.status)
                return head
            connection.reused = False  # it has answered: should it end now, that is a failure
            if self.head.minor == 1:
                self._sink.send([client_response(head, UNTIL_CLOSE, b"")])
            if self.body is not None and not connection.buffer:
                self.body.until_answer(connection)
        problem = f"{MOST_INTERIM} interim answers and no final one"
        raise LocalReply(502, Termination.UPSTREAM_BAD, problem)

    def _wait_for_bytes(self) -> None:
        if self.is_late:
            self.is_late = False
            raise UpstreamError(504, Termination.UPSTREAM_SLOW, "the upstream did not answer in time")
        connection = self.connection
        assert connection is not None
        if self.body is not None:
            self.body.until_answer(connection)
        if self._wait is not None:
            self.connection = None  # `_wait` owns it
            self.connection = self._wait(connection, self._pool, self._target, self._check_time())
        elif not connection.buffer:
            connection.receive()

    def more(self, buffer: memoryview) -> int:
        """Wait for more of the response's body; returns the number of bytes read into `buffer`."""
        connection = self.connection
        assert connection is not None
        if self.body is not None:
            self.body.until_answer(connection)
        return connection.receive_into(buffer)

    def _check_time(self) -> float:
        """Seconds that the upstream has for its head; raises `LocalReply` 504 if no time is left."""
        if self._until is None:
            return self.limits.answer_timeout
        left = self._until - time.monotonic()
        if left <= 0:
            raise over()
        return min(left, self.limits.answer_timeout)

    # --- another upstream -----------------------------------------------------------------------

    def recover(self, trouble: LocalReply | Malformed) -> bool:
        """Whether the request is sent again after trouble: on a new connection, or to another upstream."""
        if self._place is None:
            return False
        unused = isinstance(trouble, UpstreamError) and trouble.retry_safe
        if unused and self.body is None and self.head.method in IDEMPOTENT:
            self._disconnect()
            self._fresh = True
            return True
        if trouble.status < 500 or (isinstance(trouble, LocalReply) and trouble.end in _OWN):
            self.failed = None  # the client or this proxy has failed
            return False
        self.failed = True
        if self._until is not None and time.monotonic() >= self._until:
            return False
        unreachable = isinstance(trouble, LocalReply) and trouble.end is Termination.UPSTREAM_UNREACHABLE
        return self.fail_over(trouble.status, refused=unreachable)

    def fail_over(self, status: int, *, refused: bool = False) -> bool:
        """Whether the request goes to another upstream: there is one, and the body can be sent again."""
        body: Pieces | None = []
        repeatable = not self._sent or self.head.method in IDEMPOTENT
        if repeatable and self.body is not None:
            body = self.body.again() if self._sent else self._first
        place = self._target.next(
            refused=refused and not self._sent, repeatable=repeatable and body is not None, status=status
        )
        if place is None:
            return False
        self._disconnect()
        self._place, self._first, self._fresh, self.failed = place, body, False, None
        return True

    # --- the end --------------------------------------------------------------------------------

    def detach(self) -> tuple[UpstreamConnection, Callable[[], None]]:
        """Give the connection away, because the upstream has switched protocols.

        Also returns what to call when the tunnel to the upstream has ended.
        """
        connection, self.connection = self.connection, None
        assert connection is not None
        self._pool.detach(connection)
        self._target.settled(False)
        self.over = True
        return connection, partial(self._target.finished, False)

    def finish(self, *, reusable: bool) -> None:
        """End the request at the upstream; release the connection if it is `reusable`, else close it."""
        self.over = True
        connection, self.connection = self.connection, None
        if connection is not None:
            if reusable:
                self._pool.release(connection)
            else:
                self._pool.close(connection)
        self._target.finished(self.failed)

    def _disconnect(self) -> None:
        if self.connection is not None:
            self._pool.close(self.connection)
            self.connection = None
