"""From GPUs to nodes: which NVLink domains and nodes the jobs that start now get.

Only where the whole partition is known to be free: what a running job holds is known as a number of GPUs, not as
nodes, so beside one the nodes are left to the site's own scheduler.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from csched.placement.problem import Problem, Room
from csched.placement.schedule import Schedule
from csched.topology import packing
from csched.topology.packing import Request, Share
from csched.topology.site_graph import domain_name, node_name
from csched.topology.workload import workload_of


@dataclass(frozen=True)
class Place:
    nodes: tuple[str, ...]
    domains: tuple[str, ...]


def pack(problem: Problem, schedule: Schedule) -> dict[int, Place]:
    """Places of the jobs that start in slot 0, by index."""
    busy = {f"{held.site}/{held.partition}" for held in problem.snapshot.running}
    places: dict[int, Place] = {}
    for column, room in enumerate(problem.rooms):
        starting = np.flatnonzero((schedule.room == column) & (schedule.slot == 0)).tolist()
        if room.key not in busy and starting:
            requests = {job: _request(problem, job) for job in starting}
            for job, shares in _packed(room, requests.values()).items():
                places[int(job)] = _place(room, shares)
    return places


def _request(problem: Problem, job: int) -> Request:
    """The job by its index; a pattern of tensor or expert parallelism says which GPUs want to share a domain."""
    gpus = int(problem.gpus[job])
    workload = workload_of(problem.jobs[job].pattern, gpus)
    group = workload.degrees.tensor * workload.degrees.expert if workload else 1
    return Request(str(job), gpus, group=group, workload=workload)


def _packed(room: Room, requests: Iterable[Request]) -> dict[str, tuple[Share, ...]]:
    """All that fit. Groups that cannot stay together are packed apart: the plan has already promised their start."""
    wanted = list(requests)
    empty = packing.Room.empty(room.hardware, room.partition.node_count(room.hardware))
    found = packing.pack(wanted, empty)
    if found.left:
        left = set(found.left)
        found = packing.pack([replace(each, group=1) if each.job in left else each for each in wanted], empty)
    return dict(found.places)


def _place(room: Room, shares: tuple[Share, ...]) -> Place:
    """Names as on `csched topo show`."""
    kind = room.hardware
    domains = {share.domain: domain_name(room.partition.name, kind, share.domain) for share in shares}
    nodes = tuple(node_name(kind, domains[share.domain], share.node) for share in shares)
    return Place(nodes, tuple(domains.values()))
