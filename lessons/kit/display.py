"""What a notebook displays: figures without a plotting backend, boxes of text, and tables."""

from __future__ import annotations

import base64
import html
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from matplotlib.figure import Figure

from twin.plots.style import NEUTRAL


def png(figure: Figure) -> bytes:
    """The figure as a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def img(data: bytes, alt: str) -> str:
    """A PNG file as HTML, with a text for readers who cannot see it."""
    encoded = base64.b64encode(data).decode("ascii")
    return f'<img alt="{html.escape(alt)}" style="max-width:100%" src="data:image/png;base64,{encoded}">'


@dataclass(frozen=True)
class Picture:
    """A figure that a notebook shows if it is the last line of a cell.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        The constructor draws it, once.
    description : str
        The same information as text, for readers who cannot see the figure.
    """

    figure: Figure = field(repr=False)
    description: str
    data: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "data", png(self.figure))

    def _repr_mimebundle_(
        self, include: object = None, exclude: object = None
    ) -> tuple[dict[str, bytes | str], dict[str, dict[str, object]]]:
        # JupyterLab prefers HTML, and drops the "alt" of an image's metadata, which nbconvert keeps.
        data: dict[str, bytes | str] = {
            "image/png": self.data,
            "text/html": img(self.data, self.description),
            "text/plain": self.description,
        }
        return data, {"image/png": {"alt": self.description}}


def label_size(names: Iterable[str], room: int = 18, points: float = 9.0) -> float:
    """Font size at which the longest of `names` fits where `room` characters of `points` fit."""
    return points * min(1.0, room / max(map(len, names), default=1))


def box(text: str, colour: str = NEUTRAL, title: str = "") -> str:
    """Paragraphs with a coloured line at the left, as HTML; words in `backticks` are shown as code."""
    head = f"<strong style='color:{colour}'>{_marked(title)}</strong><br>" if title else ""
    paragraphs = "<br>".join(_marked(line) for line in text.splitlines() if line)
    return (
        f"<div style='border-left:4px solid {colour};padding:.3em 1em;margin:.3em 0;max-width:60em'>"
        f"{head}{paragraphs}</div>"
    )


def _marked(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text, quote=False))


def table(head: list[str], rows: list[list[str]], colours: dict[int, str] | None = None) -> str:
    """An HTML table of texts; `colours` maps a column's number to its colour."""
    colours = colours or {}

    def cells(tag: str, row: list[str]) -> str:
        styled = (
            f"<{tag} style='text-align:{'right' if place else 'left'};padding:.25em .9em;"
            f"{f'color:{colours[place]}' if place in colours else ''}'>{_marked(text)}</{tag}>"
            for place, text in enumerate(row)
        )
        return f"<tr>{''.join(styled)}</tr>"

    body = "".join(cells("td", row) for row in rows)
    return f"<table><thead>{cells('th', head)}</thead><tbody>{body}</tbody></table>"
