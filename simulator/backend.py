"""Replicas: slots or processors with a queue, and spells in which they are slow or down."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterator
from typing import Protocol

from simpy import Environment, Event

from scenarios.backends import BackendSettings
from simulator.processes import Life
from simulator.slots import Slots, StepSeries

PAST_DUE = "past due"
"""Value of the event of work that was refused because its deadline was past when its turn came."""


class Watcher(Protocol):
    """Waits for work of a replica that may go down."""

    def broken(self) -> None:
        """The replica has gone down."""


class Replica(Slots):
    """One server of a backend; first come, first served.

    Parameters
    ----------
    env : simpy.Environment
    concurrency : int
        Requests in service at once.

    Attributes
    ----------
    inside : StepSeries
        Requests waiting or in service.
    up : bool
        Whether connections are accepted.
    life : int
        How often the replica has gone down; work that began in an earlier life is lost.
    broken : simpy.Event
        Fires when the replica goes down.
    may_fail : bool
        Whether it will ever go down.
    watching : dict of Watcher to None
        Who is told when it goes down, in order.
    own_work : callable or None
        Returns the extra seconds of the next request's work.
    own_error : callable or None
        Says whether the next response is an error.
    """

    def __init__(self, env: Environment, concurrency: int) -> None:
        super().__init__(env, concurrency)
        self.concurrency = concurrency
        self.inside = StepSeries()
        self.up, self.life, self.broken = True, 0, env.event()
        self.may_fail, self.watching = False, dict[Watcher, None]()
        self.own_work: Callable[[], float] | None = None
        self.own_error: Callable[[], bool] | None = None
        self._count = 0
        self._due: dict[Event, float] = {}

    @property
    def healthy(self) -> bool:
        """Whether a health check succeeds."""
        return self.up

    def begin(self, demand: float, now: float, due: float = math.inf) -> Event:
        """Queue `demand` seconds of work; the event fires when they are done, and `end` must follow.

        Work whose turn comes when it is past `due` is refused: its event fires with the value `PAST_DUE`,
        and `end` must not follow.
        """
        self._count += 1
        self.inside.note(now)
        if self.own_work is not None:
            demand += self.own_work()
        if now >= due:
            self._count -= 1
            self.inside.note(-now)
            return self._env.event().succeed(PAST_DUE)
        done = self.hold(demand)
        if due < math.inf and self._waiting and self._waiting[-1][0] is done:
            self._due[done] = due
        return done

    def end(self, now: float) -> None:
        """Work has ended, so the next may begin."""
        self._count -= 1
        self.inside.note(-now)
        if self._due:
            self._refuse_late(now)
        self.leave()

    def _refuse_late(self, now: float) -> None:
        """Refuse the next in the queue while they are past their deadline."""
        while self._waiting:
            turn = self._waiting[0][0]
            if now < self._due.pop(turn, math.inf):
                return
            self._waiting.popleft()
            self._count -= 1
            self.inside.note(-now)
            turn.succeed(PAST_DUE)

    def go_down(self, now: float) -> None:
        """Lose all work, and refuse connections."""
        for _ in range(self._count):
            self.inside.note(-now)
        self._count = 0
        self._forget()
        self.up, self.life = False, self.life + 1
        broken, self.broken = self.broken, self._env.event()
        broken.callbacks.append(self._tell)
        broken.succeed()

    def _tell(self, _event: Event) -> None:
        watching, self.watching = self.watching, {}
        for watcher in watching:
            watcher.broken()

    def _forget(self) -> None:
        self._waiting.clear()
        self._due.clear()
        self.free = self.concurrency


class SharingReplica(Replica):
    """One server whose requests share the processors evenly (processor sharing).

    With n requests inside, each is served at the rate min(1, processors / n). `_served` is the work that
    a request would have had that was there from the start; a request is done when `_served` has grown by
    its demand since its arrival (L. Kleinrock, "Time-shared systems", J. ACM 14, 1967).
    """

    def __init__(self, env: Environment, concurrency: int) -> None:
        super().__init__(env, concurrency)
        self._served, self._since = 0.0, 0.0
        self._jobs: list[tuple[float, int, Event]] = []
        self._number = 0
        self._timer: Event | None = None

    def hold(self, demand: float) -> Event:
        """Begin `demand` seconds of work at once, and slow down the others."""
        self._advance()
        done = self._env.event()
        self._number += 1
        finish = self._served + demand * self.slowness + self.extra
        heapq.heappush(self._jobs, (finish, self._number, done))
        self._plan()
        return done

    def leave(self) -> None:
        """Nothing to do: a finished request has left the processors already."""

    def _rate(self) -> float:
        return min(1.0, self.concurrency / len(self._jobs)) if self._jobs else 0.0

    def _advance(self) -> None:
        self._served += (self._env.now - self._since) * self._rate()
        self._since = self._env.now

    def _plan(self) -> None:
        """Wake up when the next request is done, if nothing changes before."""
        self._timer = None
        if self._jobs:
            left = max(self._jobs[0][0] - self._served, 0.0) / self._rate()
            self._timer = self._env.timeout(left)
            self._timer.callbacks.append(self._finish)

    def _finish(self, timer: Event) -> None:
        if timer is not self._timer:
            return  # another request has arrived
        self._advance()
        finish, _, done = heapq.heappop(self._jobs)
        self._served = finish  # without rounding errors
        done.succeed()
        self._plan()

    def _forget(self) -> None:
        self._jobs.clear()
        self._timer = None


def build_replica(
    env: Environment, settings: BackendSettings, backend: str, number: int, seed: int, service_extra: float
) -> Replica:
    """Replica `number` of `backend`, with its spells; `service_extra` seconds are added to all work."""
    kind = SharingReplica if settings.discipline == "ps" else Replica
    replica = kind(env, settings.concurrency)
    replica.extra = service_extra
    replica.own_work = settings.own_work(seed, f"{backend}/{number}")
    replica.own_error = settings.own_errors(seed, f"{backend}/{number}")
    if number in settings.slow_during:
        Life(_slow_spell(env, replica, settings.slowness(number), settings.slow_during[number]))
    else:
        replica.slowness = settings.slowness(number)
    if number in settings.fail:
        replica.may_fail = True
        Life(_failure(env, replica, settings.fail[number]))
    return replica


def _slow_spell(
    env: Environment, replica: Replica, slowness: float, spell: tuple[float, float]
) -> Iterator[Event]:
    """Work that begins during the spell is slow until its end."""
    yield env.timeout(spell[0])
    replica.slowness = slowness
    yield env.timeout(spell[1] - env.now)
    replica.slowness = 1.0


def _failure(env: Environment, replica: Replica, spell: tuple[float, float]) -> Iterator[Event]:
    yield env.timeout(spell[0])
    replica.go_down(env.now)
    yield env.timeout(spell[1] - env.now)
    replica.up = True
