"""Admission policies: which objects may enter a cache at all.

Start with `base` (the interface and the registry of names), then `gated` (an admission policy in front
of an eviction policy). Each other file is one policy. An admission policy belongs to one cache, which
calls it under its own lock.
"""

from policies.admission.base import (
    Admission,
    admission_policies,
    admission_policy,
    build_admission,
    check_admission,
)
from policies.admission.gated import Gated
from policies.admission.second_request import SecondRequest
from policies.admission.size_limit import SizeLimit
from policies.admission.tinylfu import TinyLfu

__all__ = [
    "Admission", "Gated", "SecondRequest", "SizeLimit", "TinyLfu", "admission_policies",
    "admission_policy", "build_admission", "check_admission",
]  # fmt: skip
