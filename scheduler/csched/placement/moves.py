"""What moving running jobs that can checkpoint would do for one that waits, at each partition that it may run in."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta

from csched.domain.snapshot import Snapshot
from csched.placement.nodes import Nodes, positions_of, request
from csched.placement.problem import Problem, build
from csched.placement.rooms import Room
from csched.topology.defragmentation import Defragmentation, Running, defragment
from csched.topology.packing import Share
from csched.topology.site_graph import domain_name, node_name
from csched.units import G_PER_KG


@dataclass(frozen=True)
class Proposal:
    """Moves at one partition, with their cost: kg at the grid's intensity of now, PUE included."""

    room: str
    found: Defragmentation
    carbon_kg: float
    nodes: tuple[str, ...]
    """Those that the waiting job would get."""
    moves: dict[str, tuple[str, ...]]
    """Running job -> its new nodes."""


def proposals(snapshot: Snapshot, job_id: str, movable: Collection[str], pause_s: float) -> tuple[Proposal, ...]:
    """The cheapest first; empty where the job fits as it is, or where no moves of `movable` jobs help.

    Policy is not asked: it has been where the job could have been placed already. KeyError for an unknown job.
    """
    problem = build(snapshot, None)
    job = {each.job: index for index, each in enumerate(problem.jobs)}[job_id]
    found: list[Proposal] = []
    for column in range(len(problem.rooms)):
        if problem.first[job, column] == 0 <= problem.last[job, column]:
            found += _in_room(problem, job, column, movable, pause_s)
    return tuple(sorted(found, key=lambda proposal: proposal.carbon_kg))


def _in_room(problem: Problem, job: int, column: int, movable: Collection[str], pause_s: float) -> Sequence[Proposal]:
    room = problem.rooms[column]
    free = Nodes(problem).known(column)
    if free is None:
        return ()
    queue = [request(each) for each in problem.jobs]
    found = defragment(queue[job], free, _running(problem, room, movable), queue, pause_s)
    if found is None:
        return ()
    zone, site = problem.snapshot.carbon.zone(room.site.grid_zone), room.site
    g_per_kwh = zone.integral_g_h_per_kwh(problem.now, problem.now + timedelta(hours=1))
    kg = found.it_kwh * problem.snapshot.fleet.pue(site) * g_per_kwh / G_PER_KG
    moves = {moved: _names(room, shares) for moved, shares in found.moves.items()}
    return (Proposal(room.key, found, kg, _names(room, found.place), moves),)


def _running(problem: Problem, room: Room, movable: Collection[str]) -> list[Running]:
    position_of = positions_of(room)
    found = []
    for held in problem.snapshot.running:
        here = (held.site, held.partition) == (room.site.id, room.partition.name)
        if here and held.job in movable and held.nodes and held.since is None:
            each = held.gpus_held // len(held.nodes)
            shares = tuple(Share(*position_of[node], each) for node in held.nodes)
            found.append(Running(held.job, shares, held.it_kw))
    return found


def _names(room: Room, shares: Sequence[Share]) -> tuple[str, ...]:
    kind = room.hardware
    return tuple(node_name(kind, domain_name(room.partition.name, kind, share.domain), share.node) for share in shares)
