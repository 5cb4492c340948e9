"""`nvidia-smi -q -x`: the GPUs of one node with their NVLink fabric, power limits and MIG slices; no link matrix."""

import re
from typing import Final

import networkx as nx

from csched.errors import InputError, Where
from csched.topology.graph import PCIE_GB_PER_S_PER_LANE, Kind, Medium, Topology, connect
from csched.topology.importers.imported import THIS_NODE, Imported, nvlink_domain
from csched.topology.importers.xml_elements import Element, read_elements

FORMAT: Final = "nvidia-smi-xml"
_NUMBER: Final = re.compile(r"(\d+(?:\.\d+)?)")


def looks_like(text: str) -> bool:
    return "<nvidia_smi_log" in text[:4096]


def read(text: str, file: str) -> Imported:
    """The node's graph: GPUs below one PCIe root, and at an NVSwitch where the fabric has registered them.

    Raises:
        InputError: not the tool's XML, or no GPU in it.
    """
    root = read_elements(text, file)
    gpus = [child for child in root.children if child.tag == "gpu"]
    if root.tag != "nvidia_smi_log" or not gpus:
        raise InputError("no GPU in it", hint="give the output of `nvidia-smi -q -x`", where=Where(file, root.line))
    graph: Topology = nx.Graph()
    graph.add_node("system", kind=Kind.PCI.value, node=THIS_NODE, level="SYS")
    for position, gpu in enumerate(gpus):
        _add_gpu(graph, gpu, position)
    warnings = ["the file has no link matrix: NVLink bandwidths are not known; `nvidia-smi topo -m` tells the links"]
    told = root.text_of("attached_gpus")
    if told.isdecimal() and int(told) != len(gpus):
        warnings.append(f"{told} GPUs are attached, {len(gpus)} are described")
    return Imported(FORMAT, graph, tuple(warnings))


def _add_gpu(graph: Topology, gpu: Element, position: int) -> None:
    completed = gpu.text_of("fabric", "state").lower() == "completed"
    domain = (
        nvlink_domain(gpu.text_of("fabric", "clusterUuid"), gpu.text_of("fabric", "cliqueId"), THIS_NODE)
        if completed
        else THIS_NODE
    )
    name = f"GPU{position}"
    facts = {
        "bus_id": gpu.attributes.get("id") or None,
        "product": gpu.text_of("product_name") or None,
        "power_limit_w": _number(gpu.text_of("gpu_power_readings", "max_power_limit")),
        "memory_mib": _number(gpu.text_of("fb_memory_usage", "total")),
        "mig": _mig_count(gpu) or None,
        "tray": _number(gpu.text_of("platformInfo", "tray_index")),
    }
    known = {key: value for key, value in facts.items() if value is not None}
    graph.add_node(name, kind=Kind.GPU.value, node=THIS_NODE, domain=domain, index=position, **known)
    connect(graph, name, "system", Medium.PCIE, _pcie_gb_per_s(gpu))
    if completed and gpu.text_of("platformInfo", "peer_type") == "Switch Connected":
        hub = f"{domain}/nvswitch"
        graph.add_node(hub, kind=Kind.NVSWITCH.value, domain=domain)
        connect(graph, name, hub, Medium.NVLINK, None)


def _pcie_gb_per_s(gpu: Element) -> float | None:
    link = ("pci", "pci_gpu_link_info")
    generation = gpu.text_of(*link, "pcie_gen", "max_link_gen")
    lanes = _number(gpu.text_of(*link, "link_widths", "max_link_width"))
    per_lane = PCIE_GB_PER_S_PER_LANE.get(int(generation)) if generation.isdecimal() else None
    return per_lane * lanes if per_lane and lanes else None


def _mig_count(gpu: Element) -> int:
    devices = gpu.find("mig_devices")
    return sum(child.tag == "mig_device" for child in devices.children) if devices else 0


def _number(text: str) -> float | None:
    """`1200.00 W` is 1200; `N/A` is unknown."""
    match = _NUMBER.match(text)
    return float(match[1]) if match else None
