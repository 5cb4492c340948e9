"""What other tools tell is read whole, counted right, and refused with a place where it is wrong."""

import gzip
import json
import textwrap
from pathlib import Path

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csched.errors import InputError
from csched.topology.graph import Kind, Medium, as_document, bottleneck, group_bottleneck, of_kind
from csched.topology.importers import imported, xml_elements
from csched.topology.importers.detect import import_file, import_text
from csched.topology.importers.hostlist import MAX_NAMES, expand

# file -> (format, gpus, nics, switches, nodes, domains)
REAL = {
    "fabric/ibnetdiscover_dgx_pod.out.gz": ("ibnetdiscover", 0, 582, 40, 119, 0),
    "fabric/netq_topologyGraph.json.gz": ("netq", 0, 32, 3, 8, 0),
    "fabric/topograph_model_dual-xclr-irregular.yaml": ("topograph-model", 0, 0, 34, 255, 2),
    "fabric/topograph_model_dual-xclr-regular.yaml": ("topograph-model", 0, 0, 19, 96, 2),
    "fabric/topograph_model_large.yaml": ("topograph-model", 0, 0, 19, 96, 12),
    "fabric/topograph_model_medium.yaml": ("topograph-model", 0, 0, 7, 8, 4),
    "fabric/topograph_model_nvl72.yaml": ("topograph-model", 0, 0, 7, 72, 4),
    "fabric/topograph_model_small-tree.yaml": ("topograph-model", 0, 0, 3, 6, 2),
    "nccl_xml/azure_ncv4-graph.xml": ("nccl-graph", 4, 0, 0, 1, 1),
    "nccl_xml/azure_ncv4-topo.xml": ("nccl-topology", 4, 1, 0, 1, 1),
    "nccl_xml/azure_ndv2-topo.xml": ("nccl-topology", 8, 1, 0, 1, 1),
    "nccl_xml/azure_ndv4-topo.xml": ("nccl-topology", 8, 8, 0, 1, 1),
    "nccl_xml/azure_ndv5-topo.xml": ("nccl-topology", 8, 8, 0, 1, 1),
    "nccl_xml/oci_H100-topology.xml": ("nccl-topology", 8, 8, 0, 1, 1),
    "nccl_xml/oci_topo-flattened-b4.xml": ("nccl-topology", 8, 8, 0, 1, 1),
    "nccl_xml/oci_topo-flattened.xml": ("nccl-topology", 8, 8, 0, 1, 1),
    "nodes/openb_node_list_all_node.csv": ("openb-nodes", 6212, 0, 0, 1523, 0),
    "nvidia_smi_topo/dlperf_v100x8_sxm2_1nic.txt": ("nvidia-smi-topo", 8, 1, 0, 1, 1),
    "nvidia_smi_topo/dlperf_v100x8_sxm2_2nic.txt": ("nvidia-smi-topo", 8, 2, 0, 1, 1),
    "nvidia_smi_topo/dstack_h100x8_sxm5_1nic.txt": ("nvidia-smi-topo", 8, 1, 0, 1, 1),
    "nvidia_smi_topo/ml-engineering_2gpu_nvlink2.txt": ("nvidia-smi-topo", 2, 0, 0, 1, 1),
    "nvidia_smi_topo/ml-engineering_2gpu_pcie.txt": ("nvidia-smi-topo", 2, 0, 0, 1, 1),
    "nvidia_smi_topo/ml-engineering_a100x8.txt": ("nvidia-smi-topo", 8, 0, 0, 1, 1),
    "nvidia_smi_topo/ml-engineering_h100x8.txt": ("nvidia-smi-topo", 8, 0, 0, 1, 1),
    "nvidia_smi_xml/qx-a100.xml.gz": ("nvidia-smi-xml", 1, 0, 0, 1, 1),
    "nvidia_smi_xml/qx-b200.xml.gz": ("nvidia-smi-xml", 8, 0, 0, 1, 1),
    "nvidia_smi_xml/qx-gb200.xml.gz": ("nvidia-smi-xml", 4, 0, 0, 1, 1),
    "nvidia_smi_xml/qx-h100.xml.gz": ("nvidia-smi-xml", 8, 0, 0, 1, 1),
    "nvidia_smi_xml/qx-l40s.xml.gz": ("nvidia-smi-xml", 1, 0, 0, 1, 1),
    "nvidia_smi_xml/qx-t4.xml.gz": ("nvidia-smi-xml", 1, 0, 0, 1, 1),
    "slurm/nstda_tara_topology.conf": ("slurm-topology-conf", 0, 0, 5, 10, 0),
    "slurm/slurm_check_block.topology.conf": ("slurm-topology-conf", 0, 0, 0, 32, 8),
    "slurm/slurm_man_gres.conf": ("slurm-gres", 67, 0, 0, 17, 0),
    "slurm/slurm_man_topology.conf": ("slurm-topology-conf", 0, 0, 4, 155, 4),
    "slurm/slurm_man_topology.yaml": ("slurm-topology-yaml", 0, 0, 3, 32, 4),
    "slurm/slurm_test133_1_case1.topology.conf": ("slurm-topology-conf", 0, 0, 529, 10_000, 0),
    "slurm/slurm_test133_1_case2.topology.conf": ("slurm-topology-conf", 0, 0, 528, 10_000, 0),
    "slurm/slurm_test133_1_case3.topology.conf": ("slurm-topology-conf", 0, 0, 23, 400, 0),
    "slurm/taranis_gres.conf": ("slurm-gres", 12, 0, 0, 3, 0),
    "slurm/topograph_expected.slinky-dra-block.conf": ("slurm-topology-conf", 0, 0, 0, 96, 12),
    "slurm/topograph_expected.slinky-oci-sim-tree.conf": ("slurm-topology-conf", 0, 0, 19, 96, 0),
}


