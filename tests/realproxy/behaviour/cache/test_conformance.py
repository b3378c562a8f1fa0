"""The public suite of HTTP cache tests, by its own grader: what passes must go on passing."""

import importlib.util
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[4] / "benchmarks" / "cache_conformance.py"


@pytest.fixture(scope="module", name="suite")
def _suite():
    spec = importlib.util.spec_from_file_location("cache_conformance", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture(scope="module", name="reports")
def _reports(suite):
    """Of both sides, at the same time: the suite waits for most of its time."""
    try:
        suite.install()
    except SystemExit as problem:
        pytest.skip(str(problem))
    with ThreadPoolExecutor() as threads:
        running = {forward: threads.submit(suite.run, forward=forward) for forward in (False, True)}
    return {forward: report.result() for forward, report in running.items()}


@pytest.mark.needs("node", "npm")
@pytest.mark.timeout(300)
@pytest.mark.parametrize("forward", [False, True], ids=["reverse", "forward"])
def test_all_that_is_sound_in_the_public_suite_passes(suite, reports, forward):
    report = reports[forward]
    failed = {
        name for name, verdict in report.verdicts.items() if not verdict.passed and verdict.kind != "check"
    }
    assert failed == set(suite.UNSOUND), "neither more fails, nor is anything called unsound that passes"
    assert report.counts("required") == (143, 157)
    assert report.counts("optimal") == (80, 86)


@pytest.mark.parametrize("there", [[], ["node"]])
def test_what_is_missing_is_said_in_one_line(suite, monkeypatch, capsys, there):
    monkeypatch.setattr(suite.shutil, "which", lambda name: name if name in there else None)
    monkeypatch.setattr(sys, "argv", ["cache_conformance.py"])
    assert suite.main() == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.fixture(name="checkout")
def _checkout(tmp_path):
    """Folders with the files of an edition, empty."""

    def make(*paths: str) -> Path:
        for path in paths:
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).touch()
        return tmp_path

    return make


OLDER = ("tests/index.mjs", "client/runner.mjs", "server/server.mjs", "lib/display.mjs", "results/index.mjs")
NEWER = (
    "tests/index.mjs", "test-engine/client/runner.mjs", "test-engine/server/server.mjs",
    "test-engine/lib/display.mjs", "test-engine/lib/results.mjs", "results/index.mjs",
)  # fmt: skip


@pytest.mark.parametrize(
    ("paths", "prefix"),
    [(OLDER, ""), (NEWER, ""), (OLDER, "cache-tests/"), (OLDER, "node_modules/http-cache-tests/")],
)
def test_every_layout_of_the_suite_is_found(suite, checkout, monkeypatch, paths, prefix):
    monkeypatch.setattr(suite, "install", lambda: Path("packages"))
    folder = checkout(*(prefix + path for path in paths)).resolve()
    found = suite.find(folder)
    named = {
        str(path.relative_to(folder)).removeprefix(prefix) for path in vars(found).values() if path.is_file()
    }
    assert named == {path for path in paths if not path.endswith("display.mjs") or paths is OLDER}
    assert (found.folder, found.packages) == (folder / prefix, Path("packages"))
    checkout(f"{prefix}node_modules/node-fetch/package.json")
    assert suite.find(folder).packages == folder / prefix, "a checkout with packages needs no others"


@pytest.mark.parametrize(
    "missing", ["tests/index.mjs", "client/runner.mjs", "server/server.mjs", "lib/display.mjs", ""]
)
def test_a_folder_that_is_no_checkout_is_told_in_one_line(suite, checkout, monkeypatch, capsys, missing):
    folder = checkout(*(path for path in OLDER if path != missing)) if missing else checkout() / "nowhere"
    monkeypatch.setattr(suite, "missing_commands", list)
    monkeypatch.setattr(sys, "argv", ["cache_conformance.py", "--suite", str(folder)])
    assert suite.main() == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"suite: {folder}: expected a ")
    assert missing.removeprefix("lib/display.mjs") in line
