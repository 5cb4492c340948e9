"""Site, start and nodes together, in generated cases: nothing is split that must stay together, all that starts at
once and could have nodes has them, and the check finds no fault.

A small number of cases with every run of the tests, 100,000 in `make soak`.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import timedelta

import pytest

from csched.domain.job import Job
from csched.domain.plan import Placement
from csched.domain.site import Fleet
from csched.domain.snapshot import Occupation, Snapshot, SolveBudget
from csched.placement.check import faults
from csched.placement.engine import solve
from csched.testing.builders import MONDAY, fleet, job, occupation, site, snapshot
from csched.topology.catalogue import shipped

KINDS = ("box8", "rack72", "gh200-quad", "gb300-nvl72")
WORK = SolveBudget(seconds=None, work=0)


def case(seed: int) -> Snapshot:
    """One to three small partitions, some of whose nodes are taken, and up to eight jobs."""
    dice = random.Random(seed)
    sites = [
        site(name, zone=zone, partitions=[partition(dice)])
        for name, zone in (("alpha", "FR"), ("beta", "DE"), ("gamma", "SE"))[: dice.randint(1, 3)]
    ]
    where = fleet(*sites)
    known = {**where.hardware, **{key: shipped()[key] for key in KINDS if key in shipped()}}
    where = where.model_copy(update={"hardware": known})
    jobs = [asked(dice, f"j{number}") for number in range(dice.randint(1, 8))]
    return snapshot(jobs, fleet=where, horizon_s=dice.choice([1, 4]) * 3600, running=tuple(running(dice, where)))


def partition(dice: random.Random) -> dict[str, object]:
    kind = dice.choice(KINDS)
    spare = dice.choice([0, 0, 1, 2])
    return {"name": "gpu", "hardware": kind, "nodes": dice.randint(1, 24), "spare_nodes_per_domain": spare} | (
        {"spare_nodes_per_domain": 0} if kind in {"box8", "gh200-quad"} else {}
    )


def asked(dice: random.Random, name: str) -> Job:
    gpus = dice.choice([1, 2, 3, 4, 5, 6, 8, 8, 12, 16, 16, 24, 32, 40, 64, 80])
    told: dict[str, object] = {"pattern": dice.choice([None, None, "dp", "fsdp", "tp8", "pp", "ep", "rl"])}
    divisors = [each for each in (2, 4, 8, 16) if gpus % each == 0]
    if divisors and dice.random() < 0.4:
        told |= {dice.choice(["tensor_parallel", "expert_parallel"]): dice.choice(divisors)}
    if dice.random() < 0.2:
        told |= {"locality": "spread"}
    if dice.random() < 0.15:
        told |= {"requires_confidential": "gpu"}
    if dice.random() < 0.3:
        told |= {"deadline": MONDAY + timedelta(hours=dice.randint(1, 3))}
    return job(name, gpus=gpus, hours=dice.choice([0.5, 1.0, 2.0]), **told)


def running(dice: random.Random, where: Fleet) -> Iterator[Occupation]:
    """Single nodes that are taken, whole or in part; sometimes nobody tells which."""
    for each in where.sites:
        kind = where.hardware[each.partitions[0].hardware]
        nodes = node_names(each.partitions[0].node_count(kind), kind.nodes_per_domain)
        told = dice.random() < 0.9
        for number, node in enumerate(dice.sample(nodes, dice.randint(0, len(nodes) // 2))):
            held = occupation(
                f"{each.id}-{number}", dice.randint(1, kind.gpus_per_node), dice.randint(1, 5), site=each.id
            )
            yield held.model_copy(update={"nodes": (node,) if told else None})


def node_names(nodes: int, per_domain: int) -> list[str]:
    if per_domain == 1:
        return [f"gpu-n{number + 1:04}" for number in range(nodes)]
    return [f"gpu-d{number // per_domain + 1:03}-n{number % per_domain + 1:02}" for number in range(nodes)]


def must_share(asked: Job) -> int:
    """GPUs of one group, by what the job says and nothing else."""
    if asked.tensor_parallel or asked.expert_parallel:
        return (asked.tensor_parallel or 1) * (asked.expert_parallel or 1)
    return next(each for each in (8, 4, 2, 1) if asked.gpus % each == 0) if asked.pattern in {"tp8", "ep"} else 1


def require_together(placed: Placement, asked: Job, per_node: int, gpus_per_domain: int) -> None:
    if must_share(asked) > gpus_per_domain:
        assert asked.gpus <= gpus_per_domain, "groups that no domain holds are nowhere"
    counts: Counter[str] = Counter()
    left = asked.gpus
    for node in placed.nodes or ():
        counts[node if "-d" not in node else node.rpartition("-")[0]] += min(per_node, left)
        left -= min(per_node, left)
    assert all(count % must_share(asked) == 0 for count in counts.values())


def require_sound(asked: Snapshot) -> None:
    plan = solve(asked, None, WORK)
    assert faults(plan, asked, None) == []
    jobs = {each.job: each for each in asked.jobs}
    told: dict[str, bool] = defaultdict(lambda: True)
    for held in asked.running:
        told[held.site] &= held.nodes is not None
    for placed in plan.placements:
        kind = asked.hardware[asked.fleet.site(placed.site).partitions[0].hardware]
        require_together(placed, jobs[placed.job], kind.gpus_per_node, kind.gpus_per_domain)
        assert (placed.nodes is not None) is (placed.start == asked.now and told[placed.site])
        assert placed.sigma >= 1


@pytest.mark.parametrize("hundred", range(10))
def test_nothing_is_split_and_what_starts_has_nodes(hundred: int) -> None:
    for seed in range(100 * hundred, 100 * hundred + 100):
        require_sound(case(seed))


@pytest.mark.soak
@pytest.mark.parametrize("thousand", range(1, 101))
def test_nothing_is_split_in_a_hundred_thousand_cases(thousand: int) -> None:
    for seed in range(1000 * thousand, 1000 * thousand + 1000):
        require_sound(case(seed))
