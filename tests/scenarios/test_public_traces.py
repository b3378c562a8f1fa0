"""The public cache traces, by name and by content: their columns, units, and kinds of requests."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from policies.bad_input import BadInput
from scenarios.traces import FORMATS, TraceFile
from scenarios.traces.csv_rows import CsvRows
from scenarios.traces.layouts import LAYOUTS

Rows = list[tuple[float, int, int]]
Write = Callable[[str | bytes], Path]

V1 = struct.Struct("<IIIHHQQ")
V2 = struct.Struct("<HHIIIQQQ")
PHOTO = "085abb02a06850729bb01479466420d9e102d325"

# Each sample is written after the example that the publisher gives.
SAMPLES: dict[str, tuple[str, str, Rows, dict[str, int]]] = {
    "Twitter": (
        "twitter",
        "0,q:q:1:8WTf,17,213,4,get,0\n0,y:3,27,27,5,gets,0\n1,q:q:1:8WTf,17,0,6,get,0\n1,z,17,0,4,set,3600\n"
        "2,new,3,0,1,get,0\n2,new,3,9,1,set,60\n3,new,3,0,1,get,0\n",
        [(0, 0, 230), (0, 1, 54), (1, 0, 230), (3, 3, 12)],
        {"set": 2, "size not known": 1},
    ),
    "Twitter, commas in a key": (
        "twitter",
        '0,a,b,3,7,4,get,0\n0,a,"c,3,7,5,get,0\n1,a,b,3,7,4,get,0\n',
        [(0, 0, 10), (0, 1, 10), (1, 0, 10)],
        {},
    ),
    "MSR Cambridge": (
        "msr",
        "128166372003061629,hm,0,Read,383496192,32768,1331\n128166372013061629,hm,1,Write,383496192,"
        "512,2326\n"
        "128166372013061629,src,0,Read,383496192,512,2326\n128166372013061629,hm,0,Read,383496192,512,2326\n",
        [
            (12816637200.3061629, 0, 32768),
            (12816637201.3061629, 1, 512),
            (12816637201.3061629, 2, 512),
            (12816637201.3061629, 0, 512),
        ],
        {},
    ),
    "Tencent block": (
        "tencent_block",
        "1538323199,1003027216,16,0,2313\n1538323200,1003027216,8,1,2314\n1538323200,1003027216,8,1,2313\n",
        [(1538323199, 0, 8192), (1538323200, 1, 4096), (1538323200, 0, 4096)],
        {},
    ),
    "Alibaba block": (
        "alibaba_block",
        "419,W,8792731648,16384,1577808144360767\n725,R,8792731648,512,1577808144360768\n",
        [(1577808144.360767, 0, 16384), (1577808144.360768, 1, 512)],
        {},
    ),
    "Tencent photo": (
        "tencent_photo",
        f"20160201164604 {PHOTO} 5 m 12903 1 PHONE 1\n20160201164605 {PHOTO} 0 m 12903 1 PC 0\n"
        f"20160201164605 {PHOTO} 7 m 12903 1 PC 0\n20160201164606 {PHOTO} 5 m 12903 0 PC 0\n",
        [(1454345164, 0, 12903), (1454345165, 1, 12903), (1454345166, 0, 12903)],
        {"7": 1},
    ),
    "IBM object store": (
        "ibm_object_store",
        "1219008 REST.PUT.OBJECT 8d4fcda3d675bac9 1056\n1221974 REST.HEAD.OBJECT 39d177fb735ac5df 528\n"
        "1232488 REST.GET.OBJECT 8d4fcda3d675bac9 1056 0 1055\n1232489 REST.GET.OBJECT 39d177fb735ac5df\n"
        "1232490 REST.DELETE.OBJECT 8d4fcda3d675bac9\n",
        [(1232.488, 0, 1056), (1232.489, 1, 528)],
        {"rest.put.object": 1, "rest.head.object": 1, "rest.delete.object": 1},
    ),
    "Wikimedia, images with a head": (
        "wikimedia",
        "relative_unix\thashed_path_query\timage_type\tresponse_size\ttime_firstbyte\n"
        "0\t833946053\tjpeg\t7390\t1.2E-4\n1\t-833946053\tpng\t10\t0.5\n1\t833946053\tjpeg\t7390\t0.5\n",
        [(0, 0, 7390), (1, 1, 10), (1, 0, 7390)],
        {},
    ),
    "Wikimedia, images": ("wikimedia", "0\t833946053\tsvg+xml\t7390\t1.2e-4\n", [(0, 0, 7390)], {}),
    "Wikimedia, pages": (
        "wikimedia",
        "0\t833946053\t7390\t0.01\n0\t-1\t9\t0.01\n",
        [(0, 0, 7390), (0, 1, 9)],
        {},
    ),
    "Wikimedia, pages with a head": (
        "wikimedia",
        "relative_unix\thashed_host_path_query\tresponse_size\ttime_firstbyte\n3\t8\t7390\t0.01\n",
        [(3, 0, 7390)],
        {},
    ),
    "Meta kv 202206": (
        "meta_kv",
        "key,op,size,op_count,key_size\n1668757755,SET,82,1,40\n1668757755,GET,0,3,40\n7,GET,0,2,9\n",
        [(1, 0, 82)] * 3,
        {"set": 1, "size not known": 1},
    ),
    "Meta kv 202401": (
        "meta_kv",
        "op_time,key,key_size,op,op_count,size,cache_hits,ttl,usecase,sub_usecase\n"
        "604038471,82131353f9ddc8c6,48,GET,1,87,1,0,3,3\n604038473,82131353f9ddc8c6,47,GET_LEASE,2,"
        "0,7,0,1,1\n"
        "604038474,82131353f9ddc8c6,47,DELETE,1,0,7,0,1,1\n",
        [(604038471, 0, 87), (604038473, 0, 87), (604038473, 0, 87)],
        {"delete": 1},
    ),
    "Meta CDN": (
        "meta_cdn",
        "timestamp,cacheKey,OpType,objectSize,responseSize,responseHeaderSize,rangeStart,rangeEnd,TTL,"
        "SamplingRate,"
        "cache_hit,item_value,RequestHandler,cdn_content_type_id,vip_type\n"
        "1679000000,k1,1,900,100,9,0,99,60,1,1,0,2,-,1\n1679000001500,k2,1,5,5,9,-1,-1,60,1,1,0,2,-,1\n",
        [(1679000000, 0, 900), (1679000001.5, 1, 5)],
        {},
    ),
    "libCacheSim's CSV": (
        "csv",
        "version,time,op,size,lbn\n1,33898,2a,512,42932745\n1,33899,28,1024,42932746\n1,33899,2a,512,"
        "42932745\n",
        [(33898, 0, 512), (33899, 1, 1024), (33899, 0, 512)],
        {},
    ),
}


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def to_file(content: str | bytes) -> Path:
        path = tmp_path / "trace"  # its name tells nothing
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return to_file


def rows_of(file: TraceFile) -> Rows:
    return [
        row
        for part in file.blocks()
        for row in zip(part.times.tolist(), part.keys.tolist(), part.sizes.tolist(), strict=True)
    ]


@pytest.mark.parametrize("sample", SAMPLES.values(), ids=SAMPLES)
@pytest.mark.parametrize("way", ["by content", "by name", "slow"])
def test_a_public_trace_is_read_as_its_publisher_describes_it(
    write: Write, sample: tuple[str, str, Rows, dict[str, int]], way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, content, expected, left_out = sample
    if way == "slow":
        monkeypatch.setattr(CsvRows, "_fast", lambda *_: None)
    file = TraceFile(write(content), kind=kind if way == "by name" else None)
    rows = rows_of(file)
    assert file.kind == kind and dict(file.left_out) == left_out
    assert [row[1:] for row in rows] == [row[1:] for row in expected]
    assert [row[0] for row in rows] == pytest.approx([row[0] for row in expected], rel=1e-15)


@pytest.mark.parametrize(
    ("kind", "line", "said"),
    [
        ("twitter", "1,k,1,1,1,fetch,0", "line 2: expected an operation such as 'get', not 'fetch'"),
        ("twitter", "1,k,x,1,1,get,0", "line 2: expected numbers for timestamp, key_size and value_size"),
        (
            "msr",
            "128166372003061629,hm,0,Trim,1,1,1",
            "line 2: expected an operation such as '0', not 'trim'",
        ),
        ("msr", "128166372003061629,hm,0,Read,1,1,1,1", "line 2: expected 7 fields, not 8"),
        (
            "tencent_photo",
            f"20161301164604 {PHOTO} 5 m 12903 1 PHONE 1",
            "line 2: expected a time such as 2024-10-10T13:55:36Z, not '20161301T164604'",
        ),
        (
            "ibm_object_store",
            "5 REST.LIST.OBJECT a 1",
            "line 2: expected an operation such as 'rest.get.object', not 'rest.list.object'",
        ),
        ("wikimedia", "1\t8\tjpeg\t-7\t0.1", "line 2: expected finite numbers that are not negative"),
    ],
)
def test_a_wrong_row_is_named_by_its_line(write: Write, kind: str, line: str, said: str) -> None:
    first = next(sample[1] for sample in SAMPLES.values() if sample[0] == kind and "\tjpeg" not in sample[1])
    first = "0\t8\tjpeg\t7\t0.1\n" if kind == "wikimedia" else first.splitlines()[0] + "\n"
    path = write(first + line + "\n")
    with pytest.raises(BadInput) as caught:
        rows_of(TraceFile(path, kind=kind))
    assert str(caught.value) == f"{path}: {said}"


def test_a_meta_row_may_not_stand_for_any_number_of_requests(write: Write) -> None:
    path = write("key,op,size,op_count,key_size\n1,GET,5,1000000000,4\n")
    with pytest.raises(BadInput, match="line 2: expected from 1 to 1,000,000 requests, not 1000000000"):
        rows_of(TraceFile(path))


# -- vscsi ---------------------------------------------------------------------------------------

COMMANDS = [
    (0x2A, 512, 42932745, 33_898_000_500),
    (0x28, 4096, 7, 33_899_000_000),
    (0, 0, 0, 33_899_500_000),
    (0x2A, 512, 42932745, 33_900_000_000),
]


def vscsi(version: int, commands: list[tuple[int, int, int, int]] = COMMANDS) -> bytes:
    if version == 1:
        return b"".join(V1.pack(9, size, 1, cmd, 1 << 8, lbn, time) for cmd, size, lbn, time in commands)
    return b"".join(V2.pack(cmd, 2 << 8, 9, size, 1, lbn, time, 55) for cmd, size, lbn, time in commands)


@pytest.mark.parametrize("version", [1, 2])
def test_both_versions_of_vscsi_are_read(write: Write, version: int) -> None:
    file = TraceFile(write(vscsi(version)))
    assert rows_of(file) == [(33898.0005, 42932745, 512), (33899.0, 7, 4096), (33900.0, 42932745, 512)]
    assert (file.kind, file.left_out) == ("vscsi", {"command without data": 1})
    assert len(rows_of(TraceFile(write(vscsi(version)), kind="vscsi"))) == 3


@pytest.mark.parametrize("version", [1, 2])
def test_a_vscsi_trace_of_one_record_or_cut_off(write: Write, version: int) -> None:
    assert len(rows_of(TraceFile(write(vscsi(version, COMMANDS[:1])), kind="vscsi"))) == 1
    whole = vscsi(version)
    path, size = write(whole[:-3]), len(whole) // 4
    with pytest.raises(BadInput, match=rf"record 4: is cut off after {size - 3} of {size} bytes"):
        rows_of(TraceFile(path))
    with pytest.raises(BadInput, match="record 1: expected a record of vscsi version 1 or 2"):
        rows_of(TraceFile(write(b"\7" * 99), kind="vscsi"))


def test_vscsi_is_what_libcachesim_reads(write: Write, tmp_path: Path) -> None:
    libcachesim = pytest.importorskip("libcachesim", reason="libcachesim has no wheel for this machine")
    chance = np.random.default_rng(1)
    commands = [
        (0x2A, int(chance.integers(1, 100)) * 512, int(chance.integers(2**40)), i * 10**6) for i in range(50)
    ]
    path = write(vscsi(1, commands))
    reader = libcachesim.TraceReader(str(path), libcachesim.TraceType.VSCSI_TRACE)
    theirs = [(request.clock_time, request.obj_id, request.obj_size) for request in reader]
    assert rows_of(TraceFile(path)) == theirs


def test_oracle_general_is_recognised_by_its_content(write: Write) -> None:
    rows = b"".join(struct.pack("<IQIq", i, i % 3, 10, i + 3 if i < 7 else -1) for i in range(10))
    assert TraceFile(write(rows)).kind == "oracleGeneral"


# -- txt, and names of formats -------------------------------------------------------------------


def test_a_txt_trace_is_one_object_per_line(tmp_path: Path) -> None:
    path = tmp_path / "trace.txt"
    path.write_text("5\n6\n\n5\n")
    file = TraceFile(path)
    assert (file.kind, rows_of(file), file.timed) == ("txt", [(0, 0, 1), (1, 1, 1), (2, 0, 1)], False)


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ("Common", "combined"),
        ("vhost_combined", "combined"),
        ("CloudFront", "w3c"),
        ("iis", "w3c"),
        ("ALB", "aws_lb"),
        ("oraclegeneral", "oracleGeneral"),
        ("jsonl", "json"),
        ("twemcache", "twitter"),
        ("msr-cambridge", "msr"),
    ],
)
def test_formats_have_the_names_that_people_know(write: Write, given: str, kind: str) -> None:
    assert TraceFile(write("x"), kind=given).kind == kind


def test_every_layout_has_a_name_in_the_list_of_formats() -> None:
    assert set(LAYOUTS) <= set(FORMATS) and len(set(FORMATS)) == len(FORMATS)


def test_a_row_of_one_publisher_is_not_taken_for_anothers(write: Write) -> None:
    """Numbers without names: nothing says what they are, so nothing is guessed."""
    options: dict[str, Any] = {}
    for content in ("1,2,3\n", "1,2,3,4,5\n", "1 2 3\n", "1\t2\n"):
        with pytest.raises(
            BadInput, match="line 1: no format of a trace is recognised here; say --format NAME"
        ):
            TraceFile(write(content), **options)
