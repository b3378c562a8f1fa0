"""Opens a trace: a file, a pipe or standard input, packed or not, text in any common encoding.

The content tells how a file is packed, not its name: logrotate calls a packed log ``access.log.2.gz``,
and people rename files.
"""

from __future__ import annotations

import bz2
import codecs
import lzma
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from policies.bad_input import BadInput

STANDARD_INPUT = "-"
HEAD_BYTES = 2**16
"""Bytes that are looked at to tell what a file is."""

_PIECE = 2**16
_MAGIC = (
    (b"\x1f\x8b\x08", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"BZh", "bzip2"),
)
_REFUSED = (
    (b"PK\x03\x04", "a zip archive; unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive; unpack it first"),
    (b"\x04\x22\x4d\x18", "packed with lz4, which is not read here; unpack it first"),
    (b"\x1f\x9d", "packed with compress, which is not read here; unpack it first"),
    (b"PAR1", "a Parquet file, which is not read here; write it as CSV"),
    (b"SQLite format 3\x00", "an SQLite database, which is not read here; write its table as CSV"),
)
_BOMS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


class Opened:
    """The bytes of one file, unpacked.

    Parameters
    ----------
    path : str
        ``-`` is standard input.

    Attributes
    ----------
    head : bytes
        The first bytes, unpacked and, if they are text, in the encoding of the file.
    consumed : int
        Bytes of the file itself that were read so far.

    Raises
    ------
    BadInput
        If the file cannot be opened, or is packed in a way that is not read here.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.consumed = 0
        name: str | int = 0 if path == STANDARD_INPUT else path
        try:
            self._file = open(name, "rb", closefd=name != 0)  # noqa: SIM115 (closed by `close`)
        except (OSError, ValueError) as error:  # ValueError for a NUL byte in the name
            raise BadInput(path, "", f"cannot be read: {getattr(error, 'strerror', error)}") from None
        try:
            self._begin = _Beginning(self._count)
            for _ in range(3):
                if (packed := _packing(self._begin.peek(16), path)) is None:
                    break
                self._begin = _Beginning(_Unpacked(self._begin.read, packed, path).read)
            self.head = self._begin.peek(HEAD_BYTES)
            if self.head[257:262] == b"ustar":
                raise BadInput(path, "", "is a tar archive; unpack it first")
        except BaseException:
            self.close()
            raise

    def _count(self, size: int) -> bytes:
        try:
            piece = self._file.read(size)
        except OSError as error:
            raise BadInput(self.path, "", f"cannot be read: {error.strerror}") from None
        self.consumed += len(piece)
        return piece

    def close(self) -> None:
        """Close the file; standard input stays open."""
        self._file.close()

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes, unpacked; none at the end."""
        return self._begin.read(size)

    def as_text(self) -> Opened:
        """From now on read text: as UTF-8, without a byte order mark, each line with a ``\\n`` at its end."""
        encoding, mark = encoding_of(self.head)
        self._begin.read(mark)
        if encoding:
            self._begin = _Beginning(_Decoded(self._begin.read, encoding, self.path).read)
        head = self._begin.peek(HEAD_BYTES)
        if b"\r" in head and b"\n" not in head:  # classic Mac OS
            before = self._begin
            self._begin = _Beginning(lambda size: before.read(size).replace(b"\r", b"\n"))
        self.head = self._begin.peek(HEAD_BYTES)
        return self


def encoding_of(head: bytes) -> tuple[str, int]:
    """The encoding of a text, if it is not one of single bytes or UTF-8, and the length of its mark."""
    for mark, name in _BOMS:
        if head.startswith(mark):
            return name, len(mark)
    if head.startswith(codecs.BOM_UTF8):
        return "", len(codecs.BOM_UTF8)
    start = head[:512]
    if len(start) >= 8 and not any(start[1::2][:100]) and all(start[0::2][:100]):
        return "utf-16-le", 0
    if len(start) >= 8 and not any(start[0::2][:100]) and all(start[1::2][:100]):
        return "utf-16-be", 0
    return "", 0


