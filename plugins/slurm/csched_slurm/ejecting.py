"""Leaving a site: whatever csched holds there is let go, with its core there or gone."""

from collections.abc import Iterable
from typing import Final

from csched_slurm.agent.attempt import ADOPTED, Attempt, own_comment
from csched_slurm.cluster import ClusterJob
from csched_slurm.transport import Answer, Failed, JobChange, Known, Refused, Transport, Unknown

_PLACED: Final = "csched:id="


def let_go(transport: Transport, attempts: Iterable[Attempt]) -> Answer[list[str]]:
    """One line for each job. What csched has placed there was allowed there; `attempts`, from the agent's journal where
    it is left, say what such jobs are really called."""
    answer = transport.jobs()
    if isinstance(answer, Failed):
        return answer
    names = {attempt.name: attempt.own_name for attempt in attempts}
    return Known([_let_go(transport, job, names.get(job.name)) for job in answer.value if is_held_by_csched(job)])


def is_held_by_csched(job: ClusterJob) -> bool:
    placed = (job.admin_comment or job.comment or "").startswith(_PLACED) and job.name.startswith("csched-")
    return job.held and (placed or (job.admin_comment or "").startswith(ADOPTED))


def _let_go(transport: Transport, job: ClusterJob, own_name: str | None) -> str:
    if (job.admin_comment or "").startswith(ADOPTED):
        transport.update(job.id, JobChange(comment=own_comment(job)))
    elif own_name is not None:
        transport.update(job.id, JobChange(name=own_name))
    end = transport.release(job.id)
    if isinstance(end, Refused | Unknown):
        return f"job {job.id} of {job.user}: NOT released: {end.message if isinstance(end, Refused) else end.why}"
    return f"job {job.id} of {job.user}: released"
