"""Lesson 5, not only HTTP: its simulated and real conversations, figures and exercise."""

from __future__ import annotations

import io
import itertools
import math
import socket
import threading
import time
from collections.abc import Callable, Iterator

import matplotlib.image
import pytest

from lessons.kit import Exercise
from lessons.kit.display import png
from lessons.not_only_http import (
    WAYS,
    all_ways,
    chained,
    converse,
    enough_requests,
    explore_ways,
    figure_of_ways,
    redis_through,
    setup_share,
    what_goes_through,
)
from lessons.not_only_http.clients import receive, shout_through
from lessons.not_only_http.delay_line import DelayLine
from lessons.not_only_http.exercise import _CASES, _enough
from lessons.not_only_http.explorer import REQUESTS, ROUND_TRIPS_MS
from lessons.not_only_http.servers import shouting_server
from lessons.not_only_http.tunnel_measured import distant_proxy, measure_pipelined

EXCHANGES = {"raw TCP": 0, "CONNECT": 1, "SOCKS4a": 1, "SOCKS5": 2, "SOCKS5, login": 3}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("client_ms", "server_ms"), [(60, 20), (0, 50), (33, 0), (0, 0)])
@pytest.mark.parametrize("requests", [1, 7])
def test_the_simulation_agrees_with_the_formula(way, client_ms, server_ms, requests) -> None:
    found = converse(way, client_ms, server_ms, requests)
    setup = EXCHANGES[way] * client_ms
    assert found.first_ms == pytest.approx(setup + client_ms + server_ms)
    assert found.mean_ms == pytest.approx(client_ms + server_ms + setup / requests)
    assert len(found.messages) == 2 * EXCHANGES[way] + 4 * requests


def test_messages_follow_each_other_and_take_half_a_round_trip() -> None:
    messages = converse("SOCKS5, login", 60, 20).messages
    for before, after in itertools.pairwise(messages):
        assert (after.sender, after.sent) == (before.receiver, before.arrived)
    assert all(m.arrived - m.sent == (10 if "server" in (m.sender, m.receiver) else 30) for m in messages)


@pytest.mark.parametrize(
    ("client_ms", "server_ms", "requests"),
    list(itertools.product(ROUND_TRIPS_MS[:2], ROUND_TRIPS_MS[:2], REQUESTS[:2])),
)
def test_every_corner_of_the_sliders_is_answered_in_under_a_second(
    client_ms, server_ms, requests, in_a_second
) -> None:
    data = in_a_second(lambda: png(figure_of_ways(client_ms, server_ms, requests, "SOCKS5, login")))
    assert matplotlib.image.imread(io.BytesIO(data)).shape[:2] == (429, 1210)


def test_the_picture_follows_every_control() -> None:
    explorer = explore_ways()
    seen = [explorer.picture.data]
    for control, value in ((explorer.client_ms, 100), (explorer.server_ms, 0), (explorer.requests, 9)):
        control.value = value
        seen.append(explorer.picture.data)
    explorer.way.value = "CONNECT"
    seen.append(explorer.picture.data)
    assert len(set(seen)) == 5


# --- on the wire -------------------------------------------------------------------------------


@pytest.fixture
def shouting() -> Iterator[int]:
    with shouting_server() as port:
        yield port


def dialled(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=30)


def test_a_delay_line_delays_each_way_and_keeps_order_and_ends(shouting: int) -> None:
    with (
        DelayLine(shouting, 60) as line,
        socket.create_connection(("127.0.0.1", line.port), timeout=30) as sock,
    ):
        began = time.monotonic()
        for number in range(100):
            sock.sendall(b"line %d\n" % number)
        sock.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: sock.recv(4096), b""))
        assert answer == b"".join(b"LINE %d\n" % number for number in range(100))
        assert time.monotonic() - began >= 0.060


def test_a_delay_line_carries_much_both_ways() -> None:
    blob = b"x" * 500_000
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        DelayLine(server.getsockname()[1], 4) as line,
        dialled(line.port) as near,
    ):
        far, _ = server.accept()
        with far:
            far.settimeout(30)
            for source, sink in ((near, far), (far, near)):
                sender = threading.Thread(target=source.sendall, args=(blob,))
                sender.start()
                assert receive(sink, len(blob)) == blob
                sender.join()


