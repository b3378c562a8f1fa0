"""The layout: which folders exist, which may import which, and what the lock files contain."""

import ast
import importlib.util
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

MAY_IMPORT = {
    "policies": set(),
    "scenarios": {"policies"},
    "realproxy": {"policies"},
    "simulator": {"policies", "scenarios"},
    "loadtests": {"policies", "scenarios", "realproxy"},
    "twin": {"policies", "scenarios", "realproxy", "simulator", "loadtests"},
    "lessons": {"policies", "scenarios", "realproxy", "simulator", "loadtests", "twin"},
}
FLOORS = {
    "loadtests": ({"descriptors", "free_port"}, {"peers"}, {"backend", "users", "run"}),
    "twin": (
        {"progress", "output", "certificates"},
        {"plots"},
        {"confirm", "sweeps", "httproute", "tracing", "exposure"},
        {"cli"},
    ),
    "lessons": (
        {"kit"},
        {
            "predict_then_confirm",
            "balancing",
            "trust",
            "forward",
            "not_only_http",
            "caching",
            "ingress",
            "canary",
            "microservices",
            "proxy_or_vpn",
            "both_at_once",
        },
    ),
}
"""Folders and files inside a package, from the ground up: each imports only from below, not from beside."""
MOST_LINES = 400
BESIDE = ("notebooks", "tests", "benchmarks", "examples")
CORE = (
    "realproxy.server.connection_loop",
    "realproxy.server.http_server",
    "realproxy.proxying.pipeline",
    "realproxy.cache.store",
    "realproxy.cache.writer",
    "realproxy.upstream.round_trip",
)
OPTIONS = {
    "fast path": {"server.fast_path"},
    "raw TCP": {"server.tcp_proxy"},
    "TLS from clients": {"server.handshake", "net.certificates", "net.identity"},
    "PROXY protocol": {"net.proxy_protocol"},
    "SOCKS": {"proxying.socks", "socks"},
    "UDP": {"tunnel.udp_associate"},
    "faults": {"proxying.faults"},
    "disk tier": {"cache.disk_tier", "cache.disk_store", "cache.disk_entry"},
    "collapsing": {"cache.collapse", "cache.fanout", "cache.shared_response"},
    "partial content": {"cache.partial"},
    "background revalidation": {"proxying.revalidation"},
    "hedging": {"upstream.hedging"},
    "parent proxy": {"upstream.parent_proxy"},
    "several processes": {"control.fleet", "control.worker_process", "control.worker_handle"},
    "admin, metrics and log": {"observe"},
}
"""Modules and packages of `realproxy` that the core must not need."""
CLOCKS_AND_CHANCE = {"time", "datetime", "secrets", "uuid"}


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imports(module: Path) -> Iterator[tuple[int, str]]:
    """The line and full name of everything that a module imports, at its top or inside a function."""
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def place(module: Path, line: int) -> str:
    return f"{module.relative_to(ROOT)}:{line}"


@pytest.mark.parametrize("folder", [*MAY_IMPORT, *BESIDE])
def test_every_folder_of_the_design_has_something_in_it(folder: str) -> None:
    assert any(path.is_file() for path in (ROOT / folder).iterdir())


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_a_package_has_its_tests_in_a_folder_of_its_name(package: str) -> None:
    assert list((ROOT / "tests" / package).rglob("test_*.py"))


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_only_go_down(package: str) -> None:
    forbidden = (MAY_IMPORT.keys() | BESIDE) - MAY_IMPORT[package] - {package}
    upward = [
        f"{place(module, line)} imports {name}"
        for module in modules(package)
        for line, name in imports(module)
        if name.partition(".")[0] in forbidden
    ]
    assert modules(package) and not upward


@pytest.mark.parametrize("package", FLOORS)
def test_inside_a_package_imports_only_go_down(package: str) -> None:
    floor_of = {part: floor for floor, parts in enumerate(FLOORS[package]) for part in parts}
    part_of = {
        module: module.relative_to(ROOT / package).parts[0].removesuffix(".py") for module in modules(package)
    }
    assert set(part_of.values()) - {"__init__", "__main__"} == floor_of.keys()
    wrong = [
        f"{place(module, line)} imports {name}"
        for module, part in part_of.items()
        if part in floor_of
        for line, name in imports(module)
        for top, other in [(name + ".").split(".")[:2]]
        if top == package and other != part and floor_of.get(other, len(floor_of)) >= floor_of[part]
    ]
    assert not wrong


def imported(module: str) -> Iterator[str]:
    """The modules of realproxy that a module imports, with the packages whose faces run before them."""
    path = ROOT / Path(*module.split("."))
    source = path.with_suffix(".py") if path.with_suffix(".py").is_file() else path / "__init__.py"
    for _, name in imports(source):
        parts = name.split(".")
        for length in range(2, len(parts) + 1):
            below = ROOT / Path(*parts[:length])
            if parts[0] == "realproxy" and (below.is_dir() or below.with_suffix(".py").is_file()):
                yield ".".join(parts[:length])


@pytest.mark.parametrize(
    "room", sorted({*CORE} | {f"realproxy.{room}" for rooms in OPTIONS.values() for room in rooms})
)
def test_the_core_and_the_options_are_where_the_contract_looks_for_them(room: str) -> None:
    assert importlib.util.find_spec(room) is not None


