"""Parses the rows of a table at once, with pandas."""

from __future__ import annotations

import csv
import io
import warnings
from typing import Any

import numpy as np

from scenarios.traces.columns import Places
from scenarios.traces.exact_rows import JOINT, LARGEST, MOST
from scenarios.traces.layouts import Layout
from scenarios.traces.table import Rows
from scenarios.traces.times import LATEST, MOST_TICKS


def fast_rows(body: bytes, layout: Layout, at: Places) -> Rows | None:
    """The rows of a piece without errors; ``None`` if it has any, or if only `ExactRows` can tell."""
    kinds = _kinds(at)
    if kinds is None or layout.clock is not None or layout.optional:
        return None
    if not body or body.isspace() or b"\0" in body:
        return None
    if 0 not in at.object and (body[:1] == b"#" or b"\n#" in body):
        return None  # remarks
    frame = _frame(body, layout, at, kinds)
    if frame is None or body.count(layout.separator.encode()) != (at.width - 1) * len(frame):
        return None  # pandas silently drops surplus fields
    columns = {place: frame[place].to_numpy() for place in kinds}
    named = _names([columns[place] for place in at.object])
    if named is None or not _keeps_the_rules(columns, layout, at):
        return None
    return Rows(
        None if at.time is None else columns[at.time] if layout.tick == 1 else columns[at.time] * layout.tick,
        *named,
        _sizes([columns[place] for place in at.size], len(frame), layout.unit),
        None if at.known is None else columns[at.known] > 0,
        None if at.operation is None else columns[at.operation],
        None if at.repeats is None else columns[at.repeats],
        None if at.service is None else columns[at.service],
    )


def _kinds(at: Places) -> dict[int, str] | None:
    """The type of each column that is used; ``None`` if one has two uses."""
    places = [(place, "object") for place in at.object] + [(place, "int64") for place in at.size]
    uses = ((at.time, "float64"), (at.service, "float64"), (at.repeats, "int64"), (at.operation, "object"))
    places += [(place, kind) for place, kind in uses if place is not None]
    return dict(places) if len({place for place, _ in places}) == len(places) else None


def _frame(body: bytes, layout: Layout, at: Places, kinds: dict[int, str]) -> Any:
    import pandas as pd  # slow to import, and load generators do not need it

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # too many fields
            warnings.simplefilter("error", RuntimeWarning)  # a size that no integer holds
            return pd.read_csv(
                io.BytesIO(body), header=None, names=range(at.width), usecols=sorted(kinds), index_col=False,
                sep=layout.separator, dtype=kinds, na_filter=False, encoding_errors="surrogateescape",
                quoting=csv.QUOTE_MINIMAL if layout.quoted else csv.QUOTE_NONE, skipinitialspace=True,
            )  # fmt: skip
    except (ValueError, TypeError, OverflowError, RuntimeWarning, pd.errors.ParserWarning):
        return None


def _sizes(parts: list[Any], count: int, unit: int) -> Any:
    """The sum of the columns; one unit if there is none."""
    if not parts:
        return np.full(count, unit, np.int64)
    total = parts[0] if len(parts) == 1 else sum(parts)
    return total if unit == 1 else total * unit


def _names(parts: list[Any]) -> tuple[Any, Any] | None:
    """Codes and different names of the objects; ``None`` if a name is missing."""
    import pandas as pd

    words = parts[0]
    if len(parts) > 1:
        try:
            joined = list(map(JOINT.join, zip(*(part.tolist() for part in parts), strict=True)))
        except TypeError:
            return None  # a field is missing
        words = np.array(joined, dtype=object)
    codes, different = pd.factorize(words)
    return (codes, different) if all(isinstance(word, str) and word for word in different) else None


def _keeps_the_rules(columns: dict[int, Any], layout: Layout, at: Places) -> bool:
    if at.time is not None:
        times = columns[at.time]
        latest = LATEST if layout.tick == 1 else MOST_TICKS
        if not ((times >= 0) & (times < latest)).all():  # also false for NaN
            return False
    if at.service is not None and not ((columns[at.service] >= 0) & np.isfinite(columns[at.service])).all():
        return False
    if at.repeats is not None and not ((columns[at.repeats] >= 1) & (columns[at.repeats] <= MOST)).all():
        return False
    if layout.others is not None and at.operation is not None:
        import pandas as pd

        fine = layout.reads | layout.others
        if not all(str(kind).strip().lower() in fine for kind in pd.unique(columns[at.operation])):
            return False
    return all(((columns[place] >= 0) & (columns[place] <= LARGEST)).all() for place in at.size)
