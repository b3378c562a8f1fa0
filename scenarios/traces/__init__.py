"""Traces: recorded requests in tables, access logs and binary files.

`file` (`TraceFile`) reads a trace in blocks, so that it may be larger than memory; `whole` (`read_trace`)
reads a whole trace as a workload. `opening` opens and unpacks a file, `recognise` tells its format. One
module parses one kind of format: `csv_rows` tables (with `columns`, `layouts`, `fast_rows`, `exact_rows` and
`table`), `http_log` logs (with `log_lines`, `w3c` and `json_lines`), `binary` and `txt_lines`; `block` has
what they share. A reader belongs to one thread.
"""

from scenarios.traces.block import Block, BrokenLines
from scenarios.traces.columns import Columns
from scenarios.traces.file import TraceFile
from scenarios.traces.recognise import FORMATS, known_format
from scenarios.traces.whole import Trace, notes_of, read_trace

__all__ = [
    "FORMATS",
    "Block",
    "BrokenLines",
    "Columns",
    "Trace",
    "TraceFile",
    "known_format",
    "notes_of",
    "read_trace",
]
