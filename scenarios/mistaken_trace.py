"""A file that is no trace, but was given as one: what it is, and which command takes it."""

from __future__ import annotations

from pathlib import Path

from policies.bad_input import BadInput
from policies.file_kinds import HEAD_BYTES, NO_TRACES, kind_of_content, kind_of_toml


def check_trace(path: str | Path) -> None:
    """Raise `BadInput` if a file is something else than a trace; a pipe is not read."""
    file = Path(path)
    if file.is_dir():
        raise BadInput(str(path), "", "cannot be read: Is a directory; expected a trace")
    if not file.is_file():
        return
    try:
        with file.open("rb") as opened:
            content = opened.read() if file.suffix == ".toml" else opened.read(HEAD_BYTES)
    except OSError:
        return  # the reader says why
    kind = kind_of_toml(content) or kind_of_content(content, file.name)
    if kind in NO_TRACES:
        raise BadInput(str(path), "", f"is {kind}; expected a trace")
