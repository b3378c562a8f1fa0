"""The documents name only files and modules that exist, and their links lead somewhere."""

import re
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
PACKAGES = ("benchmarks", "lessons", "loadtests", "policies", "realproxy", "scenarios", "simulator", "twin")
FOLDERS = (*PACKAGES, ".ci", "docs", "notebooks", "tests")
SOURCE = (".ipynb", ".lock", ".md", ".mjs", ".py")
"""Endings by which a bare name is a file of the repository. TOML and logs may be a user's own files."""
OTHERS = {"proxy.py"}
"""Names that only look like a file: proxy.py is another proxy."""

CODE = re.compile(r"^```.*?^```|`[^`\n]+`", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")
# Not within a URL, an absolute path, a variable or a pattern.
PATH = re.compile(r"(?<![\w./:{}*-])[\w.-]+(?:/[\w.-]+)*/?(?![\w*{/])")
MODULE = re.compile(rf"(?<![\w./-])(?:{'|'.join(PACKAGES)})(?:\.\w+)+(?![\w./])")

each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)


def code_in(document: Path) -> str:
    return "\n".join(CODE.findall(document.read_text(encoding="utf-8")))


def paths_in(code: str) -> set[str]:
    """The words that look like a file or a folder of the repository."""
    words = {word.rstrip(".") for word in PATH.findall(code)} - OTHERS
    return {
        word for word in words if word.endswith(SOURCE) or word.startswith(tuple(f"{f}/" for f in FOLDERS))
    }


def links_in(text: str) -> set[str]:
    """The targets of relative links, without their anchors."""
    targets = {unquote(target).partition("#")[0] for target in LINK.findall(text)}
    return {target for target in targets if target and ":" not in target}


def exists(name: str) -> bool:
    """Whether a dotted name is a package, a module, or a name in one of them."""
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        path = ROOT.joinpath(*parts[:count])
        for file in (path.with_suffix(".py"), path / "__init__.py"):
            if file.is_file():
                rest = parts[count:]
                return not rest or re.search(rf"\b{rest[0]}\b", file.read_text(encoding="utf-8")) is not None
    return False


def test_paths_are_told_from_other_words() -> None:
    found = paths_in("`docs/a.md` `bash .ci/run` `policies/eviction/` `half.py`. `policies/eviction/*.py`")
    assert found == {"docs/a.md", ".ci/run", "policies/eviction/", "half.py"}
    assert not paths_in(
        "`proxy.toml` `http://docs/a.md` `/var/cache/x.py` `GET /recent` `s-maxage=2` `proxy.py`"
    )


def test_links_into_the_repository_are_told_from_others() -> None:
    assert links_in("[a](docs/a.md#part) [b](https://simpy.readthedocs.io) [c](#below)") == {"docs/a.md"}


def test_names_in_modules_are_told_from_names_that_are_not() -> None:
    assert exists("policies.eviction") and exists("policies.bad_input.BadInput")
    assert not exists("policies.lost") and not exists("policies.bad_input.Lost")


@each_document
def test_every_path_in_a_document_exists(document: Path) -> None:
    assert not [path for path in sorted(paths_in(code_in(document))) if not (ROOT / path).exists()]


@each_document
def test_every_module_in_a_document_exists(document: Path) -> None:
    assert not [name for name in sorted(set(MODULE.findall(code_in(document)))) if not exists(name)]


@each_document
def test_every_link_of_a_document_leads_somewhere(document: Path) -> None:
    links = links_in(document.read_text(encoding="utf-8"))
    assert not [link for link in sorted(links) if not (document.parent / link).exists()]
