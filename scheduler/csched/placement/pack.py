"""From GPUs to nodes: which NVLink domains and nodes the jobs that start now get, best fit by domain.

Only where the whole partition is known to be free: what a running job holds is known as a number of GPUs, not as
nodes, so beside one the nodes are left to the site's own scheduler.
"""

from dataclasses import dataclass, field

import numpy as np

from csched.placement.problem import Problem, Room
from csched.placement.schedule import Schedule


@dataclass(frozen=True)
class Place:
    nodes: tuple[str, ...]
    domains: tuple[str, ...]


@dataclass
class _Domain:
    """Free GPUs of each node of one NVLink domain."""

    name: str
    node_names: list[str]
    free: list[int]
    full: int = field(kw_only=True)

    @property
    def whole_nodes(self) -> int:
        return sum(left == self.full for left in self.free)


def pack(problem: Problem, schedule: Schedule) -> dict[int, Place]:
    """Places of the jobs that start in slot 0, by index; biggest first."""
    busy = {f"{held.site}/{held.partition}" for held in problem.snapshot.running}
    places: dict[int, Place] = {}
    for column, room in enumerate(problem.rooms):
        starting = np.flatnonzero((schedule.room == column) & (schedule.slot == 0))
        if room.key in busy or len(starting) == 0:
            continue
        domains = _domains(room)
        for job in sorted(starting.tolist(), key=lambda job: (-problem.gpus_held[job, column], job)):
            place = _place(domains, room, int(problem.gpus[job]))
            if place is not None:
                places[job] = place
    return places


def _domains(room: Room) -> list[_Domain]:
    """Domains `PARTITION-d001` with nodes `PARTITION-d001-n01`; where the node is the domain, `PARTITION-n0001`."""
    kind, name = room.hardware, room.partition.name
    nodes, size = room.partition.node_count(kind), kind.nodes_per_domain
    domains = []
    for index, first in enumerate(range(0, nodes, size)):
        count = min(size, nodes - first)
        domain = f"{name}-n{index + 1:04}" if size == 1 else f"{name}-d{index + 1:03}"
        names = [domain] if size == 1 else [f"{domain}-n{node + 1:02}" for node in range(count)]
        domains.append(_Domain(domain, names, [kind.gpus_per_node] * count, full=kind.gpus_per_node))
    return domains


def _place(domains: list[_Domain], room: Room, gpus: int) -> Place | None:
    if gpus < room.hardware.gpus_per_node:
        return _share(domains, gpus)
    return _whole(domains, -(-gpus // room.hardware.gpus_per_node))


def _share(domains: list[_Domain], gpus: int) -> Place | None:
    """Part of one node: the one that is left with the least."""
    fitting = [
        (left, position, node)
        for position, domain in enumerate(domains)
        for node, left in enumerate(domain.free)
        if left >= gpus
    ]
    if not fitting:
        return None
    _, position, node = min(fitting)
    domains[position].free[node] -= gpus
    return Place((domains[position].node_names[node],), (domains[position].name,))


def _whole(domains: list[_Domain], count: int) -> Place | None:
    """Whole nodes: the smallest domain that holds them all, else the fullest free domains first."""
    if sum(domain.whole_nodes for domain in domains) < count:
        return None
    nodes: list[str] = []
    names: list[str] = []
    while count > 0:
        holding = [domain for domain in domains if domain.whole_nodes >= count]
        if holding:
            domain = min(holding, key=lambda each: each.whole_nodes)
        else:
            domain = max(domains, key=lambda each: each.whole_nodes)
        free = [node for node, left in enumerate(domain.free) if left == domain.full][:count]
        for node in free:
            domain.free[node] = 0
        nodes += [domain.node_names[node] for node in free]
        names.append(domain.name)
        count -= len(free)
    return Place(tuple(nodes), tuple(names))
