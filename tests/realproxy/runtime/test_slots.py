"""Slots: never more holders than slots, first come first served, and no thread waits for a slot."""

import threading
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realproxy import Limits
from realproxy.runtime.slots import Slots

STEPS = st.lists(
    st.one_of(st.just("come"), st.just("at once"), st.just("go"), st.integers(1, 5)), max_size=60
)


@given(STEPS)
def test_places_are_given_in_the_order_of_asking_and_none_twice(steps):
    """Compared with a model: the holders, the queue, and the order of admission."""
    seated: list[int] = []
    places: Slots[int] = Slots(2, seated.append)
    limit, inside, line, expected = 2, 0, deque(), []

    def let_in() -> None:
        nonlocal inside
        while line and inside < limit:
            expected.append(line.popleft())
            inside += 1

    for number, step in enumerate(steps):
        if step == "come":
            line.append(number)
            places.enqueue(number)
        elif step == "at once":
            assert places.try_acquire() == (inside < limit)
            inside += inside < limit
        elif step == "go" and inside:
            inside -= 1
            let_in()
            places.release()
        elif isinstance(step, int):
            places.adopt(limit := step)
        let_in()
        assert seated == expected
        assert places.waiting == len(line)
    assert places.drain() == list(line)
    assert places.waiting == 0


def test_places_are_counted_right_by_many_threads_at_once():
    inside = threading.Semaphore(3)
    seated: deque[int] = deque()
    wrong: list[int] = []

    def come_in(guest: int) -> None:
        if not inside.acquire(blocking=False):
            wrong.append(guest)
        seated.append(guest)

    places: Slots[int] = Slots(3, come_in)

    def leave() -> bool:
        try:
            seated.popleft()
        except IndexError:
            return False
        inside.release()
        places.release()
        return True

    def visit(first: int) -> None:
        for guest in range(first, first + 2_000):
            places.enqueue(guest)
            leave()

    threads = [threading.Thread(target=visit, args=(10_000 * number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    while leave():
        pass
    assert not wrong
    assert places.waiting == 0


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_who_awaits_an_upstream_without_a_thread_finds_one_however_many_wait(
    origin, serve, wire, until, threads
):
    """Every slot is held by a request that awaits a long response, which a worker sends; others queue."""
    gate, arrived = threading.Event(), []
    warm = threading.Barrier(threads)
    body = bytes(3_000_000)

    def script(asked):
        if asked.target == "/warm":
            warm.wait(10)
            return b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        arrived.append(asked.target)
        gate.wait(30)
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body

    proxy = serve(origin(script), limits=Limits(threads=threads, drain="1s"))
    clients = [wire(proxy).send("GET /warm HTTP/1.1\r\nHost: a\r\n\r\n") for _ in range(threads)]
    assert [client.answer().status for client in clients] == [200] * threads
    for client in clients:
        client.send("GET /first HTTP/1.1\r\nHost: a\r\n\r\n")
    until(lambda: proxy.stats()["awaiting"] == len(arrived) == threads)
    clients += [wire(proxy).send("GET /later HTTP/1.1\r\nHost: a\r\n\r\n") for _ in range(2 * threads)]
    until(lambda: proxy.stats()["queued"] == 2 * threads)
    gate.set()
    assert [len(client.answer().body) for client in clients] == [len(body)] * 3 * threads
    assert arrived == ["/first"] * threads + ["/later"] * 2 * threads
