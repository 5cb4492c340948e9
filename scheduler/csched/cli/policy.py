"""`csched policy`: check rules, run their cases, and say what they think of jobs."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from csched.cli.output import Output, output_options
from csched.cli.parameters import INSTANT
from csched.cli.policy_audit import audit, audit_document, audit_lines
from csched.cli.policy_diff import diff
from csched.cli.policy_signing import keygen, sign, verify
from csched.clock import SystemClock
from csched.domain.verdict import ReasonCode, SiteVerdict
from csched.errors import InputError, PolicyContradiction
from csched.report.rendering import Rendered, Table
from csched.report.words import iso

if TYPE_CHECKING:
    from csched.domain.site import Fleet
    from csched_policies.cases import Outcome
    from csched_policies.contradictions import Conflict
    from csched_policies.policy_set import PolicySet

_PATH = click.Path(path_type=Path)
_now = click.option("--now", type=INSTANT, help="Judge as of this instant; default: the present.")


@click.group()
def command() -> None:
    """Check, test, compare and explain the rules for data.

    \b
    csched policy check policies/library --fleet traces/fleets/demo.yaml
    csched policy test policies/library
    csched policy diff policies/library my-policies --jobs traces/jobs/demo.csv --fleet traces/fleets/demo.yaml
    csched policy explain --job traces/jobs/demo.csv --fleet traces/fleets/demo.yaml
    csched policy audit my-policies --since 30d
    csched policy sign my-policies --key policy.key
    """


for subcommand in (audit, diff, keygen, sign, verify):
    command.add_command(subcommand)


@command.command()
@click.argument("folder", metavar="DIR", type=_PATH)
@click.option("--fleet", "fleet_file", type=_PATH, help="Also look for rules that leave no site of this fleet.")
@_now
@output_options
def check(output: Output, folder: Path, fleet_file: Path | None, now: datetime | None) -> None:
    """Read every rule, try every kind of job, and say what cannot be kept or needs a look.

    Exit code 3 with file, line and field for a mistake, and for rules that contradict each other.
    """
    from csched_policies.contradictions import count_kinds, dead_rules, find_conflicts, tries_all_together
    from csched_policies.review import remarks

    policies, fleet, at = *_load(folder, fleet_file), now or SystemClock().now()
    together = tries_all_together(policies.content)
    if not together:
        output.remark(
            "warning: too many kinds of jobs for all rules at once: only every two of them are tried together"
        )
    conflicts = find_conflicts(policies.content, fleet, at)
    contradictions = [conflict for conflict in conflicts if conflict.is_contradiction]
    if contradictions:
        for conflict in contradictions[1:]:
            output.remark(f"also: {conflict.message}")
        raise _contradiction(contradictions, policies)
    dead = [f"rule {name} is for no job: nothing meets its `when`" for name in dead_rules(policies.content, at)]
    warnings = [*(conflict.message for conflict in conflicts), *dead, *remarks(policies.content, fleet, at)]
    document = {
        "digest": policies.digest,
        "rules": [
            {
                "id": rule.id,
                "version": rule.text.version,
                "enforce": rule.text.enforce,
                "mode": rule.text.mode,
                "owner": rule.text.owner,
                "review_by": rule.text.review_by.isoformat(),
                "cases": len(rule.text.tests),
            }
            for rule in policies.rules
        ],
        "groups": sorted(policies.content.groups.by_name),
        "tenants": sorted(policies.content.tenants),
        "kinds_of_jobs": count_kinds(policies.content),
        "tried_all_together": together,
        "warnings": warnings,
    }
    rows = [
        (r.id, str(r.text.version), r.text.enforce, r.text.mode, str(r.text.review_by), str(len(r.text.tests)))
        for r in policies.rules
    ]
    table = Table(("RULE", ">VERSION", "ENFORCE", "MODE", "REVIEW BY", ">CASES"), rows)
    tried = f"{document['kinds_of_jobs']} kinds of jobs" if together else "every two rules"
    summary = f"No mistake found; {tried} tried. Digest {policies.digest[:16]}"
    for warning in warnings:
        output.remark(f"warning: {warning}")
    output.show(Rendered(document, (policies.digest,), (table, summary)))


@command.command()
@click.argument("folder", metavar="DIR", type=_PATH)
@click.option("--fleet", "fleet_file", type=_PATH, help="The fleet whose sites cases may name.")
@_now
@output_options
def test(output: Output, folder: Path, fleet_file: Path | None, now: datetime | None) -> int:
    """Run the cases written beside the rules; exit code 3 if one gives another verdict or another clause."""
    from csched_policies.cases import clauses_without_case, run_cases

    policies, fleet = _load(folder, fleet_file)
    outcomes = run_cases(policies, fleet, now or SystemClock().now())
    failed = [outcome for outcome in outcomes if not outcome.passed]
    unseen = clauses_without_case(policies, outcomes)
    document = {
        "digest": policies.digest,
        "passed": len(outcomes) - len(failed),
        "failed": len(failed),
        "clauses_without_case": [{"rule": rule, "clause": clause} for rule, clause in unseen],
        "cases": [_case(outcome) for outcome in outcomes],
    }
    views: list[Table | str] = []
    if failed:
        rows = [(str(o.where), o.rule, o.expected, o.got) for o in failed]
        views.append(Table(("WHERE", "RULE", "EXPECTED", "GOT"), rows))
    views.append(f"{document['passed']} of {len(outcomes)} cases as expected")
    for rule, clause in unseen:
        output.remark(f"warning: no case of rule {rule} is denied by {clause}")
    output.show(Rendered(document, (f"{outcome.rule} {outcome.number}" for outcome in failed), views))
    return InputError.exit_code if failed else 0


@command.command()
@click.option("--job", "jobs_file", metavar="JOBS", required=True, type=_PATH, help="A jobs file; each job of it.")
@click.option("--fleet", "fleet_file", required=True, type=_PATH, help="Fleet file.")
@click.option("--policies", "folder", metavar="DIR", type=_PATH, help="Folder of rules; default: the shipped library.")
@_now
@output_options
def explain(output: Output, *, jobs_file: Path, fleet_file: Path, folder: Path | None, now: datetime | None) -> None:
    """Say for each job, site and clause what was seen and what is needed. Looks at policy alone."""
    from csched.formats.jobs import read_jobs
    from csched.shipped import policy_library
    from csched_policies.auditing import audited

    jobs = read_jobs(jobs_file)
    policies, fleet = _load(folder or policy_library(), fleet_file)
    if fleet is None:
        raise AssertionError(fleet_file)
    verdicts = policies.screen(jobs, fleet, now or SystemClock().now())
    would_refuse = audited(verdicts, {})
    document = {
        "digest": policies.digest,
        "jobs": [
            {
                "job": job.job,
                "sites": [_verdict(verdict) for verdict in verdicts[job.job]],
                "nearest_miss": _nearest_miss(verdicts[job.job]),
                "ranking": _ranking(verdicts[job.job]),
            }
            for job in jobs
        ],
        "audit": audit_document(would_refuse),
    }
    rows = [row for job in jobs for row in _job_rows(job.job, verdicts[job.job])]
    views: list[Table | str] = [Table(("JOB", "SITE", "VERDICT", "WHY"), rows)]
    views += audit_lines(would_refuse)
    lines = (f"{job.job} {verdict.site}" for job in jobs for verdict in verdicts[job.job] if verdict.allowed)
    output.show(Rendered(document, lines, views))


def _load(folder: Path, fleet_file: Path | None) -> "tuple[PolicySet, Fleet | None]":
    from csched.formats.fleet import read_fleet
    from csched_policies.load import load_policies

    fleet = read_fleet(fleet_file) if fleet_file else None
    return load_policies(folder, fleet), fleet


def _contradiction(conflicts: "Sequence[Conflict]", policies: "PolicySet") -> PolicyContradiction:
    first = conflicts[0]
    rules = {rule.id: rule for rule in policies.rules}
    more = f" (and {len(conflicts) - 1} more)" if len(conflicts) > 1 else ""
    places = ", ".join(str(rules[rule_id].where("require")) for rule_id in first.rules)
    return PolicyContradiction(
        first.message + more,
        hint=f"such jobs would wait for ever; change one of {places}",
        where=rules[first.rules[-1]].where("require"),
    )


def _case(outcome: "Outcome") -> dict[str, object]:
    return {
        "rule": outcome.rule,
        "case": outcome.number,
        "where": outcome.where.as_dict(),
        "expected": outcome.expected,
        "got": outcome.got,
        "passed": outcome.passed,
    }


def _verdict(verdict: SiteVerdict) -> dict[str, object]:
    return {
        "site": verdict.site,
        "allowed": verdict.allowed,
        "latest_end": iso(verdict.latest_end),
        "denials": [reason.model_dump(mode="json") for reason in verdict.denials],
        "bans": [ban.model_dump(mode="json", by_alias=True) for ban in verdict.bans],
        "points": verdict.points,
        "preferences": [each.model_dump(mode="json") for each in verdict.preferences],
        "advice": [reason.model_dump(mode="json") for reason in verdict.advice],
        "exceptions": [use.model_dump(mode="json") for use in verdict.exceptions],
    }


def _job_rows(job: str, row: Sequence[SiteVerdict]) -> Iterator[tuple[str, str, str, str]]:
    for verdict in row:
        yield from _rows(job, verdict)
    if missed := _nearest_miss(row):
        clauses = ", ".join(f"{each['clause']} ({each['seen']}, needed {each['needed']})" for each in missed["clauses"])
        yield job, str(missed["site"]), "nearest", f"of all sites that are refused, the fewest clauses fail: {clauses}"


def _nearest_miss(row: Sequence[SiteVerdict]) -> dict[str, Any] | None:
    """The site at which the fewest clauses fail, where none is allowed: what would have to change."""
    if not row or any(verdict.allowed for verdict in row):
        return None
    failing = [
        (verdict, [reason for reason in verdict.denials if reason.code is not ReasonCode.POLICY_CONTRADICTION])
        for verdict in row
    ]
    verdict, reasons = min(failing, key=lambda each: len(each[1]))
    clauses = [reason.model_dump(mode="json", include={"rule", "clause", "seen", "needed"}) for reason in reasons]
    return {"site": verdict.site, "clauses": clauses}


def _ranking(row: Sequence[SiteVerdict]) -> list[str]:
    """Allowed sites, those that the rules prefer first; empty where no rule prefers anything."""
    allowed = [verdict for verdict in row if verdict.allowed]
    if not any(verdict.preferences for verdict in allowed):
        return []
    return [verdict.site for verdict in sorted(allowed, key=lambda verdict: -verdict.points)]


def _rows(job: str, verdict: SiteVerdict) -> Iterator[tuple[str, str, str, str]]:
    if verdict.allowed:
        bound = verdict.latest_end_reason
        yield job, verdict.site, "allowed", bound.message if bound else ""
    for ban in verdict.bans:
        yield job, verdict.site, "at hours", ban.message
    for each in verdict.preferences:
        seen = "unknown" if each.seen is None else each.seen
        yield job, verdict.site, "preferred", f"{each.points:.3g} points by rule {each.rule}: {each.clause} is {seen}"
    for use in verdict.exceptions:
        yield job, verdict.site, "excepted", f"rule {use.rule} is set aside by {use.exception} ({use.ticket})"
    for word, reasons in (("refused", verdict.denials), ("advised", verdict.advice)):
        for reason in reasons:
            yield job, verdict.site, word, reason.message
