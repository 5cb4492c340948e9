"""What a stranger installs: the wheel alone, in an empty environment, far from the checkout."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Installation:
    """A virtual environment that holds the wheel, and an empty folder to work in."""

    environment: Path
    desk: Path

    def run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.environment / "bin" / program, *arguments],
            cwd=self.desk,
            env={"HOME": str(self.desk), "CSCHED_HOME": str(self.desk / "home"), "PATH": os.defpath},
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )

    def shipped(self, name: str) -> str:
        """Where csched.shipped says that something lies."""
        return self.run("python", "-c", f"from csched import shipped; print(shipped.{name}())").stdout.strip()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installation(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    environment = tmp_path_factory.mktemp("environment")
    uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
    python = str(environment / "bin" / "python")
    pinned = ["--require-hashes", "--only-binary", ":all:", "--requirement", str(ROOT / "requirements" / "runtime.txt")]
    for command in (
        ["venv", "--quiet", "--clear", "--python", sys.executable, str(environment)],
        ["pip", "install", "--quiet", "--python", python, *pinned],
        ["pip", "install", "--quiet", "--python", python, "--no-deps", str(wheel)],
    ):
        done = subprocess.run(
            [uv, *command],
            env={**os.environ, "UV_PYTHON_DOWNLOADS": "never"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    return Installation(environment, tmp_path_factory.mktemp("desk"))


def test_the_wheel_holds_the_four_packages_and_their_data(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {
        "csched",
        "csched_policies",
        "csched_sim",
        "csched_slurm",
    }
    outside = [
        *(ROOT / "policies").glob("library/**/*.yaml"),
        *(ROOT / "policies").glob("groups/**/*.yaml"),
        *(ROOT / "policies").glob("facts/**/*.yaml"),
        *(ROOT / "sim").glob("scenarios/**/*.yaml"),
        *(ROOT / "traces").glob("**/*.yaml"),
        *(ROOT / "traces").glob("**/*.csv*"),
        ROOT / "traces" / "README.md",
        *(path for folder in ("gate", "libexec", "sudoers") for path in (ROOT / "plugins/slurm" / folder).iterdir()),
    ]
    assert {f"csched/data/{path.relative_to(ROOT)}" for path in outside} <= names
    inside = [*(ROOT / "scheduler" / "csched").rglob("data/*"), *(ROOT / "scheduler" / "csched").rglob("*.yaml")]
    assert {str(path.relative_to(ROOT / "scheduler")) for path in inside if path.is_file()} <= names
    assert not [name for name in names if "__pycache__" in name or name.startswith("csched/data/tests")]


def test_the_data_comes_from_the_wheel(installation: Installation) -> None:
    for name in ("policy_library", "policy_groups", "fleets", "demo_fleet", "example_jobs", "slurm_site"):
        place = Path(installation.shipped(name))
        assert place.is_relative_to(installation.environment)
        assert place.exists()


def test_help_answers(installation: Installation) -> None:
    done = installation.run("csched", "--help")
    assert done.returncode == 0, done.stderr
    assert "submit" in done.stdout
    assert "simulate" in done.stdout


def test_it_plans_the_shipped_jobs_on_the_shipped_fleet(installation: Installation) -> None:
    done = installation.run(
        "csched",
        "plan",
        *("--fleet", installation.shipped("demo_fleet")),
        *("--jobs", installation.shipped("example_jobs")),
        *("--policies", installation.shipped("policy_library")),
        *("--carbon", "climatology", "--now", "2026-11-23T06:00:00Z", "--budget", "10s"),
        *("--json", "plan.json"),
    )
    assert done.returncode == 0, done.stderr
    plan = json.loads((installation.desk / "plan.json").read_text())
    assert plan["schema"] == "csched/plan/1"
    assert len(plan["placements"]) > len(plan["unplaced"]) > 0
    assert plan["carbon_source"]
