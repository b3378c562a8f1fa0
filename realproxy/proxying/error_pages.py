"""Pages from files in place of the proxy's own one-line errors."""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping
from pathlib import Path

from policies.bad_input import BadInput

LARGEST = 2**20
"""Bytes of a page: all pages are kept in memory."""


class ErrorPages:
    """The pages for statuses such as ``404``, or classes such as ``5xx``; a status goes before its class.

    `key` is where the settings name the files. Raises `BadInput` if a file cannot be read.
    """

    def __init__(self, files: Mapping[str, str], key: str) -> None:
        self._pages = {status: _read(file, f"{key}.{status}") for status, file in files.items()}

    def find(self, status: int) -> tuple[bytes, bytes] | None:
        """The media type and the body of the page for a status, or None."""
        return self._pages.get(str(status)) or self._pages.get(f"{status // 100}xx")


def _read(file: str, key: str) -> tuple[bytes, bytes]:
    path = Path(file)
    try:
        body = path.read_bytes()
    except OSError as error:
        raise BadInput(
            "settings", key, f"{file!r} cannot be read: {(error.strerror or '').lower()}"
        ) from None
    if len(body) > LARGEST:
        raise BadInput("settings", key, f"{file!r} is larger than {LARGEST} bytes")
    kind = mimetypes.guess_type(path.name)[0] or "text/html"
    return (f"{kind}; charset=utf-8" if kind.startswith("text/") else kind).encode(), body
