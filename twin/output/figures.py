"""Figures as files."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from policies.bad_input import BadInput
from twin.output.files import check_writable, write_whole

if TYPE_CHECKING:  # matplotlib takes long to load
    from matplotlib.figure import Figure

_ENDINGS = (".png", ".svg", ".pdf")


def check_picture(path: Path | None, option: str) -> None:
    """Raise `BadInput` if no figure can be written to `path`; call it before the work begins."""
    if path is not None and path.suffix.lower() not in _ENDINGS:
        raise BadInput(option, str(path), f"expected a name that ends in {', '.join(_ENDINGS)}")
    check_writable(path, option)


def write_picture(path: Path, figure: Figure) -> None:
    """Write the whole figure or nothing, in the format of the name's ending."""
    file = io.BytesIO()
    figure.savefig(file, format=path.suffix[1:].lower(), dpi=150)
    write_whole(path, file.getvalue())
