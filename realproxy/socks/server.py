"""The server's side of a handshake, versions 4, 4a and 5, up to the request. RFC 1928, RFC 1929"""

from __future__ import annotations

import socket
from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import IntEnum

from realproxy.socks.addresses import BadAddress, check_host, read_address
from realproxy.socks.replies import Reply, reply4, reply5

NO_AUTHENTICATION, USER_PASSWORD, NONE_ACCEPTABLE = 0x00, 0x02, 0xFF
"""METHOD. RFC 1928, 3"""
LONGEST = 255
"""The longest user or host name in bytes for version 4, which has no limit itself."""


class Command(IntEnum):
    """CMD. RFC 1928, 4"""

    CONNECT = 1
    BIND = 2
    UDP_ASSOCIATE = 3


@dataclass(frozen=True)
class SocksRequest:
    """A client's request, with version 4 or 5; `user` is empty without authentication."""

    version: int
    command: Command
    host: str
    port: int
    user: str = ""

    def reply(self, code: Reply, host: str = "0.0.0.0", port: int = 0) -> bytes:
        """The reply in the client's version; host and port are the proxy's address towards the target."""
        if self.version == 4:
            return reply4(granted=code is Reply.SUCCEEDED)
        return reply5(code, host, port)


class _Refused(Exception):
    """The handshake fails; `answer` is sent to the client."""

    def __init__(self, problem: str, answer: bytes) -> None:
        super().__init__(problem)
        self.problem, self.answer = problem, answer


