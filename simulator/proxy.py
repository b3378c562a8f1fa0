"""The model of a proxy: threads, one core, a cache, and a balancer for each service.

The classes in `policies` take all decisions, as in the real proxy; this file adds the time.
"""

from __future__ import annotations

import math
import random
from collections.abc import Generator, Iterator

from simpy import Environment, Event

from policies.canary import RequestJudge, Trial
from policies.http_cache.collapsing import (
    Decision,
    Flight,
    FlightResult,
    Flights,
    after,
    flight_result,
    shareable,
)
from policies.http_cache.reuse import REFRESHES_AT_ONCE, Use
from policies.reverse.arms import Choice
from policies.settings.routes import is_status
from scenarios.records import NO_UPSTREAM
from scenarios.schema import Scenario
from scenarios.workload import Request
from simulator.attempt import NO_LIMITS, TOO_LATE, Judge, Limits
from simulator.costs import Costs, link_sampler
from simulator.faults import inject
from simulator.processes import Life
from simulator.routes import Plan, PlansByClient, Reply
from simulator.service import AnswerTooLate, Service, UpstreamSide
from simulator.slots import Slots, StepSeries
from simulator.splits import MirroredTo, SplitRoute
from simulator.store import Store, TurnedOut


class Proxy:
    """Answers requests from its cache or through a service: one worker of one proxy.

    Parameters
    ----------
    env : simpy.Environment
    scenario : Scenario
        As this proxy sees it, see `Scenario.hop`.
    costs : Costs
        Time that a request takes besides the backend's work.
    upstream_side : UpstreamSide
        What its services can ask.
    inside : StepSeries
        Counts the requests in the proxy.
    number : int
        Position in the scenario's file, from 0.
    luck : int
        Another number draws other link times, and nothing else.
    process : Proxy, optional
        Another side of the same process, whose core and threads this one shares.
    """

    def __init__(
        self,
        env: Environment,
        scenario: Scenario,
        costs: Costs,
        upstream_side: UpstreamSide,
        inside: StepSeries,
        number: int = 0,
        luck: int = 0,
        process: Proxy | None = None,
    ) -> None:
        self._env = env
        self._cache_number = number + 1
        self._hit_cpu, self._miss_cpu = costs.hit_cpu, costs.miss_cpu / 2
        self._upstream_link = costs.upstream_link
        rng = random.Random(f"{scenario.seed}/links/{luck}")
        self._hit_link = link_sampler(costs.client_link, costs.hit_spread, rng)
        self._miss_link = link_sampler(costs.client_link, costs.miss_spread, rng)
        self._core = Slots(env, 1) if process is None else process._core
        threads = scenario.proxy.limits.threads
        self._threads = Slots(env, threads) if process is None else process._threads
        self._hit_lock, self._hit_lock_s = Slots(env, 1), scenario.proxy.cache.hit_lock
        self._plans = PlansByClient(scenario)
        self.splits = self._plans.splits
        self._fault_rng = random.Random(f"{scenario.seed}/faults")
        rng = random.Random(f"{scenario.seed}/cache")
        self._store = Store(scenario.proxy.worker_cache, rng)
        self._revalidations = Slots(env, REFRESHES_AT_ONCE)
        self._fetches = upstream_side.fetches
        self._services = {
            name: Service(env, name, scenario, upstream_side, costs.upstream_link)
            for name in scenario.proxy.service
        }
        self._flights: Flights[Event] = Flights()
        self._inside = inside

    @property
    def turned_out(self) -> TurnedOut:
        """What its store did not keep."""
        return self._store.turned_out

    def handle(self, request: Request, now: float, from_client: bool = True) -> Generator[Event, None, Reply]:
        """Answer one request that is sent at `now`; returns when the client has the reply.

        The link to the proxies in front of this one is theirs, so only a client's reply takes time on it.
        """
        self._inside.note(now)
        arrived, grant = now, self._threads.enter()
        if grant is not None:
            yield grant
            now = self._env.now
        plan = self._plans[request.client][request.object]
        reply, judge, choice = plan.own_reply, None, None
        if plan.split is not None:
            choice, trial = plan.split.choose(request.client)
            plan, reply, judge = self._with_arm(plan, plan.split, choice, trial)
        limits = _limits(request, plan, arrived, judge)
        injected = None
        if plan.faults:
            injected = yield from inject(self._env, plan.faults, self._fault_rng)
            now = self._env.now
        if injected is not None:
            reply = injected
        elif plan.timed or plan.lookup or request.left < math.inf:
            reply = self._before_asking(request, plan, now, limits) or reply
        if reply is not None:
            link = self._hit_link
            yield from self._answer_at_once(reply)
            self._threads.leave()
        else:
            link = self._miss_link
            if plan.wait:
                reply = yield from self._fetch_once(request, plan, now, limits)
            else:
                reply = yield from self._fetch(request, plan, now, limits)
                self._threads.leave()
        self._inside.note(-self._env.now)
        if link is not None and from_client:
            yield self._env.timeout(link())
        if plan.split is not None and choice is not None:
            plan.split.answered(request.client, choice)
        return reply

    def _before_asking(self, request: Request, plan: Plan, now: float, limits: Limits) -> Reply | None:
        """504 if the request is due, or the stored response; None if the origin must be asked."""
        if now >= limits.due:
            return TOO_LATE
        if not plan.lookup:
            return None
        use, copy = self._store.lookup(request.object, now)
        if use is Use.ASK:
            return None
        if use is Use.STALE_WHILE_REVALIDATE and self._store.lock_revalidation(request.object):
            Life(self._revalidate(request, plan))
        return self._hit(copy.reply, copy.born)

    def _with_arm(
        self, plan: Plan, split: SplitRoute, choice: Choice, trial: Trial | None
    ) -> tuple[Plan, Reply | None, Judge | None]:
        """The plan for one arm, the proxy's own reply if the arm is a status, and who judges the answer."""
        if is_status(choice.arm):
            return plan._replace(faults=()), Reply(int(choice.arm)), None
        plan = plan._replace(service=choice.arm)
        if trial is None:
            return plan, None, None

        judged = RequestJudge(split.rollout, choice, trial)

        def judge(failed: bool, began: float) -> None:
            now = self._env.now
            judged.ended(failed, now - began, now)

        return plan, None, judge

    def _mirror(self, request: Request, plan: Plan, reply: Reply) -> None:
        """Begin the copies of a request, if it was forwarded."""
        if reply.upstream == NO_UPSTREAM and not reply.cache:
            return
        for mirror in plan.mirrors:
            if mirror.begins():
                Life(self._copy(request, mirror))

    def _copy(self, request: Request, mirror: MirroredTo) -> Iterator[Event]:
        """Send a copy of a request, which costs the core as much as a miss; nobody waits for its answer."""
        service = self._services[mirror.settings.to]
        yield from self._work(self._miss_cpu)
        if service.resilience is not None:
            yield from service.resilience.ask(request, self._env.now)
        else:
            yield from service.ask_remote(request, self._env.now)
        yield from self._work(self._miss_cpu)
        mirror.ended()

    def _fetch(
        self, request: Request, plan: Plan, now: float, limits: Limits = NO_LIMITS
    ) -> Generator[Event, None, Reply]:
        env, core, cpu = self._env, self._core, self._miss_cpu
        service = self._services[plan.service]
        if cpu:
            yield core.hold(cpu)
            core.leave()
            now = env.now
        if service.resilience is not None:
            reply = yield from service.resilience.ask(request, now, limits)
        elif not service.is_local:
            reply = yield from service.ask_remote(request, now, limits.judge)
        else:
            index = service.dispatch.start(service.key(request), now)
            replica = service.replicas[index]
            yield replica.begin(request.demand[service.backends[index]], now)
            done = env.now
            if done >= now + service.limit:
                raise AnswerTooLate
            replica.end(done)
            reply = service.reply_of(index)
            if self._fetches is not None:
                self._fetches.note(request.object, now, done)
            if self._upstream_link:
                yield env.timeout(self._upstream_link)
                done = env.now
            service.finished(index, reply, now, done, limits.judge)
        if plan.mirrors:
            self._mirror(request, plan, reply)
        if cpu:
            yield core.hold(cpu)
            core.leave()
        return self._update_store(request, plan, reply) if plan.lookup else reply

    def _update_store(self, request: Request, plan: Plan, reply: Reply) -> Reply:
        """Store a response; if the origin failed, return the stale stored response if that is allowed."""
        now = self._env.now
        if reply.status == 200:
            answer = plan.answers.get(reply.backend)
            if answer is not None:
                self._store.put(request, answer, reply, now)
        elif reply.status >= 500 and (copy := self._store.stale_if_error(request.object, now)) is not None:
            return copy.reply._replace(born=copy.born)
        return reply

    def _hit(self, reply: Reply, born: float) -> Reply:
        """A stored response as a reply."""
        return Reply(200, self._cache_number, backend=reply.backend, born=born)

    def _revalidate(self, request: Request, plan: Plan) -> Generator[Event, None, None]:
        """Fetch an object in the background after a stale response to the client."""
        grant = self._revalidations.enter()
        if grant is not None:
            yield grant
        yield from self._fetch(request, plan._replace(mirrors=()), self._env.now)
        self._revalidations.leave()
        self._store.unlock_revalidation(request.object)

    def _fetch_once(
        self, request: Request, plan: Plan, now: float, limits: Limits
    ) -> Generator[Event, None, Reply]:
        """Fetch, or wait for another fetch, as `policies.http_cache.collapsing` decides.

        A waiting request holds no thread. `realproxy.cache.collapse` follows the same policy in the real
        proxy; only the waiting is implemented twice.
        """
        env, failures, patience = self._env, 0, min(now + plan.wait, limits.due)
        while True:
            ended = env.event()
            decision, flight = self._flights.ask(request.object, ended, env.now)
            if flight is not None and decision is Decision.FETCH:
                return (yield from self._fetch_for_all(request, plan, flight, limits))
            waits = flight is not None and env.now < patience
            if waits:
                yield from self._work(self._hit_cpu / 2)
                self._threads.leave()
                yield ended | env.timeout(max(patience - env.now, 0.0))
            if ended.triggered:
                how, reply = ended.value
                failures += how is FlightResult.FAILED
                decision = after(how, failures)
                if how is FlightResult.SHARED or decision is Decision.FAIL:
                    yield from self._work(self._hit_cpu / 2)
                    return reply
            else:
                decision = Decision.ALONE
                if flight is not None:
                    self._flights.leave(flight, ended)
            if waits and (grant := self._threads.enter()) is not None:
                yield grant
            if decision is Decision.ALONE:
                reply = yield from self._fetch(request, plan, env.now, limits)
                self._threads.leave()
                return reply

    def _fetch_for_all(
        self, request: Request, plan: Plan, flight: Flight[Event], limits: Limits
    ) -> Generator[Event, None, Reply]:
        reply = yield from self._fetch(request, plan, self._env.now, limits)
        now, answer, shared = self._env.now, plan.answers.get(reply.backend), reply
        how = flight_result(reply.status, reply.status == 200 and answer is not None and shareable(answer))
        if how is FlightResult.SHARED:
            shared = self._hit(reply, now if reply.born is None else reply.born)
        for waiter in self._flights.complete(flight, how, now):
            waiter.succeed((how, shared))
        self._threads.leave()
        return reply

    def _answer_at_once(self, reply: Reply) -> Iterator[Event]:
        if self._hit_lock_s and reply.cache:
            yield self._hit_lock.hold(self._hit_lock_s)
            self._hit_lock.leave()
        yield from self._work(self._hit_cpu)

    def _work(self, seconds: float) -> Iterator[Event]:
        """Use the core for some time."""
        if seconds:
            yield self._core.hold(seconds)
            self._core.leave()


def _limits(request: Request, plan: Plan, arrived: float, judge: Judge | None) -> Limits:
    """What holds for the attempts of a request that arrived at this proxy at `arrived`."""
    if judge is None and not plan.timed and request.left == math.inf:
        return NO_LIMITS
    return Limits(judge, arrived + min(plan.timeout, request.left), plan.try_timeout)
