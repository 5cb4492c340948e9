"""NVIDIA NetQ's `topologyGraph` JSON: devices by tier, and the cables between them."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import networkx as nx

from csched.errors import InputError, Where
from csched.topology.graph import Kind, Medium, Topology, connect
from csched.topology.importers.imported import Imported, require_bounded
from csched.topology.importers.json_value import read_json

FORMAT: Final = "netq"
_HINT: Final = "give NetQ's topologyGraph"


def read(text: str, file: str) -> Imported:
    """Switches and nodes; each port of a node that a cable ends at is a NIC.

    Raises:
        InputError: not that JSON, or a cable to a device that is not there; with the field.
    """
    graph: Topology = nx.Graph()
    for position, part in enumerate(_parts(text, file)):
        where = Where(file, field=f"[{position}]")
        names = {device["id"]: _add_device(graph, device, where) for device in _devices(part, where)}
        for link in _list(part, "links", where):
            for cable in _list(link, "compounded_links", where):
                _add_cable(graph, cable, names, where)
        require_bounded(graph, file)
    if not graph:
        raise InputError("no device", hint=_HINT, where=Where(file))
    return Imported(FORMAT, graph, ("the file tells neither bandwidths nor GPUs",))


def _add_device(graph: Topology, device: Mapping[str, Any], where: Where) -> str:
    name = device.get("name")
    if not isinstance(name, str) or not name:
        raise InputError("a device needs a `name`", hint=_HINT, where=where)
    kind = Kind.SWITCH if device.get("device_type") == "switch" else Kind.NODE
    tier = device.get("tier")
    graph.add_node(name, kind=kind.value, **({"tier": tier} if isinstance(tier, int) else {}))
    return name


def _add_cable(graph: Topology, cable: Mapping[str, Any], names: Mapping[str, str], where: Where) -> None:
    """Between two switches cables are counted on one edge; at a node each ends at a NIC of its own."""
    ends = [_end(graph, interface, names, where) for interface in _list(cable, "interfaces", where)]
    if len(ends) != 2:
        raise InputError("a cable has two ends", hint=_HINT, where=where)
    one, other = ends
    if one == other:
        raise InputError(f"a cable from `{one}` to itself", where=where)
    cables = graph.edges[one, other]["cables"] + 1 if graph.has_edge(one, other) else 1
    connect(graph, one, other, Medium.FABRIC, None, cables=cables)


def _end(graph: Topology, interface: Mapping[str, Any], names: Mapping[str, str], where: Where) -> str:
    name = names.get(str(interface.get("node")))
    if name is None:
        raise InputError(f"a cable ends at `{interface.get('node')}`, which is not there", where=where)
    if graph.nodes[name]["kind"] == Kind.SWITCH:
        return name
    nic = f"{name}/{interface.get('interface')}"
    graph.add_node(nic, kind=Kind.NIC.value, node=name)
    return nic


def _devices(part: Mapping[str, Any], where: Where) -> Iterator[Mapping[str, Any]]:
    for tier in _list(part, "nodes", where):
        for device in _list(tier, "compounded_nodes", where):
            if not isinstance(device.get("id"), str):
                raise InputError("a device needs an `id`", hint=_HINT, where=where)
            yield device


def _parts(text: str, file: str) -> list[Mapping[str, Any]]:
    document = read_json(text, file)
    parts = document if isinstance(document, list) else [document]
    if not all(isinstance(part, dict) for part in parts):
        raise InputError("JSON objects were expected", hint=_HINT, where=Where(file))
    return parts


def _list(part: Mapping[str, Any], key: str, where: Where) -> list[Mapping[str, Any]]:
    found = part.get(key)
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise InputError(f"`{key}` is a list of objects", hint=_HINT, where=where)
    return found
