"""What another set would change about shares of a month: whom they bind, by how much, outside of which sites."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from csched.domain.job import Job
from csched.domain.site import Fleet
from csched_policies.policy_content import Content
from csched_policies.shares import binding_shares, share_of


@dataclass(frozen=True)
class Bound:
    at_most: float
    """0 to 1."""
    sites: tuple[str, ...]
    """Those whose hours count against the share."""


@dataclass(frozen=True)
class ShareChange:
    rule: str
    tenant: str
    jobs: int
    """Of the tenant, among those that are compared."""
    before: tuple[Bound, ...]
    after: tuple[Bound, ...]
    """Empty where the set has no such share for the tenant."""


def share_changes(
    old: Content, new: Content, jobs: Sequence[Job], fleet: Fleet, now: datetime
) -> tuple[ShareChange, ...]:
    """Shares that bind a tenant of these jobs otherwise, by tenant and rule."""
    counts = Counter(job.tenant for job in jobs if job.tenant is not None)
    was, will = (_bounds(content, fleet, sorted(counts), now) for content in (old, new))
    return tuple(
        ShareChange(rule, tenant, counts[tenant], was.get((tenant, rule), ()), will.get((tenant, rule), ()))
        for tenant, rule in sorted(was.keys() | will.keys())
        if was.get((tenant, rule)) != will.get((tenant, rule))
    )


def _bounds(
    content: Content, fleet: Fleet, tenants: Sequence[str], now: datetime
) -> dict[tuple[str, str], tuple[Bound, ...]]:
    found: dict[tuple[str, str], tuple[Bound, ...]] = {}
    for each in binding_shares(content, fleet, tenants, now):
        key = each.tenant, each.rule.id
        found[key] = (*found.get(key, ()), Bound(share_of(each.clause).at_most, each.outside))
    return found
