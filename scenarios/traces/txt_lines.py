"""libCacheSim's txt format: the name of one object per line, without times and sizes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from scenarios.traces.block import Block, BrokenLines, LeftOut, Names, Source, whole_lines


class TxtLines:
    """Reads the lines: one request per second, and every object has one byte."""

    timed = False

    def __init__(self) -> None:
        self.left_out = LeftOut()
        self._names = Names()
        self._count = 0

    def read(self, file: Source, broken: BrokenLines) -> Iterator[Block]:
        """The requests; may be called again for the next file of the same trace."""
        for line, text in whole_lines(file):
            keys = []
            for number, written in enumerate(text.decode("latin-1").split("\n"), line):
                name = written.strip()
                if "\0" in name:
                    broken.report(f"line {number}", "holds a NUL byte; is this a binary file? say --format")
                elif name:
                    keys.append(self._names[name])
            if keys:
                times = np.arange(self._count, self._count + len(keys), dtype=np.float64)
                self._count += len(keys)
                yield Block(times, np.array(keys, np.uint64), np.ones(len(keys), np.int64))
