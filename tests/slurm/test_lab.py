"""The lab itself: it is found again, mends what was broken, and leaves nothing behind."""

import tempfile
from pathlib import Path

import pytest

from slurm_lab import ports
from slurm_lab.lab import Lab
from slurm_lab.layout import MAX_NODES, Layout
from slurm_lab.processes import Daemon, Processes


def test_a_layout_is_read_as_it_was_written(tmp_path: Path) -> None:
    layout = Layout.plan(tmp_path, 20_000, nodes=8, old=True, new=True)
    layout.write()
    assert Layout.read(tmp_path) == layout


def test_the_ports_of_a_lab_differ_and_stay_in_its_block() -> None:
    layout = Layout.plan(Path("/nowhere"), 20_000, nodes=MAX_NODES, old=True, new=True)
    taken = [layout.mariadb_port, *layout.dbd_ports.values()]
    for cluster in layout.clusters:
        first, last = map(int, cluster.node_ports.split("-"))
        taken += [cluster.port, cluster.rest_port, *range(first, last + 1)]
    assert len(taken) == len(set(taken)) == 3 + 4 * (2 + MAX_NODES)
    assert min(taken) >= 20_000
    assert max(taken) < 20_000 + ports.PORTS


@pytest.mark.parametrize("nodes", [2, 5, MAX_NODES + 2])
def test_nodes_make_two_equal_racks(nodes: int) -> None:
    with pytest.raises(ValueError, match="even number"):
        Layout.plan(Path("/nowhere"), 20_000, nodes=nodes, old=True, new=False)


def test_a_recorded_process_whose_pid_is_anothers_is_not_ended(tmp_path: Path) -> None:
    for name in ("run", "log"):
        (tmp_path / name).mkdir()
    processes = Processes(tmp_path)
    processes.start(Daemon("sleeper", ["sleep", "600"]))
    assert processes.running() == ["sleeper"]
    record = tmp_path / "run" / "sleeper.pid"
    pid, birth = record.read_text().split()
    record.write_text(f"{pid} {int(birth) - 1}")
    processes.stop(["sleeper"])
    assert Path(f"/proc/{pid}").exists(), "born at another time: another process"
    record.write_text(f"{pid} {birth}")
    processes.stop(["sleeper"])
    assert not Path(f"/proc/{pid}").exists()
    assert processes.running() == []


@pytest.mark.slurm
def test_a_killed_part_is_started_again(slurm_lab: Lab) -> None:
    before = set(slurm_lab.names())
    for name in ("bologna-slurmctld", "bologna-b1", "bologna-slurmrestd-jwt"):
        slurm_lab.kill(name)
        assert name not in slurm_lab.names()
        slurm_lab.start(name)
    slurm_lab.await_controller("bologna")
    slurm_lab.await_nodes("bologna")
    assert set(slurm_lab.names()) == before


@pytest.mark.slurm
def test_another_process_finds_the_lab(slurm_lab: Lab) -> None:
    assert Lab.open(slurm_lab.layout.home).names() == slurm_lab.names()


@pytest.mark.slurm
def test_a_lab_leaves_nothing_behind() -> None:
    home = Path(tempfile.mkdtemp(prefix="csched-lab-", dir="/tmp"))
    lab = Lab.make(home, old=False, new=True)
    first = lab.layout.first_port
    try:
        lab.up()
        pids = [lab.pid(name) for name in lab.names()]
        assert len(pids) == 1 + 1 + 1 + 1 + 1 + 4 + 2
    finally:
        lab.down()
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    assert not home.exists()
    assert str(home) not in Path("/proc/self/mounts").read_text()
    assert ports.take(home) <= first, "its ports are free again"
