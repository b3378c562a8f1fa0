"""Which arm of a split route gets a request: the tester's choice, the user's hash, or chance."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import NamedTuple

from policies.request_key import cookie
from policies.reverse.split import Split
from policies.settings import Route

Field = Callable[[str], str | None]


class Choice(NamedTuple):
    """The arm of one request.

    Attributes
    ----------
    arm : str
        The name of a service.
    user : str or None
        The key that keeps the user with this arm; None if the arm was drawn for this request alone.
    counts : bool
        Whether the answer says something about the arms: not if a tester has chosen the arm.
    cookie : str or None
        The value of the cookie that the client gets; None if it needs none.
    """

    arm: str
    user: str | None = None
    counts: bool = True
    cookie: str | None = None


class ArmChooser:
    """Chooses arms for the requests of one route.

    With ``sticky = "cookie:NAME"``, a client without the cookie gets one with a random value, and the hash of
    that value decides. So no value of a cookie names an arm, and a forged cookie gains nothing.

    With ``sticky = "canary-cookie:NAME"``, which others do and which is here to be compared, each request is
    drawn by chance until the canary is drawn once; then a cookie keeps the user with the canary. After k
    requests a user is with a canary of weight w with probability ``1 - (1 - w)**k``: all users drift to it.

    Parameters
    ----------
    route : Route
        With several services in ``to``.
    salt : str
        Another salt splits the same users differently.
    """

    def __init__(self, route: Route, salt: str = "") -> None:
        assert isinstance(route.to, dict)
        kind, _, name = (route.sticky or "").partition(":")
        self._override, self._salt = route.override, salt
        self._arms = frozenset(route.to)
        self.cookie_name = name if kind in ("cookie", "canary-cookie") else None
        self._drifts = kind == "canary-cookie"
        self._canary = (
            route.canary.watch if route.canary is not None else min(route.to, key=route.to.__getitem__)
        )
        self._header = name.lower() if kind == "header" else None
        self._sticks, self._by_client = bool(kind), kind == "client"

    def choose(self, split: Split, client: str, field: Field, rng: random.Random) -> Choice:
        """The arm of a request.

        Parameters
        ----------
        split : Split
            The weights in force.
        client : str
            The client's address.
        field : callable
            Gives the value of a request's field by its name in lower case, or None.
        rng : random.Random
        """
        if self._override is not None:
            wanted = self._wanted(field)
            if wanted is not None:
                return Choice(wanted, counts=False)
        if self._drifts:
            return self._drift(split, field, rng)
        if not self._sticks:
            return Choice(split.by_chance(rng.random()))
        if self._by_client:
            key: str | None = client
        elif self._header is not None:
            key = field(self._header)
        else:
            key = cookie(field("cookie"), self.cookie_name or "")
        if key is not None:
            return Choice(split.by_key(key, self._salt), key)
        if self.cookie_name is None:
            return Choice(split.by_chance(rng.random()))
        key = f"{rng.getrandbits(64):016x}"
        return Choice(split.by_key(key, self._salt), key, cookie=key)

    def _wanted(self, field: Field) -> str | None:
        """The arm that the request names; None if it names none."""
        override = self._override
        assert override is not None
        for value in (
            field(override.header.lower()) if override.header else None,
            cookie(field("cookie"), override.cookie) if override.cookie else None,
        ):
            if value in self._arms:
                return value
        return None

    def _drift(self, split: Split, field: Field, rng: random.Random) -> Choice:
        name = self.cookie_name
        assert name is not None
        if cookie(field("cookie"), name) == self._canary and split.share(self._canary) > 0.0:
            return Choice(self._canary, counts=False)
        arm = split.by_chance(rng.random())
        return Choice(arm, cookie=arm if arm == self._canary else None)
