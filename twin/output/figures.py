"""Pictures as files."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from policies.bad_input import BadInput
from twin.output.files import check_writable, write_whole

if TYPE_CHECKING:  # takes longer to load than a table to make
    from matplotlib.figure import Figure

_ENDINGS = (".png", ".svg", ".pdf")


def check_picture(path: Path | None, option: str) -> None:
    """Whether a picture can be written to `path`, before minutes of work are spent on it.

    Raises
    ------
    BadInput
        If it cannot.
    """
    if path is not None and path.suffix.lower() not in _ENDINGS:
        raise BadInput(option, str(path), f"expected a name that ends in {', '.join(_ENDINGS)}")
    check_writable(path, option)


def write_picture(path: Path, figure: Figure) -> None:
    """Write a whole picture, in the format that its name says, or nothing."""
    file = io.BytesIO()
    figure.savefig(file, format=path.suffix[1:].lower(), dpi=150)
    write_whole(path, file.getvalue())
