"""Where a job may run, and counting afresh who ran elsewhere, as if nobody had planned it."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta

from csched.clock import from_epoch_s
from csched.domain.job import Job
from csched.domain.site import Fleet
from csched.domain.verdict import SiteVerdict, Verdicts
from csched.ports import Policies
from csched_sim.outcome import Run
from csched_sim.setting import Berth, Setting


def lawful_berths(job: Job, setting: Setting, verdicts: Verdicts | None) -> list[Berth]:
    """Partitions that policy, the job's own wishes and its size permit, in the order of the fleet."""
    allowed = {verdict.site for verdict in verdicts[job.job] if verdict.allowed} if verdicts else None
    home = setting.fleet.home_site(job.home_site, job.tenant)
    return [
        berth
        for site in setting.fleet.sites
        if (allowed is None or site.id in allowed)
        and (not job.countries or site.country in job.countries)
        and (job.portable is not False or site.id == home)
        for berth in setting.berths[site.id]
        if berth.fits(job)
    ]


def policy_violations(runs: Sequence[Run], policies: Policies, fleet: Fleet) -> int:
    """Runs at a site that a hard rule denied at the start, or on evidence that expired before the limit ran out."""
    by_start: dict[int, list[Run]] = defaultdict(list)
    for run in runs:
        by_start[run.start_s].append(run)
    return sum(_violations(started, start_s, policies, fleet) for start_s, started in by_start.items())


def _violations(runs: Sequence[Run], start_s: int, policies: Policies, fleet: Fleet) -> int:
    start = from_epoch_s(start_s)
    verdicts = policies.screen([run.traced.job for run in runs], fleet, start)
    return sum(not _lawful(run, verdicts[run.traced.job.job], start) for run in runs)


def _lawful(run: Run, verdicts: Sequence[SiteVerdict], start: datetime) -> bool:
    verdict = next(verdict for verdict in verdicts if verdict.site == run.berth.site.id)
    held_until = start + timedelta(seconds=run.traced.job.time_limit_s)
    return verdict.allowed and (verdict.latest_end is None or held_until <= verdict.latest_end)
