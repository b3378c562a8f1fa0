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
