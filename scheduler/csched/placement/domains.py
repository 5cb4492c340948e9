"""What must share an NVLink domain, and the rooms whose domains are too small or too few for it.

Policy, wishes and size say what is allowed; penalties and bound keep to that. A plan gives such a start to nobody.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from csched.domain.job import Job
from csched.domain.verdict import Reason, ReasonCode
from csched.placement.dtypes import Flags
from csched.placement.problem import Problem
from csched.placement.rooms import Room
from csched.topology.packing import domains_hold
from csched.topology.workload import asked_workload, group_of


class Domains:
    """Rooms in which a job's tensor or expert groups would be torn even if nobody else were there."""

    def __init__(self, problem: Problem) -> None:
        self.too_small: Mapping[int, Flags] = _too_small(problem)
        """Job -> rooms, shape (P,); only jobs that would otherwise be allowed in such a room."""

    def without(self, problem: Problem) -> Problem:
        """The problem without these starts, for the search."""
        if not self.too_small:
            return problem
        first, last = problem.first.copy(), problem.last.copy()
        for job, rooms in self.too_small.items():
            first[job, rooms], last[job, rooms] = problem.start_slots, -1
        return replace(problem, first=first, last=last)

    def refusals(self, problem: Problem, job: int, site_index: int) -> tuple[Reason, ...]:
        """Why a site that allows the job still cannot hold it together; empty where it can."""
        rooms = self.too_small.get(job)
        if rooms is None:
            return ()
        allowed = (problem.first[job] <= problem.last[job]) & (problem.room_site == site_index)
        if not allowed.any() or (allowed & ~rooms).any():
            return ()
        return (_reason(problem.jobs[job], problem.rooms[int(np.argmax(allowed))]),)


def _too_small(problem: Problem) -> dict[int, Flags]:
    found: dict[int, Flags] = {}
    rows: dict[tuple[int, int], Flags] = {}
    for index, job in enumerate(problem.jobs):
        group = 1 if _plain(job) else group_of(asked_workload(job))
        if group == 1 or job.components:
            continue
        if (job.gpus, group) not in rows:
            rows[job.gpus, group] = np.array([not _holds(room, job.gpus, group) for room in problem.rooms], dtype=bool)
        torn = rows[job.gpus, group]
        if (torn & (problem.first[index] <= problem.last[index])).any():
            found[index] = torn
    return found


def _plain(job: Job) -> bool:
    return job.pattern is None and job.tensor_parallel is None and job.expert_parallel is None


def _holds(room: Room, gpus: int, group: int) -> bool:
    nodes = room.partition.node_count(room.hardware)
    return domains_hold(room.hardware, nodes, room.partition.spare_nodes_per_domain, gpus, group)


def _reason(job: Job, room: Room) -> Reason:
    workload, kind = asked_workload(job), room.partition.offered(room.hardware)
    group = group_of(workload)
    what = "expert-parallel" if workload and workload.degrees.expert > 1 else "tensor-parallel"
    needed = f"{what} groups of {group} need one NVLink domain of {group} GPUs"
    if group > kind.gpus_per_domain:
        code, seen = ReasonCode.NO_SUCH_HARDWARE, kind.gpus_per_domain
        message = f"{needed}; {room.key} has domains of {kind.gpus_per_domain}"
    else:
        code, seen = ReasonCode.TOO_LARGE, room.gpus
        message = f"{needed}; the domains of {room.key} hold fewer of them than the job has"
    return Reason(site=room.site.id, code=code, clause=_clause(job), seen=seen, needed=group, message=message)


def _clause(job: Job) -> str:
    if job.expert_parallel:
        return "expert_parallel"
    return "tensor_parallel" if job.tensor_parallel else "pattern"
