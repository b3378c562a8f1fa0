"""A browser that a test drives."""

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

BROWSER_SECONDS = 60.0
"""A test that waits longer on a browser has failed."""


class Browser:
    """A headless Chromium with one page, driven over a pipe (the DevTools protocol)."""

    def __init__(self, profile: Path, options: str = "") -> None:
        commands, self._commands = os.pipe()
        self._events, events = os.pipe()
        program = (
            "exec chromium --headless --no-sandbox --disable-gpu --remote-debugging-pipe --no-first-run "
            f"--user-data-dir={profile} {options} about:blank 3<&{commands} 4>&{events}"
        )
        self._process = subprocess.Popen(
            ["bash", "-c", program],
            pass_fds=[commands, events],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(commands)
        os.close(events)
        self._number, self._buffer, self._session = 0, b"", {}
        self.trouble: list[str] = []
        target = self("Target.createTarget", url="about:blank")["targetId"]
        session = self("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._session = {"sessionId": session}
        for domain in ("Runtime", "Log", "Page"):
            self(f"{domain}.enable")

    def __call__(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self._answer(method, parameters)["result"]

    def _tell(self, method: str, parameters: dict[str, Any]) -> None:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters, **self._session}
        os.write(self._commands, json.dumps(message).encode() + b"\0")

    def _answer(self, method: str, parameters: dict[str, Any]) -> dict[str, Any]:
        self._tell(method, parameters)
        while True:
            while b"\0" not in self._buffer:
                data = os.read(self._events, 2**20)
                assert data, "the browser ended"
                self._buffer += data
            one, _, self._buffer = self._buffer.partition(b"\0")
            told = json.loads(one)
            if told.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded"):
                self.trouble.append(one.decode())
            if told.get("id") == self._number:
                return told

    def open(self, url: str, width: int) -> None:
        self("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        self("Page.navigate", url=url)

    def value(self, expression: str) -> Any:
        """What an expression comes to; None if there is nothing, or while the page is being left."""
        told = self._answer("Runtime.evaluate", {"expression": expression, "returnByValue": True})
        return told.get("result", {}).get("result", {}).get("value")

    def until(self, expression: str) -> None:
        end = time.monotonic() + BROWSER_SECONDS
        while not self.value(expression):
            assert time.monotonic() < end, f"never so: {expression}; {self.trouble}"
            time.sleep(0.05)

    def close(self) -> None:
        self._session = {}
        self._tell("Browser.close", {})
        while os.read(self._events, 2**20):
            pass  # it may end before it answers
        os.close(self._commands)
        self._process.wait(BROWSER_SECONDS)
        os.close(self._events)


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
