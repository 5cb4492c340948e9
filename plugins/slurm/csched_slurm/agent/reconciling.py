"""What became of released attempts: the controller's list of jobs first, then accounting, then the nodes. Pure.

What the owner or an admin does to a job at the site counts as an order: it is reported and never undone.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from csched_slurm.agent import attempts
from csched_slurm.agent.attempt import Attempt, Stage, Timing
from csched_slurm.cluster import AccountedJob, ClusterJob, NodeState
from csched_slurm.protocol.messages import Alarm, Fate

_FEW: Final = 3
_SHARE: Final = 0.01
_ANSWERS: Final = {"IDLE", "MIXED", "ALLOCATED"}
_SILENT: Final = {"NOT_RESPONDING", "NO_RESPOND", "POWERED_DOWN", "POWERING_DOWN"}


@dataclass(frozen=True)
class Sorted:
    """Released attempts after a look at the controller's whole list."""

    seen: tuple[Attempt, ...]
    """With what was seen of each."""
    missing: tuple[Attempt, ...]
    """The controller knows them no more: accounting must say."""


def compared(released: Iterable[Attempt], jobs: Sequence[ClusterJob], now: datetime, timing: Timing) -> Sorted:
    """Each released attempt beside its job, told by id and mark, never by id alone."""
    by_id = {job.id: job for job in jobs}
    by_name = {job.name: job for job in jobs}
    seen, missing = [], []
    for attempt in released:
        job = by_id.get(attempt.job_id or 0)
        if job is None or not attempt.is_mine(job):
            job = by_name.get(attempt.name)  # set back behind its release, under another id perhaps
        if job is not None and attempt.is_mine(job):
            seen.append(attempts.observed(attempt, job, now, timing))
        else:
            missing.append(attempt)
    return Sorted(tuple(seen), tuple(missing))


def accounted_for(
    missing: Iterable[Attempt], jobs: Sequence[AccountedJob], now: datetime, timing: Timing
) -> tuple[tuple[Attempt, ...], tuple[Attempt, ...]]:
    """(those of which accounting knows, those that nobody knows and that have been looked for long enough)."""
    known, lost = [], []
    for attempt in missing:
        mine = [job for job in jobs if job.id == attempt.job_id and attempts.same_run(attempt, job)]
        if mine:
            known.append(attempts.accounted(attempt, mine[-1], now).model_copy(update={"empty_looks": 0}))
        elif attempt.empty_looks and attempt.not_before is not None and now >= attempt.not_before:
            lost.append(attempt)
        elif not attempt.empty_looks:
            later = now + timedelta(seconds=timing.apart_s)
            known.append(attempt.model_copy(update={"empty_looks": 1, "not_before": later}))
    return tuple(known), tuple(lost)


def alarm_over(lost: Sequence[Attempt], released: int, now: datetime) -> Alarm | None:
    """More jobs than any accident takes are gone at once: a person must look, and nothing is concluded meanwhile."""
    if len(lost) <= max(_FEW, _SHARE * released):
        return None
    return Alarm(
        code="JobsVanished",
        message=f"{len(lost)} of {released} jobs are unknown to the controller and to accounting at once",
        since=now,
    )


def confirmed_clean(
    attempt: Attempt, nodes: Mapping[str, NodeState], jobs: Sequence[ClusterJob], now: datetime, timing: Timing
) -> bool:
    """Whether nothing of a failed attempt can run any more: all its nodes answer again, some time after it ended, and
    the controller counts nothing of it as running or ending. A node that is silent may still be running it."""
    if attempt.fate not in {Fate.NODE_FAILURE, Fate.PREEMPTED} or attempt.end is None:
        return False
    if now < attempt.end + timedelta(seconds=timing.settle_s) or not attempt.nodes:
        return False
    if any(job.id == attempt.job_id and (not job.state.ended or "COMPLETING" in job.flags) for job in jobs):
        return False
    states = [nodes.get(node) for node in attempt.nodes]
    return all(state is not None and _answers(state) for state in states)


def _answers(node: NodeState) -> bool:
    return node.state in _ANSWERS and not node.flags & _SILENT


def strays(jobs: Sequence[ClusterJob], known: Mapping[str, Attempt]) -> tuple[int, ...]:
    """Held jobs of attempts that are with another job, or over: late answers to submissions given up, and cancels
    that a killed controller forgot."""
    found = []
    for job in jobs:
        attempt = known.get(job.name.removeprefix("csched-")) if job.name.startswith("csched-") else None
        if attempt is None or not job.held or not attempt.is_mine(job):
            continue
        with_another = attempt.stage is Stage.RELEASED and attempt.releases > 0 and job.id != attempt.job_id
        if with_another or attempt.stage is Stage.ENDED:
            found.append(job.id)
    return tuple(found)
