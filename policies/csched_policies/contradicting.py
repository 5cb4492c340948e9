"""Rules that leave a job no site between them: said in every refusal, so that nobody looks for the fault elsewhere."""

from collections.abc import Sequence
from datetime import datetime

from csched.domain.verdict import Reason, ReasonCode, SiteVerdict
from csched_policies.facts import Facts
from csched_policies.judging import Judge
from csched_policies.rule import Rule
from csched_policies.satisfiable import contradiction, leave_no_site


def with_contradiction(
    row: tuple[SiteVerdict, ...], rules: Sequence[Rule], labels: Facts, judge: Judge, now: datetime
) -> tuple[SiteVerdict, ...]:
    """A row that allows nothing, with one reason more where it is the rules that leave no site between them."""
    excepted = {use.rule for verdict in row for use in verdict.exceptions}
    bind = [rule for rule in rules if rule.applied and rule.id not in excepted]
    found = contradiction([rule for rule in bind if judge.applies(rule, labels)], labels, judge.groups, now)
    between, path = found or (leave_no_site(row), None)
    if len(between) == 1:
        return row
    return tuple(
        verdict.model_copy(update={"denials": _with(verdict, _reason(verdict, between, path))}) for verdict in row
    )


def _with(verdict: SiteVerdict, reason: Reason) -> tuple[Reason, ...]:
    return tuple(sorted([*verdict.denials, reason], key=lambda each: each.code.tier))


def _reason(verdict: SiteVerdict, rules: tuple[str, ...], path: str | None) -> Reason:
    names = f"{', '.join(rules[:-1])} and {rules[-1]}"
    why = f"no site can meet them, because of {path}" if path else "each leaves a site of this fleet, together none"
    return Reason(
        site=verdict.site,
        code=ReasonCode.POLICY_CONTRADICTION,
        rule=rules[0],
        clause=path or "site",
        needed=f"rules {names}",
        message=f"rules {names} contradict each other for such a job: {why}",
    )
