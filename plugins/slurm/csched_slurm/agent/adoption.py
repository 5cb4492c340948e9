"""Plain sbatch of accounts that have opted in: the gate holds the jobs, the core plans them, they start where they are.

What cannot be planned is let go at once, so is what would hold more GPU-hours than the site allows, and everything when
the core has not been heard for long. Nobody waits for a csched that is away.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from csched.domain.job import DataClass
from csched.ports import Clock
from csched_slurm.agent.attempt import ADOPTED, WAITS, is_waiting, own_comment
from csched_slurm.agent.core_client import CoreClient
from csched_slurm.agent.identities import IdentityMap
from csched_slurm.agent.journal import Journal
from csched_slurm.cluster import ClusterJob
from csched_slurm.protocol.adoption import ADOPTED_AT_ONCE, AdoptedJob, AdoptionReport
from csched_slurm.transport import Failed, JobChange, Transport

_LONGEST_WORDS: Final = 200


@dataclass
class Adoption:
    """For one cluster; by the same thread as the clerk."""

    journal: Journal
    transport: Transport
    core: CoreClient
    clock: Clock
    identities: IdentityMap
    classes: Mapping[str, DataClass]
    """Account -> class of its data, from the gate's table."""
    away_after: timedelta
    most_held_gpu_hours: float
    heard: datetime
    """When the core last answered."""
    own_comments: dict[int, str] = field(default_factory=dict)
    """Of the jobs that wait: id -> what their owners wrote."""
    _told: dict[str, AdoptedJob] = field(default_factory=dict)

    def look(self) -> None:
        """Raises what CoreClient raises."""
        answer = self.transport.jobs()
        if isinstance(answer, Failed):
            return
        waiting = sorted(
            (job for job in answer.value if job.held and (job.admin_comment or "").startswith(ADOPTED)),
            key=lambda job: job.id,
        )
        if self.clock.now() - self.heard > self.away_after:
            self._let_go(waiting)
            return
        self.own_comments.clear()
        self.own_comments.update({job.id: own_comment(job) for job in waiting})
        ordered = {attempt.job_id for attempt in self.journal.alive() if attempt.adopted}
        planned, others = self._sorted([job for job in waiting if is_waiting(job) and job.id not in ordered])
        self._let_go(others)
        self._tell(planned, ordered)

    def _sorted(self, jobs: Iterable[ClusterJob]) -> tuple[dict[str, tuple[AdoptedJob, ClusterJob]], list[ClusterJob]]:
        """(those the core can plan, within what may be held; those to be let go)."""
        planned: dict[str, tuple[AdoptedJob, ClusterJob]] = {}
        others = []
        held_gpu_hours = 0.0
        for job in jobs:
            told = self._adopted(job)
            hours = 0.0 if told is None else told.gpus * told.time_limit_s / 3600
            if told is None or held_gpu_hours + hours > self.most_held_gpu_hours or len(planned) == ADOPTED_AT_ONCE:
                others.append(job)
                continue
            held_gpu_hours += hours
            planned[told.key] = (told, job)
        return planned, others

    def _adopted(self, job: ClusterJob) -> AdoptedJob | None:
        """None for what csched cannot plan: no GPUs, no limit, part of something, waiting for something else."""
        owner = self.identities.owner_of(job.user)
        gpus = int(job.tres.get("gres/gpu", 0))
        part = job.array_task is not None or job.het_job is not None
        if owner is None or job.submit is None or job.time_limit_s is None or gpus == 0:
            return None
        if part or job.dependency or job.reservation:
            return None
        return AdoptedJob(
            job_id=job.id,
            submitted=job.submit,
            name=job.name[:64],
            owner=owner,
            account=job.account,
            partition=job.partition,
            gpus=gpus,
            time_limit_s=job.time_limit_s,
            data_class=self.classes.get(job.account or ""),
        )

    def _tell(self, planned: Mapping[str, tuple[AdoptedJob, ClusterJob]], ordered: set[int | None]) -> None:
        gone = [told for key, told in self._told.items() if key not in planned and told.job_id not in ordered]
        waiting = tuple(told for told, _ in planned.values())
        if not waiting and not gone:
            return
        answer = self.core.adopted(AdoptionReport(waiting=waiting, gone=tuple(gone[:ADOPTED_AT_ONCE])))
        self._told = {told.key: told for told in waiting}
        for key, words in answer.waits_for.items():
            text = f"{WAITS}{words}"[:_LONGEST_WORDS]
            if key in planned and planned[key][1].comment != text and words.isprintable():
                self.transport.update(planned[key][1].id, JobChange(comment=text))

    def _let_go(self, jobs: Sequence[ClusterJob]) -> None:
        for job in jobs:
            self.transport.update(job.id, JobChange(comment=own_comment(job)))
            self.transport.release(job.id)
