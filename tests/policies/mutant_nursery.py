"""Runs tests against mutated copies of the evaluator: one process imports what all need, and forks for each mutant.

Called with one JSON object a line, `{"folder": …, "tests": […]}`; answers each with 1 where the tests still pass.
"""

import json
import os
import sys

import cedarpy  # noqa: F401
import cryptography  # noqa: F401
import numpy as np  # noqa: F401
import pydantic  # noqa: F401
import pytest

import csched.domain.snapshot
import csched.formats.fleet
import csched.formats.jobs  # noqa: F401


def survives(folder: str, tests: list[str]) -> bool:
    child = os.fork()
    if child == 0:
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        sys.path.insert(0, folder)
        options = [
            "-W",
            "ignore::pytest.PytestAssertRewriteWarning",
            "-q",
            "-x",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:xdist",
            "-p",
            "no:randomly",
            "--hypothesis-seed=0",
        ]
        paths = ["scheduler", folder, "sim", "plugins/slurm", "tests/policies"]
        os._exit(int(pytest.main([*options, "--timeout=120", "-o", f"pythonpath={' '.join(paths)}", *tests])))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


if __name__ == "__main__":
    for line in sys.stdin:
        told = json.loads(line)
        sys.stdout.write(f"{int(survives(told['folder'], told['tests']))}\n")
        sys.stdout.flush()
