"""A round trip: which connection a request is sent on, and where it goes when that fails."""

import time
from collections.abc import Callable

import pytest

from realproxy import Limits
from realproxy.errors import Aborted, LocalReply, Termination, UpstreamError, WouldBlock
from realproxy.http1 import Malformed, parse_request
from realproxy.messages.record import RequestRecord
from realproxy.runtime.blocking import BlockedThreads
from realproxy.upstream.endpoint import Endpoint
from realproxy.upstream.round_trip import RoundTrip
from realproxy.upstream.target import UpstreamTarget

GET, POST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"POST / HTTP/1.1\r\nHost: a\r\n\r\n"
UPLOAD = b"%b / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"
OK, BUSY = (b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % status for status in (200, 503))
EARLY = b"HTTP/1.1 103 X\r\n\r\n"
ENDED = UpstreamError(502, Termination.UPSTREAM_BROKEN, "ended")
UNUSED = UpstreamError(502, Termination.UPSTREAM_BROKEN, "ended", retry_safe=True)
LATE = UpstreamError(504, Termination.UPSTREAM_SLOW, "late")
REFUSED = UpstreamError(502, Termination.UPSTREAM_UNREACHABLE, "refused")
STOPPED = UpstreamError(503, Termination.STOPPED, "stopping")


class Connection:
    """Answers with what it was made with: bytes, or an error; nothing has arrived if there is nothing."""

    def __init__(self, *answers: bytes | Exception, reused: bool = False, takes: bool = True) -> None:
        self.answers, self.reused, self.takes = list(answers), reused, takes
        self.buffer, self.deadline, self.timeout = b"", None, 0.0
        self.sent: list[bytes] = []

    def send(self, pieces: list[bytes]) -> None:
        self.sent.append(b"".join(pieces))

    def try_send(self, data: bytes) -> bool:
        if self.takes:
            self.sent.append(data)
        return self.takes

    def receive(self) -> None:
        found = self.answers.pop(0)
        if isinstance(found, Exception):
            raise found
        self.buffer += found

    def try_receive(self) -> bool:
        if self.answers:
            self.receive()
            return True
        return False

    def read_head(self, limit: int, timeout: float) -> bytes:
        while (end := self.buffer.find(b"\r\n\r\n")) < 0:
            self.receive()
        head, self.buffer = self.buffer[: end + 4], self.buffer[end + 4 :]
        return head


class Pool:
    """Has these connections, in this order; an error stands for one that cannot be made."""

    def __init__(self, *connections: Connection | Exception) -> None:
        self.waits = BlockedThreads()
        self.left = list(connections)
        self.fresh: list[bool] = []
        self.closed: list[Connection] = []
        self.released: list[Connection] = []
        self.acquired: list[Endpoint] = []

    def acquire(self, endpoint: Endpoint, *, fresh: bool = False, seconds: float = 0.0) -> Connection:
        self.fresh.append(fresh)
        self.acquired.append(endpoint)
        found = self.left.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    def acquire_idle(self, endpoint: Endpoint) -> Connection | None:
        if self.left and isinstance(self.left[0], Connection) and self.left[0].reused:
            return self.acquire(endpoint)
        return None

    def close(self, connection: Connection) -> None:
        self.closed.append(connection)

    def release(self, connection: Connection) -> None:
        self.released.append(connection)


class Target(UpstreamTarget):
    """So many places, one after the other, whatever fails; notes what it is asked."""

    __slots__ = ("asked", "begun", "ended", "places")

    def __init__(self, places: int) -> None:
        self.places = [(Endpoint([("127.0.0.1", number)]), b"to %d " % number) for number in range(places)]
        super().__init__(Endpoint([("127.0.0.1", 0)]), b"not sent")
        self.begun = 0
        self.asked: list[tuple[bool, bool]] = []
        self.ended: list[bool | None] = []

    def begin(self, may_block: bool):
        self.begun += 1
        return self.places.pop(0)

    def next(self, *, refused: bool, repeatable: bool, status: int):
        self.asked.append((refused, repeatable))
        return self.places.pop(0) if self.places and (refused or repeatable) else None

    def finished(self, failed: bool | None) -> None:
        self.ended.append(failed)


class Client:
    """Has sent the body of its request already, and takes interim responses."""

    pace = None

    def __init__(self, body: bytes = b"") -> None:
        self.buffer = body
        self.taken: list[bytes] = []

    def send(self, pieces: list[bytes]) -> int:
        self.taken += pieces
        return sum(map(len, pieces))

    def reset_on_close(self) -> None:
        raise AssertionError


