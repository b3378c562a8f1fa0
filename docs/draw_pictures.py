"""Draw the pictures of the README: report.png, live.png and exposure.png in docs/pictures (`make pictures`).

``python docs/draw_pictures.py [report] [live] [exposure]`` draws all, or those that are named. The first two
need chromium, the last one root.

- report: the HTML report of ``proxytwin confirm slow-server``. The machine must have no other work: a report
  with a void run or a refuted prediction is not drawn, unless ``--as-it-is`` is given.
- live: the live page of a real proxy, after half a minute of requests.
- exposure: who sees what by proxy and by VPN; nothing in it may be modelled.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from browser import Browser
from PIL import Image

from loadtests.run.processes import Child
from loadtests.run.proxy_files import with_addresses
from realproxy import Proxy
from scenarios import Scenario, load_scenario
from twin.exposure import expose
from twin.exposure.picture import figure_of_exposure

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT / "docs" / "pictures"
MOST_BYTES = 200 * 1024
REPORT, LIVE = "slow-server", "small-cache"
REPORT_WIDTH, LIVE_WIDTH, LIVE_HEIGHT = 880, 1060, 726
"""Of the windows, in pixels; a report is shown to the end of its first figure."""
LOOKS = 32
"""Seconds that the live page shows."""
CHANGES = {
    "workload.users": 24,
    "duration": "45s",
    "backend.origin.replicas": 3,
    "backend.origin.slow": {"2": 2.5},
    "proxy.service.origin.balance": "p2c",
    "proxy.cache.policy": "sieve",
    "compare": {},
}
"""The settings of the scenario `LIVE` in which the live page differs from the file."""


@contextlib.contextmanager
def browser() -> Iterator[Browser]:
    """A browser with files of its own."""
    with tempfile.TemporaryDirectory(prefix="proxytwin-pictures-") as folder:
        one = Browser(Path(folder), "--hide-scrollbars")
        try:
            yield one
        finally:
            one.close()


def draw_report(as_it_is: bool) -> None:
    """Confirm a scenario, and draw the upper part of its report."""
    with tempfile.TemporaryDirectory(prefix="proxytwin-pictures-") as folder:
        page, data = Path(folder) / "report.html", Path(folder) / "report.json"
        command = [
            sys.executable,
            "-m",
            "twin",
            "confirm",
            REPORT,
            "--report",
            str(page),
            "--json",
            str(data),
        ]
        subprocess.run(command, cwd=ROOT, check=False)
        verdicts = [variant["verdict"] for variant in json.loads(data.read_text())["variants"]]
        if set(verdicts) != {"confirmed"} and not as_it_is:
            raise SystemExit(f"the verdicts are {', '.join(verdicts)}: no picture is drawn (see --as-it-is)")
        with browser() as shown:
            write("report.png", upper_part(shown, page))


def upper_part(shown: Browser, page: Path) -> bytes:
    """A report from its title to the end of its first figure, as PNG."""
    drawn = "document.readyState === 'complete' && [...document.images].every(i => i.complete)"
    shown.open(page.as_uri(), REPORT_WIDTH)
    shown.until(drawn)
    end = shown.value("Math.ceil(document.images[0].getBoundingClientRect().bottom) + 12")
    shown.open(page.as_uri(), REPORT_WIDTH, end)
    shown.until(f"{drawn} && innerHeight === {end}")
    return shown.picture()


def draw_live() -> None:
    """Send a scenario's requests through a real proxy, and draw its live page."""
    scenario = load_scenario(LIVE, CHANGES).variants[0].scenario
    with running(scenario) as admin, browser() as shown:
        shown.open(admin, LIVE_WIDTH, LIVE_HEIGHT)
        shown.until(f"document.body.dataset.looks >= {LOOKS} && flow.dots.length > 5")
        write("live.png", shown.picture())


def draw_exposure() -> None:
    """Measure who sees what, and draw the table."""
    table = expose()
    if table.obstacles or table.unproven():
        reasons = [*table.obstacles.values(), *table.unproven()]
        raise SystemExit(f"not everything is measured and proven: {reasons[0]}")
    file = io.BytesIO()
    figure_of_exposure(table).savefig(file, format="png", dpi=130)
    write("exposure.png", file.getvalue())


@contextlib.contextmanager
def running(scenario: Scenario) -> Iterator[str]:
    """The URL of the live page of a proxy with backends, under the load of Locust."""
    settings = {name: group.model_dump(include={"replicas", "concurrency", "slow", "cache_control"})
                for name, group in scenario.backend.items()}  # fmt: skip
    command = [sys.executable, "-m", "loadtests.backend.server", json.dumps(settings), "--until-eof"]
    with Child("the backends", command, None) as backends:
        ports = backends.expect(30.0)["ports"]
        proxied = with_addresses(scenario.proxy, ports).model_copy(update={"admin": "127.0.0.1:0"})
        with Proxy(proxied) as proxy:
            needed = ("workload.users", "duration", "backend.origin.replicas")
            overrides = [f"--set={key}={CHANGES[key]}" for key in needed]
            load = subprocess.Popen(
                [sys.executable, "-m", "locust", "-f", str(ROOT / "loadtests/users/locustfile.py"),
                 "--headless", "--only-summary", f"--scenario={LIVE}", f"--host={proxy.url}", *overrides],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT,
            )  # fmt: skip
            try:
                yield proxy.admin_url
            finally:
                load.terminate()
                load.wait(30.0)


def write(name: str, png: bytes) -> None:
    """Write a picture with at most 256 colours, which keeps its file small."""
    file = io.BytesIO()
    whole = Image.open(io.BytesIO(png)).convert("RGB")
    # maximum coverage keeps the colours of small marks, too
    picture = whole.quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    picture.save(file, format="png", optimize=True)
    if file.tell() > MOST_BYTES:
        raise SystemExit(f"{name} has {file.tell()} bytes, more than {MOST_BYTES}")
    PICTURES.mkdir(exist_ok=True)
    (PICTURES / name).write_bytes(file.getvalue())
    print(f"docs/pictures/{name}: {file.tell() / 1024:.0f} KiB")


def main() -> None:
    """Draw what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("pictures", nargs="*", metavar="report | live | exposure", help="default: all")
    parser.add_argument("--as-it-is", action="store_true", help="draw the report whatever its verdicts are")
    given = parser.parse_args()
    if unknown := set(given.pictures) - {"report", "live", "exposure"}:
        parser.error(f"unknown picture {unknown.pop()!r}; expected report, live or exposure")
    wanted = given.pictures or ["exposure", "live", "report"]
    if "exposure" in wanted:
        draw_exposure()
    if "live" in wanted:
        draw_live()
    if "report" in wanted:
        draw_report(given.as_it_is)


if __name__ == "__main__":
    main()
