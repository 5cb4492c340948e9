"""`csched site check` on real clusters: what each can do, and what differs from the fleet file."""

import json
import subprocess
from pathlib import Path

import pytest

from slurm_lab.lab import Lab

pytestmark = pytest.mark.slurm

FLEET = """
schema: csched/fleet/1
defaults: {pue: 1.2}
sites:
  - id: paris
    grid_zone: FR
    slurm: {cluster: essonne}
    partitions: [{name: gpu, hardware: gb200-nvl72, nodes: 4}, {name: gone, hardware: gb200-nvl72, nodes: 4}]
  - id: milan
    grid_zone: IT-NO
    slurm: {cluster: bologna}
    partitions: [{name: gpu, hardware: gb200-nvl72, domains: 1}]
  - id: oulu
    grid_zone: FI
    slurm: {cluster: kajaani}
    partitions: [{name: gpu, hardware: gb200-nvl72, nodes: 4}]
  - id: elsewhere
    grid_zone: SE-SE3
    partitions: [{name: gpu, hardware: gb200-nvl72, nodes: 4}]
"""

UNGATED = """
function slurm_job_submit() return slurm.SUCCESS end
function slurm_job_modify() return slurm.SUCCESS end
return slurm.SUCCESS
"""


def check(folder: Path, clusters: dict[str, object], *options: str) -> str:
    fleet = folder / "fleet.yaml"
    fleet.write_text(FLEET)
    done = subprocess.run(
        [".venv/bin/csched", "site", "check", fleet, *options],
        cwd=Path(__file__).parents[2],
        env={"CSCHED_HOME": str(folder), "CSCHED_CLUSTERS": json.dumps(clusters), "COLUMNS": "250"},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return done.stdout


def test_sites_are_asked_and_compared(slurm_lab: Lab, tmp_path: Path) -> None:
    layout = slurm_lab.layout
    token = tmp_path / "token"
    token.write_text(slurm_lab.token("bologna", "csched") + "\n")
    clusters: dict[str, object] = {
        "essonne": {"slurm_conf": str(layout.conf("essonne"))},
        "bologna": {
            "slurmrestd": f"http://127.0.0.1:{layout.cluster('bologna').rest_port}",
            "token_file": str(token),
        },
        "kajaani": {"slurmrestd": f"unix:{tmp_path}/nobody-listens"},
    }
    found = {one["site"]: one for one in json.loads(check(tmp_path, clusters, "--json"))["slurm"]}
    assert set(found) == {"paris", "milan", "oulu"}

    paris = found["paris"]
    assert (paris["facts"]["version"], paris["facts"]["api"], paris["facts"]["gate"]) == ("22.05.8", "cli", True)
    assert paris["facts"]["topology_plugin"] == "topology/tree"
    assert {part["name"]: part["max_time_s"] for part in paris["partitions"]}["short"] == 3600
    assert set(paris["accounts"]) == {"root", "csched", "physics", "health", "climate", "clinic"}
    assert paris["remarks"] == ["partition `gone` is not there"]

    milan = found["milan"]
    assert (milan["facts"]["api"], milan["facts"]["gate"]) == ("v0.0.38", None)
    assert milan["remarks"] == ["partition `gpu` has 16 GPUs, the fleet file says 72"]

    (remark,) = found["oulu"]["remarks"]
    assert remark.startswith("no answer on facts, partitions, nodes, associations")
    assert found["oulu"]["facts"] is None


def test_people_get_tables(slurm_lab: Lab, tmp_path: Path) -> None:
    said = check(tmp_path, {"essonne": {"slurm_conf": str(slurm_lab.layout.conf("essonne"))}})
    (line,) = [line for line in said.splitlines() if line.split()[:2] == ["paris", "22.05.8"]]
    assert line.split()[2:6] == ["cli", "tree", "gpu", "answers"]
    assert ["paris", "short", "UP", "4", "1", "h", "all", "normal"] in [line.split() for line in said.splitlines()]


def test_a_site_without_gate_and_with_a_wrong_name_is_remarked_on(slurm_lab: Lab, tmp_path: Path) -> None:
    gate = slurm_lab.layout.conf("kajaani").with_name("job_submit.lua")
    text = gate.read_text()
    gate.write_text(UNGATED)
    try:
        said = check(tmp_path, {"essonne": {"slurm_conf": str(slurm_lab.layout.conf("kajaani"))}}, "--json")
    finally:
        gate.write_text(text)
    remarks = json.loads(said)["slurm"][0]["remarks"]
    assert "the cluster calls itself `kajaani`" in remarks
    assert "csched's gate does not answer in job_submit.lua" in remarks
