"""Replay a scenario on a proxy with Locust, by hand or from `loadtests.run.measure`.

``locust -f loadtests/users/locustfile.py --scenario slow-server --host http://127.0.0.1:8080`` serves
Locust's page; with ``--headless`` the run starts at once and prints Locust's table. ``-u`` changes the
scenario's number of users, and ``-t`` its duration.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from locust import events
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment

sys.path.append(str(Path(__file__).resolve().parents[2]))  # a checkout that is not installed

from loadtests.users.locust_adapter import ScenarioUser, set_up

__all__ = ["ScenarioUser"]


@events.init_command_line_parser.add_listener
def add_options(parser: LocustArgumentParser) -> None:
    """Options that say which scenario; Locust's page offers the first one too."""
    parser.add_argument("--scenario", default="slow-server", help="a shipped scenario's name, or a file")
    parser.add_argument(
        "--set",
        action="append",
        metavar="KEY=VALUE",
        help="change one of its settings",
        include_in_web_ui=False,
    )
    parser.add_argument("--records", help="save all requests to this .npz file", include_in_web_ui=False)
    parser.add_argument(
        "--staged",
        action="store_true",
        help="take jobs from standard input (for proxytwin itself)",
        include_in_web_ui=False,
    )


@events.init.add_listener
def on_init(environment: Environment, **_: Any) -> None:
    """Locust's options are read and its runner is there."""
    set_up(environment)
