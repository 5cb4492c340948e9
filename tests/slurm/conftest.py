"""The lab of real clusters, brought up once for each test process that asks for it, and taken down at its end.

Several such processes may run at a time: each lab has its own folder and its own ports. Where the lab cannot be had
(no root, no packages, no mirror for the newer Slurm) the tests fail; they are never skipped.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from csched_slurm.transport import Transport
from slurm_lab.lab import Lab

from .sites import Federation, federation
from .ways_in import command_line, rest


@pytest.fixture(scope="session")
def slurm_lab() -> Iterator[Lab]:
    """essonne, bologna and kajaani, of Slurm 22.05."""
    yield from _lab(new=False)


@pytest.fixture(scope="session")
def slurm_2411() -> Iterator[Lab]:
    """munich, of Slurm 24.11 with topology/block."""
    yield from _lab(new=True)


def _lab(*, new: bool) -> Iterator[Lab]:
    if standing := os.environ.get("CSCHED_LAB"):  # that of `make slurm-lab-up`: it stays
        yield Lab.open(Path(standing))
        return
    home = Path(tempfile.mkdtemp(prefix="csched-lab-", dir="/tmp"))  # short: a socket's path has at most 107 bytes
    lab = Lab.make(home, old=not new, new=new)
    try:
        lab.up()
        yield lab
    finally:
        lab.down(wipe=False)
        shutil.rmtree(home)


@pytest.fixture(scope="session", params=["22.05", "24.11"])
def site(request: pytest.FixtureRequest) -> tuple[Lab, str]:
    """One cluster of each release."""
    if request.param == "22.05":
        return request.getfixturevalue("slurm_lab"), "essonne"
    return request.getfixturevalue("slurm_2411"), "munich"


@pytest.fixture(params=["command line", "slurmrestd"])
def transport(request: pytest.FixtureRequest, site: tuple[Lab, str]) -> Iterator[Transport]:
    """Each way into each release."""
    lab, cluster = site
    if request.param == "command line":
        yield command_line(lab, cluster)
    else:
        door = rest(lab, cluster)
        yield door
        door.close()


@pytest.fixture(scope="module")
def sites(slurm_lab: Lab) -> Iterator[Federation]:
    """A core, and an agent at each cluster of 22.05."""
    home = Path(tempfile.mkdtemp(prefix="csched-sites-", dir="/tmp"))
    with federation(slurm_lab, home) as made:
        yield made
    shutil.rmtree(home)
