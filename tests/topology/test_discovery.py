"""What the GPUs say of themselves: every profile and fault of the stand-in, and the real library where there is one.

The tests of the first part hold on any machine; they run against each profile and, where the NVML library and a
driver are present, against the real ones.
"""

import ctypes
from dataclasses import replace

import pynvml
import pytest

from csched.testing.nvml import PROFILES, Profile, installed
from csched.topology.discovery import discover, graph_of, payload_gb_per_s
from csched.topology.drift import drift
from csched.topology.graph import NVLINK_GB_PER_S_PER_LINK, Kind, Medium, counts, group_bottleneck, of_kind
from csched.topology.importers.detect import import_text
from csched.topology.nvml_readings import NodeReading, read_node

REAL = "the real library"
HERE = read_node()


@pytest.fixture(params=[*PROFILES, *([REAL] if HERE.gpus else [])])
def machine(request) -> NodeReading:
    """A reading of each machine."""
    if request.param == REAL:
        return HERE
    with installed(PROFILES[request.param]):
        return read_node()


def test_this_machine_is_one_of_those_read():
    if not HERE.gpus:
        pytest.skip(f"left out: the real NVML library ({'; '.join(HERE.remarks)})")
    assert discover("here").counts.gpus == len(HERE.gpus)


def test_every_gpu_tells_who_it_is(machine):
    assert machine.driver
    for position, gpu in enumerate(machine.gpus):
        assert gpu.index == position
        assert gpu.uuid.startswith("GPU-")
        assert gpu.name
        assert gpu.bus_id.count(":") == 2
        assert gpu.memory_mib is not None
        assert 1_000 < gpu.memory_mib < 1_000_000
    assert len({gpu.bus_id for gpu in machine.gpus}) == len(machine.gpus)


def test_links_are_active_ones_of_one_direction(machine):
    for gpu in machine.gpus:
        for link in gpu.links:
            assert link.mb_per_s is not None
            assert payload_gb_per_s(link.mb_per_s) in NVLINK_GB_PER_S_PER_LINK.values()


def test_energy_and_power_are_plausible(machine):
    for gpu in machine.gpus:
        assert gpu.energy_mj is None or gpu.energy_mj > 0
        assert gpu.power_w is None or 5 < gpu.power_w < 5000


def test_a_domain_is_a_clique_or_this_node_and_never_all_zero(machine):
    for gpu in machine.gpus:
        assert gpu.fabric is None or len(gpu.fabric.cluster_uuid) == 36
    graph = graph_of(machine, "here").graph
    for gpu in of_kind(graph, Kind.GPU):
        domain = graph.nodes[gpu]["domain"]
        assert domain == "here" or not domain.startswith("00000000-0000-0000-0000-000000000000")


def found(profile: str | Profile) -> tuple[dict[str, int], float, Medium | None]:
    """Counts, and the bottleneck among all GPUs, on a machine."""
    with installed(PROFILES[profile] if isinstance(profile, str) else profile):
        graph = discover("n").graph
    worst = group_bottleneck(graph, of_kind(graph, Kind.GPU))
    return counts(graph).as_dict(), worst.gb_per_s, worst.medium


@pytest.mark.parametrize(
    ("profile", "gpus", "gb_per_s"),
    [("A100", 8, 300), ("H100", 8, 450), ("B200", 8, 900), ("GB200", 4, 900), ("GH200", 4, 150)],
)
def test_each_machine_has_its_one_way_bandwidth(profile, gpus, gb_per_s):
    assert found(profile) == (
        {"gpus": gpus, "nics": 0, "switches": 0, "nodes": 1, "domains": 1},
        gb_per_s,
        Medium.NVLINK,
    )


def test_only_a_fabric_that_spans_nodes_names_a_domain():
    domains = {}
    for name, profile in PROFILES.items():
        with installed(profile):
            graph = discover("n").graph
        domains[name] = {graph.nodes[gpu]["domain"] for gpu in of_kind(graph, Kind.GPU)}
    assert domains.pop("GB200") == {"01020304-0506-0708-090a-0b0c0d0e0f10.2"}
    assert set(map(frozenset, domains.values())) == {frozenset({"n"})}