class _Beginning:
    """Bytes whose beginning can be looked at before they are read."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read
        self._kept = b""

    def peek(self, size: int) -> bytes:
        while len(self._kept) < size and (piece := self._read(size - len(self._kept))):
            self._kept += piece
        return self._kept[:size]

    def read(self, size: int) -> bytes:
        if not self._kept:
            return self._read(size)
        piece, self._kept = self._kept[:size], self._kept[size:]
        return piece


def _packing(head: bytes, path: str) -> str | None:
    for magic, what in _REFUSED:
        if head.startswith(magic):
            raise BadInput(path, "", f"is {what}")
    found = next((name for magic, name in _MAGIC if head.startswith(magic)), None)
    if found == "bzip2" and head[4:10] not in (b"1AY&SY", b"\x17rE8P\x90"):
        return None  # a text that begins with these three letters
    return found


def _decompressors(kind: str, path: str) -> tuple[Callable[[], Any], type[Exception]]:
    """Makes objects with `decompress`, `eof` and `unused_data`; and the error that they raise."""
    if kind == "gzip":
        return lambda: zlib.decompressobj(wbits=31), zlib.error
    if kind == "xz":
        return lzma.LZMADecompressor, lzma.LZMAError
    if kind == "bzip2":
        return bz2.BZ2Decompressor, OSError
    try:
        import zstandard
    except ModuleNotFoundError:
        raise BadInput(
            path, "", "needs the package zstandard; install proxytwin with its 'traces' extra"
        ) from None
    return lambda: zstandard.ZstdDecompressor().decompressobj(), zstandard.ZstdError


class _Unpacked:
    """A packed file of one or more members, one behind the other; raises `BadInput` if it is broken."""

    def __init__(self, read: Callable[[int], bytes], kind: str, path: str) -> None:
        self._read = read
        self._kind = kind
        self._path = path
        self._magic = next(magic for magic, name in _MAGIC if name == kind)
        self._new, self._error = _decompressors(kind, path)
        self._member: Any = self._new()
        self._left = b""  # behind the end of a member
        self._ready = b""

    def read(self, size: int) -> bytes:
        while len(self._ready) < size and self._more():
            pass
        piece, self._ready = self._ready[:size], self._ready[size:]
        return piece

    def _more(self) -> bool:
        """Unpack another piece; ``False`` at the end."""
        packed = self._left or self._read(_PIECE)
        self._left = b""
        if self._member is None:
            packed = packed.lstrip(b"\0")  # padding of tapes and block devices
            while packed and len(packed) < len(self._magic) and (more := self._read(_PIECE)):
                packed += more
            if not packed:
                return bool(self._peeked_padding())
            if not packed.startswith(self._magic):
                raise self._broken("other bytes follow its end")
            self._member = self._new()
        if not packed:
            raise self._broken("it ends too early")
        try:
            self._ready += self._member.decompress(packed)
        except (self._error, EOFError, ValueError) as error:
            raise self._broken(str(error)) from None
        if self._member.eof:
            self._left, self._member = self._member.unused_data, None
        return True

    def _peeked_padding(self) -> bytes:
        self._left = self._read(_PIECE)
        return self._left

    def _broken(self, why: str) -> BadInput:
        return BadInput(self._path, "", f"is not a whole {self._kind} file: {why}")


class _Decoded:
    """Text of wide characters, as UTF-8."""

    def __init__(self, read: Callable[[int], bytes], encoding: str, path: str) -> None:
        self._read = read
        self._decoder = codecs.getincrementaldecoder(encoding)("strict")
        self._encoding = encoding
        self._path = path
        self._ready = b""

    def read(self, size: int) -> bytes:
        while not self._ready:
            piece = self._read(size)
            try:
                text = self._decoder.decode(piece, final=not piece)
            except UnicodeError as error:
                raise BadInput(self._path, "", f"is not whole {self._encoding} text: {error}") from None
            self._ready = text.encode("utf-8")
            if not piece:
                break
        piece, self._ready = self._ready[:size], self._ready[size:]
        return piece


def is_pipe(path: str | Path) -> bool:
    """Whether the bytes of a path can be read only once."""
    return str(path) == STANDARD_INPUT or (Path(path).exists() and not Path(path).is_file())