@pytest.mark.parametrize("name", REAL)
def test_every_real_file_is_counted_as_it_is(name, shared_topology):
    found = import_file(shared_topology(name))
    assert (found.format, *found.counts.as_dict().values()) == REAL[name]


def test_no_real_file_is_forgotten(shared_topology):
    folder = shared_topology()
    assert {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} == set(REAL)


def test_domains_of_the_real_nvl72_model_are_racks_of_eighteen(shared_topology):
    graph = import_file(shared_topology("fabric/topograph_model_nvl72.yaml")).graph
    sizes: dict[str, int] = {}
    for node in of_kind(graph, Kind.NODE):
        sizes[graph.nodes[node]["domain"]] = sizes.get(graph.nodes[node]["domain"], 0) + 1
    assert list(sizes.values()) == [18, 18, 18, 18]


def test_the_real_gb200_is_in_its_clique_and_the_real_b200_in_none_but_its_node(shared_topology):
    tray = import_file(shared_topology("nvidia_smi_xml/qx-gb200.xml.gz")).graph
    assert tray.nodes["GPU0"]["domain"] == "00000001-0000-0000-0000-000000000001.2"
    assert tray.nodes["GPU0"]["power_limit_w"] == 1200
    box = import_file(shared_topology("nvidia_smi_xml/qx-b200.xml.gz")).graph
    assert {box.nodes[gpu]["domain"] for gpu in of_kind(box, Kind.GPU)} == {"node"}


def test_the_real_h100_of_nccl_has_450_gb_per_s_each_and_nics_of_45(shared_topology):
    graph = import_file(shared_topology("nccl_xml/oci_H100-topology.xml")).graph
    for gpu in of_kind(graph, Kind.GPU):
        assert graph.edges[gpu, "nvswitch"]["gb_per_s"] == 450
    assert {graph.nodes[nic]["gb_per_s"] for nic in of_kind(graph, Kind.NIC)} == {45.0}


def test_the_real_cube_mesh_of_v100_keeps_its_uneven_links(shared_topology):
    graph = import_file(shared_topology("nvidia_smi_topo/dlperf_v100x8_sxm2_1nic.txt")).graph
    assert graph.edges["GPU0", "GPU3"]["gb_per_s"] == 50, "two links of 25 GB/s"
    assert graph.edges["GPU0", "GPU1"]["gb_per_s"] == 25
    assert graph.degree("GPU0") - sum(graph.nodes[other]["kind"] == Kind.PCI for other in graph.adj["GPU0"]) == 4


