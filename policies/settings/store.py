"""The store of cached answers."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from policies.admission import check_admission
from policies.eviction import check_online
from policies.settings.base import Settings
from policies.units import Duration, Size


class Disk(Settings):
    """Where stored answers are also kept on disk, to be found again after a restart.

    Parameters
    ----------
    folder : str
        For these files alone, and for one proxy.
    capacity : size
        Bytes of files.
    """

    folder: str
    capacity: Size = 2**30


class Cache(Settings):
    """The store that all caching routes and the forward side share.

    Parameters
    ----------
    policy : str
        Name of an eviction policy.
    capacity : size
        Bytes of stored objects, as `policies.eviction.charged_size` counts them.
    admission : str, optional
        An admission policy: ``tinylfu``, ``second_request`` or, for the size of an object as it is
        charged, ``size(64KiB)``. Without one, every object may enter.
    disk : Disk, optional
        A second tier, behind memory; off without it. Only for a proxy of one process.
    hit_lock : duration
        How long a hit holds the store's one lock, as a hit that moves list entries does; hits that
        come meanwhile wait. "Can increasing the hit ratio hurt cache throughput?": Z. Qiu, J. Yang,
        M. Harchol-Balter, 2024.
    explain : bool
        Whether Cache-Status, and the log, also tell the key, and how long what is stored is still
        fresh. RFC 9211, 2.4 and 2.7
    """

    policy: Annotated[str, AfterValidator(check_online)] = "s3_fifo"
    capacity: Size = 64 * 2**20
    admission: Annotated[str, AfterValidator(check_admission)] | None = None
    disk: Disk | None = None
    hit_lock: Duration = 0.0
    explain: bool = False
