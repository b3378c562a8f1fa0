"""What a lesson displays: comparison tables, figures with a text, and escaped text."""

from __future__ import annotations

import base64
import random

from matplotlib.figure import Figure

from lessons.kit import Picture, side_by_side
from lessons.kit.display import box, img, table


def test_a_formula_stands_beside_what_was_simulated() -> None:
    rows = side_by_side({"busy": (26.0, 25.0, "%")})
    for shown in (rows._repr_html_(), repr(rows)):
        assert all(text in shown for text in ("26 %", "25 %", "+1.0 pp"))


def test_a_picture_shows_itself_with_words_for_those_who_cannot_see_it() -> None:
    picture = Picture(Figure(figsize=(1, 1)), "an empty square")
    data, metadata = picture._repr_mimebundle_()
    assert data["image/png"] == picture.data and str(picture.data[1:4], "ascii") == "PNG"
    assert data["text/plain"] == metadata["image/png"]["alt"] == "an empty square"
    assert data["text/html"].startswith('<img alt="an empty square" ')
    assert base64.b64encode(picture.data).decode("ascii") in data["text/html"]


def test_an_alt_text_cannot_end_its_attribute() -> None:
    assert img(b"", '"<&>').startswith('<img alt="&quot;&lt;&amp;&gt;" ')


def test_boxes_and_tables_show_text_as_text() -> None:
    text = "".join(random.Random(1).choices("<>&\"' ab", k=50))
    for shown in (box(text), table([text], [[text]]), box("x", title=text)):
        assert text not in shown and "&lt;" in shown
    assert "<code>None</code>" in box("replace `None`")
