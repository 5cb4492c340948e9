"""NCCL's topology file (`NCCL_TOPO_DUMP_FILE`) and graph file (`NCCL_GRAPH_DUMP_FILE`) of one node."""

import re
from itertools import pairwise
from typing import Final

import networkx as nx

from csched.errors import InputError, Where
from csched.topology.graph import GBIT_PER_GBYTE, NVLINK_GB_PER_S_PER_LINK, Kind, Medium, Topology, connect
from csched.topology.importers.imported import THIS_NODE, Imported
from csched.topology.importers.xml_elements import Element, read_elements

TOPOLOGY_FORMAT: Final = "nccl-topology"
GRAPH_FORMAT: Final = "nccl-graph"
_GPU_CLASSES: Final = ("0x0300", "0x0302")
_NIC_CLASS: Final = "0x02"
_NVSWITCH_CLASS: Final = "0x0680"
_GT_PER_S: Final = re.compile(r"(\d+(?:\.\d+)?)\s*GT/s")
# Compute capability -> NVLink generation.
_GENERATION: Final = {60: 1, 70: 2, 72: 2, 80: 3, 90: 4, 100: 5, 103: 5}


def looks_like(text: str) -> bool:
    head = text[:4096]
    return "<system" in head or "<graphs" in head


def read(text: str, file: str) -> Imported:
    """The node's graph.

    Raises:
        InputError: neither kind of file, or no GPU in it.
    """
    root = read_elements(text, file)
    if root.tag == "graphs":
        return _read_graphs(root, file)
    if root.tag != "system":
        hint = "give a file that NCCL wrote"
        raise InputError(f"`{root.tag}` is not NCCL's `system`", hint=hint, where=Where(file, root.line))
    reader = _System(file)
    reader.read(root)
    return Imported(TOPOLOGY_FORMAT, reader.graph, tuple(reader.warnings))


