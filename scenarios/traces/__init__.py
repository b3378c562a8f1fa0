"""Traces: recorded requests in CSV files, access logs and libCacheSim's binary files.

`file` (`TraceFile`) opens a trace and recognises its format and compression; `access_log`, `csv_rows`
and `oracle_general` parse one format each; `block` has what they share. They read a trace in blocks, so
that it may be larger than memory; `whole` (`read_trace`) reads a whole trace as a workload. A reader
belongs to one thread.
"""

from scenarios.traces.block import Block, BrokenLines
from scenarios.traces.file import FORMATS, TraceFile
from scenarios.traces.whole import Trace, read_trace

__all__ = ["FORMATS", "Block", "BrokenLines", "Trace", "TraceFile", "read_trace"]
