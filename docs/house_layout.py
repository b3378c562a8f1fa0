"""Where the boxes of docs/house.svg are: the folders from top to bottom, and the packages on their floors."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import permutations

from architecture_links import PIPELINE
from source_tree import (
    ROOT,
    Edges,
    first_sentence,
    floors,
    part_edges,
    parts_of,
    reduced,
    tuple_of_names,
)

HOUSE = (
    ("notebooks",),
    ("lessons",),
    ("twin",),
    ("simulator", "loadtests"),
    ("scenarios",),
    ("realproxy",),
    ("policies",),
)
"""The folders from top to bottom; `realproxy` is drawn with its packages."""
NO_DOCSTRING = {"notebooks": "The lessons, as the student sees them: start here."}
WIDTH, EDGE = 960, 12
LANE = 44
"""Room beside `realproxy` for arrows that pass it."""
SCENARIOS = 0.6
"""Share of the width; arrows to `realproxy` pass beside it."""
SIZE, LINE, PAD = 13, 17, 10
"""Of the text, of a line, and around the text."""
GAP, BOX_GAP, BOX = 26, 18, 206
"""Between rows of folders, between boxes, and the width of a box."""
BEND = 4
"""Height that each arrow adds between two floors."""


@dataclass
class Box:
    """A rectangle with name and text; a name with ``>`` is room for an arrow that passes a floor."""

    name: str
    x: float
    y: float
    width: float
    text: list[str] = field(default_factory=list)
    height: float = 0.0


def width_of(text: str, bold: bool = False) -> float:
    """An upper bound of a text's width in a font such as DejaVu Sans or Arial."""
    narrow, wide = sum(map("ijlt.,:;'|!()[] /Ifr".count, text)), sum(map("mwMW".count, text))
    capitals = sum(letter.isupper() for letter in text) - sum(map("IMW".count, text))
    ems = 0.42 * narrow + 0.98 * wide + 0.72 * capitals + 0.62 * (len(text) - narrow - wide - capitals)
    return ems * SIZE * (1.12 if bold else 1.0)


def wrapped(text: str, room: float) -> list[str]:
    """The lines of a text that fit into `room`."""
    lines: list[str] = []
    for word in text.replace("`", "").split():
        if lines and width_of(f"{lines[-1]} {word}") <= room:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


# --- the packages of realproxy, floor by floor --------------------------------------------------


def arranged(rows: list[list[str]], edges: Edges) -> list[list[str]]:
    """The rows in an order in which few arrows between neighbouring rows cross."""

    def crossings(upper: list[str], lower: list[str]) -> int:
        pairs = [(upper.index(a), lower.index(b)) for a, b in edges if a in upper and b in lower]
        return sum(a < c and b > d for a, b in pairs for c, d in pairs)

    def around(number: int, row: list[str]) -> int:
        above = crossings(rows[number - 1], row) if number else 0
        return above + (crossings(row, rows[number + 1]) if number + 1 < len(rows) else 0)

    for _ in range(4):
        for number, row in enumerate(rows):
            options = [list(option) for option in permutations(sorted(row))]
            rows[number] = min([row, *options], key=lambda option: around(number, option))
    return rows


def split(floor_of: dict[str, int], edges: Edges) -> tuple[list[list[str]], Edges]:
    """The floors from the top, and the arrows from floor to floor; a long arrow passes an empty place."""
    rows: list[list[str]] = [[] for _ in range(max(floor_of.values()))]
    for name in sorted(floor_of):
        rows[-floor_of[name]].append(name)
    steps = set()
    for above, below in sorted(edges):
        chain = [above]
        for floor in range(floor_of[above] - 1, floor_of[below], -1):
            chain.append(f"{above}>{below}@{floor}")
            rows[-floor].append(chain[-1])
        steps |= set(zip(chain, [*chain[1:], below], strict=True))
    return rows, frozenset(steps)


def floor_boxes(
    rows: list[list[str]], steps: Edges, left: float, right: float, top: float
) -> list[list[Box]]:
    """The boxes of every floor, from `top` down."""
    parts, found = parts_of("realproxy"), []
    for row in rows:
        passing = sum(">" in name for name in row)
        room = right - left - BOX_GAP * (len(row) - 1) - 2 * PAD * passing
        alone = len(row) == 1
        width = room if alone else min(BOX, room / max(1, len(row) - passing))
        x = (left + right - (width * (len(row) - passing) + right - left - room)) / 2
        boxes = []
        for name in row:
            lines = [] if ">" in name else wrapped(first_sentence(parts[name]), width - 2 * PAD)
            if name == "proxying":
                lines += wrapped(" → ".join(tuple_of_names(PIPELINE, "PHASES")), width - 2 * PAD)
            boxes.append(Box(name, x, top, 2 * PAD if ">" in name else width, lines))
            x += boxes[-1].width + BOX_GAP
        height = 2 * PAD + LINE * (1 + max(len(box.text) for box in boxes))
        for box in boxes:
            box.height = height
        found.append(boxes)
        count = sum(above in row for above, _ in steps)
        top += height + GAP + min(count, 7) * BEND
    return found


# --- the folders --------------------------------------------------------------------------------


def folder_boxes() -> tuple[dict[str, Box], list[list[Box]], Edges]:
    """The folders from top to bottom, and what is inside of `realproxy`."""
    imported = part_edges("realproxy")
    rows, steps = split(floors(parts_of("realproxy"), imported), reduced(imported))
    boxes: dict[str, Box] = {}
    rooms: list[list[Box]] = []
    y = float(EDGE)
    for row in HOUSE:
        across = (WIDTH - 2 * EDGE - BOX_GAP * (len(row) - 1)) / len(row)
        for number, name in enumerate(row):
            box = Box(name, EDGE + number * (across + BOX_GAP), y, across)
            if name == "scenarios":
                box.width *= SCENARIOS
            if name == "realproxy":
                box.x, box.width = box.x + LANE, across - LANE
            text = NO_DOCSTRING.get(name) or first_sentence(ROOT / name / "__init__.py")
            box.text = wrapped(text, box.width - 2 * PAD - name_room(box))
            box.height = 2 * PAD + LINE * len(box.text)
            boxes[name] = box
        tallest = max(boxes[name].height for name in row)
        for name in row:
            boxes[name].height = tallest
        if row == ("realproxy",):
            panel = boxes["realproxy"]
            rooms = floor_boxes(
                arranged(rows, steps), steps, panel.x + 40, panel.x + panel.width - PAD, y + tallest + PAD
            )
            panel.height = rooms[-1][0].y + rooms[-1][0].height + 2 * PAD - y
        y += boxes[row[0]].height + GAP
    return boxes, rooms, steps


def name_room(box: Box) -> float:
    """Width of a folder's name; the texts of short names begin below each other."""
    return max(92.0, width_of(f"{box.name}/", bold=True) + PAD)
