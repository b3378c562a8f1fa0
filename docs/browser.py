"""A headless Chromium with one page, for pictures of pages and for tests in a real browser."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

BROWSER_SECONDS = 60.0
"""Whoever waits longer on a browser has failed."""


class Browser:
    """A headless Chromium, driven over a pipe (the DevTools protocol).

    Parameters
    ----------
    profile : path
        An empty folder for its files.
    options : str
        Further options of its command line.

    Attributes
    ----------
    trouble : list of str
        Errors that the page has reported.
    """

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
        """The result of a method of the protocol."""
        result: dict[str, Any] = self._answer(method, parameters)["result"]
        return result

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
            told: dict[str, Any] = json.loads(one)
            if told.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded"):
                self.trouble.append(one.decode())
            if told.get("id") == self._number:
                return told

    def open(self, url: str, width: int, height: int = 900) -> None:
        """Show a page in a window of this size."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self("Emulation.setDeviceMetricsOverride", **size)
        self("Page.navigate", url=url)

    def value(self, expression: str) -> Any:
        """What an expression comes to; None if there is nothing, or while the page is being left."""
        told = self._answer("Runtime.evaluate", {"expression": expression, "returnByValue": True})
        return told.get("result", {}).get("result", {}).get("value")

    def until(self, expression: str, seconds: float = BROWSER_SECONDS) -> None:
        """Wait until an expression is true."""
        end = time.monotonic() + seconds
        while not self.value(expression):
            assert time.monotonic() < end, f"never so: {expression}; {self.trouble}"
            time.sleep(0.05)

    def picture(self) -> bytes:
        """What the window shows, as PNG."""
        return base64.b64decode(self("Page.captureScreenshot", format="png")["data"])

    def close(self) -> None:
        """End the browser, and wait for its end."""
        self._session = {}
        self._tell("Browser.close", {})
        while os.read(self._events, 2**20):
            pass  # it may end before it answers
        os.close(self._commands)
        self._process.wait(BROWSER_SECONDS)
        os.close(self._events)
