"""A share of a tenant's GPU-hours that may be spent at some sites: one row of the placement problem."""

from pydantic import Field

from csched.domain.base import Slug, Value


class QuotaRow(Value):
    """Over one month: hours at `sites` <= share x hours at all sites, jobs counted at their time limit.

    What has been used is `used_gpu_h` of `total_gpu_h`; the plan adds the hours of `jobs` that it places.
    """

    rule: str
    """The policy's id."""
    clause: str
    tenant: str
    jobs: tuple[Slug, ...]
    """Pending jobs that it is about."""
    sites: tuple[Slug, ...]
    """Where hours count against the share."""
    share: float = Field(ge=0, le=1)
    used_gpu_h: float = Field(default=0, ge=0)
    total_gpu_h: float = Field(default=0, ge=0)
    because: str = ""