class _System:
    """Walks the tree cpu - pci - gpu or nic and joins each part to the one around it."""

    def __init__(self, file: str) -> None:
        self.graph: Topology = nx.Graph()
        self.warnings: list[str] = []
        self._file = file
        self._links: list[tuple[str, Element, int]] = []
        self._own_links = 0

    def read(self, root: Element) -> None:
        self.graph.add_node("system", kind=Kind.PCI.value, node=THIS_NODE, level="SYS")
        for cpu in root.children:
            if cpu.tag == "cpu":
                numa = f"numa{cpu.attributes.get('numaid', '?')}"
                self.graph.add_node(numa, kind=Kind.PCI.value, node=THIS_NODE, level="NODE")
                connect(self.graph, numa, "system", Medium.PCIE, None)
                self._below(cpu, numa)
        if not any(facts["kind"] == Kind.GPU for _, facts in self.graph.nodes(data=True)):
            raise InputError("no GPU in it", hint="give a file that NCCL wrote", where=Where(self._file, root.line))
        self._join_nvlinks()

    def _below(self, parent: Element, above: str) -> None:
        for child in parent.children:
            if child.tag == "pci":
                self._pci(child, above)
            elif child.tag == "nic" and parent.tag == "cpu":
                self._nic(f"nic{child.line}", child, above, None)

    def _pci(self, device: Element, above: str) -> None:
        name = device.attributes.get("busid", f"pci{device.line}")
        if name in self.graph:
            raise InputError(f"the bus id `{name}` is there twice", where=Where(self._file, device.line, "busid"))
        kind_of_device = device.attributes.get("class", "").lower()
        if kind_of_device.startswith(_GPU_CLASSES):
            self._gpu(name, device)
        elif kind_of_device.startswith(_NIC_CLASS):
            self._nic(name, device, above, _pcie_gb_per_s(device))
            return
        else:
            self.graph.add_node(name, kind=Kind.PCI.value, node=THIS_NODE, level="PIX")
        connect(self.graph, name, above, Medium.PCIE, _pcie_gb_per_s(device))
        self._below(device, name)

    def _gpu(self, name: str, device: Element) -> None:
        position = sum(facts["kind"] == Kind.GPU for _, facts in self.graph.nodes(data=True))
        self.graph.add_node(name, kind=Kind.GPU.value, node=THIS_NODE, domain=THIS_NODE, index=position)
        gpu = device.find("gpu")
        for link in gpu.children if gpu else ():
            if link.tag == "nvlink":
                self._links.append((name, link, _whole(gpu.attributes.get("sm", "")) if gpu else 0))

    def _nic(self, name: str, device: Element, above: str, gb_per_s: float | None) -> None:
        ports = [element for element in device.walk() if element.tag == "net"]
        speed = sum(_whole(port.attributes.get("speed", "")) for port in ports) / 1000 / GBIT_PER_GBYTE
        facts = {"gb_per_s": speed} if speed else {}
        names = [port.attributes.get("name", "") for port in ports]
        self.graph.add_node(name, kind=Kind.NIC.value, node=THIS_NODE, ports=names, **facts)
        connect(self.graph, name, above, Medium.PCIE, gb_per_s)

    def _join_nvlinks(self) -> None:
        """Links to an NVSwitch end at the hub; a pair of GPUs is told from both ends and counted once."""
        direct: dict[tuple[str, str], float] = {}
        for gpu, link, capability in self._links:
            target, count = link.attributes.get("target", ""), _whole(link.attributes.get("count", ""))
            per_link = NVLINK_GB_PER_S_PER_LINK.get(_GENERATION.get(capability, 0))
            gb_per_s = per_link * count if per_link and count else None
            if link.attributes.get("tclass", "").lower().startswith(_NVSWITCH_CLASS):
                self.graph.add_node("nvswitch", kind=Kind.NVSWITCH.value, node=THIS_NODE, domain=THIS_NODE)
                connect(self.graph, gpu, "nvswitch", Medium.NVLINK, gb_per_s)
            elif target == gpu:
                self._own_links += 1
            elif target in self.graph and self.graph.nodes[target]["kind"] == Kind.GPU:
                pair = (gpu, target) if gpu < target else (target, gpu)
                direct[pair] = max(direct.get(pair, 0.0), gb_per_s or 0.0)
            else:
                self.warnings.append(f"an NVLink of `{gpu}` ends at `{target}`, which is not in the file")
        for (one, other), gb_per_s in direct.items():
            connect(self.graph, one, other, Medium.NVLINK, gb_per_s or None)
        if self._own_links:
            self.warnings.append(f"{self._own_links} NVLink entries point at their own GPU and were left out")
        if not self._links:
            self.warnings.append("the file names no NVLinks: only PCIe is known")


def _read_graphs(root: Element, file: str) -> Imported:
    """What NCCL chose: the rings and trees of its channels, as edges between GPUs that follow each other."""
    graph: Topology = nx.Graph()
    for chosen in root.children:
        speed = _number(chosen.attributes.get("speedintra", ""))
        nvlink = chosen.attributes.get("typeintra", "").upper().startswith("NV")
        for channel in chosen.children:
            gpus = [f"GPU{step.attributes.get('dev', '?')}" for step in channel.children if step.tag == "gpu"]
            for gpu in gpus:
                graph.add_node(gpu, kind=Kind.GPU.value, node=THIS_NODE, domain=THIS_NODE, index=_whole(gpu[3:]))
            for one, other in pairwise(gpus):
                if one != other and not graph.has_edge(one, other):
                    connect(graph, one, other, Medium.NVLINK if nvlink else Medium.PCIE, speed)
    if not graph:
        raise InputError("no GPU in it", hint="give a file that NCCL wrote", where=Where(file, root.line))
    return Imported(GRAPH_FORMAT, graph, ("a graph file tells what NCCL chose to use, not all there is",))


def _pcie_gb_per_s(device: Element) -> float | None:
    """`32.0 GT/s PCIe` times width: 64 GB/s for x16. Up to 5 GT/s a byte takes ten bits on the wire."""
    rate = _GT_PER_S.match(device.attributes.get("link_speed", ""))
    lanes = _whole(device.attributes.get("link_width", ""))
    if rate is None or not lanes:
        return None
    bits = 10 if float(rate[1]) <= 5 else 8
    return float(rate[1]) * lanes / bits


def _whole(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 10 else 0


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 < value < 1e6 else None
