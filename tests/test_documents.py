"""Files, modules and links in the documents exist, and the picture of the house shows the present imports."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "examples/shop/README.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
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


PICTURE = re.compile(r"!\[([^\]]*)\]\(([^)]+)\)")


@each_document
def test_every_picture_of_a_document_is_there_is_small_and_is_told_in_words(document: Path) -> None:
    for words, file in PICTURE.findall(document.read_text(encoding="utf-8")):
        assert len(words) >= 60, file
        content = (document.parent / file).read_bytes()
        assert content.startswith((b"\x89PNG", b"<svg")) and len(content) < 200 * 1024, file


def test_the_readme_begins_with_a_report_and_the_live_page() -> None:
    first, _, _ = (ROOT / "README.md").read_text(encoding="utf-8").partition("\n## ")
    shown = [file for _, file in PICTURE.findall(first)]
    assert shown == ["docs/pictures/report.png", "docs/pictures/live.png"]
    assert "docs/draw_pictures.py" in (ROOT / "Makefile").read_text(encoding="utf-8")


def test_pictures_with_an_unknown_name_are_not_drawn() -> None:
    script = [sys.executable, ROOT / "docs" / "draw_pictures.py", "reports"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(script, check=False, capture_output=True, text=True, timeout=60, env=environment)
    assert result.returncode == 2
    assert "unknown picture 'reports'; expected report, live or exposure" in result.stderr


def draw_house(*arguments: str, docs: Path = ROOT / "docs") -> tuple[int, str]:
    """The exit status and the messages of the script that draws docs/house.svg."""
    result = subprocess.run(
        [sys.executable, docs / "draw_house.py", *arguments],
        check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    return result.returncode, result.stderr


def test_the_picture_of_the_house_shows_the_present_imports() -> None:
    assert draw_house("--check") == (0, ""), "run make format, or python3 docs/draw_house.py"


@pytest.fixture
def copied_house(tmp_path: Path) -> Path:
    """A copy of what the picture is drawn from."""
    for folder in (*PACKAGES, "notebooks", "docs"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def test_another_line_number_is_no_error_but_another_name_or_import_is(copied_house: Path) -> None:
    docs, pipeline = copied_house / "docs", copied_house / "realproxy/proxying/pipeline.py"
    text = pipeline.read_text()
    pipeline.write_text(text.replace('"""\n', '"""\n\n\n', 1))
    assert draw_house("--check", docs=docs) == (0, "")

    pipeline.write_text(text.replace("def choose_side", "def pick_side"))
    document = docs / "architecture.md"
    document.write_text(document.read_text() + "[`choose_side`](../realproxy/proxying/pipeline.py#L1)\n")
    status, said = draw_house("--check", docs=docs)
    assert status == 1 and "choose_side is not in realproxy/proxying/pipeline.py" in said

    document.write_text((ROOT / "docs/architecture.md").read_text())
    with (copied_house / "realproxy/tunnel/relay.py").open("a") as file:
        file.write("import realproxy.observe.metrics\n")
    status, said = draw_house("--check", docs=docs)
    assert status == 1 and "docs/house.svg is out of date" in said


def test_a_circle_among_packages_or_folders_cannot_be_drawn(copied_house: Path) -> None:
    errors = copied_house / "realproxy/errors.py"
    errors.write_text(errors.read_text() + "from realproxy import control\n")
    status, said = draw_house(docs=copied_house / "docs")
    assert status == 1 and "import each other in a circle" in said

    errors.write_text("import lessons\n")
    status, said = draw_house(docs=copied_house / "docs")
    assert status == 1 and "realproxy/ imports lessons/, which stands above it" in said


def test_every_test_in_the_table_of_http_exists() -> None:
    text = (ROOT / "docs" / "http.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(test_\w+)`", text))
    texts = [file.read_text(encoding="utf-8") for file in (ROOT / "tests" / "realproxy").rglob("test_*.py")]
    there = {name for text in texts for name in re.findall(r"^def (test_\w+)", text, re.MULTILINE)}
    assert len(named) > 30 and named <= there, sorted(named - there)
