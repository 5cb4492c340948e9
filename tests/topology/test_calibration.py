"""nccl-tests' output becomes an efficiency; the output below is made by the very formula, so that it must come back."""

import json
from dataclasses import replace

import pytest

from csched.cli import main
from csched.domain.job import Pattern
from csched.errors import InputError
from csched.testing.builders import fleet, site
from csched.topology.calibration import calibrate
from csched.topology.calibration_file import calibrated, read_calibrations
from csched.topology.catalogue import hardware_of, shipped
from csched.topology.collectives import Collective, Efficiency, Level, factor, seconds_on
from csched.topology.communication import slowdown
from csched.topology.graph import Medium
from csched.topology.workload import workload_of

HEAD = """# nThread 1 nGpus 8 minBytes 8 maxBytes 8589934592 step: 2(factor) warmup iters: 5 iters: 20 agg iters: 1
#
# Using devices
{ranks}
#
#                                                              out-of-place                       in-place
#       size         count      type   redop    root     time   algbw   busbw #wrong     time   algbw   busbw #wrong
#        (B)    (elements)                               (us)  (GB/s)  (GB/s)            (us)  (GB/s)  (GB/s)
"""


def output(share: float, latency_us: float, level: Level, *, nodes: int = 1, gpus: int = 8, title: str = "") -> str:
    """An all_reduce_perf run on hardware with just this efficiency."""
    ranks = nodes * gpus
    lines = [
        f"#  Rank {rank:2} Group  0 Pid  18112 on node{rank // gpus} device {rank % gpus:2} [0x0f] NVIDIA H100"
        for rank in range(ranks)
    ]
    known = {level.medium: Efficiency(share, latency_us * 1e-6)}
    rows = []
    for power in range(3, 34):
        size = 2**power
        seconds = seconds_on(Collective.ALL_REDUCE, size, ranks, level, known)
        algorithm = size / seconds / 1e9
        half = f"{seconds * 1e6:9.3f} {algorithm:7.3f} {algorithm * factor(Collective.ALL_REDUCE, ranks):7.3f}      0"
        in_place = f"{seconds * 2e6:9.3f} {algorithm / 2:7.3f} {algorithm / 2:7.3f}    N/A"
        rows.append(f"{size:12} {size // 4:13}     float     sum      -1 {half} {in_place}")
    return title + HEAD.format(ranks="\n".join(lines)) + "\n".join(rows) + "\n# Avg bus bandwidth    : 100.0\n"


def test_nvlink_is_calibrated_on_one_node():
    found = calibrate(output(0.8, 3.0, Level(Medium.NVLINK, 450)), "f", shipped()["dgx-h100"])
    assert (found.medium, found.collective, found.ranks, found.nodes) == (Medium.NVLINK, Collective.ALL_REDUCE, 8, 1)
    assert found.efficiency.share == pytest.approx(0.8, rel=0.01)
    assert found.efficiency.latency_s == pytest.approx(3e-6, rel=0.05)


def test_the_fabric_is_calibrated_across_nodes_by_all_nics_of_one():
    text = output(0.9, 10.0, Level(Medium.FABRIC, 400), nodes=4)
    found = calibrate(text, "f", shipped()["dgx-h100"])
    assert (found.medium, found.nodes, found.nominal_gb_per_s) == (Medium.FABRIC, 4, 400)
    assert found.efficiency.share == pytest.approx(0.9, rel=0.02), "the largest size still waits for its steps"


def test_trays_of_one_rack_speak_nvlink():
    text = output(0.7, 5.0, Level(Medium.NVLINK, 900), nodes=4, gpus=4)
    found = calibrate(text, "f", shipped()["gb300-nvl72"])
    assert (found.medium, found.nominal_gb_per_s) == (Medium.NVLINK, 900)


def test_the_collective_is_read_where_it_is_named():
    text = output(0.8, 3.0, Level(Medium.NVLINK, 450), title="# Collective test starting: all_gather_perf\n")
    assert calibrate(text, "f", shipped()["dgx-h100"]).collective is Collective.ALL_GATHER


@pytest.mark.parametrize(
    "text",
    [
        "",
        "command not found",
        HEAD.format(ranks=""),
        output(0.8, 3.0, Level(Medium.NVLINK, 450)).split("in-place")[0],
    ],
)
def test_other_text_is_refused(text):
    with pytest.raises(InputError, match="are needed"):
        calibrate(text, "f", shipped()["dgx-h100"])


def test_an_unknown_nic_cannot_be_compared_with():
    with pytest.raises(InputError, match="no NIC bandwidth"):
        calibrate(output(0.9, 10.0, Level(Medium.FABRIC, 400), nodes=2), "f", shipped()["l40s-pcie"])


def test_the_command_tells_share_and_latency(tmp_path, capsys):
    file = tmp_path / "all_reduce.txt"
    file.write_text(output(0.8, 3.0, Level(Medium.NVLINK, 450)))
    assert main(["topo", "calibrate", str(file), "--hardware", "dgx-h100", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["medium"] == "nvlink"
    assert document["share"] == pytest.approx(0.8, rel=0.01)
    assert document["latency_us"] == pytest.approx(3, rel=0.05)
    assert main(["topo", "calibrate", str(file), "--hardware", "dgx-h1000"]) == 3
    assert "did you mean `dgx-h100`" in capsys.readouterr().err


def test_what_is_kept_goes_before_the_defaults(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CSCHED_HOME", str(tmp_path))
    run = tmp_path / "run.txt"
    for share, nodes, level in ((0.8, 1, Level(Medium.NVLINK, 450)), (0.6, 1, Level(Medium.NVLINK, 450))):
        run.write_text(output(share, 3.0, level, nodes=nodes), encoding="utf-8")
        assert main(["topo", "calibrate", str(run), "--hardware", "dgx-h100", "--keep"]) == 0
    run.write_text(output(0.3, 20.0, Level(Medium.FABRIC, 400), nodes=2), encoding="utf-8")
    assert main(["topo", "calibrate", str(run), "--hardware", "dgx-h100", "--keep"]) == 0
    kept = read_calibrations(tmp_path / "calibration.yaml").hardware["dgx-h100"]
    assert [(each.medium, round(each.share, 2)) for each in kept] == [("fabric", 0.3), ("nvlink", 0.6)]

    boxes = fleet(site(partitions=[{"name": "gpu", "hardware": "dgx-h100", "nodes": 4}]))
    kind = hardware_of(calibrated(boxes, read_calibrations(tmp_path / "calibration.yaml")))["dgx-h100"]
    found = workload_of(Pattern.TP8, 16)
    assert found is not None
    torn = replace(found, split_allowed=True)
    slow, plain = (slowdown(torn, each, (6, 6, 4)) for each in (kind, shipped()["dgx-h100"]))
    assert slow is not None
    assert plain is not None
    assert slow.sigma > plain.sigma, "a fabric that gives a third of what was assumed costs more"
    capsys.readouterr()


def test_a_kept_file_that_is_none_is_refused_with_its_place(tmp_path):
    file = tmp_path / "calibration.yaml"
    assert read_calibrations(file).hardware == {}
    file.write_text("schema: csched/calibration/1\nhardware: {dgx-h100: [{medium: nvlink, share: -1, latency_s: 0}]}\n")
    with pytest.raises(InputError) as caught:
        read_calibrations(file)
    assert caught.value.where is not None
    assert caught.value.where.line == 2
