"""From what NVML says of a node to the node's graph; pure, except that `discover` asks NVML."""

from collections.abc import Mapping
from typing import Any, Final

import networkx as nx

from csched.topology.graph import NVLINK_GB_PER_S_PER_LINK, Kind, Medium, Topology, connect
from csched.topology.importers.imported import Imported, nvlink_domain
from csched.topology.nvml_readings import GpuReading, LinkReading, NodeReading, read_node
from csched.topology.pcie_tree import Closeness, add_pcie_tree

FORMAT: Final = "nvml"
_PAYLOADS_GB_PER_S: Final = sorted(set(NVLINK_GB_PER_S_PER_LINK.values()))


def discover(node: str) -> Imported:
    """The graph of this machine under the name `node`; no GPUs where NVML sees none, with the reason as a warning."""
    return graph_of(read_node(), node)


def graph_of(reading: NodeReading, node: str) -> Imported:
    """GPUs named `node/gpuN` after NVML's order, which is that of the PCI bus."""
    graph: Topology = nx.Graph()
    names = {gpu.index: f"{node}/gpu{gpu.index}" for gpu in reading.gpus}
    for gpu in reading.gpus:
        graph.add_node(names[gpu.index], kind=Kind.GPU.value, node=node, domain=_domain(gpu, node), **_facts(gpu))
    indices = {name: index for index, name in names.items()}

    def closeness(one: str, other: str) -> Closeness | None:
        level = reading.closeness.get((indices[one], indices[other]))
        return Closeness(level) if level is not None and level in set(Closeness) else None

    add_pcie_tree(graph, list(indices), closeness, node)
    warnings = [*reading.remarks, *_add_nvlinks(graph, reading, names)]
    warnings += [f"{names[one]} and {names[other]} cannot read each other's memory" for one, other in reading.no_p2p]
    return Imported(FORMAT, graph, tuple(warnings))


def payload_gb_per_s(mb_per_s: int) -> float:
    """What of a link's raw speed carries data, one direction: 26,562 MB/s is NVLink 4 with 25 GB/s.

    The raw speed counts the protocol, about 6 %; a value below NVLink 1 is taken as it is.
    """
    below = [payload for payload in _PAYLOADS_GB_PER_S if payload <= mb_per_s / 1000]
    return below[-1] if below else mb_per_s / 1000


def _domain(gpu: GpuReading, node: str) -> str:
    """The clique where the fabric has one; a fabric that is not completed, or of zero UUID, means this node."""
    if gpu.fabric is None or not gpu.fabric.completed:
        return node
    return nvlink_domain(gpu.fabric.cluster_uuid, str(gpu.fabric.clique_id), node)


def _facts(gpu: GpuReading) -> Mapping[str, Any]:
    facts = {
        "index": gpu.index,
        "uuid": gpu.uuid,
        "product": gpu.name,
        "bus_id": gpu.bus_id,
        "minor": gpu.minor,
        "memory_mib": gpu.memory_mib,
        "mig": None if gpu.mig is None else len(gpu.mig),
        "mig_memory_mib": [part.memory_mib for part in gpu.mig] if gpu.mig else None,
        "power_w": gpu.power_w,
        "power_of": None if gpu.power_w is None else "module" if gpu.power_of_module else "gpu",
        "energy_counter": gpu.energy_mj is not None,
        "chassis": gpu.platform.chassis if gpu.platform else None,
        "slot": gpu.platform.slot if gpu.platform else None,
        "tray": gpu.platform.tray if gpu.platform else None,
    }
    return {key: value for key, value in facts.items() if value is not None}


def _add_nvlinks(graph: Topology, reading: NodeReading, names: Mapping[int, str]) -> list[str]:
    """Links to a switch end at the domain's hub; links between GPUs become pair edges, counted at the lower index."""
    by_bus = {gpu.bus_id.lower(): gpu.index for gpu in reading.gpus}
    pairs: dict[tuple[int, int], list[LinkReading]] = {}
    warnings: dict[str, None] = {}
    for gpu in reading.gpus:
        to_switch: list[LinkReading] = []
        for link in gpu.links:
            other = by_bus.get(link.bus_id.lower())
            if link.to_switch or (link.to_switch is None and other is None):
                to_switch.append(link)
            elif other is not None:
                pairs.setdefault((gpu.index, other), []).append(link)
            else:
                warnings[f"an NVLink of {names[gpu.index]} ends at a GPU that is not here"] = None
        if to_switch:
            hub = f"{_domain(gpu, names[gpu.index].rpartition('/')[0])}/nvswitch"
            graph.add_node(hub, kind=Kind.NVSWITCH.value, domain=graph.nodes[names[gpu.index]]["domain"])
            connect(graph, names[gpu.index], hub, Medium.NVLINK, _sum_gb_per_s(to_switch), links=len(to_switch))
    for (one, other), links in pairs.items():
        back = len(pairs.get((other, one), []))
        if back != len(links):
            warnings[f"{names[min(one, other)]} and {names[max(one, other)]} count different NVLinks"] = None
        if one < other or not back:
            connect(graph, names[one], names[other], Medium.NVLINK, _sum_gb_per_s(links), links=len(links))
    return list(warnings)


def _sum_gb_per_s(links: list[LinkReading]) -> float | None:
    """Unknown as soon as one link's speed is."""
    speeds = [link.mb_per_s for link in links]
    known = [payload_gb_per_s(speed) for speed in speeds if speed]
    return sum(known) if len(known) == len(speeds) else None
