"""Files that a command writes: it checks them before the work, and writes the whole file or nothing."""

from __future__ import annotations

import json
import math
import os
import tempfile
from pathlib import Path
from typing import Any

from policies.bad_input import BadInput


def check_writable(path: Path | None, option: str) -> None:
    """Create the folder of `path`, and raise `BadInput` if the file cannot be written."""
    if path is None:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(option, str(path), f"cannot create its folder: {error.strerror}") from None
    try:
        if path.is_dir():
            raise BadInput(option, str(path), "is a folder; expected a file name")
        if path.exists() and not os.access(path, os.W_OK):
            raise BadInput(option, str(path), "cannot be written: permission denied")
        if not _is_device(path):
            with tempfile.NamedTemporaryFile(dir=path.resolve().parent, prefix=".proxytwin-"):
                pass
    except OSError as error:
        raise BadInput(option, str(path), f"cannot be written: {error.strerror}") from None


def write_whole(path: Path, content: str | bytes) -> None:
    """Write to a temporary file in the same folder, and rename it, so that no reader sees half of it.

    A symbolic link stays. A device or pipe such as ``/dev/stdout`` is written directly.

    Raises
    ------
    BadInput
        If the file cannot be written; then an old file keeps its content.
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    try:
        if _is_device(path):
            path.write_bytes(data)
        else:
            _replace(path.resolve(), data)
    except OSError as error:
        raise BadInput(str(path), "", f"cannot be written: {error.strerror}") from None


def _is_device(path: Path) -> bool:
    return path.exists() and not path.is_file()


def _replace(path: Path, data: bytes) -> None:
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".proxytwin-", delete=False) as file:
        written = Path(file.name)
        try:
            file.write(data)
            file.close()  # Windows renames no open file
            written.chmod(0o644)
            written.replace(path)
        except BaseException:
            file.close()
            written.unlink()
            raise


def write_json(path: Path, data: Any) -> None:
    """Write plain data as JSON; NaN and infinity become null."""
    write_whole(path, json.dumps(_plain(data), indent=2, ensure_ascii=False) + "\n")


def _plain(data: Any) -> Any:
    if isinstance(data, dict):
        return {str(key): _plain(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_plain(value) for value in data]
    if isinstance(data, float) and not math.isfinite(data):
        return None
    return data
