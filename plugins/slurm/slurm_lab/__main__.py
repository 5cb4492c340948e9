"""`python -m slurm_lab up|look|down`: the lab by hand; `make slurm-lab-up` and `make slurm-lab-down` call it."""

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

from slurm_lab.lab import Lab

DEFAULT_HOME = Path(tempfile.gettempdir()) / "csched-lab"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m slurm_lab", description=__doc__)
    parser.add_argument("what", choices=["up", "look", "down"])
    parser.add_argument("--home", type=Path, default=DEFAULT_HOME, help="folder of the lab (%(default)s)")
    parser.add_argument("--nodes", type=int, default=4, help="nodes of each cluster (%(default)s)")
    parser.add_argument("--newer", action="store_true", help="also a fourth cluster, of Slurm 24.11")
    arguments = parser.parse_args()
    try:
        {"up": _up, "look": _look, "down": _down}[arguments.what](arguments)
    except (OSError, RuntimeError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def _up(arguments: argparse.Namespace) -> None:
    began = time.monotonic()
    if (arguments.home / "lab.json").exists():
        raise RuntimeError(f"there is a lab in {arguments.home}; `make slurm-lab-down` ends it")
    lab = Lab.make(arguments.home, nodes=arguments.nodes, new=arguments.newer)
    try:
        lab.up()
    except BaseException:
        shutil.copytree(arguments.home / "log", DEFAULT_HOME.with_suffix(".log"), dirs_exist_ok=True)
        lab.down()
        raise
    print(f"up after {time.monotonic() - began:.1f} s")  # noqa: T201
    _look(arguments)


def _look(arguments: argparse.Namespace) -> None:
    lab = Lab.open(arguments.home)
    for cluster in lab.layout.clusters:
        nodes = lab.run(cluster.name, ["sinfo", "--noheader", "--partition=gpu", "--format=%D nodes %T"], check=False)
        print(f"{cluster.name:8}  Slurm {cluster.release}  {', '.join(nodes.splitlines()) or 'does not answer'}")  # noqa: T201
        print(f"          export SLURM_CONF={lab.layout.conf(cluster.name)}")  # noqa: T201


def _down(arguments: argparse.Namespace) -> None:
    if not (arguments.home / "lab.json").exists():
        raise RuntimeError(f"there is no lab in {arguments.home}")
    Lab.open(arguments.home).down()


if __name__ == "__main__":
    sys.exit(main())
