"""Where the files lie that csched brings along: policies, fleets, example jobs, the gate for Slurm.

The wheel keeps them under `csched/data` in the order of the checkout; in a checkout they lie in their own folders.
"""

from functools import cache
from importlib import resources
from pathlib import Path


@cache
def _root() -> Path:
    """The folder that stands for the top of the checkout."""
    package = Path(str(resources.files("csched")))
    installed = package / "data"
    return installed if installed.is_dir() else package.parents[1]


def policy_library() -> Path:
    """The folder of policies that an admin copies; what applies where no other is named."""
    return _root() / "policies" / "library"


def policy_packs() -> Path:
    """The folder of further rules to copy from, each for itself; they are never applied together."""
    return _root() / "policies" / "packs"


def policy_groups() -> Path:
    """The folder of dated country groups, such as `EEA`."""
    return _root() / "policies" / "groups"


def fleets() -> Path:
    """The folder of shipped fleets."""
    return _root() / "traces" / "fleets"


def demo_fleet() -> Path:
    """A small fleet of four sites: what a fresh csched plans for until it is told of another."""
    return fleets() / "demo.yaml"


def example_jobs() -> Path:
    """A small jobs file (CSV) for the demo fleet."""
    return _root() / "traces" / "jobs" / "demo.csv"


def scenarios() -> Path:
    """The folder of named simulations."""
    return _root() / "sim" / "scenarios"


def slurm_site() -> Path:
    """What a Slurm site installs: `gate/` for its job_submit.lua, `libexec/` and `sudoers/` for its agent."""
    return _root() / "plugins" / "slurm"
