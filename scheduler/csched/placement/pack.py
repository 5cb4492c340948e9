"""From GPUs to nodes: which NVLink domains and nodes the jobs that start now get.

Only where the whole partition is known to be free: what a running job or a reservation holds is known as a number of
GPUs, not as nodes, so beside one the nodes are left to the site's own scheduler.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from csched.domain.job import Job, Locality
from csched.placement.problem import Problem
from csched.placement.rooms import Room
from csched.topology import packing
from csched.topology.packing import Request, Share
from csched.topology.site_graph import domain_name, node_name
from csched.topology.workload import workload_of


@dataclass(frozen=True)
class Place:
    nodes: tuple[str, ...]
    domains: tuple[str, ...]


class Start(NamedTuple):
    """A job, or a part of one, that starts now."""

    job: Job
    room: int


def pack(problem: Problem, starting: Sequence[Start]) -> dict[str, Place]:
    """Places of those that start now, by their ids."""
    places: dict[str, Place] = {}
    for column, room in enumerate(problem.rooms):
        here = [start.job for start in starting if start.room == column]
        if here and problem.gpus_left[column].min() == room.partition.gpu_count(room.hardware):
            for job, shares in _packed(room, map(_request, here)).items():
                places[job] = _place(room, shares)
    return places


def _request(job: Job) -> Request:
    """A pattern of tensor or expert parallelism says which GPUs want to share a domain."""
    workload = workload_of(job.pattern, job.gpus)
    group = workload.degrees.tensor * workload.degrees.expert if workload else 1
    return Request(job.job, job.gpus, group=group, workload=workload, spread=job.locality is Locality.SPREAD)


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
