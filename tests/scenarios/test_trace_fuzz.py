"""Whatever the bytes of a trace: it is read, or refused in one line with the file; never a traceback."""

from __future__ import annotations

import bz2
import gzip
import lzma
import random
import struct
import warnings
from pathlib import Path

import numpy as np
import pytest
import zstandard
from hypothesis import example, given, settings
from hypothesis import strategies as st

from policies.bad_input import BadInput
from scenarios.traces import FORMATS, TraceFile, block
from simulator.curve import check_capacities, curve, take_samples

CLF = b'%s192.0.2.1 - - [07/Sep/2023:15:58:36 +0200] "GET /%d HTTP/2.0" 200 360 "-" "curl"\n'
VALID: dict[str, bytes] = {
    "csv": b"time_s,object,size_bytes,service_s\n"
    + b"".join(b'%d,"o%d",%d,0.5\n' % (i, i % 3, i + 1) for i in range(9)),
    "txt": b"".join(b"o%d\n" % (i % 3) for i in range(9)),
    "oracleGeneral": b"".join(struct.pack("<IQIq", i, i % 3, 10, -1) for i in range(9)),
    "vscsi": b"".join(struct.pack("<IIIHHQQ", i, 512, 1, 42, 256, i % 3, i) for i in range(9)),
    "combined": b"".join(CLF % (b"", i % 3) for i in range(9)),
    "combined_host_last": b"".join(CLF.replace(b"\n", b" x.test\n") % (b"x.test ", i % 3) for i in range(9)),
    "w3c": b"#Fields: date time cs-method cs-uri-stem sc-status sc-bytes\n"
    + b"".join(b"2024-01-02 03:04:05 GET /%d 200 7\n" % (i % 3) for i in range(9)),
    "s3": b'o b [06/Feb/2019:00:00:38 +0000] 192.0.2.3 r q REST.GET.OBJECT k "GET /k HTTP/1.1" 200 - 9 9 7 '
          b'1 "-" "a" -\n' * 3,
    "aws_lb": b'http 2018-07-02T22:23:00.186641Z lb 1.2.3.4:2 - 0.0 0.0 0.0 200 200 0 57 "GET '
              b'http://x:80/a HTTP/1.1"\n' * 3,
    "json": b'{"ts": 1.5, "request": {"method": "GET", "uri": "/", "host": "x"}, "status": 200, "size": 7}\n',
    "squid": b"1700000000.123    502 192.0.2.1 TCP_MISS/200 216 GET http://x/ - HIER_DIRECT/192.0.2.9 "
             b"text/html\n" * 3,
    "haproxy": b'x 1.2.3.4:5 [06/Feb/2009:12:14:14.655] in s/a 1/0/3/6/9 200 27 - - ---- 1/1/1/1/0 0/0 '
               b'"GET / HTTP/1.1"\n' * 3,
    "twitter": b"".join(b"%d,k%d,3,7,1,get,0\n" % (i, i % 3) for i in range(9)),
    "msr": b"".join(b"12816637200306162%d,hm,0,Read,%d,512,13\n" % (i, i % 3) for i in range(9)),
    "tencent_block": b"".join(b"153832319%d,%d,16,0,2313\n" % (i, i % 3) for i in range(9)),
    "alibaba_block": b"".join(b"419,W,%d,16384,157780814436076%d\n" % (i % 3, i) for i in range(9)),
    "tencent_photo": b"20160201164604 085abb02a06850729bb01479466420d9e102d325 5 m 12903 1 PHONE 1\n" * 3,
    "ibm_object_store": b"".join(b"%d REST.GET.OBJECT 8d4fcda3d675bac%d "
                                 b"1056 0 1055\n" % (i, i % 3) for i in range(9)),
    "wikimedia": b"".join(b"%d\t%d\tjpeg\t7\t0.5\n" % (i, i % 3) for i in range(9)),
    "meta_kv": b"op_time,key,key_size,op,op_count,size,cache_hits,ttl\n" + b"5,1,2,GET,2,7,0,0\n" * 3,
    "meta_cdn": b"timestamp,cacheKey,OpType,objectSize\n" + b"5,1,1,7\n" * 3,
}  # fmt: skip
PIECES = [
    b"",
    b"\0",
    b"\n",
    b"\r",
    b'"',
    b",",
    b"\t",
    b" ",
    b"-1",
    b"nan",
    b"inf",
    b"-inf",
    b"1e308",
    b"9" * 30,
    b"9" * 5000,
    b"0",
    b"\xff",
    b"\xc3",
    b"#",
    b"{",
    b"[" * 3000,
    b"GET",
    b"1e400",
    b"0x10",
    b"1_000",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\x1f\x8b\x08",
    b"2024-99-99",
    b"99999999999999999999",
    b"a" * 200_000,
    b"-",
    b"\\",
    b"]",
    b"0.1",
    b"\x1f",
    b"\x80",
]
PACKERS = [None, None, None, gzip.compress, zstandard.compress, lzma.compress, bz2.compress]


