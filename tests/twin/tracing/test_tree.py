"""Spans of logs become trees: for every order of lines, with clocks that differ, and with lines missing."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from policies.bad_input import BadInput
from twin.tracing.picture import MOST_ROWS, waterfall_figure
from twin.tracing.spans import Span, read_logs
from twin.tracing.tree import Request, request_by_id, requests_in
from twin.tracing.waterfall import bar_of, print_waterfall

TRACE = "0af7651916cd43dd8448eb211c80319c"
NOON = 1_800_000_000.0


def span(number: int, parent: int = 0, start: float = 0.0, seconds: float = 1.0, **more: Any) -> Span:
    found = {
        "proxy": f"p{number}", "trace": TRACE, "span": f"{number:016x}",
        "parent": f"{parent:016x}" if parent else "", "start": NOON + start, "seconds": seconds,
        "status": 200, "what": "GET /", "service": "", "caller": "", "end": "done",
    }  # fmt: skip
    return Span(**found | more)


def tree(*spans: Span) -> Request:
    [request] = requests_in(spans)
    return request


def shape(request: Request) -> list[tuple[int, str]]:
    return [(node.depth, node.span.proxy) for node in request.nodes]


def line(number: int, parent: int = 0, ended: float = 1.0, **more: Any) -> str:
    entry = {
        "time": datetime.fromtimestamp(NOON + ended, UTC).isoformat(timespec="milliseconds"),
        "method": "GET", "target": f"http://cart/{number}", "status": 200, "trace": TRACE, "end": "done",
        "span": f"{number:016x}", "parent": f"{parent:016x}" if parent else None, "total_ms": 250.0,
        "service": "cart", "caller": None,
    }  # fmt: skip
    return json.dumps(entry | more) + "\n"


# --- trees -----------------------------------------------------------------------------------------


@st.composite
def forests(draw: st.DrawFn) -> list[Span]:
    """Spans in which each is asked by one before it, or by none."""
    count = draw(st.integers(1, 12))
    return [
        span(number, draw(st.integers(0, number - 1)), draw(st.floats(0, 2)), draw(st.floats(0, 2)))
        for number in range(1, count + 1)
    ]


@given(forests(), st.randoms())
def test_the_order_of_the_lines_does_not_matter(spans: list[Span], chance: random.Random) -> None:
    request = tree(*spans)
    shuffled = list(spans)
    chance.shuffle(shuffled)
    assert shape(tree(*shuffled)) == shape(request)
    assert {node.span.span for node in request.nodes} == {each.span for each in spans}
    places = {node.span.span: place for place, node in enumerate(request.nodes)}
    for node in request.nodes:
        for child in node.children:
            assert places[child.span.span] > places[node.span.span]
            assert (child.depth, child.span.parent) == (node.depth + 1, node.span.span)
        starts = [child.span.start for child in node.children]
        assert starts == sorted(starts)
    assert request.seconds >= max(each.seconds for each in spans) - 1e-6


@given(forests(), st.integers(1, 80))
def test_every_bar_is_inside_and_can_be_seen(spans: list[Span], width: int) -> None:
    request = tree(*spans)
    for node in request.nodes:
        bar = bar_of(request, node.span, width)
        assert len(bar) <= width and "█" in bar


def test_siblings_are_in_the_order_in_which_they_began() -> None:
    request = tree(span(1, seconds=5), span(2, 1, 3.0), span(3, 1, 1.0), span(4, 3, 1.2), span(5, 2, 3.5))
    assert shape(request) == [(0, "p1"), (1, "p3"), (2, "p4"), (1, "p2"), (2, "p5")]
    assert request.notes == []


def test_a_child_that_seems_to_begin_before_its_parent_is_told_with_how_much() -> None:
    early = span(2, 1, 0.0, 0.1)
    request = tree(span(1, 0, 0.0123), early)
    assert shape(request) == [(0, "p1"), (1, "p2")]
    assert request.notes == [
        "p2: seems to begin 12.3 ms before p1, which asked it: their clocks differ, so compare durations, "
        "not starts"
    ]
    assert request.offset(early) == 0.0


def test_what_a_log_rounds_is_no_contradiction() -> None:
    assert tree(span(1, 0, 0.0009), span(2, 1, 0.0)).notes == []


def test_a_span_that_no_log_has_is_told_of_once_for_each_proxy() -> None:
    request = tree(span(1), span(5, 9, 0.1), span(6, 9, 0.2, proxy="p5"))
    assert shape(request) == [(0, "p1"), (0, "p5"), (0, "p5")]
    assert request.notes == ["p5: asked by a span that is in none of these logs"]


def test_a_client_may_have_begun_the_trace() -> None:
    assert tree(span(1, 77), span(2, 1)).notes == []


def test_broken_logs_still_end() -> None:
    circle = tree(span(1, 2), span(2, 1), span(3, 3))
    assert sorted(proxy for _, proxy in shape(circle)) == ["p1", "p2", "p3"]
    twice = tree(span(1), span(1))
    assert len(twice.nodes) == 1 and "is a log here twice?" in twice.notes[0]


def test_the_slowest_request_is_the_first_and_an_id_chooses_another() -> None:
    slow, quick = span(1, seconds=2.0), span(2, seconds=1.0, trace="ab" * 16)
    requests = requests_in([quick, slow])
    assert [request.first for request in requests] == [slow, quick]
    assert request_by_id(requests, "ABa").first == quick
    for prefix, said in (("c", "no trace in these logs"), ("", "2 traces begin with it")):
        with pytest.raises(BadInput, match=f"^--request: .*{said}"):
            request_by_id(requests, prefix)


# --- what is shown ---------------------------------------------------------------------------------


def printed(request: Request, width: int) -> str:
    console = Console(file=io.StringIO(), width=width)
    print_waterfall(request, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [60, 100, 100_000])
def test_names_numbers_and_bars_are_there_however_wide_the_terminal_is(width: int) -> None:
    request = tree(span(1, service="cart"), span(2, 1, 0.25, 0.5, caller="p1", status=503))
    text = printed(request, width)
    for part in ("p1 → cart", "└─ p2 ← p1", "250.0", "500.0", "503", "█"):
        assert part in text


def test_a_picture_names_each_span_with_its_milliseconds_and_status() -> None:
    request = tree(span(1, service="cart"), span(2, 1, 0.25, 0.5, caller="p1", status=0, end="client-gone"))
    figure = waterfall_figure(request)
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert "500.0 ms, none client-gone" in texts and "p1 → cart  GET /" in texts
    assert "ms" in figure.axes[0].get_xlabel()
    starts = [patch.get_x() for patch in figure.axes[0].patches]
    assert starts == pytest.approx([0.0, 250.0])
    assert [bool(patch.get_hatch()) for patch in figure.axes[0].patches] == [False, True]


def test_a_picture_of_very_many_spans_says_that_it_shows_the_first() -> None:
    figure = waterfall_figure(tree(span(1), *(span(number, 1) for number in range(2, 90))))
    assert len(figure.axes[0].patches) == MOST_ROWS
    assert f"(the first {MOST_ROWS} of 89 spans)" in figure.texts[0].get_text()
    figure.savefig(io.BytesIO(), format="png", dpi=30)


# --- logs ------------------------------------------------------------------------------------------


def test_a_line_of_a_log_is_a_span(tmp_path: Path) -> None:
    (tmp_path / "front.log").write_text(line(7, 3, ended=2.0))
    [found] = read_logs([tmp_path / "front.log"]).spans
    assert (found.proxy, found.span, found.parent) == ("front", f"{7:016x}", f"{3:016x}")
    assert (found.start, found.seconds) == (pytest.approx(NOON + 1.75), 0.25)
    assert (found.who, found.what, found.outcome) == ("front → cart", "GET /7", "200")


def test_broken_lines_are_counted_and_the_rest_is_read(tmp_path: Path) -> None:
    log, odd = tmp_path / "front.log", '{"time": 1, "status": 200, "total_ms": "x"}\n'
    nonsense = line(3, time="never") + line(4, trace=None) + line(5, span="XYZ") + line(6, total_ms=None)
    log.write_text(line(1) + "half a li\n" + odd + nonsense + '"text"\n' + line(2)[:40])
    found = read_logs([log])
    assert [each.span for each in found.spans] == [f"{1:016x}"]
    assert found.oddities == [f"{log}: 3 lines are broken, the first is line 2"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read: no such file or directory"),
        ("", "is empty"),
        (
            '127.0.0.1 - - [30/Nov/2026:12:00:00 +0000] "GET / HTTP/1.1" 200 5 "-" "-"\n',
            "log.format = 'json'",
        ),
        (line(1, trace=None, span=None), "no line has a trace, a span and its times"),
    ],
)
def test_a_log_without_what_is_needed_is_one_line(tmp_path: Path, content: str | None, said: str) -> None:
    log = tmp_path / "front.log"
    if content is not None:
        log.write_text(content)
    with pytest.raises(BadInput) as refusal:
        read_logs([log])
    assert str(refusal.value).startswith(f"{log}: ") and said in str(refusal.value)


@pytest.mark.parametrize("total", [float("nan"), float("inf"), -1.0, 10**400, 1e308, True, "2"])
def test_a_line_whose_duration_is_none_is_no_span(tmp_path: Path, total: Any) -> None:
    (tmp_path / "front.log").write_text(line(1, total_ms=total) + line(2))
    assert [span.span for span in read_logs([tmp_path / "front.log"]).spans] == [f"{2:016x}"]


@pytest.mark.parametrize(("times", "said"), [(2, "1 line names a span"), (3, "2 lines name a span")])
def test_a_span_that_is_there_twice_is_told_of(times: int, said: str) -> None:
    [note] = tree(*[span(1)] * times).notes
    assert note.startswith(said)


def test_one_log_of_several_without_a_trace_is_only_told(tmp_path: Path) -> None:
    for name, content in (("front", line(1)), ("cart", line(2, trace=None))):
        (tmp_path / f"{name}.log").write_text(content)
    found = read_logs([tmp_path / "front.log", tmp_path / "cart.log"])
    assert len(found.spans) == 1
    assert [oddity.partition(": ")[0] for oddity in found.oddities] == [str(tmp_path / "cart.log")]


def test_a_log_that_is_given_twice_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "front.log").write_text(line(1))
    with pytest.raises(BadInput, match="is given twice"):
        read_logs([tmp_path / "front.log", tmp_path / ".." / tmp_path.name / "front.log"])


def test_what_clients_send_does_not_steer_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "front.log").write_text(line(1, target="/\x1b[2J[red]"))
    request = tree(*read_logs([tmp_path / "front.log"]).spans)
    assert "\x1b" not in printed(request, 100) and "[red]" in printed(request, 100)


# --- the command -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--request", "ff"], "--request: ff: no trace in these logs begins with it"),
        (["--request", "0a", "--slowest", "3"], "--slowest: 3: expected no --request beside it"),
        (["--slowest", "3", "--plot", "a.png"], "--plot: a.png: expected no --slowest"),
        (["--plot", "a.txt"], "--plot: a.txt: expected a name that ends in .png"),
    ],
)
def test_a_mistake_of_the_command_is_one_line(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path, options: list[str], said: str
) -> None:
    (tmp_path / "front.log").write_text(line(1))
    code, out, err = run("trace", tmp_path / "front.log", *options)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err
