"""Slurm's gres.conf: which nodes have which GPU devices, as Slurm believes."""

from collections.abc import Mapping
from itertools import combinations
from typing import Final

import networkx as nx

from csched.errors import InputError, Where
from csched.topology.graph import NVLINK_GB_PER_S_PER_LINK, Kind, Medium, Topology, connect
from csched.topology.importers.imported import Imported, require_bounded
from csched.topology.importers.slurm_lines import ConfLine, conf_lines

FORMAT: Final = "slurm-gres"
EVERY_NODE: Final = "every-node"
"""What the devices of a line without NodeName hang on: they hold on each node that reads the file."""
_MOST_DEVICES: Final = 1024
_LINK_GB_PER_S: Final = NVLINK_GB_PER_S_PER_LINK[4]
_FIRST_KEYS: Final = frozenset({"name", "nodename", "autodetect", "type", "file", "count"})


def read(text: str, file: str) -> Imported:
    """Nodes with their GPUs; NVLinks only where `Links=` tells of a direct mesh.

    Raises:
        InputError: a line that is none of gres.conf's; with the line.
    """
    graph: Topology = nx.Graph()
    links: dict[str, list[int]] = {}
    detected: list[str] = []
    for line in conf_lines(text, file):
        if line.first not in _FIRST_KEYS:
            raise InputError(f"`{line.first}` begins no line of gres.conf", where=line.where)
        method = line.get("autodetect")
        nodes = line.hosts("nodename") or [EVERY_NODE]
        if method and method.lower() != "off":
            detected.append(method)
        if (line.get("name") or "").lower() != "gpu":
            _name_nodes(graph, nodes)
            continue
        devices = _devices(line)
        for node in nodes:
            for device in devices:
                name = f"{node}/{device}"
                facts = {"model": line.values["type"]} if line.get("type") else {}
                graph.add_node(name, kind=Kind.GPU.value, node=node, **facts)
                if line.get("links") and len(devices) == 1:
                    links[name] = _links(line)
                require_bounded(graph, file, line.where.line)
    if not graph and not detected:
        raise InputError("no GPU and no node", hint="give gres.conf", where=Where(file))
    silent = _join(graph, links)
    return Imported(FORMAT, graph, tuple(_warnings(graph, detected, silent)))


def _name_nodes(graph: Topology, nodes: list[str]) -> None:
    """A line about something else than GPUs still tells that the node exists."""
    for node in nodes:
        if node != EVERY_NODE:
            graph.add_node(node, kind=Kind.NODE.value)


def _devices(line: ConfLine) -> list[str]:
    files = line.hosts("file") or line.hosts("multiplefiles")
    if files:
        return [path.rsplit("/", 1)[-1] for path in files[:_MOST_DEVICES]]
    count = line.get("count") or "1"
    if not count.isdecimal() or not 0 < int(count[:9]) <= _MOST_DEVICES:
        raise InputError(f"`{count}` is not a number of GPUs", where=Where(line.where.file, line.where.line, "Count"))
    return [f"gpu{number}" for number in range(int(count))]


def _links(line: ConfLine) -> list[int]:
    told = line.values["links"].split(",")
    if not all(link.removeprefix("-").isdecimal() and len(link) < 5 for link in told):
        raise InputError("Links is a list of numbers with -1 for the device itself", where=line.where)
    return [int(link) for link in told]


def _join(graph: Topology, links: Mapping[str, list[int]]) -> bool:
    """Join GPUs of one node by their `Links`. Returns whether some were given but all are 0."""
    by_node: dict[str, list[str]] = {}
    for gpu in links:
        by_node.setdefault(graph.nodes[gpu]["node"], []).append(gpu)
    for gpus in by_node.values():
        for one, other in combinations(range(len(gpus)), 2):
            told = links[gpus[one]]
            count = told[other] if other < len(told) else 0
            if count > 0:
                connect(graph, gpus[one], gpus[other], Medium.NVLINK, count * _LINK_GB_PER_S, links=count)
    return bool(links) and graph.number_of_edges() == 0


def _warnings(graph: Topology, detected: list[str], silent: bool) -> list[str]:
    warnings = ["gres.conf does not tell NVLink domains"]
    if detected:
        warnings.append(f"AutoDetect={detected[0]} adds GPUs that are not in this file")
    if any(facts.get("node") == EVERY_NODE for _, facts in graph.nodes(data=True)):
        warnings.append("lines without NodeName hold on every node; they are counted as one node")
    if silent:
        warnings.append("Links are all 0: on machines with NVSwitch they tell nothing")
    return warnings
