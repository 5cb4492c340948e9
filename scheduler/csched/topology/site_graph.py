"""The graph of a fleet, a site or one domain, from the fleet file and the hardware catalogue.

How a site is cabled is rarely published. What is built here is the rail-optimised, non-blocking fat tree of NVIDIA's
SuperPOD pages: the i-th GPU of every node sits on leaf i of its group, groups are as large as half a leaf's ports,
two tiers up to a leaf's number of ports, three beyond. Domains and nodes are called as in a plan: `gb300-d017` and
`gb300-d017-n02`, or `b200-n0004` where the node is the domain; a GPU is `essonne/gb300-d017-n02/g3`.
"""

from collections.abc import Mapping
from itertools import combinations
from typing import Final

import networkx as nx

from csched.domain.hardware import Hardware
from csched.domain.site import Fleet, Partition, Site
from csched.topology.graph import GBIT_PER_GBYTE, Kind, Medium, Topology, connect, of_kind

LEAF_PORTS: Final = 64
"""Ports of a leaf or spine: QM9700, 64 x NDR400."""
XDR_LEAF_PORTS: Final = 144
"""Ports of a Q3400, 144 x XDR800, where a GPU has 100 GB/s to itself."""
_XDR_GB_PER_S: Final = 100.0
_INFINITY_FABRIC_GB_PER_S_PER_LINK: Final = 50.0
_PCIE5_X16_GB_PER_S: Final = 64.0
_PCIE4_X16_GB_PER_S: Final = 32.0


def fleet_graph(fleet: Fleet) -> Topology:
    """Sites and the WAN links between them."""
    graph: Topology = nx.Graph()
    for site in fleet.sites:
        graph.add_node(site.id, kind=Kind.SITE.value)
    for link in fleet.links:
        connect(graph, *link.between, Medium.WAN, link.gbit_per_s / GBIT_PER_GBYTE)
    return graph


def site_graph(site: Site, hardware: Mapping[str, Hardware]) -> Topology:
    """A site with one vertex for each NVLink domain, leaf, spine and core switch: 18,000 GPUs are a few hundred."""
    graph: Topology = nx.Graph()
    graph.add_node(site.id, kind=Kind.SITE.value)
    for partition in site.partitions:
        _add_partition(graph, site.id, partition, hardware[partition.hardware])
    return graph


def open_domain(graph: Topology, domain: str, hardware: Hardware) -> Topology:
    """A copy of `graph` in which the vertex `domain` is replaced by its GPUs, NVSwitch, NICs and PCIe.

    Raises:
        KeyError: no such domain.
    """
    if domain not in graph or graph.nodes[domain]["kind"] != Kind.DOMAIN:
        raise KeyError(domain)
    nodes = graph.nodes[domain]["nodes"]
    leaves = sorted(graph.adj[domain], key=lambda leaf: int(graph.nodes[leaf].get("rail", 0)))
    opened: Topology = graph.copy()
    opened.remove_node(domain)
    opened.update(domain_graph(hardware, domain, nodes))
    for name in of_kind(opened, Kind.NIC):
        facts = opened.nodes[name]
        if facts["domain"] == domain and leaves:
            connect(opened, name, leaves[facts["rail"] % len(leaves)], Medium.FABRIC, facts["gb_per_s"])
    return opened


def domain_graph(hardware: Hardware, name: str, nodes: int | None = None) -> Topology:
    """The inside of one NVLink domain: each GPU with its NVLinks, its PCIe switch and its NIC.

    Args:
        nodes: how many of the domain's nodes there are; null is all of them.
    """
    graph: Topology = nx.Graph()
    for node_number in range(hardware.nodes_per_domain if nodes is None else nodes):
        node = node_name(hardware, name, node_number)
        for position in range(hardware.gpus_per_node):
            graph.add_node(
                f"{node}/g{position}", kind=Kind.GPU.value, node=node, domain=name, index=position, rail=position
            )
        _add_pcie_and_nics(graph, hardware, node, name)
        if hardware.nvlink_graph in {"mesh", "irregular"}:
            _add_mesh(graph, hardware, node)
    if hardware.nvlink_graph == "switch" and hardware.nvlink_gb_per_s:
        hub = f"{name}/nvswitch"
        gpus = of_kind(graph, Kind.GPU)
        graph.add_node(hub, kind=Kind.NVSWITCH.value, domain=name)
        for gpu in gpus:
            connect(graph, gpu, hub, Medium.NVLINK, hardware.nvlink_gb_per_s)
    return graph


def domain_name(partition: str, hardware: Hardware, index: int) -> str:
    """The partition's domain number `index`, from 0."""
    return f"{partition}-n{index + 1:04}" if hardware.nodes_per_domain == 1 else f"{partition}-d{index + 1:03}"


def node_name(hardware: Hardware, domain: str, index: int) -> str:
    """The domain's node number `index`, from 0; a domain of one node is called as the node."""
    return domain if hardware.nodes_per_domain == 1 else f"{domain}-n{index + 1:02}"


def nic_count(hardware: Hardware) -> int:
    """NICs of a node: one for each GPU; on LUMI's MI250X one for each module, that is two schedulable GPUs."""
    if not hardware.nic_gb_per_s:
        return 0
    return hardware.gpus_per_node // 2 if hardware.nvlink_graph == "irregular" else hardware.gpus_per_node


