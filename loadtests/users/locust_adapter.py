"""Connects a `Replay` with Locust: Locust's users run it, and Locust's page shows every request."""

from __future__ import annotations

import json
import logging
import math
import pickle
import sys
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import gevent
import locust.stats
from gevent.event import Event
from gevent.fileobject import FileObjectPosix
from locust import User, task
from locust.env import Environment
from locust.exception import StopUser
from locust.runners import LocalRunner

from loadtests.users.connection import Exchange
from loadtests.users.doors import Door, doors_at
from loadtests.users.host import parse_host
from loadtests.users.options import Given, read_options
from loadtests.users.page import prepare_page
from loadtests.users.replay import Replay
from policies.bad_input import BadInput
from scenarios.due import remarks
from scenarios.schema import Scenario

_GRACE_S = 10.0
"""How long a run that was started by hand waits for responses at its end."""

_log = logging.getLogger(__name__)


class ScenarioUser(User):
    """A user that replays its stream of the scenario's requests once."""

    load_test: ClassVar[LoadTest]

    @task
    def replay(self) -> None:
        """Replay the stream, then stop this user."""
        self.load_test.take_part()
        raise StopUser


def three_digits(milliseconds: float) -> float:
    """Round a response time for Locust's statistics: to 0.1 ms below 100 ms, to 3 digits above.

    Locust rounds to 1 ms below 100 ms and to 2 digits above, which is too coarse to compare with a model.
    """
    digits = 1 if milliseconds < 100 else 2 - math.floor(math.log10(milliseconds))
    return round(milliseconds, digits)


class LoadTest:
    """Runs one replay after another in one Locust process.

    Parameters
    ----------
    environment : Environment
        Locust's environment.
    given : Given
        What the command line says of every run.
    staged : bool
        True: `loadtests.run.measure` sends jobs as lines of JSON on standard input. False: there is one job
        from the command line or from Locust's page.
    """

    def __init__(self, environment: Environment, given: Given, *, staged: bool) -> None:
        self.environment = environment
        self.given = given
        self.staged = staged
        self.job: dict[str, Any] = {}
        self.replay: Replay | None = None
        self._idle = Event()
        environment.events.test_start.add_listener(self._prepare)
        environment.events.spawning_complete.add_listener(self._spawned)

    def take_part(self) -> None:
        """Replay the stream of the calling user."""
        if self.replay is not None:
            self.replay.take_part()

    def serve(self) -> None:
        """Run the jobs from standard input one after the other, and quit at its end."""
        self._idle.wait()
        try:
            self._do_jobs()
        except BrokenPipeError:  # the parent died before Locust had loaded
            pass
        finally:
            self.environment.runner.quit()

    def _do_jobs(self) -> None:
        lines = FileObjectPosix(sys.stdin.fileno(), "rb", closefd=False)
        self._tell(event="ready")
        for line in lines:
            job = json.loads(line)
            if "stop" in job:
                if self.replay is not None:
                    self.replay.stop()
                continue
            self.job = job
            scenario = pickle.loads(Path(job["scenario"]).read_bytes())
            replay = self._set_up(scenario, doors_at(job["doors"]), job["grace"])
            self.environment.runner.start(replay.users, spawn_rate=replay.users)

    def _prepare(self, **_: Any) -> None:
        """Locust starts a run; if it was started by hand, the options name the scenario."""
        if self.staged:
            return
        try:
            scenario = self.given.scenario(self.environment.parsed_options.scenario)
            for remark in remarks(scenario):
                _log.warning("%s", remark)
            if len(scenario.topology.doors) > 1:
                _log.warning("workload.doors: all clients ask --host; only confirm asks every door")
            self._set_up(scenario, doors_at([(self.environment.host or "", "")]), _GRACE_S)
        except BadInput as problem:
            _log.error("%s", problem)
            self.replay = None

    def _set_up(self, scenario: Scenario, doors: list[Door], grace: float) -> Replay:
        self.replay = replay = Replay(
            scenario,
            doors,
            grace=grace,
            on_exchange=self._show,
            on_start=lambda moment: self._tell(event="started", moment=moment),
            on_end=lambda: gevent.spawn(self._ended, replay),
        )
        return replay

    def _spawned(self, user_count: int, **_: Any) -> None:
        """Locust has created all users. At its start it creates none; from then on jobs may come."""
        self._idle.set()
        if self.replay is None:
            if not self.staged:
                gevent.spawn(self.environment.runner.stop)
        elif user_count and user_count < self.replay.users:  # a key in Locust's terminal started the run
            _log.error("the scenario has %d users, not %d", self.replay.users, user_count)
            gevent.spawn(self.environment.runner.stop)
        elif user_count:
            self.replay.all_spawned(user_count)

    def users_of(self, name: str, host: str) -> int:
        """Number of users of a scenario by its name or file; raises `BadInput` if it cannot be run."""
        parse_host(host)
        return self.given.scenario(name).workload.users or 1

    def _show(self, exchange: Exchange) -> None:
        """Count a request in Locust's statistics."""
        problem = exchange.problem
        if problem is None and exchange.status >= 400:
            problem = ConnectionError(exchange.refusal or f"status {exchange.status}")
        if exchange.refusal and self.replay is not None:
            _log.error("%s", exchange.refusal)
            if self.environment.web_ui is None:
                self.environment.process_exit_code = 2
            self.replay.stop()
        self.environment.events.request.fire(
            request_type="GET",
            name="/objects/[number]",
            response_time=(exchange.done - exchange.sent) * 1e3,
            response_length=exchange.size,
            exception=problem,
            context={},
        )

    def _ended(self, replay: Replay) -> None:
        self.replay = None
        records = self.job.get("records") or getattr(self.environment.parsed_options, "records", None)
        if records:
            replay.records().save(Path(records))
        if self.staged:
            self.environment.runner.stop()
            self._tell(event="ended", **replay.health())
        elif self.environment.web_ui is not None:
            self.environment.runner.stop()
            options = self.environment.parsed_options
            if options.autostart and options.autoquit != -1:  # Locust obeys it only after its own run time
                gevent.sleep(options.autoquit)
                self.environment.runner.quit()
                self.environment.web_ui.stop()
        else:
            self.environment.runner.quit()

    def _tell(self, **message: Any) -> None:
        if self.staged:
            print(json.dumps(message), flush=True)


def set_up(environment: Environment) -> None:
    """Prepare Locust for `ScenarioUser` after it has read its options; exits if they are wrong."""
    options = environment.parsed_options
    locust.stats.bucket_response_time = three_digits
    if not isinstance(environment.runner, LocalRunner):
        _stop("--processes, --master, --worker: not supported; one process must send all requests")
    try:
        given = Given() if options.staged else read_options(options)
        ScenarioUser.load_test = load_test = LoadTest(environment, given, staged=options.staged)
        if options.staged:
            options.num_users = 0
            gevent.spawn(load_test.serve)
            return
        options.num_users = given.scenario(options.scenario).workload.users or 1
        if options.headless or options.autostart:
            parse_host(options.host or "")
    except BadInput as problem:
        _stop(str(problem))
    options.run_time = None  # it is the scenario's duration now
    options.spawn_rate = min(options.num_users, 100)
    for key in given.without_effect():
        _log.warning("--set: %s: no effect, because the proxy and its backends run already", key)
    if environment.web_ui is not None:
        prepare_page(environment, load_test.users_of)


def _stop(problem: str) -> NoReturn:
    print(problem, file=sys.stderr)
    raise SystemExit(2)
