"""Traces: recorded requests, from CSV files, access logs and libCacheSim's binary files.

`TraceFile` reads one in blocks, so that a trace may be larger than memory; `read_trace` reads a
whole one as a workload.
"""

from scenarios.traces.block import Block, BrokenLines
from scenarios.traces.file import FORMATS, TraceFile
from scenarios.traces.whole import Trace, read_trace

__all__ = ["FORMATS", "Block", "BrokenLines", "Trace", "TraceFile", "read_trace"]
