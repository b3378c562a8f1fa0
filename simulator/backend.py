"""A replica: slots or processors, a queue before them, a speed, and spells in which it is slow or down."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator

from simpy import Environment, Event

from scenarios.schema import BackendSettings
from simulator.processes import Life
from simulator.slots import Slots, StepSeries


class Replica(Slots):
    """One server of a backend, first come first served.

    Parameters
    ----------
    env : simpy.Environment
    concurrency : int
        Requests that are worked on at once.

    Attributes
    ----------
    inside : StepSeries
        Requests that wait or are worked on.
    up : bool
        Whether connections are accepted.
    life : int
        How often it has gone down; work that was begun in an earlier life is lost.
    broken : simpy.Event
        Fires when it goes down.
    own_work : callable or None
        How many seconds longer the next request's work takes.
    """

    def __init__(self, env: Environment, concurrency: int) -> None:
        super().__init__(env, concurrency)
        self.concurrency = concurrency
        self.inside = StepSeries()
        self.up, self.life, self.broken = True, 0, env.event()
        self.own_work: Callable[[], float] | None = None
        self._count = 0

    def begin(self, demand: float, now: float) -> Event:
        """Queue `demand` seconds of work; the event fires when they are done, and `end` must follow."""
        self._count += 1
        self.inside.note(now)
        if self.own_work is not None:
            demand += self.own_work()
        return self.hold(demand)

    def end(self, now: float) -> None:
        """Work that was begun is done: the next may begin."""
        self._count -= 1
        self.inside.note(-now)
        self.leave()

    def go_down(self, now: float) -> None:
        """Lose all work, and refuse connections."""
        for _ in range(self._count):
            self.inside.note(-now)
        self._count = 0
        self._forget()
        self.up, self.life = False, self.life + 1
        self.broken.succeed()
        self.broken = self._env.event()

    def _forget(self) -> None:
        self._waiting.clear()
        self.free = self.concurrency


class SharingReplica(Replica):
    """One server whose processors are shared evenly by all requests (processor sharing).

    With n requests inside, each is served at the rate min(1, processors / n). `_served` is the
    work that a request which was there from the start would have had; a request is done when it
    has grown by its demand since it came (L. Kleinrock, "Time-shared systems", J. ACM 14, 1967).
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
        """Nothing to do: who is done has left the processors before."""

    def _rate(self) -> float:
        return min(1.0, self.concurrency / len(self._jobs)) if self._jobs else 0.0

    def _advance(self) -> None:
        self._served += (self._env.now - self._since) * self._rate()
        self._since = self._env.now

    def _plan(self) -> None:
        """Wake up when the next request is done, if nothing changes until then."""
        self._timer = None
        if self._jobs:
            left = max(self._jobs[0][0] - self._served, 0.0) / self._rate()
            self._timer = self._env.timeout(left)
            self._timer.callbacks.append(self._finish)

    def _finish(self, timer: Event) -> None:
        if timer is not self._timer:
            return  # another request has come since
        self._advance()
        finish, _, done = heapq.heappop(self._jobs)
        self._served = finish  # not what rounding made of it
        done.succeed()
        self._plan()

    def _forget(self) -> None:
        self._jobs.clear()
        self._timer = None


def build_replica(
    env: Environment, settings: BackendSettings, backend: str, number: int, seed: int, service_extra: float
) -> Replica:
    """Replica `number` of `backend`, with its spells; `service_extra` is added to all work, in seconds."""
    kind = SharingReplica if settings.discipline == "ps" else Replica
    replica = kind(env, settings.concurrency)
    replica.extra = service_extra
    replica.own_work = settings.own_work(seed, f"{backend}/{number}")
    if number in settings.slow_during:
        Life(_slow_spell(env, replica, settings.slowness(number), settings.slow_during[number]))
    else:
        replica.slowness = settings.slowness(number)
    if number in settings.fail:
        Life(_failure(env, replica, settings.fail[number]))
    return replica


def _slow_spell(
    env: Environment, replica: Replica, slowness: float, spell: tuple[float, float]
) -> Iterator[Event]:
    """Work that begins during the spell is slow, to its end."""
    yield env.timeout(spell[0])
    replica.slowness = slowness
    yield env.timeout(spell[1] - env.now)
    replica.slowness = 1.0


def _failure(env: Environment, replica: Replica, spell: tuple[float, float]) -> Iterator[Event]:
    yield env.timeout(spell[0])
    replica.go_down(env.now)
    yield env.timeout(spell[1] - env.now)
    replica.up = True
