"""Draw docs/house.svg from the imports, and bring the links of docs/architecture.md up to date.

``python docs/draw_house.py`` writes both files. With ``--check`` it writes nothing, and exits with 1 if
one of them is not what it would write; a line number in a link may then be another one.
"""

from __future__ import annotations

import sys
from html import escape

from architecture_links import DOCUMENT, updated, without_line_numbers
from house_layout import EDGE, HOUSE, LINE, PAD, SIZE, WIDTH, Box, folder_boxes, name_room
from source_tree import ROOT, Edges, WrongTreeError, folder_edges, reduced

PICTURE = ROOT / "docs" / "house.svg"
INK, FOLDER, ROOM, PANEL = "#1a1a1a", ("#f5efe0", "#7a6a45"), ("#e8f1f8", "#2f5d7c"), ("#ffffff", "#2f5d7c")
COLOURS = ("#0072b2", "#a04000", "#00664b", "#4d4d4d")
"""Of arrows: each has a contrast of more than 4.5 to white, and differs in lightness or hue for all eyes."""


def floor_arrows(rows: list[list[Box]], edges: Edges) -> list[str]:
    """The arrows from floor to floor; they end side by side at the edges of the boxes."""
    boxes = {box.name: box for row in rows for box in row}
    colour = {box.name: COLOURS[n % len(COLOURS)] for row in rows for n, box in enumerate(row)}

    def ports(box: Box, others: list[str]) -> dict[str, float]:
        others = sorted(others, key=lambda name: boxes[name].x)
        return {name: box.x + box.width * (n + 1) / (len(others) + 1) for n, name in enumerate(others)}

    leaves = {name: ports(boxes[name], [b for a, b in edges if a == name]) for name in boxes}
    enters = {name: ports(boxes[name], [a for a, b in edges if b == name]) for name in boxes}
    drawn = []
    for above, below in sorted(edges):
        upper, lower = boxes[above], boxes[below]
        x, y, x2, y2 = leaves[above][below], upper.y + upper.height, enters[below][above], lower.y
        start = above.partition(">")[0]
        middle, tip = (y + y2) / 2, y2 if ">" in below else y2 - 8
        drawn.append(
            f'<path d="M{x:.1f} {y:.1f}C{x:.1f} {middle:.1f} {x2:.1f} {middle - 8:.1f} {x2:.1f} {tip:.1f}" '
            f'fill="none" stroke="{colour[start]}" stroke-width="1.6"/>'
        )
        if ">" in below:
            drawn.append(_line(x2, y2, x2, y2 + lower.height, colour[start]))
        else:
            drawn.append(_tip(x2, y2, colour[start]))
    return drawn


def _line(x: float, y: float, x2: float, y2: float, colour: str) -> str:
    return f'<path d="M{x:.1f} {y:.1f}L{x2:.1f} {y2:.1f}" stroke="{colour}" stroke-width="1.6"/>'


def _tip(x: float, y: float, colour: str) -> str:
    return f'<path d="M{x:.1f} {y:.1f}l-4.5 -9h9z" fill="{colour}"/>'


def folder_arrows(boxes: dict[str, Box], edges: Edges) -> list[str]:
    """Straight arrows down, each where no other folder is in the way."""
    drawn = []
    for above, below in sorted(edges):
        upper, lower = boxes[above], boxes[below]
        between = [box for box in boxes.values() if upper.y < box.y < lower.y and box.y != upper.y]
        x = max(upper.x, lower.x)
        free = [(x, min(upper.x + upper.width, lower.x + lower.width))]
        for box in between:
            parts = [(a, min(b, box.x)) for a, b in free] + [(max(a, box.x + box.width), b) for a, b in free]
            free = [(a, b) for a, b in parts if b - a >= 2 * PAD]
        if not free:
            raise WrongTreeError(f"the picture has no room for an arrow from {above}/ to {below}/")
        a, b = max(free, key=lambda part: part[1] - part[0])
        x = (a + b) / 2
        drawn += [_line(x, upper.y + upper.height, x, lower.y - 8, INK), _tip(x, lower.y, INK)]
    return drawn


def _rectangle(box: Box, colours: tuple[str, str], extra: str = "") -> str:
    return (
        f'<rect x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}" rx="6" '
        f'fill="{colours[0]}" stroke="{colours[1]}"{extra}/>'
    )


def _text(x: float, y: float, text: str, *, bold: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{weight}>{escape(text, quote=False)}</text>'


def _folder(box: Box) -> list[str]:
    colours = PANEL if box.name == "realproxy" else FOLDER
    y, text_x = box.y + PAD + SIZE - 1, box.x + PAD + name_room(box)
    lines = [_text(text_x, y + n * LINE, line) for n, line in enumerate(box.text)]
    return [_rectangle(box, colours), _text(box.x + PAD, y, f"{box.name}/", bold=True), *lines]


def _room(box: Box) -> list[str]:
    if ">" in box.name:
        return []
    name = box.name if box.name.endswith(".py") else f"{box.name}/"
    y = box.y + PAD + SIZE - 1
    lines = [_text(box.x + PAD, y + (n + 1) * LINE, line) for n, line in enumerate(box.text)]
    return [_rectangle(box, ROOM), _text(box.x + PAD, y, name, bold=True), *lines]


def picture() -> str:
    """The house as SVG: the same imports and docstrings give the same text."""
    order = [name for row in HOUSE for name in row]
    imported = folder_edges(order)
    for above, below in sorted(imported):
        if order.index(above) > order.index(below):
            raise WrongTreeError(f"{above}/ imports {below}/, which stands above it")
    edges = reduced(imported)
    boxes, rooms, steps = folder_boxes()
    height = max(box.y + box.height for box in boxes.values()) + EDGE
    drawn = [line for box in boxes.values() for line in _folder(box)]
    drawn += folder_arrows(boxes, edges)
    for number, row in enumerate(rooms):
        drawn.append(
            _text(boxes["realproxy"].x + 16, row[0].y + row[0].height / 2 + 5, str(len(rooms) - number))
        )
        drawn += [line for box in row for line in _room(box)]
    drawn += floor_arrows(rooms, steps)
    start = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" '
        f'height="{height:.0f}" font-family="Arial, Helvetica, \'DejaVu Sans\', sans-serif" '
        f'font-size="{SIZE}" fill="{INK}" role="img">\n'
        "<title>The folders of the project, and the packages of realproxy on their floors</title>\n"
        f'<rect width="{WIDTH}" height="{height:.0f}" fill="#ffffff"/>\n'
    )
    return start + "\n".join(drawn) + "\n</svg>\n"


def main(arguments: list[str]) -> int:
    """Write, or check; returns the exit status."""
    try:
        wanted = {PICTURE: picture(), DOCUMENT: updated(DOCUMENT.read_text(encoding="utf-8"))}
    except WrongTreeError as problem:
        print(f"docs/draw_house.py: {problem}", file=sys.stderr)
        return 1
    status = 0
    for path, text in wanted.items():
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        if "--check" not in arguments:
            path.write_text(text, encoding="utf-8")
        elif without_line_numbers(before) != without_line_numbers(text):
            print(
                f"{path.relative_to(ROOT)} is out of date: run make format, or python3 docs/draw_house.py",
                file=sys.stderr,
            )
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