def test_a_fabric_in_progress_is_not_yet_a_domain():
    with installed(replace(PROFILES["GB200"], fabric_state=pynvml.NVML_GPU_FABRIC_STATE_IN_PROGRESS)):
        graph = discover("n").graph
    assert graph.nodes["n/gpu0"]["domain"] == "n"


def test_the_state_is_one_byte_whatever_lies_beside_it():
    with installed(PROFILES["GB200"]):
        pynvml.nvmlInit()
        reading = pynvml.c_nvmlGpuFabricInfoV_t()
        pynvml.nvmlDeviceGetGpuFabricInfoV(pynvml.nvmlDeviceGetHandleByIndex(0), ctypes.byref(reading))
        assert reading.state != pynvml.NVML_GPU_FABRIC_STATE_COMPLETED, "pynvml reads four bytes"
        node = read_node()
    assert all(gpu.fabric and gpu.fabric.completed for gpu in node.gpus)


def test_power_is_that_of_the_module_where_a_grace_cpu_shares_it():
    with installed(PROFILES["GB200"]):
        gpu = read_node().gpus[0]
    assert (gpu.power_w, gpu.power_of_module) == (467.0, True)
    assert gpu.platform is not None
    assert (gpu.platform.tray, gpu.platform.slot, gpu.platform.chassis) == (4, 14, "1820000000001")
    with installed(PROFILES["H100"]):
        gpu = read_node().gpus[0]
    assert (gpu.power_w, gpu.power_of_module) == (70.0, False)
    assert gpu.energy_mj == 2**33


def test_mig_slices_are_all_found_past_the_holes_and_have_no_nvlink():
    with installed(PROFILES["MIG"]):
        node = read_node()
        imported = discover("n")
    assert [len(gpu.mig or ()) for gpu in node.gpus] == [3, 3]
    assert {part.uuid[:4] for gpu in node.gpus for part in gpu.mig or ()} == {"MIG-"}
    assert node.gpus[0].links == ()
    assert imported.graph.nodes["n/gpu0"]["mig"] == 3
    assert imported.warnings == ("n/gpu0 and n/gpu1 cannot read each other's memory",)


def test_p2p_is_asked_with_a_number_for_pynvml_names_it_by_a_tuple():
    with installed(PROFILES["H100"]):
        pynvml.nvmlInit()
        pair = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in (0, 1)]
        with pytest.raises(ctypes.ArgumentError):
            pynvml.nvmlDeviceGetP2PStatus(*pair, pynvml.NVML_P2P_CAPS_INDEX_READ)
        assert read_node().no_p2p == ()


def test_a_lost_gpu_is_said_and_the_others_are_found():
    with installed(replace(PROFILES["H100"], lost=frozenset({3}))):
        imported = discover("n")
    assert imported.counts.gpus == 7
    assert "n/gpu3" not in imported.graph
    assert imported.warnings == ("GPU 3 does not answer: `GPU is lost`",)


@pytest.mark.parametrize(
    "missing",
    [
        "nvmlDeviceGetGpuFabricInfoV",
        "nvmlDeviceGetPlatformInfo",
        "nvmlDeviceGetNvLinkRemoteDeviceType",
        "nvmlDeviceGetFieldValues",
        "nvmlDeviceGetNvLinkState",
        "nvmlDeviceGetMigMode",
        "nvmlDeviceGetTotalEnergyConsumption",
        "nvmlDeviceGetP2PStatus",
        "nvmlDeviceGetTopologyCommonAncestor",
        "nvmlDeviceGetUUID",
    ],
)
def test_an_older_driver_leaves_a_gap_and_no_crash(missing):
    with installed(replace(PROFILES["GB200"], missing=frozenset({missing}))):
        imported = discover("n")
    assert imported.counts.gpus == 4
    assert [warning for warning in imported.warnings if missing in warning]


