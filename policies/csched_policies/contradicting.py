"""Rules that leave a job no site between them: said in every refusal, so that nobody looks for the fault elsewhere."""

from collections.abc import Hashable, Sequence
from datetime import datetime

from csched.domain.verdict import Reason, ReasonCode, SiteVerdict
from csched_policies.facts import Facts
from csched_policies.groups import Groups
from csched_policies.rule import Rule
from csched_policies.satisfiable import contradiction, leave_no_site


class Contradictions:
    """Of the rules that are for a class of jobs; looked for once for all classes whose rules read the same."""

    def __init__(self, groups: Groups, now: datetime) -> None:
        self._groups = groups
        self._now = now
        self._found: dict[Hashable, tuple[tuple[str, ...], str] | None] = {}

    def told(self, row: tuple[SiteVerdict, ...], rules: Sequence[Rule], labels: Facts) -> tuple[SiteVerdict, ...]:
        """A row that allows nothing, with one reason more where it is the rules that leave no site between them.

        `rules`: those that are for such jobs.
        """
        excepted = {use.rule for verdict in row for use in verdict.exceptions}
        found = self._among([rule for rule in rules if rule.applied and rule.id not in excepted], labels)
        between, path = found or (leave_no_site(row), None)
        if len(between) == 1:
            return row
        return tuple(
            verdict.model_copy(update={"denials": _with(verdict, _reason(verdict, between, path))}) for verdict in row
        )

    def _among(self, rules: Sequence[Rule], labels: Facts) -> tuple[tuple[str, ...], str] | None:
        meant = sorted({path for rule in rules for clause in rule.require for path in clause.means})
        key = tuple(rule.id for rule in rules), tuple(map(labels.get, meant))
        if key not in self._found:
            self._found[key] = contradiction(rules, labels, self._groups, self._now)
        return self._found[key]


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