class ServerHandshake:
    """One handshake of one of the `versions`; it ends with a `request`, or with the text of a `problem`.

    `is_user` checks a user and a password; None if clients need no authentication. `bad_credentials` tells
    whether missing or wrong credentials are the problem. `version` is 0 before the first byte. `rest` is the
    data behind the request.
    """

    def __init__(self, versions: Collection[int], is_user: Callable[[str, str], bool] | None) -> None:
        self._versions, self._is_user = versions, is_user
        self._step: Callable[[], bytes | None] = self._start
        self.rest, self._user = b"", ""
        self.request: SocksRequest | None = None
        self.problem, self.bad_credentials, self.version = "", False, 0

    @property
    def ended(self) -> bool:
        """Whether the handshake reads no more data."""
        return self.request is not None or bool(self.problem)

    def feed(self, data: bytes) -> bytes:
        """Take data in pieces of any size; returns the data to send back."""
        self.rest += data
        out = b""
        while not self.ended:
            try:
                answer = self._step()
            except _Refused as refused:
                self.problem, self.rest = refused.problem, b""
                return out + refused.answer
            if answer is None:  # more must come
                break
            out += answer
        return out

    def _take(self, end: int) -> bytes:
        taken, self.rest = self.rest[:end], self.rest[end:]
        return taken

    # --- either version -------------------------------------------------------------------------

    def _start(self) -> bytes | None:
        if not self.rest:
            return None
        self.version = self.rest[0]
        if self.version not in self._versions:
            # The first byte of a reply of version 4 is 0; to version 5 no method is acceptable.
            answer = reply4(granted=False) if self.version == 4 else bytes([5, NONE_ACCEPTABLE])
            raise _Refused(f"SOCKS version {self.version} is not supported", answer)
        self._step = self._read_version_4 if self.version == 4 else self._choose_method
        return b""

    # --- version 5 ------------------------------------------------------------------------------

    def _choose_method(self) -> bytes | None:
        # VER NMETHODS METHODS; METHODS is 1 to 255 bytes                               RFC 1928, 3
        data = self.rest
        if len(data) < 2 or len(data) < 2 + data[1]:
            return None
        methods = self._take(2 + data[1])[2:]
        wanted = USER_PASSWORD if self._is_user is not None else NO_AUTHENTICATION
        if wanted not in methods:
            self.bad_credentials = self._is_user is not None
            raise _Refused("none of the offered methods is acceptable", bytes([5, NONE_ACCEPTABLE]))
        self._step = self._check_user if self._is_user is not None else self._read_request
        return bytes([5, wanted])

    def _check_user(self) -> bytes | None:
        # VER=1 ULEN UNAME PLEN PASSWD; both names are 1 to 255 bytes                   RFC 1929, 2
        data = self.rest
        if data and data[0] != 1:
            raise _Refused("bad version of the user/password method", b"\x01\x01")
        if len(data) < 2 or len(data) < 3 + data[1]:
            return None
        user_end = 2 + data[1]
        end = user_end + 1 + data[user_end]
        if len(data) < end:
            return None
        taken = self._take(end)
        user, password = _text(taken[2:user_end]), _text(taken[user_end + 1 :])
        assert self._is_user is not None
        if not self._is_user(user, password):
            self.bad_credentials = True
            raise _Refused("the user or the password is wrong", b"\x01\x01")
        self._user = user
        self._step = self._read_request
        return b"\x01\x00"

    def _read_request(self) -> bytes | None:
        # VER CMD RSV=0 ATYP DST.ADDR DST.PORT                                          RFC 1928, 4
        data = self.rest
        if data and data[0] != 5:
            raise _Refused("the request is not of version 5", reply5(Reply.GENERAL_FAILURE))
        if len(data) > 2 and data[2] != 0:
            raise _Refused("RSV is not zero", reply5(Reply.GENERAL_FAILURE))
        try:
            found = read_address(data, 3)
        except BadAddress as problem:
            code = Reply.ADDRESS_TYPE_NOT_SUPPORTED if problem.unknown else Reply.GENERAL_FAILURE
            raise _Refused(str(problem), reply5(code)) from None
        if found is None:
            return None
        host, port, end = found
        command = self._take(end)[1]
        if command not in (Command.CONNECT, Command.UDP_ASSOCIATE):
            raise _Refused(f"command {command} is not supported", reply5(Reply.COMMAND_NOT_SUPPORTED))
        if command == Command.CONNECT and port == 0:
            raise _Refused("port 0 is not a target", reply5(Reply.GENERAL_FAILURE))
        self.request = SocksRequest(5, Command(command), host, port, self._user)
        return b""

    # --- version 4 ------------------------------------------------------------------------------

    def _read_version_4(self) -> bytes | None:
        # VN CD DSTPORT DSTIP USERID NULL; 4a adds HOST NULL for the addresses 0.0.0.x
        data = self.rest
        if len(data) < 9:
            return None
        user_end = _null(data, 8)
        if user_end is None:
            return None
        end, ip = user_end + 1, data[4:8]
        host = socket.inet_ntop(socket.AF_INET, ip)
        if ip[:3] == bytes(3) and ip[3]:
            host_end = _null(data, end)
            if host_end is None:
                return None
            try:
                host = check_host(data[end:host_end])
            except BadAddress as problem:
                raise _Refused(str(problem), reply4(granted=False)) from None
            end = host_end + 1
        self._take(end)
        if data[1] != Command.CONNECT:
            raise _Refused(f"command {data[1]} is not supported", reply4(granted=False))
        if self._is_user is not None:  # USERID proves nothing
            self.bad_credentials = True
            raise _Refused("version 4 cannot carry a password", reply4(granted=False))
        port = int.from_bytes(data[2:4], "big")
        if port == 0:
            raise _Refused("port 0 is not a target", reply4(granted=False))
        self.request = SocksRequest(4, Command.CONNECT, host, port)
        return b""


def _null(data: bytes, start: int) -> int | None:
    """The end of a text from `start`; None if it has not arrived yet."""
    end = data.find(b"\0", start, start + LONGEST + 1)
    if end < 0 and len(data) > start + LONGEST:
        raise _Refused("a name is too long", reply4(granted=False))
    return end if end >= 0 else None


def _text(data: bytes) -> str:
    """A user name or password: UTF-8, as in Basic; Latin-1 from old clients."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")
