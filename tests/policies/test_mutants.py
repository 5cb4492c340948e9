"""Small mistakes made in the evaluator on purpose: the tests must notice at least 95 of 100.

A small sample is tried with every run of the tests, all of them in `make soak`.
"""

import json
import os
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
    "datasets",
    "packs",
    "verdicts",
)
TOO_SLOW = (
    "never_open",
    "kept_table",
    "neither_other_jobs",
    "together_allow_only",
    "allowed_no_more",
    "datasets_alike",
    "a_plan_keeps",
    "changes_no_verdict",
    "every_reason_names",
    "both_readers_find",
)
"""Parts of the names of tests that take seconds and notice little that the others do not."""
LEAST_NOTICED = 0.95
SAMPLED = 8

Mutant = tuple[str, str, str]
"""Module, what was changed where, mutated source."""


def source_of(module: str) -> str:
    return (PACKAGE / f"{module}.py").read_text("utf-8")


def all_mutants() -> list[Mutant]:
    """In a fixed order."""
    return [(module, what, mutated) for module in EVALUATOR for what, mutated in mutants(source_of(module))]


@contextmanager
def nursery() -> Iterator["subprocess.Popen[str]"]:
    tests = [f"tests/policies/test_{name}.py" for name in NOTICING]
    command = [sys.executable, str(HERE / "mutant_nursery.py"), *tests, "-k", f"not ({' or '.join(TOO_SLOW)})"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        yield process
        if process.stdin is not None:
            process.stdin.close()


def noticed_by(process: "subprocess.Popen[str]", module: str, mutated: str) -> str | None:
    """The test that fails; null where none does."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps({"module": f"csched_policies.{module}", "source": mutated}) + "\n")
    process.stdin.flush()
    answer: str | None = json.loads(process.stdout.readline())["noticed_by"]
    return answer


def unnoticed(tried: Sequence[Mutant]) -> list[str]:
    """Mutants that no test notices."""
    with nursery() as process:
        failing = noticed_by(process, EVALUATOR[0], source_of(EVALUATOR[0]))
        assert failing is None, f"{failing} fails without any mistake, so it would notice none"
        return [f"{module}: {what}" for module, what, mutated in tried if noticed_by(process, module, mutated) is None]


@pytest.mark.timeout(600)
def test_the_tests_notice_a_sample_of_mistakes() -> None:
    """Among them one in which a comparison never holds: were that not noticed, nothing here would mean anything."""
    broken = source_of("operators").replace("return seen >= operand", "return False")
    assert broken != source_of("operators")
    every = all_mutants()
    sample = every[:: len(every) // SAMPLED][:SAMPLED]
    assert unnoticed([("operators", "at least", broken), *sample]) == []


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_the_tests_notice_mistakes_in_the_evaluator() -> None:
    tried, workers = all_mutants(), os.cpu_count() or 1
    with ThreadPoolExecutor(workers) as pool:
        lists = pool.map(lambda worker: unnoticed(tried[worker::workers]), range(workers))
    found = [told for each in lists for told in each]
    assert len(tried) > 300
    assert len(found) <= (1 - LEAST_NOTICED) * len(tried), "\n".join(found)