class Trip:
    """A round trip with all that it uses."""

    def __init__(
        self,
        *connections: Connection | Exception,
        request: bytes = GET,
        body: bytes = b"",
        places: int = 3,
        **limits,
    ) -> None:
        self.connections = connections
        self.pool, self.target, self.client = Pool(*connections), Target(places), Client(body)
        self.record = RequestRecord("127.0.0.1", time.monotonic(), time.monotonic())
        self.trip = RoundTrip(
            self.pool,
            Limits(**limits),
            self.client,
            self.client,
            self.record,
            parse_request(request),
            self.target,
        )

    def run(self) -> int | Exception:
        """Go on as a worker until there is a response; returns its status, or why there is none."""
        trip = self.trip
        while True:
            try:
                if trip.connection is None:
                    trip.open(True)
                trip.send(True)
                head = trip.wait_for_head()
            except (LocalReply, Malformed) as trouble:
                if trip.recover(trouble):
                    continue
                return trouble
            if not (trip.failed and trip.fail_over(503)):
                return head.status

    def close(self) -> None:
        self.trip.finish(reusable=False)


def test_a_kept_connection_that_has_ended_is_replaced_by_a_new_one_to_the_same_upstream():
    trip = Trip(old := Connection(UNUSED, reused=True), new := Connection(OK))
    assert trip.run() == 200
    assert (old.sent, new.sent) == ([b"to 0 "], [b"to 0 "])
    assert (trip.pool.fresh, trip.pool.closed) == ([False, True], [old])
    assert (trip.target.begun, trip.target.asked) == (1, [])
    assert not trip.record.reused
    trip.close()
    assert trip.target.ended == [False]


@pytest.mark.parametrize(
    ("request_", "body"), [(POST, b""), (UPLOAD % b"POST", b"hello")], ids=["without a body", "with one"]
)
def test_a_post_is_not_sent_twice(request_, body):
    trip = Trip(Connection(UNUSED, reused=True), Connection(OK), request=request_, body=body)
    assert trip.run() is UNUSED
    assert trip.target.asked == [(False, False)]
    assert trip.trip.failed


def test_a_put_with_a_body_goes_to_another_upstream_with_it():
    trip = Trip(
        first := Connection(UNUSED, reused=True),
        second := Connection(OK),
        request=UPLOAD % b"PUT",
        body=b"hello",
    )
    assert trip.run() == 200
    assert (first.sent, second.sent) == ([b"to 0 hello"], [b"to 1 hello"])
    assert trip.target.asked == [(False, True)]


@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_a_refused_connection_goes_to_the_next_whatever_the_method(method):
    trip = Trip(REFUSED, REFUSED, Connection(OK), request=UPLOAD % method, body=b"hello")
    assert trip.run() == 200
    assert trip.connections[2].sent == [b"to 2 hello"]
    assert trip.target.asked == [(True, True)] * 2


def test_when_none_is_left_the_last_trouble_is_told():
    trip = Trip(REFUSED, REFUSED, places=2)
    assert trip.run() is REFUSED
    assert trip.trip.failed
    trip.close()
    assert trip.target.ended == [True]


@pytest.mark.parametrize("trouble", [ENDED, LATE, Malformed(502, "bad")], ids=str)
@pytest.mark.parametrize(("request_", "status"), [(GET, 200), (POST, None)])
def test_what_was_sent_is_sent_again_only_if_it_is_idempotent(trouble, request_, status):
    trip = Trip(first := Connection(trouble), Connection(OK), request=request_)
    found = trip.run()
    assert found == status if status else found is trouble
    assert trip.target.asked == [(False, request_ is GET)]
    assert first in trip.pool.closed or trip.trip.connection is first


@pytest.mark.parametrize(("request_", "status"), [(GET, 200), (POST, 503)])
def test_a_failure_status_goes_elsewhere_if_the_request_is_idempotent(request_, status):
    trip = Trip(first := Connection(BUSY), Connection(OK), request=request_)
    assert trip.run() == status
    assert (trip.trip.failed, first in trip.pool.closed) == (status == 503, status == 200)


def test_the_last_failure_status_is_passed_on():
    trip = Trip(*[Connection(BUSY) for _ in range(3)])
    assert trip.run() == 503
    assert trip.trip.connection is trip.connections[2]
    assert len(trip.pool.closed) == 2


@pytest.mark.parametrize(
    "trouble", [STOPPED, LocalReply(408, Termination.CLIENT_SLOW, "slow"), Malformed(400, "bad")], ids=str
)
def test_what_no_upstream_is_to_blame_for_is_nobodys_failure(trouble):
    trip = Trip(Connection(trouble), Connection(OK))
    assert trip.run() is trouble
    assert trip.trip.failed is None
    trip.close()
    assert (trip.target.asked, trip.target.ended) == ([], [None])


def test_before_an_upstream_is_picked_there_is_nothing_to_recover():
    trip = Trip(places=0)
    assert not trip.trip.recover(UNUSED)
    assert trip.target.asked == []


