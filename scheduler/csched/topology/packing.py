"""Which NVLink domains and nodes of one partition each job gets: what must stay together stays, the rest fits.

A job of fewer GPUs than a node shares one; as many or more take whole nodes. GPUs of a TP or EP group never leave
their domain. Among the places that keep these rules the least costly is taken: extra GPU time by sigma, then the
growth of expected fragmentation (FGD, Weng et al., ATC'23) over the sizes that the queue asks for, then best fit.
Several orders of the queue are tried and the best is kept; the same requests give the same packing.
"""

import math
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

import numpy as np
import numpy.typing as npt

from csched.domain.hardware import Hardware
from csched.topology.communication import best_slowdown
from csched.topology.sharing import SEVENTHS, Need, Queue, SharedNodes
from csched.topology.workload import Workload

SLICES_PER_GPU: Final = SEVENTHS
"""A GPU with MIG on is at most seven slices."""
_FRAGMENT_WEIGHT: Final = 0.05
"""GPU time that one GPU of expected fragmentation is worth beside GPU time lost to a slower shape."""
_MOST_PLACEMENTS: Final = 4000
"""Placements tried in all: the bound on how many orders of a long queue are looked at."""
_MOST_ORDERS: Final = 16


@dataclass(frozen=True)
class Request:
    """What one job asks of a partition: `gpus`, or `slices` sevenths of one GPU."""

    job: str
    gpus: int = 0
    slices: int = 0
    group: int = 1
    """GPUs that must share an NVLink domain: the TP degree times the EP degree."""
    cpus: float = 0.0
    """Of a job that shares a node."""
    alone: bool = False
    """Whole nodes only, as confidential computing asks."""
    workload: Workload | None = None
    """What a split over domains costs; null is a mere preference for few domains."""
    spread: bool = False
    """Over as many domains as there are groups to lay in them, so that the loss of one costs the job least."""


@dataclass(frozen=True)
class Share:
    """What a job gets of one node."""

    domain: int
    node: int
    gpus: int
    slices: int = 0


@dataclass(frozen=True)
class Packing:
    places: Mapping[str, tuple[Share, ...]]
    left: tuple[str, ...]
    """Jobs for which no place was found, in the order of the queue."""
    lost_gpus: float
    """GPU time lost to shapes that are slower than the best, in GPUs: sum of gpus * (sigma - 1)."""

    def score(self, requests: Mapping[str, Request]) -> tuple[float, float]:
        """GPUs that found no place, then GPUs lost to slower shapes; less is better."""
        return sum(_gpus(requests[job]) for job in self.left), self.lost_gpus


