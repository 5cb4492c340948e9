"""Shares of a tenant's GPU-hours that rules allow outside some countries: rows of the placement problem, one a tenant.

A site of which it is not known that it lies inside counts as outside, and so do hours at a site that has left the
fleet.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from csched.domain.quota import QuotaRow
from csched.domain.snapshot import Snapshot
from csched_policies.clause import Clause
from csched_policies.facts import label_facts, site_facts
from csched_policies.judging import Judge
from csched_policies.operators import Share, Sight
from csched_policies.policy_content import Content
from csched_policies.rule import Rule


def quota_rows(content: Content, snapshot: Snapshot) -> tuple[QuotaRow, ...]:
    """Every share that is applied and about which a pending job is, in the order of rules and tenants."""
    rules = [rule for rule in content.rules if rule.applied and any(_shares(rule))]
    if not rules:
        return ()
    judge = Judge(rules, content.groups, snapshot.fleet.sites, snapshot.now)
    found: list[QuotaRow] = []
    for tenant in sorted({job.tenant for job in snapshot.jobs if job.tenant is not None}):
        labels = label_facts({"tenant": tenant}, content.tenants)
        for rule in rules:
            if not judge.unknown_labels(rule, labels) and judge.applies(rule, labels):
                found += [_row(rule, clause, tenant, snapshot, judge) for clause in _shares(rule)]
    return tuple(found)


def _row(rule: Rule, clause: Clause, tenant: str, snapshot: Snapshot, judge: Judge) -> QuotaRow:
    share = share_of(clause)
    outside = outside_of(clause, (site_facts(site) for site in snapshot.fleet.sites), judge)
    inside = {site.id for site in snapshot.fleet.sites} - set(outside)
    used = [usage for usage in snapshot.usage if usage.tenant == tenant]
    return QuotaRow(
        rule=rule.id,
        clause=clause.path,
        tenant=tenant,
        jobs=tuple(job.job for job in snapshot.jobs if job.tenant == tenant),
        sites=outside,
        share=share.at_most,
        used_gpu_h=sum(usage.gpu_h for usage in used if usage.site not in inside),
        total_gpu_h=sum(usage.gpu_h for usage in used),
        because=rule.text.because,
    )


def share_of(clause: Clause) -> Share:
    if not isinstance(clause.operand, Share):
        raise TypeError(clause.path)
    return clause.operand


def outside_of(clause: Clause, sites: Iterable[dict[str, Any]], judge: Judge) -> tuple[str, ...]:
    """Ids of the sites that do not surely lie within the countries of a share."""
    return tuple(facts["site.id"] for facts in sites if not _inside(share_of(clause), judge.sight(facts, {})))


def _inside(share: Share, sight: Sight) -> bool:
    country = sight.fact("site.country")
    return country is not None and share.outside.contains(country, sight, conditional=False) is True


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
