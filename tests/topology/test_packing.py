"""What must stay together stays together, little is wasted, and the exact optimum is near."""

import os
import random
from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ortools.sat.python import cp_model

from csched.domain.hardware import Hardware
from csched.domain.job import Pattern
from csched.topology.catalogue import shipped
from csched.topology.communication import slowdown, violations
from csched.topology.packing import SLICES_PER_GPU, Packing, Request, Room, expected_fragmentation, pack
from csched.topology.workload import workload_of

RACK = shipped()["gb300-nvl72"]
BOX = shipped()["dgx-h100"]
QUAD = shipped()["gh200-quad"]
SMALL_RACK = RACK.model_copy(update={"nodes_per_domain": 4})
SOAK = bool(os.environ.get("CSCHED_SOAK"))


def request(job: str, gpus: int, pattern: Pattern | None = None, **more) -> Request:
    """A request as a pattern's reference workload makes it."""
    workload = workload_of(pattern, gpus)
    group = workload.degrees.tensor * workload.degrees.expert if workload else 1
    return Request(job, gpus, group=group, workload=workload, **more)


def require_sound(packing: Packing, requests: Sequence[Request], room: Room) -> None:
    """Every rule that a packing must keep, checked from outside."""
    size = room.hardware.gpus_per_node
    assert set(packing.places) | set(packing.left) == {each.job for each in requests}
    assert not set(packing.places) & set(packing.left)
    held = np.zeros_like(room.free)
    sliced: dict[tuple[int, int], int] = {}
    owners: dict[tuple[int, int], list[str]] = {}
    for each in requests:
        shares = packing.places.get(each.job)
        if shares is None:
            continue
        whole = each.alone or each.gpus >= size
        assert sum(share.gpus for share in shares) == each.gpus
        assert len({(share.domain, share.node) for share in shares}) == len(shares)
        assert len(shares) == (max(1, -(-each.gpus // size)) if whole else 1), "no more nodes than it needs"
        for share in shares:
            owners.setdefault((share.domain, share.node), []).append(each.job)
            if each.slices and not each.alone:
                sliced[share.domain, share.node] = sliced.get((share.domain, share.node), 0) + share.slices
            else:
                held[share.domain, share.node] += size if whole else share.gpus
        domains: dict[int, int] = {}
        for share in shares:
            domains[share.domain] = domains.get(share.domain, 0) + share.gpus
        assert all(count % each.group == 0 for count in domains.values()) or each.gpus % each.group, "a group is split"
        if each.workload is not None:
            assert violations(each.workload, room.hardware, tuple(domains.values())) == []
        if each.alone:
            assert all(owners[share.domain, share.node] == [each.job] for share in shares)
    require_cpus(packing, requests, room)
    for (domain, node), slices in sliced.items():
        held[domain, node] += -(-slices // SLICES_PER_GPU)
    assert (held <= np.maximum(room.free, 0)).all()
    for jobs in owners.values():
        assert len(jobs) == 1 or not any(each.alone for each in requests if each.job in jobs)
    begun = (held > 0) | ((room.free >= 0) & (room.free < size))
    existing = (room.free >= 0).sum(axis=1)
    already = ((room.free >= 0) & (room.free < size)).sum(axis=1)
    assert (begun.sum(axis=1) <= np.maximum(existing - room.spare_nodes, already)).all(), "spares are touched"


def require_cpus(packing: Packing, requests: Sequence[Request], room: Room) -> None:
    taken = np.zeros(room.free.shape)
    for each in requests:
        shares = not each.alone and each.gpus < room.hardware.gpus_per_node
        for share in packing.places.get(each.job, ()) if shares else ():
            taken[share.domain, share.node] += each.cpus
    assert room.cpus is None or (taken <= room.cpus).all()


def shape(packing: Packing, job: str) -> list[int]:
    counts: dict[int, int] = {}
    for share in packing.places[job]:
        counts[share.domain] = counts.get(share.domain, 0) + share.gpus
    return sorted(counts.values(), reverse=True)


def test_a_job_that_fits_a_domain_stays_in_one():
    room = Room.empty(RACK, 36)
    requests = [request("a", 40), request("b", 64), request("c", 8), request("d", 32)]
    packing = pack(requests, room)
    require_sound(packing, requests, room)
    assert all(len(shape(packing, each.job)) == 1 for each in requests)


def test_a_job_that_asks_to_be_spread_lies_in_as_many_domains_as_it_can():
    packing = pack([request("a", 16, spread=True), request("b", 16)], Room.empty(RACK, 18 * 3))
    assert shape(packing, "a") == [8, 4, 4]
    assert shape(packing, "b") == [16]
    tensor = pack([request("tp", 24, Pattern.TP8, spread=True)], Room.empty(RACK, 18 * 4))
    assert shape(tensor, "tp") == [8, 8, 8], "groups stay whole"


def test_spares_stay_empty_so_that_a_large_job_takes_sixteen_of_eighteen_trays():
    room = Room.empty(RACK, 18 * 8, spare_nodes=2)
    requests = [request("large", 512, Pattern.FSDP)]
    packing = pack(requests, room)
    require_sound(packing, requests, room)
    assert shape(packing, "large") == [64] * 8


def test_a_tensor_group_that_no_domain_holds_is_left():
    requests = [Request("tp16", 16, group=16)]
    assert pack(requests, Room.empty(BOX, 4)).left == ("tp16",)
    assert pack([request("tp8", 8, Pattern.TP8)], Room.empty(QUAD, 8)).left == ("tp8",)
    assert pack([request("tp8", 8, Pattern.TP8)], Room.empty(RACK, 18)).left == ()


def test_groups_stay_whole_where_domains_are_ragged():
    room = Room(SMALL_RACK, np.array([[4, 4, 4, 0], [4, 4, 4, 0], [4, 4, -1, -1]]))
    requests = [Request("tp8", 24, group=8)]
    packing = pack(requests, room)
    require_sound(packing, requests, room)
    assert sorted(shape(packing, "tp8")) == [8, 8, 8], "the third node of a rack cannot hold half a group"
    assert pack([Request("tp8", 32, group=8)], room).left == ("tp8",)


def test_small_jobs_fill_begun_nodes_and_leave_whole_ones():
    requests = [request(f"s{number}", 1) for number in range(4)] + [request("pair", 2), request("box", 8)]
    room = Room.empty(BOX, 2)
    packing = pack(requests, room)
    require_sound(packing, requests, room)
    assert packing.left == ()


def test_fragmentation_is_expected_over_the_queue():
    room = Room(BOX, np.array([[8], [3], [5]]))
    assert expected_fragmentation(room, [Request("box", 8)]) == 8, "three and five GPUs are no use to it"
    assert expected_fragmentation(room, [Request("pair", 2)]) == 2, "one GPU of each odd node"
    assert expected_fragmentation(room, [Request("box", 8), Request("pair", 2)]) == 5
    assert expected_fragmentation(room, [Request("one", 1)]) == 0


def test_leftovers_that_the_queue_can_use_are_kept():
    # Best fit would take the node with three GPUs left for the job of one, and spoil it for those of three.
    room = Room(BOX, np.array([[3], [4]]))
    queue = [Request("now", 1), Request("later", 3), Request("last", 3)]
    packing = pack(queue[:1], room, queue)
    assert packing.places["now"][0].domain == 1
    assert pack(queue, room).left == ()


def test_mig_slices_share_a_gpu_before_another_is_opened():
    requests = [Request(f"m{number}", slices=slices) for number, slices in enumerate((3, 4, 2, 5, 7))]
    room = Room.empty(BOX, 1)
    packing = pack([*requests, Request("rest", 5)], room)
    require_sound(packing, [*requests, Request("rest", 5)], room)
    assert packing.left == (), "twenty-one slices are three GPUs"


def test_where_cpus_run_out_they_are_spent_beside_few_gpus():
    room = Room(BOX, np.array([[8], [1]]), cpus=np.array([[96.0], [96.0]]))
    requests = [Request("eater", 1, cpus=90), *(Request(f"j{number}", 1, cpus=12) for number in range(8))]
    packing = pack(requests, room)
    require_sound(packing, requests, room)
    assert packing.left == ()
    assert packing.places["eater"][0].domain == 1


def test_confidential_jobs_have_their_nodes_to_themselves():
    requests = [Request("secret", 2, alone=True), Request("slice", slices=1, alone=True), Request("plain", 2)]
    room = Room.empty(BOX, 3)
    packing = pack(requests, room)
    require_sound(packing, requests, room)
    assert packing.left == ()
    assert pack(requests, Room.empty(BOX, 2)).left != ()


def test_the_same_queue_gives_the_same_packing():
    dice = random.Random(5)
    requests = [request(f"j{number}", dice.choice([1, 2, 4, 12, 24, 40])) for number in range(40)]
    room = Room.empty(RACK, 40)
    assert pack(requests, room) == pack(requests, room)


def test_nothing_to_pack_and_nowhere_to_pack_are_no_trouble():
    assert pack([], Room.empty(BOX, 1)).places == {}
    assert pack([Request("a", 1)], Room.empty(BOX, 0)).left == ("a",)


@st.composite
def cases(draw):
    """A room in some use and a queue of all kinds of requests."""
    hardware = draw(st.sampled_from([RACK, BOX, QUAD, SMALL_RACK]))
    size, nodes = hardware.gpus_per_node, hardware.nodes_per_domain
    domains = draw(st.integers(1, 4))
    free = np.array(
        [[draw(st.sampled_from([size] * 4 + [-1, 0, 1, size - 1])) for _ in range(nodes)] for _ in range(domains)]
    )
    cpus = np.full(free.shape, 32.0) if draw(st.booleans()) else None
    room = Room(hardware, free, draw(st.integers(0, 2)), cpus)
    requests = []
    for number in range(draw(st.integers(1, 8))):
        kind = draw(st.sampled_from(["plain", "pattern", "group", "slices"]))
        gpus = draw(st.integers(1, 3 * size * min(nodes, 4)))
        alone = draw(st.booleans()) and draw(st.booleans())
        spread = draw(st.booleans())
        if kind == "slices":
            slices, wanted = draw(st.integers(1, SLICES_PER_GPU)), draw(st.integers(0, 20))
            requests.append(Request(f"j{number}", slices=slices, cpus=wanted, alone=alone))
        elif kind == "group":
            group = draw(st.sampled_from([2, 3, 4, 8, 16]))
            requests.append(Request(f"j{number}", group * -(-gpus // group), group=group, alone=alone, spread=spread))
        else:
            pattern = draw(st.sampled_from([Pattern.TP8, Pattern.EP, Pattern.FSDP])) if kind == "pattern" else None
            requests.append(
                request(f"j{number}", gpus, pattern, cpus=draw(st.integers(0, 20)), alone=alone, spread=spread)
            )
    return requests, room


@given(cases())
@settings(max_examples=80, deadline=None)
def test_no_packing_breaks_a_rule(case):
    requests, room = case
    require_sound(pack(requests, room), requests, room)


def random_case(dice: random.Random) -> tuple[list[Request], Room]:
    """As `cases`, but quick to make: for large numbers of them."""
    hardware = dice.choice([RACK, BOX, QUAD, SMALL_RACK])
    size = hardware.gpus_per_node
    kinds = [size] * 4 + [-1, 0, 1, size - 1]
    free = [[dice.choice(kinds) for _ in range(hardware.nodes_per_domain)] for _ in range(dice.randint(1, 4))]
    requests = []
    for number in range(dice.randint(1, 6)):
        group = dice.choice([1, 1, 2, 3, 4, 8, 16])
        gpus = group * dice.randint(1, max(1, 3 * size * min(hardware.nodes_per_domain, 4) // group))
        cpus_wanted = dice.randint(0, 20)
        requests.append(Request(f"j{number}", gpus, group=group, cpus=cpus_wanted, alone=dice.random() < 0.2))
    cpus = np.full((len(free), hardware.nodes_per_domain), 32.0) if dice.random() < 0.3 else None
    return requests, Room(hardware, np.array(free), dice.randint(0, 2), cpus)


@pytest.mark.timeout(3600 if SOAK else 120)
def test_what_must_stay_together_is_never_split():
    dice = random.Random(7)
    for _ in range(100_000 if SOAK else 400):
        requests, room = random_case(dice)
        require_sound(pack(requests, room), requests, room)


def small_instance(dice: random.Random) -> tuple[list[Request], Room]:
    """Racks of four trays and jobs that ask for about all of them."""
    domains = dice.randint(2, 3)
    room = Room.empty(SMALL_RACK, 4 * domains)
    requests: list[Request] = []
    wanted, most = 0, 16 * domains
    while wanted < most * dice.uniform(0.85, 1.1):
        gpus = dice.choice([1, 2, 3, 4, 8, 8, 12, 16, 20, 24])
        requests.append(request(f"j{len(requests)}", gpus, dice.choice([None, Pattern.FSDP, Pattern.TP8, Pattern.DP])))
        wanted += gpus
    return requests, room


def allocations(each: Request, hardware: Hardware, domains: int) -> list[tuple[int, ...]]:
    """All ways to give a job's whole nodes to domains that keep its groups together."""
    size, nodes = hardware.gpus_per_node, hardware.nodes_per_domain
    count = -(-each.gpus // size)
    return [
        shape
        for shape in product(range(min(count, nodes) + 1), repeat=domains)
        if sum(shape) == count and all(part * size % each.group == 0 for part in shape)
    ]


def lost_gpus(each: Request, shape: tuple[int, ...]) -> float:
    counts = tuple(part * SMALL_RACK.gpus_per_node for part in shape if part)
    if each.workload is None or len(counts) < 2:
        return 0.0
    found = slowdown(each.workload, SMALL_RACK, counts)
    return each.gpus * (found.sigma - 1) if found else 0.0


def exact(requests: list[Request], room: Room) -> tuple[int, float]:
    """(GPUs left, GPUs lost) of the best packing: most GPUs first, then least loss."""
    model = cp_model.CpModel()
    size, (domains, nodes) = SMALL_RACK.gpus_per_node, room.free.shape
    shared = {(d, n): model.new_bool_var("") for d in range(domains) for n in range(nodes)}
    used = {key: [] for key in shared}
    whole = {d: [] for d in range(domains)}
    left, lost = [], []
    for each in requests:
        if each.gpus >= size:
            shapes = allocations(each, SMALL_RACK, domains)
            chosen = [model.new_bool_var("") for _ in shapes]
            for variable, counts in zip(chosen, shapes, strict=True):
                lost.append(round(1000 * lost_gpus(each, counts)) * variable)
                for d, count in enumerate(counts):
                    whole[d].append(count * variable)
        else:
            chosen = []
            for key in shared:
                variable = model.new_bool_var("")
                used[key].append(each.gpus * variable)
                chosen.append(variable)
        model.add(sum(chosen) <= 1)
        left.append(each.gpus * (1 - sum(chosen)))
    for d in range(domains):
        model.add(sum(whole[d]) + sum(shared[d, n] for n in range(nodes)) <= nodes)
        for n in range(nodes):
            model.add(sum(used[d, n]) <= size * shared[d, n])
    model.minimize(1_000_000 * sum(left) + sum(lost))
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    assert solver.solve(model) == cp_model.OPTIMAL
    return sum(solver.value(each) for each in left), sum(solver.value(each) for each in lost) / 1000


def test_packing_is_within_two_percent_of_the_exact_optimum():
    dice = random.Random(11)
    gaps = []
    for _ in range(200):
        requests, room = small_instance(dice)
        packing = pack(requests, room)
        require_sound(packing, requests, room)
        left, lost = packing.score({each.job: each for each in requests})
        best_left, best_lost = exact(requests, room)
        assert left >= best_left, "better than the optimum: one of the two is wrong"
        total = sum(each.gpus for each in requests)
        best = total - best_left - best_lost
        gaps.append((best - (total - left - lost)) / best)
    assert max(gaps) >= 0
    assert sum(gaps) / len(gaps) <= 0.02
