"""The commands that a newcomer types first."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_help_lists_the_promised_targets() -> None:
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    listed = set(re.findall(r"^  make ([a-z-]+) ", done.stdout, flags=re.MULTILINE))
    promised = {"setup", "demo", "test", "test-slurm", "bench", "soak", "lint", "types", "clean"}
    assert promised | {"slurm-lab-up", "slurm-lab-look", "slurm-lab-down"} <= listed


def test_a_missing_package_without_root_and_sudo_is_explained(tmp_path: Path) -> None:
    for name, words in {"id": "echo 1000", "dpkg-query": "exit 1", "apt-get": "exit 1"}.items():
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\n{words}\n")
        program.chmod(0o755)
    done = subprocess.run(
        ["/bin/bash", ROOT / "requirements/debian.sh", "lua5.1"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "error: these packages are missing: lua5.1" in done.stderr
    assert "let an administrator run: apt-get install lua5.1" in done.stderr


SCRIPTS = [ROOT / ".ci" / "run", *sorted(ROOT.glob("requirements/*.sh")), *sorted(ROOT.glob("docs/**/*.sh"))]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_every_shell_script_parses_and_stops_at_the_first_fault(script: Path) -> None:
    assert "set -euo pipefail" in script.read_text()
    subprocess.run(["bash", "-n", script], check=True)
