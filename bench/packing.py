"""How long 1,000 queued jobs take to pack into 18,000 GPUs on one core: `python -m bench.packing`."""

import random
import sys
from time import process_time

from csched.domain.job import Pattern
from csched.topology.catalogue import shipped
from csched.topology.packing import Request, Room, expected_fragmentation, pack
from csched.topology.workload import workload_of

NODES = 4_500
JOBS = 1_000
SPARE_NODES = 2
SIZES = (1, 1, 1, 1, 2, 2, 4, 4, 8, 8, 16, 16, 24, 32, 40, 64)
PATTERNS = (None, None, Pattern.DP, Pattern.FSDP, Pattern.TP8)


def requests(seed: int = 3) -> list[Request]:
    """Nearly what the racks hold beside their spares, 64 GPUs in each of 250."""
    dice = random.Random(seed)  # noqa: S311 - a seed, so that every run measures the same
    found = []
    for number in range(JOBS):
        gpus = dice.choice(SIZES)
        workload = workload_of(dice.choice(PATTERNS), gpus)
        group = workload.degrees.tensor * workload.degrees.expert if workload else 1
        found.append(Request(f"j{number}", gpus, group=group, workload=workload))
    return found


def measure() -> dict[str, float]:
    """CPU seconds of one packing, imports and the making of the queue left out, and what it left."""
    queue, room = requests(), Room.empty(shipped()["gb300-nvl72"], NODES, SPARE_NODES)
    started = process_time()
    packing = pack(queue, room)
    seconds = process_time() - started
    return {
        "cpu_s": seconds,
        "gpus_asked": float(sum(request.gpus for request in queue)),
        "jobs_left": float(len(packing.left)),
        "lost_gpus": packing.lost_gpus,
        "fragmented_gpus_when_empty": expected_fragmentation(room, queue),
    }


if __name__ == "__main__":
    for name, value in measure().items():
        sys.stdout.write(f"{name} {value:,.2f}\n")
