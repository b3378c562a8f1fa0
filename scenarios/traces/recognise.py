"""Tells the format of a trace by its first bytes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePath

from policies.bad_input import BadInput
from policies.registry import nearest
from scenarios.traces.binary import may_be_oracle_general, vscsi_version
from scenarios.traces.columns import is_head, layout_by_names, split_head
from scenarios.traces.http_log import Entry
from scenarios.traces.layouts import LAYOUTS, kind_of_row, layout_of_head
from scenarios.traces.log_lines import S3, Combined, HaProxy, LoadBalancer, Squid, hidden_host
from scenarios.traces.opening import encoding_of

FORMATS = (
    "csv", "txt", "oracleGeneral", "vscsi",
    "combined", "combined_host_last", "w3c", "s3", "aws_lb", "json", "squid", "haproxy",
    *LAYOUTS,
)  # fmt: skip
"""All formats, by name."""

BINARY = ("oracleGeneral", "vscsi")
OTHER_NAMES = {
    "common": "combined", "vhost_combined": "combined", "apache": "combined", "nginx": "combined",
    "iis": "w3c", "cloudfront": "w3c", "alb": "aws_lb", "elb": "aws_lb", "jsonl": "json", "ndjson": "json",
    "caddy": "json", "traefik": "json", "tsv": "csv", "libcachesim": "csv", "twemcache": "twitter",
    "msr_cambridge": "msr", "ibm": "ibm_object_store", "cloudphysics": "vscsi", "alibaba": "alibaba_block",
    "tencent": "tencent_block",
}  # fmt: skip
"""Names of programs and publishers, with the format that they write."""

_LOGS: tuple[tuple[str, Callable[[str], Entry | None]], ...] = (
    ("s3", S3().entry),
    ("aws_lb", LoadBalancer().entry),
    ("haproxy", HaProxy().entry),
    ("combined", Combined().entry),
    ("squid", Squid().entry),
)


def known_format(name: str) -> str:
    """The name of a format as it stands in `FORMATS`; raises `ValueError` if there is none."""
    plain = name.strip().lower().replace("-", "_")
    for other in FORMATS:
        if other.lower() == plain:
            return other
    if plain in OTHER_NAMES:
        return OTHER_NAMES[plain]
    hint = nearest(name, [*FORMATS, *OTHER_NAMES])
    raise ValueError(f"unknown format of a trace{hint}; expected one of {', '.join(FORMATS)}")


def binary_kind(path: str, head: bytes) -> str | None:
    """The binary format of a file; ``None`` if it is a text.

    Raises
    ------
    BadInput
        If it is neither.
    """
    if ".oraclegeneral" in PurePath(path).name.lower():
        return "oracleGeneral"
    wide = encoding_of(head)[0]
    if b"\0" not in head[:4096] or _begins_as_text(head) or (wide and not may_be_oracle_general(head)):
        return None
    if vscsi_version(head) is not None:
        return "vscsi"
    if may_be_oracle_general(head):
        return "oracleGeneral"
    raise BadInput(path, "", f"is no text and no binary trace that is known; {_ask()}")


def _begins_as_text(head: bytes) -> bool:
    """Whether the first line is text; zeros behind it are what a crash left in a log."""
    line = head.partition(b"\n")[0].rstrip(b"\r")
    return len(line) >= 8 and line.isascii() and line.decode().isprintable()


def text_kind(path: str, head: bytes) -> str:
    """The format of a text.

    Raises
    ------
    BadInput
        If it is none of those that can be told by content.
    """
    lines = [line for line in head.decode("latin-1").replace("\r", "\n").split("\n")[:200] if line.strip()]
    first = lines[0].lstrip() if lines else ""
    if any(line.lower().startswith(("#fields:", "#version: 1")) for line in lines[:20]):
        return "w3c"
    if first.startswith("{"):
        return "json"
    rows = [line for line in lines if not line.startswith("#")][:20]
    logs = next((name for name, entry in _LOGS if any(_parses(entry, line) for line in rows)), None)
    if logs == "combined":
        _check_no_hidden_host(path, rows)
    if logs is not None:
        return logs
    table = next((kind for line in rows[:3] if (kind := kind_of_row(line))), None)
    if table is not None:
        return table
    if rows and is_head(split_head_or_none(rows[0])):
        public = layout_of_head(split_head_or_none(rows[0]))
        if public is not None:
            return public[0]
    return _by_name(path, lines)


def split_head_or_none(line: str) -> list[str]:
    """The fields of a line; none if it cannot be split."""
    try:
        return split_head(line)[1]
    except ValueError:
        return []


def _by_name(path: str, lines: list[str]) -> str:
    endings = [ending.lower() for ending in PurePath(path).suffixes]
    if ".csv" in endings or ".tsv" in endings:
        return "csv"
    if ".txt" in endings and all(len(line.split()) == 1 for line in lines) and not _names_columns(lines):
        return "txt"
    if _names_columns(lines):
        return "csv"
    raise BadInput(path, "line 1" if lines else "", f"no format of a trace is recognised here; {_ask()}")


def _names_columns(lines: list[str]) -> bool:
    """Whether the first line names columns, even if not all that are needed."""
    try:
        head = split_head(lines[0].removeprefix("#"))[1] if lines else []
        layout_by_names(head)
    except ValueError as error:
        return "may tell objects apart" in str(error) or "could both be" in str(error)
    return True


def _ask() -> str:
    return f"say --format NAME: {', '.join(FORMATS)}"


def _parses(entry: Callable[[str], Entry | None], line: str) -> bool:
    try:
        return entry(line) is not None
    except ValueError:
        return False


def _check_no_hidden_host(path: str, rows: list[str]) -> None:
    for line in rows:
        if (host := hidden_host(line)) is not None:
            raise BadInput(
                path, "", f"{host!r} stands where no host belongs, but may tell objects apart; say "
                "--format combined_host_last if the last field is the host, or --format combined to "
                "leave it out"
            )  # fmt: skip