def test_without_remote_types_links_to_no_gpu_here_lead_to_the_switch():
    for name in ("H100", "GH200"):
        profile = replace(PROFILES[name], missing=frozenset({"nvmlDeviceGetNvLinkRemoteDeviceType"}))
        assert found(profile)[1:] == found(name)[1:]


@pytest.mark.parametrize(
    ("fault", "said"),
    [({"driver_loaded": False}, "driver not loaded"), ({"library_found": False}, "library not found")],
)
def test_without_driver_or_library_there_are_no_gpus_and_a_reason(fault, said):
    with installed(replace(PROFILES["H100"], **fault)):
        imported = discover("n")
    assert imported.counts.gpus == 0
    assert said in imported.warnings[0].lower()


def test_nvml_is_shut_down_however_the_reading_ends():
    with installed(PROFILES["B200"]) as library:
        read_node()
        assert library.started == 0


def test_pynvml_is_left_as_it_was_found():
    before = (pynvml.nvmlLib, pynvml.CDLL)
    with installed(PROFILES["B200"]):
        read_node()
    assert (pynvml.nvmlLib, pynvml.CDLL) == before
    assert not pynvml._nvmlGetFunctionPointer_cache


def test_speeds_with_protocol_are_reckoned_as_payload():
    assert [payload_gb_per_s(speed) for speed in (25_781, 26_562, 53_125)] == [25, 25, 50]


def seen(profile: str, node: str = "n0"):
    with installed(PROFILES[profile]):
        return discover(node).graph


def gres(text: str):
    return import_text(text, "gres.conf").graph


def test_where_slurm_and_the_gpus_agree_there_is_no_drift():
    believed = gres("NodeName=n[0-1] Name=gpu File=/dev/nvidia[0-7]")
    assert drift(believed, seen("H100")) == []
    assert drift(gres("Name=gpu File=/dev/nvidia[0-7]"), seen("H100")) == []
    slices = "\n".join(f"NodeName=n0 Name=gpu Count=1 File=/dev/nvidia-caps/nvidia-cap{cap}" for cap in range(6))
    assert drift(gres(slices), seen("MIG")) == []


@pytest.mark.parametrize(
    ("conf", "profile", "what"),
    [
        ("NodeName=n0 Name=gpu File=/dev/nvidia[0-3]", "H100", "gpus"),
        ("NodeName=n0 Name=gpu File=/dev/nvidia[0,2-8]", "H100", "devices"),
        ("Name=gpu File=/dev/nvidia0 Links=-1,4\nName=gpu File=/dev/nvidia1 Links=4,-1", "MIG", "gpus"),
        (
            "".join(
                f"Name=gpu File=/dev/nvidia{one} Links={','.join('-1' if one == two else '6' for two in range(8))}\n"
                for one in range(8)
            ),
            "H100",
            "links",
        ),
    ],
)
def test_drift_of_devices_is_told(conf, profile, what):
    found = drift(gres(conf), seen(profile))
    assert [each.what for each in found] == [what]
    assert str(found[0]).startswith("n0: Slurm believes ")


def blocks(text: str):
    return import_text(text, "topology.conf").graph


def test_drift_of_domains_is_told():
    racks = blocks("BlockName=r1 Nodes=n[0-17]\nBlockName=r2 Nodes=n[18-35]\n")
    assert drift(racks, seen("GB200")) == []
    alone = drift(racks, seen("H100"))
    assert [(each.what, each.seen) for each in alone] == [("domain", "an NVLink domain of this node alone")]
    unknown = drift(racks, seen("GB200", "elsewhere"))
    assert [each.believed for each in unknown] == ["no block"]
    both = seen("GB200", "n0")
    both.update(seen("GB200", "n18"))
    assert [each.seen for each in drift(racks, both)] == ["one NVLink domain"]
