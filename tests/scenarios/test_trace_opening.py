"""Trace files as people have them: packed, in other encodings, from a pipe, in several parts."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from policies.bad_input import BadInput
from scenarios.traces import TraceFile, opening, read_trace
from scenarios.traces.opening import Opened

HEAD = "time_s,object,size_bytes\n"
TEXT = HEAD + "0,a,10\n1,b,10\n2,a,10\n"
LOG = '192.0.2.1 - - [07/Sep/2023:15:58:{:02} +0200] "GET /{} HTTP/2.0" 200 360 "-" "curl"\n'
Write = Callable[[str, bytes], Path]

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "plain": lambda data: data,
    "gzip": gzip.compress,
    "gzip of two members": lambda data: gzip.compress(data[:30]) + gzip.compress(data[30:]),
    "gzip with padding": lambda data: gzip.compress(data) + bytes(1000),
    "zstd": zstandard.compress,
    "zstd of two frames": lambda data: zstandard.compress(data[:30]) + zstandard.compress(data[30:]),
    "xz": lzma.compress,
    "bzip2": bz2.compress,
    "bzip2 of two streams": lambda data: bz2.compress(data[:30]) + bz2.compress(data[30:]),
    "gzip of zstd": lambda data: gzip.compress(zstandard.compress(data)),
}
TEXTS: dict[str, Callable[[str], bytes]] = {
    "UTF-8": str.encode,
    "byte order mark": lambda text: codecs.BOM_UTF8 + text.encode(),
    "UTF-16": lambda text: text.encode("utf-16"),
    "UTF-16, big end first": lambda text: codecs.BOM_UTF16_BE + text.encode("utf-16-be"),
    "UTF-16 without a mark": lambda text: text.encode("utf-16-le"),
    "UTF-16, big end first, without a mark": lambda text: text.encode("utf-16-be"),
    "UTF-32": lambda text: text.encode("utf-32"),
    "Windows": lambda text: text.replace("\n", "\r\n").encode(),
    "classic Mac OS": lambda text: text.replace("\n", "\r").encode(),
    "classic Mac OS in UTF-16": lambda text: text.replace("\n", "\r").encode("utf-16"),
    "no last line end": lambda text: text.rstrip("\n").encode(),
    "empty lines": lambda text: b"\n\n" + text.replace("\n", "\n\n").encode(),
    "remarks": lambda text: b"# written by hand\n" + text.replace("\n1,", "\n# more\n1,").encode(),
}


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def to_file(name: str, content: bytes) -> Path:
        (tmp_path / name).write_bytes(content)
        return tmp_path / name

    return to_file


def keys_of(file: TraceFile) -> list[int]:
    return [key for block in file.blocks() for key in block.keys.tolist()]


@contextmanager
def piped(content: bytes) -> Iterator[str]:
    """The path of a pipe that gives the content."""
    reading, writing = os.pipe()

    def fill() -> None:
        with open(writing, "wb") as end, io.BytesIO(content) as data:
            end.write(data.read())

    thread = threading.Thread(target=fill)
    thread.start()
    try:
        yield f"/dev/fd/{reading}"
    finally:
        os.close(reading)
        thread.join(10)


@pytest.mark.parametrize("pack", PACKERS.values(), ids=PACKERS)
@pytest.mark.parametrize("name", ["t.csv", "requests", "access.log.2.gz", "t.csv.zst"])
def test_the_content_tells_how_a_file_is_packed_not_its_name(
    write: Write, name: str, pack: Callable[[bytes], bytes]
) -> None:
    assert keys_of(TraceFile(write(name, pack(TEXT.encode())))) == [0, 1, 0]


@pytest.mark.parametrize("encode", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("packed", [False, True])
def test_any_common_encoding_of_text_is_read(
    write: Write, encode: Callable[[str], bytes], packed: bool
) -> None:
    content = gzip.compress(encode(TEXT)) if packed else encode(TEXT)
    assert keys_of(TraceFile(write("t.csv", content))) == [0, 1, 0]


@pytest.mark.parametrize("encode", TEXTS.values(), ids=TEXTS)
def test_the_number_of_a_wrong_line_is_that_of_the_file(write: Write, encode: Callable[[str], bytes]) -> None:
    text = TEXT + "x,a,1\n"
    content = encode(text)
    ends = [b"\r\n", b"\r"] if b"\n" not in content.replace(b"\0", b"").replace(b"\r\n", b"\r") else [b"\n"]
    plain = content.replace(b"\0", b"").replace(b"\r\n", b"\n").replace(ends[-1], b"\n")
    number = plain[: plain.index(b"x,a,1")].count(b"\n") + 1
    with pytest.raises(BadInput, match=f"line {number}: expected numbers"):
        keys_of(TraceFile(write("t.csv", content)))


@given(
    data=st.binary(max_size=300),
    pieces=st.integers(1, 400),
    kind=st.sampled_from(["gzip", "zstd", "xz", "bzip2"]),
)
def test_what_was_packed_is_unpacked_in_pieces_of_any_size(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, pieces: int, kind: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "packed"
    path.write_bytes(PACKERS[kind](b"#" + data))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opening, "_PIECE", pieces)
        file = Opened(str(path))
        found = b"".join(iter(lambda: file.read(pieces), b""))
        file.close()
    assert found == b"#" + data


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"PK\x03\x04 and so on", "is a zip archive; unpack it first"),
        (b"PAR1 and so on", "is a Parquet file, which is not read here; write it as CSV"),
        (gzip.compress(bytes(257) + b"ustar  ", mtime=0), "is a tar archive; unpack it first"),
        (codecs.BOM_UTF16_LE + b"t\0i", "is not whole utf-16-le text: "),
    ],
)
def test_what_cannot_be_read_says_what_it_is(write: Write, content: bytes, said: str) -> None:
    path = write("t.csv", content)
    with pytest.raises(BadInput) as caught:
        keys_of(TraceFile(path))
    assert str(caught.value).startswith(f"{path}: {said}")


# -- pipes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("pack", PACKERS.values(), ids=PACKERS)
@pytest.mark.parametrize("kind", [None, "csv"])
def test_a_pipe_is_read_once_and_recognised(kind: str | None, pack: Callable[[bytes], bytes]) -> None:
    with piped(pack(TEXT.encode())) as path:
        told: list[int] = []
        file = TraceFile(path, kind=kind)
        keys = [key for block in file.blocks(told.append) for key in block.keys.tolist()]
    assert keys == [0, 1, 0] and file.kind == "csv" and sum(told) > 0
    assert file.stored_bytes == 0


def test_a_long_trace_from_a_pipe_is_read_whole() -> None:
    rows = "".join(f"{number},o{number % 7},10\n" for number in range(200_000))
    with piped((HEAD + rows).encode()) as path:
        assert keys_of(TraceFile(path)) == [number % 7 for number in range(200_000)]


def test_a_scenario_does_not_read_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "-"):
        with pytest.raises(BadInput, match="is a pipe, but a scenario reads its trace several times"):
            read_trace(path)


# -- several files -------------------------------------------------------------------------------


def test_rotated_logs_are_one_trace_in_the_order_of_their_first_requests(write: Write) -> None:
    files = [
        write("access.log", LOG.format(30, "c").encode() + LOG.format(31, "a").encode()),
        write("access.log.1", LOG.format(20, "b").encode()),
        write("access.log.2.gz", gzip.compress(LOG.format(10, "a").encode())),
    ]
    file = TraceFile(files)
    times = [time for block in file.blocks() for time in block.times.tolist()]
    assert keys_of(TraceFile(files)) == [0, 1, 2, 0]
    assert times == sorted(times) and file.path == f"{files[0]} and 2 more"
    assert file.stored_bytes == sum(path.stat().st_size for path in files)


def test_files_without_times_stay_in_the_given_order(write: Write) -> None:
    files = [write("2.txt", b"b\n"), write("1.txt", b"a\nb\n")]
    file = TraceFile(files)
    assert [block.times.tolist() for block in file.blocks()] == [[0.0], [1.0, 2.0]]
    assert keys_of(TraceFile(files)) == [0, 1, 0]


def test_each_file_of_a_csv_trace_has_a_head_of_its_own(write: Write) -> None:
    files = [write("1.csv", TEXT.encode()), write("2.csv", b"object;size_bytes;time_s\nb;10;3\nc;10;4\n")]
    assert keys_of(TraceFile(files)) == [0, 1, 0, 1, 2]


def test_one_trace_has_one_format(write: Write) -> None:
    log, table = write("a.log", LOG.format(1, "a").encode()), write("t.csv", TEXT.encode())
    with pytest.raises(BadInput) as caught:
        TraceFile([log, table])
    assert str(caught.value) == f"{table}: is csv, but {log} is combined; one trace has one format"


def test_a_wrong_line_of_several_files_names_its_file(write: Write) -> None:
    files = [write("1.csv", TEXT.encode()), write("2.csv", (HEAD + "5,a,10\n6,a,x\n").encode())]
    with pytest.raises(BadInput, match=r"2\.csv: line 3: expected numbers"):
        keys_of(TraceFile(files))
    file = TraceFile(files, skip_bad=True)
    assert len(keys_of(file)) == 4
    assert file.first_skipped == f"{files[1]}: line 3: expected numbers for time_s and size_bytes"
