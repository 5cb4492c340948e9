"""Small mistakes made in the evaluator on purpose: the tests must notice at least 95 of 100.

A small sample is tried with every run of the tests, all of them in `make soak`.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from mutants import mutants

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
PACKAGE = ROOT / "policies" / "csched_policies"
EVALUATOR = ("operators", "groups", "clause", "judging", "transfers", "demands", "shares", "preferring")
"""The modules that compare facts with operands; the table only collects their answers."""
NOTICING = (
    "demands",
    "transfers",
    "shares",
    "preferences",
    "certificates",
    "groups",
    "evidence",
    "typos",
    "datasets",
)
"""The quickest first: the first that fails ends the run."""
LEAST_KILLED = 0.95
UNCHANGED = "no mistake at all"
SAMPLED = 8


def all_mutants() -> list[tuple[str, str, str]]:
    """(module, what was changed where, mutated source), in a fixed order."""
    return [
        (module, what, mutated)
        for module in EVALUATOR
        for what, mutated in mutants((PACKAGE / f"{module}.py").read_text("utf-8"))
    ]


@contextmanager
def nursery() -> Iterator["subprocess.Popen[str]"]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "scheduler")}
    command = [sys.executable, str(HERE / "mutant_nursery.py")]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment
    ) as process:
        yield process
        if process.stdin is not None:
            process.stdin.close()


def alive(folder: Path, tried: Sequence[tuple[str, str, str]]) -> list[str]:
    """Mutants that the tests do not notice."""
    found = []
    unchanged = (EVALUATOR[0], UNCHANGED, (PACKAGE / f"{EVALUATOR[0]}.py").read_text("utf-8"))
    with nursery() as process:
        for number, (module, what, mutated) in enumerate([unchanged, *tried]):
            copy = folder / f"{module}-{number}"
            shutil.copytree(PACKAGE, copy / "csched_policies", ignore=shutil.ignore_patterns("__pycache__"))
            (copy / "csched_policies" / f"{module}.py").write_text(mutated, encoding="utf-8")
            tests = [f"tests/policies/test_{name}.py" for name in NOTICING]
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps({"folder": str(copy), "tests": tests}) + "\n")
            process.stdin.flush()
            answer = process.stdout.readline().strip()
            assert answer in {"0", "1"}, f"the run against {module}: {what} ended without an answer"
            if what == UNCHANGED:
                assert answer == "1", "the tests fail without any mistake, so they would notice none"
            elif answer == "1":
                found.append(f"{module}: {what}")
            shutil.rmtree(copy)
    return found


@pytest.mark.timeout(600)
def test_the_tests_notice_a_sample_of_mistakes(tmp_path: Path) -> None:
    every = all_mutants()
    sample = every[:: len(every) // SAMPLED][:SAMPLED]
    assert alive(tmp_path, sample) == []


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_the_tests_notice_mistakes_in_the_evaluator(tmp_path: Path) -> None:
    tried, workers = all_mutants(), os.cpu_count() or 1
    for worker in range(workers):
        (tmp_path / str(worker)).mkdir()
    with ThreadPoolExecutor(workers) as pool:
        lists = pool.map(lambda worker: alive(tmp_path / str(worker), tried[worker::workers]), range(workers))
    found = [told for each in lists for told in each]
    assert len(tried) > 300
    assert len(found) <= (1 - LEAST_KILLED) * len(tried), "\n".join(found)


def test_every_mistake_in_a_copy_is_one_that_would_be_noticed(tmp_path: Path) -> None:
    """A clause that never holds must fail the tests: otherwise nothing above means anything."""
    source = (PACKAGE / "operators.py").read_text("utf-8")
    broken = source.replace("return seen >= operand", "return False")
    assert broken != source
    assert alive(tmp_path, [("operators", "at least", broken)]) == []
