"""csched policy audit: what rules that only report would have refused, for the jobs of a file or of the last days."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from csched.cli.output import Output, output_options
from csched.cli.parameters import INSTANT
from csched.cli.policy_jobs import judged_jobs, judged_jobs_options
from csched.clock import SystemClock
from csched.report.rendering import Rendered, Table
from csched.report.words import listed

if TYPE_CHECKING:
    from csched_policies.auditing import Audited


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@judged_jobs_options
@click.option("--now", type=INSTANT, help="Judge as of this instant; default: the present.")
@output_options
def audit(
    output: Output,
    folder: Path,
    *,
    jobs_file: Path | None,
    since_s: int | None,
    fleet_file: Path | None,
    now: datetime | None,
) -> None:
    """Say what rules in `mode: audit`, and those that only advise, would have refused, had they been enforced.

    With --since also which jobs ran where such a rule says no. --quiet prints the rules.

    \b
    Examples:
      csched policy audit /etc/csched/policies --since 30d
      csched policy audit my-policies --jobs traces/jobs/demo.csv --fleet traces/fleets/demo.yaml
    """
    from csched_policies.auditing import audited
    from csched_policies.load import load_policies

    judged = judged_jobs(output, jobs_file, since_s, fleet_file)
    policies = load_policies(folder, judged.fleet)
    verdicts = policies.screen(judged.jobs, judged.fleet, now or SystemClock().now())
    found = audited(verdicts, judged.placed)
    document = {"digest": policies.digest, "jobs": len(judged.jobs), "audit": audit_document(found)}
    output.show(Rendered(document, [each.rule for each in found], _view(found, len(judged.jobs))))


def audit_document(found: "Sequence[Audited]") -> list[dict[str, Any]]:
    return [
        {
            "rule": each.rule,
            "clauses": list(each.clauses),
            "decisions": each.decisions,
            "refused": each.refused,
            "jobs": list(each.jobs),
            "stranded": list(each.stranded),
            "ran": [{"job": job, "site": site} for job, site in each.ran],
        }
        for each in found
    ]


def audit_lines(found: "Sequence[Audited]") -> list[str]:
    return [
        f"rule {each.rule} only reports; enforced, it would refuse {each.refused} of {each.decisions} decisions, "
        f"because of {', '.join(each.clauses)}"
        for each in found
    ]


def _view(found: "Sequence[Audited]", jobs: int) -> Iterator[Table | str]:
    if found:
        rows = [
            (each.rule, ", ".join(each.clauses), str(each.refused), str(len(each.jobs)), str(len(each.stranded)),
             listed([f"{job} at {site}" for job, site in each.ran]), listed(each.jobs))
            for each in found
        ]  # fmt: skip
        yield Table(("RULE", "CLAUSES", ">REFUSED", ">JOBS", ">LAST SITE", "RAN THERE", "SUCH AS"), rows)
    yield f"{jobs} jobs judged; {len(found)} rules that only report would refuse some of them."
