"""Small mistakes made in the evaluator on purpose: the tests must notice at least 95 of 100 (`make soak`)."""

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from mutants import mutants

ROOT = Path(__file__).parents[2]
EVALUATOR = ("operators", "groups", "clause")
"""The modules that compare one fact with one operand; the table only collects their answers."""
NOTICING = ("test_certificates", "test_groups", "test_evidence", "test_datasets", "test_verdicts")
LEAST_KILLED = 0.95


def survives(folder: Path, module: str, mutated: str) -> bool:
    """Whether the tests still pass with a mutated copy of one module."""
    shutil.copytree(ROOT / "policies" / "csched_policies", folder / "csched_policies")
    (folder / "csched_policies" / f"{module}.py").write_text(mutated, encoding="utf-8")
    pythonpath = ["scheduler", str(folder), "sim", "plugins/slurm", "tests/policies"]
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist"]
    command += ["-o", f"pythonpath={' '.join(pythonpath)}", "--hypothesis-seed=0"]
    command += [f"tests/policies/{name}.py" for name in NOTICING]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, timeout=600)
    shutil.rmtree(folder)
    return ended.returncode == 0


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_the_tests_notice_mistakes_in_the_evaluator(tmp_path: Path) -> None:
    tried = [
        (module, what, mutated)
        for module in EVALUATOR
        for what, mutated in mutants((ROOT / "policies" / "csched_policies" / f"{module}.py").read_text("utf-8"))
    ]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        lives = list(pool.map(lambda one: survives(tmp_path / str(one[0]), one[1][0], one[1][2]), enumerate(tried)))
    alive = [f"{module}: {what}" for (module, what, _), lived in zip(tried, lives, strict=True) if lived]
    assert len(tried) > 50
    assert len(alive) <= (1 - LEAST_KILLED) * len(tried), "\n".join(alive)