def use(path: Path, **options: object) -> None:
    """Read a trace as the commands do: all goes well, or one line says what is wrong."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            file = TraceFile(path, **options)  # type: ignore[arg-type]
            samples = take_samples(file.blocks())
            sizes = samples[0].sizes
            assert (
                (samples[0].times >= 0).all() and np.isfinite(samples[0].times).all() and (sizes >= 0).all()
            )
            capacity = max(1, int(np.median(sizes)) * 2)
            check_capacities(samples, [max(capacity, int(sizes.min()))])
            if len(sizes) < 1000:
                assert curve(samples, ["lru"], [capacity])["hit_ratio"].between(0, 1).all()
    except BadInput as mistake:
        said = str(mistake)
        assert "\n" not in said and "\r" not in said and len(said) < 1500
        assert str(path) in said or said.startswith("--capacity")


@pytest.mark.parametrize("kind", FORMATS)
def test_the_valid_files_are_read(tmp_path: Path, kind: str) -> None:
    """What the fuzzing starts from is right."""
    path = tmp_path / ("t.txt" if kind == "txt" else "t")
    path.write_bytes(VALID[kind])
    assert sum(len(part.times) for part in TraceFile(path, kind=kind).blocks()) >= 1
    if kind != "combined_host_last":
        assert TraceFile(path).kind == ("csv" if kind == "csv" else kind)


@given(content=st.binary(max_size=400), kind=st.sampled_from([None, *FORMATS]), skip=st.booleans())
@settings(max_examples=300)
@example(content=b"time_s,object,size_bytes\r0,\r", kind="csv", skip=False)
@example(content=b"\x1f\x8b\x08", kind=None, skip=False)
@example(content=b"\xff\xfe\x00\xd8", kind=None, skip=False)
def test_any_bytes_are_read_or_refused_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, kind: str | None, skip: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.csv"
    path.write_bytes(content)
    use(path, kind=kind, skip_bad=skip)


@given(kind=st.sampled_from(FORMATS), seed=st.integers(0, 2**32), forced=st.booleans(), skip=st.booleans())
@settings(max_examples=600)
def test_a_changed_file_of_any_format_is_read_or_refused_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, kind: str, seed: int, forced: bool, skip: bool
) -> None:
    chance = random.Random(seed)
    content = VALID[kind]
    for _ in range(chance.randrange(4)):
        start = chance.randrange(len(content) + 1)
        end = start + chance.choice([0, 0, 1, 2, 5, 40])
        content = content[:start] + chance.choice(PIECES) + content[end:]
    if (pack := chance.choice(PACKERS)) is not None:
        content = pack(content)
        if chance.random() < 0.5:
            content = content[: chance.randrange(len(content) + 1)] + chance.choice(PIECES[:30])
    path = tmp_path_factory.getbasetemp() / chance.choice(
        ["fuzz", "fuzz.csv", "fuzz.txt", "fuzz.oracleGeneral"]
    )
    path.write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(block, "BLOCK_BYTES", chance.choice([7, 100, 2**23]))
        use(path, kind=kind if forced else None, skip_bad=skip)


@given(text=st.text(st.sampled_from("abcdeopst=,:+123 "), max_size=30))
def test_any_text_for_columns_is_understood_or_refused(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "columns.csv"
    path.write_bytes(b"a,b,c\n1,2,3\n4,5,6\n")
    try:
        use(path, columns=text)
    except AssertionError:
        with pytest.raises(BadInput, match=r"^columns: "):
            TraceFile(path, columns=text)
