"""Traces in three formats, packed or not: what is read, and which line is wrong where one is."""

from __future__ import annotations

import bz2
import gzip
import lzma
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zstandard
from hypothesis import example, given, settings
from hypothesis import strategies as st

from policies.bad_input import BadInput
from scenarios import Scenario, Workload
from scenarios.traces import FORMATS, TraceFile, block, read_trace
from scenarios.traces.csv_rows import CsvRows

Write = Callable[..., Path]
Rows = list[tuple[float, int, int]]

HEAD = "time_s,object,size_bytes\n"
ROWS = (HEAD + "0,a,10\n1,b,10\n2,a,10\n").encode()
START = 1728561336.0
"""10/Oct/2024:13:55:36 +0200."""
LOG = '{} - - [10/Oct/2024:13:55:{:02} +0200] "{} {} HTTP/1.1" {} {} "-" "curl/8"\n'


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def to_file(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return to_file


def records(*rows: tuple[int, int, int]) -> bytes:
    return b"".join(struct.pack("<IQIq", time, key, size, -1) for time, key, size in rows)


def rows_of(file: TraceFile) -> Rows:
    return [
        row
        for part in file.blocks()
        for row in zip(part.times.tolist(), part.keys.tolist(), part.sizes.tolist(), strict=True)
    ]


def complaint(path: Path, **options: Any) -> str:
    with pytest.raises(BadInput) as caught:
        rows_of(TraceFile(path, **options))
    return str(caught.value).removeprefix(f"{path}: ")


# -- oracleGeneral -------------------------------------------------------------------------------

BINARY = records((100, 2**64 - 1, 10), (100, 5, 20), (103, 5, 20))


@pytest.mark.parametrize("name", ["t.oracleGeneral", "t.oracleGeneral.bin"])
def test_oracle_general_is_read_record_by_record(write: Write, name: str) -> None:
    assert rows_of(TraceFile(write(name, BINARY))) == [(100.0, 2**64 - 1, 10), (100.0, 5, 20), (103.0, 5, 20)]


@pytest.mark.parametrize(
    ("ending", "pack"),
    [
        (".zst", zstandard.compress),
        (".zst", lambda data: zstandard.compress(data[:24]) + zstandard.compress(data[24:])),
        (".gz", gzip.compress),
    ],
    ids=["zstd", "two frames of zstd", "gzip"],
)
def test_packed_files_are_unpacked(write: Write, ending: str, pack: Callable[[bytes], bytes]) -> None:
    path = write(f"t.oracleGeneral{ending}", pack(BINARY))
    assert len(rows_of(TraceFile(path))) == 3


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (BINARY[:-1], "record 3: is cut off after 23 of 24 bytes"),
        (b"", "the trace holds no requests"),
    ],
)
def test_a_wrong_record_is_named_by_its_number(write: Write, content: bytes, said: str) -> None:
    assert complaint(write("t.oracleGeneral", content)) == said


def test_the_binary_is_what_libcachesim_reads(write: Write) -> None:
    libcachesim = pytest.importorskip("libcachesim", reason="libcachesim has no wheel for this machine")
    chance = np.random.default_rng(1)
    rows = [(i, int(chance.integers(2**63)), int(chance.integers(1, 2**31))) for i in range(1, 50)]
    path = write("t.oracleGeneral", records(*rows))
    reader = libcachesim.TraceReader(str(path), libcachesim.TraceType.ORACLE_GENERAL_TRACE)
    theirs = [(request.obj_id, request.obj_size) for request in reader]
    assert [(key, size) for _, key, size in rows_of(TraceFile(path))] == theirs


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (
            "t.oracleGeneral.zst",
            zstandard.compress(BINARY)[:-2],
            "is not a whole zstd file: it ends too early",
        ),
        ("t.oracleGeneral", zstandard.compress(BINARY)[:9] + b"\xff" * 99, "is not a whole zstd file: "),
        ("t.csv.gz", gzip.compress(HEAD.encode() * 100, mtime=0)[:-9], "is not a whole gzip file: "),
        ("t.csv", gzip.compress(ROWS, mtime=0)[:20] + b"nonsense", "is not a whole gzip file: "),
        ("t.csv", gzip.compress(ROWS, mtime=0) + b"nonsense", "is not a whole gzip file: other bytes follow"),
        ("t.csv", lzma.compress(ROWS)[:-9], "is not a whole xz file: it ends too early"),
        ("t.csv", bz2.compress(ROWS)[:-9], "is not a whole bzip2 file: it ends too early"),
    ],
)
def test_a_damaged_archive_is_one_line(write: Write, name: str, content: bytes, said: str) -> None:
    assert complaint(write(name, content)).startswith(said)


