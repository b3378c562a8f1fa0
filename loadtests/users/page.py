"""Locust's page for scenarios: a mistake is shown there, and the scenario says how many users there are."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from flask import Response, jsonify, request
from locust.env import Environment
from locust.runners import STATE_CLEANUP, STATE_RUNNING, STATE_SPAWNING
from werkzeug.datastructures import MultiDict

from policies.bad_input import BadInput

_log = logging.getLogger(__name__)

_UNDER_WAY = (STATE_SPAWNING, STATE_RUNNING, STATE_CLEANUP)


def prepare_page(environment: Environment, users_of: Callable[[str, str], int]) -> None:
    """Let Locust's page start scenarios only.

    The page's own fields for the number of users, their start and the run time are switched off, as for a
    shape of load: they would contradict the scenario.

    Parameters
    ----------
    environment : Environment
        With the page.
    users_of : callable
        ``users_of(scenario, host)``: the number of users; raises `BadInput` if the run cannot start.
    """
    page = environment.web_ui
    update = page.update_template_args

    def update_template_args() -> None:
        update()
        page.template_args["hide_common_options"] = True

    def check_start() -> Response | None:
        """Runs before every request of the page; returns the response if a run must not start."""
        if request.endpoint != "locust.swarm":
            return None
        form: MultiDict[str, Any] = MultiDict(request.form)
        try:
            if environment.runner.state in _UNDER_WAY:
                raise BadInput("", "", "a run is under way; stop it before you start another one")
            if form.pop("run_time", ""):
                raise BadInput("run time", "", "the scenario says how long it lasts; expected no run time")
            name = form.get("scenario") or environment.parsed_options.scenario
            users = users_of(name, form.get("host", environment.host or ""))
        except BadInput as problem:
            _log.error("%s", problem)
            return jsonify({"success": False, "message": str(problem), "host": environment.host})
        form["user_count"], form["spawn_rate"] = str(users), str(users)
        request.form = form  # type: ignore[misc, assignment]
        return None

    page.update_template_args = update_template_args
    page.app.before_request(check_start)
