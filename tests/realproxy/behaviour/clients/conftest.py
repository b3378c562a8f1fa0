"""A browser that a test drives."""

import contextlib
import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

_SPEC = importlib.util.spec_from_file_location("browser", Path(__file__).parents[4] / "docs" / "browser.py")
_MODULE = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_MODULE)
Browser: Any = _MODULE.Browser


@pytest.fixture
def browse(tmp_path: Path) -> Iterator[Callable[..., Browser]]:
    """Start a browser, with further options on its command line."""
    with contextlib.ExitStack() as stack:

        def start(options: str = "") -> Browser:
            browser = Browser(tmp_path, options)
            stack.callback(browser.close)
            return browser

        yield start


@pytest.fixture
def browser(browse) -> Browser:
    return browse()