@pytest.mark.parametrize("way", WAYS)
def test_a_real_proxy_needs_the_simulated_round_trips(way: str) -> None:
    predicted = converse(way, 30, 10).first_ms
    with distant_proxy(30, 10) as (ports, target):
        for _ in range(40):  # a busy machine makes some of them late
            answer, took_ms = shout_through(way, ports[way], target)
            assert answer == b"IS A PROXY ONLY FOR HTTP?\n"
            assert took_ms >= predicted
            if took_ms < predicted + 28:  # less than one more round trip
                return
    pytest.fail("it always takes a round trip more")


def test_impatience_saves_all_round_trips_of_the_setup() -> None:
    predicted = {way: converse(way, 30, 10).first_ms for way in WAYS}
    assert any(
        predicted["raw TCP"] <= took_ms < predicted["CONNECT"]
        for _ in range(20)
        for took_ms in measure_pipelined(30, 10, repeats=2)
    )


def test_what_is_not_http_goes_through_once_the_proxy_was_asked() -> None:
    found = what_goes_through()
    text = found.answers["lines of text"]
    assert text == {"HTTP port, no setup": "HTTP/1.1 400 Bad Request"} | dict.fromkeys(
        ("CONNECT", "SOCKS5", "raw TCP"), "HELLO"
    )
    assert found.answers["HTTP"]["SOCKS5"].endswith("200 OK")
    assert found.answers["HTTP"]["HTTP port, no setup"].endswith("404 Not Found")
    assert "HELLO" in found._repr_html_() and "HELLO" in repr(found)


@pytest.mark.needs("redis-server")
@pytest.mark.parametrize("way", ["raw TCP", "SOCKS5"])
def test_a_real_redis_answers_through_the_proxy(way: str) -> None:
    assert redis_through(way, "PING", "SET a 41", "INCR a", "GET a", "GET b") == [
        "+PONG", "+OK", ":42", "42", "$-1",
    ]  # fmt: skip


def test_forward_and_reverse_work_in_a_row_and_on_one_port() -> None:
    passages = chained()
    assert [each.status for each in passages] == [200] * 5
    assert [each.via.count("proxytwin") for each in passages] == [1, 1, 2, 1, 1]
    assert "proxytwin" in passages._repr_html_()


# --- the exercise ------------------------------------------------------------------------------


@pytest.fixture
def exercise() -> Iterator[Exercise]:
    enough_requests.wrong_answers = 0
    yield enough_requests
    enough_requests.wrong_answers = 0


def right(client_ms: float, server_ms: float, setup: int, share: float) -> int:
    return math.ceil(setup * client_ms * (1 - share) / (share * (client_ms + server_ms)) - 1e-9)


def test_the_right_answer_is_what_the_simulation_says(exercise: Exercise) -> None:
    assert exercise.check(right).right
    for client_ms, server_ms, setup, share in _CASES:
        way = next(name for name, count in EXCHANGES.items() if count == setup)
        enough = _enough(client_ms, server_ms, setup, share)
        assert setup_share(way, client_ms, server_ms, enough) <= share + 1e-9
        assert enough == 1 or setup_share(way, client_ms, server_ms, enough - 1) > share


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda c, s, n, p: n * c * (1 - p) / (p * (c + s)), "round up"),
        (lambda c, s, n, p: math.ceil(n * c / (p * (c + s))), "setup included"),
        (lambda *_: 3, "still takes 33 %"),
        (lambda *_: 100, "fewer are enough, too"),
        (lambda *_: 14, "not for"),
        (lambda *_: -1, "still takes 100 %"),
    ],
)
def test_known_mistakes_are_named(exercise: Exercise, answer: Callable[..., object], said: str) -> None:
    feedback = exercise.check(answer)
    assert feedback.right is False
    assert said in feedback.text and "Hint 1 of 3" in feedback.text


@pytest.mark.parametrize("answer", [None, ..., lambda *_: ..., lambda *_: None])
def test_no_answer_is_no_wrong_answer(exercise: Exercise, answer: object) -> None:
    assert exercise.check(answer).right is None


def test_all_ways_are_known_to_both_worlds() -> None:
    from lessons.not_only_http.clients import SETUP

    assert list(SETUP) == list(WAYS) == list(all_ways(1, 1)) == list(EXCHANGES)
