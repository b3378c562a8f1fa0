"""The formats of the access log. They are put together for speed; here is what they are to say."""

import json
import math
import re
import time
from datetime import UTC, datetime

from hypothesis import example, given
from hypothesis import strategies as st

from realproxy.errors import Termination
from realproxy.http1 import Fields, RequestHead, parse_request
from realproxy.http1.request import check_block
from realproxy.messages.record import RequestRecord
from realproxy.observe.log_format import SHORT, format_combined, format_json


def exchange(head: bytes) -> RequestRecord:
    record = RequestRecord("203.0.113.7", 1.0, 1.001)
    record.head = parse_request(head)
    record.status, record.sent, record.ended = 200, 12, 1.5
    return record


def test_the_combined_format_is_that_of_apache():
    line = format_combined(
        exchange(b'GET /a?b HTTP/1.1\r\nHost: a\r\nReferer: http://x/\r\nUser-Agent: cu"rl\xff\r\n\r\n'), 0.0
    )
    assert line == (
        '203.0.113.7 - - [01/Jan/1970:00:00:00 +0000] "GET /a?b HTTP/1.1" 200 12 '
        '"http://x/" "cu\\x22rl\\xff"\n'
    )
    assert re.fullmatch(
        r'\S+ - - \[.+\] "-" - 0 "-" "-"\n', format_combined(RequestRecord("::1", 1.0, 1.0), 0.0)
    )


def test_no_field_can_forge_a_line():
    line = format_json(exchange(b'GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: "},\xe2\x80\xa8\r\n\r\n'), 0.0)
    assert line.count("\n") == 1
    assert line.isascii()
    assert json.loads(line)["user_agent"].startswith('"},')


# --- what the lines are to be, in plain words ---------------------------------------------------


def ms(start: float, end: float) -> float | None:
    return round((end - start) * 1000, 3) if start and end else None


def text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")


def plain_json(record: RequestRecord, wall: float) -> str:
    head = record.head
    fields = {
        "time": datetime.fromtimestamp(wall, UTC).isoformat(timespec="milliseconds"),
        "client": record.client,
        "caller": record.caller or None,
        "side": record.side,
        "method": head.method if head else None,
        "host": text(head.authority) if head else None,
        "target": text(head.target) if head else None,
        "status": record.status or None,
        "bytes": record.sent,
        "received": record.received,
        "route": record.route,
        "service": record.service or None,
        "upstream": record.upstream or None,
        "attempts": record.attempts,
        "fault": record.fault or None,
        "reused": record.reused,
        "cache": record.cache or None,
        "end": record.end,
        "detail": record.detail or None,
        "user": record.user or None,
        "trace": record.trace or None,
        "span": record.span or None,
        "parent": record.parent or None,
        "queue_ms": ms(record.arrived, record.picked),
        "connect_ms": round(record.connecting * 1000, 3) if record.asked else None,
        "first_byte_ms": ms(record.asked, record.answered),
        "total_ms": ms(record.arrived, record.ended),
        "referer": text(head.fields.get(b"referer")) if head else None,
        "user_agent": text(head.fields.get(b"user-agent")) if head else None,
    }
    return json.dumps(fields) + "\n"


def quoted(value: bytes | None) -> str:
    if not value:
        return "-"
    return "".join(
        chr(byte) if 32 <= byte < 127 and byte not in (34, 92) else f"\\x{byte:02x}" for byte in value
    )


def plain_combined(record: RequestRecord, wall: float) -> str:
    when = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(wall))
    head = record.head
    line = f"{head.method} {quoted(head.target)} HTTP/1.{head.minor}" if head else "-"
    referer = quoted(head.fields.get(b"referer") if head else None)
    agent = quoted(head.fields.get(b"user-agent") if head else None)
    user, caller = quoted(record.user.encode()), quoted(record.caller.encode())
    return (
        f'{record.client} {caller} {user} [{when}] "{line}" {record.status or "-"} {record.sent} '
        f'"{referer}" "{agent}"\n'
    )


VALUE = st.none() | st.binary(max_size=20) | st.just(b'Mozilla/5.0 "x" \\ \xff\x7f' * 20)
WORD = (
    st.text(max_size=8)
    | st.text('ab"', min_size=SHORT, max_size=SHORT + 9)
    | st.sampled_from(["", "-", 'a"b\\\n', "\u2028\U0001f600"])
)
SECONDS = st.just(0.0) | st.floats(0, 1e6) | st.floats(0, 0.01).map(lambda part: 1000.0 + part)
COUNT = st.just(0) | st.integers(0, 2**40)


@st.composite
def exchanges(draw):
    record = RequestRecord(draw(WORD), draw(SECONDS), draw(SECONDS))
    if draw(st.booleans()):
        lines = [(b"Host", draw(st.sampled_from([b"a.test", b"a.test:81", b"[::1]:8080", b"a" * SHORT])))]
        for name in (b"Referer", b"User-Agent"):
            value = draw(VALUE)
            lines += [] if value is None else [(name, value)]
        minor = draw(st.sampled_from([0, 1]))
        target = b"/" + draw(st.binary(max_size=20)).translate(None, b"#%")
        record.head = RequestHead(
            draw(st.sampled_from(["GET", "O'PTIONS"])), target, minor, block(lines, minor)
        )
    for name in ("connecting", "asked", "answered", "ended"):
        setattr(record, name, draw(SECONDS))
    for name in (
        "service",
        "upstream",
        "fault",
        "cache",
        "detail",
        "user",
        "trace",
        "caller",
        "span",
        "parent",
    ):
        setattr(record, name, draw(WORD))
    for name in ("status", "sent", "received", "attempts"):
        setattr(record, name, draw(COUNT))
    record.route, record.reused = draw(st.none() | COUNT), draw(st.booleans())
    record.end, record.side = draw(st.sampled_from(Termination)), draw(st.sampled_from(["reverse", "socks5"]))
    return record


def block(lines: list[tuple[bytes, bytes]], minor: int):
    return check_block(Fields(lines), minor)


WALL = st.floats(0, 4e9) | st.integers(0, 2**31).map(lambda second: math.nextafter(float(second), 0.0))


@given(exchanges(), WALL)
@example(exchange(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"), 1.9999999)
@example(exchange(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"), 1e9 + 0.0005)
def test_lines_are_to_the_byte_what_they_are_to_say(record, wall):
    wall = max(0.0, wall)
    assert format_json(record, wall) == plain_json(record, wall)
    assert format_combined(record, wall) == plain_combined(record, wall)
