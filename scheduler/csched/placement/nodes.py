"""The nodes of each room as they are now, and who of the starting jobs gets which.

Known only where every running job of the partition says which nodes it has and nothing of the partition is set aside
within the horizon: what a reservation or maintenance holds is a number of GPUs. Elsewhere the site's own scheduler
chooses the nodes, and a plan neither names them nor counts on how they lie.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import lru_cache

from csched.domain.hardware import Hardware
from csched.domain.job import Confidentiality, Job, Locality
from csched.domain.snapshot import Occupation
from csched.placement.problem import Problem
from csched.placement.rooms import Room
from csched.topology import packing
from csched.topology.packing import Request, Share
from csched.topology.site_graph import domain_name, node_name
from csched.topology.workload import asked_workload, group_of

MOST_QUEUED = 256
"""Later jobs of a room whose sizes say which leftovers are worth keeping."""


ORDERS = 4
"""Orders of a room's starting jobs that are tried: each costs what packing costs."""


class Nodes:
    """Free GPUs of each node while starting jobs are packed."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._rooms: dict[int, packing.Room | None] = {}
        self.found: dict[str, tuple[int, tuple[Share, ...]]] = {}
        """Job, or part of one -> its room and its nodes."""
        self.asked: dict[str, Job] = {}

    def known(self, column: int) -> packing.Room | None:
        """A room with what is free of it now; None where that is not known."""
        if column not in self._rooms:
            self._rooms[column] = _as_it_is(self._problem, column)
        return self._rooms[column]

    def take_all(self, column: int, jobs: Sequence[Job], later: Sequence[Job]) -> set[str]:
        """Places for as many as possible of the jobs that start in a room of known state; ids of those left."""
        room = self.known(column)
        if room is None or not jobs:
            return set()
        self.asked |= {job.job: job for job in jobs}
        requests = [request(job) for job in jobs]
        sizes = [Request(job.job, job.gpus, group=group_of(asked_workload(job))) for job in later[:MOST_QUEUED]]
        packed = packing.pack(requests, room, queue=[*requests, *sizes], orders=ORDERS)
        for each in requests:
            if each.job in packed.places:
                self._note(each, column, packed.places[each.job])
        return set(packed.left)

    def take(self, job: Job, column: int) -> bool:
        """Whether the job finds nodes beside those that have theirs; so it does where nothing is known."""
        return not self.take_all(column, [job], ())

    def give_back(self, job: Job) -> None:
        """What the job had, if it had any."""
        if job.job not in self.found:
            return
        column, shares = self.found.pop(job.job)
        self._change(request(job), column, shares, 1)

    def _note(self, asked: Request, column: int, shares: tuple[Share, ...]) -> None:
        self.found[asked.job] = column, shares
        self._change(asked, column, shares, -1)

    def _change(self, asked: Request, column: int, shares: Sequence[Share], sign: int) -> None:
        room = self.known(column)
        if room is None:
            raise ValueError("nodes of a room of unknown state are nobody's to give")
        size, free = room.hardware.gpus_per_node, room.free.copy()
        whole = asked.alone or asked.gpus >= size
        for share in shares:
            free[share.domain, share.node] += sign * (size if whole else share.gpus)
        self._rooms[column] = replace(room, free=free)


def request(job: Job) -> Request:
    """What a job asks of the nodes it starts on; confidential computing shares none."""
    workload = asked_workload(job)
    return Request(
        job.job,
        job.gpus,
        group=group_of(workload),
        workload=workload,
        alone=job.requires_confidential not in {None, Confidentiality.NONE},
        spread=job.locality is Locality.SPREAD,
    )


def _as_it_is(problem: Problem, column: int) -> packing.Room | None:
    room = problem.rooms[column]
    if room.reservation is not None or _set_aside(problem, room):
        return None
    kind, nodes = room.hardware, room.partition.node_count(room.hardware)
    empty = packing.Room.empty(kind, nodes, room.partition.spare_nodes_per_domain)
    position_of = positions_of(room)
    for held in problem.snapshot.running:
        if (held.site, held.partition) != (room.site.id, room.partition.name) or not _runs(held, problem):
            continue
        if held.nodes is None or any(node not in position_of for node in held.nodes):
            return None
        each = kind.gpus_per_node if len(held.nodes) > 1 else held.gpus_held
        for node in held.nodes:
            empty.free[position_of[node]] = max(0, int(empty.free[position_of[node]]) - each)
    return empty


def _set_aside(problem: Problem, room: Room) -> bool:
    """Whether any of the room is at some time within the horizon."""
    end = problem.now + timedelta(seconds=problem.snapshot.horizon_s)
    aside = problem.snapshot.fleet.reservations_at(room.site.id, room.partition.name)
    return any(each.from_ < end and each.to > problem.now for each in aside)


def _runs(held: Occupation, problem: Problem) -> bool:
    return held.since is None or held.since <= problem.now


def positions_of(room: Room) -> Mapping[str, tuple[int, int]]:
    """Name of each node -> number of its domain, and its own there."""
    return _positions(room.partition.name, room.hardware, room.partition.node_count(room.hardware))


@lru_cache(maxsize=256)
def _positions(partition: str, kind: Hardware, nodes: int) -> Mapping[str, tuple[int, int]]:
    found = {}
    for number in range(nodes):
        domain, node = divmod(number, kind.nodes_per_domain)
        found[node_name(kind, domain_name(partition, kind, domain), node)] = domain, node
    return found