def test_the_real_fabric_joins_a_leaf_to_each_spine_by_two_ndr_cables(shared_topology):
    graph = import_file(shared_topology("fabric/ibnetdiscover_dgx_pod.out.gz")).graph
    leaf, spine = "S-2c5eab0300b87b40", "S-2c5eab0300c26280"
    assert graph.edges[leaf, spine]["gb_per_s"] == 2 * 50
    assert {graph.nodes[nic].get("node") for nic in graph.adj[leaf]} >= {"a08-p1-dgx-04-c01"}


SMI_TERMINAL = (
    "\t\x1b[4mGPU0\tGPU1\tNIC0\tNIC1\tCPU Affinity\tNUMA Affinity\tGPU NUMA ID\x1b[0m\n"
    "GPU0\t X \tNV12\tPXB\tPXB\t0-63\t0\t\tN/A\nGPU1\tNV12\t X \tSYS\tSYS\t64-127\t1\t\tN/A\n"
    "NIC0\tPXB\tSYS\t X \tPXB\t\t\t\t\nNIC1\tPXB\tSYS\tPXB\t X \t\t\t\t\n\n"
    "Legend:\n\n  X    = Self\n\nNIC Legend:\n\n  NIC0: mlx5_0\n  NIC1: mlx5_1\n"
)
SMI_PCIE = (
    "\tGPU0\tGPU1\tGPU2\tGPU3\tCPU Affinity\tNUMA Affinity\tGPU NUMA ID\n"
    "GPU0\t X \tNODE\tNODE\tNODE\t0-119\t0\t\tN/A\nGPU1\tNODE\t X \tNODE\tNODE\t0-119\t0\t\tN/A\n"
    "GPU2\tNODE\tNODE\t X \tNODE\t0-119\t0\t\tN/A\nGPU3\tNODE\tNODE\tNODE\t X \t0-119\t0\t\tN/A\n\nLegend:\n"
)
SMI_OLD = (
    "\tGPU0\tGPU1\tGPU2\tCPU Affinity\tNUMA Affinity\n"
    "GPU0\t X \tNV4\tNODE\t0-31,64-95\t0\nGPU1\tNV4\t X \tNODE\t0-31,64-95\t0\nGPU2\tNODE\tNODE\t X \t0-31,64-95\t0\n"
)
SMI_ONE = "\tGPU0\tCPU Affinity\tNUMA Affinity\tGPU NUMA ID\nGPU0\t X \t0-15\t0\t\tN/A\n"


def matrix(gpus: int, cell: str) -> str:
    """A `topo -m` in which all pairs of GPUs show the same cell."""
    header = "\t" + "\t".join(f"GPU{number}" for number in range(gpus)) + "\tCPU Affinity\n"
    rows = ("\t".join(" X " if row == column else cell for column in range(gpus)) for row in range(gpus))
    return header + "".join(f"GPU{number}\t{row}\t0-15\n" for number, row in enumerate(rows))


QUAD, EIGHT = matrix(4, "NV6"), matrix(8, "NV18")

