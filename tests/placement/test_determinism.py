"""Same snapshot, seed and work: the same plan, whatever the process."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

from csched.domain.snapshot import Snapshot, SolveBudget
from csched.placement.engine import solve
from csched.testing.builders import fleet, job, site, snapshot

DECIDE = """
import json, sys
from csched.domain.snapshot import Snapshot, SolveBudget
from csched.placement.engine import solve
view = Snapshot.model_validate_json(sys.stdin.read())
print(json.dumps(solve(view, None, SolveBudget(seconds=None, work=50, seed=7)).decision(), sort_keys=True))
"""


def crowded() -> Snapshot:
    """Forty jobs for four sites that differ little: many plans are nearly as good."""
    pick = random.Random(3)
    where = fleet(
        *[site(name, zone=zone, nodes=3) for name, zone in zip("abcd", ("FR", "DE", "SE", "PL"), strict=True)]
    )
    work = [job(f"j{index}", gpus=pick.choice([1, 4, 8, 16]), hours=pick.randint(1, 9)) for index in range(40)]
    sky = {zone: [pick.randint(100, 130) for _ in range(24)] for zone in ("FR", "DE", "SE", "PL")}
    return snapshot(work, fleet=where, carbon=sky)


def decision_in_another_process(view: Snapshot, hash_seed: str) -> str:
    ended = subprocess.run(
        [sys.executable, "-c", DECIDE],
        input=view.model_dump_json(by_alias=True),
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(Path(__file__).parents[2] / "scheduler")},
    )
    return ended.stdout.strip()


def test_another_hash_seed_gives_the_same_plan_bit_for_bit() -> None:
    view = crowded()
    here = json.dumps(solve(view, None, SolveBudget(seconds=None, work=50, seed=7)).decision(), sort_keys=True)
    assert decision_in_another_process(view, "1") == here
    assert decision_in_another_process(view, "2") == here