def test_zstd_without_its_package_says_what_to_install(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zstandard", None)
    assert complaint(write("t.csv", zstandard.compress(ROWS))) == (
        "needs the package zstandard; install proxytwin with its 'traces' extra"
    )


# -- access logs ---------------------------------------------------------------------------------


def test_a_log_gives_its_successful_gets_with_the_size_that_the_first_body_had(write: Write) -> None:
    lines = [
        ("10.0.0.1", 36, "GET", "/a", 304, "-"),  # not known yet how large it is
        ("10.0.0.1", 36, "GET", "/a?x=1", 200, 100),
        ("10.0.0.2", 38, "GET", "/a", 200, 50),
        ("::1", 37, "GET", "/a", 304, 0),
        ("10.0.0.1", 40, "POST", "/a", 200, 10),
        ("10.0.0.1", 40, "GET", "/gone", 404, 10),
        ("10.0.0.1", 41, "GET", "/a", 200, 51),
    ]
    file = TraceFile(write("access.log", "".join(LOG.format(*line) for line in lines) + "\n"))
    assert rows_of(file) == [(START, 1, 100), (START + 2, 0, 50), (START + 1, 0, 50), (START + 5, 0, 50)]
    assert file.left_out == {"no body": 1, "POST": 1, "status 404": 1}
    assert file.skipped == 0


@pytest.mark.parametrize(
    "line",
    [
        '1.2.3.4 - - [10/Oct/2024:13:55:36 +0200] "GET /a HTTP/1.1" 200 7',
        '1.2.3.4 - frank [10/Oct/2024:13:55:36 +0200] "GET /a HTTP/1.1" 200 7 "-" "a \\"quoted\\" one"',
        '1.2.3.4 - first last [10/Oct/2024:13:55:36 +0200] "GET /a HTTP/1.1" 200 7 "-" "-" extra 0.003\r',
    ],
    ids=["common", "combined", "a name with a space, more fields, Windows line end"],
)
def test_what_servers_write_is_a_request(write: Write, line: str) -> None:
    assert rows_of(TraceFile(write("access.log", line + "\n"))) == [(START, 0, 7)]


def test_what_is_no_http_at_all_is_left_out(write: Write) -> None:
    text = LOG.format("1.1.1.1", 1, "GET", "/a", 200, 7)
    text += '1.1.1.1 - - [10/Oct/2024:13:55:36 +0200] "\\x16\\x03\\x01" 400 157 "-" "-"\n'
    text += '1.1.1.1 - - [10/Oct/2024:13:55:36 +0200] "" 408 - "-" "-"\n'
    file = TraceFile(write("access.log", text))
    assert (len(rows_of(file)), file.left_out) == (1, {"no request": 2})


@pytest.mark.parametrize("line", ["nonsense", '1.1.1.1 - - [1/Foo/2024 "GET / HTTP/1.1" 200 7', "\xff\x00"])
def test_a_line_that_is_no_access_logs_is_named(write: Write, line: str) -> None:
    path = write("access.log", LOG.format("1.1.1.1", 1, "GET", "/a", 200, 7) + line + "\n")
    assert complaint(path) == "line 2: expected a line of a combined or common access log"


def test_a_log_without_a_cacheable_request_says_so(write: Write) -> None:
    path = write("access.log", LOG.format("1.1.1.1", 1, "POST", "/a", 200, 7))
    assert complaint(path) == "the trace holds no requests that a cache could answer; left out: POST 1"


def test_the_offset_from_utc_counts(write: Write) -> None:
    text = '1.1.1.1 - - [10/Oct/2024:23:59:59 +0200] "GET /a HTTP/1.1" 200 7\n'
    text += '1.1.1.1 - - [10/Oct/2024:21:30:01 -0030] "GET /a HTTP/1.1" 200 7\n'
    assert [time for time, _, _ in rows_of(TraceFile(write("access.log", text)))] == [
        1728597599.0,
        1728597601.0,
    ]


# -- CSV -----------------------------------------------------------------------------------------

CELLS = st.sampled_from(
    [
        "0",
        "1",
        "2.5",
        "-1",
        "nan",
        "",
        " 3",
        "x",
        '"q,r"',
        "1e2",
        "5.0",
        "inf",
        "1e30",
        "0x1",
        "/é",
        "7",
        "1_0",
        "+4",
    ]
)
LINES = st.lists(st.lists(CELLS, min_size=1, max_size=5).map(",".join), max_size=8)


def both_ways(path: Path, monkeypatch: pytest.MonkeyPatch, **options: Any) -> tuple[Rows | str, Rows | str]:
    found = []
    for slow in (False, True):
        with monkeypatch.context() as patch:
            if slow:
                patch.setattr(CsvRows, "_fast", lambda *_: None)
            try:
                file = TraceFile(path, **options)
                found.append((rows_of(file), file.skipped, file.first_skipped))
            except BadInput as mistake:
                found.append(str(mistake))
    return found[0], found[1]


@settings(max_examples=150)
@given(lines=LINES, timed=st.booleans(), skip=st.booleans())
@example(lines=["0,0,-1", "0,1,0"], timed=False, skip=True)  # a line left out numbers no object
def test_the_fast_reader_reads_what_the_exact_one_does(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], timed: bool, skip: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / "both.csv"
    head = "time_s,object,size_bytes" + ",service_s" * timed
    path.write_text("\n".join([head, "0,/a,1,0" if timed else "0,/a,1", *lines]), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        fast, exact = both_ways(path, patch, skip_bad=skip)
    assert fast == exact


def test_the_fast_reader_takes_what_is_right(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the slow reader was called")

    monkeypatch.setattr(CsvRows, "_slow", refuse)
    path = write("t.csv", HEAD + "".join(f"{i / 10},/o/{i % 7},{i % 7 + 1}\n" for i in range(1000)))
    assert rows_of(TraceFile(path)) == [(i / 10, i % 7, i % 7 + 1) for i in range(1000)]


@pytest.mark.parametrize("size", [13, 40, 64, 100])
def test_it_does_not_matter_where_a_file_is_cut_into_blocks(
    write: Write, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """Names with commas and line ends between quotes, and a broken line far behind the first block."""
    body = "".join(f'{i},"/o,\n{i % 3}",5\n' for i in range(40))
    path = write("t.csv", HEAD + body + "41,/x,wrong\n42,/y,5\n")
    monkeypatch.setattr(block, "BLOCK_BYTES", size)
    file = TraceFile(path, skip_bad=True)
    assert [time for time, _, _ in rows_of(file)] == [*range(40), 42]
    assert (file.skipped, file.first_skipped) == (1, "line 82: expected numbers for time_s and size_bytes")


def test_broken_lines_are_counted_if_asked(write: Write) -> None:
    file = TraceFile(write("t.csv", HEAD + "0,/a,1\n1,/b\n2,,3\n1.5,/a,1\n-0.5,/a,1\n\n"), skip_bad=True)
    assert rows_of(file) == [(0.0, 0, 1), (1.5, 0, 1)]
    assert (file.skipped, file.first_skipped) == (3, "line 3: expected numbers for time_s and size_bytes")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (HEAD + "0,/a,1\n1,/b,2,3\n", "line 3: expected 3 fields, not 4"),
        (HEAD + '0,/a,1\n1,"/b,2\n2,/c,3\n', "line 3: expected numbers for time_s and size_bytes"),
        (
            "time_s,object,object,size_bytes\n0,/a,/b,1\n",
            "line 1: the column 'object' appears twice",
        ),
    ],
    ids=["surplus field", "quote that does not end", "column twice"],
)
def test_a_row_that_can_be_read_in_two_ways_is_refused(write: Write, text: str, said: str) -> None:
    assert complaint(write("t.csv", text)) == said


def test_a_trace_of_broken_lines_only_is_empty_and_says_why(write: Write) -> None:
    assert complaint(write("t.csv", HEAD + "x,/a,1\ny,/a,1\n"), skip_bad=True) == (
        "the trace holds no requests; broken lines: 2, the first at line 2: "
        "expected numbers for time_s and size_bytes"
    )


def test_an_object_without_bytes_is_an_object(write: Write) -> None:
    assert rows_of(TraceFile(write("t.csv", HEAD + "0,/a,1\n0,/b,0\n"))) == [(0.0, 0, 1), (0.0, 1, 0)]


def test_a_size_that_no_object_has_is_refused(write: Write) -> None:
    assert complaint(write("t.csv", HEAD + f"0,/a,{2**63}\n")) == "line 2: no object has 9.22337e+18 bytes"


# -- which format --------------------------------------------------------------------------------


def test_a_file_without_a_telling_name_is_told_by_how_it_begins(write: Write) -> None:
    assert TraceFile(write("requests", HEAD)).kind == "csv"
    assert TraceFile(write("access", LOG.format("1.1.1.1", 1, "GET", "/a", 200, 7))).kind == "combined"
    assert TraceFile(write("data", BINARY)).kind == "oracleGeneral"


def test_an_unknown_format_is_one_line(write: Write) -> None:
    for content in (b"nothing\nat all\n", b"\0\1\2" * 50):
        said = complaint(write("data", content))
        assert said.endswith(f"say --format NAME: {', '.join(FORMATS)}") and "\n" not in said
    with pytest.raises(BadInput, match=r"format: cvs: unknown format of a trace \(did you mean 'csv'\?\)"):
        TraceFile(write("t.csv", HEAD), kind="cvs")


def test_progress_adds_up_to_the_files_length(write: Write) -> None:
    path = write("t.oracleGeneral", BINARY)
    told: list[int] = []
    list(TraceFile(path).blocks(told.append))
    assert sum(told) == TraceFile(path).stored_bytes == len(BINARY)


# -- as a workload -------------------------------------------------------------------------------


def test_a_workload_replays_any_format(write: Write, scenario: Callable[..., Scenario]) -> None:
    path = write("t.oracleGeneral", BINARY)
    workload = Workload(scenario({"workload.users": None, "workload.trace": str(path)}))
    requests = list(workload.stream(0))
    assert [(r.pause, r.object, r.size) for r in requests] == [(0.0, 0, 10), (0.0, 1, 20), (3.0, 1, 20)]


def test_an_object_of_a_workload_keeps_its_first_size(write: Write) -> None:
    trace = read_trace(write("t.csv", HEAD + "0,/a,1\n1,/b,2\n2,/a,9\n"))
    assert (trace.objects.tolist(), trace.sizes.tolist()) == ([0, 1, 0], [1, 2])