SMI_XML = """<?xml version="1.0" ?>
<!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v13.dtd">
<nvidia_smi_log><attached_gpus>2</attached_gpus>
<gpu id="00000000:29:00.0"><product_name>NVIDIA GB200</product_name>
<platformInfo><tray_index>4</tray_index><peer_type>Switch Connected</peer_type></platformInfo>
<pci><pci_gpu_link_info><pcie_gen><max_link_gen>5</max_link_gen></pcie_gen>
<link_widths><max_link_width>16x</max_link_width></link_widths></pci_gpu_link_info></pci>
<fabric><state>Completed</state><cliqueId>2</cliqueId><clusterUuid>CLUSTER</clusterUuid></fabric></gpu>
<gpu id="00000000:3F:00.0"><mig_devices><mig_device/><mig_device/></mig_devices>
<fabric><state>In progress</state><cliqueId>2</cliqueId><clusterUuid>CLUSTER</clusterUuid></fabric></gpu>
</nvidia_smi_log>
"""
NCCL = """<system version="1"><cpu numaid="0">
<pci busid="ffff:ff:01.0" class="0x060400" link_speed="32.0 GT/s PCIe" link_width="16">
<pci busid="0001:00:00.0" class="0x030200" link_speed="32.0 GT/s PCIe" link_width="16">
<gpu dev="0" sm="90"><nvlink target="0002:00:00.0" count="6" tclass="0x030200"/></gpu></pci>
<pci busid="0101:00:00.0" class="0x020700" link_speed="32.0 GT/s PCIe" link_width="16">
<nic><net name="mlx5_0" speed="400000"/></nic></pci></pci>
<pci busid="0002:00:00.0" class="0x030200" link_speed="2.5 GT/s" link_width="16">
<gpu dev="1" sm="90"><nvlink target="0001:00:00.0" count="6" tclass="0x030200"/></gpu></pci></cpu></system>
"""
TOPOGRAPH = json.dumps(
    {
        "instances": [
            {
                "id": f"n{number}",
                "network_layers": ["leaf", "spine"],
                "labels": {"accelerator.topograph.run/domain": key},
            }
            for number, key in enumerate(["ab-1.7", "ab-1.7", "00000000-0000-0000-0000-000000000000.0"])
        ]
    }
)
MODEL = (
    "switches:\n  core:\n    switches: [leaf]\nblocks:\n- switch: leaf\n  nodes: ['n[1-4]']\n"
    "  annotations: {accelerator.topology.test/domain: d1}\n"
)
IB = textwrap.dedent("""\
    vendid=0x2c9
    Switch\t65 "S-2c5e"\t\t# "MF0;LEAF-1:MQM9701/U1" enhanced port 0 lid 73 lmc 0
    [1]\t"H-e09d"[1](e09d) \t\t# "dgx-01 mlx5_5" lid 647 4xNDR
    [2]\t"S-2c5f"[7]\t\t# "MF0;SPINE-1:MQM9701/U1" lid 236 4xNDR

    Switch\t65 "S-2c5f"\t\t# "MF0;SPINE-1:MQM9701/U1" enhanced port 0 lid 74 lmc 0
    [7]\t"S-2c5e"[2]\t\t# "MF0;LEAF-1:MQM9701/U1" lid 73 4xNDR

    Ca\t1 "H-e09d"\t\t# "dgx-01 mlx5_5"
    [1](e09d) \t"S-2c5e"[1]\t\t# lid 647 lmc 0 "MF0;LEAF-1:MQM9701/U1" lid 73 4xNDR
    """)
NETQ = json.dumps(
    [
        {
            "nodes": [
                {
                    "compounded_nodes": [
                        {"id": "node0", "name": "leaf", "device_type": "switch", "tier": 1},
                        {"id": "node1", "name": "dgx-01", "device_type": "discovered_via_lldp", "tier": -1},
                    ]
                }
            ],
            "links": [
                {
                    "compounded_links": [
                        {"interfaces": [{"interface": "swp1", "node": "node0"}, {"interface": "ens1", "node": "node1"}]}
                    ]
                }
            ],
        }
    ]
)
TREE = (
    "# a tree\nSwitchName=root Switches=s[0-1] LinkSpeed=900\n"
    "SwitchName=s0 Nodes=n[1-2]\nswitchname=s1 \\\n  nodes=n[3-4]\n"
)
BLOCKS = "BlockName=r01 Nodes=r01n[01-18]\nBlockName=r02 Nodes=r02n[01-17]\nBlockSizes=18,36\n"
SLURM_YAML = """- topology: nvl
  cluster_default: true
  block:
    block_sizes: [18, 36]
    blocks:
      - {block: r01, nodes: "r01n[01-18]"}
      - {block: r02, nodes: "r02n[01-18]"}
"""
GRES = (
    "AutoDetect=off\nNodeName=n[0-1] Name=gpu Type=a100 File=/dev/nvidia[0-3] COREs=0,1\nNodeName=n2 Name=gpu Count=2\n"
)
OPENB = "sn,cpu_milli,memory_mib,gpu,model\nopenb-node-0000,32000,262144,0,\nopenb-node-0001,96000,393216,8,V100M32\n"