def test_a_kept_connection_that_ends_after_an_interim_response_has_failed():
    trip = Trip(first := Connection(EARLY, UNUSED, reused=True), second := Connection(OK))
    first_broken = first.receive

    def receive() -> None:
        if not first.reused and first.answers == [UNUSED]:
            raise ENDED  # as `UpstreamConnection` says of a connection that is not `reused`
        first_broken()

    first.receive = receive
    assert trip.run() == 200
    assert trip.target.asked == [(False, True)]
    assert second.sent == [b"to 1 "]
    assert len(trip.client.taken) == 1


def test_request_timeout_is_for_all_attempts_together():
    trip = Trip(Connection(ENDED), Connection(OK), request_timeout="1s")
    trip.record.arrived -= 0.5
    trip.trip._until -= 0.5
    assert trip.run() == 200
    assert trip.connections[1].deadline == trip.trip._until
    trip = Trip(Connection(ENDED), Connection(OK), request_timeout="1s")
    receive = trip.connections[0].receive

    def late() -> None:
        trip.trip._until -= 2.0
        receive()

    trip.connections[0].receive = late
    assert trip.run() is ENDED
    assert (trip.target.asked, trip.trip.failed) == ([], True)


def test_request_timeout_ends_before_a_connection_is_made():
    trip = Trip(Connection(OK), request_timeout="1s")
    trip.trip._until -= 2.0
    trouble = trip.run()
    assert isinstance(trouble, LocalReply)
    assert (trouble.status, trouble.end) == (504, Termination.UPSTREAM_SLOW)
    assert trip.pool.acquired == []


def test_an_upstream_that_has_had_its_time_is_not_waited_for():
    trip = Trip(first := Connection(OK), second := Connection(OK))
    trip.trip.is_late = True
    assert trip.run() == 200
    assert (first.sent, second.sent) == ([b"to 0 "], [b"to 1 "])


def test_an_upstream_that_never_comes_to_the_final_response_has_failed():
    trip = Trip(Connection(EARLY * 100), places=1)
    trouble = trip.run()
    assert isinstance(trouble, LocalReply)
    assert (trouble.status, trouble.end) == (502, Termination.UPSTREAM_BAD)


def test_an_aborted_client_is_passed_on():
    trip = Trip(Connection(Aborted()))
    with pytest.raises(Aborted):
        trip.run()
    assert not trip.trip.over
    trip.close()
    assert trip.pool.closed == [trip.connections[0]]


# --- without waiting --------------------------------------------------------------------------------


def would_block(function: Callable[..., object], *arguments: object) -> None:
    with pytest.raises(WouldBlock):
        function(*arguments)


def test_without_an_idle_connection_a_worker_goes_on_with_the_same_upstream():
    trip = Trip(Connection(OK))
    would_block(trip.trip.open, False)
    assert trip.run() == 200
    assert (trip.target.begun, trip.pool.fresh) == (1, [False])


def test_what_an_idle_connection_does_not_take_is_sent_on_a_new_one():
    trip = Trip(old := Connection(reused=True, takes=False), new := Connection(OK))
    trip.trip.open(False)
    would_block(trip.trip.send, False)
    assert trip.pool.closed == [old]
    would_block(trip.trip.open, False)
    assert trip.run() == 200
    assert (trip.target.begun, trip.pool.fresh, new.sent) == (1, [False, True], [b"to 0 "])


@pytest.mark.parametrize(
    "arrived",
    [b"HTTP/1.1 2", BUSY, EARLY + OK, b"HTTP/1.1 200 X\r\nContent-Length: x\r\n\r\n", b""],
    ids=["a part", "a failure", "interim", "malformed", "the end"],
)
def test_what_needs_a_second_thought_is_left_to_a_worker(arrived):
    connection = Connection(arrived, reused=True)
    trip = Trip(connection, Connection(OK))
    trip.trip.open(False)
    trip.trip.send(False)
    assert trip.trip.try_receive_head() is None  # it was sent just now
    would_block(trip.trip.try_receive_head)
    assert connection.buffer == arrived
    assert trip.trip.failed is None


def test_nothing_that_must_be_waited_for_is_begun():
    trip = Trip(Connection(OK, reused=True), request=UPLOAD % b"POST")
    would_block(trip.trip.open, False)
    assert trip.target.begun == 0


def test_a_time_limit_needs_no_worker_and_holds_for_the_connection():
    trip = Trip(connection := Connection(OK, reused=True), request_timeout="1s")
    trip.trip.open(False)
    assert trip.trip.due == connection.deadline
    assert 0.0 < connection.deadline - time.monotonic() <= 1.0


def test_the_end_comes_once():
    trip = Trip(connection := Connection(OK))
    assert trip.run() == 200
    trip.trip.finish(reusable=True)
    assert (trip.pool.released, trip.pool.closed, trip.target.ended) == ([connection], [], [False])
    assert trip.trip.over
