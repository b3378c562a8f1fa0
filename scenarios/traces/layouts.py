"""How the rows of the public cache traces are laid out.

The layouts are those that the publishers describe:

- Twitter: github.com/twitter/cache-trace
- MSR Cambridge (iotta.snia.org/traces/block-io/388), IBM object store
  (iotta.snia.org/traces/key-value/36305), Tencent block and photo (iotta.snia.org/traces/parallel/27917
  and 27476): the README of each
- Alibaba: github.com/alibaba/block-traces
- Wikimedia: wikitech.wikimedia.org/wiki/Data_Platform/Data_Lake/Traffic/Caching
- Meta: cachelib.org, "Evaluating SSD hardware for Facebook workloads"; the columns of each release also in
  github.com/cacheMon/cache_dataset
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from scenarios.traces.times import MOST_TICKS, check_seconds, compact_time, epoch_seconds


class Layout(NamedTuple):
    """The columns of a table, and what they mean.

    Attributes
    ----------
    columns : tuple of str
        All of them, in the order of the file; empty if a head line names them.
    time : str or None
        Without it, one request per second.
    object : tuple of str
        Together, they name the object.
    size : tuple of str
        Their sum; without any, every object has one byte.
    tick : float
        Seconds that one unit of time lasts.
    unit : int
        Bytes that one unit of size stands for.
    clock : callable, optional
        Seconds from a text or a number of ticks, if these are no seconds after multiplication by `tick`.
    known : str, optional
        The column of `size` whose 0 says that the size is not known.
    operation : str, optional
        The kind of request; `reads` are requests, `others` are left out, but tell sizes.
    repeats : str, optional
        How many requests a row stands for.
    service : str, optional
        Seconds of work at a backend.
    separator : str
        Between two fields; ``" "`` is any number of blanks and tabs. Empty to find it.
    quoted : bool
        Whether fields may stand in double quotes, as in CSV.
    loose : int, optional
        The field that may hold separators itself.
    optional : int
        Fields at the end that may be missing.
    """

    columns: tuple[str, ...]
    time: str | None
    object: tuple[str, ...]
    size: tuple[str, ...]
    tick: float = 1.0
    unit: int = 1
    clock: Callable[[str], float] | None = None
    known: str | None = None
    operation: str | None = None
    reads: frozenset[str] = frozenset()
    others: frozenset[str] | None = None
    repeats: str | None = None
    service: str | None = None
    separator: str = ","
    quoted: bool = False
    loose: int | None = None
    optional: int = 0


READS = frozenset(("get", "gets", "read", "r", "get_lease", "getlease", "load"))
"""Operations that read an object, in small letters."""

_BLOCK_READS = frozenset(("read", "write", "r", "w", "0", "1"))
"""A written block is in the cache as a read one is: both are requests, as in libCacheSim."""

_S3_READS = frozenset(("rest.get.object",))
_S3_OTHERS = frozenset(f"rest.{verb}.object" for verb in ("put", "head", "delete", "copy", "post"))
_KV_OTHERS = frozenset(("set", "set_lease", "delete"))


def _milliseconds_or_seconds(text: str) -> float:
    return epoch_seconds(check_ticks(text))


def check_ticks(text: str) -> float:
    """A number of ticks that is not negative."""
    number = float(text)
    if not 0 <= number < MOST_TICKS:
        raise ValueError("expected finite numbers that are not negative")
    return number


LAYOUTS: dict[str, Layout] = {
    "twitter": Layout(
        ("timestamp", "key", "key_size", "value_size", "client", "operation", "ttl"),
        "timestamp", ("key",), ("key_size", "value_size"), known="value_size",
        operation="operation", reads=frozenset(("get", "gets")),
        others=frozenset({"set", "add", "replace", "cas", "append", "prepend", "delete", "incr", "decr"}),
        loose=1,
    ),
    "msr": Layout(
        ("Timestamp", "Hostname", "DiskNumber", "Type", "Offset", "Size", "ResponseTime"),
        "Timestamp", ("Hostname", "DiskNumber", "Offset"), ("Size",), tick=1e-7,
        operation="Type", reads=_BLOCK_READS, others=frozenset(),
    ),
    "tencent_block": Layout(
        ("Timestamp", "Offset", "Size", "IOType", "VolumeID"),
        "Timestamp", ("VolumeID", "Offset"), ("Size",), unit=512,
        operation="IOType", reads=_BLOCK_READS, others=frozenset(),
    ),
    "alibaba_block": Layout(
        ("device_id", "opcode", "offset", "length", "timestamp"),
        "timestamp", ("device_id", "offset"), ("length",), tick=1e-6,
        operation="opcode", reads=_BLOCK_READS, others=frozenset(),
    ),
    "tencent_photo": Layout(
        ("timestamp", "photo", "image_format", "size_category", "return_size", "hit", "terminal", "ms"),
        "timestamp", ("photo", "image_format", "size_category"), ("return_size",), clock=compact_time,
        operation="image_format", reads=frozenset("05"), separator=" ",
    ),
    "ibm_object_store": Layout(
        ("timestamp", "operation", "object", "size", "start", "end"),
        "timestamp", ("object",), ("size",), tick=1e-3, known="size",
        operation="operation", reads=_S3_READS, others=_S3_OTHERS, separator=" ", optional=3,
    ),
    "wikimedia": Layout(
        ("relative_unix", "hashed_path_query", "image_type", "response_size", "time_firstbyte"),
        "relative_unix", ("hashed_path_query",), ("response_size",), separator="\t",
    ),
    "meta_kv": Layout(
        (), "op_time", ("key",), ("size",), known="size", operation="op",
        reads=frozenset(("get", "get_lease")), others=_KV_OTHERS, repeats="op_count",
    ),
    "meta_cdn": Layout(
        (), "timestamp", ("cacheKey",), ("objectSize",), clock=_milliseconds_or_seconds,
    ),
}  # fmt: skip
"""By the name of the format."""

WIKIMEDIA_TEXT = LAYOUTS["wikimedia"]._replace(
    columns=("relative_unix", "hashed_host_path_query", "response_size", "time_firstbyte"),
    object=("hashed_host_path_query",),
)
"""The requests for pages instead of images: no type of image."""

META_KV_WITHOUT_TIMES = LAYOUTS["meta_kv"]._replace(time=None)
"""The releases 202206 and 202312 have no times."""

LIBCACHESIM = Layout((), "time", ("lbn",), ("size",))
"""``version,time,op,size,lbn``, the CSV that comes with libCacheSim."""

_HEADS: tuple[tuple[str, Layout, str], ...] = (
    ("meta_kv", LAYOUTS["meta_kv"], "op_time key op op_count size"),
    ("meta_kv", META_KV_WITHOUT_TIMES, "key op size op_count key_size"),
    ("meta_cdn", LAYOUTS["meta_cdn"], "timestamp cachekey optype objectsize"),
    ("csv", LIBCACHESIM, "version time op size lbn"),
    ("msr", LAYOUTS["msr"], "timestamp hostname disknumber type offset size responsetime"),
    ("tencent_block", LAYOUTS["tencent_block"], "timestamp offset size iotype volumeid"),
    ("alibaba_block", LAYOUTS["alibaba_block"], "device_id opcode offset length timestamp"),
    ("wikimedia", LAYOUTS["wikimedia"], "relative_unix hashed_path_query image_type response_size"),
    ("wikimedia", LAYOUTS["wikimedia"]._replace(object=("hashed_host_path_query",)),
     "relative_unix hashed_host_path_query image_type response_size"),
    ("wikimedia", WIKIMEDIA_TEXT, "relative_unix hashed_host_path_query response_size"),
)  # fmt: skip


def layout_of_head(names: list[str]) -> tuple[str, Layout] | None:
    """The public format whose columns a head line names, and its layout."""
    have = {name.strip().strip('"').lower() for name in names}
    found = next(((kind, layout) for kind, layout, needed in _HEADS if have >= set(needed.split())), None)
    if found is None:
        return None
    return found[0], found[1]._replace(columns=())


_INTEGER = r"\d{1,20}"
_SHAPES = tuple(
    (name, re.compile(pattern, re.IGNORECASE))
    for name, pattern in (
        ("twitter", rf"{_INTEGER},.+,\d+,\d+,[^,]*,"
                    r"(?:get|gets|set|add|replace|cas|append|prepend|delete|incr|decr),\d+\s*"),
        ("msr", r"\d{15,20},[^,]+,\d+,(?:read|write),\d+,\d+,\d+\s*"),
        ("tencent_block", r"\d{9,11},\d+,\d+,[01],\d+\s*"),
        ("alibaba_block", r"\d+,[rw],\d+,\d+,\d{15,17}\s*"),
        ("tencent_photo", r"\d{14}\s+[0-9a-f]{16,}\s+\d+\s+[laomcb]\s+\d+\s+[01]\s+\w+\s+\d+\s*"),
        ("ibm_object_store", r"\d+ REST\.[A-Z]+\.OBJECT [0-9a-f]+(?: -?\d+){0,3}\s*"),
        ("wikimedia", r"\d+\t-?\d+\t[a-z+.-]+\t\d+\t[\d.e-]+\s*"),
        ("wikimedia", r"\d+\t-?\d+\t\d+\t[\d.e-]+\s*"),
    )
)  # fmt: skip


def kind_of_row(line: str) -> str | None:
    """The public format that a row without a head line has."""
    return next((name for name, shape in _SHAPES if shape.fullmatch(line)), None)


def seconds_of(layout: Layout, text: str) -> float:
    """The time of a row."""
    if layout.clock is not None:
        return check_seconds(layout.clock(text))
    if layout.tick != 1:
        return check_ticks(text) * layout.tick
    return check_seconds(float(text))
