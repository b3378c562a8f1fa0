"""One thread runs calls, timers and socket handlers; a fault costs the one that is served."""

import os
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from realproxy.runtime.event_loop import EventLoop

SECONDS = 30.0


@pytest.fixture
def loop() -> Iterator[EventLoop]:
    made = EventLoop("test-loop")
    yield made
    made.stop()


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> list[type[BaseException]]:
    """The types of the exceptions that are reported."""
    reported: list[type[BaseException]] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: reported.append(args.exc_type))
    return reported


@pytest.fixture
def pair(loop: EventLoop) -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair()
    with one, other:
        yield one, other
        loop.stop()  # which watches them


def run(loop: EventLoop, function: Callable[[], object]) -> None:
    """Have the loop call a function, and wait until it has returned."""
    done = threading.Event()
    assert loop.call(lambda: (function(), done.set())[1])
    assert done.wait(SECONDS)


def fail(*_: object) -> None:
    raise ZeroDivisionError


def test_calls_run_in_the_loops_thread_and_in_order(loop: EventLoop) -> None:
    ran: list[tuple[int, int]] = []
    threads: set[str] = set()

    def note(caller: int, number: int) -> None:
        threads.add(threading.current_thread().name)
        ran.append((caller, number))

    def call(caller: int) -> None:
        for number in range(500):
            loop.call(partial(note, caller, number))

    callers = [threading.Thread(target=call, args=(caller,)) for caller in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    run(loop, lambda: None)
    assert threads == {"test-loop"}
    for caller in range(4):
        assert [number for one, number in ran if one == caller] == list(range(500))


def test_a_call_that_queues_calls_does_not_keep_events_from_being_handled(loop, pair) -> None:
    one, other = pair
    seen = threading.Event()

    def again() -> None:
        if not seen.is_set():
            loop.call(again)

    loop.call(lambda: loop.watch(one, select.EPOLLIN, lambda *_: (loop.forget(one), seen.set())))
    loop.call(again)
    other.send(b"x")
    assert seen.wait(SECONDS)


def test_timers_run_in_the_order_of_their_times_and_not_before(loop: EventLoop) -> None:
    ran: list[tuple[str, float]] = []
    done = threading.Event()
    start = time.monotonic()

    def set_timers() -> None:
        loop.at(start + 0.06, lambda now: (ran.append(("third", now)), done.set()))
        loop.at(start + 0.02, lambda now: ran.append(("first", now)))
        loop.at(start + 0.04, lambda now: ran.append(("second", now)))
        loop.at(start + 0.04, lambda now: ran.append(("and one that was set later", now)))

    loop.call(set_timers)
    assert done.wait(SECONDS)
    assert [name for name, _ in ran] == ["first", "second", "and one that was set later", "third"]
    assert all(now >= start + due for (_, now), due in zip(ran, (0.02, 0.04, 0.04, 0.06), strict=True))


def test_a_cancelled_timer_does_not_run_even_if_it_is_due(loop: EventLoop) -> None:
    ran: list[str] = []
    done = threading.Event()

    def set_timers() -> None:
        now = time.monotonic()
        loop.at(now, lambda _: second.cancel())
        second = loop.at(now, lambda _: ran.append("second"))
        loop.at(now + 0.01, lambda _: done.set())
        loop.at(now + 0.005, lambda _: ran.append("third")).cancel()

    loop.call(set_timers)
    assert done.wait(SECONDS)
    assert ran == []


def test_a_socket_has_its_handler_called_until_it_is_forgotten(loop, pair, until) -> None:
    one, other = pair
    got: list[tuple[int, bytes]] = []
    run(loop, lambda: loop.watch(one, select.EPOLLIN, lambda events, _: got.append((events, one.recv(9)))))
    other.send(b"a")
    until(lambda: got == [(select.EPOLLIN, b"a")])
    run(loop, lambda: loop.watch(one, select.EPOLLIN, lambda *_: got.append((0, one.recv(9)))))
    other.send(b"b")
    until(lambda: got[1:] == [(0, b"b")])
    run(loop, lambda: loop.watch(one, 0, fail))
    other.close()  # epoll reports a hang-up unless the socket is unregistered
    run(loop, lambda: None)
    assert len(got) == 2


def test_what_raises_costs_only_itself(loop, pair, faults, until) -> None:
    one, other = pair
    third, fourth = socket.socketpair()
    ran: list[str] = []

    def prepare() -> None:
        loop.watch(one, select.EPOLLIN, fail)
        loop.watch(third, select.EPOLLIN, lambda *_: ran.append(third.recv(9).decode()))
        loop.at(time.monotonic(), fail)
        loop.at(time.monotonic(), lambda _: ran.append("timer"))

    with third, fourth:
        loop.call(fail)
        run(loop, prepare)
        until(lambda: "timer" in ran)
        other.send(b"x")
        until(lambda: len(faults) == 3)
        other.send(b"x")
        fourth.send(b"socket")
        until(lambda: "socket" in ran)
        run(loop, lambda: None)
        assert faults == [ZeroDivisionError] * 3, "the handler that has raised is not called again"
        run(loop, lambda: loop.watch(one, select.EPOLLIN, lambda *_: ran.append(one.recv(9).decode())))
        until(lambda: "xx" in ran)  # it may be watched again
        loop.stop()


def test_an_event_of_a_closed_socket_does_not_reach_the_next_one_with_its_number(loop, until) -> None:
    """Both sockets have an event when the handler of one closes the other, and opens one with its number."""
    (one, one_end), (other, other_end), (spare, spare_end) = (socket.socketpair() for _ in range(3))
    opened: list[socket.socket] = []
    called: list[str] = []

    def replace(mine: socket.socket, closed: socket.socket, *_: object) -> None:
        mine.recv(9)
        loop.forget(closed)
        number = closed.detach()
        os.dup2(spare.fileno(), number)
        opened.append(socket.socket(fileno=number))
        loop.watch(opened[0], select.EPOLLIN, lambda *_: called.append("of a socket that nothing came for"))

    def prepare() -> None:
        one_end.send(b"x")
        other_end.send(b"x")
        loop.watch(one, select.EPOLLIN, partial(replace, one, other))
        loop.watch(other, select.EPOLLIN, partial(replace, other, one))

    run(loop, prepare)
    until(lambda: opened)
    run(loop, lambda: None)
    assert called == []
    loop.stop()
    for sock in (one, one_end, other, other_end, spare, spare_end, *opened):
        sock.close()


def test_a_stop_runs_what_is_queued_and_then_what_is_to_be_closed(loop: EventLoop) -> None:
    entered, go_on = threading.Event(), threading.Event()
    ran: list[str] = []

    def block() -> None:
        entered.set()
        go_on.wait(SECONDS)

    loop.at_stop.extend([lambda: ran.append("closed last"), lambda: ran.append("closed first")])
    loop.call(block)
    assert entered.wait(SECONDS)
    for number in range(3):
        loop.call(lambda number=number: ran.append(f"call {number}"))
    stopper = threading.Thread(target=loop.stop)
    stopper.start()
    go_on.set()
    stopper.join(SECONDS)
    assert not loop.thread.is_alive()
    assert ran == ["call 0", "call 1", "call 2", "closed first", "closed last"]


def test_a_fault_at_the_stop_does_not_keep_the_rest_from_being_closed(loop, faults) -> None:
    ran: list[str] = []
    loop.at_stop.extend([lambda: ran.append("closed"), fail])
    loop.stop()
    assert (ran, faults) == (["closed"], [ZeroDivisionError])


def test_a_call_after_the_stop_does_nothing_and_writes_into_nobody_elses_descriptor(loop: EventLoop) -> None:
    ran: list[int] = []
    number = loop._wake
    loop.stop()
    other = os.eventfd(0, os.EFD_NONBLOCK)
    os.dup2(other, number)
    try:
        assert not loop.call(lambda: ran.append(1))
        loop.stop()  # once more
        with pytest.raises(BlockingIOError):
            os.eventfd_read(other)
    finally:
        os.close(other)
        os.close(number)
    assert ran == []