def _add_mesh(graph: Topology, hardware: Hardware, node: str) -> None:
    """Real pair edges. A quad shares each GPU's bandwidth evenly: two of its GPUs have a third of it between them.

    On LUMI's MI250X the figure is that between the two GPUs of a module; modules are joined by one to four links,
    of which every pair is given one.
    """
    gpus = [f"{node}/g{position}" for position in range(hardware.gpus_per_node)]
    irregular = hardware.nvlink_graph == "irregular"
    for one, other in combinations(range(len(gpus) if hardware.nvlink_gb_per_s else 0), 2):
        if irregular:
            gb_per_s = hardware.nvlink_gb_per_s if one // 2 == other // 2 else _INFINITY_FABRIC_GB_PER_S_PER_LINK
        else:
            gb_per_s = mesh_pair_gb_per_s(hardware)
        connect(graph, gpus[one], gpus[other], Medium.NVLINK, gb_per_s)


def mesh_pair_gb_per_s(hardware: Hardware) -> float:
    """Bandwidth of one pair of an even mesh, one direction."""
    return (hardware.nvlink_gb_per_s or 0.0) / (hardware.gpus_per_node - 1)


def _add_pcie_and_nics(graph: Topology, hardware: Hardware, node: str, domain: str) -> None:
    """One PCIe switch for each NIC and its GPUs (PIX), all below the node's system vertex (SYS)."""
    nics = nic_count(hardware)
    shared = hardware.gpus_per_node // nics if nics else hardware.gpus_per_node
    pcie_gb_per_s = _PCIE5_X16_GB_PER_S if (hardware.nvlink_gb_per_s or 0) >= 450 else _PCIE4_X16_GB_PER_S
    system = f"{node}/system"
    graph.add_node(system, kind=Kind.PCI.value, node=node, level="SYS")
    for number in range(nics or 1):
        bridge = f"{node}/bridge{number}"
        graph.add_node(bridge, kind=Kind.PCI.value, node=node, level="PIX")
        connect(graph, bridge, system, Medium.PCIE, pcie_gb_per_s)
        for position in range(number * shared, (number + 1) * shared):
            connect(graph, f"{node}/g{position}", bridge, Medium.PCIE, pcie_gb_per_s)
        if nics and hardware.nic_gb_per_s:
            nic = f"{node}/nic{number}"
            gb_per_s = hardware.nic_gb_per_s * shared
            graph.add_node(nic, kind=Kind.NIC.value, node=node, domain=domain, rail=number, gb_per_s=gb_per_s)
            # A ConnectX-8 brings its own PCIe 6 switch: the way to a NIC is never the slower part of it.
            connect(graph, nic, bridge, Medium.PCIE, max(pcie_gb_per_s, gb_per_s))


def _add_partition(graph: Topology, site: str, partition: Partition, hardware: Hardware) -> None:
    whole, rest = divmod(partition.node_count(hardware), hardware.nodes_per_domain)
    sizes = [hardware.nodes_per_domain] * whole + ([rest] if rest else [])
    prefix = f"{site}/{partition.name}"
    names = [f"{site}/{domain_name(partition.name, hardware, number)}" for number in range(len(sizes))]
    for name, nodes in zip(names, sizes, strict=True):
        graph.add_node(
            name,
            kind=Kind.DOMAIN.value,
            partition=partition.name,
            hardware=hardware.key,
            gpus=nodes * hardware.gpus_per_node,
            nodes=nodes,
            nics=nodes * nic_count(hardware),
        )
    if hardware.nic_gb_per_s:
        _add_fabric(graph, site, prefix, dict(zip(names, sizes, strict=True)), hardware)


def _add_fabric(graph: Topology, site: str, prefix: str, domains: Mapping[str, int], hardware: Hardware) -> None:
    rails = nic_count(hardware)
    port_gb_per_s = (hardware.nic_gb_per_s or 0.0) * hardware.gpus_per_node / rails
    ports = XDR_LEAF_PORTS if port_gb_per_s >= _XDR_GB_PER_S else LEAF_PORTS
    domains_per_group = max(1, ports // 2 // hardware.nodes_per_domain)
    leaves: dict[str, float] = {}
    for position, (domain, nodes) in enumerate(domains.items()):
        for rail in range(rails):
            leaf = f"{prefix}/leaf{position // domains_per_group}.{rail}"
            graph.add_node(leaf, kind=Kind.SWITCH.value, tier="leaf", rail=rail, switches=1)
            connect(graph, domain, leaf, Medium.FABRIC, nodes * port_gb_per_s)
            leaves[leaf] = leaves.get(leaf, 0.0) + nodes * port_gb_per_s
    if len(leaves) > 1:
        _add_upper_tiers(graph, site, prefix, leaves, ports)


def _add_upper_tiers(graph: Topology, site: str, prefix: str, leaves: Mapping[str, float], ports: int) -> None:
    """One vertex for a whole tier, as for the NVSwitches of a domain: non-blocking, so its switches are alike.

    Two tiers need a spine for two leaves and reach as many leaves as a spine has ports; with a core above, each
    spine turns half its ports upwards, so there are as many spines as leaves and half as many cores.
    """
    with_core = len(leaves) > ports
    spines = len(leaves) if with_core else -(-len(leaves) // 2)
    top = f"{prefix}/spine"
    graph.add_node(top, kind=Kind.SWITCH.value, tier="spine", switches=spines)
    for leaf, gb_per_s in leaves.items():
        connect(graph, leaf, top, Medium.FABRIC, gb_per_s)
    if with_core:
        graph.add_node(f"{prefix}/core", kind=Kind.SWITCH.value, tier="core", switches=-(-spines // 2))
        connect(graph, top, f"{prefix}/core", Medium.FABRIC, sum(leaves.values()))
        top = f"{prefix}/core"
    connect(graph, top, site, Medium.FABRIC, None)
