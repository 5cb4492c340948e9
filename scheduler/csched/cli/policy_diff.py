"""csched policy diff: what another set of rules would change, for the jobs of a file or those of the last days."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from csched.cli.output import Output, output_options
from csched.cli.parameters import INSTANT
from csched.cli.policy_jobs import judged_jobs, judged_jobs_options
from csched.clock import SystemClock
from csched.report.rendering import Rendered, Table
from csched.report.words import iso, listed

if TYPE_CHECKING:
    from csched_policies.difference import Cause, ChangedClass, Difference, SiteChange
    from csched_policies.share_changes import Bound, ShareChange

_PATH = click.Path(path_type=Path)
_SHOWN_CLASSES = 30


@click.command()
@click.argument("old", metavar="OLD", type=_PATH)
@click.argument("new", metavar="NEW", type=_PATH)
@judged_jobs_options
@click.option("--now", type=INSTANT, help="Judge as of this instant; default: the present.")
@output_options
def diff(
    output: Output,
    old: Path,
    new: Path,
    *,
    jobs_file: Path | None,
    since_s: int | None,
    fleet_file: Path | None,
    now: datetime | None,
) -> None:
    """Say which jobs another folder of rules judges otherwise, at which sites and because of which clause.

    Changed rules, groups of countries and tenants are listed even where no job notices. The exit code is 0 whether
    anything changes or not; --quiet prints the jobs that change.

    \b
    Examples:
      csched policy diff policies/library my-policies --jobs traces/jobs/demo.csv --fleet traces/fleets/demo.yaml
      csched policy diff /etc/csched/policies my-policies --since 30d
    """
    from csched_policies.difference import compare
    from csched_policies.load import load_policies

    judged = judged_jobs(output, jobs_file, since_s, fleet_file)
    with output.working("comparing"):
        before, after = load_policies(old, judged.fleet), load_policies(new, judged.fleet)
        found = compare(before, after, judged.jobs, judged.fleet, now or SystemClock().now())
    document = {"digest_before": before.digest, "digest_after": after.digest, **_document(found)}
    output.show(Rendered(document, found.changed, _view(found)))


def _document(found: "Difference") -> dict[str, object]:
    return {
        "jobs": found.jobs,
        "decisions": found.decisions,
        "changed_jobs": len(found.changed),
        "stranded_jobs": found.stranded,
        "rescued_jobs": found.rescued,
        "content": [
            {"kind": each.kind, "name": each.name, "change": each.change, "detail": each.detail}
            for each in found.content
        ],
        "shares": [_share_document(each) for each in found.shares],
        "classes": [_class_document(each) for each in found.classes],
    }


def _share_document(found: "ShareChange") -> dict[str, object]:
    before, after = (
        [{"at_most_pct": 100 * each.at_most, "sites": list(each.sites)} for each in bounds]
        for bounds in (found.before, found.after)
    )
    return {"rule": found.rule, "tenant": found.tenant, "jobs": found.jobs, "before": before, "after": after}


def _class_document(found: "ChangedClass") -> dict[str, object]:
    return {
        "labels": {path: _plain(value) for path, value in found.labels.items()},
        "jobs": found.jobs,
        "examples": list(found.examples),
        "sites_before": found.sites_before,
        "sites_after": found.sites_after,
        "changes": [_change_document(change) for change in found.changes],
    }


def _change_document(change: "SiteChange") -> dict[str, object]:
    return {
        "site": change.site,
        "change": change.turn.value,
        "latest_end_before": iso(change.until_before),
        "latest_end_after": iso(change.until_after),
        "causes": [
            {
                "rule": cause.rule,
                "clause": cause.clause,
                "seen": _plain(cause.seen),
                "needed_before": cause.needed_before,
                "needed_after": cause.needed_after,
                "because": list(cause.because),
            }
            for cause in change.causes
        ],
    }


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def _view(found: "Difference") -> Iterator[Table | str]:
    for change in found.content:
        yield change.message
    for share in found.shares:
        yield (
            f"share of tenant {share.tenant} ({share.jobs} jobs) by rule {share.rule}: "
            f"{_bounds(share.after)}, was {_bounds(share.before)}"
        )
    if found.classes:
        rows = [row for each in found.classes[:_SHOWN_CLASSES] for row in _rows(each)]
        yield Table((">JOBS", "LABELS", "SITE", "CHANGE", "WHY", "SUCH AS"), rows)
    if len(found.classes) > _SHOWN_CLASSES:
        yield f"{len(found.classes) - _SHOWN_CLASSES} smaller classes of jobs are not shown; --json has them all."
    yield (
        f"{len(found.changed)} of {found.jobs} jobs change verdict ({found.decisions} decisions compared); "
        f"{found.stranded} lose their last site, {found.rescued} get their first."
    )


def _rows(found: "ChangedClass") -> Iterator[tuple[str, ...]]:
    labels = ", ".join(f"{path}: {_words(value)}" for path, value in found.labels.items()) or "any"
    count, such_as = str(found.jobs), listed(found.examples)
    for change in found.changes:
        why = _liked if change.turn == "preferred" else _why
        yield count, labels, change.site, _turned(change), "; ".join(map(why, change.causes)), such_as
        count = labels = such_as = ""


def _bounds(bounds: "Sequence[Bound]") -> str:
    return " and ".join(f"at most {100 * each.at_most:g} % at {listed(each.sites)}" for each in bounds) or "not bound"


def _turned(change: "SiteChange") -> str:
    if change.turn == "hours":
        return "at other hours"
    if change.turn == "preferred":
        return "preferred otherwise"
    if change.turn != "bounded":
        return change.turn.value
    return f"until {iso(change.until_after) or 'any end'}, was {iso(change.until_before) or 'any end'}"


def _liked(cause: "Cause") -> str:
    before, after = (each or 0.0 for each in (cause.needed_before, cause.needed_after))
    because = f" ({', '.join(cause.because)})" if cause.because else ""
    return f"{cause.rule}: {cause.clause} is {_words(cause.seen)}; {after:.3g} points, was {before:.3g}{because}"


def _why(cause: "Cause") -> str:
    because = f" ({', '.join(cause.because)})" if cause.because else ""
    before, after = _words(cause.needed_before), _words(cause.needed_after)
    needed = f"needs {after}" if before == after else f"needed {before}, now {after}"
    return f"{cause.rule}: {cause.clause} is {_words(cause.seen)}; {needed}{because}"


def _words(value: object) -> str:
    if value is None:
        return "nothing"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
