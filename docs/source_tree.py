"""What the source says of itself: imports, the first sentence of a docstring, and where a name is defined."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
Edges = frozenset[tuple[str, str]]
"""Pairs of a part and a part that it imports."""


class WrongTreeError(Exception):
    """The source does not have the shape that the documents describe."""


@cache
def parse(path: Path) -> ast.Module:
    """The module in a file; for a notebook, its code cells as one module."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        cells = [cell["source"] for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
        lines = "\n".join("".join(cell) for cell in cells).splitlines()
        text = "\n".join(line for line in lines if not line.lstrip().startswith(("%", "!")))
    return ast.parse(text)


@cache
def imports(path: Path) -> tuple[str, ...]:
    """The full names that a module imports, also inside a function or for the type checker only."""
    found: list[str] = []
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            found += (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found += (f"{node.module}.{alias.name}" for alias in node.names)
    return tuple(found)


def folder_edges(folders: list[str]) -> Edges:
    """Which of the project's folders imports which."""
    return frozenset(
        (folder, top)
        for folder in folders
        for path in sorted([*(ROOT / folder).rglob("*.py"), *(ROOT / folder).glob("*.ipynb")])
        for top in (name.partition(".")[0] for name in imports(path))
        if top in folders and top != folder
    )


def parts_of(package: str) -> dict[str, Path]:
    """The packages and modules directly inside a package, with the file that holds their docstring."""
    inside = sorted((ROOT / package).iterdir())
    packages = {path.name: path / "__init__.py" for path in inside if (path / "__init__.py").is_file()}
    modules = {path.name: path for path in inside if path.suffix == ".py" and not path.name.startswith("__")}
    return packages | modules


def part_edges(package: str) -> Edges:
    """Which part of a package imports which other part."""
    parts = {name.removesuffix(".py"): name for name in parts_of(package)}
    found = set()
    for name in parts.values():
        place = ROOT / package / name
        for path in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            for top, other in ((full + ".").split(".")[:2] for full in imports(path)):
                if top == package and other in parts and parts[other] != name:
                    found.add((name, parts[other]))
    return frozenset(found)


def floors(parts: Mapping[str, object], edges: Edges) -> dict[str, int]:
    """The floor of every part: 1 if it imports no other part, else one above the highest that it imports."""
    found: dict[str, int] = {}
    while len(found) < len(parts):
        ready = {
            part: 1 + max((found[below] for above, below in edges if above == part), default=0)
            for part in parts
            if part not in found and all(below in found for above, below in edges if above == part)
        }
        if not ready:
            raise WrongTreeError(f"import each other in a circle: {', '.join(sorted(parts.keys() - found))}")
        found |= ready
    return found


def reduced(edges: Edges) -> Edges:
    """The edges that do not follow from a chain of others."""

    def reached(start: str, without: tuple[str, str]) -> set[str]:
        seen: set[str] = set()
        ahead = [start]
        while ahead:
            here = ahead.pop()
            following = {below for above, below in edges if above == here and (above, below) != without}
            ahead += following - seen
            seen |= following
        return seen

    return frozenset(edge for edge in edges if edge[1] not in reached(edge[0], edge))


def first_sentence(path: Path, name: str = "") -> str:
    """The first sentence of the docstring of a module, or of a function in it."""
    node: ast.AST | None = parse(path)
    if name:
        functions = [each for each in ast.walk(parse(path)) if isinstance(each, ast.FunctionDef)]
        node = next((each for each in functions if each.name == name), None)
    if not isinstance(node, ast.Module | ast.FunctionDef):
        raise WrongTreeError(f"{path.relative_to(ROOT)} has no function {name}")
    first = " ".join((ast.get_docstring(node) or "").partition("\n\n")[0].split())
    return first.partition(". ")[0].removesuffix(".") + "." if not first.endswith("?") else first


@cache
def definitions(path: Path) -> dict[str, int]:
    """The line of each function, class, method and constant, by names such as ``Class.method``."""
    found: dict[str, int] = {}

    def look(body: list[ast.stmt], before: str) -> None:
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                found[before + node.name] = node.lineno
                if isinstance(node, ast.ClassDef):
                    look(node.body, f"{before}{node.name}.")
            for target in getattr(node, "targets", [getattr(node, "target", None)]):
                if isinstance(target, ast.Name):
                    found.setdefault(before + target.id, node.lineno)

    look(parse(path).body, "")
    return found


def home_of(name: str, path: Path) -> Path:
    """The file that defines `name` of a module: its own, or the one that it is imported from."""
    if name in definitions(path):
        return path
    modules = [full.rpartition(".")[0] for full in imports(path) if full.endswith(f".{name}")]
    homes = [ROOT.joinpath(*module.split(".")).with_suffix(".py") for module in modules]
    if not homes or not homes[0].is_file() or name not in definitions(homes[0]):
        raise WrongTreeError(f"{path.relative_to(ROOT)}: no file defines {name}")
    return homes[0]


def tuple_of_names(path: Path, name: str) -> dict[str, str]:
    """The names in a tuple that a module assigns to `name`, with the comments beside them."""
    lines = path.read_text(encoding="utf-8").splitlines()
    for node in parse(path).body:
        target = node.target if isinstance(node, ast.AnnAssign) else None
        if isinstance(target, ast.Name) and target.id == name and isinstance(node.value, ast.Tuple):
            names = [each for each in node.value.elts if isinstance(each, ast.Name)]
            single = {each.lineno for each in names if sum(each.lineno == e.lineno for e in names) == 1}
            return {
                each.id: lines[each.lineno - 1].partition("# ")[2] if each.lineno in single else ""
                for each in names
            }
    raise WrongTreeError(f"{path.relative_to(ROOT)} has no tuple {name}")
