"""What rules that only advise or audit would have refused, had they been enforced."""

from collections.abc import Mapping
from dataclasses import dataclass

from csched.domain.verdict import SiteVerdict, Verdicts


@dataclass(frozen=True)
class Audited:
    """What one rule would refuse of what the others allow."""

    rule: str
    clauses: tuple[str, ...]
    decisions: int
    """Jobs times sites, in all."""
    refused: int
    """Of these."""
    jobs: tuple[str, ...]
    """Those that it would refuse at one site or more."""
    stranded: tuple[str, ...]
    """Jobs that have a site and would have none."""
    ran: tuple[tuple[str, str], ...]
    """(job, site) of those that ran, or wait to run, where it would have refused them."""


def audited(verdicts: Verdicts, placed: Mapping[str, str]) -> tuple[Audited, ...]:
    """In the order of the rules' ids. `placed`: the site of each job that has one."""
    rules = sorted({str(reason.rule) for row in verdicts.values() for verdict in row for reason in verdict.advice})
    return tuple(_audited(rule, verdicts, placed) for rule in rules)


def _audited(rule: str, verdicts: Verdicts, placed: Mapping[str, str]) -> Audited:
    hits = {
        job: told for job, row in verdicts.items() if (told := [each for each in row if _clauses_against(rule, each)])
    }
    clauses = {clause for told in hits.values() for verdict in told for clause in _clauses_against(rule, verdict)}
    return Audited(
        rule=rule,
        clauses=tuple(sorted(clauses)),
        decisions=sum(map(len, verdicts.values())),
        refused=sum(map(len, hits.values())),
        jobs=tuple(hits),
        stranded=tuple(job for job, told in hits.items() if _strands(verdicts[job], told)),
        ran=tuple((job, placed[job]) for job, told in hits.items() if placed.get(job) in {each.site for each in told}),
    )


def _strands(row: tuple[SiteVerdict, ...], refused: list[SiteVerdict]) -> bool:
    allowed = {verdict.site for verdict in row if verdict.allowed}
    return bool(allowed) and allowed <= {verdict.site for verdict in refused}


def _clauses_against(rule: str, verdict: SiteVerdict) -> list[str]:
    return [str(reason.clause) for reason in verdict.advice if reason.rule == rule]
