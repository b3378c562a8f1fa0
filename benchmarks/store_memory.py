"""The memory of a stored object beyond its body and its head.

    python benchmarks/store_memory.py [--objects 1000000] [--policy s3_fifo]

It fills a store that evicts nothing, and compares the resident memory before and after. The limit is 1 KiB
per object beyond the body, including the head (150 bytes here).
"""

from __future__ import annotations

import argparse
import gc
import os
import random
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from policies.eviction import eviction_policies
from policies.http_cache.freshness import Request, read_answer
from policies.settings import Cache
from realproxy.cache.entry import CacheEntry
from realproxy.cache.entry_headers import stored_head
from realproxy.cache.store import CacheStore

LINES = (
    (b"Content-Type", b"text/plain"),
    (b"Cache-Control", b"max-age=3600"),
    (b"Date", b"Wed, 01 Jan 2020 00:00:00 GMT"),
    (b"Via", b"1.1 proxytwin"),
)
BODY = 100


def resident() -> int:
    """Bytes of resident memory of this process."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def fill(store: CacheStore, objects: int) -> None:
    """Store small responses, as they would come from an origin."""
    header = {name.decode().lower(): value.decode() for name, value in LINES}.get
    for number in range(objects):
        answer = read_answer(200, header, Request(), False, None, time.time(), 0.01)
        body = b"%0*d" % (BODY, number)
        stored = CacheEntry(200, b"OK", stored_head(200, b"OK", LINES, BODY), body, answer, time.monotonic())
        key = b"web http://shop.test/objects/%d" % number
        if not store.put(key, stored, lambda _: None, time.monotonic()):
            raise SystemExit(f"object {number} is not stored")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--objects", type=int, default=1_000_000)
    parser.add_argument("--policy", default="s3_fifo", choices=eviction_policies.names())
    options = parser.parse_args()
    store = CacheStore(Cache(policy=options.policy, capacity=2**50, objects=2**50), random.Random(1))
    before, start = resident(), time.perf_counter()
    fill(store, options.objects)
    seconds = time.perf_counter() - start
    each = (resident() - before) / options.objects
    print(f"{options.objects:,} objects, {options.policy}: {each - BODY:.0f} bytes each beyond the body")
    print(f"{options.objects / seconds:,.0f} stored a second")
    return 0


if __name__ == "__main__":
    sys.exit(main())
