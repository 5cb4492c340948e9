"""From GPUs to nodes: every job that starts now gets NVLink domains and nodes, or another start.

The schedule counts GPUs. What fits by number may lie in pieces: too few GPUs left on each node, groups that no domain
holds any more. Such a start is struck out and the job goes to its next best one, until all starts have their nodes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from csched.domain.job import Job
from csched.placement.arrangement import Arrangement, Spot
from csched.placement.gangs import parts_of
from csched.placement.nodes import Nodes
from csched.placement.rooms import Room
from csched.topology.communication import Slowdown, best_slowdown
from csched.topology.packing import Share, nodes_of
from csched.topology.site_graph import domain_name, node_name
from csched.topology.workload import asked_workload


@dataclass(frozen=True)
class Place:
    nodes: tuple[str, ...]
    domains: tuple[str, ...]
    slowdown: Slowdown | None = None
    """Against the best shape; null where the job does not say how it talks, or no figure is known."""

    @property
    def sigma(self) -> float:
        return self.slowdown.sigma if self.slowdown else 1.0


def pack(arranged: Arrangement) -> dict[str, Place]:
    """Places of jobs, and of parts of jobs, that start now; those for which none is found are moved."""
    nodes = Nodes(arranged.problem)
    left = _all_at_once(arranged, nodes)
    for job in left:
        if arranged.placed(job):
            _elsewhere(arranged, nodes, job)
    changed = bool(left)
    while changed:
        put_in = [_put(arranged, nodes, job) for job in arranged.left_out()]
        changed = any(put_in) and arranged.ties.bound
    return {
        job: _place(arranged.problem.rooms[column], shares, nodes.asked[job])
        for job, (column, shares) in nodes.found.items()
    }


def _all_at_once(arranged: Arrangement, nodes: Nodes) -> list[int]:
    """Those that start now and find no nodes in their rooms, which are struck out for them."""
    problem = arranged.problem
    starting = np.flatnonzero(arranged.slot == 0).tolist()
    by_room: dict[int, list[tuple[int, Job]]] = {}
    for job in starting:
        for part, room in _parts(arranged, job):
            by_room.setdefault(room, []).append((job, part))
    left: dict[int, None] = {}
    for room, here in by_room.items():
        later = [problem.jobs[job] for job in np.flatnonzero((arranged.room == room) & (arranged.slot > 0))[:256]]
        failed = nodes.take_all(room, [part for _, part in here], later)
        for job, part in here:
            if part.job in failed:
                left[job] = None
                arranged.not_now.add((job, room))
    return list(left)


def _elsewhere(arranged: Arrangement, nodes: Nodes, job: int) -> None:
    """Another start for the job, and for those that wait for it."""
    lifted = arranged.lift_with_followers(job)
    for each in lifted:
        _release(arranged, nodes, each)
    for each in sorted(lifted, key=lambda one: (arranged.depth.get(one, 0), one)):
        _put(arranged, nodes, each)


def _put(arranged: Arrangement, nodes: Nodes, job: int) -> bool:
    """Put the job where it costs least of all starts at which it has room and, if that is now, nodes."""
    while (spot := arranged.best(job)) is not None:
        arranged.put(job, spot)
        torn = _torn(arranged, nodes, job, spot)
        if torn is None:
            return True
        arranged.lift(job)
        _release(arranged, nodes, job)
        arranged.not_now.add((job, torn))
    return False


def _torn(arranged: Arrangement, nodes: Nodes, job: int, spot: Spot) -> int | None:
    """The room in which a part that would start now finds no nodes."""
    if spot.slot > 0:
        return None
    return next((room for part, room in _parts(arranged, job) if not nodes.take(part, room)), None)


def _release(arranged: Arrangement, nodes: Nodes, job: int) -> None:
    whole = arranged.problem.jobs[job]
    for part in parts_of(whole) or [whole]:
        nodes.give_back(part)


def _parts(arranged: Arrangement, job: int) -> list[tuple[Job, int]]:
    """A placed job's parts, or the job itself, each with its room."""
    whole = arranged.problem.jobs[job]
    return list(zip(parts_of(whole) or [whole], arranged.spot(job).rooms, strict=True))


def _place(room: Room, shares: Sequence[Share], job: Job) -> Place:
    """Names as on `csched topo show`, and how much slower than on the best shape of an empty room."""
    kind = room.hardware
    domains = {share.domain: domain_name(room.partition.name, kind, share.domain) for share in shares}
    nodes = tuple(node_name(kind, domains[share.domain], share.node) for share in shares)
    workload = asked_workload(job)
    if workload is None:
        return Place(nodes, tuple(domains.values()))
    found = best_slowdown(workload, room.partition.offered(kind), nodes_of(shares))
    return Place(nodes, tuple(domains.values()), found)
