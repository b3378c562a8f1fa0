"""Admission: which objects may enter a cache. One file a policy; look at `base` first."""

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
