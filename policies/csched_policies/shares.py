"""Shares of a tenant's GPU-hours that rules allow outside some countries: rows of the placement problem, one a tenant.

A site of which it is not known that it lies inside counts as outside, and so do hours at a site that has left the
fleet.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from csched.domain.quota import QuotaRow
from csched.domain.site import Fleet
from csched.domain.snapshot import Snapshot
from csched_policies.clause import Clause
from csched_policies.facts import label_facts, site_facts
from csched_policies.judging import Judge
from csched_policies.operators import Share, Sight
from csched_policies.policy_content import Content
from csched_policies.rule import Rule


@dataclass(frozen=True)
class BindingShare:
    """A share that binds one tenant."""

    rule: Rule
    clause: Clause
    tenant: str
    outside: tuple[str, ...]
    """Ids of the sites that do not surely lie within the countries of the share."""


def binding_shares(content: Content, fleet: Fleet, tenants: Iterable[str], now: datetime) -> Iterator[BindingShare]:
    """Every share that is applied and about one of these tenants, in the order of tenants and rules."""
    rules = [rule for rule in content.rules if rule.applied and any(_shares(rule))]
    judge = Judge(rules, content.groups, fleet.sites, now)
    sites = [site_facts(site) for site in fleet.sites]
    for tenant in tenants:
        labels = label_facts({"tenant": tenant}, content.tenants)
        for rule in rules:
            if not judge.unknown_labels(rule, labels) and judge.applies(rule, labels):
                for clause in _shares(rule):
                    yield BindingShare(rule, clause, tenant, outside_of(clause, sites, judge))


def quota_rows(content: Content, snapshot: Snapshot) -> tuple[QuotaRow, ...]:
    """Every share that is applied and about which a pending job is, in the order of rules and tenants."""
    tenants = sorted({job.tenant for job in snapshot.jobs if job.tenant is not None})
    binding = binding_shares(content, snapshot.fleet, tenants, snapshot.now)
    return tuple(_row(each, snapshot) for each in binding)


def _row(binding: BindingShare, snapshot: Snapshot) -> QuotaRow:
    inside = {site.id for site in snapshot.fleet.sites} - set(binding.outside)
    used = [usage for usage in snapshot.usage if usage.tenant == binding.tenant]
    return QuotaRow(
        rule=binding.rule.id,
        clause=binding.clause.path,
        tenant=binding.tenant,
        jobs=tuple(job.job for job in snapshot.jobs if job.tenant == binding.tenant),
        sites=binding.outside,
        share=share_of(binding.clause).at_most,
        used_gpu_h=sum(usage.gpu_h for usage in used if usage.site not in inside),
        total_gpu_h=sum(usage.gpu_h for usage in used),
        because=binding.rule.text.because,
    )


def share_of(clause: Clause) -> Share:
    if not isinstance(clause.operand, Share):
        raise TypeError(clause.path)
    return clause.operand


def outside_of(clause: Clause, sites: Iterable[dict[str, Any]], judge: Judge) -> tuple[str, ...]:
    """Ids of the sites that do not surely lie within the countries of a share."""
    return tuple(facts["site.id"] for facts in sites if not _inside(share_of(clause), judge.sight(facts, {})))


def _inside(share: Share, sight: Sight) -> bool:
    return share.outside.contains(sight.fact("site.country"), sight, conditional=False) is True


def _shares(rule: Rule) -> Iterator[Clause]:
    return (clause for clause in rule.require if isinstance(clause.operand, Share))


def exceeded(
    rule: Rule, used: Mapping[str, float], added_gpu_h: float, country: str | None, judge: Judge
) -> Iterator[Clause]:
    """Shares of one rule that hours at a site in `country` would exceed, after those `used` this month by country."""
    for clause in _shares(rule):
        share = share_of(clause)
        outside = [not _inside(share, judge.sight({"site.country": code}, {})) for code in used]
        total = sum(used.values()) + added_gpu_h
        spent = sum(hours for hours, out in zip(used.values(), outside, strict=True) if out)
        counts = not _inside(share, judge.sight({"site.country": country}, {}))
        if counts and spent + added_gpu_h > share.at_most * total:
            yield clause