def reached_from(module: str) -> dict[str, tuple[str, ...]]:
    """All modules that one module leads to, each with a shortest way there."""
    ways, ends = {module: (module,)}, [module]
    for end in ends:
        for name in imported(end):
            if name not in ways:
                ways[name] = (*ways[end], name)
                ends.append(name)
    return ways


def test_the_core_does_without_the_options() -> None:
    """Only the composition root, `realproxy.control`, knows both. Imports under TYPE_CHECKING count."""
    reached: dict[str, str] = {}
    for core in CORE:
        for name, way in reached_from(core).items():
            for option, rooms in OPTIONS.items():
                if any(f"{name}.".startswith(f"realproxy.{room}.") for room in rooms):
                    reached.setdefault(option, " > ".join(way))
    assert reached == {}
    assert not any(name.startswith("realproxy.control") for core in CORE for name in reached_from(core))


def test_no_file_is_too_long_to_be_read_at_once() -> None:
    long = {
        str(module.relative_to(ROOT))
        for package in MAY_IMPORT
        for module in modules(package)
        if len(module.read_text().splitlines()) > MOST_LINES
    }
    assert not long


def test_policies_read_no_clock_and_make_no_chance() -> None:
    for module in modules("policies"):
        for line, name in imports(module):
            top, _, rest = name.partition(".")
            assert top not in CLOCKS_AND_CHANCE, f"{place(module, line)}: `now` and `rng` are handed in"
            assert top != "random" or rest in ("", "Random"), (
                f"{place(module, line)}: chance comes from `rng`"
            )
        for node in ast.walk(ast.parse(module.read_text())):
            if (
                isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and node.value.id == "random"
            ):
                assert node.attr == "Random", f"{place(module, node.lineno)}: chance comes from `rng`"


def test_importing_a_package_does_not_bring_in_locust_or_gevent() -> None:
    """They monkey-patch, which hangs a notebook's kernel."""
    packages = [
        ".".join(module.parent.relative_to(ROOT).parts)
        for package in MAY_IMPORT
        for module in modules(package)
        if module.name == "__init__.py"
    ]
    program = (
        "import sys\n"
        f"for name in {packages}:\n"
        "    __import__(name)\n"
        "    for patcher in {'locust', 'gevent'} & sys.modules.keys():\n"
        "        sys.exit(f'import {name} imports {patcher}')\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], check=False, cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert (result.returncode, result.stderr) == (0, "")


def possessive_groups(pattern: re.Pattern[str] | re.Pattern[bytes]) -> list[str]:
    """Its atomic groups, and possessive repeats of more than one character."""
    found = []

    def look(part: object) -> None:
        if isinstance(part, tuple) and part and str(part[0]) == "ATOMIC_GROUP":
            found.append("(?>...)")
        if isinstance(part, tuple) and part and str(part[0]) == "POSSESSIVE_REPEAT":
            inner = part[1][2]
            if len(inner) != 1 or str(inner[0][0]) not in {"LITERAL", "NOT_LITERAL", "IN", "ANY"}:
                found.append(f"({inner})*+")
        if isinstance(part, tuple | list | re._parser.SubPattern):
            for inner in part:
                look(inner)

    look(re._parser.parse(pattern.pattern, pattern.flags))
    return found


def test_possessive_groups_are_told_from_possessive_characters() -> None:
    wrong = [r"(?:ab?)*+", r"x(?:y(?:a|bc)?+)*", r"(?>ab)", r"(?=(?:ab)++)"]
    assert all(possessive_groups(re.compile(text)) for text in wrong)
    assert not possessive_groups(re.compile(r"(?:[^a]*+b++(?:c?+.*+)?)*"))


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_no_pattern_has_a_possessive_group(package: str) -> None:
    """Up to Python 3.11.4, Debian's among them, those match what they must not (CPython issue 106052)."""
    for module in modules(package):
        if "re.compile(" in module.read_text():
            name = ".".join(module.relative_to(ROOT).with_suffix("").parts)
            for key, value in vars(importlib.import_module(name)).items():
                if isinstance(value, re.Pattern):
                    assert not possessive_groups(value), f"{name}.{key}"


def test_the_distribution_holds_every_package() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert {f"{package}*" for package in MAY_IMPORT} == set(settings["packages"]["find"]["include"])
    folders = {module.parent for package in MAY_IMPORT for module in modules(package)}
    assert all((folder / "__init__.py").is_file() for folder in folders), "setuptools leaves out the others"


def pinned(lock: str) -> dict[str, str]:
    """Requirement (with its marker) to version and hashes."""
    requirements = re.sub(
        r" \\\n +", " ", re.sub(r"(?m)^ *#.*\n?", "", (ROOT / lock).read_text())
    ).splitlines()
    parts = (
        re.fullmatch(r"([\w.-]+==\S+)(?: ; (.*?))?((?: --hash=sha256:[0-9a-f]{64})+)", r)
        for r in requirements
    )
    return {part[1]: part[3] for part in parts}  # a line that does not match fails here, on None


def test_the_locks_pin_every_requirement_by_hash_and_name_no_address() -> None:
    core, everything = pinned("requirements.lock"), pinned("requirements-dev.lock")
    assert core and core.items() <= everything.items(), "the core's lock pins what the larger one pins"
    for lock in ("requirements.lock", "requirements-dev.lock"):
        assert "://" not in (ROOT / lock).read_text()