SAMPLES = {
    "terminal": (SMI_TERMINAL, "nvidia-smi-topo", 2, 2, 0, 1, 1),
    "no terminal": (SMI_TERMINAL.replace("\x1b[4m", "").replace("\x1b[0m", ""), "nvidia-smi-topo", 2, 2, 0, 1, 1),
    "no leading tab": (SMI_TERMINAL.lstrip("\t"), "nvidia-smi-topo", 2, 2, 0, 1, 1),
    "pcie": (SMI_PCIE, "nvidia-smi-topo", 4, 0, 0, 1, 1),
    "old driver": (SMI_OLD, "nvidia-smi-topo", 3, 0, 0, 1, 1),
    "one gpu": (SMI_ONE, "nvidia-smi-topo", 1, 0, 0, 1, 1),
    "quad": (QUAD, "nvidia-smi-topo", 4, 0, 0, 1, 1),
    "eight": (EIGHT, "nvidia-smi-topo", 8, 0, 0, 1, 1),
    "smi xml": (SMI_XML, "nvidia-smi-xml", 2, 0, 0, 1, 2),
    "nccl": (NCCL, "nccl-topology", 2, 1, 0, 1, 1),
    "topograph": (TOPOGRAPH, "topograph-graph", 0, 0, 2, 3, 2),
    "model": (MODEL, "topograph-model", 0, 0, 2, 4, 1),
    "ib": (IB, "ibnetdiscover", 0, 1, 2, 1, 0),
    "netq": (NETQ, "netq", 0, 1, 1, 1, 0),
    "tree": (TREE, "slurm-topology-conf", 0, 0, 3, 4, 0),
    "blocks": (BLOCKS, "slurm-topology-conf", 0, 0, 0, 35, 2),
    "slurm yaml": (SLURM_YAML, "slurm-topology-yaml", 0, 0, 0, 36, 2),
    "gres": (GRES, "slurm-gres", 10, 0, 0, 3, 0),
    "openb": (OPENB, "openb-nodes", 8, 0, 0, 2, 0),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_the_format_is_told_by_the_content(name):
    text, *expected = SAMPLES[name]
    found = import_text(text, "anything.txt")
    assert [found.format, *found.counts.as_dict().values()] == expected
    document = found.as_dict()
    assert list(document) == ["format", "counts", "graph", "warnings"]
    json.dumps(document, allow_nan=False)
    again = nx.node_link_graph(document["graph"], edges="edges")
    assert as_document(again) == document["graph"]


def test_a_packed_file_is_unpacked(tmp_path: Path):
    packed = tmp_path / "topo.gz"
    packed.write_bytes(gzip.compress(EIGHT.encode()))
    assert import_file(packed).counts.gpus == 8


def test_links_on_all_pairs_beyond_what_a_gpu_has_mean_a_switch():
    eight = import_text(EIGHT, "f").graph
    assert [eight.edges[gpu, "nvswitch"]["gb_per_s"] for gpu in of_kind(eight, Kind.GPU)] == [450] * 8
    quad = import_text(QUAD, "f").graph
    assert of_kind(quad, Kind.NVSWITCH) == []
    assert quad.edges["GPU0", "GPU3"]["gb_per_s"] == 150


def test_pcie_distances_become_a_tree():
    graph = import_text(SMI_TERMINAL, "f").graph
    assert nx.has_path(graph, "GPU0", "NIC1")
    bridges = graph.nodes["node/bridges0"]
    assert bridges["level"] == "PXB"
    assert sorted(graph.adj["node/bridges0"]) == ["GPU0", "NIC0", "NIC1", "node/system"]
    assert graph.nodes["NIC1"]["device"] == "mlx5_1"


def test_zero_uuid_and_an_unfinished_fabric_mean_this_node():
    graph = import_text(SMI_XML, "f").graph
    assert graph.nodes["GPU0"]["domain"] == "CLUSTER.2"
    assert graph.nodes["GPU1"]["domain"] == "node", "its state is not Completed"
    zero = import_text(SMI_XML.replace("CLUSTER", "00000000-0000-0000-0000-000000000000"), "f").graph
    assert {zero.nodes[gpu]["domain"] for gpu in of_kind(zero, Kind.GPU)} == {"node"}
    assert graph.nodes["GPU1"]["mig"] == 2
    assert graph.edges["GPU0", "system"]["gb_per_s"] == 64
    assert import_text(TOPOGRAPH, "f").graph.nodes["n2"]["domain"] == "n2"


def test_a_link_told_from_both_ends_counts_once():
    nccl = import_text(NCCL, "f").graph
    assert nccl.edges["0001:00:00.0", "0002:00:00.0"]["gb_per_s"] == 150
    fabric = import_text(IB, "f").graph
    assert fabric.edges["S-2c5e", "S-2c5f"]["gb_per_s"] == 50
    assert bottleneck(fabric, "H-e09d", "S-2c5f").medium == Medium.FABRIC


def test_links_of_gres_conf_join_a_direct_mesh_only():
    lines = [f"Name=gpu File=/dev/nvidia{number} Links={links}" for number, links in enumerate(["-1,4", "4,-1"])]
    mesh = import_text("\n".join(lines), "f")
    assert group_bottleneck(mesh.graph, of_kind(mesh.graph, Kind.GPU)).gb_per_s == 100
    silent = import_text("\n".join(lines).replace("4", "0"), "f")
    assert silent.graph.number_of_edges() == 0
    assert any("NVSwitch" in warning for warning in silent.warnings)


def test_small_blocks_and_missing_switches_are_said():
    assert any("r02" in warning for warning in import_text(BLOCKS, "f").warnings)
    told = import_text("SwitchName=root Switches=s[0-1]\nSwitchName=s0 Nodes=n1\n", "f").warnings
    assert "switches that are named but not described: s1" in told


WRONG = {
    "driver message": ("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.", 1, "known"),
    "asymmetric": ("\tGPU0\tGPU1\nGPU0\t X \tSYS\nGPU1\tPIX\t X \n", 3, "way back"),
    "short row": ("\tGPU0\tGPU1\nGPU0\t X \n", 2, "not whole"),
    "diagonal": ("\tGPU0\tGPU1\nGPU0\tSYS\tSYS\nGPU1\tSYS\t X \n", 2, "not X"),
    "empty": ("", None, "no topology"),
    "only comments": ("# nothing\n\n", None, "no topology"),
    "binary": ("\0\0\0", None, "no topology"),
    "cut xml": (SMI_XML[:300], 6, "not whole XML"),
    "other xml": ("<html></html>", 1, "no known tool"),
    "no gpu": ("<system version='1'><cpu numaid='0'/></system>", 1, "no GPU"),
    "bus id twice": (NCCL.replace('0002:00:00.0" class', '0001:00:00.0" class'), 7, "twice"),
    "cut json": (TOPOGRAPH[:60], 1, "not JSON"),
    "no number": ('{"instances": [{"id": NaN}]}', None, "NaN"),
    "half a pair": ('{"instances": [{"id": "\\ud800"}]}', None, "surrogate"),
    "deep json": ("[" * 100_000, None, "not JSON"),
    "no instances": ("{}", None, "instances"),
    "no id": ('{"instances": [{}]}', None, "`id`"),
    "cable to nowhere": (NETQ.replace('"node": "node1"', '"node": "node9"'), None, "not there"),
    "cut fabric": (IB[: IB.index('MF0;SPINE-1:MQM9701/U1" enh')], 6, "without its name"),
    "node in two blocks": (BLOCKS + "BlockName=r03 Nodes=r01n01\n", 4, "r01"),
    "no key": ("SwitchName=s0 nodes\n", 1, "Key=Value"),
    "key twice": ("SwitchName=s0 Nodes=a Nodes=b\n", 1, "twice"),
    "switch below itself": ("SwitchName=s0 Switches=s0\n", 1, "itself"),
    "open bracket": ("BlockName=b Nodes=n[1-\n", 1, "host list"),
    "hostlist function": ("SwitchName=s0 Nodes=block{b1}\n", 1, "function"),
    "other line": ("BlockName=b Nodes=n1\nPartitionName=x\n", 2, "partitionname"),
    "endless": ("BlockName=b Nodes=n1\\", 1, "continues"),
    "two shapes": ("- topology: a\n  flat: true\n  tree: {}\n", 1, "exactly one"),
    "yaml tag": ("- topology: !!python/name:os.system x\n  flat: true\n", 1, "tag"),
    "gpus that are none": ("Name=gpu Count=many\n", 1, "number of GPUs"),
    "openb row": (OPENB + "x,1\n", 4, "columns"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_refused_with_its_place(name):
    text, line, words = WRONG[name]
    with pytest.raises(InputError) as caught:
        import_text(text, "given.txt")
    assert words in caught.value.message
    assert caught.value.where is not None
    assert (caught.value.where.file, caught.value.where.line) == ("given.txt", line)


LAUGHS = "<!DOCTYPE system [<!ENTITY a 'ha'><!ENTITY b '&a;&a;'>]>\n<system><cpu numaid='&b;'/></system>"
FETCH = "<!DOCTYPE system [<!ENTITY x SYSTEM 'file:///etc/passwd'>]>\n<system>&x;</system>"
SKIPPED = "<!DOCTYPE nvidia_smi_log SYSTEM 'file:///etc/passwd'>\n<nvidia_smi_log>&x;</nvidia_smi_log>"


@pytest.mark.parametrize("text", [LAUGHS, FETCH, SKIPPED])
def test_entities_are_never_unfolded_or_fetched(text):
    with pytest.raises(InputError, match="not allowed"):
        import_text(text, "hostile.xml")


def test_xml_is_bounded(monkeypatch):
    deep = "<system>" + "<pci>" * 100 + "</pci>" * 100 + "</system>"
    with pytest.raises(InputError, match="deeper"):
        import_text(deep, "deep.xml")
    monkeypatch.setattr(xml_elements, "MAX_ELEMENTS", 50)
    with pytest.raises(InputError, match="more than 50"):
        import_text("<system>" + "<cpu/>" * 60 + "</system>", "wide.xml")
    monkeypatch.setattr(xml_elements, "MAX_TEXT", 1000)
    with pytest.raises(InputError, match="more than 1000"):
        import_text(f"<system>{'x' * 200_000}</system>", "long.xml")


@pytest.mark.parametrize(
    "text",
    [
        f"BlockName=b Nodes=n[0-{10**12}]",
        "BlockName=b Nodes=n[0-9999][0-9999]",
        "NodeName=n[0-99999] Name=gpu Count=1024",
        "\n".join(f"SwitchName=s{number} Nodes=n{number}-[0-{MAX_NAMES - 1}]" for number in range(2)),
    ],
)
def test_a_short_line_cannot_make_a_huge_cluster(text, monkeypatch):
    monkeypatch.setattr(imported, "MAX_VERTICES", 20_000)
    with pytest.raises(InputError, match="more than"):
        import_text(text, "huge.conf")


@pytest.mark.parametrize(
    ("short", "names"),
    [
        ("n[1-3]", ["n1", "n2", "n3"]),
        ("srv[01-02,10],login", ["srv01", "srv02", "srv10", "login"]),
        ("r[1-2]n[08-10]", ["r1n08", "r1n09", "r1n10", "r2n08", "r2n09", "r2n10"]),
        ("[1101-1102]", ["1101", "1102"]),
        ("n[1-2]-ib", ["n1-ib", "n2-ib"]),
        ("", []),
    ],
)
def test_host_lists_are_read_as_slurm_reads_them(short, names):
    assert expand(short) == names


@given(st.sampled_from(sorted(SAMPLES)), st.data())
@settings(max_examples=300, deadline=None)
def test_a_damaged_file_is_read_or_refused_never_worse(name, data):
    text = SAMPLES[name][0]
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 40)))
    damaged = (
        text[:start] + data.draw(st.sampled_from(["", "\0", "[", "{", '"', "9" * 30, "\n", "=", "N/A"])) + text[end:]
    )
    try:
        found = import_text(damaged, "damaged")
    except InputError:
        return
    json.dumps(found.as_dict(), allow_nan=False)


def test_a_node_list_with_an_open_quote_is_refused_with_its_line():
    with pytest.raises(InputError, match="not CSV") as refused:
        import_text('sn,cpu_milli,memory_mib,gpu,model\nnode-0,32000,262144,0,\nnode-1,"96000,393216,8,V100\n', "nodes")
    assert refused.value.where.line == 3


@given(st.text(max_size=300))
@settings(deadline=None)
def test_text_that_is_no_topology_is_refused(text):
    with pytest.raises(InputError):
        import_text(f"# {text}", "any")