@dataclass(frozen=True)
class Room:
    """A partition's nodes: `free[domain, node]` GPUs, -1 where there is no node or it takes no work."""

    hardware: Hardware
    free: npt.NDArray[np.int64]
    spare_nodes: int = 0
    """Nodes of each domain that stay empty for maintenance: 2 of the 18 of an NVL72."""
    cpus: npt.NDArray[np.float64] | None = None
    """[domain, node] free CPUs; null where they never run out before the GPUs."""

    @property
    def offered(self) -> Hardware:
        """The hardware with domains as large as jobs can have them: the best shape keeps the spares, too."""
        nodes = max(1, self.hardware.nodes_per_domain - self.spare_nodes)
        return self.hardware if self.spare_nodes == 0 else self.hardware.model_copy(update={"nodes_per_domain": nodes})

    @classmethod
    def empty(cls, hardware: Hardware, nodes: int, spare_nodes: int = 0) -> "Room":
        """All nodes free; the last domain may be partly built."""
        size = hardware.nodes_per_domain
        domains = -(-nodes // size)
        free = np.full(domains * size, -1, dtype=np.int64)
        free[:nodes] = hardware.gpus_per_node
        return cls(hardware, free.reshape(domains, size), spare_nodes)


def pack(
    requests: Sequence[Request], room: Room, queue: Sequence[Request] | None = None, orders: int = _MOST_ORDERS
) -> Packing:
    """Places for as many GPUs as possible, at the least loss.

    Args:
        requests: jobs to place now; earlier ones go first among equals.
        queue: what may come after them, whose sizes say which leftovers are worth keeping; default is `requests`.
        orders: how many orders of the requests are tried where the first loses anything.
    """
    by_job = {request.job: request for request in requests}
    table = _Fragmentation.of(queue if queue is not None else requests, room.hardware)
    best: Packing | None = None
    for order in islice(_orders(requests, room.hardware), orders):
        found = _pack_in_order(order, requests, room, table)
        if best is None or found.score(by_job) < best.score(by_job):
            best = found
        if best.score(by_job) == (0.0, 0.0):
            break
    return best or Packing({}, (), 0.0)


def expected_fragmentation(room: Room, queue: Sequence[Request]) -> float:
    """Free GPUs of the room that a job drawn from the queue could not use, on average."""
    state = _State(room)
    return float(_Fragmentation.of(queue, room.hardware).of_state(state))


def domains_hold(hardware: Hardware, nodes: int, spare_nodes: int, gpus: int, group: int) -> bool:
    """Whether empty domains hold a job together: its groups of `group` GPUs each in one of them, `nodes` in all."""
    size, most = hardware.gpus_per_node, hardware.nodes_per_domain
    wanted, unit = max(1, -(-gpus // size)), math.lcm(group, size) // size
    whole, rest = divmod(nodes, most)
    domains = [max(0, most - spare_nodes)] * whole + ([max(0, rest - spare_nodes)] if rest else [])
    if wanted <= max(domains, default=0):
        return True
    units, loose = divmod(wanted, unit)
    over = sum(domain // unit for domain in domains) - units
    return over > 0 or (over == 0 and loose <= max((domain % unit for domain in domains), default=0))


def _gpus(request: Request) -> float:
    return request.gpus + request.slices / SLICES_PER_GPU


def _nodes(request: Request, size: int) -> int:
    """Whole nodes a request takes; 0 where it shares one."""
    if request.gpus < size and not request.alone:
        return 0
    return max(1, -(-request.gpus // size))


def _orders(requests: Sequence[Request], hardware: Hardware) -> Iterator[list[Request]]:
    """Large first; then the same with neighbours exchanged, more widely each time."""
    size = hardware.gpus_per_node

    def weight(request: Request) -> tuple[int, int, float]:
        unit = math.lcm(request.group, size) // size if _nodes(request, size) else 0
        return -unit, -_nodes(request, size), -_gpus(request)

    base = sorted(requests, key=weight)
    yield base
    yield sorted(requests, key=lambda request: (-_nodes(request, size), -_gpus(request)))
    dice = random.Random(len(base))  # noqa: S311 - a seed, so that the same queue gives the same packing
    for number in range(min(_MOST_ORDERS, _MOST_PLACEMENTS // max(1, len(base))) - 2):
        reach = 1 + (number + 1) * len(base) / _MOST_ORDERS
        keyed = sorted(range(len(base)), key=lambda position: position + dice.uniform(0, reach))
        yield [base[position] for position in keyed]


def _pack_in_order(
    order: Iterable[Request], requests: Sequence[Request], room: Room, table: "_Fragmentation"
) -> Packing:
    state = _State(room)
    shared = _Shared(state, table.queue) if room.cpus is not None else None
    places: dict[str, tuple[Share, ...]] = {}
    lost = 0.0
    for request in order:
        found = _place(state, request, table, shared)
        if found is not None:
            places[request.job] = found
            lost += _lost_gpus(request, state.offered, nodes_of(found))
    left = tuple(request.job for request in requests if request.job not in places)
    return Packing(places, left, lost)


def _place(
    state: "_State", request: Request, table: "_Fragmentation", shared: "_Shared | None"
) -> tuple[Share, ...] | None:
    size = state.size
    nodes = _nodes(request, size)
    if nodes:
        shape = _whole_shape(state, request, nodes, table)
        if shape is None:
            return None
        shares = state.take_nodes(shape, request)
        if shared is not None:
            shared.remove(shares)
        return shares
    if shared is not None:
        return shared.place(request)
    if request.slices:
        return _place_slices(state, request.slices, table)
    return _place_part(state, request.gpus, table)


def _place_part(state: "_State", gpus: int, table: "_Fragmentation") -> tuple[Share, ...] | None:
    """Part of a node: the residue whose loss hurts least, in the domain with fewest whole nodes left."""
    best: tuple[float, int, int, int] | None = None
    available = state.available
    for residue in range(gpus, state.size + 1):
        whole = residue == state.size
        domains = np.flatnonzero(available > 0 if whole else state.residues[:, residue] > 0)
        if len(domains) == 0:
            continue
        if whole:
            grows = table.whole[available[domains] - 1] - table.whole[available[domains]] + table.part[residue - gpus]
        else:
            grows = np.full(len(domains), table.part[residue - gpus] - table.part[residue])
        position = int(np.lexsort((available[domains], grows.round(9)))[0])
        domain = int(domains[position])
        found = (round(float(grows[position]), 9), residue, int(available[domain]), domain)
        best = found if best is None or found < best else best
    if best is None:
        return None
    return (state.take_part(best[3], best[1], gpus),)


def _place_slices(state: "_State", slices: int, table: "_Fragmentation") -> tuple[Share, ...] | None:
    """The sliced GPU with the least that still fits, else a GPU is opened."""
    fitting = [(left, place) for place, left in state.sliced.items() if left >= slices]
    if not fitting:
        opened = _place_part(state, 1, table)
        if opened is None:
            return None
        place = (opened[0].domain, opened[0].node, len(state.sliced))
        state.sliced[place] = SLICES_PER_GPU
    else:
        _, place = min(fitting)
    state.sliced[place] -= slices
    return (Share(place[0], place[1], 0, slices),)


def _whole_shape(state: "_State", request: Request, nodes: int, table: "_Fragmentation") -> Mapping[int, int] | None:
    """Domain -> whole nodes; null where the request does not fit."""
    unit = math.lcm(request.group, state.size) // state.size
    available = state.available
    if request.spread and (apart := _apart(available, *divmod(nodes, unit), unit)) is not None:
        return apart
    fitting = np.flatnonzero(available >= nodes)
    if len(fitting):
        grows = table.whole[available[fitting] - nodes] - table.whole[available[fitting]]
        position = int(np.lexsort((available[fitting], grows.round(9)))[0])
        return {int(fitting[position]): nodes}
    if unit > state.nodes_per_domain and request.group > 1:
        return None
    candidates = [shape for shape in _split_shapes(available, nodes, unit) if shape is not None]
    costs = [_split_cost(state, request, shape, table) for shape in candidates]
    return candidates[costs.index(min(costs))] if candidates else None


def _split_shapes(available: npt.NDArray[np.int64], nodes: int, unit: int) -> Iterator[Mapping[int, int] | None]:
    """Fewest domains, filled one after another or evenly; each takes whole units, one of them also the rest."""
    units, rest = divmod(nodes, unit)
    yield _filled(available, units, rest, unit)
    yield _evenly(available, units, rest, unit)


def _filled(available: npt.NDArray[np.int64], units: int, rest: int, unit: int) -> Mapping[int, int] | None:
    shape: dict[int, int] = {}
    room = available.copy()
    while units > 0:
        holding = np.flatnonzero(room // unit >= units)
        domain = int(holding[np.argmin(room[holding])]) if len(holding) else int(np.argmax(room // unit))
        taken = min(units, int(room[domain]) // unit)
        if taken == 0:
            return None
        shape[domain] = shape.get(domain, 0) + taken * unit
        room[domain] -= taken * unit
        units -= taken
    return _with_rest(shape, room, rest)


def _evenly(available: npt.NDArray[np.int64], units: int, rest: int, unit: int) -> Mapping[int, int] | None:
    order = np.argsort(-(available // unit), kind="stable")
    fits = np.cumsum(available[order] // unit) >= units
    if not fits.any() or units == 0:
        return None
    return _levelled(available, order[: int(np.argmax(fits)) + 1], units, rest, unit)


def _apart(available: npt.NDArray[np.int64], units: int, rest: int, unit: int) -> Mapping[int, int] | None:
    """Over all domains that hold a unit; the rest is one more of them where it can lie apart from the others."""
    holding = np.argsort(-available, kind="stable")
    holding = holding[available[holding] >= unit]
    if units == 0 or (available // unit).sum() < units:
        return None
    return _levelled(available, holding, units, rest, unit, rest_apart=True)


def _levelled(
    available: npt.NDArray[np.int64],
    chosen: npt.NDArray[np.int64],
    units: int,
    rest: int,
    unit: int,
    *,
    rest_apart: bool = False,
) -> Mapping[int, int] | None:
    room, share = available // unit, np.zeros(len(available), dtype=np.int64)
    left = units
    while left > 0:  # level by level, so that no domain has two more than another that could take one
        level = [int(domain) for domain in chosen if share[domain] < room[domain]]
        lowest = min(share[domain] for domain in level)
        for domain in [each for each in level if share[each] == lowest][:left]:
            share[domain] += 1
            left -= 1
    shape = {int(domain): int(share[domain]) * unit for domain in chosen if share[domain]}
    return _with_rest(shape, available - share * unit, rest, apart=rest_apart)


def _with_rest(
    shape: dict[int, int], room: npt.NDArray[np.int64], rest: int, *, apart: bool = False
) -> Mapping[int, int] | None:
    """The rest, smaller than a unit, goes as a whole to one domain: to one (not) used already, if it can.

    That domain comes last: its last node is the one that may be used in part.
    """
    if rest == 0:
        return shape
    every: list[int] = np.flatnonzero(room >= rest).tolist()
    fitting = [domain for domain in every if (domain in shape) is not apart] or every
    if not fitting:
        return None
    domain = min(fitting, key=lambda each: (room[each], each))
    return {**{each: nodes for each, nodes in shape.items() if each != domain}, domain: shape.get(domain, 0) + rest}


def _split_cost(
    state: "_State", request: Request, shape: Mapping[int, int], table: "_Fragmentation"
) -> tuple[float, int]:
    available = state.available
    lost = _lost_gpus(request, state.offered, tuple(shape.values()))
    grows = sum(
        table.whole[available[domain] - nodes] - table.whole[available[domain]] for domain, nodes in shape.items()
    )
    return lost + _FRAGMENT_WEIGHT * float(grows), len(shape)


def nodes_of(shares: Sequence[Share]) -> tuple[int, ...]:
    """Nodes in each domain; the last of all may be used in part."""
    return tuple(Counter(share.domain for share in shares).values())


def _lost_gpus(request: Request, hardware: Hardware, nodes: Sequence[int]) -> float:
    """`nodes` in each domain."""
    if request.workload is None or len(nodes) < 2:
        return 0.0
    found = best_slowdown(request.workload, hardware, nodes)
    return 0.0 if found is None else request.gpus * (found.sigma - 1)


@dataclass
class _State:
    """What is still free while a packing is made."""

    room: Room
    free: npt.NDArray[np.int64] = field(init=False)
    residues: npt.NDArray[np.int64] = field(init=False)
    """[domain, GPUs left on a node] -> nodes."""
    usable: npt.NDArray[np.int64] = field(init=False)
    """Nodes of each domain that may still be begun: those above its spares."""
    sliced: dict[tuple[int, int, int], int] = field(default_factory=dict)
    """(domain, node, number) of a GPU with MIG on -> slices left."""

    def __post_init__(self) -> None:
        self.size = self.room.hardware.gpus_per_node
        self.offered = self.room.offered
        self.free = self.room.free.copy()
        self.nodes_per_domain = self.free.shape[1] if self.free.ndim == 2 else 0
        self.residues = np.stack([(self.free == left).sum(axis=1) for left in range(self.size + 1)], axis=1)
        begun = ((self.free >= 0) & (self.free < self.size)).sum(axis=1)
        existing = (self.room.free >= 0).sum(axis=1)
        self.usable = np.maximum(existing - self.room.spare_nodes - begun, 0)

    @property
    def available(self) -> npt.NDArray[np.int64]:
        """Whole free nodes of each domain that may be begun."""
        return np.minimum(self.residues[:, self.size], self.usable)

    def take_part(self, domain: int, residue: int, gpus: int) -> Share:
        node = int(np.flatnonzero(self.free[domain] == residue)[0])
        self._take(domain, node, gpus)
        return Share(domain, node, gpus)

    def take_nodes(self, shape: Mapping[int, int], request: Request) -> tuple[Share, ...]:
        shares: list[Share] = []
        left = request.gpus
        for domain, count in shape.items():
            for node in np.flatnonzero(self.free[domain] == self.size)[:count].tolist():
                gpus = min(self.size, left)
                left -= gpus
                shares.append(Share(domain, node, gpus, request.slices))
                self._take(domain, node, self.size)
        return tuple(shares)

    def spent_nodes(self) -> npt.NDArray[np.bool_]:
        """Whole nodes that must stay whole, shape (nodes,): those of domains where only spares are left."""
        return np.asarray(((self.free == self.size) & (self.usable == 0)[:, None]).reshape(-1))

    def leave(self, domain: int, node: int, gpus: int) -> None:
        """So many untouched GPUs are left on the node."""
        self._take(domain, node, int(self.free[domain, node]) - gpus)

    def _take(self, domain: int, node: int, gpus: int) -> None:
        before = int(self.free[domain, node])
        self.free[domain, node] = before - gpus
        self.residues[domain, before] -= 1
        self.residues[domain, before - gpus] += 1
        self.usable[domain] -= before == self.size and gpus > 0


class _Shared:
    """Where CPUs run out: nodes that jobs share, chosen node by node; beginning one takes it from the whole nodes."""

    def __init__(self, state: _State, queue: Queue) -> None:
        room = state.room
        if room.cpus is None:
            raise ValueError("a room without CPUs has no use for them")
        parts = np.where(np.arange(state.size) < np.maximum(state.free, 0)[:, :, None], SLICES_PER_GPU, 0)
        self._state = state
        self._nodes = SharedNodes(parts.reshape(-1, state.size), room.cpus.reshape(-1), queue)

    def place(self, request: Request) -> tuple[Share, ...] | None:
        need = Need(request.gpus, request.slices, request.cpus)
        spent = self._state.spent_nodes()
        node = self._nodes.place(need, closed=spent)
        if node is None:
            return None
        domain, number = divmod(node, self._state.nodes_per_domain)
        begun = int(np.count_nonzero(self._nodes.parts[node] == SLICES_PER_GPU))
        self._state.leave(domain, number, begun)
        return (Share(domain, number, request.gpus, request.slices),)

    def remove(self, shares: Sequence[Share]) -> None:
        for share in shares:
            self._nodes.remove(share.domain * self._state.nodes_per_domain + share.node)


@dataclass(frozen=True)
class _Fragmentation:
    """Expected GPUs that a job of the queue cannot use: `whole[n]` of n whole nodes, `part[r]` of r GPUs on a node."""

    whole: npt.NDArray[np.float64]
    part: npt.NDArray[np.float64]
    queue: Queue
    """The needs of jobs that share nodes, for rooms where CPUs run out."""

    @classmethod
    def of(cls, queue: Sequence[Request], hardware: Hardware) -> "_Fragmentation":
        size, most = hardware.gpus_per_node, hardware.nodes_per_domain
        whole_nodes = np.arange(most + 1)
        left = np.arange(size + 1)
        whole, part = np.zeros(most + 1), np.zeros(size + 1)
        for request in queue:
            nodes = _nodes(request, size)
            if nodes:
                # A job larger than a domain wants whole domains.
                whole += whole_nodes % min(nodes, most) * size
                part[:size] += left[:size]
            elif request.gpus:
                whole += whole_nodes * (size % request.gpus)
                part[:size] += left[:size] % request.gpus
        weight = 1 / max(1, len(queue))
        sharing = [Need(each.gpus, each.slices, each.cpus) for each in queue if not _nodes(each, size)]
        return cls(whole * weight, part * weight, Queue(sharing))

    def of_state(self, state: _State) -> np.float64:
        return np.float64(self.whole[state.available].sum() + (state.residues * self.part).sum())
