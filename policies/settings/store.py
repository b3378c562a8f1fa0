"""The settings of the cache's store."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from policies.admission import check_admission
from policies.eviction import check_online
from policies.settings.base import Settings
from policies.units import Duration, Size


class Disk(Settings):
    """A second tier of the store on disk, which survives a restart.

    Parameters
    ----------
    folder : str
        For these files only, and for one proxy only.
    capacity : size
        Bytes of files.
    """

    folder: Annotated[str, Field(min_length=1)]
    capacity: Size = 2**30


_TOKEN = r"^[A-Za-z*][A-Za-z0-9_!#$%&'*+.^`|~:/-]*$"
"""A token of structured fields. RFC 9651, section 3.3.4"""


class Cache(Settings):
    """The store, shared by all caching routes and the forward side.

    Parameters
    ----------
    policy : str
        Name of an eviction policy.
    capacity : size
        Bytes of the stored objects' bodies, and of their `overhead`. What an object's head has beyond 2 KiB
        counts, too.
    overhead : size
        Bytes that each stored object costs beyond its body. With the default 0, a capacity means the same
        here, in `proxytwin curve` and in most simulators of caches.
    objects : int
        The most objects that are stored, whatever their sizes; a URI with all its variants is one. An
        entry of the store takes about 900 bytes of memory beyond its body, with a head of 150 bytes, so the
        default's entries take about 230 MiB. Several processes share the number equally.
    admission : str, optional
        An admission policy: ``tinylfu``, ``second_request`` or, by the size of an object with its
        overhead, ``size(64KiB)``. By default every object may enter.
    disk : Disk, optional
        A second tier behind memory; off by default. Only for a proxy with one process.
    hit_lock : duration
        How long a hit holds the store's one lock, as a hit that moves list entries does; other hits
        wait meanwhile. Z. Qiu, J. Yang, M. Harchol-Balter, "Can increasing the hit ratio hurt cache
        throughput?", 2024.
    name : str
        Name of this cache in Cache-Status, so that the caches of a hierarchy can be told apart. RFC 9211, 2
    explain : bool
        Whether Cache-Status and the log also show the key and the remaining freshness. RFC 9211, 2.4
        and 2.7
    """

    policy: Annotated[str, AfterValidator(check_online)] = "s3_fifo"
    capacity: Size = 64 * 2**20
    overhead: Size = 0
    objects: Annotated[int, Field(ge=1)] = 262_144
    admission: Annotated[str, AfterValidator(check_admission)] | None = None
    disk: Disk | None = None
    hit_lock: Duration = 0.0
    name: Annotated[str, Field(pattern=_TOKEN, max_length=64)] = "proxytwin"
    explain: bool = False
