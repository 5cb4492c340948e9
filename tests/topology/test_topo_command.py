"""csched topo, as it is typed."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from csched.cli import main
from csched.testing.nvml import PROFILES, installed

MATRIX = (
    "\tGPU0\tGPU1\tNIC0\tCPU Affinity\nGPU0\t X \tNV18\tPIX\t0-15\nGPU1\tNV18\t X \tSYS\t0-15\nNIC0\tPIX\tSYS\t X \n"
)


@pytest.fixture
def matrix(tmp_path: Path) -> Path:
    file = tmp_path / "matrix.txt"
    file.write_text(MATRIX)
    return file


def test_import_tells_the_published_document(matrix, capsys):
    assert main(["topo", "import", str(matrix), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert list(document) == ["format", "counts", "graph", "warnings"]
    assert document["counts"] == {"gpus": 2, "nics": 1, "switches": 0, "nodes": 1, "domains": 1}
    assert {"source": "GPU0", "target": "GPU1", "medium": "nvlink", "gb_per_s": 450.0, "links": 18} in document[
        "graph"
    ]["edges"]


def test_import_says_counts_and_doubts(matrix, capsys):
    assert main(["topo", "import", str(matrix)]) == 0
    said = capsys.readouterr()
    assert "nvidia-smi-topo" in said.out
    assert "one direction" in said.err
    assert main(["topo", "import", str(matrix), "--quiet"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "gpus 2"


def test_import_of_nothing_known_exits_3_with_the_place(tmp_path, capsys):
    file = tmp_path / "letter.txt"
    file.write_text("Dear admin\n")
    assert main(["topo", "import", str(file), "--json"]) == 3
    error = json.loads(capsys.readouterr().out)["error"]
    assert (error["code"], error["where"]) == ("BadInput", {"file": str(file), "line": 1})


def test_discover_shows_each_gpu_and_its_domain(capsys):
    with installed(PROFILES["GB200"]):
        assert main(["topo", "discover", "--node", "r01n05"]) == 0
    said = capsys.readouterr().out
    assert "r01n05/gpu3" in said
    assert "900" in said
    assert "01020304-0506-0708-090a-0b0c0d0e0f10.2" in said


def test_discover_tells_where_slurm_believes_something_else(tmp_path, capsys):
    conf = tmp_path / "gres.conf"
    conf.write_text("NodeName=n[0-3] Name=gpu File=/dev/nvidia[0-3]\n")
    with installed(PROFILES["H100"]):
        assert main(["topo", "discover", "--node", "n2", "--against", str(conf), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["counts"]["gpus"] == 8
    assert document["drift"] == [{"node": "n2", "what": "gpus", "believed": "4 GPUs", "seen": "8"}]
    with installed(PROFILES["GB200"]):
        assert main(["topo", "discover", "--node", "n2", "--against", str(conf)]) == 0
    assert "Slurm believes the same" in capsys.readouterr().out


def test_discover_without_gpus_says_why_and_is_no_failure(capsys):
    with installed(replace(PROFILES["H100"], library_found=False)):
        assert main(["topo", "discover", "--quiet"]) == 0
    said = capsys.readouterr()
    assert said.out.splitlines()[0] == "gpus 0"
    assert "Not Found" in said.err
