"""Are the nodes of a plan there, free and fit for who gets them, and is sigma what they come to?

Shares no code with the engine: nodes are told by their names, free GPUs are counted node by node.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from functools import cached_property

from csched.domain.job import Job, Pattern
from csched.domain.plan import Placement
from csched.placement.check_sigma import sigma
from csched.placement.check_space import Place, Space
from csched.topology.workload import asked_workload

_DIGITS = re.compile(r"[0-9]+")

Part = tuple[Placement, Job]
"""A placement, or a part of one with its own partition, nodes and domains, and what it is of."""
NodesFree = Mapping[int, Mapping[int, int]]
"""Domain -> node -> free GPUs."""


class NodeCheck:
    """The nodes of all jobs that start at once."""

    def __init__(self, space: Space, parts: Sequence[Part]) -> None:
        self._space, self._parts = space, parts

    def faults(self) -> Iterator[str]:
        for placement, job in self._parts:
            yield from self._part(placement, job)
        for key, free in self._left.items():
            for domain, nodes in free.items():
                if min(nodes.values(), default=0) < 0:
                    yield f"{key}: nodes of domain {domain + 1} are given to more than they have GPUs for"
            if free and self._spares_touched(key):
                yield f"{key}: spare nodes are given away"

    def sigma(self, parts: Sequence[Part]) -> float:
        """Of a job: the slowest of its parts sets the pace."""
        return max((self._sigma_of(placement, job) for placement, job in parts), default=1.0)

    def knows(self, key: str) -> bool:
        """Whether it is known which nodes of the place are free now."""
        return key in self._left

    def room_now(self, job: Job, key: str) -> bool:
        """Whether the known nodes that are left surely hold the job."""
        free, place = self._left[key], self._space.places[key]
        size, spare = place.hardware.gpus_per_node, place.partition.spare_nodes_per_domain
        alone = _alone(job)
        if job.gpus < size and not alone:
            begun = any(job.gpus <= left < size for nodes in free.values() for left in nodes.values())
            return begun or any(_whole(nodes, size, spare) for nodes in free.values())
        unit, wanted = math.lcm(_group(job), size) // size, max(1, math.ceil(job.gpus / size))
        whole = [_whole(nodes, size, spare) for nodes in free.values()]
        return wanted <= max(whole, default=0) or sum(each // unit for each in whole) >= math.ceil(wanted / unit)

    def torn_anywhere(self, job: Job, key: str) -> bool:
        """Whether the job's groups fit no domain of the place, or fewer of them than it has."""
        place, group = self._space.places[key], _group(job)
        size, most = place.hardware.gpus_per_node, place.hardware.nodes_per_domain
        if group == 1:
            return False
        unit, wanted = math.lcm(group, size) // size, max(1, math.ceil(job.gpus / size))
        sizes = Counter(number // most for number in range(place.partition.node_count(place.hardware)))
        domains = [max(0, nodes - place.partition.spare_nodes_per_domain) for nodes in sizes.values()]
        if wanted <= max(domains, default=0):
            return False
        over = sum(each // unit for each in domains) - wanted // unit
        return over < 0 or (over == 0 and wanted % unit > max(each % unit for each in domains))

    # --- one part ----------------------------------------------------------------------------------------------

    def _part(self, placement: Placement, job: Job) -> Iterator[str]:
        if self.torn_anywhere(job, placement.room):
            yield f"{job.job} is at {placement.room}, whose NVLink domains do not hold it together"
        if placement.nodes is None:
            if placement.start == self._space.now and placement.room in self._left:
                yield f"{job.job} starts at once at {placement.room} without nodes, though all of them are known"
            return
        if placement.start != self._space.now or placement.room not in self._left:
            yield f"{job.job} has nodes at {placement.room}, whose state then nobody knows"
            return
        place = self._space.places[placement.room]
        positions = [_position(node, place) for node in placement.nodes]
        known = [position for position in positions if position is not None]
        if len(known) < len(positions) or len(set(known)) < len(known):
            yield f"{job.job} has nodes that {placement.room} has not, or one of them twice"
            return
        size = place.hardware.gpus_per_node
        if len(known) != max(1, math.ceil(job.gpus / size)):
            yield f"{job.job} has {len(known)} nodes for {job.gpus} GPUs"
        names = {_domain(node, place) for node in placement.nodes}
        if names != set(placement.domains or ()):
            yield f"{job.job} names other NVLink domains than those of its nodes"
        if any(count % _group(job) for count in _counts(placement, job, place)):
            yield f"{job.job} has a group of {_group(job)} GPUs that is split over NVLink domains"

    def _sigma_of(self, placement: Placement, job: Job) -> float:
        if not placement.nodes or placement.room not in self._space.places:
            return 1.0
        place = self._space.places[placement.room]
        if any(_position(node, place) is None for node in placement.nodes):
            return 1.0
        ways = [_counts(placement, job, place), _even_counts(placement, job, place)]
        ways = [counts for counts in ways if not any(count % _group(job) for count in counts)]
        largest = max(1, min(place.hardware.nodes_per_domain, place.partition.node_count(place.hardware)))
        nodes = max(1, largest - place.partition.spare_nodes_per_domain)
        offered = place.hardware.model_copy(update={"nodes_per_domain": nodes})
        if any(sum(counts) != job.gpus or max(counts) > offered.gpus_per_domain for counts in ways):
            return 1.0
        return min((sigma(asked_workload(job), offered, counts) for counts in ways), default=1.0)

    # --- what is free ------------------------------------------------------------------------------------------

    @cached_property
    def _free(self) -> Mapping[str, NodesFree]:
        """What running jobs leave, of places of which that is known."""
        found: dict[str, NodesFree] = {}
        for key, place in self._space.places.items():
            if place.reservation is None and (free := self._known(place)) is not None:
                found[key] = free
        return found

    def _known(self, place: Place) -> NodesFree | None:
        last = self._space.now + timedelta(seconds=self._space.snapshot.horizon_s)
        aside = self._space.fleet.reservations_at(place.site.id, place.partition.name)
        if any(each.from_ < last and each.to > self._space.now for each in aside):
            return None
        free: dict[int, dict[int, int]] = defaultdict(dict)
        for number in range(place.partition.node_count(place.hardware)):
            domain, node = divmod(number, place.hardware.nodes_per_domain)
            free[domain][node] = place.hardware.gpus_per_node
        for held in self._space.snapshot.running:
            if (held.site, held.partition) != (place.site.id, place.partition.name):
                continue
            if held.since is not None and held.since > self._space.now:
                continue
            positions = [_position(node, place) for node in held.nodes or ()]
            if held.nodes is None or None in positions:
                return None
            for position in positions:
                if position is not None:
                    taken = held.gpus_held if len(positions) == 1 else place.hardware.gpus_per_node
                    free[position[0]][position[1]] = max(0, free[position[0]][position[1]] - taken)
        return free

    @cached_property
    def _left(self) -> Mapping[str, NodesFree]:
        """What running and starting jobs leave; less than nothing where too much is given."""
        left = {key: {domain: dict(nodes) for domain, nodes in free.items()} for key, free in self._free.items()}
        for placement, job in self._parts:
            if placement.nodes is None or placement.room not in left:
                continue
            place = self._space.places[placement.room]
            size = place.hardware.gpus_per_node
            for position in (_position(node, place) for node in placement.nodes):
                if position is not None:
                    taken = size if job.gpus >= size or _alone(job) else job.gpus
                    left[placement.room][position[0]][position[1]] -= taken
        return left

    def _spares_touched(self, key: str) -> bool:
        """More nodes of a domain are begun than may be, and this plan began some of them."""
        place = self._space.places[key]
        size, spare = place.hardware.gpus_per_node, place.partition.spare_nodes_per_domain
        for domain, nodes in self._left[key].items():
            before = sum(left < size for left in self._free[key][domain].values())
            after = sum(left < size for left in nodes.values())
            if after > max(before, len(nodes) - spare):
                return True
        return False


def _group(job: Job) -> int:
    """GPUs that share an NVLink domain: those of a tensor group, times the members of an expert group."""
    told = (job.model_params_b, job.tensor_parallel, job.pipeline_parallel, job.expert_parallel)
    if told != (None, None, None, None):
        return (job.tensor_parallel or 1) * (job.expert_parallel or 1) if job.gpus > 1 else 1
    return math.gcd(job.gpus, 8) if job.pattern in {Pattern.TP8, Pattern.EP} else 1


def _alone(job: Job) -> bool:
    return job.requires_confidential is not None and job.requires_confidential.value != "none"


def _whole(nodes: Mapping[int, int], size: int, spare: int) -> int:
    """Whole nodes of a domain that may still be begun."""
    begun = sum(left < size for left in nodes.values())
    return max(0, min(len(nodes) - begun, len(nodes) - spare - begun))


def _position(node: str, place: Place) -> tuple[int, int] | None:
    """Domain and node, from 0, by the name; None for a name that the place has not."""
    numbers = [int(digits) - 1 for digits in _DIGITS.findall(node.removeprefix(f"{place.partition.name}-"))]
    most = place.hardware.nodes_per_domain
    domain, inside = (numbers[0], 0) if most == 1 and len(numbers) == 1 else (*numbers, -1, -1)[:2]
    if domain < 0 or not 0 <= inside < most or domain * most + inside >= place.partition.node_count(place.hardware):
        return None
    width = f"n{domain + 1:04}" if most == 1 else f"d{domain + 1:03}-n{inside + 1:02}"
    return (domain, inside) if node == f"{place.partition.name}-{width}" else None


def _domain(node: str, place: Place) -> str:
    return node if place.hardware.nodes_per_domain == 1 else node.rpartition("-")[0]


def _counts(placement: Placement, job: Job, place: Place) -> list[int]:
    """GPUs in each domain; all nodes are full but the last, in which the rest lies."""
    size, nodes = place.hardware.gpus_per_node, placement.nodes or ()
    each = [min(size, max(0, job.gpus - position * size)) for position in range(len(nodes))]
    counts: Counter[str] = Counter()
    for node, gpus in zip(nodes, each, strict=True):
        counts[_domain(node, place)] += gpus
    return [count for count in counts.values() if count]


def _even_counts(placement: Placement, job: Job, place: Place) -> list[int]:
    """GPUs in each domain where all nodes have equally many, the first ones one more."""
    nodes = placement.nodes or ()
    counts: Counter[str] = Counter()
    for position, node in enumerate(nodes):
        counts[_domain(node, place)] += job.gpus // len(nodes) + (position < job.gpus % len(nodes))
    return [count for count in counts.values() if count]
