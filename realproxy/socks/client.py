"""The client's side of a handshake of version 5, with a parent proxy. RFC 1928, RFC 1929"""

from __future__ import annotations

from collections.abc import Callable

from realproxy.socks.addresses import BadAddress, read_address, write_address
from realproxy.socks.replies import Reply
from realproxy.socks.server import NO_AUTHENTICATION, USER_PASSWORD, Command


class Refused(Exception):
    """The parent refuses the request."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem


class ClientHandshake:
    """One request for a connection to a host and port; the parent resolves a name.

    The user and the password, which may be empty, are sent if the parent asks for them. `done` is set once
    the parent has made the connection; then `rest` holds the first bytes from the target.
    """

    def __init__(self, host: str, port: int, user: str = "", password: str = "") -> None:
        self._request = bytes([5, Command.CONNECT, 0]) + write_address(host, port)
        self._user, self._password = user.encode(), password.encode()
        self._step: Callable[[], bytes | None] = self._method
        self.done = False
        self.rest = b""

    def start(self) -> bytes:
        """The first message."""
        methods = [NO_AUTHENTICATION, USER_PASSWORD] if self._user else [NO_AUTHENTICATION]
        return bytes([5, len(methods), *methods])

    def feed(self, data: bytes) -> bytes:
        """Take data from the parent; returns the data to send. Raises `Refused`."""
        self.rest += data
        out = b""
        while not self.done and (answer := self._step()) is not None:
            out += answer
        return out

    def _take(self, end: int) -> bytes:
        taken, self.rest = self.rest[:end], self.rest[end:]
        return taken

    def _method(self) -> bytes | None:
        if len(self.rest) < 2:
            return None
        version, method = self._take(2)
        if version != 5:
            raise Refused("it does not speak SOCKS5")
        if method == NO_AUTHENTICATION:
            self._step = self._reply
            return self._request
        if method == USER_PASSWORD and self._user:
            self._step = self._verdict
            user, password = self._user, self._password
            return bytes([1, len(user)]) + user + bytes([len(password)]) + password
        raise Refused("it wants a user and a password" if not self._user else "it wants other credentials")

    def _verdict(self) -> bytes | None:
        if len(self.rest) < 2:
            return None
        if self._take(2)[1] != 0:
            raise Refused("it does not accept the user or the password")
        self._step = self._reply
        return self._request

    def _reply(self) -> bytes | None:
        data = self.rest
        if data and data[0] != 5:
            raise Refused("its reply is not of version 5")
        if len(data) > 1 and data[1] != Reply.SUCCEEDED:
            known = data[1] in set(Reply)
            raise Refused(Reply(data[1]).meaning if known else f"reply {data[1]}")
        try:
            found = read_address(data, 3)
        except BadAddress:
            raise Refused("its reply is malformed") from None
        if found is None:
            return None
        self._take(found[2])
        self.done = True
        return b""
